//! The same kit in another form: its large layers kept in segments, or each layer as one blob.

use std::{
    collections::HashMap,
    io::{self, Read},
    slice,
};

use super::{
    Error,
    pack::put,
    segments::{Cuts, Cutter, LayerFile},
    toc::own_name,
};
use crate::{
    archive,
    digest::{Digest, Hasher},
    oci::{Descriptor, Family, LayerType, Manifest, PlainLayer, edit, media_type, segments},
    progress::{Meter, Progress},
    reference::Reference,
    store::{self, Damage, Presence, Store, Trust, Writer},
};

/// How much is read at once.
const BUFFER: usize = 1 << 20;

/// What becomes of the layers of a kit.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Each is one blob.
    Plain,
    /// Large ones are kept in segments.
    Chunked {
        /// How large segments are on average, if somebody says so.
        segment_size: Option<u64>,
    },
}

/// What came of a kit that was to have another form.
#[derive(Debug)]
pub struct Converted {
    /// The kit as it was.
    pub old: Descriptor,
    /// The kit in the other form; the same if it had that form.
    pub new: Descriptor,
    /// Its layers, each as one blob and with the segments that it is kept in now, if it is.
    pub layers: Vec<PlainLayer>,
    /// Whether it becomes the old kit again, byte for byte, if it is converted back. A kit whose
    /// manifest another program wrote in a way of its own does not.
    pub comes_back: bool,
    /// The names that the new kit was given.
    pub names: Vec<Reference>,
}

impl Converted {
    /// Tells whether the kit had the form that was asked for.
    pub fn was_right(&self) -> bool {
        self.old.digest == self.new.digest
    }
}

/// Makes a kit of the one that `reference` means, with the same layers in another form: config,
/// annotations and table of contents stay. It gets `names`; without any, the name that was asked
/// for leads to it from now on. The old kit stays as it is.
pub fn run(
    store: &Store,
    reference: &Reference,
    form: Form,
    names: &[Reference],
    progress: &dyn Progress,
) -> Result<Converted, Error> {
    store.resolve(reference, progress)?; // Before a store is made for nothing.
    let writer = store.writer(progress)?;
    // Under the lock: it may have moved.
    let old = store.resolve(reference, progress)?.descriptor;
    let stored = store.manifest(&old)?;
    let name = reference.to_string();
    check(&name, &stored.manifest)?;
    let bad = |source| Error::Segments {
        reference: name.clone(),
        source,
    };
    let before = stored.manifest.plain_layers().map_err(bad)?;
    let after = convert(&writer, &before, form, progress)?;
    let written = manifest(&stored.manifest, &stored.bytes, &after).map_err(bad)?;
    // A reader refuses what has too many layers or bytes.
    let is_as_it_was = Manifest::parse(&written)
        .and_then(|it| manifest(&it, &written, &before))
        .map(|as_it_was| as_it_was == stored.bytes)
        .map_err(|_| Error::ManifestTooLarge {
            layers: after.iter().map(|it| it.blobs().len()).sum(),
        })?;
    let new = if written == stored.bytes {
        old.clone()
    } else {
        put(&writer, media_type::MANIFEST, &written, Trust::Recorded)?.0
    };
    let own = own_name(reference.clone().or_latest(), &new);
    let names = match (names, &own) {
        ([], Some(own)) if new != old => slice::from_ref(own),
        (names, _) => names,
    };
    if new != old || !names.is_empty() {
        writer.name(names, &new)?;
    }
    Ok(Converted {
        comes_back: is_as_it_was,
        old,
        new,
        layers: after,
        names: names.to_vec(),
    })
}

/// Refuses what is no `ModelKit`.
fn check(name: &str, manifest: &Manifest) -> Result<(), Error> {
    let config = &manifest.config.media_type;
    match Family::of_config(config) {
        Some(Family::ModelKit) => Ok(()),
        Some(Family::ModelPack) => Err(Error::NotConvertible {
            reference: name.to_owned(),
        }),
        None => Err(Error::Unsupported {
            reference: name.to_owned(),
            what: format!("config type `{config}`"),
        }),
    }
}

/// Returns a manifest with its layers in the form that `layers` have.
fn manifest(
    of: &Manifest,
    bytes: &[u8],
    layers: &[PlainLayer],
) -> Result<Vec<u8>, crate::oci::Error> {
    let blobs: Vec<Descriptor> = layers.iter().flat_map(PlainLayer::blobs).cloned().collect();
    if blobs == of.layers {
        return Ok(bytes.to_vec());
    }
    edit::with_layers(bytes, blobs)
}

