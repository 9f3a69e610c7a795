//! Sends a body that is made while it is sent: once, to one address, for callers who know better
//! than a rule what to do when it fails half way.

use std::{
    future::{Future as _, poll_fn},
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http_body::{Body, Frame, SizeHint};
use reqwest::header;
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
    time::{Instant, timeout},
};

use crate::failpoint::failpoint;

use super::{
    client::{Client, origin, shown},
    error::{Error, Reason, reason},
    limits,
    message::{Request, Response},
};

/// Pieces that are made before the network takes them.
const PIECES_AHEAD: usize = 4;

/// How long is waited for the other side.
#[derive(Clone, Copy, Debug)]
pub struct Patience {
    /// Until it takes the next piece of the body.
    pub stall: Duration,
    /// Until it answers when it has all of it.
    pub answer: Duration,
}

/// Called with how many bytes of the body the connection has taken so far.
pub type Taken = Arc<dyn Fn(u64) + Send + Sync>;

/// A body of known length whose pieces come from a [`Feeder`].
pub struct Content {
    length: u64,
    taken: u64,
    pieces: mpsc::Receiver<io::Result<Bytes>>,
    counter: Arc<AtomicU64>,
    tell: Taken,
    /// Ends the feeder when it is dropped.
    wanted: Option<oneshot::Sender<()>>,
}

/// Makes the pieces of a [`Content`], on a thread of a runtime that may block.
pub struct Feeder {
    pieces: mpsc::Sender<io::Result<Bytes>>,
    /// Ready when nobody wants more, although the connection may still hold the body.
    unwanted: oneshot::Receiver<()>,
    is_over: bool,
}

impl Content {
    /// Returns a body of `length` bytes and its feeder.
    pub fn new(length: u64, tell: Taken) -> (Self, Feeder) {
        let (sender, pieces) = mpsc::channel(PIECES_AHEAD);
        let (wanted, unwanted) = oneshot::channel();
        let content = Self {
            length,
            taken: 0,
            pieces,
            counter: Arc::default(),
            tell,
            wanted: Some(wanted),
        };
        let feeder = Feeder {
            pieces: sender,
            unwanted,
            is_over: false,
        };
        (content, feeder)
    }

    /// Returns a body that is held in memory.
    pub fn of(bytes: Vec<u8>) -> Self {
        let (content, feeder) = Self::new(bytes.len() as u64, Arc::new(|_| {}));
        if !bytes.is_empty() {
            // There is room for the first piece.
            let _ = feeder.pieces.try_send(Ok(bytes.into()));
        }
        content
    }
}

#[cfg(test)]
impl Content {
    /// Returns all that a body carries, and whether it ended as announced.
    pub(crate) async fn collect(self) -> (Vec<u8>, bool) {
        let (mut all, mut body) = (Vec::new(), Box::pin(self));
        loop {
            match poll_fn(|context| body.as_mut().poll_frame(context)).await {
                Some(Ok(frame)) => all.extend(frame.into_data().into_iter().flatten()),
                Some(Err(_)) => return (all, false),
                None => return (all, true),
            }
        }
    }
}

impl Feeder {
    /// Passes a piece on, or the reason why there is none. Returns false when nobody wants more.
    pub fn feed(&mut self, piece: io::Result<Vec<u8>>) -> bool {
        if self.is_over {
            return false;
        }
        let Self {
            pieces, unwanted, ..
        } = self;
        let is_taken = Handle::current().block_on(async {
            let mut sending = pin!(pieces.send(piece.map(Bytes::from)));
            poll_fn(|context| match Pin::new(&mut *unwanted).poll(context) {
                Poll::Ready(_) => Poll::Ready(false),
                Poll::Pending => sending.as_mut().poll(context).map(|sent| sent.is_ok()),
            })
            .await
        });
        self.is_over = !is_taken;
        is_taken
    }
}

impl Body for Content {
    type Data = Bytes;
    type Error = io::Error;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<io::Result<Frame<Bytes>>>> {
        if self.taken == self.length {
            return Poll::Ready(None);
        }
        let piece = match self.pieces.poll_recv(context) {
            Poll::Pending => return Poll::Pending,
            // Without its feeder a body has no end, and must not look as if it had.
            Poll::Ready(None) => Err(io::ErrorKind::UnexpectedEof.into()),
            Poll::Ready(Some(piece)) => failpoint!("upload.piece", piece),
        };
        Poll::Ready(Some(piece.map(|piece| {
            self.taken += piece.len() as u64;
            self.counter.store(self.taken, Ordering::Relaxed);
            (self.tell)(self.taken);
            Frame::data(piece)
        })))
    }

