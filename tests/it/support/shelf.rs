//! A registry that hands out what is in a store, counts what it sends, and breaks when it is told to.

use std::{
    fs,
    ops::Range,
    path::PathBuf,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use super::{
    Layout, Sandbox,
    fake::{Answer, Fake, MANIFEST, Recorded, asked_blob, part, refusal},
};

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

impl Rules {
    /// Returns rules for blobs alone.
    pub(crate) fn for_blobs(decide: impl Fn(&Asked) -> Fate + Send + Sync + 'static) -> Self {
        Self {
            blobs: Some(Box::new(decide)),
            ..Self::default()
        }
    }
}

struct Shared {
    rules: Rules,
    store: PathBuf,
    blobs: Mutex<Vec<String>>,
    tokens: Mutex<Vec<Instant>>,
    logins: AtomicUsize,
}

/// The registry. It ends with its value.
pub(crate) struct StoreShelf {
    fake: Fake,
    shared: Arc<Shared>,
}

impl StoreShelf {
    /// Hands out the store of `kit`, whatever is in it at the time. Its kits are to be called
    /// `HOST/REPOSITORY:TAG`, with the [`StoreShelf::host`] of this one.
    pub(crate) fn of(kit: &Sandbox, rules: Rules) -> Self {
        let shared = Arc::new(Shared {
            rules,
            store: kit.store().path().to_owned(),
            blobs: Mutex::default(),
            tokens: Mutex::default(),
            logins: AtomicUsize::new(0),
        });
        let fake = Fake::start({
            let shared = Arc::clone(&shared);
            move |request| shared.answer(request)
        });
        Self { fake, shared }
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        self.fake.host()
    }

    /// Returns how many bytes were sent, with all headers.
    pub(crate) fn sent(&self) -> u64 {
        self.fake.wire()
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

impl Shared {
    fn answer(&self, request: &Recorded) -> Answer {
        let (path, host) = (request.path(), request.header("host").unwrap());
        if path == "/token" {
            if request.header("authorization").is_some() {
                self.logins.fetch_add(1, Ordering::SeqCst);
            }
            let mut tokens = self.tokens.lock().unwrap();
            tokens.push(Instant::now());
            let number = tokens.len() - 1;
            return Answer::new(200).body(format!(r#"{{"token":"t{number}","expires_in":300}}"#));
        }
        if !self.lets_in(request.header("authorization")) {
            return Answer::wants_bearer(&format!("http://{host}/token")).body("{}");
        }
        if let Some(digest) = asked_blob(request) {
            return self.blob(digest, request);
        }
        let below = path.strip_prefix("/v2/").unwrap_or_default();
        match below.split_once("/manifests/") {
            Some((repository, name)) => self.manifest(&format!("{host}/{repository}"), name),
            None => Answer::new(200).body("{}"),
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

    fn manifest(&self, repository: &str, name: &str) -> Answer {
        let layout = Layout::at(&self.store);
        let digest = if name.starts_with("sha256:") {
            Some(name.to_owned())
        } else {
            layout.names().get(&format!("{repository}:{name}")).cloned()
        };
        let found = digest.filter(|digest| layout.blob_path(digest).exists());
        match found {
            Some(digest) => {
                let bytes = layout.blob(&digest).into();
                part(&bytes, None).header("Content-Type", MANIFEST)
            }
            None => Answer::new(404)
                .body(r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"no such thing"}]}"#),
        }
    }

    fn blob(&self, digest: &str, request: &Recorded) -> Answer {
        let before = {
            let mut blobs = self.blobs.lock().unwrap();
            blobs.push(digest.to_owned());
            blobs.len() - 1
        };
        let Ok(mut content) = fs::read(Layout::at(&self.store).blob_path(digest)) else {
            return refusal(404, "BLOB_UNKNOWN");
        };
        let range = request.range(content.len());
        let asked = Asked {
            digest: digest.to_owned(),
            range: range.clone().map(|it| it.start as u64..it.end as u64),
            before,
        };
        let decide = self.rules.blobs.as_deref();
        let fate = decide.map_or(Fate::Fine, |decide| decide(&asked));
        if fate == Fate::Wrong {
            content[range.as_ref().map_or(0, |it| it.start)] ^= 1;
        }
        let content: Arc<[u8]> = content.into();
        let after = |bytes: u64| usize::try_from(bytes).unwrap();
        match fate {
            Fate::Status(status) => Answer::new(status).body("{}"),
            Fate::Whole => part(&content, None),
            Fate::Cut(bytes) => part(&content, range).cut(after(bytes)),
            Fate::Silent(bytes) => part(&content, range).hang(after(bytes)),
            Fate::Fine | Fate::Wrong => part(&content, range),
        }
    }
}
