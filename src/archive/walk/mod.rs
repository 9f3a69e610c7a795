//! The one walk over a context: every path once, in the order of the archive, each given to the
//! most specific layer that covers it.
//!
//! Children of a folder come in the byte order of their names. A layer holds what lies under its
//! path and under no other layer's deeper path, and the folders that lead to its path. Nothing is
//! left out without being counted or named in [`Found`].

mod ahead;
mod told;

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use self::ahead::Ahead;
use super::{
    error::{Error, LinkProblem},
    ignore::{Cover, IgnoreRules},
    link::Links,
    modes::Modes,
    names::{Names, Unfit, clashes, join, list},
    owners::{Owners, check_paths},
    tree::{Kind, Node, ROOT, Tree},
    unpack::fits_windows,
};
use crate::{
    glob::Pattern,
    platform::{self, FileStamp},
    progress::Progress,
};

pub use super::{
    guard::{Guard, Seen},
    link::FollowLinks,
};

/// The most parts that a path may have: unpacking refuses more, so packing does.
const MAX_PARTS: usize = 1000;

/// What the walk packs, and how.
pub struct Options<'a> {
    /// The cleaned paths of the layers, relative to the context; `.` is the context itself.
    pub layers: &'a [String],
    /// Cleaned paths of which no layer holds anything, unless its own path leads there.
    pub foreign: &'a [String],
    /// What is left out.
    pub rules: &'a IgnoreRules,
    /// What becomes of links.
    pub follow_links: FollowLinks,
    /// Whether permission bits stay as they are; otherwise a file is 0644, or 0755 if its owner
    /// may execute it, and a folder 0755. Where files have no execute bit scripts are 0755.
    pub keep_modes: bool,
    /// Files that can be executed whatever their bits say.
    pub executable: &'a [Pattern],
    /// Whether a file that cannot be packed (a fifo, a socket, a device) is an error instead of a
    /// warning.
    pub strict: bool,
    /// Returns why something must stay out although no rule says so. With a guard, what is in no
    /// layer is told, too.
    pub guard: Option<&'a Guard>,
}

/// What the walk found.
pub struct Found {
    /// The files and folders, by layer.
    pub tree: Tree,
    /// How many files and folders lines of the ignore file left out; a folder counts once.
    pub ignored: u64,
    /// How many files and folders each built-in rule left out.
    pub litter: BTreeMap<&'static str, u64>,
    /// What the guard kept out, each with its reason.
    pub guarded: Vec<(String, String)>,
    /// Layer paths that a rule leaves out: position in the layers, and the rule.
    pub ignored_layers: Vec<(usize, String)>,
    /// Those of the foreign paths that kept something out of a layer.
    pub foreign: Vec<String>,
    /// What else the user must hear: special files, names that clash on other systems, links.
    pub warnings: Vec<String>,
}

/// Walks `context` once.
///
/// # Errors
///
/// A layer path that does not exist; what cannot be read; all links that cannot be packed, at
/// once; the user's wish to stop.
pub fn walk(
    context: &Path,
    options: &Options<'_>,
    progress: &dyn Progress,
) -> Result<Found, Error> {
    let root = fs::canonicalize(context).map_err(|source| Error::read_file(context, source))?;
    check_paths(context, options.layers)?;
    Ahead::of(|ahead| walk_with(ahead, context, root, options, progress))
}

