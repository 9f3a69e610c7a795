//! The index, the log and what is found by name.

use super::*;

#[test]
fn kits_are_found_by_tag_by_digest_and_by_a_digest_alone() {
    let room = Room::new();
    let one = room.pack(&["a:1", "a:latest"], "one");
    let two = room.pack(&[], "two");
    let found = |name: &str| room.store.resolve(&reference(name), &Silent);
    for name in [
        "a:1",
        "a",
        &format!("a@{}", one.digest),
        &one.digest.to_string(),
    ] {
        assert_eq!(found(name).unwrap().descriptor, one, "{name}");
    }
    assert_eq!(found(&two.digest.to_string()).unwrap().name, None);
    for name in ["a:2", "b:1", &format!("b@{}", one.digest)] {
        assert!(matches!(found(name), Err(Error::NotFound { .. })), "{name}");
    }
    let Err(Error::NotFound { suggestions, .. }) = found("a:latst") else {
        panic!("there is no such tag");
    };
    assert_eq!(suggestions[0], "a:latest");
}

#[test]
fn the_index_names_kits_as_other_programs_expect() {
    let room = Room::new();
    let kit = room.pack(&["team/net:1.0"], "one");
    let index = fs::read_to_string(room.store.index_path()).unwrap();
    assert!(
        index.contains(r#""org.opencontainers.image.ref.name":"team/net:1.0""#),
        "{index}"
    );
    assert!(index.contains(&kit.digest.to_string()));
    let layout = fs::read_to_string(room.store.root().join("oci-layout")).unwrap();
    assert_eq!(layout, r#"{"imageLayoutVersion":"1.0.0"}"#);
}

#[test]
fn every_change_of_a_name_is_in_the_history() {
    let room = Room::new();
    let one = room.pack(&["a:1"], "one");
    room.store
        .tag(&reference("a:1"), &[reference("b:2")], &Silent)
        .unwrap();
    let two = room.pack(&["a:1"], "two");
    room.remove(&Selection::Untagged);
    let history: Vec<_> = room
        .store
        .history()
        .unwrap()
        .changes
        .into_iter()
        .map(|change| (change.name, change.old, change.new))
        .collect();
    let left = format!("a@{}", one.digest);
    assert_eq!(
        history,
        [
            ("a:1".to_owned(), None, Some(one.digest)),
            ("b:2".to_owned(), None, Some(one.digest)),
            ("a:1".to_owned(), Some(one.digest), Some(two.digest)),
            (left.clone(), None, Some(one.digest)),
            (left, Some(one.digest), None),
        ]
    );
}

#[test]
fn naming_again_changes_neither_index_nor_log() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    let state = || {
        (
            fs::read(room.store.index_path()).unwrap(),
            fs::read(room.store.log_path()).unwrap(),
        )
    };
    let before = state();
    room.pack(&["a:1"], "one");
    assert_eq!(state(), before);
}

// hazard: 93
#[test]
fn a_lost_index_is_restored_from_the_log_and_says_so() {
    for content in [
        None,
        Some(&b""[..]),
        Some(b"{\"schemaVersion\":2,\"mani"),
        Some(b"\0\0\0"),
    ] {
        let room = Room::new();
        room.pack(&["a:1", "a:2"], "one");
        room.pack(&["a:1"], "two");
        room.pack(&[], "three");
        let entries = room.store.entries(&Silent).unwrap();
        match content {
            None => fs::remove_file(room.store.index_path()).unwrap(),
            Some(content) => fs::write(room.store.index_path(), content).unwrap(),
        }
        let told = Told::default();
        let mut restored = room.store.entries(&told).unwrap();
        restored.sort_by_key(|entry| (entry.name.is_none(), entry.log_name()));
        assert_eq!(restored, entries);
        assert!(
            told.lines()[0].contains("restored from the log"),
            "{:?}",
            told.lines()
        );
        // The next change writes it.
        room.pack(&["b:1"], "four");
        assert_eq!(room.store.entries(&told).unwrap().len(), entries.len() + 1);
        assert_eq!(told.lines().len(), 1);
        assert!(room.verify(false).is_sound());
    }
}

// hazard: 91
#[test]
fn a_name_whose_manifest_is_gone_stays_and_guards_its_layers_until_the_kit_is_whole_or_removed() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    let lost = room.pack(&["b:1"], "two");
    fs::remove_file(room.store.index_path()).unwrap();
    fs::remove_file(room.store.blob_path(&lost.digest)).unwrap();
    let told = Told::default();
    assert_eq!(room.store.entries(&told).unwrap().len(), 2);
    assert!(told.lines()[1].contains("b:1"), "{:?}", told.lines());
    // Whatever else is named meanwhile.
    room.pack(&["c:1"], "three");
    let plan = room.store.plan_prune(None, &Silent);
    assert!(
        matches!(&plan, Err(Error::Undecidable { kit, .. }) if kit == "b:1"),
        "{plan:?}"
    );
    assert!(room.has_blob("two"));

    assert_eq!(room.pack(&["d:1"], "two"), lost);
    assert_eq!(room.names(), ["a:1", "b:1", "c:1", "d:1"]);
    assert!(room.verify(false).is_sound());
    assert!(room.store.plan_prune(None, &Silent).is_ok());
}

