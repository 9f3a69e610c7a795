//! Targets that hold something already, or change while they are unpacked into.

use super::*;

#[test]
fn equal_files_are_left_alone_and_all_others_listed_at_once() {
    let sandbox = Sandbox::new();
    let big = vec![b'x'; 3 << 20];
    let mut flipped = big.clone();
    flipped[2 << 20] = b'y';
    sandbox.put("d/equal", b"1");
    sandbox.put("d/other", b"2");
    sandbox.put("d/longer", b"33 and more");
    sandbox.put("d/big", &flipped);
    sandbox.put("e/folder/x", b"");
    sandbox.put("file", b"");
    let first = Archive::new()
        .file("d/equal", b"1")
        .file("d/other", b"two")
        .file("d/longer", b"33")
        .file("d/big", &big)
        .file("d/new", b"new")
        .end();
    let second = Archive::new()
        .file("e/folder", b"")
        .file("file/below", b"")
        .end();
    let before = sandbox.tree();
    for existing in [Existing::Refuse, Existing::Keep] {
        let error = sandbox
            .unpack_with(existing, &[&first, &second])
            .unwrap_err();
        let mut expected = vec![("e/folder", Obstacle::Folder), ("file", Obstacle::File)];
        if existing == Existing::Refuse {
            let files = ["d/big", "d/longer", "d/other"];
            expected.splice(0..0, files.map(|path| (path, Obstacle::Different)));
        }
        let expected: Vec<_> = expected
            .into_iter()
            .map(|(path, why)| (path.to_owned(), why))
            .collect();
        assert_eq!(conflicts(error), expected);
        assert_eq!(sandbox.tree(), before, "nothing is published");
    }
    let report = sandbox.unpack_with(Existing::Keep, &[&first]).unwrap();
    assert_eq!((report.kept, report.equal, report.written), (3, 1, 1));
    assert_eq!(sandbox.read("d/big"), flipped);
    let report = sandbox.unpack_with(Existing::Overwrite, &[&first]).unwrap();
    assert_eq!((report.replaced, report.equal, report.written), (3, 2, 0));
    assert_eq!(sandbox.read("d/big"), big);
    assert_eq!(sandbox.read("d/longer"), b"33");
    let report = sandbox.unpack(&first).unwrap();
    assert_eq!((report.equal, report.files()), (5, 5));
}

// hazard: 39
#[test]
fn a_cut_off_file_is_completed_by_running_again() {
    let big: Vec<u8> = (0..3_u32 << 20)
        .map(|byte| byte.to_be_bytes()[1] ^ 0x55)
        .collect();
    for existing in [Existing::Refuse, Existing::Keep, Existing::Overwrite] {
        let sandbox = Sandbox::new();
        sandbox.put("d/big", &big[..2_000_001]);
        sandbox.put("d/small", b"ab");
        sandbox.put("d/empty", b"");
        let archive = Archive::new()
            .file("d/big", &big)
            .file("d/small", b"abc")
            .file("d/empty", b"x")
            .end();
        let report = sandbox.unpack_with(existing, &[&archive]).unwrap();
        assert_eq!((report.completed, report.files()), (3, 3));
        assert_eq!(sandbox.read("d/big"), big);
        assert_eq!(sandbox.read("d/small"), b"abc");
        assert_eq!(sandbox.tree(), ["d/", "d/big", "d/empty", "d/small"]);
    }
}

#[cfg(unix)]
#[test]
fn overwriting_gives_the_right_mode() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    sandbox.put("run", b"#!");
    let mode = b"0000755\0";
    let fields = Fields {
        name: b"run",
        mode,
        size: octal_size(2),
        ..Fields::default()
    };
    let archive = Archive::new().header(&fields).content(b"#!").end();
    let executable = || {
        let metadata = fs::metadata(sandbox.target().join("run")).unwrap();
        metadata.permissions().mode() & 0o100 != 0
    };
    sandbox.unpack(&archive).unwrap();
    assert!(!executable(), "an equal file is left alone");
    sandbox
        .unpack_with(Existing::Overwrite, &[&archive])
        .unwrap();
    assert!(executable());
}

// hazard: 15
#[cfg(unix)]
#[test]
fn a_linked_folder_in_the_target_is_never_followed() {
    let archive = Archive::new()
        .file("a/sub/x", b"x")
        .file("a/sub/y/z", b"z")
        .end();
    for goal in ["../../outside/sub", "../inside", "/nowhere"] {
        for existing in [Existing::Refuse, Existing::Keep, Existing::Overwrite] {
            let sandbox = Sandbox::new();
            sandbox.put("inside/file", b"");
            fs::create_dir(sandbox.target().join("a")).unwrap();
            std::os::unix::fs::symlink(goal, sandbox.target().join("a/sub")).unwrap();
            let error = sandbox.unpack_with(existing, &[&archive]).unwrap_err();
            assert_eq!(conflicts(error), [("a/sub".to_owned(), Obstacle::Link)]);
            assert_eq!(sandbox.tree(), ["a/", "a/sub", "inside/", "inside/file"]);
        }
    }
}

