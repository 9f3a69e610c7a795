//! Tells what differs between a directory and a kit.

mod compare;

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use serde::Serialize;

use self::compare::Comparison;
use super::{
    Error,
    chain::{self, ChainError, Child},
    draft, files,
    kit::{Kit, Layer},
    pack::{ShardSize, cut_tree},
    reuse::Reuse,
};
use crate::{
    archive::{
        self,
        ignore::IgnoreRules,
        walk::{self, FollowLinks, Found},
    },
    cache::Cache,
    digest::Digest,
    glob::Pattern,
    kitfile::{Entry, Kitfile, Section},
    progress::Progress,
    store::Store,
};

/// What is compared, and how.
pub struct Options {
    /// The directory.
    pub directory: PathBuf,
    /// What packing the directory would pack.
    pub kitfile: Kitfile,
    /// Where that comes from.
    pub source: Source,
    /// What is left out.
    pub rules: IgnoreRules,
    /// What becomes of links.
    pub follow_links: FollowLinks,
    /// Whether all permission bits count, or only the owner's execute bit.
    pub keep_modes: bool,
    /// Files that can be executed whatever their bits say.
    pub executable: Vec<Pattern>,
    /// The layers of the kit that were put there; `None` if all were. Of the others nothing is
    /// missed.
    pub taken: Option<HashSet<Digest>>,
    /// Which folders packing would cut into several layers. What was packed in another way is
    /// compared file by file.
    pub shard_size: ShardSize,
    /// How many threads hash.
    pub threads: usize,
}

/// Where the Kitfile of a directory comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Source {
    /// Somebody wrote it.
    Written,
    /// Nobody wrote one, and packing would draft it.
    Drafted,
    /// The directory has none although it should: it is that of the kit.
    Deleted,
    /// The directory has none and need not: it is that of the kit.
    NotTaken,
}

/// What differs.
#[derive(Debug)]
pub struct Report {
    /// What became of the Kitfile; `None` if nothing did.
    pub kitfile: Option<Change>,
    /// The elements of the Kitfile in packing order, then those that only the kit has.
    pub elements: Vec<Element>,
    /// What the walk has to say: links, special files.
    pub warnings: Vec<String>,
}

/// What differs in an element of the Kitfile.
#[derive(Debug)]
pub struct Element {
    /// The element, as the directory's Kitfile has it, or the kit's.
    pub entry: Entry,
    /// What became of the element; `None` if both have it.
    pub change: Option<Change>,
    /// What became of its files, in the order of the archive. A folder, which ends with `/`, is
    /// named only if it is empty.
    pub files: Vec<(Vec<u8>, Change)>,
}

/// What became of a file, or of an element.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Change {
    /// It has another content.
    Modified,
    /// The kit does not have it.
    New,
    /// The directory does not have it.
    Deleted,
    /// It has other permission bits.
    Mode,
}

impl Report {
    /// Tells whether the directory is what the kit is.
    pub fn is_clean(&self) -> bool {
        let is_clean = |it: &Element| it.change.is_none() && it.files.is_empty();
        self.kitfile.is_none() && self.elements.iter().all(is_clean)
    }
}

/// Compares a directory with `kit`, reading only what is not known.
pub fn run(
    options: &Options,
    kit: &Kit,
    store: &Store,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let entries = options.kitfile.entries();
    let (foreign, warning) = inherited(&options.kitfile, store, progress)?;
    let (present, mut found) = walk(options, &entries, &foreign, progress)?;
    let owners = owners(&entries, kit);
    let present = cut(options, &entries, &owners, &present, &mut found);
    let reuse = Reuse::new(cache, &options.directory);
    let comparison = Comparison {
        options,
        store,
        cache,
        reuse: &reuse,
        tree: &found.tree,
        progress,
        meter: progress.begin("Comparing", None),
    };
    let elements = comparison.elements(kit, &entries, (&owners, &present));
    drop(comparison);
    // Whatever came of it: what was found out about files is true.
    reuse.save();
    let elements = elements?;
    let mut warnings = found.warnings;
    warnings.extend(warning);
    Ok(Report {
        kitfile: kitfile_change(options, kit),
        elements,
        warnings,
    })
}

/// Returns the paths that belong to the kits that `kitfile` takes its model from.
fn inherited(
    kitfile: &Kitfile,
    store: &Store,
    progress: &dyn Progress,
) -> Result<(Vec<String>, Option<String>), Error> {
    let child = Child {
        names: &[],
        descriptor: None,
        kitfile,
    };
    match chain::in_store(store, child, progress) {
        Ok(parents) => {
            let claims = chain::claims(&parents).into_iter();
            Ok((claims.map(|claim| claim.path).collect(), None))
        }
        Err(Error::Chain(error)) => match *error {
            ChainError::Missing { parent, .. } => {
                let warning = format!(
                    "the model is in {parent}, which is not in the store: its files count as new"
                );
                Ok((Vec::new(), Some(warning)))
            }
            error => Err(error.into()),
        },
        Err(error) => Err(error),
    }
}

