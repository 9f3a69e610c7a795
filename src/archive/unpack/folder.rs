//! Handles of the folders that files are being put into: few at a time, found again by path.

use std::{
    io,
    path::Path,
    sync::{Arc, Condvar, Mutex, OnceLock, PoisonError},
};

use cap_std::fs::Dir;

use super::{
    name,
    staging::{Place, Trees, make_below, make_dir},
};
use crate::{archive::Obstacle, platform};

/// Most folders that are open at a time, each with at most three handles.
const LIVE_LIMIT: usize = 24;
/// Most folders that are kept open for the entries to come.
const CACHE_LIMIT: usize = 12;

/// A folder of the kit: where it is in the target and where its files wait.
pub(super) struct Folder {
    /// The cleaned path.
    pub(super) path: Vec<u8>,
    pub(super) existing: Existing,
    new: OnceLock<Dir>,
    over: OnceLock<Dir>,
    _permit: Option<Permit>,
}

/// What is in the target in place of a folder.
pub(super) enum Existing {
    Missing,
    Here(Dir),
    /// Something that is not a folder: nothing below it can be put anywhere.
    Blocked,
}

impl Folder {
    /// Returns the folder that all paths are relative to.
    pub(super) fn root(target: &Dir) -> io::Result<Self> {
        Ok(Self {
            path: Vec::new(),
            existing: Existing::Here(target.try_clone()?),
            new: OnceLock::new(),
            over: OnceLock::new(),
            _permit: None,
        })
    }

    /// Returns the folder `component` in `self`, and what is in its way in the target.
    pub(super) fn child(
        &self,
        component: &[u8],
        trees: &Trees,
        writes: bool,
        permit: Permit,
    ) -> io::Result<(Self, Option<Obstacle>)> {
        let os_name = platform::os_name(component).ok_or(io::ErrorKind::InvalidFilename)?;
        let os_name = Path::new(&os_name);
        let mut obstacle = None;
        let existing = match &self.existing {
            Existing::Missing => Existing::Missing,
            Existing::Blocked => Existing::Blocked,
            Existing::Here(dir) => match platform::open_dir_no_follow(dir, os_name) {
                Ok(dir) => Existing::Here(dir),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Existing::Missing,
                Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                    let link = dir
                        .symlink_metadata(os_name)
                        .is_ok_and(|found| found.is_symlink());
                    obstacle = Some(if link { Obstacle::Link } else { Obstacle::File });
                    Existing::Blocked
                }
                Err(error) => return Err(error),
            },
        };
        let child = Self {
            path: name::join(&self.path, component),
            existing,
            new: OnceLock::new(),
            over: OnceLock::new(),
            _permit: Some(permit),
        };
        // What is in the target already needs no waiting copy until a file comes.
        if matches!(child.existing, Existing::Missing) && writes {
            let parent = self.tree(trees, Place::New)?;
            match make_dir(parent, os_name, 0o755) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
                _ => {}
            }
            let _ = child
                .new
                .set(platform::open_dir_no_follow(parent, os_name)?); // It is empty.
        }
        Ok((child, obstacle))
    }

    /// Returns the folder's handle in one of `trees`, making it at the first call.
    pub(super) fn tree(&self, trees: &Trees, place: Place) -> io::Result<&Dir> {
        let cell = match place {
            Place::New => &self.new,
            Place::Over => &self.over,
        };
        if let Some(dir) = cell.get() {
            return Ok(dir);
        }
        let path = platform::os_name(&self.path).ok_or(io::ErrorKind::InvalidFilename)?;
        let dir = make_below(trees.tree(place), Path::new(&path))?;
        // Another thread may have been faster; its handle is as good.
        Ok(cell.get_or_init(|| dir))
    }
}

/// Counts the open folders.
#[derive(Default)]
pub(super) struct Live {
    count: Mutex<usize>,
    fewer: Condvar,
}

/// Stands for one open folder.
pub(super) struct Permit(Arc<Live>);

impl Live {
    /// Returns a permit if there is one.
    pub(super) fn try_permit(self: &Arc<Self>) -> Option<Permit> {
        let mut count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        (*count < LIVE_LIMIT).then(|| {
            *count += 1;
            Permit(Arc::clone(self))
        })
    }

    /// Waits for a permit. The caller has handed on or dropped all but one folder of its own.
    pub(super) fn permit(self: &Arc<Self>) -> Permit {
        let count = self.count.lock().unwrap_or_else(PoisonError::into_inner);
        let mut count = self
            .fewer
            .wait_while(count, |count| *count >= LIVE_LIMIT)
            .unwrap_or_else(PoisonError::into_inner);
        *count += 1;
        Permit(Arc::clone(self))
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        *self.0.count.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
        self.0.fewer.notify_one();
    }
}

/// The folders used last, the very last at the end.
#[derive(Default)]
pub(super) struct Cache(Vec<Arc<Folder>>);

impl Cache {
    /// Returns the folder `path` or else the nearest one above it that is known.
    pub(super) fn nearest(&mut self, path: &[u8]) -> Option<Arc<Folder>> {
        let above = |folder: &Folder| {
            path.strip_prefix(folder.path.as_slice())
                .is_some_and(|rest| rest.is_empty() || rest[0] == b'/')
        };
        let (found, _) = self
            .0
            .iter()
            .enumerate()
            .filter(|(_, folder)| above(folder))
            .max_by_key(|(_, folder)| folder.path.len())?;
        self.0[found..].rotate_left(1);
        self.0.last().cloned()
    }

    /// Remembers `folder` as used last.
    pub(super) fn push(&mut self, folder: Arc<Folder>) {
        if self.0.len() == CACHE_LIMIT {
            self.0.remove(0);
        }
        self.0.push(folder);
    }

    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}