// hazard: 16, 17, 18
#[cfg(unix)]
#[test]
fn a_linked_file_in_the_target_is_replaced_itself_or_refused() {
    for goal in ["../outside/canary", "../outside/dangling"] {
        for existing in [Existing::Refuse, Existing::Keep, Existing::Overwrite] {
            let sandbox = Sandbox::new();
            let link = sandbox.target().join("Kitfile");
            std::os::unix::fs::symlink(goal, &link).unwrap();
            let result = (|| {
                let mut unpack = Unpack::begin(&sandbox.target(), options(existing), &Silent)?;
                unpack.file("Kitfile", b"kit")?;
                unpack.finish()
            })();
            sandbox.check_outside();
            if existing == Existing::Overwrite {
                assert_eq!(result.unwrap().replaced, 1);
                assert!(fs::symlink_metadata(&link).unwrap().is_file());
                assert_eq!(sandbox.read("Kitfile"), b"kit");
            } else {
                let found = conflicts(result.unwrap_err());
                assert_eq!(found, [("Kitfile".to_owned(), Obstacle::Link)]);
                assert_eq!(fs::read_link(&link).unwrap(), Path::new(goal));
            }
        }
    }
}

#[cfg(unix)]
#[test]
fn a_fifo_in_the_way_blocks_nobody() {
    let sandbox = Sandbox::new();
    let fifo = sandbox.target().join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &fifo, rustix::fs::FileType::Fifo, mode, 0).unwrap();
    let archive = Archive::new().file("pipe", b"x").end();
    let error = sandbox.unpack(&archive).unwrap_err();
    assert_eq!(conflicts(error), [("pipe".to_owned(), Obstacle::Special)]);
    sandbox
        .unpack_with(Existing::Overwrite, &[&archive])
        .unwrap();
    assert_eq!(sandbox.read("pipe"), b"x");
}

// hazard: 20
#[cfg(unix)]
#[test]
fn a_folder_exchanged_for_a_link_meanwhile_leads_nowhere() {
    // An opponent swaps the folder and a link as fast as possible.
    let sandbox = Sandbox::new();
    let mut archive = Archive::new().folder("sub");
    for number in 0..40 {
        archive = archive.file(&format!("sub/f{number}"), b"x");
        archive = archive.file(&format!("sub/deep/g{number}"), b"x");
    }
    let archive = archive.end();
    let swaps = &AtomicU64::new(0);
    thread::scope(|scope| {
        let (target, outside) = (sandbox.target(), sandbox.outside().join("sub"));
        // Gone at the end of this block, also when it fails: the scope waits for all threads.
        let (_unpacking, is_over) = mpsc::channel::<()>();
        scope.spawn(move || {
            while is_over.try_recv() == Err(TryRecvError::Empty) {
                fs::create_dir_all(target.join("sub/deep")).ok();
                fs::rename(target.join("sub"), target.join("aside")).ok();
                std::os::unix::fs::symlink(&outside, target.join("sub")).ok();
                fs::remove_file(target.join("sub")).ok();
                fs::rename(target.join("aside"), target.join("sub")).ok();
                swaps.fetch_add(1, Ordering::Relaxed);
            }
        });
        let mut rounds = 0;
        while rounds < 60 || swaps.load(Ordering::Relaxed) < 5_000 {
            // Any outcome is fine but one that writes outside, which is checked each time.
            let _ = sandbox.unpack_with(Existing::Overwrite, &[&archive]);
            rounds += 1;
        }
    });
    sandbox.check_outside();
}

// hazard: 40
#[cfg(unix)]
#[test]
fn only_the_named_target_may_be_a_link() {
    let sandbox = Sandbox::new();
    let archive = Archive::new().file("a", b"a").end();
    let link = sandbox.target().join("link");
    let real = sandbox.target().join("real");
    fs::create_dir(&real).unwrap();
    std::os::unix::fs::symlink(&real, &link).unwrap();
    let mut unpack = Unpack::begin(&link, Options::default(), &Silent).unwrap();
    unpack.layer(layer(0, &archive), &|_| true).unwrap();
    unpack.finish().unwrap();
    assert_eq!(sandbox.read("real/a"), b"a");

    let file = Unpack::begin(&real.join("a"), Options::default(), &Silent);
    assert!(matches!(file.err(), Some(Error::NotAFolder { .. })));
    let below = Unpack::begin(&real.join("a/b"), Options::default(), &Silent);
    assert!(matches!(below.err(), Some(Error::Target { .. })));
    let made = real.join("x/y/z");
    Unpack::begin(&made, Options::default(), &Silent)
        .unwrap()
        .finish()
        .unwrap();
    assert!(made.is_dir());
}

