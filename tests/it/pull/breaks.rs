//! Connections that end, stall or drip, and pulls that are killed.

use std::{
    collections::BTreeSet,
    fs,
    io::{Seek as _, SeekFrom, Write as _},
    sync::{
        Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use serde_json::json;

use super::{MIB, asked, at_most, begin, check_store, names, noise, partials, pull, registry};
use crate::support::{
    Sandbox,
    fake::{Answer, Fake, Shelf},
};

/// Waits until the registry has sent so many bytes.
fn wait_for(registry: &Fake, bytes: u64) {
    while registry.sent() < bytes {
        thread::sleep(Duration::from_millis(5));
    }
}

// hazard: 57
#[test]
fn a_connection_that_is_cut_again_and_again_costs_next_to_nothing() {
    let shelf = Shelf::with_model(&noise(24 * MIB, 1));
    // 40 % of what one request asks for: each needs three connections.
    let registry = registry(&shelf, |_, answer| answer.cut(MIB * 4 / 5));
    let kit = Sandbox::new();
    pull(&kit, &registry, ["-q"]).success();
    check_store(&kit, &shelf);
    at_most(registry.sent(), 102, shelf.size("1"));
    assert!(asked(&registry, &shelf.largest().0).len() >= 30);
}

// hazard: 57
#[test]
fn documents_that_break_off_are_asked_for_again() {
    let shelf = Shelf::with_model(b"weights");
    let (manifest, config) = (shelf.digest("1"), config_digest(&shelf));
    for document in ["/manifests/1".to_owned(), format!("/blobs/{config}")] {
        let (answers, cut) = (shelf.clone(), AtomicUsize::new(0));
        let wanted = document.clone();
        let registry = Fake::start(move |request| {
            let answer = answers.answer(request);
            let hits = request.path().ends_with(&wanted) && request.method == "GET";
            match hits.then(|| cut.fetch_add(1, Ordering::SeqCst)) {
                Some(0 | 1) => answer.cut(20),
                _ => answer,
            }
        });
        let kit = Sandbox::new();
        let output = pull(&kit, &registry, [""; 0]).exits(0);
        assert_eq!(output.stderr.matches("trying again").count(), 2, "{output}");
        assert!(output.stdout.contains(&manifest), "{output}");
        check_store(&kit, &shelf);
    }
}

#[test]
fn a_registry_that_gives_no_parts_may_break_off_too() {
    let shelf = Shelf::with_model(&noise(6 * MIB, 2));
    let (large, blob) = shelf.largest();
    let calls = AtomicUsize::new(0);
    let registry = registry(&shelf, move |_, answer| {
        let answer = answer.content(&blob, 0..blob.len());
        match calls.fetch_add(1, Ordering::SeqCst) {
            0 | 1 => answer.cut(2 * MIB),
            _ => answer,
        }
        .status(200)
    });
    let kit = Sandbox::new();
    pull(&kit, &registry, ["-q"]).success();
    check_store(&kit, &shelf);
    assert!(asked(&registry, &large).len() >= 3);
}

// hazard: 97
#[test]
fn a_pull_that_is_killed_half_way_fetches_the_other_half() {
    let shelf = Shelf::with_model(&noise(32 * MIB, 3));
    let total = shelf.size("1");
    let registry = registry(&shelf, |_, answer| answer.slow(4 * MIB));
    let kit = Sandbox::new();
    let mut child = begin(&kit, &registry, ["-q", "--jobs", "4"]);
    wait_for(&registry, total / 2);
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!(partials(&kit).len(), 2);
    let before = registry.sent();
    let report = pull(&kit, &registry, ["--format", "json"]).json();
    check_store(&kit, &shelf);
    // What was on the wire, and in pieces that were not full, comes again: it is more of a small
    // kit than of a large one.
    let again = registry.sent() - before;
    at_most(again, 58, total);
    let resumed = report["resumed"].as_u64().unwrap();
    assert!(resumed * 100 >= total * 42, "{report}");
    assert_eq!(
        report["fetched"].as_u64().unwrap() + resumed,
        total - config(&shelf),
        "{report}"
    );
}

fn config_digest(shelf: &Shelf) -> String {
    let manifest = shelf.manifest(&shelf.digest("1"));
    manifest["config"]["digest"].as_str().unwrap().to_owned()
}

fn config(shelf: &Shelf) -> u64 {
    shelf.size("1") - shelf.largest().1.len() as u64
}

/// What is done to a partial.
type Harm = fn(&mut fs::File);

/// Leaves a part of the kit behind: a pull that was killed after so many bytes.
fn leave_partial(kit: &Sandbox, registry: &Fake, bytes: u64) {
    let mut child = begin(kit, registry, ["-q", "--jobs", "1", "--max-rate", "16MiB"]);
    wait_for(registry, bytes);
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn a_pull_that_fails_says_what_is_kept_and_the_next_goes_on() {
    let shelf = Shelf::with_model(&noise(12 * MIB, 10));
    let calls = AtomicUsize::new(0);
    let registry = registry(&shelf, move |_, answer| {
        match calls.fetch_add(1, Ordering::SeqCst) {
            3 => Answer::new(503),
            _ => answer.slow(8 * MIB),
        }
    });
    let kit = Sandbox::new();
    let output = pull(&kit, &registry, ["--retries", "0", "--jobs", "1"]).exits(6);
    assert!(
        output.stderr.contains(
            "answered 503\nhint: try again later\nhint: 6.0 MiB are kept: the same command goes on"
        ),
        "{output}"
    );
    let report = pull(&kit, &registry, ["--format", "json"]).json();
    assert_eq!(report["resumed"], json!(6 * MIB));
    check_store(&kit, &shelf);
}

// hazard: 54
#[test]
fn a_partial_that_went_bad_heals_itself() {
    let shelf = Shelf::with_model(&noise(16 * MIB, 4));
    let hex = shelf.largest().0[7..].to_owned();
    let harms: [(&str, Harm); 4] = [
        ("a byte flipped", |file| {
            file.seek(SeekFrom::Start(100)).unwrap();
            file.write_all(b"not this").unwrap();
        }),
        ("too long", |file| file.set_len(20 * MIB as u64).unwrap()),
        ("cut", |file| file.set_len(1000).unwrap()),
        ("zeros", |file| {
            file.set_len(0).unwrap();
            file.set_len(16 * MIB as u64).unwrap();
        }),
    ];
    for (what, harm) in harms {
        let registry = registry(&shelf, |_, answer| answer);
        let kit = Sandbox::new();
        leave_partial(&kit, &registry, 8 * MIB as u64);
        let path = kit.store().path().join("ingest").join(&hex);
        harm(&mut fs::OpenOptions::new().write(true).open(path).unwrap());
        let output = pull(&kit, &registry, ["-q"]);
        assert_eq!(output.code, 0, "{what}\n{output}");
        check_store(&kit, &shelf);
    }
}

// hazard: 54
#[test]
fn a_side_file_that_is_nonsense_costs_no_more_than_the_partial() {
    let shelf = Shelf::with_model(&noise(8 * MIB, 5));
    let hex = shelf.largest().0[7..].to_owned();
    let registry = registry(&shelf, |_, answer| answer);
    let kit = Sandbox::new();
    leave_partial(&kit, &registry, 4 * MIB as u64);
    let side = kit
        .store()
        .path()
        .join("ingest")
        .join(format!("{hex}.pieces"));
    fs::write(side, b"\xff{\n0 \n0 zz\n999999 0\n").unwrap();
    pull(&kit, &registry, ["-q"]).success();
    check_store(&kit, &shelf);
}

// hazard: 72
#[test]
fn a_connection_that_falls_silent_is_replaced() {
    let shelf = Shelf::with_model(&noise(8 * MIB, 6));
    let calls = AtomicUsize::new(0);
    let registry = registry(&shelf, move |_, answer| {
        match calls.fetch_add(1, Ordering::SeqCst) {
            1 => answer.hang(MIB / 2),
            2 => answer.hang(0),
            _ => answer,
        }
    });
    let kit = Sandbox::new();
    pull(&kit, &registry, ["-q", "--stall-timeout", "1s"]).success();
    check_store(&kit, &shelf);
    at_most(registry.sent(), 102, shelf.size("1"));
}

// hazard: 73
#[test]
fn a_connection_that_drips_is_replaced() {
    let shelf = Shelf::with_model(&noise(8 * MIB, 7));
    let calls = AtomicUsize::new(0);
    let registry = registry(&shelf, move |_, answer| {
        match calls.fetch_add(1, Ordering::SeqCst) {
            // It would take an hour.
            1 => answer.slow(1000),
            _ => answer,
        }
    });
    let kit = Sandbox::new();
    pull(&kit, &registry, ["-q", "--stall-timeout", "1s"]).success();
    check_store(&kit, &shelf);
}

// hazard: 73
#[test]
fn the_slow_tail_is_asked_for_again() {
    let shelf = Shelf::with_model(&noise(16 * MIB, 8));
    let (_, blob) = shelf.largest();
    let last = blob.len() - 1;
    let calls = AtomicUsize::new(0);
    let registry = registry(&shelf, move |request, answer| {
        let is_tail = request
            .range(blob.len())
            .is_some_and(|range| range.end > last);
        // Never silent, and never done: the others are a hundred times faster.
        if is_tail && calls.fetch_add(1, Ordering::SeqCst) == 0 {
            return answer.slow(64 << 10);
        }
        answer
    });
    let kit = Sandbox::new();
    pull(&kit, &registry, ["-q", "--stall-timeout", "4s"]).success();
    check_store(&kit, &shelf);
    let (large, blob) = shelf.largest();
    let requests = asked(&registry, &large);
    let tails = requests.iter().filter(|it| {
        it.range(blob.len())
            .is_some_and(|range| range.end == blob.len())
    });
    assert_eq!(tails.count(), 2);
}

// hazard: 52, 53
#[test]
fn wrong_bytes_are_fetched_once_more_and_then_refused() {
    let shelf = Shelf::with_model(&noise(3 * MIB, 9));
    let (large, _) = shelf.largest();
    let mut wrong = shelf.clone();
    wrong.damage(&large);
    let (_, damaged) = (0, wrong.blob(&large).clone());
    let calls = AtomicUsize::new(0);
    let once = registry(&shelf, {
        let damaged = damaged.clone();
        move |request, answer| match request.range(damaged.len()) {
            Some(range) if calls.fetch_add(1, Ordering::SeqCst) < 2 => {
                answer.content(&damaged, range)
            }
            _ => answer,
        }
    });
    let kit = Sandbox::new();
    let output = pull(&kit, &once, [""; 0]).exits(0);
    assert!(
        output.stderr.contains("it is fetched once more"),
        "{output}"
    );
    check_store(&kit, &shelf);
    let always = registry(&wrong, |_, answer| answer);
    let kit = Sandbox::new();
    let output = pull(&kit, &always, [""; 0]).exits(5);
    assert!(output.stderr.contains("twice"), "{output}");
    assert!(names(&kit).is_empty());
    assert!(kit.store().damaged().is_empty());
    assert_eq!(partials(&kit), Vec::<String>::new());
}

#[test]
fn a_manifest_and_a_config_that_break_off_are_asked_for_again() {
    let shelf = Shelf::with_model(b"small");
    let seen = Mutex::new(BTreeSet::new());
    let registry = {
        let shelf = shelf.clone();
        Fake::start(move |request| {
            let answer = shelf.answer(request);
            let is_first =
                request.method == "GET" && seen.lock().unwrap().insert(request.path().to_owned());
            if is_first { answer.cut(3) } else { answer }
        })
    };
    let kit = Sandbox::new();
    pull(&kit, &registry, ["-q"]).success();
    check_store(&kit, &shelf);
}