fn walk_with(
    ahead: &Ahead,
    context: &Path,
    root: PathBuf,
    options: &Options<'_>,
    progress: &dyn Progress,
) -> Result<Found, Error> {
    let mut walk = Walk {
        options,
        progress,
        ahead,
        links: Links::new(&root, options.rules, options.follow_links),
        modes: Modes::new(options.keep_modes, options.executable),
        owners: Owners::new(options.layers, options.foreign),
        found: Found {
            tree: Tree::new(context, options.layers.len()),
            ignored: 0,
            litter: BTreeMap::new(),
            guarded: Vec::new(),
            ignored_layers: Vec::new(),
            foreign: Vec::new(),
            warnings: Vec::new(),
        },
        problems: Vec::new(),
        unfit: Unfit::default(),
        path: Vec::new(),
        active: Vec::new(),
    };
    let metadata = fs::metadata(&root).map_err(|source| Error::read_file(&root, source))?;
    if !metadata.is_dir() {
        return Err(Error::NotAFolder {
            path: context.to_owned(),
        });
    }
    let top = Folder {
        on_disk: root,
        owner: walk.owners.at(b".", None),
        cover: options.rules.root(),
        physical_cover: None,
        is_elsewhere: false,
        node: Some(ROOT),
        mode: 0,
        stamp: FileStamp::of(&metadata),
    };
    walk.run(top)?;
    let Walk {
        mut found,
        problems,
        unfit,
        links,
        modes,
        ..
    } = walk;
    if !problems.is_empty() {
        return Err(Error::Links(problems));
    }
    found.warnings.extend(unfit.into_warning());
    found.warnings.extend(links.into_notes());
    found.warnings.extend(modes.into_warnings());
    Ok(found)
}

/// A folder on the way down.
struct Folder {
    /// Where it is on the disk: elsewhere than its path says if a link leads to it.
    on_disk: PathBuf,
    owner: Option<usize>,
    cover: Cover,
    /// Below a link: the path of the folder it leads to and that path's own cover, so that what
    /// is ignored there is ignored here.
    physical_cover: Option<(Vec<u8>, Cover)>,
    /// Whether it lies outside the context, behind a link.
    is_elsewhere: bool,
    /// Its node; `None` for an ignored folder of which nothing is kept so far.
    node: Option<u32>,
    mode: u16,
    stamp: FileStamp,
}

/// What is in a folder, and what of it was walked.
struct List {
    names: Names,
    position: usize,
    /// Up to here folders were offered to be listed ahead.
    offered: usize,
    /// Of the folder's own path.
    path_length: usize,
}

struct Walk<'a> {
    options: &'a Options<'a>,
    ahead: &'a Ahead,
    progress: &'a dyn Progress,
    links: Links<'a>,
    modes: Modes<'a>,
    owners: Owners,
    found: Found,
    problems: Vec<LinkProblem>,
    unfit: Unfit,
    /// The path of the folder being walked.
    path: Vec<u8>,
    /// Device and inode of the folders being walked, outermost first.
    active: Vec<(u64, u64)>,
}

