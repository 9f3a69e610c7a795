//! Puts layers and tables of contents together in the store.

use std::{ops::Range, thread};

use super::{
    Delta, Filled, Places, stop,
    stretch::{self, Stretch},
};
use crate::{
    oci::{Descriptor, Manifest},
    ops::{
        Error,
        toc::{Far, or_none, shared_tables, unusable},
    },
    progress::{Meter, Progress},
    store::{self, Claim, Partial, Presence, Trust, Writer},
    toc::{PlacedChunk, Root, Table, TocRef},
};

/// So many chunks are copied, and as many fetched, before the next ones are looked at.
const TOGETHER: usize = 16 << 10;

impl Delta<'_> {
    /// Writes to `partial` what is here of its blob, and what comes of the rest. Some of it may be
    /// missing afterwards, because something was not what its hash said.
    pub(in crate::ops) fn fill(
        &self,
        partial: &Partial<'_>,
        meter: &dyn Meter,
        is_over: &(dyn Fn() -> bool + Sync),
    ) -> Result<Filled, Error> {
        let Some((spot, table)) = self.table(partial.digest())? else {
            return Ok(Filled::default());
        };
        let layer = &self.contents.root().layers()[spot.position];
        let filling = Filling {
            delta: self,
            layer: Descriptor::new("", layer.digest, layer.size),
            place: spot.place.clone(),
            missing: partial.missing(),
            partial,
            meter,
            is_over,
        };
        filling.run(&table)
    }
}

struct Filling<'f, 'd> {
    delta: &'f Delta<'d>,
    /// The layer, of which the blob is the part at this place.
    layer: Descriptor,
    place: Range<u64>,
    /// What of the blob was missing at the beginning.
    missing: Vec<Range<u64>>,
    partial: &'f Partial<'f>,
    meter: &'f dyn Meter,
    is_over: &'f (dyn Fn() -> bool + Sync),
}

impl Filling<'_, '_> {
    fn run(&self, table: &Table) -> Result<Filled, Error> {
        let mut filled = Filled::default();
        let (mut near, mut far) = (Vec::new(), Vec::new());
        let mut is_right = true;
        stretch::each(table, |offset, stretch| {
            if offset >= self.place.end {
                return Ok(false);
            }
            if !self.is_missing(&(offset..offset + stretch.length())) {
                return Ok(true);
            }
            match stretch {
                Stretch::Made(bytes) => filled.reused += self.write(offset, bytes)?,
                Stretch::Untold(_) => {}
                Stretch::Chunk(placed) => match self.delta.index.seen(&placed.chunk.hash) {
                    Some(_) => near.push(placed),
                    None => far.push(placed),
                },
            }
            if near.len() == TOGETHER || far.len() == TOGETHER {
                is_right = self.settle(&mut near, &mut far, &mut filled)?;
            }
            Ok::<_, Error>(is_right)
        })?;
        if is_right {
            self.settle(&mut near, &mut far, &mut filled)?;
        }
        Ok(filled)
    }

    /// Copies chunks and fetches others at the same time. Returns false if what came was not what
    /// it should be: then the rest need not be asked for like this.
    fn settle(
        &self,
        near: &mut Vec<PlacedChunk>,
        far: &mut Vec<PlacedChunk>,
        filled: &mut Filled,
    ) -> Result<bool, Error> {
        let (way, chunks) = (self.delta.far, &*near);
        let (copied, fetched) = thread::scope(|scope| {
            let copying = scope.spawn(|| self.copy(chunks));
            let fetched = if far.is_empty() {
                Ok(crate::ops::toc::Fetched::default())
            } else {
                way.parts
                    .chunks(way.repository, &self.layer, far, &mut |placed, content| {
                        self.write(placed.offset, content).map(|_| ())
                    })
            };
            let copied = copying.join();
            (
                copied.unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                fetched,
            )
        });
        let fetched = fetched?;
        filled.reused += copied?;
        filled.fetched += fetched.bytes;
        near.clear();
        far.clear();
        if fetched.wrong > 0 {
            self.delta.progress.warn(&format!(
                "what {} sent of {} is not what the table of contents says: the rest is fetched without it",
                way.repository.name(),
                self.layer.digest
            ));
        }
        Ok(fetched.wrong == 0)
    }

