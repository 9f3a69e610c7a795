//! Walking and packing together, on real folders.

mod packing;
mod tables;
#[cfg(unix)]
mod unix;

use std::{
    fs,
    path::{Path, PathBuf},
};

use super::{
    Error,
    ignore::IgnoreRules,
    pack::{self, Layer, Shape},
    tree::Kind,
    walk::{FollowLinks, Found, Options, Seen, walk},
};
use crate::{digest::Digest, progress::Silent};

struct Context(tempfile::TempDir);

impl Context {
    fn new(files: &[(&str, &str)]) -> Self {
        let context = Self(tempfile::tempdir().unwrap());
        for (path, content) in files {
            let path = context.path(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, content).unwrap();
        }
        context
    }

    fn path(&self, path: &str) -> PathBuf {
        self.0.path().join(path)
    }

    fn walk(&self, layers: &[&str], rules: &str) -> Result<Found, Error> {
        self.walk_as(layers, rules, |_| ())
    }

    fn walk_as(
        &self,
        layers: &[&str],
        rules: &str,
        change: impl FnOnce(&mut Options<'_>),
    ) -> Result<Found, Error> {
        let layers: Vec<String> = layers.iter().map(|layer| (*layer).to_owned()).collect();
        let rules = IgnoreRules::parse(rules).unwrap();
        let mut options = Options {
            layers: &layers,
            foreign: &[],
            rules: &rules,
            follow_links: FollowLinks::Context,
            keep_modes: false,
            executable: &[],
            strict: false,
            guard: None,
        };
        change(&mut options);
        walk(self.0.path(), &options, &Silent)
    }
}

/// The entries of a layer; folders end in `/`.
fn names(found: &Found, layer: usize) -> Vec<String> {
    let entries = found.tree.entries(layer);
    entries
        .map(|entry| {
            let path = String::from_utf8(entry.path()).unwrap();
            match entry.kind() {
                Kind::File => path,
                Kind::Folder => path + "/",
            }
        })
        .collect()
}

fn layer(found: &Found, index: usize, shape: Shape) -> Layer<'_> {
    Layer {
        tree: &found.tree,
        index,
        shape,
        path: "x",
    }
}

fn plain(threads: usize) -> pack::Options {
    pack::Options {
        threads,
        compression: pack::Compression::None,
        file_digests: false,
        toc: false,
    }
}

fn pack(found: &Found, index: usize, threads: usize) -> (Digest, Vec<u8>) {
    let out = tempfile::NamedTempFile::new().unwrap();
    let packed = pack::write(
        layer(found, index, Shape::Tar),
        out.as_file(),
        &plain(threads),
        &Silent,
        &Silent,
    )
    .unwrap();
    let bytes = fs::read(out.path()).unwrap();
    assert_eq!(bytes.len() as u64, packed.size);
    assert_eq!(packed.size, pack::archive_size(&found.tree, index));
    assert_eq!(Digest::of(&bytes), packed.digest);
    (packed.digest, bytes)
}

#[test]
fn entries_come_in_the_byte_order_of_names() {
    let context = Context::new(&[
        ("a-/x", ""),
        ("a.d/x", ""),
        ("a", ""),
        ("B", ""),
        ("_", ""),
        ("é", ""),
    ]);
    let found = context.walk(&["."], "").unwrap();
    assert_eq!(
        names(&found, 0),
        ["B", "_", "a", "a-/", "a-/x", "a.d/", "a.d/x", "é"]
    );
}

#[test]
fn each_path_goes_to_its_most_specific_layer_by_whole_parts() {
    let context = Context::new(&[
        ("data/a.csv", ""),
        ("data/deep/b.csv", ""),
        ("data-v2/c", ""),
        ("database.txt", ""),
        ("model/sub/lora", ""),
        ("main.py", ""),
    ]);
    let found = context
        .walk(&["data", ".", "data/deep", "model/sub/lora"], "")
        .unwrap();
    assert_eq!(names(&found, 0), ["data/", "data/a.csv"]);
    assert_eq!(
        names(&found, 1),
        [
            "data-v2/",
            "data-v2/c",
            "database.txt",
            "main.py",
            "model/",
            "model/sub/"
        ]
    );
    assert_eq!(names(&found, 2), ["data/", "data/deep/", "data/deep/b.csv"]);
    assert_eq!(names(&found, 3), ["model/", "model/sub/", "model/sub/lora"]);
}

