//! The files of a layer, read as the walk saw them or not at all.

use std::{
    fs::File,
    io::{self, Read as _},
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    archive::error::Error,
    platform::{self, FileStamp},
};

/// A file whose content goes into a layer.
pub(super) struct Source {
    /// Its place among the files of the layer.
    pub(super) number: usize,
    pub(super) path: PathBuf,
    pub(super) stamp: FileStamp,
    pub(super) via_link: bool,
    /// The open file, if its content spans pieces: opened by the first worker that needs it.
    file: Mutex<Option<Arc<File>>>,
}

impl Source {
    pub(super) const fn new(
        number: usize,
        path: PathBuf,
        stamp: FileStamp,
        via_link: bool,
    ) -> Self {
        Self {
            number,
            path,
            stamp,
            via_link,
            file: Mutex::new(None),
        }
    }

    /// Fills `gap` with the content from `offset` on. `is_whole` says that this is all of it:
    /// then the file is closed at once, and is checked to be the same as before.
    pub(super) fn read(&self, gap: &mut [u8], offset: u64, is_whole: bool) -> Result<(), Error> {
        if is_whole {
            let file = self.open()?;
            self.fill(&file, gap, offset)?;
            if gap.is_empty() {
                check_empty(&file, &self.path)?;
            }
            return self.check_open(&file);
        }
        self.fill(&*self.shared()?, gap, offset)
    }

    /// Checks, after the last byte was read, that a file that spans pieces is still the one that
    /// was opened.
    pub(super) fn check(&self) -> Result<(), Error> {
        self.check_open(&*self.shared()?)
    }

    fn shared(&self) -> Result<Arc<File>, Error> {
        let mut file = self.file.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(file) = &*file {
            return Ok(Arc::clone(file));
        }
        let opened = Arc::new(self.open()?);
        *file = Some(Arc::clone(&opened));
        Ok(opened)
    }

    /// Opens the file, which must be the one that the walk saw.
    pub(super) fn open(&self) -> Result<File, Error> {
        let file = platform::open_to_read(&self.path, self.via_link)
            .map_err(|source| Error::read_file(&self.path, source))?;
        self.check_open(&file)?;
        Ok(file)
    }

    /// Checks that the open `file` is still the one that the walk saw.
    pub(super) fn check_open(&self, file: &File) -> Result<(), Error> {
        let metadata = file
            .metadata()
            .map_err(|source| Error::read_file(&self.path, source))?;
        if !metadata.is_file() || FileStamp::of(&metadata) != self.stamp {
            return Err(self.changed());
        }
        Ok(())
    }

    fn fill(&self, file: &File, gap: &mut [u8], offset: u64) -> Result<(), Error> {
        platform::read_exact_at(file, gap, offset).map_err(|source| {
            if source.kind() == io::ErrorKind::UnexpectedEof {
                self.changed()
            } else {
                Error::read_file(&self.path, source)
            }
        })
    }

    fn changed(&self) -> Error {
        Error::ChangedWhileReading {
            path: self.path.clone(),
        }
    }
}

/// Checks that a file that is said to be empty is. Files that are made when they are read, as in
/// `/proc`, and those of some network drives have no length.
pub(crate) fn check_empty(mut file: &File, path: &Path) -> Result<(), Error> {
    match file.read(&mut [0]) {
        Ok(0) => Ok(()),
        Ok(_) => Err(Error::NotEmpty {
            path: path.to_owned(),
        }),
        Err(source) => Err(Error::read_file(path, source)),
    }
}
