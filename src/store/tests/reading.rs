//! Blobs: committed, believed, damaged, healed.

use std::io::Read as _;

use super::*;

/// Does something to the path of a blob that was there.
type Breakage = fn(&Path);

#[test]
fn a_blob_is_invisible_until_its_commit_and_read_only_after_it() {
    let room = Room::new();
    let writer = room.store.writer(&Silent).unwrap();
    let mut temporary = writer.create().unwrap();
    temporary.write_all(b"one").unwrap();
    assert!(!room.has_blob("one"));
    assert_eq!(files_in(&room.store.ingest_dir()).len(), 1);
    let digest = Digest::of(b"one");
    assert_eq!(temporary.commit(&digest, 3).unwrap(), Committed::Stored);
    assert_eq!(files_in(&room.store.ingest_dir()), [""; 0]);
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = fs::metadata(room.store.blob_path(&digest))
            .unwrap()
            .permissions()
            .mode();
        assert_eq!(mode & 0o7777, 0o444);
    }
    assert_eq!(put_layer(&writer, "one"), Committed::AlreadyThere);
    drop(writer.create().unwrap());
    assert_eq!(
        files_in(&room.store.ingest_dir()),
        [""; 0],
        "dropped without commit"
    );
}

#[test]
fn a_blob_of_the_wrong_size_is_not_committed() {
    let room = Room::new();
    let writer = room.store.writer(&Silent).unwrap();
    for size in [2, 4] {
        let mut temporary = writer.create().unwrap();
        temporary.write_all(b"one").unwrap();
        let committed = temporary.commit(&Digest::of(b"one"), size);
        assert!(matches!(committed, Err(Error::WrongSize { actual: 3, .. })));
    }
    assert!(!room.has_blob("one"));
    assert_eq!(files_in(&room.store.ingest_dir()), [""; 0]);
}

#[test]
fn a_recorded_blob_is_believed_and_a_changed_one_is_not() {
    let room = Room::new();
    let kit = room.pack(&["a:1"], "one");
    let digest = Digest::of(b"one");
    let writer = room.store.writer(&Silent).unwrap();
    let has = |digest: &Digest, size, trust| writer.has(digest, size, trust).unwrap();
    assert!(fs::metadata(room.store.stamps_path()).unwrap().len() > 0);
    assert_eq!(has(&digest, 3, Trust::Recorded), Presence::Here);
    assert_eq!(has(&kit.digest, kit.size, Trust::Hash), Presence::Here);
    assert_eq!(has(&digest, 4, Trust::Recorded), Presence::Damaged);
    assert_eq!(
        has(&Digest::of(b"two"), 3, Trust::Recorded),
        Presence::Absent
    );
    room.overwrite(&digest, b"onE");
    assert_eq!(has(&digest, 3, Trust::Recorded), Presence::Damaged);
}

// hazard: 85
#[cfg(unix)]
#[test]
fn a_changed_byte_is_noticed_although_size_and_time_are_as_before() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    let digest = Digest::of(b"one");
    let path = room.store.blob_path(&digest);
    let before = fs::metadata(&path).unwrap();
    // In place, as a careless program would do it, until the clock of the file system has moved.
    loop {
        let mut permissions = before.permissions();
        std::os::unix::fs::PermissionsExt::set_mode(&mut permissions, 0o644);
        fs::set_permissions(&path, permissions).unwrap();
        fs::write(&path, b"onE").unwrap();
        let file = File::options().write(true).open(&path).unwrap();
        file.set_modified(before.modified().unwrap()).unwrap();
        fs::set_permissions(&path, before.permissions()).unwrap();
        let (old, new) = (
            platform::FileStamp::of(&before),
            platform::FileStamp::of(&fs::metadata(&path).unwrap()),
        );
        assert_eq!(
            (old.size, old.modified, old.inode),
            (new.size, new.modified, new.inode)
        );
        if old.changed != new.changed {
            break;
        }
    }
    let writer = room.store.writer(&Silent).unwrap();
    assert_eq!(
        writer.has(&digest, 3, Trust::Recorded).unwrap(),
        Presence::Damaged
    );
    assert_eq!(put_layer(&writer, "one"), Committed::Healed);
    drop(writer);
    assert!(room.verify(false).is_sound());
}

// hazard: 88, 109
#[test]
fn storing_again_heals_whatever_stands_in_the_place_of_a_blob() {
    let digest = Digest::of(b"one");
    let breakages: [(&str, Breakage); 4] = [
        ("flipped", |path| fs::write(path, "onE").unwrap()),
        ("empty", |path| fs::write(path, "").unwrap()),
        ("directory", |path| fs::create_dir(path).unwrap()),
        #[cfg(unix)]
        ("link", |path| {
            let other = path.with_file_name("other");
            fs::write(&other, "one").unwrap();
            std::os::unix::fs::symlink("other", path).unwrap();
        }),
        #[cfg(not(unix))]
        ("longer", |path| fs::write(path, "one more").unwrap()),
    ];
    for (name, breakage) in breakages {
        let room = Room::new();
        room.pack(&["a:1"], "one");
        let path = room.store.blob_path(&digest);
        fs::remove_file(&path).unwrap();
        breakage(&path);
        assert!(!room.verify(false).is_sound(), "{name}");
        assert!(room.store.read_verified(&digest, 3, 10).is_err(), "{name}");
        let writer = room.store.writer(&Silent).unwrap();
        assert_eq!(put_layer(&writer, "one"), Committed::Healed, "{name}");
        drop(writer);
        assert!(room.verify(false).is_sound(), "{name}");
        assert_eq!(room.store.read_verified(&digest, 3, 10).unwrap(), b"one");
    }
}

