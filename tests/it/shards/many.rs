//! A kit in very many layers, all the way from one machine to another.

use std::fs;

use super::content;
use crate::support::{
    Sandbox,
    shelf::{Rules, StoreShelf},
    trees::Fingerprint,
};

const KITFILE: &str = "manifestVersion: 1.0.0\n\
                       package: {name: net}\n\
                       datasets: [{name: rows, path: rows}]\n";
const FILES: usize = 1500;

fn path(number: usize) -> String {
    // Each layer tells of its folders, so that these make the table of contents long.
    let folder = format!("{:02}", number / 100).repeat(100);
    format!("rows/{folder}/below-{folder}/{number:04}.csv")
}

/// Returns what the file with this number holds.
fn row(number: usize) -> String {
    let bytes = content(number, 3000 + number).into_iter();
    bytes.map(|byte| char::from(b'a' + byte % 26)).collect()
}

#[test]
fn a_kit_in_very_many_layers_costs_few_requests_and_few_lines() {
    let publisher = Sandbox::new();
    for number in 0..FILES {
        let file = format!("packed/{}", path(number));
        publisher.file(file, row(number));
    }
    publisher.file("packed/Kitfile", KITFILE);
    let shelf = StoreShelf::of(&publisher, Rules::default());
    let name = format!("{}/team/net:1", shelf.host());
    let pack = ["pack", "packed", "-t", &name, "--shard-size", "4KiB"];
    let said = publisher.run(pack).exits(0).stderr;
    assert!(said.lines().count() < 10, "{said}");
    publisher.run(["toc", "add", "-q", &name]).success();
    let manifest = publisher.store().names()[&name].clone();
    let layers = publisher.store().layers(&manifest).len();
    assert!(layers > 500, "{layers}");
    let shown = publisher.run(["inspect", &name]).json();
    let toc = &shown["manifest"]["annotations"]["org.modelkit.toc.digest"];
    let toc = toc.as_str().unwrap();
    // It is not so short that it comes at once.
    assert!(publisher.store().blob(toc).len() > 256 << 10);

    let kit = Sandbox::new();
    let asked = |words: &[&str]| {
        let before = shelf.blobs().len();
        let output = kit.run(words).exits(0);
        let asked = shelf.blobs().split_off(before);
        let (tocs, others): (Vec<_>, Vec<_>) = asked.into_iter().partition(|it| it == toc);
        (output, tocs.len(), others.len())
    };
    // The config, and one layer for a file. Where it takes long some are asked for twice.
    let last = FILES - 1;
    let (output, tocs, others) = asked(&["cat", &name, &path(last)]);
    assert!(output.stdout == row(last), "{}", output.stderr);
    assert!(tocs < 10 && others < 6, "{tocs} {others}");
    let (output, tocs, others) = asked(&["files", &name]);
    assert_eq!(output.stdout, publisher.run(["files", &name]).success());
    assert!(tocs < 10 && others < 6, "{tocs} {others}");
    for words in [
        &["unpack", &name, "--dry-run"][..],
        &["du", &name],
        &["info", "-r", &name],
    ] {
        let (output, tocs, others) = asked(words);
        let lines = output.stdout.lines().count();
        assert!(tocs < 10 && others < 6, "{words:?}: {tocs} {others}");
        assert!(lines < 12 || words[0] == "unpack", "{words:?}: {output}");
    }

    let (output, _, others) = asked(&["pull", &name]);
    assert!(others > layers && others < 2 * layers, "{others}");
    let lines = output.stderr.lines();
    let lines = lines.filter(|line| !line.contains(" % ("));
    assert!(lines.count() < 5, "{output}");
    let (output, ..) = asked(&["unpack", &name, "-d", "out"]);
    assert_eq!(output.stderr.matches("Unpacking dataset").count(), 1);
    let (here, there) = (kit.path("out"), publisher.path("packed"));
    assert_eq!(
        Fingerprint::of(&here.join("rows"), true),
        Fingerprint::of(&there.join("rows"), true)
    );

    // What changed is a layer or two, and of these what changed of them.
    let file = format!("packed/{}", path(700));
    publisher.file(&file, "changed");
    let second = format!("{}/team/net:2", shelf.host());
    let pack = [
        "pack",
        "packed",
        "-q",
        "-t",
        &second,
        "--shard-size",
        "4KiB",
    ];
    publisher.run(pack).success();
    publisher.run(["toc", "add", "-q", &second]).success();
    let before = shelf.sent();
    let told = kit.run(["pull", &second, "--format", "json"]).json();
    let stored = told["stored"].as_u64().unwrap();
    assert!(stored < 8, "{told}");
    // With the documents, each of which has a line for each layer.
    let documents = (fs::read(
        publisher
            .store()
            .blob_path(&publisher.store().names()[&second]),
    ))
    .unwrap()
    .len() as u64;
    let sent = shelf.sent() - before;
    assert!(sent < 3 * documents + (400 << 10), "{sent} {documents}");
    kit.run(["verify", "-q"]).success();
}
