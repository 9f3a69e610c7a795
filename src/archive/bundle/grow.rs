//! Adding files to a bundle that is a folder and may be in use.

use std::{
    fs,
    io::{Read, Write as _},
    path::{Path, PathBuf},
};

use super::{Error, parts};
use crate::platform;

/// How much is copied at a time.
const BUFFER: usize = 256 << 10;

/// A folder that files are added to. Each appears under its name when it is whole; what it holds
/// already stays. Threads may share it.
#[derive(Debug)]
pub struct Growing {
    path: PathBuf,
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
                let written = file.write_all(&buffer[..read]);
                written.map_err(Error::io("write", &part))?;
            }
            file.sync_all().map_err(Error::io("write", &part))?;
            fs::rename(&part, &path).map_err(Error::io("create", &path))?;
            platform::sync_dir(folder).map_err(Error::io("sync", folder))
        })();
        if written.is_err() {
            let _ = fs::remove_file(&part); // What failed is the cause; the rest is swept later.
        }
        written
    }
}
