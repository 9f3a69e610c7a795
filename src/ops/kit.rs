//! A kit as the store or a registry holds it: its manifest, its Kitfile, and which layer belongs to
//! which element of the Kitfile.

use std::{io::Read, sync::Arc};

use serde::Deserialize;

use super::{Error, modelpack};
use crate::{
    archive::{
        self,
        decompress::{Bounds, Compression, Decompressed},
    },
    digest::Digest,
    kitfile::{Entry, Kitfile, MAX_CONFIG_BYTES, Section},
    limits::Limits,
    oci::{Descriptor, Encoding, Family, LayerKind, LayerType, Manifest, PlainLayer, annotation},
    progress::{Progress, Silent},
    reference::Reference,
    registry::Repository,
    store::{ReadLock, Store, StoredManifest},
};

/// A kit that can be read.
#[derive(Debug)]
pub struct Kit {
    /// The name it was asked for by.
    pub reference: Reference,
    /// Its manifest's digest, type and size.
    pub descriptor: Descriptor,
    /// Its manifest as it was stored.
    pub manifest: Manifest,
    /// Its Kitfile, with the digests of the layers.
    pub kitfile: Kitfile,
    /// The Kitfile among its files, as it is there; only where that is the kit's own.
    pub carried: Option<Vec<u8>>,
    /// Its layers in the order of the manifest.
    pub layers: Vec<Layer>,
    /// Where its blobs are.
    pub place: Place,
}

/// Where the blobs of a kit are.
#[derive(Clone, Debug)]
pub enum Place {
    /// In the store, where none of them is deleted while this lives. There is one lock for all kits
    /// that are open at once: who holds it must not ask for it again.
    Store(Arc<ReadLock>),
    /// In a repository of a registry.
    Registry(Repository),
}

impl Kit {
    /// Returns the kit that these documents make.
    pub(super) fn assemble(
        reference: &Reference,
        descriptor: Descriptor,
        documents: Documents,
        place: Place,
    ) -> Result<Self, Error> {
        let layers = documents.layers(reference)?;
        let Documents {
            stored,
            kitfile,
            carried,
            ..
        } = documents;
        let manifest = stored.manifest;
        Ok(Self {
            reference: reference.clone(),
            descriptor,
            manifest,
            kitfile,
            carried,
            layers,
            place,
        })
    }

    /// Returns the text of the Kitfile: as the kit carries it, else written out.
    pub fn kitfile_text(&self) -> Vec<u8> {
        let carried = self.carried.clone();
        carried.unwrap_or_else(|| self.kitfile.to_yaml().into_bytes())
    }
}

/// A layer of a kit.
#[derive(Clone, Debug)]
pub struct Layer {
    /// The layer as one blob, which it is unless it has segments.
    pub descriptor: Descriptor,
    /// The blobs that it is kept in, one behind the other; none if it is kept as one.
    pub segments: Arc<[Descriptor]>,
    /// What its media type says.
    pub layer_type: LayerType,
    /// The element of the Kitfile whose files it holds.
    pub entry: Entry,
}

impl Layer {
    /// Returns the blobs that it is kept in, in order.
    pub fn blobs(&self) -> &[Descriptor] {
        match &*self.segments {
            [] => std::slice::from_ref(&self.descriptor),
            segments => segments,
        }
    }

    /// Returns the folder under which the layer's paths belong. Kits made before layers had
    /// digests in the config hold paths relative to the parent of the layer's path.
    pub fn prefix(&self) -> Option<&str> {
        if self.entry.digest.is_some() {
            return None;
        }
        let (folder, _) = self.entry.clean.rsplit_once('/')?;
        Some(if folder.is_empty() { "/" } else { folder })
    }

    /// Returns what the stored bytes `read` unpack to.
    pub(super) fn decompressed<R: Read>(
        &self,
        read: R,
        limits: &Limits,
    ) -> Result<Decompressed<R>, Error> {
        let bounds = Bounds::of(self.descriptor.size, self.plain_size(), limits);
        let content = Decompressed::new(read, self.compression(), bounds);
        Ok(content.map_err(archive::Error::Read)?)
    }

