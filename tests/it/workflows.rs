//! Pushing by the distribution specification, from the first request to the last, and what the
//! checks of what must come before what see. The other workflows are in `conformance`.

use crate::{
    copy::referrers::signed,
    support::{
        Sandbox, digest,
        fake::{
            spec::{Asked, Checks},
            uploads::{Habits, Trouble, Uploads},
        },
        kits,
    },
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Returns what was asked, with the ranges that came and went: digests and the numbers of uploads
/// are hidden, the state of an upload is not.
fn asked(registry: &Uploads) -> Vec<String> {
    let hide = |text: &str| {
        let mut text = text.replace("%3A", ":").replace("%2F", "/");
        while let Some(at) = text.find("sha256:") {
            text.replace_range(at..at + 71, "DIGEST");
        }
        text.replace("_state=", "").replace("%2B%3D", "")
    };
    let requests = registry.asked().into_iter();
    let lines = requests.map(|it| {
        let range = it.header("content-range");
        let range = range.map_or(String::new(), |range| format!(" {range}"));
        format!("{} {}{range}: {}", it.method, hide(&it.target()), it.status)
    });
    lines.collect()
}

/// Packs `HOST/team/net:1` with a model of so many bytes and pushes it; one blob after the other.
fn push(registry: &Uploads, bytes: usize, more: &[&str]) -> (Sandbox, String) {
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1", registry.host());
    kits::pack(&kit, &name, &"0123456789abcdef".repeat(bytes / 16));
    let words = ["push", "--plain-http", "--concurrency", "1", &name];
    kit.run(words.iter().chain(more)).success();
    registry.has_kit("team/net", "1");
    (kit, name)
}

#[test]
fn blobs_that_go_whole_are_opened_sent_and_looked_at_and_the_manifest_is_last() {
    let registry = Uploads::start(Habits::default());
    push(&registry, 1 << 20, &[]);
    assert_eq!(
        asked(&registry),
        [
            "HEAD /v2/team/net/manifests/DIGEST: 404",
            "HEAD /v2/team/net/blobs/DIGEST: 404",
            "POST /v2/team/net/blobs/uploads/: 202",
            "PUT /v2/team/net/blobs/uploads/1?0&digest=DIGEST: 201",
            "HEAD /v2/team/net/blobs/DIGEST: 200",
            "HEAD /v2/team/net/blobs/DIGEST: 404",
            "POST /v2/team/net/blobs/uploads/: 202",
            "PUT /v2/team/net/blobs/uploads/2?0&digest=DIGEST: 201",
            "HEAD /v2/team/net/blobs/DIGEST: 200",
            "PUT /v2/team/net/manifests/1: 201",
        ]
    );
}

#[test]
fn chunks_follow_each_other_each_to_the_address_of_the_answer_before() {
    let registry = Uploads::start(Habits::default());
    push(&registry, 3 << 20, &["--chunk-size", "1MiB"]);
    assert_eq!(
        asked(&registry)[2..9],
        [
            "POST /v2/team/net/blobs/uploads/: 202",
            "PATCH /v2/team/net/blobs/uploads/1?0 0-1048575: 202",
            "PATCH /v2/team/net/blobs/uploads/1?1 1048576-2097151: 202",
            "PATCH /v2/team/net/blobs/uploads/1?2 2097152-3145727: 202",
            "PATCH /v2/team/net/blobs/uploads/1?3 3145728-3147263: 202",
            "PUT /v2/team/net/blobs/uploads/1?4&digest=DIGEST: 201",
            "HEAD /v2/team/net/blobs/DIGEST: 200",
        ]
    );
}

#[test]
fn an_upload_that_broke_is_asked_where_it_stands_and_goes_on_there() {
    let registry = Uploads::start(Habits {
        keeps_cut: true,
        trouble: Box::new(|asked, number| {
            (asked.method == "PATCH" && number == 1).then_some(Trouble::Cut(600_000))
        }),
        ..Habits::default()
    });
    push(&registry, 2 << 20, &["--chunk-size", "1MiB"]);
    assert_eq!(
        asked(&registry)[2..8],
        [
            "POST /v2/team/net/blobs/uploads/: 202",
            "PATCH /v2/team/net/blobs/uploads/1?0 0-1048575: 202",
            // It broke: there was no answer.
            "PATCH /v2/team/net/blobs/uploads/1?1 1048576-2097151: 0",
            "GET /v2/team/net/blobs/uploads/1?1: 204",
            "PATCH /v2/team/net/blobs/uploads/1?1 1648576-2098687: 202",
            "PUT /v2/team/net/blobs/uploads/1?2&digest=DIGEST: 201",
        ]
    );
}

#[test]
fn what_another_repository_has_is_mounted_from_there() {
    let registry = Uploads::start(Habits::default());
    let (kit, name) = push(&registry, 1000, &[]);
    registry.forget();
    let other = format!("{}/prod/net:1", registry.host());
    let words = ["push", "--plain-http", "--concurrency", "1", &name, &other];
    kit.run(words).success();
    let asked = asked(&registry);
    assert_eq!(
        asked[1..4],
        [
            "HEAD /v2/prod/net/blobs/DIGEST: 404",
            "POST /v2/prod/net/blobs/uploads/?mount=DIGEST&from=team/net: 201",
            "HEAD /v2/prod/net/blobs/DIGEST: 200",
        ]
    );
    assert_eq!(asked.last().unwrap(), "PUT /v2/prod/net/manifests/1: 201");
    registry.has_kit("prod/net", "1");
}

#[test]
fn what_has_a_subject_comes_after_it_and_onto_the_list_that_the_registry_does_not_keep() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let [subject, signature, _] = signed(&kit);
    let name = format!("{}/team/net:1", registry.host());
    let copy = || {
        let words = ["copy", "--plain-http", "--with-referrers", "oci:folder"];
        kit.run(words.into_iter().chain([&*name])).success();
        registry.has_kit("team/net", "1");
    };
    copy();
    let named: Vec<String> = registry
        .asked()
        .into_iter()
        .filter(|it| it.method == "PUT" && !it.is_upload())
        .map(|it| it.path.rsplit('/').next().unwrap().to_owned())
        .collect();
    let lists = [&subject, &signature].map(|it| it.replace(':', "-"));
    assert_eq!(named.len(), 5, "{named:?}");
    assert_eq!(named[2], "1");
    assert!(lists.iter().all(|it| named[3..].contains(it)), "{named:?}");
    // Once more: the lists are looked at, and are as they should be.
    registry.forget();
    copy();
    let puts = registry.asked().into_iter().filter(|it| it.method == "PUT");
    assert!(puts.map(|it| it.path).all(|it| !it.contains("sha256-")));
}

