//! Tables of contents for kits on the shelf of a fake registry, however small the kits are.

use std::{
    io::{Cursor, Read as _},
    sync::Arc,
};

use modelkit::{
    chunk::{Chunk, Chunker, Grain},
    oci::{LayerType, Manifest},
    toc::{self, Form, Table, TableBuilder},
};

use super::fake::Shelf;

/// What a table says in place of the chunks that there are.
pub(crate) type Lie<'l> = &'l dyn Fn(usize, Chunk) -> Chunk;

/// Gives the kit `tag` a table of contents, and returns the digest of that.
pub(crate) fn add(shelf: &mut Shelf, tag: &str) -> String {
    add_lying(shelf, tag, Form::Plain, &|_, chunk| chunk)
}

/// The same with tables of archives of this form, and with chunks that `lie` may change.
pub(crate) fn add_lying(shelf: &mut Shelf, tag: &str, form: Form, lie: Lie<'_>) -> String {
    let bytes = shelf.manifest_bytes(&shelf.digest(tag)).to_vec();
    let mut manifest = Manifest::parse(&bytes).unwrap();
    let tables: Vec<_> = manifest
        .layers
        .iter()
        .map(|layer| {
            let encoding = LayerType::parse(&layer.media_type).unwrap().encoding;
            assert!(
                !encoding.is_compressed(),
                "compressed layers are not read here"
            );
            let blob = shelf.blob(&layer.digest.to_string());
            if encoding.is_raw() {
                raw(blob, lie)
            } else {
                table(blob, form, lie)
            }
        })
        .collect();
    let layers = manifest.layers.iter().zip(&tables);
    let contents: Vec<_> = layers
        .map(|(layer, table)| toc::Content {
            digest: layer.digest,
            size: layer.size,
            encoding: LayerType::parse(&layer.media_type).unwrap().encoding,
            table: Ok(table),
        })
        .collect();
    let assembled = toc::assemble(&contents);
    assembled.toc.annotate(&mut manifest.annotations);
    let digest = assembled.toc.digest.to_string();
    shelf.put_blob(&digest, Arc::from(assembled.bytes));
    shelf.put(tag, super::fake::MANIFEST, &manifest.to_bytes());
    digest
}

fn table(blob: &[u8], form: Form, lie: Lie<'_>) -> Table {
    let mut builder = TableBuilder::new(form);
    let mut archive = tar::Archive::new(Cursor::new(blob));
    for (number, entry) in archive.entries().unwrap().enumerate() {
        let mut entry = entry.unwrap();
        let path = entry.path_bytes().into_owned();
        let path = path.strip_suffix(b"/").unwrap_or(&path).to_vec();
        let mode = u16::try_from(entry.header().mode().unwrap()).unwrap();
        if entry.header().entry_type().is_dir() {
            builder.folder(&path, mode);
            continue;
        }
        builder.file(&path, mode, entry.raw_file_position(), entry.size());
        let mut content = Vec::new();
        entry.read_to_end(&mut content).unwrap();
        cut(&mut builder, &content, &|chunk| lie(number, chunk));
    }
    builder.finish(blob.len() as u64).unwrap()
}

fn raw(blob: &[u8], lie: Lie<'_>) -> Table {
    let mut builder = TableBuilder::new(Form::Raw);
    builder.file(b"", 0o644, 0, blob.len() as u64);
    cut(&mut builder, blob, &|chunk| lie(0, chunk));
    builder.finish(blob.len() as u64).unwrap()
}

fn cut(builder: &mut TableBuilder, content: &[u8], lie: &dyn Fn(Chunk) -> Chunk) {
    let mut chunker = Chunker::new(Grain::of(content.len() as u64));
    chunker.push(content, |chunk| builder.chunk(&lie(chunk)));
    if let Some(chunk) = chunker.finish() {
        builder.chunk(&lie(chunk));
    }
}