    /// Copies chunks that were seen here, those that are still there.
    fn copy(&self, chunks: &[PlacedChunk]) -> Result<u64, Error> {
        let mut reader = self.delta.sources.reader();
        let mut copied = 0;
        for placed in chunks {
            let seen = self.delta.index.seen(&placed.chunk.hash);
            if let Some(content) = seen.and_then(|seen| reader.read(&placed.chunk, seen)) {
                copied += self.write(placed.offset, content)?;
            }
        }
        Ok(copied)
    }

    /// Writes what of `bytes`, which are at `offset` in the layer, belongs to the blob.
    fn write(&self, offset: u64, bytes: &[u8]) -> Result<u64, Error> {
        stop(self.delta.progress)?;
        if (self.is_over)() {
            return Err(store::Error::Interrupted.into());
        }
        let Range { start, end } = self.place;
        // Only some of it, or nothing, of what lies across its ends.
        let both = start.max(offset)..end.min(offset + bytes.len() as u64);
        if both.is_empty() {
            return Ok(0);
        }
        let within = |at: u64| usize::try_from(at - offset).unwrap_or(bytes.len());
        let bytes = &bytes[within(both.start)..within(both.end)];
        let new = self.partial.write_at(both.start - start, bytes)?;
        self.meter.advance(new);
        Ok(new)
    }

    /// Tells whether something of a range of the layer is missing in the blob.
    fn is_missing(&self, range: &Range<u64>) -> bool {
        let start = self.place.start;
        let range = range.start.saturating_sub(start)..range.end.saturating_sub(start);
        let after = self.missing.partition_point(|gap| gap.end <= range.start);
        let gap = self.missing.get(after);
        gap.is_some_and(|gap| gap.start < range.end)
    }
}

/// Returns what the manifest of a kit that is pulled names as its table of contents, if that is
/// worth to be had.
pub(in crate::ops) fn coming_contents(
    manifest: &Manifest,
    progress: &dyn Progress,
) -> Option<TocRef> {
    let toc = match TocRef::of(manifest) {
        Ok(toc) => toc?,
        Err(error) => {
            unusable(progress, &error);
            return None;
        }
    };
    let layers: u64 = manifest.layers.iter().map(|layer| layer.size).sum();
    if toc.size > layers {
        progress
            .warn("the table of contents is not used: it would be larger than what it tells of");
        return None;
    }
    Some(toc)
}

/// Brings the table of contents of a kit into the store, if there is one: what layers have that
/// are in other kits here, too, is taken from there. Returns how many bytes came.
pub(in crate::ops) fn bring_contents(
    manifest: &Manifest,
    writer: &Writer<'_>,
    far: Far<'_>,
    places: &Places<'_>,
    progress: &dyn Progress,
) -> Result<Filled, Error> {
    let mut filled = Filled::default();
    let Some(toc) = coming_contents(manifest, progress) else {
        return Ok(filled);
    };
    if writer.has(&toc.digest, toc.size, Trust::Recorded)? == Presence::Here {
        return Ok(filled);
    }
    let meter = crate::progress::Silent;
    let Claim::Ours(partial) = writer.partial(&toc.digest, toc.size, &meter)? else {
        return Ok(filled);
    };
    let head = far
        .parts
        .read(far.repository, &toc.descriptor(), 0..toc.root_size);
    let Some(head) = or_none(head, progress)? else {
        return Ok(filled);
    };
    filled.fetched += head.len() as u64;
    let root = match Root::open(&toc, manifest, &head) {
        Ok(root) => root,
        Err(error) => {
            unusable(progress, &error);
            return Ok(filled);
        }
    };
    partial.write_at(0, &head)?;
    let kits = places.kits(writer.store(), progress)?;
    shared_tables(&root, None, &kits, &mut |offset, table| {
        filled.reused += partial.write_at(offset, table.as_bytes())?;
        stop(progress)
    })?;
    drop(kits);
    let missing = partial.missing();
    let fetched = far.parts.fetch(
        far.repository,
        &toc.descriptor(),
        crate::ops::toc::coalesce(missing, crate::ops::toc::GAP),
        &mut |offset, bytes| {
            filled.fetched += bytes.len() as u64;
            partial.write_at(offset, bytes)?;
            Ok(())
        },
    );
    if or_none(fetched, progress)?.is_none() {
        return Ok(filled);
    }
    match partial.commit() {
        Ok(_) => {}
        Err(store::Error::WrongContent { digest, actual }) => progress.warn(&format!(
            "the table of contents is not used, and layers are fetched whole: {} sent {actual} for {digest}",
            far.repository.name()
        )),
        Err(error) => return Err(error.into()),
    }
    Ok(filled)
}
