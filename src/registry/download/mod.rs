//! Fetches blobs over networks that break.
//!
//! A large blob comes in parts, several at a time over connections of their own, in about the
//! order of its bytes. Nothing is taken for granted: that parts can be had shows in the first
//! answer, whatever the server says of itself; where they cannot, one stream brings the whole, and
//! what is there already is passed over. A part that breaks off goes on where it ended; one that
//! is silent, drips, or takes much longer than others do, is asked for again on a new connection.
//! Where a registry redirects to other storage, that storage is asked directly until it refuses.

mod connections;
mod crumbs;
mod gaps;
mod pace;
mod watch;
mod window;

use std::{
    ops::Range,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        mpsc::{SendError, Sender},
    },
    time::Duration,
};

use bytes::Bytes;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore, oneshot},
    task::JoinSet,
    time::Instant,
};

use super::{
    error::Error,
    repository::{BlobBody, Repository},
};
use crate::{
    http::{self, Url},
    oci::Descriptor,
};
use connections::{Connection, Connections};
use crumbs::Crumbs;
use gaps::Gaps;
use pace::{Limit, Pace};
use watch::Watch;
pub use window::Window;

/// Bytes that came and are not written yet, over all blobs.
const ROOM: usize = 8 << 20;
/// Less than this is no progress: who breaks off after it is not asked for ever.
pub(super) const LEAST_PROGRESS: u64 = 16 << 10;
/// How often a part that is slow is asked for again; the last connection is taken as it is.
const MOST_SLOW: u32 = 2;

/// The most connections that can be asked for.
pub const MAX_JOBS: usize = 256;

/// How blobs are fetched.
#[derive(Clone, Copy, Debug)]
pub struct Options {
    /// Connections at a time, over all blobs, at most; `None` lets their speed decide.
    pub jobs: Option<usize>,
    /// Bytes a second, over all connections.
    pub max_rate: Option<u64>,
    /// How long a connection may be silent.
    pub stall: Duration,
}

/// What all blobs of a run share.
pub struct Downloads {
    options: Options,
    pace: Pace,
    limit: Option<Limit>,
    room: Arc<Semaphore>,
    connections: Connections,
}

/// Bytes of a blob that came.
#[derive(Debug)]
pub struct Piece {
    /// Where they belong.
    pub offset: u64,
    /// The bytes.
    pub bytes: Bytes,
    /// Nothing more comes than there is room for until pieces are dropped; a window needs no room.
    _room: Option<OwnedSemaphorePermit>,
}

impl Downloads {
    /// Returns what downloads share. Nothing is sent yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            pace: Pace::default(),
            limit: options.max_rate.map(Limit::new),
            room: Arc::new(Semaphore::new(ROOM)),
            connections: Connections::default(),
        }
    }

    /// Fetches those bytes of `blob` that are `missing` and gives them to `pieces`, each byte once,
    /// in about their order. Whether they are right is for the receiver to find out. Ends early
    /// when there is no receiver any more.
    pub async fn fetch(
        self: Arc<Self>,
        repository: Repository,
        blob: Descriptor,
        missing: Vec<Range<u64>>,
        pieces: Sender<Piece>,
    ) -> Result<(), Error> {
        self.run(repository, blob, missing, pieces, None).await
    }

    /// Fetches all of `blob` for someone who reads it in order: as [`Self::fetch`], but nothing
    /// comes that is further ahead of the reader than `window` reaches.
    pub async fn fetch_ahead(
        self: Arc<Self>,
        repository: Repository,
        blob: Descriptor,
        window: Arc<Window>,
        pieces: Sender<Piece>,
    ) -> Result<(), Error> {
        let all = std::iter::once(0..blob.size).collect();
        self.run(repository, blob, all, pieces, Some(window)).await
    }

    async fn run(
        self: Arc<Self>,
        repository: Repository,
        blob: Descriptor,
        missing: Vec<Range<u64>>,
        pieces: Sender<Piece>,
        window: Option<Arc<Window>>,
    ) -> Result<(), Error> {
        let missing = Gaps::new(missing);
        let transfer = Arc::new(Transfer {
            downloads: self,
            repository,
            blob,
            pieces,
            window,
            open: Mutex::new(missing.clone()),
            missing: Mutex::new(missing),
            moved: Mutex::default(),
        });
        match transfer.parts().await {
            Ok(()) | Err(Stop::Closed) => Ok(()),
            Err(Stop::Whole(body)) => transfer.stream(Some(*body)).await,
            // Even one wrong answer: whoever gives it is not to be trusted with parts.
            Err(Stop::NoParts(_)) => transfer.stream(None).await,
            Err(Stop::Failed(error)) => Err(error),
        }
    }

    async fn connection(&self) -> Connection<'_> {
        let most = || {
            let wanted = self.pace.connections();
            // Who names a number gets it.
            self.options.jobs.unwrap_or(wanted).max(1)
        };
        self.connections.take(most).await
    }
}

