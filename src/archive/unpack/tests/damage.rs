//! Layers that are not what they promise, and kits whose layers do not fit each other.

use super::*;

// hazard: 32, 85
#[test]
fn a_layer_with_a_flipped_last_byte_leaves_nothing() {
    let sandbox = Sandbox::new();
    let good = Archive::new()
        .file("d/a", b"a")
        .file("big", &vec![1; 1 << 20])
        .end();
    for at in [good.len() - 1, 0, 130, 600] {
        let mut bad = good.clone();
        bad[at] ^= 1;
        let mut unpack = Unpack::begin(&sandbox.target(), Options::default(), &Silent).unwrap();
        let report = unpack
            .layer(
                Layer {
                    digest: Digest::of(&good),
                    ..layer(0, &bad)
                },
                &|_| true,
            )
            .unwrap();
        assert!(!report.held);
        let error = unpack.finish().unwrap_err();
        assert!(error.is_damage(), "{at}: {error:?}");
        assert!(matches!(cause(error), Error::Damaged { .. }));
        assert!(sandbox.tree().is_empty());
    }
}

// hazard: 36, 87
#[test]
fn a_layer_of_another_size_or_uncompressed_digest_is_damaged() {
    let sandbox = Sandbox::new();
    let archive = Archive::new().file("a", b"a").end();
    let size = archive.len() as u64;
    for bad in [
        Layer {
            size: size - 1,
            ..layer(0, &archive)
        },
        Layer {
            size: size + 1,
            ..layer(0, &archive)
        },
        Layer {
            diff_id: Some(Digest::of(b"")),
            ..layer(0, &archive)
        },
    ] {
        let mut unpack = Unpack::begin(&sandbox.target(), Options::default(), &Silent).unwrap();
        unpack.layer(bad, &|_| true).unwrap();
        assert!(unpack.finish().unwrap_err().is_damage());
        assert!(sandbox.tree().is_empty());
    }
}

#[test]
fn layers_that_held_stay_when_another_is_damaged() {
    let sandbox = Sandbox::new();
    let first = Archive::new().file("d/a", b"a").end();
    let second = Archive::new().file("d/b", b"b").end();
    let third = Archive::new().file("d/c", b"c").end();
    let mut unpack = Unpack::begin(&sandbox.target(), Options::default(), &Silent).unwrap();
    let damaged = Layer {
        digest: Digest::of(b""),
        ..layer(1, &second)
    };
    assert!(unpack.layer(layer(0, &first), &|_| true).unwrap().held);
    assert!(!unpack.layer(damaged, &|_| true).unwrap().held);
    assert!(unpack.layer(layer(2, &third), &|_| true).unwrap().held);
    let error = unpack.finish().unwrap_err();
    assert!(
        error
            .to_string()
            .starts_with("cannot unpack layer 1 (sha256:"),
        "{error}"
    );
    assert_eq!(sandbox.tree(), ["d/", "d/a", "d/c"]);
    // A second run with the right bytes completes it.
    let report = sandbox
        .unpack_with(Existing::Refuse, &[&first, &second, &third])
        .unwrap();
    assert_eq!((report.written, report.equal), (1, 2));
}

// hazard: 23
#[test]
fn layers_may_share_folders_and_equal_files_but_no_others() {
    let sandbox = Sandbox::new();
    let first = Archive::new()
        .folder("d")
        .file("d/a", b"same")
        .file("d/b", b"1")
        .end();
    let second = Archive::new()
        .folder("d")
        .file("d/a", b"same")
        .file("d/c", b"2")
        .end();
    let report = sandbox
        .unpack_with(Existing::Refuse, &[&first, &second])
        .unwrap();
    assert_eq!(report.written, 3);
    assert_eq!(sandbox.tree(), ["d/", "d/a", "d/b", "d/c"]);

    let other = Archive::new().file("d/a", b"other").end();
    for existing in [Existing::Refuse, Existing::Overwrite] {
        for fresh in [true, false] {
            let sandbox = Sandbox::new();
            if !fresh {
                sandbox.put("d/a", b"same");
            }
            let error = sandbox
                .unpack_with(existing, &[&first, &other])
                .unwrap_err();
            let text = "`d/a` is not the same in layer 0 and layer 1";
            assert_eq!(cause(error).to_string(), text);
            assert_eq!(sandbox.read("d/a"), b"same");
        }
    }
}

// hazard: 21
#[test]
fn a_file_of_one_layer_is_no_folder_of_another() {
    let sandbox = Sandbox::new();
    let first = Archive::new().file("a", b"a").end();
    let second = Archive::new().file("a/b", b"b").end();
    let error = sandbox
        .unpack_with(Existing::Refuse, &[&first, &second])
        .unwrap_err();
    assert!(matches!(cause(error), Error::Below { .. }));
    assert_eq!(sandbox.tree(), ["a"]);
}