#[test]
fn a_kept_file_brings_the_ignored_folders_around_it() {
    let context = Context::new(&[
        ("data/deep/er/keep", ""),
        ("data/deep/er/drop", ""),
        ("data/drop", ""),
        ("other/drop", ""),
        ("main", ""),
    ]);
    let rules = "data\nother\n!data/deep/er/keep\n!other/absent\n";
    let found = context.walk(&["."], rules).unwrap();
    assert_eq!(
        names(&found, 0),
        [
            "data/",
            "data/deep/",
            "data/deep/er/",
            "data/deep/er/keep",
            "main"
        ]
    );
    assert!(found.ignored >= 4, "{}", found.ignored);
}

#[test]
fn litter_and_the_kit_s_own_files_are_left_out_and_counted() {
    let context = Context::new(&[
        (".git/config", ""),
        ("sub/.git", ""),
        ("sub/._x", ""),
        ("sub/Kitfile", ""),
        ("Kitfile", ""),
        (".kitignore", ""),
    ]);
    let found = context.walk(&["."], "").unwrap();
    assert_eq!(names(&found, 0), ["sub/", "sub/Kitfile"]);
    assert_eq!(
        found.litter.into_iter().collect::<Vec<_>>(),
        [("._*", 1), (".git", 2)]
    );
    assert_eq!(found.ignored, 0);
}

#[test]
fn a_folder_that_is_called_kitfile_is_packed() {
    let context = Context::new(&[("Kitfile/a", "x"), ("b", "y")]);
    let found = context.walk(&["."], "").unwrap();
    assert_eq!(names(&found, 0), ["Kitfile/", "Kitfile/a", "b"]);
}

#[test]
fn what_the_guard_keeps_out_is_named() {
    let context = Context::new(&[("a/key", "x"), ("a/b", "y"), ("secret/c", "z")]);
    let found = context
        .walk_as(&["."], "", |options| {
            options.guard = Some(&|seen| match seen {
                Seen::Path("a/key" | "secret") => Some("private".to_owned()),
                _ => None,
            });
        })
        .unwrap();
    assert_eq!(names(&found, 0), ["a/", "a/b"]);
    let private = |path: &str| (path.to_owned(), "private".to_owned());
    assert_eq!(found.guarded, [private("a/key"), private("secret")]);
}

#[test]
fn a_layer_that_a_rule_leaves_out_is_named() {
    let context = Context::new(&[("m/a.md", "x"), ("b", "y")]);
    let found = context.walk(&["m/a.md", "b"], "m\n").unwrap();
    assert_eq!(found.ignored_layers, [(0, ".kitignore:1: m".to_owned())]);
    assert_eq!(names(&found, 0), [] as [&str; 0]);
    assert!(found.tree.is_empty(0));
    assert_eq!(names(&found, 1), ["b"]);
}

#[test]
fn a_missing_layer_path_is_an_error() {
    let context = Context::new(&[("a", "")]);
    let error = context.walk(&["nope"], "").err().unwrap();
    assert_eq!(error.to_string(), "path `nope` does not exist");
    let error = context.walk(&["a/below"], "").err().unwrap();
    assert_eq!(error.to_string(), "path `a/below` does not exist");
}

// hazard: 24
#[test]
fn names_that_clash_on_other_systems_are_named() {
    let context = Context::new(&[
        ("d/File", ""),
        ("d/file", ""),
        ("stra\u{df}e", ""),
        ("STRASSE", ""),
        ("e\u{301}", ""),
        ("\u{e9}", ""),
        ("other", ""),
    ]);
    let found = context.walk(&["."], "").unwrap();
    assert_eq!(
        found.warnings,
        [
            "`STRASSE` and `straße` are one name on systems that fold case or accents",
            "`e\u{301}` and `é` are one name on systems that fold case or accents",
            "`File` and `file` in `d` are one name on systems that fold case or accents",
        ]
    );
}

