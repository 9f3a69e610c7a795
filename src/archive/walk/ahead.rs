//! Folders that are listed, and what is in them looked at, before the walk comes to them.
//!
//! The system takes a few microseconds to tell about a file, and there are many of them. Other
//! threads ask for the folders that come next; what becomes of the answers, and in which order,
//! stays with the one thread that walks. What was seen a moment before that is as good: a file that
//! has changed since is noticed when it is opened.

use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::{Condvar, Mutex, MutexGuard, PoisonError},
    thread,
};

use super::{Folder, List, Walk};
use crate::{
    archive::{
        error::Error,
        names::{Names, list},
    },
    platform,
};

/// How many folders of one are offered at a time.
const OFFERED: usize = 256;

/// When so many names wait for the walk, no more are fetched.
const WAITING: usize = 16 << 10;

/// How many files of a folder are looked at; of larger folders none, which bounds the memory.
const LOOKED_AT: usize = 8 << 10;

/// The most threads that help.
const HELPERS: usize = 3;

/// What a thread needs to list a folder.
const STACK: usize = 256 << 10;

/// What is listed ahead of the walk.
pub(super) struct Ahead {
    helpers: usize,
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    /// One for each folder being walked, outermost first.
    levels: Vec<Level>,
    /// How many levels there were.
    count: u64,
    /// How many names wait for the walk.
    waiting: usize,
    ended: bool,
}

struct Level {
    number: u64,
    /// What was offered and is still to be walked, in its order.
    below: VecDeque<Below>,
}

struct Below {
    /// Its place among the names of the folder it is in.
    position: usize,
    path: PathBuf,
    progress: Progress,
}

enum Progress {
    Offered,
    Begun,
    Done(Result<Names, Error>),
}

impl Ahead {
    /// Calls `walk` while other threads help, if there are cores for them.
    pub(super) fn of<T>(walk: impl FnOnce(&Self) -> T) -> T {
        let cores = thread::available_parallelism().map_or(1, usize::from);
        let ahead = Self {
            helpers: (cores - 1).min(HELPERS),
            state: Mutex::default(),
            changed: Condvar::new(),
        };
        thread::scope(|scope| {
            let _end = End(&ahead);
            for _ in 0..ahead.helpers {
                // Without it the walk does what is to be done.
                let thread = thread::Builder::new().stack_size(STACK);
                let _ = thread.spawn_scoped(scope, || ahead.help());
            }
            walk(&ahead)
        })
    }

    /// Tells whether it is of use to offer folders.
    pub(super) const fn has_helpers(&self) -> bool {
        self.helpers > 0
    }

    /// Begins with a folder in the one that was begun with last.
    pub(super) fn enter(&self) {
        let mut state = self.state();
        state.count += 1;
        let number = state.count;
        let below = VecDeque::new();
        state.levels.push(Level { number, below });
    }

    /// Ends the folder that was begun with last.
    pub(super) fn leave(&self) {
        let mut state = self.state();
        if let Some(level) = state.levels.pop() {
            let left: usize = level.below.iter().map(Below::names).sum();
            state.waiting -= left;
        }
    }

    /// Offers folders in the one that was begun with last: the places of their names, and their
    /// paths.
    pub(super) fn offer(&self, folders: impl Iterator<Item = (usize, PathBuf)>) {
        let mut state = self.state();
        if let Some(level) = state.levels.last_mut() {
            level.below.extend(folders.map(|(position, path)| Below {
                position,
                path,
                progress: Progress::Offered,
            }));
            self.changed.notify_all();
        }
    }

    /// Returns the names in `path`, whose own name has this position in the folder that was begun
    /// with last; `None` if nobody has begun to list it.
    pub(super) fn take(&self, position: usize, path: &Path) -> Option<Result<Names, Error>> {
        let mut state = self.state();
        loop {
            let level = state.levels.last_mut()?;
            let front = level.below.front()?;
            if front.position > position {
                return None;
            }
            if front.position == position && matches!(front.progress, Progress::Begun) {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let front = level.below.pop_front()?;
            state.waiting -= front.names();
            // Those before it were not walked after all.
            if front.position == position {
                self.changed.notify_all();
                return match front.progress {
                    Progress::Done(names) if front.path == path => Some(names),
                    _ => None,
                };
            }
        }
    }

    /// Lists what is offered until the walk has ended.
    fn help(&self) {
        let mut state = self.state();
        while !state.ended {
            let Some((level, position, path)) = state.next() else {
                state = self
                    .changed
                    .wait(state)
                    .unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            drop(state);
            let mut begun = Begun {
                ahead: self,
                level,
                position,
                names: None,
            };
            begun.names = Some(list(&path, LOOKED_AT));
            drop(begun);
            state = self.state();
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Every change to it is one step: a panic elsewhere cannot leave it half done.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    /// Returns what is to be listed next: in the innermost folder, for there the walk goes on.
    fn next(&mut self) -> Option<(u64, usize, PathBuf)> {
        if self.waiting >= WAITING {
            return None;
        }
        self.levels.iter_mut().rev().find_map(|level| {
            let mut below = level.below.iter_mut();
            let next = below.find(|it| matches!(it.progress, Progress::Offered))?;
            next.progress = Progress::Begun;
            Some((level.number, next.position, next.path.clone()))
        })
    }

    fn below(&mut self, level: u64, position: usize) -> Option<(&mut Level, usize)> {
        let level = self.levels.iter_mut().find(|it| it.number == level)?;
        let index = level.below.iter().position(|it| it.position == position)?;
        Some((level, index))
    }
}

impl Below {
    /// Returns how many names are kept of it.
    fn names(&self) -> usize {
        match &self.progress {
            Progress::Done(Ok(names)) => names.len(),
            _ => 0,
        }
    }
}

/// A folder that a helper lists. Whatever happens, nobody waits for it any more after that.
struct Begun<'a> {
    ahead: &'a Ahead,
    level: u64,
    position: usize,
    names: Option<Result<Names, Error>>,
}

impl Drop for Begun<'_> {
    fn drop(&mut self) {
        let mut state = self.ahead.state();
        let names = self.names.take();
        let count = match &names {
            Some(Ok(names)) => names.len(),
            _ => 0,
        };
        // Otherwise the walk has passed it.
        if let Some((level, index)) = state.below(self.level, self.position) {
            match names {
                Some(names) => level.below[index].progress = Progress::Done(names),
                None => {
                    level.below.remove(index);
                }
            }
            state.waiting += count;
        }
        self.ahead.changed.notify_all();
    }
}

/// Ends the helpers.
struct End<'a>(&'a Ahead);

impl Drop for End<'_> {
    fn drop(&mut self) {
        self.0.state().ended = true;
        self.0.changed.notify_all();
    }
}