    /// Returns how the layer is compressed.
    pub const fn compression(&self) -> Compression {
        match self.layer_type.encoding {
            Encoding::Tar | Encoding::Raw => Compression::None,
            Encoding::TarGzip | Encoding::RawGzip => Compression::Gzip,
            Encoding::TarZstd | Encoding::RawZstd => Compression::Zstd,
        }
    }

    /// Returns how many bytes the layer unpacks to, if whoever packed it says so.
    pub fn plain_size(&self) -> Option<u64> {
        let said = &self.descriptor.annotations;
        said.get(annotation::UNCOMPRESSED_SIZE)?.parse().ok()
    }

    /// Returns whether the blob is the file, with the mode that files in the store have.
    pub fn can_be_linked(&self) -> bool {
        self.layer_type.encoding == Encoding::Raw && !self.executable() && self.segments.is_empty()
    }

    /// Returns whether a raw layer's file may be executed.
    pub fn executable(&self) -> bool {
        self.mode() & 0o100 != 0
    }

    /// Returns the permission bits that a raw layer's file had when it was packed.
    pub(super) fn mode(&self) -> u16 {
        let said = self.metadata().and_then(|it| it.mode);
        said.map_or(0o644, |mode| {
            u16::try_from(mode & 0o7777).expect("12 bits fit 16")
        })
    }

    /// Returns what a raw layer says it is instead of a file, as a number.
    pub(super) fn other_than_file(&self) -> Option<u32> {
        const FILES: [u32; 2] = [0, b'0' as u32];
        let flag = self.metadata()?.typeflag;
        (!FILES.contains(&flag)).then_some(flag)
    }

    fn metadata(&self) -> Option<Metadata> {
        let said = &self.descriptor.annotations;
        let text = said
            .get(annotation::FILE_METADATA)
            .or_else(|| said.get(annotation::FILE_METADATA_FORMER))?;
        serde_json::from_str(text).ok()
    }
}

/// What a raw layer says of its file.
#[derive(Deserialize)]
struct Metadata {
    mode: Option<u32>,
    #[serde(default)]
    typeflag: u32,
}

/// The documents of a kit, as they are stored and as they are understood.
#[derive(Debug)]
pub struct Documents {
    /// The manifest, with its bytes.
    pub stored: StoredManifest,
    /// The bytes of the config.
    pub config: Vec<u8>,
    /// What the config says, or for want of a Kitfile in it what the kit carries as one, or what
    /// can be made up from it.
    pub kitfile: Kitfile,
    /// The Kitfile among the files of the kit, as it is there; only where that is the kit's own.
    pub carried: Option<Vec<u8>>,
    /// The diffIds of the layers where the config lists them apart from the Kitfile.
    diff_ids: Option<Vec<Option<Digest>>>,
}

impl Documents {
    /// Tells whether the config is the Kitfile.
    pub const fn config_is_kitfile(&self) -> bool {
        self.diff_ids.is_none()
    }
}

/// Finds the kit that `reference` names and reads its documents. Whether its layers are there and
/// agree with them does not matter.
pub fn look(
    store: &Store,
    reference: &Reference,
    progress: &dyn Progress,
) -> Result<(Descriptor, Documents), Error> {
    let descriptor = store.resolve(reference, progress)?.descriptor;
    match documents(store, reference, &descriptor) {
        Ok(documents) => Ok((descriptor, documents)),
        Err(error) => {
            // Gone meanwhile is not damaged.
            store.resolve(reference, &Silent)?;
            Err(error)
        }
    }
}