#[test]
fn a_kit_whose_name_cannot_be_restored_stays_without_it() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    let log = fs::read_to_string(room.store.log_path()).unwrap();
    fs::write(room.store.log_path(), log.replace("\"a:1\"", "\"A!:1\"")).unwrap();
    fs::remove_file(room.store.index_path()).unwrap();
    // The next change writes the index, which then looks as good as any.
    room.pack(&["b:1"], "two");

    assert_eq!(room.store.entries(&Silent).unwrap().len(), 2);
    let plan = room.store.plan_prune(None, &Silent).unwrap();
    assert_eq!(plan.blobs, []);
}

#[test]
fn packing_again_under_the_name_whose_manifest_was_lost_makes_it_whole() {
    let room = Room::new();
    let lost = room.pack(&["b:1"], "two");
    fs::remove_file(room.store.index_path()).unwrap();
    fs::remove_file(room.store.blob_path(&lost.digest)).unwrap();
    // The index is written anew, and all that it can tell of `b:1` is its digest.
    room.pack(&["c:1"], "three");

    assert_eq!(room.pack(&["b:1"], "two"), lost);
    let entry = room.store.resolve(&reference("b:1"), &Silent).unwrap();
    assert_eq!(entry.descriptor.size, lost.size);
    assert!(room.verify(false).is_sound());
    assert!(room.store.plan_prune(None, &Silent).is_ok());
}

// hazard: 93
#[test]
fn with_index_and_log_lost_nothing_is_believed_and_a_repair_finds_the_kits() {
    for log in [None, Some("no log\n")] {
        let room = Room::new();
        let kit = room.pack(&["a:1"], "one");
        fs::write(room.store.index_path(), "").unwrap();
        match log {
            None => fs::remove_file(room.store.log_path()).unwrap(),
            Some(text) => fs::write(room.store.log_path(), text).unwrap(),
        }
        let lost = room.store.entries(&Silent);
        assert!(matches!(lost, Err(Error::IndexLost { .. })), "{lost:?}");
        let pruned = room.store.plan_prune(None, &Silent);
        assert!(matches!(pruned, Err(Error::IndexLost { .. })));
        assert!(!room.verify(false).problems.is_empty());
        room.verify(true);
        let found = room
            .store
            .resolve(&reference(&kit.digest.to_string()), &Silent)
            .unwrap();
        assert_eq!(found.descriptor, kit);
    }
}

// hazard: 93, 94
#[test]
fn a_torn_log_line_does_not_hinder_the_next_change() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    let mut log = fs::OpenOptions::new()
        .append(true)
        .open(room.store.log_path())
        .unwrap();
    log.write_all(b"{\"time\":\"2026-01-").unwrap();
    room.pack(&["a:2"], "two");
    assert_eq!(room.store.history().unwrap().changes.len(), 2);
    fs::remove_file(room.store.index_path()).unwrap();
    assert_eq!(room.names(), ["a:1", "a:2"]);
}

