//! A layer that is packed while it is read: nothing of it is on disk.

use std::{
    io::{self, Read},
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
};

use super::Prepared;
use crate::{
    archive::{
        self,
        pack::{self, Compression},
    },
    ops::supply::{Content, Pieces},
    progress::Silent,
};

/// Pieces that wait for their reader.
const WAITING: usize = 1;

/// A layer that was measured.
pub(super) struct Source {
    pub(super) prepared: Arc<Prepared>,
    /// Its place in what was prepared.
    pub(super) index: usize,
    pub(super) compression: Compression,
    pub(super) threads: usize,
}

impl Source {
    /// Begins to pack it again, from the byte `from` on. Dropping the content ends that.
    pub(super) fn open(self: &Arc<Self>, from: u64) -> io::Result<Content> {
        let (sender, pieces) = sync_channel(WAITING);
        let source = Arc::clone(self);
        let packing = thread::Builder::new().spawn(move || {
            let layer = pack::Layer {
                tree: &source.prepared.found.tree,
                index: source.index,
                shape: source.prepared.shapes[source.index],
                path: &source.prepared.entries[source.index].path,
            };
            let options = pack::Options {
                threads: source.threads,
                compression: source.compression,
                file_digests: false,
                toc: false,
            };
            pack::stream(layer, (&mut Pieces(sender), from), &options, &Silent)
        })?;
        Ok(Box::new(Packing {
            pieces,
            current: io::Cursor::default(),
            thread: Some(packing),
        }))
    }
}

/// A layer that is being packed.
struct Packing {
    pieces: Receiver<Vec<u8>>,
    current: io::Cursor<Vec<u8>>,
    thread: Option<JoinHandle<Result<(), archive::Error>>>,
}

impl Read for Packing {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            let read = self.current.read(into)?;
            if read > 0 || into.is_empty() {
                return Ok(read);
            }
            if let Ok(piece) = self.pieces.recv() {
                self.current = io::Cursor::new(piece);
                continue;
            }
            let Some(packing) = self.thread.take() else {
                return Ok(0);
            };
            let ended = packing
                .join()
                .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
            return ended.map(|()| 0).map_err(io::Error::other);
        }
    }
}
