//! Archives that no honest writer makes, and odd ones that some do.

use super::*;

// hazard: 1, 2, 3, 4
#[test]
fn names_that_lead_out_are_refused() {
    let sandbox = Sandbox::new();
    for name in ["../x", "a/../../x", "a/../b", "..", "/etc/x", "/"] {
        // In the header, by PAX, and by a long name.
        let plain = Archive::new().file(name, b"x").end();
        let by_pax = Archive::new()
            .pax(&[("path", name.as_bytes())])
            .file("ok", b"x")
            .end();
        let long = Archive::new()
            .entry(b'L', b"@", name.as_bytes())
            .file("ok", b"x")
            .end();
        for archive in [plain, by_pax, long] {
            let error = sandbox.refuse(&archive);
            assert!(
                matches!(error, Error::Name { .. } | Error::Kind { .. }),
                "{error:?}"
            );
        }
    }

    let fields = Fields {
        name: b"x",
        prefix: b"..",
        ..Fields::default()
    };
    let archive = Archive::new().header(&fields).end();
    assert!(matches!(sandbox.refuse(&archive), Error::Name { .. }));
}

#[test]
fn a_ustar_prefix_is_part_of_the_name_and_another_writers_field_is_not() {
    let sandbox = Sandbox::new();
    let with = Fields {
        name: b"x",
        prefix: b"deep/er",
        ..Fields::default()
    };
    let gnu = Fields {
        name: b"y",
        prefix: b"123",
        magic: b"ustar  \0",
        ..Fields::default()
    };
    sandbox
        .unpack(&Archive::new().header(&with).header(&gnu).end())
        .unwrap();
    assert_eq!(sandbox.tree(), ["deep/", "deep/er/", "deep/er/x", "y"]);
}

// hazard: 4, 6, 7
#[test]
fn extended_headers_that_can_be_read_in_two_ways_are_refused() {
    let sandbox = Sandbox::new();
    let twice = [("path", &b"a"[..]), ("path", b"b")];
    let sized = |size: u64, told: &str, content: &[u8]| {
        let fields = Fields {
            size: octal_size(size),
            ..Fields::default()
        };
        Archive::new()
            .pax(&[("size", told.as_bytes())])
            .header(&fields)
            .content(content)
            .end()
    };
    for archive in [
        Archive::new().pax(&twice).file("c", b"").end(),
        Archive::new().pax(&[]).pax(&[]).file("c", b"").end(),
        Archive::new()
            .pax(&[("path", b"a")])
            .entry(b'L', b"@", b"b")
            .file("c", b"")
            .end(),
        Archive::new()
            .entry(b'L', b"@", b"a")
            .entry(b'L', b"@", b"b")
            .file("c", b"")
            .end(),
        Archive::new().pax(&[("path", b"a")]).end(),
        Archive::new().entry(b'L', b"@", b"a").end(),
        sized(512, "1", &[b'x'; 512]),
        sized(512, "1024", &[b'x'; 1024]),
        Archive::new()
            .entry(b'x', b"p", b"12 path=a\n")
            .file("c", b"")
            .end(),
        Archive::new()
            .entry(b'g', b"p", &record("path", b"a"))
            .file("c", b"")
            .end(),
        Archive::new()
            .entry(b'g', b"p", &record("size", b"1"))
            .file("c", b"")
            .end(),
    ] {
        let error = sandbox.refuse(&archive);
        assert!(matches!(error, Error::Header { .. }), "{error:?}");
    }
}

// hazard: 5
#[test]
fn a_size_told_by_pax_alone_covers_what_looks_like_a_header() {
    let sandbox = Sandbox::new();
    let hidden = Archive::new().file("hidden", b"evil").0;
    let archive = Archive::new()
        .pax(&[("size", hidden.len().to_string().as_bytes())])
        .header(&Fields {
            name: b"outer",
            ..Fields::default()
        })
        .content(&hidden)
        .file("next", b"n")
        .end();
    sandbox.unpack(&archive).unwrap();
    assert_eq!(sandbox.tree(), ["next", "outer"]);
    assert_eq!(sandbox.read("outer"), hidden);
}

