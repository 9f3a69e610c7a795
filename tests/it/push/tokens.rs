//! Tokens and passwords that end while a blob is on its way.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use super::{CHUNKS, SEVERAL_CHUNKS, pack_large, push, refuse, with};
use crate::support::{
    Sandbox,
    fake::{
        Answer, Fake,
        uploads::{Trouble, Uploads},
    },
    logins::{PASSWORD, helper, sandbox},
};

/// Installs a helper that gives another password each time it is asked; returns how often it was.
fn counting_helper(kit: &Sandbox, host: &str) -> impl Fn() -> usize {
    let state = kit.path("asked");
    let script = format!(
        "n=; test -r {0} && read n < {0}; echo \"x$n\" > {0}; \
         echo \"{{\\\"Username\\\":\\\"ci\\\",\\\"Secret\\\":\\\"{PASSWORD}x$n\\\"}}\"",
        state.display()
    );
    helper(kit, "cloud", &script);
    let file = kit.home().join("credentials.json");
    let config = serde_json::json!({"credHelpers": {host: "cloud"}});
    std::fs::write(file, config.to_string()).unwrap();
    move || std::fs::read_to_string(&state).unwrap().trim().len()
}

#[test]
fn tokens_that_end_after_a_moment_are_no_hindrance() {
    // The figure that is promised is that of 5 s within 60: `KIT_TEST_TOKEN_SECONDS=5`.
    let life = std::env::var("KIT_TEST_TOKEN_SECONDS").ok();
    let life: u64 = life.map_or(1, |it| it.parse().unwrap());
    thread::scope(|scope| {
        for old in [401, 403] {
            scope.spawn(move || push_with_short_tokens(old, Duration::from_secs(life)));
        }
    });
}

