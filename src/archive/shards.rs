//! Where a large folder is cut into several layers, so that a change costs what changed.
//!
//! Where the cuts are follows from names and sizes near them alone: whoever adds, changes or removes
//! one file moves at most the cuts beside it, and all other layers stay as they are. `docs/format.md`
//! has the rule in words, with an example. It decides digests: it must not change.

use std::collections::BTreeMap;

use super::{
    header,
    pack::header_kind,
    tree::{Kind, Tree},
};
use crate::digest::Digest;

/// How large layers are on average that a folder is cut into, in bytes, if nobody says otherwise.
pub const TARGET: u64 = 32 << 20;

/// The most layers that folders of one kit are cut into.
pub const MAX_SHARDS: usize = 8_000;

/// A layer has at least this part of its target, where that can be.
const LEAST: u64 = 4;

/// And at most so many times its target, where that can be: a file is not cut.
pub const MOST: u64 = 4;

/// A file, or a folder in which there is nothing, as far as cutting goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item {
    /// What it takes in the archive: its header, and its content padded to whole blocks.
    size: u64,
    /// The first eight bytes of the SHA-256 of its path.
    hash: u64,
}

impl Item {
    /// Returns the item at `path` that takes `size` bytes.
    pub fn new(path: &[u8], size: u64) -> Self {
        let digest = Digest::of(path);
        let first = digest.as_bytes().first_chunk();
        Self {
            size,
            hash: u64::from_be_bytes(*first.expect("a digest is longer than eight bytes")),
        }
    }

    /// Tells whether a layer may begin with it: the more often the larger it is, so that layers
    /// have `target` bytes on average.
    fn is_candidate(self, target: u64) -> bool {
        u128::from(self.hash) * u128::from(target) < u128::from(self.size) << 64
    }

    /// Tells whether a layer begins rather with this than with `other`, which is nearby.
    fn is_stronger(self, other: Self) -> bool {
        let own = u128::from(self.hash) * u128::from(other.size);
        own < u128::from(other.hash) * u128::from(self.size)
    }
}

/// Returns the positions of the items with which a layer begins, but for the first.
pub fn cuts(items: &[Item], target: u64) -> Vec<usize> {
    let mut ends = Vec::with_capacity(items.len());
    let mut end = 0_u64;
    for item in items {
        end = end.saturating_add(item.size);
        ends.push(end);
    }
    let places = Places { items, ends };
    let least = target / LEAST;
    let most = target.saturating_mul(MOST);
    let chosen = places.chosen(target, least);
    let mut cuts = Vec::with_capacity(chosen.len());
    let mut begin = 0;
    for next in chosen.into_iter().chain([items.len()]) {
        places.divide(begin, next, (least, most), &mut cuts);
        if next < items.len() {
            cuts.push(next);
        }
        begin = next;
    }
    cuts
}

/// Items, and where each ends.
struct Places<'i> {
    items: &'i [Item],
    ends: Vec<u64>,
}

impl Places<'_> {
    /// Returns how many bytes lie before the item at `position`.
    fn before(&self, position: usize) -> u64 {
        position.checked_sub(1).map_or(0, |last| self.ends[last])
    }

    /// Returns the candidates that count: those with less than `least` bytes between them and a
    /// stronger one, or the beginning or the end, do not. So it depends on what is near whether one
    /// counts, and never on what became of those before it.
    fn chosen(&self, target: u64, least: u64) -> Vec<usize> {
        let all = 1..self.items.len();
        let candidates = all.filter(|position| self.items[*position].is_candidate(target));
        let candidates: Vec<usize> = candidates.collect();
        let total = self.before(self.items.len());
        let is_beaten = |number: usize| {
            let position = candidates[number];
            let (own, at) = (self.items[position], self.before(position));
            let near = |other: &&usize| self.before(**other).abs_diff(at) < least;
            let mut earlier = candidates[..number].iter().rev().take_while(near);
            let mut later = candidates[number + 1..].iter().take_while(near);
            at < least
                || total - at < least
                // Of equals the first one counts.
                || earlier.any(|other| !own.is_stronger(self.items[*other]))
                || later.any(|other| self.items[*other].is_stronger(own))
        };
        let numbers = 0..candidates.len();
        let chosen = numbers.filter(|number| !is_beaten(*number));
        chosen.map(|number| candidates[number]).collect()
    }

    /// Cuts the items from `begin` to `end` where they are too many for one layer: before the
    /// strongest that leaves neither too much before it nor too little on either side. Where a large
    /// file leaves no such place, before it or behind it.
    fn divide(
        &self,
        mut begin: usize,
        end: usize,
        (least, most): (u64, u64),
        cuts: &mut Vec<usize>,
    ) {
        let stop = self.before(end);
        while stop - self.before(begin) > most && begin + 1 < end {
            let start = self.before(begin);
            let inside = || {
                (begin + 1..end)
                    .map(|position| (position, self.before(position)))
                    .take_while(|(_, at)| at - start <= most)
            };
            let fitting = inside().filter(|(_, at)| at - start >= least && stop - at >= least);
            let strongest = fitting.map(|(position, _)| position).reduce(|best, next| {
                if self.items[next].is_stronger(self.items[best]) {
                    next
                } else {
                    best
                }
            });
            let furthest = || inside().last().map(|(position, _)| position);
            begin = strongest.or_else(furthest).unwrap_or(begin + 1);
            cuts.push(begin);
        }
    }
}

