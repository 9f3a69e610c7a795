//! Links in a context, judged by where they end.

use std::{
    collections::HashMap,
    fs, io,
    path::{Path, PathBuf},
};

use super::{
    error::{LinkProblem, LinkReason},
    ignore::IgnoreRules,
};
use crate::platform::{self, FileStamp};

/// How often links may lead to one folder.
const MAX_TIMES: u32 = 1000;

/// What becomes of a link.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum FollowLinks {
    /// A link that ends inside the context is packed as what it leads to; any other is an error.
    /// The context being a Hugging Face cache snapshot, its `blobs` folder counts as inside.
    #[default]
    Context,
    /// Every link is packed as what it leads to, and those that lead outside are listed.
    All,
    /// Links are left out, each with a warning.
    Skip,
}

/// Where a link ends.
pub(super) struct End {
    pub(super) metadata: fs::Metadata,
    pub(super) on_disk: PathBuf,
    place: Place,
}

impl End {
    /// Tells whether it is neither in the context nor in the cache that the context belongs to.
    pub(super) fn is_elsewhere(&self) -> bool {
        self.place == Place::Elsewhere
    }
}

/// Where an end is.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Place {
    Context,
    Cache,
    Elsewhere,
}

/// Judges the links of one context.
pub(super) struct Links<'a> {
    root: PathBuf,
    rules: &'a IgnoreRules,
    follow: FollowLinks,
    /// The `blobs` folder of a Hugging Face cache whose snapshot the context is.
    cache_blobs: Option<PathBuf>,
    from_cache: u64,
    /// How often links led to each folder.
    folders: HashMap<PathBuf, u32>,
    notes: Vec<String>,
}

impl<'a> Links<'a> {
    /// `root` is the canonical path of the context.
    pub(super) fn new(root: &Path, rules: &'a IgnoreRules, follow: FollowLinks) -> Self {
        // <cache>/models--org--name/snapshots/<revision>, beside <cache>/models--org--name/blobs
        let cache_blobs = root
            .parent()
            .filter(|parent| parent.file_name().is_some_and(|name| name == "snapshots"))
            .and_then(Path::parent)
            .map(|repository| repository.join("blobs"))
            .filter(|blobs| blobs.is_dir());
        Self {
            root: root.to_owned(),
            rules,
            follow,
            cache_blobs,
            from_cache: 0,
            folders: HashMap::new(),
            notes: Vec::new(),
        }
    }

    /// Finds where the link `path`, which is at `on_disk`, ends. `active` are the folders being
    /// walked. `None`: it is to be left out, and a note says so.
    pub(super) fn resolve(
        &mut self,
        path: &[u8],
        on_disk: &Path,
        active: &[(u64, u64)],
    ) -> Result<Option<End>, LinkProblem> {
        let shown = String::from_utf8_lossy(path).into_owned();
        let problem = |reason| LinkProblem {
            path: shown.clone(),
            target: fs::read_link(on_disk).unwrap_or_default(),
            reason,
        };
        if self.follow == FollowLinks::Skip {
            let target = fs::read_link(on_disk).unwrap_or_default();
            self.notes.push(format!(
                "`{shown}` is a link to `{}` and is not packed",
                target.display()
            ));
            return Ok(None);
        }
        let end = fs::canonicalize(on_disk).map_err(|error| {
            problem(match error.kind() {
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => LinkReason::Missing,
                io::ErrorKind::PermissionDenied => LinkReason::Unreadable,
                // ELOOP has no stable kind of its own.
                _ => LinkReason::Circle,
            })
        })?;
        let metadata = fs::symlink_metadata(&end).map_err(|_| problem(LinkReason::Unreadable))?;
        let place = if let Some(inside) = self.inside(&end) {
            let decision = self.rules.decide(&inside);
            if decision.ignored && !inside.is_empty() {
                let decider = decision
                    .decider
                    .map_or_else(String::new, |decider| decider.to_string());
                return Err(problem(LinkReason::Ignored(decider)));
            }
            Place::Context
        } else if self
            .cache_blobs
            .as_ref()
            .is_some_and(|blobs| end.starts_with(blobs))
        {
            Place::Cache
        } else if self.follow == FollowLinks::All {
            Place::Elsewhere
        } else {
            return Err(problem(LinkReason::Outside));
        };
        if metadata.is_dir() {
            let stamp = FileStamp::of(&metadata);
            // Where files have no numbers the limit on a path's parts ends a loop.
            if stamp.inode != 0 && active.contains(&(stamp.device, stamp.inode)) {
                return Err(problem(LinkReason::Loop));
            }
            // Folders full of links to folders full of links multiply without end.
            let times = self.folders.entry(end.clone()).or_default();
            *times += 1;
            if *times > MAX_TIMES {
                return Err(problem(LinkReason::TooOften(MAX_TIMES)));
            }
        }
        Ok(Some(End {
            metadata,
            on_disk: end,
            place,
        }))
    }

    /// Notes that what the link `path` leads to is packed, if it is something that can be.
    pub(super) fn take(&mut self, path: &[u8], end: &End) {
        if !end.metadata.is_file() && !end.metadata.is_dir() {
            return;
        }
        match end.place {
            Place::Context => {}
            Place::Cache => self.from_cache += 1,
            Place::Elsewhere => self.take_elsewhere(path, &end.on_disk),
        }
    }

    /// Notes that `path` is packed although what it stands for, at `on_disk`, is not in the context.
    pub(super) fn take_elsewhere(&mut self, path: &[u8], on_disk: &Path) {
        self.notes.push(format!(
            "`{}` is packed from outside the context: `{}`",
            String::from_utf8_lossy(path),
            on_disk.display()
        ));
    }

    /// Returns the path of `end` relative to the context; `None` if it is outside.
    pub(super) fn inside(&self, end: &Path) -> Option<Vec<u8>> {
        let relative = end.strip_prefix(&self.root).ok()?;
        let mut path = Vec::new();
        for part in relative.components() {
            if !path.is_empty() {
                path.push(b'/');
            }
            path.extend_from_slice(platform::name_bytes(part.as_os_str())?);
        }
        Some(path)
    }

    /// Returns what is to be told about links.
    pub(super) fn into_notes(mut self) -> Vec<String> {
        if let (1.., Some(blobs)) = (self.from_cache, &self.cache_blobs) {
            self.notes.push(format!(
                "the context is a cache snapshot: {} packed as what {} to in `{}`",
                match self.from_cache {
                    1 => "1 link is".to_owned(),
                    count => format!("{count} links are"),
                },
                if self.from_cache == 1 {
                    "it leads"
                } else {
                    "they lead"
                },
                blobs.display()
            ));
        }
        self.notes
    }
}
