//! Puts root and tables together.

use super::{Absence, Planned, Root, Table, TocRef};
use crate::{digest::Digest, oci::Encoding};

/// A layer and its table, for [`assemble`].
#[derive(Clone, Copy, Debug)]
pub struct Content<'t> {
    /// The digest of the layer.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it is.
    pub encoding: Encoding,
    /// Its table, or why there is none.
    pub table: Result<&'t Table, Absence>,
}

/// A table of contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Assembled {
    /// All of the blob.
    pub bytes: Vec<u8>,
    /// What the manifest says about it.
    pub toc: TocRef,
}

/// Puts the table of contents together of `layers`, in the order of their manifest. Where that
/// would be too much to hold, the same is done with [`Root::plan`], whose tables follow it.
pub fn assemble(layers: &[Content<'_>]) -> Assembled {
    let root = Root::plan(layers.iter().map(|layer| Planned {
        digest: layer.digest,
        size: layer.size,
        encoding: layer.encoding,
        table: layer.table.map(|table| {
            let bytes = table.as_bytes();
            let length = u32::try_from(bytes.len()).expect("no table is longer");
            (length, Digest::of(bytes))
        }),
    }));
    let mut bytes = root.to_bytes();
    for position in root.tables() {
        let table = layers[position].table.expect("the root tells of it");
        bytes.extend(table.as_bytes());
    }
    let toc = TocRef::new(Digest::of(&bytes), &root);
    Assembled { bytes, toc }
}
