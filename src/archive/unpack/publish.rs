//! Moving trees of waiting files to where they belong: whole folders by one rename where nothing
//! of that name is there, single files elsewhere. Where a folder of the target is on another
//! device, files are copied into it under a name of no meaning and renamed there.

use std::{
    io::{self, Read},
    path::{Path, PathBuf},
};

use cap_std::fs::{Dir, OpenOptions};

use super::{
    staging::{make_dir, open_below},
    target::staging_name,
};
use crate::{archive::Obstacle, failpoint::failpoint, platform};

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
    each_folder(from, to, taken, &mut |from, name, to| match failpoint!(
        "unpack.rename.new",
        platform::rename_new(from, name, to, name)
    ) {
        Ok(()) => Ok(Moved::Yes),
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
            Ok(if from.symlink_metadata(name)?.is_dir() {
                Moved::Descend
            } else {
                Moved::No(Obstacle::Appeared)
            })
        }
        Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
            if from.symlink_metadata(name)?.is_dir() {
                match make_dir(to, name, 0o755) {
                    Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(error),
                    _ => platform::sync_open_dir(to).map(|()| Moved::Descend),
                }
            } else {
                copy(from, name, to, &|copied| {
                    platform::rename_new(to, copied, to, name)
                })
            }
        }
        Err(error) => Err(error),
    })
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
        let moved = match failpoint!("unpack.rename.over", from.rename(name, to, name)) {
            Ok(()) => Ok(Moved::Yes),
            Err(error) if error.kind() == io::ErrorKind::CrossesDevices => {
                copy(from, name, to, &|copied| to.rename(copied, to, name))
            }
            Err(error) => Err(error),
        };
        match moved {
            Err(error) if error.kind() == io::ErrorKind::IsADirectory => {
                Ok(Moved::No(Obstacle::Folder))
            }
            moved => moved,
        }
    })
}

/// Copies the file `name` to `to`, which is on another device, and has `rename` put the copy in
/// its place. The copy is durable: syncing the device of the target says nothing of this one.
fn copy(
    from: &Dir,
    name: &Path,
    to: &Dir,
    rename: &dyn Fn(&Path) -> io::Result<()>,
) -> io::Result<Moved> {
    let mut waiting = platform::open_file_no_follow(from, name)?;
    let copied = staging_name();
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    let mut file = to.open_with(&copied, &options)?;
    let renamed = io::copy(&mut waiting, &mut file)
        .and_then(|_| file.set_permissions(waiting.metadata()?.permissions()))
        .and_then(|()| file.sync_all())
        .and_then(|()| rename(&copied));
    match renamed {
        Ok(()) => {}
        Err(error) => {
            let _ = to.remove_file(&copied); // The first error is the one to tell.
            return match error.kind() {
                io::ErrorKind::AlreadyExists => Ok(Moved::No(Obstacle::Appeared)),
                _ => Err(error),
            };
        }
    }
    from.remove_file(name)?;
    Ok(Moved::Copied)
}

/// What became of one name.
enum Moved {
    Yes,
    /// Onto another device.
    Copied,
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
        let mut copied = false;
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
                    Moved::Copied => (moved, copied) = (true, true),
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
        if copied {
            platform::sync_open_dir(&to).map_err(fail)?;
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

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use std::{fs, os::unix::fs::MetadataExt};

    use cap_std::ambient_authority;
    use tempfile::TempDir;

    use super::*;

    /// Returns folders on two devices; on one, and so of less use, where there is one only.
    fn devices() -> [TempDir; 2] {
        let device = |path: &Path| fs::metadata(path).ok().map(|found| found.dev());
        let here = tempfile::tempdir().unwrap();
        let others = ["/dev/shm", "/var/tmp", "/tmp", "."].map(Path::new);
        let other = others
            .into_iter()
            .filter(|path| device(path) != device(here.path()))
            .find_map(|path| tempfile::tempdir_in(path).ok());
        [here, other.unwrap_or_else(|| tempfile::tempdir().unwrap())]
    }

    fn open(folder: &TempDir) -> Dir {
        Dir::open_ambient_dir(folder.path(), ambient_authority()).unwrap()
    }

    // hazard: 40, 104
    #[test]
    fn files_and_folders_move_onto_another_device_and_replace_nothing() {
        let [from, to] = devices();
        fs::create_dir_all(from.path().join("model/deep")).unwrap();
        fs::write(from.path().join("model/deep/a"), "new").unwrap();
        fs::write(from.path().join("model/there"), "new").unwrap();
        fs::create_dir(to.path().join("model")).unwrap();
        fs::write(to.path().join("model/there"), "old").unwrap();
        let mut taken = Vec::new();
        move_new(&open(&from), &open(&to), &mut |path, obstacle| {
            taken.push((path.to_owned(), obstacle));
        })
        .unwrap();
        let there = PathBuf::from("model/there");
        assert_eq!(taken, [(there.clone(), Obstacle::Appeared)]);
        let read = |path: &str| fs::read_to_string(to.path().join(path)).unwrap();
        assert_eq!(
            (read("model/deep/a"), read("model/there")),
            ("new".into(), "old".into())
        );

        move_over(&open(&from), &open(&to), false, &mut |path, obstacle| {
            panic!("{} {obstacle:?}", path.display());
        })
        .unwrap();
        assert_eq!(read("model/there"), "new");
        // No copy that was given up stays.
        assert_eq!(fs::read_dir(to.path().join("model")).unwrap().count(), 2);
    }
}
