//! Trees: what a folder holds as one comparable value, and random folders with what is odd.

use std::{
    collections::BTreeMap,
    fmt, fs,
    path::{Path, PathBuf},
};

use proptest::{prelude::*, sample::Index};

use super::{
    digest,
    reference_tar::{self, Entry},
    sandbox::set_mode,
};

/// A path below a tree's root as bytes, `/` between its parts.
type Name = Vec<u8>;

/// What stands under a name.
#[derive(Clone, PartialEq, Eq)]
pub(crate) enum Node {
    Folder,
    /// A file: whether it may be executed, and its digest.
    File(bool, String),
    /// A symbolic link and what it holds.
    Link(PathBuf),
}

impl fmt::Debug for Node {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder => write!(f, "folder"),
            Self::File(true, digest) => write!(f, "exec {}", &digest[7..19]),
            Self::File(false, digest) => write!(f, "file {}", &digest[7..19]),
            Self::Link(target) => write!(f, "link {}", target.display()),
        }
    }
}

/// Everything below a folder.
#[derive(Clone, Default, PartialEq, Eq)]
pub(crate) struct Fingerprint(pub(crate) BTreeMap<Name, Node>);

impl Fingerprint {
    /// Reads the tree at `root`. Fails on a mode other than 0755 for a folder or an executable
    /// file and 0644 for other files when `exact`.
    pub(crate) fn of(root: &Path, exact: bool) -> Self {
        let mut tree = Self::default();
        tree.add(root, b"", exact);
        tree
    }

    fn add(&mut self, folder: &Path, prefix: &[u8], exact: bool) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let name = [prefix, entry.file_name().as_encoded_bytes()].concat();
            let (path, metadata) = (entry.path(), entry.metadata().unwrap());
            let mode = mode(&metadata);
            let node = if metadata.is_dir() {
                self.add(&path, &[&name, &b"/"[..]].concat(), exact);
                Node::Folder
            } else if metadata.is_symlink() {
                Node::Link(fs::read_link(&path).unwrap())
            } else {
                Node::File(mode & 0o100 != 0, digest(&fs::read(&path).unwrap()))
            };
            let allowed: &[u32] = match node {
                Node::Folder => &[0o755],
                Node::File(..) => &[0o644, 0o755],
                Node::Link(_) => &[mode],
            };
            assert!(
                !exact || cfg!(windows) || allowed.contains(&mode),
                "{} is {mode:o}",
                path.display()
            );
            self.0.insert(name, node);
        }
    }
}

impl fmt::Debug for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (name, node) in &self.0 {
            writeln!(f, "{} {node:?}", name.escape_ascii())?;
        }
        Ok(())
    }
}

fn mode(metadata: &fs::Metadata) -> u32 {
    #[cfg(unix)]
    {
        std::os::unix::fs::MetadataExt::mode(metadata) & 0o7777
    }
    #[cfg(not(unix))]
    {
        let _ = metadata; // no such bits
        0o644
    }
}

/// The odd classes a random tree counts. Names with blanks, newlines and so on count once a path.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Odd {
    Space,
    Newline,
    Nfc,
    Nfd,
    NotUtf8,
    Name255,
    DeepPath,
    EmptyFile,
    EmptyFolder,
    HardLink,
    LinkToFile,
    LinkToFolder,
    Executable,
    Ignored,
    Litter,
}

/// One thing to add to a tree.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    parent: Index,
    name: (Option<Odd>, Name),
    kind: Kind,
}

#[derive(Clone, Debug)]
enum Kind {
    File(Vec<u8>, bool),
    Folder,
    /// Folders in folders, as many as stated.
    Deep(usize),
    HardLink(Index),
    Link(Index),
}

/// Makes steps for one tree. `shrink` drops steps, so that a failure ends as a small tree.
pub(crate) fn steps() -> impl Strategy<Value = Vec<Step>> {
    prop::collection::vec(step(), 0..24)
}

fn step() -> impl Strategy<Value = Step> {
    let kind = prop_oneof![
        6 => (prop::collection::vec(any::<u8>(), 0..1500), any::<bool>())
            .prop_map(|(bytes, exec)| Kind::File(bytes, exec)),
        1 => Just(Kind::File(Vec::new(), false)),
        4 => Just(Kind::Folder),
        1 => (8..24_usize).prop_map(Kind::Deep),
        1 => any::<Index>().prop_map(Kind::HardLink),
        2 => any::<Index>().prop_map(Kind::Link),
    ];
    (any::<Index>(), name(), kind).prop_map(|(parent, name, kind)| Step { parent, name, kind })
}

