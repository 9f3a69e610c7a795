//! The workflows of the distribution specification, and what the checks of them see.
//!
//! Every fake checks what it is asked, in all tests; here are the workflows as wholes, with the
//! requests that belong to them.

use std::{
    io::{Read as _, Write as _},
    net::TcpStream,
    sync::Mutex,
};

use crate::support::{
    Sandbox, digest,
    fake::{
        Answer, Fake,
        documents::{Documents, MANIFEST, config, tags},
        spec::{Asked, Checks, faults},
    },
    kits,
    logins::{PASSWORD, login, sandbox},
};

/// Returns method and target of all requests, digests hidden, each once where the same one follows
/// itself.
fn asked(registry: &Fake) -> Vec<String> {
    let requests = registry.requests().into_iter();
    let mut lines: Vec<String> = requests
        .map(|it| {
            let line = format!("{} {}", it.method, it.target);
            match line.split_once("sha256:") {
                Some((before, _)) => format!("{before}DIGEST"),
                None => line,
            }
        })
        .collect();
    lines.dedup();
    lines
}

/// Returns a request with these headers and those that all have.
fn ask<'a>(method: &'a str, target: &'a str, headers: &[(&'a str, &'a str)]) -> Asked<'a> {
    let mut all = vec![("host", "r.example"), ("user-agent", "kit/1.0")];
    all.extend(headers);
    Asked {
        method,
        target,
        headers: all,
        body: b"",
    }
}

/// Starts a registry with two kits under three tags, which come on two pages, and deletes.
fn registry() -> Fake {
    let mut documents = Documents::new();
    documents
        .kit("1.0", "net")
        .kit("prod", "net")
        .kit("2.0", "other");
    let documents = Mutex::new(documents);
    Fake::start(move |request| {
        let mut documents = documents.lock().unwrap();
        match (request.method.as_str(), request.target.as_str()) {
            ("GET", "/v2/team/net/tags/list?n=1000") => tags(["1.0", "2.0"]).header(
                "Link",
                "</v2/team/net/tags/list?n=1000&last=2.0>; rel=\"next\"",
            ),
            ("GET", "/v2/team/net/tags/list?n=1000&last=2.0") => tags(["prod"]),
            ("DELETE", target) => {
                documents.untag(target.rsplit('/').next().unwrap());
                Answer::new(202)
            }
            _ => documents.answer(request),
        }
    })
}

#[test]
fn content_discovery_asks_for_tags_page_by_page_and_then_for_documents() {
    let (registry, kit) = (registry(), sandbox());
    let name = format!("{}/team/net", registry.host());
    kit.run(["list", &name, "--concurrency", "1"]).success();
    assert_eq!(
        asked(&registry),
        [
            "GET /v2/team/net/tags/list?n=1000",
            "GET /v2/team/net/tags/list?n=1000&last=2.0",
            "GET /v2/team/net/manifests/1.0",
            "GET /v2/team/net/blobs/DIGEST",
            "GET /v2/team/net/manifests/2.0",
            "GET /v2/team/net/blobs/DIGEST",
            "GET /v2/team/net/manifests/prod",
            "GET /v2/team/net/blobs/DIGEST",
        ]
    );
}

#[test]
fn one_kit_is_looked_at_with_two_requests() {
    let kit = sandbox();
    for command in ["info", "inspect"] {
        let registry = registry();
        let name = format!("{}/team/net:1.0", registry.host());
        kit.run([command, "-r", &name]).success();
        assert_eq!(
            asked(&registry),
            [
                "GET /v2/team/net/manifests/1.0",
                "GET /v2/team/net/blobs/DIGEST"
            ]
        );
    }
    let registry = registry();
    let names = ["1.0", "2.0"].map(|tag| format!("remote://{}/team/net:{tag}", registry.host()));
    kit.run(["diff", &names[0], &names[1]]).success();
    assert_eq!(
        asked(&registry),
        [
            "GET /v2/team/net/manifests/1.0",
            "GET /v2/team/net/manifests/2.0"
        ]
    );
}

