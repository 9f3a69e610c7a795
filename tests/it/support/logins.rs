//! Logins in a sandbox: files, fake helper programs, and a registry that knows one password.

use std::fs;

use serde_json::Value;

use super::{
    Output, Sandbox,
    fake::{Answer, Fake, Recorded},
};

/// The password of the tests: nothing that is shown may hold it.
pub(crate) const PASSWORD: &str = "hunter2-correct-horse";

/// Returns a sandbox that finds no programs but those put into `bin`.
pub(crate) fn sandbox() -> Sandbox {
    let mut kit = Sandbox::new();
    kit.dir("bin");
    kit.env("PATH", kit.path("bin"));
    kit
}

/// Installs a credential helper: the body of a shell script, which finds no programs.
pub(crate) fn helper(kit: &Sandbox, name: &str, script: &str) {
    let path = format!("bin/docker-credential-{name}");
    kit.exec(&path, format!("#!/bin/sh\n{script}\n"));
}

/// A helper's answer that is right for every registry.
pub(crate) fn answer_of_helper(user: &str, secret: &str) -> String {
    format!(r#"echo '{{"ServerURL":"x","Username":"{user}","Secret":"{secret}"}}'"#)
}

/// Runs `kit login HOST -u ci --password-stdin` with the password and more flags.
pub(crate) fn login<'a>(
    kit: &Sandbox,
    host: &'a str,
    more: impl IntoIterator<Item = &'a str>,
) -> Output {
    let words = ["login", host, "-u", "ci", "--password-stdin"];
    kit.run_with(words.into_iter().chain(more), PASSWORD.as_bytes())
}

/// Returns the own file.
pub(crate) fn credentials(kit: &Sandbox) -> Value {
    let text = fs::read(kit.home().join("credentials.json")).unwrap();
    serde_json::from_slice(&text).unwrap()
}

/// Answers as a registry does that takes `ci` with the password.
pub(crate) fn by_password(request: &Recorded) -> Answer {
    match request.basic() {
        Some(pair) if pair == format!("ci:{PASSWORD}") => Answer::new(200).body("{}"),
        Some(_) => Answer::new(401)
            .body(r#"{"errors":[{"code":"UNAUTHORIZED","message":"authentication required"}]}"#),
        None => Answer::wants_basic(),
    }
}

/// Starts a registry that takes `ci` with the password.
pub(crate) fn registry() -> Fake {
    Fake::start(by_password)
}
