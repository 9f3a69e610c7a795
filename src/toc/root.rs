//! What a table of contents begins with: where the table of each layer is.

use std::{collections::HashMap, ops::Range};

use super::{Error, MAX_TABLE, Table, TocRef, error::Part, number::Reader};
use crate::{
    digest::Digest,
    oci::{Encoding, LayerType, Manifest, PlainLayer},
};

const MAGIC: &[u8; 8] = b"kittoc/1";
/// The magic and the number of layers.
const HEAD: u64 = 12;
/// What tells of one layer.
const RECORD: u64 = 88;

/// A layer, as a table of contents tells of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LayerRef {
    /// The digest of the layer.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it is. Ranges of what it holds are ranges of the blob only if it is not compressed.
    pub encoding: Encoding,
    /// Where its table is, or why there is none.
    pub table: Result<TableRef, Absence>,
}

/// Where the table of a layer is, and what it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TableRef {
    /// Its place in the blob.
    pub offset: u64,
    /// Its length in bytes, at most [`MAX_TABLE`].
    pub length: u32,
    /// Its digest.
    pub digest: Digest,
}

/// Why a layer has no table.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Absence {
    /// A name in it is not UTF-8.
    Names,
    /// It would have too many entries or bytes.
    TooLong,
    /// It holds something that a table cannot tell of.
    Foreign,
}

impl Absence {
    const ALL: [Self; 3] = [Self::Names, Self::TooLong, Self::Foreign];

    /// Returns what stands for it; 0 is a table that is there.
    pub(crate) const fn code(self) -> u8 {
        match self {
            Self::Names => 1,
            Self::TooLong => 2,
            Self::Foreign => 3,
        }
    }
}

impl Absence {
    /// Returns what `code` stands for.
    pub(crate) fn of_code(code: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|it| it.code() == code)
    }
}

impl std::fmt::Display for Absence {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Names => "a name in it is not UTF-8",
            Self::TooLong => "it holds too much for a table",
            Self::Foreign => "it holds something that a table cannot tell of",
        })
    }
}

impl LayerRef {
    /// Returns where in the blob the table is, as a range of bytes.
    pub fn range(&self) -> Option<Range<u64>> {
        let table = self.table.ok()?;
        Some(table.offset..table.offset + u64::from(table.length))
    }

    /// Checks the bytes of the layer's table, and reads them.
    pub fn open(&self, bytes: Vec<u8>) -> Result<Table, Error> {
        let other = |problem| Error::OtherLayers { problem };
        let table = self.table.map_err(|_| other("one has no table"))?;
        check(Part::Table, table.digest, &bytes)?;
        let table = Table::parse(bytes)?;
        if table.is_raw() != self.encoding.is_raw() {
            return Err(other("one is a file and not an archive, or the reverse"));
        }
        if !self.encoding.is_compressed() && table.plain_size() != self.size {
            return Err(other("one has another size"));
        }
        Ok(table)
    }
}

/// The first part of a table of contents.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Root {
    layers: Vec<LayerRef>,
    size: u64,
}

impl Root {
    /// Returns the length in bytes of the root for a manifest with `layers` layers.
    pub const fn length(layers: usize) -> u64 {
        HEAD + RECORD * layers as u64
    }

    /// Returns the length that no table of contents for so many layers is above.
    pub(super) const fn most(layers: usize) -> u64 {
        Self::length(layers) + layers as u64 * MAX_TABLE as u64
    }

    /// Returns a root for `layers`, in the order of their manifest: where their tables are follows
    /// from that. A layer that stands there more than once has one table.
    pub fn plan(layers: impl IntoIterator<Item = Planned>) -> Self {
        let mut layers: Vec<LayerRef> = layers
            .into_iter()
            .map(|layer| LayerRef {
                digest: layer.digest,
                size: layer.size,
                encoding: layer.encoding,
                table: layer.table.map(|(length, digest)| TableRef {
                    offset: 0,
                    length,
                    digest,
                }),
            })
            .collect();
        let mut offset = Self::length(layers.len());
        let mut first = HashMap::new();
        for layer in &mut layers {
            layer.table = *first
                .entry((layer.digest, layer.encoding))
                .or_insert_with(|| {
                    layer.table.map(|table| {
                        let table = TableRef { offset, ..table };
                        offset += u64::from(table.length);
                        table
                    })
                });
        }
        Self {
            layers,
            size: offset,
        }
    }

    /// Returns the layers in the order of the manifest.
    pub fn layers(&self) -> &[LayerRef] {
        &self.layers
    }

    /// Returns the length in bytes of the whole blob: root and tables.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the positions of the layers whose tables follow the root, in their order there:
    /// each table once.
    pub fn tables(&self) -> impl Iterator<Item = usize> {
        let mut end = Self::length(self.layers.len());
        let layers = self.layers.iter().enumerate();
        layers.filter_map(move |(position, layer)| {
            let table = layer.table.ok().filter(|table| table.offset == end)?;
            end += u64::from(table.length);
            Some(position)
        })
    }