#[test]
fn content_management_deletes_tags_by_name_and_kits_by_digest() {
    let (registry, kit) = (registry(), sandbox());
    let name = format!("{}/team/net", registry.host());
    let tag = format!("{name}:1.0");
    kit.run(["remove", "-r", &tag]).success();
    assert_eq!(
        asked(&registry),
        [
            "HEAD /v2/team/net/manifests/1.0",
            "DELETE /v2/team/net/manifests/1.0",
            "HEAD /v2/team/net/manifests/DIGEST",
        ]
    );
    let tag = format!("{name}:prod");
    kit.run(["remove", "-r", "--force", &tag]).success();
    let mut asked = asked(&registry);
    // Several at a time.
    asked[6..8].sort_unstable();
    assert_eq!(
        asked[3..],
        [
            "HEAD /v2/team/net/manifests/prod",
            "GET /v2/team/net/tags/list?n=1000",
            "GET /v2/team/net/tags/list?n=1000&last=2.0",
            "HEAD /v2/team/net/manifests/1.0",
            "HEAD /v2/team/net/manifests/2.0",
            // Whether it has a table of contents, which goes with it.
            "GET /v2/team/net/manifests/DIGEST",
            "DELETE /v2/team/net/manifests/DIGEST",
        ]
    );
}

#[test]
fn a_pull_asks_for_what_is_not_there_yet_and_a_second_one_for_the_manifest_alone() {
    let maker = Sandbox::new();
    let manifest = kits::pack(&maker, "net:1", "weights");
    let store = maker.store();
    let text = |digest: &str| String::from_utf8(store.blob(digest)).unwrap();
    let (of_config, layers) = kits::blobs(&maker, &manifest);
    let mut documents = Documents::new();
    documents
        .blob(&text(&of_config))
        .blob(&text(&layers[0]))
        .tag("1", MANIFEST, &text(&manifest));
    let registry = Fake::start(move |request| documents.answer(request));
    let kit = sandbox();
    let name = format!("{}/team/net:1", registry.host());
    kit.run(["pull", &name]).success();
    let first = asked(&registry);
    assert_eq!(
        first,
        [
            "GET /v2/team/net/manifests/1",
            "GET /v2/team/net/blobs/DIGEST",
        ]
    );
    kit.run(["pull", &name]).success();
    assert_eq!(asked(&registry)[2], "GET /v2/team/net/manifests/1");
}

