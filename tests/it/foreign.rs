//! Kits as other tools write them: compressed, raw, of older programs, of other formats.

use std::{collections::BTreeMap, fs, path::Path};

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox, digest,
    foreign::{ForeignKit, MODELKIT_CONFIG, gzip, load, one_layer, zstd},
    reference_tar::{self, Entry},
    testdata,
    trees::{Fingerprint, Node},
};

/// Each golden kit with what unpacks from it beside the files of its sources, and what of its
/// sources was not packed.
const GOLDEN: &[(&str, &str, &str, &[&str])] = &[
    ("basic", "plain", "basic", &["Kitfile", ".kitignore"]),
    ("basic", "gzip", "basic", &["Kitfile", ".kitignore"]),
    ("parts", "v1", "parts", &["Kitfile"]),
    (
        "overlap",
        "v1",
        "overlap",
        &["Kitfile", ".kitignore", "secret.key"],
    ),
    ("refs-base", "v1", "refs-base", &["Kitfile"]),
    ("modelpack", "raw", "basic", MODELPACK_LACKS),
    ("modelpack", "tar", "basic", MODELPACK_LACKS),
];

/// What of `basic` was not packed as a `ModelPack`. The Kitfile was.
const MODELPACK_LACKS: &[&str] = &[".kitignore", "data", "src/notes.tmp", "src/pkg"];

#[test]
fn every_golden_kit_unpacks_lists_and_shows_the_files_it_was_made_from() {
    for (name, tag, sources, left_out) in GOLDEN {
        let kit = Sandbox::new();
        load(
            &kit,
            &format!("{}:{tag}", testdata("artifacts").join(name).display()),
        );
        kit.copy(&testdata("golden/src").join(sources), "sources");
        let mut expected = Fingerprint::of(&kit.path("sources"), false);
        expected.0.retain(|path, _| {
            let path = std::str::from_utf8(path).unwrap();
            !left_out.iter().any(|out| Path::new(path).starts_with(out))
        });

        kit.run(["unpack", "x:1", "-d", "out"]).success();
        let mut out = Fingerprint::of(&kit.path("out"), true);
        if left_out.contains(&"Kitfile") {
            out.0.remove(&b"Kitfile"[..]); // Written from the config.
        }
        assert_eq!(out, expected, "{name}:{tag}");

        let listed = kit.run(["files", "x:1", "--format", "json"]).json();
        let listed: BTreeMap<_, _> = listed
            .as_array()
            .unwrap()
            .iter()
            .map(|it| {
                (
                    it["path"].as_str().unwrap().as_bytes().to_vec(),
                    it["executable"].as_bool().unwrap(),
                )
            })
            .collect();
        let files = expected.0.iter().filter_map(|(path, node)| match node {
            Node::File(executable, _) => Some((path.clone(), *executable)),
            _ => None,
        });
        assert_eq!(listed, files.collect(), "{name}:{tag}");

        for (path, node) in &expected.0 {
            if let Node::File(_, expected) = node {
                let path = std::str::from_utf8(path).unwrap();
                let bytes = fs::read(kit.path("sources").join(path)).unwrap();
                let Ok(text) = String::from_utf8(bytes) else {
                    continue; // The sandbox takes output for text.
                };
                assert_eq!(digest(text.as_bytes()), *expected);
                assert_eq!(
                    kit.run(["cat", "x:1", path]).success(),
                    text,
                    "{name}:{tag} {path}"
                );
            }
        }
        kit.run(["verify"]).success();
        for command in ["info", "inspect"] {
            kit.run([command, "x:1"]).success();
        }
        assert!(kit.run(["list"]).success().contains("x "));
    }
}

#[test]
fn the_golden_child_unpacks_with_the_model_of_its_parent() {
    let kit = Sandbox::new();
    for name in ["refs-base", "refs-child"] {
        let source = format!("{}:v1", testdata("artifacts").join(name).display());
        let target = format!("localhost/golden/{name}:v1");
        kit.run(["load", &source, "-t", &target]).success();
    }
    kit.run(["unpack", "localhost/golden/refs-child:v1", "-d", "out"])
        .success();
    let mut out = Fingerprint::of(&kit.path("out"), true);
    out.0.remove(&b"Kitfile"[..]); // Written from the config.
    let sources = |name: &str| {
        kit.copy(&testdata("golden/src").join(name), name);
        let mut sources = Fingerprint::of(&kit.path(name), false);
        sources.0.remove(&b"Kitfile"[..]);
        sources
    };
    let mut expected = sources("refs-base");
    expected.0.extend(sources("refs-child").0);
    assert_eq!(out, expected);
}

