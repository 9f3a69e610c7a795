//! Removing by name and by digest, and what stays.

use super::*;

fn references(names: &[&str]) -> Selection {
    Selection::References {
        references: names.iter().map(|name| reference(name)).collect(),
        all_tags: false,
    }
}

#[test]
fn removing_the_only_tag_removes_the_kit_and_frees_its_blobs() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    room.pack(&["a:2"], "two");
    let report = room.remove(&references(&["a:1"]));
    assert_eq!(room.names(), ["a:2"]);
    assert_eq!((report.kits.len(), report.blobs.len()), (1, 3));
    assert!(report.left.is_none());
    assert!(!room.has_blob("one") && room.has_blob("two"));
    assert!(room.verify(false).is_sound());
    assert_eq!(room.verify(false).stray, []);
}

#[test]
fn removing_by_digest_takes_all_tags_of_that_repository_off() {
    let room = Room::new();
    let kit = room.pack(&["a:1", "a:2", "b:1"], "one");
    room.remove(&references(&[&format!("a@{}", kit.digest)]));
    assert_eq!(room.names(), ["b:1"]);
    assert!(
        room.has_blob("one"),
        "the same kit in another repository keeps it"
    );
    room.remove(&references(&[&format!("b@{}", kit.digest)]));
    assert_eq!((room.names().len(), room.blobs().len()), (0, 0));
}

#[test]
fn removing_a_digest_alone_takes_the_kit_off_everywhere() {
    let room = Room::new();
    let kit = room.pack(&["a:1", "a:2", "b:1"], "one");
    room.pack(&[], "one");
    room.remove(&references(&[&kit.digest.to_string()]));
    assert_eq!((room.names().len(), room.blobs().len()), (0, 0));
}

#[test]
fn an_untagged_kit_is_removed_by_its_digest() {
    let room = Room::new();
    let (old, nameless) = (room.pack(&["a:1"], "one"), room.pack(&[], "three"));
    room.pack(&["a:1"], "two");
    let old_name = format!("a@{}", old.digest);
    assert!(room.names().contains(&short(&old_name)), "the tag moved");
    room.remove(&references(&[&old_name]));
    room.remove(&references(&[&nameless.digest.to_string()]));
    assert_eq!(room.names(), ["a:1"]);
    assert!(room.has_blob("two") && !room.has_blob("one") && !room.has_blob("three"));
}

#[test]
fn removing_one_of_several_tags_leaves_the_kit_to_the_others() {
    let room = Room::new();
    room.pack(&["a:1", "a:2"], "one");
    let report = room.remove(&references(&["a:1"]));
    assert_eq!((report.kits.len(), report.blobs.len()), (0, 0));
    assert_eq!(room.names(), ["a:2"]);
    assert!(room.verify(false).is_sound());
}

#[test]
fn removing_a_tag_with_all_tags_removes_the_kit_in_that_repository() {
    let room = Room::new();
    room.pack(&["a:1", "a:2", "b:1"], "one");
    room.remove(&Selection::References {
        references: vec![reference("a:2")],
        all_tags: true,
    });
    assert_eq!(room.names(), ["b:1"]);
}

#[test]
fn removing_all_untagged_kits_leaves_every_tag() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    room.pack(&["a:1"], "two");
    room.pack(&[], "three");
    let report = room.remove(&Selection::Untagged);
    assert_eq!(report.kits.len(), 2);
    assert_eq!(room.names(), ["a:1"]);
    assert!(room.has_blob("two") && !room.has_blob("one") && !room.has_blob("three"));
}

#[test]
fn removing_everything_leaves_an_empty_store() {
    let room = Room::new();
    room.pack(&["a:1", "b:1"], "one");
    room.pack(&[], "two");
    room.remove(&Selection::Everything);
    assert_eq!((room.names().len(), room.blobs().len()), (0, 0));
    assert!(room.verify(false).is_sound());
}

#[test]
fn several_are_removed_at_once_and_unknown_names_do_not_stop_the_others() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    room.pack(&["a:2"], "two");
    let selection = references(&["a:1", "a:3", "a:2"]);
    let plan = room.store.plan_removal(&selection, &Silent).unwrap();
    assert!(matches!(
        &plan.not_found[..],
        [Error::NotFound { reference, .. }] if reference.tag() == Some("3")
    ));
    room.store.remove(&plan, &Silent).unwrap();
    assert_eq!(room.blobs(), []);
}

