//! The bridge between what waits for a network and what works with disks.
//!
//! A [`Network`] is a few threads that wait for sockets and nothing else. Threads of an operation
//! give it something to do and wait for what comes; they read, hash and write as everything in
//! `ops` does. So nothing that blocks runs where sockets are waited for.

use std::{
    collections::VecDeque,
    future::Future,
    io,
    num::NonZeroUsize,
    pin::pin,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
        mpsc::{self, RecvTimeoutError},
    },
    thread,
    time::Duration,
};

use tokio::{runtime::Runtime, time::timeout};

use super::{
    Error,
    delta::Delta,
    toc::{GAP, coalesce},
};
use crate::{
    digest::Digest,
    oci::Descriptor,
    progress::{Meter, Progress},
    registry::{Repository, download::Downloads},
    store::{self, Claim, Committed, Partial, Writer},
};

/// How often those who wait look whether they still should.
pub(super) const LOOK: Duration = Duration::from_millis(100);
/// The most threads that wait for sockets; decrypting is their work, too.
const MOST_THREADS: usize = 4;

/// The most blobs at a time, either way and whatever is asked for: each takes threads.
pub(super) const MAX_BLOBS_AT_ONCE: usize = 64;

/// Waits for networks. Its threads end with it.
pub struct Network(Option<Runtime>);

impl Network {
    /// Starts the threads.
    pub fn new() -> Result<Self, Error> {
        let cores = thread::available_parallelism().map_or(1, NonZeroUsize::get);
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(cores.min(MOST_THREADS))
            .thread_name("network")
            .enable_all()
            .build();
        Ok(Self(Some(runtime.map_err(Error::Threads)?)))
    }

    /// Returns what its threads are given work by.
    pub(super) fn handle(&self) -> tokio::runtime::Handle {
        self.runtime().handle().clone()
    }

    pub(super) fn runtime(&self) -> &Runtime {
        self.0.as_ref().expect("it is taken only when it ends")
    }

    /// Waits for `future`, which looks itself whether the user asks to stop.
    pub(super) fn wait_patiently<T, E>(
        &self,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, E> {
        self.runtime().block_on(future)
    }

    /// Waits for `future`, or until the user asks to stop.
    pub fn wait<T, E>(
        &self,
        progress: &dyn Progress,
        future: impl Future<Output = Result<T, E>>,
    ) -> Result<T, Error>
    where
        Error: From<E>,
    {
        self.runtime().block_on(async {
            let mut future = pin!(future);
            loop {
                if let Ok(result) = timeout(LOOK, future.as_mut()).await {
                    return Ok(result?);
                }
                if progress.cancelled() {
                    return Err(store::Error::Interrupted.into());
                }
            }
        })
    }
}

impl Drop for Network {
    fn drop(&mut self) {
        if let Some(runtime) = self.0.take() {
            // A name server may take long over a question that nobody asks any more.
            runtime.shutdown_background();
        }
    }
}

/// What brings blobs from a repository into the store.
pub struct Transfer<'t> {
    /// What waits.
    pub network: &'t Network,
    /// Where the blobs go.
    pub writer: &'t Writer<'t>,
    /// What all transfers share.
    pub downloads: &'t Arc<Downloads>,
    /// Blobs at a time.
    pub concurrency: usize,
    /// Who is told, and may say that it is enough.
    pub progress: &'t dyn Progress,
}

/// What a transfer did.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Bytes that came over the network.
    pub fetched: u64,
    /// Bytes that an earlier run had left.
    pub resumed: u64,
    /// Bytes that were found in other kits or files, or followed from a table of contents.
    pub reused: u64,
    /// Blobs that were new to the store.
    pub stored: usize,
    /// Damaged blobs that were replaced.
    pub healed: usize,
    /// Blobs that were there, or were brought by another process meanwhile.
    pub present: usize,
}

impl Moved {
    /// Adds what another transfer did.
    pub fn add(&mut self, other: Self) {
        self.fetched += other.fetched;
        self.resumed += other.resumed;
        self.reused += other.reused;
        self.stored += other.stored;
        self.healed += other.healed;
        self.present += other.present;
    }

    fn count(&mut self, committed: Committed) {
        match committed {
            Committed::Stored => self.stored += 1,
            Committed::Healed => self.healed += 1,
            Committed::AlreadyThere => self.present += 1,
        }
    }
}

/// What the threads of one transfer share.
struct Work<'t> {
    /// Blobs that nobody has begun with.
    open: Mutex<VecDeque<Descriptor>>,
    /// Blobs that other processes download.
    held: Mutex<VecDeque<Descriptor>>,
    moved: Mutex<Moved>,
    /// Set when one thread failed: the others need not go on.
    is_over: AtomicBool,
    /// What is here of the blobs.
    delta: Option<&'t Delta<'t>>,
    meter: &'t dyn Meter,
}