/// Returns the layers in the form that was asked for, with their blobs in the store.
fn convert(
    writer: &Writer<'_>,
    layers: &[PlainLayer],
    form: Form,
    progress: &dyn Progress,
) -> Result<Vec<PlainLayer>, Error> {
    let cuts = match form {
        Form::Plain => None,
        Form::Chunked { segment_size } => {
            let sizes = layers.iter().map(|it| {
                let size = it.descriptor.size;
                if can_be_cut(it) { size } else { 0 }
            });
            Some(Cuts::of(segment_size, sizes))
        }
    };
    let target = |it: &PlainLayer| {
        let cuts = cuts.filter(|_| can_be_cut(it))?;
        cuts.target_of(it.descriptor.size)
    };
    let is_work = |it: &&PlainLayer| target(it).is_some() || !it.segments.is_empty();
    let total = layers.iter().filter(is_work);
    let total = total.map(|it| it.descriptor.size).sum();
    let meter = progress.begin("Converting", Some(total));
    // The same content may be in a kit several times.
    let mut done: HashMap<Digest, Vec<(Digest, u64)>> = HashMap::new();
    let mut converted = Vec::with_capacity(layers.len());
    for layer in layers {
        let digest = layer.descriptor.digest;
        let segments = match target(layer) {
            None if layer.segments.is_empty() => Vec::new(),
            None => {
                join(writer, layer, meter.as_ref(), progress)?;
                Vec::new()
            }
            Some(target) => {
                if let Some(known) = done.get(&digest) {
                    known.clone()
                } else {
                    let cut = cut(writer, layer, target, meter.as_ref(), progress)?;
                    done.insert(digest, cut.clone());
                    cut
                }
            }
        };
        converted.push(PlainLayer {
            descriptor: layer.descriptor.clone(),
            // One that is cut nowhere stays as it is.
            segments: match segments.as_slice() {
                [] | [_] => Vec::new(),
                several => segments::describe(&layer.descriptor, several),
            },
        });
    }
    Ok(converted)
}

/// Tells whether a layer can be kept in segments: a change of what is compressed changes all that
/// follows.
fn can_be_cut(layer: &PlainLayer) -> bool {
    let kind = LayerType::parse(&layer.descriptor.media_type);
    kind.is_some_and(|kind| !kind.encoding.is_compressed())
}

/// Stores a layer as one blob.
fn join(
    writer: &Writer<'_>,
    layer: &PlainLayer,
    meter: &dyn Meter,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let Descriptor { digest, size, .. } = layer.descriptor;
    if writer.has(&digest, size, Trust::Recorded)? == Presence::Here {
        return Ok(());
    }
    let mut blob = writer.create()?;
    each(writer.store(), layer, meter, progress, &mut |bytes| {
        Ok(blob.append(bytes)?)
    })?;
    blob.commit(&digest, size)?;
    Ok(())
}

/// Stores a layer in segments of about `target` bytes, and returns these.
fn cut(
    writer: &Writer<'_>,
    layer: &PlainLayer,
    target: u64,
    meter: &dyn Meter,
    progress: &dyn Progress,
) -> Result<Vec<(Digest, u64)>, Error> {
    let mut cutter = Cutter::new(target, Some((writer, Trust::Recorded)));
    each(writer.store(), layer, meter, progress, &mut |bytes| {
        cutter.push(bytes)
    })?;
    let segments = cutter.finish()?.into_iter();
    Ok(segments.map(|it| (it.digest, it.size)).collect())
}

/// Gives the bytes of a layer to `take`, and fails if they are not those that its digest names.
fn each(
    store: &Store,
    layer: &PlainLayer,
    meter: &dyn Meter,
    progress: &dyn Progress,
    take: &mut dyn FnMut(&[u8]) -> Result<(), Error>,
) -> Result<(), Error> {
    let Descriptor { digest, size, .. } = layer.descriptor;
    let mut file = LayerFile::open(store, layer.blobs())?.take(size.saturating_add(1));
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; BUFFER];
    let mut length = 0;
    loop {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        let read = match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                // That of a segment that went away meanwhile.
                let error = error.downcast::<store::Error>().map(Error::from);
                return Err(error.unwrap_or_else(|source| archive::Error::Read(source).into()));
            }
        };
        hasher.update(&buffer[..read]);
        length += read as u64;
        meter.advance(read as u64);
        take(&buffer[..read])?;
    }
    let actual = hasher.finish();
    let damage = if length != size {
        Damage::Size {
            expected: size,
            actual: length,
        }
    } else if actual != digest {
        Damage::Content { actual }
    } else {
        return Ok(());
    };
    Err(store::Error::Damaged { digest, damage }.into())
}
