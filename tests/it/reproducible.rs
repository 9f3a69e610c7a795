//! One tree, one digest: on any day and machine, in any order, with any number of threads.

use std::{fs, time::Duration};

use crate::support::{Sandbox, digest, reference_tar};

/// The manifest digest of [`project`]. It is a promise to every registry that holds such a kit:
/// if this test fails, the program is wrong, not the constant.
const GOLDEN: &str =
    "Model saved: sha256:591e4a081d1a3808440298a0ab49725a74f777df44efad3c10219a2cf0eec114\n";

const KITFILE: &str = "manifestVersion: 1.0.0\n\
    package:\n  name: fixed\n  version: 1.2.3\n  authors: [Ann]\n\
    model:\n  name: net\n  path: model\n  parameters:\n    rate: 1.5\n    big: 12345678901234567890\n\
    code:\n  - path: .\n\
    datasets:\n  - name: train\n    path: ./data/\n\
    docs:\n  - path: README.md\n";

/// The files of the tree, and whether they may be executed.
fn tree() -> Vec<(String, Vec<u8>, bool)> {
    let long = format!("{}/{}", "long".repeat(30), "name".repeat(40));
    let mut files = vec![
        ("Kitfile".to_owned(), KITFILE.as_bytes().to_vec(), false),
        ("README.md".to_owned(), b"# Fixed\n".to_vec(), false),
        ("run.sh".to_owned(), b"#!/bin/sh\n".to_vec(), true),
        ("empty".to_owned(), Vec::new(), false),
        (
            "model/gr\u{f6}\u{df}e.bin".to_owned(),
            vec![1; 70_000],
            false,
        ),
        // Larger than a piece of the archive, so that threads share it.
        (
            "model/large.bin".to_owned(),
            (0..3_000_001_u32).map(|n| n.to_le_bytes()[0]).collect(),
            false,
        ),
        (format!("data/{long}"), b"long".to_vec(), false),
        ("data/a".to_owned(), b"same".to_vec(), false),
        ("data/a-b".to_owned(), b"same".to_vec(), false),
        ("data/a.d/x".to_owned(), b"x".to_vec(), false),
    ];
    files.extend((0..300).map(|n| {
        (
            format!("src/{n}.py"),
            format!("print({n})\n").into_bytes(),
            false,
        )
    }));
    files
}

/// Writes the tree to `folder`, the last file first if `backwards`.
fn write(kit: &Sandbox, folder: &str, backwards: bool) {
    let mut files = tree();
    if backwards {
        files.reverse();
    }
    for (path, content, runs) in files {
        let path = format!("{folder}/{path}");
        if runs {
            kit.exec(path, content);
        } else {
            kit.file(path, content);
        }
    }
    kit.dir(format!("{folder}/data/hollow"));
}

fn project() -> Sandbox {
    let kit = Sandbox::new();
    write(&kit, "tree", false);
    kit
}

#[track_caller]
fn pack(kit: &Sandbox, line: &str) -> String {
    kit.run(line.split(' ').chain(["-q"])).success()
}

// hazard: 50
#[test]
fn the_digest_of_a_fixed_tree_is_fixed() {
    assert_eq!(pack(&project(), "pack tree"), GOLDEN);
}

