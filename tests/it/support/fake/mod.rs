//! A server that does what a test tells it, and remembers what it was asked.
//!
//! A test gives it one function from request to answer; the function may count, look at headers,
//! or answer what no real server would. Each connection carries one request, in a thread of its
//! own: what is remembered is in the order in which requests arrived. Each request is held against
//! the specification, see [`spec`]: a fake that got a wrong one fails when it ends.

pub(crate) mod documents;
mod shelf;
pub(crate) mod spec;
pub(crate) mod stuck;
pub(crate) mod uploads;
mod wire;

pub(crate) use shelf::{MANIFEST, Shelf, asked_blob, part, refusal};

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use spec::{Asked, Checks};

use base64::{Engine as _, engine::general_purpose::STANDARD};

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Recorded {
    pub(crate) at: Instant,
    pub(crate) method: String,
    /// As in the first line: a path, or a whole address where the server is a proxy.
    pub(crate) target: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Recorded {
    /// Returns the value of a header.
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(known, _)| known == name);
        found.map(|(_, value)| value.as_str())
    }

    /// Returns `name:password` of a Basic header.
    pub(crate) fn basic(&self) -> Option<String> {
        let encoded = self.header("authorization")?.strip_prefix("Basic ")?;
        String::from_utf8(STANDARD.decode(encoded).unwrap()).ok()
    }

    /// Returns the bytes that a `Range` header asks for, of so many.
    pub(crate) fn range(&self, size: usize) -> Option<Range<usize>> {
        let (first, last) = self
            .header("range")?
            .strip_prefix("bytes=")?
            .split_once('-')?;
        let last = last.parse().map_or(size, |last: usize| last + 1);
        Some(first.parse().ok()?..last.min(size))
    }

    /// Returns the request as it is checked.
    fn asked(&self) -> Asked<'_> {
        let headers = self.headers.iter();
        Asked {
            method: &self.method,
            target: &self.target,
            headers: headers
                .map(|(name, value)| (name.as_str(), value.as_str()))
                .collect(),
            body: self.body.as_bytes(),
        }
    }

    /// Returns the path without the query, and without the server that a proxy is asked for.
    pub(crate) fn path(&self) -> &str {
        spec::below(&self.target).split('?').next().unwrap()
    }
}

/// What is sent back.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: Body,
}

#[derive(Clone, Debug)]
enum Body {
    Text(String),
    Content(Content),
    /// So many bytes, all `x`.
    Large(u64),
    /// Whatever the server at this address says, and the other way round.
    Tunnel(String),
}

