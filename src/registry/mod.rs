//! One OCI registry: how it is reached, and how it is convinced that we may.
//!
//! [`Registry`] is made for one host. It finds out whether the host is spoken to through TLS,
//! answers its challenges, keeps the tokens it was given for as long as they last, and asks again
//! when one is refused. A [`Repository`] of it is where manifests and blobs are. What is secret goes to the registry itself and to token servers that
//! `token::check_server` lets pass, and nowhere else.

mod challenge;
mod delete;
pub mod download;
mod error;
mod login;
mod manifests;
mod pages;
mod profile;
mod raw;
mod referrers;
mod repository;
mod session;
mod stream;
mod tags;
#[cfg(test)]
mod tests;
mod together;
mod token;
mod upload;
mod words;

pub use delete::Deletion;
pub use error::{Error, ListProblem, RangeAnswer, ServerProblem};
pub use login::Again;
pub use manifests::Fetched;
pub use profile::{Chunks, Habits, Profile, Way, kind, kinds};
pub use raw::Raw;
pub use repository::{Action, BlobBody, Repository};
pub use session::{Access, Options, Registry};
pub use stream::BlobReader;
pub use tags::{MAX_TAG_PAGES, MAX_TAGS, MAX_TAGS_BODY, Tags};
pub use together::{each, together};
pub use upload::{Blob, Counts, Given, Supply, Throttle, UploadOptions, Uploader};
