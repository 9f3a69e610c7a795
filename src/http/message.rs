//! What is sent and what comes back.

use std::{fmt, ops::Range, time::Duration};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use bytes::Bytes;
use reqwest::{
    Method, Url,
    header::{self, HeaderMap, HeaderName, HeaderValue},
};
use tokio::time::{Instant, timeout, timeout_at};

use crate::failpoint::failpoint;

use super::{
    client::Timeouts,
    error::{Error, Reason, reason},
    origin::Origin,
};

/// What proves who we are. Its text is never shown.
#[derive(Clone)]
pub struct Authorization(pub(super) HeaderValue);

impl Authorization {
    /// Returns the proof by name and password.
    pub fn basic(user: &str, password: &str) -> Self {
        let text = format!("Basic {}", STANDARD.encode(format!("{user}:{password}")));
        Self::sensitive(&text).expect("base64 is letters, digits and three signs")
    }

    /// Returns the proof by a token; `None` if it has characters that no token has.
    pub fn bearer(token: &str) -> Option<Self> {
        let legal = |byte: u8| byte.is_ascii_graphic();
        if token.is_empty() || !token.bytes().all(legal) {
            return None;
        }
        Self::sensitive(&format!("Bearer {token}"))
    }

    fn sensitive(text: &str) -> Option<Self> {
        let mut value = HeaderValue::from_str(text).ok()?;
        value.set_sensitive(true);
        Some(Self(value))
    }
}

impl fmt::Debug for Authorization {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Authorization([secret])")
    }
}

/// A request that can be sent again.
#[derive(Clone, Debug)]
pub struct Request {
    pub(super) method: Method,
    pub(super) url: Url,
    pub(super) headers: HeaderMap,
    pub(super) authorization: Option<Authorization>,
    /// Its text may hold secrets.
    pub(super) body: Option<Form>,
}

/// The body of a form.
#[derive(Clone)]
pub(super) struct Form(pub(super) String);

impl fmt::Debug for Form {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Form([secret])")
    }
}

impl Request {
    /// Returns a request for what is at `url`.
    pub fn get(url: Url) -> Self {
        Self::new(Method::GET, url, None)
    }

    /// Returns the question what is at `url`, answered by a head alone.
    pub fn head(url: Url) -> Self {
        Self::new(Method::HEAD, url, None)
    }

    /// Returns the request to delete what is at `url`.
    pub fn delete(url: Url) -> Self {
        Self::new(Method::DELETE, url, None)
    }

    /// Returns a request that sends the fields of a form. It is not redirected, and repeated only
    /// when the peer says that it did nothing.
    pub fn form(url: Url, fields: &[(&str, &str)]) -> Self {
        // The query of an address is written as a form is.
        let mut form = url.clone();
        form.query_pairs_mut().clear().extend_pairs(fields);
        let body = form.query().unwrap_or_default().to_owned();
        Self::new(Method::POST, url, Some(Form(body)))
    }

    /// Returns a request without a body, which is sent with another one by
    /// [`super::Client::transmit`].
    pub fn of(method: Method, url: Url) -> Self {
        Self::new(method, url, None)
    }

    fn new(method: Method, url: Url, body: Option<Form>) -> Self {
        Self {
            method,
            url,
            headers: HeaderMap::new(),
            authorization: None,
            body,
        }
    }

    /// Adds a header that is no secret.
    #[must_use]
    pub fn header(mut self, name: &'static str, value: &'static str) -> Self {
        let name = HeaderName::from_static(name);
        self.headers.insert(name, HeaderValue::from_static(value));
        self
    }

    /// Adds a header that is no secret. A value that no header can have is left out.
    #[must_use]
    pub fn value(mut self, name: &'static str, value: &str) -> Self {
        if let Ok(value) = HeaderValue::from_str(value) {
            self.headers.insert(HeaderName::from_static(name), value);
        }
        self
    }

    /// Asks for some of the bytes only, which must not be none.
    #[must_use]
    pub fn range(mut self, range: &Range<u64>) -> Self {
        let text = format!("bytes={}-{}", range.start, range.end.saturating_sub(1));
        let value = HeaderValue::from_str(&text).expect("numbers and signs make a header");
        self.headers.insert(header::RANGE, value);
        self
    }

