//! Places where a test build can be made to fail: an ordinary one has none.

use std::collections::BTreeSet;

#[cfg(not(feature = "failpoints"))]
use snapbox::{assert_data_eq, str};

use crate::{
    layering,
    support::{Output, Sandbox},
};

/// A point on the way of every pack.
const POINT: &str = "store.blob.sync";

fn pack_with_a_fault() -> (Sandbox, Output) {
    let mut kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "manifestVersion: 1.0.0\npackage: {name: p}\nmodel: {path: m.bin}\n",
    );
    kit.file("m.bin", "weights");
    kit.env("KIT_FAIL", format!("{POINT}:EIO"));
    let output = kit.run(["pack", ".", "-t", "a:1"]);
    (kit, output)
}

#[test]
#[cfg(not(feature = "failpoints"))]
fn the_program_knows_nothing_of_faults_that_tests_ask_for() {
    let (kit, output) = pack_with_a_fault();
    output.success();
    assert_data_eq!(
        kit.run(["verify"]).hide_digests(),
        str![[r#"
Checked 1 kit, 3 blobs, 2.7 KiB: all is well
[exit 0]

"#]]
    );
    let program = std::fs::read(env!("CARGO_BIN_EXE_kit")).unwrap();
    for text in ["KIT_FAIL", POINT, "unpack.file.create", "http.headers"] {
        let mut places = program.windows(text.len());
        assert!(!places.any(|it| it == text.as_bytes()), "{text} is in it");
    }
}

#[test]
#[cfg(feature = "failpoints")]
fn a_test_build_fails_where_it_is_asked_to() {
    let (kit, output) = pack_with_a_fault();
    let said = output.exits(1).stderr;
    assert!(said.contains("Input/output error"), "{said}");
    let listed = kit.run(["list"]).success();
    assert!(!listed.contains("a:1"), "{listed}");
}

#[test]
fn every_point_has_a_name_of_its_own() {
    let mut seen = BTreeSet::new();
    for source in layering::sources("src") {
        if source.path.starts_with("src/failpoint/") {
            continue;
        }
        for rest in source.code.split("failpoint!(").skip(1) {
            let rest = rest.trim_start();
            let rest = rest.strip_prefix("write ").unwrap_or(rest);
            let rest = rest.strip_prefix("part ").unwrap_or(rest);
            let name = rest.strip_prefix('"').and_then(|it| it.split('"').next());
            let name = name.unwrap_or_else(|| panic!("no name in {}: {rest:.30}", source.path));
            assert!(seen.insert(name.to_owned()), "{name} is twice");
        }
    }
    assert!(seen.len() > 40, "only {}: {seen:?}", seen.len());
}