// hazard: 92
#[test]
fn a_kit_is_not_named_before_all_of_it_is_there() {
    let room = Room::new();
    let writer = room.store.writer(&Silent).unwrap();
    let manifest = Manifest {
        artifact_type: None,
        config: Descriptor::of(media_type::CONFIG, b"{}"),
        layers: vec![Descriptor::of(MODEL, b"one")],
        annotations: std::collections::BTreeMap::new(),
        subject: None,
    };
    let descriptor = Descriptor::of(media_type::MANIFEST, &manifest.to_bytes());
    let names = [reference("a:1")];
    let is_missing = |digest| {
        matches!(
            writer.name(&names, &descriptor),
            Err(Error::Missing { digest: missing }) if missing == digest
        )
    };
    assert!(is_missing(descriptor.digest));
    writer.put(&manifest.to_bytes()).unwrap();
    assert!(is_missing(Digest::of(b"{}")));
    writer.put(b"{}").unwrap();
    assert!(is_missing(Digest::of(b"one")));
    assert_eq!(room.names(), [""; 0]);
    put_layer(&writer, "one");
    writer.name(&names, &descriptor).unwrap();
    assert_eq!(room.names(), ["a:1"]);
}

// hazard: 94
#[test]
fn a_change_that_cannot_be_made_leaves_no_line_in_the_log() {
    let room = Room::new();
    let one = room.pack(&["a:1"], "one");
    let log = fs::read(room.store.log_path()).unwrap();
    let writer = room.store.writer(&Silent).unwrap();
    // Where the new index is written before it takes the place of the old one.
    fs::remove_dir_all(room.store.ingest_dir()).unwrap();
    assert!(matches!(
        writer.name(&[reference("a:2")], &one),
        Err(Error::Io { .. })
    ));
    assert_eq!(fs::read(room.store.log_path()).unwrap(), log);
    fs::create_dir(room.store.ingest_dir()).unwrap();
    writer.name(&[reference("a:2")], &one).unwrap();
    assert_eq!(room.names(), ["a:1", "a:2"]);
}

#[test]
fn many_kits_get_their_names_at_once_or_none_does() {
    let room = Room::new();
    let (one, two) = (room.pack(&[], "one"), room.pack(&[], "two"));
    let writer = room.store.writer(&Silent).unwrap();
    let lost = Descriptor::of(media_type::MANIFEST, b"not there");
    let with = |third: &Descriptor| {
        let named = |kit: &Descriptor, name| (kit.clone(), vec![reference(name)]);
        [named(&one, "a:1"), named(&two, "b:1"), named(third, "c:1")]
    };
    let before = room.names();
    assert!(matches!(
        writer.name_all(&with(&lost)),
        Err(Error::Missing { .. })
    ));
    assert_eq!(room.names(), before);
    assert_eq!(writer.name_all(&with(&two)).unwrap().len(), 3);
    assert_eq!(room.names()[..3], ["a:1", "b:1", "c:1"]);
}

// hazard: 106
#[test]
fn a_store_of_a_newer_version_is_refused() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    fs::write(room.store.marker_path(), "{\"version\":2}").unwrap();
    let opened = Store::open(room.store.root(), Options::default());
    assert!(matches!(opened, Err(Error::Newer { found: 2, .. })));
    // It may be a newer one.
    for damaged in ["", "{\"version\":", "{}"] {
        fs::write(room.store.marker_path(), damaged).unwrap();
        let opened = Store::open(room.store.root(), Options::default());
        assert!(matches!(opened, Err(Error::BadMarker { .. })), "{damaged}");
    }
}

#[test]
fn a_store_that_does_not_exist_is_empty_and_stays_away() {
    let room = Room::new();
    assert_eq!(room.names(), [""; 0]);
    assert!(room.verify(true).is_sound());
    let plan = room.store.plan_prune(None, &Silent).unwrap();
    room.store.prune(&plan, &Silent).unwrap();
    room.remove(&Selection::Everything);
    let tagged = room
        .store
        .tag(&reference("a:1"), &[reference("a:2")], &Silent);
    assert!(matches!(tagged, Err(Error::NotFound { .. })));
    assert!(!room.store.root().exists());
    assert_eq!(files_in(room.directory.path()), [""; 0]);
}