impl Tree {
    /// Returns what of `layer` counts when it is cut, in its order.
    fn items(&self, layer: usize) -> Vec<Item> {
        let mut path = Vec::new();
        let items = self.cuttable(layer).map(|entry| {
            entry.path_into(&mut path);
            let size = header::length(&path, header_kind(entry)) + header::padded(entry.size());
            Item::new(&path, size)
        });
        items.collect()
    }

    /// Tells whether `layer` is the folder `path`, and not a file.
    pub fn is_folder(&self, layer: usize, path: &str) -> bool {
        let mut entries = self.entries(layer);
        path == "." || !entries.any(|it| it.kind() == Kind::File && it.path() == path.as_bytes())
    }

    /// Cuts each of `layers` into several that stand in its place, of `target` bytes on average, and
    /// returns how many each has become. All of them together become no more than [`MAX_SHARDS`]:
    /// as long as they would, the target of that with the most is doubled.
    pub fn cut(&mut self, layers: &[usize], target: u64) -> BTreeMap<usize, usize> {
        let each = layers.iter().map(|layer| (*layer, self.items(*layer)));
        let plan = plan(&each.collect::<Vec<_>>(), target, MAX_SHARDS);
        self.take_apart(&plan);
        let counts = plan.into_iter();
        counts
            .map(|(layer, cuts)| (layer, cuts.len() + 1))
            .collect()
    }
}

