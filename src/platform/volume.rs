//! What a file system can do, found out without writing to it.

use std::{fs, io, path::Path};

use super::{FileStamp, sync_dir};

/// Whether a file system has something.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ability {
    /// It has.
    Yes,
    /// It has not.
    No,
    /// It depends on how it was made, or cannot be told from here.
    Unknown,
}

/// A file system, as seen from a directory in it.
#[derive(Clone, Debug)]
pub struct Volume {
    /// Its type, such as `ext4`; `None` where that cannot be told.
    pub kind: Option<&'static str>,
    /// Whether it is on another machine.
    pub is_network: bool,
    /// Whether names that differ in the case of letters are one name.
    pub folds_case: Ability,
    /// Whether copies can share their blocks.
    pub shares_blocks: Ability,
    /// Whether a file can have several names.
    pub links_files: Ability,
    /// Whether what was written to a directory can be made durable.
    pub syncs: Ability,
    /// Whether this user may write to the directory.
    pub is_writable: Ability,
}

/// A type of file system: the number that Linux calls it by, its name, whether copies can share
/// blocks, whether files can have several names, whether it is on another machine.
type Row = (u32, &'static str, Ability, Ability, bool);

use Ability::{No, Unknown, Yes};

const KINDS: &[Row] = &[
    (0x0000_ef53, "ext2/ext3/ext4", No, Yes, false),
    (0x5846_5342, "xfs", Unknown, Yes, false),
    (0x9123_683e, "btrfs", Yes, Yes, false),
    (0xca45_1a4e, "bcachefs", Yes, Yes, false),
    (0x2fc1_2fc1, "zfs", Unknown, Yes, false),
    (0xf2f5_2010, "f2fs", No, Yes, false),
    (0x0102_1994, "tmpfs", No, Yes, false),
    (0x794c_7630, "overlayfs", Unknown, Yes, false),
    (0x0000_4d44, "vfat", No, No, false),
    (0x2011_bab0, "exfat", No, No, false),
    (0x7366_746e, "ntfs3", No, Yes, false),
    (0x6573_5546, "fuse", Unknown, Unknown, false),
    (0x0000_6969, "nfs", Unknown, Yes, true),
    (0xff53_4d42, "cifs", Unknown, Unknown, true),
    (0xfe53_4d42, "smb2", Unknown, Unknown, true),
    (0x0102_1997, "9p", No, Unknown, true),
    (0x00c3_6400, "ceph", No, Yes, true),
    (0x0bd0_0bd0, "lustre", No, Yes, true),
    (0x4750_4653, "gpfs", No, Yes, true),
];

impl Volume {
    /// Looks at the file system that holds the directory `path`.
    pub fn of(path: &Path) -> Self {
        let row = magic(path).and_then(|magic| KINDS.iter().find(|row| row.0 == magic));
        Self {
            kind: row.map(|row| row.1),
            is_network: row.is_some_and(|row| row.4),
            folds_case: folds_case(path),
            shares_blocks: row.map_or(Unknown, |row| row.2),
            links_files: row.map_or(Unknown, |row| row.3),
            syncs: match sync_dir(path) {
                Ok(()) => Yes,
                // Not being allowed to look says nothing about the file system.
                Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Unknown,
                Err(_) => No,
            },
            is_writable: is_writable(path),
        }
    }
}

/// Looks whether the last name of `path` with other letters leads to the same place.
fn folds_case(path: &Path) -> Ability {
    let Ok(path) = fs::canonicalize(path) else {
        return Unknown;
    };
    let Some(name) = path.file_name().and_then(|name| name.to_str()) else {
        return Unknown;
    };
    let swap = |c: char| {
        if c.is_ascii_lowercase() {
            c.to_ascii_uppercase()
        } else {
            c.to_ascii_lowercase()
        }
    };
    let swapped: String = name.chars().map(swap).collect();
    if swapped == name {
        return Unknown;
    }
    let (Ok(one), Ok(other)) = (
        fs::symlink_metadata(&path),
        fs::symlink_metadata(path.with_file_name(swapped)),
    ) else {
        return No;
    };
    let (one, other) = (FileStamp::of(&one), FileStamp::of(&other));
    if (one.device, one.inode) != (other.device, other.inode) {
        No
    } else if one.inode == 0 {
        Unknown // Nothing to tell them apart by.
    } else {
        Yes
    }
}

#[cfg(target_os = "linux")]
fn magic(path: &Path) -> Option<u32> {
    let stat = rustix::fs::statfs(path).ok()?;
    // The field is as wide as the machine, the numbers have 32 bits.
    let bytes = stat.f_type.to_le_bytes();
    let magic = u32::from_le_bytes(bytes[..4].try_into().ok()?);
    Some(magic)
}

#[cfg(not(target_os = "linux"))]
fn magic(_path: &Path) -> Option<u32> {
    None
}

#[cfg(unix)]
fn is_writable(path: &Path) -> Ability {
    let needed = rustix::fs::Access::WRITE_OK | rustix::fs::Access::EXEC_OK;
    match rustix::fs::access(path, needed) {
        Ok(()) => Yes,
        Err(_) => No,
    }
}

#[cfg(not(unix))]
fn is_writable(path: &Path) -> Ability {
    match fs::metadata(path) {
        Ok(metadata) if metadata.permissions().readonly() => No,
        _ => Unknown,
    }
}

/// Returns how many files this process may have open; `None` for no limit, or none known.
pub fn open_files_limit() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_is_looked_at_without_a_trace() {
        let folder = tempfile::Builder::new().prefix("Volume").tempdir().unwrap();
        let before = fs::metadata(folder.path()).unwrap().modified().unwrap();
        let volume = Volume::of(folder.path());
        assert_ne!(volume.is_writable, No);
        assert_eq!(volume.folds_case == Yes, cfg!(target_os = "macos"));
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
        let after = fs::metadata(folder.path()).unwrap().modified().unwrap();
        assert_eq!(before, after);
    }

    #[test]
    fn no_two_kinds_share_a_number() {
        for (place, row) in KINDS.iter().enumerate() {
            assert!(
                KINDS[..place].iter().all(|other| other.0 != row.0),
                "{row:?}"
            );
        }
    }
}
