//! `kit login`: what a registry asks for, and what it gets.

use std::{
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use snapbox::{assert_data_eq, str};

use crate::support::{
    fake::{Answer, Fake},
    logins::{PASSWORD, credentials, login, registry, sandbox},
    registry::{RealRegistry, Setup},
};

#[test]
fn a_login_that_a_real_registry_takes_is_kept_and_no_other() {
    let Some(registry) = RealRegistry::start(&Setup {
        user: Some(("ci", PASSWORD)),
        ..Setup::default()
    }) else {
        return;
    };
    let (kit, host) = (sandbox(), registry.host());
    let words = ["login", &host, "-u", "ci", "--password-stdin"];
    let wrong = kit.run_with(words, b"wrong").hide(&host, "[HOST]");
    assert_data_eq!(
        wrong,
        str![[r#"
[stderr]
error: http://[HOST] refused the login with 401: authentication required (UNAUTHORIZED)
hint: check name and password; many registries want an access token as the password
[exit 4]

"#]]
    );
    assert!(!kit.home().join("credentials.json").exists());
    assert_data_eq!(
        login(&kit, &host, []).hide(&host, "[HOST]"),
        str![[r#"
Log in successful
[stderr]
warning: the login was sent to [HOST] in clear: it does not speak TLS
warning: the login is kept unencrypted in [HOME]/credentials.json; a credential helper would keep it better
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["login", &host, "--check"]).hide(&host, "[HOST]"),
        str![[r#"
Logged in to [HOST] as `ci`, by [HOME]/credentials.json
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["logout", &host]).hide(&host, "[HOST]"),
        str![[r#"
Successfully logged out from [HOST]
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["logout", &host]).hide(&host, "[HOST]"),
        str![[r#"
There was no login for [HOST]
[exit 0]

"#]]
    );
    let _ = kit.run(["login", &host, "--check"]).exits(3);
}

#[test]
fn a_registry_that_asks_for_no_login_is_told() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, host) = (sandbox(), registry.host());
    let output = login(&kit, &host, ["--format", "json"]);
    assert!(
        output.stderr.contains("asks nobody for a login"),
        "{output}"
    );
    let report = output.json();
    assert_eq!(report["tried"], false);
    assert_eq!(report["username"], "ci");
}

#[test]
fn without_a_password_and_a_terminal_there_is_nothing_to_try() {
    let kit = sandbox();
    assert_data_eq!(
        kit.run(["login", "registry.example", "-u", "ci"]),
        str![[r#"
[stderr]
error: no password was given, and there is no terminal to ask on
hint: give it with --password-stdin, or name and password in KIT_USERNAME and KIT_PASSWORD
[exit 2]

"#]]
    );
    for (words, message) in [
        (
            "login r.example -u a -p b --password-stdin",
            "cannot use both --password and --password-stdin",
        ),
        (
            "login r.example -u a --password-stdin",
            "there is no password on standard input",
        ),
        ("login r.example -u a:b -p c", "`a:b` has a colon"),
        (
            "login https://r.example/v1/ -p x",
            "is an address, not the name of a registry",
        ),
        ("login r.example/team -p x", "registry"),
        ("login r.example --check -u a", "cannot be used with"),
    ] {
        let output = kit.run(words.split(' ')).exits(2);
        assert!(output.stderr.contains(message), "{words}: {output}");
    }
}

#[test]
fn name_and_password_may_come_from_the_environment_and_flags_beat_it() {
    let (mut kit, registry) = (sandbox(), registry());
    kit.env("KIT_USERNAME", "ci");
    kit.env("KIT_PASSWORD", PASSWORD);
    let check = kit.run(["login", &registry.host(), "--check"]);
    assert!(!check.stdout.contains(PASSWORD));
    // In clear, only a login that was made so may be sent again.
    assert_data_eq!(
        check.hide(&registry.host(), "[HOST]"),
        str![[r#"
[stderr]
error: the login for [HOST] would be sent in clear: it does not speak TLS
hint: log in again, `kit login [HOST]`, or allow it with --plain-http
[exit 4]

"#]]
    );
    let check = kit.run(["login", &registry.host(), "--check", "--plain-http"]);
    assert!(
        check.stdout.contains("by KIT_USERNAME and KIT_PASSWORD"),
        "{check}"
    );
    kit.run(["login", &registry.host()]).success();
    let _ = kit.run(["login", &registry.host(), "-u", "other"]).exits(4);
    let output = kit.run(["login", &registry.host(), "-p", "wrong"]).exits(4);
    assert!(
        output
            .stderr
            .contains("Using --password via CLI is insecure"),
        "{output}"
    );
}

/// Starts a registry and, under another name of this machine, its token server, which takes
/// the password for the token `t-1`, and an identity token for it, too.
fn with_token_server(realm_at: impl Fn(u16) -> String + Send + Sync + 'static) -> (Fake, Fake) {
    let server = Fake::start(|request| {
        let identity = request.body.contains("refresh_token=identity-token");
        let known = request.basic() == Some(format!("ci:{PASSWORD}"));
        if known || identity {
            Answer::new(200).body(r#"{"token":"t-1","expires_in":300}"#)
        } else {
            Answer::new(401).body(r#"{"details":"incorrect username or password"}"#)
        }
    });
    let realm = realm_at(server.port());
    let registry = Fake::start(move |request| match request.header("authorization") {
        Some("Bearer t-1") => Answer::new(200),
        _ => Answer::wants_bearer(&realm),
    });
    (registry, server)
}

// hazard: 137, 138
#[test]
fn a_token_is_asked_for_with_the_password_and_the_registry_sees_only_the_token() {
    let kit = sandbox();
    let (registry, server) = with_token_server(|port| format!("http://127.0.0.1:{port}/token?x=1"));
    login(&kit, &registry.host(), []).success();
    let asked = server.requests();
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].method, "GET");
    assert_eq!(asked[0].target, "/token?x=1&service=test&account=ci");
    for request in registry.requests() {
        assert_eq!(request.path(), "/v2/");
        assert!(request.basic().is_none(), "{request:?}");
        let agent = concat!("kit/", env!("CARGO_PKG_VERSION"));
        assert_eq!(request.header("user-agent"), Some(agent));
    }
    let wrong = kit.run(["login", &registry.host(), "-u", "ci", "-p", "no"]);
    assert_data_eq!(
        wrong.exits(4).hide(&server.host(), "[SERVER]"),
        str![[r#"
[stderr]
warning: Using --password via CLI is insecure. Consider using --password-stdin instead
error: http://[SERVER] refused the login with 401: incorrect username or password
hint: check name and password; many registries want an access token as the password
[exit 4]

"#]]
    );
}

#[test]
fn a_password_without_a_name_is_an_identity_token() {
    let kit = sandbox();
    let (registry, server) = with_token_server(|port| format!("http://127.0.0.1:{port}/token"));
    let words = ["login", &registry.host(), "--password-stdin"];
    kit.run_with(words, b"identity-token\r\n").success();
    let asked = server.requests();
    assert_eq!(asked[0].method, "POST");
    assert_eq!(
        asked[0].body,
        "service=test&grant_type=refresh_token&client_id=kit&refresh_token=identity-token"
    );
    assert!(asked[0].header("authorization").is_none());
    let entry = &credentials(&kit)["auths"][registry.host()];
    assert_eq!(entry["identitytoken"], "identity-token");
    let check = kit.run(["login", &registry.host(), "--check"]).success();
    assert!(check.contains("with a token"), "{check}");
}

// hazard: 137
#[test]
fn a_foreign_token_server_gets_no_password_until_it_is_trusted() {
    let kit = sandbox();
    let (registry, server) = with_token_server(|port| format!("http://localhost:{port}/token"));
    assert_data_eq!(
        login(&kit, &registry.host(), []).hide(&registry.host(), "[HOST]"),
        str![[r#"
[stderr]
error: [HOST] asks to send the login to localhost, which is another host
hint: if you trust it with your password: `kit login [HOST] --token-server localhost`
[exit 4]

"#]]
    );
    assert!(server.requests().is_empty());
    login(&kit, &registry.host(), ["--token-server", "localhost"]).success();
    assert_eq!(server.requests().len(), 1);
    // What was decided then holds from now on.
    kit.run(["login", &registry.host(), "--check"]).success();
    assert_eq!(server.requests().len(), 2);
}

// hazard: 137
#[test]
fn a_token_server_at_an_address_of_nobody_is_refused() {
    for realm in [
        "http://169.254.169.254/token",
        "http://[fe80::1]/token",
        "http://0.0.0.0/token",
    ] {
        let registry = Fake::start(move |_| Answer::wants_bearer(realm));
        let output = login(&sandbox(), &registry.host(), []).exits(4);
        let expected = "which is an address that no token server has";
        assert!(output.stderr.contains(expected), "{output}");
    }
}

// hazard: 136
#[test]
fn a_redirect_to_another_origin_goes_on_without_the_login() {
    let elsewhere = Fake::start(|_| Answer::new(200));
    let target = format!("http://{}/elsewhere", elsewhere.host());
    let registry = Fake::start(move |request| match request.basic() {
        Some(_) => Answer::new(307).header("Location", &*target),
        None => Answer::wants_basic(),
    });
    let kit = sandbox();
    login(&kit, &registry.host(), []).success();
    let seen = elsewhere.requests();
    assert_eq!(seen.len(), 1);
    assert_eq!(seen[0].header("authorization"), None);
}

// hazard: 136
#[test]
fn whoever_is_redirected_to_cannot_ask_for_the_login() {
    let elsewhere = Fake::start(|_| Answer::wants_basic());
    let target = format!("http://{}/v2/", elsewhere.host());
    let registry = Fake::start(move |_| Answer::new(301).header("Location", &*target));
    let output = login(&sandbox(), &registry.host(), []).exits(6);
    assert!(
        output.stderr.contains("asks for a login of its own"),
        "{output}"
    );
    assert_eq!(elsewhere.requests().len(), 1);
}

// hazard: 69
#[test]
fn redirects_that_lead_nowhere_good_are_not_followed() {
    for (location, problem) in [
        ("/v2/", "there are too many redirects"),
        ("file:///etc/passwd", "only http and https are spoken"),
        (
            "http://169.254.169.254/latest",
            "this machine's own addresses",
        ),
        ("http://[", "that is no address"),
    ] {
        let registry = Fake::start(move |_| Answer::new(302).header("Location", location));
        let output = login(&sandbox(), &registry.host(), []).exits(6);
        assert!(output.stderr.contains(problem), "{output}");
        assert!(
            registry.requests().len() <= 6,
            "{}",
            registry.requests().len()
        );
    }
}

// hazard: 133
#[test]
fn a_challenge_that_cannot_be_understood_is_quoted_harmlessly() {
    for challenge in [
        "Bearer",
        "Bearer realm=\"https://a",
        "\"\"\"",
        "Negotiate",
        "Bearer realm=\"ftp://x\"",
        "Bearer realm=\"\u{202e}\"",
    ] {
        let registry = Fake::start(move |_| Answer::new(401).header("WWW-Authenticate", challenge));
        let output = login(&sandbox(), &registry.host(), []);
        assert!([4, 6].contains(&output.code), "{challenge}: {output}");
        assert!(!output.stderr.contains('\u{202e}'), "{output}");
    }
    let registry = Fake::start(|_| Answer::new(401));
    let output = login(&sandbox(), &registry.host(), []).exits(6);
    assert!(output.stderr.contains("it does not say"), "{output}");
}

// hazard: 133
#[test]
fn what_is_no_registry_is_called_so() {
    let server = Fake::start(|_| Answer::new(404).body("<html>\x1b[2Jnot here</html>"));
    let output = login(&sandbox(), &server.host(), []).hide(&server.host(), "[HOST]");
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
error: http://[HOST] is not a registry: it answered 404 to /v2/
hint: check host and port: the name of a repository is not part of them
[exit 6]

"#]]
    );
    let server = Fake::start(|_| Answer::new(418).body("I am\x1b[2J a teapot"));
    let output = login(&sandbox(), &server.host(), []).exits(6);
    assert!(output.stderr.contains("I am\\x1b[2J a teapot"), "{output}");
}

// hazard: 123, 125
#[test]
fn bodies_without_end_are_cut() {
    let many: u64 = 300 << 20;
    let registry = Fake::start(move |_| Answer::new(403).large(many));
    let output = login(&sandbox(), &registry.host(), []).exits(4);
    assert!(output.stderr.len() < 2000, "{}", output.stderr.len());

    let server = Fake::start(move |_| Answer::new(200).large(many));
    let realm = format!("http://{}/token", server.host());
    let registry = Fake::start(move |_| Answer::wants_bearer(&realm));
    let output = login(&sandbox(), &registry.host(), []).exits(9);
    assert!(output.stderr.contains("1048576 bytes"), "{output}");
}

// hazard: 70
#[test]
fn a_registry_that_is_busy_is_asked_again_when_it_said() {
    let first = AtomicBool::new(true);
    let registry = Fake::start(move |request| {
        if first.swap(false, Ordering::SeqCst) {
            Answer::new(429).header("Retry-After", "1")
        } else {
            crate::support::logins::by_password(request)
        }
    });
    let output = login(&sandbox(), &registry.host(), []).exits(0);
    assert!(
        output
            .stderr
            .contains("answered 429; trying again in 1.0 s"),
        "{output}"
    );
    let times: Vec<_> = registry.requests().iter().map(|it| it.at).collect();
    assert!(times[1] - times[0] >= Duration::from_secs(1));
}

// hazard: 70
#[test]
fn nobody_waits_a_day_and_retries_are_counted() {
    let registry = Fake::start(|_| Answer::new(429).header("Retry-After", "86400"));
    let output = login(&sandbox(), &registry.host(), []).exits(6);
    assert!(
        output.stderr.contains("hint: try again in 86400 s"),
        "{output}"
    );
    assert_eq!(registry.requests().len(), 1);

    let registry = Fake::start(|_| Answer::new(503));
    let _ = login(&sandbox(), &registry.host(), ["--retries", "1"]).exits(6);
    assert_eq!(registry.requests().len(), 2);
}

// hazard: 138
#[test]
fn no_output_holds_a_secret_whatever_happens() {
    let encoded = {
        use base64::Engine as _;
        let pair = format!("ci:{PASSWORD}");
        base64::engine::general_purpose::STANDARD.encode(pair)
    };
    let echo = {
        let encoded = encoded.clone();
        move |_: &crate::support::fake::Recorded| {
            Answer::new(403).body(format!("no {PASSWORD} and no {encoded} for you"))
        }
    };
    let echoing = Fake::start(echo);
    let asking = format!("http://{}/token", echoing.host());
    let with_echo = Fake::start(move |_| Answer::wants_bearer(&asking));
    let basic = Fake::start(|request| match request.basic() {
        Some(_) => Answer::new(401).body(format!("{}{PASSWORD}", "x".repeat(390))),
        None => Answer::wants_basic(),
    });
    let (tokens, _server) = with_token_server(|port| format!("http://127.0.0.1:{port}/token"));
    let redirecting = Fake::start(|_| {
        Answer::new(302).header(
            "Location",
            format!("http://u:{PASSWORD}@[::2]:1/?sig={PASSWORD}"),
        )
    });
    let good = registry();
    let mut seen = String::new();
    for host in [&with_echo, &basic, &tokens, &redirecting, &good].map(Fake::host) {
        let kit = sandbox();
        for output in [
            login(&kit, &host, ["-vvv", "--retries", "0"]),
            login(
                &kit,
                &host,
                ["-vvv", "--retries", "0", "--progress", "json"],
            ),
            login(&kit, &host, ["-vvv", "--retries", "0", "--format", "json"]),
            kit.run(["login", &host, "--check", "-vvv"]),
            kit.run(["logout", &host, "-vvv"]),
        ] {
            seen += &output.to_string();
        }
    }
    assert!(seen.contains("trace: GET http://"), "{seen}");
    for secret in [
        PASSWORD,
        &PASSWORD[..9],
        &encoded[..20],
        "t-1\"",
        "Bearer t-1",
    ] {
        assert!(!seen.contains(secret), "`{secret}` in:\n{seen}");
    }
}