/// A conversation, and what is wrong with its last request.
struct Talk {
    checks: Checks,
    digest: String,
}

impl Talk {
    /// Begins one with a registry that has nothing.
    fn new(port: u16) -> Self {
        Self {
            checks: Checks::of(port),
            digest: digest(b"x"),
        }
    }

    /// Asks, and gets this answer. Returns what was wrong with asking that.
    fn says(&self, line: &str, range: &str, status: u16, headers: &[(&str, &str)]) -> Vec<String> {
        self.sends(line, range, b"", status, headers)
    }

    /// The same with a body, of which `line` may say how long it is.
    fn sends(
        &self,
        line: &str,
        range: &str,
        body: &[u8],
        status: u16,
        headers: &[(&str, &str)],
    ) -> Vec<String> {
        let line = line.replace("DIGEST", &self.digest);
        let (method, target) = line.split_once(' ').unwrap();
        let length = match range.split_once('-') {
            Some((first, last)) => {
                1 + last.parse::<usize>().unwrap() - first.parse::<usize>().unwrap()
            }
            None if range.is_empty() => body.len(),
            None => range.parse().unwrap(),
        };
        let length = length.to_string();
        let kind = match body {
            [] => "application/octet-stream",
            body if body.starts_with(b"{\"manifests") => INDEX,
            _ => MANIFEST,
        };
        let mut sent = vec![
            ("host", "r.example"),
            ("user-agent", "kit/1.0"),
            ("accept", MANIFEST),
        ];
        if !matches!(method, "GET" | "HEAD" | "DELETE") {
            sent.push(("content-length", &*length));
            sent.push(("content-type", kind));
        }
        if range.contains('-') {
            sent.push(("content-range", range));
        }
        let asked = Asked {
            method,
            target,
            headers: sent,
            body,
        };
        let before = self.checks.found().len();
        self.checks.request(&asked);
        let owned = |it: &(&str, &str)| (it.0.to_owned(), it.1.to_owned());
        let headers: Vec<_> = headers.iter().map(owned).collect();
        self.checks.answer(&asked, status, &headers);
        let found = self.checks.found().split_off(before).into_iter();
        found
            .map(|it| it.split(':').next().unwrap().to_owned())
            .collect()
    }