#[test]
fn a_token_is_fetched_once_and_shown_to_the_registry_alone() {
    let mut documents = Documents::new();
    documents.kit("1.0", "net");
    let tokens = Fake::start(|_| Answer::new(200).body(r#"{"token":"of-the-test"}"#));
    let realm = format!("http://{}/token", tokens.host());
    let elsewhere = Fake::start(|_| Answer::new(200).body(config("net")));
    let blob = format!("/v2/team/net/blobs/{}", digest(config("net").as_bytes()));
    let place = format!(
        "http://{}/held/blob?signature=a%2Fb&until=9",
        elsewhere.host()
    );
    let registry = Fake::start(move |request| {
        if request.header("authorization") != Some("Bearer of-the-test") {
            return Answer::wants_bearer(&realm);
        }
        if request.path() == blob {
            return Answer::new(307).header("Location", place.as_str());
        }
        documents.answer(request)
    });
    let kit = sandbox();
    let host = registry.host();
    let server = tokens.host();
    login(&kit, &host, ["--plain-http", "--token-server", &server]).success();
    let name = format!("{host}/team/net:1.0");
    let output = kit
        .run(["info", "-r", &name, "-vvv", "--plain-http"])
        .exits(0);
    let said = output.to_string();
    for secret in [PASSWORD, "of-the-test", "a%2Fb", "a/b"] {
        assert!(!said.contains(secret), "{secret} in {output}");
    }
    let pair = format!("ci:{PASSWORD}");
    let asked = tokens.requests();
    assert!(asked.iter().all(|it| it.basic().as_deref() == Some(&*pair)));
    let sent = elsewhere.requests();
    assert_eq!(sent.len(), 1);
    assert_eq!(sent[0].target, "/held/blob?signature=a%2Fb&until=9");
    assert_eq!(sent[0].header("authorization"), None);
}

#[test]
fn what_was_handed_out_must_come_back_and_a_proof_must_be_asked_for() {
    let checks = Checks::of(1);
    let proof = [("authorization", "Bearer x")];
    let (length, accept) = (("content-length", "0"), ("accept", MANIFEST));
    let open = ask("POST", "/v2/a/blobs/uploads/", &[length]);
    checks.request(&open);
    let place = (
        "Location".to_owned(),
        "/v2/a/blobs/uploads/x?s=a%2Fb&t=1".to_owned(),
    );
    checks.answer(&open, 202, &[place]);
    let ends = |query: &str| {
        format!(
            "/v2/a/blobs/uploads/x?{query}&digest=sha256:{}",
            "0".repeat(64)
        )
    };
    checks.request(&ask("PUT", &ends("s=a%2Fb&t=1"), &[length]));
    let other = Checks::of(2);
    checks.answer(
        &open,
        307,
        &[(
            "Location".to_owned(),
            "http://127.0.0.1:2/blob?s=1".to_owned(),
        )],
    );
    other.request(&ask("GET", "/blob?s=1", &[]));
    assert_eq!((checks.found().len(), other.found().len()), (0, 0));
    for (number, query) in ["s=a%2Fb", "s=a/b&t=1", "t=1&s=a%2Fb", "s=a%2Fb&t=12"]
        .iter()
        .enumerate()
    {
        checks.request(&ask("PUT", &ends(query), &[length]));
        assert_eq!(checks.found().len(), number + 1, "{query}");
    }
    other.request(&ask("GET", "/blob", &[]));
    assert_eq!(other.found().len(), 1);
    let manifest = ask("GET", "/v2/a/manifests/1", &[accept, proof[0]]);
    other.request(&manifest);
    assert_eq!(other.found().len(), 2);
    other.answer(
        &manifest,
        401,
        &[("WWW-Authenticate".to_owned(), "Basic".to_owned())],
    );
    other.request(&manifest);
    assert_eq!(other.found().len(), 2);
    for (query, is_fault) in [
        ("n=5", false),
        ("n=5&last=b", false),
        ("next=7", true),
        ("n=1&n=2", true),
    ] {
        let before = other.found().len();
        other.request(&ask("GET", &format!("/v2/a/tags/list?{query}"), &[]));
        assert_eq!(other.found().len() > before, is_fault, "{query}");
    }
}

#[test]
#[should_panic(expected = "no endpoint of the specification: GET /v2/_catalog")]
fn a_fake_that_got_a_wrong_request_fails_when_it_ends() {
    let fake = Fake::start(|_| Answer::new(200));
    let mut stream = TcpStream::connect(fake.host()).unwrap();
    stream
        .write_all(b"GET /v2/_catalog HTTP/1.1\r\n\r\n")
        .unwrap();
    stream.read_to_end(&mut Vec::new()).unwrap();
}

#[test]
fn the_checks_see_what_must_not_be() {
    let digest = format!("sha256:{}", "0".repeat(64));
    let accept = ("accept", MANIFEST);
    let octets = ("content-type", "application/octet-stream");
    let form = ("content-type", "application/x-www-form-urlencoded");
    let of_manifest = ("content-type", MANIFEST);
    let length = |text| ("content-length", text);
    let check = |line: &str, headers: &[(&str, &str)]| {
        let line = line.replace("DIGEST", &digest);
        let (method, target) = line.split_once(' ').unwrap();
        faults(&ask(method, target, headers))
    };
    for (line, headers) in [
        ("GET /v2/", &[][..]),
        ("GET /v2/a/b-c.d__e/manifests/1.0", &[accept]),
        ("HEAD /v2/a/manifests/DIGEST", &[accept]),
        ("GET /v2/a/blobs/DIGEST", &[("range", "bytes=0-99")]),
        ("GET /v2/a/blobs/DIGEST", &[("range", "bytes=7-")]),
        ("POST /v2/a/blobs/uploads/", &[length("0")]),
        (
            "POST /v2/a/blobs/uploads/?mount=DIGEST&from=b%2Fc",
            &[length("0")],
        ),
        (
            "POST /v2/a/blobs/uploads/?digest=DIGEST",
            &[length("9"), octets],
        ),
        (
            "PATCH /v2/a/blobs/uploads/x?s=1",
            &[length("9"), octets, ("content-range", "0-8")],
        ),
        (
            "PUT /v2/a/blobs/uploads/x?s=1&digest=DIGEST",
            &[length("0")],
        ),
        ("PUT /elsewhere?s=1&digest=DIGEST", &[length("9"), octets]),
        ("GET /v2/a/blobs/uploads/x?s=1", &[]),
        ("PUT /v2/a/manifests/1", &[length("9"), of_manifest]),
        ("DELETE /v2/a/manifests/1", &[]),
        ("DELETE /v2/a/blobs/DIGEST", &[]),
        ("GET /v2/a/referrers/DIGEST?artifactType=x", &[]),
        (
            "GET /token?service=r&scope=s",
            &[("authorization", "Basic eDp5")],
        ),
        ("POST /token", &[form, length("9")]),
        ("GET http://r.example/v2/", &[]),
        ("CONNECT r.example:443", &[]),
    ] {
        assert_eq!(check(line, headers), [""; 0], "{line}");
    }
    for (line, headers) in [
        ("POST /v2/", &[][..]),
        ("GET /v2/_catalog", &[]),
        ("GET /v2/A/manifests/1", &[accept]),
        ("GET /v2/a..b/manifests/1", &[accept]),
        ("GET /v2//a/manifests/1", &[accept]),
        ("GET /v2/a/manifests/1", &[]),
        ("GET /v2/a/manifests/-1", &[accept]),
        ("GET /v2/a/manifests/1?x=1", &[accept]),
        ("GET /v2/a/manifests/sha256:12", &[accept]),
        ("GET /v2/a/manifests/1", &[accept, ("cookie", "a=b")]),
        ("GET /v2/a/manifests/1", &[accept, ("host", "two")]),
        (
            "GET /v2/a/manifests/1",
            &[accept, ("authorization", "a"), ("authorization", "b")],
        ),
        ("GET /v2/a/manifests/1", &[accept, length("1")]),
        ("GET /v2/a/blobs/1.0", &[]),
        ("GET /v2/a/blobs/DIGEST", &[("range", "bytes=9-0")]),
        ("GET /v2/a/blobs/DIGEST", &[("range", "bytes=0-1,5-6")]),
        ("GET /v2/a/blobs/DIGEST", &[("range", "bytes=-5")]),
        ("GET /v2/a/blobs/DIGEST", &[("accept-encoding", "gzip")]),
        ("POST /v2/a/blobs/uploads", &[length("0")]),
        ("POST /v2/a/blobs/uploads/", &[]),
        ("POST /v2/a/blobs/uploads/?mount=DIGEST", &[length("0")]),
        ("POST /v2/a/blobs/uploads/?mount=x&from=b", &[length("0")]),
        ("PATCH /v2/a/blobs/uploads/x", &[length("9"), octets]),
        (
            "PATCH /v2/a/blobs/uploads/x",
            &[length("9"), octets, ("content-range", "0-9")],
        ),
        (
            "PATCH /v2/a/blobs/uploads/x",
            &[length("9"), octets, ("content-range", "bytes 0-8/9")],
        ),
        (
            "PATCH /v2/a/blobs/uploads/x",
            &[octets, ("transfer-encoding", "chunked")],
        ),
        ("PUT /v2/a/blobs/uploads/x", &[length("0")]),
        (
            "PUT /v2/a/blobs/uploads/x?digest=DIGEST&digest=DIGEST",
            &[length("0")],
        ),
        ("PUT /v2/a/blobs/uploads/x?digest=DIGEST", &[length("9")]),
        ("PUT /v2/a/manifests/1", &[length("9"), octets]),
        ("PUT /v2/a/manifests/1", &[of_manifest]),
        ("DELETE /v2/a/tags/list", &[]),
        ("DELETE /v2/a/blobs/uploads/x", &[]),
        ("GET /v2/a/referrers/1.0", &[]),
        ("GET /blob?signature=s", &[("authorization", "Basic eDp5")]),
        ("GET /blob?signature=s", &[("authorization", "Bearer x")]),
        ("POST /token", &[form, ("authorization", "Basic eDp5")]),
        ("CONNECT r.example", &[]),
    ] {
        assert_ne!(check(line, headers), [""; 0], "{line}");
    }
    let agents = ["curl/8", "kit/1.0 (linux; host)", ""];
    for agent in agents {
        let headers = vec![("host", "r.example"), ("user-agent", agent)];
        let asked = Asked {
            method: "GET",
            target: "/v2/",
            headers,
            body: b"",
        };
        assert_ne!(faults(&asked), [""; 0], "{agent}");
    }
}
