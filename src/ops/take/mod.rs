//! Single files out of kits, and lists of them, without reading the layers that they are in: by
//! tables of contents, each part checked; where there is none and that is asked for, by the
//! headers of archives, which nothing vouches for.

mod content;
mod headers;
mod pick;

use std::{cell::OnceCell, collections::HashMap};

pub(super) use self::{content::Content, headers::Window, pick::plan};
use super::{
    Error,
    kit::{Kit, Layer, Place},
    toc::{Contents, Far, Parts},
    unpack::Wanted,
    walk::File,
};
use crate::{
    digest::Digest,
    filter::PathGlobs,
    oci::Encoding,
    progress::Progress,
    store::Store,
    toc::{Entry, Table},
};

/// How much content is fetched at a time. Twice that is held.
pub(super) const GROUP: u64 = 16 << 20;
/// How many tables are asked for first, where the one that is looked for may be among them.
const FEW: usize = 64;
/// How many times as many are asked for each time that it was not.
const MORE: usize = 4;

/// The tables of contents of kits.
pub struct Tables<'t>(Vec<OfKit<'t>>);

/// What there is of one kit.
pub(super) struct OfKit<'t> {
    kit: Digest,
    contents: Option<Contents<'t>>,
    positions: HashMap<Digest, usize>,
    /// The way to its layers, if they are not here.
    far: Option<Far<'t>>,
    /// Whether parts of them are given, once that is known.
    are_given: OnceCell<bool>,
}

impl<'t> Tables<'t> {
    /// Opens those of `kits`, as far as they have any: of each its root.
    pub fn open(
        kits: impl IntoIterator<Item = &'t Kit>,
        parts: Option<&'t Parts<'t>>,
        store: &'t Store,
        progress: &'t dyn Progress,
    ) -> Result<Self, Error> {
        let mut opened: Vec<OfKit<'t>> = Vec::new();
        for kit in kits {
            let digest = kit.descriptor.digest;
            if opened.iter().any(|it| it.kit == digest) {
                continue;
            }
            let far = match (&kit.place, parts) {
                (Place::Registry(repository), Some(parts)) => Some(Far { parts, repository }),
                _ => None,
            };
            let contents = Contents::open(&kit.manifest, store, far, progress)?;
            let layers = contents.iter().flat_map(|it| it.root().layers());
            let positions = layers
                .enumerate()
                .map(|(position, it)| (it.digest, position));
            opened.push(OfKit {
                kit: digest,
                positions: positions.collect(),
                contents,
                far,
                are_given: OnceCell::new(),
            });
        }
        Ok(Self(opened))
    }

    /// Returns none at all.
    pub const fn none() -> Self {
        Self(Vec::new())
    }

