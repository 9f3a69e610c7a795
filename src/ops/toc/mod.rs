//! Tables of contents of kits, wherever the kits are: opened part by part, and used to fetch parts
//! of layers.
//!
//! A kit is complete without its table of contents. So where there is none to be had, or what
//! comes is not it, that is said and the operation goes on as if there had never been one; only a
//! network that is lost, and the user, end it.

mod add;
mod chunks;
mod keep;
mod make;
mod parts;
mod remake;

use std::{
    collections::{HashMap, HashSet},
    io,
    ops::Range,
    sync::Arc,
};

pub use self::{
    add::{Added, add},
    chunks::{Fetched, TakeChunk, range},
    parts::{GAP, Parts, TakeBytes, coalesce},
    remake::remake,
};
pub(super) use add::own_name;
pub(super) use keep::{Keep, artifact, is_toc_tag, keep, toc_tag};

use super::Error;
use crate::{
    digest::Digest,
    oci::{Descriptor, Manifest},
    platform,
    progress::Progress,
    registry::{self, Repository},
    store::{self, Store},
    toc::{self, Root, Table, TableRef, TocRef},
};

/// A table of contents up to this length is fetched at once: a second request costs more.
const SMALL: u64 = 256 << 10;
/// How much of tables is read at a time, but for one that is longer.
const TOGETHER: u64 = 8 << 20;

/// How much of one is held in memory: that of 150 GB of large files.
const MOST_HELD: u64 = 96 << 20;

/// Where blobs are that the store may lack.
#[derive(Clone, Copy)]
pub struct Far<'f> {
    /// The way there.
    pub parts: &'f Parts<'f>,
    /// The repository they are in.
    pub repository: &'f Repository,
}

/// The table of contents of a kit. Its root was checked, its tables are when they are opened.
pub struct Contents<'c> {
    toc: TocRef,
    root: Root,
    /// Layers that are kept in several blobs, and these.
    segments: HashMap<Digest, Vec<Descriptor>>,
    place: Place<'c>,
    progress: &'c dyn Progress,
}

