//! Hostile archives, made byte by byte, and targets that are not empty.

mod archives;
mod compressed;
mod damage;
mod formats;
mod targets;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::{
        Mutex,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::{self, TryRecvError},
    },
};

use super::*;
use crate::{
    archive::Obstacle,
    digest::Digest,
    progress::{Meter, Silent},
};

/// Makes archives from raw headers.
#[derive(Clone, Default)]
struct Archive(Vec<u8>);

/// The fields of a header that tests choose.
struct Fields<'f> {
    name: &'f [u8],
    prefix: &'f [u8],
    mode: &'f [u8],
    size: Vec<u8>,
    flag: u8,
    magic: &'f [u8],
}

impl Default for Fields<'_> {
    fn default() -> Self {
        Self {
            name: b"file",
            prefix: b"",
            mode: b"0000644\0",
            size: octal_size(0),
            flag: b'0',
            magic: b"ustar\x0000",
        }
    }
}

fn octal_size(size: u64) -> Vec<u8> {
    format!("{size:011o}\0").into_bytes()
}

impl Archive {
    fn new() -> Self {
        Self::default()
    }

    fn header(mut self, fields: &Fields<'_>) -> Self {
        let mut block = [0; 512];
        let mut put = |at: usize, bytes: &[u8]| block[at..at + bytes.len()].copy_from_slice(bytes);
        put(0, fields.name);
        put(100, fields.mode);
        put(108, b"0001750\0");
        put(116, b"0000000\0");
        put(124, &fields.size);
        put(136, b"00000000000\0");
        put(148, b"        ");
        put(156, &[fields.flag]);
        put(257, fields.magic);
        put(345, fields.prefix);
        let sum: u32 = block.iter().map(|&byte| u32::from(byte)).sum();
        block[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        self.0.extend_from_slice(&block);
        self
    }

    /// Content, padded to a block.
    fn content(mut self, content: &[u8]) -> Self {
        self.0.extend_from_slice(content);
        self.0.resize(self.0.len().next_multiple_of(512), 0);
        self
    }

    fn entry(self, flag: u8, name: &[u8], content: &[u8]) -> Self {
        let size = octal_size(content.len() as u64);
        self.header(&Fields {
            name,
            size,
            flag,
            ..Fields::default()
        })
        .content(content)
    }

    fn file(self, name: &str, content: &[u8]) -> Self {
        self.entry(b'0', name.as_bytes(), content)
    }

    fn folder(self, name: &str) -> Self {
        self.entry(b'5', name.as_bytes(), b"")
    }

    fn pax(self, records: &[(&str, &[u8])]) -> Self {
        let body: Vec<u8> = records
            .iter()
            .flat_map(|(key, value)| record(key, value))
            .collect();
        self.entry(b'x', b"PaxHeaders.0/file", &body)
    }

    /// The bytes with the end mark.
    fn end(mut self) -> Vec<u8> {
        self.0.extend_from_slice(&[0; 1024]);
        self.0
    }
}

fn record(key: &str, value: &[u8]) -> Vec<u8> {
    let rest = [b" ", key.as_bytes(), b"=", value, b"\n"].concat();
    let mut length = rest.len() + 1;
    while length.to_string().len() + rest.len() != length {
        length = length.to_string().len() + rest.len();
    }
    [length.to_string().into_bytes(), rest].concat()
}

/// A target with a neighbour that must not change.
struct Sandbox {
    root: tempfile::TempDir,
}

impl Sandbox {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("outside/sub")).unwrap();
        fs::write(root.path().join("outside/canary"), "alive").unwrap();
        fs::create_dir(root.path().join("target")).unwrap();
        Self { root }
    }

    fn target(&self) -> PathBuf {
        self.root.path().join("target")
    }

    fn outside(&self) -> PathBuf {
        self.root.path().join("outside")
    }

    fn put(&self, path: &str, content: &[u8]) {
        let path = self.target().join(path);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, content).unwrap();
    }

    fn read(&self, path: &str) -> Vec<u8> {
        fs::read(self.target().join(path)).unwrap()
    }

    /// All paths in the target, sorted, folders with a slash.
    fn tree(&self) -> Vec<String> {
        fn list(dir: &Path, prefix: &str, into: &mut Vec<String>) {
            for entry in fs::read_dir(dir).unwrap() {
                let entry = entry.unwrap();
                let path = format!("{prefix}{}", entry.file_name().to_string_lossy());
                if entry.file_type().unwrap().is_dir() {
                    list(&entry.path(), &format!("{path}/"), into);
                    into.push(format!("{path}/"));
                } else {
                    into.push(path);
                }
            }
        }
        let mut paths = Vec::new();
        list(&self.target(), "", &mut paths);
        paths.sort();
        paths
    }

    fn unpack(&self, archive: &[u8]) -> Result<Report, Error> {
        self.unpack_with(Existing::Refuse, &[archive])
    }

    /// Unpacks the archives as the layers of one kit, and checks that nothing outside changed.
    fn unpack_with(&self, existing: Existing, archives: &[&[u8]]) -> Result<Report, Error> {
        let run = || {
            let mut unpack = Unpack::begin(&self.target(), options(existing), &Silent)?;
            for (number, archive) in archives.iter().enumerate() {
                unpack.layer(layer(number, archive), &|_| true)?;
            }
            unpack.finish()
        };
        let result = run();
        self.check_outside();
        result
    }

    fn check_outside(&self) {
        assert_eq!(fs::read(self.outside().join("canary")).unwrap(), b"alive");
        assert_eq!(fs::read_dir(self.outside()).unwrap().count(), 2);
        assert_eq!(fs::read_dir(self.outside().join("sub")).unwrap().count(), 0);
        assert_eq!(fs::read_dir(self.root.path()).unwrap().count(), 2);
    }

    /// Unpacks an archive that must be refused and leave nothing, and returns why.
    fn refuse(&self, archive: &[u8]) -> Error {
        let before = self.tree();
        let error = self.unpack(archive).unwrap_err();
        assert_eq!(self.tree(), before);
        cause(error)
    }
}

