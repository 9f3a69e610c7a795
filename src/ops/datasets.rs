//! Datasets that a kit names and does not hold: those of other kits, and objects in S3.

use std::io::{self, Read};

use super::{Error, kit::Kit, transfer::Network};
use crate::{
    digest::Digest,
    filter::Filter,
    kitfile::{Dataset, Kitfile, Section, clean},
    progress::Progress,
    reference::{Reference, model_path_reference},
    s3::{Chunk, Location, Object, Storage},
};

/// A dataset that is kept elsewhere.
#[derive(Debug)]
pub struct Elsewhere {
    /// What it is called: ``dataset `far` ``.
    pub label: String,
    /// The path it gets.
    pub path: String,
    /// Where it is, as the Kitfile has it.
    pub from: String,
    /// What that is.
    pub source: Source,
}

/// What a dataset is taken from.
#[derive(Debug)]
pub enum Source {
    /// The datasets of another kit, which go below the path.
    Kit(Box<Kit>),
    /// One object, which is the file at the path.
    Object {
        /// Where it is.
        location: Location,
        /// What it must hash to.
        digest: Digest,
    },
}

/// Returns the datasets that are kept elsewhere and that `filter` selects.
pub fn named<'k>(kitfile: &'k Kitfile, filter: &'k Filter) -> impl Iterator<Item = &'k Dataset> {
    let remote = kitfile.datasets.iter();
    let remote = remote.filter(|data| !data.remote_path.is_empty());
    remote.filter(|data| filter.selects(Section::Dataset, &data.name, &data.path))
}

/// Returns what a dataset is called.
pub fn label(data: &Dataset) -> String {
    let name = if data.name.is_empty() {
        &data.path
    } else {
        &data.name
    };
    format!("dataset `{name}`")
}

/// Finds those of [`named`]; `open` opens a kit.
pub(super) fn find(
    kitfile: &Kitfile,
    filter: &Filter,
    open: &dyn Fn(&Reference) -> Result<Kit, Error>,
) -> Result<Vec<Elsewhere>, Error> {
    let found = named(kitfile, filter).map(|data| {
        let source = source(data, open).map_err(|source| Error::Dataset {
            dataset: label(data),
            from: data.remote_path.clone(),
            source: Box::new(source),
        })?;
        Ok(Elsewhere {
            label: label(data),
            path: clean(&data.path),
            from: data.remote_path.clone(),
            source,
        })
    });
    found.collect()
}

fn source(
    data: &Dataset,
    open: &dyn Fn(&Reference) -> Result<Kit, Error>,
) -> Result<Source, Error> {
    let hash = &data.remote_hash;
    let digest = hash.parse().ok().or_else(|| Digest::from_hex(hash));
    if digest.is_none() && !hash.is_empty() {
        return Err(Error::RemoteHash { hash: hash.clone() });
    }
    if let Some(reference) = model_path_reference(&data.remote_path) {
        let reference = reference.or_latest();
        let kit = open(&reference)?;
        let actual = kit.descriptor.digest;
        return match digest {
            Some(expected) if expected != actual => Err(Error::Unexpected {
                reference: reference.to_string(),
                expected,
                actual,
            }),
            _ => Ok(Source::Kit(Box::new(kit))),
        };
    }
    let location = Location::parse(&data.remote_path)?;
    // Nothing is believed without one.
    let digest = digest.ok_or_else(|| Error::RemoteHash { hash: hash.clone() })?;
    Ok(Source::Object { location, digest })
}

/// The way to objects.
pub struct Objects<'o> {
    /// Where they are.
    pub storage: Storage,
    /// What waits.
    pub network: &'o Network,
    /// Who may say that it is enough.
    pub progress: &'o dyn Progress,
}

impl<'o> Objects<'o> {
    /// Begins to read an object.
    pub fn open(&self, location: &Location) -> Result<ObjectStream<'o>, Error> {
        let opening = self.storage.open(location.clone());
        Ok(ObjectStream {
            object: self.network.wait(self.progress, opening)?,
            network: self.network,
            progress: self.progress,
            current: Chunk::default(),
        })
    }
}

/// An object to be read. What is read is not verified.
pub struct ObjectStream<'o> {
    object: Object,
    network: &'o Network,
    progress: &'o dyn Progress,
    current: Chunk,
}

impl ObjectStream<'_> {
    /// Returns how long the object is.
    pub const fn size(&self) -> u64 {
        self.object.size()
    }
}

impl Read for ObjectStream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            let next = self.network.wait(self.progress, self.object.next());
            match next {
                Ok(Some(chunk)) => self.current = chunk,
                Ok(None) => return Ok(0),
                Err(Error::S3(error)) => return Err(io::Error::other(error)),
                Err(error) => return Err(io::Error::other(error)),
            }
        }
    }
}
