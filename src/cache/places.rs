//! In which repositories blobs were seen, so that a registry can take them from there.

use std::{
    collections::HashMap,
    fs::{self, File},
    io::Read as _,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use super::Cache;
use crate::{digest::Digest, platform};

/// The most blobs that are remembered, each of them once for every repository that has it.
const MAX_PLACES: usize = 20_000;

/// The longest file that is read, in bytes.
const MAX_PLACES_BYTES: u64 = 8 << 20;

/// What the document calls its own form.
const VERSION: u32 = 1;

/// Which repositories have had which blobs. It is a guess: what is asked for there may be gone.
#[derive(Clone, Debug)]
pub struct Places {
    path: PathBuf,
    turn: PathBuf,
}

#[derive(Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// The one that was seen last comes last.
    repositories: Vec<Seen>,
}

#[derive(Serialize, Deserialize)]
struct Seen {
    registry: String,
    repository: String,
    blobs: Vec<Digest>,
}

impl Cache {
    /// Returns where blobs were seen.
    pub fn places(&self) -> Places {
        Places {
            path: self.path("places"),
            turn: self.turn(),
        }
    }
}

impl Places {
    /// Returns for each of `blobs` the repositories of `registry`, others than `repository`, in which
    /// it was seen, the last one first.
    pub fn find(
        &self,
        registry: &str,
        repository: &str,
        blobs: impl Iterator<Item = Digest>,
    ) -> HashMap<Digest, Vec<String>> {
        let mut found: HashMap<Digest, Vec<String>> = blobs.map(|it| (it, Vec::new())).collect();
        let all = read(&self.path).repositories.into_iter().rev();
        for seen in all.filter(|it| it.registry == registry && it.repository != repository) {
            for blob in &seen.blobs {
                if let Some(names) = found.get_mut(blob) {
                    names.push(seen.repository.clone());
                }
            }
        }
        found.retain(|_, names| !names.is_empty());
        found
    }

    /// Remembers that `repository` has `blobs`, and that no other one of its registry gives those
    /// that are `lost`. What cannot be written is not remembered.
    pub fn learn(&self, registry: &str, repository: &str, blobs: &[Digest], lost: &[Digest]) {
        let is_known = |document: &Document| {
            let mut all = document.repositories.iter();
            let here = all.find(|it| it.registry == registry && it.repository == repository);
            here.is_some_and(|here| blobs.iter().all(|blob| here.blobs.contains(blob)))
        };
        if lost.is_empty() && is_known(&read(&self.path)) {
            return;
        }
        let folder = self.path.parent().unwrap_or(Path::new("."));
        let Ok(_turn) = fs::create_dir_all(folder).and_then(|()| platform::turn(&self.turn)) else {
            return;
        };
        let mut document = read(&self.path);
        document.version = VERSION;
        document.see(registry, repository, blobs, lost);
        document.shorten();
        let text = serde_json::to_vec(&document).expect("texts make JSON");
        platform::sweep(folder);
        let _ = platform::replace(&self.path, false, |file| file.write_all(&text));
    }
}

impl Document {
    fn see(&mut self, registry: &str, repository: &str, blobs: &[Digest], lost: &[Digest]) {
        let is_it = |it: &Seen| it.registry == registry && it.repository == repository;
        let place = self.repositories.iter().position(is_it);
        let before = place.map(|place| self.repositories.remove(place).blobs);
        for seen in &mut self.repositories {
            if seen.registry == registry {
                seen.blobs.retain(|blob| !lost.contains(blob));
            }
        }
        let mut all = before.unwrap_or_default();
        // What is seen again goes to the end.
        all.retain(|blob| !blobs.contains(blob));
        all.extend(blobs);
        self.repositories.push(Seen {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            blobs: all,
        });
    }

    /// Drops what was seen longest ago, of what is too much.
    fn shorten(&mut self) {
        let mut room = MAX_PLACES;
        for seen in self.repositories.iter_mut().rev() {
            let surplus = seen.blobs.len().saturating_sub(room);
            seen.blobs.drain(..surplus);
            room -= seen.blobs.len();
        }
        self.repositories.retain(|seen| !seen.blobs.is_empty());
    }
}

/// Reads the file; what cannot be understood is nothing.
fn read(path: &Path) -> Document {
    let mut text = Vec::new();
    let whole = File::open(path)
        .and_then(|file| file.take(MAX_PLACES_BYTES + 1).read_to_end(&mut text))
        .is_ok_and(|read| read as u64 <= MAX_PLACES_BYTES);
    let document: Option<Document> = serde_json::from_slice(&text).ok();
    document
        .filter(|it| whole && it.version == VERSION)
        .unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Use;

    fn blob(number: usize) -> Digest {
        Digest::of(number.to_string().as_bytes())
    }

    #[test]
    fn blobs_are_found_where_they_were_seen_last_until_they_are_lost() {
        let folder = tempfile::tempdir().unwrap();
        let places = Cache::open(&folder.path().join("hashes"), Use::All).places();
        let find = |registry: &str, to: &str| {
            let mut found = places.find(registry, to, [blob(1), blob(2)].into_iter());
            (
                found.remove(&blob(1)).unwrap_or_default(),
                found.remove(&blob(2)).unwrap_or_default(),
            )
        };
        let none = (Vec::new(), Vec::new());
        assert_eq!(find("r.example", "c"), none);
        places.learn("r.example", "a", &[blob(1), blob(2)], &[]);
        places.learn("r.example", "b", &[blob(1)], &[]);
        let text = |names: &[&str]| names.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(find("r.example", "c"), (text(&["b", "a"]), text(&["a"])));
        assert_eq!(find("r.example", "a"), (text(&["b"]), text(&[])));
        assert_eq!(find("s.example", "c"), none);
        places.learn("s.example", "d", &[], &[blob(1)]);
        places.learn("r.example", "c", &[blob(1)], &[blob(1)]);
        assert_eq!(find("r.example", "d"), (text(&["c"]), text(&["a"])));
        for junk in ["", "{", r#"{"version":2,"repositories":[]}"#] {
            fs::write(&places.path, junk).unwrap();
            assert_eq!(find("r.example", "d"), none);
        }
        places.learn("r.example", "a", &[blob(1)], &[]);
        assert_eq!(find("r.example", "d").0, ["a"]);
    }

    #[test]
    fn what_was_seen_longest_ago_makes_room() {
        let mut document = Document::default();
        let many: Vec<Digest> = (0..MAX_PLACES).map(blob).collect();
        document.see("r", "old", &many[..2], &[]);
        document.see("r", "new", &many[1..], &[]);
        document.shorten();
        assert_eq!(document.repositories.len(), 2);
        assert_eq!(document.repositories[0].blobs, [blob(1)]);
        document.see("r", "new", &many[..1], &[]);
        document.shorten();
        assert_eq!(document.repositories.len(), 1);
        let text = serde_json::to_vec(&document).unwrap();
        assert!((text.len() as u64) < MAX_PLACES_BYTES, "{}", text.len());
    }
}
