//! Registries that lie, tags that move, and what never comes.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::json;

use super::{MIB, begin, check_store, name, names, noise, partials, pull, registry};
use crate::support::{
    Sandbox, digest,
    fake::{Answer, Fake, Shelf, asked_blob},
    foreign::gzip,
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

/// Returns how many bytes the files of a home take.
fn size_of_home(kit: &Sandbox) -> u64 {
    fn add(folder: &std::path::Path) -> u64 {
        let entries = std::fs::read_dir(folder).unwrap();
        let sizes = entries.map(|entry| {
            let entry = entry.unwrap();
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                add(&entry.path())
            } else {
                metadata.len()
            }
        });
        sizes.sum()
    }
    add(kit.home())
}

// hazard: 58
#[test]
fn of_a_blob_without_end_no_more_is_kept_than_it_has() {
    let shelf = Shelf::with_model(&noise(MIB, 60));
    let (_, blob) = shelf.largest();
    for says_part in [true, false] {
        let blob = Arc::clone(&blob);
        let registry = registry(&shelf, move |request, _| {
            let answer = match request.range(blob.len()).filter(|_| says_part) {
                Some(range) => Answer::new(206).header(
                    "Content-Range",
                    format!("bytes {}-{}/{}", range.start, range.end - 1, blob.len()),
                ),
                None => Answer::new(200),
            };
            answer.large(1 << 40)
        });
        let kit = Sandbox::new();
        let output = pull(&kit, &registry, ["--retries", "1"]);
        assert!([5, 6].contains(&output.code), "{output}");
        assert!(names(&kit).is_empty());
        assert!(kit.store().damaged().is_empty());
        let size = size_of_home(&kit);
        assert!(size < 2 * MIB as u64, "{size}");
    }
}

// hazard: 60
#[test]
fn a_digest_is_not_believed_because_the_registry_says_so() {
    let mut shelf = Shelf::with_model(b"weights");
    let asked = digest(b"what was asked for");
    let other = shelf.manifest_bytes(&shelf.digest("1")).to_vec();
    let real = shelf.put("real", MANIFEST, &other);
    let registry = Fake::start({
        let asked = asked.clone();
        move |request| {
            if request.path().ends_with(&asked) {
                return Answer::new(200)
                    .header("Content-Type", MANIFEST)
                    .header("Docker-Content-Digest", &*asked)
                    .body(std::str::from_utf8(&other).unwrap());
            }
            shelf.answer(request)
        }
    });
    let kit = Sandbox::new();
    let reference = format!("{}/team/net@{asked}", registry.host());
    let output = kit.run(["pull", &reference]).exits(5);
    assert!(output.stderr.contains(&real), "{output}");
    assert!(names(&kit).is_empty());
    assert!(kit.store().blobs().is_empty());
}

// hazard: 66
#[test]
fn addresses_in_a_manifest_are_never_asked() {
    let elsewhere = Fake::start(|_| Answer::new(200));
    let mut shelf = Shelf::with_model(b"weights");
    let mut manifest = shelf.manifest(&shelf.digest("1"));
    let foreign = b"foreign weights";
    manifest["layers"][0]["digest"] = json!(digest(foreign));
    manifest["layers"][0]["size"] = json!(foreign.len());
    manifest["layers"][0]["urls"] = json!([format!("http://{}/x", elsewhere.host())]);
    shelf.put("1", MANIFEST, manifest.to_string().as_bytes());
    let registry = registry(&shelf, |_, answer| answer);
    let kit = Sandbox::new();
    let output = pull(&kit, &registry, ["-vvv"]).exits(5);
    assert!(output.stderr.contains(&digest(foreign)), "{output}");
    assert!(elsewhere.requests().is_empty());
    assert!(names(&kit).is_empty());
}

// hazard: 67
#[test]
fn a_tag_that_moves_meanwhile_does_not_mix_two_kits() {
    let shelves = [&b"one"[..], b"two"].map(Shelf::with_model);
    let asked = AtomicUsize::new(0);
    let registry = Fake::start({
        let shelves = shelves.clone();
        move |request| {
            if request.path().ends_with("/manifests/1") {
                let number = asked.fetch_add(1, Ordering::SeqCst);
                return shelves[number % 2].answer(request);
            }
            // Blobs and manifests by digest are there of both.
            let one = shelves[0].answer(request);
            let is_there = asked_blob(request).is_some_and(|it| shelves[1].has(it));
            if is_there {
                shelves[1].answer(request)
            } else {
                one
            }
        }
    });
    let kit = Sandbox::new();
    pull(&kit, &registry, ["-q"]).success();
    check_store(&kit, &shelves[0]);
    let of_tag = registry.requests();
    let of_tag = of_tag
        .iter()
        .filter(|it| it.path().ends_with("/manifests/1"));
    assert_eq!(of_tag.count(), 1);
}