/// Writes the documents and archives by hand, from the description of the format alone.
#[test]
fn the_fixed_digest_is_what_the_format_asks_for() {
    let mut entries = vec![reference_tar::folder("data/hollow", 0o755)];
    for (path, content, runs) in tree() {
        for (slash, _) in path.match_indices('/') {
            entries.push(reference_tar::folder(&path[..slash], 0o755));
        }
        let mode = if runs { 0o755 } else { 0o644 };
        entries.push(reference_tar::file(path, mode, content));
    }
    entries.retain(|entry| entry.path != b"Kitfile");
    entries.sort_by(|a, b| a.path.cmp(&b.path));
    entries.dedup_by(|a, b| a.path == b.path);
    let paths = ["model", ".", "data", "README.md"];
    let layers = paths.map(|path| {
        let others: Vec<_> = paths
            .iter()
            .copied()
            .filter(|other| *other != path)
            .collect();
        reference_tar::layer(&entries, path, &others)
    });
    let [model, code, data, docs] = layers.each_ref().map(|layer| {
        let digest = digest(layer);
        format!(r#""digest":"{digest}","diffId":"{digest}""#)
    });
    let config = format!(
        "{{\"manifestVersion\":\"1.0.0\",\
         \"package\":{{\"name\":\"fixed\",\"version\":\"1.2.3\",\"authors\":[\"Ann\"]}},\
         \"model\":{{\"name\":\"net\",\"path\":\"model\",\
         \"parameters\":{{\"big\":12345678901234567890,\"rate\":1.5}},{model}}},\
         \"code\":[{{\"path\":\".\",{code}}}],\
         \"datasets\":[{{\"name\":\"train\",\"path\":\"./data/\",{data}}}],\
         \"docs\":[{{\"path\":\"README.md\",{docs}}}]}}"
    );
    let kinds = ["model", "code", "dataset", "docs"];
    let layers: Vec<_> = kinds
        .iter()
        .zip(paths)
        .zip(&layers)
        .map(|((kind, path), layer)| {
            format!(
                "{{\"mediaType\":\"application/vnd.kitops.modelkit.{kind}.v1.tar\",\
                 \"digest\":\"{}\",\"size\":{},\
                 \"annotations\":{{\"org.cncf.model.filepath\":\"{path}\"}}}}",
                digest(layer),
                layer.len()
            )
        })
        .collect();
    let manifest = format!(
        "{{\"schemaVersion\":2,\
         \"mediaType\":\"application/vnd.oci.image.manifest.v1+json\",\
         \"artifactType\":\"application/vnd.kitops.modelkit.manifest.v1+json\",\
         \"config\":{{\"mediaType\":\"application/vnd.kitops.modelkit.config.v1+json\",\
         \"digest\":\"{}\",\"size\":{}}},\
         \"layers\":[{}]}}",
        digest(config.as_bytes()),
        config.len(),
        layers.join(",")
    );
    assert_eq!(
        format!("Model saved: {}\n", digest(manifest.as_bytes())),
        GOLDEN
    );
}

// hazard: 48, 50
#[test]
fn threads_names_homes_and_places_do_not_matter() {
    let mut kit = project();
    for threads in ["1", "2", "16"] {
        let home = kit.path(format!("home-{threads}"));
        let line = format!("pack tree --threads {threads} --config {}", home.display());
        assert_eq!(pack(&kit, &line), GOLDEN, "{threads} threads");
    }
    assert_eq!(pack(&kit, "pack tree -t some/name:1,2 -t other:3"), GOLDEN);
    assert_eq!(kit.run_in("tree", ["pack", ".", "-q"]).success(), GOLDEN);
    assert_eq!(
        kit.run_in("tree/src", ["pack", "..", "-q"]).success(),
        GOLDEN
    );
    let absolute = kit.path("tree");
    assert_eq!(
        kit.run(["pack".as_ref(), absolute.as_os_str(), "-q".as_ref()])
            .success(),
        GOLDEN
    );
    // The same Kitfile from elsewhere.
    fs::rename(kit.path("tree/Kitfile"), kit.path("elsewhere.yaml")).unwrap();
    assert_eq!(pack(&kit, "pack tree -f elsewhere.yaml"), GOLDEN);
    assert_eq!(
        kit.run_with(["pack", "tree", "-q", "-f", "-"], KITFILE.as_bytes())
            .success(),
        GOLDEN
    );
    fs::rename(kit.path("elsewhere.yaml"), kit.path("tree/kitfile")).unwrap();
    assert_eq!(pack(&kit, "pack tree"), GOLDEN);
    for (name, value) in [
        ("TZ", "Pacific/Kiritimati"),
        ("LC_ALL", "tr_TR.UTF-8"),
        ("LANG", "C"),
        ("SOURCE_DATE_EPOCH", "12345"),
        ("KIT_VERSION", "9"),
    ] {
        kit.env(name, value);
        assert_eq!(pack(&kit, "pack tree"), GOLDEN, "{name}");
    }
}

// hazard: 48, 50
#[test]
fn order_of_creation_and_time_stamps_do_not_matter() {
    let kit = Sandbox::new();
    write(&kit, "tree", true);
    assert_eq!(pack(&kit, "pack tree"), GOLDEN);
    for (path, _, _) in tree() {
        let file = fs::File::options()
            .write(true)
            .open(kit.path("tree").join(path))
            .unwrap();
        file.set_modified(std::time::UNIX_EPOCH + Duration::from_secs(1))
            .unwrap();
    }
    assert_eq!(pack(&kit, "pack tree"), GOLDEN);
}

#[test]
fn what_is_ignored_or_outside_the_layers_does_not_matter() {
    let kit = project();
    kit.file("tree/.git/HEAD", "x")
        .file("tree/src/__pycache__/0.pyc", "x")
        .file("tree/x.log", "x");
    kit.file("tree/.kitignore", "*.log\n");
    assert_eq!(pack(&kit, "pack tree"), GOLDEN);
}

#[test]
fn a_kit_that_was_unpacked_packs_to_itself() {
    let kit = project();
    pack(&kit, "pack tree -t fixed:1");
    kit.run(["unpack", "fixed:1", "-d", "out", "-q"]).success();
    assert_eq!(pack(&kit, "pack out"), GOLDEN);
    let fresh = kit.path("fresh");
    assert_eq!(
        pack(&kit, &format!("pack out --config {}", fresh.display())),
        GOLDEN
    );
}

// hazard: 49
#[test]
fn hard_links_are_copies() {
    let kit = project();
    fs::remove_file(kit.path("tree/data/a-b")).unwrap();
    fs::hard_link(kit.path("tree/data/a"), kit.path("tree/data/a-b")).unwrap();
    assert_eq!(pack(&kit, "pack tree"), GOLDEN);
}

#[test]
fn content_names_and_execute_bits_do_matter() {
    let kit = project();
    let mut seen = vec![GOLDEN.to_owned()];
    let mut differs = |what: &str| {
        let digest = pack(&kit, "pack tree");
        assert!(!seen.contains(&digest), "{what}");
        seen.push(digest);
    };
    kit.file("tree/data/a", "Same");
    differs("content");
    fs::rename(kit.path("tree/data/a"), kit.path("tree/data/A")).unwrap();
    differs("name");
    kit.dir("tree/src/hollow");
    differs("an empty folder");
    kit.file("tree/Kitfile", KITFILE.replace("1.2.3", "1.2.4"));
    differs("the Kitfile");
    if cfg!(unix) {
        kit.exec("tree/src/1.py", "print(1)\n");
        differs("the execute bit");
    }
}

#[cfg(unix)]
mod modes {
    use std::{
        fs,
        os::unix::fs::{PermissionsExt, chown},
        process::Command,
    };

    use super::*;
    use crate::support::set_mode;

    /// Sets bits that a checkout under another umask, or by somebody else, may have.
    fn for_all(kit: &Sandbox, change: impl Fn(&std::path::Path, u32)) {
        for (path, _, _) in tree() {
            let path = kit.path("tree").join(path);
            for path in [&path, path.parent().unwrap()] {
                change(path, fs::metadata(path).unwrap().permissions().mode());
            }
        }
    }

    // hazard: 48, 50
    #[test]
    fn a_strict_umask_does_not_matter() {
        let kit = Sandbox::new();
        kit.dir("tree");
        for_umask(&kit, "077");
        assert_eq!(umasked_pack(&kit, "077"), GOLDEN);
        for_umask(&kit, "000");
        assert_eq!(umasked_pack(&kit, "000"), GOLDEN);
    }

    /// Writes the tree as a program under `umask` would.
    fn for_umask(kit: &Sandbox, umask: &str) {
        let umask = u32::from_str_radix(umask, 8).unwrap();
        write(kit, "tree", false);
        for_all(kit, |path, mode| {
            let all = if mode & 0o100 == 0 { 0o666 } else { 0o777 };
            set_mode(path, all & !umask);
        });
    }

    fn umasked_pack(kit: &Sandbox, umask: &str) -> String {
        let mut command = Command::new("sh");
        command
            .args(["-c", &format!("umask {umask}; exec \"$0\" pack tree -q")])
            .arg(env!("CARGO_BIN_EXE_kit"))
            .current_dir(kit.path(""))
            .env("KITOPS_HOME", kit.home());
        kit.finish(command, b"").success()
    }

    // hazard: 48
    #[test]
    fn odd_bits_do_not_matter_unless_they_are_kept() {
        let kit = project();
        let kept = pack(&kit, "pack tree --keep-modes");
        // 0644 and 0755 are what is packed in any case.
        assert_eq!(kept, GOLDEN);
        for_all(&kit, |path, mode| set_mode(path, mode | 0o2020));
        assert_eq!(pack(&kit, "pack tree"), GOLDEN);
        let odd = pack(&kit, "pack tree --keep-modes");
        assert_ne!(odd, GOLDEN);
        for_all(&kit, |path, mode| set_mode(path, mode & !0o2077));
        assert_eq!(pack(&kit, "pack tree"), GOLDEN);
        let strict = pack(&kit, "pack tree --keep-modes");
        assert!(strict != GOLDEN && strict != odd);
    }

    // hazard: 48
    #[test]
    #[cfg(target_os = "linux")]
    fn extended_attributes_do_not_matter() {
        use rustix::fs::{XattrFlags, setxattr};
        let kit = project();
        for (path, _, _) in tree() {
            let path = kit.path("tree").join(path);
            if setxattr(&path, "user.kit-test", b"x", XattrFlags::empty()).is_err() {
                eprintln!("SKIP: this file system has no attributes");
                return;
            }
        }
        assert_eq!(pack(&kit, "pack tree"), GOLDEN);
        assert_eq!(pack(&kit, "pack tree --keep-modes"), GOLDEN);
    }

    // hazard: 48
    #[test]
    fn the_owner_does_not_matter() {
        let kit = project();
        let first = kit.path("tree/README.md");
        if chown(&first, Some(1234), Some(4321)).is_err() {
            eprintln!("SKIP: only root can give files away");
            return;
        }
        for (path, _, _) in tree() {
            chown(kit.path("tree").join(path), Some(1234), Some(4321)).unwrap();
        }
        assert_eq!(pack(&kit, "pack tree"), GOLDEN);
        assert_eq!(pack(&kit, "pack tree --keep-modes"), GOLDEN);
    }
}
