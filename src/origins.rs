//! Which kit a directory was last packed into or unpacked from: `<home>/origins`.
//!
//! One small JSON document, replaced as a whole. It is a convenience: what is damaged or of a later
//! version counts as empty, and a directory that is forgotten is named with `--kit` again.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::{digest::Digest, platform};

/// The most directories that are remembered.
const MAX_ORIGINS: usize = 1_000;

/// The longest file that is read, in bytes.
const MAX_ORIGINS_BYTES: u64 = 16 << 20;

/// What the document calls its own form.
const VERSION: u32 = 1;

/// Where a directory and a kit met last.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Origin {
    /// The kit's digest.
    pub digest: Digest,
    /// The name it had, or got; none if it had none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<String>,
    /// When, as an RFC 3339 time.
    pub time: String,
    /// What happened.
    #[serde(flatten)]
    pub event: Event,
}

/// What connected a directory with a kit.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "camelCase")]
pub enum Event {
    /// The directory was packed.
    #[serde(rename_all = "camelCase")]
    Pack {
        /// Where the Kitfile came from.
        kitfile: Source,
        /// What became of links, in the words of the command line.
        follow_links: String,
        /// Whether permission bits were packed as they are.
        keep_modes: bool,
        /// Which files could be executed whatever their bits said, as on the command line.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        executable: Vec<String>,
        /// Which folders became several layers, as on the command line; none as if nothing was said.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        shard_size: Option<String>,
    },
    /// The kit was unpacked there.
    #[serde(rename_all = "camelCase")]
    Unpack {
        /// Whether its Kitfile was taken.
        kitfile: bool,
        /// The layers that were taken; none if all were.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        layers: Option<Vec<Digest>>,
    },
}

/// Where the Kitfile of a pack came from.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub enum Source {
    /// It was in the directory.
    Found,
    /// Nobody wrote one.
    Drafted,
    /// It was this file.
    File(PathBuf),
    /// It came through standard input.
    Stdin,
}

#[derive(Default, Serialize, Deserialize)]
struct Document {
    version: u32,
    /// The one that was recorded last comes last.
    origins: Vec<Recorded>,
}

#[derive(Serialize, Deserialize)]
struct Recorded {
    path: String,
    #[serde(flatten)]
    origin: Origin,
}

/// Remembers that `directory` and a kit met, in the file `path`. What is already known of the same
/// kit there is completed: who takes one layer after the other has them all. Directories whose
/// paths are not Unicode are not remembered.
pub fn record(path: &Path, directory: &Path, origin: Origin) -> io::Result<()> {
    let directory = fs::canonicalize(directory)?;
    let Some(directory) = directory.to_str() else {
        return Ok(());
    };
    if let Some(parent) = path.parent() {
        fs::create_dir_all(parent)?;
    }
    let _turn = platform::turn(&path.with_extension("lock"))?;
    let mut document = read(path);
    let mut origin = origin;
    let place = document
        .origins
        .iter()
        .position(|recorded| recorded.path == directory);
    if let Some(place) = place {
        let before = document.origins.remove(place).origin;
        origin.complete(&before);
        if origin.is_known_from(&before) {
            return Ok(());
        }
    }
    document.version = VERSION;
    document.origins.push(Recorded {
        path: directory.to_owned(),
        origin,
    });
    let surplus = document.origins.len().saturating_sub(MAX_ORIGINS);
    document.origins.drain(..surplus);
    let mut text = serde_json::to_vec_pretty(&document).expect("texts and numbers make JSON");
    while text.len() as u64 > MAX_ORIGINS_BYTES && document.origins.len() > 1 {
        let half = document.origins.len() / 2;
        document.origins.drain(..half);
        text = serde_json::to_vec_pretty(&document).expect("texts and numbers make JSON");
    }
    text.push(b'\n');
    if let Some(folder) = path.parent() {
        platform::sweep(folder);
    }
    platform::replace(path, true, |file| file.write_all(&text))
}

/// Returns what is recorded of `directory` in the file `path`.
pub fn find(path: &Path, directory: &Path) -> Option<Origin> {
    let directory = fs::canonicalize(directory).ok()?;
    let directory = directory.to_str()?;
    let mut recorded = read(path).origins.into_iter();
    let found = recorded.find(|recorded| recorded.path == directory)?;
    Some(found.origin)
}

fn read(path: &Path) -> Document {
    let is_fit = |metadata: fs::Metadata| metadata.len() <= MAX_ORIGINS_BYTES;
    if !fs::metadata(path).is_ok_and(is_fit) {
        return Document::default();
    }
    let document = fs::read(path)
        .ok()
        .and_then(|text| serde_json::from_slice::<Document>(&text).ok());
    document
        .filter(|document| document.version == VERSION)
        .unwrap_or_default()
}

