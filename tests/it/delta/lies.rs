//! Whatever a table, a registry or a file says: the bytes in the store are the right ones.

use std::sync::Arc;

use modelkit::{
    chunk::{Chunk, ChunkHash},
    digest::Digest,
    oci::Manifest,
    toc::{Form, Planned, Root, TocRef},
};

use super::{
    MIB, Versions, check, noise, number, pull, serve, serve_but, serve_whole, tocs_of, versions,
};
use crate::support::{
    Sandbox,
    fake::{Answer, Shelf, asked_blob},
    tocs,
};

fn kits() -> Shelf {
    let Versions { shelf, .. } = versions(|model| model[3 * MIB] ^= 1);
    shelf
}

/// Pulls `1` and then `2`, and checks that both are right; returns how much of the second was
/// taken from the first.
#[track_caller]
fn right_all_the_same(shelf: &Shelf) -> u64 {
    let registry = serve(shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &[]);
    let told = pull(&kit, &registry, "2", &[]);
    check(&kit, shelf, "2");
    number(&told, "reused")
}

#[test]
fn a_table_of_contents_that_is_gone_or_wrong_costs_a_download() {
    let good = kits();
    assert!(right_all_the_same(&good) > 5 * MIB as u64);
    let toc = tocs_of(&good, "2");
    let content = good.blob(&toc).to_vec();

    let mut gone = good.clone();
    gone.lose(&toc);
    assert_eq!(right_all_the_same(&gone), 0);

    let of_another_kit = good.blob(&tocs_of(&good, "1")).to_vec();
    let mut root = content.clone();
    root[40] ^= 1;
    let mut table = content.clone();
    *table.last_mut().unwrap() ^= 1;
    let wrong = [
        of_another_kit,
        root,
        table,
        content[..content.len() / 2].to_vec(),
        content[..20].to_vec(),
        [content.clone(), vec![0; 100]].concat(),
        Vec::new(),
        noise(content.len(), 77),
    ];
    for (number, wrong) in wrong.into_iter().enumerate() {
        let mut shelf = good.clone();
        shelf.put_blob(&toc, wrong.into());
        assert_eq!(right_all_the_same(&shelf), 0, "{number}");
    }
}

#[test]
fn a_root_that_lies_about_the_length_of_a_table_costs_a_download() {
    // The model is the same in both, and so its table is in the store when the second kit comes.
    let Versions { mut shelf, .. } = versions(|_| {});
    let bytes = shelf.manifest_bytes(&shelf.digest("2")).to_vec();
    let mut manifest = Manifest::parse(&bytes).unwrap();
    let content = shelf.blob(&tocs_of(&shelf, "2")).to_vec();
    let toc = TocRef::of(&manifest).unwrap().unwrap();
    let head = usize::try_from(toc.root_size).unwrap();
    let told = Root::open(&toc, &manifest, &content[..head]).unwrap();
    let planned = told.layers().iter().map(|layer| Planned {
        digest: layer.digest,
        size: layer.size,
        encoding: layer.encoding,
        table: layer.table.map(|table| (1, table.digest)),
    });
    let root = Root::plan(planned);
    let forged = [root.to_bytes(), vec![0; manifest.layers.len()]].concat();
    let toc = TocRef::new(Digest::of(&forged), &root);
    assert_eq!(toc.size, forged.len() as u64);
    toc.annotate(&mut manifest.annotations);
    shelf.put_blob(&toc.digest.to_string(), forged.into());
    shelf.put("2", crate::support::fake::MANIFEST, &manifest.to_bytes());
    assert_eq!(right_all_the_same(&shelf), 0);
}

#[test]
fn annotations_that_cannot_be_are_passed_over() {
    let good = kits();
    let digest = good.digest("2");
    let text = String::from_utf8(good.manifest_bytes(&digest).to_vec()).unwrap();
    let size = format!("\"{}\"", good.blob(&tocs_of(&good, "2")).len());
    for (from, to) in [
        ("org.modelkit.toc.size", "org.modelkit.toc.sise"),
        (size.as_str(), "\"12\""),
        (size.as_str(), "\"99999999\""),
        (size.as_str(), "\"-1\""),
        (&tocs_of(&good, "2"), "sha256:12"),
        (&tocs_of(&good, "2"), &tocs_of(&good, "1")),
    ] {
        let mut shelf = good.clone();
        let changed = text.replace(from, to);
        assert_ne!(changed, text);
        shelf.put("2", crate::support::fake::MANIFEST, changed.as_bytes());
        assert_eq!(right_all_the_same(&shelf), 0, "{from} {to}");
    }
}