// hazard: 50
#[test]
fn the_archive_does_not_depend_on_threads() {
    let large = "0123456789abcdef".repeat(200_000);
    let mut files = vec![
        ("big/1".to_owned(), large.clone()),
        ("big/2".to_owned(), large[..1024 * 1024].to_owned()),
        ("big/3".to_owned(), large[..=1024 * 1024].to_owned()),
        ("empty".to_owned(), String::new()),
        ("z".to_owned(), large[..3 * 1024 * 1024 - 512].to_owned()),
    ];
    for number in 0..300 {
        files.push((format!("small/{number}"), large[..number * 37].to_owned()));
    }
    let files: Vec<_> = files
        .iter()
        .map(|(path, content)| (path.as_str(), content.as_str()))
        .collect();
    let context = Context::new(&files);
    let found = context.walk(&["."], "").unwrap();
    let (digest, bytes) = pack(&found, 0, 1);
    for threads in [2, 3, 16] {
        assert_eq!(pack(&found, 0, threads).0, digest);
    }
    // A reader that knows nothing of this writer finds the same files.
    let mut archive = tar::Archive::new(&bytes[..]);
    let mut seen = 0;
    for entry in archive.entries().unwrap() {
        let mut entry = entry.unwrap();
        let path = entry.path().unwrap().into_owned();
        if entry.header().entry_type().is_file() {
            let mut packed = String::new();
            std::io::Read::read_to_string(&mut entry, &mut packed).unwrap();
            assert_eq!(
                packed,
                fs::read_to_string(context.0.path().join(&path)).unwrap(),
                "{}",
                path.display()
            );
            seen += 1;
        }
    }
    assert_eq!(seen, files.len());
}

#[test]
fn a_layer_can_be_measured_and_given_from_anywhere_without_a_file() {
    let large = "0123456789abcdef".repeat(200_000);
    let context = Context::new(&[("a", &large), ("b/c", "x"), ("d", &large[..700_000])]);
    let found = context.walk(&["."], "").unwrap();
    let layer = layer(&found, 0, Shape::Tar);
    for compression in [
        pack::Compression::None,
        pack::Compression::Gzip,
        pack::Compression::Zstd,
    ] {
        let options = pack::Options {
            compression,
            ..plain(3)
        };
        let out = tempfile::NamedTempFile::new().unwrap();
        let packed = pack::write(layer, out.as_file(), &options, &Silent, &Silent).unwrap();
        let measured = pack::measure(layer, &options, &Silent, &Silent).unwrap();
        assert_eq!(measured, packed);
        let all = fs::read(out.path()).unwrap();
        for from in [0, 1, 1 << 20, (1 << 20) + 7, all.len() - 1, all.len()] {
            let mut bytes = Vec::new();
            let to = (&mut bytes as &mut dyn std::io::Write, from as u64);
            pack::stream(layer, to, &options, &Silent).unwrap();
            assert!(
                bytes == all[from.min(all.len())..],
                "{compression:?} {from}"
            );
        }
    }
    // Also where it is not read, a file that changed is noticed.
    fs::write(context.0.path().join("a"), "other").unwrap();
    let mut bytes = Vec::new();
    let to = (&mut bytes as &mut dyn std::io::Write, 3_300_000);
    let changed = pack::stream(layer, to, &plain(1), &Silent);
    assert!(matches!(changed, Err(Error::ChangedWhileReading { .. })));
}

#[test]
fn a_raw_layer_is_its_file() {
    let large = "0123456789abcdefg".repeat(150_000);
    for content in ["", "x", &large[..1 << 20], &large] {
        let context = Context::new(&[("deep/er/file", content), ("other", "y")]);
        let found = context.walk(&["deep/er/file"], "").unwrap();
        let out = tempfile::NamedTempFile::new().unwrap();
        let packed = pack::write(
            layer(&found, 0, Shape::Raw),
            out.as_file(),
            &plain(2),
            &Silent,
            &Silent,
        )
        .unwrap();
        assert!(fs::read(out.path()).unwrap() == content.as_bytes());
        assert_eq!(packed.digest, Digest::of(content.as_bytes()));
        assert_eq!(packed.size, content.len() as u64);
    }
}

// hazard: 47
#[test]
fn a_file_that_changes_between_walk_and_read_is_refused() {
    for (content, large) in [("short".to_owned(), false), ("x".repeat(3 << 20), true)] {
        let context = Context::new(&[("a", &content)]);
        let found = context.walk(&["."], "").unwrap();
        fs::write(context.path("a"), content.replace(['s', 'x'], "y")).unwrap();
        let out = tempfile::tempfile().unwrap();
        let error = pack::write(
            layer(&found, 0, Shape::Tar),
            &out,
            &plain(2),
            &Silent,
            &Silent,
        )
        .unwrap_err();
        assert!(
            matches!(error, Error::ChangedWhileReading { .. }),
            "{large}: {error}"
        );
    }
}
