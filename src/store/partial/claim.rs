//! Who downloads a blob: whoever holds the lock on its partial.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io,
    path::{Path, PathBuf},
    sync::Arc,
};

use crate::{
    digest::Digest,
    failpoint::failpoint,
    platform::{self, FileStamp},
    progress::Meter,
};

use super::{
    super::{
        Error, Store, Writer,
        lock::{self, Kind, Wait},
        writer::{Presence, Trust},
    },
    BUFFER, Fate, Hashed, Partial, Shared, index,
    record::{self, Header},
    remove,
    sum::Sum,
};

/// How often what stands in the way of a partial is cleared away before it is an error.
const ATTEMPTS: u32 = 3;

/// What asking for a partial leads to.
pub enum Claim<'w> {
    /// This process downloads the blob, or the rest of it.
    Ours(Partial<'w>),
    /// The blob is in the store.
    Here,
}

impl Store {
    pub(in super::super) fn partial_path(&self, digest: &Digest) -> PathBuf {
        self.ingest_dir().join(digest.hex())
    }

    pub(in super::super) fn side_path(&self, digest: &Digest) -> PathBuf {
        self.ingest_dir().join(format!("{}.pieces", digest.hex()))
    }
}

/// Waits until the blob is there or can be downloaded by this process.
pub(in super::super) fn claim<'w>(
    writer: &'w Writer<'w>,
    digest: &Digest,
    size: u64,
    meter: &dyn Meter,
) -> Result<Claim<'w>, Error> {
    let before = writer.has(digest, size, Trust::Recorded)?;
    if before == Presence::Here {
        return Ok(Claim::Here);
    }
    let path = writer.store().partial_path(digest);
    let mut wait = Wait::new(writer.store(), Some(writer.session()), writer.progress());
    let mut file = open(&path)?;
    let mut looks = None;
    loop {
        if take(&file, &path)? {
            let waited = looks.is_some();
            if waited {
                writer.learn()?; // Whoever held it may have finished.
            }
            // It takes long to see again that what is there is damaged.
            if waited || before != Presence::Damaged {
                let presence = writer.has(digest, size, Trust::Recorded)?;
                if presence == Presence::Here {
                    if lock::is_at(&file, &path) {
                        remove(&writer.store().side_path(digest))?;
                        remove(&path)?;
                    }
                    return Ok(Claim::Here);
                }
            }
            if lock::is_at(&file, &path) {
                return resume(writer, digest, size, file, meter).map(Claim::Ours);
            }
            file = open(&path)?; // That one was finished or given up.
            continue;
        }
        // As long as the download grows its holder is waited for, however long it takes.
        let now = file
            .metadata()
            .ok()
            .map(|metadata| FileStamp::of(&metadata));
        if looks.as_ref() != Some(&now) {
            looks = Some(now);
            wait.renew();
        }
        wait.again_behind(|| holder(writer, digest))?;
    }
}

/// Does what [`claim`] does if that needs no waiting for another process.
pub(in super::super) fn try_claim<'w>(
    writer: &'w Writer<'w>,
    digest: &Digest,
    size: u64,
    meter: &dyn Meter,
) -> Result<Option<Claim<'w>>, Error> {
    let path = writer.store().partial_path(digest);
    // A lock that is free now is as good as free: whoever takes it meanwhile has just begun.
    let is_held = match platform::open_to_read(&path, false) {
        Ok(file) => !take(&file, &path)?,
        Err(_) => false, // There is none, or claiming says what is wrong with it.
    };
    if is_held && writer.has(digest, size, Trust::Recorded)? != Presence::Here {
        return Ok(None);
    }
    claim(writer, digest, size, meter).map(Some)
}

/// Tries to lock a partial. Where there are no locks the user was told when the writer began.
fn take(file: &File, path: &Path) -> Result<bool, Error> {
    match lock::try_take(file, path, Kind::Exclusive) {
        Err(Error::Unlockable { .. }) => Ok(true),
        taken => taken,
    }
}

