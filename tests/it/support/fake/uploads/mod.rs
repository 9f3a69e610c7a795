//! A registry in memory that takes pushes, with the habits that a test gives it.
//!
//! It checks every request against the distribution specification ([`super::spec`]), and keeps what
//! a correct registry would keep. Each connection carries one request.

mod act;
mod serve;

use std::{
    collections::HashMap,
    net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Instant,
};

use modelkit::digest::Digest;
use serve::serve;

use super::spec::{self, Checks};

/// What happens to a request in place of what should.
pub(crate) enum Trouble {
    /// This answer, before the body is read.
    Answer(u16, Vec<(&'static str, String)>, String),
    /// This status, when a MiB of the body was read; the connection stays, and nothing more is read.
    AnswerAndHang(u16),
    /// The connection breaks after so many bytes of the body.
    Cut(u64),
    /// It is done, but the answer is this.
    DoneBut(u16),
    /// It is done, but nobody says so.
    DoneInSilence,
}

type Decide = dyn Fn(&Asked, usize) -> Option<Trouble> + Send + Sync;

/// How a registry behaves. The default is what the specification says.
#[expect(
    clippy::struct_excessive_bools,
    reason = "habits are what a registry does or does not"
)]
pub(crate) struct Habits {
    /// Headers of all answers.
    pub(crate) headers: Vec<(&'static str, &'static str)>,
    /// The most bytes of a body: 413.
    pub(crate) max_body: Option<u64>,
    /// The most bytes of a chunk: 416.
    pub(crate) max_chunk: Option<u64>,
    /// The least bytes of a chunk that is not the last: 416, and told when an upload is opened.
    pub(crate) min_chunk: Option<u64>,
    /// The least bytes of a chunk that is not the last, of which nobody is told.
    pub(crate) min_part: Option<u64>,
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
    /// The media types that manifests may name, if not all.
    pub(crate) types: Option<&'static [&'static str]>,
    /// Whether it lists what refers to a manifest.
    pub(crate) referrers: bool,
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
            min_part: None,
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
            types: None,
            referrers: false,
            trouble: Box::new(|_, _| None),
        }
    }
}

/// A request as it arrived.
#[derive(Clone, Debug)]
pub(crate) struct Asked {
    pub(crate) at: Instant,
    pub(crate) method: String,
    /// What stands before the path: nothing, or what a proxy is told.
    before: String,
    pub(crate) path: String,
    pub(crate) query: String,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    /// Bytes of its body that were read.
    pub(crate) body: u64,
    /// The answer.
    pub(crate) status: u16,
}

impl Asked {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|it| it.0 == name);
        found.map(|it| it.1.as_str())
    }

    fn length(&self) -> Option<u64> {
        self.header("content-length")?.parse().ok()
    }

    /// Returns path and query.
    pub(crate) fn target(&self) -> String {
        let mark = if self.query.is_empty() { "" } else { "?" };
        format!("{}{mark}{}", self.path, self.query)
    }

    /// Returns the request as it is checked.
    fn checked<'a>(&'a self, target: &'a str, body: &'a [u8]) -> spec::Asked<'a> {
        let headers = self.headers.iter();
        spec::Asked {
            method: &self.method,
            target,
            headers: headers.map(|it| (&*it.0, &*it.1)).collect(),
            body,
        }
    }

    /// Returns a field of the query, decoded as far as digests and names need it.
    pub(crate) fn field(&self, name: &str) -> Option<String> {
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
    counts: HashMap<String, usize>,
    next: u64,
}

/// A running registry. It ends with its value.
pub(crate) struct Uploads {
    address: SocketAddr,
    held: Arc<Mutex<Held>>,
    checks: Arc<Checks>,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Uploads {
    pub(crate) fn start(habits: Habits) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (held, end) = (Arc::<Mutex<Held>>::default(), Arc::<AtomicBool>::default());
        let checks = Arc::new(Checks::of(address.port()));
        let habits = Arc::new(habits);
        let thread = thread::spawn({
            let (held, end) = (Arc::clone(&held), Arc::clone(&end));
            let checks = Arc::clone(&checks);
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if end.load(Ordering::SeqCst) {
                        return;
                    }
                    let (held, habits) = (Arc::clone(&held), Arc::clone(&habits));
                    let checks = Arc::clone(&checks);
                    thread::spawn(move || serve(&stream, &held, &habits, &checks));
                }
            }
        });
        Self {
            address,
            held,
            checks,
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

    /// Forgets what was asked, and all that it holds.
    pub(crate) fn forget_all(&self) {
        *self.held.lock().unwrap() = Held::default();
    }

    /// Drops all uploads that are open.
    pub(crate) fn drop_uploads(&self) {
        self.held.lock().unwrap().uploads.clear();
    }

    /// Checks that all requests were as the specification wants them.
    #[track_caller]
    pub(crate) fn is_content(&self) {
        let faults = self.checks.found();
        assert!(faults.is_empty(), "wrong requests:\n{}", faults.join("\n"));
        assert_eq!(
            self.checks.unfinished(),
            [""; 0],
            "lists that were to follow"
        );
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
        if let Some(digest) = manifest["annotations"]["org.modelkit.toc.digest"].as_str() {
            let content = &held.blobs[&(repository.to_owned(), digest.to_owned())];
            assert_eq!(Digest::of(content).to_string(), digest);
        }
    }

    /// Returns the digest of the manifest that a tag names.
    pub(crate) fn digest(&self, repository: &str, tag: &str) -> String {
        let held = self.held.lock().unwrap();
        Digest::of(&held.manifests[&(repository.to_owned(), tag.to_owned())]).to_string()
    }

    /// Returns the names and digests of all manifests that are about another one.
    pub(crate) fn about(&self, repository: &str) -> Vec<(String, serde_json::Value)> {
        let held = self.held.lock().unwrap();
        let all = held.manifests.iter().filter(|(key, _)| key.0 == repository);
        let all = all.map(|(key, bytes)| {
            let document: serde_json::Value = serde_json::from_slice(bytes).unwrap();
            (key.1.clone(), document)
        });
        all.filter(|(_, it)| it.get("subject").is_some()).collect()
    }

    /// Tells whether there is a blob.
    pub(crate) fn has_blob(&self, repository: &str, digest: &str) -> bool {
        let held = self.held.lock().unwrap();
        held.blobs
            .contains_key(&(repository.to_owned(), digest.to_owned()))
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
        let faults = self.checks.found();
        assert!(
            faults.is_empty() || thread::panicking(),
            "wrong requests:\n{}",
            faults.join("\n")
        );
    }
}