// hazard: 37
#[test]
fn no_layer_replaces_the_kitfile_or_our_own_folders() {
    let sandbox = Sandbox::new();
    let listener = Listener::default();
    let evil = Archive::new().file("Kitfile", b"evil").end();
    let same = Archive::new()
        .file("Kitfile", b"good")
        .file(".git/hooks/x", b"")
        .file(".git/y", b"")
        .end();
    let own = Archive::new()
        .file(".kit-unpack-0123456789abcdef/x", b"")
        .end();
    let mut unpack =
        Unpack::begin(&sandbox.target(), options(Existing::Overwrite), &listener).unwrap();
    unpack.file("Kitfile", b"good").unwrap();
    for (number, archive) in [&evil, &same, &own].into_iter().enumerate() {
        let report = unpack.layer(layer(number, archive), &|_| true).unwrap();
        assert_eq!(report.held, number == 1);
    }
    let Error::Layer { cause, others, .. } = unpack.finish().unwrap_err() else {
        panic!("a layer failed");
    };
    assert_eq!(
        cause.to_string(),
        "`Kitfile` is not the same in `Kitfile` and layer 0"
    );
    assert!(matches!(others[0].cause, Error::Name { .. }));
    assert_eq!(sandbox.read("Kitfile"), b"good");
    let said = listener.said.into_inner().unwrap();
    assert_eq!(said.len(), 1, "one warning per kit: {said:?}");
    assert!(said[0].contains(".git/hooks/x"));
}

#[test]
fn only_what_is_selected_is_written() {
    let sandbox = Sandbox::new();
    let archive = Archive::new()
        .folder("data")
        .file("data/a.csv", b"a")
        .file("data/b.bin", &vec![2; 1 << 20])
        .file("c.csv", b"c")
        .end();
    let mut unpack = Unpack::begin(&sandbox.target(), Options::default(), &Silent).unwrap();
    let report = unpack
        .layer(layer(0, &archive), &|path| path.ends_with(b".csv"))
        .unwrap();
    assert_eq!(report.files.files(), 2);
    unpack.finish().unwrap();
    assert_eq!(sandbox.tree(), ["c.csv", "data/", "data/a.csv"]);
}

// hazard: 1
#[test]
fn old_layers_are_put_below_their_prefix_and_raw_ones_under_their_name() {
    let sandbox = Sandbox::new();
    let archive = Archive::new().file("net.bin", b"old").end();
    let raw = vec![3; 700_000];
    let mut unpack = Unpack::begin(&sandbox.target(), Options::default(), &Silent).unwrap();
    let old = Layer {
        prefix: b"./models/v1/".to_vec(),
        ..layer(0, &archive)
    };
    unpack
        .layer(old, &|path| path == b"models/v1/net.bin")
        .unwrap();
    let shape = Shape::Raw {
        path: b"bin/run".to_vec(),
        executable: true,
    };
    unpack
        .layer(
            Layer {
                shape,
                ..layer(1, &raw)
            },
            &|_| true,
        )
        .unwrap();
    let shape = Shape::Raw {
        path: b"empty".to_vec(),
        executable: false,
    };
    unpack
        .layer(
            Layer {
                shape,
                ..layer(2, b"")
            },
            &|_| true,
        )
        .unwrap();
    let shape = Shape::Raw {
        path: b"bad".to_vec(),
        executable: false,
    };
    let bad = Layer {
        shape,
        digest: Digest::of(b"x"),
        ..layer(3, &raw)
    };
    assert!(!unpack.layer(bad, &|_| true).unwrap().held);
    let shape = Shape::Raw {
        path: b"../up".to_vec(),
        executable: false,
    };
    assert!(
        !unpack
            .layer(
                Layer {
                    shape,
                    ..layer(4, b"")
                },
                &|_| true
            )
            .unwrap()
            .held
    );
    assert!(unpack.finish().unwrap_err().is_damage());
    sandbox.check_outside();
    assert_eq!(
        sandbox.tree(),
        [
            "bin/",
            "bin/run",
            "empty",
            "models/",
            "models/v1/",
            "models/v1/net.bin"
        ]
    );
    assert_eq!(sandbox.read("bin/run"), raw);
}

#[test]
fn a_source_that_fails_is_an_error_of_its_layer() {
    struct Broken;
    impl Read for Broken {
        fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
            Err(io::Error::other("gone"))
        }
    }
    let sandbox = Sandbox::new();
    let mut unpack = Unpack::begin(&sandbox.target(), Options::default(), &Silent).unwrap();
    let Layer {
        label,
        digest,
        diff_id,
        prefix,
        shape,
        compression,
        plain_size,
        ..
    } = layer(0, b"");
    let broken = Layer {
        label,
        digest,
        diff_id,
        prefix,
        shape,
        compression,
        plain_size,
        size: 9,
        read: Broken,
        stored: None,
    };
    unpack.layer(broken, &|_| true).unwrap();
    assert!(matches!(
        cause(unpack.finish().unwrap_err()),
        Error::Read(_)
    ));
}

#[test]
fn a_run_that_is_stopped_leaves_nothing() {
    let sandbox = Sandbox::new();
    let listener = Listener::default();
    let archive = Archive::new()
        .file("d/a", b"a")
        .file("big", &vec![0; 2 << 20])
        .file("b", b"")
        .end();
    let mut unpack = Unpack::begin(&sandbox.target(), Options::default(), &listener).unwrap();
    let stop = |path: &[u8]| {
        listener.cancelled.store(path == b"b", Ordering::Relaxed);
        true
    };
    let error = unpack.layer(layer(0, &archive), &stop).unwrap_err();
    assert!(matches!(error, Error::Interrupted));
    drop(unpack);
    assert!(sandbox.tree().is_empty());
}
