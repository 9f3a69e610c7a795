//! What a client may ask of a registry: each request that a fake gets is checked.
//!
//! Below `/v2/` these are the endpoints of the distribution specification 1.1, and what it says a
//! request must have. Elsewhere are token servers, and servers that registries send on to. What
//! registries hand out, places of uploads and where a blob is to be had, must come back as it was.
//!
//! | requests | end- |
//! |---|---|
//! | `GET /v2/` | 1 |
//! | `GET`, `HEAD` of `blobs/DIGEST`, `manifests/REFERENCE` | 2, 3 |
//! | `POST blobs/uploads/`, with `digest`, or with `mount` and `from` | 4, 11 |
//! | `PATCH`, `PUT`, `GET` of the place of an upload | 5, 6, 13 |
//! | `PUT manifests/REFERENCE` | 7 |
//! | `GET tags/list`, with `n`, `last` | 8 |
//! | `DELETE` of `manifests/REFERENCE`, `blobs/DIGEST` | 9, 10 |
//! | `GET referrers/DIGEST`, with `artifactType` | 12 |
//!
//! What must come before what is in [`flow`].

mod checks;
mod flow;

pub(crate) use checks::Checks;
use modelkit::{digest::Digest, http::Url};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCTETS: &str = "application/octet-stream";

/// A request, as far as it is checked.
#[derive(Clone, Debug)]
pub(crate) struct Asked<'a> {
    pub(crate) method: &'a str,
    /// Path and query; through a proxy a whole address.
    pub(crate) target: &'a str,
    /// Names in lower case.
    pub(crate) headers: Vec<(&'a str, &'a str)>,
    /// Empty where it does not matter.
    pub(crate) body: &'a [u8],
}

