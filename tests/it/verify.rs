//! `kit verify`

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox,
    kits::{blobs, damage, lose, pack},
};

fn verify(kit: &Sandbox, words: &str) -> Output {
    let words = words.split_whitespace();
    kit.run(["verify"].into_iter().chain(words)).hide_digests()
}

#[test]
fn a_sound_store_is_well() {
    let kit = Sandbox::new();
    assert_data_eq!(
        verify(&kit, ""),
        str![[r#"
Checked 0 kits, 0 blobs, 0 B: all is well
[exit 0]

"#]]
    );
    pack(&kit, "a:1,2", "one");
    pack(&kit, "b:1", "two");
    assert_data_eq!(
        verify(&kit, ""),
        str![[r#"
Checked 2 kits, 6 blobs, 5.6 KiB: all is well
[exit 0]

"#]]
    );
    assert_data_eq!(
        verify(&kit, "a:1,2"),
        str![[r#"
Checked 1 kit, 3 blobs, 2.8 KiB: all is well
[exit 0]

"#]]
    );
    assert_data_eq!(
        verify(&kit, "--format json"),
        str![[r#"
{
  "sound": true,
  "kits": 2,
  "blobs": 6,
  "bytes": 5756,
  "damaged": [],
  "missing": [],
  "missingTocs": [],
  "wrongTocs": [],
  "wrongLayers": [],
  "problems": [],
  "repaired": [],
  "namesLost": false,
  "restored": [],
  "unobtainable": [],
  "unneeded": [],
  "temporary": [],
  "resumable": [],
  "setAside": []
}
[exit 0]

"#]]
    );
}

#[test]
fn a_damaged_layer_is_named_set_aside_and_healed_by_packing_again() {
    let kit = Sandbox::new();
    let digest = pack(&kit, "a:1,2", "one");
    damage(&kit, &blobs(&kit, &digest).1[0]);
    assert_data_eq!(
        verify(&kit, ""),
        str![[r#"
damaged: sha256:[DIGEST] (its content is sha256:[DIGEST]), needed by a:1, a:2
Checked 1 kit, 3 blobs, 830 B: 1 finding
[stderr]
error: the store is damaged
hint: `kit verify --repair` sets damaged blobs aside, and fetches them again if it knows a registry
hint: packing or loading a kit again heals it; `kit remove` gives it up
[exit 5]

"#]]
    );
    assert_data_eq!(
        verify(&kit, "--format json"),
        str![[r#"
{
  "sound": false,
  "kits": 1,
  "blobs": 3,
  "bytes": 830,
  "damaged": [
    {
      "digest": "sha256:[DIGEST]",
      "problem": "its content is sha256:[DIGEST]",
      "kits": [
        "a:1",
        "a:2"
      ]
    }
  ],
  "missing": [],
  "missingTocs": [],
  "wrongTocs": [],
  "wrongLayers": [],
  "problems": [],
  "repaired": [],
  "namesLost": false,
  "restored": [],
  "unobtainable": [],
  "unneeded": [],
  "temporary": [],
  "resumable": [],
  "setAside": []
}
[stderr]
{"error":{"kind":"damaged","message":"the store is damaged","details":[],"causes":[],"hints":["`kit verify --repair` sets damaged blobs aside, and fetches them again if it knows a registry","packing or loading a kit again heals it; `kit remove` gives it up"]},"exit":5}
[exit 5]

"#]]
    );
    assert_data_eq!(
        verify(&kit, "--repair"),
        str![[r#"
damaged: sha256:[DIGEST] (its content is sha256:[DIGEST]), needed by a:1, a:2
set aside: [HOME]/store/quarantine/[DIGEST]
Checked 1 kit, 3 blobs, 830 B: 1 finding
[stderr]
error: the store was repaired, but something was lost
hint: packing or loading a kit again heals it; `kit remove` gives it up
[exit 7]

"#]]
    );
    assert_data_eq!(
        verify(&kit, "a:1"),
        str![[r#"
missing: sha256:[DIGEST], needed by a:1
set aside: [HOME]/store/quarantine/[DIGEST]
Checked 1 kit, 2 blobs, 830 B: 1 finding
[stderr]
error: the store is damaged
hint: packing or loading a kit again heals it; `kit remove` gives it up
[exit 5]

"#]]
    );
    pack(&kit, "a:1", "one");
    assert_data_eq!(
        verify(&kit, ""),
        str![[r#"
set aside: [HOME]/store/quarantine/[DIGEST]
Checked 1 kit, 3 blobs, 2.8 KiB: all is well
[exit 0]

"#]]
    );
}

// hazard: 85, 90, 91, 92
#[test]
fn every_blob_of_a_kit_that_is_missing_or_damaged_is_found() {
    for (broken, word) in [(lose as fn(&Sandbox, &str), "missing"), (damage, "damaged")] {
        for part in 0..3 {
            let kit = Sandbox::new();
            let manifest = pack(&kit, "a:1", "one");
            pack(&kit, "b:1", "two");
            let (config, layers) = blobs(&kit, &manifest);
            broken(&kit, [&manifest, &config, &layers[0]][part]);
            let found = verify(&kit, "").exits(5);
            assert_eq!(found.stdout.matches(word).count(), 1, "{found}");
            assert!(found.stdout.contains("needed by a:1\n"), "{found}");
            let _ = verify(&kit, "b:1").exits(0);
            let _ = verify(&kit, "a:1").exits(5);
        }
    }
}

#[test]
fn what_is_only_left_over_is_listed_and_no_finding() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    let stray = b"nobody needs this";
    fs::write(kit.store().blob_path(&crate::support::digest(stray)), stray).unwrap();
    let ingest = kit.store().path().join("ingest");
    fs::write(ingest.join("4-dead-1.tmp"), "half").unwrap();
    fs::write(ingest.join("ab".repeat(32)), "partial").unwrap();
    assert_data_eq!(
        verify(&kit, ""),
        str![[r#"
unneeded: sha256:[DIGEST] (17 B)
left over: [HOME]/store/ingest/4-dead-1.tmp (4 B)
to resume: [HOME]/store/ingest/[DIGEST] (7 B)
Checked 1 kit, 4 blobs, 2.8 KiB: all is well
[exit 0]

"#]]
    );
    assert_data_eq!(
        verify(&kit, "--repair"),
        str![[r#"
unneeded: sha256:[DIGEST] (17 B)
swept: [HOME]/store/ingest/4-dead-1.tmp (4 B)
to resume: [HOME]/store/ingest/[DIGEST] (7 B)
Checked 1 kit, 4 blobs, 2.8 KiB: all is well
[exit 0]

"#]]
    );
}

// hazard: 93
#[test]
fn a_lost_index_is_repaired_from_the_log_without_loss() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    let index = kit.store().path().join("index.json");
    fs::write(&index, "").unwrap();
    assert_data_eq!(
        verify(&kit, ""),
        str![[r#"
problem: index.json: index is malformed
Checked 1 kit, 3 blobs, 2.8 KiB: 1 finding
[stderr]
error: the store is damaged
hint: `kit verify --repair` writes a lost index anew
[exit 5]

"#]]
    );
    assert_data_eq!(
        verify(&kit, "--repair"),
        str![[r#"
repaired: index.json: index is malformed
Checked 1 kit, 3 blobs, 2.8 KiB: all is well
[stderr]
warning: the index of the store was lost (index is malformed): its names were restored from the log
[exit 0]

"#]]
    );
    verify(&kit, "").success();
}

// hazard: 93
#[test]
fn names_that_cannot_be_restored_are_a_loss() {
    let kit = Sandbox::new();
    let digest = pack(&kit, "a:1", "one");
    fs::write(kit.store().path().join("index.json"), "").unwrap();
    fs::remove_file(kit.store().path().join("names.log")).unwrap();
    let _ = kit.run(["list"]).exits(5);
    assert_data_eq!(
        verify(&kit, "--repair"),
        str![[r#"
problem: index.json: index is malformed, and there is no names.log
Checked 1 kit, 3 blobs, 2.8 KiB: 1 finding
[stderr]
warning: the index of the store was lost (index is malformed, and there is no names.log): its names were restored from the log
error: the store was repaired, but something was lost
[exit 7]

"#]]
    );
    let list = kit.run(["list"]).success();
    assert!(list.contains(&digest) && list.contains("<none>"), "{list}");
}

#[test]
fn an_unknown_kit_is_not_found() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    assert_data_eq!(
        verify(&kit, "a"),
        str![[r#"
[stderr]
error: no kit a:latest in the store
hint: there is `a:1`
hint: a name without a tag means the tag `latest`
[exit 3]

"#]]
    );
}

#[test]
fn what_a_kit_of_unknown_needs_may_need_is_not_called_unneeded() {
    let kit = Sandbox::new();
    let manifest = pack(&kit, "a:1", "one");
    let blob = kit.store().blob_path(&manifest);
    fs::remove_file(&blob).unwrap();
    let found = verify(&kit, "").exits(5);
    assert_eq!(
        found.stdout.matches("perhaps unneeded: ").count(),
        2,
        "{found}"
    );
    assert!(!found.stdout.contains("\nunneeded: "), "{found}");
}
