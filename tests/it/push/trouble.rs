//! Networks that break, tokens that end, registries that refuse.

use std::{
    fmt::Write as _,
    sync::atomic::{AtomicUsize, Ordering},
    time::Duration,
};

use snapbox::{assert_data_eq, str};

use super::{CHUNKS, SEVERAL_CHUNKS, count, pack_large, push, refuse, with};
use crate::support::{
    Sandbox,
    fake::{
        Answer, Fake,
        uploads::{Habits, Trouble, Uploads},
    },
    kits,
    logins::{PASSWORD, credentials},
};

const MIB: u64 = 1 << 20;

/// Pushes a kit of several chunks and returns what came of it.
fn push_chunks(habits: Habits) -> (Uploads, crate::support::Output) {
    let (kit, registry) = (Sandbox::new(), Uploads::start(habits));
    let name = format!("{}/team/net:1.0", registry.host());
    pack_large(&kit, &name, SEVERAL_CHUNKS);
    let output = push(&kit, [&*name].into_iter().chain(CHUNKS));
    (registry, output)
}

// hazard: 57, 77
#[test]
fn connections_that_break_cost_no_more_than_a_chunk_each() {
    for keeps_cut in [true, false] {
        let (registry, output) = push_chunks(Habits {
            keeps_cut,
            ..with(move |asked, number| {
                // Where all is lost with the connection, some time it must hold.
                let hits = number % 5 == 2 && (keeps_cut || number < 10);
                (asked.method == "PATCH" && hits).then_some(Trouble::Cut(300_000))
            })
        });
        if keeps_cut {
            output.success();
            assert!(registry.received() < SEVERAL_CHUNKS as u64 + 20_000);
        } else {
            let output = output.exits(0);
            assert!(
                output.stderr.contains("has dropped the upload of"),
                "{output}"
            );
        }
        registry.has_kit("team/net", "1.0");
    }
}

// hazard: 70
#[test]
fn a_registry_that_is_busy_is_asked_again_and_goes_on() {
    for status in [500, 502, 503, 504, 408, 429] {
        let (registry, output) = push_chunks(with(move |asked, number| {
            let hits = match asked.method.as_str() {
                "PATCH" => number % 3 == 1,
                "POST" | "PUT" => number == 0,
                _ => false,
            };
            hits.then(|| refuse(status))
        }));
        output.success();
        registry.has_kit("team/net", "1.0");
        assert!(
            registry.received() < SEVERAL_CHUNKS as u64 + 20_000,
            "{status}"
        );
    }
}

#[test]
fn a_registry_that_wants_to_be_left_alone_is() {
    let (registry, output) = push_chunks(with(|asked, number| {
        (asked.method == "PATCH" && number == 1)
            .then(|| Trouble::Answer(429, vec![("Retry-After", "2".to_owned())], String::new()))
    }));
    output.success();
    let asked = registry.asked();
    let at = asked.iter().position(|it| it.status == 429).unwrap();
    // Nobody asks for anything meanwhile.
    let next = asked[at + 1].at - asked[at].at;
    assert!(next >= Duration::from_millis(1900), "{next:?}");
}

#[test]
fn a_registry_that_is_often_busy_is_never_asked_too_early() {
    // One request in five, of any kind, from several layers at once.
    let registry = Uploads::start(with({
        let all = AtomicUsize::new(0);
        move |_, _| {
            let number = all.fetch_add(1, Ordering::SeqCst);
            (number % 5 == 4)
                .then(|| Trouble::Answer(429, vec![("Retry-After", "1".to_owned())], String::new()))
        }
    }));
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1.0", registry.host());
    let mut kitfile = "datasets:\n".to_owned();
    for number in 0..3 {
        kit.file(
            format!("packed/{number}.bin"),
            number.to_string().repeat(2_000_000),
        );
        writeln!(kitfile, "  - {{name: d{number}, path: {number}.bin}}").unwrap();
    }
    kits::pack_kitfile(&kit, &name, &kitfile);
    push(&kit, [&*name].into_iter().chain(CHUNKS)).success();
    registry.has_kit("team/net", "1.0");
    let asked = registry.asked();
    let busy: Vec<_> = asked.iter().filter(|it| it.status == 429).collect();
    assert!(busy.len() >= 4, "{}", busy.len());
    for refused in busy {
        // What was on its way already when the answer left is nobody's fault.
        let on_its_way = Duration::from_millis(200);
        let early = asked.iter().filter(|it| {
            let after = it.at.saturating_duration_since(refused.at);
            after > on_its_way && after < Duration::from_millis(950)
        });
        assert_eq!(early.count(), 0, "{asked:#?}");
    }
}