/// What is at a path below a repository.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Endpoint<'a> {
    Manifest(&'a str),
    Blob(&'a str),
    Uploads,
    Upload,
    Tags,
    Referrers(&'a str),
}

/// Returns the repository that a path is in, and what it is there.
fn endpoint(path: &str) -> Option<(&str, Endpoint<'_>)> {
    let rest = path.strip_prefix("/v2/")?;
    if let Some((name, place)) = rest.split_once("/blobs/uploads/") {
        let is_open = place.is_empty();
        return Some((
            name,
            if is_open {
                Endpoint::Uploads
            } else {
                Endpoint::Upload
            },
        ));
    }
    if let Some(name) = rest.strip_suffix("/tags/list") {
        return Some((name, Endpoint::Tags));
    }
    let (before, last) = rest.rsplit_once('/')?;
    let (name, kind) = before.rsplit_once('/')?;
    let endpoint = match kind {
        "manifests" => Endpoint::Manifest(last),
        "blobs" => Endpoint::Blob(last),
        "referrers" => Endpoint::Referrers(last),
        _ => return None,
    };
    Some((name, endpoint))
}

/// Returns what is wrong with a request, whatever was before it.
pub(crate) fn faults(asked: &Asked<'_>) -> Vec<&'static str> {
    let mut faults = Faults(Vec::new());
    faults.head(asked);
    let (path, query) = split(asked.target);
    if asked.method == "CONNECT" {
        let port = asked.target.rsplit_once(':').map(|it| it.1.parse::<u16>());
        faults.unless(matches!(port, Some(Ok(_))), "CONNECT takes HOST:PORT");
    } else if path == "/v2/" {
        faults.unless(
            asked.method == "GET" && query.is_empty(),
            "only GET is for /v2/",
        );
    } else if !path.starts_with("/v2/") || (path == "/v2/token" && is_for_tokens(query)) {
        faults.elsewhere(asked, query);
    } else if let Some((name, endpoint)) = endpoint(path) {
        faults.unless(is_name(name), "not the name of a repository");
        faults.at(asked, endpoint, query);
    } else {
        faults.0.push("no endpoint of the specification");
    }
    faults.0
}

struct Faults(Vec<&'static str>);

impl Faults {
    fn unless(&mut self, holds: bool, fault: &'static str) {
        if !holds {
            self.0.push(fault);
        }
    }

    /// What every request must have, and what none may.
    fn head(&mut self, asked: &Asked<'_>) {
        let count = |name| asked.headers.iter().filter(|it| it.0 == name).count();
        self.unless(count("host") == 1, "one Host");
        for name in [
            "authorization",
            "content-length",
            "content-type",
            "range",
            "content-range",
        ] {
            self.unless(count(name) < 2, "a header that is there twice");
        }
        for name in ["cookie", "referer", "from", "x-forwarded-for"] {
            self.unless(count(name) == 0, "a header that tells what it should not");
        }
        let agent = asked.header("user-agent").unwrap_or_default();
        let is_agent = agent
            .strip_prefix("kit/")
            .is_some_and(|it| !it.contains([' ', '(']));
        self.unless(
            is_agent || asked.method == "CONNECT",
            "a User-Agent that tells the program and its version, no more",
        );
        self.unless(!asked.target.contains('#'), "no fragment");
        self.unless(
            asked.header("transfer-encoding").is_none(),
            "a body whose length is told before",
        );
        if matches!(asked.method, "GET" | "HEAD" | "DELETE" | "CONNECT") {
            self.unless(asked.length().unwrap_or(0) == 0, "no body");
            self.unless(
                asked.header("content-type").is_none(),
                "no type without a body",
            );
        }
    }

    /// Servers of tokens and of blobs.
    fn elsewhere(&mut self, asked: &Asked<'_>, query: &str) {
        let proof = asked.header("authorization");
        match asked.method {
            "GET" | "HEAD" => {
                let may = proof.is_none_or(|it| it.starts_with("Basic ") && is_for_tokens(query));
                self.unless(
                    may,
                    "a proof for another than the registry and its token server",
                );
            }
            "POST" => {
                let form =
                    asked.header("content-type") == Some("application/x-www-form-urlencoded");
                self.unless(form, "a form");
                self.unless(proof.is_none(), "a form holds the proof itself");
            }
            // Places of uploads may be anywhere.
            "PATCH" | "PUT" => self.upload(asked, query),
            _ => self.0.push("no method for another server"),
        }
    }

    fn at(&mut self, asked: &Asked<'_>, endpoint: Endpoint<'_>, query: &str) {
        match (asked.method, endpoint) {
            ("GET" | "HEAD", Endpoint::Manifest(reference)) => {
                self.unless(is_reference(reference), "not a tag or digest");
                self.unless(query.is_empty(), "no query");
                let takes = asked.header("accept").unwrap_or_default();
                let mut takes = takes.split(',').map(str::trim);
                self.unless(
                    takes.any(|it| it == MANIFEST),
                    "Accept with the type of manifests",
                );
            }
            ("GET" | "HEAD", Endpoint::Blob(digest)) => {
                self.unless(is_digest(digest), "not a digest");
                self.unless(query.is_empty(), "no query");
                let range = asked.header("range");
                self.unless(
                    range.is_none_or(is_range),
                    "a Range with one range of bytes",
                );
                let encoding = asked.header("accept-encoding");
                self.unless(
                    encoding.is_none_or(|it| it == "identity"),
                    "blobs come as they are",
                );
            }
            ("POST", Endpoint::Uploads) => self.open(asked, query),
            ("PATCH" | "PUT", Endpoint::Upload) => self.upload(asked, query),
            ("GET", Endpoint::Upload | Endpoint::Tags) => {}
            ("PUT", Endpoint::Manifest(reference)) => {
                self.unless(is_reference(reference), "not a tag or digest");
                self.unless(query.is_empty(), "no query");
                let kind = asked.header("content-type");
                self.unless(
                    matches!(kind, Some(MANIFEST | INDEX)),
                    "the type of the manifest",
                );
                self.unless(asked.length().is_some_and(|it| it > 0), "a length");
            }
            ("DELETE", Endpoint::Manifest(reference)) => {
                self.unless(is_reference(reference), "not a tag or digest");
                self.unless(query.is_empty(), "no query");
            }
            ("DELETE", Endpoint::Blob(digest)) => {
                self.unless(is_digest(digest), "not a digest");
                self.unless(query.is_empty(), "no query");
            }
            ("GET", Endpoint::Referrers(digest)) => {
                self.unless(is_digest(digest), "not a digest");
                // Where a list goes on is for the registry to say: those of the tests say `page`.
                let allowed = ["artifactType", "page"];
                self.unless(only(query, &allowed), "only artifactType");
            }
            _ => self.0.push("no method for this endpoint"),
        }
    }

    /// Opening an upload, with all there is to it or without.
    fn open(&mut self, asked: &Asked<'_>, query: &str) {
        let fields = fields(query);
        let names: Vec<&str> = fields.iter().map(|it| it.0.as_str()).collect();
        let value = |name| {
            fields
                .iter()
                .find(|it| it.0 == name)
                .map_or("", |it| it.1.as_str())
        };
        match names.as_slice() {
            [] => self.unless(asked.length() == Some(0), "a length of 0"),
            ["mount", "from"] | ["from", "mount"] => {
                self.unless(asked.length() == Some(0), "a length of 0");
                self.unless(is_digest(value("mount")), "not a digest");
                self.unless(is_name(value("from")), "not the name of a repository");
            }
            ["digest"] => {
                self.unless(is_digest(value("digest")), "not a digest");
                self.unless(asked.length().is_some(), "a length");
                self.unless(
                    asked.header("content-type") == Some(OCTETS),
                    "a body of octets",
                );
            }
            _ => self.0.push("mount and from, a digest, or nothing"),
        }
    }

    /// Bytes for an upload, and its end.
    fn upload(&mut self, asked: &Asked<'_>, query: &str) {
        let length = asked.length();
        self.unless(length.is_some(), "a length");
        let length = length.unwrap_or(0);
        self.unless(
            length == 0 || asked.header("content-type") == Some(OCTETS),
            "a body of octets",
        );
        let range = asked.header("content-range");
        let covers = |text: &str| {
            let (first, last) = text.split_once('-')?;
            let (first, last) = (number(first)?, number(last)?);
            Some(last.checked_add(1)? == first.checked_add(length)?)
        };
        self.unless(
            range.is_none_or(|it| covers(it) == Some(true)),
            "a Content-Range FIRST-LAST of the body's length",
        );
        let digests: Vec<_> = fields(query)
            .into_iter()
            .filter(|it| it.0 == "digest")
            .collect();
        if asked.method == "PUT" {
            let is_one = matches!(digests.as_slice(), [(_, digest)] if is_digest(digest));
            self.unless(is_one, "one digest at the end of an upload");
        } else {
            self.unless(range.is_some(), "a Content-Range");
            self.unless(length > 0, "some bytes");
            self.unless(digests.is_empty(), "no digest before the end of an upload");
        }
    }
}

impl Asked<'_> {
    fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|it| it.0 == name);
        found.map(|it| it.1)
    }

    fn length(&self) -> Option<u64> {
        number(self.header("content-length")?)
    }
}

/// Returns path and query of a target, without the server that stands before it for a proxy.
pub(crate) fn below(target: &str) -> &str {
    let Some((_, rest)) = target.split_once("://") else {
        return target;
    };
    rest.find('/').map_or("/", |at| &rest[at..])
}

fn split(target: &str) -> (&str, &str) {
    let target = below(target);
    target.split_once('?').unwrap_or((target, ""))
}

/// Returns the fields of a query, decoded.
fn fields(query: &str) -> Vec<(String, String)> {
    let url = Url::parse(&format!("http://x/?{query}")).unwrap();
    url.query_pairs().into_owned().collect()
}

/// Tells whether a query has these fields and no others, each at most once.
fn only(query: &str, allowed: &[&str]) -> bool {
    let mut left = allowed.to_vec();
    fields(query).iter().all(|(name, _)| {
        let place = left.iter().position(|it| it == name);
        place.map(|it| left.remove(it)).is_some()
    })
}

fn is_for_tokens(query: &str) -> bool {
    fields(query)
        .iter()
        .any(|it| it.0 == "service" || it.0 == "scope")
}

fn number(text: &str) -> Option<u64> {
    text.bytes()
        .all(|it| it.is_ascii_digit())
        .then(|| text.parse().ok())?
}

/// `bytes=FIRST-LAST`, or to the end.
fn is_range(text: &str) -> bool {
    let range = text
        .strip_prefix("bytes=")
        .and_then(|it| it.split_once('-'));
    range.is_some_and(|(first, last)| {
        let first = number(first).filter(|_| !first.is_empty());
        first.is_some_and(|first| last.is_empty() || number(last).is_some_and(|it| it >= first))
    })
}

fn is_digest(text: &str) -> bool {
    text.parse::<Digest>().is_ok()
}

fn is_reference(text: &str) -> bool {
    let legal = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let is_tag = text.len() <= 128
        && text.starts_with(legal)
        && text.chars().all(|c| legal(c) || c == '.' || c == '-');
    is_tag || is_digest(text)
}

/// Lower-case words, joined by one dot, one or two underscores, or dashes; parts joined by slashes.
fn is_name(text: &str) -> bool {
    let is_part = |part: &str| {
        let inner = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
        let mut signs = part.split(inner).filter(|it| !it.is_empty());
        part.starts_with(inner)
            && part.ends_with(inner)
            && signs.all(|it| matches!(it, "." | "_" | "__") || it.chars().all(|c| c == '-'))
    };
    text.split('/').all(is_part)
}