/// Bytes that are sent with their length, and what happens meanwhile.
#[derive(Clone, Debug)]
struct Content {
    bytes: Arc<[u8]>,
    range: Range<usize>,
    /// After so many the connection ends.
    cut: Option<usize>,
    /// After so many nothing more comes; the connection stays.
    hang: Option<usize>,
    /// So many a second.
    rate: Option<usize>,
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Text(String::new()),
        }
    }

    pub(crate) fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, text: impl Into<String>) -> Self {
        self.body = Body::Text(text.into());
        self
    }

    /// A part of `bytes` as the body.
    pub(crate) fn content(mut self, bytes: &Arc<[u8]>, range: Range<usize>) -> Self {
        self.body = Body::Content(Content {
            bytes: Arc::clone(bytes),
            range,
            cut: None,
            hang: None,
            rate: None,
        });
        self
    }

    /// The connection ends after so many bytes of the content.
    pub(crate) fn cut(self, after: usize) -> Self {
        self.but(|content| content.cut = Some(after))
    }

    /// After so many bytes of the content nothing more comes, and the connection stays.
    pub(crate) fn hang(self, after: usize) -> Self {
        self.but(|content| content.hang = Some(after))
    }

    /// Only so many bytes of the content come in a second.
    pub(crate) fn slow(self, per_second: usize) -> Self {
        self.but(|content| content.rate = Some(per_second))
    }

    fn but(mut self, change: impl FnOnce(&mut Content)) -> Self {
        if let Body::Content(content) = &mut self.body {
            change(content);
        }
        self
    }

    /// A body of so many bytes, sent without its length.
    pub(crate) fn large(mut self, bytes: u64) -> Self {
        self.body = Body::Large(bytes);
        self
    }

    /// The answer of a proxy to `CONNECT`: a tunnel to the server at `address`.
    pub(crate) fn tunnel(address: &str) -> Self {
        let mut answer = Self::new(200);
        answer.body = Body::Tunnel(address.to_owned());
        answer
    }

    /// The question for a name and a password.
    pub(crate) fn wants_basic() -> Self {
        Self::new(401).header("WWW-Authenticate", r#"Basic realm="test""#)
    }

    /// The question for a token from `realm`.
    pub(crate) fn wants_bearer(realm: &str) -> Self {
        let value = format!(r#"Bearer realm="{realm}",service="test""#);
        Self::new(401).header("WWW-Authenticate", value)
    }
}

/// What went over all connections.
#[derive(Debug, Default)]
struct Traffic {
    /// Bytes of contents.
    sent: AtomicU64,
    /// Bytes of all answers, with their heads.
    wire: AtomicU64,
    /// Contents on their way, now and at most.
    now: AtomicUsize,
    peak: AtomicUsize,
}

/// A server on a free port of this machine. It ends with its value.
pub(crate) struct Fake {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Recorded>>>,
    traffic: Arc<Traffic>,
    checks: Arc<Checks>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    pub(crate) fn start(answer: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let end = Arc::new(AtomicBool::new(false));
        let checks = Arc::new(Checks::of(address.port()));
        let traffic = Arc::new(Traffic::default());
        let answer = Arc::new(answer);
        let thread = thread::spawn({
            let (requests, end) = (Arc::clone(&requests), Arc::clone(&end));
            let (traffic, checks) = (Arc::clone(&traffic), Arc::clone(&checks));
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if end.load(Ordering::SeqCst) {
                        return;
                    }
                    let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                    let (traffic, checks) = (Arc::clone(&traffic), Arc::clone(&checks));
                    thread::spawn(move || serve(stream, &requests, &traffic, &checks, &*answer));
                }
            }
        });
        Self {
            address,
            requests,
            traffic,
            checks,
            end,
            thread: Some(thread),
        }
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns `localhost:PORT`: the same server under what counts as another name.
    pub(crate) fn other_host(&self) -> String {
        format!("localhost:{}", self.address.port())
    }

    /// Returns the port.
    pub(crate) fn port(&self) -> u16 {
        self.address.port()
    }

    /// Returns how many bytes of contents were sent so far, all connections together.
    pub(crate) fn sent(&self) -> u64 {
        self.traffic.sent.load(Ordering::SeqCst)
    }

    /// Returns how many bytes of answers were sent so far, with their heads; tunnels do not count.
    pub(crate) fn wire(&self) -> u64 {
        self.traffic.wire.load(Ordering::SeqCst)
    }

    /// Returns how many contents were being sent at the same time, at most.
    pub(crate) fn peak(&self) -> usize {
        self.traffic.peak.load(Ordering::SeqCst)
    }

    /// Returns what was asked so far.
    pub(crate) fn requests(&self) -> Vec<Recorded> {
        self.requests.lock().unwrap().clone()
    }
}

impl Drop for Fake {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
        let faults = self.checks.found();
        assert!(
            faults.is_empty() || thread::panicking(),
            "wrong requests:\n{}",
            faults.join("\n")
        );
    }
}

fn serve(
    mut stream: TcpStream,
    requests: &Mutex<Vec<Recorded>>,
    traffic: &Traffic,
    checks: &Checks,
    answer: &dyn Fn(&Recorded) -> Answer,
) {
    let Some(request) = wire::read(&mut stream) else {
        // What speaks TLS, as clients try first, gets what servers without it say.
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        wire::finish(&stream);
        return;
    };
    requests.lock().unwrap().push(request.clone());
    checks.request(&request.asked());
    let answer = answer(&request);
    checks.answer(&request.asked(), answer.status, &answer.headers);
    // The other side may have had enough.
    let _ = wire::write(&mut stream, &answer, traffic);
    wire::finish(&stream);
}
