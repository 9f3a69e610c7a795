//! A registry in memory that takes pushes, with the habits that a test gives it.
//!
//! It checks every request against the distribution specification, and keeps what a correct
//! registry would keep. Each connection carries one request.

use std::{
    collections::HashMap,
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use modelkit::digest::Digest;

/// What happens to a request in place of what should.
pub(crate) enum Trouble {
    /// This answer, before the body is read.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// The connection breaks after so many bytes of the body.
    Cut(u64),
    /// It is done, but the answer is this.
    DoneBut(u16),
    /// It is done, but nobody says so.
    DoneInSilence,
}

type Decide = dyn Fn(&Asked, usize) -> Option<Trouble> + Send + Sync;

/// How a registry behaves. The default is what the specification says.
pub(crate) struct Habits {
    /// Headers of all answers.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// The most bytes of a body: 413.
    pub(crate) max_body: Option<u64>,
    /// The most bytes of a chunk: 416.
    pub(crate) max_chunk: Option<u64>,
    /// The least bytes of a chunk that is not the last: 416, and told when an upload is opened.
    pub(crate) min_chunk: Option<u64>,
    /// The answer to any chunk.
    pub(crate) no_chunks: Option<u16>,
    /// The status of a chunk that was taken.
    pub(crate) taken: u16,
    /// Whether `Range` stays at the first chunk.
    pub(crate) stuck: bool,
    /// Whether it does not tell where an upload stands.
    pub(crate) mute: bool,
    /// Whether only the last chunk is kept, in silence.
    pub(crate) last_chunk_only: bool,
    /// Whether what came of a body that broke off is kept; else the upload is dropped.
    pub(crate) keeps_cut: bool,
    /// Whether a mount is done.
    pub(crate) mounts: bool,
    /// What stands before the path of a `Location`.
    pub(crate) location: Option<String>,
    /// Whether the last answer of an upload has a `Location`.
    pub(crate) final_location: bool,
    /// The digest that it says it took.
    pub(crate) says_digest: Option<String>,
    /// What else happens: for a request, and how many of its method there were before.
    pub(crate) trouble: Box<Decide>,
}

impl Default for Habits {
    fn default() -> Self {
        Self {
            headers: Vec::new(),
            max_body: None,
            max_chunk: None,
            min_chunk: None,
            no_chunks: None,
            taken: 202,
            stuck: false,
            mute: false,
            last_chunk_only: false,
            keeps_cut: false,
            mounts: true,
            location: None,
            final_location: true,
            says_digest: None,
            trouble: Box::new(|_, _| None),
        }
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    pub(crate) method: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: HashMap<String, String>,
    /// Bytes of its body that were read.
    pub(crate) body: u64,
    /// The answer.
    pub(crate) status: u16,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        self.headers.get(name).map(String::as_str)
    }

    fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// Returns a field of the query, decoded as far as digests and names need it.
    fn field(&self, name: &str) -> Option<String> {
        let fields = self.query.split('&');
        let found = fields
            .filter_map(|it| it.split_once('='))
            .find(|it| it.0 == name)?;
        Some(found.1.replace("%3A", ":").replace("%2F", "/"))
    }

    pub(crate) fn is_upload(&self) -> bool {
        self.path.contains("/blobs/uploads/")
    }
}

#[derive(Default)]
struct Upload {
    data: Vec<u8>,
    chunks: u64,
    /// Whether a chunk came that is too small for any but the last.
    is_last: bool,
    /// Changes with each answer: only the newest address is right.
    state: u64,
}

/// What it holds.
#[derive(Default)]
struct Held {
    /// By repository and digest.
    blobs: HashMap<(String, String), Arc<Vec<u8>>>,
    /// By repository and tag or digest.
    manifests: HashMap<(String, String), Vec<u8>>,
    uploads: HashMap<String, Upload>,
    asked: Vec<Asked>,
    /// Where requests differ from the specification.
    faults: Vec<String>,
    counts: HashMap<String, usize>,
    next: u64,
}

/// A running registry. It ends with its value.
pub(crate) struct Uploads {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Uploads {
    pub(crate) fn start(habits: Habits) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (held, end) = (Arc::<Mutex<Held>>::default(), Arc::<AtomicBool>::default());
        let habits = Arc::new(habits);
        let thread = thread::spawn({
            let (held, end) = (Arc::clone(&held), Arc::clone(&end));
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if end.load(Ordering::SeqCst) {
                        return;
                    }
                    let (held, habits) = (Arc::clone(&held), Arc::clone(&habits));
                    thread::spawn(move || serve(stream, &held, &habits));
                }
            }
        });
        Self {
            address,
            held,
            end,
            thread: Some(thread),
        }
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Returns what was asked so far.
    pub(crate) fn asked(&self) -> Vec<Asked> {
        self.held.lock().unwrap().asked.clone()
    }

    /// Returns how many bytes of blobs arrived.
    pub(crate) fn received(&self) -> u64 {
        let asked = self.asked();
        asked
            .iter()
            .filter(|it| it.is_upload())
            .map(|it| it.body)
            .sum()
    }

    /// Forgets what was asked.
    pub(crate) fn forget(&self) {
        let mut held = self.held.lock().unwrap();
        held.asked.clear();
        held.counts.clear();
    }

    /// Drops all uploads that are open.
    pub(crate) fn drop_uploads(&self) {
        self.held.lock().unwrap().uploads.clear();
    }

    /// Checks that all requests were as the specification wants them.
    #[track_caller]
    pub(crate) fn is_content(&self) {
        let held = self.held.lock().unwrap();
        assert!(held.faults.is_empty(), "{:#?}", held.faults);
    }

    /// Checks that a kit is there, whole: its manifest, and every blob with its digest.
    #[track_caller]
    pub(crate) fn has_kit(&self, repository: &str, tag: &str) {
        self.is_content();
        let held = self.held.lock().unwrap();
        let manifest = &held.manifests[&(repository.to_owned(), tag.to_owned())];
        let manifest: serde_json::Value = serde_json::from_slice(manifest).unwrap();
        let layers = manifest["layers"].as_array().unwrap();
        for blob in layers.iter().chain([&manifest["config"]]) {
            let digest = blob["digest"].as_str().unwrap();
            let content = &held.blobs[&(repository.to_owned(), digest.to_owned())];
            assert_eq!(Digest::of(content).to_string(), digest);
            assert_eq!(content.len() as u64, blob["size"].as_u64().unwrap());
        }
    }

    /// Tells whether there is any manifest of this name.
    pub(crate) fn names(&self, repository: &str, tag: &str) -> bool {
        let held = self.held.lock().unwrap();
        held.manifests
            .contains_key(&(repository.to_owned(), tag.to_owned()))
    }
}

