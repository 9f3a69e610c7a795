//! How much is asked for at a time, when a registry wants to be left alone, and what is refused
//! before anything large comes.

use std::{
    fmt::Write as _,
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use super::{MIB, asked, check_store, name, names, noise, pull, registry};
use crate::support::{
    Sandbox,
    fake::{Answer, Fake, Recorded, Shelf, asked_blob},
    kits,
};

#[test]
fn a_registry_that_wants_to_be_left_alone_is_left_alone_by_all_workers() {
    const PAUSE: Duration = Duration::from_secs(2);
    let shelf = Shelf::with_model(&noise(16 * MIB, 50));
    let calls = AtomicUsize::new(0);
    let refused = Arc::new(Mutex::new(Vec::new()));
    let registry = Fake::start({
        let (shelf, refused) = (shelf.clone(), Arc::clone(&refused));
        move |request| {
            if calls.fetch_add(1, Ordering::SeqCst) % 5 == 4 {
                refused.lock().unwrap().push(request.clone());
                return Answer::new(429).header("Retry-After", PAUSE.as_secs().to_string());
            }
            shelf.answer(request)
        }
    });
    let kit = Sandbox::new();
    pull(&kit, &registry, ["-q"]).success();
    check_store(&kit, &shelf);
    let requests = registry.requests();
    let same = |one: &Recorded, other: &Recorded| {
        one.target == other.target && one.header("range") == other.header("range")
    };
    let refused = refused.lock().unwrap();
    assert!(refused.len() * 5 + 5 > requests.len() && refused.len() > 1);
    for refused in &*refused {
        for later in requests.iter().filter(|it| it.at > refused.at) {
            let after = later.at - refused.at;
            assert!(!same(refused, later) || after >= PAUSE, "{after:?}");
            // Others that were on their way arrive in a moment, or wait as well.
            assert!(after < PAUSE / 4 || after >= PAUSE, "{after:?}");
        }
    }
}

// hazard: 70
#[test]
fn a_registry_that_wants_to_be_left_alone_for_long_is_not_waited_for() {
    let registry = Fake::start(|_| Answer::new(429).header("Retry-After", "3600"));
    let output = pull(&Sandbox::new(), &registry, [""; 0]).hide(&registry.host(), "[HOST]");
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
Pulling [HOST]/team/net:1
error: http://[HOST] answered 429
hint: try again in 3600 s
[exit 6]

"#]]
    );
    assert_eq!(registry.requests().len(), 1);
}

#[test]
fn as_many_connections_are_used_as_is_said() {
    let shelf = Shelf::with_model(&noise(20 * MIB, 51));
    for (flags, most) in [(&["--jobs", "1"][..], 1), (&["--jobs", "3"], 3), (&[], 8)] {
        let registry = registry(&shelf, |_, answer| answer.slow(4 * MIB));
        let kit = Sandbox::new();
        let flags = flags.iter().chain(&["-q"]);
        pull(&kit, &registry, flags).success();
        let peak = registry.peak();
        assert!(if most == 8 { peak >= 6 } else { peak == most }, "{peak}");
    }
}

/// Returns a shelf with six layers of one request each.
fn many_layers() -> Shelf {
    let kit = Sandbox::new();
    let mut kitfile = "manifestVersion: 1.0.0\npackage: {name: net}\ndatasets:\n".to_owned();
    for number in 0..6 {
        kit.file(
            format!("packed/{number}.bin"),
            noise(400 << 10, 60 + number),
        );
        writeln!(kitfile, "- {{name: d{number}, path: {number}.bin}}").unwrap();
    }
    kits::pack_kitfile(&kit, "team/net:1", &kitfile);
    Shelf::of(&kit.store())
}

#[test]
fn as_many_blobs_come_at_a_time_as_is_said() {
    let shelf = many_layers();
    for concurrency in [1, 3] {
        let registry = Fake::start({
            let shelf = shelf.clone();
            move |request| shelf.answer(request).slow(1 << 20)
        });
        let kit = Sandbox::new();
        pull(
            &kit,
            &registry,
            ["-q", "--concurrency", &concurrency.to_string()],
        )
        .success();
        assert_eq!(registry.peak(), concurrency);
        check_store(&kit, &shelf);
    }
}

#[test]
fn no_more_comes_in_a_second_than_is_said() {
    let shelf = Shelf::with_model(&noise(4 * MIB, 52));
    let registry = registry(&shelf, |_, answer| answer);
    let kit = Sandbox::new();
    let began = Instant::now();
    pull(&kit, &registry, ["-q", "--max-rate", "2MiB"]).success();
    // However fast the machine is.
    assert!(began.elapsed() >= Duration::from_millis(1900));
    check_store(&kit, &shelf);
}