#[test]
fn a_registry_that_takes_long_to_close_is_asked_whether_it_did() {
    for trouble in [|| Trouble::DoneBut(504), || Trouble::DoneInSilence] {
        let (registry, output) = push_chunks(with(move |asked, number| {
            (asked.method == "PUT" && number == 0 && asked.is_upload()).then(trouble)
        }));
        output.success();
        registry.has_kit("team/net", "1.0");
        assert!(registry.received() < SEVERAL_CHUNKS as u64 + 20_000);
    }
}

// hazard: 77
#[test]
fn a_registry_that_answers_and_reads_no_more_does_not_hold_up_the_next_try() {
    let registry = Uploads::start(with(|asked, number| {
        (asked.method == "PUT" && asked.is_upload() && number == 0)
            .then_some(Trouble::AnswerAndHang(503))
    }));
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1.0", registry.host());
    // More than the sockets on the way hold.
    pack_large(&kit, &name, 24 << 20);
    let output = push(&kit, [&*name]).exits(0);
    assert!(!output.stderr.contains("no answer for"), "{output}");
    registry.has_kit("team/net", "1.0");
}

#[test]
fn a_registry_that_tells_nonsense_of_an_upload_is_not_believed() {
    for range in [
        "0-99999999999",
        "0-18446744073709551615",
        "0-5242880000",
        "5-1",
        "-1",
        "0--5",
        "bytes",
    ] {
        let (registry, output) = push_chunks(with(move |asked, number| match &*asked.method {
            "PATCH" if number == 1 => Some(refuse(416)),
            "GET" => {
                let place = format!("{}?{}", asked.path, asked.query);
                let headers = vec![("Location", place), ("Range", range.to_owned())];
                Some(Trouble::Answer(204, headers, String::new()))
            }
            _ => None,
        }));
        let _ = output.exits(0);
        registry.has_kit("team/net", "1.0");
    }
}

#[test]
fn an_upload_that_is_lost_starts_over_and_that_is_said() {
    let (registry, output) = push_chunks(with(|asked, number| {
        (asked.method == "PATCH" && number == 3).then_some(Trouble::Cut(0))
    }));
    let output = output.exits(0);
    assert!(output.stderr.contains("it starts over"), "{output}");
    registry.has_kit("team/net", "1.0");
    assert!(registry.received() > SEVERAL_CHUNKS as u64 + 3 * MIB);
}

// hazard: 135
#[test]
fn an_upload_on_another_host_never_sees_the_login() {
    let other = Fake::start(|_| Answer::new(201));
    let place = format!("http://{}", other.host());
    let registry = Uploads::start(Habits {
        location: Some(place),
        ..with(|asked, _| {
            asked.header("authorization").is_none().then(|| {
                Trouble::Answer(
                    401,
                    vec![("WWW-Authenticate", "Basic realm=x".to_owned())],
                    String::new(),
                )
            })
        })
    });
    let mut kit = Sandbox::new();
    kit.env("KIT_USERNAME", "ci");
    kit.env("KIT_PASSWORD", PASSWORD);
    let name = format!("{}/team/net:1.0", registry.host());
    kits::pack(&kit, &name, "weights");
    let output = push(&kit, [&*name]).exits(6);
    assert!(output.stderr.contains("says that it took"), "{output}");
    let sent = other.requests();
    assert!(sent.iter().any(|it| it.method == "PUT"));
    assert!(
        sent.iter().all(|it| it.header("authorization").is_none()),
        "{sent:#?}"
    );
    assert!(!kit.home().join("credentials.json").exists());
    let _ = credentials; // nothing was saved to be read
}

// hazard: 76
#[test]
fn another_digest_than_was_sent_is_noticed() {
    let (registry, output) = push_chunks(Habits {
        says_digest: Some(format!("sha256:{}", "0".repeat(64))),
        ..Habits::default()
    });
    let output = output.exits(6);
    assert!(
        output.stderr.contains("says that it took sha256:0000"),
        "{output}"
    );
    assert!(!registry.names("team/net", "1.0"));
}

