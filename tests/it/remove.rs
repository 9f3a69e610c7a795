//! `kit remove`

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox,
    kits::{count_blobs, damage, lose, pack},
};

/// Runs `kit remove` with these words.
fn remove(kit: &Sandbox, words: &str) -> Output {
    let words = words.split_whitespace();
    let output = kit.run(["remove"].into_iter().chain(words));
    output.hide_digests()
}

fn names(kit: &Sandbox) -> Vec<String> {
    kit.store().names().into_keys().collect()
}

// --- the eight ways ---

#[test]
fn by_tag_the_kit_goes_with_its_only_tag() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    assert_data_eq!(
        remove(&kit, "a:1"),
        str![[r#"
Removed a:1 (digest sha256:[DIGEST])
[stderr]
Freed 2.8 KiB in 3 blobs
[exit 0]

"#]]
    );
    assert_eq!(count_blobs(&kit), 0);
}

#[test]
fn by_one_of_several_tags_only_that_tag_goes() {
    let kit = Sandbox::new();
    pack(&kit, "a:1,2,3", "one");
    assert_data_eq!(
        remove(&kit, "a:1,3"),
        str![[r#"
Removed a:1 (digest sha256:[DIGEST])
Removed a:3 (digest sha256:[DIGEST])
[exit 0]

"#]]
    );
    assert_eq!(names(&kit), ["a:2"]);
    assert_eq!(count_blobs(&kit), 3);
}

#[test]
fn by_digest_the_kit_goes_with_all_tags_in_that_repository() {
    let kit = Sandbox::new();
    let digest = pack(&kit, "a:1,2", "one");
    pack(&kit, "b:1", "one");
    assert_data_eq!(
        remove(&kit, &format!("a@{digest}")),
        str![[r#"
Untagged a:1
Untagged a:2
Removed a@sha256:[DIGEST] (digest sha256:[DIGEST])
[exit 0]

"#]]
    );
    assert_eq!(names(&kit), ["b:1"]);
    assert_eq!(count_blobs(&kit), 3);
}

#[test]
fn by_force_the_kit_goes_with_all_tags() {
    let kit = Sandbox::new();
    pack(&kit, "a:1,2", "one");
    assert_data_eq!(
        remove(&kit, "-f a:2"),
        str![[r#"
Untagged a:1
Removed a:2 (digest sha256:[DIGEST])
[stderr]
Freed 2.8 KiB in 3 blobs
[exit 0]

"#]]
    );
    assert_eq!(count_blobs(&kit), 0);
}

#[test]
fn untagged_by_digest_alone() {
    let kit = Sandbox::new();
    let digest = pack(&kit, "", "one");
    assert_data_eq!(
        remove(&kit, &digest),
        str![[r#"
Removed sha256:[DIGEST] (digest sha256:[DIGEST])
[stderr]
Freed 2.8 KiB in 3 blobs
[exit 0]

"#]]
    );
    assert_eq!(count_blobs(&kit), 0);
}

#[test]
fn all_untagged_go_and_the_tagged_stay() {
    let kit = Sandbox::new();
    pack(&kit, "", "nameless");
    pack(&kit, "a:1", "old");
    pack(&kit, "a:1", "new");
    let output = remove(&kit, "--all");
    assert_data_eq!(
        output,
        str![[r#"
Removed sha256:[DIGEST]
Removed a@sha256:[DIGEST]
[stderr]
Freed 5.6 KiB in 6 blobs
[exit 0]

"#]]
    );
    assert_eq!(names(&kit), ["a:1"]);
    assert_eq!(count_blobs(&kit), 3);
    assert_data_eq!(
        remove(&kit, "-a"),
        str![[r#"
[stderr]
Nothing to remove
[exit 0]

"#]]
    );
}

#[test]
fn everything_goes_without_a_question_when_nobody_can_be_asked() {
    let kit = Sandbox::new();
    pack(&kit, "", "nameless");
    pack(&kit, "a:1,2", "one");
    pack(&kit, "b:1", "one");
    let output = remove(&kit, "--all --force");
    for line in [
        "Untagged a:1\n",
        "Untagged a:2\nRemoved a@sha256:",
        "Untagged b:1\nRemoved b@",
    ] {
        assert!(output.stdout.contains(line), "{output}");
    }
    assert_eq!(output.stdout.matches("Removed ").count(), 3, "{output}");
    assert_eq!((names(&kit).len(), count_blobs(&kit)), (0, 0));
}

#[test]
fn several_at_once_and_one_that_is_unknown_does_not_stop_the_others() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    pack(&kit, "b:1", "two");
    pack(&kit, "c:1", "three");
    assert_data_eq!(
        remove(&kit, "a:1 c:2 b:1"),
        str![[r#"
Removed a:1 (digest sha256:[DIGEST])
Removed b:1 (digest sha256:[DIGEST])
[stderr]
Freed 5.6 KiB in 6 blobs
error: no kit c:2 in the store
hint: there is `c:1`
[exit 3]

"#]]
    );
    assert_eq!(names(&kit), ["c:1"]);
    assert_data_eq!(
        remove(&kit, "c:2 nothing:1"),
        str![[r#"
[stderr]
error: 2 kits are not in the store
  no kit c:2 in the store
  no kit nothing:1 in the store
hint: there is `c:1`
hint: `kit list` shows what there is
[exit 3]

"#]]
    );
}

// --- around them ---

#[test]
fn blobs_that_another_kit_needs_stay() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "shared");
    kit.file("packed/more", "more");
    crate::support::kits::pack_kitfile(
        &kit,
        "b:1",
        "manifestVersion: 1.0.0\nmodel: {name: m, path: more, parts: [{path: model.bin}]}\n",
    );
    kit.run(["remove", "a:1"]).success();
    kit.run(["unpack", "b:1", "-d", "out"]).success();
    kit.run(["verify"]).success();
}

#[test]
fn a_dry_run_tells_and_changes_nothing() {
    let kit = Sandbox::new();
    pack(&kit, "a:1,2", "one");
    assert_data_eq!(
        remove(&kit, "a:1 --dry-run"),
        str![[r#"
Would remove a:1 (digest sha256:[DIGEST])
[exit 0]

"#]]
    );
    assert_data_eq!(
        remove(&kit, "-f a:1 --dry-run"),
        str![[r#"
Would remove a:1 (digest sha256:[DIGEST])
Would untag a:2
[stderr]
Would free 2.8 KiB in 3 blobs
[exit 0]

"#]]
    );
    assert_data_eq!(
        remove(&kit, "-a -f --dry-run --format json"),
        str![[r#"
{
  "dryRun": true,
  "untagged": [
    "a:1",
    "a:2"
  ],
  "removed": [
    {
      "repo": "a",
      "digest": "sha256:[DIGEST]"
    }
  ],
  "bytes": 2878,
  "blobs": [
    {
      "digest": "sha256:[DIGEST]",
      "size": 529
    },
    {
      "digest": "sha256:[DIGEST]",
      "size": 301
    },
    {
      "digest": "sha256:[DIGEST]",
      "size": 2048
    }
  ],
  "left": null,
  "bereft": []
}
[exit 0]

"#]]
    );
    assert_eq!(names(&kit), ["a:1", "a:2"]);
    assert_data_eq!(
        remove(&kit, "-a -f --format json"),
        str![[r#"
{
  "dryRun": false,
  "untagged": [
    "a:1",
    "a:2"
  ],
  "removed": [
    {
      "repo": "a",
      "digest": "sha256:[DIGEST]"
    }
  ],
  "bytes": 2878,
  "blobs": [
    {
      "digest": "sha256:[DIGEST]",
      "size": 529
    },
    {
      "digest": "sha256:[DIGEST]",
      "size": 301
    },
    {
      "digest": "sha256:[DIGEST]",
      "size": 2048
    }
  ],
  "left": null,
  "bereft": []
}
[exit 0]

"#]]
    );
}

#[test]
fn flags_that_do_not_go_together_are_refused_in_the_references_words() {
    let kit = Sandbox::new();
    assert_data_eq!(
        remove(&kit, ""),
        str![[r#"
[stderr]
error: modelkit is required for remove unless --all is specified
[exit 2]

"#]]
    );
    assert_data_eq!(
        remove(&kit, "--all a:1"),
        str![[r#"
[stderr]
error: modelkit should not be specified when --all flag is used
[exit 2]

"#]]
    );
    assert_data_eq!(
        remove(&kit, "a:"),
        str![[r#"
[stderr]
error: `a:` has an empty tag
  given for REFERENCE
[exit 2]

"#]]
    );
}

#[test]
fn without_a_tag_nothing_is_guessed() {
    let kit = Sandbox::new();
    pack(&kit, "team/net:1,latest", "one");
    assert_data_eq!(
        remove(&kit, "team/net"),
        str![[r#"
[stderr]
error: no kit team/net in the store
hint: there is `team/net:1`, `team/net:latest`
[exit 3]

"#]]
    );
    assert_eq!(names(&kit).len(), 2);
}

// hazard: 90, 91, 92
#[test]
fn broken_kits_can_be_removed() {
    for broken in [lose, damage] {
        let kit = Sandbox::new();
        let digest = pack(&kit, "a:1", "one");
        pack(&kit, "b:1", "two");
        broken(&kit, &digest);
        kit.run(["remove", "a:1"]).success();
        kit.run(["prune"]).success();
        kit.run(["list"]).success();
        kit.run(["verify"]).success();
        assert_eq!(count_blobs(&kit), 3);
    }
}

#[test]
fn space_is_not_freed_while_it_cannot_be_told_what_others_need() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    let broken = pack(&kit, "b:1", "two");
    damage(&kit, &broken);
    assert_data_eq!(
        remove(&kit, "a:1"),
        str![[r#"
Removed a:1 (digest sha256:[DIGEST])
[stderr]
warning: no space is freed: nothing is deleted because it cannot be told what b:1 needs: blob sha256:[DIGEST] is damaged: its content is sha256:[DIGEST]
hint: remove b:1, or mend it by packing or loading it again
[exit 0]

"#]]
    );
    assert_eq!(names(&kit), ["b:1"]);
    assert_eq!(count_blobs(&kit), 6);
}

// hazard: 116
#[test]
fn space_is_left_to_prune_while_the_store_is_in_use() {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    let options = modelkit::store::Options {
        command: "kit test".to_owned(),
        ..Default::default()
    };
    let store = modelkit::store::Store::open(kit.store().path(), options).unwrap();
    let reading = store.reader(&modelkit::progress::Silent).unwrap();
    assert_data_eq!(
        remove(&kit, "a:1"),
        str![[r#"
Removed a:1 (digest sha256:[DIGEST])
[stderr]
warning: no space is freed yet: the store is in use by `kit test` (pid [PID])
hint: run `kit prune` later
[exit 0]

"#]]
    );
    drop(reading);
    assert_eq!(count_blobs(&kit), 3);
    kit.run(["prune"]).success();
    assert_eq!(count_blobs(&kit), 0);
}

// hazard: 117
#[test]
fn a_kit_that_is_open_keeps_its_blobs() {
    let kit = Sandbox::new();
    kit.file("src/Kitfile", "manifestVersion: 1.0.0\ncode: [{path: a}]\n");
    kit.file("src/a", "a");
    kit.run(["pack", "src", "-t", "open:1"]).success();
    let root = kit.home().join("store");
    let store = modelkit::store::Store::open(&root, modelkit::store::Options::default()).unwrap();
    let name = modelkit::reference::Reference::parse("open:1").unwrap();
    let open = modelkit::ops::kit::open(&store, &name, &modelkit::progress::Silent).unwrap();

    kit.run(["remove", "open:1"]).success();
    assert_eq!(kit.store().blobs().len(), 3);
    drop(open);
    kit.run(["prune"]).success();
    assert!(kit.store().blobs().is_empty());
}
