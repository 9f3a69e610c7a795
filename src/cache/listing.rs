//! What a layer holds, file by file, with the digest of each: what a directory is compared with.

use std::{
    cmp,
    fs::{self, File},
    io::{self, Read as _},
    path::Path,
    sync::atomic::Ordering,
};

use super::Cache;
use crate::{
    digest::{Digest, Hasher, HashingReader},
    platform,
};

/// The longest listing that is remembered, in bytes; some 70 go to a file.
pub(super) const MAX_LISTING: u64 = 512 << 20;

/// What stands at the beginning of the file: format and version.
const MAGIC: &[u8; 24] = b"kit cache listing 1    \n";

/// The SHA-256 at the end.
const CHECKED: u64 = 32;

/// The files and folders of a layer, in the order of an archive.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Listing {
    paths: Vec<u8>,
    items: Vec<Stored>,
}

#[derive(Debug, PartialEq, Eq)]
struct Stored {
    /// Where its path ends in all paths; it begins where that of the item before it ends.
    path: (usize, usize),
    mode: u16,
    size: u64,
    digest: Option<Digest>,
}

/// A file or folder in a layer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Item<'l> {
    /// The path it unpacks to.
    pub path: &'l [u8],
    /// The permission bits.
    pub mode: u16,
    /// The content's length in bytes; 0 for a folder.
    pub size: u64,
    /// The digest of the content; `None` for a folder.
    pub digest: Option<Digest>,
}

/// Gives each item to the function it is called with, in order.
pub type Each<'e> = dyn Fn(&mut dyn FnMut(Item<'_>)) + 'e;

impl Listing {
    /// Adds a file or folder at the end.
    pub fn push(&mut self, item: Item<'_>) {
        let start = self.paths.len();
        self.paths.extend_from_slice(item.path);
        self.items.push(Stored {
            path: (start, self.paths.len()),
            mode: item.mode,
            size: item.size,
            digest: item.digest,
        });
    }

    /// Adds all that is in `other`.
    pub fn append(&mut self, other: &Self) {
        for item in other.iter() {
            self.push(item);
        }
    }

    /// Brings the items into the order of an archive: the children of a folder by the bytes of
    /// their names, each with what is below it. Layers of other programs may have any order. Of
    /// several with one path the last counts, as it does for who unpacks.
    pub fn sort(&mut self) {
        let paths = &self.paths;
        let path = |item: &Stored| &paths[item.path.0..item.path.1];
        if !self
            .items
            .is_sorted_by(|a, b| order(path(a), path(b)).is_lt())
        {
            self.items.sort_by(|a, b| order(path(a), path(b)));
            // The first of equals is kept, so the last ones have to come first.
            self.items.reverse();
            self.items.dedup_by(|a, b| path(a) == path(b));
            self.items.reverse();
        }
    }

    /// Returns how many items there are.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// Tells whether there is none.
    pub fn is_empty(&self) -> bool {
        self.items.is_empty()
    }

    /// Returns the items in their order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = Item<'_>> {
        self.items.iter().map(|item| Item {
            path: &self.paths[item.path.0..item.path.1],
            mode: item.mode,
            size: item.size,
            digest: item.digest,
        })
    }
}

/// Compares two paths as the order of an archive has them: part by part.
pub fn order(a: &[u8], b: &[u8]) -> cmp::Ordering {
    a.split(|byte| *byte == b'/')
        .cmp(b.split(|byte| *byte == b'/'))
}

impl Cache {
    /// Returns what the layer `digest` holds, if it is known.
    pub fn listing(&self, digest: &Digest) -> Option<Listing> {
        if !self.is_believed() {
            return None;
        }
        let path = self.path("layers").join(digest.hex());
        let metadata = fs::metadata(&path).ok()?;
        if !metadata.is_file() || metadata.len() > MAX_LISTING {
            return None;
        }
        parse(&fs::read(&path).ok()?, digest)
    }

    /// Remembers what the layer `digest` holds: `count` items, which `each` gives as often as it is
    /// called. So a layer of millions of files need not be in memory as a list.
    pub fn learn_listing(&self, digest: &Digest, count: usize, each: &Each<'_>) {
        // What cannot be written is found out again another time.
        let _ = self.write_listing(digest, count, each);
    }

    fn write_listing(&self, digest: &Digest, count: usize, each: &Each<'_>) -> io::Result<()> {
        let (mut hasher, mut length) = (Hasher::new(), 0);
        encode(digest, count, each, &mut |bytes| {
            hasher.update(bytes);
            length += bytes.len() as u64;
            Ok(())
        })?;
        let checked = hasher.finish();
        if length + CHECKED > MAX_LISTING {
            return Ok(());
        }
        let folder = self.path("layers");
        fs::create_dir_all(&folder)?;
        let path = folder.join(digest.hex());
        if is_there(&path, length, &checked).unwrap_or(false) {
            return Ok(());
        }
        let _turn = platform::turn(&self.turn())?;
        platform::replace(&path, false, |file| {
            encode(digest, count, each, &mut |bytes| file.write_all(bytes))?;
            file.write_all(checked.as_bytes())
        })?;
        self.has_new_listings.store(true, Ordering::Relaxed);
        Ok(())
    }
}

