//! Unix: Linux, macOS and the BSDs.

use std::{
    borrow::Cow,
    ffi::OsStr,
    fs::{File, Metadata, OpenOptions, Permissions},
    io,
    os::unix::{
        ffi::OsStrExt,
        fs::{FileExt, FileTypeExt, MetadataExt, OpenOptionsExt, PermissionsExt},
    },
    path::Path,
};

use cap_std::fs::Dir;
use rustix::fs::{Mode, OFlags};

use super::FileStamp;

pub(super) fn stamp(metadata: &Metadata) -> FileStamp {
    let nanoseconds = |seconds: i64, rest: i64| seconds.saturating_mul(1_000_000_000) + rest;
    FileStamp {
        device: metadata.dev(),
        inode: metadata.ino(),
        size: metadata.len(),
        modified: nanoseconds(metadata.mtime(), metadata.mtime_nsec()),
        changed: nanoseconds(metadata.ctime(), metadata.ctime_nsec()),
    }
}

pub(super) fn sync_dir(path: &Path) -> io::Result<()> {
    File::open(path)?.sync_all()
}

pub(super) fn sync_open_dir(dir: &Dir) -> io::Result<()> {
    lock_handle(dir, Path::new("."))?.sync_all()
}

#[cfg(target_os = "linux")]
pub(super) fn sync_file_system(file: &File) -> io::Result<()> {
    Ok(rustix::fs::syncfs(file)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn sync_file_system(_file: &File) -> io::Result<()> {
    // No call for one file system: sync them all.
    rustix::fs::sync();
    Ok(())
}

pub(super) fn make_read_only(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o444))
}

pub(super) fn rename_new(from_dir: &Dir, from: &Path, to_dir: &Dir, to: &Path) -> io::Result<()> {
    #[cfg(any(target_os = "linux", target_vendor = "apple"))]
    {
        use rustix::{fs::RenameFlags, io::Errno};
        match rustix::fs::renameat_with(from_dir, from, to_dir, to, RenameFlags::NOREPLACE) {
            Ok(()) => return Ok(()),
            // A kernel or file system without the flag (NFS, old FUSE): go the long way.
            Err(Errno::INVAL | Errno::NOSYS | Errno::NOTSUP) => {}
            Err(errno) => return Err(errno.into()),
        }
    }
    if from_dir.symlink_metadata(from)?.is_dir() {
        // A rename over a directory fails unless that one is empty, and over a file it fails:
        // the worst that a racing neighbour can lose here is an empty directory.
        if to_dir.symlink_metadata(to).is_ok() {
            return Err(io::ErrorKind::AlreadyExists.into());
        }
        from_dir.rename(from, to_dir, to)
    } else {
        from_dir.hard_link(from, to_dir, to)?;
        from_dir.remove_file(from)
    }
}

#[cfg(target_os = "linux")]
pub(super) fn clone_content(from: &File, to: &cap_std::fs::File) -> io::Result<()> {
    Ok(rustix::fs::ioctl_ficlone(to, from)?)
}

#[cfg(not(target_os = "linux"))]
pub(super) fn clone_content(_from: &File, _to: &cap_std::fs::File) -> io::Result<()> {
    Err(io::ErrorKind::Unsupported.into())
}

pub(super) fn hard_link(from: &Path, dir: &Dir, name: &Path) -> io::Result<()> {
    let flags = rustix::fs::AtFlags::empty();
    Ok(rustix::fs::linkat(rustix::fs::CWD, from, dir, name, flags)?)
}

pub(super) fn may_write_everything() -> bool {
    rustix::process::geteuid().is_root()
}

pub(super) fn free_space(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    Some(stat.f_bavail.saturating_mul(stat.f_frsize))
}

pub(super) fn open_dir_no_follow(dir: &Dir, name: &Path) -> io::Result<Dir> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(handle) => Ok(Dir::from_std_file(File::from(handle))),
        // What a link is called depends on the system.
        Err(rustix::io::Errno::LOOP | rustix::io::Errno::NOTDIR) => {
            Err(io::ErrorKind::NotADirectory.into())
        }
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn open_file_no_follow(dir: &Dir, name: &Path) -> io::Result<cap_std::fs::File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match rustix::fs::openat(dir, name, flags, Mode::empty()) {
        Ok(handle) => {
            let file = File::from(handle);
            if !file.metadata()?.is_file() {
                return Err(io::ErrorKind::InvalidInput.into());
            }
            Ok(cap_std::fs::File::from_std(file))
        }
        Err(rustix::io::Errno::LOOP) => Err(io::ErrorKind::InvalidInput.into()),
        Err(errno) => Err(errno.into()),
    }
}

