//! Tells what differs between a directory and a kit.

use std::{
    cmp::Ordering,
    collections::{BTreeMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
};

use serde::Serialize;

use super::{
    Error,
    chain::{self, ChainError, Child},
    draft, files,
    kit::{Kit, Layer},
    reuse::{Reuse, Wanted, Writing},
};
use crate::{
    archive::{
        self,
        ignore::IgnoreRules,
        pack::Shape,
        tree::{Kind, Tree},
        walk::{self, FollowLinks, Found},
    },
    cache::{Cache, Item, Listing, order},
    digest::Digest,
    kitfile::{Entry, Kitfile, Section},
    oci::{Encoding, annotation},
    progress::{Meter, Progress},
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
    /// The layers of the kit that were put there; `None` if all were. Of the others nothing is
    /// missed.
    pub taken: Option<HashSet<Digest>>,
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
    let (present, found) = walk(options, &entries, &foreign, progress)?;
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
    let elements = comparison.elements(kit, &entries, &present);
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
        if let Some(owner) = owner {
            let path = layer.entry.path.clone();
            paths.entry(owner).or_default().push(path);
        }
    }
    paths.retain(|owner, paths| *paths != [entries[*owner].path.as_str()]);
    paths
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

/// What elements are compared with.
struct Comparison<'a, 'c> {
    options: &'a Options,
    store: &'a Store,
    cache: &'c Cache,
    reuse: &'a Reuse<'c>,
    tree: &'a Tree,
    progress: &'a dyn Progress,
    meter: Box<dyn Meter + 'a>,
}

impl Comparison<'_, '_> {
    fn elements(
        &self,
        kit: &Kit,
        entries: &[Entry],
        present: &[Option<usize>],
    ) -> Result<Vec<Element>, Error> {
        let owners = owners(entries, kit);
        let layers_of = |wanted: Option<usize>| {
            let layers = kit.layers.iter().zip(&owners);
            layers.filter_map(move |(layer, owner)| (*owner == wanted).then_some(layer))
        };
        let mut elements = Vec::new();
        for (position, (entry, place)) in entries.iter().zip(present).enumerate() {
            // Several, where the files of a folder are in more than one layer.
            let layers: Vec<&Layer> = layers_of(Some(position)).collect();
            elements.push(Element {
                entry: entry.clone(),
                change: layers.is_empty().then_some(Change::New),
                files: self.element(&layers, *place)?,
            });
        }
        for layer in layers_of(None) {
            let files = self.element(&[layer], None)?;
            // Not missed if it was not put there.
            let change = self.is_taken(layer).then_some(Change::Deleted);
            elements.push(Element {
                entry: layer.entry.clone(),
                change,
                files,
            });
        }
        Ok(elements)
    }

    fn is_taken(&self, layer: &Layer) -> bool {
        let taken = self.options.taken.as_ref();
        taken.is_none_or(|taken| taken.contains(&layer.descriptor.digest))
    }

    /// Returns what differs between `layers` and what the tree has at `place`.
    fn element(
        &self,
        layers: &[&Layer],
        place: Option<usize>,
    ) -> Result<Vec<(Vec<u8>, Change)>, Error> {
        let Some(index) = place else {
            let taken = layers.iter().filter(|layer| self.is_taken(layer));
            let taken: Vec<&Layer> = taken.copied().collect();
            return Ok(changes(
                &self.listing(&taken)?,
                &[],
                self.options.keep_modes,
            ));
        };
        let wanted = Wanted {
            tree: self.tree,
            index,
            writing: Writing::plain(shape(layers, self.tree, index)),
        };
        if let [layer] = layers {
            let known = self
                .reuse
                .known(wanted, self.options.threads, self.progress)?;
            let diff_id = layer.entry.diff_id.unwrap_or(layer.descriptor.digest);
            if known.is_some_and(|known| known.diff_id == diff_id) {
                return Ok(Vec::new());
            }
        }
        let theirs = self.listing(layers)?;
        let ours = self.ours(wanted, &theirs)?;
        let mut changes = changes(&theirs, &ours, self.options.keep_modes);
        if !layers.iter().all(|layer| self.is_taken(layer)) {
            changes.retain(|(_, change)| *change != Change::Deleted);
        }
        Ok(changes)
    }

    /// Returns what the kit has in `layers`.
    fn listing(&self, layers: &[&Layer]) -> Result<Listing, Error> {
        let mut all = Listing::default();
        for layer in layers {
            all.append(&self.listing_of(layer)?);
        }
        all.sort();
        Ok(all)
    }

    fn listing_of(&self, layer: &Layer) -> Result<Listing, Error> {
        let digest = &layer.descriptor.digest;
        if let Some(listing) = self.cache.listing(digest) {
            return Ok(listing);
        }
        if let Some(listing) = raw_listing(layer) {
            return Ok(listing);
        }
        let mut listing = Listing::default();
        // Read to its end, and checked there.
        files::walk(layer, self.store, self.progress, &mut |file, _, content| {
            listing.push(Item {
                path: &file.path,
                mode: u16::try_from(file.mode & 0o7777).expect("12 bits fit 16"),
                size: if file.is_folder { 0 } else { file.size },
                digest: if file.is_folder {
                    None
                } else {
                    Some(content()?)
                },
            });
            Ok(())
        })?;
        self.meter.advance(layer.descriptor.size);
        // Of an older kit the paths depend on the element, not on the layer alone.
        if layer.prefix().is_none() && !is_raw(layer) {
            self.cache.learn_listing(digest, &listing);
        }
        Ok(listing)
    }

    /// Returns what the tree has, with the digests of the files of which `theirs` has one of the
    /// same path and size: any other differs without being read.
    fn ours(&self, wanted: Wanted<'_>, theirs: &Listing) -> Result<Vec<Ours>, Error> {
        let mut ours: Vec<Ours> = Vec::with_capacity(self.tree.len(wanted.index));
        for entry in self.tree.entries(wanted.index) {
            ours.push(Ours {
                path: entry.path(),
                mode: u16::try_from(entry.mode()).expect("12 bits fit 16"),
                size: entry.size(),
                is_folder: entry.kind() == Kind::Folder,
                digest: None,
            });
        }
        let mut is_needed = Vec::new();
        join(theirs, &ours, |theirs, ours| {
            if let Some(ours) = ours.filter(|ours| !ours.is_folder) {
                let is_candidate = |item: Item<'_>| item.digest.is_some() && item.size == ours.size;
                is_needed.push(theirs.is_some_and(is_candidate));
            }
        });
        let mut digests = self.reuse.digests(wanted);
        self.reuse.complete(
            wanted,
            &mut digests,
            &|position| is_needed[position],
            self.options.threads,
            Some(self.meter.as_ref()),
            self.progress,
        )?;
        let files = ours.iter_mut().filter(|ours| !ours.is_folder);
        for (ours, digest) in files.zip(digests) {
            ours.digest = digest;
        }
        Ok(ours)
    }
}

/// A file or folder of the tree.
struct Ours {
    path: Vec<u8>,
    mode: u16,
    size: u64,
    is_folder: bool,
    /// `None` for a folder and where it does not matter.
    digest: Option<Digest>,
}

/// Calls `pair` with each path of the two sides, in order, and what each has there.
fn join<'t, 'o>(
    theirs: &'t Listing,
    ours: &'o [Ours],
    mut pair: impl FnMut(Option<Item<'t>>, Option<&'o Ours>),
) {
    let (mut theirs, mut ours) = (theirs.iter().peekable(), ours.iter().peekable());
    loop {
        let ordering = match (theirs.peek(), ours.peek()) {
            (None, None) => return,
            (Some(_), None) => Ordering::Less,
            (None, Some(_)) => Ordering::Greater,
            (Some(theirs), Some(ours)) => order(theirs.path, &ours.path),
        };
        let left = if ordering.is_le() {
            theirs.next()
        } else {
            None
        };
        let right = if ordering.is_ge() { ours.next() } else { None };
        pair(left, right);
    }
}

fn changes(theirs: &Listing, ours: &[Ours], keep_modes: bool) -> Vec<(Vec<u8>, Change)> {
    let mut changes: Vec<(Vec<u8>, Change)> = Vec::new();
    // What a folder holds tells of the folder. Archives of other programs do not list them all.
    let theirs_bare = bare_folders(theirs.iter().map(|item| (item.path, item.digest.is_none())));
    let ours_bare = bare_folders(ours.iter().map(|ours| (&*ours.path, ours.is_folder)));
    let mut add = |path: &[u8], is_folder: bool, change| {
        let bare = match change {
            Change::Deleted => &theirs_bare,
            _ => &ours_bare,
        };
        let mut path = path.to_vec();
        if is_folder {
            if change != Change::Mode && !bare.contains(&path) {
                return;
            }
            path.push(b'/');
        }
        changes.push((path, change));
    };
    let bits = if keep_modes { 0o7777 } else { 0o100 };
    join(theirs, ours, |theirs, ours| match (theirs, ours) {
        (Some(theirs), None) => add(theirs.path, theirs.digest.is_none(), Change::Deleted),
        (None, Some(ours)) => add(&ours.path, ours.is_folder, Change::New),
        (Some(theirs), Some(ours)) => {
            if theirs.digest.is_none() != ours.is_folder {
                add(theirs.path, theirs.digest.is_none(), Change::Deleted);
                add(&ours.path, ours.is_folder, Change::New);
            } else if !ours.is_folder && theirs.digest != ours.digest {
                add(&ours.path, false, Change::Modified);
            } else if (theirs.mode ^ ours.mode) & bits != 0 && (keep_modes || !ours.is_folder) {
                add(&ours.path, ours.is_folder, Change::Mode);
            }
        }
        (None, None) => {}
    });
    changes
}

/// Returns the folders in which there is nothing, of paths in the order of an archive.
fn bare_folders<'p>(paths: impl Iterator<Item = (&'p [u8], bool)>) -> HashSet<Vec<u8>> {
    let mut bare = HashSet::new();
    let mut before: Option<&[u8]> = None;
    for (path, is_folder) in paths {
        if let Some(folder) = before.take()
            && !path
                .strip_prefix(folder)
                .is_some_and(|rest| rest.starts_with(b"/"))
        {
            bare.insert(folder.to_vec());
        }
        before = is_folder.then_some(path);
    }
    bare.extend(before.map(<[u8]>::to_vec));
    bare
}

