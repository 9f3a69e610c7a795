//! What killed processes leave behind.

use super::*;

// hazard: 95, 116
#[test]
fn the_next_writer_sweeps_what_dead_processes_left_and_nothing_else() {
    let room = Room::new();
    let living = room.store.writer(&Silent).unwrap();
    let mut temporary = living.create().unwrap();
    temporary.write_all(b"one").unwrap();
    let (ingest, sessions) = (room.store.ingest_dir(), room.store.sessions_dir());
    fs::write(ingest.join("77-dead-0.tmp"), "left").unwrap();
    fs::write(ingest.join("78-gone-3.tmp"), "left").unwrap();
    fs::write(sessions.join("77-dead"), "").unwrap();
    let partial = Digest::of(b"partial").hex();
    fs::write(ingest.join(&partial), "to be resumed").unwrap();
    assert_eq!(room.verify(false).temporary.len(), 2);

    let next = room.store.writer(&Silent).unwrap();
    assert_eq!(files_in(&ingest).len(), 2, "{:?}", files_in(&ingest));
    assert!(files_in(&ingest).contains(&partial));
    assert_eq!(files_in(&sessions).len(), 2, "the two that live");
    drop(next);
    temporary.commit(&Digest::of(b"one"), 3).unwrap();
    assert!(room.has_blob("one"));
}

// hazard: 94
#[test]
fn a_crash_between_log_and_index_loses_no_name() {
    let room = Room::new();
    let kit = room.pack(&["a:1"], "one");
    let change = Change {
        time: "2026-01-01T00:00:00Z".to_owned(),
        name: "a:2".to_owned(),
        old: None,
        new: Some(kit.digest),
        command: "kit tag".to_owned(),
    };
    names_log::append(&room.store.log_path(), &[change]).unwrap();
    assert_eq!(room.names(), ["a:1"]);
    room.pack(&["a:2"], "one");
    assert_eq!(room.names(), ["a:1", "a:2"]);
    fs::remove_file(room.store.index_path()).unwrap();
    assert_eq!(room.names(), ["a:1", "a:2"]);
}

#[test]
fn a_store_that_was_begun_is_completed() {
    let whole = Room::new();
    whole.pack(&["a:1"], "one");
    for missing in [
        "oci-layout",
        "kit-store.json",
        "ingest",
        "quarantine",
        "lock",
        "blob-stamps",
    ] {
        let room = Room::new();
        room.pack(&["a:1"], "one");
        let path = room.store.root().join(missing);
        if path.is_dir() {
            fs::remove_dir_all(&path).unwrap();
        } else {
            fs::remove_file(&path).unwrap();
        }
        room.pack(&["a:2"], "two");
        assert_eq!(room.names(), ["a:1", "a:2"], "without {missing}");
        assert_eq!(files_in(room.store.root()), files_in(whole.store.root()));
        assert!(room.verify(false).is_sound());
    }
}

// hazard: 90
#[test]
fn a_bad_manifest_stops_no_other_kit() {
    let room = Room::new();
    let bad = room.pack(&["a:1"], "one");
    let good = room.pack(&["b:1"], "two");
    room.overwrite(&bad.digest, b"[]");
    assert_eq!(room.names(), ["a:1", "b:1"]);
    assert!(matches!(
        room.store.manifest(&bad),
        Err(Error::Damaged { .. })
    ));
    room.store.manifest(&good).unwrap();
    room.store
        .tag(&reference("b:1"), &[reference("c:1")], &Silent)
        .unwrap();
    room.pack(&["d:1"], "three");
    assert_eq!(room.names(), ["a:1", "b:1", "c:1", "d:1"]);
}