#[test]
fn a_registry_that_refuses_is_quoted_and_there_is_something_to_do() {
    let (mut said, kit) = (String::new(), Sandbox::new());
    kits::pack(&kit, "team/net:1.0", "weights");
    let words = |code: &str, text: &str| {
        format!(r#"{{"errors":[{{"code":"{code}","message":"{text}"}}]}}"#)
    };
    for (method, part, status, body) in [
        ("POST", "/blobs/", 403, words("DENIED", "you may only read")),
        (
            "POST",
            "/blobs/",
            404,
            words("NAME_UNKNOWN", "project team not found"),
        ),
        ("PUT", "/blobs/", 413, words("SIZE_INVALID", "too large")),
        ("PATCH", "/blobs/", 413, words("SIZE_INVALID", "too large")),
        (
            "PUT",
            "/manifests/",
            400,
            words("MANIFEST_INVALID", "unknown media type"),
        ),
        (
            "PUT",
            "/manifests/",
            429,
            words("TOOMANYREQUESTS", "slow down"),
        ),
        (
            "PUT",
            "/manifests/",
            403,
            words("DENIED", "tag is immutable"),
        ),
    ] {
        let registry = Uploads::start(with(move |asked, _| {
            let hits = asked.method == method && asked.path.contains(part);
            let headers = vec![("Retry-After", "86400".to_owned())];
            hits.then(|| Trouble::Answer(status, headers, body.clone()))
        }));
        let host = registry.host();
        let name = format!("{host}/team/net:1.0");
        let output = push(&kit, ["team/net:1.0", &name, "-q"]);
        writeln!(said, "{method} {part} {status}").unwrap();
        said += &output.hide(&host, "[HOST]").hide_digests().to_string();
    }
    assert_data_eq!(
        said,
        str![[r#"
POST /blobs/ 403
[stderr]
error: [HOST] does not let us push to team/net: you may only read (DENIED)
hint: run `kit login [HOST]`
[exit 4]
POST /blobs/ 404
[stderr]
error: [HOST]/team/net did not take an upload: it answered 404: project team not found (NAME_UNKNOWN)
hint: some registries want a repository or project to be made before it is pushed to
[exit 3]
PUT /blobs/ 413
[stderr]
error: [HOST]/team/net did not take sha256:[DIGEST]: it answered 413: too large (SIZE_INVALID)
hint: the registry, or a proxy before it, limits the size of requests: try --chunk-size 5MB, or ask for a higher limit
[exit 9]
PATCH /blobs/ 413
Pushed sha256:[DIGEST]
[exit 0]
PUT /manifests/ 400
[stderr]
error: [HOST]/team/net did not take the manifest: it answered 400: unknown media type (MANIFEST_INVALID)
hint: GitLab, Quay and others take only the media types on a list: have those of the manifest added to it, or push with --compat, as a container image that `kit pull` makes a kit of again
[exit 4]
PUT /manifests/ 429
[stderr]
error: http://[HOST] answered 429: slow down (TOOMANYREQUESTS)
hint: try again in 86400 s
[exit 6]
PUT /manifests/ 403
[stderr]
error: [HOST]/team/net did not take the manifest: it answered 403: tag is immutable (DENIED)
hint: `kit login [HOST]` with a login that may write there
[exit 4]

"#]]
    );
}

#[test]
fn a_registry_that_is_not_there_is_named() {
    let kit = Sandbox::new();
    kits::pack(&kit, "team/net:1.0", "weights");
    let output = push(
        &kit,
        ["team/net:1.0", "localhost:1/team/net:1.0", "--retries", "0"],
    )
    .exits(6);
    assert!(
        output.stderr.contains("cannot reach http://localhost:1"),
        "{output}"
    );
}

#[test]
fn a_small_push_asks_no_more_than_it_has_to() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let name = format!("{}/team/net:1.0", registry.host());
    kits::pack(&kit, &name, "weights");
    push(&kit, [&*name]).success();
    let asked = registry.asked();
    let counts = ["HEAD", "POST", "PATCH", "PUT", "GET"].map(|it| count(&asked, it));
    // For each blob: is it there, open, send, is it there; the manifest twice.
    assert_eq!(counts, [5, 2, 0, 3, 0]);
}
