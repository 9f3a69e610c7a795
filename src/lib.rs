//! `kit` packs AI models, datasets, code and docs into immutable, content-addressed packages
//! (`ModelKit`s), keeps them in a local store and takes them out again, whole or in part.
//!
//! The modules stand in layers; each may use only those below it (`tests/it/layering.rs`):
//!
//! - vocabulary, values and rules that touch nothing outside:
//!   [`digest`], [`limits`], [`progress`], [`suggest`], [`glob`], [`reference`](mod@reference), [`oci`],
//!   [`kitfile`] (only its `mod.rs` opens a file), [`filter`], [`chunk`] (where files are cut),
//!   [`toc`] (tables of contents);
//! - mechanisms, each of which talks to one thing outside and knows no other:
//!   `failpoint` (where a test build can be made to fail),
//!   [`platform`] (what operating systems do differently), [`config`] (environment
//!   and settings),
//!   [`archive`] (directories being packed or unpacked), [`store`] (the local store),
//!   [`cache`] (what was found out before about files and layers), [`origins`] (which kit a
//!   directory came from), [`http`] (connections), [`credentials`] (logins, on disk and in helper
//!   programs), [`registry`] (one OCI registry, on the two before), [`s3`] (objects in S3);
//! - operations, one file a use case: [`ops`];
//! - the terminal: [`cli`].
//!
//! `docs/architecture.md` tells how they work together, `docs/format.md` what they write.

#![cfg_attr(test, allow(clippy::unwrap_used, reason = "a test may panic"))]

pub mod archive;
pub mod cache;
pub mod chunk;
pub mod cli;
pub mod config;
pub mod credentials;
pub mod digest;
mod failpoint;
pub mod filter;
pub mod glob;
pub mod http;
pub mod kitfile;
pub mod limits;
pub mod model;
pub mod oci;
pub mod ops;
pub mod origins;
pub mod platform;
pub mod progress;
pub mod reference;
pub mod registry;
pub mod s3;
pub mod store;
pub mod suggest;
pub mod toc;
