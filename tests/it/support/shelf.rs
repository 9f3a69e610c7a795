//! A registry that hands out what is in a store, counts what it sends, and breaks when it is told to.

use std::{
    fs,
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    ops::Range,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use super::{Layout, Sandbox};

/// A request for a blob.
pub(crate) struct Asked {
    /// The digest.
    pub(crate) digest: String,
    /// The bytes that it asks for, if not for all.
    pub(crate) range: Option<Range<u64>>,
    /// How many requests for blobs there were before it.
    pub(crate) before: usize,
}

/// What becomes of a request for a blob.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// It is answered.
    Fine,
    /// The connection ends after so many bytes.
    Cut(u64),
    /// Nothing comes any more after so many bytes.
    Silent(u64),
    /// All of the blob comes, whatever was asked for.
    Whole,
    /// What comes is something else.
    Wrong,
    /// A status, and nothing else.
    Status(u16),
}

type Decide = dyn Fn(&Asked) -> Fate + Send + Sync;

/// How it behaves.
#[derive(Default)]
pub(crate) struct Rules {
    /// What becomes of requests for blobs; all are answered if there is none.
    pub(crate) blobs: Option<Box<Decide>>,
    /// How long a token is good for; without it nobody needs any.
    pub(crate) token_life: Option<Duration>,
}

struct Shared {
    rules: Rules,
    store: PathBuf,
    host: String,
    end: AtomicBool,
    sent: AtomicU64,
    blobs: Mutex<Vec<String>>,
    tokens: Mutex<Vec<Instant>>,
    logins: AtomicUsize,
}

/// The registry. It ends with its value.
pub(crate) struct Shelf {
    address: SocketAddr,
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Shelf {
    /// Hands out the store of `kit`, whatever is in it at the time. Its kits are to be called
    /// `HOST/REPOSITORY:TAG`, with the [`Shelf::host`] of this one.
    pub(crate) fn of(kit: &Sandbox, rules: Rules) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            rules,
            store: kit.store().path().to_owned(),
            host: address.to_string(),
            end: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            blobs: Mutex::default(),
            tokens: Mutex::default(),
            logins: AtomicUsize::new(0),
        });
        let thread = thread::spawn({
            let shared = Arc::clone(&shared);
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if shared.end.load(Ordering::SeqCst) {
                        return;
                    }
                    let shared = Arc::clone(&shared);
                    thread::spawn(move || {
                        let _ = shared.serve(&stream); // The other side may have had enough.
                        let _ = stream.shutdown(Shutdown::Both);
                    });
                }
            }
        });
        Self {
            address,
            shared,
            thread: Some(thread),
        }
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        self.shared.host.clone()
    }

    /// Returns how many bytes were sent, with all headers.
    pub(crate) fn sent(&self) -> u64 {
        self.shared.sent.load(Ordering::SeqCst)
    }

    /// Returns the digests of the blobs that were asked for, in order.
    pub(crate) fn blobs(&self) -> Vec<String> {
        self.shared.blobs.lock().unwrap().clone()
    }

    /// Returns how often a token was asked for with a login.
    pub(crate) fn logins(&self) -> usize {
        self.shared.logins.load(Ordering::SeqCst)
    }

    /// Returns how many tokens were given out.
    pub(crate) fn tokens(&self) -> usize {
        self.shared.tokens.lock().unwrap().len()
    }
}

impl Drop for Shelf {
    fn drop(&mut self) {
        self.shared.end.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

impl Shared {
    fn serve(&self, stream: &TcpStream) -> io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(30)))?;
        let mut first = [0];
        if stream.peek(&mut first)? == 0 || !first[0].is_ascii_uppercase() {
            // What speaks TLS, as clients try first, gets what servers without it say.
            return self.answer(stream, "400 Bad Request", "", b"");
        }
        let mut lines = BufReader::new(stream).lines();
        let start = lines.next().transpose()?.unwrap_or_default();
        let mut headers = Vec::new();
        while let Some(line) = lines.next().transpose()? {
            let Some((name, value)) = line.split_once(':') else {
                break;
            };
            headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
        }
        let header = |name: &str| {
            let found = headers.iter().find(|(known, _)| known == name);
            found.map(|(_, value)| value.as_str())
        };
        let target = start.split(' ').nth(1).unwrap_or_default();
        if target.starts_with("/token") {
            if header("authorization").is_some() {
                self.logins.fetch_add(1, Ordering::SeqCst);
            }
            let mut tokens = self.tokens.lock().unwrap();
            tokens.push(Instant::now());
            let token = format!(r#"{{"token":"t{}","expires_in":300}}"#, tokens.len() - 1);
            return self.answer(stream, "200 OK", "", token.as_bytes());
        }
        if !self.lets_in(header("authorization")) {
            let realm = format!("http://{}/token", self.host);
            let asks = format!("WWW-Authenticate: Bearer realm=\"{realm}\",service=\"s\"\r\n");
            return self.answer(stream, "401 Unauthorized", &asks, b"{}");
        }
        let below = target.strip_prefix("/v2/").unwrap_or_default();
        if let Some((repository, name)) = below.split_once("/manifests/") {
            return self.manifest(stream, repository, name);
        }
        match below.split_once("/blobs/") {
            Some((_, digest)) => self.blob(stream, digest, header("range")),
            None => self.answer(stream, "200 OK", "", b"{}"),
        }
    }

