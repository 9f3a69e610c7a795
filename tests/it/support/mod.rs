//! What tests are built from. Nothing here knows how the program works inside.
#![allow(dead_code, reason = "each test file uses the part it needs")]

pub(crate) mod console;
pub(crate) mod fake;
pub(crate) mod foreign;
pub(crate) mod kitops;
pub(crate) mod kits;
pub(crate) mod layout;
pub(crate) mod logins;
pub(crate) mod output;
pub(crate) mod reference_tar;
pub(crate) mod registry;
pub(crate) mod relay;
pub(crate) mod sandbox;
pub(crate) mod shelf;
pub(crate) mod tocs;
pub(crate) mod trees;

pub(crate) use layout::Layout;
pub(crate) use output::Output;
pub(crate) use sandbox::{Sandbox, set_mode};

use std::{
    path::{Path, PathBuf},
    process::Command,
};

/// Returns the path of `name` in `testdata/`.
pub(crate) fn testdata(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata")
        .join(name)
}

/// Tells whether the program `name` is installed. With `KIT_REQUIRE_REAL=1`, as `.ci/run` sets
/// it, a missing program fails the test: a run that skipped everything must not look green.
pub(crate) fn have(name: &str) -> bool {
    let there = Command::new(name).arg("--version").output().is_ok();
    if !there {
        let required = std::env::var_os("KIT_REQUIRE_REAL").is_some_and(|value| value == "1");
        assert!(
            !required,
            "`{name}` is not installed and KIT_REQUIRE_REAL=1 forbids to skip"
        );
        eprintln!("SKIP: `{name}` is not installed");
    }
    there
}

/// Returns bytes without any pattern, others for each `seed`.
pub(crate) fn noise(length: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let words = std::iter::repeat_with(|| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state.to_le_bytes()
    });
    words.flatten().take(length).collect()
}

/// Returns `sha256:<hex>` of `content`.
pub(crate) fn digest(content: &[u8]) -> String {
    modelkit::digest::Digest::of(content).to_string()
}
