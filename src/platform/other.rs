//! Everything that is not Unix: in practice Windows.

use std::{
    borrow::Cow,
    ffi::OsStr,
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

pub(super) fn sync_open_dir(_dir: &Dir) -> io::Result<()> {
    Ok(())
}

pub(super) fn sync_file_system(file: &File) -> io::Result<()> {
    file.sync_all()
}

pub(super) fn make_read_only(_file: &File) -> io::Result<()> {
    Ok(())
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

pub(super) fn clone_content(_from: &File, _to: &cap_std::fs::File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn hard_link(_from: &Path, _dir: &Dir, _name: &Path) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn may_write_everything() -> bool {
    false
}

pub(super) fn free_space(_path: &Path) -> Option<u64> {
    None
}

pub(super) fn open_to_read(path: &Path, follow: bool) -> io::Result<File> {
    if !follow && std::fs::symlink_metadata(path)?.is_symlink() {
        return Err(io::Error::other("a link stands there"));
    }
    File::open(path)
}

pub(super) fn open_private(path: &Path) -> io::Result<File> {
    if std::fs::symlink_metadata(path).is_ok_and(|there| there.is_symlink()) {
        return Err(io::Error::other("a link stands there"));
    }
    File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .open(path)
}

pub(super) fn make_private(_file: &File) -> io::Result<()> {
    Ok(())
}

pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    let mut done = 0;
    while done < buffer.len() {
        match file.seek_read(&mut buffer[done..], offset + done as u64)? {
            0 => return Err(io::ErrorKind::UnexpectedEof.into()),
            read => done += read,
        }
    }
    Ok(())
}

pub(super) fn write_all_at(file: &File, buffer: &[u8], offset: u64) -> io::Result<()> {
    use std::os::windows::fs::FileExt;
    let mut done = 0;
    while done < buffer.len() {
        match file.seek_write(&buffer[done..], offset + done as u64)? {
            0 => return Err(io::ErrorKind::WriteZero.into()),
            written => done += written,
        }
    }
    Ok(())
}

#[expect(clippy::unnecessary_wraps, reason = "other systems can fail")]
pub(super) fn reserve(_file: &File, _size: u64) -> io::Result<()> {
    Ok(())
}

pub(super) fn share_content(_source: &File, _target: &File) -> bool {
    false
}

pub(super) fn settle(_file: &File, _offset: u64, _length: u64) {}

pub(super) fn has_execute_bit(_path: &Path) -> bool {
    false
}

pub(super) fn allocated(metadata: &Metadata) -> u64 {
    metadata.len()
}

pub(super) fn mode(metadata: &Metadata) -> u32 {
    if metadata.is_dir() { 0o755 } else { 0o644 }
}

pub(super) fn name_bytes(name: &OsStr) -> Option<&[u8]> {
    name.to_str().map(str::as_bytes)
}

pub(super) fn open_dir_no_follow(dir: &Dir, name: &Path) -> io::Result<Dir> {
    if !dir.symlink_metadata(name)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    // A link put here in between can lead no further than to a neighbour within `dir`.
    dir.open_dir(name)
}

pub(super) fn open_file_no_follow(dir: &Dir, name: &Path) -> io::Result<cap_std::fs::File> {
    if !dir.symlink_metadata(name)?.is_file() {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    dir.open(name)
}

pub(super) fn lock_handle(dir: &Dir, name: &Path) -> io::Result<File> {
    let mut options = cap_std::fs::OpenOptions::new();
    options.write(true).create(true);
    Ok(dir.open_with(name, &options)?.into_std())
}

pub(super) fn os_name(bytes: &[u8]) -> Option<Cow<'_, OsStr>> {
    let text = std::str::from_utf8(bytes).ok()?;
    Some(Cow::Borrowed(OsStr::new(text)))
}

pub(super) fn special_kind(_metadata: &Metadata) -> &'static str {
    "neither a file nor a folder"
}