#[test]
fn a_packer_who_lies_about_hashes_changes_nothing() {
    let wrong = |chunk: Chunk| Chunk {
        hash: ChunkHash::of(chunk.hash.as_bytes()),
        ..chunk
    };
    // A chunk of the model says that it is one that the first kit has elsewhere.
    let swapped = ChunkHash::of(&noise(3 << 10, 100));
    let lies: [(&str, tocs::Lie<'_>); 3] = [
        ("all", &|_, chunk| wrong(chunk)),
        ("of some files", &|number, chunk| {
            if number % 2 == 1 { wrong(chunk) } else { chunk }
        }),
        ("one for another", &|number, chunk| {
            let hash = if number == 7 && chunk.length == 3 << 10 {
                swapped
            } else {
                chunk.hash
            };
            Chunk { hash, ..chunk }
        }),
    ];
    for (what, lie) in lies {
        let mut shelf = kits();
        tocs::add_lying(&mut shelf, "2", Form::Plain, lie);
        // What is not as it says is not used, and what is right is.
        let reused = right_all_the_same(&shelf);
        assert_eq!(reused > 5 * MIB as u64, what != "all", "{what}");
    }
}

#[test]
fn a_table_that_does_not_tell_what_stands_between_files_saves_the_files() {
    let mut shelf = kits();
    tocs::add_lying(&mut shelf, "2", Form::Other, &|_, chunk| chunk);
    assert!(right_all_the_same(&shelf) > 5 * MIB as u64);
}

#[test]
fn a_chunk_that_says_it_is_one_that_is_here_is_found_out() {
    // Both chunks have the same length, so that nothing but the digest of the layer tells.
    let mut shelf = kits();
    let first = noise(6 * MIB, 1);
    let mut hashes = Vec::new();
    let mut chunker = modelkit::chunk::Chunker::new(modelkit::chunk::Grain::Fine);
    chunker.push(&first, |chunk| hashes.push(chunk));
    let is_like = |chunk: &Chunk| hashes.iter().find(|it| it.length == chunk.length);
    let said = hashes[5];
    let lie = |_: usize, chunk: Chunk| {
        let same = is_like(&chunk)
            .copied()
            .filter(|_| chunk.hash == hashes[9].hash);
        same.map_or(chunk, |_| Chunk {
            hash: said.hash,
            ..chunk
        })
    };
    tocs::add_lying(&mut shelf, "2", Form::Plain, &lie);
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &[]);
    pull(&kit, &registry, "2", &[]);
    check(&kit, &shelf, "2");
}

#[test]
fn a_registry_without_ranges_sends_layers_whole() {
    let shelf = kits();
    let registry = serve_whole(&shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &[]);
    let before = registry.sent();
    pull(&kit, &registry, "2", &[]);
    check(&kit, &shelf, "2");
    // Each layer once, and not again for each part.
    assert!(registry.sent() - before < shelf.size("2") + 1_000_000);
}

#[test]
fn a_registry_that_sends_other_parts_than_it_says_is_found_out() {
    let shelf = kits();
    let manifest = shelf.manifest(&shelf.digest("2"));
    let layers = manifest["layers"].as_array().unwrap().iter();
    let model = layers.max_by_key(|layer| layer["size"].as_u64()).unwrap();
    let model = model["digest"].as_str().unwrap().to_owned();
    let blob = Arc::clone(shelf.blob(&model));
    let registry = serve_but(&shelf, move |request, answer| {
        let Some(range) = request.range(blob.len()) else {
            return answer;
        };
        if asked_blob(request) != Some(&model) {
            return answer;
        }
        let start = range.start.checked_sub(100).unwrap_or(range.start + 100);
        let moved = start..(start + range.len()).min(blob.len());
        let says = format!("bytes {}-{}/{}", range.start, range.end - 1, blob.len());
        Answer::new(206)
            .header("Content-Range", says)
            .content(&blob, moved)
    });
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &[]);
    let name = format!("{}/team/net:2", registry.host());
    let said = kit.run(["pull", &name]);
    let warning = "is not what the table of contents says";
    assert!(said.stderr.contains(warning), "{said}");
    // When it comes in one piece it is right.
    if said.code == 0 {
        check(&kit, &shelf, "2");
    } else {
        let said = said.exits(5);
        assert!(said.stderr.contains("twice"), "{said}");
    }
    assert!(kit.store().damaged().is_empty());
}

#[test]
fn a_source_that_was_changed_is_not_believed() {
    let shelf = kits();
    let registry = serve(&shelf);
    let kit = Sandbox::new();
    pull(&kit, &registry, "1", &[]);
    // Damage in the store that nobody has noticed: the same size, other bytes.
    let manifest = shelf.digest("1");
    for (_, layer, _) in kit.store().layers(&manifest) {
        let mut content = shelf.blob(&layer).to_vec();
        let length = content.len();
        for at in (2000..length).step_by(1_000_000) {
            content[at] ^= 1;
        }
        let path = kit.store().blob_path(&layer);
        crate::support::set_mode(&path, 0o644);
        std::fs::write(&path, content).unwrap();
    }
    let told = pull(&kit, &registry, "2", &[]);
    assert!(number(&told, "reused") > MIB as u64);
    let store = kit.store();
    for (_, layer, _) in store.layers(&shelf.digest("2")) {
        assert!(store.blob(&layer) == **shelf.blob(&layer), "{layer}");
    }
}
