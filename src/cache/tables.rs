//! The tables of contents of layers that are not written again.

use std::{fs, io, path::PathBuf, sync::atomic::Ordering};

use super::Cache;
use crate::{
    digest::{Digest, Hasher},
    platform,
    toc::{Absence, MAX_TABLE, Table},
};

/// What stands at the beginning of the file: format and version.
const MAGIC: &[u8; 24] = b"kit cache toc 1        \n";

/// Magic, layer, and whether there is a table.
const HEAD: usize = 24 + 32 + 1;
/// The SHA-256 at the end.
const CHECKED: usize = 32;

impl Cache {
    /// Returns the table of the layer that unpacks to `diff_id`, or why it has none, if that is
    /// known. `is_raw` says that it is one file and no archive.
    pub fn table(&self, diff_id: &Digest, is_raw: bool) -> Option<Result<Table, Absence>> {
        if !self.is_believed() {
            return None;
        }
        let path = self.table_path(diff_id, is_raw);
        let metadata = fs::metadata(&path).ok()?;
        let most = (HEAD + MAX_TABLE as usize + CHECKED) as u64;
        if !metadata.is_file() || metadata.len() > most {
            return None;
        }
        parse(fs::read(&path).ok()?, diff_id, is_raw)
    }

    /// Remembers the table of a layer.
    pub fn learn_table(&self, diff_id: &Digest, is_raw: bool, table: Result<&Table, Absence>) {
        // What cannot be written is found out again another time.
        let _ = self.write_table(diff_id, is_raw, table);
    }

    fn write_table(
        &self,
        diff_id: &Digest,
        is_raw: bool,
        table: Result<&Table, Absence>,
    ) -> io::Result<()> {
        let mut head = MAGIC.to_vec();
        head.extend_from_slice(diff_id.as_bytes());
        head.push(table.err().map_or(0, Absence::code));
        let body = table.map_or(&[][..], Table::as_bytes);
        let mut hasher = Hasher::new();
        hasher.update(&head);
        hasher.update(body);
        let path = self.table_path(diff_id, is_raw);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let _turn = platform::turn(&self.turn())?;
        platform::replace(&path, false, |file| {
            file.write_all(&head)?;
            file.write_all(body)?;
            file.write_all(hasher.finish().as_bytes())
        })?;
        self.has_new_tables.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn table_path(&self, diff_id: &Digest, is_raw: bool) -> PathBuf {
        // One file may be a layer by itself, and an archive that is another.
        let kind = if is_raw { "raw" } else { "tar" };
        let name = format!("{}.{kind}", diff_id.hex());
        self.path("tables").join(name)
    }
}

/// Reads a table of the layer `diff_id`; `None` for anything that is not all right.
fn parse(mut bytes: Vec<u8>, diff_id: &Digest, is_raw: bool) -> Option<Result<Table, Absence>> {
    let (body, checked) = bytes.split_last_chunk::<CHECKED>()?;
    if Digest::of(body).as_bytes() != checked {
        return None;
    }
    let rest = body.strip_prefix(MAGIC)?;
    let (state, table) = rest.strip_prefix(diff_id.as_bytes())?.split_first()?;
    if *state != 0 {
        let absence = Absence::of_code(*state)?;
        return table.is_empty().then_some(Err(absence));
    }
    bytes.truncate(bytes.len() - CHECKED);
    bytes.drain(..HEAD);
    let table = Table::parse(bytes).ok()?;
    (table.is_raw() == is_raw).then_some(Ok(table))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        cache::Use,
        toc::{Form, TableBuilder},
    };

    fn table(form: Form, path: &str) -> Table {
        let mut builder = TableBuilder::new(form);
        builder.file(path.as_bytes(), 0o644, 0, 0);
        builder.finish(0).unwrap()
    }

    #[test]
    fn a_table_comes_back_for_its_layer_and_only_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), Use::All);
        let layer = Digest::of(b"layer");
        let (tar, raw) = (table(Form::Other, "a"), table(Form::Raw, ""));
        assert_eq!(cache.table(&layer, false), None);
        cache.learn_table(&layer, false, Ok(&tar));
        assert_eq!(cache.table(&layer, true), None);
        cache.learn_table(&layer, true, Ok(&raw));
        assert_eq!(cache.table(&layer, false), Some(Ok(tar.clone())));
        assert_eq!(cache.table(&layer, true), Some(Ok(raw)));

        let path = cache.table_path(&layer, false);
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            assert_eq!(parse(whole[..end].to_vec(), &layer, false), None);
            let mut altered = whole.clone();
            altered[end] ^= 1;
            assert_eq!(parse(altered, &layer, false), None, "byte {end}");
        }
        assert_eq!(parse(whole.clone(), &layer, true), None);
        assert_eq!(parse(whole, &Digest::of(b"other"), false), None);
        let other = Cache::open(folder.path(), Use::WriteOnly);
        assert_eq!(other.table(&layer, false), None);

        cache.learn_table(&layer, false, Err(Absence::Names));
        assert_eq!(cache.table(&layer, false), Some(Err(Absence::Names)));
    }
}