/// Returns for each layer of the kit the element among `entries` that would hold its files now:
/// the one of the same section with the longest path above it.
fn owners(entries: &[Entry], kit: &Kit) -> Vec<Option<usize>> {
    let owner = |layer: &Layer| {
        let theirs = &layer.entry;
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

const fn is_raw(layer: &Layer) -> bool {
    matches!(
        layer.layer_type.encoding,
        Encoding::Raw | Encoding::RawGzip | Encoding::RawZstd
    )
}

/// Returns what is in a raw layer, if that is told without reading it.
fn raw_listing(layer: &Layer) -> Option<Listing> {
    let blob = &layer.descriptor;
    let (digest, size) = match layer.layer_type.encoding {
        Encoding::Raw => (blob.digest, blob.size),
        Encoding::RawGzip | Encoding::RawZstd => {
            let size = blob.annotations.get(annotation::UNCOMPRESSED_SIZE)?;
            (layer.entry.diff_id?, size.parse().ok()?)
        }
        _ => return None,
    };
    let mut listing = Listing::default();
    listing.push(Item {
        path: layer.entry.clean.as_bytes(),
        mode: if layer.executable() { 0o755 } else { 0o644 },
        size,
        digest: Some(digest),
    });
    Some(listing)
}

/// Returns what the layer of these files would be.
fn shape(layers: &[&Layer], tree: &Tree, index: usize) -> Shape {
    let mut files = tree
        .entries(index)
        .filter(|entry| entry.kind() == Kind::File);
    let is_one = files.next().is_some() && files.next().is_none();
    match layers {
        [layer] if is_one && is_raw(layer) => Shape::Raw,
        _ => Shape::Tar,
    }
}
