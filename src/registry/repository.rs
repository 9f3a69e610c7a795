//! One repository of a registry: its manifests and blobs, looked at and fetched.

use std::{fmt, ops::Range, sync::Arc, time::Duration};

use bytes::Bytes;
use tokio::time::timeout;

use super::{
    Registry,
    error::{Error, RangeAnswer},
    session::{refusal, said},
};
use crate::{
    digest::Digest,
    http::{self, Authorization, Reason, Request, Response, Url, limits::DOCUMENT},
    oci::Descriptor,
};

/// A document that comes with fewer bytes a second is given up.
const SLOWEST: u64 = 16 << 10;

/// What is to be done in a repository: what a token must allow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Look and fetch.
    Pull,
    /// Look and add.
    Push,
    /// Look and delete.
    Delete,
}

impl Action {
    const fn scope(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Push => "pull,push",
            Self::Delete => "pull,delete",
        }
    }

    const fn verb(self) -> &'static str {
        match self {
            Self::Pull => "pull from",
            Self::Push => "push to",
            Self::Delete => "delete in",
        }
    }
}

/// One repository. Clones share the registry's tokens and connections: each thing that is moved at the
/// same time has its own.
#[derive(Clone)]
pub struct Repository {
    registry: Arc<Registry>,
    path: String,
}

// Shown by its name alone: a registry holds what is secret.
impl fmt::Debug for Repository {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name())
    }
}

impl Repository {
    pub(super) fn new(registry: Arc<Registry>, path: &str) -> Self {
        // What Docker Hub calls `net` is in fact `library/net`.
        let is_short = registry.is_docker_hub() && !path.contains('/');
        let path = if is_short {
            format!("library/{path}")
        } else {
            path.to_owned()
        };
        Self { registry, path }
    }

    /// Returns the registry.
    pub fn registry(&self) -> &Registry {
        &self.registry
    }

