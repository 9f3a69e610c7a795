//! Directories being packed into layers, and layers being unpacked into directories.
//!
//! - [`walk`] looks at a context once and gives every path to its layer, under the rules of
//!   [`ignore`]; the result is a [`tree`].
//! - [`shards`] cuts layers that are large folders into several.
//! - [`pack`] turns one layer of a tree into a deterministic archive.
//! - [`unpack`] reads layers strictly and puts their files where nothing leads out of the target.
//! - [`between`] makes again what stands between the contents of a layer, from its table.
//! - [`tabulate`] makes the table of a layer that is there already.
//! - [`decompress`] takes layers out of gzip and zstd.
//! - [`bundle`] is a set of blobs as one folder or tar file.

pub mod between;
pub mod bundle;
mod conflict;
pub mod decompress;
mod error;
mod guard;
mod header;
pub mod ignore;
mod link;
pub mod mcpb;
mod modes;
mod names;
mod owners;
pub mod pack;
pub mod ready;
pub mod shards;
pub mod tabulate;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod unpack;
pub mod walk;

pub use conflict::{Conflict, Obstacle};
pub use error::{Error, LayerFailure, LinkProblem, LinkReason};
