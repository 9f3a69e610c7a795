//! OCI documents: manifests, indexes, the descriptors they are made of, and their names for things.
//!
//! Documents come from strangers. They are read strictly: whatever two readers could understand
//! in two ways is refused, so that what was checked here is what others see too. They are written
//! in one canonical form, so that equal documents have equal digests.

pub mod annotation;
pub mod compat;
mod contents;
mod descriptor;
pub mod edit;
mod error;
mod index;
pub mod json;
pub mod layout;
mod manifest;
pub mod media_type;
pub mod segments;
mod strict;
#[cfg(test)]
mod tests;

pub use contents::Contents;
pub use descriptor::Descriptor;
pub(crate) use descriptor::decode_base64;
pub use error::Error;
pub use index::{Index, tagged};
pub use manifest::Manifest;
pub use media_type::{Encoding, Family, LayerKind, LayerType};
pub use segments::PlainLayer;
