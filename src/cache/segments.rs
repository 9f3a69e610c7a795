//! Where layers were cut into segments that are not cut again.

use std::{fs, io, path::PathBuf, sync::atomic::Ordering};

use super::Cache;
use crate::{digest::Digest, platform};

/// What stands at the beginning of the file: format and version.
const MAGIC: &[u8; 24] = b"kit cache segments 1   \n";

/// Magic, layer, and the size of segments that was aimed at.
const HEAD: usize = 24 + 32 + 8;
/// Digest and size of a segment.
const SEGMENT: usize = 32 + 8;
/// The SHA-256 at the end.
const CHECKED: usize = 32;

/// The most segments that are remembered of one layer: more than a manifest can have.
const MAX_KNOWN_SEGMENTS: usize = 20_000;

impl Cache {
    /// Returns digests and sizes of the segments of about `target` bytes that the plain layer
    /// `layer` is cut into, if they are known.
    pub fn segments(&self, layer: &Digest, target: u64) -> Option<Vec<(Digest, u64)>> {
        if !self.is_believed() {
            return None;
        }
        let path = self.segments_path(layer, target);
        let metadata = fs::metadata(&path).ok()?;
        let most = (HEAD + MAX_KNOWN_SEGMENTS * SEGMENT + CHECKED) as u64;
        if !metadata.is_file() || metadata.len() > most {
            return None;
        }
        parse(&fs::read(&path).ok()?, layer, target)
    }

    /// Remembers the segments of a layer.
    pub fn learn_segments(&self, layer: &Digest, target: u64, segments: &[(Digest, u64)]) {
        // What cannot be written is found out again another time.
        let _ = self.write_segments(layer, target, segments);
    }

    fn write_segments(
        &self,
        layer: &Digest,
        target: u64,
        segments: &[(Digest, u64)],
    ) -> io::Result<()> {
        let mut bytes = MAGIC.to_vec();
        bytes.extend(layer.as_bytes());
        bytes.extend(target.to_le_bytes());
        for (digest, size) in segments {
            bytes.extend(digest.as_bytes());
            bytes.extend(size.to_le_bytes());
        }
        let checked = Digest::of(&bytes);
        bytes.extend(checked.as_bytes());
        let path = self.segments_path(layer, target);
        if let Some(folder) = path.parent() {
            fs::create_dir_all(folder)?;
        }
        let _turn = platform::turn(&self.turn())?;
        platform::replace(&path, false, |file| file.write_all(&bytes))?;
        self.has_new_tables.store(true, Ordering::Relaxed);
        Ok(())
    }

    fn segments_path(&self, layer: &Digest, target: u64) -> PathBuf {
        let name = format!("{}.segments-{target}", layer.hex());
        self.path("tables").join(name)
    }
}

/// Reads the segments of a layer; `None` for anything that is not all right.
fn parse(bytes: &[u8], layer: &Digest, target: u64) -> Option<Vec<(Digest, u64)>> {
    let (body, checked) = bytes.split_last_chunk::<CHECKED>()?;
    if Digest::of(body).as_bytes() != checked {
        return None;
    }
    let rest = body.strip_prefix(MAGIC)?;
    let rest = rest.strip_prefix(layer.as_bytes())?;
    let rest = rest.strip_prefix(&target.to_le_bytes())?;
    if !rest.len().is_multiple_of(SEGMENT) {
        return None;
    }
    let segments = rest.chunks_exact(SEGMENT).map(|segment| {
        let (digest, size) = segment.split_first_chunk::<32>()?;
        let size = u64::from_le_bytes(size.try_into().ok()?);
        Some((Digest::from_bytes(*digest), size))
    });
    segments.collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Use;

    #[test]
    fn segments_come_back_for_their_layer_and_only_whole() {
        let folder = tempfile::tempdir().unwrap();
        let cache = Cache::open(folder.path(), Use::All);
        let layer = Digest::of(b"layer");
        assert_eq!(cache.segments(&layer, 8), None);
        let segments = [(Digest::of(b"la"), 2), (Digest::of(b"yer"), 3)];
        cache.learn_segments(&layer, 8, &segments);
        assert_eq!(cache.segments(&layer, 8), Some(segments.to_vec()));
        assert_eq!(cache.segments(&layer, 16), None);
        let whole = fs::read(cache.segments_path(&layer, 8)).unwrap();
        for end in 0..whole.len() {
            assert_eq!(parse(&whole[..end], &layer, 8), None);
            let mut altered = whole.clone();
            altered[end] ^= 1;
            assert_eq!(parse(&altered, &layer, 8), None, "byte {end}");
        }
        assert_eq!(parse(&whole, &layer, 16), None);
        assert_eq!(parse(&whole, &Digest::of(b"other"), 8), None);
        let other = Cache::open(folder.path(), Use::WriteOnly);
        assert_eq!(other.segments(&layer, 8), None);
    }
}
