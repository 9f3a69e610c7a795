//! What a layer is, and reading one: whatever happens, to its last byte, for only then is known
//! whether its content is what was promised.

use std::io::{self, Read};

use super::{
    feed::Feed,
    name,
    reader::{Kind, TarReader},
    share::Stored,
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
    /// The file that holds these bytes, if there is one: a file that is the whole layer can then
    /// be put in its place without being copied.
    pub stored: Option<Stored>,
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

/// The one file that a layer is.
pub(super) struct RawFile {
    /// Where it goes, cleaned.
    pub(super) path: Vec<u8>,
    pub(super) executable: bool,
    /// Its size, if it is known before all was read.
    pub(super) size: Option<u64>,
    pub(super) stored: Option<Stored>,
    /// Whether it shall be a hard link.
    pub(super) link: bool,
}

/// Returns the cleaned path of `path` below `prefix`.
pub(super) fn below(prefix: &[u8], path: &[u8]) -> Result<Vec<u8>, Error> {
    let separator = if prefix.is_empty() { &b""[..] } else { b"/" };
    name::clean(&[prefix, path].join(separator))
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
pub(super) fn feed_raw<R: Read>(
    feed: &mut Feed<'_>,
    mut read: Decompressed<Metered<'_, R>>,
    file: &RawFile,
    meter: &dyn Meter,
    promise: &Promise,
    select: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<(), Error> {
    let outcome = put_raw(feed, &mut read, file, select).and_then(|shared| {
        if shared.is_none() {
            read_on(feed, &mut read)?;
        }
        Ok(shared)
    });
    match outcome {
        Ok(None) => promise.check(read.finish()),
        Ok(Some(shared)) => {
            // What stands there now is what has to be right.
            let read = shared.take(promise.size.saturating_add(1));
            let mut content = Decompressed::plain(Metered { read, meter });
            read_on(feed, &mut content)?;
            promise.check(content.finish())
        }
        Err(error) if error.ends_the_run() || matches!(error, Error::Read(_)) => Err(error),
        Err(error) => {
            promise.check_stored(read.drain().map_err(Error::Read)?)?;
            Err(error)
        }
    }
}

/// Puts a single file in its place. Returns it, still to be read and checked, if it was put there
/// without reading it.
fn put_raw<R: Read>(
    feed: &mut Feed<'_>,
    read: &mut Decompressed<R>,
    file: &RawFile,
    select: &(dyn Fn(&[u8]) -> bool + Sync),
) -> Result<Option<cap_std::fs::File>, Error> {
    if file.path.is_empty() {
        return Err(Error::Name {
            path: ".".to_owned(),
            why: "it is a folder",
        });
    }
    if !select(&file.path) {
        return Ok(None);
    }
    let Some(placed) = feed.place(&file.path, file.executable)? else {
        return Ok(None);
    };
    if let (Some(stored), Some(_)) = (&file.stored, file.size)
        && let Some(shared) = feed.context.share(&placed, stored, file.link)?
    {
        return Ok(Some(shared));
    }
    feed.put(
        placed,
        file.size,
        &mut |into| match read_some(read, into)? {
            0 if file.size.is_some() => Err(Error::CutOff { at: read.count() }),
            read => Ok(read),
        },
    )?;
    Ok(None)
}

/// Reads what is left.
fn read_on(feed: &Feed<'_>, read: &mut impl Read) -> Result<(), Error> {
    let mut buffer = vec![0; 256 * 1024];
    loop {
        feed.go_on()?;
        if read_some(read, &mut buffer)? == 0 {
            return Ok(());
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
pub(super) struct Metered<'m, R> {
    pub(super) read: R,
    pub(super) meter: &'m dyn Meter,
}

impl<R: Read> Read for Metered<'_, R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.read.read(into)?;
        self.meter.advance(read as u64);
        Ok(read)
    }
}
