//! Several processes, one store; and pulls that are stopped.

use std::{process::Command, thread, time::Duration};

use super::{MIB, at_most, begin, check_store, name, names, noise, partials, pull, registry};
use crate::support::{Sandbox, fake::Shelf};

// hazard: 113, 144
#[test]
fn eight_processes_that_pull_one_kit_fetch_it_once() {
    let shelf = Shelf::with_model(&noise(12 * MIB, 40));
    let registry = registry(&shelf, |_, answer| answer.slow(8 * MIB));
    let kit = Sandbox::new();
    let mut children: Vec<_> = (0..8).map(|_| begin(&kit, &registry, ["-q"])).collect();
    for child in &mut children {
        assert!(child.wait().unwrap().success());
    }
    check_store(&kit, &shelf);
    at_most(registry.sent(), 105, shelf.size("1"));
}

// hazard: 97, 119
#[test]
fn whoever_waits_goes_on_when_the_one_at_work_is_killed() {
    let shelf = Shelf::with_model(&noise(12 * MIB, 41));
    let registry = registry(&shelf, |_, answer| answer.slow(2 * MIB));
    let kit = Sandbox::new();
    let mut first = begin(&kit, &registry, ["-q", "--jobs", "2"]);
    while registry.sent() < 4 * MIB as u64 {
        thread::sleep(Duration::from_millis(5));
    }
    let second = begin(&kit, &registry, ["--format", "json"]);
    thread::sleep(Duration::from_millis(300));
    first.kill().unwrap();
    first.wait().unwrap();
    let output = second.wait_with_output().unwrap();
    assert!(output.status.success());
    let report: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert!(report["resumed"].as_u64().unwrap() > 0, "{report}");
    check_store(&kit, &shelf);
}

// hazard: 97, 143
#[test]
fn pulls_that_are_killed_at_any_moment_leave_nothing_wrong() {
    let shelf = Shelf::with_model(&noise(8 * MIB, 42));
    let registry = registry(&shelf, |_, answer| answer.slow(8 * MIB));
    let kit = Sandbox::new();
    for moment in [1, 20, 60, 120, 200, 300, 450] {
        let mut child = begin(&kit, &registry, ["-q", "--jobs", "2"]);
        thread::sleep(Duration::from_millis(moment));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(kit.store().damaged().is_empty());
    }
    pull(&kit, &registry, ["-q"]).success();
    check_store(&kit, &shelf);
    kit.run(["verify"]).success();
}

// hazard: 97, 143
#[cfg(unix)]
#[test]
fn a_pull_that_is_interrupted_says_that_it_can_go_on() {
    let shelf = Shelf::with_model(&noise(12 * MIB, 43));
    let registry = registry(&shelf, |_, answer| answer.slow(2 * MIB));
    let kit = Sandbox::new();
    let child = begin(&kit, &registry, ["--jobs", "2"]);
    while registry.sent() < 6 * MIB as u64 {
        thread::sleep(Duration::from_millis(5));
    }
    let killed = Command::new("kill")
        .args(["-INT", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("\nerror: interrupted\nhint: "), "{said}");
    assert!(
        said.ends_with(" MiB are kept: the same command goes on from there\n"),
        "{said}"
    );
    assert_eq!(partials(&kit).len(), 2);
    assert!(names(&kit).is_empty());
    let report = pull(&kit, &registry, ["--format", "json"]).json();
    assert!(
        report["resumed"].as_u64().unwrap() >= 3 * MIB as u64,
        "{report}"
    );
    check_store(&kit, &shelf);
    assert_eq!(
        kit.store().names().into_keys().collect::<Vec<_>>(),
        [name(&registry)]
    );
}