fn model_layer() -> Vec<u8> {
    let entries: [Entry; 2] = [
        reference_tar::file("m/a.bin", 0o644, "content of a"),
        reference_tar::file("m/run", 0o755, "content of run"),
    ];
    reference_tar::layer(&entries, ".", &[])
}

#[test]
fn layers_in_gzip_and_zstd_of_several_parts_are_read_whole() {
    let plain = model_layer();
    let (first, second) = plain.split_at(700);
    for (encoding, bytes) in [
        ("tar", plain.clone()),
        ("tar+gzip", [gzip(first), gzip(second)].concat()),
        ("tar+zstd", [zstd(first), zstd(second)].concat()),
    ] {
        let kit = Sandbox::new();
        one_layer(&kit, encoding, &bytes, &plain, &json!({}));
        kit.run(["unpack", "x:1", "-d", "out", "--filter", "model"])
            .success();
        let out = Fingerprint::of(&kit.path("out"), true);
        assert_eq!(
            format!("{:?}", out.0.values().collect::<Vec<_>>()),
            format!(
                "[folder, file {}, exec {}]",
                &digest(b"content of a")[7..19],
                &digest(b"content of run")[7..19]
            )
        );
        assert_eq!(kit.run(["cat", "x:1", "m/run"]).success(), "content of run");
        assert_data_eq!(
            kit.run(["files", "x:1"]),
            str![[r#"
TYPE        SIZE         MODE   PATH
model       12 B         -      m/a.bin
model       14 B         x      m/run
[exit 0]

"#]]
        );
    }
}

#[test]
fn raw_layers_unpack_to_their_one_file_compressed_or_not() {
    let plain = b"the weights of a model, ".repeat(20_000);
    for (encoding, bytes) in [
        ("raw", plain.clone()),
        ("raw+gzip", gzip(&plain)),
        ("raw+zstd", zstd(&plain)),
    ] {
        for mode in [0o644, 0o755] {
            let kit = Sandbox::new();
            let metadata = json!({"name": "m", "mode": mode, "uid": 0, "gid": 0,
                "size": plain.len(), "mtime": "1970-01-01T00:00:00Z", "typeflag": 0});
            let annotations = json!({
                "org.cncf.model.filepath": "m",
                "org.cncf.model.file.metadata+json": metadata.to_string(),
            });
            one_layer(&kit, encoding, &bytes, &plain, &annotations);
            kit.run(["unpack", "x:1", "-d", "out", "--filter", "model"])
                .success();
            let out = Fingerprint::of(&kit.path("out"), true);
            let expected = Node::File(mode == 0o755, digest(&plain));
            assert_eq!(
                out.0,
                BTreeMap::from([(b"m".to_vec(), expected)]),
                "{encoding}"
            );
            assert_eq!(kit.run(["cat", "x:1", "m"]).success().as_bytes(), plain);
            let files = kit.run(["files", "x:1", "--format", "{{ .Path }} {{ .Size }}"]);
            assert_eq!(files.success(), "m 480000\n", "{encoding}");
        }
    }
}

// hazard: 33, 36, 85
#[test]
fn damage_in_a_compressed_layer_is_told_and_no_byte_of_it_is_seen() {
    let lines = [
        &["unpack", "x:1", "-d", "out", "--filter", "model"][..],
        &["files", "x:1"],
        &["cat", "x:1", "m/a.bin"],
    ];
    let plain = model_layer();
    for (encoding, good) in [("tar+gzip", gzip(&plain)), ("tar+zstd", zstd(&plain))] {
        let compression = &encoding[4..];
        // Packed so: the digest holds, the content does not.
        let junk = [&good[..], b"junk"].concat();
        let cut = &good[..good.len() - 3];
        for bad in [&junk, cut] {
            let kit = Sandbox::new();
            one_layer(&kit, encoding, bad, &plain, &json!({}));
            for line in lines {
                let output = kit.run(line).exits(5);
                let expected = format!("the {compression} data is not valid: ");
                assert!(output.stderr.contains(&expected), "{}", output.stderr);
                assert!(!output.stdout.contains("content"), "{}", output.stdout);
            }
            assert_eq!(Fingerprint::of(&kit.path("out"), true).0.len(), 0);
        }
        // A wrong diffId.
        let kit = Sandbox::new();
        one_layer(&kit, encoding, &good, b"something else", &json!({}));
        for line in lines {
            let output = kit.run(line).exits(5);
            assert!(
                output.stderr.contains("but the config says"),
                "{}",
                output.stderr
            );
            assert!(!output.stdout.contains("content"), "{}", output.stdout);
        }
        // Damaged in the store.
        let kit = Sandbox::new();
        one_layer(&kit, encoding, &good, &plain, &json!({}));
        let blob = digest(&good);
        crate::support::kits::damage(&kit, &blob);
        for line in lines {
            let output = kit.run(line).exits(5);
            assert!(output.stderr.contains("damaged"), "{}", output.stderr);
        }
        // Gone from the store.
        crate::support::kits::lose(&kit, &blob);
        for line in lines {
            let output = kit.run(line).exits(5);
            assert!(output.stderr.contains("is missing"), "{}", output.stderr);
        }
        assert_eq!(Fingerprint::of(&kit.path("out"), true).0.len(), 0);
    }
}

// hazard: 34
#[test]
fn an_unknown_compression_is_refused_by_name_before_anything_is_made() {
    for encoding in ["tar+lz4", "tar+gzip+zstd", "raw+br"] {
        let kit = Sandbox::new();
        one_layer(&kit, encoding, b"bytes", b"bytes", &json!({}));
        let output = kit.run(["unpack", "x:1", "-d", "out"]).exits(1);
        assert!(output.stderr.contains(encoding), "{}", output.stderr);
        assert!(!kit.path("out").exists());
    }
}

// --- kits of older programs ---

/// A kit of the first programs: no digests in the config, and these layers, each of one kind.
fn old_kit(
    kit: &Sandbox,
    config: &serde_json::Value,
    layers: &[(&str, &[Entry])],
) -> crate::support::Output {
    let mut old = ForeignKit::new(kit, "layout");
    for (kind, entries) in layers {
        let media_type = format!("application/vnd.kitops.modelkit.{kind}.v1.tar+gzip");
        let tar = reference_tar::layer(entries, ".", &[]);
        old.layer(&media_type, &gzip(&tar), &json!({}));
    }
    let layout = old.finish(MODELKIT_CONFIG, config);
    kit.run(["load", &layout, "-t", "x:1"])
}

fn text(path: &str) -> Entry {
    reference_tar::file(path, 0o644, path)
}

#[test]
fn layers_of_old_kits_go_by_order_and_below_the_parent_of_their_path() {
    let kit = Sandbox::new();
    let config = json!({"manifestVersion": "v1.0.0", "package": {"name": "old"},
        "model": {"name": "net", "path": "./models/net/m.bin",
            "parts": [{"path": "lora.bin"}]},
        "code": [{"path": "src/"}, {"path": "."}],
        "datasets": [{"name": "train", "path": "data/train"}, {"name": "test", "path": "./data/test/"}],
        "docs": [{"path": "README.md"}]});
    let folder = |path| reference_tar::folder(path, 0o755);
    let loaded = old_kit(
        &kit,
        &config,
        &[
            // A single file by its base name.
            ("model", &[text("m.bin")]),
            ("modelpart", &[text("lora.bin")]),
            ("dataset", &[folder("train"), text("train/a.csv")]),
            ("dataset", &[folder("test"), text("test/b.csv")]),
            ("code", &[folder("src"), text("src/run.py")]),
            ("code", &[text("setup.py")]),
            ("docs", &[text("README.md")]),
        ],
    );
    let _ = loaded.success();
    let expected = [
        "README.md",
        "data/test/b.csv",
        "data/train/a.csv",
        "lora.bin",
        "models/net/m.bin",
        "setup.py",
        "src/run.py",
    ];
    let listed = kit
        .run(["files", "x:1", "--format", "{{ .Path }}"])
        .success();
    let mut listed: Vec<_> = listed.lines().collect();
    listed.sort_unstable();
    assert_eq!(listed, expected);

    kit.run(["unpack", "x:1", "-d", "out"]).success();
    let out = Fingerprint::of(&kit.path("out"), true);
    for path in expected {
        let name = path.strip_prefix("data/").unwrap_or(path);
        let name = name.strip_prefix("models/net/").unwrap_or(name);
        assert_eq!(
            out.0.get(path.as_bytes()),
            Some(&Node::File(false, digest(name.as_bytes()))),
            "{path}"
        );
    }
    assert_eq!(out.0.len(), expected.len() + 7); // with the Kitfile and six folders
    assert_eq!(
        kit.run(["cat", "x:1", "data/train/a.csv"]).success(),
        "train/a.csv"
    );
    kit.run(["unpack", "x:1", "-d", "some", "--filter", "datasets:test"])
        .success();
    let some = Fingerprint::of(&kit.path("some"), true);
    assert_eq!(some.0.len(), 3, "{some:?}");
}

// hazard: 1, 2
#[test]
fn layers_of_old_kits_cannot_leave_the_target() {
    for (path, name) in [
        ("../evil/m", "m"),
        ("/evil/m", "m"),
        ("/evil", "evil"),
        ("a/m", "../../evil"),
        ("a/../../evil/m", "m"),
    ] {
        let kit = Sandbox::new();
        let config = json!({"package": {}, "model": {"path": path}});
        let _ = old_kit(&kit, &config, &[("model", &[text(name)])]).success();
        let output = kit.run(["unpack", "x:1", "-d", "out", "--filter", "model"]);
        let _ = output.exits(5);
        assert!(!kit.path("evil").exists(), "{path}");
        assert_eq!(Fingerprint::of(&kit.path("out"), true).0.len(), 0, "{path}");
    }
}

// hazard: 19
#[cfg(unix)]
#[test]
fn layers_of_old_kits_do_not_go_through_links_in_the_target() {
    let kit = Sandbox::new();
    let config = json!({"package": {}, "model": {"path": "deep/er/m"},
        "datasets": [{"path": "data/x"}]});
    let loaded = old_kit(
        &kit,
        &config,
        &[("model", &[text("m")]), ("dataset", &[text("x/a.csv")])],
    );
    let _ = loaded.success();
    for (link, to) in [
        ("deep/er", "../../elsewhere"),
        ("deep", "../elsewhere"),
        ("data/x", "../../elsewhere"),
        ("data", "../nowhere"),
    ] {
        for flags in [&["-o"][..], &["-i"], &[]] {
            let _ = fs::remove_dir_all(kit.path("out"));
            kit.dir("elsewhere").symlink(to, format!("out/{link}"));
            let words = ["unpack", "x:1", "-d", "out"];
            let output = kit.run(words.iter().chain(flags)).exits(1);
            let expected = format!("{link} is a symbolic link");
            assert!(output.stderr.contains(&expected), "{output}");
            assert_eq!(fs::read_dir(kit.path("elsewhere")).unwrap().count(), 0);
            assert!(!kit.path("nowhere").exists());
        }
    }
}

// hazard: 35, 36
#[test]
fn kits_whose_config_and_layers_do_not_fit_are_refused_before_anything_is_made() {
    let one: &[Entry] = &[text("a")];
    let model = json!({"path": "a"});
    let other = digest(b"other");
    for (config, layers, says) in [
        (json!({"package": {}}), &[("model", one)][..], "no element"),
        (json!({"model": model}), &[], "no layer"),
        (
            json!({"model": model}),
            &[("model", one), ("model", one)],
            "no element",
        ),
        (
            json!({"datasets": [model]}),
            &[("dataset", one), ("dataset", one)],
            "no element",
        ),
        (
            json!({"datasets": [model, {"path": "b"}]}),
            &[("dataset", one)],
            "no layer",
        ),
        (json!({"code": [model]}), &[("docs", one)], "no element"),
        (
            json!({"model": {"path": "a", "digest": other}}),
            &[("model", one)],
            "no element",
        ),
    ] {
        let kit = Sandbox::new();
        let _ = old_kit(&kit, &config, layers).success();
        let output = kit.run(["unpack", "x:1", "-d", "out"]).exits(5);
        assert!(output.stderr.contains(says), "{config}: {}", output.stderr);
        assert!(
            output.stderr.contains("contradicts itself"),
            "{}",
            output.stderr
        );
        assert!(!kit.path("out").exists());
    }
    let kit = Sandbox::new();
    let _ = old_kit(&kit, &json!(null), &[("model", one)]).exits(5);
}
