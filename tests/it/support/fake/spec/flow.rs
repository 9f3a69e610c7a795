//! What a request may be after those before it: the workflows of the specification.
//!
//! | rule | ends |
//! |---|---|
//! | an upload is opened before bytes come, and its end is its end | 4a, 5, 6 |
//! | bytes go to the address that was handed out last | 5, 6 |
//! | chunks follow each other without a gap, and the last one says where it begins, too | 5, 6 |
//! | a blob comes from another repository, not from itself | 11 |
//! | a manifest comes after its blobs, and an index after its manifests, under its own digest | 7 |
//! | who names a subject where the registry keeps no list puts it on the list under a tag | 7 |
//! | what is deleted was looked at before, and is not gone already | 9 |

use std::collections::{BTreeSet, HashSet};

use modelkit::digest::Digest;

use super::{Asked, Endpoint, endpoint, fields, number, split};

/// What a server was asked so far, and what it answered.
#[derive(Debug, Default)]
pub(super) struct Flow {
    uploads: Vec<Upload>,
    /// What it said that it has, by repository and digest.
    blobs: HashSet<(String, String)>,
    /// The same, by repository and tag or digest.
    manifests: HashSet<(String, String)>,
    gone: HashSet<(String, String)>,
    /// Tags of the lists that are to follow.
    lists: Vec<(String, String)>,
}

#[derive(Debug)]
struct Upload {
    /// Path and query, the newest last.
    places: Vec<(String, String)>,
    /// Where it may stand: what was answered last, and what was told since.
    stands: BTreeSet<u64>,
    is_over: bool,
}

impl Upload {
    /// Whether this is one of its addresses.
    fn is_at(&self, path: &str) -> bool {
        self.places.iter().any(|place| place.0 == path)
    }

    /// Whether this is the last of its addresses, with what belongs to its end.
    fn is_newest(&self, path: &str, query: &str) -> bool {
        let newest = self.places.last().expect("it has one from the beginning");
        let rest = query.strip_prefix(&*newest.1);
        let ends = |rest: &str| newest.1.is_empty() || rest.is_empty() || rest.starts_with('&');
        newest.0 == path && rest.is_some_and(ends)
    }
}

impl Flow {
    /// Tells whether this is an address of an upload that was opened here.
    pub(super) fn knows(&self, asked: &Asked<'_>) -> bool {
        let (path, _) = split(asked.target);
        self.uploads.iter().any(|it| it.is_at(path))
    }

