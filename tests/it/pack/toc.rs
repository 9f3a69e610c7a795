//! Kits of 64 MiB and more get a table of contents.

use std::{fs, path::PathBuf};

use modelkit::{
    chunk::ChunkHash,
    oci::Manifest,
    toc::{Form, Root, Table, TocRef},
};

use crate::support::Sandbox;

const FROM: u64 = 64 << 20;

/// Writes a kit whose model is a file of that many bytes, nearly all of them zeros, which take no
/// room on the disk.
fn write(kit: &Sandbox, size: u64) {
    kit.file("src/model.bin", "weights")
        .file("src/data/a.csv", "a,b\n1,2\n")
        .file("src/data/é.csv", "")
        .file(
            "src/Kitfile",
            "model: {name: net, path: model.bin}\ndatasets: [{name: rows, path: data}]\n",
        );
    let model = fs::File::options()
        .write(true)
        .open(kit.path("src/model.bin"))
        .unwrap();
    model.set_len(size).unwrap();
}

/// Packs it and returns the digest.
#[track_caller]
fn pack(kit: &Sandbox, more: &[&str]) -> String {
    let output = kit.run(["pack", "src", "-q", "-t", "net:1"].iter().chain(more));
    let line = output.success();
    line.trim().trim_start_matches("Model saved: ").to_owned()
}

/// Returns what the kit's manifest says of its table of contents, and the tables of its layers.
fn tables(kit: &Sandbox, digest: &str) -> Option<(TocRef, Vec<Table>)> {
    let store = kit.store();
    let manifest = Manifest::parse(&store.blob(digest)).unwrap();
    let toc = TocRef::of(&manifest).unwrap()?;
    let blob = store.blob(&toc.digest.to_string());
    assert_eq!(blob.len() as u64, toc.size);
    let root_size = usize::try_from(toc.root_size).unwrap();
    let root = Root::open(&toc, &manifest, &blob[..root_size]).unwrap();
    let tables = root.layers().iter().map(|layer| {
        let range = layer.range().unwrap();
        let (start, end) = (
            range.start.try_into().unwrap(),
            range.end.try_into().unwrap(),
        );
        let bytes: &[u8] = &blob[start..end];
        layer.open(bytes.to_vec()).unwrap()
    });
    Some((toc, tables.collect()))
}

fn cache(kit: &Sandbox) -> PathBuf {
    kit.home().join("cache/hashes")
}

#[test]
fn a_kit_of_64_mib_has_a_table_of_contents_whatever_it_is_made_from() {
    let kit = Sandbox::new();
    write(&kit, FROM);
    let digest = pack(&kit, &["--threads", "1"]);
    let (toc, layers) = tables(&kit, &digest).unwrap();
    // What kits get from now on: another digest here is another digest of each large kit.
    assert_eq!(
        toc.digest.to_string(),
        "sha256:74bdd981c53be10e279ca618eb658cd338afae8f64d16cc25c032987a3e472ca"
    );
    assert_eq!(
        digest,
        "sha256:cce1152bef28084cb30bbb6cc386693aa7cfd94c43174ed1db823e89809ec72d"
    );
    let [model, data] = &layers[..] else {
        panic!("{layers:?}");
    };
    assert_eq!((model.form(), data.form()), (Form::Plain, Form::Plain));
    let file = model.find("model.bin").unwrap();
    assert_eq!((file.size, file.offset, file.mode), (FROM, 512, 0o644));
    let rows = data.find("data/a.csv").unwrap();
    let chunk = rows.chunks().next().unwrap();
    assert_eq!(chunk.chunk.hash, ChunkHash::of(b"a,b\n1,2\n"));
    assert_eq!(chunk.offset, rows.offset);

    // Of tables that are known, of the layers in the store, of the files.
    assert_eq!(pack(&kit, &[]), digest);
    fs::remove_dir_all(cache(&kit).join("tables")).unwrap();
    assert_eq!(pack(&kit, &[]), digest);
    assert!(cache(&kit).join("tables").is_dir());
    assert_eq!(pack(&kit, &["--no-cache", "--threads", "3"]), digest);

    let told = kit.run(["pack", "src", "-t", "net:1", "--format", "json"]);
    assert!(
        told.stderr
            .contains("Already saved table of contents: sha256:")
    );
    let told = told.json();
    assert_eq!(told["toc"]["digest"], toc.digest.to_string());
    assert_eq!(told["toc"]["size"], toc.size);

    // It stays as long as its kit, and is looked at like the layers.
    kit.run(["prune"]).success();
    kit.run(["verify"]).success();
    let blob = kit.store().blob_path(&toc.digest.to_string());
    let bytes = fs::read(&blob).unwrap();
    fs::remove_file(&blob).unwrap();
    fs::write(&blob, [&bytes[1..], b"x"].concat()).unwrap();
    let damaged = kit.run(["verify"]).exits(5);
    assert!(
        damaged.stdout.contains(&toc.digest.to_string()),
        "{damaged}"
    );
    // Without it the kit is whole.
    fs::remove_file(&blob).unwrap();
    kit.run(["verify"]).success();
    kit.run(["unpack", "net:1", "-d", "out", "--include", "data"])
        .success();
    assert_eq!(pack(&kit, &[]), digest);
    assert!(blob.exists());

    let without = kit.run(["pack", "src", "-q", "-t", "net:2", "--no-toc"]);
    let without = without.success().trim().replace("Model saved: ", "");
    assert_ne!(without, digest);
    assert!(tables(&kit, &without).is_none());
    kit.run(["remove", "--force", "net:1"]).success();
    assert!(!blob.exists());
    kit.run(["verify"]).success();
}

#[test]
fn a_kit_below_64_mib_has_no_table_of_contents() {
    let kit = Sandbox::new();
    // What is in the layers besides the model.
    let besides = 3 * 512 + 4096;
    write(&kit, FROM - besides - 512);
    let below = pack(&kit, &[]);
    assert!(tables(&kit, &below).is_none());
    let told = kit.run(["pack", "src", "--format", "json"]).json();
    assert!(told["toc"].is_null());
    write(&kit, FROM - besides);
    let digest = pack(&kit, &[]);
    assert!(tables(&kit, &digest).is_some());
}
