//! Whatever a folder holds comes back: random trees through pack and unpack.

use std::collections::BTreeMap;

use proptest::{
    strategy::{Strategy, ValueTree},
    test_runner::{Config, RngSeed, TestRunner},
};

use crate::support::{
    Sandbox, reference_tar,
    trees::{Fingerprint, Node, Odd, Tree, steps},
};

const KITFILE: &str = "manifestVersion: 1.0.0\npackage: {name: tree}\ncode: [{path: .}]\n";

/// Writes the tree into `kit`'s working directory as `tree/`.
fn write(kit: &Sandbox, tree: &Tree) {
    kit.file("tree/Kitfile", KITFILE);
    tree.write(&kit.path("tree"));
}

#[test]
fn random_trees_are_written_as_their_model_says() {
    let mut runner = TestRunner::deterministic();
    for _ in 0..50 {
        let tree = Tree::grow(&steps().new_tree(&mut runner).unwrap().current());
        let kit = Sandbox::new();
        write(&kit, &tree);
        let found = Fingerprint::of(&kit.path("tree"), false);
        for (name, node) in tree.unpacked().0 {
            // What lies behind a linked folder has no entry of its own on disk.
            if let Some(Node::File(..) | Node::Folder) = found.0.get(&name) {
                assert_eq!(found.0[&name], node);
            }
        }
        assert!(found.0.len() >= 2);
    }
}

/// Counts what was made odd, and fails on a class too rare to mean anything.
fn enough_of_each(made: &BTreeMap<Odd, usize>) {
    for (odd, count) in made {
        println!("{odd:?}: {count}");
    }
    let rare: Vec<_> = made.iter().filter(|(_, count)| **count < 50).collect();
    assert!(rare.is_empty(), "made too seldom: {rare:?}");
    let classes = if cfg!(target_os = "linux") { 15 } else { 11 };
    assert!(made.len() >= classes, "some class was never made: {made:?}");
}

#[test]
fn a_thousand_random_trees_hold_every_odd_class() {
    let mut runner = TestRunner::deterministic();
    let mut made = BTreeMap::new();
    for _ in 0..1000 {
        for (odd, count) in Tree::grow(&steps().new_tree(&mut runner).unwrap().current()).odd {
            *made.entry(odd).or_default() += count;
        }
    }
    enough_of_each(&made);
}

// hazard: 49
#[test]
fn a_random_tree_comes_back_as_it_was_and_its_layer_is_the_reference_writers() {
    let cases = std::env::var("KIT_TREES").map_or(1000, |n| n.parse().unwrap());
    let seed = std::env::var("KIT_SEED").map_or(1, |n| n.parse().unwrap());
    println!("KIT_SEED={seed} KIT_TREES={cases}");
    let config = Config {
        cases,
        rng_seed: RngSeed::Fixed(seed),
        failure_persistence: None,
        ..Config::default()
    };
    let made = std::cell::RefCell::new(BTreeMap::<Odd, usize>::new());
    TestRunner::new(config)
        .run(&steps(), |steps| {
            let tree = Tree::grow(&steps);
            for (odd, count) in &tree.odd {
                *made.borrow_mut().entry(*odd).or_default() += count;
            }
            comes_back(&tree);
            Ok(())
        })
        .unwrap();
    let made = made.into_inner();
    if cases >= 1000 {
        enough_of_each(&made);
    }
}

// hazard: 49
#[test]
fn a_file_with_holes_comes_back_with_all_its_bytes() {
    use std::io::{Seek as _, SeekFrom, Write as _};
    const SIZE: u64 = 96 << 20;
    let kit = Sandbox::new();
    kit.file("tree/Kitfile", KITFILE);
    let mut file = std::fs::File::create(kit.path("tree/holes")).unwrap();
    for at in [0, SIZE / 3 + 1, SIZE - 1] {
        file.seek(SeekFrom::Start(at)).unwrap();
        file.write_all(b"x").unwrap();
    }
    for compression in ["none", "zstd"] {
        let words = ["pack", "tree", "-t", "tree:1", "--compression", compression];
        kit.run(words).success();
        kit.run(["unpack", "tree:1", "-d", "out"]).success();
        let [tree, out] =
            ["tree", "out"].map(|it| std::fs::read(kit.path(it).join("holes")).unwrap());
        assert!(tree == out && out.len() as u64 == SIZE, "{compression}");
        std::fs::remove_dir_all(kit.path("out")).unwrap();
    }
}

fn comes_back(tree: &Tree) {
    let kit = Sandbox::new();
    write(&kit, tree);
    kit.run(["pack", "tree", "-t", "tree:1"]).success();
    kit.run(["unpack", "tree:1", "-d", "out"]).success();
    let mut out = Fingerprint::of(&kit.path("out"), true);
    assert!(
        out.0.remove(&b"Kitfile"[..]).is_some(),
        "the Kitfile is missing"
    );
    assert_eq!(out, tree.unpacked());

    let store = kit.store();
    let manifest = store.names().remove("tree:1").unwrap();
    let (_, layer, _) = store.layers(&manifest).remove(0);
    let expected = reference_tar::layer(&tree.packed(), ".", &[]);
    assert!(
        store.blob(&layer) == expected,
        "layer {layer} is not the reference writer's"
    );
}
