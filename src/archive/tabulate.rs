//! Makes the table of a layer that is there already, whoever wrote it.

use std::io::{self, Read};

use super::{
    between::{Segment, Segments},
    decompress::Decompressed,
    error::Error,
    unpack::{Kind, TarReader},
};
use crate::{
    chunk::{Chunker, Grain},
    digest::{Digest, Hasher},
    progress::Progress,
    toc::{Absence, Form, Table, TableBuilder},
};

/// How much of a layer is in memory at a time, in bytes.
const BLOCK: usize = 1 << 20;

/// What a layer holds, and what it came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tabulated {
    /// The table, or why there can be none.
    pub table: Result<Table, Absence>,
    /// The digest of the layer as it is stored: if it is not the one that was expected, the table
    /// is worth nothing.
    pub digest: Digest,
    /// How many bytes it has as it is stored.
    pub size: u64,
}

/// Reads the archive that `content` unpacks to from end to end, and makes its table. It says of an
/// archive that it follows from table and contents only after that was tried.
///
/// # Errors
///
/// Only what is read may fail. An archive that cannot be understood has no table.
pub fn archive<R: Read>(
    content: Decompressed<R>,
    progress: &dyn Progress,
) -> Result<Tabulated, Error> {
    let mut reader = TarReader::of(content);
    reader.hash_between();
    let mut builder = TableBuilder::new(Form::Plain);
    if let Err(error) = read_entries(&mut reader, &mut builder, progress) {
        if matches!(error, Error::Read(_) | Error::Interrupted) {
            return Err(error);
        }
        let (digest, size) = reader.drain()?;
        return Ok(Tabulated {
            table: Err(Absence::Foreign),
            digest,
            size,
        });
    }
    let plain_size = reader.position();
    let between = reader.between();
    let sums = reader.finish()?;
    let table = builder.finish(plain_size).map(|table| {
        if is_made_again(&table, between) {
            return table;
        }
        table.with_form(Form::Other)
    });
    Ok(Tabulated {
        table,
        digest: sums.digest,
        size: sums.size,
    })
}

/// Reads a layer that is one file of `plain_size` bytes, and makes its table.
pub fn raw<R: Read>(
    mut content: Decompressed<R>,
    plain_size: u64,
    progress: &dyn Progress,
) -> Result<Tabulated, Error> {
    let mut builder = TableBuilder::new(Form::Raw);
    builder.file(b"", 0o644, 0, plain_size);
    let mut chunker = Chunker::new(Grain::of(plain_size));
    let mut block = vec![0; BLOCK];
    loop {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        match content.read(&mut block) {
            Ok(0) => break,
            Ok(read) => chunker.push(&block[..read], |chunk| builder.chunk(&chunk)),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => {
                if let error @ Error::Read(_) = Error::read(error) {
                    return Err(error);
                }
                let (digest, size) = content.drain().map_err(Error::Read)?;
                return Ok(Tabulated {
                    table: Err(Absence::Foreign),
                    digest,
                    size,
                });
            }
        }
    }
    chunker.finish().iter().for_each(|it| builder.chunk(it));
    let is_all = content.count() == plain_size;
    let sums = content.finish();
    Ok(Tabulated {
        table: builder
            .finish(plain_size)
            .and_then(|table| is_all.then_some(table).ok_or(Absence::Foreign)),
        digest: sums.digest,
        size: sums.size,
    })
}

fn read_entries<R: Read>(
    reader: &mut TarReader<R>,
    builder: &mut TableBuilder,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let mut block = vec![0; BLOCK];
    while let Some(entry) = reader.next_entry()? {
        if progress.cancelled() {
            return Err(Error::Interrupted);
        }
        let mode = u16::try_from(entry.mode).expect("12 bits fit 16");
        if entry.kind == Kind::Folder {
            // The folder that holds everything is nothing that could be asked for.
            if !entry.path.is_empty() {
                builder.folder(&entry.path, mode);
            }
            continue;
        }
        builder.file(&entry.path, mode, reader.position(), entry.size);
        if builder.has_given_up() {
            continue;
        }
        let mut chunker = Chunker::new(Grain::of(entry.size));
        loop {
            if progress.cancelled() {
                return Err(Error::Interrupted);
            }
            match reader.read_content(&mut block)? {
                0 => break,
                read => chunker.push(&block[..read], |chunk| builder.chunk(&chunk)),
            }
        }
        chunker.finish().iter().for_each(|it| builder.chunk(it));
    }
    Ok(())
}

/// Tells whether what stands between the contents of an archive, which hashes to `between`, is
/// what follows from its table.
fn is_made_again(table: &Table, between: Digest) -> bool {
    let mut hasher = Hasher::new();
    let mut segments = Segments::new(table);
    loop {
        match segments.next() {
            Ok(Some(Segment::Between(bytes))) => hasher.update(bytes),
            Ok(Some(_)) => {}
            Ok(None) => return hasher.finish() == between,
            Err(_) => return false,
        }
    }
}