#[test]
fn ignorable_and_global_records_are_passed_over() {
    let sandbox = Sandbox::new();
    let archive = Archive::new()
        .entry(b'g', b"pax_global_header", &record("comment", b"0123"))
        .pax(&[
            ("mtime", b"1.5"),
            ("path", "ä/ü".as_bytes()),
            ("SCHILY.xattr.user.x", b"\n\0"),
        ])
        .file("x", b"x")
        .end();
    sandbox.unpack(&archive).unwrap();
    assert_eq!(sandbox.tree(), ["ä/", "ä/ü"]);
}

// hazard: 8, 9, 10, 11, 12
#[test]
fn only_files_and_folders_are_unpacked() {
    let sandbox = Sandbox::new();

    for (flag, kind) in [
        (b'2', "a symbolic link"),
        (b'1', "a hard link"),
        (b'3', "a device"),
        (b'4', "a device"),
        (b'6', "a fifo"),
        (b'S', "a sparse file"),
        (b'K', "a link with a long target"),
        (b'7', "of the unknown type `7`"),
        (b'V', "of the unknown type `V`"),
        (0xff, "of the unknown type `\\xff`"),
    ] {
        let archive = Archive::new()
            .file("before", b"b")
            .entry(flag, b"link", b"")
            .file("link/x", b"x")
            .end();
        let error = sandbox.refuse(&archive).to_string();
        assert_eq!(
            error,
            format!("entry `link` is {kind}, and only files and folders are unpacked")
        );
    }
    let sparse = Archive::new()
        .pax(&[("GNU.sparse.major", b"1")])
        .file("x", b"")
        .end();
    assert!(matches!(sandbox.refuse(&sparse), Error::Header { .. }));
}

// hazard: 13, 14
#[cfg(unix)]
#[test]
fn of_a_mode_only_the_owners_execute_bit_is_taken() {
    use std::os::unix::fs::PermissionsExt;
    let sandbox = Sandbox::new();
    let file = |name, mode| Fields {
        name,
        mode,
        ..Fields::default()
    };
    let archive = Archive::new()
        .header(&Fields {
            name: b"dir",
            mode: b"0000000\0",
            flag: b'5',
            ..Fields::default()
        })
        .header(&file(b"dir/suid", b"0006755\0"))
        .header(&file(b"dir/none", b"0000000\0"))
        .header(&file(b"dir/group", b"0000676\0"))
        .end();
    sandbox.unpack(&archive).unwrap();
    let mode = |path: &str| {
        let metadata = fs::metadata(sandbox.target().join(path)).unwrap();
        metadata.permissions().mode() & 0o7777
    };
    // The umask of whoever runs the tests may take more.
    assert_eq!(mode("dir/suid") & 0o7700, 0o700);
    assert_eq!(mode("dir/none") & 0o7711, 0o600);
    assert_eq!(mode("dir/group") & 0o7711, 0o600);
    assert_eq!(mode("dir") & 0o7722, 0o700);
}

// hazard: 21
#[test]
fn a_path_is_either_a_file_or_a_folder() {
    let sandbox = Sandbox::new();

    let error = sandbox.refuse(&Archive::new().file("a", b"").file("a/b/c", b"").end());
    assert_eq!(
        error.to_string(),
        "`a` is a file, but `a/b/c` needs it to be a folder"
    );
    for archive in [
        Archive::new().file("a/b", b"").file("a", b"").end(),
        Archive::new().folder("a").file("a", b"").end(),
        Archive::new().file("a", b"").folder("a").end(),
    ] {
        assert_eq!(
            sandbox.refuse(&archive).to_string(),
            "`a` is both a file and a folder"
        );
    }
    for archive in [
        Archive::new().file("a/", b"x").end(),
        Archive::new().entry(b'5', b"a", b"x").end(),
        Archive::new().file("./", b"").end(),
    ] {
        assert!(matches!(sandbox.refuse(&archive), Error::Kind { .. }));
    }
}

// hazard: 22
#[test]
fn missing_folders_are_made_and_empty_ones_kept() {
    let sandbox = Sandbox::new();
    let archive = Archive::new()
        .file("a/b/c", b"c")
        .folder("./d/")
        .folder(".")
        .end();
    sandbox.unpack(&archive).unwrap();
    assert_eq!(sandbox.tree(), ["a/", "a/b/", "a/b/c", "d/"]);
}