    /// Returns what is wrong with a request after those before it.
    pub(super) fn faults(&self, asked: &Asked<'_>) -> Vec<&'static str> {
        let (path, query) = split(asked.target);
        let Some((repository, endpoint)) = endpoint(path) else {
            return Vec::new();
        };
        let key = |name: &str| (repository.to_owned(), name.to_owned());
        let mut faults = Vec::new();
        match (asked.method, endpoint) {
            ("PATCH" | "PUT" | "GET", Endpoint::Upload) => {
                faults.extend(self.of_upload(asked, path, query));
            }
            ("POST", Endpoint::Uploads) => {
                let from = fields(query).into_iter().find(|it| it.0 == "from");
                if from.is_some_and(|it| it.1 == repository) {
                    faults.push("a blob of the repository itself");
                }
            }
            ("PUT", Endpoint::Manifest(reference)) => {
                faults.extend(self.of_manifest(asked, repository, reference));
            }
            ("DELETE", Endpoint::Manifest(reference)) => {
                if self.gone.contains(&key(reference)) {
                    faults.push("a manifest that is gone already");
                } else if !self.manifests.contains(&key(reference)) {
                    faults.push("a manifest that nobody looked at");
                }
            }
            _ => {}
        }
        faults
    }

    fn of_upload(&self, asked: &Asked<'_>, path: &str, query: &str) -> Option<&'static str> {
        let Some(upload) = self.uploads.iter().rev().find(|it| it.is_at(path)) else {
            return Some("an upload that was not opened");
        };
        let length = asked.length().unwrap_or(0);
        let range = asked.header("content-range");
        let begin = range.and_then(|it| number(it.split_once('-')?.0));
        let stands = |at: u64| upload.stands.contains(&at);
        if upload.is_over {
            return Some("an upload that was ended");
        }
        // Who has lost the last answer asks with an older address.
        if asked.method == "GET" {
            return None;
        }
        if !upload.is_newest(path, query) {
            return Some("not the address that was handed out last");
        }
        match begin {
            Some(begin) if !stands(begin) => Some("a chunk that does not follow the one before"),
            None if length > 0 && !stands(0) => Some("the last chunk, and not where it begins"),
            _ => None,
        }
    }

    fn of_manifest(
        &self,
        asked: &Asked<'_>,
        repository: &str,
        reference: &str,
    ) -> Option<&'static str> {
        // One that was refused before it came is not looked into.
        if asked.body.is_empty() {
            return None;
        }
        let Ok(document) = serde_json::from_slice::<serde_json::Value>(asked.body) else {
            return Some("a manifest that is no JSON");
        };
        let digests = |field: &str| -> Vec<(String, String)> {
            let entries = match &document[field] {
                serde_json::Value::Array(entries) => entries.clone(),
                serde_json::Value::Null => Vec::new(),
                one => vec![one.clone()],
            };
            let digest = |it: &serde_json::Value| it["digest"].as_str().unwrap_or("").to_owned();
            let keys = entries.iter().map(|it| (repository.to_owned(), digest(it)));
            keys.collect()
        };
        let mut blobs = [digests("config"), digests("layers")].concat().into_iter();
        let is_index = document.get("manifests").is_some();
        // Lists of referrers may name what is not there.
        let is_list = reference.starts_with("sha256-");
        let mut parts = digests("manifests").into_iter();
        if !blobs.all(|it| self.blobs.contains(&it)) {
            Some("a manifest before its blobs")
        } else if is_index && !is_list && !parts.all(|it| self.manifests.contains(&it)) {
            Some("an index before its manifests")
        } else if reference.contains(':') && reference != Digest::of(asked.body).to_string() {
            Some("a manifest under the digest of another")
        } else if document["mediaType"]
            .as_str()
            .is_some_and(|it| Some(it) != asked.header("content-type"))
        {
            Some("a manifest that says to be of another type")
        } else {
            None
        }
    }

    /// Notes an answer. `location` is the path and query of one that is on this server.
    pub(super) fn answer(
        &mut self,
        asked: &Asked<'_>,
        status: u16,
        headers: &[(String, String)],
        location: Option<(String, String)>,
    ) {
        let (path, query) = split(asked.target);
        let Some((repository, endpoint)) = endpoint(path) else {
            return;
        };
        let header = |name: &str| {
            let mut found = headers.iter().filter(|it| it.0.eq_ignore_ascii_case(name));
            found.next().map(|it| it.1.as_str())
        };
        let key = |name: &str| (repository.to_owned(), name.to_owned());
        let field = |name: &str| fields(query).into_iter().find(|it| it.0 == name);
        let is_good = (200..300).contains(&status);
        match (asked.method, endpoint) {
            ("POST", Endpoint::Uploads) if status == 201 => {
                let blob = field("mount").or_else(|| field("digest"));
                self.blobs.extend(blob.map(|it| key(&it.1)));
            }
            ("POST", Endpoint::Uploads) if status == 202 => {
                self.uploads.extend(location.map(|place| Upload {
                    places: vec![place],
                    stands: BTreeSet::from([0]),
                    is_over: false,
                }));
            }
            ("PATCH" | "PUT" | "GET", Endpoint::Upload) => {
                let found = self.uploads.iter_mut().rev().find(|it| it.is_at(path));
                let Some(upload) = found else { return };
                if is_good && asked.method == "PUT" {
                    upload.is_over = true;
                    self.blobs.extend(field("digest").map(|it| key(&it.1)));
                    return;
                }
                if is_good && asked.method == "PATCH" {
                    let range = asked.header("content-range").unwrap_or_default();
                    let end = range.split_once('-').and_then(|it| number(it.1));
                    upload.stands = end.map(|it| it.saturating_add(1)).into_iter().collect();
                }
                // `0-0` is one byte, and what many say of none.
                let last = header("range").and_then(|it| number(it.split_once('-')?.1));
                upload.stands.extend(last.map(|it| it.saturating_add(1)));
                upload.stands.extend(last.filter(|it| *it == 0));
                upload.places.extend(location.filter(|_| is_good));
            }
            ("HEAD" | "GET", Endpoint::Blob(digest)) if status < 400 => {
                self.blobs.insert(key(digest));
            }
            ("HEAD" | "GET" | "PUT", Endpoint::Manifest(reference)) if is_good => {
                let digest = header("docker-content-digest").map(key);
                let sent = Some(key(&Digest::of(asked.body).to_string()));
                for known in [Some(key(reference)), digest, sent].into_iter().flatten() {
                    self.gone.remove(&known);
                    self.manifests.insert(known);
                }
                self.lists.retain(|it| *it != key(reference));
                let document = serde_json::from_slice::<serde_json::Value>(asked.body);
                let document = document.unwrap_or_default();
                let subject = document["subject"]["digest"].as_str();
                if let (Some(subject), None) = (subject, header("oci-subject")) {
                    self.lists.push(key(&subject.replace(':', "-")));
                }
            }
            ("DELETE", Endpoint::Manifest(reference)) if is_good => {
                self.manifests.remove(&key(reference));
                self.gone.insert(key(reference));
            }
            _ => {}
        }
    }

    /// Returns the tags of lists that were to follow and did not.
    pub(super) fn lists_to_follow(&self) -> impl Iterator<Item = &str> {
        self.lists.iter().map(|it| &*it.1)
    }
}