/// Tells whether the listing of `length` bytes that hash to `checked` is at `path`.
fn is_there(path: &Path, length: u64, checked: &Digest) -> io::Result<bool> {
    let metadata = fs::metadata(path)?;
    if !metadata.is_file() || metadata.len() != length + CHECKED {
        return Ok(false);
    }
    let mut file = File::open(path)?;
    let mut body = HashingReader::new((&mut file).take(length));
    io::copy(&mut body, &mut io::sink())?;
    let mut end = Vec::new();
    let found = body.finish();
    file.read_to_end(&mut end)?;
    Ok(found == (*checked, length) && end == checked.as_bytes())
}

/// Gives all of a listing but its hash to `out`, piece by piece.
fn encode(
    layer: &Digest,
    count: usize,
    each: &Each<'_>,
    out: &mut dyn FnMut(&[u8]) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = MAGIC.to_vec();
    piece.extend_from_slice(layer.as_bytes());
    piece.extend_from_slice(&(count as u64).to_le_bytes());
    let mut result = out(&piece);
    let mut before = Vec::new();
    each(&mut |item| {
        piece.clear();
        // Neighbours share most of their paths.
        let shared = item.path.iter().zip(&before).take_while(|(a, b)| a == b);
        let shared = shared.count();
        let rest = &item.path[shared..];
        for length in [shared, rest.len()] {
            let length = u32::try_from(length).unwrap_or(u32::MAX);
            piece.extend_from_slice(&length.to_le_bytes());
        }
        piece.extend_from_slice(rest);
        piece.extend_from_slice(&item.mode.to_le_bytes());
        piece.extend_from_slice(&item.size.to_le_bytes());
        match item.digest {
            Some(digest) => {
                piece.push(b'f');
                piece.extend_from_slice(digest.as_bytes());
            }
            None => piece.push(b'd'),
        }
        before.truncate(shared);
        before.extend_from_slice(rest);
        if result.is_ok() {
            result = out(&piece);
        }
    });
    result
}

/// Reads a listing of the layer `layer`; `None` for anything that is not all right.
fn parse(content: &[u8], layer: &Digest) -> Option<Listing> {
    let (body, checked) = content.split_last_chunk::<32>()?;
    if Digest::of(body).as_bytes() != checked {
        return None;
    }
    let mut rest = body.strip_prefix(MAGIC)?.strip_prefix(layer.as_bytes())?;
    let count = u64::from_le_bytes(take(&mut rest)?);
    let mut listing = Listing::default();
    let mut path = Vec::new();
    for _ in 0..count {
        let shared = u32::from_le_bytes(take(&mut rest)?) as usize;
        let length = u32::from_le_bytes(take(&mut rest)?) as usize;
        let (name, behind) = rest.split_at_checked(length)?;
        rest = behind;
        if shared > path.len() {
            return None;
        }
        path.truncate(shared);
        path.extend_from_slice(name);
        let mode = u16::from_le_bytes(take(&mut rest)?);
        let size = u64::from_le_bytes(take(&mut rest)?);
        let digest = match take(&mut rest)? {
            [b'f'] => Some(Digest::from_bytes(take(&mut rest)?)),
            _ => None,
        };
        listing.push(Item {
            path: &path,
            mode,
            size,
            digest,
        });
    }
    rest.is_empty().then_some(listing)
}

fn take<const N: usize>(rest: &mut &[u8]) -> Option<[u8; N]> {
    let (taken, behind) = rest.split_first_chunk::<N>()?;
    *rest = behind;
    Some(*taken)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Use;

    fn learn(cache: &Cache, layer: &Digest, listing: &Listing) {
        cache.learn_listing(layer, listing.len(), &|found| {
            listing.iter().for_each(found);
        });
    }

    fn sample() -> Listing {
        let mut listing = Listing::default();
        for (path, digest) in [
            ("data", None),
            ("data/a", Some(Digest::of(b"a"))),
            ("data/a-b", Some(Digest::of(b"b"))),
            ("x\u{ff}", Some(Digest::of(b""))),
        ] {
            listing.push(Item {
                path: path.as_bytes(),
                mode: 0o644,
                size: 7,
                digest,
            });
        }
        listing
    }

    #[test]
    fn a_listing_comes_back_for_its_layer_and_only_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), Use::All);
        let layer = Digest::of(b"layer");
        assert_eq!(cache.listing(&layer), None);
        learn(&cache, &layer, &sample());
        assert_eq!(cache.listing(&layer), Some(sample()));
        let path = cache.path("layers").join(layer.hex());
        let whole = fs::read(&path).unwrap();
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end], &layer), None, "{end} bytes");
            let mut altered = whole.clone();
            altered[end] ^= 1;
            assert_eq!(parse(&altered, &layer), None, "byte {end}");
        }
        assert_eq!(parse(&whole, &Digest::of(b"other")), None);
        fs::write(&path, b"").unwrap();
        learn(&cache, &layer, &sample());
        assert_eq!(cache.listing(&layer), Some(sample()));
        assert_eq!(
            Cache::open(folder.path(), Use::WriteOnly).listing(&layer),
            None
        );
    }

    #[test]
    fn items_are_brought_into_the_order_of_an_archive() {
        let mut listing = Listing::default();
        for (path, size) in [("a-b", 0), ("a/c", 1), ("a", 0), ("b", 0), ("a/c", 2)] {
            listing.push(Item {
                path: path.as_bytes(),
                mode: 0o644,
                size,
                digest: None,
            });
        }
        listing.sort();
        let order: Vec<_> = listing.iter().map(|item| (item.path, item.size)).collect();
        let expected: [(&[u8], u64); 4] = [(b"a", 0), (b"a/c", 2), (b"a-b", 0), (b"b", 0)];
        assert_eq!(order, expected);
    }
}
