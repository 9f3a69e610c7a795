//! Kits that go into folders and not into the store.

use std::{fs, path::Path};

use super::{Versions, noise, number, pull, serve, serve_whole, tocs_of, versions};
use crate::support::{
    Sandbox,
    fake::{Fake, Shelf},
};

/// Checks that a folder holds the kit `2` and nothing else.
#[track_caller]
fn check_folder(folder: &Path, model: &[u8]) {
    assert!(fs::read(folder.join("model.bin")).unwrap() == model);
    assert_eq!(fs::read_dir(folder.join("rows")).unwrap().count(), 101);
    for number in 0..100_usize {
        let rows = fs::read(folder.join(format!("rows/{number:03}.bin"))).unwrap();
        assert_eq!(rows, noise(3 * 1024 + number, 100 + number as u64));
    }
    let hidden = fs::read_dir(folder).unwrap();
    let mut names: Vec<_> = hidden.map(|it| it.unwrap().file_name()).collect();
    names.sort();
    assert_eq!(names, ["Kitfile", "model.bin", "rows"]);
}

fn changed() -> (Shelf, Vec<u8>) {
    let mut model = noise(6 << 20, 1);
    model[4_000_000] ^= 1;
    let Versions { shelf, .. } = versions(|model| model[4_000_000] ^= 1);
    (shelf, model)
}

fn unpack(kit: &Sandbox, registry: &Fake, tag: &str, more: &[&str]) -> serde_json::Value {
    let name = format!("{}/team/net:{tag}", registry.host());
    let mut words = vec!["unpack", &name, "-d", "tree", "--format", "json"];
    words.extend(more);
    kit.run(words).json()
}

#[test]
fn what_is_in_the_target_is_not_fetched() {
    let (shelf, model) = changed();
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    let first = unpack(&kit, &registry, "1", &[]);
    assert_eq!(number(&first, "reused"), 0);
    let before = registry.sent();
    let told = unpack(&kit, &registry, "2", &["-o"]);
    check_folder(&kit.path("tree"), &model);
    let sent = registry.sent() - before;
    assert!(sent < shelf.size("2") / 8, "{sent}: {told}");
    assert!(number(&told, "fetched") <= sent);
    assert!(number(&told, "reused") > shelf.size("2") / 8 * 7);
    assert_eq!(number(&told, "replaced"), 1);
    // With the Kitfile.
    assert_eq!(number(&told, "equal"), 101);
    // Another folder will do as well.
    let (name, before) = (format!("{}/team/net:2", registry.host()), registry.sent());
    let words = ["unpack", &name, "-q", "-d", "other", "--reuse", "tree"];
    kit.run(words).success();
    check_folder(&kit.path("other"), &model);
    assert!(registry.sent() - before < 50_000);
    // Nothing of it is in the store.
    assert!(!kit.store().path().join("blobs").exists() || kit.store().blobs().is_empty());
}

#[test]
fn what_is_in_the_store_is_not_fetched_to_be_unpacked() {
    let (shelf, model) = changed();
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &[]);
    let blobs = kit.store().blobs();
    let before = registry.sent();
    let told = unpack(&kit, &registry, "2", &[]);
    check_folder(&kit.path("tree"), &model);
    assert!(registry.sent() - before < shelf.size("2") / 8, "{told}");
    assert_eq!(kit.store().blobs(), blobs);
}

#[test]
fn a_folder_is_brought_to_what_the_tag_names_now() {
    let (mut shelf, model) = changed();
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &["-d", "tree"]);
    drop(registry);
    let (one, two) = (shelf.digest("1"), shelf.digest("2"));
    let manifest = shelf.manifest_bytes(&two).to_vec();
    shelf.put("1", crate::support::fake::MANIFEST, &manifest);
    let registry = serve(&shelf);
    let name = format!("{}/team/net:1", registry.host());
    let into = |more: &[&str]| {
        let mut words = vec!["pull", &name, "-d", "tree"];
        words.extend(more);
        kit.run(words)
    };
    let refused = into(&["--expect-digest", &one, "-o"]).exits(5);
    assert!(refused.stderr.contains("not sha256:"), "{refused}");
    // What differs is in the way, unless it may be replaced.
    let said = into(&[]).exits(1);
    assert!(said.stderr.contains("model.bin"), "{said}");
    let before = registry.sent();
    let told = into(&["--dry-run", "--format", "json"]).json();
    assert!(number(&told, "fetch") < number(&told, "full") / 8, "{told}");
    assert!(registry.sent() - before < 100_000);
    let said = into(&["-o"]).success();
    assert_eq!(said, format!("Pulled {two}\n"));
    check_folder(&kit.path("tree"), &model);
    assert!(!kit.store().path().join("blobs").exists());
    // A folder of one's own is left as it is.
    fs::write(kit.path("tree/model.bin"), "mine").unwrap();
    into(&["-i"]).success();
    assert_eq!(fs::read(kit.path("tree/model.bin")).unwrap(), b"mine");
    let usage = kit.run(["pull", &name, "-o"]).exits(2);
    assert!(usage.stderr.contains("--dir"), "{usage}");
}

#[test]
fn lies_cost_a_download_and_never_a_byte() {
    let (shelf, model) = changed();
    let toc = tocs_of(&shelf, "2");
    let wrong = |chunk: modelkit::chunk::Chunk| modelkit::chunk::Chunk {
        hash: modelkit::chunk::ChunkHash::of(chunk.hash.as_bytes()),
        ..chunk
    };
    let mut forged = shelf.clone();
    let mut bytes = shelf.blob(&toc).to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    forged.put_blob(&toc, bytes.into());
    let mut gone = shelf.clone();
    gone.lose(&toc);
    let mut lying = shelf.clone();
    let form = modelkit::toc::Form::Plain;
    crate::support::tocs::add_lying(&mut lying, "2", form, &|number, chunk| {
        if number % 2 == 1 { wrong(chunk) } else { chunk }
    });
    let mut other = shelf.clone();
    let form = modelkit::toc::Form::Other;
    crate::support::tocs::add_lying(&mut other, "2", form, &|_, chunk| chunk);
    for shelf in [forged, gone, lying, other] {
        let registry = serve(&shelf);
        let kit = Sandbox::new();
        unpack(&kit, &registry, "1", &[]);
        unpack(&kit, &registry, "2", &["-o"]);
        check_folder(&kit.path("tree"), &model);
    }
    // Without ranges.
    let registry = serve_whole(&shelf);
    let kit = Sandbox::new();
    unpack(&kit, &registry, "1", &[]);
    unpack(&kit, &registry, "2", &["-o"]);
    check_folder(&kit.path("tree"), &model);
}
