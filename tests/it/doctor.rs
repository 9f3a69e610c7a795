//! `kit doctor`: what a report of a problem needs.

use std::fs;

use super::support::{Sandbox, kits};

/// Returns the problems that are found, and the exit code.
fn problems(kit: &Sandbox) -> (Vec<String>, i32) {
    let output = kit.run(["doctor", "--format", "json"]);
    let document: serde_json::Value = serde_json::from_str(&output.stdout).unwrap();
    let problems = document["problems"].as_array().unwrap().iter();
    let problems = problems.map(|it| it["problem"].as_str().unwrap().to_owned());
    (problems.collect(), output.code)
}

#[test]
fn a_healthy_home_is_told_and_left_as_it_is() {
    let mut kit = Sandbox::new();
    kit.env("SOME_TOKEN", "hunter2");
    kits::pack(&kit, "net:1", "w");
    kits::pack(&kit, "net:1", "x");
    fs::write(kit.home().join("config.toml"), "quiet = true\n").unwrap();
    let before = listing(&kit);
    let document = kit.run(["doctor", "--format", "json"]).json();
    assert_eq!(document["homeFrom"], "KITOPS_HOME");
    assert_eq!(document["home"]["path"], "[HOME]");
    assert_eq!(document["store"]["version"], 1);
    // The first kit lost its name and stays.
    assert_eq!(document["store"]["kits"], 2);
    assert_eq!(document["store"]["blobs"], kits::count_blobs(&kit));
    assert_eq!(document["settings"][0]["key"], "quiet");
    assert_eq!(document["problems"], serde_json::json!([]));
    let text = kit.run(["doctor"]).success();
    for part in [
        "Version:            0.1.0",
        "Home:               [HOME] (from KITOPS_HOME)",
        "Store:              [HOME]/store (format 1, the newest known is 1)",
        "2 kits with ",
        "quiet = true (line 1)",
        "Problems:           none",
    ] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!format!("{document}{text}").contains("hunter2"));
    assert_eq!(listing(&kit), before);
}

/// Returns all paths in the home with their times.
fn listing(kit: &Sandbox) -> Vec<(std::path::PathBuf, std::time::SystemTime)> {
    fn walk(
        folder: &std::path::Path,
        found: &mut Vec<(std::path::PathBuf, std::time::SystemTime)>,
    ) {
        for entry in fs::read_dir(folder).unwrap() {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            found.push((entry.path(), metadata.modified().unwrap()));
            if metadata.is_dir() {
                walk(&entry.path(), found);
            }
        }
    }
    let mut found = Vec::new();
    walk(kit.home(), &mut found);
    found.sort();
    found
}

#[test]
fn a_home_that_is_not_there_is_no_problem_and_is_not_made() {
    let kit = Sandbox::new();
    let document = kit
        .run(["doctor", "--format", "json", "--config", "nowhere/at/all"])
        .json();
    assert_eq!(document["home"]["exists"], false);
    assert_eq!(document["homeFrom"], "--config");
    assert_eq!(document["problems"], serde_json::json!([]));
    assert!(!kit.path("nowhere").exists());
}

#[test]
fn what_is_wrong_with_the_home_is_found() {
    let kit = Sandbox::new();
    kit.file("file", "x");
    let output = kit.run(["doctor", "--config", "file"]).exits(1);
    assert!(
        output
            .stdout
            .contains("the home [WORK]/file is not a folder"),
        "{output}"
    );
    let mut kit = Sandbox::new();
    for name in ["KITOPS_HOME", "HOME", "XDG_DATA_HOME", "LOCALAPPDATA"] {
        kit.env(name, "");
    }
    let (problems, code) = problems(&kit);
    assert_eq!(code, 1);
    assert!(
        problems[0].starts_with("cannot tell where kits are kept"),
        "{problems:?}"
    );
}

#[test]
fn what_is_wrong_with_the_store_is_found() {
    let kit = Sandbox::new();
    kits::pack(&kit, "net:1", "w");
    let store = kit.home().join("store");
    let index = fs::read(store.join("index.json")).unwrap();
    fs::write(store.join("index.json"), "{").unwrap();
    let (found, code) = problems(&kit);
    assert_eq!((found.len(), code), (1, 5), "{found:?}");
    assert!(
        found[0].starts_with("the index of the store is damaged: "),
        "{found:?}"
    );
    fs::write(store.join("index.json"), index).unwrap();
    fs::write(store.join("quarantine").join("0".repeat(64)), "x").unwrap();
    let (found, code) = problems(&kit);
    assert_eq!((found.len(), code), (1, 1), "{found:?}");
    assert!(
        found[0].starts_with("1 damaged blob set aside in "),
        "{found:?}"
    );
    fs::write(store.join("kit-store.json"), "{\"version\":99}").unwrap();
    let (found, code) = problems(&kit);
    assert_eq!((found.len(), code), (1, 1), "{found:?}");
    assert!(found[0].contains("99"), "{found:?}");
}

#[test]
fn who_works_with_the_store_is_named() {
    let kit = Sandbox::new();
    kits::pack(&kit, "net:1", "w");
    let session = kit.home().join("store/lock/sessions/4242-00");
    fs::write(
        &session,
        r#"{"pid":4242,"command":"kit pack","started":"2026-01-02T03:04:05Z"}"#,
    )
    .unwrap();
    let held = fs::File::open(&session).unwrap();
    held.lock().unwrap();
    let document = kit.run(["doctor", "--format", "json"]).json();
    assert_eq!(document["store"]["atWork"][0]["command"], "kit pack");
    let text = kit.run(["doctor"]).success();
    assert!(text.contains("in use by `kit pack` (pid "), "{text}");
}

// hazard: 103
#[cfg(unix)]
#[test]
fn a_home_that_cannot_be_written_to_is_found() {
    let kit = Sandbox::new();
    kit.dir("home");
    crate::support::set_mode(&kit.path("home"), 0o555);
    let may_write = fs::write(kit.path("home/probe"), "").is_ok(); // Root may.
    let output = kit.run(["doctor", "--config", "home"]);
    let below = kit.run(["doctor", "--config", "home/of/mine"]);
    crate::support::set_mode(&kit.path("home"), 0o755);
    if may_write {
        return;
    }
    assert_eq!((output.code, below.code), (1, 1));
    assert!(
        output.stdout.contains("home cannot be written to"),
        "{output}"
    );
    assert!(below.stdout.contains("mine cannot be made"), "{below}");
}
