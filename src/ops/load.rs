//! Takes kits out of an OCI image layout, a folder or a tar file, into the store.

use std::{
    collections::HashMap,
    io::{Read, Write},
    path::Path,
    sync::Arc,
};

use super::{
    Error,
    arrivals::{Arrivals, Count},
};
use crate::{
    archive::bundle::Bundle,
    digest::{Digest, Hasher},
    kitfile::{Kitfile, MAX_CONFIG_BYTES, ModelPackConfig},
    oci::{
        Descriptor, Family, Index, Manifest, annotation,
        layout::{BLOBS, INDEX, LAYOUT},
        media_type,
    },
    progress::{Meter, Progress},
    reference::Reference,
    store::{self, Committed, Damage, Presence, Store, Trust, Writer},
};

/// Which kits of a layout, and under which names.
pub struct Options {
    /// The name or tag in the layout; `None` for all that it holds.
    pub name: Option<String>,
    /// The names the kit gets; none means those it has in the layout.
    pub names: Vec<Reference>,
}

/// What was loaded.
#[derive(Debug)]
pub struct Report {
    /// The kits and the names they got.
    pub kits: Vec<(Descriptor, Vec<Reference>)>,
    /// How many blobs were new to the store.
    pub stored: usize,
    /// How many damaged blobs of the store were replaced.
    pub healed: usize,
    /// How many blobs were there already.
    pub present: usize,
}

/// Loads kits from the folder or tar file `path`. Nothing is believed: every blob is hashed, and
/// a kit gets its names when all of it is in the store.
pub fn run(
    store: &Store,
    path: &Path,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let source = Source::new(
        Arc::new(Bundle::open(path, store.limits())?),
        path.display().to_string(),
        "",
    );
    let chosen = source.choose(options)?;
    let writer = store.writer(progress)?;
    let mut arrivals = Arrivals::new(&writer);
    let mut kits = Vec::new();
    let brought: Result<(), Error> = chosen.into_iter().try_for_each(|(kit, names)| {
        arrivals.bring(&source, &kit, "Loading", progress)?;
        arrivals.name(&kit, &names)?;
        kits.push((kit, names));
        Ok(())
    });
    let count = arrivals.finish();
    brought?;
    let Count {
        stored,
        healed,
        present,
        ..
    } = count?;
    Ok(Report {
        kits,
        stored,
        healed,
        present,
    })
}

/// A layout outside the store.
pub(super) struct Source {
    bundle: Arc<Bundle>,
    /// What it is called in messages.
    shown: String,
    /// The folder in the bundle where it is, with a `/` at its end; empty for the bundle's own.
    folder: String,
}

impl Source {
    pub(super) fn new(bundle: Arc<Bundle>, shown: String, folder: &str) -> Self {
        let folder = match folder {
            "" => String::new(),
            folder => format!("{folder}/"),
        };
        Self {
            bundle,
            shown,
            folder,
        }
    }

