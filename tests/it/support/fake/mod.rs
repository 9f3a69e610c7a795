//! A server that does what a test tells it, and remembers what it was asked.
//!
//! A test gives it one function from request to answer; the function may count, look at headers,
//! or answer what no real server would. Each connection carries one request, in a thread of its
//! own: what is remembered is in the order in which requests arrived.

mod wire;

use std::{
    io::Write as _,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

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

    /// Returns the path without the query.
    pub(crate) fn path(&self) -> &str {
        self.target.split('?').next().unwrap()
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
    /// So many bytes, all `x`.
    Large(u64),
    /// Whatever the server at this address says, and the other way round.
    Tunnel(String),
}

impl Answer {
    pub(crate) fn new(status: u16) -> Self {
        Self {
            status,
            headers: Vec::new(),
            body: Body::Text(String::new()),
        }
    }

    pub(crate) fn header(mut self, name: &str, value: impl Into<String>) -> Self {
        self.headers.push((name.to_owned(), value.into()));
        self
    }

    pub(crate) fn body(mut self, text: impl Into<String>) -> Self {
        self.body = Body::Text(text.into());
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

/// A server on a free port of this machine. It ends with its value.
pub(crate) struct Fake {
    address: SocketAddr,
    requests: Arc<Mutex<Vec<Recorded>>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Fake {
    pub(crate) fn start(answer: impl Fn(&Recorded) -> Answer + Send + Sync + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let requests = Arc::new(Mutex::new(Vec::new()));
        let end = Arc::new(AtomicBool::new(false));
        let answer = Arc::new(answer);
        let thread = thread::spawn({
            let (requests, end) = (Arc::clone(&requests), Arc::clone(&end));
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if end.load(Ordering::SeqCst) {
                        return;
                    }
                    let (requests, answer) = (Arc::clone(&requests), Arc::clone(&answer));
                    thread::spawn(move || serve(stream, &requests, &*answer));
                }
            }
        });
        Self {
            address,
            requests,
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
    }
}

fn serve(
    mut stream: TcpStream,
    requests: &Mutex<Vec<Recorded>>,
    answer: &dyn Fn(&Recorded) -> Answer,
) {
    let Some(request) = wire::read(&mut stream) else {
        // What speaks TLS, as clients try first, gets what servers without it say.
        let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n");
        wire::finish(&stream);
        return;
    };
    requests.lock().unwrap().push(request.clone());
    let answer = answer(&request);
    // The other side may have had enough.
    let _ = wire::write(&mut stream, &answer);
    wire::finish(&stream);
}