// hazard: 106
#[test]
fn a_blob_that_was_only_copied_here_is_read_once_and_then_believed() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    fs::remove_file(room.store.stamps_path()).unwrap();
    let digest = Digest::of(b"one");
    let has = |trust| {
        room.store
            .writer(&Silent)
            .unwrap()
            .has(&digest, 3, trust)
            .unwrap()
    };
    assert_eq!(has(Trust::Recorded), Presence::Here);
    let stamps = identity::Stamps::read(&room.store.stamps_path()).unwrap();
    let stamp = platform::FileStamp::of(&fs::metadata(room.store.blob_path(&digest)).unwrap());
    assert!(stamps.matches(&digest, &stamp));
}

// hazard: 85, 86, 87
#[test]
fn a_verified_reader_fails_at_the_end_of_a_wrong_blob_and_stays_failed() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    let digest = Digest::of(b"one");
    let mut content = String::new();
    let mut reader = room.store.verified_blob(&digest, 3).unwrap();
    reader.read_to_string(&mut content).unwrap();
    assert_eq!(content, "one");
    reader.finish().unwrap();

    room.overwrite(&digest, b"onE");
    let mut reader = room.store.verified_blob(&digest, 3).unwrap();
    for _ in 0..2 {
        let error = reader.read_to_end(&mut Vec::new()).unwrap_err();
        let inner = error.get_ref().unwrap().downcast_ref();
        assert!(matches!(
            inner,
            Some(Error::Damaged {
                damage: Damage::Content { .. },
                ..
            })
        ));
    }
    assert!(reader.finish().is_err());
    for content in [&b""[..], b"on", b"one more"] {
        room.overwrite(&digest, content);
        let opened = room.store.verified_blob(&digest, 3);
        assert!(matches!(
            opened,
            Err(Error::Damaged {
                damage: Damage::Size { .. },
                ..
            })
        ));
    }
    // What grows or shrinks after it was opened.
    room.overwrite(&digest, b"one");
    for content in ["one more", "on"] {
        let reader = room.store.verified_blob(&digest, 3).unwrap();
        fs::write(room.store.blob_path(&digest), content).unwrap();
        assert!(reader.finish().is_err(), "{content}");
        fs::write(room.store.blob_path(&digest), "one").unwrap();
    }
}

// hazard: 85, 92
#[test]
fn verification_names_what_is_damaged_missing_or_stray_and_who_needs_it() {
    let room = Room::new();
    let kit = room.pack(&["a:1", "a:2"], "one");
    room.pack(&["b:1"], "two");
    room.overwrite(&Digest::of(b"one"), b"onE");
    fs::remove_file(room.store.blob_path(&Digest::of(b"two"))).unwrap();
    {
        let writer = room.store.writer(&Silent).unwrap();
        put_layer(&writer, "stray");
    }
    let partial = room.store.ingest_dir().join(Digest::of(b"later").hex());
    fs::write(&partial, "la").unwrap();
    let report = room.verify(false);
    assert_eq!(report, room.verify(false), "looking changes nothing");
    assert_eq!(report.damaged.len(), 1);
    assert_eq!(report.damaged[0].kits, ["a:1", "a:2"]);
    assert_eq!(
        (report.missing.len(), &report.missing[0].kits[..]),
        (1, &["b:1".to_owned()][..])
    );
    assert_eq!(report.stray.len(), 1);
    assert_eq!(report.resumable, [(partial, 2)]);
    assert_eq!((report.kits, report.quarantined.len()), (2, 0));

    let only = Scope::References(vec![reference(&kit.digest.to_string())]);
    let report = room.store.verify(&only, false, &Silent).unwrap();
    assert_eq!((report.kits, report.blobs, report.missing.len()), (1, 3, 0));

    let report = room.verify(true);
    assert_eq!((report.damaged.len(), report.quarantined.len()), (1, 1));
    let report = room.verify(true);
    assert_eq!((report.damaged.len(), report.missing.len()), (0, 2));
    room.pack(&["a:1"], "one");
    room.pack(&["b:1"], "two");
    assert!(room.verify(false).is_sound());
}

#[test]
fn a_kit_that_is_wrong_about_a_size_does_not_cost_a_right_blob() {
    let room = Room::new();
    room.pack(&["a:1"], "one");
    let writer = room.store.writer(&Silent).unwrap();
    let mut layer = Descriptor::of(MODEL, b"one");
    layer.size = 7;
    let manifest = Manifest {
        artifact_type: None,
        config: Descriptor::of(media_type::CONFIG, b"{}"),
        layers: vec![layer],
        annotations: std::collections::BTreeMap::new(),
        subject: None,
    };
    writer.put(b"{}").unwrap();
    writer.put(&manifest.to_bytes()).unwrap();
    let descriptor = Descriptor::of(media_type::MANIFEST, &manifest.to_bytes());
    let session = &lock::shared(&room.store, &Silent).unwrap().session;
    index::update(&room.store, session, &Silent, |entries| {
        naming::set_name(entries, Some(&reference("b:1")), &descriptor);
    })
    .unwrap();
    drop(writer);
    let report = room.verify(false);
    assert_eq!((report.damaged.len(), report.problems.len()), (0, 1));
}

// hazard: 103
#[cfg(unix)]
#[test]
fn a_store_that_cannot_be_written_to_is_read_without_locks() {
    let room = Room::new();
    let kit = room.pack(&["a:1"], "one");
    fs::remove_dir_all(room.store.root().join("lock")).unwrap();
    let _reading = room.store.reader(&Silent).unwrap();
    assert_eq!(room.store.manifest(&kit).unwrap().manifest.layers.len(), 1);
    assert!(room.verify(false).is_sound());
    assert!(!room.store.root().join("lock").exists());
}