fn options(existing: Existing) -> Options {
    Options {
        existing,
        threads: NonZeroUsize::new(2),
        link: false,
        limits: Limits::default(),
    }
}

fn layer(number: usize, archive: &[u8]) -> Layer<&[u8]> {
    Layer {
        label: format!("layer {number}"),
        digest: Digest::of(archive),
        size: archive.len() as u64,
        diff_id: None,
        prefix: Vec::new(),
        shape: Shape::Tar,
        compression: Compression::None,
        plain_size: None,
        stored: None,
        read: archive,
    }
}

/// What was wrong with the layer.
fn cause(error: Error) -> Error {
    match error {
        Error::Layer { cause, .. } => *cause,
        other => other,
    }
}

/// Returns the paths in the way.
fn conflicts(error: Error) -> Vec<(String, Obstacle)> {
    match error {
        Error::Conflicts { conflicts, .. } => conflicts
            .into_iter()
            .map(|conflict| (conflict.path, conflict.obstacle))
            .collect(),
        other => panic!("not conflicts: {other:?}"),
    }
}

/// Remembers what was said, and can ask to stop.
#[derive(Default)]
struct Listener {
    said: Mutex<Vec<String>>,
    cancelled: AtomicBool,
}

impl Progress for Listener {
    fn begin(&self, _label: &str, _total: Option<u64>) -> Box<dyn Meter> {
        Box::new(Silent)
    }
    fn warn(&self, text: &str) {
        self.said.lock().unwrap().push(text.to_owned());
    }
    fn status(&self, text: &str) {
        self.said.lock().unwrap().push(text.to_owned());
    }
    fn cancelled(&self) -> bool {
        self.cancelled.load(Ordering::Relaxed)
    }
}
