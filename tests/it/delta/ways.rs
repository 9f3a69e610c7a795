//! What registries give, and whether it is worth to be asked for.

use std::{
    fs,
    process::Stdio,
    sync::atomic::{AtomicBool, Ordering},
};

use super::{
    KIB, MIB, Versions, check, noise, number, pull, serve, serve_but, serve_whole, tocs_of,
    versions,
};
use crate::support::{
    Sandbox,
    fake::{Answer, Fake, Shelf, asked_blob},
    kits::{self, pack_kitfile},
    tocs,
};

/// Returns the digest of the largest layer of a kit.
fn model(shelf: &Shelf, tag: &str) -> String {
    let manifest = shelf.manifest(&shelf.digest(tag));
    let layers = manifest["layers"].as_array().unwrap().iter();
    let model = layers.max_by_key(|layer| layer["size"].as_u64()).unwrap();
    model["digest"].as_str().unwrap().to_owned()
}

/// Tells whether a blob, or a part of it, was asked for.
fn was_asked(registry: &Fake, digest: &str) -> bool {
    let requests = registry.requests();
    requests.iter().any(|it| asked_blob(it) == Some(digest))
}

#[test]
fn a_table_of_contents_that_is_only_here_is_used() {
    let Versions { mut shelf, .. } = versions(|model| model[3 * MIB] ^= 1);
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &[]);
    pull(&kit, &registry, "2", &[]);
    drop(registry);
    // The registry has cleaned up, and a layer was lost here.
    let model = model(&shelf, "2");
    kits::lose(&kit, &model);
    shelf.lose(&tocs_of(&shelf, "2"));
    let registry = serve(&shelf);
    let told = pull(&kit, &registry, "2", &[]);
    check(&kit, &shelf, "2");
    assert!(number(&told, "reused") > 5 * MIB as u64, "{told}");
}

#[test]
fn what_is_all_here_needs_no_parts() {
    let Versions { shelf, .. } = versions(|model| model[3 * MIB] ^= 1);
    let registry = serve(&shelf);
    let tree = Sandbox::new();
    pull(&tree, &registry, "1", &["-d", "tree"]);
    // Of the second kit all rows are here, and most of the model.
    tree.file("tree/rows/050a.bin", noise(500, 9));
    drop(registry);
    let registry = serve_whole(&shelf);
    let kit = Sandbox::new();
    let folder = tree.path("tree");
    let reuse = ["--reuse", folder.to_str().unwrap()];
    let planned = pull(&kit, &registry, "2", &[&reuse[..], &["--dry-run"]].concat());
    let told = pull(&kit, &registry, "2", &reuse);
    check(&kit, &shelf, "2");
    let (reused, fetched) = (number(&told, "reused"), number(&told, "fetched"));
    assert!(reused > 300 * KIB as u64, "{told}");
    assert!(fetched < shelf.size("2") - 200 * KIB as u64, "{told}");
    // That was told before.
    let fetch = number(&planned, "fetch");
    assert!(fetch.abs_diff(fetched) < 1000, "{fetch} {fetched}");
}

#[test]
fn the_table_of_what_is_not_wanted_is_not_asked_for() {
    // Of the small files the table is long, of the model it is not.
    let kitfile = "manifestVersion: 1.0.0\n\
                   model: {name: net, path: model.bin}\n\
                   datasets: [{name: rows, path: rows}]\n";
    let packer = Sandbox::new();
    let mut content = noise(2 * MIB, 1);
    for number in 0..7000 {
        let name = format!("packed/rows/{}{number}", "long".repeat(20));
        packer.file(name, number.to_string());
    }
    packer.file("packed/model.bin", &content);
    pack_kitfile(&packer, "team/net:1", kitfile);
    content[MIB] ^= 1;
    packer.file("packed/model.bin", &content);
    pack_kitfile(&packer, "team/net:2", kitfile);
    let mut shelf = Shelf::of(&packer.store());
    let toc = ["1", "2"].map(|tag| tocs::add(&mut shelf, tag));
    assert!(shelf.blob(&toc[1]).len() > content.len() / 8);
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    let unpack = |tag: &str| {
        let name = format!("{}/team/net:{tag}", registry.host());
        kit.run([
            "unpack", &name, "--filter", "model", "-d", "tree", "-o", "--format", "json",
        ])
        .json()
    };
    unpack("1");
    assert!(!was_asked(&registry, &toc[0]), "there was nothing here");
    let before = registry.sent();
    let told = unpack("2");
    assert!(fs::read(kit.path("tree/model.bin")).unwrap() == content);
    let sent = registry.sent() - before;
    assert!(sent < 400 * KIB as u64, "{sent} {told}");
    assert!(number(&told, "reused") > MIB as u64, "{told}");
}

