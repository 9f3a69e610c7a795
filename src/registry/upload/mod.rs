//! Gives blobs and manifests to a repository.
//!
//! A blob that is there is not sent; one that another repository of the registry has is mounted;
//! any other is uploaded ([`run`]), in the way that the registry takes it ([`Habits`]).

mod kept;
mod location;
mod manifest;
mod run;
mod source;
mod steps;

use std::{
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};

pub use source::{Supply, Throttle};

use super::{
    Action, Error, Habits, Profile, Repository, Way,
    session::{refusal, said},
};
use crate::{
    http::{Method, Patience, Request, Response, Url, limits},
    oci::Descriptor,
};

/// Repositories that are asked for one blob.
const MAX_MOUNTS: usize = 3;

/// How blobs are uploaded.
#[derive(Clone, Debug)]
pub struct UploadOptions {
    /// Where uploads are kept that outlive a run; nowhere if that is not said.
    pub sessions: Option<PathBuf>,
    /// How long nothing may move.
    pub stall: Duration,
    /// How long a registry may take to put a blob together.
    pub closing: Duration,
    /// What all uploads together must not exceed.
    pub throttle: Option<Arc<Throttle>>,
    /// What kind of registry it is, if that is known better.
    pub kind: Option<&'static Profile>,
    /// How large blobs are sent, if not as the registry likes it best.
    pub way: Option<Way>,
    /// The most bytes of a layer, if that is known better.
    pub max_layer: Option<u64>,
    /// The largest chunk, if not as the registry likes it best.
    pub chunk: Option<u64>,
}

impl Default for UploadOptions {
    fn default() -> Self {
        Self {
            sessions: None,
            stall: limits::IDLE,
            closing: limits::CLOSING,
            throttle: None,
            kind: None,
            way: None,
            max_layer: None,
            chunk: None,
        }
    }
}

/// A blob to be given.
pub struct Blob {
    /// Its digest and size.
    pub descriptor: Descriptor,
    /// What gives its content, which is checked on the way.
    pub content: Arc<dyn Supply>,
    /// Repositories of the same registry that may have it.
    pub elsewhere: Vec<String>,
}

/// What became of a blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Given {
    /// It was there.
    Present,
    /// The registry took it from this other repository.
    Mounted(String),
    /// It was sent.
    Uploaded {
        /// How many of its bytes an earlier run had sent.
        resumed: u64,
    },
}

/// Counts what goes to the registry.
#[derive(Debug, Default)]
pub struct Counts {
    /// Bytes of bodies that were sent, each time they were.
    pub sent: AtomicU64,
    /// Bytes of blobs that are done with, each once.
    pub done: AtomicU64,
}

/// Gives blobs and manifests to one repository.
pub struct Uploader {
    repository: Repository,
    /// Registry and repository.
    name: String,
    habits: Mutex<Habits>,
    options: UploadOptions,
    counts: Arc<Counts>,
    /// Whether no chunk may begin any more.
    is_ending: AtomicBool,
    /// Requests on their way that an upload loses much by if they are cut.
    under_way: AtomicUsize,
}