// hazard: 70
#[test]
fn what_fails_is_tried_again_as_often_as_is_said() {
    let shelf = Shelf::with_model(&noise(MIB, 53));
    let (large, _) = shelf.largest();
    for retries in [0, 2] {
        let registry = registry(&shelf, |_, _| Answer::new(503));
        let kit = Sandbox::new();
        let output = pull(&kit, &registry, ["--retries", &retries.to_string()]).exits(6);
        assert!(output.stderr.contains("503"), "{output}");
        assert_eq!(asked(&registry, &large).len(), retries + 1);
    }
    let calls = AtomicUsize::new(0);
    let registry = registry(&shelf, move |_, answer| {
        match calls.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => Answer::new(502),
            _ => answer,
        }
    });
    let kit = Sandbox::new();
    pull(&kit, &registry, ["-q", "--retries", "2"]).success();
    check_store(&kit, &shelf);
}

// hazard: 57, 70
#[test]
fn a_connection_that_breaks_without_getting_anywhere_is_not_tried_for_ever() {
    let shelf = Shelf::with_model(&noise(MIB, 54));
    let (large, _) = shelf.largest();
    let registry = registry(&shelf, |_, answer| answer.cut(0));
    let kit = Sandbox::new();
    let _ = pull(&kit, &registry, ["--retries", "1"]).exits(6);
    assert!(asked(&registry, &large).len() <= 4);
}

// hazard: 59, 102
#[test]
fn a_kit_that_does_not_fit_is_refused_before_its_first_byte() {
    let mut shelf = Shelf::with_model(b"small");
    let manifest = shelf.digest("1");
    let mut changed: Value = shelf.manifest(&manifest);
    changed["layers"][0]["size"] = json!(1_u64 << 50);
    shelf.put(
        "1",
        "application/vnd.oci.image.manifest.v1+json",
        changed.to_string().as_bytes(),
    );
    let registry = registry(&shelf, |_, answer| answer);
    let kit = Sandbox::new();
    for (command, asked_before) in [("pull", 1), ("unpack", 2)] {
        let output = kit.run([command, &name(&registry)]).exits(9);
        assert!(
            output.stderr.contains(" bytes left, and 11258999068"),
            "{output}"
        );
        assert!(output.stderr.contains("hint: free "), "{output}");
        let blobs = registry.requests();
        let blobs = blobs.iter().filter_map(asked_blob).count();
        assert_eq!(blobs, asked_before, "the config and nothing else");
    }
    assert!(names(&kit).is_empty());
    assert_eq!(std::fs::read_dir(kit.path(".")).unwrap().count(), 0);
}

#[test]
fn numbers_that_are_none_are_refused() {
    let kit = Sandbox::new();
    for (flag, value) in [
        ("--concurrency", "0"),
        ("--jobs", "0"),
        ("--jobs", "257"),
        ("--max-rate", "fast"),
        ("--max-rate", "0"),
        ("--retries", "-1"),
        ("--stall-timeout", "soon"),
        ("--stall-timeout", "0s"),
        ("--stall-timeout", "18446744073709551615"),
        ("--expect-digest", "sha256:1"),
    ] {
        let flag = format!("{flag}={value}");
        let output = kit.run(["pull", "localhost:1/x:1", &flag]).exits(2);
        assert!(output.stderr.contains(value), "{output}");
    }
}

#[test]
fn what_comes_is_told_to_programs() {
    let shelf = Shelf::with_model(&noise(2 * MIB, 55));
    let registry = registry(&shelf, |_, answer| answer.slow(2 * MIB));
    let kit = Sandbox::new();
    let output = pull(&kit, &registry, ["--progress", "json", "--format", "json"]);
    let events: Vec<Value> = output
        .stderr
        .lines()
        .map(|line| serde_json::from_str(line).unwrap_or_else(|_| panic!("{output}")))
        .collect();
    let of = |kind: &'static str| events.iter().filter(move |it| it["event"] == kind);
    let begin = of("begin").next().unwrap();
    assert_eq!(
        begin["label"],
        json!(format!("Pulling {}", name(&registry)))
    );
    assert_eq!(begin["total"], json!(shelf.size("1")));
    assert!(of("advance").count() >= 2, "{output}");
    assert_eq!(of("end").next().unwrap()["done"], json!(shelf.size("1")));
    let report = output.json();
    assert_eq!(report["reference"], json!(name(&registry)));
    assert_eq!(report["digest"], json!(shelf.digest("1")));
    assert_eq!(report["size"], json!(shelf.size("1")));
    assert_eq!(report["parents"], json!([]));
    assert_eq!(report["stored"], json!(1));
    assert_eq!(report["present"], json!(0));
}