#[test]
fn a_plan_changes_nothing_and_tells_what_is_freed() {
    let room = Room::new();
    let kit = room.pack(&["a:1"], "one");
    let before = (room.names(), room.blobs());
    let plan = room
        .store
        .plan_removal(&references(&["a:1"]), &Silent)
        .unwrap();
    assert_eq!((room.names(), room.blobs()), before);
    assert_eq!(plan.blobs[0].digest, kit.digest, "the manifest goes first");
    assert_eq!(room.remove(&references(&["a:1"])).bytes(), plan.bytes());
}

#[test]
fn a_layer_that_another_kit_needs_under_another_media_type_survives() {
    let room = Room::new();
    room.pack_layers(&["a:1"], &[(MODEL, "shared")]);
    room.pack_layers(&["b:1"], &[(DATASET, "shared")]);
    room.remove(&references(&["a:1"]));
    assert!(room.has_blob("shared"));
    assert!(room.verify(false).is_sound());
    room.remove(&references(&["b:1"]));
    assert_eq!(room.blobs(), []);
}

// hazard: 90, 91
#[test]
fn a_kit_whose_manifest_is_missing_or_damaged_can_be_removed() {
    for damage in [None, Some(&b"damaged"[..])] {
        let room = Room::new();
        let kit = room.pack(&["a:1"], "one");
        room.pack(&["b:1"], "two");
        match damage {
            None => fs::remove_file(room.store.blob_path(&kit.digest)).unwrap(),
            Some(content) => room.overwrite(&kit.digest, content),
        }
        room.remove(&references(&["a:1"]));
        assert_eq!(room.names(), ["b:1"]);
        let plan = room.store.plan_prune(None, &Silent).unwrap();
        room.store.prune(&plan, &Silent).unwrap();
        assert!(room.has_blob("two") && !room.has_blob("one"));
        assert_eq!(room.blobs().len(), 3);
    }
}

#[test]
fn a_name_that_moved_since_the_plan_stays() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    let plan = room
        .store
        .plan_removal(&references(&["a:1"]), &Silent)
        .unwrap();
    room.pack(&["a:1"], "two");
    let report = room.store.remove(&plan, &Silent).unwrap();
    assert_eq!(report.names, []);
    assert!(room.names().contains(&"a:1".to_owned()));
}

// hazard: 115, 116, 117
#[test]
fn names_go_at_once_and_blobs_wait_while_someone_is_at_work() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    let writer = room.store.writer(&Silent).unwrap();
    let report = room.remove(&references(&["a:1"]));
    assert!(matches!(report.left, Some(Left::InUse(Some(_)))));
    assert_eq!((room.names().len(), room.blobs().len()), (0, 3));
    drop(writer);
    let plan = room.store.plan_prune(None, &Silent).unwrap();
    assert_eq!(plan.blobs.len(), 3);
    assert_eq!(room.store.prune(&plan, &Silent).unwrap().blobs.len(), 3);
    assert_eq!(room.blobs(), []);
}

// hazard: 116
#[test]
fn nothing_is_deleted_while_one_kit_cannot_be_read() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    let broken = room.pack(&["b:1"], "two");
    room.overwrite(&broken.digest, b"damaged");
    let report = room.remove(&references(&["a:1"]));
    assert!(matches!(
        report.left,
        Some(Left::Failed(Error::Undecidable { kit, .. })) if kit == "b:1"
    ));
    assert_eq!(room.names(), ["b:1"]);
    let plan = room.store.plan_prune(None, &Silent);
    assert!(matches!(plan, Err(Error::Undecidable { kit, .. }) if kit == "b:1"));
    assert_eq!(room.blobs().len(), 6);
}

// hazard: 116
#[test]
fn pruning_keeps_what_came_into_use_since_the_plan_and_what_is_young() {
    let room = Room::new();
    {
        let writer = room.store.writer(&Silent).unwrap();
        put_layer(&writer, "one");
        put_layer(&writer, "two");
    }
    let hour = Some(Duration::from_secs(3600));
    assert_eq!(room.store.plan_prune(hour, &Silent).unwrap().blobs, []);
    let plan = room.store.plan_prune(None, &Silent).unwrap();
    assert_eq!(plan.blobs.len(), 2);
    room.pack(&["a:1"], "one");
    let report = room.store.prune(&plan, &Silent).unwrap();
    assert_eq!(report.blobs.len(), 1);
    assert!(room.has_blob("one") && !room.has_blob("two"));
    assert!(room.verify(false).is_sound());
}