    /// Returns registry and path, as references have them.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry.name(), self.path)
    }

    /// Returns the path in the registry.
    pub fn path(&self) -> &str {
        &self.path
    }

    /// Sends a request for what is at `path` below the repository (`manifests/1.0`), or at a whole
    /// address or one that begins with `/`, as registries hand them out. `make` makes the request
    /// for an address; the proof for `action` is added. Any status is an answer, but for a
    /// refusal: [`Error::Denied`], or [`Error::LoginNeeded`].
    pub async fn request(
        &self,
        action: Action,
        path: &str,
        make: &(dyn Fn(Url) -> Request + Sync),
    ) -> Result<Response, Error> {
        let scope = format!("repository:{}:{}", self.path, action.scope());
        let is_address = path.starts_with('/') || path.contains("://");
        let below = if is_address {
            path.to_owned()
        } else {
            format!("{}/{path}", self.path)
        };
        match self.registry.ask(&below, Some(&scope), make).await {
            Ok((response, _)) if matches!(response.status(), 401 | 403) => {
                let words = said(response, self.registry.credential().as_ref()).await;
                Err(self.denied(action, words))
            }
            Ok((response, _)) => Ok(response),
            // What the registry itself refuses; a token server speaks of the login.
            Err(
                Error::Refused { peer, words, .. }
                | Error::Status {
                    peer,
                    status: 401 | 403,
                    words,
                    ..
                },
            ) if self.registry.is_at(&peer) => Err(self.denied(action, words)),
            Err(error) => Err(error),
        }
    }

    /// Returns the address of what is at `path` below the repository, or at a whole address.
    pub(super) fn address(&self, path: &str) -> Result<Url, Error> {
        let is_address = path.starts_with('/') || path.contains("://");
        if is_address {
            self.registry.address(path)
        } else {
            self.registry.address(&format!("{}/{path}", self.path))
        }
    }

    /// Returns the proof for `action` to show at an address, a new one if there was one that has
    /// become old. None for anyone but the registry itself.
    pub(super) async fn proof(
        &self,
        action: Action,
        url: &Url,
    ) -> Result<Option<Authorization>, Error> {
        let scope = format!("repository:{}:{}", self.path, action.scope());
        self.registry.fresh_proof(&scope, url).await
    }

    fn denied(&self, action: Action, words: Option<String>) -> Error {
        Error::Denied {
            registry: self.registry.name().to_owned(),
            repository: self.path.clone(),
            action: action.verb(),
            logged_in: self.registry.credential().is_some(),
            words,
        }
    }

    /// Returns the error of an answer that was not expected, in the registry's words.
    pub async fn unexpected(&self, response: Response) -> Error {
        refusal(response, None).await
    }

    /// Asks whether a blob is there, for who wants to read it.
    pub async fn has(&self, blob: &Descriptor) -> Result<bool, Error> {
        let path = format!("blobs/{}", blob.digest);
        let make = |url| Request::head(url);
        let response = self.request(Action::Pull, &path, &make).await?;
        match response.status() {
            200 => Ok(true),
            429 | 500..=599 => Err(self.unexpected(response).await),
            _ => Ok(false),
        }
    }

    /// Fetches a blob that is held in memory, checked.
    pub async fn document(&self, blob: &Descriptor, limit: usize) -> Result<Vec<u8>, Error> {
        if usize::try_from(blob.size).map_or(true, |size| size > limit) {
            let peer = self.registry.name().to_owned();
            return Err(http::Error::TooLarge { peer, limit }.into());
        }
        let ask = async || self.document_once(blob).await;
        self.registry.client().until_whole(ask).await
    }

    /// Does that once, with an error of its own for what broke off.
    async fn document_once(
        &self,
        blob: &Descriptor,
    ) -> Result<Result<Vec<u8>, http::Error>, Error> {
        let mut body = self.blob(blob, 0..blob.size, None).await?;
        let peer = body.peer();
        let reading = async {
            let mut bytes = Vec::new();
            while let Some(chunk) = body.next().await? {
                bytes.extend_from_slice(&chunk);
            }
            Ok(bytes)
        };
        // Who sends a byte now and then is never silent.
        let longest = DOCUMENT + Duration::from_secs(blob.size / SLOWEST);
        let read = timeout(longest, reading).await;
        let bytes = match read {
            Ok(Ok(bytes)) => bytes,
            Ok(Err(Error::Http(error @ http::Error::Unreachable { .. }))) => {
                return Ok(Err(error));
            }
            Ok(Err(error)) => return Err(error),
            Err(_) => return Ok(Err(body.broken(Reason::Silent(longest)))),
        };
        let actual = Digest::of(&bytes);
        if actual != blob.digest {
            return Err(Error::WrongContent {
                peer,
                expected: blob.digest,
                actual,
            });
        }
        Ok(Ok(bytes))
    }

    /// Asks for a part of a blob, or for all of it. `at` is where an earlier answer came from
    /// ([`BlobBody::moved`]): it is asked directly, without any proof.
    ///
    /// What comes is what was asked for, by its length and by what the server says; whether the
    /// bytes are right only the digest tells. A server that sends the whole blob is taken at its
    /// word only where the part begins at the beginning, see [`BlobBody::range`].
    pub async fn blob(
        &self,
        blob: &Descriptor,
        range: Range<u64>,
        at: Option<&Url>,
    ) -> Result<BlobBody, Error> {
        let is_all = range == (0..blob.size);
        let make = |url| {
            let request = Request::get(url).header("accept-encoding", "identity");
            if is_all {
                request
            } else {
                request.range(&range)
            }
        };
        let response = if let Some(url) = at {
            self.registry.client().send(&make(url.clone())).await?
        } else {
            let path = format!("blobs/{}", blob.digest);
            self.request(Action::Pull, &path, &make).await?
        };
        let peer = response.peer().to_string();
        let bad = |answer| Error::Range {
            peer: peer.clone(),
            digest: blob.digest,
            range: range.clone(),
            answer,
        };
        let length: Option<u64> =
            header(&response, "content-length").and_then(|it| it.parse().ok());
        let begins = range.start;
        let range = match response.status() {
            200 if begins > 0 => return Err(bad(RangeAnswer::Whole)),
            200 => 0..blob.size,
            206 => {
                let says = header(&response, "content-range").unwrap_or_default();
                let is_exact = content_range(&says).is_some_and(|(sent, total)| {
                    sent == range && total.is_none_or(|total| total == blob.size)
                });
                if !is_exact {
                    return Err(bad(RangeAnswer::Other(says.chars().take(100).collect())));
                }
                range
            }
            416 => return Err(bad(RangeAnswer::Refused)),
            404 if at.is_none() => {
                return Err(Error::NoBlob {
                    registry: self.registry.name().to_owned(),
                    repository: self.path.clone(),
                    digest: blob.digest,
                });
            }
            _ => return Err(self.unexpected(response).await),
        };
        if let Some(length) = length.filter(|length| *length != range.end - range.start) {
            return Err(Error::WrongSize {
                peer,
                digest: blob.digest,
                size: range.end - range.start,
                actual: Some(length),
            });
        }
        Ok(BlobBody {
            moved: (at.is_some() || !self.registry.is_at(&peer)).then(|| response.url().clone()),
            left: range.end - range.start,
            digest: blob.digest,
            response,
            range,
        })
    }

    /// Decides whether a transfer that broke off is taken up again, see [`http::Client::take_up`].
    pub(super) async fn take_up(&self, error: &http::Error, failed: u32) -> bool {
        self.registry.client().take_up(error, failed).await
    }
}

