//! Large folders as several layers, so that a change costs what changed.

use std::collections::BTreeMap;

use super::{Prepared, raw::begin_at};
use crate::{
    archive::{
        pack::Shape,
        shards::{MOST, TARGET},
        tree::Tree,
    },
    kitfile::{Entry, Section},
};

/// From how many bytes of files on a folder becomes several layers, if nobody says otherwise.
pub const MIN_SHARDED: u64 = 1 << 30;

/// The smallest size of such layers that can be asked for, in bytes.
pub const MIN_SHARD_SIZE: u64 = 4 << 10;

/// Which folders become several layers, and how large these are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ShardSize {
    /// None.
    Off,
    /// Those of [`MIN_SHARDED`] bytes and more, and [`TARGET`].
    #[default]
    Auto,
    /// Those that are larger than the largest layer of this size may be, and this size.
    Bytes(u64),
}

impl ShardSize {
    /// Returns how large the layers are on average that a folder with `bytes` of files becomes;
    /// `None` if it stays one.
    fn target(self, bytes: u64) -> Option<u64> {
        match self {
            Self::Off => None,
            Self::Auto => (bytes >= MIN_SHARDED).then_some(TARGET),
            Self::Bytes(target) => (bytes > target.saturating_mul(MOST)).then_some(target),
        }
    }
}

/// Cuts folders of what was prepared into several layers.
pub(super) fn cut(prepared: &mut Prepared, size: ShardSize) {
    let shapes = &prepared.shapes;
    let entries = prepared.entries.iter().enumerate();
    let archives = entries.filter(|(index, _)| shapes[*index] == Shape::Tar);
    let counts = cut_tree(&mut prepared.found.tree, archives, size);
    if counts.is_empty() {
        return;
    }
    prepared.kitfile.cut(&counts);
    prepared.entries = prepared.kitfile.layers();
    let (mut begins, mut shapes) = (Vec::new(), Vec::new());
    for (index, shape) in prepared.shapes.iter().enumerate() {
        begins.push(shapes.len());
        shapes.extend(vec![*shape; counts.get(&index).copied().unwrap_or(1)]);
    }
    prepared.shapes = shapes;
    begin_at(&begins, &mut prepared.found);
}

/// Cuts those of the elements with these places in `tree` that are large enough, and returns how
/// many layers there are now in the place of each of them.
pub(in crate::ops) fn cut_tree<'e>(
    tree: &mut Tree,
    entries: impl Iterator<Item = (usize, &'e Entry)>,
    size: ShardSize,
) -> BTreeMap<usize, usize> {
    let large = entries.filter_map(|(index, entry)| {
        let target = size.target(tree.bytes(index))?;
        may_be_cut(tree, index, entry).then_some((index, target))
    });
    let large: Vec<(usize, u64)> = large.collect();
    let Some((_, target)) = large.first().copied() else {
        return BTreeMap::new();
    };
    let large: Vec<usize> = large.into_iter().map(|(index, _)| index).collect();
    tree.cut(&large, target)
}

/// Tells whether an element is a folder of data: what is read whole, or is one file, stays as it is.
fn may_be_cut(tree: &Tree, index: usize, entry: &Entry) -> bool {
    let is_data = matches!(
        entry.section,
        Section::Model | Section::Part | Section::Dataset
    );
    is_data && tree.is_folder(index, &entry.clean)
}