/// A name for one folder or file. Not all systems take all of them.
fn name() -> impl Strategy<Value = (Option<Odd>, Name)> {
    let plain = "[ab][ab.-]{0,2}[ab]|[a-z]{1,8}\\.(bin|csv|py)|[A-Z]{2,4}".prop_map(|s| (None, s));
    let odd = |odd, pattern: &str| {
        proptest::string::string_regex(pattern)
            .unwrap()
            .prop_map(move |s: String| (Some(odd), s))
            .boxed()
    };
    let mut odds = vec![
        odd(Odd::Space, "[a-c] {1,3}[a-c]"),
        odd(Odd::Nfc, "[a-c]é[a-c]"),
        odd(Odd::Nfd, "[a-c]e\u{301}[a-c]"),
        odd(Odd::Name255, "[a-z]{255}"),
        odd(Odd::Ignored, "[a-c]\\.skip"),
        prop::sample::select(&["__pycache__", ".DS_Store", "._x", "Thumbs.db", ".git"][..])
            .prop_map(|s| (Some(Odd::Litter), s.to_owned()))
            .boxed(),
    ];
    if cfg!(unix) {
        odds.push(odd(Odd::Newline, "[a-c]\n[a-c]"));
    }
    let text = prop_oneof![6 => plain, 4 => prop::strategy::Union::new(odds)]
        .prop_map(|(odd, text)| (odd, text.into_bytes()));
    // macOS and Windows hold only names that are text.
    let bytes = u32::from(cfg!(target_os = "linux"));
    prop_oneof![
        20 => text,
        bytes => "[a-c]{1,3}".prop_map(|s| (Some(Odd::NotUtf8), [s.as_bytes(), b"\xff"].concat())),
    ]
}

/// What `.kitignore` says in a random tree.
pub(crate) const IGNORE: &str = "# left out, at any depth\n**/*.skip\n";

/// A tree as it is written to disk, and as it must come back.
#[derive(Default)]
pub(crate) struct Tree {
    /// What is made, in order.
    made: Vec<(Name, Made)>,
    pub(crate) odd: BTreeMap<Odd, usize>,
}

enum Made {
    Folder,
    File(Vec<u8>, bool),
    /// Another name for the file made as the given number.
    HardLink(usize),
    /// A link to what was made as the given number.
    Link(usize),
}

impl Tree {
    /// Grows the tree that `steps` describe; steps that cannot be done are left out.
    pub(crate) fn grow(steps: &[Step]) -> Self {
        let mut tree = Self::default();
        for step in steps {
            let is_folder = |made: &&(Name, Made)| matches!(made.1, Made::Folder);
            let made = tree.made.iter().filter(is_folder);
            let mut folders = vec![Name::new()];
            folders.extend(made.map(|(name, _)| name.clone()));
            let mut path = join(step.parent.get::<Name>(&folders), &step.name.1);
            let (odd, kind) = match &step.kind {
                Kind::File(bytes, exec) => {
                    let odd = match (bytes.is_empty(), exec) {
                        (true, _) => Some(Odd::EmptyFile),
                        (_, true) => Some(Odd::Executable),
                        _ => None,
                    };
                    (odd, Made::File(bytes.clone(), *exec))
                }
                Kind::Folder => (None, Made::Folder),
                Kind::Deep(depth) => {
                    for level in 0..*depth {
                        if !tree.put(path.clone(), Made::Folder) {
                            break;
                        }
                        path = join(&path, format!("level-{level:02}-of-a-deep-path").as_bytes());
                    }
                    (Some(Odd::DeepPath), Made::File(b"deep".to_vec(), false))
                }
                Kind::HardLink(which) => {
                    match tree.pick(*which, |made| matches!(made, Made::File(..))) {
                        Some(number) => (Some(Odd::HardLink), Made::HardLink(number)),
                        None => continue,
                    }
                }
                Kind::Link(which) if cfg!(unix) => match tree.pick_target(*which, &path) {
                    Some((number, odd)) => (Some(odd), Made::Link(number)),
                    None => continue,
                },
                Kind::Link(_) => continue,
            };
            if tree.put(path, kind) {
                for odd in [odd, step.name.0].into_iter().flatten() {
                    *tree.odd.entry(odd).or_default() += 1;
                }
            }
        }
        let empty = tree.made.iter().filter(|(name, made)| {
            let below = join(name, b"");
            matches!(made, Made::Folder)
                && !tree.made.iter().any(|(other, _)| other.starts_with(&below))
        });
        let empty = empty.count();
        tree.odd.insert(Odd::EmptyFolder, empty);
        tree
    }

    /// Adds `made` at `path` unless some file system would take the name for one that is there.
    fn put(&mut self, path: Name, made: Made) -> bool {
        let folded = |path: &[u8]| {
            String::from_utf8_lossy(path)
                .to_lowercase()
                .replace("e\u{301}", "é")
        };
        let free = path.len() < 2500 && !self.made.iter().any(|(p, _)| folded(p) == folded(&path));
        if free {
            self.made.push((path, made));
        }
        free
    }

    fn pick(&self, which: Index, wanted: impl Fn(&Made) -> bool) -> Option<usize> {
        let fit = |number: &usize| wanted(&self.made[*number].1);
        let all: Vec<usize> = (0..self.made.len()).filter(fit).collect();
        (!all.is_empty()).then(|| *which.get(&all))
    }