/// Bytes of a blob on their way.
#[derive(Debug)]
pub struct BlobBody {
    response: Response,
    digest: Digest,
    range: Range<u64>,
    moved: Option<Url>,
    left: u64,
}

impl BlobBody {
    /// Returns which bytes come: those that were asked for, or all.
    pub const fn range(&self) -> &Range<u64> {
        &self.range
    }

    /// Returns where the answer came from if that was not the registry itself. The address holds a
    /// signature that ends after a while.
    pub const fn moved(&self) -> Option<&Url> {
        self.moved.as_ref()
    }

    /// Returns who sends, to be shown.
    pub fn peer(&self) -> String {
        self.response.peer().to_string()
    }

    /// Returns the error of an answer that is given up.
    pub(super) fn broken(&self, reason: Reason) -> http::Error {
        self.response.broken(reason)
    }

    /// Returns the next bytes, `None` after the last. Less or more than announced is an error.
    pub async fn next(&mut self) -> Result<Option<Bytes>, Error> {
        loop {
            let chunk = self.response.chunk().await?;
            let length = chunk.as_ref().map_or(0, |chunk| chunk.len() as u64);
            if length > self.left {
                return Err(Error::WrongSize {
                    peer: self.peer(),
                    digest: self.digest,
                    size: self.range.end - self.range.start,
                    actual: None,
                });
            }
            self.left -= length;
            match chunk {
                Some(chunk) if chunk.is_empty() => {}
                Some(chunk) => return Ok(Some(chunk)),
                None if self.left > 0 => {
                    let reason = Reason::Broken("the answer ended too early".to_owned());
                    return Err(self.response.broken(reason).into());
                }
                None => return Ok(None),
            }
        }
    }
}

pub(super) fn header(response: &Response, name: &str) -> Option<String> {
    response
        .headers(name)
        .first()
        .map(|&value| value.to_owned())
}

/// Reads `bytes 0-99/1000`, or `bytes 0-99/*` where the total is not told.
fn content_range(text: &str) -> Option<(Range<u64>, Option<u64>)> {
    let rest = text.trim().strip_prefix("bytes")?.trim_start();
    let (range, total) = rest.split_once('/')?;
    let (first, last) = range.split_once('-')?;
    let number = |text: &str| text.trim().parse::<u64>().ok();
    let range = number(first)?..number(last)?.checked_add(1)?;
    let total = match total.trim() {
        "*" => None,
        total => Some(number(total)?),
    };
    Some((range, total))
}

#[cfg(test)]
mod tests {
    use super::*;

    // hazard: 56
    #[test]
    fn a_content_range_is_read_strictly() {
        for (text, expected) in [
            ("bytes 0-99/1000", Some((0..100, Some(1000)))),
            ("bytes 5-5/*", Some((5..6, None))),
            ("bytes */1000", None),
            ("bytes 0-99", None),
            ("items 0-99/1000", None),
            ("bytes -5-9/10", None),
            ("bytes 0-18446744073709551615/1", None),
            ("", None),
        ] {
            assert_eq!(content_range(text), expected, "{text}");
        }
    }
}
