//! Everything that is not Unix: in practice Windows.

use std::{
    fs::{File, Metadata},
    io,
    path::Path,
    time::{SystemTime, UNIX_EPOCH},
};

use cap_std::fs::Dir;

use super::FileStamp;

pub(super) fn stamp(metadata: &Metadata) -> FileStamp {
    let nanoseconds = |time: io::Result<SystemTime>| {
        time.ok()
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .and_then(|since| i64::try_from(since.as_nanos()).ok())
            .unwrap_or(0)
    };
    FileStamp {
        device: 0,
        inode: 0,
        size: metadata.len(),
        modified: nanoseconds(metadata.modified()),
        changed: nanoseconds(metadata.created()),
    }
}

pub(super) fn sync_dir(_path: &Path) -> io::Result<()> {
    Ok(())
}

pub(super) fn sync_file_system(file: &File) -> io::Result<()> {
    file.sync_all()
}

pub(super) fn rename_new(from_dir: &Dir, from: &Path, to_dir: &Dir, to: &Path) -> io::Result<()> {
    if from_dir.symlink_metadata(from)?.is_dir() {
        if to_dir.symlink_metadata(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        from_dir.rename(from, to_dir, to)
    } else {
        // A rename would replace; a hard link never does.
        from_dir.hard_link(from, to_dir, to)?;
        from_dir.remove_file(from)
    }
}

pub(super) fn free_space(_path: &Path) -> Option<u64> {
    None
}
