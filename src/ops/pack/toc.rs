//! The table of contents of a kit that is packed.

use std::{
    convert::Infallible,
    io::{self, Read as _},
};

use super::{Options, PackedLayer, Prepared};
use crate::{
    archive::{
        self,
        decompress::{Bounds, Compression, Decompressed},
        pack::{Layer, Shape},
        tabulate::{self, Tabulated},
    },
    digest::{Digest, Hasher},
    limits::Limits,
    oci::{Encoding, LayerType, PlainLayer},
    ops::{Error, segments::LayerFile},
    progress::Progress,
    store::{Committed, Presence, Trust, Writer},
    toc::{Absence, Planned, Root, Table, TocRef},
};

/// Kits with fewer bytes in their layers, before compression, get no table of contents.
pub const TOC_FROM: u64 = 64 << 20;

/// Tells whether the kit gets a table of contents. That must not depend on how layers come out.
pub(super) fn is_wanted(options: &Options, prepared: &Prepared) -> bool {
    let layer = |(index, shape): (usize, &Shape)| Layer {
        tree: &prepared.found.tree,
        index,
        shape: *shape,
        path: "",
    };
    let layers = prepared.shapes.iter().enumerate().map(layer);
    options.toc && layers.map(|layer| layer.plain_size()).sum::<u64>() >= TOC_FROM
}

/// Makes the table of a layer in the store by reading it; `None` if it is damaged.
pub(super) fn of_stored(
    writer: &Writer<'_>,
    of: &PlainLayer,
    encoding: Encoding,
    plain_size: u64,
    progress: &dyn Progress,
) -> Result<Option<Result<Table, Absence>>, Error> {
    let layer = &of.descriptor;
    let source = LayerFile::open(writer.store(), of.blobs())?;
    let found = read(
        source.take(layer.size.saturating_add(1)),
        encoding,
        (layer.size, plain_size),
        progress,
    )?;
    let is_right = (found.digest, found.size) == (layer.digest, layer.size);
    if is_right {
        return Ok(Some(found.table));
    }
    // So that what is packed in its place heals it.
    for blob in of.blobs() {
        writer.has(&blob.digest, blob.size, Trust::Hash)?;
    }
    Ok(None)
}

fn read(
    source: impl io::Read,
    encoding: Encoding,
    (size, plain_size): (u64, u64),
    progress: &dyn Progress,
) -> Result<Tabulated, Error> {
    let compression = match encoding {
        Encoding::Tar | Encoding::Raw => Compression::None,
        Encoding::TarGzip | Encoding::RawGzip => Compression::Gzip,
        Encoding::TarZstd | Encoding::RawZstd => Compression::Zstd,
    };
    let bounds = Bounds::of(size, Some(plain_size), &Limits::default());
    let content = Decompressed::new(source, compression, bounds).map_err(archive::Error::Read)?;
    Ok(if encoding.is_raw() {
        tabulate::raw(content, plain_size, progress)?
    } else {
        tabulate::archive(content, progress)?
    })
}

/// Returns the root of the table of contents of `layers`; `None` if they have no tables.
fn root(layers: &[PackedLayer]) -> Option<Root> {
    layers.first()?; // A kit without layers has nothing that could be looked up.
    let planned: Option<Vec<Planned>> = layers
        .iter()
        .map(|layer| {
            let descriptor = &layer.descriptor;
            let kind = LayerType::parse(&descriptor.media_type)?;
            Some(Planned {
                digest: descriptor.digest,
                size: descriptor.size,
                encoding: kind.encoding,
                table: layer.table.as_ref()?.as_ref().map_err(|it| *it).map(|it| {
                    let bytes = it.as_bytes();
                    let length = u32::try_from(bytes.len()).expect("no table is longer");
                    (length, Digest::of(bytes))
                }),
            })
        })
        .collect();
    planned.map(Root::plan)
}

/// Gives the bytes of the table of contents to `out`, piece by piece.
fn each<E>(
    root: &Root,
    layers: &[PackedLayer],
    out: &mut dyn FnMut(&[u8]) -> Result<(), E>,
) -> Result<(), E> {
    out(&root.to_bytes())?;
    for position in root.tables() {
        if let Some(Ok(table)) = &layers[position].table {
            out(table.as_bytes())?;
        }
    }
    Ok(())
}

/// Returns what the manifest says of the table of contents of `layers`, if they have one.
pub(super) fn describe(layers: &[PackedLayer]) -> Option<(TocRef, Root)> {
    let root = root(layers)?;
    let mut hasher = Hasher::new();
    let Ok(()) = each(&root, layers, &mut |bytes| -> Result<(), Infallible> {
        hasher.update(bytes);
        Ok(())
    });
    Some((TocRef::new(hasher.finish(), &root), root))
}

/// Stores the table of contents.
pub(super) fn store(
    writer: &Writer<'_>,
    toc: &TocRef,
    root: &Root,
    layers: &[PackedLayer],
    trust: Trust,
) -> Result<Committed, Error> {
    if writer.has(&toc.digest, toc.size, trust)? == Presence::Here {
        return Ok(Committed::AlreadyThere);
    }
    let mut blob = writer.create()?;
    each(root, layers, &mut |bytes| blob.append(bytes))?;
    Ok(blob.commit(&toc.digest, toc.size)?)
}

/// Returns the bytes of the table of contents.
pub(super) fn bytes(root: &Root, layers: &[PackedLayer]) -> Vec<u8> {
    let mut all = Vec::new();
    let Ok(()) = each(root, layers, &mut |bytes| -> Result<(), Infallible> {
        all.extend_from_slice(bytes);
        Ok(())
    });
    all
}
