//! Putting a file in its place without copying it: as a clone, which shares its content with the
//! blob until one of the two is written to, or as a hard link to the blob.
//!
//! Either way what is then read and checked is the new file itself, so nobody who exchanges the
//! blob meanwhile puts anything unverified there.

use std::{
    fs::{self, Metadata},
    io,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
};

use cap_std::fs::{Dir, File, OpenOptions};

use super::{
    place::{Context, Found, Placed},
    staging::Place,
};
use crate::{
    archive::Error,
    platform::{self, FileStamp},
};

/// Below this a copy costs less than a clone.
const WORTH_A_CLONE: u64 = 128 * 1024;

/// The file that holds the bytes of a layer.
#[derive(Debug)]
pub struct Stored {
    /// The file, open.
    pub file: fs::File,
    /// Where it is.
    pub path: PathBuf,
}

impl Context<'_> {
    /// Puts `file` in its place as `stored` is, without copying it, and returns it to be read and
    /// checked. `None` if it has to be written: the file system cannot share, or something is
    /// there already.
    pub(super) fn share(
        &self,
        file: &Placed,
        stored: &Stored,
        link: bool,
    ) -> Result<Option<File>, Error> {
        // A link has the mode of the blob, which is for all names of it.
        let link = link && !file.executable;
        if self.is_hopeless() || !matches!(self.find(file)?, Found::Nothing) {
            return Ok(None);
        }
        let fail = |error| self.write_error(file, error);
        let size = stored.file.metadata().map_err(fail)?.len();
        if !link && size < WORTH_A_CLONE {
            return Ok(None);
        }
        let dir = file.folder.tree(&self.trees, Place::New).map_err(fail)?;
        let counts = &self.counts;
        if link {
            let linked = hard_link(stored, dir, &file.name).map_err(|source| Error::Link {
                path: self.target.path().join(file.path()),
                source,
            })?;
            counts.linked.fetch_add(1, Ordering::Relaxed);
            return Ok(Some(linked));
        }
        let cloned = clone(stored, dir, file).map_err(fail)?;
        if cloned.is_some() {
            counts.written.fetch_add(1, Ordering::Relaxed);
            counts.bytes.fetch_add(size, Ordering::Relaxed);
        }
        Ok(cloned)
    }
}

fn clone(stored: &Stored, dir: &Dir, file: &Placed) -> io::Result<Option<File>> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create_new(true);
    #[cfg(unix)]
    {
        let mode = if file.executable { 0o755 } else { 0o644 };
        cap_std::fs::OpenOptionsExt::mode(&mut options, mode);
    }
    let out = match dir.open_with(&file.name, &options) {
        Ok(out) => out,
        // Whoever writes the file tells which other name is the same here.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => return Ok(None),
        Err(error) => return Err(error),
    };
    if platform::clone_content(&stored.file, &out).is_ok() {
        return Ok(Some(out));
    }
    dir.remove_file(&file.name)?;
    Ok(None)
}

fn hard_link(stored: &Stored, dir: &Dir, name: &Path) -> io::Result<File> {
    platform::hard_link(&stored.path, dir, name)?;
    let linked = platform::open_file_no_follow(dir, name)?.into_std();
    let is_it = |a: &Metadata, b: &Metadata| {
        let (a, b) = (FileStamp::of(a), FileStamp::of(b));
        (a.device, a.inode) == (b.device, b.inode)
    };
    if is_it(&linked.metadata()?, &stored.file.metadata()?) {
        Ok(File::from_std(linked))
    } else {
        dir.remove_file(name)?;
        Err(io::Error::other("it was exchanged meanwhile"))
    }
}
