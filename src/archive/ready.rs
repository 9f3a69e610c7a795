//! A small file that appears when all is done, for others who wait for it.

use std::{
    fs::{self, File},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::Error;
use crate::platform;

/// Removes the file `path` of an earlier run, if there is one, for good: it must not come back
/// after a power cut in the middle of the run that begins now.
pub fn clear(path: &Path) -> Result<(), Error> {
    match fs::remove_file(path) {
        Ok(()) => platform::sync_dir(folder_of(path)).map_err(|error| write_error(path, error)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(())
        }
        Err(error) => Err(write_error(path, error)),
    }
}

/// Finds out whether [`announce`] could make `path`, so that nothing long is done in vain.
pub fn check(path: &Path) -> Result<(), Error> {
    let part = part_of(path);
    File::create(&part)
        .and_then(|_| fs::remove_file(&part))
        .map_err(|error| write_error(path, error))
}

/// Makes `path` appear with `text`, whole and durable.
pub fn announce(path: &Path, text: &str) -> Result<(), Error> {
    let part = part_of(path);
    let done = File::create(&part)
        .and_then(|mut file| {
            file.write_all(text.as_bytes())?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&part, path))
        .and_then(|()| platform::sync_dir(folder_of(path)));
    done.map_err(|error| {
        let _ = fs::remove_file(&part); // the first error is the one to tell
        write_error(path, error)
    })
}

fn part_of(path: &Path) -> PathBuf {
    let mut part = path.as_os_str().to_owned();
    part.push(format!(".part-{}", std::process::id()));
    part.into()
}

/// Returns the folder that holds `path`.
pub fn folder_of(path: &Path) -> &Path {
    let parent = path.parent().filter(|path| !path.as_os_str().is_empty());
    parent.unwrap_or(Path::new("."))
}

fn write_error(path: &Path, source: io::Error) -> Error {
    Error::Write {
        path: path.to_owned(),
        source,
    }
}
