//! Writes a Kitfile that was drafted into its directory.

use std::{
    fs::{self, File},
    hash::{BuildHasher as _, Hasher as _, RandomState},
    io::{self, Write as _},
    path::{Path, PathBuf},
};

use super::Error;
use crate::{
    archive::ignore::{FILE_NAME, line_for},
    kitfile::{Kitfile, NAMES},
    platform,
};

/// Returns the path of what goes by the name of a Kitfile in `directory`, whatever it is.
pub fn existing(directory: &Path) -> Result<Option<PathBuf>, Error> {
    for name in NAMES {
        let path = directory.join(name);
        match fs::symlink_metadata(&path) {
            Ok(_) => return Ok(Some(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(source) => return Err(Error::WriteKitfile { path, source }),
        }
    }
    Ok(None)
}

/// Adds lines to the ignore file of `directory` that leave out `paths`, and returns where it is.
pub fn ignore(directory: &Path, paths: &[String]) -> Result<PathBuf, Error> {
    let path = directory.join(FILE_NAME);
    // Through a link the file it leads to is written.
    let real = fs::canonicalize(&path).unwrap_or_else(|_| path.clone());
    let written = append(&real, paths);
    written.map_err(|source| Error::WriteKitfile {
        path: path.clone(),
        source,
    })?;
    Ok(path)
}

fn append(path: &Path, paths: &[String]) -> io::Result<()> {
    let (mut text, mode) = match fs::read(path) {
        Ok(text) => (text, Some(fs::metadata(path)?.permissions())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => (Vec::new(), None),
        Err(error) => return Err(error),
    };
    if !text.is_empty() && !text.ends_with(b"\n") {
        text.push(b'\n');
    }
    for path in paths {
        text.extend_from_slice(line_for(path).as_bytes());
        text.push(b'\n');
    }
    platform::replace(path, true, |file| file.write_all(&text))?;
    match mode {
        Some(mode) => fs::set_permissions(path, mode),
        None => Ok(()),
    }
}

/// Writes `kitfile` into `directory` and returns where it is. It appears whole or not at all; what
/// goes by one of its names is replaced with `overwrite`, a link itself and not what it leads to,
/// and is otherwise [`Error::KitfileExists`].
pub fn write(kitfile: &Kitfile, directory: &Path, overwrite: bool) -> Result<PathBuf, Error> {
    let existing = existing(directory)?;
    let path = match existing {
        Some(path) if !overwrite => return Err(Error::KitfileExists { path }),
        Some(path) => path,
        None => directory.join(NAMES[0]),
    };
    let random = RandomState::new().build_hasher().finish();
    let temporary = directory.join(format!(".kit-init-{random:016x}"));
    let result = write_whole(&temporary, kitfile.to_yaml().as_bytes())
        .and_then(|()| give_name(&temporary, &path, overwrite));
    match result {
        Ok(()) => {
            // Some file systems cannot: the file is there all the same.
            let _ = platform::sync_dir(or_here(directory));
            Ok(path)
        }
        Err(source) => {
            let _ = fs::remove_file(&temporary); // It may not be there.
            Err(match source.kind() {
                io::ErrorKind::AlreadyExists => Error::KitfileExists { path },
                _ => Error::WriteKitfile { path, source },
            })
        }
    }
}

fn write_whole(path: &Path, content: &[u8]) -> io::Result<()> {
    let mut file = File::create_new(path)?;
    file.write_all(content)?;
    file.sync_all()
}

fn give_name(temporary: &Path, path: &Path, overwrite: bool) -> io::Result<()> {
    if overwrite {
        return fs::rename(temporary, path);
    }
    // Nobody's Kitfile is lost that appeared since it was looked for.
    let directory = or_here(path.parent().unwrap_or(Path::new("")));
    let directory = cap_std::fs::Dir::open_ambient_dir(directory, cap_std::ambient_authority())?;
    let name = |path: &Path| PathBuf::from(path.file_name().unwrap_or_default());
    platform::rename_new(&directory, &name(temporary), &directory, &name(path))
}

/// Returns the folder of a path that may have none.
fn or_here(directory: &Path) -> &Path {
    if directory == Path::new("") {
        Path::new(".")
    } else {
        directory
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kitfile(name: &str) -> Kitfile {
        let mut kitfile = Kitfile::default();
        name.clone_into(&mut kitfile.package.name);
        kitfile
    }

    #[test]
    fn a_kitfile_that_appears_meanwhile_is_not_lost() {
        let folder = tempfile::tempdir().unwrap();
        let (temporary, path) = (folder.path().join("t"), folder.path().join("Kitfile"));
        fs::write(&temporary, "new").unwrap();
        fs::write(&path, "old").unwrap();
        let error = give_name(&temporary, &path, false).unwrap_err();
        assert_eq!(error.kind(), io::ErrorKind::AlreadyExists);
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
    }

    #[test]
    fn lines_leave_out_what_they_are_for_whatever_it_is_called() {
        let names = [
            "data/.env",
            ".x",
            "a b/.c ",
            "#d/.e",
            "!f/.g",
            "h/.[i]*?",
            "j/.\\k",
            "l/.\nm",
            "ä/.ö",
        ];
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join(FILE_NAME), "old").unwrap();
        let path = ignore(folder.path(), &names.map(str::to_owned)).unwrap();
        let text = fs::read_to_string(path).unwrap();
        let rules = crate::archive::ignore::IgnoreRules::parse(&text).unwrap();
        for name in names.iter().chain(&["old", "data/.env/below"]) {
            assert!(rules.decide(name.as_bytes()).ignored, "{name:?}: {text}");
        }
        for name in ["data", "data/env", "x", "h/.ii", "other"] {
            assert!(!rules.decide(name.as_bytes()).ignored, "{name:?}: {text}");
        }
    }

    #[test]
    fn nothing_stays_behind_when_it_cannot_be_written() {
        let folder = tempfile::tempdir().unwrap();
        fs::create_dir_all(folder.path().join("Kitfile/x")).unwrap();
        for overwrite in [false, true] {
            assert!(write(&kitfile("a"), folder.path(), overwrite).is_err());
        }
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }
}
