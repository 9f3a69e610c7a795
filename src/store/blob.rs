//! Reading blobs: nothing is believed because of its name.

use std::{
    fs::{self, File},
    io::{self, Read},
};

use crate::{
    digest::{Digest, Hasher, HashingReader},
    progress::{Meter, Progress},
};

use super::{Damage, Error, Store};

/// How much is read at once: large enough that reading costs little beside hashing.
const BUFFER: usize = 256 << 10;

/// Opens the blob `digest` of `size` bytes. Only kind and size of the file are checked.
pub(super) fn open(store: &Store, digest: &Digest, size: u64) -> Result<File, Error> {
    let path = store.blob_path(digest);
    let digest = *digest;
    let missing = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Error::Missing { digest },
        _ => Error::io("open", store.blob_path(&digest))(error),
    };
    // Looked at before it is opened: opening a named pipe would wait for ever.
    let metadata = fs::symlink_metadata(&path).map_err(missing)?;
    let damage = if metadata.is_file() {
        (metadata.len() != size).then_some(Damage::Size {
            expected: size,
            actual: metadata.len(),
        })
    } else {
        Some(Damage::NotAFile)
    };
    match damage {
        Some(damage) => Err(Error::Damaged { digest, damage }),
        None => File::open(&path).map_err(missing),
    }
}

/// Reads the blob `digest` whole and checks it.
pub(super) fn read_verified(
    store: &Store,
    digest: &Digest,
    size: u64,
    limit: u64,
) -> Result<Vec<u8>, Error> {
    let digest = *digest;
    if size > limit {
        return Err(Error::TooLarge {
            digest,
            size,
            limit,
        });
    }
    let file = open(store, &digest, size)?;
    // That is what the file has. One byte more, so that its end is found without growing: many
    // small blobs are read to list kits.
    let mut content = Vec::with_capacity(usize::try_from(size).unwrap_or_default() + 1);
    file.take(limit + 1)
        .read_to_end(&mut content)
        .map_err(Error::io("read", store.blob_path(&digest)))?;
    let actual = Digest::of(&content);
    if actual == digest {
        Ok(content)
    } else {
        let damage = Damage::Content { actual };
        Err(Error::Damaged { digest, damage })
    }
}

/// Reads the blob `digest` to its end and tells what is wrong with it.
pub(super) fn check(
    store: &Store,
    digest: &Digest,
    size: u64,
    meter: &dyn Meter,
    progress: &dyn Progress,
) -> Result<Option<Damage>, Error> {
    let mut reader = match open(store, digest, size) {
        Ok(file) => HashingReader::new(file),
        Err(Error::Damaged { damage, .. }) => return Ok(Some(damage)),
        Err(error) => return Err(error),
    };
    let mut buffer = vec![0; BUFFER];
    loop {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => meter.advance(read as u64),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", store.blob_path(digest))(error)),
        }
    }
    let (actual, _) = reader.finish();
    Ok((actual != *digest).then_some(Damage::Content { actual }))
}

/// Returns the digests of all blob files, in order.
pub(super) fn all(store: &Store) -> Result<Vec<Digest>, Error> {
    let path = store.blobs_dir();
    let listing = match fs::read_dir(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        listing => listing.map_err(Error::io("list", &path))?,
    };
    let mut digests = Vec::new();
    for found in listing {
        let found = found.map_err(Error::io("list", &path))?;
        digests.extend(found.file_name().to_str().and_then(Digest::from_hex));
    }
    digests.sort_unstable();
    Ok(digests)
}

/// Reads a blob and checks it on the way: a read that reaches the end fails if the blob was not
/// exactly what its digest and size say. Until then nothing that was read may be relied on.
pub struct VerifiedBlob {
    file: File,
    hasher: Hasher,
    count: u64,
    digest: Digest,
    size: u64,
    is_verified: bool,
}

impl VerifiedBlob {
    pub(super) fn open(store: &Store, digest: &Digest, size: u64) -> Result<Self, Error> {
        Ok(Self {
            file: open(store, digest, size)?,
            hasher: Hasher::new(),
            count: 0,
            digest: *digest,
            size,
            is_verified: false,
        })
    }

    /// Reads what is left and returns once the whole blob has held.
    pub fn finish(mut self) -> io::Result<()> {
        let mut buffer = vec![0; BUFFER];
        while !self.is_verified {
            match self.read(&mut buffer) {
                Err(error) if error.kind() != io::ErrorKind::Interrupted => return Err(error),
                _ => {}
            }
        }
        Ok(())
    }

    fn damaged(&self, damage: Damage) -> io::Error {
        let digest = self.digest;
        io::Error::new(
            io::ErrorKind::InvalidData,
            Error::Damaged { digest, damage },
        )
    }
}

impl Read for VerifiedBlob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.is_verified || buffer.is_empty() {
            return Ok(0);
        }
        let read = self.file.read(buffer)?;
        self.hasher.update(&buffer[..read]);
        self.count += read as u64;
        let actual = self.count;
        if actual > self.size || (read == 0 && actual < self.size) {
            let expected = self.size;
            return Err(self.damaged(Damage::Size { expected, actual }));
        }
        if read == 0 {
            let actual = self.hasher.clone().finish();
            if actual != self.digest {
                return Err(self.damaged(Damage::Content { actual }));
            }
            self.is_verified = true;
        }
        Ok(read)
    }
}
