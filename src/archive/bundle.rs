//! A set of named files that leaves or enters as a folder or as one tar file: how kits travel
//! without a registry.
//!
//! What is written has no clock and no owner in it: the same files give the same bytes. A tar file
//! appears under its name only when it is whole.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
};

use super::{
    header::{self, END, Kind},
    parts,
};
use crate::platform;

/// The most files that a bundle being read may hold.
const MAX_FILES: usize = 200_000;

/// How much is copied at a time.
const BUFFER: usize = 1 << 20;

/// A failure of writing or reading a bundle.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The folder to be written holds something already.
    #[error("{} is there already and is not an empty folder", .0.display())]
    NotEmpty(PathBuf),
    /// A file cannot be read or written.
    #[error("cannot {action} {}", path.display())]
    Io {
        /// What was tried.
        action: &'static str,
        /// With what.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// The tar file cannot be trusted to say what it holds.
    #[error("{} is not a usable tar file: {reason}", path.display())]
    BadTar {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// The stream that was asked for does not take any more.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// What is to be read is neither a folder nor a file, so that nobody can move about in it.
    #[error("{} is neither a folder nor a regular file", .0.display())]
    NotAFile(PathBuf),
    /// Content that the caller gave cannot be read or is not what it should be.
    #[error("cannot copy `{name}`")]
    Content {
        /// The name in the bundle.
        name: String,
        /// Why not.
        source: io::Error,
    },
}

impl Error {
    fn io(action: &'static str, path: &Path) -> impl Fn(io::Error) -> Self {
        move |source| Self::Io {
            action,
            path: path.to_owned(),
            source,
        }
    }
}

/// Writes a bundle. Dropped before it is finished, it takes back what it has written.
pub struct Writer {
    path: PathBuf,
    out: Out,
    folders: Vec<String>,
    files: Vec<String>,
}

enum Out {
    Folder {
        is_new: bool,
    },
    Tar {
        file: BufWriter<File>,
        part: PathBuf,
    },
    Stream(Box<dyn Write>),
    Done,
}

impl Writer {
    /// Starts a bundle in the folder `path`, which must be empty or not there.
    pub fn folder(path: &Path) -> Result<Self, Error> {
        let is_new = !path.is_dir();
        fs::create_dir_all(path).map_err(Error::io("create", path))?;
        let mut entries = fs::read_dir(path).map_err(Error::io("read", path))?;
        if entries.next().is_some() {
            return Err(Error::NotEmpty(path.to_owned()));
        }
        Ok(Self::new(path, Out::Folder { is_new }))
    }

    /// Starts a bundle that becomes the tar file `path`, replacing what is there. Through a link
    /// the file it leads to is replaced; a device or fifo is written to.
    pub fn tar(path: &Path) -> Result<Self, Error> {
        // A link to nothing is replaced itself.
        let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        if fs::metadata(path).is_ok_and(|metadata| !metadata.is_file()) {
            let file = OpenOptions::new()
                .write(true)
                .open(path)
                .map_err(Error::io("write", path))?;
            return Ok(Self::stream(Box::new(BufWriter::with_capacity(
                BUFFER, file,
            ))));
        }
        let (part, file) = parts::create(path).map_err(Error::io("create", path))?;
        let file = BufWriter::with_capacity(BUFFER, file);
        Ok(Self::new(path, Out::Tar { file, part }))
    }

    /// Starts a bundle that goes to `out` as a tar stream.
    pub fn stream(out: Box<dyn Write>) -> Self {
        Self::new(Path::new("-"), Out::Stream(out))
    }

    fn new(path: &Path, out: Out) -> Self {
        Self {
            path: path.to_owned(),
            out,
            folders: Vec::new(),
            files: Vec::new(),
        }
    }

    /// Adds the file `name` with the `size` bytes of `content`, which must not be one byte longer
    /// or shorter.
    pub fn add(&mut self, name: &str, size: u64, content: &mut dyn Read) -> Result<(), Error> {
        for (slash, _) in name.match_indices('/') {
            self.add_folder(&name[..slash])?;
        }
        let mut content = content.take(size + 1);
        let path = self.path.join(name);
        let copied = match &mut self.out {
            Out::Folder { .. } => {
                let mut file = OpenOptions::new()
                    .write(true)
                    .create_new(true)
                    .open(&path)
                    .map_err(Error::io("create", &path))?;
                self.files.push(name.to_owned());
                copy(&mut content, &mut file, name, &Error::io("write", &path))?
            }
            Out::Tar { file, part } => {
                tar_file(file, name, size, &mut content, &Error::io("write", part))?
            }
            Out::Stream(out) => tar_file(out, name, size, &mut content, &Error::Output)?,
            Out::Done => 0,
        };
        if copied != size {
            return Err(Error::Content {
                name: name.to_owned(),
                source: io::Error::other(format!("{copied} bytes instead of {size}")),
            });
        }
        Ok(())
    }

    fn add_folder(&mut self, name: &str) -> Result<(), Error> {
        if self.folders.iter().any(|folder| folder == name) {
            return Ok(());
        }
        self.folders.push(name.to_owned());
        let mut block = Vec::new();
        header::append(&mut block, name.as_bytes(), 0o755, Kind::Folder);
        match &mut self.out {
            Out::Folder { .. } => {
                let path = self.path.join(name);
                fs::create_dir(&path).map_err(Error::io("create", &path))
            }
            Out::Tar { file, part } => file.write_all(&block).map_err(Error::io("write", part)),
            Out::Stream(out) => out.write_all(&block).map_err(Error::Output),
            Out::Done => Ok(()),
        }
    }

    /// Makes the bundle durable and gives a tar file its name.
    pub fn finish(mut self) -> Result<(), Error> {
        match std::mem::replace(&mut self.out, Out::Done) {
            Out::Folder { .. } => {
                let folder = File::open(&self.path).map_err(Error::io("open", &self.path))?;
                platform::sync_file_system(&folder).map_err(Error::io("sync", &self.path))
            }
            Out::Tar { mut file, part } => {
                let done = file
                    .write_all(&[0; END])
                    .and_then(|()| file.flush())
                    .and_then(|()| file.get_ref().sync_all())
                    .map_err(Error::io("write", &part))
                    .and_then(|()| {
                        fs::rename(&part, &self.path).map_err(Error::io("create", &self.path))
                    });
                if done.is_err() {
                    self.out = Out::Tar { file, part };
                    return done;
                }
                let parent = self
                    .path
                    .parent()
                    .filter(|path| !path.as_os_str().is_empty());
                let parent = parent.unwrap_or(Path::new("."));
                platform::sync_dir(parent).map_err(Error::io("sync", parent))
            }
            Out::Stream(mut out) => out
                .write_all(&[0; END])
                .and_then(|()| out.flush())
                .map_err(Error::Output),
            Out::Done => Ok(()),
        }
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        // What cannot be removed stays: what is being reported already is the cause.
        match &self.out {
            Out::Folder { is_new } => {
                for file in &self.files {
                    let _ = fs::remove_file(self.path.join(file));
                }
                for folder in self.folders.iter().rev() {
                    let _ = fs::remove_dir(self.path.join(folder));
                }
                if *is_new {
                    let _ = fs::remove_dir(&self.path);
                }
            }
            Out::Tar { part, .. } => {
                let _ = fs::remove_file(part);
            }
            Out::Stream(_) | Out::Done => {}
        }
    }
}

/// Writes one file into a tar stream and returns how much content came.
fn tar_file(
    out: &mut dyn Write,
    name: &str,
    size: u64,
    content: &mut dyn Read,
    unwritten: &impl Fn(io::Error) -> Error,
) -> Result<u64, Error> {
    let mut block = Vec::new();
    header::append(&mut block, name.as_bytes(), 0o644, Kind::File(size));
    out.write_all(&block).map_err(unwritten)?;
    let copied = copy(content, out, name, unwritten)?;
    let padding = header::padded(copied) - copied;
    io::copy(&mut io::repeat(0).take(padding), out).map_err(unwritten)?;
    Ok(copied)
}

/// Copies and tells reading errors from writing errors.
fn copy(
    content: &mut dyn Read,
    out: &mut dyn Write,
    name: &str,
    unwritten: &impl Fn(io::Error) -> Error,
) -> Result<u64, Error> {
    let mut buffer = vec![0; BUFFER];
    let mut copied = 0;
    loop {
        let read = match content.read(&mut buffer) {
            Ok(0) => return Ok(copied),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(source) => {
                return Err(Error::Content {
                    name: name.to_owned(),
                    source,
                });
            }
        };
        out.write_all(&buffer[..read]).map_err(unwritten)?;
        copied += read as u64;
    }
}

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
            let problem = format!("{size} bytes, more than the {limit} that are read");
            return Err(content(io::Error::other(problem)));
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
        let entry = entry.map_err(|error| bad(error.to_string()))?;
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

#[cfg(test)]
mod tests {
    use super::*;

    fn fill(mut writer: Writer) -> Result<(), Error> {
        writer.add("oci-layout", 2, &mut &b"{}"[..])?;
        writer.add("blobs/sha256/00", 600, &mut &[7; 600][..])?;
        writer.add("blobs/sha256/01", 0, &mut &b""[..])?;
        writer.finish()
    }

    #[test]
    fn what_is_written_is_read_back_from_a_folder_and_a_tar_file() {
        let dir = tempfile::tempdir().unwrap();
        let (folder, tar) = (dir.path().join("f"), dir.path().join("t.tar"));
        fill(Writer::folder(&folder).unwrap()).unwrap();
        fill(Writer::tar(&tar).unwrap()).unwrap();
        for path in [&folder, &tar] {
            let bundle = Bundle::open(path).unwrap();
            assert_eq!(bundle.read("oci-layout", 10).unwrap().unwrap(), b"{}");
            assert_eq!(
                bundle.read("blobs/sha256/00", 600).unwrap().unwrap(),
                [7; 600]
            );
            assert_eq!(bundle.read("blobs/sha256/01", 0).unwrap().unwrap(), b"");
            assert!(bundle.read("blobs/sha256/00", 599).is_err());
            assert!(bundle.file("absent").unwrap().is_none());
        }
        let first = fs::read(&tar).unwrap();
        fill(Writer::tar(&tar).unwrap()).unwrap();
        assert_eq!(fs::read(&tar).unwrap(), first);
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 2);
        assert!(matches!(Writer::folder(&folder), Err(Error::NotEmpty(_))));
    }

    #[test]
    fn content_of_another_length_is_refused_and_leaves_no_file() {
        let dir = tempfile::tempdir().unwrap();
        for content in [&b"a"[..], b"abc"] {
            let mut writer = Writer::folder(&dir.path().join("f")).unwrap();
            writer.add("blobs/x", 1, &mut &b"x"[..]).unwrap();
            assert!(writer.add("y", 2, &mut &content[..]).is_err());
            drop(writer);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
            let mut writer = Writer::tar(&dir.path().join("t.tar")).unwrap();
            let error = writer.add("x", 2, &mut &content[..]).unwrap_err();
            assert_eq!(error.to_string(), "cannot copy `x`");
            drop(writer);
            assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        }
    }

    #[test]
    fn a_tar_file_that_says_two_things_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("t.tar");
        let mut bytes = Vec::new();
        for _ in 0..2 {
            header::append(&mut bytes, b"x", 0o644, Kind::File(0));
        }
        bytes.resize(bytes.len() + END, 0);
        fs::write(&path, &bytes).unwrap();
        let error = Bundle::open(&path).unwrap_err().to_string();
        assert!(error.ends_with("`x` is in it twice"), "{error}");

        bytes.clear();
        header::append(&mut bytes, b"x", 0o644, Kind::File(4096));
        fs::write(&path, &bytes).unwrap();
        let error = Bundle::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("cut off") || error.contains("EOF"),
            "{error}"
        );

        fs::write(&path, b"\x1f\x8b\x08").unwrap();
        let error = Bundle::open(&path).unwrap_err().to_string();
        assert!(error.contains("compressed with gzip"), "{error}");

        fs::write(&path, b"not a tar file").unwrap();
        assert!(Bundle::open(&path).is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_link_is_written_through_and_a_device_is_not_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let (file, link) = (dir.path().join("real.tar"), dir.path().join("link.tar"));
        fs::write(&file, "old").unwrap();
        std::os::unix::fs::symlink("real.tar", &link).unwrap();
        fill(Writer::tar(&link).unwrap()).unwrap();
        assert!(fs::symlink_metadata(&link).unwrap().is_symlink());
        assert!(Bundle::open(&file).is_ok());

        fill(Writer::tar(Path::new("/dev/null")).unwrap()).unwrap();
        assert!(!fs::metadata("/dev/null").unwrap().is_file());
        assert!(matches!(
            Bundle::open(Path::new("/dev/null")),
            Err(Error::NotAFile(_))
        ));
    }
}
