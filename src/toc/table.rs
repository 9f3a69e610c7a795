//! The table of one layer: what is where in it.

use std::str;

use super::{
    Error, MAX_ENTRIES, MAX_PART, MAX_PATH, MAX_TABLE,
    entry::{Entries, PlacedChunks},
    error::Part,
    number::Reader,
};

/// What stands before the entries: form, three zeros, number of entries, plain size.
pub(super) const HEAD: usize = 16;

/// What a layer is made of besides the contents of its files.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// An archive whose every byte follows from the table and the contents of the files, by the
    /// rules that archives are written by here.
    Plain,
    /// An archive of another program: what stands between contents must be taken from it.
    Other,
    /// No archive: the content of one file, whose path and mode the table does not know.
    Raw,
}

impl Form {
    const ALL: [Self; 3] = [Self::Plain, Self::Other, Self::Raw];

    pub(super) const fn code(self) -> u8 {
        match self {
            Self::Plain => 0,
            Self::Other => 1,
            Self::Raw => 2,
        }
    }
}

/// What a layer holds, checked: files and folders in the order of the archive, with the place of
/// each content in the layer as it is before compression, and the chunks of each content.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    bytes: Vec<u8>,
    form: Form,
    entries: u32,
    plain_size: u64,
}

impl Table {
    /// Reads the bytes of a table, strictly: there is one table for its bytes, and the reverse.
    /// Nothing else is allocated than a path.
    pub fn parse(bytes: Vec<u8>) -> Result<Self, Error> {
        let mut reader = Reader::new(Part::Table, &bytes);
        if bytes.len() > MAX_TABLE as usize {
            return Err(reader.malformed("it is too long"));
        }
        let [form, zeros @ ..] = reader.array::<4>()?;
        let form = Form::ALL.into_iter().find(|it| it.code() == form);
        let Some(form) = form.filter(|_| zeros == [0; 3]) else {
            return Err(Error::Form);
        };
        let entries = u32::from_le_bytes(reader.array()?);
        let plain_size = u64::from_le_bytes(reader.array()?);
        if entries > MAX_ENTRIES || form == Form::Raw && entries != 1 {
            return Err(reader.malformed("it cannot have so many entries"));
        }
        if plain_size > crate::oci::Descriptor::MAX_SIZE {
            return Err(reader.malformed("no layer is as large"));
        }
        let table = Self {
            bytes,
            form,
            entries,
            plain_size,
        };
        table.check()?;
        Ok(table)
    }

    /// Reads all entries once, so that they can be read without errors from then on.
    fn check(&self) -> Result<(), Error> {
        let mut entries = self.entries();
        let mut before = String::new();
        for _ in 0..self.entries {
            let (entry, shared) = entries.read()?;
            let problem = if self.form == Form::Raw {
                let is_all = entry.size == self.plain_size && entry.mode == 0o644;
                let is_raw = entry.path.is_empty() && entry.is_file() && is_all;
                (!is_raw).then_some("it is not that of a single file")
            } else {
                path_problem(entry.path, &before, shared)
            };
            if problem.is_none() {
                before.truncate(shared);
                before.push_str(&entry.path[shared..]);
                continue;
            }
            return Err(entries.malformed(problem.expect("it was looked at")));
        }
        if entries.left() > 0 {
            return Err(entries.malformed("something stands behind it"));
        }
        Ok(())
    }

    /// Returns the bytes of the table.
    pub fn as_bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// Returns the bytes of the table.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Returns what the layer is made of besides contents.
    pub const fn form(&self) -> Form {
        self.form
    }

    /// Returns a table that says so of the layer. It must be an archive before and after.
    #[must_use]
    pub fn with_form(mut self, form: Form) -> Self {
        assert!(
            !self.is_raw() && form != Form::Raw,
            "raw layers have tables of their own"
        );
        self.form = form;
        self.bytes[0] = form.code();
        self
    }

    /// Tells whether the layer is one file without an archive around it.
    pub const fn is_raw(&self) -> bool {
        matches!(self.form, Form::Raw)
    }

    /// Returns how long the layer is before compression.
    pub const fn plain_size(&self) -> u64 {
        self.plain_size
    }

    /// Returns how many files and folders there are.
    pub const fn len(&self) -> usize {
        self.entries as usize
    }

    /// Tells whether there is none.
    pub const fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// Returns the files and folders in the order of the archive.
    pub fn entries(&self) -> Entries<'_> {
        Entries::new(Reader::new(Part::Table, &self.bytes[HEAD..]), self)
    }

    /// Returns the first entry with this path.
    pub fn find<'p>(&self, path: &'p str) -> Option<super::Entry<'p, '_>> {
        let mut entries = self.entries();
        while let Some(entry) = entries.next() {
            if entry.path == path {
                return Some(entry.named(path));
            }
        }
        None
    }

    /// Returns the chunks of all files in the order of the archive, with their places in the layer.
    pub fn chunks(&self) -> PlacedChunks<'_> {
        PlacedChunks::new(self.entries())
    }
}

/// Returns what is wrong with the path of an entry that begins with the first `shared` bytes of
/// the one `before`.
fn path_problem(path: &str, before: &str, shared: usize) -> Option<&'static str> {
    let (same, new) = (&before[shared..], &path[shared..]);
    if !new.is_empty() && same.chars().next() == new.chars().next() {
        return Some("a path does not share what it could with the one before");
    }
    if path.len() > MAX_PATH as usize {
        return Some("a path is too long");
    }
    // What is shared was looked at; the part that it ends in was not, as it is now. That is not far
    // from its end, because parts are short.
    let start = path[..shared].rfind('/').map_or(0, |slash| slash + 1);
    let is_clean = path[start..].split('/').all(|part| {
        let is_short = part.len() <= MAX_PART as usize;
        is_short && !["", ".", ".."].contains(&part) && !part.contains('\0')
    });
    (!is_clean).then_some("a path is not clean")
}