impl Walk<'_> {
    /// Offers those of the next folders in `folder` that are to be walked to who lists them ahead.
    pub(super) fn offer(&self, folder: &Folder, list: &mut List) {
        list.offered = usize::MAX;
        if !self.ahead.has_helpers() {
            return;
        }
        let mut offered = Vec::new();
        let mut path = self.path.clone();
        for position in list.position..list.names.len() {
            if offered.len() == OFFERED {
                list.offered = position;
                break;
            }
            let Some(name) = list.names.get(position) else {
                break;
            };
            if !list.names.is_folder(position) {
                continue;
            }
            path.truncate(list.path_length);
            if list.path_length > 0 {
                path.push(b'/');
            }
            path.extend_from_slice(name);
            let is_ignored = || self.options.rules.judge(&folder.cover, &path).ignored;
            if self.is_covered(&path, folder.owner)
                && !is_ignored()
                && let Some(name) = platform::os_name(name)
            {
                offered.push((position, folder.on_disk.join(&*name)));
            }
        }
        self.ahead.offer(offered.into_iter());
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    fn folders(root: &Path, count: usize) -> Vec<PathBuf> {
        let paths = (0..count).map(|number| root.join(format!("{number:03}")));
        let paths: Vec<PathBuf> = paths.collect();
        for (number, path) in paths.iter().enumerate() {
            fs::create_dir(path).unwrap();
            for file in 0..number % 7 {
                fs::write(path.join(format!("{file}")), vec![b'x'; file]).unwrap();
            }
        }
        paths
    }

    /// Returns the names of a folder and how long the files are, as far as that was looked at.
    fn told(names: Names) -> Vec<(Vec<u8>, Option<u64>)> {
        let mut names = names;
        (0..names.len())
            .map(|position| {
                let seen = names.seen(position).map(|seen| seen.unwrap().len());
                (names.get(position).unwrap().to_vec(), seen)
            })
            .collect()
    }

    #[test]
    fn what_helpers_list_is_what_is_there_whatever_the_walk_leaves_out() {
        let root = tempfile::tempdir().unwrap();
        let paths = folders(root.path(), 200);
        for every in [1, 2, 3, 50] {
            let listed = Ahead::of(|ahead| {
                ahead.enter();
                ahead.offer(paths.iter().cloned().enumerate());
                let mut listed = 0;
                for (position, path) in paths.iter().enumerate().step_by(every) {
                    if let Some(names) = ahead.take(position, path) {
                        let expected: Vec<_> = (0..position % 7)
                            .map(|file| (format!("{file}").into_bytes(), Some(file as u64)))
                            .collect();
                        assert_eq!(told(names.unwrap()), expected);
                        listed += 1;
                    }
                    ahead.enter();
                    ahead.leave();
                }
                ahead.leave();
                let state = ahead.state();
                assert_eq!((state.waiting, state.levels.len()), (0, 0));
                listed
            });
            assert!(listed <= paths.len().div_ceil(every));
        }
    }

    #[test]
    fn a_folder_that_cannot_be_listed_is_an_error_only_where_it_is_walked() {
        let root = tempfile::tempdir().unwrap();
        let paths = folders(root.path(), 2);
        let gone = root.path().join("gone");
        Ahead::of(|ahead| {
            ahead.enter();
            ahead.offer(
                [
                    (0, paths[0].clone()),
                    (1, gone.clone()),
                    (2, paths[1].clone()),
                ]
                .into_iter(),
            );
            // The walk may be faster: then nobody has looked.
            if let Some(names) = ahead.take(1, &gone) {
                assert!(names.is_err());
            }
            // Another folder in its place is none of ours.
            assert!(ahead.take(2, &gone).is_none());
            assert!(ahead.take(2, &paths[1]).is_none(), "it is taken once");
        });
    }

    #[test]
    fn no_more_is_fetched_than_there_is_room_for() {
        let root = tempfile::tempdir().unwrap();
        let paths = folders(root.path(), 3);
        let mut state = State::default();
        state.levels.push(Level {
            number: 1,
            below: VecDeque::new(),
        });
        let below = &mut state.levels[0].below;
        below.extend(paths.iter().enumerate().map(|(position, path)| Below {
            position,
            path: path.clone(),
            progress: Progress::Offered,
        }));
        assert_eq!(state.next().map(|(_, position, _)| position), Some(0));
        state.waiting = WAITING;
        assert!(state.next().is_none());
        state.waiting = 0;
        assert_eq!(state.next().map(|(_, position, _)| position), Some(1));
    }
}
