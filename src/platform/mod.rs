//! What operating systems do differently, behind one set of names.
//!
//! Everything here is about files: making changes durable, renaming without replacing, telling
//! whether a file is still the one that was seen.

mod replace;
#[cfg(unix)]
mod unix;
#[cfg(unix)]
use unix as system;
#[cfg(not(unix))]
mod other;
#[cfg(not(unix))]
use other as system;
mod volume;

pub use volume::{Ability, Volume, open_files_limit};

use std::{
    borrow::Cow,
    ffi::OsStr,
    fs::{File, Metadata},
    io,
    path::Path,
};

pub use replace::{replace, sweep, turn};

/// What the file system tells about one version of a file. Two equal stamps taken at least one
/// clock tick apart mean the content was not changed in between by ordinary writes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FileStamp {
    /// The device the file is on (0 where there is no such number).
    pub device: u64,
    /// The file's number on that device (0 where there is no such number).
    pub inode: u64,
    /// The length in bytes.
    pub size: u64,
    /// When the content last changed, in nanoseconds since 1970.
    pub modified: i64,
    /// When the content or its description last changed, in nanoseconds since 1970.
    pub changed: i64,
}

impl FileStamp {
    /// Reads the stamp out of `metadata`.
    pub fn of(metadata: &Metadata) -> Self {
        system::stamp(metadata)
    }
}

/// Makes the names in directory `path` durable. Without effect where directories cannot be
/// synced (Windows, which journals names by itself).
pub fn sync_dir(path: &Path) -> io::Result<()> {
    system::sync_dir(path)
}

/// Makes the names in the open directory `dir` durable, as [`sync_dir`] does by path.
pub fn sync_open_dir(dir: &cap_std::fs::Dir) -> io::Result<()> {
    system::sync_open_dir(dir)
}

/// Makes all that was written to the file system holding `file` durable: one call in place of a
/// sync of each of many files.
pub fn sync_file_system(file: &File) -> io::Result<()> {
    system::sync_file_system(file)
}

/// Takes the right to write from everyone, so that no program changes the file by accident. Without
/// effect where that would also forbid deleting it (Windows).
pub fn make_read_only(file: &File) -> io::Result<()> {
    system::make_read_only(file)
}

/// Renames `from` to `to` only if nothing is at `to`: fails with [`io::ErrorKind::AlreadyExists`]
/// otherwise. Both are relative to the open directories.
pub fn rename_new(
    from_dir: &cap_std::fs::Dir,
    from: &Path,
    to_dir: &cap_std::fs::Dir,
    to: &Path,
) -> io::Result<()> {
    system::rename_new(from_dir, from, to_dir, to)
}

/// Makes the empty file `to` share the content of `from` until one of them is written to. Fails
/// where the file system, or this system, has no such sharing.
pub fn clone_content(from: &File, to: &cap_std::fs::File) -> io::Result<()> {
    system::clone_content(from, to)
}

/// Gives the file `from`, or the link if it is one, a second name in the open directory `dir`.
pub fn hard_link(from: &Path, dir: &cap_std::fs::Dir, name: &Path) -> io::Result<()> {
    system::hard_link(from, dir, name)
}

/// Tells whether this process may write even to what is read-only.
pub fn may_write_everything() -> bool {
    system::may_write_everything()
}

/// Returns how many bytes an ordinary user can still write to the file system holding `path`;
/// `None` where that cannot be told.
pub fn free_space(path: &Path) -> Option<u64> {
    system::free_space(path)
}

/// Opens `path` for reading without waiting for a writer (a fifo) and, unless `follow` is set,
/// without following a link that stands there.
pub fn open_to_read(path: &Path, follow: bool) -> io::Result<File> {
    system::open_to_read(path, follow)
}

/// Opens the file `path` for reading and writing, and makes it if it is not there, for its owner
/// alone. Never through a link that stands there, and without waiting for anyone (a fifo).
pub fn open_private(path: &Path) -> io::Result<File> {
    system::open_private(path)
}

