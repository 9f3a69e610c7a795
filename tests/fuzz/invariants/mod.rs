//! What must hold for every input, whoever made it.
//!
//! Shared by the fuzz targets of this package and by the tests of the program, which check the
//! collected inputs (`tests/it/corpora.rs`). Each check panics if something does not hold and
//! tells whether the input was accepted.

mod archives;
mod decompress;
mod documents;
mod ignore;
mod kitfile;
mod layer;
mod reference;
pub mod seeds;
mod slow_glob;
mod toc;
mod unpack;

/// A check of one input.
pub type Check = fn(&[u8]) -> bool;

/// The targets by name.
pub const TARGETS: &[(&str, Check)] = &[
    ("layer", layer::check),
    ("decompress", decompress::check),
    ("unpack", unpack::check),
    ("reference", reference::check),
    ("documents", documents::check),
    ("kitfile", kitfile::check),
    ("ignore", ignore::check),
    ("toc", toc::check),
];

/// Checks `input` for the target `name`.
pub fn check(name: &str, input: &[u8]) -> bool {
    let (_, check) = TARGETS
        .iter()
        .find(|(target, _)| *target == name)
        .expect("the target is in the list");
    check(input)
}