    fn is_end_stream(&self) -> bool {
        self.taken == self.length
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.length - self.taken)
    }
}

impl Client {
    /// Sends a request once, with this body, and follows no redirect. Any status is an answer.
    /// Time is counted while nothing moves, however long the whole takes.
    pub async fn transmit(
        &self,
        request: &Request,
        mut content: Content,
        patience: Patience,
    ) -> Result<Response, Error> {
        // Who answers before it has the body may never read the rest, and keep the connection: what
        // feeds it must not wait for that.
        let _wanted = content.wanted.take();
        let url = &request.url;
        let peer = origin(url)?;
        let length = content.length;
        let counter = Arc::clone(&content.counter);
        let mut builder = self
            .inner
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone())
            .header(header::CONTENT_LENGTH, length);
        if let Some(authorization) = &request.authorization {
            builder = builder.header(header::AUTHORIZATION, authorization.0.clone());
        }
        if length > 0 {
            builder = builder.body(reqwest::Body::wrap(content));
        }
        self.pauses.pass(&peer, self.clock()).await;
        let is_last = request.method == reqwest::Method::PUT;
        let mut begun = failpoint!("upload.send");
        if is_last {
            begun = begun.and_then(|()| failpoint!("upload.close"));
        }
        let mut sending = Box::pin(builder.send());
        let mut last = (0, Instant::now());
        let result = loop {
            if let Err(error) = begun {
                break Err(error.into());
            }
            let taken = counter.load(Ordering::Relaxed);
            if taken != last.0 {
                last = (taken, Instant::now());
            }
            let limit = if taken == length {
                patience.answer
            } else {
                patience.stall
            };
            let left = limit.saturating_sub(last.1.elapsed());
            if left.is_zero() {
                break Err(Reason::Silent(limit));
            }
            let step = left.min(Duration::from_secs(1));
            if let Ok(result) = timeout(step, &mut sending).await {
                let answer = result.map_err(|error| reason(&error, limit));
                break answer.and_then(|answer| {
                    failpoint!("upload.headers")?;
                    Ok(answer)
                });
            }
        };
        let with = if request.authorization.is_some() {
            " with a login"
        } else {
            ""
        };
        let what = format!("{} {}", request.method, shown(url));
        match result {
            Ok(response) => {
                let status = response.status();
                self.observer()
                    .step(format_args!("{what}{with}, {length} bytes: {status}"));
                let response = Response {
                    inner: response,
                    peer,
                    timeouts: self.timeouts,
                };
                let asked = response
                    .retry_after()
                    .filter(|_| matches!(response.status(), 429 | 503));
                // Who asks for more is given up, not waited for.
                if let Some(asked) = asked.filter(|it| it.as_secs() <= limits::MAX_RETRY_AFTER) {
                    self.pauses.begin(&response.peer, asked, self.clock());
                }
                Ok(response)
            }
            Err(reason) => {
                self.observer()
                    .step(format_args!("{what}{with}, {length} bytes: {reason}"));
                Err(self.unreachable(url, &peer, reason))
            }
        }
    }

    /// Waits before the next try after one that got no answer or a bad one, and says why. `failed`
    /// counts the tries in a row. Returns false, at once, when there have been enough.
    pub async fn wait_to_retry(&self, why: &str, failed: u32, asked: Option<Duration>) -> bool {
        let jitter = self.clock().jitter();
        let Some(wait) = self.policy().next(failed, asked, jitter) else {
            return false;
        };
        let seconds = wait.as_secs_f64();
        self.observer()
            .waiting(format_args!("{why}; trying again in {seconds:.1} s"));
        self.clock().sleep(wait).await;
        true
    }

    /// Lets time pass.
    pub async fn pause(&self, time: Duration) {
        self.clock().sleep(time).await;
    }

    /// Tells those who watch.
    pub fn tell(&self, text: &str) {
        self.observer().note(format_args!("{text}"));
    }
}
