//! What a change of one file costs, and what is seen of it.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs, thread,
    time::Duration,
};

use proptest::{prelude::*, sample::Index, test_runner::TestRunner};
use serde_json::Value;

use super::{SIZE, content, counts, digest, fingerprint, pack, tree};
use crate::support::{
    Sandbox,
    fake::uploads::{Habits, Uploads},
    set_mode,
};

/// Waits until what was written before is told from what is written now.
fn let_time_pass() {
    thread::sleep(Duration::from_millis(150));
}

fn new(packed: &Value) -> Vec<String> {
    let layers = packed["layers"].as_array().unwrap().iter();
    let new = layers.filter(|layer| layer["stored"] == "new");
    new.map(|layer| layer["path"].as_str().unwrap().to_owned())
        .collect()
}

#[test]
fn one_file_costs_the_layer_that_it_is_in() {
    let kit = tree();
    let_time_pass();
    let first = pack(&kit, &[]);
    assert_eq!(new(&pack(&kit, &[])), Vec::<String>::new());
    kit.file("net/data/3/row-37.csv", "changed\n");
    let_time_pass();
    let second = pack(&kit, &[]);
    assert_eq!(new(&second), ["data"]);
    kit.file("net/data/3/row-37-more.csv", "new\n");
    assert_eq!(new(&pack(&kit, &[])), ["data"]);
    fs::remove_file(kit.path("net/weights/w13.bin")).unwrap();
    assert_eq!(new(&pack(&kit, &[])), ["weights"]);
    let counts = |packed: &Value| counts(&packed["layers"]);
    assert_eq!(counts(&first)[3], counts(&second)[3]);
    let known = digest(&pack(&kit, &[]));
    assert_eq!(known, digest(&pack(&kit, &["--no-cache"])));
}

#[test]
fn an_unchanged_tree_is_not_packed_again() {
    let kit = tree();
    let_time_pass();
    pack(&kit, &[]);
    // Every layer that is packed makes a file there.
    let ingest = kit.home().join("store/ingest");
    let written = || fs::metadata(&ingest).unwrap().modified().unwrap();
    let before = written();
    let again = pack(&kit, &[]);
    assert_eq!(new(&again), Vec::<String>::new());
    assert_eq!(written(), before);
}

#[test]
fn status_tells_what_changed_whatever_the_size_was() {
    for size in [SIZE, "32KiB", "off"] {
        let kit = tree();
        let_time_pass();
        let pack = ["pack", "net", "-t", "net:1", "--shard-size", size];
        kit.run(pack).success();
        kit.run(["status", "net", "--exit-code"]).success();
        kit.run(["status", "net", "--exit-code", "--no-cache"])
            .success();
        kit.file("net/data/3/row-37.csv", "changed\n")
            .file("net/data/9/new.csv", "new\n")
            .dir("net/weights/empty");
        fs::remove_file(kit.path("net/weights/w13.bin")).unwrap();
        fs::remove_dir_all(kit.path("net/data/5")).unwrap();
        kit.dir("net/data/5");
        let status = kit.run(["status", "net"]).success();
        let lines: Vec<&str> = status.lines().skip(1).collect();
        let mut expected = vec![
            "",
            "model `net` in `weights`",
            "  new:      weights/empty/",
            "  deleted:  weights/w13.bin",
            "",
            "dataset `rows` in `data`",
            "  modified: data/3/row-37.csv",
        ];
        let gone: Vec<String> = (50..60)
            .map(|number| format!("  deleted:  data/5/row-{number}.csv"))
            .collect();
        expected.extend(gone.iter().map(String::as_str));
        expected.push("  new:      data/9/new.csv");
        assert_eq!(lines, expected, "{size}");
        // As seen from a directory that a kit was unpacked into.
        kit.run(["unpack", "net:1", "-d", "out"]).success();
        kit.run(["status", "out", "--exit-code"]).success();
        kit.file("out/data/3/row-37.csv", "changed\n");
        let status = kit.run(["status", "out"]).success();
        assert!(
            status.ends_with("\n  modified: data/3/row-37.csv\n"),
            "{status}"
        );
        assert_eq!(status.lines().count(), 4, "{status}");
    }
}

#[test]
fn status_misses_nothing_of_layers_that_were_not_taken() {
    let kit = tree();
    pack(&kit, &[]);
    kit.run(["unpack", "net:1", "-d", "out", "--filter", "datasets:rows"])
        .success();
    kit.run(["status", "out", "--exit-code"]).success();
    fs::remove_file(kit.path("out/data/3/row-37.csv")).unwrap();
    let status = kit.run(["status", "out"]).success();
    assert!(
        status.ends_with("\n  deleted:  data/3/row-37.csv\n"),
        "{status}"
    );
}

