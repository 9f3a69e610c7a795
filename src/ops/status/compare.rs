//! Compares the elements of a directory with the layers of a kit, file by file where that is needed.

use std::{
    cmp::Ordering,
    collections::{HashMap, HashSet},
    ops::Range,
};

use super::{Change, Element, Options};
use crate::{
    archive::{
        pack::Shape,
        tree::{Kind, Tree},
    },
    cache::{Cache, Item, Listing, order},
    digest::Digest,
    kitfile::Entry,
    oci::{Encoding, annotation},
    ops::{
        Error,
        kit::{Kit, Layer},
        reuse::{Reuse, Wanted, Writing},
        walk,
    },
    progress::{Meter, Progress},
    store::Store,
};

/// What elements are compared with.
pub(super) struct Comparison<'a, 'c> {
    pub(super) options: &'a Options,
    pub(super) store: &'a Store,
    pub(super) cache: &'c Cache,
    pub(super) reuse: &'a Reuse<'c>,
    pub(super) tree: &'a Tree,
    pub(super) progress: &'a dyn Progress,
    pub(super) meter: Box<dyn Meter + 'a>,
}

impl Comparison<'_, '_> {
    /// Compares all elements. `owners` has the element that each layer of the kit belongs to, and
    /// `present` the places of each element in the tree.
    pub(super) fn elements(
        &self,
        kit: &Kit,
        entries: &[Entry],
        (owners, present): (&[Option<usize>], &[Option<Range<usize>>]),
    ) -> Result<Vec<Element>, Error> {
        let layers_of = |wanted: Option<usize>| {
            let layers = kit.layers.iter().zip(owners);
            layers.filter_map(move |(layer, owner)| (*owner == wanted).then_some(layer))
        };
        let mut elements = Vec::new();
        for (position, (entry, places)) in entries.iter().zip(present).enumerate() {
            // Several, where the files of a folder are in more than one layer.
            let layers: Vec<&Layer> = layers_of(Some(position)).collect();
            elements.push(Element {
                entry: entry.clone(),
                change: layers.is_empty().then_some(Change::New),
                files: self.element(&layers, places.clone())?,
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

    /// Returns what differs between `layers` and what the tree has at `places`.
    fn element(
        &self,
        layers: &[&Layer],
        places: Option<Range<usize>>,
    ) -> Result<Vec<(Vec<u8>, Change)>, Error> {
        let Some(places) = places else {
            let taken = layers.iter().filter(|layer| self.is_taken(layer));
            let taken: Vec<&Layer> = taken.copied().collect();
            return Ok(changes(
                &self.listing(&taken)?,
                &[],
                self.options.keep_modes,
            ));
        };
        let (theirs, ours) = self.unknown(layers, places)?;
        if theirs.is_empty() && ours.is_empty() && !layers.is_empty() {
            return Ok(Vec::new());
        }
        let theirs = self.listing(&theirs)?;
        let ours = self.ours(&ours, &theirs)?;
        let mut changes = changes(&theirs, &ours, self.options.keep_modes);
        if !layers.is_empty() && layers.iter().all(|layer| is_raw(layer)) {
            // Such layers hold no folders, and packing said so of empty ones.
            changes.retain(|(path, change)| *change != Change::New || !path.ends_with(b"/"));
        }
        if !layers.iter().all(|layer| self.is_taken(layer)) {
            changes.retain(|(_, change)| *change != Change::Deleted);
        }
        Ok(changes)
    }

    /// Returns those of `layers` and those of the tree's at `places` that are not known to be equal
    /// to one of the other side. A layer is what it holds: what is left on both sides differs.
    fn unknown<'l>(
        &self,
        layers: &[&'l Layer],
        places: Range<usize>,
    ) -> Result<(Vec<&'l Layer>, Vec<usize>), Error> {
        // Of a raw layer the digest tells nothing of its path and its mode. And if all of an element
        // were one layer, none of several could be equal to it.
        if layers.len() > 1 && places.len() == 1 || layers.iter().any(|layer| is_raw(layer)) {
            return Ok((layers.to_vec(), places.collect()));
        }
        let mut theirs: HashMap<Digest, &Layer> = HashMap::new();
        for layer in layers {
            let diff_id = layer.entry.diff_id.unwrap_or(layer.descriptor.digest);
            theirs.insert(diff_id, layer);
        }
        let mut ours = Vec::new();
        for index in places {
            let (wanted, threads) = (self.wanted(index), self.options.threads);
            let known = self.reuse.known(wanted, threads, self.progress)?;
            if known.is_none_or(|known| theirs.remove(&known.diff_id).is_none()) {
                ours.push(index);
            }
        }
        let mut layers = layers.to_vec();
        layers.retain(|layer| {
            let diff_id = layer.entry.diff_id.unwrap_or(layer.descriptor.digest);
            theirs.contains_key(&diff_id)
        });
        Ok((layers, ours))
    }

    fn wanted(&self, index: usize) -> Wanted<'_> {
        Wanted {
            tree: self.tree,
            index,
            writing: Writing::plain(Shape::Tar),
        }
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
        walk::walk(layer, self.store, self.progress, &mut |file, _, content| {
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
            let each = |found: &mut dyn FnMut(Item<'_>)| listing.iter().for_each(found);
            self.cache.learn_listing(digest, listing.len(), &each);
        }
        Ok(listing)
    }

    /// Returns what the tree has at `places`, with the digests of the files of which `theirs` has one
    /// of the same path and size: any other differs without being read.
    fn ours(&self, places: &[usize], theirs: &Listing) -> Result<Vec<Ours>, Error> {
        let mut ours: Vec<Ours> = Vec::new();
        for (place, index) in places.iter().enumerate() {
            let mut files = 0;
            for entry in self.tree.entries(*index) {
                let is_folder = entry.kind() == Kind::Folder;
                ours.push(Ours {
                    path: entry.path(),
                    mode: u16::try_from(entry.mode()).expect("12 bits fit 16"),
                    size: entry.size(),
                    is_folder,
                    file: (place, files),
                    digest: None,
                });
                files += usize::from(!is_folder);
            }
        }
        if places.len() > 1 {
            // Each layer has the folders that lead to what it holds.
            ours.sort_by(|a, b| order(&a.path, &b.path));
            ours.dedup_by(|a, b| a.path == b.path);
        }
        let mut is_needed: Vec<HashSet<usize>> = vec![HashSet::new(); places.len()];
        join(theirs, &ours, |theirs, ours| {
            if let (Some(theirs), Some(ours)) = (theirs, ours.filter(|ours| !ours.is_folder))
                && theirs.digest.is_some()
                && theirs.size == ours.size
            {
                is_needed[ours.file.0].insert(ours.file.1);
            }
        });
        let mut digests = Vec::with_capacity(places.len());
        for (index, is_needed) in places.iter().zip(is_needed) {
            let wanted = self.wanted(*index);
            let mut of_layer = self.reuse.digests(wanted);
            self.reuse.complete(
                wanted,
                &mut of_layer,
                &|position| is_needed.contains(&position),
                self.options.threads,
                Some(self.meter.as_ref()),
                self.progress,
            )?;
            digests.push(of_layer);
        }
        for ours in ours.iter_mut().filter(|ours| !ours.is_folder) {
            ours.digest = digests[ours.file.0][ours.file.1];
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
    /// Its layer and its place among the files there.
    file: (usize, usize),
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
        mode: layer.mode(),
        size,
        digest: Some(digest),
    });
    Some(listing)
}