impl Origin {
    /// Tells whether this says nothing new: the same as `before`, on the same day. Then nothing is
    /// written, which would be most of the time that packing an unchanged directory takes.
    fn is_known_from(&self, before: &Self) -> bool {
        let day = |origin: &Self| origin.time.get(..10).map(str::to_owned);
        (self.digest, &self.reference, &self.event)
            == (before.digest, &before.reference, &before.event)
            && day(self) == day(before)
    }

    /// Adds what was taken of the same kit before.
    fn complete(&mut self, before: &Self) {
        if self.digest != before.digest {
            return;
        }
        match (&mut self.event, &before.event) {
            (
                Event::Unpack { kitfile, layers },
                Event::Unpack {
                    kitfile: had_kitfile,
                    layers: had,
                },
            ) => {
                *kitfile |= had_kitfile;
                match (layers.as_mut(), had) {
                    (Some(layers), Some(had)) => {
                        let missing = had.iter().filter(|layer| !layers.contains(layer));
                        let missing: Vec<Digest> = missing.copied().collect();
                        layers.extend(missing);
                    }
                    _ => *layers = None,
                }
            }
            // All of the kit was there when it was packed.
            (Event::Unpack { layers, .. }, Event::Pack { .. }) => *layers = None,
            (Event::Pack { .. }, _) => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, SystemTime};

    use super::*;

    fn unpack(kit: &str, kitfile: bool, layers: Option<&[&str]>) -> Origin {
        let digest = |text: &&str| Digest::of(text.as_bytes());
        Origin {
            digest: digest(&kit),
            reference: Some("a:1".to_owned()),
            time: "2026-01-01T00:00:00Z".to_owned(),
            event: Event::Unpack {
                kitfile,
                layers: layers.map(|layers| layers.iter().map(digest).collect()),
            },
        }
    }

    #[test]
    fn what_is_taken_bit_by_bit_adds_up_as_long_as_it_is_one_kit() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("home/origins");
        let here = folder.path();
        for (origin, expected) in [
            (
                unpack("k", false, Some(&["a"])),
                unpack("k", false, Some(&["a"])),
            ),
            (
                unpack("k", true, Some(&["b"])),
                unpack("k", true, Some(&["b", "a"])),
            ),
            (unpack("k", false, None), unpack("k", true, None)),
            (unpack("k", false, Some(&["a"])), unpack("k", true, None)),
            (
                unpack("other", false, Some(&["a"])),
                unpack("other", false, Some(&["a"])),
            ),
        ] {
            record(&path, here, origin).unwrap();
            assert_eq!(find(&path, here), Some(expected));
        }
        assert_eq!(find(&path, &here.join("home")), None);
    }

    #[test]
    fn a_damaged_file_is_empty_and_is_written_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("origins");
        record(&path, folder.path(), unpack("k", true, None)).unwrap();
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() - 2 {
            fs::write(&path, &whole[..end]).unwrap();
            assert_eq!(find(&path, folder.path()), None, "{end} bytes");
        }
        record(&path, folder.path(), unpack("k", true, None)).unwrap();
        assert_eq!(fs::read(&path).unwrap(), whole);
    }

    #[test]
    fn what_a_killed_process_left_is_swept_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("origins");
        let old = SystemTime::now() - Duration::from_secs(7200);
        let names = [
            "origins.0123456789abcdef.tmp",
            "origins.tmp",
            "credentials.json.tmp",
        ];
        for name in names {
            let file = fs::File::create(folder.path().join(name)).unwrap();
            file.set_modified(old).unwrap();
        }
        record(&path, folder.path(), unpack("k", true, None)).unwrap();
        let stays = names.map(|name| folder.path().join(name).exists());
        assert_eq!(stays, [false, true, true]);
    }

    #[test]
    fn the_oldest_directory_is_forgotten() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("origins");
        let mut document = Document {
            version: VERSION,
            origins: Vec::new(),
        };
        for number in 0..MAX_ORIGINS {
            document.origins.push(Recorded {
                path: format!("/{number}"),
                origin: unpack("k", true, None),
            });
        }
        fs::write(&path, serde_json::to_vec(&document).unwrap()).unwrap();
        record(&path, folder.path(), unpack("k", true, None)).unwrap();
        let after = read(&path);
        assert_eq!(after.origins.len(), MAX_ORIGINS);
        assert_eq!(after.origins[0].path, "/1");
    }
}
