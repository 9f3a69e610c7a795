//! Directories being packed or unpacked.
//!
//! - [`walk`] looks at a context once and gives every path to its layer, under the rules of
//!   [`ignore`]; the result is a [`tree`].
//! - [`pack`] turns one layer of a tree into a deterministic archive.

pub mod bundle;
mod error;
mod header;
pub mod ignore;
mod link;
pub mod mcpb;
mod names;
mod owners;
pub mod pack;
#[cfg(test)]
mod tests;
pub mod tree;
pub mod walk;

pub use error::{Error, LinkProblem, LinkReason};