/// Reads the documents of the kit whose manifest is `descriptor`.
pub fn documents(
    store: &Store,
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<Documents, Error> {
    let stored = store.manifest(descriptor)?;
    Documents::read(reference, stored, &|blob, limit| {
        Ok(store.read_verified(&blob.digest, blob.size, limit)?)
    })
}

/// Reads a blob that is held in memory, checked against its descriptor; one larger than the limit
/// is refused.
pub type ReadBlob<'a> = dyn Fn(&Descriptor, u64) -> Result<Vec<u8>, Error> + 'a;

impl Documents {
    /// Understands the kit whose manifest is `stored`; `read` gives what else is needed of it.
    pub fn read(
        reference: &Reference,
        stored: StoredManifest,
        read: &ReadBlob<'_>,
    ) -> Result<Self, Error> {
        let config = &stored.manifest.config;
        let family = Family::of_config(&config.media_type).ok_or_else(|| Error::Unsupported {
            reference: reference.to_string(),
            what: format!("config type `{}`", config.media_type),
        })?;
        let config = read(config, MAX_CONFIG_BYTES as u64)?;
        let (kitfile, carried, diff_ids) = match family {
            Family::ModelKit => {
                let kitfile = Kitfile::from_config(&config).map_err(|source| Error::Config {
                    reference: reference.to_string(),
                    source,
                })?;
                (kitfile, None, None)
            }
            Family::ModelPack => {
                let pack = modelpack::read(reference, &stored.manifest, &config, read)?;
                (pack.kitfile, pack.carried, Some(pack.diff_ids))
            }
        };
        Ok(Self {
            stored,
            config,
            kitfile,
            carried,
            diff_ids,
        })
    }

    /// Returns the layers in the order of the manifest.
    pub(super) fn layers(&self, reference: &Reference) -> Result<Vec<Layer>, Error> {
        let (manifest, kitfile) = (&self.stored.manifest, &self.kitfile);
        match &self.diff_ids {
            None => match_layers(reference, manifest, kitfile),
            Some(diff_ids) => modelpack::match_layers(reference, manifest, kitfile, diff_ids),
        }
    }

    /// Returns the blobs that [`Documents::read`] asks for at most, each with the limit on its
    /// size: for those who have to fetch them before. None for what is no kit.
    pub fn needed(manifest: &Manifest) -> Vec<(&Descriptor, u64)> {
        let config = (&manifest.config, MAX_CONFIG_BYTES as u64);
        match Family::of_config(&manifest.config.media_type) {
            None => Vec::new(),
            Some(Family::ModelKit) => vec![config],
            Some(Family::ModelPack) => {
                let carried = modelpack::candidates(manifest);
                let layers = carried.map(|it| (it.descriptor, modelpack::MOST_OF_A_KITFILE));
                std::iter::once(config).chain(layers).collect()
            }
        }
    }
}

/// Opens the kit that `reference` names in `store`, and keeps its blobs from being deleted as long
/// as it is open. Every byte read is checked against its digest.
pub fn open(store: &Store, reference: &Reference, progress: &dyn Progress) -> Result<Kit, Error> {
    // Before the name is looked up: what it leads to must not go before it is read.
    let lock = Arc::new(store.reader(progress)?);
    open_locked(store, reference, lock, progress)
}

/// Opens two kits as [`open`] does one. Under one lock: who holds one and waits for another may
/// wait for someone who waits for the first.
pub fn open_pair(
    store: &Store,
    references: [&Reference; 2],
    progress: &dyn Progress,
) -> Result<[Kit; 2], Error> {
    let lock = Arc::new(store.reader(progress)?);
    let [first, second] = references;
    Ok([
        open_locked(store, first, Arc::clone(&lock), progress)?,
        open_locked(store, second, lock, &Silent)?,
    ])
}

/// Opens a kit as [`open`] does, under a lock that is held already.
pub(super) fn open_locked(
    store: &Store,
    reference: &Reference,
    lock: Arc<ReadLock>,
    progress: &dyn Progress,
) -> Result<Kit, Error> {
    let descriptor = store.resolve(reference, progress)?.descriptor;
    let documents = documents(store, reference, &descriptor)?;
    Kit::assemble(reference, descriptor, documents, Place::Store(lock))
}

/// Gives each layer of the manifest its element of the Kitfile: by digest where the config has
/// digests, else the n-th layer of a type takes the n-th element of that type.
fn match_layers(
    reference: &Reference,
    manifest: &Manifest,
    kitfile: &Kitfile,
) -> Result<Vec<Layer>, Error> {
    let mismatch = |what: String| Error::Mismatch {
        reference: reference.to_string(),
        what,
    };
    let mut open: Vec<Option<Entry>> = kitfile.layers().into_iter().map(Some).collect();
    // Nearly always the next one is it: a search for each of thousands would take long.
    let mut next = 0;
    let mut layers = Vec::with_capacity(manifest.layers.len());
    let plain = manifest.plain_layers().map_err(|source| Error::Segments {
        reference: reference.to_string(),
        source,
    })?;
    for PlainLayer {
        descriptor,
        segments,
    } in plain
    {
        let layer_type = layer_type(reference, &descriptor)?;
        let is_prompt = is_prompt(&descriptor);
        while open.get(next).is_some_and(Option::is_none) {
            next += 1;
        }
        let rest = open.get(next..).unwrap_or_default();
        let place = rest.iter().position(|entry| {
            entry.as_ref().is_some_and(|entry| {
                holds(layer_type.kind, is_prompt, entry)
                    && entry
                        .digest
                        .is_none_or(|digest| digest == descriptor.digest)
            })
        });
        let place = place.map(|place| next + place);
        let entry = place.and_then(|place| open[place].take()).ok_or_else(|| {
            mismatch(format!(
                "the config has no element for layer {} ({})",
                descriptor.digest, descriptor.media_type
            ))
        })?;
        layers.push(Layer {
            descriptor,
            segments: segments.into(),
            layer_type,
            entry,
        });
    }
    if let Some(entry) = open.into_iter().flatten().next() {
        return Err(mismatch(format!(
            "the config names {} `{}`, for which there is no layer",
            noun(entry.section),
            entry.path
        )));
    }
    Ok(layers)
}

/// Returns what the media type of a layer says, which must be known.
pub(super) fn layer_type(
    reference: &Reference,
    descriptor: &Descriptor,
) -> Result<LayerType, Error> {
    LayerType::parse(&descriptor.media_type).ok_or_else(|| Error::Unsupported {
        reference: reference.to_string(),
        what: format!("layer type `{}`", descriptor.media_type),
    })
}

/// Tells whether a layer is said to hold prompts.
pub(super) fn is_prompt(layer: &Descriptor) -> bool {
    let subtype = layer.annotations.get(annotation::LAYER_SUBTYPE);
    subtype.is_some_and(|subtype| subtype == annotation::SUBTYPE_PROMPT)
}

/// Tells whether a layer of `kind` can hold the files of `entry`.
pub(super) fn holds(kind: LayerKind, is_prompt: bool, entry: &Entry) -> bool {
    match kind {
        LayerKind::Model => entry.section == Section::Model && entry.shard == 0,
        LayerKind::ModelPart => {
            entry.section == Section::Part || entry.section == Section::Model && entry.shard > 0
        }
        LayerKind::Code if is_prompt => entry.section == Section::Prompt,
        // A config with digests says itself which of its code layers are prompts.
        LayerKind::Code => {
            entry.section == Section::Code
                || entry.section == Section::Prompt && entry.digest.is_some()
        }
        LayerKind::Dataset => entry.section == Section::Dataset,
        LayerKind::Docs => entry.section == Section::Docs,
        LayerKind::McpServer => entry.section == Section::McpServer,
    }
}

/// Returns the kind of the layer of an element. There is one model only: its further layers are
/// parts.
pub fn layer_kind(entry: &Entry) -> LayerKind {
    match entry.section {
        Section::Model if entry.shard == 0 => LayerKind::Model,
        Section::Model | Section::Part => LayerKind::ModelPart,
        Section::Code | Section::Prompt => LayerKind::Code,
        Section::Dataset => LayerKind::Dataset,
        Section::Docs => LayerKind::Docs,
        Section::McpServer => LayerKind::McpServer,
    }
}

/// Returns the word for an element of a section, as output and errors have it.
pub fn noun(section: Section) -> &'static str {
    match section {
        Section::Model => "model",
        Section::Part => "modelpart",
        Section::Code => "code",
        Section::Dataset => "dataset",
        Section::Docs => "docs",
        Section::Prompt => "prompt",
        Section::McpServer => "mcpserver",
    }
}
