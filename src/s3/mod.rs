//! Objects in S3, and in what speaks as it does: they are read, and nothing else.
//!
//! A request is signed in its address, so that nothing of a login is in any header, and it can be
//! repeated for the rest of an object after a connection broke. Whether the bytes are right is for
//! the caller to find out.

mod sign;

use std::{fmt, io::Cursor, ops::Range, sync::Arc, time::SystemTime};

use bytes::Bytes;

use crate::http::{self, Client, Reason, Request, Response, Url, limits::MAX_ERROR_BODY};

/// Where objects are if nobody says.
const REGION: &str = "us-east-1";

/// Why an object cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The name of an object that cannot be one.
    #[error("{location} {problem}")]
    Location {
        /// The name.
        location: String,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The address of the storage is none.
    #[error("{endpoint} is not the address of a storage")]
    Endpoint {
        /// The address.
        endpoint: String,
    },
    /// No answer.
    #[error(transparent)]
    Http(#[from] http::Error),
    /// The storage does not give the object.
    #[error("{peer} answered {status} to the request for {location}{}", code.as_deref().map_or_else(String::new, |code| format!(": {code}")))]
    Status {
        /// Who answered.
        peer: String,
        /// The object.
        location: String,
        /// The status.
        status: u16,
        /// The storage's word for it.
        code: Option<String>,
        /// Whether it was asked without a login.
        anonymous: bool,
    },
    /// An answer that does not say how long the object is, or is about other bytes.
    #[error("{peer} does not say which bytes of {location} it sends")]
    Range {
        /// Who answered.
        peer: String,
        /// The object.
        location: String,
    },
}

/// What requests are signed with.
#[derive(Clone)]
pub struct Credentials {
    /// The name of the key.
    pub access_key: String,
    /// The key.
    pub secret_key: String,
    /// What keys that end after a while come with.
    pub token: Option<String>,
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials([secret])")
    }
}

/// How a storage is reached.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// The login; without one requests are not signed.
    pub credentials: Option<Credentials>,
    /// The region of the bucket.
    pub region: Option<String>,
    /// The address of a storage that is not the one of AWS.
    pub endpoint: Option<String>,
}

/// The name of an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Location {
    bucket: String,
    key: String,
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.bucket, self.key)
    }
}

impl Location {
    /// Reads `s3://BUCKET/KEY`.
    pub fn parse(text: &str) -> Result<Self, Error> {
        let refuse = |problem| Error::Location {
            location: text.to_owned(),
            problem,
        };
        let rest = text.strip_prefix("s3://").unwrap_or_default();
        let (bucket, key) = rest.split_once('/').unwrap_or((rest, ""));
        let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.');
        // It becomes part of the name of a host.
        if !(3..=63).contains(&bucket.len())
            || !bucket.bytes().all(is_allowed)
            || bucket.starts_with(['-', '.'])
            || bucket.ends_with(['-', '.'])
            || bucket.contains("..")
        {
            return Err(refuse("names no bucket"));
        }
        if key.is_empty() || key.ends_with('/') {
            return Err(refuse("names no single object"));
        }
        // An address would lead elsewhere.
        if key.split('/').any(|part| matches!(part, "." | "..")) {
            return Err(refuse("has a part that no address can have"));
        }
        Ok(Self {
            bucket: bucket.to_owned(),
            key: key.to_owned(),
        })
    }
}

/// The way to a storage.
#[derive(Clone)]
pub struct Storage {
    client: Client,
    settings: Arc<Settings>,
}

impl Storage {
    /// Returns a way to the storage. Nothing is sent yet.
    pub fn new(client: Client, settings: Settings) -> Self {
        Self {
            client,
            settings: Arc::new(settings),
        }
    }

    /// Begins to read an object.
    pub async fn open(&self, location: Location) -> Result<Object, Error> {
        let mut object = Object {
            storage: self.clone(),
            region: self
                .settings
                .region
                .clone()
                .unwrap_or_else(|| REGION.to_owned()),
            location,
            at: 0,
            size: 0,
            failed: 0,
            answer: None,
        };
        let answer = object.ask(None).await?;
        let length = answer.headers("content-length").first().copied();
        object.size = length
            .and_then(|length| length.parse().ok())
            .ok_or_else(|| object.wrong_bytes(&answer))?;
        object.answer = Some(answer);
        Ok(object)
    }

    fn address(&self, location: &Location, region: &str) -> Result<Url, Error> {
        let key = sign::encode(&location.key, true);
        let bucket = &location.bucket;
        let text = match &self.settings.endpoint {
            Some(endpoint) => format!("{}/{bucket}/{key}", endpoint.trim_end_matches('/')),
            // A certificate for all buckets does not cover dots.
            None if bucket.contains('.') => {
                format!("https://s3.{region}.amazonaws.com/{bucket}/{key}")
            }
            None => format!("https://{bucket}.s3.{region}.amazonaws.com/{key}"),
        };
        let mut url = Url::parse(&text).map_err(|_| Error::Endpoint {
            endpoint: text.clone(),
        })?;
        if let Some(credentials) = &self.settings.credentials {
            sign::sign(&mut url, credentials, region, SystemTime::now());
        }
        Ok(url)
    }
}

