//! What stands between the contents of a layer: headers, padding and the end of the archive, made
//! again from a table of contents.

use super::{
    error::Error,
    header::{self, END, Kind},
};
use crate::toc::{Entries, Entry, Form, Table};

/// A stretch of a layer as it is before compression.
#[derive(Clone, Copy, Debug)]
pub enum Segment<'s, 't> {
    /// What stands between contents. Not all of it if more segments of the kind follow.
    Between(&'s [u8]),
    /// So many bytes between contents that only the layer itself can tell.
    Unknown(u64),
    /// The content of a file, never empty.
    Content(Entry<'s, 't>),
}

impl Segment<'_, '_> {
    /// Returns how many bytes it has.
    pub const fn length(&self) -> u64 {
        match self {
            Self::Between(bytes) => bytes.len() as u64,
            Self::Unknown(length) => *length,
            Self::Content(entry) => entry.size,
        }
    }
}

/// All of a layer, from its first to its last byte, stretch by stretch.
pub struct Segments<'t> {
    table: &'t Table,
    entries: Entries<'t>,
    /// The entries once more, one step behind: what was given out is no more at hand when its
    /// content is due.
    behind: Entries<'t>,
    bytes: Vec<u8>,
    /// Where the next stretch begins.
    offset: u64,
    /// What comes next.
    next: Next,
}

#[derive(Clone, Copy)]
enum Next {
    Entry,
    Content,
    Done,
}

impl<'t> Segments<'t> {
    /// Returns the stretches of the layer that `table` tells of.
    pub fn new(table: &'t Table) -> Self {
        Self {
            table,
            entries: table.entries(),
            behind: table.entries(),
            bytes: Vec::new(),
            offset: 0,
            next: Next::Entry,
        }
    }

    /// Returns where in the layer the next stretch begins.
    pub const fn offset(&self) -> u64 {
        self.offset
    }

    /// Returns the next stretch; `None` behind the last one. Fails if the table says of an archive
    /// that it was written by the rules here, and then puts something elsewhere.
    #[expect(
        clippy::should_implement_trait,
        reason = "what it returns does not outlive the next call"
    )]
    pub fn next(&mut self) -> Result<Option<Segment<'_, 't>>, Error> {
        loop {
            match self.next {
                Next::Done => return Ok(None),
                Next::Content => {
                    self.next = Next::Entry;
                    let entry = self.behind.next();
                    let entry = entry.expect("it was read once already");
                    self.offset = entry.offset + entry.size;
                    return Ok(Some(Segment::Content(entry)));
                }
                Next::Entry => {
                    let length = self.step()?;
                    self.offset += length;
                    if length == 0 {
                        continue;
                    }
                    return Ok(Some(match self.table.form() {
                        Form::Plain => Segment::Between(&self.bytes),
                        Form::Other | Form::Raw => Segment::Unknown(length),
                    }));
                }
            }
        }
    }

    /// Goes on to the next entry or the end, and returns how many bytes stand before its content.
    fn step(&mut self) -> Result<u64, Error> {
        let is_plain = self.table.form() == Form::Plain;
        self.bytes.clear();
        if is_plain {
            let padding = header::padded(self.offset) - self.offset;
            self.bytes
                .resize(usize::try_from(padding).expect("less than a block"), 0);
        }
        let Some(entry) = self.entries.next() else {
            self.next = Next::Done;
            let end = self.table.plain_size();
            if is_plain {
                self.bytes.resize(self.bytes.len() + END, 0);
                return placed(self.offset, &self.bytes, end);
            }
            return Ok(end - self.offset);
        };
        if entry.size > 0 {
            self.next = Next::Content;
        } else {
            self.behind.next();
        }
        if !is_plain {
            return Ok(match entry.size {
                0 => 0,
                _ => entry.offset - self.offset,
            });
        }
        let kind = if entry.is_file() {
            Kind::File(entry.size)
        } else {
            Kind::Folder
        };
        let mut header = Vec::new();
        header::append(&mut header, entry.path.as_bytes(), entry.mode.into(), kind);
        self.bytes.extend_from_slice(&header);
        if entry.size > 0 {
            return placed(self.offset, &self.bytes, entry.offset);
        }
        Ok(self.bytes.len() as u64)
    }
}