impl Walk<'_> {
    /// Walks the folder `top` and all below it. Not by recursion: how deep a context is must not
    /// depend on the stack.
    fn run(&mut self, top: Folder) -> Result<(), Error> {
        let (mut above, mut lists) = (Vec::new(), Vec::new());
        let mut list = self.enter(&top, 0, None)?;
        let mut folder = top;
        loop {
            self.path.truncate(list.path_length);
            if list.position >= list.offered {
                self.offer(&folder, &mut list);
            }
            let position = list.position;
            let seen = list.names.seen(position);
            let Some(name) = list.names.get(position) else {
                self.active.pop();
                self.ahead.leave();
                let (Some(around), Some(rest)) = (above.pop(), lists.pop()) else {
                    return Ok(());
                };
                (folder, list) = (around, rest);
                continue;
            };
            list.position += 1;
            if list.path_length > 0 {
                self.path.push(b'/');
            }
            self.path.extend_from_slice(name);
            if let Some(next) = self.child(&mut above, &mut folder, name, seen)? {
                let names = self.enter(&next, above.len() + 1, Some(position))?;
                above.push(std::mem::replace(&mut folder, next));
                lists.push(std::mem::replace(&mut list, names));
            }
        }
    }

    /// Lists `folder`, around which there are `depth` others; its name has this `position` in the one
    /// that it is in.
    fn enter(
        &mut self,
        folder: &Folder,
        depth: usize,
        position: Option<usize>,
    ) -> Result<List, Error> {
        if self.progress.cancelled() {
            return Err(Error::Interrupted);
        }
        if depth >= MAX_PARTS {
            return Err(Error::TooDeep {
                path: self.shown(),
                limit: MAX_PARTS,
            });
        }
        let known = position.and_then(|position| self.ahead.take(position, &folder.on_disk));
        let names = known.unwrap_or_else(|| list(&folder.on_disk, 0))?;
        self.ahead.enter();
        self.found.warnings.extend(clashes(&names, &self.path));
        self.active.push((folder.stamp.device, folder.stamp.inode));
        Ok(List {
            names,
            position: 0,
            offered: 0,
            path_length: self.path.len(),
        })
    }

    /// Tells whether what lies at `path`, in a folder that belongs to `around`, or something below
    /// it, is in a layer.
    fn is_covered(&self, path: &[u8], around: Option<usize>) -> bool {
        self.owners.at(path, around).is_some() || !self.owners.below(path).is_empty()
    }

    /// Takes what is called `name` in `folder`; `above` are the folders around that, outermost
    /// first. `seen` is what was seen of it when the folder was listed. Returns the folder to be
    /// walked next, if it is one.
    fn child(
        &mut self,
        above: &mut [Folder],
        folder: &mut Folder,
        name: &[u8],
        seen: Option<io::Result<fs::Metadata>>,
    ) -> Result<Option<Folder>, Error> {
        let owner = self.owners.at(&self.path, folder.owner);
        if folder.owner.is_some() && self.owners.is_foreign(&self.path) {
            self.found.foreign.push(self.shown());
        }
        let covered = self.is_covered(&self.path, folder.owner);
        // Who wrote a Kitfile chose what stays out of it. Nobody chose that for a draft: there
        // the walk goes on, to tell it.
        if !covered && self.options.guard.is_none() {
            return Ok(None);
        }
        let decision = self.options.rules.judge(&folder.cover, &self.path);
        let physical_path = folder
            .physical_cover
            .as_ref()
            .map(|(path, _)| join(path, name));
        let physical = match (&folder.physical_cover, &physical_path) {
            (Some((_, cover)), Some(path)) => Some(self.options.rules.judge(cover, path)),
            _ => None,
        };
        let ignored = [Some(decision), physical]
            .into_iter()
            .flatten()
            .find(|decision| decision.ignored);
        if ignored.is_none()
            && let Some(guard) = self.options.guard
            && let Some(reason) = guard(Seen::Path(&self.shown()))
        {
            self.found.guarded.push((self.shown(), reason));
            return Ok(None);
        }
        let on_disk =
            folder.on_disk.join(
                platform::os_name(name).ok_or_else(|| Error::NameNotUnicode {
                    path: folder.on_disk.clone(),
                })?,
            );
        let metadata = match seen.unwrap_or_else(|| fs::symlink_metadata(&on_disk)) {
            Ok(metadata) => metadata,
            // Gone since the folder was listed: as if it had gone a moment before.
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(source) => return Err(Error::read_file(&on_disk, source)),
        };
        if let Some(decision) = ignored {
            if let Some(decider) = decision.decider {
                self.count_ignored(decider);
            }
            if !metadata.is_dir() || !self.options.rules.may_keep_below(&self.path) {
                return Ok(None);
            }
        }
        if !covered && (metadata.is_file() || metadata.is_symlink()) {
            self.tell_uncovered(&on_disk);
            return Ok(None);
        }
        if covered && !fits_windows(name) {
            self.unfit.add(&self.path);
        }
        let mut is_elsewhere = folder.is_elsewhere;
        let (metadata, on_disk, via_link) = if metadata.is_symlink() {
            match self.links.resolve(&self.path, &on_disk, &self.active) {
                Ok(Some(end)) => {
                    if let Some(reason) = self.guarded_end(&end.on_disk) {
                        self.found.guarded.push((self.shown(), reason));
                        return Ok(None);
                    }
                    self.links.take(&self.path, &end);
                    is_elsewhere = end.is_elsewhere();
                    (end.metadata, end.on_disk, true)
                }
                Ok(None) => return Ok(None),
                Err(problem) => {
                    self.problems.push(problem);
                    return Ok(None);
                }
            }
        } else {
            (metadata, on_disk, false)
        };
        if metadata.is_file() {
            let Some(owner) = owner else {
                // Paths of layers were checked before: the tree is changing under the walk.
                return Err(Error::ChangedWhileReading { path: on_disk });
            };
            if is_elsewhere && !via_link {
                self.links.take_elsewhere(&self.path, &on_disk);
            }
            let mode = self.modes.file(&self.path, &on_disk, &metadata)?;
            let parent = self.ensure(above, folder)?;
            let node = Node {
                mode,
                via_link,
                ..Node::new(Kind::File, FileStamp::of(&metadata))
            };
            let node = push(&mut self.found.tree, parent, name, node)?;
            self.found.tree.give(node, owner);
        } else if metadata.is_dir() {
            let cover = self.options.rules.cover(&folder.cover, &self.path);
            let physical_cover = if via_link {
                self.links.inside(&on_disk).map(|path| {
                    let cover = self.options.rules.cover_of(&path);
                    (path, cover)
                })
            } else {
                match (&folder.physical_cover, physical_path) {
                    (Some((_, cover)), Some(path)) => {
                        let cover = self.options.rules.cover(cover, &path);
                        Some((path, cover))
                    }
                    _ => None,
                }
            };
            let mut next = Folder {
                on_disk,
                owner,
                cover,
                physical_cover,
                is_elsewhere,
                node: None,
                mode: self.modes.folder(&metadata),
                stamp: FileStamp::of(&metadata),
            };
            if ignored.is_none() && covered {
                self.folder_node(above, folder, name, &mut next)?;
            }
            return Ok(Some(next));
        } else {
            self.special(&metadata)?;
        }
        Ok(None)
    }

    /// Appends the node of the folder `next`, whose name is `name`, and gives it to its layers.
    fn folder_node(
        &mut self,
        above: &mut [Folder],
        folder: &mut Folder,
        name: &[u8],
        next: &mut Folder,
    ) -> Result<(), Error> {
        let parent = self.ensure(above, folder)?;
        let index = push_folder(&mut self.found.tree, parent, name, next)?;
        self.owners
            .give(&mut self.found.tree, &self.path, index, next.owner);
        Ok(())
    }

    /// Returns the node of `folder`, made now if nothing in it was kept before.
    fn ensure(&mut self, above: &mut [Folder], folder: &mut Folder) -> Result<u32, Error> {
        if let Some(node) = folder.node {
            return Ok(node);
        }
        // The path of `folder` ends where its children's begin; its depth is the pile's height.
        let depth = above.len();
        let mut ends = Vec::with_capacity(depth);
        ends.extend(
            self.path
                .iter()
                .enumerate()
                .filter(|(_, byte)| **byte == b'/')
                .map(|(at, _)| at),
        );
        let mut parent = ROOT;
        for level in 1..=depth {
            let current = if level == depth {
                &mut *folder
            } else {
                &mut above[level]
            };
            if let Some(node) = current.node {
                parent = node;
                continue;
            }
            let end = ends[level - 1];
            let start = if level == 1 { 0 } else { ends[level - 2] + 1 };
            let name = self.path[start..end].to_vec();
            let path = self.path[..end].to_vec();
            let owner = current.owner;
            parent = push_folder(&mut self.found.tree, parent, &name, current)?;
            self.owners.give(&mut self.found.tree, &path, parent, owner);
        }
        Ok(parent)
    }
}

fn push_folder(
    tree: &mut Tree,
    parent: u32,
    name: &[u8],
    folder: &mut Folder,
) -> Result<u32, Error> {
    let node = Node {
        mode: folder.mode,
        ..Node::new(Kind::Folder, folder.stamp)
    };
    let index = push(tree, parent, name, node)?;
    folder.node = Some(index);
    Ok(index)
}

fn push(tree: &mut Tree, parent: u32, name: &[u8], node: Node) -> Result<u32, Error> {
    tree.push(parent, name, node).ok_or(Error::TooManyFiles)
}