    /// Proves who we are, to the origin of this request only.
    #[must_use]
    pub fn authorization(mut self, authorization: Option<Authorization>) -> Self {
        self.authorization = authorization;
        self
    }

    /// Returns where it goes.
    pub const fn url(&self) -> &Url {
        &self.url
    }
}

/// The head of an answer, and its body to be read.
#[derive(Debug)]
pub struct Response {
    pub(super) inner: reqwest::Response,
    pub(super) peer: Origin,
    pub(super) timeouts: Timeouts,
}

impl Response {
    /// Returns the status, such as 200.
    pub fn status(&self) -> u16 {
        self.inner.status().as_u16()
    }

    /// Returns who answered, after redirects.
    pub const fn peer(&self) -> &Origin {
        &self.peer
    }

    /// Returns the address that answered, after redirects. It may hold a signature: nothing to be
    /// shown.
    pub fn url(&self) -> &Url {
        self.inner.url()
    }

    /// Returns all values of a header that are text.
    pub fn headers(&self, name: &str) -> Vec<&str> {
        let values = self.inner.headers().get_all(name).into_iter();
        values.filter_map(|value| value.to_str().ok()).collect()
    }

    /// Returns how long the peer wants to be left alone, if it says so.
    pub fn retry_after(&self) -> Option<Duration> {
        let first = |name| self.headers(name).first().copied();
        super::retry::retry_after(first("retry-after")?, first("date"))
    }

    /// Returns the next bytes of the body, `None` at its end. A peer that says nothing for too
    /// long is an error.
    pub async fn chunk(&mut self) -> Result<Option<Bytes>, Error> {
        let idle = self.timeouts.idle;
        failpoint!("http.body").map_err(|error| self.broken(error.into()))?;
        let reason = match timeout(idle, self.inner.chunk()).await {
            Ok(Ok(chunk)) => return Ok(chunk),
            Ok(Err(error)) => reason(&error, idle),
            Err(_) => Reason::Silent(idle),
        };
        Err(self.broken(reason))
    }

    /// Returns the error of a body that broke off.
    pub fn broken(&self, reason: Reason) -> Error {
        Error::Unreachable {
            peer: self.peer.to_string(),
            proxy: None,
            reason,
        }
    }

    /// Returns the body as a whole; one of more than `limit` bytes is an error.
    pub async fn document(self, limit: usize) -> Result<Vec<u8>, Error> {
        let peer = self.peer.to_string();
        let too_large = Error::TooLarge {
            peer: peer.clone(),
            limit,
        };
        let announced = self.inner.content_length().unwrap_or(0);
        if usize::try_from(announced).map_or(true, |announced| announced > limit) {
            return Err(too_large);
        }
        let (bytes, ended) = self.read(limit).await;
        match ended {
            Ok(true) => Ok(bytes),
            Ok(false) => Err(too_large),
            Err(reason) => Err(Error::Unreachable {
                peer,
                proxy: None,
                reason,
            }),
        }
    }

    /// Returns up to `limit` bytes of the body, whatever becomes of the rest.
    pub async fn beginning(self, limit: usize) -> Vec<u8> {
        self.read(limit).await.0
    }

    /// Reads up to `limit` bytes, and tells whether that was all.
    async fn read(mut self, limit: usize) -> (Vec<u8>, Result<bool, Reason>) {
        let Timeouts { idle, document, .. } = self.timeouts;
        let end = Instant::now() + document;
        let mut bytes = Vec::new();
        loop {
            if let Err(error) = failpoint!("http.document") {
                return (bytes, Err(error.into()));
            }
            let next = timeout_at(end.min(Instant::now() + idle), self.inner.chunk()).await;
            let ended = match next {
                Ok(Ok(Some(chunk))) if bytes.len() + chunk.len() > limit => {
                    bytes.extend_from_slice(&chunk[..limit - bytes.len()]);
                    Ok(false)
                }
                Ok(Ok(Some(chunk))) => {
                    bytes.extend_from_slice(&chunk);
                    continue;
                }
                Ok(Ok(None)) => Ok(true),
                Ok(Err(error)) => Err(reason(&error, idle)),
                Err(_) => Err(Reason::Silent(idle)),
            };
            return (bytes, ended);
        }
    }
}