/// A request that is better not cut.
struct UnderWay<'u>(&'u AtomicUsize);

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Uploader {
    /// Returns what gives to `repository`.
    pub fn new(repository: Repository, options: UploadOptions) -> Self {
        let registry = repository.registry().name();
        let mut habits = Habits::of(registry);
        if let Some(kind) = options.kind {
            habits.take(kind);
        }
        if let Some(most) = options.max_layer {
            habits.limit_layers(most);
        }
        habits.prefer(options.way, options.chunk);
        if let Some(folder) = &options.sessions {
            kept::sweep(folder);
        }
        Self {
            name: format!("{registry}/{}", repository.path()),
            habits: Mutex::new(habits),
            options,
            counts: Arc::default(),
            is_ending: AtomicBool::new(false),
            under_way: AtomicUsize::new(0),
            repository,
        }
    }

    /// Returns what was sent so far.
    pub fn counts(&self) -> &Arc<Counts> {
        &self.counts
    }

    /// Returns what is known of the registry.
    pub fn habits(&self) -> Habits {
        self.learned().clone()
    }

    /// Lets no further chunk begin: whoever would begin one waits until it is dropped.
    pub fn begin_no_more(&self) {
        self.is_ending.store(true, Ordering::Relaxed);
    }

    /// Returns how many requests are on their way after which an upload is better off than if they
    /// are cut.
    pub fn under_way(&self) -> usize {
        self.under_way.load(Ordering::Relaxed)
    }

    /// Begins such a request.
    async fn begin(&self) -> UnderWay<'_> {
        if self.is_ending.load(Ordering::Relaxed) {
            std::future::pending::<()>().await;
        }
        self.under_way.fetch_add(1, Ordering::Relaxed);
        UnderWay(&self.under_way)
    }

    /// Makes sure that the repository has a blob.
    pub async fn give(&self, blob: Blob) -> Result<Given, Error> {
        let size = blob.descriptor.size;
        if self.stored(&blob.descriptor).await? {
            self.counts.done.fetch_add(size, Ordering::Relaxed);
            return Ok(Given::Present);
        }
        let mut opened = None;
        for from in blob.elsewhere.iter().take(MAX_MOUNTS) {
            match self.mount(&blob.descriptor, from).await {
                Some(Ok(())) if self.stored(&blob.descriptor).await? => {
                    self.counts.done.fetch_add(size, Ordering::Relaxed);
                    return Ok(Given::Mounted(from.clone()));
                }
                // What was not mounted is an upload that waits for its bytes.
                Some(Err(url)) => opened = Some(url),
                Some(Ok(())) | None => {}
            }
        }
        let resumed = run::run(self, blob, opened).await?;
        Ok(Given::Uploaded { resumed })
    }

    /// Asks whether the repository has a blob, all of it.
    pub async fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        self.stored(blob).await
    }

    /// Returns the repository.
    pub const fn repository(&self) -> &Repository {
        &self.repository
    }

    async fn stored(&self, blob: &Descriptor) -> Result<bool, Error> {
        let path = format!("blobs/{}", blob.digest);
        let make = |url| Request::head(url);
        let response = self.repository.request(Action::Push, &path, &make).await?;
        self.see(&response);
        let announced = response.headers("content-length").first().copied();
        let size = announced.and_then(|it| it.parse::<u64>().ok());
        match response.status() {
            200 => Ok(size.is_none_or(|size| size == blob.size)),
            429 | 500..=599 => Err(self.repository.unexpected(response).await),
            _ => Ok(false),
        }
    }

    /// Asks the registry to take a blob from another of its repositories: done, or the address of
    /// an upload in its place. `None` if it does neither, which is never an error.
    async fn mount(&self, blob: &Descriptor, from: &str) -> Option<Result<(), Url>> {
        let registry = self.repository.registry();
        let path = self.repository.path();
        let both = format!("repository:{path}:pull,push repository:{from}:pull");
        let make = |mut url: Url| {
            url.query_pairs_mut()
                .append_pair("mount", &blob.digest.to_string())
                .append_pair("from", from);
            Request::of(Method::POST, url).value("content-length", "0")
        };
        let below = format!("{path}/blobs/uploads/");
        let asked = registry.ask(&below, Some(&both), &make).await;
        let response = asked.ok()?.0;
        match response.status() {
            201 => Some(Ok(())),
            202 => Self::location(&response, None).ok().map(Err),
            _ => None,
        }
    }

    /// Opens an upload.
    async fn open(&self) -> Result<Url, Error> {
        let make = |url| Request::of(Method::POST, url).value("content-length", "0");
        let response = self
            .repository
            .request(Action::Push, "blobs/uploads/", &make)
            .await?;
        self.see(&response);
        if response.status() == 202 {
            Self::location(&response, None)
        } else {
            Err(self.refused("an upload", response).await)
        }
    }

    /// Returns where an upload goes on after an answer; an answer need not say it again.
    fn location(response: &Response, known: Option<&Url>) -> Result<Url, Error> {
        match (response.headers("location").first(), known) {
            (Some(location), _) => location::resolve(response.url(), location),
            (None, Some(known)) => Ok(known.clone()),
            (None, None) => Err(Error::Location {
                peer: response.peer().to_string(),
                location: String::new(),
                problem: "it does not say where an upload goes",
            }),
        }
    }

    /// Returns the error of an answer that does not take `what`.
    async fn refused(&self, what: &str, response: Response) -> Error {
        let registry = self.repository.registry();
        let (status, retry_after) = (response.status(), response.retry_after());
        if matches!(status, 429 | 500..=599) {
            return refusal(response, None).await;
        }
        Error::NotTaken {
            registry: registry.name().to_owned(),
            repository: self.repository.path().to_owned(),
            what: what.to_owned(),
            status,
            words: said(response, registry.credential().as_ref()).await,
            retry_after,
        }
    }

    fn see(&self, response: &Response) {
        let first = |name: &str| response.headers(name).first().copied();
        self.learned().see(first);
    }

    fn learned(&self) -> MutexGuard<'_, Habits> {
        self.habits.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Says something about the registry that the user may want to know.
    fn say(&self, text: &str) {
        let registry = self.repository.registry();
        registry
            .client()
            .tell(&format!("{} {text}", registry.name()));
    }

    /// Says something about the upload itself.
    fn tell(&self, text: &str) {
        self.repository.registry().client().tell(text);
    }

    /// Waits before the next try; false when there have been enough.
    async fn wait(&self, why: &str, failed: u32, asked: Option<Duration>) -> bool {
        let client = self.repository.registry().client();
        client.wait_to_retry(why, failed, asked).await
    }

    async fn pause(&self, time: Duration) {
        self.repository.registry().client().pause(time).await;
    }

    fn patience(&self, closing: bool) -> Patience {
        Patience {
            stall: self.options.stall,
            // What was passed on may still be on its way, and slowly.
            answer: if closing {
                self.options.closing
            } else {
                self.options.stall * 4
            },
        }
    }

    fn sessions(&self) -> Option<&Path> {
        self.options.sessions.as_deref()
    }
}