impl Transfer<'_> {
    /// Brings `blobs` of `repository` into the store, several at a time. Of what `delta` tells of
    /// only that is fetched that is not here. `meter` advances by all of their bytes.
    pub fn fetch(
        &self,
        repository: &Repository,
        blobs: Vec<Descriptor>,
        delta: Option<&Delta<'_>>,
        meter: &dyn Meter,
    ) -> Result<Moved, Error> {
        let threads = self
            .concurrency
            .min(blobs.len())
            .clamp(1, MAX_BLOBS_AT_ONCE);
        let work = Work {
            open: Mutex::new(blobs.into()),
            held: Mutex::default(),
            moved: Mutex::default(),
            is_over: AtomicBool::new(false),
            delta,
            meter,
        };
        thread::scope(|scope| {
            let workers: Vec<_> = (0..threads)
                .map(|_| {
                    scope.spawn(|| {
                        let result = self.work(repository, &work);
                        if result.is_err() {
                            work.is_over.store(true, Ordering::Relaxed);
                        }
                        result
                    })
                })
                .collect();
            let mut first = Ok(());
            for worker in workers {
                let result = worker
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                // What stopped the others tells more than that they were stopped.
                let was_stopped = matches!(first, Err(Error::Store(store::Error::Interrupted)));
                if first.is_ok() || (was_stopped && result.is_err()) {
                    first = result;
                }
            }
            first
        })?;
        Ok(*lock(&work.moved))
    }

    fn work(&self, repository: &Repository, work: &Work<'_>) -> Result<(), Error> {
        loop {
            let next = lock(&work.open).pop_front();
            let (blob, wait) = match next {
                Some(blob) => (blob, false),
                None => match lock(&work.held).pop_front() {
                    Some(blob) => (blob, true),
                    None => return Ok(()),
                },
            };
            if !self.blob(repository, &blob, wait, work)? {
                lock(&work.held).push_back(blob);
            }
        }
    }

    /// Brings one blob. Returns false if another process is at it, unless that one is to be waited
    /// for.
    fn blob(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        wait: bool,
        work: &Work<'_>,
    ) -> Result<bool, Error> {
        let mut was_wrong = None;
        let mut delta = work.delta.filter(|delta| delta.has(&blob.digest));
        loop {
            let claim = if wait {
                Some(self.writer.partial(&blob.digest, blob.size, work.meter)?)
            } else {
                self.writer
                    .try_partial(&blob.digest, blob.size, work.meter)?
            };
            let partial = match claim {
                None => return Ok(false),
                Some(Claim::Here) => {
                    work.meter.advance(blob.size);
                    lock(&work.moved).present += 1;
                    return Ok(true);
                }
                Some(Claim::Ours(partial)) => partial,
            };
            lock(&work.moved).resumed += partial.resumed();
            if let Some(delta) = delta {
                let is_over = || work.is_over.load(Ordering::Relaxed);
                let filled = delta.fill(&partial, work.meter, &is_over)?;
                let mut moved = lock(&work.moved);
                moved.fetched += filled.fetched;
                moved.reused += filled.reused;
            }
            self.fill(repository, blob, &partial, work)?;
            match partial.commit() {
                Ok(committed) => {
                    lock(&work.moved).count(committed);
                    return Ok(true);
                }
                Err(store::Error::WrongContent { actual, .. }) => {
                    let error = |actual: Digest| Error::WrongBlob {
                        digest: blob.digest,
                        peer: repository.name(),
                        actual,
                    };
                    if delta.take().is_some() {
                        self.progress.warn(&format!(
                            "what was put together for {} is something else ({actual}): it is fetched whole",
                            blob.digest
                        ));
                        continue;
                    }
                    if was_wrong.is_some() {
                        return Err(error(actual));
                    }
                    // Nobody can tell which bytes are wrong, or whose fault it is.
                    was_wrong = Some(actual);
                    self.progress.warn(&format!(
                        "what {} sent for {} is something else ({actual}): it is fetched once more",
                        repository.name(),
                        blob.digest
                    ));
                }
                Err(error) => return Err(error.into()),
            }
        }
    }

    /// Fetches what is missing of a blob.
    fn fill(
        &self,
        repository: &Repository,
        blob: &Descriptor,
        partial: &Partial<'_>,
        work: &Work<'_>,
    ) -> Result<(), Error> {
        let missing = coalesce(partial.missing(), GAP);
        if missing.is_empty() {
            return Ok(());
        }
        let (sender, pieces) = mpsc::channel();
        let downloads = Arc::clone(self.downloads);
        let fetching = downloads.fetch(repository.clone(), blob.clone(), missing, sender);
        let fetching = self.network.runtime().spawn(fetching);
        let mut came = 0;
        let received = loop {
            match pieces.recv_timeout(LOOK) {
                Ok(piece) => {
                    came += piece.bytes.len() as u64;
                    match partial.write_at(piece.offset, &piece.bytes) {
                        Ok(new) => work.meter.advance(new),
                        Err(error) => break Err(error.into()),
                    }
                }
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => break Ok(()),
            }
            if self.progress.cancelled() || work.is_over.load(Ordering::Relaxed) {
                break Err(store::Error::Interrupted.into());
            }
        };
        lock(&work.moved).fetched += came;
        if received.is_err() {
            fetching.abort();
            return received;
        }
        let fetched = self.network.runtime().block_on(fetching);
        match fetched {
            Ok(result) => Ok(result?),
            Err(error) => Err(Error::Threads(io::Error::other(error))),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