    fn of(&self, wanted: &Wanted) -> Option<&OfKit<'t>> {
        self.0.iter().find(|it| it.kit == wanted.kit)
    }

    /// Returns the way to a layer that is not here.
    pub(super) fn far(&self, wanted: &Wanted) -> Option<Far<'t>> {
        self.of(wanted)?.far
    }

    /// Tells whether parts of a layer that is not here can be had: it is asked for one.
    pub(super) fn are_given(&self, wanted: &Wanted) -> Result<bool, Error> {
        let Some((of, far)) = self.of(wanted).and_then(|of| Some((of, of.far?))) else {
            return Ok(false);
        };
        if let Some(known) = of.are_given.get() {
            return Ok(*known);
        }
        let blob = std::slice::from_ref(&wanted.layer.descriptor);
        let are_given = far.parts.are_given(far.repository, blob)?;
        Ok(*of.are_given.get_or_init(|| are_given))
    }

    /// Tells whether there is a table of a layer.
    pub(super) fn has(&self, wanted: &Wanted) -> bool {
        let known = || {
            let of = self.of(wanted)?;
            let position = of.position(&wanted.layer)?;
            of.contents.as_ref()?.root().layers()[position].range()
        };
        known().is_some()
    }

    /// Returns the table of a layer, if there is one that can be used.
    pub(super) fn table(&self, wanted: &Wanted) -> Result<Option<Table>, Error> {
        let mut found = None;
        self.each(&[wanted], &mut |_, table| {
            found = table;
            Ok(())
        })?;
        Ok(found)
    }

    /// Gives the tables of `layers` to `take`, each with its place among them and in their order
    /// within a kit; `None` where there is none. Neighbours come together.
    pub(super) fn each(
        &self,
        layers: &[&Wanted],
        take: &mut dyn FnMut(usize, Option<Table>) -> Result<(), Error>,
    ) -> Result<(), Error> {
        let mut without = vec![true; layers.len()];
        for of in &self.0 {
            let Some(contents) = &of.contents else {
                continue;
            };
            let own = layers.iter().enumerate();
            let own: Vec<(usize, usize)> = own
                .filter(|(_, wanted)| wanted.kit == of.kit)
                .filter_map(|(number, wanted)| Some((number, of.position(&wanted.layer)?)))
                .collect();
            let positions: Vec<usize> = own.iter().map(|(_, position)| *position).collect();
            let mut numbers = own.iter();
            contents.each_table(&positions, &mut |_, table| {
                let Some((number, _)) = numbers.next() else {
                    return Ok(());
                };
                without[*number] = false;
                take(*number, table)
            })?;
        }
        for number in (0..layers.len()).filter(|number| without[*number]) {
            take(number, None)?;
        }
        Ok(())
    }

    /// Looks for the first of `layers` of which `look` makes something, by their tables.
    pub(super) fn first<T>(
        &self,
        layers: &[&Wanted],
        look: &mut dyn FnMut(usize, &Table) -> Option<T>,
    ) -> Result<Option<T>, Error> {
        let (mut rest, mut base, mut few) = (layers, 0, FEW);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(few.min(rest.len()));
            let mut found: Option<(usize, T)> = None;
            self.each(now, &mut |number, table| {
                let is_before = found.as_ref().is_none_or(|(before, _)| number < *before);
                if let Some(table) = table.filter(|_| is_before)
                    && let Some(made) = look(base + number, &table)
                {
                    found = Some((number, made));
                }
                Ok(())
            })?;
            if let Some((_, made)) = found {
                return Ok(Some(made));
            }
            (rest, base, few) = (later, base + now.len(), few * MORE);
        }
        Ok(None)
    }
}

impl OfKit<'_> {
    fn position(&self, layer: &Layer) -> Option<usize> {
        let position = *self.positions.get(&layer.descriptor.digest)?;
        let known = self.contents.as_ref()?.root().layers().get(position)?;
        (known.encoding == layer.layer_type.encoding).then_some(position)
    }
}

/// Tells whether parts of what a layer holds are parts of the blob, and whether it holds more than
/// one thing.
pub(super) fn has_parts(layer: &Layer) -> bool {
    layer.layer_type.encoding == Encoding::Tar
}

/// Tells whether a layer might hold something that `globs` select, without looking into it: it holds
/// what lies below the path of its element, where its config tells digests.
pub(super) fn may_hold(wanted: &Wanted, globs: &PathGlobs) -> bool {
    let entry = &wanted.layer.entry;
    let path = wanted.place_below(entry.clean.clone().into_bytes());
    entry.digest.is_none() || globs.may_select_below(&path)
}

/// Returns a file as the table of its layer tells of it.
pub(super) fn file(layer: &Layer, entry: &Entry<'_, '_>) -> File {
    File {
        path: below(layer.prefix(), entry.path.as_bytes()),
        is_folder: !entry.is_file(),
        executable: entry.mode & 0o100 != 0,
        mode: entry.mode.into(),
        size: entry.size,
    }
}

/// Returns where a path of a layer belongs.
pub(super) fn below(prefix: Option<&str>, path: &[u8]) -> Vec<u8> {
    match prefix.unwrap_or_default() {
        "" => path.to_owned(),
        prefix if path.is_empty() => prefix.as_bytes().to_owned(),
        prefix => [prefix.as_bytes(), b"/", path].concat(),
    }
}
