//! Registries with habits of their own: what comes is right, or does not count.

use std::sync::{
    Arc,
    atomic::{AtomicUsize, Ordering},
};

use serde_json::{Value, json};

use super::{MIB, asked, at_most, check_store, names, noise, pull, registry};
use crate::support::{
    Sandbox, digest,
    fake::{Answer, Fake, Recorded, Shelf, asked_blob},
};

fn shelf() -> Shelf {
    Shelf::with_model(&noise(7 * MIB, 20))
}

/// Pulls from a registry that gives parts in its own way, and returns it.
#[track_caller]
fn right_all_the_same(
    shelf: &Shelf,
    change: impl Fn(&Recorded, Answer) -> Answer + Send + Sync + 'static,
) -> Fake {
    let registry = registry(shelf, change);
    let kit = Sandbox::new();
    pull(&kit, &registry, ["-q"]).success();
    check_store(&kit, shelf);
    registry
}

#[test]
fn parts_are_asked_for_although_nobody_says_that_there_are_any() {
    let shelf = shelf();
    let registry = right_all_the_same(&shelf, |_, answer| answer);
    let requests = asked(&registry, &shelf.largest().0);
    assert!(requests.len() >= 3);
    for request in requests {
        let range = request.header("range").unwrap();
        let (_, last) = range.split_once('-').unwrap();
        assert!(!last.is_empty(), "an open range: {range}");
    }
    at_most(registry.sent(), 100, shelf.size("1") + 10_000);
}

// hazard: 55
#[test]
fn a_whole_blob_in_place_of_a_part_is_taken_as_it_comes() {
    let shelf = shelf();
    let (large, blob) = shelf.largest();
    let registry = right_all_the_same(&shelf, move |_, answer| {
        answer.status(200).content(&blob, 0..blob.len())
    });
    // Not one answer is thrown away.
    assert_eq!(asked(&registry, &large).len(), 1);
}

// hazard: 56
#[test]
fn a_part_with_another_offset_is_no_part() {
    let shelf = shelf();
    let (large, blob) = shelf.largest();
    for shift in [1, 4096] {
        let blob = Arc::clone(&blob);
        let registry = right_all_the_same(&shelf, move |request, answer| {
            let Some(range) = request.range(blob.len()) else {
                return answer;
            };
            let moved = range.start + shift..(range.end + shift).min(blob.len());
            let says = format!("bytes {}-{}/{}", moved.start, moved.end - 1, blob.len());
            Answer::new(206)
                .header("Content-Range", says)
                .content(&blob, moved)
        });
        let requests = asked(&registry, &large);
        assert_eq!(requests.last().unwrap().header("range"), None);
    }
}

// hazard: 56
#[test]
fn a_part_that_does_not_say_which_is_no_part() {
    let shelf = shelf();
    let (_, blob) = shelf.largest();
    right_all_the_same(&shelf, move |request, answer| {
        match request.range(blob.len()) {
            Some(range) => Answer::new(206).content(&blob, range),
            None => answer,
        }
    });
}

// hazard: 56
#[test]
fn registries_that_refuse_open_ranges_or_all_are_lived_with() {
    let shelf = shelf();
    let (large, blob) = shelf.largest();
    let registry = right_all_the_same(&shelf, |request, answer| {
        if request.header("range").is_some_and(|it| it.ends_with('-')) {
            return Answer::new(416);
        }
        answer
    });
    assert!(asked(&registry, &large).len() >= 3);
    let registry = right_all_the_same(&shelf, |request, answer| {
        if request.header("range").is_some() {
            return Answer::new(416);
        }
        answer
    });
    let requests = asked(&registry, &large);
    assert_eq!(requests.last().unwrap().header("range"), None);
    // Parts may be refused later than at the first, and when a part is all that is missing.
    let calls = AtomicUsize::new(0);
    right_all_the_same(&shelf, move |request, answer| {
        let is_late = calls.fetch_add(1, Ordering::SeqCst) > 0;
        if is_late && request.range(blob.len()).is_some() {
            return Answer::new(416);
        }
        answer
    });
}