#[test]
fn a_folder_that_has_nothing_of_a_kit_is_no_reason_to_ask_for_its_table() {
    let Versions { shelf, tocs } = versions(|_| {});
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    kit.file("tree/notes.txt", "mine");
    let name = format!("{}/team/net:2", registry.host());
    kit.run(["unpack", &name, "-d", "tree", "-q"]).success();
    assert!(!was_asked(&registry, &tocs[1]));
    // What lies where a layer leads to is.
    fs::remove_file(kit.path("tree/model.bin")).unwrap();
    kit.run(["unpack", &name, "-d", "tree", "-q"]).success();
    assert!(was_asked(&registry, &tocs[1]));
}

#[test]
fn a_registry_that_is_lost_meanwhile_is_not_asked_for_the_whole() {
    let Versions { shelf, .. } = versions(|model| model[3 * MIB] ^= 1);
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &["-d", "tree"]);
    drop(registry);
    let model = model(&shelf, "2");
    let lost = model.clone();
    let registry = serve_but(&shelf, move |request, answer| match asked_blob(request) {
        Some(digest) if digest == lost => answer.cut(0),
        _ => answer,
    });
    let name = format!("{}/team/net:2", registry.host());
    let said = kit.run(["unpack", &name, "-d", "tree", "-o", "--retries", "0"]);
    let said = said.exits(6);
    assert!(!said.stderr.contains("something else"), "{said}");
    assert!(!said.stderr.contains("put together"), "{said}");
    let requests = registry.requests();
    let mut asked = requests.iter().filter(|it| asked_blob(it) == Some(&model));
    assert!(asked.all(|it| it.header("range").is_some()));
}

#[test]
fn a_layer_that_cannot_be_put_together_comes_whole_and_it_is_said_why() {
    let Versions { shelf, .. } = versions(|model| model[3 * MIB] ^= 1);
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &["-d", "tree"]);
    drop(registry);
    let model = model(&shelf, "2");
    let asked = AtomicBool::new(false);
    let registry = serve_but(&shelf, move |request, answer| match asked_blob(request) {
        Some(digest) if digest == model && !asked.swap(true, Ordering::SeqCst) => {
            Answer::new(500).body("{}")
        }
        _ => answer,
    });
    let name = format!("{}/team/net:2", registry.host());
    let said = kit
        .run(["unpack", &name, "-d", "tree", "-o", "--retries", "0"])
        .exits(0);
    assert!(
        said.stderr.contains(
            "model `net` to `model.bin` could not be put together, and is fetched whole: "
        ),
        "{said}"
    );
}

#[test]
fn two_pulls_of_a_change_at_the_same_time_bring_it_once() {
    let Versions { shelf, .. } = versions(|model| model[3 * MIB] ^= 1);
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &[]);
    let before = registry.sent();
    let name = format!("{}/team/net:2", registry.host());
    let begin = || {
        let mut command = kit.command(["pull", &name, "-q"]);
        command.stdout(Stdio::null()).spawn().unwrap()
    };
    let mut both = [begin(), begin()];
    for child in &mut both {
        assert!(child.wait().unwrap().success());
    }
    check(&kit, &shelf, "2");
    // Each of them asks for the documents, and whether there are parts.
    let sent = registry.sent() - before;
    assert!(sent < shelf.size("2") / 8, "{sent}");
}

#[test]
fn a_change_that_broke_off_is_taken_up() {
    let Versions { shelf, .. } = versions(|model| model[3 * MIB] ^= 1);
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &[]);
    drop(registry);
    let lost = model(&shelf, "2");
    let registry = serve_but(&shelf, move |request, answer| match asked_blob(request) {
        Some(digest) if digest == lost => answer.cut(0),
        _ => answer,
    });
    let name = format!("{}/team/net:2", registry.host());
    let said = kit.run(["pull", &name, "--retries", "0"]).exits(6);
    assert!(said.stderr.contains("are kept"), "{said}");
    drop(registry);
    let registry = serve(&shelf);
    let told = pull(&kit, &registry, "2", &[]);
    check(&kit, &shelf, "2");
    assert!(number(&told, "resumed") > 5 * MIB as u64, "{told}");
    assert!(registry.sent() < shelf.size("2") / 8);
}
