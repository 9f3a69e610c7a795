//! The single requests of an upload, and what their answers mean.

use std::{
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use tokio::time::timeout;

use super::{Error, Uploader, location, source::Source};
use crate::{
    http::{self, Method, Request, Response, Taken, Url},
    registry::Action,
};

/// How long a registry takes to put a blob together before that is said.
const LONG_CLOSING: Duration = Duration::from_secs(10);
/// Addresses that one body is sent on to.
const MAX_DETOURS: u32 = 3;

/// Where an upload stands.
#[derive(Clone, Debug)]
pub(super) struct Stand {
    /// Where the next bytes go.
    pub(super) location: Url,
    /// How many bytes the registry has.
    pub(super) offset: u64,
}

/// Why a request did not bring an upload on.
#[derive(Debug)]
pub(super) enum Fault {
    /// No answer.
    Broken(http::Error),
    /// An answer that refuses.
    Answer {
        status: u16,
        retry_after: Option<Duration>,
        error: Error,
    },
    /// Nothing that trying again mends.
    Final(Error),
}

impl From<Error> for Fault {
    fn from(error: Error) -> Self {
        Self::Final(error)
    }
}

/// What a registry says about an upload when it is asked.
pub(super) enum Told {
    /// It has so much.
    At(Stand),
    /// It has an upload but does not say how much of it.
    Open(Url),
    /// It knows no such upload.
    Lost,
}

/// Remembers how far a blob was sent at best, so that bytes that are sent again do not count
/// again.
#[derive(Default)]
pub(super) struct Best(std::sync::atomic::AtomicU64);

impl Uploader {
    /// Sends the bytes from `stand` to `end` as one chunk; returns where the upload stands then, by
    /// the answer, and whether the answer said so.
    pub(super) async fn patch(
        &self,
        source: &Source,
        stand: &Stand,
        end: u64,
        best: &Arc<Best>,
    ) -> Result<(Stand, Option<u64>, u16), Fault> {
        let range = format!("{}-{}", stand.offset, end - 1);
        let make = |url| {
            Request::of(Method::PATCH, url)
                .value("content-type", "application/octet-stream")
                .value("content-range", &range)
        };
        let (begin, place) = (stand.offset, &stand.location);
        let response = self
            .send(source, place, (begin, end), best, false, &make)
            .await?;
        let status = response.status();
        if !(200..300).contains(&status) {
            return Err(self.answer(source, response).await);
        }
        let location = Self::location(&response, Some(&stand.location))?;
        let range = response.headers("range");
        let told = range.first().and_then(|it| location::received(it));
        let next = Stand {
            location,
            offset: end,
        };
        Ok((next, told, status))
    }

    /// Closes an upload, with the bytes that are left.
    pub(super) async fn close(
        &self,
        source: &Source,
        stand: &Stand,
        size: u64,
        digest: &crate::digest::Digest,
        best: &Arc<Best>,
    ) -> Result<(), Fault> {
        if stand.offset == size {
            source.verify().await?;
        }
        let url = location::closing(&stand.location, &digest.to_string());
        let make =
            |url| Request::of(Method::PUT, url).value("content-type", "application/octet-stream");
        let begin = stand.offset;
        let mut sending = Box::pin(self.send(source, &url, (begin, size), best, true, &make));
        let mut is_said = size == 0;
        let response = loop {
            match timeout(LONG_CLOSING, sending.as_mut()).await {
                Ok(response) => break response?,
                Err(_) if !is_said && best.0.load(Ordering::Relaxed) == size => {
                    is_said = true;
                    self.say(&format!(
                        "has all of {digest} and is putting it together: this may take minutes"
                    ));
                }
                Err(_) => {}
            }
        };
        if !(200..300).contains(&response.status()) {
            return Err(self.answer(source, response).await);
        }
        // An answer without a `Location` is as good: the digest is known.
        let said = response.headers("docker-content-digest");
        match said.first().and_then(|it| it.parse().ok()) {
            Some(actual) if actual != *digest => Err(Fault::Final(Error::OtherDigest {
                peer: response.peer().to_string(),
                expected: *digest,
                actual,
            })),
            _ => Ok(()),
        }
    }

    /// Asks where the upload of `size` bytes stands. Asking also gets a new token if the old one is
    /// refused.
    pub(super) async fn ask_stand(&self, place: &Url, size: u64) -> Result<Told, Error> {
        let make = |url| Request::get(url);
        let response = self
            .repository
            .request(Action::Push, place.as_str(), &make)
            .await?;
        match response.status() {
            200..=299 => {}
            429 | 500..=599 => {
                return Err(self.repository.unexpected(response).await);
            }
            _ => return Ok(Told::Lost),
        }
        let location = Self::location(&response, Some(place))?;
        let range = response.headers("range");
        let told = range.first().and_then(|it| location::received(it));
        // More than there is says as little as nothing.
        Ok(match told.filter(|offset| *offset <= size) {
            Some(offset) => Told::At(Stand { location, offset }),
            None => Told::Open(location),
        })
    }

    /// Sends a body, on to other addresses if the registry says so.
    async fn send(
        &self,
        source: &Source,
        url: &Url,
        (begin, end): (u64, u64),
        best: &Arc<Best>,
        closing: bool,
        make: &(dyn Fn(Url) -> Request + Sync),
    ) -> Result<Response, Fault> {
        let mut url = url.clone();
        let client = self.repository.registry().client();
        for _ in 0..=MAX_DETOURS {
            let proof = self.repository.proof(Action::Push, &url).await?;
            let request = make(url.clone()).authorization(proof);
            let body = source.body(begin, end, self.counter(begin, best));
            let started = Instant::now();
            let response = match client
                .transmit(&request, body, self.patience(closing))
                .await
            {
                Ok(response) => response,
                // What is wrong with the blob breaks the connection.
                Err(error) => {
                    return Err(source.fault().map_or(Fault::Broken(error), Fault::Final));
                }
            };
            self.see(&response);
            match (response.status(), response.headers("location").first()) {
                (307 | 308, Some(location)) => url = location::resolve(&url, location)?,
                (200..=299, _) => {
                    self.learned().measured(end - begin, started.elapsed());
                    return Ok(response);
                }
                _ => return Ok(response),
            }
        }
        Err(Fault::Final(Error::Location {
            peer: url.host_str().unwrap_or_default().to_owned(),
            location: String::new(),
            problem: "there are too many redirects",
        }))
    }

    /// Counts what leaves, in a body that begins at `begin`.
    fn counter(&self, begin: u64, best: &Arc<Best>) -> Taken {
        let (counts, best) = (Arc::clone(self.counts()), Arc::clone(best));
        let before = std::sync::atomic::AtomicU64::new(0);
        Arc::new(move |taken| {
            let known = before.swap(taken, Ordering::Relaxed);
            counts.sent.fetch_add(taken - known, Ordering::Relaxed);
            let at = begin + taken;
            let known = best.0.fetch_max(at, Ordering::Relaxed);
            counts
                .done
                .fetch_add(at.saturating_sub(known), Ordering::Relaxed);
        })
    }

    /// Counts bytes that the registry had before, or has after all.
    pub(super) fn count_to(&self, at: u64, best: &Best) {
        let known = best.0.fetch_max(at, Ordering::Relaxed);
        let new = at.saturating_sub(known);
        self.counts().done.fetch_add(new, Ordering::Relaxed);
    }

    /// Returns the fault of an answer that refuses.
    async fn answer(&self, source: &Source, response: Response) -> Fault {
        if let Some(error) = source.fault() {
            return Fault::Final(error);
        }
        let (status, retry_after) = (response.status(), response.retry_after());
        let error = self.refused(&source.name(), response).await;
        Fault::Answer {
            status,
            retry_after,
            error,
        }
    }
}
