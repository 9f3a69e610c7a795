//! `names.log`: one line for every change of a name, written before the index changes.
//!
//! The log is the store's history, and what the index is put together from when it is lost. A line
//! that a crash cut short stands for a change that did not happen: it is passed over.

use std::{
    collections::BTreeMap,
    fs::{self, File, OpenOptions},
    io::{self, Read as _, Seek as _, SeekFrom},
    path::Path,
};

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, failpoint::failpoint, platform};

use super::Error;

/// One change of one name.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Change {
    /// When it happened, as an RFC 3339 time.
    pub time: String,
    /// The name as it is shown; the digest for a kit without a name.
    pub name: String,
    /// What it named before; `None` for a new name.
    pub old: Option<Digest>,
    /// What it names now; `None` for a name that was taken off.
    pub new: Option<Digest>,
    /// What the user ran.
    pub command: String,
}

/// What a log tells.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct History {
    /// The changes, oldest first.
    pub changes: Vec<Change>,
    /// The numbers of lines, from 1, that are neither a change nor the beginning of one.
    pub damaged: Vec<usize>,
}

impl History {
    /// Returns which names there are after all changes, in the order of the names.
    pub(super) fn names(&self) -> BTreeMap<&str, Digest> {
        let mut names = BTreeMap::new();
        for change in &self.changes {
            match change.new {
                Some(digest) => names.insert(change.name.as_str(), digest),
                None => names.remove(change.name.as_str()),
            };
        }
        names
    }
}

/// Reads the text of a log.
pub(super) fn parse(text: &[u8]) -> History {
    let mut history = History::default();
    for (number, line) in text.split(|&byte| byte == b'\n').enumerate() {
        // A power cut may leave zeros where a line was to be.
        let line = line.trim_ascii();
        let line = match line.iter().rposition(|&byte| byte != 0) {
            Some(last) => &line[..=last],
            None => continue,
        };
        match serde_json::from_slice(line) {
            Ok(change) => history.changes.push(change),
            Err(_) if line.starts_with(b"{") && !line.ends_with(b"}") => {}
            Err(_) => history.damaged.push(number + 1),
        }
    }
    history
}

/// Reads the log at `path`; `None` if there is none.
pub(super) fn read(path: &Path) -> Result<Option<History>, Error> {
    match fs::read(path) {
        Ok(text) => Ok(Some(parse(&text))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Error::io("read", path)(error)),
    }
}

/// Where a log ended before something was added to it.
pub(super) struct Mark(Option<u64>);

/// Adds `changes` to the log at `path` and makes them durable, all or none. The index must be
/// locked.
pub(super) fn append(path: &Path, changes: &[Change]) -> Result<Mark, Error> {
    if changes.is_empty() {
        return Ok(Mark(None));
    }
    let is_new = !path.exists();
    let mut options = OpenOptions::new();
    options.read(true).append(true).create(true);
    let opened = failpoint!("store.log.open", options.open(path));
    let mut file = opened.map_err(Error::io("open", path))?;
    let length = file.metadata().map_err(Error::io("look at", path))?.len();
    let mut text = Vec::new();
    if is_torn(&mut file).map_err(Error::io("read", path))? {
        text.push(b'\n');
    }
    for change in changes {
        serde_json::to_writer(&mut text, change).expect("plain fields make JSON");
        text.push(b'\n');
    }
    let written = failpoint!(write "store.log.write", &mut file, &text);
    let synced = written.map_err(Error::io("write", path));
    let synced = synced.and_then(|()| {
        failpoint!("store.log.sync", file.sync_all()).map_err(Error::io("sync", path))
    });
    if let Err(error) = synced {
        // Shortening works on a full disk. What stays all the same is told apart when it is read.
        let _ = file.set_len(length);
        return Err(error);
    }
    if is_new && let Some(directory) = path.parent() {
        failpoint!("store.log.dirsync", platform::sync_dir(directory))
            .map_err(Error::io("sync", directory))?;
    }
    Ok(Mark(Some(length)))
}

/// Takes back what was added since `mark`, because it has not happened. The index must have been
/// locked all the time.
pub(super) fn take_back(path: &Path, mark: &Mark) -> Result<(), Error> {
    let Mark(Some(length)) = mark else {
        return Ok(());
    };
    let file = OpenOptions::new().write(true).open(path);
    file.and_then(|file| {
        failpoint!("store.log.shorten", file.set_len(*length))?;
        file.sync_all()
    })
    .map_err(Error::io("shorten", path))
}

/// Tells whether the last line of `file` has no end.
fn is_torn(file: &mut File) -> io::Result<bool> {
    if file.metadata()?.len() == 0 {
        return Ok(false);
    }
    file.seek(SeekFrom::End(-1))?;
    let mut last = [0];
    file.read_exact(&mut last)?;
    Ok(last != *b"\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn change(name: &str, new: Option<Digest>) -> Change {
        Change {
            time: "2026-01-01T00:00:00Z".to_owned(),
            name: name.to_owned(),
            old: None,
            new,
            command: "kit tag".to_owned(),
        }
    }

    // hazard: 94
    #[test]
    fn a_torn_line_is_passed_over_and_the_next_change_starts_a_new_line() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("names.log");
        let (first, second) = (change("a:1", Some(Digest::of(b"1"))), change("a:1", None));
        append(&path, std::slice::from_ref(&first)).unwrap();
        let whole = fs::read(&path).unwrap();
        for length in 1..whole.len() - 1 {
            let mut torn = whole.clone();
            torn.extend_from_slice(&whole[..length]);
            fs::write(&path, &torn).unwrap();
            let history = read(&path).unwrap().unwrap();
            assert_eq!(
                history.changes,
                std::slice::from_ref(&first),
                "torn after {length}"
            );
            append(&path, std::slice::from_ref(&second)).unwrap();
            let history = read(&path).unwrap().unwrap();
            assert_eq!(history.changes, [first.clone(), second.clone()]);
            assert_eq!(history.damaged, [0; 0]);
            assert!(history.names().is_empty());
        }
    }

    // hazard: 98
    #[test]
    fn zeros_after_a_power_cut_are_no_change_but_other_text_is_damage() {
        let line = serde_json::to_string(&change("a:1", None)).unwrap();
        let history = parse(format!("{line}\n\0\0\0\0").as_bytes());
        assert_eq!((history.changes.len(), history.damaged.len()), (1, 0));
        let history = parse(format!("{line}\nsomething else\n{line}\n").as_bytes());
        assert_eq!((history.changes.len(), history.damaged), (2, vec![2]));
    }
}
