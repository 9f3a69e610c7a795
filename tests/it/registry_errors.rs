//! What is said when a registry cannot be reached, or says no: the kind of failure, the host, the
//! registry's own words, one next step, and the exit code. By `kit info --remote`, which stands for
//! all commands that ask registries.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    thread,
};

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output,
    fake::{
        Answer, Fake,
        documents::{Documents, MANIFEST, manifest},
    },
    logins::{PASSWORD, registry, sandbox},
    registry::{RealRegistry, Setup},
};

/// Asks for `team/net:1.0` on `host`, once.
fn ask(host: &str, flags: &[&str]) -> Output {
    let kit = sandbox();
    let name = format!("{host}/team/net:1.0");
    let words = [&["info", "-r", &name, "--retries", "0"], flags].concat();
    kit.run(words).hide(host, "[HOST]")
}

/// Asks a registry that always answers this.
fn answered(answer: Answer) -> Output {
    let registry = Fake::start(move |_| answer.clone());
    ask(&registry.host(), &[])
}

fn said(status: u16, code: &str, message: &str) -> Answer {
    Answer::new(status).body(format!(
        r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#
    ))
}

#[test]
fn who_has_no_login_is_told_to_log_in() {
    assert_data_eq!(
        answered(Answer::wants_basic()),
        str![[r#"
[stderr]
error: [HOST] asks for a login
hint: run `kit login [HOST]`
[exit 4]

"#]]
    );
    let denied = said(403, "DENIED", "requested access to the resource is denied");
    assert_data_eq!(
        answered(denied),
        str![[r#"
[stderr]
error: [HOST] does not let us pull from team/net: requested access to the resource is denied (DENIED)
hint: run `kit login [HOST]`
[exit 4]

"#]]
    );
}

// hazard: 138
#[test]
fn a_login_that_is_not_taken_is_told_in_the_registrys_words() {
    for status in [401, 403] {
        let code = if status == 401 {
            "UNAUTHORIZED"
        } else {
            "DENIED"
        };
        let answer = said(status, code, "no longer").header("WWW-Authenticate", "Basic realm=x");
        let fake = Fake::start(move |request| match request.basic() {
            None => Answer::wants_basic(),
            Some(_) => answer.clone(),
        });
        let mut kit = sandbox();
        kit.env("KIT_USERNAME", "ci");
        kit.env("KIT_PASSWORD", PASSWORD);
        let host = fake.host();
        let name = format!("{host}/team/net:1.0");
        let output = kit
            .run(["info", "-r", &name, "--plain-http", "-vvv"])
            .exits(4);
        let shown = output.to_string();
        assert!(!shown.contains(PASSWORD), "{output}");
        let told: Vec<_> = output
            .stderr
            .lines()
            .filter(|it| !it.starts_with("trace"))
            .collect();
        let told = told.join("\n").replace(&host, "[HOST]");
        let expected = format!(
            "error: [HOST] does not let this login pull from team/net: no longer ({code})\n\
             hint: the login is that of KIT_USERNAME and KIT_PASSWORD: check them"
        );
        assert!(told.ends_with(&expected), "{told}");
    }
}

#[test]
fn what_is_not_there_is_told_as_such() {
    assert_data_eq!(
        answered(said(404, "MANIFEST_UNKNOWN", "manifest unknown")),
        str![[r#"
[stderr]
error: [HOST] has no team/net:1.0: manifest unknown (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
    assert_data_eq!(
        answered(said(404, "NAME_UNKNOWN", "no such name")),
        str![[r#"
[stderr]
error: [HOST] has no team/net:1.0: no such name (NAME_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
    assert_data_eq!(
        answered(Answer::new(404).body("<html>404</html>")),
        str![[r#"
[stderr]
error: [HOST] has no team/net:1.0
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
    let mut documents = Documents::new();
    documents.tag("1.0", MANIFEST, &manifest("x"));
    let registry = Fake::start(move |request| documents.answer(request));
    let output = ask(&registry.host(), &[]).hide_digests();
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
error: [HOST] has no blob sha256:[DIGEST] in team/net
hint: the kit is not complete there: push it again
[exit 5]

"#]]
    );
}

// hazard: 70, 133
#[test]
fn a_registry_that_is_busy_or_broken_is_worth_another_try_later() {
    let limited = said(429, "TOOMANYREQUESTS", "pull rate limit");
    assert_data_eq!(
        answered(limited.clone()),
        str![[r#"
[stderr]
error: http://[HOST] answered 429: pull rate limit (TOOMANYREQUESTS)
hint: try again later
[exit 6]

"#]]
    );
    assert_data_eq!(
        answered(limited.header("Retry-After", "3600")),
        str![[r#"
[stderr]
error: http://[HOST] answered 429: pull rate limit (TOOMANYREQUESTS)
hint: try again in 3600 s
[exit 6]

"#]]
    );
    assert_data_eq!(
        answered(Answer::new(503)),
        str![[r#"
[stderr]
error: http://[HOST] answered 503
hint: try again later
[exit 6]

"#]]
    );
    assert_data_eq!(
        answered(Answer::new(500).body("out of \u{1b}[5morder")),
        str![[r#"
[stderr]
error: http://[HOST] answered 500: out of /x1b[5morder
hint: try again later
[exit 6]

"#]]
    );
    // What is no failure of now is none of later.
    assert_data_eq!(
        answered(Answer::new(418)),
        str![[r#"
[stderr]
error: http://[HOST] answered 418
hint: check that it is a registry; -vvv tells what was asked
[exit 6]

"#]]
    );
}

#[test]
fn a_host_that_is_not_there_is_named() {
    assert_data_eq!(
        ask("no.such.invalid", &[]),
        str![[r#"
[stderr]
error: cannot reach https://[HOST]: no such host
hint: check the name; behind a company's proxy set HTTPS_PROXY or --proxy
[exit 6]

"#]]
    );
    let free = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = free.local_addr().unwrap().to_string();
    drop(free);
    assert_data_eq!(
        ask(&host, &[]),
        str![[r#"
[stderr]
error: cannot reach https://[HOST]: Connection refused (os error 111)
hint: check host and port, and whether it is running
[exit 6]

"#]]
    );
}

// hazard: 140
#[test]
#[cfg(target_os = "linux")] // where 0.0.0.0 is this machine, but no loopback address
fn tls_to_what_speaks_none_is_not_given_up_silently() {
    let registry = registry();
    let host = format!("0.0.0.0:{}", registry.port());
    assert_data_eq!(
        ask(&host, &[]),
        str![[r#"
[stderr]
error: cannot reach https://[HOST]: it does not speak TLS
hint: if it is meant to be spoken to in clear, say so with --plain-http
[exit 6]

"#]]
    );
    assert!(registry.requests().is_empty());
}

// hazard: 139
#[test]
fn clear_text_to_what_speaks_tls_is_told_so() {
    // As TLS libraries answer: an alert.
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let server = thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        let _ = stream.read(&mut [0; 4096]).unwrap();
        stream.write_all(&[0x15, 3, 1, 0, 2, 2, 70]).unwrap();
    });
    assert_data_eq!(
        ask(&host, &["--plain-http"]),
        str![[r#"
[stderr]
error: cannot reach http://[HOST]: invalid HTTP version parsed
hint: it seems to speak TLS: leave --plain-http out
[exit 6]

"#]]
    );
    server.join().unwrap();
    // As web servers do, that see what happens.
    let words = "The plain HTTP request was sent to HTTPS port";
    let polite = Fake::start(move |_| Answer::new(400).body(words));
    assert_data_eq!(
        ask(&polite.host(), &["--plain-http"]),
        str![[r#"
[stderr]
error: http://[HOST] answered 400: The plain HTTP request was sent to HTTPS port
hint: it seems to speak TLS: leave --plain-http out
[exit 6]

"#]]
    );
    let Some(registry) = RealRegistry::start(&Setup {
        tls: true,
        ..Setup::default()
    }) else {
        return;
    };
    assert_data_eq!(
        ask(&registry.host(), &["--plain-http"]),
        str![[r#"
[stderr]
error: http://[HOST] answered 400: Client sent an HTTP request to an HTTPS server.
hint: it seems to speak TLS: leave --plain-http out
[exit 6]

"#]]
    );
}

// hazard: 139
#[test]
fn a_certificate_that_is_not_trusted_says_why() {
    let Some(registry) = RealRegistry::start(&Setup {
        tls: true,
        ..Setup::default()
    }) else {
        return;
    };
    assert_data_eq!(
        ask(&registry.host(), &[]),
        str![[r#"
[stderr]
error: cannot reach https://[HOST]: its certificate is not trusted: its authority is not known here
hint: if the registry has an authority of its own, name it with --ca-file FILE
[exit 6]

"#]]
    );
    let authority = registry.path("ca.pem");
    let flags = ["--ca-file", authority.to_str().unwrap()];
    let other = registry.host().replace("localhost", "127.0.0.1");
    assert_data_eq!(
        ask(&other, &flags),
        str![[r#"
[stderr]
error: cannot reach https://[HOST]: its certificate is not trusted: it belongs to another host
hint: this name is not in its certificate: use the one that is
[exit 6]

"#]]
    );
    let _ = ask(&registry.host(), &flags).exits(3);
}

// hazard: 60, 69, 122
#[test]
fn answers_that_are_no_answers_are_refused() {
    assert_data_eq!(
        answered(Answer::new(200).body("<html>hotel: log in</html>")),
        str![[r#"
[stderr]
error: the manifest of team/net:1.0 on [HOST] cannot be used
  caused by: manifest is malformed
  caused by: expected value at line 1 column 1
hint: push it again, unless something on the way answers in the registry's place: -vvv shows who
[exit 5]

"#]]
    );
    let away = Answer::new(302).header("Location", "file:///etc/passwd");
    assert_data_eq!(
        answered(away),
        str![[r#"
[stderr]
error: http://[HOST] redirects to file:: only http and https are spoken
hint: check the name; if it is right, ask who runs the registry
[exit 6]

"#]]
    );
    let round = Answer::new(302).header("Location", "/v2/team/net/manifests/1.0");
    assert_data_eq!(
        answered(round),
        str![[r#"
[stderr]
error: http://[HOST] redirects to http://[HOST]: there are too many redirects
hint: check the name; if it is right, ask who runs the registry
[exit 6]

"#]]
    );
    let huge = Answer::new(200).large(5 << 20);
    assert_data_eq!(
        answered(huge),
        str![[r#"
[stderr]
error: http://[HOST] sent more than the 4194304 bytes that are read of such an answer
[exit 9]

"#]]
    );
    let lying = said(200, "X", "y").header(
        "Docker-Content-Digest",
        format!("sha256:{}", "0".repeat(64)),
    );
    assert_data_eq!(
        answered(lying).hide_digests(),
        str![[r#"
[stderr]
error: http://[HOST] sent content with the digest sha256:[DIGEST] in place of sha256:[DIGEST]
hint: what the registry holds, or something on the way, is not as it was pushed
[exit 5]

"#]]
    );
}
