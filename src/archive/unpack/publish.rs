//! Moving trees of waiting files to where they belong: whole folders by one rename where nothing
//! of that name is there, single files elsewhere.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use cap_std::fs::Dir;

use super::staging::open_below;
use crate::{archive::Obstacle, platform};

/// What could not be moved, and why the system refused.
pub(super) type Failure = (PathBuf, io::Error);

/// Moves all that is in the tree `from` to the free places of the tree `to`. What is not free is
/// left and told to `taken`. Follows no link, replaces nothing, and holds a handful of handles
/// however deep the trees are.
pub(super) fn move_new(
    from: &Dir,
    to: &Dir,
    taken: &mut dyn FnMut(&Path, Obstacle),
) -> Result<(), Failure> {
    each_folder(
        from,
        to,
        taken,
        &mut |from, name, to| match platform::rename_new(from, name, to, name) {
            Ok(()) => Ok(Moved::Yes),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Ok(if from.symlink_metadata(name)?.is_dir() {
                    Moved::Descend
                } else {
                    Moved::No(Obstacle::Appeared)
                })
            }
            Err(error) => Err(error),
        },
    )
}

/// Moves all files of the tree `from` over those of the tree `to`. With `only_longer` a file is
/// replaced only if it still is the beginning of the new one.
pub(super) fn move_over(
    from: &Dir,
    to: &Dir,
    only_longer: bool,
    taken: &mut dyn FnMut(&Path, Obstacle),
) -> Result<(), Failure> {
    each_folder(from, to, taken, &mut |from, name, to| {
        if from.symlink_metadata(name)?.is_dir() {
            return Ok(Moved::Descend);
        }
        if only_longer && !is_beginning(to, from, name)? {
            return Ok(Moved::No(Obstacle::Appeared));
        }
        match from.rename(name, to, name) {
            Ok(()) => Ok(Moved::Yes),
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                Ok(Moved::No(Obstacle::Folder))
            }
            Err(error) => Err(error),
        }
    })
}

/// What became of one name.
enum Moved {
    Yes,
    No(Obstacle),
    /// A folder on both sides.
    Descend,
}

fn each_folder(
    from_root: &Dir,
    to_root: &Dir,
    taken: &mut dyn FnMut(&Path, Obstacle),
    transfer: &mut dyn FnMut(&Dir, &Path, &Dir) -> io::Result<Moved>,
) -> Result<(), Failure> {
    let mut pending = vec![PathBuf::new()];
    while let Some(folder) = pending.pop() {
        let fail = |error| (folder.clone(), error);
        let from = open_below(from_root, &folder).map_err(fail)?;
        let to = match open_below(to_root, &folder) {
            Err(error) if error.kind() == io::ErrorKind::NotADirectory => {
                taken(&folder, Obstacle::Appeared);
                continue;
            }
            result => result.map_err(fail)?,
        };
        // A listing may miss names while others leave: list again until none leaves.
        loop {
            let mut moved = false;
            let mut folders = Vec::new();
            let mut obstacles = Vec::new();
            for entry in from.entries().map_err(fail)? {
                let name = PathBuf::from(entry.map_err(fail)?.file_name());
                let path = || folder.join(&name);
                match transfer(&from, &name, &to).map_err(|error| (path(), error))? {
                    Moved::Yes => moved = true,
                    Moved::No(obstacle) => obstacles.push((path(), obstacle)),
                    Moved::Descend => folders.push(path()),
                }
            }
            if !moved {
                pending.append(&mut folders);
                for (path, obstacle) in obstacles {
                    taken(&path, obstacle);
                }
                break;
            }
        }
    }
    Ok(())
}

/// Tells whether the file `name` in `short` is missing or the beginning of that in `long`.
fn is_beginning(short: &Dir, long: &Dir, name: &Path) -> io::Result<bool> {
    let mut short = match platform::open_file_no_follow(short, name) {
        Ok(file) => file,
        Err(error) => return Ok(error.kind() == io::ErrorKind::NotFound),
    };
    let mut long = platform::open_file_no_follow(long, name)?;
    let mut buffer = vec![0; 64 * 1024];
    let mut other = vec![0; 64 * 1024];
    loop {
        let read = short.read(&mut buffer)?;
        if read == 0 {
            return Ok(true);
        }
        match long.read_exact(&mut other[..read]) {
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(false),
            result => result?,
        }
        if buffer[..read] != other[..read] {
            return Ok(false);
        }
    }
}
