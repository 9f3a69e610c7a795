//! Which files of which layers are taken alone, and taking them.

use std::thread;

use super::{
    super::{
        Error, segments,
        sources::Sources,
        toc::{Far, GAP},
        unpack::Wanted,
    },
    Content, GROUP, Tables, Window, file, has_parts, may_hold,
};
use crate::{
    archive::{
        self,
        unpack::{Entry, Kind, LayerReport, Taken, TarReader, Unpack},
    },
    filter::PathGlobs,
    progress::{Meter, Progress},
    toc::{Chunks, Entries, Table},
};

/// How much of tables is held between choosing by them and taking by them, in bytes.
const MOST_HELD: usize = 96 << 20;

/// Tells whether a path is wanted.
type Select<'s> = dyn Fn(&[u8]) -> bool + Sync + 's;

/// What of a layer is taken without the rest.
pub(in crate::ops) struct Pick<'t> {
    far: Far<'t>,
    /// By which table, if that was kept.
    table: Option<Table>,
    /// Whether there is a table at all.
    is_verified: bool,
    /// How many bytes are fetched about.
    cost: u64,
}

/// Chooses for each of `layers` whether it is read whole or files are taken out of it, and takes
/// those off the list in which nothing is selected.
pub(in crate::ops) fn plan<'t>(
    tables: &Tables<'t>,
    layers: &mut Vec<Wanted>,
    globs: &PathGlobs,
    sources: &Sources<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Option<Pick<'t>>>, Error> {
    let far = layers.iter().filter(|wanted| wanted.is_far());
    let here = segments::unchanged(sources.store, far.map(|it| &it.layer))?;
    let is_lacking = |wanted: &Wanted| {
        let is_tar = !wanted.layer.layer_type.encoding.is_raw();
        is_tar && wanted.is_far() && !here.contains(&wanted.layer.descriptor.digest)
    };
    layers.retain(|wanted| !is_lacking(wanted) || may_hold(wanted, globs));
    let lacking: Vec<usize> = (0..layers.len())
        .filter(|number| is_lacking(&layers[*number]))
        .collect();
    let asked: Vec<&Wanted> = lacking.iter().map(|number| &layers[*number]).collect();
    let mut picks: Vec<Option<Pick<'t>>> = layers.iter().map(|_| None).collect();
    let mut keeps = vec![true; layers.len()];
    let mut held = 0;
    tables.each(&asked, &mut |number, table| {
        let wanted = asked[number];
        let Some(far) = tables.far(wanted) else {
            return Ok(());
        };
        let pick = &mut picks[lacking[number]];
        let Some(table) = table else {
            if sources.unverified && has_parts(&wanted.layer) {
                *pick = Some(Pick {
                    far,
                    table: None,
                    is_verified: false,
                    cost: u64::MAX,
                });
            }
            return Ok(());
        };
        let Some(cost) = cost(&table, wanted, globs) else {
            keeps[lacking[number]] = false;
            return Ok(());
        };
        if has_parts(&wanted.layer) && cost < wanted.layer.descriptor.size {
            held += table.as_bytes().len();
            *pick = Some(Pick {
                far,
                table: Some(table).filter(|_| held <= MOST_HELD),
                is_verified: true,
                cost,
            });
        }
        Ok(())
    })?;
    // Who has no ranges to give sends all of a layer each time.
    for (pick, wanted) in picks.iter_mut().zip(&*layers) {
        let is_long = pick.as_ref().is_some_and(|pick| pick.cost > GROUP);
        if is_long && !tables.are_given(wanted)? {
            progress.detail("the registry gives no parts of layers: they are read whole");
            *pick = None;
        }
    }
    let mut kept = keeps.iter();
    layers.retain(|_| kept.next().copied().unwrap_or(true));
    let mut kept = keeps.iter();
    picks.retain(|_| kept.next().copied().unwrap_or(true));
    Ok(picks)
}

/// Returns about how many bytes it costs to fetch what is selected of a layer; `None` if nothing
/// is.
fn cost(table: &Table, wanted: &Wanted, globs: &PathGlobs) -> Option<u64> {
    let mut entries = table.entries();
    let (mut cost, mut end, mut is_any) = (0, None::<u64>, false);
    while let Some(entry) = entries.next() {
        if !globs.selects(&wanted.place_below(file(&wanted.layer, &entry).path)) {
            continue;
        }
        is_any = true;
        if entry.size > 0 {
            let gap = end.map_or(GAP, |end| (entry.offset - end).min(GAP));
            cost += gap + entry.size;
            end = Some(entry.offset + entry.size);
        }
    }
    is_any.then_some(cost)
}

