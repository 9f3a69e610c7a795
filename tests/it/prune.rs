//! `kit prune`

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox,
    kits::{count_blobs, damage, pack},
};

/// Returns a store with a kit, a blob that no kit needs and a file of a process that is no more.
fn sandbox() -> Sandbox {
    let kit = Sandbox::new();
    pack(&kit, "a:1", "one");
    let stray = b"nobody needs this";
    fs::write(kit.store().blob_path(&crate::support::digest(stray)), stray).unwrap();
    fs::write(kit.store().path().join("ingest/4-dead-1.tmp"), "half").unwrap();
    kit
}

#[test]
fn prune_frees_what_no_kit_needs() {
    let kit = sandbox();
    assert_data_eq!(
        kit.run(["prune", "--dry-run"]),
        str![[r#"
Would free 21 B in 1 blob and 1 temporary file
[exit 0]

"#]]
    );
    assert_eq!(count_blobs(&kit), 4);
    assert_data_eq!(
        kit.run(["prune", "-v"]).hide_digests(),
        str![[r#"
Freed 21 B in 1 blob and 1 temporary file
[stderr]
debug: blob sha256:[DIGEST] (17 B)
debug: temporary file [HOME]/store/ingest/4-dead-1.tmp (4 B)
[exit 0]

"#]]
    );
    assert_eq!(count_blobs(&kit), 3);
    assert_data_eq!(
        kit.run(["prune"]),
        str![[r#"
Nothing to free
[exit 0]

"#]]
    );
    kit.run(["verify"]).success();
}

#[test]
fn prune_tells_in_json() {
    let kit = sandbox();
    let output = kit.run(["prune", "--format", "json"]).hide_digests();
    assert_data_eq!(
        output,
        str![[r#"
{
  "dryRun": false,
  "bytes": 21,
  "blobs": [
    {
      "digest": "sha256:[DIGEST]",
      "size": 17
    }
  ],
  "temporary": [
    {
      "path": "[HOME]/store/ingest/4-dead-1.tmp",
      "size": 4
    }
  ],
  "resumable": []
}
[exit 0]

"#]]
    );
    assert_eq!(
        kit.run(["prune", "--format", "{{ .Bytes }}"]).success(),
        "0\n"
    );
}

#[test]
fn prune_ends_unfinished_downloads() {
    let kit = sandbox();
    let ingest = kit.store().path().join("ingest");
    let partial = ingest.join("ab".repeat(32));
    fs::write(&partial, "partial").unwrap();
    fs::write(partial.with_extension("pieces"), "{}").unwrap();
    kit.run(["prune", "--older-than", "1h"]).success();
    assert!(partial.exists());
    assert_data_eq!(
        kit.run(["prune", "--dry-run", "-v"]).hide_digests(),
        str![[r#"
Would free 24 B in 1 blob and 1 unfinished download
[stderr]
debug: blob sha256:[DIGEST] (17 B)
debug: unfinished download [HOME]/store/ingest/[DIGEST] (7 B)
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run([
            "prune",
            "--format",
            "{{ range .resumable }}{{ .size }}{{ end }}"
        ]),
        str![[r#"
7
[exit 0]

"#]]
    );
    assert_eq!(fs::read_dir(ingest).unwrap().count(), 0);
}

#[test]
fn what_was_stored_lately_can_be_kept() {
    let kit = sandbox();
    kit.run(["prune", "--older-than", "1h"]).success();
    assert_eq!(count_blobs(&kit), 4);
    assert_data_eq!(
        kit.run(["prune", "--older-than", "soon"]),
        str![[r#"
[stderr]
error: 'soon' is not a span of time
  given for --older-than
hint: write seconds, or units such as 90s, 10m, 1h30m
[exit 2]

"#]]
    );
}

#[test]
fn kits_without_a_tag_stay() {
    let kit = Sandbox::new();
    pack(&kit, "", "one");
    assert_data_eq!(
        kit.run(["prune"]),
        str![[r#"
Nothing to free
[exit 0]

"#]]
    );
    assert_eq!(count_blobs(&kit), 3);
}

// hazard: 91, 116
#[test]
fn nothing_is_freed_while_a_kit_cannot_be_read() {
    let kit = sandbox();
    let broken = pack(&kit, "b:1", "two");
    damage(&kit, &broken);
    assert_data_eq!(
        kit.run(["prune"]).hide_digests(),
        str![[r#"
[stderr]
error: nothing is deleted because it cannot be told what b:1 needs
  caused by: blob sha256:[DIGEST] is damaged: its content is sha256:[DIGEST]
hint: remove b:1, or mend it by packing or loading it again
[exit 5]

"#]]
    );
    assert_eq!(count_blobs(&kit), 7);
}

#[test]
fn a_store_that_does_not_exist_has_nothing_to_free() {
    let kit = Sandbox::new();
    assert_data_eq!(
        kit.run(["prune"]),
        str![[r#"
Nothing to free
[exit 0]

"#]]
    );
    assert!(!kit.store().path().exists());
}
