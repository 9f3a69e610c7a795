//! One blob's upload from its beginning to its end, whatever happens on the way.
//!
//! An upload is known by an address. After anything that went wrong the registry is asked where it
//! stands, and the upload goes on from there; only when it is lost the blob is sent from its
//! beginning again.

use std::{sync::Arc, time::Duration};

use super::{
    Blob, Error, Uploader,
    kept::Kept,
    source::Source,
    steps::{Best, Fault, Stand, Told},
};
use crate::{
    http::{self, Url},
    oci::Descriptor,
    registry::Way,
};

/// How often a blob is sent from its beginning.
const MAX_STARTS: u32 = 8;

/// What to do next.
enum Next {
    /// The registry has the blob.
    Done,
    /// Go on from here.
    On(Stand),
    /// Send the blob from its beginning.
    Over,
}

struct Run<'u> {
    up: &'u Uploader,
    blob: Descriptor,
    source: Source,
    kept: Kept,
    best: Arc<Best>,
    /// Failures since it last went on.
    failed: u32,
    /// Whether a new token was asked for since then.
    renewed: bool,
    /// How often the registry had less than it had said since then.
    fell_back: u32,
    /// How much it had at best.
    reached: u64,
    /// How many bytes the last request had, and how much of the blob was sent in chunks.
    last: Option<u64>,
    chunked: bool,
}

/// Uploads a blob. Returns how many of its bytes an earlier run had sent.
pub(super) async fn run(up: &Uploader, blob: Blob, opened: Option<Url>) -> Result<u64, Error> {
    let Blob {
        descriptor,
        content,
        ..
    } = blob;
    let mut run = Run {
        up,
        source: Source::new(content, &descriptor, up.options.throttle.clone()),
        kept: Kept::open(up.sessions(), &up.name, descriptor.digest),
        best: Arc::default(),
        blob: descriptor,
        failed: 0,
        renewed: false,
        fell_back: 0,
        reached: 0,
        last: None,
        chunked: false,
    };
    let earlier = run.earlier().await?;
    let resumed = earlier.as_ref().map_or(0, |stand| stand.offset);
    let fresh = |location| Stand {
        location,
        offset: 0,
    };
    let mut stand = earlier.or_else(|| opened.map(fresh));
    for _ in 0..MAX_STARTS {
        let begin = match stand.take() {
            Some(stand) => stand,
            None => fresh(up.open().await?),
        };
        run.kept.keep(begin.location.as_str(), begin.offset);
        run.last = None;
        if run.through(begin).await? {
            run.kept.end();
            run.up.count_to(run.blob.size, &run.best);
            return Ok(resumed);
        }
        run.kept.forget();
    }
    Err(Error::StartsOver {
        registry: up.repository.registry().name().to_owned(),
        digest: run.blob.digest,
        times: MAX_STARTS,
    })
}

