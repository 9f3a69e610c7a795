//! Cutting layers while they pass.

use std::{
    io::{self, Write},
    panic::resume_unwind,
    sync::mpsc::sync_channel,
    thread,
};

use crate::{
    archive,
    chunk::Segmenter,
    digest::{Digest, Hasher},
    ops::{Error, supply::Pieces},
    store::{Committed, TempBlob, Trust, Writer},
};

/// Pieces of a layer that wait for being cut.
const WAITING: usize = 4;

/// A segment of a layer that was cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Segment {
    /// Its digest.
    pub digest: Digest,
    /// Its length in bytes.
    pub size: u64,
    /// Whether it was new to the store; none if it did not go there.
    pub stored: Option<Committed>,
}

/// Cuts a layer into segments, and stores each of them as a blob.
pub(in crate::ops) struct Cutter<'w> {
    segmenter: Segmenter,
    /// Where segments go, if anywhere.
    writer: Option<(&'w Writer<'w>, Trust)>,
    blob: Option<TempBlob<'w>>,
    hasher: Hasher,
    length: u64,
    segments: Vec<Segment>,
}

impl<'w> Cutter<'w> {
    /// Returns what cuts a layer into segments of about `target` bytes. Without a `writer` they are
    /// only measured.
    pub(in crate::ops) fn new(target: u64, writer: Option<(&'w Writer<'w>, Trust)>) -> Self {
        Self {
            segmenter: Segmenter::new(target),
            writer,
            blob: None,
            hasher: Hasher::new(),
            length: 0,
            segments: Vec::new(),
        }
    }

    /// Takes the next bytes of the layer.
    pub(in crate::ops) fn push(&mut self, mut bytes: &[u8]) -> Result<(), Error> {
        while !bytes.is_empty() {
            let (length, is_cut) = self.segmenter.seek(bytes);
            let (head, rest) = bytes.split_at(length);
            bytes = rest;
            self.hasher.update(head);
            self.length += head.len() as u64;
            if let Some((writer, _)) = self.writer {
                let blob = match &mut self.blob {
                    Some(blob) => blob,
                    none => none.insert(writer.create()?),
                };
                blob.append(head)?;
            }
            if is_cut {
                self.end()?;
            }
        }
        Ok(())
    }

    /// Ends the layer, and returns its segments in order.
    pub(in crate::ops) fn finish(mut self) -> Result<Vec<Segment>, Error> {
        if self.length > 0 {
            self.end()?;
        }
        Ok(self.segments)
    }

    /// Ends a segment.
    fn end(&mut self) -> Result<(), Error> {
        let digest = std::mem::replace(&mut self.hasher, Hasher::new()).finish();
        let size = std::mem::take(&mut self.length);
        let stored = match (self.writer, self.blob.take()) {
            (Some((writer, trust)), Some(blob)) => {
                // Asked for here, since committing believes what is recorded.
                writer.has(&digest, size, trust)?;
                Some(blob.commit(&digest, size)?)
            }
            _ => None,
        };
        self.segments.push(Segment {
            digest,
            size,
            stored,
        });
        Ok(())
    }
}

/// Cuts what `pack` writes, on a thread of its own.
pub(in crate::ops) fn aside<T>(
    cutter: Cutter<'_>,
    pack: impl FnOnce(&mut dyn Write) -> Result<T, archive::Error>,
) -> Result<(T, Vec<Segment>), Error> {
    let (sender, pieces) = sync_channel::<Vec<u8>>(WAITING);
    thread::scope(|scope| {
        let cutting = thread::Builder::new().spawn_scoped(scope, move || {
            let mut cutter = cutter;
            for piece in pieces {
                cutter.push(&piece)?;
            }
            Ok::<_, Error>(cutter)
        });
        let cutting = cutting.map_err(Error::Threads)?;
        let packed = pack(&mut Pieces(sender));
        let cut = cutting.join().unwrap_or_else(|panic| resume_unwind(panic));
        // If cutting failed, packing did only because of that.
        let cutter = cut?;
        // Nothing is stored of the end of a layer that was not packed to its end.
        let packed = packed?;
        Ok((packed, cutter.finish()?))
    })
}

/// Returns a failure to write for want of room as that.
pub(in crate::ops) fn is_full(error: &Error) -> bool {
    matches!(error, Error::Store(crate::store::Error::Io { source, .. })
        if source.kind() == io::ErrorKind::StorageFull)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        progress::Silent,
        store::{Options, Store},
    };

    #[test]
    fn segments_are_the_layer_one_behind_the_other() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(folder.path(), Options::default()).unwrap();
        let writer = store.writer(&Silent).unwrap();
        let layer: Vec<u8> = (0..400_u32)
            .flat_map(|number| *Digest::of(&number.to_le_bytes()).as_bytes())
            .collect();
        let mut cutter = Cutter::new(1024, Some((&writer, Trust::Recorded)));
        for piece in layer.chunks(777) {
            cutter.push(piece).unwrap();
        }
        let stored = cutter.finish().unwrap();
        assert!(stored.len() > 5, "{stored:?}");
        let read = stored.iter().flat_map(|segment| {
            let read = store.read_verified(&segment.digest, segment.size, 1 << 20);
            read.unwrap()
        });
        assert_eq!(read.collect::<Vec<u8>>(), layer);
        let mut cutter = Cutter::new(1024, None);
        cutter.push(&layer).unwrap();
        let measured = cutter.finish().unwrap();
        let names =
            |list: &[Segment]| -> Vec<_> { list.iter().map(|it| (it.digest, it.size)).collect() };
        assert_eq!(names(&measured), names(&stored));
    }
}