fn kitfile_change(options: &Options, kit: &Kit) -> Option<Change> {
    match options.source {
        Source::Deleted => Some(Change::Deleted),
        Source::NotTaken => None,
        // What is written to a file has no digests of layers in it.
        Source::Written | Source::Drafted => {
            let mut kitfile = options.kitfile.clone();
            kitfile.spread(&spread_paths(&kitfile.entries(), kit));
            (kitfile.to_yaml() != kit.kitfile.to_yaml()).then_some(Change::Modified)
        }
    }
}

/// Returns the paths of the kit's elements for each element of the directory's Kitfile that is
/// several in the kit: its files were packed one by one.
fn spread_paths(entries: &[Entry], kit: &Kit) -> BTreeMap<usize, Vec<String>> {
    let mut paths: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (layer, owner) in kit.layers.iter().zip(owners(entries, kit)) {
        // A folder that was cut into several layers is one element all the same.
        if let Some(owner) = owner.filter(|_| layer.entry.shard == 0) {
            let path = layer.entry.path.clone();
            paths.entry(owner).or_default().push(path);
        }
    }
    paths.retain(|owner, paths| *paths != [entries[*owner].path.as_str()]);
    paths
}

/// Cuts what the tree has of the elements that are several layers in the kit, as packing would;
/// returns the places that each has in the tree then.
fn cut(
    options: &Options,
    entries: &[Entry],
    owners: &[Option<usize>],
    present: &[Option<usize>],
    found: &mut Found,
) -> Vec<Option<Range<usize>>> {
    let is_several = |position: usize| {
        let mut layers = owners.iter().filter(|owner| **owner == Some(position));
        layers.nth(1).is_some()
    };
    let places = entries.iter().zip(present).enumerate();
    let several = places.filter(|(position, _)| is_several(*position));
    let several = several.filter_map(|(_, (entry, place))| Some(((*place)?, entry)));
    let counts = cut_tree(&mut found.tree, several, options.shard_size);
    // In the order of the tree, which is that of the elements.
    let mut begin = 0;
    let ranges = present.iter().map(|place| {
        let count = counts.get(&(*place)?).copied().unwrap_or(1);
        begin += count;
        Some(begin - count..begin)
    });
    ranges.collect()
}

/// Walks what there is of the elements; returns the place of each in the tree.
fn walk(
    options: &Options,
    entries: &[Entry],
    foreign: &[String],
    progress: &dyn Progress,
) -> Result<(Vec<Option<usize>>, Found), Error> {
    let mut layers = Vec::new();
    let mut present = Vec::new();
    for entry in entries {
        let is_there = is_there(&options.directory.join(&entry.clean))?;
        present.push(is_there.then_some(layers.len()));
        if is_there {
            layers.push(entry.clean.clone());
        }
    }
    let is_draft = options.source == Source::Drafted;
    let found = walk::walk(
        &options.directory,
        &walk::Options {
            layers: &layers,
            foreign,
            rules: &options.rules,
            follow_links: options.follow_links,
            keep_modes: options.keep_modes,
            executable: &options.executable,
            strict: false,
            guard: is_draft.then_some(&draft::guard),
        },
        progress,
    )?;
    Ok((present, found))
}

fn is_there(path: &Path) -> Result<bool, Error> {
    match fs::symlink_metadata(path) {
        Ok(_) => Ok(true),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(false)
        }
        Err(source) => Err(archive::Error::read_file(path, source).into()),
    }
}

/// Returns for each layer of the kit the element among `entries` that would hold its files now:
/// the one of the same section with the longest path above it.
fn owners(entries: &[Entry], kit: &Kit) -> Vec<Option<usize>> {
    // A kit of raw layers has thousands, nearly all of which are found here.
    let exact: HashMap<(Section, &str), usize> = entries
        .iter()
        .enumerate()
        .map(|(position, entry)| ((entry.section, entry.clean.as_str()), position))
        .collect();
    let owner = |layer: &Layer| {
        let theirs = &layer.entry;
        if let Some(position) = exact.get(&(theirs.section, theirs.clean.as_str())) {
            return Some(*position);
        }
        let candidates = entries.iter().enumerate().filter(|(_, ours)| {
            // Of a model whose files are packed one by one all but the first are parts.
            let is_part = theirs.section == Section::Part && ours.section == Section::Model;
            (theirs.section == ours.section || is_part)
                && files::is_below(&theirs.clean, &ours.clean)
        });
        let longest = candidates.max_by_key(|(_, ours)| {
            let length = if ours.clean == "." {
                0
            } else {
                ours.clean.len()
            };
            (length, theirs.section == ours.section)
        });
        longest.map(|(position, _)| position)
    };
    kit.layers.iter().map(owner).collect()
}