/// Pushes for at least five times as long as a token lasts; each password is good for two tokens.
fn push_with_short_tokens(old: u16, life: Duration) {
    let given = Arc::new(Mutex::new(HashMap::new()));
    let used = Mutex::new(HashMap::new());
    let server = Fake::start({
        let given = Arc::clone(&given);
        move |request| {
            let shown = request.basic().unwrap();
            assert!(shown.starts_with(&format!("ci:{PASSWORD}x")));
            let mut used = used.lock().unwrap();
            let times: &mut u32 = used.entry(shown).or_default();
            *times += 1;
            if *times > 2 {
                return Answer::new(401);
            }
            let mut given = given.lock().unwrap();
            let token = format!("t{}", given.len());
            given.insert(format!("Bearer {token}"), Instant::now());
            Answer::new(200).body(format!(r#"{{"token":"{token}","expires_in":300}}"#))
        }
    });
    let realm = format!(
        r#"Bearer realm="http://{}/token",service="test""#,
        server.host()
    );
    let registry = Uploads::start(with(move |asked, _| {
        let given = given.lock().unwrap();
        let shown = asked.header("authorization").and_then(|it| given.get(it));
        let challenge = vec![("WWW-Authenticate", realm.clone())];
        match (asked.header("authorization"), shown) {
            (Some(_), Some(since)) if since.elapsed() < life => None,
            (Some(_), _) if old == 403 => Some(refuse(403)),
            _ => Some(Trouble::Answer(401, challenge, String::new())),
        }
    }));
    let (kit, host) = (sandbox(), registry.host());
    let asked = counting_helper(&kit, &host);
    let name = format!("{host}/team/net:1.0");
    pack_large(&kit, &name, SEVERAL_CHUNKS);
    let rate = (SEVERAL_CHUNKS as u64 / (life.as_secs() * 12)).to_string();
    let began = Instant::now();
    let words = [
        &*name,
        "-vvv",
        "--chunk-size",
        "256KiB",
        "--max-rate",
        &rate,
    ];
    let output = push(&kit, words).exits(0);
    let took = began.elapsed();
    registry.has_kit("team/net", "1.0");
    assert!(took > life * 5, "the rate is kept: {took:?}");
    assert!(registry.received() < SEVERAL_CHUNKS as u64 + 20_000);
    assert!(!output.stderr.contains(PASSWORD) && !output.stderr.contains("Bearer t"));
    let tokens = server.requests().len();
    assert!(tokens > 5 && asked() > 2, "{tokens} {}", asked());
    println!(
        "{old}: {took:.1?}, {tokens} tokens, helper asked {} times",
        asked()
    );
}

#[test]
fn a_token_that_ends_within_a_blob_is_replaced() {
    // The second kind answers 403 to an old token, and says nothing more.
    for old in [401, 403] {
        let given = Arc::new(AtomicUsize::new(0));
        let server = Fake::start({
            let given = Arc::clone(&given);
            move |request| {
                assert_eq!(request.basic(), Some(format!("ci:{PASSWORD}")));
                let number = given.fetch_add(1, Ordering::SeqCst);
                Answer::new(200).body(format!(r#"{{"token":"t{number}","expires_in":300}}"#))
            }
        });
        let realm = format!(
            r#"Bearer realm="http://{}/token",service="test""#,
            server.host()
        );
        let used = Mutex::new(HashMap::new());
        let registry = Uploads::start(with(move |asked, _| {
            let newest = format!("Bearer t{}", given.load(Ordering::SeqCst).wrapping_sub(1));
            let Some(shown) = asked.header("authorization") else {
                return Some(Trouble::Answer(
                    401,
                    vec![("WWW-Authenticate", realm.clone())],
                    String::new(),
                ));
            };
            // Each token is good for five requests.
            let mut used = used.lock().unwrap();
            let times: &mut u32 = used.entry(shown.to_owned()).or_default();
            *times += 1;
            let is_old = shown != newest || *times > 5;
            if is_old && old == 403 {
                return Some(refuse(403));
            }
            is_old.then(|| {
                Trouble::Answer(
                    401,
                    vec![("WWW-Authenticate", realm.clone())],
                    String::new(),
                )
            })
        }));
        let mut kit = Sandbox::new();
        kit.env("KIT_USERNAME", "ci");
        kit.env("KIT_PASSWORD", PASSWORD);
        let name = format!("{}/team/net:1.0", registry.host());
        pack_large(&kit, &name, SEVERAL_CHUNKS);
        let output = push(&kit, [&*name, "-vvv"].into_iter().chain(CHUNKS)).exits(0);
        registry.has_kit("team/net", "1.0");
        assert!(!output.stderr.contains(PASSWORD) && !output.stderr.contains("Bearer t"));
        assert!(server.requests().len() > 2, "{output}");
    }
}

#[test]
fn a_helper_is_asked_again_when_what_it_gave_has_ended() {
    // A password lasts for some requests only, as those of clouds do for some hours.
    for old in [401, 403] {
        let used = Mutex::new(HashMap::new());
        let registry = Uploads::start(with(move |asked, _| {
            let challenge = vec![("WWW-Authenticate", "Basic realm=x".to_owned())];
            let Some(shown) = asked.header("authorization") else {
                return Some(Trouble::Answer(401, challenge, String::new()));
            };
            let mut used = used.lock().unwrap();
            let times: &mut u32 = used.entry(shown.to_owned()).or_default();
            *times += 1;
            (*times > 5).then(|| Trouble::Answer(old, challenge, String::new()))
        }));
        let (kit, host) = (sandbox(), registry.host());
        let asked = counting_helper(&kit, &host);
        let name = format!("{host}/team/net:1.0");
        pack_large(&kit, &name, SEVERAL_CHUNKS);
        let output = push(&kit, [&*name, "-vvv"].into_iter().chain(CHUNKS)).exits(0);
        registry.has_kit("team/net", "1.0");
        assert!(!output.stderr.contains(PASSWORD), "{output}");
        assert!(asked() > 2);
    }
}