#[derive(Clone)]
enum Place<'c> {
    Store(&'c Store),
    Far(Far<'c>),
    Memory(Arc<[u8]>),
    /// Some tables alone, by their places.
    Held(Arc<HashMap<u64, Vec<u8>>>),
}

impl<'c> Contents<'c> {
    /// Opens the table of contents that `manifest` names, from the store if it is there, else from
    /// the registry. `None` if there is none that can be used, and then it is said why.
    pub fn open(
        manifest: &Manifest,
        store: &'c Store,
        far: Option<Far<'c>>,
        progress: &'c dyn Progress,
    ) -> Result<Option<Self>, Error> {
        let toc = match TocRef::of(manifest) {
            Ok(Some(toc)) => toc,
            Ok(None) => return Ok(None),
            Err(error) => {
                unusable(progress, &error);
                return Ok(None);
            }
        };
        if let Some(near) = Self::near(toc, manifest, store, progress) {
            return Ok(Some(near));
        }
        match far {
            Some(far) => Self::far(toc, manifest, far, progress),
            None => Ok(None),
        }
    }

    /// Opens the table of contents that `manifest` names from the registry. `None` if there is none
    /// that can be used.
    pub(super) fn open_far(
        manifest: &Manifest,
        far: Far<'c>,
        progress: &'c dyn Progress,
    ) -> Result<Option<Self>, Error> {
        match TocRef::of(manifest) {
            Ok(Some(toc)) => Self::far(toc, manifest, far, progress),
            Ok(None) | Err(_) => Ok(None),
        }
    }

    /// Opens the table of contents that `manifest` names if the store has it. Nothing is said if it
    /// has not.
    pub fn open_here(
        manifest: &Manifest,
        store: &'c Store,
        progress: &'c dyn Progress,
    ) -> Option<Self> {
        let toc = TocRef::of(manifest).ok().flatten()?;
        Self::near(toc, manifest, store, progress)
    }

    fn near(
        toc: TocRef,
        manifest: &Manifest,
        store: &'c Store,
        progress: &'c dyn Progress,
    ) -> Option<Self> {
        let bytes = read_part(store, &toc, 0..toc.root_size).ok()?;
        // What is damaged here may be whole elsewhere.
        let root = Root::open(&toc, manifest, &bytes).ok()?;
        Some(Self {
            toc,
            root,
            segments: super::segments::of_manifest(manifest),
            place: Place::Store(store),
            progress,
        })
    }

    fn far(
        toc: TocRef,
        manifest: &Manifest,
        far: Far<'c>,
        progress: &'c dyn Progress,
    ) -> Result<Option<Self>, Error> {
        let is_small = toc.size <= SMALL;
        let length = if is_small { toc.size } else { toc.root_size };
        let blob = toc.descriptor();
        let read = far.parts.read(far.repository, &blob, 0..length);
        let Some(bytes) = or_none(read, progress)? else {
            return Ok(None);
        };
        let head = usize::try_from(toc.root_size).unwrap_or(usize::MAX);
        match Root::open(&toc, manifest, bytes.get(..head).unwrap_or(&bytes)) {
            Ok(root) => Ok(Some(Self {
                toc,
                root,
                segments: super::segments::of_manifest(manifest),
                place: if is_small {
                    Place::Memory(bytes.into())
                } else {
                    Place::Far(far)
                },
                progress,
            })),
            Err(error) => {
                unusable(progress, &error);
                Ok(None)
            }
        }
    }

    /// Returns the same with the tables of the layers at `positions` in memory, for who needs them
    /// more than once; those that `kits` have, too, are taken from there. `None` if that is too much
    /// to hold, or cannot be had. Other tables it may not have.
    pub(super) fn hold(
        &self,
        positions: &[usize],
        kits: &[Contents<'_>],
    ) -> Result<Option<Self>, Error> {
        let held = |place| Self {
            toc: self.toc,
            root: self.root.clone(),
            segments: self.segments.clone(),
            place,
            progress: self.progress,
        };
        let far = match &self.place {
            Place::Far(far) => far,
            near => return Ok(Some(held(near.clone()))),
        };
        if self.length_of(positions) > MOST_HELD {
            self.progress
                .detail("the table of contents is too large to be used from the registry");
            return Ok(None);
        }
        let mut tables = HashMap::new();
        shared_tables(&self.root, Some(positions), kits, &mut |offset, table| {
            tables.insert(offset, table.into_bytes());
            Ok(())
        })?;
        let ranges = positions.iter().map(|position| self.range(*position));
        let mut lacking: Vec<_> = ranges
            .filter(|range| range.start < range.end && !tables.contains_key(&range.start))
            .collect();
        lacking.sort_unstable_by_key(|range| range.start);
        lacking.dedup();
        let read = far
            .parts
            .read_all(far.repository, &self.toc.descriptor(), &lacking);
        let Some(came) = or_none(read, self.progress)? else {
            return Ok(None);
        };
        tables.extend(lacking.iter().map(|range| range.start).zip(came));
        Ok(Some(held(Place::Held(Arc::new(tables)))))
    }

    /// Returns how long the tables of the layers at `positions` are together.
    pub(super) fn length_of(&self, positions: &[usize]) -> u64 {
        let ranges = positions.iter().map(|position| self.range(*position));
        let ranges: HashSet<_> = ranges.collect();
        ranges
            .into_iter()
            .map(|range| range.end - range.start)
            .sum()
    }

    /// Returns how many bytes of it have to come if it is to be here, and those of its tables that
    /// `kits` have are taken from there.
    pub(super) fn lacking(&self, kits: &[Contents<'_>]) -> u64 {
        if self.is_here() {
            return 0;
        }
        let mut known = HashSet::new();
        for layer in kits.iter().flat_map(|kit| kit.root.layers()) {
            known.extend(layer.table.ok().map(|table| table.digest));
        }
        let tables = self.root.tables().filter_map(|position| {
            let table = self.root.layers()[position].table.ok()?;
            (!known.contains(&table.digest)).then_some(u64::from(table.length))
        });
        self.toc.root_size + tables.sum::<u64>()
    }

    /// Returns where in the blob the table of a layer is; nowhere if it has none.
    fn range(&self, position: usize) -> Range<u64> {
        let layer = self.root.layers().get(position);
        layer.and_then(toc::LayerRef::range).unwrap_or(0..0)
    }

    /// Tells whether it is in the store.
    pub(super) const fn is_here(&self) -> bool {
        matches!(self.place, Place::Store(_))
    }

    /// Returns what the manifest says about it.
    pub const fn reference(&self) -> &TocRef {
        &self.toc
    }

    /// Returns its root: the layers in the order of the manifest.
    pub const fn root(&self) -> &Root {
        &self.root
    }

    /// Returns the blobs that the layer at `position` is kept in, if these are several.
    pub(super) fn segments(&self, position: usize) -> Option<&[Descriptor]> {
        let layer = self.root.layers().get(position)?;
        self.segments.get(&layer.digest).map(Vec::as_slice)
    }

    /// Returns the table of the layer at `position`; `None` if there is none that can be used.
    pub fn table(&self, position: usize) -> Result<Option<Table>, Error> {
        let mut found = None;
        self.each_table(&[position], &mut |_, table| {
            found = table;
            Ok(())
        })?;
        Ok(found)
    }

    /// Gives the tables of the layers at `positions` to `take`, in the order of `positions`, which
    /// should be that of the layers: neighbours come with one request. A layer without a table
    /// that can be used is given as `None`.
    pub fn each_table(
        &self,
        positions: &[usize],
        take: &mut dyn FnMut(usize, Option<Table>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut rest = positions;
        while !rest.is_empty() {
            let mut length = 0;
            let fits = rest.iter().take_while(|position| {
                let range = self.range(**position);
                length += range.end - range.start;
                length <= TOGETHER
            });
            let (now, later) = rest.split_at(fits.count().max(1));
            rest = later;
            let ranges: Vec<_> = now.iter().map(|position| self.range(*position)).collect();
            let tables = self.read(&ranges)?;
            for (position, bytes) in now.iter().zip(tables) {
                let table = bytes.and_then(|bytes| self.check(*position, bytes));
                take(*position, table)?;
            }
        }
        Ok(())
    }

    fn check(&self, position: usize, bytes: Vec<u8>) -> Option<Table> {
        let layer = self.root.layers().get(position)?;
        layer.table.ok()?;
        match layer.open(bytes) {
            Ok(table) => Some(table),
            Err(error) => {
                unusable(self.progress, &error);
                None
            }
        }
    }

    /// Returns the bytes of `ranges` of the blob; none of those that cannot be had.
    fn read(&self, ranges: &[Range<u64>]) -> Result<Vec<Option<Vec<u8>>>, Error> {
        let is_wanted = |range: &Range<u64>| range.start < range.end;
        Ok(match &self.place {
            Place::Store(store) => {
                let read = |range: &Range<u64>| read_part(store, &self.toc, range.clone());
                let read = |range| is_wanted(range).then(|| read(range).ok()).flatten();
                ranges.iter().map(read).collect()
            }
            Place::Memory(bytes) => {
                let part = |range: &Range<u64>| {
                    let start = usize::try_from(range.start).ok()?;
                    let end = usize::try_from(range.end).ok()?;
                    Some(bytes.get(start..end)?.to_vec())
                };
                ranges.iter().map(part).collect()
            }
            Place::Held(tables) => {
                let table = |range: &Range<u64>| tables.get(&range.start).cloned();
                ranges.iter().map(table).collect()
            }
            Place::Far(far) => {
                let blob = self.toc.descriptor();
                let wanted: Vec<_> = ranges.iter().filter(|it| is_wanted(it)).cloned().collect();
                let read = far.parts.read_all(far.repository, &blob, &wanted);
                let mut came = or_none(read, self.progress)?.map(Vec::into_iter);
                let mut next = || came.as_mut().and_then(Iterator::next);
                let parts = ranges
                    .iter()
                    .map(|it| is_wanted(it).then(&mut next).flatten());
                parts.collect()
            }
        })
    }
}

/// Gives those of the tables that `root` names, of the layers at `positions` or of all, that `kits`
/// have, too, to `take`, each once and with its place in the blob.
pub(super) fn shared_tables(
    root: &Root,
    positions: Option<&[usize]>,
    kits: &[Contents<'_>],
    take: &mut dyn FnMut(u64, Table) -> Result<(), Error>,
) -> Result<(), Error> {
    let table = |position: usize| root.layers().get(position)?.table.ok();
    let tables: Vec<TableRef> = match positions {
        Some(positions) => positions.iter().filter_map(|it| table(*it)).collect(),
        None => root.tables().filter_map(table).collect(),
    };
    // A root that lies about how long a table is has no room for it.
    let key = |table: TableRef| (table.digest, table.length);
    let mut wanted: HashMap<(Digest, u32), u64> =
        tables.into_iter().map(|it| (key(it), it.offset)).collect();
    for kit in kits {
        let layers = kit.root().layers().iter().enumerate();
        let shared = layers.filter_map(|(position, layer)| {
            let offset = wanted.remove(&key(layer.table.ok()?))?;
            Some((position, offset))
        });
        let (positions, offsets): (Vec<usize>, Vec<u64>) = shared.unzip();
        let mut offsets = offsets.into_iter();
        kit.each_table(&positions, &mut |_, table| {
            if let (Some(offset), Some(table)) = (offsets.next(), table) {
                take(offset, table)?;
            }
            Ok(())
        })?;
    }
    Ok(())
}

/// Reads a part of the blob in the store. It is for the caller to check it.
fn read_part(store: &Store, toc: &TocRef, range: Range<u64>) -> io::Result<Vec<u8>> {
    let blob = store.open_blob(&toc.digest, toc.size);
    let blob = blob.map_err(io::Error::other)?;
    let length = usize::try_from(range.end - range.start).map_err(io::Error::other)?;
    let mut bytes = vec![0; length];
    platform::read_exact_at(&blob, &mut bytes, range.start)?;
    Ok(bytes)
}

/// Says that a table of contents is not what the manifest says.
pub(super) fn unusable(progress: &dyn Progress, error: &toc::Error) {
    progress.warn(&format!(
        "the table of contents is not used, and layers are read whole: {error}"
    ));
}

/// Returns what came, or `None` if the registry does not give it. That the network is lost, or
/// that the user wants to stop, is an error.
pub(super) fn or_none<T>(
    came: Result<T, Error>,
    progress: &dyn Progress,
) -> Result<Option<T>, Error> {
    match came {
        Ok(came) => Ok(Some(came)),
        Err(Error::Registry(error)) if !matches!(error, registry::Error::Http(_)) => {
            progress.detail(&format!(
                "there is no table of contents, and the kit is whole without it: {error}"
            ));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}

/// Returns the descriptor of the table of contents that `manifest` names, if it names one that can
/// be.
pub fn descriptor(manifest: &Manifest) -> Option<Descriptor> {
    let toc = TocRef::of(manifest).ok().flatten();
    toc.map(|toc| toc.descriptor())
}

/// Returns the descriptor of the table of contents that `manifest` names if the store has it, and
/// has it right. What is said otherwise is that the kit `name` goes without.
pub(super) fn here(
    store: &Store,
    name: &dyn std::fmt::Display,
    manifest: &Manifest,
    progress: &dyn Progress,
) -> Option<Descriptor> {
    let toc = descriptor(manifest)?;
    let content = store.verified_blob(&toc.digest, toc.size);
    let checked = content.and_then(|content| {
        content.finish().map_err(|source| store::Error::Io {
            action: "read",
            path: store.blob_path(&toc.digest),
            source,
        })
    });
    match checked {
        Ok(()) => return Some(toc),
        Err(store::Error::Missing { .. }) => progress.detail(&format!(
            "the table of contents of {name} is not in the store: the kit goes without it"
        )),
        Err(_) => progress.warn(&format!(
            "the table of contents of {name} is damaged, and the kit goes without it: `kit verify --repair` mends that"
        )),
    }
    None
}

/// Says that the table of contents of the kit `name` could not be had, where it was only asked for
/// because the kit names one. That the network is lost, or that the user wants to stop, is an error.
pub(super) fn optional<T>(
    came: Result<T, Error>,
    name: &dyn std::fmt::Display,
    progress: &dyn Progress,
) -> Result<Option<T>, Error> {
    match came {
        Ok(came) => Ok(Some(came)),
        Err(Error::Registry(registry::Error::NoBlob { .. }) | Error::MissingSource { .. }) => {
            progress.status(&format!(
                "The table of contents of {name} is not there: the kit is whole without it"
            ));
            Ok(None)
        }
        Err(error @ (Error::WrongBlob { .. } | Error::DamagedSource { .. })) => {
            progress.warn(&format!(
                "the table of contents of {name} is left out, and the kit is whole without it: {error}"
            ));
            Ok(None)
        }
        Err(Error::Registry(error)) if !matches!(error, registry::Error::Http(_)) => {
            progress.warn(&format!(
                "the table of contents of {name} is left out, and the kit is whole without it: {error}"
            ));
            Ok(None)
        }
        Err(error) => Err(error),
    }
}
