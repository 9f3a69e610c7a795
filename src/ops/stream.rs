//! Blobs of a registry as something to read from, without a place for them on disk.
//!
//! Bytes come over several connections and in about their order; a [`Stream`] gives them in order.
//! What may be ahead of the reader is bounded by the window of its download. The next blobs begin
//! to come while one is read, so that many small ones do not each cost the time of an answer.

use std::{
    collections::BTreeMap,
    io::{self, Read},
    sync::{
        Arc,
        mpsc::{self, Receiver, RecvTimeoutError},
    },
};

use tokio::task::JoinHandle;

use super::{
    toc::Parts,
    transfer::{LOOK, Network},
};
use crate::{
    oci::Descriptor,
    progress::Progress,
    registry::{
        self, Repository,
        download::{self, Downloads, Piece, Window},
    },
};

/// How far the blob that is read may come ahead of its reader, in bytes.
const WINDOW: u64 = 16 << 20;
/// The same for a blob that nobody reads yet.
const AHEAD: u64 = 2 << 20;
/// So many blobs come at the same time at most, whatever the user says: a connection must be left
/// for the one that is read.
const MOST_AT_ONCE: usize = 4;

/// What reads blobs out of registries.
#[derive(Clone)]
pub struct Streams<'n> {
    network: &'n Network,
    downloads: Arc<Downloads>,
    at_once: usize,
    progress: &'n dyn Progress,
}

impl<'n> Streams<'n> {
    /// Returns what reads up to `concurrency` blobs at a time. Nothing is sent yet.
    pub fn new(
        network: &'n Network,
        options: download::Options,
        concurrency: usize,
        progress: &'n dyn Progress,
    ) -> Self {
        let connections = options.jobs.unwrap_or(MOST_AT_ONCE).min(MOST_AT_ONCE);
        Self {
            network,
            downloads: Arc::new(Downloads::new(options)),
            at_once: concurrency.min(connections).max(1),
            progress,
        }
    }

    /// Returns the way to parts of blobs, over the same connections.
    pub fn parts(&self) -> Parts<'n> {
        Parts::new(self.network, Arc::clone(&self.downloads), self.progress)
    }

    /// Returns how many blobs come at the same time.
    pub const fn at_once(&self) -> usize {
        self.at_once
    }

    /// Begins to fetch a blob.
    pub fn open(&self, repository: &Repository, blob: &Descriptor) -> Stream<'n> {
        let window = Arc::new(Window::new(AHEAD));
        let (sender, pieces) = mpsc::channel();
        let fetching = Arc::clone(&self.downloads).fetch_ahead(
            repository.clone(),
            blob.clone(),
            Arc::clone(&window),
            sender,
        );
        Stream {
            network: self.network,
            progress: self.progress,
            task: Some(self.network.runtime().spawn(fetching)),
            pieces,
            window,
            early: BTreeMap::new(),
            current: None,
            taken: 0,
            at: 0,
            size: blob.size,
        }
    }
}

/// A blob on its way. What is read is not verified. Dropping it ends the download.
pub struct Stream<'n> {
    network: &'n Network,
    progress: &'n dyn Progress,
    task: Option<JoinHandle<Result<(), registry::Error>>>,
    pieces: Receiver<Piece>,
    window: Arc<Window>,
    /// What came before its turn, by its place.
    early: BTreeMap<u64, Piece>,
    /// What is being read.
    current: Option<Piece>,
    /// How much of it was read.
    taken: usize,
    /// Where what is being read ends.
    at: u64,
    size: u64,
}

impl Stream<'_> {
    /// Returns what came in its turn and was not read.
    fn left(&self) -> &[u8] {
        let current = self.current.as_ref();
        current.map_or(&[], |piece| &piece.bytes[self.taken..])
    }

    /// Waits for the next bytes; false after the last.
    fn turn(&mut self) -> io::Result<bool> {
        // Only now: what was begun ahead of time is to leave room for what is read.
        self.window.widen(WINDOW);
        while self.at < self.size {
            if let Some(piece) = self.early.remove(&self.at) {
                let length = piece.bytes.len() as u64;
                self.at += length;
                self.window.advance(length);
                (self.current, self.taken) = (Some(piece), 0);
                return Ok(true);
            }
            match self.pieces.recv_timeout(LOOK) {
                Ok(piece) => {
                    self.early.insert(piece.offset, piece);
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(self.why()),
            }
            if self.progress.cancelled() {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
        }
        Ok(false)
    }

    /// Returns why nothing comes any more.
    fn why(&mut self) -> io::Error {
        let ended = self.task.take().map(|task| {
            let runtime = self.network.runtime();
            runtime.block_on(task).map_err(io::Error::other)
        });
        match ended {
            Some(Ok(Err(error))) => io::Error::other(error),
            Some(Err(error)) => error,
            Some(Ok(Ok(()))) | None => io::ErrorKind::UnexpectedEof.into(),
        }
    }
}

impl Read for Stream<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if into.is_empty() || (self.left().is_empty() && !self.turn()?) {
            return Ok(0);
        }
        let left = self.left();
        let read = into.len().min(left.len());
        into[..read].copy_from_slice(&left[..read]);
        self.taken += read;
        Ok(read)
    }
}

impl Drop for Stream<'_> {
    fn drop(&mut self) {
        if let Some(task) = &self.task {
            task.abort();
        }
    }
}