    /// Picks what a link at `path` may lead to: nothing that is left out, and no loop.
    fn pick_target(&self, which: Index, path: &[u8]) -> Option<(usize, Odd)> {
        let leads_to_folder = |made: &Made| matches!(made, Made::Link(to) if matches!(self.made[*to].1, Made::Folder));
        let inside = |path: &[u8], folder: &[u8]| path.starts_with(&join(folder, b""));
        // A link to a folder stands in no linked folder, and a linked folder holds none.
        let in_linked = self
            .made
            .iter()
            .any(|(_, made)| matches!(made, Made::Link(to) if inside(path, &self.made[*to].0)));
        let fit = |number: &usize| {
            let (name, made) = &self.made[*number];
            !left_out(name)
                && match made {
                    Made::File(..) | Made::HardLink(_) => true,
                    Made::Link(_) => false,
                    Made::Folder => {
                        !in_linked
                            && !inside(path, name)
                            && !self
                                .made
                                .iter()
                                .any(|(n, m)| inside(n, name) && leads_to_folder(m))
                    }
                }
        };
        let all: Vec<usize> = (0..self.made.len()).filter(fit).collect();
        if all.is_empty() {
            return None;
        }
        let number = *which.get(&all);
        let folder = matches!(self.made[number].1, Made::Folder);
        Some((
            number,
            if folder {
                Odd::LinkToFolder
            } else {
                Odd::LinkToFile
            },
        ))
    }

    /// Writes the tree below `root`, which exists.
    pub(crate) fn write(&self, root: &Path) {
        fs::write(root.join(".kitignore"), IGNORE).unwrap();
        for (name, made) in &self.made {
            let path = root.join(native(name));
            match made {
                Made::Folder => {
                    fs::create_dir(&path).unwrap();
                    set_mode(&path, 0o755);
                }
                Made::File(bytes, exec) => {
                    fs::write(&path, bytes).unwrap();
                    set_mode(&path, if *exec { 0o755 } else { 0o644 });
                }
                Made::HardLink(to) => {
                    fs::hard_link(root.join(native(&self.made[*to].0)), &path).unwrap();
                }
                Made::Link(to) => {
                    let up = "../".repeat(name.split(|b| *b == b'/').count() - 1);
                    let target = Path::new(&up).join(native(&self.made[*to].0));
                    #[cfg(unix)]
                    std::os::unix::fs::symlink(target, &path).unwrap();
                    #[cfg(not(unix))]
                    let _ = target; // no links are made there
                }
            }
        }
    }

    /// Returns what a kit of the whole tree holds: links as what they lead to, nothing that is
    /// left out.
    pub(crate) fn packed(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        for (name, made) in &self.made {
            self.pack(name, made, &mut entries);
        }
        entries
    }

    fn pack(&self, name: &[u8], made: &Made, entries: &mut Vec<Entry>) {
        if left_out(name) {
            return;
        }
        match made {
            Made::Folder => entries.push(reference_tar::folder(name, 0o755)),
            Made::File(bytes, exec) => {
                // Where there is no execute bit, a script is told by its first bytes.
                let runs = if cfg!(unix) {
                    *exec
                } else {
                    bytes.starts_with(b"#!")
                };
                let bits = if runs { 0o755 } else { 0o644 };
                entries.push(reference_tar::file(name, bits, bytes));
            }
            Made::HardLink(to) => self.pack(name, &self.made[*to].1, entries),
            Made::Link(to) => {
                let (target, made) = &self.made[*to];
                self.pack(name, made, entries);
                if matches!(made, Made::Folder) {
                    let below = join(target, b"");
                    for (inner, made) in self.made.iter().filter(|(n, _)| n.starts_with(&below)) {
                        if !left_out(inner) {
                            self.pack(&join(name, &inner[below.len()..]), made, entries);
                        }
                    }
                }
            }
        }
    }

    /// Returns the tree that unpacking must give, without the Kitfile.
    pub(crate) fn unpacked(&self) -> Fingerprint {
        let node = |entry: Entry| match entry.content {
            None => (entry.path, Node::Folder),
            Some(bytes) => (
                entry.path,
                Node::File(entry.mode & 0o100 != 0, digest(&bytes)),
            ),
        };
        Fingerprint(self.packed().into_iter().map(node).collect())
    }
}

/// Tells whether packing leaves `name` out, itself or for a folder above it.
fn left_out(name: &[u8]) -> bool {
    name.split(|b| *b == b'/').any(|part| {
        part.ends_with(b".skip")
            || part.starts_with(b"._")
            || [&b"__pycache__"[..], b".DS_Store", b"Thumbs.db", b".git"].contains(&part)
    })
}

fn join(folder: &[u8], name: &[u8]) -> Name {
    match folder {
        b"" => name.to_vec(),
        _ => [folder, b"/", name].concat(),
    }
}

fn native(name: &[u8]) -> PathBuf {
    #[cfg(unix)]
    {
        let name: &std::ffi::OsStr = std::os::unix::ffi::OsStrExt::from_bytes(name);
        PathBuf::from(name)
    }
    #[cfg(not(unix))]
    {
        PathBuf::from(std::str::from_utf8(name).unwrap())
    }
}