// hazard: 23
#[test]
fn a_path_twice_in_a_layer_is_refused() {
    let sandbox = Sandbox::new();
    // Also where the target has the file already.
    let archive = Archive::new().file("d/a", b"1").file("./d//a", b"2").end();
    assert_eq!(
        sandbox.refuse(&archive).to_string(),
        "the layer holds `d/a` twice"
    );
    sandbox.put("d/a", b"1");
    assert_eq!(
        sandbox.refuse(&archive).to_string(),
        "the layer holds `d/a` twice"
    );
}

// hazard: 24
#[test]
fn names_that_the_file_system_takes_for_one_lose_nothing() {
    // Two files where names are told apart, an error that names both elsewhere.
    let sandbox = Sandbox::new();
    match sandbox.unpack(&Archive::new().file("File", b"1").file("file", b"2").end()) {
        Ok(_) => assert_eq!(sandbox.tree(), ["File", "file"]),
        Err(error) => {
            let error = cause(error);
            assert!(matches!(error, Error::Folded { .. }), "{error:?}");
            assert!(sandbox.tree().is_empty());
        }
    }
}

// hazard: 25, 26, 27
#[cfg(unix)]
#[test]
fn odd_names_are_kept_as_they_are() {
    use std::os::unix::ffi::OsStrExt;

    let sandbox = Sandbox::new();
    let listener = Listener::default();
    let names: [&[u8]; 5] = [b"w..bin", b"a\nb\x1b[31m", b"CON", b"C:\\x", b"\xff"];
    let mut archive = Archive::new();
    for name in names {
        archive = archive.entry(b'0', name, b"x");
    }
    let archive = archive.end();
    let mut unpack = Unpack::begin(&sandbox.target(), Options::default(), &listener).unwrap();
    unpack.layer(layer(0, &archive), &|_| true).unwrap();
    unpack.finish().unwrap();
    for name in names {
        let path = sandbox.target().join(std::ffi::OsStr::from_bytes(name));
        assert_eq!(fs::read(path).unwrap(), b"x");
    }
    let said = listener.said.into_inner().unwrap();
    assert_eq!(said.len(), 1, "one warning per kit: {said:?}");
    assert!(said[0].contains("Windows"));
    let nul = Archive::new()
        .pax(&[("path", b"a\0b")])
        .file("x", b"")
        .end();
    assert!(matches!(sandbox.refuse(&nul), Error::Name { .. }));
}

// hazard: 28
#[test]
fn names_beyond_the_limits_are_refused_before_anything_is_made() {
    let sandbox = Sandbox::new();

    for name in [
        "x".repeat(256),
        "d/".repeat(1001) + "x",
        "dd/".repeat(1366) + "x",
    ] {
        let archive = Archive::new()
            .pax(&[("path", name.as_bytes())])
            .file("x", b"")
            .end();
        assert!(matches!(sandbox.refuse(&archive), Error::Name { .. }));
    }
}

// hazard: 28, 38
#[test]
fn deep_paths_come_and_go_with_few_handles() {
    let sandbox = Sandbox::new();
    let deep = "d/".repeat(900);
    let files: Vec<_> = ["x", "y"]
        .iter()
        .map(|name| format!("{deep}{name}"))
        .collect();
    let archive = |name: &String| {
        Archive::new()
            .pax(&[("path", name.as_bytes())])
            .file("x", b"deep")
            .end()
    };
    let archives = [archive(&files[0]), archive(&files[1])];
    let layers = [archives[0].as_slice(), &archives[1]];
    sandbox.unpack_with(Existing::Refuse, &layers).unwrap();
    // Again: everything is there, and what had been staged is removed.
    let report = sandbox.unpack_with(Existing::Refuse, &layers).unwrap();
    assert_eq!(report.equal, 2);
    assert_eq!(sandbox.read(&files[1]), b"deep");
    assert_eq!(fs::read_dir(sandbox.target()).unwrap().count(), 1);
}

