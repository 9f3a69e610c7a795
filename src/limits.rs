//! The limits that whoever trusts a kit may move: what reading it may cost this machine.
//!
//! There are many more, and they stay as they are. What is written must be read by others, who know
//! nothing of a limit that was moved here; and longer paths are no use, since no system holds them.

/// What a compressed layer may unpack to, as a multiple of its size.
pub const EXPANSION_LIMIT: u64 = 1000;
/// The window of zstd that is read, in MiB: what zstd itself allows.
pub const WINDOW_LIMIT: u64 = 128;
/// The files of a tar file that kits are loaded from.
pub const TAR_FILES_LIMIT: u64 = 200_000;

/// A limit that can be moved.
#[derive(Debug)]
pub struct Limit {
    /// What it is called.
    pub name: &'static str,
    /// What counts if nothing is said.
    pub default: u64,
    /// What it can be moved to; never below 1.
    pub most: u64,
    /// What is counted.
    pub unit: &'static str,
    /// What is limited.
    pub what: &'static str,
    field: fn(&mut Limits) -> &mut u64,
}

/// What a layer may cost that is read.
pub const EXPANSION: Limit = Limit {
    name: "expansion",
    default: EXPANSION_LIMIT,
    most: u64::MAX,
    unit: "times the size",
    what: "how many times its size a compressed layer may unpack to",
    field: |limits| &mut limits.expansion,
};

/// How much memory it takes to read a layer in zstd.
pub const WINDOW: Limit = Limit {
    name: "window",
    default: WINDOW_LIMIT,
    most: 2048, // zstd knows no larger one.
    unit: "MiB",
    what: "how many MiB of memory it may take to read a layer in zstd",
    field: |limits| &mut limits.window,
};

/// How much memory the list of a tar file may take.
pub const TAR_FILES: Limit = Limit {
    name: "tar-files",
    default: TAR_FILES_LIMIT,
    most: u64::MAX,
    unit: "files",
    what: "how many files a tar file with kits may hold",
    field: |limits| &mut limits.tar_files,
};

/// All of them.
pub const ALL: [&Limit; 3] = [&EXPANSION, &WINDOW, &TAR_FILES];

/// The values that count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// That of [`EXPANSION`].
    pub expansion: u64,
    /// That of [`WINDOW`].
    pub window: u64,
    /// That of [`TAR_FILES`].
    pub tar_files: u64,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            expansion: EXPANSION.default,
            window: WINDOW.default,
            tar_files: TAR_FILES.default,
        }
    }
}

impl Limits {
    /// Moves a limit, to the farthest it can be moved if `value` is beyond that.
    pub fn set(&mut self, limit: &Limit, value: u64) {
        *(limit.field)(self) = value.clamp(1, limit.most);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_limit_moves_itself_alone_and_no_farther_than_it_can() {
        for limit in ALL {
            let mut limits = Limits::default();
            assert_eq!(*(limit.field)(&mut limits), limit.default, "{}", limit.name);
            limits.set(limit, limit.default + 1);
            assert_eq!(*(limit.field)(&mut limits), limit.default + 1);
            assert_ne!(limits, Limits::default());
            limits.set(limit, u64::MAX);
            assert_eq!(*(limit.field)(&mut limits), limit.most);
            limits.set(limit, 0);
            assert_eq!(*(limit.field)(&mut limits), 1);
            limits.set(limit, limit.default);
            assert_eq!(limits, Limits::default());
        }
    }
}