/// Checks that `bytes` reach from `start` to `end`, and returns how many they are.
fn placed(start: u64, bytes: &[u8], end: u64) -> Result<u64, Error> {
    let length = bytes.len() as u64;
    if start.checked_add(length) == Some(end) {
        return Ok(length);
    }
    Err(Error::Misplaced(end))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        chunk::{Chunker, Grain},
        toc::TableBuilder,
    };

    /// An archive and its table, which is not its own if `shift` is not 0.
    fn layer(form: Form, shift: u64) -> (Vec<u8>, Result<Table, crate::toc::Absence>) {
        let long = "é/".repeat(120) + "x";
        let (mut plain, mut builder) = (Vec::new(), TableBuilder::new(form));
        for (path, content) in [
            ("folder", None),
            ("folder/a", Some(&b"alpha"[..])),
            ("folder/empty", Some(b"")),
            (long.as_str(), Some(&[7; 1000])),
            ("last", Some(&[8; 1024])),
            ("none", None),
        ] {
            let mut bytes = Vec::new();
            let kind = content.map_or(Kind::Folder, |content| Kind::File(content.len() as u64));
            header::append(&mut bytes, path.as_bytes(), 0o755, kind);
            plain.extend(bytes);
            let Some(content) = content else {
                builder.folder(path.as_bytes(), 0o755);
                continue;
            };
            let (offset, size) = (plain.len() as u64 + shift, content.len() as u64);
            builder.file(path.as_bytes(), 0o755, offset, size);
            let mut chunker = Chunker::new(Grain::of(size));
            chunker.push(content, |chunk| builder.chunk(&chunk));
            chunker.finish().iter().for_each(|it| builder.chunk(it));
            plain.extend(content);
            header::pad(&mut plain);
        }
        plain.resize(plain.len() + END, 0);
        let table = builder.finish(plain.len() as u64 + shift);
        (plain, table)
    }

    /// Puts a layer together of contents at hand, and of the layer where there is no other way.
    fn together(plain: &[u8], table: &Table) -> Result<(Vec<u8>, u64), Error> {
        let (mut out, mut unknown) = (Vec::new(), 0);
        let mut segments = Segments::new(table);
        loop {
            let offset = usize::try_from(segments.offset()).unwrap();
            assert_eq!(offset, out.len());
            let Some(segment) = segments.next()? else {
                return Ok((out, unknown));
            };
            let length = usize::try_from(segment.length()).unwrap();
            match segment {
                Segment::Between(bytes) => out.extend_from_slice(bytes),
                Segment::Content(entry) => {
                    assert_eq!(entry.offset, offset as u64);
                    out.extend_from_slice(&plain[offset..][..length]);
                }
                Segment::Unknown(_) => {
                    unknown += length as u64;
                    out.extend_from_slice(&plain[offset..][..length]);
                }
            }
        }
    }

    #[test]
    fn an_archive_is_made_again_of_its_table_and_its_contents() {
        let (plain, table) = layer(Form::Plain, 0);
        assert_eq!(together(&plain, &table.unwrap()).unwrap(), (plain, 0));
    }

    #[test]
    fn what_only_the_layer_can_tell_is_not_made_up() {
        let (plain, table) = layer(Form::Other, 0);
        let contents = 5 + 1000 + 1024;
        let between = plain.len() as u64 - contents;
        assert_eq!(together(&plain, &table.unwrap()).unwrap(), (plain, between));
    }

    #[test]
    fn a_raw_layer_is_its_content() {
        let mut builder = TableBuilder::new(Form::Raw);
        builder.file(b"", 0o644, 0, 7);
        builder.chunk(&crate::chunk::Chunk {
            length: 7,
            hash: crate::chunk::ChunkHash::of(b"weights"),
        });
        let table = builder.finish(7).unwrap();
        let (out, unknown) = together(b"weights", &table).unwrap();
        assert_eq!((&out[..], unknown), (&b"weights"[..], 0));
        let mut builder = TableBuilder::new(Form::Raw);
        builder.file(b"", 0o644, 0, 0);
        let table = builder.finish(0).unwrap();
        assert!(together(b"", &table).unwrap().0.is_empty());
    }

    #[test]
    fn a_table_that_puts_things_elsewhere_is_refused() {
        let (plain, table) = layer(Form::Plain, 512);
        let found = together(&plain, &table.unwrap());
        assert!(matches!(found, Err(Error::Misplaced(_))), "{found:?}");
    }
}