// hazard: 29
#[test]
fn extended_headers_beyond_a_mebibyte_are_refused_unread() {
    let sandbox = Sandbox::new();

    for (flag, size) in [
        (b'x', 2 << 20),
        (b'L', 2 << 20),
        (b'g', 200 << 20),
        (b'x', 1 << 32),
    ] {
        let size = octal_size(size);
        let archive = Archive::new()
            .header(&Fields {
                size,
                flag,
                ..Fields::default()
            })
            .end();
        assert!(matches!(sandbox.refuse(&archive), Error::Header { .. }));
    }
}

// hazard: 30
#[test]
fn sizes_that_are_no_sizes_are_refused() {
    let sandbox = Sandbox::new();
    let base_256 = |number: u64, first: u8| {
        let mut field = vec![first, 0, 0, 0];
        field.extend_from_slice(&number.to_be_bytes());
        field
    };

    for size in [
        base_256(1 << 63, 0x80),
        base_256(u64::MAX, 0xff),
        vec![0x80, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0],
        b"-0000000001\0".to_vec(),
        b"00000000008\0".to_vec(),
        b"0000 000001\0".to_vec(),
        b"            ".to_vec(),
        vec![0; 12],
    ] {
        let archive = Archive::new()
            .header(&Fields {
                size,
                ..Fields::default()
            })
            .end();
        assert!(matches!(sandbox.refuse(&archive), Error::Header { .. }));
    }
    let size = base_256(3, 0x80);
    let good = Archive::new()
        .header(&Fields {
            size,
            ..Fields::default()
        })
        .content(b"abc")
        .end();
    sandbox.unpack(&good).unwrap();
    assert_eq!(sandbox.read("file"), b"abc");
}

// hazard: 31, 32
#[test]
fn an_archive_that_is_cut_off_leaves_nothing() {
    // At every byte that matters.
    let sandbox = Sandbox::new();
    let whole = Archive::new()
        .file("d/a", &[b'a'; 700])
        .file("d/b", b"b")
        .end();
    for length in [
        0, 1, 511, 512, 513, 1211, 1535, 1536, 2048, 2559, 2560, 2561, 3071,
    ] {
        let error = sandbox.refuse(&whole[..length]);
        assert!(
            matches!(error, Error::CutOff { .. } | Error::NoEnd),
            "{length}: {error:?}"
        );
    }
    sandbox.unpack(&whole).unwrap();
}

// hazard: 32
#[test]
fn nothing_but_zeros_may_follow_the_end() {
    let sandbox = Sandbox::new();
    let one = || Archive::new().file("a", b"a");

    let second = [one().end(), Archive::new().file("b", b"b").end()].concat();
    let garbage = [one().end(), b"x".to_vec()].concat();
    let far = [one().end(), vec![0; 1 << 20], b"x".to_vec()].concat();
    let mut single = one().0;
    single.extend_from_slice(&[0; 512]);
    let between = [single, one().end()].concat();
    for archive in [second, garbage, far, between] {
        assert!(matches!(sandbox.refuse(&archive), Error::Trailing));
    }
    let padded = [one().end(), vec![0; 10_240 - 2048]].concat();
    sandbox.unpack(&padded).unwrap();
    assert_eq!(sandbox.tree(), ["a"]);
}

#[test]
fn a_wrong_checksum_is_refused() {
    let sandbox = Sandbox::new();
    let mut archive = Archive::new().file("a", b"a").end();
    archive[1] ^= 1;
    assert!(matches!(sandbox.refuse(&archive), Error::Header { .. }));
}

#[test]
fn a_reader_gives_entries_content_and_the_digest_of_all() {
    let archive = Archive::new()
        .folder("d")
        .file("d/a", b"abc")
        .file("d/b", &[7; 600])
        .end();
    let mut reader = TarReader::new(archive.as_slice());
    assert_eq!(reader.next_entry().unwrap().unwrap().kind, Kind::Folder);
    let entry = reader.next_entry().unwrap().unwrap();
    assert_eq!(
        (entry.path.as_slice(), entry.size, entry.executable()),
        (&b"d/a"[..], 3, false)
    );
    let mut content = String::new();
    reader.read_to_string(&mut content).unwrap();
    assert_eq!(content, "abc");
    let sums = reader.finish().unwrap();
    assert_eq!(sums.digest, Digest::of(&archive));
    assert_eq!(sums.diff_id, sums.digest);
    assert_eq!(sums.size, archive.len() as u64);
}