/// One blob on its way.
struct Transfer {
    downloads: Arc<Downloads>,
    repository: Repository,
    blob: Descriptor,
    pieces: Sender<Piece>,
    /// How far ahead of its reader it may come.
    window: Option<Arc<Window>>,
    /// What nobody has begun to ask for.
    open: Mutex<Gaps>,
    /// What has not come.
    missing: Mutex<Gaps>,
    /// The storage that the registry redirects to.
    moved: Mutex<Option<Url>>,
}

/// Why a part does not come as parts do.
enum Stop {
    /// Nobody wants it any more.
    Closed,
    /// The whole blob comes in its place.
    Whole(Box<BlobBody>),
    /// What came is not the part.
    NoParts(Error),
    Failed(Error),
}

/// Why one attempt ended early.
enum End {
    Stop(Stop),
    /// It took too long.
    Slow,
    /// The storage that was asked directly did not give it.
    Moved(Error),
    Broken(http::Error),
}

impl From<Error> for End {
    fn from(error: Error) -> Self {
        match error {
            Error::Http(error @ http::Error::Unreachable { .. }) => Self::Broken(error),
            error => Self::Stop(Stop::Failed(error)),
        }
    }
}

impl<T> From<SendError<T>> for End {
    fn from(_: SendError<T>) -> Self {
        Self::Stop(Stop::Closed)
    }
}

impl Transfer {
    fn next(&self) -> Option<Range<u64>> {
        lock(&self.open).take(self.downloads.pace.range())
    }

    /// Returns the next part when the reader is near enough; at once if there is none.
    async fn next_ahead(&self, window: &Window) -> Option<Range<u64>> {
        let pace = &self.downloads.pace;
        let most = self.downloads.options.jobs;
        let begin = |admits: &dyn Fn(u64, u64) -> bool| {
            let size = window.share(most.unwrap_or_else(|| pace.connections()));
            let mut open = lock(&self.open);
            let before = open.clone();
            let next = open.take(size.min(pace.range()));
            match next {
                Some(range) if !admits(range.start, range.end) => {
                    *open = before;
                    None
                }
                next => Some(next),
            }
        };
        window.wait(begin).await
    }

