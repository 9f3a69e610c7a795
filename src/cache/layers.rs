//! The second table: which layer comes out of a recipe.
//!
//! A recipe is all that the bytes of a layer depend on: what stands in it in which order, and how
//! it is written. It is made in two ways. By *content* a file is its digest: equal files make
//! equal layers wherever they lie. By *stamp* a file is what the file system tells about it: that
//! recipe needs no look at single files, and is enough for a tree that nobody has touched.

use super::{
    Cache,
    stamp::is_settled,
    table::{DAY, Kind, Table},
};
use crate::{
    digest::{Digest, Hasher},
    platform::FileStamp,
};

/// The most recipes that are remembered.
pub(super) const MAX_RECIPES: usize = 100_000;

const KIND: Kind = Kind {
    magic: b"kit cache recipes 1    \n",
    key: 32,
    record: 32 + 32 + 32 + 8 + 8 + DAY,
    most: MAX_RECIPES,
};

/// What comes out of a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Known {
    /// The digest of the layer.
    pub digest: Digest,
    /// The layer's length in bytes.
    pub size: u64,
    /// The digest of what it decompresses to; the same without compression.
    pub diff_id: Digest,
    /// The length of that.
    pub plain_size: u64,
}

/// What names a recipe.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RecipeId {
    digest: Digest,
    /// Whether it rests on nothing that is too young to be believed later.
    is_settled: bool,
}

/// A recipe being put together.
pub struct Recipe {
    hasher: Hasher,
    began: i64,
    is_settled: bool,
}

/// What stands for the content of a file in a recipe.
#[derive(Clone, Copy)]
pub enum Content<'a> {
    /// Its digest.
    Digest(&'a Digest),
    /// What the file system tells about it.
    Stamp(&'a FileStamp),
}

impl Recipe {
    /// Returns a recipe without entries. `writing` is how the layer is written, in words that
    /// change whenever the same entries make other bytes.
    pub fn new(cache: &Cache, writing: &str) -> Self {
        let mut recipe = Self {
            hasher: Hasher::new(),
            began: cache.began(),
            is_settled: true,
        };
        recipe.hasher.update(b"kit recipe 1\n");
        recipe.text(writing.as_bytes());
        recipe
    }

    /// Adds a folder.
    pub fn folder(&mut self, path: &[u8], mode: u32) {
        self.hasher.update(b"d");
        self.hasher.update(&mode.to_le_bytes());
        self.text(path);
    }

    /// Adds a file of `size` bytes.
    pub fn file(&mut self, path: &[u8], mode: u32, size: u64, content: Content<'_>) {
        let mut fields = [0; 1 + 4 + 8 + 32];
        fields[1..5].copy_from_slice(&mode.to_le_bytes());
        fields[5..13].copy_from_slice(&size.to_le_bytes());
        match content {
            Content::Digest(digest) => {
                fields[0] = b'f';
                fields[13..].copy_from_slice(digest.as_bytes());
            }
            Content::Stamp(stamp) => {
                fields[0] = b's';
                fields[13..21].copy_from_slice(&stamp.device.to_le_bytes());
                fields[21..29].copy_from_slice(&stamp.inode.to_le_bytes());
                fields[29..37].copy_from_slice(&stamp.modified.to_le_bytes());
                fields[37..].copy_from_slice(&stamp.changed.to_le_bytes());
                self.is_settled &= is_settled(stamp, self.began);
            }
        }
        self.hasher.update(&fields);
        self.text(path);
    }

    /// Ends the recipe.
    pub fn finish(self) -> RecipeId {
        RecipeId {
            digest: self.hasher.finish(),
            is_settled: self.is_settled,
        }
    }

    fn text(&mut self, text: &[u8]) {
        self.hasher.update(&(text.len() as u64).to_le_bytes());
        self.hasher.update(text);
    }
}

/// The recipes that are known.
pub struct Recipes<'c> {
    cache: &'c Cache,
    table: Table,
}

impl<'c> Recipes<'c> {
    pub(super) fn open(cache: &'c Cache) -> Self {
        let read = if cache.is_believed() {
            Table::read
        } else {
            Table::blank
        };
        Self {
            cache,
            table: read(&KIND, cache.path("recipes"), cache.today()),
        }
    }

    /// Returns what comes out of a recipe, if that is known.
    pub fn find(&mut self, recipe: RecipeId) -> Option<Known> {
        let record = self.table.find(recipe.digest.as_bytes())?;
        let digest = |start: usize| {
            let bytes = record[start..start + 32].try_into();
            Digest::from_bytes(bytes.expect("32 bytes were cut out"))
        };
        let number = |start: usize| {
            let bytes = record[start..start + 8].try_into();
            u64::from_le_bytes(bytes.expect("eight bytes were cut out"))
        };
        Some(Known {
            digest: digest(32),
            diff_id: digest(64),
            size: number(96),
            plain_size: number(104),
        })
    }

    /// Remembers what came out of a recipe, unless a file in it might be changed without that
    /// being seen.
    pub fn learn(&mut self, recipe: RecipeId, known: &Known) {
        if !recipe.is_settled {
            return;
        }
        let mut record = [0; 112];
        record[..32].copy_from_slice(recipe.digest.as_bytes());
        record[32..64].copy_from_slice(known.digest.as_bytes());
        record[64..96].copy_from_slice(known.diff_id.as_bytes());
        record[96..104].copy_from_slice(&known.size.to_le_bytes());
        record[104..].copy_from_slice(&known.plain_size.to_le_bytes());
        self.table.add(&record);
    }

    /// Writes down what was learnt. What cannot be written is found out again another time.
    pub fn save(self) {
        self.cache.save(self.table);
    }
}
