//! A small file that appears when all is done, for others who wait for it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::Error;
use crate::platform;

/// Removes the file `path` of an earlier run, if there is one.
pub fn clear(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(write_error(path, error)),
        _ => Ok(()),
    }
}

/// Makes `path` appear with `text`, whole and durable.
pub fn announce(path: &Path, text: &str) -> Result<(), Error> {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".part-{}", std::process::id()));
    let part = PathBuf::from(part);
    let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
    File::create(&part)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&part, path))
        .and_then(|()| platform::sync_dir(parent.unwrap_or(Path::new("."))))
        .map_err(|error| write_error(path, error))
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source,
    }
}
