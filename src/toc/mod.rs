//! Tables of contents: what is where in the layers of a kit, file by file and chunk by chunk, so
//! that a part of a layer can be fetched and believed without the rest.
//!
//! One blob holds the [root](Root) and then a [table](Table) for each layer. The manifest names the
//! digests of blob and root, the root those of the tables, a table those of chunks: each part can
//! be checked by itself once that before it was. "Table of contents" in `docs/format.md` has the
//! bytes.
//!
//! Nothing here is believed before it was checked, and what was checked can be read without errors:
//! [`Root::open`] and [`LayerRef::open`] take bytes from anywhere.

mod assemble;
mod builder;
mod entry;
mod error;
mod number;
mod reference;
mod root;
mod table;
#[cfg(test)]
mod tests;

pub use self::{
    assemble::{Assembled, Content, assemble},
    builder::TableBuilder,
    entry::{Chunks, Entries, Entry, PlacedChunk, PlacedChunks},
    error::{Error, Part},
    reference::TocRef,
    root::{Absence, LayerRef, Planned, Root, TableRef},
    table::{Form, Table},
};

/// The longest table of a layer, in bytes.
pub const MAX_TABLE: u32 = 64 << 20;
/// The most entries of a table.
pub const MAX_ENTRIES: u32 = 10_000_000;
/// The longest path in a table, in bytes.
const MAX_PATH: u32 = 4096;
/// The longest part of such a path, in bytes.
const MAX_PART: u32 = 255;