// hazard: 61
#[test]
fn an_index_stands_for_the_kit_in_it_if_there_is_one() {
    const INDEX: &str = "application/vnd.oci.image.index.v1+json";
    let mut shelf = Shelf::with_model(b"weights");
    let manifest = shelf.digest("1");
    let entry = |digest: &str| {
        json!({"mediaType": "application/vnd.oci.image.manifest.v1+json",
               "digest": digest, "size": shelf.manifest_bytes(&manifest).len()})
    };
    let index = |entries: &[Value]| {
        let index = json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries});
        index.to_string().into_bytes()
    };
    let one = index(&[entry(&manifest)]);
    let two = index(&[entry(&manifest), entry(&digest(b"another"))]);
    let none = index(&[]);
    let nested = index(&[entry(&digest(&one))]);
    let by_digest = shelf.put("one", INDEX, &one);
    shelf.put("two", INDEX, &two);
    shelf.put("none", INDEX, &none);
    shelf.put("nested", INDEX, &nested);
    let registry = Fake::start({
        let shelf = shelf.clone();
        move |request| shelf.answer(request)
    });
    let place = format!("{}/team/net", registry.host());
    let kit = Sandbox::new();
    let report = kit
        .run(["pull", &format!("{place}:one"), "--format", "json"])
        .json();
    assert_eq!(report["digest"], json!(manifest));
    let report = kit
        .run(["pull", &format!("{place}@{by_digest}"), "--format", "json"])
        .json();
    assert_eq!(report["reference"], json!(format!("{place}@{manifest}")));
    for (tag, said) in [
        ("two", "an index of 2 manifests, not a kit: sha256:"),
        ("none", "an empty index, not a kit"),
        ("nested", "an index in an index, not a kit"),
    ] {
        let output = kit.run(["pull", &format!("{place}:{tag}")]).exits(1);
        assert!(output.stderr.contains(said), "{output}");
    }
}

// hazard: 52
#[test]
fn lengths_that_do_not_fit_are_refused() {
    let shelf = shelf();
    let (_, blob) = shelf.largest();
    let registry = registry(&shelf, move |_, _| {
        Answer::new(200).content(&blob, 0..blob.len() - 1)
    });
    let kit = Sandbox::new();
    let output = pull(&kit, &registry, [""; 0]).exits(5);
    assert!(output.stderr.contains("bytes"), "{output}");
    assert!(names(&kit).is_empty());
}

// hazard: 136, 138
#[test]
fn storage_that_is_redirected_to_is_asked_until_its_address_expires_and_sees_no_token() {
    const USES: usize = 3;
    let shelf = Shelf::with_model(&noise(24 * MIB, 21));
    let (large, blob) = shelf.largest();
    let uses: Arc<[AtomicUsize; 100]> = Arc::new([const { AtomicUsize::new(0) }; 100]);
    let storage = Fake::start({
        let uses = Arc::clone(&uses);
        let shelf = shelf.clone();
        let path = format!("/v2/x/blobs/{large}");
        move |request| {
            let (_, number) = request.target.split_once("?signature=").unwrap();
            let number: usize = number.parse().unwrap();
            if uses[number].fetch_add(1, Ordering::SeqCst) >= USES {
                return Answer::new(403).body("<Error>expired</Error>");
            }
            let mut asked = request.clone();
            asked.target.clone_from(&path);
            shelf.answer(&asked)
        }
    });
    let issued = AtomicUsize::new(0);
    let address = storage.other_host();
    let registry = Fake::start({
        let (shelf, large) = (shelf.clone(), large.clone());
        move |request| {
            let realm = format!("http://{}/token", request.header("host").unwrap());
            if request.path() == "/token" {
                return Answer::new(200).body(r#"{"token":"the-token"}"#);
            }
            if request.header("authorization") != Some("Bearer the-token") {
                return Answer::wants_bearer(&realm);
            }
            if asked_blob(request) == Some(&large) {
                let number = issued.fetch_add(1, Ordering::SeqCst);
                let to = format!("http://{address}/storage?signature={number}");
                return Answer::new(307).header("Location", to);
            }
            shelf.answer(request)
        }
    });
    let kit = Sandbox::new();
    let output = pull(&kit, &registry, ["-vvv"]);
    assert_eq!(output.code, 0, "{output}");
    check_store(&kit, &shelf);
    let requests = storage.requests();
    assert!(
        requests
            .iter()
            .all(|it| it.header("authorization").is_none())
    );
    let redirected = asked(&registry, &large).len();
    assert!(
        requests.len() >= 8 && redirected < requests.len(),
        "{redirected}"
    );
    assert!(!output.stderr.contains("the-token"), "{output}");
    assert!(!output.stderr.contains("signature=0"), "{output}");
    at_most(storage.sent(), 100, blob.len() as u64);
}
