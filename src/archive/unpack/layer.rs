//! What a layer is, and reading one: whatever happens, to its last byte, for only then is known
//! whether its content is what was promised.

use std::io::{self, Read};

use super::{
    feed::Feed,
    name,
    reader::{Kind, TarReader},
};
use crate::{
    archive::{
        Error,
        decompress::{Compression, Decompressed, Sums},
    },
    digest::Digest,
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
    /// What its bytes are, once they are unpacked.
    pub shape: Shape,
    /// How they are compressed.
    pub compression: Compression,
    /// How many bytes they unpack to, if whoever packed them says so.
    pub plain_size: Option<u64>,
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
    /// Checks the layer as it is stored.
    fn check_stored(&self, (found, size): (Digest, u64)) -> Result<(), Error> {
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
        Ok(())
    }

    /// Checks the layer, and what it unpacks to.
    fn check(&self, sums: Sums) -> Result<(), Error> {
        self.check_stored((sums.digest, sums.size))?;
        match self.diff_id {
            Some(expected) if expected != sums.diff_id => Err(Error::DiffId {
                expected,
                found: sums.diff_id,
            }),
            _ => Ok(()),
        }
    }
}

/// Reads an archive to its last byte and feeds what `select` accepts of it.
pub(super) fn feed_tar<R: Read>(
    feed: &mut Feed<'_>,
    read: Decompressed<R>,
    prefix: &[u8],
    promise: &Promise,
    select: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<(), Error> {
    let mut tar = TarReader::of(read);
    match feed_entries(feed, &mut tar, prefix, select) {
        Ok(()) => promise.check(tar.finish()?),
        Err(error) if error.ends_the_run() || matches!(error, Error::Read(_)) => Err(error),
        Err(error) => {
            // If the bytes are not those that were packed, that is the reason for the rest.
            promise.check_stored(tar.drain()?)?;
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
/// `size` is the file's, if it is known before all was read.
pub(super) fn feed_raw<R: Read>(
    feed: &mut Feed<'_>,
    mut read: Decompressed<R>,
    size: Option<u64>,
    (prefix, path, executable): (&[u8], &[u8], bool),
    promise: &Promise,
    select: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<(), Error> {
    let path = name::clean(&[prefix, path].join(if prefix.is_empty() { &b""[..] } else { b"/" }))?;
    let outcome = if path.is_empty() {
        Err(Error::Name {
            path: ".".to_owned(),
            why: "it is a folder",
        })
    } else if select(&path) {
        match size {
            Some(size) => feed.file(&path, executable, size, &mut |into| match read_some(
                &mut read, into,
            )? {
                0 => Err(Error::CutOff { at: read.count() }),
                read => Ok(read),
            }),
            None => {
                feed.file_of_unknown_size(&path, executable, &mut |into| read_some(&mut read, into))
            }
        }
    } else {
        Ok(())
    };
    let outcome = outcome.and_then(|()| {
        io::copy(&mut read, &mut io::sink())
            .map(drop)
            .map_err(Error::read)
    });
    match outcome {
        Ok(()) => promise.check(read.finish()),
        Err(error) if error.ends_the_run() || matches!(error, Error::Read(_)) => Err(error),
        Err(error) => {
            promise.check_stored(read.drain().map_err(Error::Read)?)?;
            Err(error)
        }
    }
}

fn read_some(read: &mut impl Read, into: &mut [u8]) -> Result<usize, Error> {
    loop {
        match read.read(into) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result.map_err(Error::read),
        }
    }
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
