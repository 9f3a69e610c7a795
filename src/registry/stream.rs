//! A blob of a registry as something to read from, on a thread that may wait.

use std::io::{self, Read};

use bytes::{Buf as _, Bytes};
use tokio::runtime::Handle;

use super::{BlobBody, Error, Repository, download::LEAST_PROGRESS};
use crate::{
    http::{self, Url},
    oci::Descriptor,
};

/// Reads a blob in order, over one connection at a time. What breaks off goes on where it ended.
/// What is read is not verified.
pub struct BlobReader {
    repository: Repository,
    blob: Descriptor,
    runtime: Handle,
    /// The next byte that comes.
    at: u64,
    body: Option<BlobBody>,
    /// So many bytes of the answer come before that: the server sends no parts.
    passed_over: u64,
    /// The storage that the registry redirects to.
    moved: Option<Url>,
    current: Bytes,
    /// Failures in a row.
    failed: u32,
    /// What came since.
    came: u64,
}

impl Repository {
    /// Returns what reads a blob from the byte `from` on. Nothing is sent yet. `runtime` waits for
    /// the network; it must not be that of the thread that reads.
    pub fn reader(&self, runtime: Handle, blob: &Descriptor, from: u64) -> BlobReader {
        BlobReader {
            repository: self.clone(),
            blob: blob.clone(),
            runtime,
            at: from,
            body: None,
            passed_over: 0,
            moved: None,
            current: Bytes::new(),
            failed: 0,
            came: 0,
        }
    }
}

impl BlobReader {
    /// Returns the next bytes, none after the last.
    async fn next(&mut self) -> Result<Bytes, Error> {
        while self.at < self.blob.size {
            match self.step().await {
                Ok(Some(bytes)) => {
                    self.came += bytes.len() as u64;
                    if self.came >= LEAST_PROGRESS {
                        (self.came, self.failed) = (0, 0);
                    }
                    return Ok(bytes);
                }
                Ok(None) => {}
                Err(Error::Http(error @ http::Error::Unreachable { .. })) => {
                    (self.body, self.moved, self.came) = (None, None, 0);
                    if !self.repository.take_up(&error, self.failed).await {
                        return Err(error.into());
                    }
                    self.failed += 1;
                }
                // The address may have been good for a while only.
                Err(_) if self.body.is_none() && self.moved.is_some() => self.moved = None,
                Err(error) => return Err(error),
            }
        }
        Ok(Bytes::new())
    }

    /// Asks, or takes what came of the answer.
    async fn step(&mut self) -> Result<Option<Bytes>, Error> {
        let Some(body) = &mut self.body else {
            let range = self.at..self.blob.size;
            let moved = self.moved.as_ref();
            let body = match self.repository.blob(&self.blob, range, moved).await {
                // Whatever comes in its place: who cannot give parts may give the whole.
                Err(Error::Range { .. }) if self.at > 0 && moved.is_none() => {
                    let all = 0..self.blob.size;
                    self.repository.blob(&self.blob, all, None).await?
                }
                body => body?,
            };
            self.passed_over = self.at - body.range().start;
            self.moved = body.moved().cloned();
            self.body = Some(body);
            return Ok(None);
        };
        let Some(mut bytes) = body.next().await? else {
            self.body = None;
            return Ok(None);
        };
        let skipped = bytes
            .len()
            .min(usize::try_from(self.passed_over).unwrap_or(usize::MAX));
        bytes.advance(skipped);
        self.passed_over -= skipped as u64;
        self.at += bytes.len() as u64;
        Ok((!bytes.is_empty()).then_some(bytes))
    }
}

impl Read for BlobReader {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.current.is_empty() {
            let runtime = self.runtime.clone();
            self.current = runtime.block_on(self.next()).map_err(io::Error::other)?;
        }
        let read = into.len().min(self.current.len());
        self.current.copy_to_slice(&mut into[..read]);
        Ok(read)
    }
}