/// Gives the right to read and to write to the owner alone. Without effect where files have no
/// such rights (Windows).
pub fn make_private(file: &File) -> io::Result<()> {
    system::make_private(file)
}

/// Fills `buffer` with the bytes of `file` from `offset` on; the file's own position is not used.
pub fn read_exact_at(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    system::read_exact_at(file, buffer, offset)
}

/// Writes `buffer` to `file` from `offset` on; the file's own position is not used.
pub fn write_all_at(file: &File, buffer: &[u8], offset: u64) -> io::Result<()> {
    system::write_all_at(file, buffer, offset)
}

/// Makes `file`, which is empty, `size` bytes long with room for all of them, where the file system
/// can do that at once; otherwise leaves it as it is. Fails only where the room is not there.
pub fn reserve(file: &File, size: u64) -> io::Result<()> {
    system::reserve(file, size)
}

/// Gives `target`, which is empty, the content of `source` by sharing its blocks, and returns
/// whether that could be done; otherwise `target` is as it was. Later changes of one do not change
/// the other.
pub fn share_content(source: &File, target: &File) -> bool {
    system::share_content(source, target)
}

/// Tells the system that nobody will soon read what was written to `file` so far from `offset` on
/// for `length` bytes: it starts writing it to the disk, and forgets what is there already.
pub fn settle(file: &File, offset: u64, length: u64) {
    system::settle(file, offset, length);
}

/// Returns how much of a file is on the disk: less than its length if it has holes, where that can
/// be told. File systems round up.
pub fn allocated(metadata: &Metadata) -> u64 {
    system::allocated(metadata).min(metadata.len())
}

/// Returns the permission bits, with setuid, setgid and sticky, as Unix has them; elsewhere those
/// of an ordinary file or folder.
pub fn mode(metadata: &Metadata) -> u32 {
    system::mode(metadata)
}

/// Tells whether files beside or below `path` have an execute bit of their own. Where they have not
/// (Windows; FAT and exFAT as Linux mounts them) the one that is shown is the same for all.
pub fn has_execute_bit(path: &Path) -> bool {
    system::has_execute_bit(path)
}

/// Returns the bytes of a file name as an archive holds them: as they are on Unix, UTF-8
/// elsewhere. `None` for a name that has no such form.
pub fn name_bytes(name: &OsStr) -> Option<&[u8]> {
    system::name_bytes(name)
}

/// Opens the directory `name` in `dir`, never through a symbolic link: something else of that
/// name is [`io::ErrorKind::NotADirectory`]. `name` is one component.
pub fn open_dir_no_follow(dir: &cap_std::fs::Dir, name: &Path) -> io::Result<cap_std::fs::Dir> {
    system::open_dir_no_follow(dir, name)
}

/// Opens the regular file `name` in `dir` for reading, never through a symbolic link and without
/// waiting for a writer of a fifo: something else of that name is
/// [`io::ErrorKind::InvalidInput`]. `name` is one component.
pub fn open_file_no_follow(dir: &cap_std::fs::Dir, name: &Path) -> io::Result<cap_std::fs::File> {
    system::open_file_no_follow(dir, name)
}

/// Returns an open file to lock in the name of the directory `dir`, or to sync the file system
/// by: the directory itself where that can be, else the file `name` in it, which is made and
/// stays.
pub fn lock_handle(dir: &cap_std::fs::Dir, name: &Path) -> io::Result<File> {
    system::lock_handle(dir, name)
}

/// Returns how the system writes the file name or relative path `bytes`; `None` if it cannot
/// (names that are not UTF-8 exist only on Unix).
pub fn os_name(bytes: &[u8]) -> Option<Cow<'_, OsStr>> {
    system::os_name(bytes)
}

/// Returns what a thing is that is neither a file nor a folder nor a link, with its article.
pub fn special_kind(metadata: &Metadata) -> &'static str {
    system::special_kind(metadata)
}