/// Returns who downloads the blob.
fn holder(writer: &Writer<'_>, digest: &Digest) -> Option<lock::Holder> {
    let store = writer.store();
    let session = record::session(&store.side_path(digest));
    session
        .and_then(|session| lock::holder(store, &session))
        .or_else(|| {
            lock::holders_but(store, Some(writer.session()))
                .into_iter()
                .next()
        })
}

/// Opens the partial `path`, which is made if there is none. What is no file there is removed.
fn open(path: &Path) -> Result<File, Error> {
    for _ in 0..ATTEMPTS {
        match fs::symlink_metadata(path) {
            Ok(there) if there.is_dir() => {
                let error = io::ErrorKind::IsADirectory.into();
                return Err(Error::io("open", path)(error));
            }
            Ok(there) if !there.is_file() => remove(path)?,
            _ => {}
        }
        match failpoint!("store.partial.open", platform::open_private(path)) {
            // Killed when it was about to become a blob, which is read-only.
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                let file = platform::open_to_read(path, false);
                let _ = file.and_then(|file| platform::make_private(&file));
            }
            Ok(file) if file.metadata().is_ok_and(|metadata| metadata.is_file()) => {
                return Ok(file);
            }
            _ => {} // Something else was put there; the last attempt says what.
        }
    }
    platform::open_private(path).map_err(Error::io("open", path))
}

/// Takes over what the locked `file` holds of the blob.
fn resume<'w>(
    writer: &'w Writer<'w>,
    digest: &Digest,
    size: u64,
    file: File,
    meter: &dyn Meter,
) -> Result<Partial<'w>, Error> {
    let store = writer.store();
    let (path, notes) = (store.partial_path(digest), store.side_path(digest));
    let length = file.metadata().map_err(Error::io("look at", &path))?.len();
    if length > size {
        file.set_len(size).map_err(Error::io("shorten", &path))?;
    }
    let shared = Shared::new(file, size).map_err(|error| {
        Error::io("hold", &path)(io::Error::new(io::ErrorKind::FileTooLarge, error))
    })?;
    let mut partial = Partial {
        writer,
        digest: *digest,
        size,
        path,
        notes,
        shared: Arc::new(shared),
        resumed: 0,
        hashing: None,
        fate: Fate::Kept,
    };
    let shared = Arc::clone(&partial.shared);
    if shared.pieces() < 2 {
        return Ok(partial); // Nothing to resume, and nothing to note.
    }
    let header = Header {
        digest: *digest,
        size,
        piece: shared.piece,
        session: writer.session().name().to_owned(),
    };
    let claimed = record::read(&partial.notes, &header, shared.pieces());
    let mut right = BTreeMap::new();
    let mut buffer = vec![0; BUFFER];
    let mut first = Hashed::default();
    for (number, sum) in claimed {
        if writer.progress().cancelled() {
            partial.fate = Fate::Left; // The side file is still that of the earlier run.
            return Err(Error::Interrupted);
        }
        let range = shared.range(number);
        if range.end > length {
            continue;
        }
        let mut found = Sum::new();
        // What is in its turn is hashed at once: it need not be read a second time.
        let mut hasher = (number == first.pieces).then(|| first.hasher.clone());
        let read = shared.read(range.clone(), &mut buffer, |bytes| {
            found.update(bytes);
            if let Some(hasher) = &mut hasher {
                hasher.update(bytes);
            }
        });
        // A place on the disk that cannot be read is written again.
        if read.is_err() || found.finish() != sum {
            continue;
        }
        if let Some(hasher) = hasher {
            first = Hashed {
                hasher,
                pieces: number + 1,
            };
        }
        right.insert(number, sum);
        let bytes = range.end - range.start;
        partial.resumed += bytes;
        meter.advance(bytes);
        super::lock(&shared.state).done[index(number)] = true;
        shared.changed.notify_all();
    }
    let temporary = writer.session().temporary();
    let record = record::write(&partial.notes, &temporary, &header, &right);
    if record.is_err() {
        partial.fate = Fate::Left; // A full disk, perhaps: the earlier side file is as good.
    }
    super::lock(&shared.state).record = Some(record?);
    partial.start(first);
    Ok(partial)
}
