//! What kits in registries hold, without their layers.

use snapbox::{assert_data_eq, str};

use super::{MIB, fresh, shelf};
use crate::support::shelf::{Fate, Rules};

#[test]
fn files_are_listed_as_of_a_kit_here() {
    for (is_large, flags) in [
        (true, &[][..]),
        (true, &["--compression", "gzip-fastest"]),
        (true, &["--layer-format", "raw"]),
        (true, &["--layer-format", "raw", "--compression", "zstd"]),
        (false, &[]),
        (false, &["--compression", "zstd"]),
    ] {
        let (publisher, shelf, name) = shelf(is_large, flags, Rules::default());
        for more in [
            &["--folders"][..],
            &["--format", "json", "--filter", "datasets"],
            &["--include", "data/p*"],
        ] {
            let here = publisher.run([&["files", &name][..], more].concat());
            let (_, there) = fresh(&[&["files", "@"][..], more].concat(), &name);
            assert_eq!(there.stdout, here.exits(0).stdout, "{flags:?} {more:?}");
            let is_unverified = there.stderr.contains("not verified");
            assert_eq!(is_unverified, !is_large && flags.is_empty(), "{there}");
        }
        let sent = shelf.sent();
        let is_streamed = !is_large && !flags.is_empty();
        assert!(
            sent < 2 * MIB as u64 || is_streamed,
            "{sent} bytes were sent"
        );
    }
}

#[test]
fn what_would_be_unpacked_is_listed_without_layers() {
    let (publisher, shelf, name) = shelf(true, &[], Rules::default());
    let more = ["--dry-run", "--include", "data/**"];
    let here = publisher.run([&["unpack", &name][..], &more].concat());
    let (_, there) = fresh(&[&["unpack", "@"][..], &more].concat(), &name);
    assert_eq!(there.stdout, here.exits(0).stdout);
    let sent = shelf.sent();
    assert!(sent < MIB as u64, "{sent} bytes were sent");
}

#[test]
fn it_is_told_what_a_kit_takes_and_a_pull_fetches() {
    let (_publisher, shelf, name) = shelf(true, &[], Rules::default());
    let (_, output) = fresh(&["du", "@"], &name);
    assert_data_eq!(
        output,
        str![[r#"
TYPE      PATH   FILES   SIZE       STORED     HERE
model     w      1       66.0 MiB   66.0 MiB   -
code      code   2       2.9 KiB    6.0 KiB    -
dataset   data   9       3.7 MiB    3.7 MiB    -

[HOST]/team/net:1: 69.7 MiB in 3 layers, not in the store
`kit pull` fetches: 69.7 MiB
[exit 0]

"#]]
    );
    let (_, output) = fresh(&["du", "@", "--format", "json"], &name);
    let told = output.json();
    assert_eq!(told["remote"][0]["elements"][2]["files"], 9);
    let sent = shelf.sent();
    assert!(sent < MIB as u64, "{sent} bytes were sent");
}

#[test]
fn files_are_compared_wherever_kits_are() {
    let (publisher, shelf, name) = shelf(true, &[], Rules::default());
    publisher
        .file("src/data/3.bin", "other")
        .file("src/data/new.bin", "new");
    let second = format!("{}:2", name.rsplit_once(':').unwrap().0);
    publisher
        .run(["pack", "src", "-q", "-t", &second])
        .success();
    let files = |output: &str| {
        let text = output.split_once("\nFiles\n").unwrap().1;
        text.to_owned()
    };
    let local = publisher.run(["diff", &name, &second, "--files"]);
    let local = files(&local.exits(0).stdout);
    assert_data_eq!(
        &local,
        str![[r#"
---------------------------------------
Change   | Size                     | Path
modified | 400.0 KiB -> 5 B         | data/3.bin
added    | 3 B                      | data/new.bin


"#]]
    );
    let before = shelf.sent();
    let (_, remote) = fresh(&["diff", "@", &second, "--files"], &name);
    assert_eq!(files(&remote.exits(0).stdout), local);
    let sent = shelf.sent() - before;
    assert!(sent < MIB as u64, "{sent} bytes were sent");
    let away = format!("remote://{second}");
    let mixed = publisher.run(["diff", &format!("local://{name}"), &away, "--files"]);
    assert_eq!(files(&mixed.exits(0).stdout), local);
    let sent = shelf.sent() - before;
    assert!(sent < MIB as u64, "{sent} bytes were sent");
}

#[test]
fn without_tables_files_of_kits_in_registries_are_compared_by_their_layers() {
    let (publisher, _shelf, name) = shelf(false, &[], Rules::for_blobs(|_| Fate::Whole));
    publisher.file("src/data/3.bin", "other");
    let second = format!("{}:2", name.rsplit_once(':').unwrap().0);
    publisher
        .run(["pack", "src", "-q", "-t", &second])
        .success();
    let words = ["diff", "@", &second, "--files", "--format", "json"];
    let (_, remote) = fresh(&words, &name);
    let said = remote.stderr.clone();
    assert!(said.contains("Reading all of dataset `train`"), "{said}");
    let local = publisher.run(["diff", &name, &second, "--files", "--format", "json"]);
    assert_eq!(remote.json()["files"], local.json()["files"]);
}