impl Drop for Uploads {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

struct Answer {
    status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

fn answer(status: u16) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: String::new(),
    }
}

fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer {
        body: format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#),
        ..answer(status)
    }
}

impl Answer {
    fn header(mut self, name: &str, value: impl ToString) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }
}

fn serve(stream: TcpStream, held: &Mutex<Held>, habits: &Habits) {
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut reader = BufReader::new(&stream);
    let Some(mut asked) = head(&mut reader) else {
        return;
    };
    let number = {
        let mut held = held.lock().unwrap();
        held.check(&asked);
        let method = asked.method.clone();
        let count = held.counts.entry(method).or_default();
        *count += 1;
        *count - 1
    };
    let length = asked.length().unwrap_or(0);
    let trouble = (habits.trouble)(&asked, number);
    let mut body = Vec::new();
    let result = match &trouble {
        Some(Trouble::Answer(status, headers, text)) => Some(Answer {
            headers: headers
                .iter()
                .map(|it| (it.0.to_owned(), it.1.clone()))
                .collect(),
            body: text.clone(),
            ..answer(*status)
        }),
        _ if habits.max_body.is_some_and(|most| length > most) => {
            Some(error(413, "SIZE_INVALID", "request entity too large"))
        }
        _ => {
            let take = match trouble {
                Some(Trouble::Cut(bytes)) => bytes.min(length),
                _ => length,
            };
            (&mut reader).take(take).read_to_end(&mut body).ok();
            asked.body = body.len() as u64;
            if asked.body < length {
                held.lock().unwrap().cut(asked, &body, habits);
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            None
        }
    };
    let mut held = held.lock().unwrap();
    let result = result.unwrap_or_else(|| held.act(&asked, body, habits));
    asked.status = result.status;
    held.asked.push(asked.clone());
    drop(held);
    let result = match trouble {
        Some(Trouble::DoneBut(status)) => answer(status),
        Some(Trouble::DoneInSilence) => {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
        _ => result,
    };
    let is_head = asked.method == "HEAD";
    let mut text = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", result.status);
    let mut headers = result.headers;
    headers.extend(
        habits
            .headers
            .iter()
            .map(|it| (it.0.to_owned(), it.1.to_owned())),
    );
    if !headers.iter().any(|it| it.0 == "Content-Length") {
        headers.push(("Content-Length".to_owned(), result.body.len().to_string()));
    }
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    text.push_str("\r\n");
    if !is_head {
        text.push_str(&result.body);
    }
    // The other side may have had enough.
    let _ = (&stream).write_all(text.as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    // What is still being sent is taken and dropped, as careful servers do.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = std::io::copy(&mut reader, &mut std::io::sink());
}

fn head(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let start = line()?;
    let mut words = start.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = HashMap::new();
    loop {
        let text = line()?;
        let Some((name, value)) = text.split_once(':') else {
            break;
        };
        headers.insert(name.to_ascii_lowercase(), value.trim().to_owned());
    }
    let (path, query) = target.split_once('?').unwrap_or((&target, ""));
    Some(Asked {
        at: Instant::now(),
        method,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: 0,
        status: 0,
    })
}

impl Held {
    /// Notes where a request is not what the specification says.
    fn check(&mut self, asked: &Asked) {
        let mut fault = |holds: bool, what: &str| {
            if !holds {
                self.faults.push(format!("{what}: {asked:?}"));
            }
        };
        fault(asked.path.starts_with("/v2/"), "a path below /v2/");
        fault(
            !asked.headers.contains_key("transfer-encoding"),
            "a body of known length",
        );
        let length = asked.length();
        let octets = asked.header("content-type") == Some("application/octet-stream");
        match asked.method.as_str() {
            "HEAD" | "GET" => fault(length.unwrap_or(0) == 0, "no body"),
            "POST" => {
                fault(length == Some(0), "a length of 0");
                fault(
                    asked.path.ends_with("/blobs/uploads/"),
                    "a place to open uploads",
                );
                let both = asked.field("mount").is_some() && asked.field("from").is_some();
                fault(asked.query.is_empty() || both, "mount and from, or nothing");
            }
            "PATCH" => {
                let range = asked
                    .header("content-range")
                    .and_then(|it| it.split_once('-'));
                let number = |text: &str| {
                    text.bytes()
                        .all(|it| it.is_ascii_digit())
                        .then(|| text.parse::<u64>().ok())?
                };
                let range = range.and_then(|it| Some((number(it.0)?, number(it.1)?)));
                fault(
                    range.is_some_and(|it| length.is_some_and(|length| it.1 + 1 == it.0 + length)),
                    "a range of the body's length",
                );
                fault(octets, "a body of octets");
                fault(length.is_some_and(|it| it > 0), "some bytes");
            }
            "PUT" if asked.is_upload() => {
                let digest = asked.field("digest").unwrap_or_default();
                fault(digest.parse::<Digest>().is_ok(), "a digest");
                fault(asked.query.matches("digest=").count() == 1, "one digest");
                fault(octets, "a body of octets");
                fault(length.is_some(), "a length");
            }
            "PUT" => {
                fault(asked.path.contains("/manifests/"), "a manifest");
                fault(asked.header("content-type").is_some(), "a media type");
                fault(length.is_some_and(|it| it > 0), "a length");
            }
            _ => fault(false, "a method that pushes need"),
        }
    }

    /// Takes what came of a body that broke off.
    fn cut(&mut self, asked: Asked, body: &[u8], habits: &Habits) {
        let id = asked.path.rsplit('/').next().unwrap_or_default().to_owned();
        if habits.keeps_cut {
            if let Some(upload) = self.uploads.get_mut(&id) {
                upload.data.extend_from_slice(body);
            }
        } else {
            self.uploads.remove(&id);
        }
        self.asked.push(asked);
    }

    fn act(&mut self, asked: &Asked, body: Vec<u8>, habits: &Habits) -> Answer {
        let rest = asked
            .path
            .strip_prefix("/v2/")
            .unwrap_or_default()
            .to_owned();
        if rest.is_empty() {
            return answer(200);
        }
        if let Some((repository, id)) = rest.split_once("/blobs/uploads/") {
            return self.upload(asked, repository, id, body, habits);
        }
        if let Some((repository, digest)) = rest.split_once("/blobs/") {
            return match self.blobs.get(&(repository.to_owned(), digest.to_owned())) {
                Some(blob) => answer(200).header("Content-Length", blob.len()),
                None => error(404, "BLOB_UNKNOWN", "blob unknown to registry"),
            };
        }
        let Some((repository, name)) = rest.split_once("/manifests/") else {
            return error(404, "NAME_UNKNOWN", "no such place");
        };
        let key = (repository.to_owned(), name.to_owned());
        if asked.method != "PUT" {
            return match self.manifests.get(&key) {
                Some(manifest) => answer(200)
                    .header("Content-Length", manifest.len())
                    .header("Content-Type", "application/vnd.oci.image.manifest.v1+json")
                    .header("Docker-Content-Digest", Digest::of(manifest)),
                None => error(404, "MANIFEST_UNKNOWN", "manifest unknown"),
            };
        }
        let digest = Digest::of(&body).to_string();
        let document: serde_json::Value = serde_json::from_slice(&body).unwrap();
        let layers = document["layers"].as_array().unwrap();
        for blob in layers.iter().chain([&document["config"]]) {
            let known = (
                repository.to_owned(),
                blob["digest"].as_str().unwrap().to_owned(),
            );
            if !self.blobs.contains_key(&known) {
                return error(400, "MANIFEST_BLOB_UNKNOWN", "blob unknown to registry");
            }
        }
        if document["mediaType"].as_str() != asked.header("content-type") {
            self.faults
                .push(format!("the media type of the manifest: {asked:?}"));
        }
        self.manifests
            .insert((repository.to_owned(), digest.clone()), body.clone());
        self.manifests.insert(key, body);
        answer(201)
            .header("Location", &asked.path)
            .header("Docker-Content-Digest", digest)
    }

    fn upload(
        &mut self,
        asked: &Asked,
        repository: &str,
        id: &str,
        body: Vec<u8>,
        habits: &Habits,
    ) -> Answer {
        let before = habits.location.clone().unwrap_or_default();
        let place = |id: &str, state: u64| {
            format!("{before}/v2/{repository}/blobs/uploads/{id}?_state={state}%2B%3D")
        };
        if asked.method == "POST" {
            if let (Some(digest), Some(from)) = (asked.field("mount"), asked.field("from"))
                && habits.mounts
                && let Some(blob) = self.blobs.get(&(from, digest.clone())).cloned()
            {
                self.blobs
                    .insert((repository.to_owned(), digest.clone()), blob);
                return answer(201).header("Location", format!("/v2/{repository}/blobs/{digest}"));
            }
            self.next += 1;
            let id = self.next.to_string();
            let opened = answer(202)
                .header("Location", place(&id, 0))
                .header("Range", "0-0");
            self.uploads.insert(id, Upload::default());
            return match habits.min_chunk {
                Some(min) => opened.header("OCI-Chunk-Min-Length", min),
                None => opened,
            };
        }
        let Some(upload) = self.uploads.get_mut(id) else {
            return error(
                404,
                "BLOB_UPLOAD_UNKNOWN",
                "blob upload unknown to registry",
            );
        };
        let state = format!("_state={}%2B%3D", upload.state);
        if !asked.query.starts_with(&state) {
            self.faults
                .push(format!("the newest address, with {state}: {asked:?}"));
        }
        let range = |upload: &Upload| {
            let told = if habits.stuck {
                upload.chunks.min(1) * 10
            } else {
                upload.data.len() as u64
            };
            format!("0-{}", told.saturating_sub(1))
        };
        match asked.method.as_str() {
            "GET" if habits.mute => error(404, "BLOB_UPLOAD_UNKNOWN", "no such upload"),
            "GET" => answer(204)
                .header("Location", place(id, upload.state))
                .header("Range", range(upload)),
            "PATCH" => {
                let length = body.len() as u64;
                if let Some(status) = habits.no_chunks {
                    return error(status, "UNSUPPORTED", "no chunks");
                }
                let begin = asked.header("content-range").unwrap_or_default();
                let begin = begin.split('-').next().unwrap_or_default();
                let known = if habits.last_chunk_only {
                    begin.parse().unwrap()
                } else {
                    upload.data.len()
                };
                if begin != known.to_string() || habits.max_chunk.is_some_and(|most| length > most)
                {
                    return error(416, "BLOB_UPLOAD_INVALID", "range not satisfiable");
                }
                if habits.last_chunk_only {
                    upload.data.clear();
                }
                if std::mem::replace(
                    &mut upload.is_last,
                    habits.min_chunk.is_some_and(|min| length < min),
                ) {
                    return error(
                        416,
                        "BLOB_UPLOAD_INVALID",
                        "a chunk before this one was too small",
                    );
                }
                upload.data.extend(body);
                upload.chunks += 1;
                upload.state += 1;
                answer(habits.taken)
                    .header("Location", place(id, upload.state))
                    .header("Range", range(upload))
            }
            "PUT" => {
                upload.data.extend(body);
                let digest = asked.field("digest").unwrap_or_default();
                let upload = self.uploads.remove(id).expect("it was found");
                if Digest::of(&upload.data).to_string() != digest && !habits.last_chunk_only {
                    return error(
                        400,
                        "DIGEST_INVALID",
                        "provided digest did not match uploaded content",
                    );
                }
                let key = (repository.to_owned(), digest.clone());
                self.blobs.insert(key, Arc::new(upload.data));
                let digest = habits.says_digest.clone().unwrap_or(digest);
                let done = answer(201).header("Docker-Content-Digest", &digest);
                if habits.final_location {
                    done.header("Location", format!("/v2/{repository}/blobs/{digest}"))
                } else {
                    done
                }
            }
            _ => error(405, "UNSUPPORTED", "no such method"),
        }
    }
}