#[test]
#[cfg(unix)]
fn folders_keep_their_modes_in_each_layer() {
    let kit = tree();
    let expected = fingerprint(&kit, "net");
    set_mode(&kit.path("net/data/3"), 0o700);
    set_mode(&kit.path("net/data"), 0o750);
    set_mode(&kit.path("net/data/empty/below"), 0o711);
    let packed = pack(&kit, &["--keep-modes"]);
    let store = kit.store();
    let mut folders = BTreeSet::new();
    for layer in packed["layers"].as_array().unwrap() {
        if layer["path"] != "data" {
            continue;
        }
        let blob = store.blob(layer["digest"].as_str().unwrap());
        let mut archive = tar::Archive::new(blob.as_slice());
        let mut paths = BTreeSet::new();
        for entry in archive.entries().unwrap() {
            let entry = entry.unwrap();
            let path = entry.path().unwrap().into_owned();
            // What leads to a file comes before it, in the same layer.
            let parent = path.parent().unwrap();
            assert!(parent.as_os_str().is_empty() || paths.contains(parent));
            assert!(paths.insert(path.clone()), "{} twice", path.display());
            if entry.header().entry_type().is_dir() {
                folders.insert((path, entry.header().mode().unwrap()));
            }
        }
    }
    let mode = |path: &str| {
        let mut modes = folders.iter().filter(|(it, _)| it.to_str() == Some(path));
        let (_, mode) = modes.next().unwrap();
        assert!(modes.next().is_none(), "{path} has several modes");
        *mode
    };
    assert_eq!(mode("data"), 0o750);
    assert_eq!(mode("data/3"), 0o700);
    assert_eq!(mode("data/4"), 0o755);
    assert_eq!(mode("data/empty/below"), 0o711);
    kit.run(["unpack", "net:1", "-d", "out"]).success();
    assert_eq!(fingerprint(&kit, "out"), expected);
}

/// A change of one file.
#[derive(Clone, Debug)]
enum Edit {
    Add(String, usize),
    Change(usize),
    Remove,
}

fn edit() -> impl Strategy<Value = Edit> {
    prop_oneof![
        ("[a-z]{1,8}(/[a-z]{1,3}){0,2}\\.y", 0..20_000_usize)
            .prop_map(|(path, length)| Edit::Add(format!("added/{path}"), length)),
        ("[a-z0-9]{1,8}\\.y", 0..20_000_usize).prop_map(|(path, length)| Edit::Add(path, length)),
        (0..40_000_usize).prop_map(Edit::Change),
        Just(Edit::Remove),
    ]
}

#[test]
fn whatever_file_is_changed_the_layers_are_the_tree_and_few_are_new() {
    let files = prop::collection::btree_map(
        "[a-z]{1,2}(/[a-z]{1,2}){0,2}\\.x",
        prop_oneof![6 => 0..3_000_usize, 1 => 3_000..90_000_usize],
        2..120,
    );
    let cases = (files, any::<Index>(), edit(), any::<bool>());
    // A program is run three times for each.
    let mut runner = TestRunner::new(ProptestConfig {
        max_shrink_iters: 50,
        ..ProptestConfig::with_cases(24)
    });
    let run = |(files, place, edit, is_model): (BTreeMap<String, usize>, Index, Edit, bool)| {
        let kit = Sandbox::new();
        let kitfile = if is_model {
            "model: {name: m, path: d}\n"
        } else {
            "datasets: [{name: m, path: d}]\n"
        };
        kit.file("net/Kitfile", kitfile);
        for (number, (path, length)) in files.iter().enumerate() {
            kit.file(format!("net/d/{path}"), content(number, *length));
        }
        let layers = |packed: &Value| -> Vec<String> {
            let layers = packed["layers"].as_array().unwrap().iter();
            layers
                .map(|it| it["digest"].as_str().unwrap().to_owned())
                .collect()
        };
        let before = layers(&pack(&kit, &["--threads", "3"]));
        let chosen = files.keys().nth(place.index(files.len())).unwrap();
        match edit {
            Edit::Add(path, length) => {
                kit.file(format!("net/d/{path}"), content(777, length));
            }
            Edit::Change(length) => {
                kit.file(format!("net/d/{chosen}"), content(778, length));
            }
            Edit::Remove => fs::remove_file(kit.path(format!("net/d/{chosen}"))).unwrap(),
        }
        let packed = pack(&kit, &["--threads", "2"]);
        let after = layers(&packed);
        let lost = before.iter().filter(|it| !after.contains(it)).count();
        let new = after.iter().filter(|it| !before.contains(it)).count();
        // Three that candidates cut off, and what a large file divides each of them into.
        prop_assert!(lost <= 9 && new <= 9, "{lost} lost, {new} new");
        kit.run(["unpack", "net:1", "-d", "out"]).success();
        prop_assert_eq!(fingerprint(&kit, "out"), fingerprint(&kit, "net"));
        Ok(())
    };
    runner.run(&cases, run).unwrap();
}

#[test]
fn a_registry_gets_only_the_layers_that_are_new() {
    for more in [&["--no-store"][..], &[]] {
        let (kit, registry) = (tree(), Uploads::start(Habits::default()));
        let name = format!("{}/team/net:1", registry.host());
        let push = ["--push", "--plain-http", "--progress", "none", "-t", &name];
        let push = |more: &[&str]| {
            let all = ["pack", "net", "--shard-size", SIZE, "--format", "json"];
            let packed = kit.run(all.iter().chain(&push).chain(more)).json();
            let pushed = &packed["pushed"][0];
            let count = |field: &str| usize::try_from(pushed[field].as_u64().unwrap()).unwrap();
            (digest(&packed), count("sent"), count("present"))
        };
        let (first, sent, present) = push(more);
        assert!(sent > 25 && present == 0, "{sent} sent, {present} there");
        assert_eq!(first, digest(&pack(&kit, &[])));
        kit.file("net/data/3/row-37.csv", "changed\n");
        // The layer and the config.
        let all = sent;
        let (second, sent, present) = push(more);
        assert_ne!(second, first);
        assert_eq!((sent, present), (2, all - 2));
    }
}
