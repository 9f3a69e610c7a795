//! Unpacking: nothing outside the target, nothing but files and folders in it, and nothing at all
//! of a layer that is refused.

use std::{collections::BTreeMap, fs, path::Path};

use modelkit::{
    archive::{
        Error,
        decompress::Compression,
        unpack::{Existing, Kind, Layer, Options, Shape, Unpack},
    },
    digest::Digest,
    progress::Silent,
};
use tempfile::TempDir;

use super::layer;

pub(super) fn check(input: &[u8]) -> bool {
    let entries = layer::read(input).map(|(entries, ..)| entries);
    let accepted = check_empty(input, entries.as_ref().ok());
    if entries.is_ok() {
        check_damaged(input);
        #[cfg(unix)]
        check_traps(input);
    }
    accepted
}

/// Unpacks into an empty folder.
fn check_empty(input: &[u8], entries: Option<&layer::Entries>) -> bool {
    let sandbox = Sandbox::new();
    let result = sandbox.unpack(input, Digest::of(input), Existing::Refuse);
    sandbox.check_outside();
    let found = sandbox.found();
    if let Err(error) = result {
        assert!(found.is_empty(), "refused ({error:?}) and there: {found:?}");
        let honest = entries.is_some_and(are_distinct);
        assert!(!(honest && cfg!(target_os = "linux")), "refused: {error:?}");
        return false;
    }
    let entries = entries.expect("what is unpacked could be read");
    let mut expected = BTreeMap::new();
    for (entry, content) in entries {
        for end in 1..entry.path.len() {
            if entry.path[end] == b'/' {
                expected.insert(entry.path[..end].to_vec(), Found::Folder);
            }
        }
        let found = match entry.kind {
            Kind::Folder => Found::Folder,
            Kind::File => Found::File {
                executable: cfg!(unix) && entry.mode & 0o100 != 0,
                content: content.clone(),
            },
        };
        let before = expected.insert(entry.path.clone(), found.clone());
        assert!(
            before.is_none_or(|before| before == found),
            "one path, two things"
        );
    }
    expected.remove(&b""[..]);
    assert_eq!(found, expected);
    true
}

/// The same bytes under another digest are not to be believed.
fn check_damaged(input: &[u8]) {
    let sandbox = Sandbox::new();
    let result = sandbox.unpack(input, Digest::of(b"other"), Existing::Overwrite);
    assert!(result.is_err(), "damage was not noticed");
    sandbox.check_outside();
    assert_eq!(sandbox.found(), BTreeMap::new(), "of a damaged layer");
}

/// Links in the target lead outside, under names that the inputs to begin with use.
#[cfg(unix)]
fn check_traps(input: &[u8]) {
    let sandbox = Sandbox::new();
    for (name, leads) in [
        ("a", "../outside"),
        ("f", "../outside/canary"),
        ("g", "../outside/new"),
    ] {
        std::os::unix::fs::symlink(leads, sandbox.target().join(name))
            .expect("the folder is empty");
    }
    let _ = sandbox.unpack(input, Digest::of(input), Existing::Overwrite); // either is right
    sandbox.check_outside();
}

/// Tells whether no path is twice among the entries, or a file and something below it.
fn are_distinct(entries: &layer::Entries) -> bool {
    let mut paths: Vec<&[u8]> = entries
        .iter()
        .map(|(entry, _)| entry.path.as_slice())
        .collect();
    paths.sort_unstable();
    paths.windows(2).all(|pair| pair[0] != pair[1])
        && entries.iter().all(|(file, _)| {
            let below = [&file.path[..], b"/"].concat();
            file.kind == Kind::Folder || !paths.iter().any(|path| path.starts_with(&below))
        })
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Found {
    Folder,
    File { executable: bool, content: Vec<u8> },
}

/// A target with a neighbour that must not change.
struct Sandbox(TempDir);

impl Sandbox {
    fn new() -> Self {
        // In memory where that is possible: what is unpacked is made durable.
        let memory = Path::new("/dev/shm");
        let root = if memory.is_dir() {
            TempDir::new_in(memory)
        } else {
            TempDir::new()
        }
        .expect("there is room for a folder");
        fs::create_dir(root.path().join("target")).expect("the folder is new");
        fs::create_dir(root.path().join("outside")).expect("the folder is new");
        fs::write(root.path().join("outside/canary"), "alive").expect("the folder is new");
        Self(root)
    }

    fn target(&self) -> std::path::PathBuf {
        self.0.path().join("target")
    }

    fn unpack(&self, input: &[u8], digest: Digest, existing: Existing) -> Result<(), Error> {
        let options = Options {
            existing,
            ..Options::default()
        };
        let mut unpack = Unpack::begin(&self.target(), options, &Silent)?;
        let layer = Layer {
            label: "layer".to_owned(),
            digest,
            size: input.len() as u64,
            diff_id: None,
            prefix: Vec::new(),
            shape: Shape::Tar,
            compression: Compression::None,
            plain_size: None,
            stored: None,
            read: input,
        };
        unpack.layer(layer, &|_| true)?;
        unpack.finish().map(|_| ())
    }

    /// Checks everything but the target.
    fn check_outside(&self) {
        let outside = self.0.path().join("outside");
        let names = |folder: &Path| -> Vec<String> {
            let mut names: Vec<_> = fs::read_dir(folder)
                .expect("it is still there")
                .map(|entry| {
                    entry
                        .expect("it can be listed")
                        .file_name()
                        .display()
                        .to_string()
                })
                .collect();
            names.sort();
            names
        };
        assert_eq!(names(self.0.path()), ["outside", "target"]);
        assert_eq!(names(&outside), ["canary"]);
        assert_eq!(
            fs::read(outside.join("canary")).ok().as_deref(),
            Some(&b"alive"[..])
        );
    }

    /// Returns what is in the target.
    fn found(&self) -> BTreeMap<Vec<u8>, Found> {
        let mut found = BTreeMap::new();
        let target = self.target();
        let mut folders = vec![target.clone()];
        while let Some(folder) = folders.pop() {
            for entry in fs::read_dir(&folder).expect("the owner may read every folder") {
                let path = entry.expect("it can be listed").path();
                let metadata = path.symlink_metadata().expect("it is there");
                let what = if metadata.is_dir() {
                    folders.push(path.clone());
                    check_mode(&metadata, &[0o755]);
                    Found::Folder
                } else {
                    assert!(metadata.is_file(), "{} is a link or worse", path.display());
                    Found::File {
                        executable: check_mode(&metadata, &[0o644, 0o755]) == 0o755,
                        content: fs::read(&path).expect("the owner may read every file"),
                    }
                };
                found.insert(below(&target, &path), what);
            }
        }
        found
    }
}

#[cfg(unix)]
fn check_mode(metadata: &fs::Metadata, allowed: &[u32]) -> u32 {
    let mode = std::os::unix::fs::MetadataExt::mode(metadata) & 0o7777;
    assert!(allowed.contains(&mode), "the mode {mode:o}");
    mode
}

#[cfg(not(unix))]
fn check_mode(_: &fs::Metadata, _: &[u32]) -> u32 {
    0
}

/// Returns the path below `target` as it stands in archives.
fn below(target: &Path, path: &Path) -> Vec<u8> {
    let path = path.strip_prefix(target).expect("the walk began there");
    let bytes = path.as_os_str().as_encoded_bytes().to_vec();
    if cfg!(windows) {
        bytes
            .iter()
            .map(|byte| if *byte == b'\\' { b'/' } else { *byte })
            .collect()
    } else {
        bytes
    }
}
