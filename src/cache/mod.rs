//! What was found out before about files and layers, so that nothing is read or hashed twice.
//!
//! All of it lies in `<home>/cache/hashes/` and may vanish at any moment; what is damaged counts
//! as not there. Nothing here is an error: without a cache the work is done again.
//!
//! - `trees/<hash of a directory's path>`: which content its files have ([`Files`]);
//! - `recipes`: which layer comes out of which files ([`Recipes`]);
//! - `layers/<digest>`: what a layer holds ([`Listing`]);
//! - `places`: which repositories had which blobs ([`Places`]);
//! - `tables/<diffId>.tar` and `.raw`: its table of contents ([`Cache::table`]);
//! - `tables/<digest>.segments-<size>`: where it is cut into segments ([`Cache::segments`]);
//! - `lock`: held for the moment in which one of them is replaced.

mod files;
mod layers;
mod listing;
mod places;
mod segments;
mod stamp;
mod table;
mod tables;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, Ordering},
    time::{Duration, SystemTime},
};

pub use files::Files;
pub use layers::{Content, Known, Recipe, RecipeId, Recipes};
pub use listing::{Each, Item, Listing, order};
pub use places::Places;

use crate::{digest::Digest, platform};
use table::Table;

/// The most trees, and the most layers, that are remembered: more layers than one kit has shards.
const MAX_FILES_OF_A_KIND: usize = 10_000;

/// The most tables of contents that are remembered: large folders are many layers.
const MAX_TABLES: usize = 20_000;

/// The most bytes that are kept of trees, of layers, and of tables.
const MAX_BYTES_OF_A_KIND: u64 = 1 << 30;

const DAY: i64 = 86_400 * 1_000_000_000;

/// How a cache is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Use {
    /// What is known is believed, what is learnt is written down.
    All,
    /// Nothing is believed; what is learnt replaces what is there.
    WriteOnly,
}

/// The cache as one run of the program uses it.
#[derive(Debug)]
pub struct Cache {
    folder: PathBuf,
    mode: Use,
    /// When the run began, in nanoseconds since 1970.
    began: i64,
    /// Whether listings were written, of which there may now be too many.
    has_new_listings: AtomicBool,
    /// The same of tables of contents.
    has_new_tables: AtomicBool,
}

impl Cache {
    /// Returns the cache in `folder`, which need not exist. To be called before the first file is
    /// looked at: what is written from now on is not remembered.
    pub fn open(folder: &Path, mode: Use) -> Self {
        Self::open_at(folder, mode, stamp::now())
    }

    /// Does the same with a clock that stands at `began`.
    fn open_at(folder: &Path, mode: Use, began: i64) -> Self {
        Self {
            folder: folder.to_owned(),
            mode,
            began,
            has_new_listings: AtomicBool::new(false),
            has_new_tables: AtomicBool::new(false),
        }
    }

    /// Returns what is known of the files in the directory `tree`.
    pub fn files(&self, tree: &Path) -> Files<'_> {
        // Without links, so that the ways to one directory lead to one table.
        let tree = fs::canonicalize(tree).unwrap_or_else(|_| tree.to_owned());
        let name = Digest::of(tree.as_os_str().as_encoded_bytes()).hex();
        Files::open(self, self.path("trees").join(&name[..32]))
    }

    /// Returns the recipes that are known.
    pub fn recipes(&self) -> Recipes<'_> {
        Recipes::open(self)
    }

    /// Tells whether what is known is believed.
    pub const fn is_believed(&self) -> bool {
        matches!(self.mode, Use::All)
    }

    /// Removes listings and tables that are too many or too old, if any were added. A kit may have thousands
    /// of layers, so this is not done for each of them.
    pub fn tidy(&self) {
        if self.has_new_listings.swap(false, Ordering::Relaxed) {
            bound(&self.path("layers"), MAX_FILES_OF_A_KIND);
        }
        if self.has_new_tables.swap(false, Ordering::Relaxed) {
            bound(&self.path("tables"), MAX_TABLES);
        }
    }

    const fn began(&self) -> i64 {
        self.began
    }

    fn today(&self) -> u32 {
        u32::try_from(self.began / DAY).unwrap_or(0)
    }

    fn path(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    fn turn(&self) -> PathBuf {
        self.path("lock")
    }

    /// Writes `table` if something is new in it.
    fn save(&self, table: Table) {
        if !table.is_changed() {
            return;
        }
        let Some(folder) = table.path().parent().map(Path::to_owned) else {
            return;
        };
        // What cannot be written is found out again another time.
        let saved = fs::create_dir_all(&folder).and_then(|()| table.save(&self.turn()));
        if saved.is_ok() {
            bound(&folder, MAX_FILES_OF_A_KIND);
        }
    }
}

/// Removes from `folder` what has not been written for long, and the oldest of what is too much.
fn bound(folder: &Path, most: usize) {
    platform::sweep(folder);
    let age = Duration::from_secs(u64::from(table::MAX_AGE_DAYS) * 86_400);
    let oldest = SystemTime::now().checked_sub(age);
    let mut files = written(folder).unwrap_or_default();
    files.sort_unstable_by(|a, b| b.cmp(a));
    let mut total = 0;
    for (position, (time, size, path)) in files.iter().enumerate() {
        total += size;
        let is_old = oldest.is_some_and(|oldest| *time < oldest);
        if is_old || position >= most || position > 0 && total > MAX_BYTES_OF_A_KIND {
            let _ = fs::remove_file(path); // Another process may be as quick.
        }
    }
}

/// Returns the files in `folder` with the time they were written at and their size.
fn written(folder: &Path) -> io::Result<Vec<(SystemTime, u64, PathBuf)>> {
    let mut files = Vec::new();
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let metadata = entry.metadata()?;
        if metadata.is_file() && entry.file_name() != "lock" {
            files.push((metadata.modified()?, metadata.len(), entry.path()));
        }
    }
    Ok(files)
}