    /// Checks that a request is as it should be.
    #[track_caller]
    fn is_good(&self, line: &str, range: &str, status: u16, headers: &[(&str, &str)]) {
        assert_eq!(self.says(line, range, status, headers), [""; 0], "{line}");
    }

    /// Checks that a request breaks this rule. The answer says no.
    #[track_caller]
    fn breaks(&self, rule: &str, line: &str, range: &str) {
        assert_eq!(self.says(line, range, 400, &[]), [rule], "{line}");
    }
}

#[test]
fn the_checks_see_an_upload_that_is_not_as_the_answers_before_say() {
    let talk = Talk::new(3);
    let at = |state: u32, more: &str| format!("/v2/a/blobs/uploads/u?s={state}{more}");
    let not_opened = "an upload that was not opened";
    talk.breaks(not_opened, &format!("PATCH {}", at(0, "")), "0-9");
    talk.breaks(not_opened, &format!("PUT {}", at(0, "&digest=DIGEST")), "");
    talk.breaks(not_opened, &format!("GET {}", at(0, "")), "");
    let answer = |status, state, line: &str, range: &str| {
        talk.is_good(line, range, status, &[("Location", &at(state, ""))]);
    };
    answer(202, 0, "POST /v2/a/blobs/uploads/", "");
    let gap = "a chunk that does not follow the one before";
    talk.breaks(gap, &format!("PATCH {}", at(0, "")), "1-9");
    answer(202, 1, &format!("PATCH {}", at(0, "")), "0-9");
    talk.breaks(gap, &format!("PATCH {}", at(1, "")), "0-9");
    talk.breaks(gap, &format!("PATCH {}", at(1, "")), "11-19");
    let old = "not the address that was handed out last";
    talk.breaks(old, &format!("PATCH {}", at(0, "")), "10-19");
    talk.breaks(old, &format!("PUT {}", at(0, "&digest=DIGEST")), "");
    talk.breaks(old, &format!("PATCH {}", at(12, "")), "10-19");
    let no_begin = "the last chunk, and not where it begins";
    talk.breaks(no_begin, &format!("PUT {}", at(1, "&digest=DIGEST")), "7");
    talk.breaks(gap, &format!("PUT {}", at(1, "&digest=DIGEST")), "5-19");
    // Who asks may have lost the newest address, and hears where it stands.
    let newest = at(2, "");
    let told = [("Location", &*newest), ("Range", "0-4")];
    talk.is_good(&format!("GET {}", at(0, "")), "", 204, &told);
    talk.breaks(gap, &format!("PATCH {}", at(2, "")), "6-9");
    answer(202, 3, &format!("PATCH {}", at(2, "")), "5-9");
    let end = format!("PUT {}", at(3, "&digest=DIGEST"));
    talk.is_good(&end, "", 201, &[]);
    talk.breaks("an upload that was ended", &end, "");
    talk.breaks(
        "an upload that was ended",
        &format!("GET {}", at(3, "")),
        "",
    );
}