pub(super) fn lock_handle(dir: &Dir, _name: &Path) -> io::Result<File> {
    // Opened anew: handles of `cap_std` may be good for finding paths only.
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    Ok(File::from(rustix::fs::openat(
        dir,
        ".",
        flags,
        Mode::empty(),
    )?))
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "other systems cannot write every name"
)]
pub(super) fn os_name(bytes: &[u8]) -> Option<Cow<'_, OsStr>> {
    Some(Cow::Borrowed(OsStr::from_bytes(bytes)))
}

pub(super) fn open_to_read(path: &Path, follow: bool) -> io::Result<File> {
    let mut flags = OFlags::NONBLOCK | OFlags::NOCTTY;
    if !follow {
        flags |= OFlags::NOFOLLOW;
    }
    OpenOptions::new()
        .read(true)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

pub(super) fn open_private(path: &Path) -> io::Result<File> {
    let flags = OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::NOFOLLOW;
    OpenOptions::new()
        .read(true)
        .write(true)
        .create(true)
        .truncate(false)
        .mode(0o600)
        .custom_flags(flags.bits().cast_signed())
        .open(path)
}

pub(super) fn make_private(file: &File) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(0o600))
}

pub(super) fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    file.read_exact_at(buffer, offset)
}

pub(super) fn write_all_at(file: &File, buffer: &[u8], offset: u64) -> io::Result<()> {
    file.write_all_at(buffer, offset)
}

#[cfg(target_os = "linux")]
pub(super) fn reserve(file: &File, size: u64) -> io::Result<()> {
    use rustix::{fs::FallocateFlags, io::Errno};
    if size == 0 {
        return Ok(());
    }
    match rustix::fs::fallocate(file, FallocateFlags::empty(), 0, size) {
        Err(errno @ (Errno::NOSPC | Errno::DQUOT | Errno::FBIG)) => Err(errno.into()),
        // Not every file system can, and it is no loss.
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
#[expect(clippy::unnecessary_wraps, reason = "other systems can fail")]
pub(super) fn reserve(_file: &File, _size: u64) -> io::Result<()> {
    Ok(())
}

#[cfg(target_os = "linux")]
pub(super) fn share_content(source: &File, target: &File) -> bool {
    rustix::fs::ioctl_ficlone(target, source).is_ok()
}

#[cfg(not(target_os = "linux"))]
pub(super) fn share_content(_source: &File, _target: &File) -> bool {
    false
}

#[cfg(target_os = "linux")]
pub(super) fn settle(file: &File, offset: u64, length: u64) {
    use rustix::fs::Advice;
    let length = std::num::NonZeroU64::new(length);
    let _ = rustix::fs::fadvise(file, offset, length, Advice::DontNeed);
}

#[cfg(not(target_os = "linux"))]
pub(super) fn settle(_file: &File, _offset: u64, _length: u64) {}

pub(super) fn allocated(metadata: &Metadata) -> u64 {
    metadata.blocks().saturating_mul(512)
}

pub(super) fn mode(metadata: &Metadata) -> u32 {
    metadata.mode() & 0o7777
}

#[cfg(target_os = "linux")]
pub(super) fn has_execute_bit(path: &Path) -> bool {
    // MSDOS_SUPER_MAGIC, EXFAT_SUPER_MAGIC: their bits are an option of the mount. Others that may
    // have none (NTFS, CIFS, FUSE) may have some as well, and are believed.
    const WITHOUT: [u32; 2] = [0x4d44, 0x2011_bab0];
    rustix::fs::statfs(path)
        .ok()
        .and_then(|stat| u32::try_from(stat.f_type).ok())
        .is_none_or(|kind| !WITHOUT.contains(&kind))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn has_execute_bit(_path: &Path) -> bool {
    true
}

#[expect(
    clippy::unnecessary_wraps,
    reason = "other systems have names without bytes"
)]
pub(super) fn name_bytes(name: &OsStr) -> Option<&[u8]> {
    Some(name.as_bytes())
}

pub(super) fn special_kind(metadata: &Metadata) -> &'static str {
    let kind = metadata.file_type();
    if kind.is_fifo() {
        "a fifo"
    } else if kind.is_socket() {
        "a socket"
    } else {
        "a device"
    }
}