    /// Reads a file that is held in memory; `None` if it is not there.
    pub(super) fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        Ok(self.bundle.read(&format!("{}{name}", self.folder), limit)?)
    }

    pub(super) fn bad(&self, reason: impl Into<String>) -> Error {
        Error::NotALayout {
            path: self.shown.clone(),
            reason: reason.into(),
        }
    }

    /// Returns the kits that are wanted, each with its names.
    fn choose(&self, options: &Options) -> Result<Vec<(Descriptor, Vec<Reference>)>, Error> {
        let index = self.index()?;
        let mut chosen = Vec::new();
        for descriptor in &index.manifests {
            let name = descriptor.annotations.get(annotation::REF_NAME);
            if let Some(wanted) = &options.name
                && !name.is_some_and(|name| is_called(name, wanted))
                && descriptor.digest.to_string() != *wanted
            {
                continue;
            }
            if let Some(what) = foreign_manifest(&descriptor.media_type) {
                return Err(self.bad(format!("{} is {what}", descriptor.digest)));
            }
            chosen.push((descriptor, name));
        }
        let all_names = || {
            let names = index.manifests.iter();
            names
                .filter_map(|descriptor| descriptor.annotations.get(annotation::REF_NAME))
                .cloned()
                .collect()
        };
        if let (Some(wanted), true) = (&options.name, chosen.is_empty()) {
            return Err(Error::NoSuchName {
                path: self.shown.clone(),
                name: wanted.clone(),
                names: all_names(),
            });
        }
        if chosen.is_empty() {
            return Err(self.bad("it lists no manifests"));
        }
        let mut digests: Vec<_> = chosen.iter().map(|(kit, _)| kit.digest).collect();
        digests.sort_unstable();
        digests.dedup();
        if !options.names.is_empty() && digests.len() > 1 {
            return Err(Error::Ambiguous {
                path: self.shown.clone(),
                names: all_names(),
            });
        }
        // A kit with many names is copied and named once.
        let mut places: HashMap<Digest, usize> = HashMap::new();
        let mut kits: Vec<(Descriptor, Vec<Reference>)> = Vec::new();
        for (descriptor, name) in chosen {
            let place = *places.entry(descriptor.digest).or_insert_with(|| {
                let (media_type, digest) = (&descriptor.media_type, descriptor.digest);
                let plain = Descriptor::new(media_type, digest, descriptor.size);
                kits.push((plain, options.names.clone()));
                kits.len() - 1
            });
            if options.names.is_empty() {
                let name = self.own_name(descriptor, name)?;
                kits[place].1.push(name);
            }
        }
        Ok(kits)
    }

    /// Returns the name that a kit has in the layout, if it is one that it could have here: a
    /// tag alone does not say of which repository.
    fn own_name(&self, descriptor: &Descriptor, name: Option<&String>) -> Result<Reference, Error> {
        let Some(name) = name else {
            return Ok(Reference::from(descriptor.digest));
        };
        let reference = Reference::parse(name).ok();
        let full = reference.filter(|reference| {
            reference.repository().is_some()
                && (reference.tag().is_some() || reference.digest() == Some(descriptor.digest))
        });
        if let Some(full) = full {
            return Ok(full);
        }
        // What cannot be loaded under any name needs none.
        self.manifest(descriptor)?;
        Err(Error::Nameless {
            path: self.shown.clone(),
            digest: descriptor.digest.to_string(),
            name: name.clone(),
        })
    }

    pub(super) fn index(&self) -> Result<Index, Error> {
        let layout = self
            .read(LAYOUT, 4096)?
            .ok_or_else(|| self.bad("it has no file `oci-layout`"))?;
        let version = serde_json::from_slice::<serde_json::Value>(&layout)
            .ok()
            .and_then(|layout| Some(layout.get("imageLayoutVersion")?.as_str()?.to_owned()))
            .ok_or_else(|| self.bad("its `oci-layout` names no version"))?;
        if !version.starts_with("1.") {
            return Err(self.bad(format!("its layout version is {version}, not 1")));
        }
        let index = self
            .read(INDEX, Index::MAX_LEN as u64)?
            .ok_or_else(|| self.bad("it has no file `index.json`"))?;
        Index::parse(&index).map_err(|source| self.unreadable(INDEX, source))
    }

    pub(super) fn unreadable(&self, name: &str, source: crate::oci::Error) -> Error {
        Error::BadDocument {
            path: self.shown.clone(),
            name: name.to_owned(),
            source: Box::new(source),
        }
    }

    /// Reads a manifest and looks at its config: only kits are taken.
    pub(super) fn manifest(&self, descriptor: &Descriptor) -> Result<(Manifest, Vec<u8>), Error> {
        let bytes = self.document(descriptor, Manifest::MAX_LEN as u64)?;
        let name = descriptor.digest.to_string();
        let manifest = Manifest::parse(&bytes).map_err(|source| self.unreadable(&name, source))?;
        let Some(family) = Family::of_config(&manifest.config.media_type) else {
            let what = foreign_config(&manifest.config.media_type);
            return Err(self.bad(format!("{name} is {what}")));
        };
        let config = self.document(&manifest.config, MAX_CONFIG_BYTES as u64)?;
        let understood = match family {
            Family::ModelKit => Kitfile::from_config(&config).map(drop),
            Family::ModelPack => ModelPackConfig::parse(&config).map(drop),
        };
        understood.map_err(|source| Error::Config {
            reference: format!("{name} in {}", self.shown),
            source,
        })?;
        Ok((manifest, bytes))
    }

    /// Reads a document that is held in memory, checked.
    pub(super) fn document(&self, descriptor: &Descriptor, limit: u64) -> Result<Vec<u8>, Error> {
        let name = format!("{BLOBS}/{}", descriptor.digest.hex());
        let bytes = self
            .read(&name, limit)?
            .ok_or_else(|| self.missing(descriptor))?;
        descriptor
            .verify(&bytes)
            .map_err(|source| self.unreadable(&name, source))?;
        Ok(bytes)
    }

    fn missing(&self, descriptor: &Descriptor) -> Error {
        Error::MissingSource {
            path: self.shown.clone(),
            digest: descriptor.digest,
        }
    }

    /// Opens a blob whose size is right.
    pub(super) fn open(&self, blob: &Descriptor) -> Result<Box<dyn Read + Send>, Error> {
        let name = format!("{}{BLOBS}/{}", self.folder, blob.digest.hex());
        let (content, size) = self.bundle.file(&name)?.ok_or_else(|| self.missing(blob))?;
        if size == blob.size {
            return Ok(content);
        }
        let (expected, actual) = (blob.size, size);
        Err(self.damaged(blob, Damage::Size { expected, actual }))
    }

    pub(super) fn damaged(&self, blob: &Descriptor, damage: Damage) -> Error {
        Error::DamagedSource {
            path: self.shown.clone(),
            digest: blob.digest,
            damage,
        }
    }

    /// Copies a blob into the store, unless it is there.
    pub(super) fn copy(
        &self,
        blob: &Descriptor,
        writer: &Writer<'_>,
        meter: &dyn Meter,
        progress: &dyn Progress,
    ) -> Result<Committed, Error> {
        if writer.has(&blob.digest, blob.size, Trust::Recorded)? == Presence::Here {
            meter.advance(blob.size);
            return Ok(Committed::AlreadyThere);
        }
        let (content, name) = (self.open(blob)?, format!("{BLOBS}/{}", blob.digest.hex()));
        let mut content = content.take(blob.size);
        let mut temporary = writer.create()?;
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; 1 << 20];
        let mut copied = 0;
        loop {
            if progress.cancelled() {
                return Err(store::Error::Interrupted.into());
            }
            let read = match content.read(&mut buffer) {
                Ok(0) => break,
                Ok(read) => read,
                Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                Err(source) => return Err(unread(&name, source)),
            };
            hasher.update(&buffer[..read]);
            temporary
                .write_all(&buffer[..read])
                .map_err(|source| store::Error::Io {
                    action: "write to",
                    path: writer.store().root().to_owned(),
                    source,
                })?;
            copied += read as u64;
            meter.advance(read as u64);
        }
        let actual = hasher.finish();
        if actual != blob.digest || copied != blob.size {
            return Err(self.damaged(blob, Damage::Content { actual }));
        }
        Ok(temporary.commit(&blob.digest, blob.size)?)
    }
}