// hazard: 68
#[test]
fn a_kit_without_one_of_its_layers_gets_no_name() {
    let shelf = Shelf::with_model(&noise(MIB, 61));
    let large = shelf.largest().0;
    let lost = registry(&shelf, |_, _| {
        Answer::new(404).body(r#"{"errors":[{"code":"BLOB_UNKNOWN"}]}"#)
    });
    let kit = Sandbox::new();
    let output = pull(&kit, &lost, [""; 0]).exits(5);
    assert!(output.stderr.contains(&large), "{output}");
    assert!(names(&kit).is_empty());
    assert_eq!(partials(&kit), Vec::<String>::new());
    let whole = registry(&shelf, |_, answer| answer);
    pull(&kit, &whole, ["-q"]).success();
    check_store(&kit, &shelf);
}

// hazard: 83
#[test]
fn what_is_said_to_be_compressed_for_the_way_is_taken_as_it_comes() {
    let shelf = Shelf::with_model(&vec![7; 3 * MIB]);
    let says = registry(&shelf, |_, answer| {
        answer.header("Content-Encoding", "gzip")
    });
    let kit = Sandbox::new();
    pull(&kit, &says, ["-q"]).success();
    check_store(&kit, &shelf);
    let asked = says.requests();
    for request in asked.iter().filter(|it| asked_blob(it).is_some()) {
        let encoding = request.header("accept-encoding").unwrap_or("identity");
        assert_eq!(encoding, "identity");
    }
    // And one on the way that does it is found out.
    let packed: Arc<[u8]> = gzip(&shelf.largest().1).into();
    let does = registry(&shelf, move |_, _| {
        Answer::new(200)
            .header("Content-Encoding", "gzip")
            .content(&packed, 0..packed.len())
    });
    let kit = Sandbox::new();
    let _ = pull(&kit, &does, ["--retries", "0"]).exits(5);
    assert!(names(&kit).is_empty());
}

// hazard: 84
#[test]
fn a_registry_that_serves_an_old_kit_again_is_told_of() {
    let shelves = [&b"old"[..], b"new"].map(Shelf::with_model);
    let now = Arc::new(AtomicUsize::new(0));
    let registry = Fake::start({
        let (shelves, now) = (shelves.clone(), Arc::clone(&now));
        move |request| shelves[now.load(Ordering::SeqCst)].answer(request)
    });
    let kit = Sandbox::new();
    let [old, new] = shelves.each_ref().map(|it| it.digest("1"));
    pull(&kit, &registry, ["-q"]).success();
    now.store(1, Ordering::SeqCst);
    let output = pull(&kit, &registry, [""; 0]).exits(0);
    assert!(!output.stderr.contains("which it had left"), "{output}");
    now.store(0, Ordering::SeqCst);
    let _ = pull(&kit, &registry, ["--expect-digest", &new]).exits(5);
    assert_eq!(kit.store().names()[&name(&registry)], new);
    let output = pull(&kit, &registry, [""; 0]).exits(0);
    assert!(output.stderr.contains("which it had left"), "{output}");
    assert_eq!(kit.store().names()[&name(&registry)], old);
}

// hazard: 114, 144
#[test]
fn a_small_kit_comes_while_a_large_one_is_on_its_way() {
    let large = Shelf::with_model(&noise(4 * MIB, 62));
    let slow = registry(&large, |_, answer| answer.slow(64 << 10));
    let small = Shelf::with_model(b"small");
    let fast = registry(&small, |_, answer| answer);
    let kit = Sandbox::new();
    let mut child = begin(&kit, &slow, ["-q", "--jobs", "1", "--stall-timeout", "60s"]);
    while slow.sent() == 0 {
        std::thread::yield_now();
    }
    for _ in 0..5 {
        pull(&kit, &fast, ["-q", "--lock-timeout", "0"]).success();
        let remove = ["remove", &name(&fast), "-q"];
        let _ = kit.run(remove).exits(0);
    }
    assert!(child.try_wait().unwrap().is_none(), "it was not on its way");
    child.kill().unwrap();
    child.wait().unwrap();
}