#[test]
fn the_checks_see_a_manifest_that_comes_too_early_or_is_not_what_it_is_called() {
    let talk = Talk::new(4);
    let blob = format!(r#"{{"digest":"{}"}}"#, talk.digest);
    let manifest = format!(r#"{{"config":{blob},"layers":[{blob}]}}"#);
    let about = format!(r#"{{"config":{blob},"layers":[],"subject":{blob}}}"#);
    let of_manifest = digest(manifest.as_bytes());
    let index = format!(r#"{{"manifests":[{{"digest":"{of_manifest}"}}]}}"#);
    let name = |name: &str, body: &str| {
        let line = format!("PUT /v2/a/manifests/{name}");
        talk.sends(&line, "", body.as_bytes(), 201, &[])
    };
    let early = |body: &str| {
        let line = "PUT /v2/a/manifests/1";
        talk.sends(line, "", body.as_bytes(), 400, &[])
    };
    assert_eq!(early(&manifest), ["a manifest before its blobs"]);
    assert_eq!(early(&index), ["an index before its manifests"]);
    // That another repository has it does not help, and that it is not there less.
    talk.is_good("HEAD /v2/b/blobs/DIGEST", "", 200, &[]);
    talk.is_good("HEAD /v2/a/blobs/DIGEST", "", 404, &[]);
    assert_eq!(early(&manifest), ["a manifest before its blobs"]);
    let mount = |from: &str| format!("POST /v2/a/blobs/uploads/?mount=DIGEST&from={from}");
    talk.breaks("a blob of the repository itself", &mount("a"), "");
    assert_eq!(early(&manifest), ["a manifest before its blobs"]);
    talk.is_good(&mount("b"), "", 201, &[]);
    assert_eq!(name("1", &manifest), [""; 0]);
    assert_eq!(name("1", &index), [""; 0]);
    let other = "a manifest under the digest of another";
    assert_eq!(name(&talk.digest, &manifest), [other]);
    assert_eq!(name(&of_manifest, &manifest), [""; 0]);
    let typed = format!(r#"{{"mediaType":"{INDEX}","layers":[]}}"#);
    let other = "a manifest that says to be of another type";
    assert_eq!(name("2", &typed), [other]);
    assert_eq!(name("3", "no document"), ["a manifest that is no JSON"]);
    // What has a subject is put on a list, where the registry does not say that it did.
    assert_eq!(talk.checks.unfinished(), [""; 0]);
    let line = "PUT /v2/a/manifests/3";
    let kept = [("OCI-Subject", &*talk.digest)];
    assert_eq!(talk.sends(line, "", about.as_bytes(), 201, &kept), [""; 0]);
    assert_eq!(talk.checks.unfinished(), [""; 0]);
    assert_eq!(name("3", &about), [""; 0]);
    let list = talk.digest.replace(':', "-");
    assert_eq!(talk.checks.unfinished(), [&*list]);
    assert_eq!(name(&list, &index), [""; 0]);
    assert_eq!(talk.checks.unfinished(), [""; 0]);
}

#[test]
fn the_checks_see_a_delete_of_what_nobody_looked_at_and_a_second_one() {
    let talk = Talk::new(5);
    let unseen = "a manifest that nobody looked at";
    talk.breaks(unseen, "DELETE /v2/a/manifests/1", "");
    let shown = [("Docker-Content-Digest", &*talk.digest)];
    talk.is_good("HEAD /v2/b/manifests/1", "", 200, &shown);
    talk.is_good("HEAD /v2/a/manifests/1", "", 404, &[]);
    talk.breaks(unseen, "DELETE /v2/a/manifests/1", "");
    talk.is_good("HEAD /v2/a/manifests/1", "", 200, &shown);
    talk.breaks(unseen, "DELETE /v2/a/manifests/2", "");
    for line in ["DELETE /v2/a/manifests/1", "DELETE /v2/a/manifests/DIGEST"] {
        // What is refused may be asked for again, and what is done may not.
        talk.is_good(line, "", 503, &[]);
        talk.is_good(line, "", 202, &[]);
        talk.breaks("a manifest that is gone already", line, "");
    }
}