    fn lets_in(&self, authorization: Option<&str>) -> bool {
        let Some(life) = self.rules.token_life else {
            return true;
        };
        let number = authorization.and_then(|it| it.strip_prefix("Bearer t")?.parse().ok());
        let number: Option<usize> = number;
        let tokens = self.tokens.lock().unwrap();
        number
            .and_then(|number| tokens.get(number))
            .is_some_and(|made| made.elapsed() < life)
    }

    fn manifest(&self, stream: &TcpStream, repository: &str, name: &str) -> io::Result<()> {
        let layout = Layout::at(&self.store);
        let digest = if name.starts_with("sha256:") {
            Some(name.to_owned())
        } else {
            let name = format!("{}/{repository}:{name}", self.host);
            layout.names().get(&name).cloned()
        };
        let found = digest.filter(|digest| layout.blob_path(digest).exists());
        let Some(digest) = found else {
            let words = br#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such thing"}]}"#;
            return self.answer(stream, "404 Not Found", "", words);
        };
        let kind = "Content-Type: application/vnd.oci.image.manifest.v1+json\r\n";
        self.answer(stream, "200 OK", kind, &layout.blob(&digest))
    }

    fn blob(&self, stream: &TcpStream, digest: &str, range: Option<&str>) -> io::Result<()> {
        let before = {
            let mut blobs = self.blobs.lock().unwrap();
            blobs.push(digest.to_owned());
            blobs.len() - 1
        };
        let path = Layout::at(&self.store).blob_path(digest);
        let Ok(mut file) = fs::File::open(path) else {
            return self.answer(stream, "404 Not Found", "", b"{}");
        };
        let size = file.metadata()?.len();
        let range = range.map(|range| {
            let (first, last) = range.trim_start_matches("bytes=").split_once('-').unwrap();
            let end = last.parse().map_or(size, |last: u64| size.min(last + 1));
            first.parse().unwrap()..end
        });
        let asked = Asked {
            digest: digest.to_owned(),
            range: range.clone(),
            before,
        };
        let decide = self.rules.blobs.as_deref();
        let fate = decide.map_or(Fate::Fine, |decide| decide(&asked));
        if let Fate::Status(status) = fate {
            return self.answer(stream, &format!("{status} Told"), "", b"{}");
        }
        let sent = range.filter(|_| fate != Fate::Whole);
        let mut head = match &sent {
            Some(range) => format!(
                "HTTP/1.1 206 Partial Content\r\nContent-Range: bytes {}-{}/{size}\r\n",
                range.start,
                range.end - 1
            ),
            None => "HTTP/1.1 200 OK\r\n".to_owned(),
        };
        let sent = sent.unwrap_or(0..size);
        let length = sent.end - sent.start;
        head.push_str(&wire_end(length));
        self.send(stream, head.as_bytes())?;
        file.seek(SeekFrom::Start(sent.start))?;
        let most = match fate {
            Fate::Cut(bytes) | Fate::Silent(bytes) => bytes.min(length),
            _ => length,
        };
        let mut content = file.take(most);
        let mut block = vec![0; 64 << 10];
        loop {
            let read = content.read(&mut block)?;
            if read == 0 {
                break;
            }
            if fate == Fate::Wrong {
                block[0] ^= 1;
            }
            self.send(stream, &block[..read])?;
        }
        if let Fate::Silent(_) = fate {
            // Until the other side has had enough.
            let mut stream = stream;
            let _ = stream.read(&mut [0]);
        }
        Ok(())
    }

    fn answer(
        &self,
        stream: &TcpStream,
        status: &str,
        headers: &str,
        body: &[u8],
    ) -> io::Result<()> {
        let end = wire_end(body.len() as u64);
        let head = format!("HTTP/1.1 {status}\r\n{headers}{end}");
        self.send(stream, head.as_bytes())?;
        self.send(stream, body)?;
        let mut stream = stream;
        stream.shutdown(Shutdown::Write)?;
        // What is not read makes the end of a connection a reset.
        stream.set_read_timeout(Some(Duration::from_secs(1)))?;
        stream.read(&mut [0; 4096]).map(drop)
    }

    fn send(&self, mut stream: &TcpStream, bytes: &[u8]) -> io::Result<()> {
        stream.write_all(bytes)?;
        self.sent.fetch_add(bytes.len() as u64, Ordering::SeqCst);
        Ok(())
    }
}

/// Returns the last headers of an answer with a body of this length.
fn wire_end(length: u64) -> String {
    format!("Content-Length: {length}\r\nConnection: close\r\n\r\n")
}