impl Run<'_> {
    /// Finds the upload of an earlier run.
    async fn earlier(&mut self) -> Result<Option<Stand>, Error> {
        let Some((location, offset)) = self.kept.earlier() else {
            return Ok(None);
        };
        let digest = self.blob.digest;
        let Ok(place) = self.up.repository.address(&location) else {
            return Ok(None);
        };
        let told = self.up.ask_stand(&place, self.blob.size).await;
        let is_elsewhere = !self.up.repository.registry().is_own(&place);
        let told = match told {
            // The machine that an earlier run was sent on to may be no more.
            Err(_) if is_elsewhere => Told::Lost,
            told => told?,
        };
        if let Told::At(stand) = told {
            if stand.offset > 0 {
                self.chunked = true;
                self.up.count_to(stand.offset, &self.best);
                self.up.tell(&format!(
                    "going on with {digest} at byte {} of {}",
                    stand.offset, self.blob.size
                ));
            } else if offset > 0 {
                self.lost();
            }
            return Ok(Some(stand));
        }
        // Also where nothing was answered yet: bytes may have been sent.
        self.kept.forget();
        self.lost();
        Ok(None)
    }

    /// Brings one upload to its end. Returns whether that is the blob's, too; else it starts over.
    async fn through(&mut self, begin: Stand) -> Result<bool, Error> {
        let size = self.blob.size;
        let mut stand = begin;
        loop {
            let left = size - stand.offset;
            let way = match stand.offset {
                0 => self.up.learned().way(size),
                _ => Way::Chunks,
            };
            let next = if left == 0 || way == Way::Whole {
                self.close(&stand).await?
            } else {
                let length = self.up.learned().chunk(left, self.last);
                self.chunk(&stand, stand.offset + length).await?
            };
            match next {
                Next::Done => return Ok(true),
                Next::Over => return Ok(false),
                Next::On(next) => stand = next,
            }
            // Where it was before it may have fallen back from.
            if stand.offset > self.reached {
                self.reached = stand.offset;
                (self.failed, self.renewed, self.fell_back) = (0, false, 0);
            }
            self.kept.keep(stand.location.as_str(), stand.offset);
        }
    }

    async fn chunk(&mut self, stand: &Stand, end: u64) -> Result<Next, Error> {
        let length = end - stand.offset;
        let under_way = self.up.begin().await;
        let sent = self.up.patch(&self.source, stand, end, &self.best).await;
        // Where it stands now is written down before anything else is waited for.
        drop(under_way);
        let (next, told, status) = match sent {
            Ok(sent) => sent,
            Err(fault) => return self.mend(stand, length, true, fault).await,
        };
        self.last = Some(length);
        self.chunked = true;
        let tells = self.up.learned().tells();
        let Some(told) = told.filter(|told| tells && *told != end) else {
            return Ok(Next::On(next));
        };
        // It says that it took the chunk, but also that it has something else.
        if status == 201 {
            self.up.learned().tells_wrong();
            return Ok(Next::On(next));
        }
        match self.up.ask_stand(&next.location, self.blob.size).await? {
            Told::At(at) if at.offset == end => Ok(Next::On(at)),
            Told::At(at) if at.offset < end && self.fell_back < 2 => {
                self.fell_back += 1;
                Ok(Next::On(at))
            }
            Told::Lost | Told::Open(_) if told < end => {
                self.up.learned().tells_wrong();
                Ok(Next::On(next))
            }
            _ => {
                // It counts otherwise, and cannot be followed.
                self.up.learned().tells_wrong();
                Ok(Next::Over)
            }
        }
    }

    async fn close(&mut self, stand: &Stand) -> Result<Next, Error> {
        let (size, digest) = (self.blob.size, self.blob.digest);
        let length = size - stand.offset;
        let under_way = match stand.offset {
            0 => None,
            _ => Some(self.up.begin().await),
        };
        let closed = self
            .up
            .close(&self.source, stand, size, &digest, &self.best);
        let closed = closed.await;
        drop(under_way);
        match closed {
            Ok(()) => {}
            Err(fault) => return self.mend(stand, length, false, fault).await,
        }
        // Some say yes and have less, or have it only after a moment.
        for _ in 0..3 {
            if self.up.stored(&self.blob).await? {
                return Ok(Next::Done);
            }
            self.up.pause(Duration::from_millis(300)).await;
        }
        if self.chunked {
            self.chunked = false;
            let learned = self.up.learned().no_chunks();
            if let Some(words) = learned {
                self.up.say(&words);
                return Ok(Next::Over);
            }
        }
        Err(self.not_stored())
    }

    /// Decides how it goes on after a request of `length` bytes did not do what it should.
    async fn mend(
        &mut self,
        stand: &Stand,
        length: u64,
        is_chunk: bool,
        fault: Fault,
    ) -> Result<Next, Error> {
        let (status, why, retry_after, error) = match fault {
            Fault::Final(error) => return Err(error),
            Fault::Broken(error) => (None, error.to_string(), None, Error::from(error)),
            Fault::Answer {
                status,
                retry_after,
                error,
            } => (Some(status), error.to_string(), retry_after, error),
        };
        let closing = !is_chunk;
        match status {
            // Asking where it stands gets a new token, which some answer by 403 to an old one.
            Some(401 | 403) if !self.renewed => self.renewed = true,
            Some(413) => {
                if !self.learn(|habits| habits.too_large(length)) {
                    return Err(error);
                }
            }
            Some(405 | 501) if is_chunk => {
                let learned = self.learn(super::super::Habits::no_chunks);
                return if learned { Ok(Next::Over) } else { Err(error) };
            }
            Some(400 | 404 | 411 | 416) if is_chunk => {
                return self.refused_chunk(stand, length, error).await;
            }
            // What an earlier run sent may have been something else.
            Some(400 | 404 | 416) if stand.offset > 0 && self.fell_back < 2 => {
                if self.fell_back > 0 {
                    // It was not what was sent before that is wrong: it is put together wrong.
                    self.learn(super::super::Habits::no_chunks);
                }
                self.fell_back += 1;
                self.lost();
                return Ok(Next::Over);
            }
            None | Some(408 | 429 | 500 | 502..=504) => {
                self.failed += 1;
                if !self.up.wait(&why, self.failed, retry_after).await {
                    return Err(error);
                }
                // The answer may have been lost, and not the blob.
                if closing && self.up.stored(&self.blob).await? {
                    return Ok(Next::Done);
                }
                if status.is_none() && self.failed >= 2 {
                    self.break_less(length, is_chunk, &error);
                }
            }
            _ => return Err(error),
        }
        self.find(stand, length, status).await
    }

    /// A chunk was refused: the registry has less than was thought, or takes no such chunks.
    async fn refused_chunk(
        &mut self,
        stand: &Stand,
        length: u64,
        error: Error,
    ) -> Result<Next, Error> {
        let told = self.up.ask_stand(&stand.location, self.blob.size).await?;
        if let Told::At(at) = &told
            && at.offset != stand.offset
            && self.fell_back < 2
        {
            self.fell_back += 1;
            return Ok(Next::On(at.clone()));
        }
        // It sent us back to where it says that it stands, and takes nothing there: it counts wrong.
        let is_here = matches!(&told, Told::At(at) if at.offset == stand.offset);
        if is_here && self.fell_back > 0 && self.up.learned().tells_wrong() {
            return Ok(Next::Over);
        }
        let is_lost = matches!(told, Told::Lost);
        if stand.offset > 0 && is_lost && self.fell_back < 2 {
            self.fell_back += 1;
            self.lost();
            return Ok(Next::Over);
        }
        if !self.learn(|habits| habits.chunk_refused(length)) {
            return Err(error);
        }
        let (goes_on, way) = {
            let learned = self.up.learned();
            (learned.takes_chunks(), learned.way(self.blob.size))
        };
        match told {
            Told::At(at) if goes_on && (at.offset > 0 || way == Way::Chunks) => Ok(Next::On(at)),
            _ => Ok(Next::Over),
        }
    }

    /// Asks where the upload stands.
    async fn find(
        &mut self,
        stand: &Stand,
        length: u64,
        status: Option<u16>,
    ) -> Result<Next, Error> {
        let tells = self.up.learned().tells();
        match self.up.ask_stand(&stand.location, self.blob.size).await? {
            Told::At(at) if tells => {
                self.up.count_to(at.offset, &self.best);
                self.chunked |= at.offset > 0;
                Ok(Next::On(at))
            }
            // What was refused as a whole was not kept in part.
            Told::At(_) | Told::Lost if !tells && status.is_some() => Ok(Next::On(stand.clone())),
            Told::Open(location) if status.is_some() || stand.offset == 0 => Ok(Next::On(Stand {
                location,
                offset: stand.offset,
            })),
            _ => {
                if stand.offset + length > 0 {
                    self.lost();
                }
                Ok(Next::Over)
            }
        }
    }

    /// Requests break again and again: the next ones are smaller.
    fn break_less(&mut self, length: u64, is_chunk: bool, error: &Error) {
        let broke = matches!(
            error,
            Error::Http(http::Error::Unreachable {
                reason: http::Reason::Broken(_) | http::Reason::Silent(_),
                ..
            })
        );
        if broke {
            self.learn(|habits| {
                if is_chunk {
                    habits.too_large(length)
                } else {
                    habits.whole_breaks(length)
                }
            });
        }
    }

    /// Takes a lesson, and says so. Returns whether it is a new one.
    fn learn(&self, lesson: impl FnOnce(&mut super::super::Habits) -> Option<String>) -> bool {
        let words = lesson(&mut self.up.learned());
        if let Some(words) = &words {
            self.up.say(words);
        }
        words.is_some()
    }

    fn lost(&self) {
        self.up.say(&format!(
            "has dropped the upload of {}: it starts over",
            self.blob.digest
        ));
    }

    fn not_stored(&self) -> Error {
        Error::NotStored {
            registry: self.up.repository.registry().name().to_owned(),
            digest: self.blob.digest,
            size: self.blob.size,
        }
    }
}
