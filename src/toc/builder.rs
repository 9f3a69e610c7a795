//! Makes the table of a layer, entry after entry.

use super::{
    Absence, Form, MAX_ENTRIES, MAX_PATH, MAX_TABLE, Table,
    entry::{FILE, FILE_OF_MODE, FOLDER, FOLDER_OF_MODE, MODE, PROGRAM},
    number::put,
    table::HEAD,
};
use crate::chunk::{Chunk, Grain};

/// A table that is being made. What cannot be told of is noted; then there is no table.
pub struct TableBuilder {
    form: Form,
    bytes: Vec<u8>,
    entries: u32,
    /// The path of the entry before.
    path: String,
    /// Where the content before ends.
    end: u64,
    /// How the file is cut whose chunks come next.
    grain: Grain,
    absence: Option<Absence>,
}

impl TableBuilder {
    /// Returns a table without entries.
    pub fn new(form: Form) -> Self {
        Self {
            form,
            bytes: vec![0; HEAD],
            entries: 0,
            path: String::new(),
            end: 0,
            grain: Grain::Whole,
            absence: None,
        }
    }

    /// Adds a folder.
    pub fn folder(&mut self, path: &[u8], mode: u16) {
        self.entry(
            if mode == 0o755 {
                FOLDER
            } else {
                FOLDER_OF_MODE
            },
            path,
            mode,
        );
    }

    /// Adds a file whose content begins at `offset` of the layer before compression, behind all
    /// contents added before. Its chunks follow.
    pub fn file(&mut self, path: &[u8], mode: u16, offset: u64, size: u64) {
        let code = match mode {
            0o644 => FILE,
            0o755 => PROGRAM,
            _ => FILE_OF_MODE,
        };
        self.entry(code, path, mode);
        if self.absence.is_some() {
            return;
        }
        put(&mut self.bytes, size);
        self.grain = Grain::of(size);
        if size == 0 {
            return;
        }
        let Some(gap) = offset.checked_sub(self.end) else {
            self.give_up(Absence::Foreign);
            return;
        };
        put(&mut self.bytes, gap);
        self.end = offset.saturating_add(size);
    }

    /// Adds the next chunk of the file that was added last.
    pub fn chunk(&mut self, chunk: &Chunk) {
        if self.absence.is_some() {
            return;
        }
        if self.grain != Grain::Whole {
            put(&mut self.bytes, chunk.length.into());
        }
        self.bytes.extend(chunk.hash.as_bytes());
        if self.bytes.len() > MAX_TABLE as usize {
            self.give_up(Absence::TooLong);
        }
    }

    /// Notes that there can be no table.
    pub fn give_up(&mut self, absence: Absence) {
        self.absence.get_or_insert(absence);
        self.bytes = Vec::new();
    }

    /// Tells whether there can be no table any more: then chunks are of no use.
    pub const fn has_given_up(&self) -> bool {
        self.absence.is_some()
    }

    /// Ends the table of a layer that has `plain_size` bytes before compression.
    pub fn finish(mut self, plain_size: u64) -> Result<Table, Absence> {
        if let Some(absence) = self.absence {
            return Err(absence);
        }
        self.bytes[0] = self.form.code();
        self.bytes[4..8].copy_from_slice(&self.entries.to_le_bytes());
        self.bytes[8..HEAD].copy_from_slice(&plain_size.to_le_bytes());
        self.bytes.shrink_to_fit();
        // Nobody is to find out later that it cannot be read.
        Table::parse(self.bytes).map_err(|_| Absence::Foreign)
    }

    fn entry(&mut self, code: u8, path: &[u8], mode: u16) {
        if self.absence.is_some() {
            return;
        }
        let Ok(path) = str::from_utf8(path) else {
            return self.give_up(Absence::Names);
        };
        if path.len() > MAX_PATH as usize || mode > MODE {
            return self.give_up(Absence::Foreign);
        }
        if self.entries == MAX_ENTRIES {
            return self.give_up(Absence::TooLong);
        }
        self.entries += 1;
        self.bytes.push(code);
        if [FILE_OF_MODE, FOLDER_OF_MODE].contains(&code) {
            self.bytes.extend(mode.to_le_bytes());
        }
        let pairs = self.path.bytes().zip(path.bytes());
        let mut shared = pairs.take_while(|(before, now)| before == now).count();
        while !path.is_char_boundary(shared) {
            shared -= 1;
        }
        put(&mut self.bytes, shared as u64);
        put(&mut self.bytes, (path.len() - shared) as u64);
        self.bytes.extend(&path.as_bytes()[shared..]);
        self.path.truncate(shared);
        self.path.push_str(&path[shared..]);
        if self.bytes.len() > MAX_TABLE as usize {
            self.give_up(Absence::TooLong);
        }
    }
}
