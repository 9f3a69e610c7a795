//! The folder in the target where files wait until all of the run is known to be good.
//!
//! ```text
//! <target>/.kit-unpack-<random>/   mode 0700
//!   layer-new/      files of the layer being read, where nothing is in the target
//!   layer-over/     files of that layer that replace what is in the target
//!   ready-new/      the same of the layers whose digests have held
//!   ready-over/
//!   trash/          folders being removed
//! ```

use std::{
    io,
    path::{Path, PathBuf},
};

use cap_std::fs::{Dir, DirBuilder};

use super::target::{self, Target};
use crate::{archive::Error, failpoint::failpoint, platform};

/// Two trees of files that wait: those for free places, and those that replace something.
pub(super) struct Trees {
    pub(super) new: Dir,
    pub(super) over: Dir,
}

/// Which of two trees a file waits in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Place {
    New,
    Over,
}

impl Trees {
    pub(super) const fn tree(&self, place: Place) -> &Dir {
        match place {
            Place::New => &self.new,
            Place::Over => &self.over,
        }
    }
}

/// The staging folder of one run. Dropping it removes it.
pub(super) struct Staging {
    target: Dir,
    name: PathBuf,
    dir: Dir,
    removed: bool,
}

impl Staging {
    /// Makes the staging folder in `target`, and removes those that killed runs left there.
    pub(super) fn create(target: &Target) -> Result<Self, Error> {
        let fail = |source| Error::Target {
            path: target.path().to_owned(),
            source,
        };
        let name = target::staging_name();
        let leftovers = target.leftovers().map_err(fail)?;
        make_dir(target.dir(), &name, 0o700).map_err(fail)?;
        let staging = Self {
            target: target.dir().try_clone().map_err(fail)?,
            dir: platform::open_dir_no_follow(target.dir(), &name).map_err(fail)?,
            name,
            removed: false,
        };
        let trash = staging.make("trash").map_err(fail)?;
        for (number, leftover) in leftovers.iter().enumerate() {
            let _ = target.dir().rename(leftover, &trash, number.to_string()); // Then it stays.
        }
        empty_trash(&trash).map_err(fail)?;
        staging.make("ready-new").map_err(fail)?;
        staging.make("ready-over").map_err(fail)?;
        Ok(staging)
    }

    fn make(&self, name: &str) -> io::Result<Dir> {
        make_dir(&self.dir, Path::new(name), 0o700)?;
        self.dir.open_dir(name)
    }

    /// Returns the trees of a layer that is about to be read.
    pub(super) fn begin_layer(&self) -> io::Result<Trees> {
        Ok(Trees {
            new: self.make("layer-new")?,
            over: self.make("layer-over")?,
        })
    }

    /// Returns the trees of the layers that have held.
    pub(super) fn ready(&self) -> io::Result<Trees> {
        Ok(Trees {
            new: self.dir.open_dir("ready-new")?,
            over: self.dir.open_dir("ready-over")?,
        })
    }

    /// Removes what is left of the trees of a layer.
    pub(super) fn end_layer(&self) -> io::Result<()> {
        self.remove(&["layer-new", "layer-over"])
    }

    fn remove(&self, names: &[&str]) -> io::Result<()> {
        let trash = self.dir.open_dir("trash")?;
        for name in names {
            match self.dir.rename(name, &trash, name) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
        }
        empty_trash(&trash)
    }

    /// Removes the staging folder and all that still waits in it.
    pub(super) fn close(mut self) -> io::Result<()> {
        self.remove_all()
    }

    fn remove_all(&mut self) -> io::Result<()> {
        if self.removed {
            return Ok(());
        }
        self.remove(&["layer-new", "layer-over", "ready-new", "ready-over"])?;
        self.dir.remove_dir("trash")?;
        failpoint!("unpack.staging.remove", self.target.remove_dir(&self.name))?;
        self.removed = true;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        let _ = self.remove_all(); // The next run into this target sweeps it.
    }
}

/// Makes the folder `name` in `dir`; the umask takes what it takes of `mode`.
pub(super) fn make_dir(dir: &Dir, name: &Path, mode: u32) -> io::Result<()> {
    let mut builder = DirBuilder::new();
    #[cfg(unix)]
    cap_std::fs::DirBuilderExt::mode(&mut builder, mode);
    #[cfg(not(unix))]
    let _ = mode; // No such thing.
    failpoint!("unpack.folder.create", dir.create_dir_with(name, &builder))
}

/// Opens the folder `path` below `root`, following no link on the way and holding at most two
/// handles.
pub(super) fn open_below(root: &Dir, path: &Path) -> io::Result<Dir> {
    let mut dir = root.try_clone()?;
    for component in path {
        dir = platform::open_dir_no_follow(&dir, Path::new(component))?;
    }
    Ok(dir)
}

/// Opens the folder `path` below `root` as [`open_below`] does, making what is missing.
pub(super) fn make_below(root: &Dir, path: &Path) -> io::Result<Dir> {
    let mut dir = root.try_clone()?;
    for component in path {
        let component = Path::new(component);
        match make_dir(&dir, component, 0o755) {
            Err(error) if error.kind() != io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        dir = platform::open_dir_no_follow(&dir, component)?;
    }
    Ok(dir)
}

/// Removes all that is in `trash`. Folders found in its folders are moved up first, so that
/// however deep a tree is, three handles and no memory are enough.
fn empty_trash(trash: &Dir) -> io::Result<()> {
    let mut moved = 0_u64;
    loop {
        let mut found = false;
        for entry in trash.entries()? {
            found = true;
            let entry = entry?;
            let name = PathBuf::from(entry.file_name());
            if !entry.file_type()?.is_dir() {
                trash.remove_file(&name)?;
                continue;
            }
            let folder = platform::open_dir_no_follow(trash, &name)?;
            for child in folder.entries()? {
                let child = child?;
                if child.file_type()?.is_dir() {
                    moved += 1;
                    folder.rename(child.file_name(), trash, format!("moved-{moved}"))?;
                } else {
                    folder.remove_file(child.file_name())?;
                }
            }
            match trash.remove_dir(&name) {
                // Its listing missed something that moved: the next round sees it.
                Err(error) if error.kind() == io::ErrorKind::DirectoryNotEmpty => {}
                result => result?,
            }
        }
        if !found {
            return Ok(());
        }
    }
}
