//! Upload sessions that outlive a run: one file for each blob and repository. Its address may let
//! anyone write to that upload, so the file is for its user alone.

use std::{
    fs::{self, File, OpenOptions},
    io::{Read as _, Seek as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, failpoint::failpoint};

/// Bytes of a file that are read.
const MAX_SESSION_BYTES: u64 = 64 << 10;
/// How long sessions are kept, in days. Registries drop them after about as long.
const MAX_SESSION_DAYS: u64 = 7;

/// What a file says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Session {
    version: u32,
    /// Registry and repository.
    repository: String,
    digest: Digest,
    /// Where the next bytes go.
    location: String,
    /// How many bytes the registry said it has.
    offset: u64,
}

/// The file of one blob, locked as long as this lives. Where there can be none, nothing is kept,
/// and nothing else changes.
pub(super) struct Kept {
    file: Option<(File, PathBuf)>,
    repository: String,
    digest: Digest,
}

impl Kept {
    /// Opens the file for a blob that goes to `repository`. Another process that sends the same
    /// blob has it: then nothing is kept here.
    pub(super) fn open(folder: Option<&Path>, repository: &str, digest: Digest) -> Self {
        let file = folder.and_then(|folder| {
            let name = Digest::of(format!("{repository}@{digest}").as_bytes()).hex();
            let path = folder.join(format!("{name}.json"));
            fs::create_dir_all(folder).ok()?;
            let file = private(&path).ok()?;
            file.try_lock().ok()?;
            // Whoever had it before may have deleted it meanwhile.
            let there = fs::symlink_metadata(&path).ok()?;
            (there.is_file() && is_same(&there, &file)).then_some((file, path))
        });
        Self {
            file,
            repository: repository.to_owned(),
            digest,
        }
    }

    /// Returns where an earlier run left off: the address, and how much the registry had.
    pub(super) fn earlier(&mut self) -> Option<(String, u64)> {
        let (file, _) = self.file.as_mut()?;
        let mut text = Vec::new();
        file.rewind().ok()?;
        file.take(MAX_SESSION_BYTES).read_to_end(&mut text).ok()?;
        let session: Session = serde_json::from_slice(&text).ok()?;
        let is_this = session.version == 1
            && session.repository == self.repository
            && session.digest == self.digest;
        is_this.then_some((session.location, session.offset))
    }

    /// Writes down where the upload stands.
    pub(super) fn keep(&mut self, location: &str, offset: u64) {
        let session = Session {
            version: 1,
            repository: self.repository.clone(),
            digest: self.digest,
            location: location.to_owned(),
            offset,
        };
        let text = serde_json::to_vec(&session).expect("a session is text and numbers");
        let Some((file, _)) = &mut self.file else {
            return;
        };
        // A torn file is none at all, and costs what having none costs.
        let _ = file
            .rewind()
            .and_then(|()| file.set_len(0))
            .and_then(|()| failpoint!(write "upload.kept.write", &mut *file, &text));
    }

    /// Forgets the upload: it is done, or gone.
    pub(super) fn forget(&mut self) {
        if let Some((file, _)) = &mut self.file {
            let _ = file.set_len(0); // As good as no file.
        }
    }

    /// Deletes the file.
    pub(super) fn end(mut self) {
        if let Some((_, path)) = self.file.take() {
            let _ = fs::remove_file(path); // It is swept later.
        }
    }
}

/// Deletes the sessions in `folder` that nobody will resume.
pub(super) fn sweep(folder: &Path) {
    let Ok(listing) = fs::read_dir(folder) else {
        return;
    };
    let oldest = SystemTime::now().checked_sub(Duration::from_secs(MAX_SESSION_DAYS * 86_400));
    for entry in listing.flatten() {
        let path = entry.path();
        let is_ours = path.extension().is_some_and(|it| it == "json");
        let modified = entry.metadata().and_then(|it| it.modified());
        if is_ours && modified.is_ok_and(|it| oldest.is_some_and(|oldest| it < oldest)) {
            let is_free = File::open(&path).is_ok_and(|file| file.try_lock().is_ok());
            if is_free {
                let _ = fs::remove_file(path); // Another process may be as quick.
            }
        }
    }
}

fn private(path: &Path) -> std::io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(unix)]
fn is_same(there: &fs::Metadata, file: &File) -> bool {
    use std::os::unix::fs::MetadataExt as _;
    file.metadata()
        .is_ok_and(|it| (it.dev(), it.ino()) == (there.dev(), there.ino()))
}

#[cfg(not(unix))]
fn is_same(_: &fs::Metadata, _: &File) -> bool {
    true // An open file keeps its name there.
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_session_comes_back_for_its_blob_alone_and_is_for_its_user_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("uploads");
        let open = |name| Kept::open(Some(&path), name, Digest::of(b"x"));
        let mut kept = open("r.example/net");
        assert_eq!(kept.earlier(), None);
        kept.keep("https://r.example/upload/1?state=long", 5);
        kept.keep("https://r.example/u", 7);
        let mut second = open("r.example/net");
        assert_eq!(second.earlier(), None, "it is in use");
        second.keep("https://r.example/other", 9);
        second.end();
        drop(kept);
        assert_eq!(open("r.example/other").earlier(), None);
        let mut kept = open("r.example/net");
        assert_eq!(kept.earlier(), Some(("https://r.example/u".to_owned(), 7)));
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            for entry in fs::read_dir(&path).unwrap() {
                let mode = entry.unwrap().metadata().unwrap().permissions().mode();
                assert_eq!(mode & 0o777, 0o600);
            }
        }
        kept.forget();
        assert_eq!(kept.earlier(), None);
        kept.end();
        assert_eq!(open("r.example/net").earlier(), None);
    }

    #[test]
    fn junk_is_no_session_and_old_ones_go() {
        let folder = tempfile::tempdir().unwrap();
        let mut kept = Kept::open(Some(folder.path()), "r.example/net", Digest::of(b"x"));
        kept.keep("https://r.example/u", 7);
        let path = kept.file.as_ref().unwrap().1.clone();
        fs::write(&path, "{\"version\":1").unwrap();
        assert_eq!(kept.earlier(), None);
        drop(kept);
        let file = File::options().write(true).open(&path).unwrap();
        sweep(folder.path());
        assert!(path.exists());
        let old = SystemTime::now() - Duration::from_secs(8 * 86_400);
        file.set_modified(old).unwrap();
        sweep(folder.path());
        assert!(!path.exists());
    }
}