/// Returns what a manifest of this type is, if it cannot be that of a kit.
fn foreign_manifest(media_type: &str) -> Option<String> {
    Some(match media_type {
        media_type::MANIFEST => return None,
        media_type::INDEX | "application/vnd.docker.distribution.manifest.list.v2+json" => {
            "an index of several manifests, not a kit".to_owned()
        }
        "application/vnd.docker.distribution.manifest.v2+json" => {
            "a container image, not a kit".to_owned()
        }
        other => format!("of the type `{other}`, which no kit has"),
    })
}

/// Returns what a manifest with a config of this type is, which is not that of a kit.
fn foreign_config(media_type: &str) -> String {
    match media_type {
        "application/vnd.oci.image.config.v1+json"
        | "application/vnd.docker.container.image.v1+json" => {
            "a container image, not a kit".to_owned()
        }
        other => format!("not a kit: its config is of the type `{other}`"),
    }
}

fn unread(name: &str, source: std::io::Error) -> Error {
    crate::archive::bundle::Error::Content {
        name: name.to_owned(),
        source,
    }
    .into()
}

/// Tells whether a name in a layout is meant by `wanted`: the whole name or its tag.
pub(super) fn is_called(name: &str, wanted: &str) -> bool {
    name == wanted
        || name
            .rsplit_once(':')
            .is_some_and(|(_, tag)| tag == wanted && !tag.contains('/'))
        || Reference::parse(name)
            .ok()
            .zip(Reference::parse(wanted).ok())
            .is_some_and(|(name, wanted)| name == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kit_in_a_layout_is_chosen_by_name_or_tag() {
        for (name, wanted, expected) in [
            ("v1", "v1", true),
            ("team/net:v1", "v1", true),
            ("team/net:v1", "team/net:v1", true),
            ("localhost/team/net:v1", "team/net:v1", true),
            ("reg:5000/net", "5000/net", false),
            ("team/net:v1", "v", false),
            ("team/net:v1", "net:v1", false),
        ] {
            assert_eq!(is_called(name, wanted), expected, "{name} {wanted}");
        }
    }
}
