//! Proofs that end while blobs come.

use std::{
    collections::HashMap,
    fs,
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
};

use super::{MIB, check_store, name, noise, pull};
use crate::support::{
    Output, Sandbox,
    fake::{Answer, Fake, Recorded, Shelf},
    logins::{answer_of_helper, helper, sandbox},
};

/// Each proof is good for so many requests: time would make tests that depend on the machine. They
/// are more than there are connections, so that none is used up before it is shown.
const USES: usize = 3;

/// Counts how often a proof is shown.
#[derive(Default)]
struct Used(Mutex<HashMap<String, usize>>);

impl Used {
    /// Tells whether it is still good.
    fn show(&self, proof: &str) -> bool {
        let mut used = self.0.lock().unwrap();
        let count = used.entry(proof.to_owned()).or_default();
        *count += 1;
        *count <= USES
    }
}

/// Answers at a speed at which one request asks for the least there is.
fn slowly(shelf: &Shelf, request: &Recorded) -> Answer {
    shelf.answer(request).slow(8 * MIB)
}

/// Starts a registry with tokens that end, and then refuses with this status.
fn with_tokens(shelf: &Shelf, status: u16) -> Fake {
    let (shelf, used) = (shelf.clone(), Used::default());
    let issued = AtomicUsize::new(0);
    Fake::start(move |request| {
        let realm = format!("http://{}/token", request.header("host").unwrap());
        if request.path() == "/token" {
            let number = issued.fetch_add(1, Ordering::SeqCst);
            return Answer::new(200).body(format!(r#"{{"token":"secret-token-{number}"}}"#));
        }
        match request.header("authorization") {
            Some(proof) if used.show(proof) => slowly(&shelf, request),
            Some(_) if status == 403 => Answer::new(403).body("token expired"),
            _ => Answer::wants_bearer(&realm),
        }
    })
}

#[test]
fn tokens_that_end_in_the_middle_are_replaced() {
    let shelf = Shelf::with_model(&noise(24 * MIB, 30));
    for status in [401, 403] {
        let registry = with_tokens(&shelf, status);
        let kit = Sandbox::new();
        let output = pull(&kit, &registry, ["-vvv", "--jobs", "2"]);
        assert_eq!(output.code, 0, "{status}\n{output}");
        check_store(&kit, &shelf);
        assert!(!output.stderr.contains("secret-token"), "{output}");
        let tokens = registry.requests();
        let tokens = tokens.iter().filter(|it| it.path() == "/token").count();
        assert!((3..=8).contains(&tokens), "{status}: {tokens} tokens");
    }
}

/// Pulls with a helper program that hands out a new password each time.
fn pull_with_helper(kit: &Sandbox, registry: &Fake) -> Output {
    let calls = kit.path("calls");
    let script = format!(
        "n=0; [ -e {0} ] && read n <{0}; n=$((n+1)); echo $n >{0}\n{1}",
        calls.display(),
        answer_of_helper("ci", "password-'$n'")
    );
    helper(kit, "clouds", &script);
    let host = registry.host();
    fs::write(
        kit.home().join("credentials.json"),
        format!(r#"{{"credHelpers":{{"{host}":"clouds"}}}}"#),
    )
    .unwrap();
    pull(kit, registry, ["-vvv", "--plain-http", "--jobs", "2"])
}

fn calls(kit: &Sandbox) -> usize {
    let text = fs::read_to_string(kit.path("calls")).unwrap();
    text.trim().parse().unwrap()
}

#[test]
fn a_helper_is_asked_again_when_its_password_has_ended() {
    let shelf = Shelf::with_model(&noise(24 * MIB, 31));
    for status in [401, 403] {
        let (kit, used) = (sandbox(), Used::default());
        let registry = Fake::start({
            let shelf = shelf.clone();
            move |request| match request.basic() {
                Some(pair) if used.show(&pair) => slowly(&shelf, request),
                Some(_) if status == 403 => Answer::new(403).body("your token has expired"),
                _ => Answer::wants_basic(),
            }
        });
        let output = pull_with_helper(&kit, &registry);
        assert_eq!(output.code, 0, "{status}\n{output}");
        check_store(&kit, &shelf);
        assert!((3..=8).contains(&calls(&kit)), "{status}: {}", calls(&kit));
        assert!(!output.stderr.contains("password-"), "{output}");
    }
}

#[test]
fn a_helper_is_asked_again_when_the_token_server_takes_its_password_no_more() {
    let shelf = Shelf::with_model(&noise(16 * MIB, 32));
    let (kit, used, passwords) = (sandbox(), Used::default(), Used::default());
    let issued = AtomicUsize::new(0);
    let registry = Fake::start({
        let shelf = shelf.clone();
        move |request: &Recorded| {
            let realm = format!("http://{}/token", request.header("host").unwrap());
            if request.path() == "/token" {
                return match request.basic() {
                    Some(pair) if passwords.show(&pair) => {
                        let number = issued.fetch_add(1, Ordering::SeqCst);
                        Answer::new(200).body(format!(r#"{{"token":"token-{number}"}}"#))
                    }
                    _ => Answer::new(401).body("expired"),
                };
            }
            match request.header("authorization") {
                Some(proof) if used.show(proof) => slowly(&shelf, request),
                _ => Answer::wants_bearer(&realm),
            }
        }
    });
    let output = pull_with_helper(&kit, &registry);
    assert_eq!(output.code, 0, "{output}");
    check_store(&kit, &shelf);
    assert!(calls(&kit) >= 2, "{}", calls(&kit));
}

#[test]
fn a_login_that_is_refused_for_good_is_an_error() {
    let shelf = Shelf::with_model(b"small");
    let registry = Fake::start({
        move |request| match request.basic() {
            Some(_) if request.target.contains("/blobs/") => Answer::new(403).body("no"),
            Some(_) => shelf.answer(request),
            None => Answer::wants_basic(),
        }
    });
    let kit = sandbox();
    let output = pull_with_helper(&kit, &registry).exits(4);
    // Whoever hands out new ones without end is not asked without end.
    assert!(calls(&kit) <= 3, "{output}");
    assert!(!output.stderr.contains("password-"), "{output}");
    assert!(name(&registry).starts_with("127.0.0.1"));
}