/// Bytes of an object as they came.
pub type Chunk = Cursor<Bytes>;

/// An object on its way.
pub struct Object {
    storage: Storage,
    location: Location,
    region: String,
    at: u64,
    size: u64,
    failed: u32,
    answer: Option<Response>,
}

impl Object {
    /// Returns how long it is.
    pub const fn size(&self) -> u64 {
        self.size
    }

    /// Returns the next bytes, `None` after the last. What breaks off is taken up.
    pub async fn next(&mut self) -> Result<Option<Chunk>, Error> {
        while self.at < self.size {
            let mut answer = match self.answer.take() {
                Some(answer) => answer,
                None => self.ask(Some(self.at..self.size)).await?,
            };
            let broken = match answer.chunk().await {
                Ok(Some(bytes)) => {
                    let length = bytes.len() as u64;
                    if length > self.size - self.at {
                        return Err(self.wrong_bytes(&answer));
                    }
                    self.answer = Some(answer);
                    if length == 0 {
                        continue;
                    }
                    self.at += length;
                    self.failed = 0;
                    return Ok(Some(Chunk::new(bytes)));
                }
                Ok(None) => answer.broken(Reason::Broken("the answer ended too early".to_owned())),
                Err(error) => error,
            };
            drop(answer);
            self.failed += 1;
            if !self.storage.client.take_up(&broken, self.failed).await {
                return Err(broken.into());
            }
        }
        Ok(None)
    }

    async fn ask(&mut self, range: Option<Range<u64>>) -> Result<Response, Error> {
        loop {
            let url = self.storage.address(&self.location, &self.region)?;
            let request = Request::get(url).header("accept-encoding", "identity");
            let request = match &range {
                Some(range) => request.range(range),
                None => request,
            };
            let answer = self.storage.client.send(&request).await?;
            let begins = range
                .as_ref()
                .map(|range| format!("bytes {}-", range.start));
            match (answer.status(), begins) {
                (200, None) => return Ok(answer),
                (206, Some(begins)) => {
                    let said = answer.headers("content-range").first().copied();
                    if said.is_some_and(|said| said.starts_with(&begins)) {
                        return Ok(answer);
                    }
                    return Err(self.wrong_bytes(&answer));
                }
                _ => {}
            }
            let region = answer.headers("x-amz-bucket-region").first().copied();
            match region.filter(|region| *region != self.region && is_region(region)) {
                Some(region) if self.storage.settings.endpoint.is_none() => {
                    region.clone_into(&mut self.region);
                }
                _ => return Err(self.refused(answer).await),
            }
        }
    }

    async fn refused(&self, answer: Response) -> Error {
        let (peer, status) = (answer.peer().to_string(), answer.status());
        let words = answer.beginning(MAX_ERROR_BODY).await;
        let words = String::from_utf8_lossy(&words);
        let code = words.split_once("<Code>");
        let code = code.and_then(|(_, rest)| rest.split_once("</Code>"));
        Error::Status {
            peer,
            location: self.location.to_string(),
            status,
            code: code.map(|(code, _)| code.chars().take(100).collect()),
            anonymous: self.storage.settings.credentials.is_none(),
        }
    }

    fn wrong_bytes(&self, answer: &Response) -> Error {
        Error::Range {
            peer: answer.peer().to_string(),
            location: self.location.to_string(),
        }
    }
}

/// Tells whether what a storage says of itself may become part of the name of a host.
fn is_region(text: &str) -> bool {
    let is_allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=40).contains(&text.len()) && text.bytes().all(is_allowed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_names_of_single_objects_are_taken() {
        for good in ["s3://abc/k", "s3://my-data.eu/a/b c/ü.csv", "s3://abc/a//b"] {
            assert_eq!(Location::parse(good).unwrap().to_string(), good);
        }
        for bad in [
            "s3://ab/k",
            "s3://Abc/k",
            "s3://a_bc/k",
            "s3://abc@evil.example/k",
            "s3://abc..d/k",
            "s3://-abc/k",
            "s3://abc",
            "s3://abc/",
            "s3://abc/folder/",
            "s3://abc/a/../b",
            "s3://abc/./b",
            "https://abc/k",
        ] {
            assert!(Location::parse(bad).is_err(), "{bad}");
        }
        assert!(is_region("eu-central-1") && !is_region("x.evil.example/") && !is_region(""));
    }
}