/// Returns the cuts of each of `layers`, of which no more than `most` layers come together.
fn plan(layers: &[(usize, Vec<Item>)], target: u64, most: usize) -> BTreeMap<usize, Vec<usize>> {
    let mut plans: Vec<(u64, Vec<usize>)> = layers
        .iter()
        .map(|(_, items)| (target, cuts(items, target)))
        .collect();
    loop {
        let count = |plan: &(u64, Vec<usize>)| plan.1.len() + 1;
        let total: usize = plans.iter().map(count).sum();
        // The first of equals.
        let numbers = (0..plans.len()).rev();
        let largest = numbers.max_by_key(|number| count(&plans[*number]));
        let Some(largest) = largest.filter(|largest| total > most && count(&plans[*largest]) > 1)
        else {
            break;
        };
        let target = plans[largest].0.saturating_mul(2);
        plans[largest] = (target, cuts(&layers[largest].1, target));
    }
    let layers = layers.iter().map(|(layer, _)| *layer);
    layers
        .zip(plans)
        .map(|(layer, plan)| (layer, plan.1))
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const TARGET: u64 = 64 << 10;

    /// Returns numbers that look random, the same each time.
    fn scatter(number: u64) -> u64 {
        let mut value = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        value ^ (value >> 31)
    }

    fn scattered(count: u64, size: u64) -> Vec<Item> {
        let hashes = (0..count).map(scatter);
        hashes.map(|hash| Item { size, hash }).collect()
    }

    fn parts<'i>(items: &'i [Item], cuts: &[usize]) -> Vec<&'i [Item]> {
        let ends = cuts.iter().copied().chain([items.len()]);
        let mut begin = 0;
        let part = ends.map(|end| &items[std::mem::replace(&mut begin, end)..end]);
        part.collect()
    }

    fn size(part: &[Item]) -> u64 {
        part.iter().map(|item| item.size).sum()
    }

    /// Returns the parts between cuts that candidates made; those alone are bound to their neighbours.
    fn runs(items: &[Item]) -> Vec<usize> {
        let mut end = 0;
        let ends = items.iter().map(|item| {
            end += item.size;
            end
        });
        let ends = ends.collect();
        Places { items, ends }.chosen(TARGET, TARGET / LEAST)
    }

    /// Returns how many parts of `old` are not among those of `new`.
    fn lost(old: &[&[Item]], new: &[&[Item]]) -> usize {
        old.iter().filter(|part| !new.contains(part)).count()
    }

    /// Small files, some as large as a layer, few larger than any.
    fn item() -> impl Strategy<Value = Item> {
        let size = prop_oneof![
            8 => 1..16_u64,
            3 => 16..150_u64,
            1 => 150..1200_u64,
        ];
        (size, any::<u64>()).prop_map(|(blocks, hash)| Item {
            size: blocks * 512,
            hash,
        })
    }

    #[derive(Clone, Debug)]
    enum Edit {
        Add(Item),
        Change(u64),
        Remove,
        Rename(u64),
    }

    fn edit() -> impl Strategy<Value = Edit> {
        prop_oneof![
            item().prop_map(Edit::Add),
            (1..1200_u64).prop_map(|blocks| Edit::Change(blocks * 512)),
            Just(Edit::Remove),
            any::<u64>().prop_map(Edit::Rename),
            // What is most likely to begin a layer.
            (0..1_u64 << 40).prop_map(Edit::Rename),
        ]
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn whatever_is_changed_in_one_place_all_layers_but_three_stay(
            items in prop::collection::vec(item(), 1..400),
            place in any::<prop::sample::Index>(),
            edit in edit(),
        ) {
            let place = place.index(items.len());
            let mut edited = items.clone();
            match edit {
                Edit::Add(item) => edited.insert(place, item),
                Edit::Change(size) => edited[place].size = size,
                Edit::Rename(hash) => edited[place].hash = hash,
                Edit::Remove => drop(edited.remove(place)),
            }
            let (old_runs, new_runs) = (runs(&items), runs(&edited));
            let (old, new) = (parts(&items, &old_runs), parts(&edited, &new_runs));
            prop_assert!(lost(&old, &new) <= 3 && lost(&new, &old) <= 3);

            let (old_cuts, new_cuts) = (cuts(&items, TARGET), cuts(&edited, TARGET));
            let (old, new) = (parts(&items, &old_cuts), parts(&edited, &new_cuts));
            // What had to be divided further counts as what it was divided from.
            let more = old_cuts.len() - old_runs.len() + new_cuts.len() - new_runs.len();
            prop_assert!(lost(&old, &new) <= 3 + more && lost(&new, &old) <= 3 + more);
            // The layers that differ lie together.
            let differs: Vec<_> = old.iter().map(|part| !new.contains(part)).collect();
            let changes = differs.windows(2).filter(|pair| pair[0] != pair[1]).count();
            prop_assert!(changes <= 2);
        }

        #[test]
        fn all_is_in_one_layer_and_layers_keep_within_their_bounds(
            items in prop::collection::vec(item(), 0..400),
        ) {
            let cuts = cuts(&items, TARGET);
            prop_assert!(cuts.is_sorted_by(|a, b| a < b));
            prop_assert!(cuts.iter().all(|cut| (1..items.len()).contains(cut)));
            let parts = parts(&items, &cuts);
            prop_assert_eq!(parts.concat(), items.clone());
            let is_huge = |item: &Item| item.size >= TARGET * MOST - TARGET / 2;
            for (number, part) in parts.iter().enumerate() {
                prop_assert!(size(part) <= TARGET * MOST || part.len() == 1);
                let beside = parts[number.saturating_sub(1)..parts.len().min(number + 2)].concat();
                prop_assert!(
                    size(part) >= TARGET / LEAST || parts.len() == 1 || beside.iter().any(is_huge)
                );
            }
        }
    }

    /// What another program computes that was written from the page alone. In the first part there are
    /// no candidates.
    #[test]
    fn the_rule_stays_as_it_is() {
        let item = |number| Item {
            size: 512 * (1 + scatter(number) % 40),
            hash: scatter(1_000_000 + number) | u64::from(number < 400) << 63,
        };
        let items: Vec<Item> = (0..700).map(item).collect();
        let expected = [
            21, 29, 31, 50, 74, 94, 106, 121, 137, 151, 173, 188, 207, 222, 246, 251, 265, 277,
            297, 315, 334, 336, 339, 365, 391, 403, 410, 413, 420, 425, 431, 438, 449, 453, 465,
            469, 473, 476, 479, 482, 489, 493, 498, 503, 507, 522, 525, 550, 558, 562, 572, 592,
            594, 597, 599, 602, 606, 609, 620, 631, 634, 636, 644, 653, 655, 657, 661, 662, 681,
        ];
        assert_eq!(cuts(&items, TARGET), expected);
    }

    #[test]
    fn layers_have_about_the_size_that_was_asked_for() {
        let items = scattered(100_000, 2048);
        let parts = cuts(&items, TARGET).len() as u64 + 1;
        let mean = 100_000 * 2048 / parts;
        assert!((TARGET..TARGET * 3 / 2).contains(&mean), "{mean}");
    }

    #[test]
    fn a_large_file_has_a_layer_of_its_own() {
        let mut items = scattered(40, 2048);
        items[20].size = 100 * TARGET;
        let cuts = cuts(&items, TARGET);
        assert!(cuts.contains(&20) && cuts.contains(&21), "{cuts:?}");
        // Little before it does not make it begin elsewhere.
        items.drain(..19);
        assert_eq!(super::cuts(&items, TARGET)[..2], [1, 2]);
    }

    #[test]
    fn more_layers_than_a_manifest_holds_are_larger_ones() {
        let (large, small) = (scattered(400_000, 1024), scattered(40_000, 1024));
        let target = 32 << 10;
        let alone = cuts(&large, target).len() + 1;
        assert!((MAX_SHARDS..2 * MAX_SHARDS).contains(&alone), "{alone}");
        let plan = plan(
            &[(3, small.clone()), (7, large.clone())],
            target,
            MAX_SHARDS,
        );
        // One that is no trouble is cut as it is without the other.
        assert_eq!(plan[&3], cuts(&small, target));
        assert_eq!(plan[&7], cuts(&large, 2 * target));
        // What cannot be fewer stays: as many elements as that nobody has.
        let one = vec![(0, scattered(1, 512)), (1, scattered(1, 512))];
        assert!(super::plan(&one, target, 1).values().all(Vec::is_empty));
    }
}