impl Pick<'_> {
    /// Takes what `select` accepts of the layer. What is wrong with it is kept for the end of the
    /// run, as with layers that are read whole.
    pub(in crate::ops) fn unpack(
        &self,
        unpack: &mut Unpack<'_>,
        (wanted, label): (&Wanted, &str),
        tables: &Tables<'_>,
        (globs, select): (&PathGlobs, &Select<'_>),
        progress: &dyn Progress,
    ) -> Result<LayerReport, Error> {
        let layer = &wanted.layer.descriptor;
        let meter = progress.begin(label, Some(self.cost).filter(|it| *it < layer.size));
        let meter = meter.as_ref();
        if !self.is_verified {
            let archive = TarReader::of_headers(Window::new(self.far, layer));
            let mut taken = Unverified {
                archive,
                wanted,
                select,
                label,
                has_warned: false,
                progress,
                meter,
            };
            return Ok(unpack.files(label.to_owned(), layer.digest, &mut taken)?);
        }
        let again = match self.table {
            Some(_) => None,
            None => tables.table(wanted)?,
        };
        let Some(table) = self.table.as_ref().or(again.as_ref()) else {
            // It was there a moment ago.
            let at = 0;
            let mut taken = Gone(Some(archive::Error::Altered { at }));
            return Ok(unpack.files(label.to_owned(), layer.digest, &mut taken)?);
        };
        let (content, fetch) = Content::of(self.far, layer, progress);
        thread::scope(|scope| {
            scope.spawn(move || {
                let mut entries = table.entries();
                let mut current: Option<Chunks<'_>> = None;
                fetch.run(std::iter::from_fn(move || {
                    loop {
                        if let Some(chunk) = current.as_mut().and_then(Chunks::next) {
                            return Some(chunk);
                        }
                        let entry = entries.next()?;
                        let path = wanted.place_below(file(&wanted.layer, &entry).path);
                        current = globs.selects(&path).then(|| entry.chunks());
                    }
                }));
            });
            let mut taken = Verified {
                entries: table.entries(),
                content,
                left: 0,
                wanted,
                select,
                meter,
            };
            Ok(unpack.files(label.to_owned(), layer.digest, &mut taken)?)
        })
    }
}

/// Files by a table.
struct Verified<'v> {
    entries: Entries<'v>,
    content: Content,
    /// Of the file at hand.
    left: u64,
    wanted: &'v Wanted,
    select: &'v Select<'v>,
    meter: &'v dyn Meter,
}

impl Taken for Verified<'_> {
    fn next(&mut self) -> Result<Option<Entry>, archive::Error> {
        let mut rest = [0; 16 << 10];
        while self.left > 0 {
            self.read(&mut rest)?;
        }
        while let Some(entry) = self.entries.next() {
            let file = file(&self.wanted.layer, &entry);
            let path = self.wanted.place_below(file.path);
            if (self.select)(&path) {
                self.left = entry.size;
                return Ok(Some(Entry {
                    path,
                    kind: if file.is_folder {
                        Kind::Folder
                    } else {
                        Kind::File
                    },
                    mode: file.mode,
                    size: file.size,
                }));
            }
        }
        Ok(None)
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, archive::Error> {
        let most = usize::try_from(self.left).map_or(into.len(), |left| left.min(into.len()));
        if most == 0 {
            return Ok(0);
        }
        let read = self.content.read(&mut into[..most])?;
        self.left -= read as u64;
        self.meter.advance(read as u64);
        Ok(read)
    }
}

/// Files by the headers of an archive.
struct Unverified<'v> {
    archive: TarReader<Window<'v>>,
    wanted: &'v Wanted,
    select: &'v Select<'v>,
    label: &'v str,
    has_warned: bool,
    progress: &'v dyn Progress,
    meter: &'v dyn Meter,
}

impl Taken for Unverified<'_> {
    fn next(&mut self) -> Result<Option<Entry>, archive::Error> {
        loop {
            if self.progress.cancelled() {
                return Err(archive::Error::Interrupted);
            }
            self.archive.pass_over_content()?;
            let Some(mut entry) = self.archive.next_entry()? else {
                return Ok(None);
            };
            let path = super::below(self.wanted.layer.prefix(), &entry.path);
            entry.path = self.wanted.place_below(path);
            if !entry.path.is_empty() && (self.select)(&entry.path) {
                if !std::mem::replace(&mut self.has_warned, true) {
                    self.progress.warn(&format!(
                        "what is taken of {} is not verified: the kit has no table of contents, and the rest of the layer is not read",
                        self.label
                    ));
                }
                return Ok(Some(entry));
            }
        }
    }

    fn read(&mut self, into: &mut [u8]) -> Result<usize, archive::Error> {
        let read = self.archive.read_content(into)?;
        self.meter.advance(read as u64);
        Ok(read)
    }
}

/// A layer that cannot be read any more.
struct Gone(Option<archive::Error>);

impl Taken for Gone {
    fn next(&mut self) -> Result<Option<Entry>, archive::Error> {
        self.0.take().map_or(Ok(None), Err)
    }

    fn read(&mut self, _into: &mut [u8]) -> Result<usize, archive::Error> {
        Ok(0)
    }
}