    /// Returns the bytes of the root.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = MAGIC.to_vec();
        let count = u32::try_from(self.layers.len()).expect("a manifest has far fewer layers");
        bytes.extend(count.to_le_bytes());
        for layer in &self.layers {
            bytes.extend(layer.digest.as_bytes());
            bytes.extend(layer.size.to_le_bytes());
            let code = (0..)
                .zip(Encoding::ALL)
                .find(|(_, it)| *it == layer.encoding);
            let (encoding, _) = code.expect("all of them are in the list");
            let state = layer.table.err().map_or(0, Absence::code);
            bytes.extend([encoding, state, 0, 0]);
            match &layer.table {
                Ok(table) => {
                    bytes.extend(table.length.to_le_bytes());
                    bytes.extend(table.offset.to_le_bytes());
                    bytes.extend(table.digest.as_bytes());
                }
                Err(_) => bytes.extend([0; 44]),
            }
        }
        bytes
    }

    /// Reads the bytes of a root, strictly: there is one root for its bytes, and the reverse.
    pub fn parse(bytes: &[u8]) -> Result<Self, Error> {
        let mut reader = Reader::new(Part::Root, bytes);
        if reader.bytes(MAGIC.len())? != MAGIC {
            return Err(Error::Form);
        }
        let count = u32::from_le_bytes(reader.array()?) as usize;
        if reader.left() as u64 != Self::length(count) - HEAD {
            return Err(reader.malformed("it has not the length that so many layers need"));
        }
        let mut layers = Vec::with_capacity(count);
        for _ in 0..count {
            layers.push(record(&mut reader)?);
        }
        let planned = layers.iter().map(|layer| Planned {
            digest: layer.digest,
            size: layer.size,
            encoding: layer.encoding,
            table: layer.table.map(|table| (table.length, table.digest)),
        });
        let planned = Self::plan(planned);
        if planned.layers != layers {
            return Err(reader.malformed("tables do not follow each other in their order"));
        }
        Ok(planned)
    }

    /// Checks that `bytes` are the root that `toc` names, and reads it. It must tell of the layers
    /// of `manifest`, which names `toc`.
    pub fn open(toc: &TocRef, manifest: &Manifest, bytes: &[u8]) -> Result<Self, Error> {
        check(Part::Root, toc.root_digest, bytes)?;
        let root = Self::parse(bytes)?;
        let other = |problem| Err(Error::OtherLayers { problem });
        let Ok(known) = manifest.plain_layers() else {
            return other("the manifest has segments that are none");
        };
        if root.layers.len() != known.len() {
            return other("there are more or fewer");
        }
        for (layer, PlainLayer { descriptor, .. }) in root.layers.iter().zip(&known) {
            if (layer.digest, layer.size) != (descriptor.digest, descriptor.size) {
                return other("one has another digest or size");
            }
            let kind = LayerType::parse(&descriptor.media_type);
            if kind.map(|kind| kind.encoding) != Some(layer.encoding) {
                return other("one has another encoding");
            }
        }
        if root.size != toc.size {
            return other("the tables are not as long as the manifest says");
        }
        Ok(root)
    }
}

/// What [`Root::plan`] needs to know of a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Planned {
    /// The digest of the layer.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// What it is.
    pub encoding: Encoding,
    /// Length and digest of its table, or why there is none.
    pub table: Result<(u32, Digest), Absence>,
}

fn record(reader: &mut Reader<'_>) -> Result<LayerRef, Error> {
    let digest = Digest::from_bytes(reader.array()?);
    let size = u64::from_le_bytes(reader.array()?);
    let [encoding, state, zeros @ ..] = reader.array::<4>()?;
    let length = u32::from_le_bytes(reader.array()?);
    let offset = u64::from_le_bytes(reader.array()?);
    let table = TableRef {
        offset,
        length,
        digest: Digest::from_bytes(reader.array()?),
    };
    let Some(encoding) = Encoding::ALL.get(usize::from(encoding)) else {
        return Err(reader.malformed("no encoding has this number"));
    };
    let blank = TableRef {
        offset: 0,
        length: 0,
        digest: Digest::from_bytes([0; 32]),
    };
    let table = match Absence::of_code(state) {
        None if state == 0 && (1..=MAX_TABLE).contains(&length) => Ok(table),
        Some(absence) if table == blank => Err(absence),
        _ => return Err(reader.malformed("a table cannot be like this")),
    };
    if zeros != [0, 0] {
        return Err(reader.malformed("what must be zero is not"));
    }
    Ok(LayerRef {
        digest,
        size,
        encoding: *encoding,
        table,
    })
}

pub(super) fn check(part: Part, expected: Digest, bytes: &[u8]) -> Result<(), Error> {
    let found = Digest::of(bytes);
    if found == expected {
        return Ok(());
    }
    Err(Error::Content {
        part,
        expected,
        found,
    })
}
