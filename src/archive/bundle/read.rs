//! Reading a bundle: the files of a folder, or those of a tar file, in any order.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::{self, Read, Seek, SeekFrom},
    path::{Path, PathBuf},
};

use cap_std::{ambient_authority, fs::Dir};

use super::Error;
use crate::{limits::Limits, platform};

/// The content of a file of a bundle, and its size in bytes.
pub type Content = (Box<dyn Read + Send>, u64);

/// A bundle to be read: a folder or a tar file.
#[derive(Debug)]
pub struct Bundle {
    path: PathBuf,
    place: Place,
}

/// Where the files are.
#[derive(Debug)]
enum Place {
    /// In a folder, of which no link leads out: none is followed.
    Folder(Dir),
    /// In a tar file: where each begins, and how long it is.
    Tar(HashMap<String, (u64, u64)>),
}

impl Bundle {
    /// Opens the folder or tar file `path`. Of a tar file all headers are read, the content is
    /// passed over.
    pub fn open(path: &Path, limits: &Limits) -> Result<Self, Error> {
        let metadata = fs::metadata(path).map_err(Error::io("read", path))?;
        let place = if metadata.is_dir() {
            let folder = Dir::open_ambient_dir(path, ambient_authority());
            Place::Folder(folder.map_err(Error::io("read", path))?)
        } else if metadata.is_file() {
            Place::Tar(list(path, limits.tar_files)?)
        } else {
            // Before it is opened: a fifo would wait for a writer.
            return Err(Error::NotAFile(path.to_owned()));
        };
        Ok(Self {
            path: path.to_owned(),
            place,
        })
    }

    /// Opens the file `name` and returns it with its size in bytes; `None` if it is not there.
    pub fn file(&self, name: &str) -> Result<Option<Content>, Error> {
        match &self.place {
            Place::Folder(folder) => {
                let opened = open_in(folder, name).and_then(|file| {
                    let size = file.metadata()?.len();
                    Ok((file, size))
                });
                match opened {
                    Ok((file, size)) => Ok(Some((Box::new(file), size))),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(error) => {
                        let source = match error.kind() {
                            io::ErrorKind::InvalidInput => io::Error::other("not a regular file"),
                            _ => error,
                        };
                        Err(Error::io("read", &self.path.join(name))(source))
                    }
                }
            }
            Place::Tar(files) => {
                let Some((at, size)) = files.get(name).copied() else {
                    return Ok(None);
                };
                let mut file = File::open(&self.path).map_err(Error::io("read", &self.path))?;
                file.seek(SeekFrom::Start(at))
                    .map_err(Error::io("read", &self.path))?;
                Ok(Some((Box::new(file.take(size)), size)))
            }
        }
    }

    /// Returns the names of what lies in `folder` itself, in order: of all that is no folder, and
    /// of the folders. The bundle's own is the empty name. Names that are no text are left out.
    /// Only a bundle that is a folder tells.
    pub fn names(&self, folder: &str) -> Result<(Vec<String>, Vec<String>), Error> {
        let (mut files, mut folders) = (Vec::new(), Vec::new());
        match &self.place {
            Place::Folder(root) => {
                let path = self.path.join(folder);
                let listing = folder_in(root, folder).and_then(|it| it.entries());
                for entry in listing.map_err(Error::io("read", &path))? {
                    let entry = entry.map_err(Error::io("read", &path))?;
                    let kind = entry.file_type().map_err(Error::io("read", &path))?;
                    let Ok(name) = entry.file_name().into_string() else {
                        continue;
                    };
                    let is_folder = kind.is_dir();
                    if is_folder { &mut folders } else { &mut files }.push(name);
                }
            }
            Place::Tar(_) => {
                let is_file = io::ErrorKind::NotADirectory.into();
                return Err(Error::io("list", &self.path)(is_file));
            }
        }
        files.sort_unstable();
        folders.sort_unstable();
        Ok((files, folders))
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

/// Opens the folder `name` in `root`, one part after the other and never through a link.
fn folder_in(root: &Dir, name: &str) -> io::Result<Dir> {
    let parts = name.split('/').filter(|part| !part.is_empty());
    parts.fold(root.try_clone(), |folder, part| {
        platform::open_dir_no_follow(&folder?, Path::new(part))
    })
}

/// Opens the regular file `name` in `root` in the same way.
fn open_in(root: &Dir, name: &str) -> io::Result<cap_std::fs::File> {
    let (folder, name) = name.rsplit_once('/').unwrap_or(("", name));
    platform::open_file_no_follow(&folder_in(root, folder)?, Path::new(name))
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

/// Lists the files of a tar file, `most` at the most.
fn list(path: &Path, most: u64) -> Result<HashMap<String, (u64, u64)>, Error> {
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
        if files.len() as u64 >= most {
            return Err(Error::TooManyFiles {
                path: path.to_owned(),
                most,
            });
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
