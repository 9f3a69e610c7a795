//! Every collected input of the fuzz targets, as a plain test.
//!
//! `tests/fuzz/run` looks for new ones. What it finds belongs into `testdata/corpora/TARGET/`.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::{
    invariants::{
        TARGETS, check,
        seeds::{self, Seed},
    },
    support,
};

#[test]
fn all_invariants_hold_for_all_collected_inputs() {
    let mut faults = Vec::new();
    for (target, _) in TARGETS {
        let table = seeds::of(target);
        let files = seeds::files(target, &support::testdata(""));
        for Seed {
            name,
            content,
            accepted,
        } in table.into_iter().chain(files)
        {
            // One fault must not hide the others; what was wrong is printed by then.
            match catch_unwind(AssertUnwindSafe(|| check(target, &content))) {
                Err(_) => faults.push(format!("{target}/{name} breaks an invariant")),
                Ok(found) if accepted.is_some_and(|expected| expected != found) => {
                    faults.push(format!("{target}/{name}: accepted is {found}"));
                }
                Ok(_) => {}
            }
        }
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

#[test]
fn every_folder_of_inputs_belongs_to_a_target() {
    for entry in std::fs::read_dir(support::testdata("corpora")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        let known = TARGETS.iter().any(|(target, _)| *target == name);
        assert!(known || name == ".gitattributes", "testdata/corpora/{name}");
    }
}
