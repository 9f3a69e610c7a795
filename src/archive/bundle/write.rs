//! Writing a bundle: to a folder, a tar file or a stream.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, BufWriter, Read, Write},
    path::{Path, PathBuf},
};

use super::{Error, parts};
use crate::{
    archive::header::{self, END, Kind},
    failpoint::failpoint,
    platform,
};

/// How much is copied at a time.
const BUFFER: usize = 1 << 20;

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
                failpoint!("save.folder.sync", platform::sync_file_system(&folder))
                    .map_err(Error::io("sync", &self.path))
            }
            Out::Tar { mut file, part } => {
                let done = file
                    .write_all(&[0; END])
                    .and_then(|()| failpoint!("save.flush", file.flush()))
                    .and_then(|()| failpoint!("save.sync", file.get_ref().sync_all()))
                    .map_err(Error::io("write", &part))
                    .and_then(|()| {
                        failpoint!("save.rename", fs::rename(&part, &self.path))
                            .map_err(Error::io("create", &self.path))
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
                failpoint!("save.dirsync", platform::sync_dir(parent))
                    .map_err(Error::io("sync", parent))
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
