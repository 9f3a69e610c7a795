//! What a layer is, and reading one: whatever happens, to its last byte, for only then is known
//! whether its content is what was promised.

use std::io::{self, Read};

use super::{
    feed::Feed,
    name,
    reader::{Kind, TarReader},
};
use crate::{
    archive::Error,
    digest::{Digest, HashingReader},
    progress::Meter,
};

/// One layer to unpack.
pub struct Layer<R> {
    /// What it is, for messages: ``dataset `train` ``.
    pub label: String,
    /// What its bytes must hash to.
    pub digest: Digest,
    /// How many bytes it must have.
    pub size: u64,
    /// What its uncompressed bytes must hash to, if the config says.
    pub diff_id: Option<Digest>,
    /// The folder its paths are relative to, for old kits; empty for the target itself.
    pub prefix: Vec<u8>,
    /// What its bytes are.
    pub shape: Shape,
    /// The bytes.
    pub read: R,
}

/// What the bytes of a layer are.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Shape {
    /// An archive.
    Tar,
    /// The content of one file.
    Raw {
        /// Where it goes.
        path: Vec<u8>,
        /// Whether it may be executed.
        executable: bool,
    },
}

/// What the manifest and config say about a layer.
pub(super) struct Promise {
    pub(super) digest: Digest,
    pub(super) size: u64,
    pub(super) diff_id: Option<Digest>,
}

impl Promise {
    fn check(&self, (found, size): (Digest, u64)) -> Result<(), Error> {
        if size != self.size {
            return Err(Error::Size {
                expected: self.size,
                found: size,
            });
        }
        if found != self.digest {
            return Err(Error::Damaged {
                expected: self.digest,
                found,
            });
        }
        match self.diff_id {
            // The layer is not compressed: the two are of the same bytes.
            Some(expected) if expected != found => Err(Error::DiffId { expected, found }),
            _ => Ok(()),
        }
    }
}

/// Reads an archive to its last byte and feeds what `select` accepts of it.
pub(super) fn feed_tar<R: Read>(
    feed: &mut Feed<'_>,
    read: R,
    prefix: &[u8],
    promise: &Promise,
    select: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<(), Error> {
    let mut tar = TarReader::new(read);
    match feed_entries(feed, &mut tar, prefix, select) {
        Ok(()) => promise.check(tar.finish()?),
        Err(error) if error.ends_the_run() || matches!(error, Error::Read(_)) => Err(error),
        Err(error) => {
            // If the bytes are not those that were packed, that is the reason for the rest.
            promise.check(tar.drain()?)?;
            Err(error)
        }
    }
}

fn feed_entries<R: Read>(
    feed: &mut Feed<'_>,
    tar: &mut TarReader<R>,
    prefix: &[u8],
    select: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<(), Error> {
    let prefix = if prefix.is_empty() {
        Vec::new()
    } else {
        name::clean(prefix)?
    };
    while let Some(entry) = tar.next_entry()? {
        let path = name::join(&prefix, &entry.path);
        if path.is_empty() || !select(&path) {
            continue;
        }
        if !prefix.is_empty() {
            name::clean(&path)?; // The two together may be too long.
        }
        match entry.kind {
            Kind::Folder => feed.folder(&path)?,
            Kind::File => {
                let mut content = |into: &mut [u8]| tar.read_content(into);
                feed.file(&path, entry.executable(), entry.size, &mut content)?;
            }
        }
    }
    Ok(())
}

/// Reads the content of a single file to its last byte, and feeds it if `select` accepts it.
pub(super) fn feed_raw<R: Read>(
    feed: &mut Feed<'_>,
    read: R,
    (prefix, path): (&[u8], &[u8]),
    executable: bool,
    promise: &Promise,
    select: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<(), Error> {
    let path = name::clean(&[prefix, path].join(if prefix.is_empty() { &b""[..] } else { b"/" }))?;
    let mut read = HashingReader::new(read);
    let outcome = if path.is_empty() {
        Err(Error::Name {
            path: ".".to_owned(),
            why: "it is a folder",
        })
    } else if select(&path) {
        feed.file(&path, executable, promise.size, &mut |into| {
            loop {
                match read.read(into) {
                    Ok(0) => return Err(Error::CutOff { at: read.count() }),
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    result => return result.map_err(Error::Read),
                }
            }
        })
    } else {
        Ok(())
    };
    if let Err(error) = &outcome
        && (error.ends_the_run() || matches!(error, Error::Read(_)))
    {
        return outcome;
    }
    io::copy(&mut read, &mut io::sink()).map_err(Error::Read)?;
    promise.check(read.finish())?;
    outcome
}

/// Tells a meter of what is read.
pub(super) struct Metered<R> {
    pub(super) read: R,
    pub(super) meter: Box<dyn Meter>,
}

impl<R: Read> Read for Metered<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.read.read(into)?;
        self.meter.advance(read as u64);
        Ok(read)
    }
}