    /// Fetches all that is missing in parts, the first one alone until it is answered.
    async fn parts(self: &Arc<Self>) -> Result<(), Stop> {
        let first = match &self.window {
            Some(window) => self.next_ahead(window).await,
            None => self.next(),
        };
        let Some(first) = first else {
            return Ok(());
        };
        let (opened, is_open) = oneshot::channel();
        let mut workers = JoinSet::new();
        workers.spawn(Arc::clone(self).work(Some((first, opened))));
        // An error means that the part ended otherwise, which its worker tells.
        if is_open.await.is_ok() {
            let left = lock(&self.open).len().div_ceil(self.downloads.pace.range());
            let most = self
                .downloads
                .options
                .jobs
                .unwrap_or(pace::MOST_CONNECTIONS);
            for _ in 1..most.min(usize::try_from(left).unwrap_or(most)) {
                workers.spawn(Arc::clone(self).work(None));
            }
        }
        while let Some(ended) = workers.join_next().await {
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(stop)) => {
                    // Nothing is passed on by them when something else takes over.
                    workers.shutdown().await;
                    return Err(stop);
                }
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        }
        Ok(())
    }

    /// Fetches one part after the other.
    async fn work(
        self: Arc<Self>,
        first: Option<(Range<u64>, oneshot::Sender<()>)>,
    ) -> Result<(), Stop> {
        let (mut range, mut opened) = first.unzip();
        loop {
            if let (None, Some(window)) = (&range, &self.window) {
                // Before there is a connection, which others may need until the reader comes on.
                range = self.next_ahead(window).await;
            }
            let _connection = self.downloads.connection().await;
            let next = match &self.window {
                Some(_) => range.take(),
                None => range.take().or_else(|| self.next()),
            };
            let Some(next) = next else {
                return Ok(());
            };
            self.part(next, opened.take()).await?;
        }
    }

    /// Fetches one part, however often it breaks off.
    async fn part(
        &self,
        range: Range<u64>,
        mut opened: Option<oneshot::Sender<()>>,
    ) -> Result<(), Stop> {
        let (mut at, mut failed, mut slow) = (range.start, 0, 0);
        while at < range.end {
            let before = at;
            let is_patient = slow == MOST_SLOW;
            let end = self
                .attempt(&mut at, range.end, &mut opened, is_patient)
                .await;
            failed = count(failed, at - before);
            match end {
                Ok(()) => {}
                Err(End::Slow) => slow += 1,
                Err(End::Stop(stop)) => return Err(stop),
                Err(End::Moved(error)) if failed > 1 => return Err(Stop::Failed(error)),
                Err(End::Moved(_)) => *lock(&self.moved) = None,
                Err(End::Broken(error)) => {
                    // What cannot be reached any more may have moved again.
                    *lock(&self.moved) = None;
                    if !self.repository.take_up(&error, failed).await {
                        return Err(Stop::Failed(error.into()));
                    }
                }
            }
        }
        Ok(())
    }

    /// Asks for the bytes from `at` to `end` once, and moves `at` on as they come.
    async fn attempt(
        &self,
        at: &mut u64,
        end: u64,
        opened: &mut Option<oneshot::Sender<()>>,
        is_patient: bool,
    ) -> Result<(), End> {
        let range = *at..end;
        let moved = lock(&self.moved).clone();
        let began = Instant::now();
        let body = self
            .repository
            .blob(&self.blob, range.clone(), moved.as_ref())
            .await;
        let is_all = range == (0..self.blob.size);
        let mut body = match body {
            Ok(body) => body,
            Err(Error::Http(error @ http::Error::Unreachable { .. })) => {
                return Err(End::Broken(error));
            }
            Err(error) if moved.is_some() => return Err(End::Moved(error)),
            Err(error @ (Error::Range { .. } | Error::WrongSize { .. })) if !is_all => {
                return Err(End::Stop(Stop::NoParts(error)));
            }
            Err(error) => return Err(End::Stop(Stop::Failed(error))),
        };
        if *body.range() != range {
            return Err(End::Stop(Stop::Whole(Box::new(body))));
        }
        *lock(&self.moved) = body.moved().cloned();
        if let Some(opened) = opened.take() {
            let _ = opened.send(()); // Whoever waited may have been dropped.
        }
        let may_be_slow = !is_patient && self.downloads.limit.is_none();
        let usual = may_be_slow.then_some((&self.downloads.pace, end - range.start));
        let mut watch = Watch::new(self.downloads.options.stall, began.elapsed(), usual);
        let mut crumbs = Crumbs::default();
        let ended = loop {
            let next = watch.next(&mut body).await;
            let (bytes, ended) = crumbs.add(next);
            if let Some(bytes) = bytes {
                let length = bytes.len() as u64;
                self.send(*at, bytes).await?;
                *at += length;
            }
            if let Some(ended) = ended {
                break ended;
            }
        };
        ended?;
        let pace = &self.downloads.pace;
        pace.note(range.end - range.start, watch.waited());
        Ok(())
    }

    /// Passes bytes on when there is room for them.
    async fn send(&self, offset: u64, bytes: Bytes) -> Result<(), End> {
        let length = bytes.len() as u64;
        let room = if let Some(window) = &self.window {
            let admitted =
                |admits: &dyn Fn(u64, u64) -> bool| admits(offset, offset + length).then_some(());
            window.wait(admitted).await;
            None
        } else {
            let wanted = u32::try_from(bytes.len().min(ROOM)).expect("it is less than that");
            let room = Arc::clone(&self.downloads.room);
            Some(
                room.acquire_many_owned(wanted)
                    .await
                    .expect("nobody closes it"),
            )
        };
        self.pieces.send(Piece {
            offset,
            bytes,
            _room: room,
        })?;
        lock(&self.missing).remove(&(offset..offset + length));
        if let Some(limit) = &self.downloads.limit {
            limit.pass(length).await;
        }
        Ok(())
    }

    /// Fetches the whole, and passes on what is missing of it. `first` is an answer that has begun
    /// to come.
    async fn stream(&self, mut first: Option<BlobBody>) -> Result<(), Error> {
        let _connection = self.downloads.connection().await;
        let mut failed = 0;
        while lock(&self.missing).len() > 0 {
            let before = lock(&self.missing).len();
            let end = self.stream_once(first.take()).await;
            failed = count(failed, before - lock(&self.missing).len());
            match end {
                Ok(()) | Err(End::Slow) => {}
                Err(End::Stop(Stop::Failed(error) | Stop::NoParts(error)) | End::Moved(error)) => {
                    return Err(error);
                }
                Err(End::Stop(Stop::Closed | Stop::Whole(_))) => return Ok(()),
                Err(End::Broken(error)) => {
                    if !self.repository.take_up(&error, failed).await {
                        return Err(error.into());
                    }
                }
            }
        }
        Ok(())
    }

    async fn stream_once(&self, begun: Option<BlobBody>) -> Result<(), End> {
        let mut body = if let Some(body) = begun {
            body
        } else {
            let all = 0..self.blob.size;
            self.repository.blob(&self.blob, all, None).await?
        };
        let mut watch = Watch::new(self.downloads.options.stall, Duration::ZERO, None);
        let mut crumbs = Crumbs::default();
        let mut at = 0;
        loop {
            let next = watch.next(&mut body).await;
            let (bytes, ended) = crumbs.add(next);
            if let Some(bytes) = bytes {
                let here = at..at + bytes.len() as u64;
                let parts = lock(&self.missing).within(&here);
                for part in parts {
                    let from = index(part.start - at);
                    let to = index(part.end - at);
                    self.send(part.start, bytes.slice(from..to)).await?;
                }
                at = here.end;
            }
            match ended {
                Some(ended) => return ended,
                None if lock(&self.missing).len() == 0 => return Ok(()),
                None => {}
            }
        }
    }
}

/// Counts an attempt that ended early: one after which more was there counts as the first.
fn count(failed: u32, progress: u64) -> u32 {
    if progress >= LEAST_PROGRESS {
        0
    } else {
        failed + 1
    }
}

/// Returns an offset within bytes in memory as such.
fn index(offset: u64) -> usize {
    usize::try_from(offset).expect("it is below a length in memory")
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every change is one step.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
