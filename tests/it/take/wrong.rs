//! What comes is something else.

use std::{
    fs,
    sync::atomic::{AtomicUsize, Ordering},
};

use snapbox::{assert_data_eq, str};

use super::{KIB, MIB, fresh, picked, shelf, toc};
use crate::support::{
    Output, Sandbox, set_mode,
    shelf::{Fate, Rules},
};

/// Takes the file out, and returns what was said and whether it came, rightly.
fn take(name: &str) -> (Output, bool) {
    let words = ["unpack", "@", "-d", "out", "--include", "data/pick.bin"];
    let (kit, output) = fresh(&words, name);
    let path = kit.path("out/data/pick.bin");
    let is_there = path.exists();
    if is_there {
        assert!(
            fs::read(path).unwrap() == picked(),
            "a wrong byte: {output}"
        );
    }
    if output.code != 0 {
        let out = kit.path("out");
        let left = fs::read_dir(out).map_or(0, Iterator::count);
        assert_eq!(left, 0, "{output}");
    }
    (output, is_there)
}

/// Returns the digest of the layer of data.
fn layer(publisher: &Sandbox, name: &str) -> String {
    let shown = publisher.run(["inspect", name]).json();
    let layers = shown["manifest"]["layers"].as_array().unwrap();
    let is_data = |it: &&serde_json::Value| it["mediaType"].as_str().unwrap().contains("dataset");
    let found = layers.iter().find(is_data).unwrap();
    found["digest"].as_str().unwrap().to_owned()
}

#[test]
fn a_part_that_is_wrong_once_is_asked_for_again() {
    let asked = AtomicUsize::new(0);
    let rules = Rules::for_blobs(move |it| {
        let is_first = it.range.is_some() && asked.fetch_add(1, Ordering::SeqCst) == 0;
        if is_first { Fate::Wrong } else { Fate::Fine }
    });
    let (_publisher, shelf, name) = shelf(true, &[], rules);
    let (output, came) = take(&name);
    assert!(came, "{output}");
    let sent = shelf.sent();
    assert!(sent < 3 * MIB as u64, "{sent} bytes were sent");
}

#[test]
fn ranges_that_lie_end_in_the_whole_layer_or_in_nothing() {
    // Those of the file do, those of the layer do not.
    let asked = AtomicUsize::new(0);
    let rules = Rules::for_blobs(move |it| {
        let is_part = it.range.as_ref().is_some_and(|range| range.start > 0);
        if is_part && asked.fetch_add(1, Ordering::SeqCst) < 2 {
            Fate::Wrong
        } else {
            Fate::Fine
        }
    });
    let (_publisher, _shelf, name) = shelf(true, &[], rules);
    let (output, came) = take(&name);
    assert!(came, "{output}");
    assert!(
        output
            .stderr
            .contains("is something else: it is fetched once more"),
        "{output}"
    );
    // Nothing is right but the config, which comes first.
    let rules = Rules::for_blobs(|it| {
        if it.before > 0 {
            Fate::Wrong
        } else {
            Fate::Fine
        }
    });
    let (_publisher, _shelf, name) = shelf(true, &[], rules);
    let (output, came) = take(&name);
    assert!(!came);
    let _ = output.exits(5);
}

#[test]
fn a_registry_that_sends_all_in_place_of_a_part_is_taken_as_it_is() {
    let (_publisher, shelf, name) = shelf(true, &[], Rules::for_blobs(|_| Fate::Whole));
    let (output, came) = take(&name);
    assert!(came, "{output}");
    // The layers with the files, not the model.
    let sent = shelf.sent();
    assert!(sent < 9 * MIB as u64, "{sent} bytes were sent");
    let (_, output) = fresh(&["cat", "@", "code/run.sh"], &name);
    assert_eq!(output.success(), "#!/bin/sh\n");
}

#[test]
fn chunks_that_were_swapped_are_refused() {
    let (publisher, _shelf, name) = shelf(true, &[], Rules::default());
    let path = publisher.store().blob_path(&layer(&publisher, &name));
    let mut blob = fs::read(&path).unwrap();
    let wanted = &picked()[..64];
    let at = blob.windows(64).position(|it| it == wanted).unwrap();
    let (a, b) = blob[at..].split_at_mut(512 * KIB);
    a[..64 * KIB].swap_with_slice(&mut b[..64 * KIB]);
    set_mode(&path, 0o644);
    fs::write(&path, blob).unwrap();
    let (output, came) = take(&name);
    assert!(!came);
    assert_data_eq!(
        output.hide_digests(),
        str![[r#"
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
Unpacking to [WORK]/out
Unpacking dataset `train` to `data`
warning: what came for dataset `train` to `data` is something else: it is fetched once more
error: cannot unpack dataset `train` to `data` (sha256:[DIGEST])
  caused by: the content is damaged: expected sha256:[DIGEST], found sha256:[DIGEST]
hint: what the registry holds, or something on the way, is not as it was pushed
[exit 5]

"#]]
    );
    let (_, output) = fresh(&["cat", "@", "data/pick.bin"], &name);
    assert_eq!(output.stdout, "");
    let _ = output.exits(5);
    // Files beside it are not harmed.
    let words = ["unpack", "@", "-d", "out", "--include", "code/*"];
    fresh(&words, &name).1.success();
}

#[test]
fn a_table_of_contents_that_is_not_the_one_is_not_used() {
    let (publisher, _shelf, name) = shelf(true, &[], Rules::default());
    let (digest, size) = toc(&publisher, &name).unwrap();
    let path = publisher.store().blob_path(&digest);
    let right = fs::read(&path).unwrap();
    set_mode(&path, 0o644);
    let size = usize::try_from(size).unwrap();
    let mut forged = right.clone();
    forged[size - 1] ^= 1;
    let mut root = right.clone();
    root[20] ^= 1;
    for wrong in [forged, root, right[..size / 2].to_vec(), vec![0; size]] {
        fs::write(&path, wrong).unwrap();
        let (output, came) = take(&name);
        assert!(came, "{output}");
    }
    fs::remove_file(&path).unwrap();
    let (output, came) = take(&name);
    assert!(came, "{output}");
    fs::write(&path, right).unwrap();
    assert!(take(&name).1);
}
