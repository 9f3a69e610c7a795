//! Reading a bundle: the files of a folder, or those of a tar file, in any order.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use super::Error;
use crate::platform;

/// The most files that a bundle being read may hold.
const MAX_FILES: usize = 200_000;

/// The content of a file of a bundle, and its size in bytes.
pub type Content = (Box<dyn Read + Send>, u64);

/// A bundle to be read: a folder or a tar file.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    /// Of a tar file: where its files are, and how long.
    files: Option<HashMap<String, (u64, u64)>>,
}

impl Bundle {
    /// Opens the folder or tar file `path`. Of a tar file all headers are read, the content is
    /// passed over.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(Error::io("read", path))?;
        let files = if metadata.is_dir() {
            None
        } else if metadata.is_file() {
            Some(list(path)?)
        } else {
            // Before it is opened: a fifo would wait for a writer.
            return Err(Error::NotAFile(path.to_owned()));
        };
        Ok(Self {
            path: path.to_owned(),
            files,
        })
    }

    /// Opens the file `name` and returns it with its size in bytes; `None` if it is not there.
    pub fn file(&self, name: &str) -> Result<Option<Content>, Error> {
        let Some(files) = &self.files else {
            let path = self.path.join(name);
            let file = match platform::open_to_read(&path, false) {
                Ok(file) => file,
                Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
                Err(source) => return Err(Error::io("read", &path)(source)),
            };
            let metadata = file.metadata().map_err(Error::io("read", &path))?;
            if !metadata.is_file() {
                return Err(Error::io("read", &path)(io::Error::other("not a file")));
            }
            return Ok(Some((Box::new(file), metadata.len())));
        };
        let Some((at, size)) = files.get(name).copied() else {
            return Ok(None);
        };
        let mut file = File::open(&self.path).map_err(Error::io("read", &self.path))?;
        file.seek(SeekFrom::Start(at))
            .map_err(Error::io("read", &self.path))?;
        Ok(Some((Box::new(file.take(size)), size)))
    }

    /// Returns the content of the file `name`, which may have `limit` bytes at most.
    pub fn read(&self, name: &str, limit: u64) -> Result<Option<Vec<u8>>, Error> {
        let Some((file, size)) = self.file(name)? else {
            return Ok(None);
        };
        let content = |source| Error::Content {
            name: name.to_owned(),
            source,
        };
        if size > limit {
            let name = name.to_owned();
            return Err(Error::TooLarge { name, size, limit });
        }
        let mut bytes = Vec::new();
        file.take(limit).read_to_end(&mut bytes).map_err(content)?;
        Ok(Some(bytes))
    }
}

/// Returns with what a file is compressed, by its first bytes.
fn compression(file: &mut File) -> io::Result<Option<&'static str>> {
    let mut start = Vec::new();
    Read::by_ref(file).take(6).read_to_end(&mut start)?;
    file.rewind()?;
    Ok(match start.as_slice() {
        [0x1f, 0x8b, ..] => Some("gzip"),
        [0x28, 0xb5, 0x2f, 0xfd, ..] => Some("zstd"),
        [0xfd, b'7', b'z', b'X', b'Z', 0] => Some("xz"),
        [b'B', b'Z', b'h', ..] => Some("bzip2"),
        _ => None,
    })
}

/// Lists the files of a tar file.
fn list(path: &Path) -> Result<HashMap<String, (u64, u64)>, Error> {
    let bad = |reason: String| Error::BadTar {
        path: path.to_owned(),
        reason,
    };
    let mut file = File::open(path).map_err(Error::io("read", path))?;
    if let Some(method) = compression(&mut file).map_err(Error::io("read", path))? {
        return Err(bad(format!(
            "it is compressed with {method}; decompress it first"
        )));
    }
    let length = file.metadata().map_err(Error::io("read", path))?.len();
    let mut archive = tar::Archive::new(file);
    let mut files = HashMap::new();
    let entries = archive
        .entries_with_seek()
        .map_err(|error| bad(error.to_string()))?;
    for entry in entries {
        let entry = entry.map_err(|error| match files.len() {
            0 => bad("it does not begin with a tar header".to_owned()),
            _ => bad(error.to_string()),
        })?;
        let name = String::from_utf8_lossy(&entry.path_bytes()).into_owned();
        let name = name.trim_start_matches("./").to_owned();
        if entry.header().entry_type().is_dir() {
            continue;
        }
        if !entry.header().entry_type().is_file() {
            return Err(bad(format!("`{name}` is neither a file nor a folder")));
        }
        let place = (entry.raw_file_position(), entry.size());
        if place.0.saturating_add(place.1) > length {
            return Err(bad(format!("`{name}` is cut off")));
        }
        if files.len() >= MAX_FILES {
            return Err(bad(format!("more than {MAX_FILES} files")));
        }
        if files.insert(name.clone(), place).is_some() {
            return Err(bad(format!("`{name}` is in it twice")));
        }
    }
    if files.is_empty() {
        return Err(bad("it holds no files".to_owned()));
    }
    Ok(files)
}
