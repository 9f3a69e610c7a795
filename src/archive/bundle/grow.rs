//! Adding files to a bundle that is a folder and may be in use.

use std::{
    fs::{self, File, TryLockError},
    io::Read,
    path::{Path, PathBuf},
};

use cap_std::{ambient_authority, fs::Dir};

use super::{Error, parts};
use crate::{failpoint::failpoint, platform};

/// How much is copied at a time.
const BUFFER: usize = 256 << 10;

/// What is locked where a folder cannot be.
const LOCK: &str = ".kit-lock";

/// The right to change what several processes change. It ends with its value.
#[derive(Debug)]
pub struct Turn {
    _file: File,
}

/// A folder that files are added to. Each appears under its name when it is whole; what it holds
/// already stays. Threads may share it.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
}

/// Tells whether a file of this name holds nothing: what is locked, or what was being written.
pub fn is_leftover(name: &str) -> bool {
    name == LOCK || parts::is_part(name)
}

impl Growing {
    /// Opens the folder `path`, which is made if it is not there.
    pub fn open(path: &Path) -> Result<Self, Error> {
        if path.exists() && !path.is_dir() {
            return Err(Error::NotEmpty(path.to_owned()));
        }
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        Ok(Self {
            path: path.to_owned(),
        })
    }

    /// Takes the one turn there is at changing a file that others change, too: whoever reads it, to
    /// write it anew, has to hold the turn. `None` if another process has it.
    pub fn turn(&self) -> Result<Option<Turn>, Error> {
        let dir = Dir::open_ambient_dir(&self.path, ambient_authority());
        let file = dir.and_then(|dir| platform::lock_handle(&dir, Path::new(LOCK)));
        let file = file.map_err(Error::io("lock", &self.path))?;
        // Where there are no locks at all nobody waits for anyone.
        Ok(match file.try_lock() {
            Err(TryLockError::WouldBlock) => None,
            _ => Some(Turn { _file: file }),
        })
    }

    /// Adds the file `name` with all of `content`, in place of what is there. A `content` that fails
    /// adds nothing.
    pub fn add(&self, name: &str, content: &mut dyn Read) -> Result<(), Error> {
        let path = self.path.join(name);
        let folder = path.parent().unwrap_or(&self.path);
        fs::create_dir_all(folder).map_err(Error::io("create", folder))?;
        let (part, mut file) = parts::create(&path).map_err(Error::io("create", &path))?;
        let written = (|| {
            let mut buffer = vec![0; BUFFER];
            loop {
                let read = match content.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => read,
                    Err(error) if error.kind() == std::io::ErrorKind::Interrupted => continue,
                    Err(source) => {
                        let name = name.to_owned();
                        return Err(Error::Content { name, source });
                    }
                };
                let written = failpoint!(write "layout.write", &mut file, &buffer[..read]);
                written.map_err(Error::io("write", &part))?;
            }
            failpoint!("layout.sync", file.sync_all()).map_err(Error::io("write", &part))?;
            failpoint!("layout.rename", fs::rename(&part, &path))
                .map_err(Error::io("create", &path))?;
            failpoint!("layout.dirsync", platform::sync_dir(folder))
                .map_err(Error::io("sync", folder))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&part); // What failed is the cause; the rest is swept later.
        }
        written
    }
}