// hazard: 20
#[test]
fn a_name_that_appears_meanwhile_is_a_conflict_and_not_a_loss() {
    for existing in [Existing::Refuse, Existing::Keep, Existing::Overwrite] {
        let sandbox = Sandbox::new();
        sandbox.put("d/half", b"12");
        let archive = Archive::new()
            .file("d/half", b"1234")
            .file("d/new", b"ours")
            .file("d/other", b"ours")
            .end();
        let mut unpack = Unpack::begin(&sandbox.target(), options(existing), &Silent).unwrap();
        unpack.layer(layer(0, &archive), &|_| true).unwrap();
        sandbox.put("d/new", b"theirs");
        if existing != Existing::Overwrite {
            sandbox.put("d/half", b"theirs");
        }
        let found = conflicts(unpack.finish().unwrap_err());
        assert!(found.contains(&("d/new".to_owned(), Obstacle::Appeared)));
        assert_eq!(sandbox.read("d/new"), b"theirs");
        if existing != Existing::Overwrite {
            assert_eq!(sandbox.read("d/half"), b"theirs");
            assert_eq!(found.len(), 2);
        }
        assert_eq!(sandbox.read("d/other"), b"ours");
        assert_eq!(sandbox.tree(), ["d/", "d/half", "d/new", "d/other"]);
    }
}

#[test]
fn no_file_is_seen_before_the_end() {
    let sandbox = Sandbox::new();
    let archive = Archive::new().file("d/a", b"a").file("b", b"b").end();
    let mut unpack = Unpack::begin(&sandbox.target(), Options::default(), &Silent).unwrap();
    unpack.layer(layer(0, &archive), &|_| true).unwrap();
    let names: Vec<_> = fs::read_dir(sandbox.target())
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert!(
        names.iter().all(|name| name.starts_with(".kit-unpack-")),
        "{names:?}"
    );
    unpack.finish().unwrap();
    assert_eq!(sandbox.tree(), ["b", "d/", "d/a"]);
}

#[test]
fn what_a_killed_run_left_is_swept_and_nothing_else() {
    let sandbox = Sandbox::new();
    sandbox.put(".kit-unpack-0123456789abcdef/layer-new/d/e/f", b"");
    sandbox.put(".kit-unpack-mine/keep", b"");
    sandbox.put("data/.kit-unpack-0123456789abcdef/keep", b"");
    sandbox.unpack(&Archive::new().end()).unwrap();
    assert_eq!(
        sandbox.tree(),
        [
            ".kit-unpack-mine/",
            ".kit-unpack-mine/keep",
            "data/",
            "data/.kit-unpack-0123456789abcdef/",
            "data/.kit-unpack-0123456789abcdef/keep",
        ]
    );
}

#[test]
fn a_second_unpacker_waits_and_says_so() {
    let sandbox = Sandbox::new();
    let archive = Archive::new().file("d/a", b"a").end();
    let listener = Listener::default();
    let mut first = Unpack::begin(&sandbox.target(), Options::default(), &Silent).unwrap();
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            let mut second = Unpack::begin(&sandbox.target(), Options::default(), &listener)?;
            second.layer(layer(0, &archive), &|_| true)?;
            second.finish()
        });
        while listener.said.lock().unwrap().is_empty() {
            thread::yield_now();
        }
        first.layer(layer(0, &archive), &|_| true).unwrap();
        assert_eq!(first.finish().unwrap().written, 1);
        assert_eq!(second.join().unwrap().unwrap().equal, 1);
    });
    let said = listener.said.into_inner().unwrap();
    assert_eq!(said.len(), 1, "{said:?}");

    let _held = Unpack::begin(&sandbox.target(), Options::default(), &Silent).unwrap();
    let stopped = Listener {
        cancelled: true.into(),
        ..Listener::default()
    };
    let third = Unpack::begin(&sandbox.target(), Options::default(), &stopped);
    assert!(matches!(third.err(), Some(Error::Interrupted)));
}

#[test]
fn many_folders_and_sizes_come_out_as_they_went_in() {
    let sandbox = Sandbox::new();
    let mut archive = Archive::new();
    let mut expected = Vec::new();
    for number in 0..600_usize {
        let path = format!("d{}/e{}/f{number}", number % 97, number % 7);
        let size = [0, 1, 511, 512, 5000, 131_072, 131_073, 700_000][number % 8] / (1 + number % 3);
        let content: Vec<u8> = (0..size)
            .map(|at| (at * 31 + number).to_le_bytes()[0])
            .collect();
        archive = archive.file(&path, &content);
        expected.push((path, content));
    }
    let archive = archive.end();
    let report = sandbox.unpack(&archive).unwrap();
    assert_eq!(report.written, 600);
    for (path, content) in &expected {
        assert!(sandbox.read(path) == *content, "{path}");
    }
    assert_eq!(sandbox.unpack(&archive).unwrap().equal, 600);
}
