//! Why a document was refused.

use crate::digest::{self, Digest};

/// Why bytes are not an acceptable manifest or index.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Longer than any honest document of its kind.
    #[error("{document} is {size} bytes long, more than the {limit} bytes allowed")]
    TooLong {
        /// `manifest` or `index`.
        document: &'static str,
        /// Its length.
        size: usize,
        /// The greatest length.
        limit: usize,
    },
    /// An image that says it is a kit whose blobs it does not have.
    #[error("blob {digest} of the kit is not in the image that it is pushed as")]
    NotInImage {
        /// The blob.
        digest: Digest,
    },
    /// Not JSON, not of the shape the specification gives it, or open to two readings.
    #[error("{document} is malformed")]
    Malformed {
        /// `manifest` or `index`.
        document: &'static str,
        /// What is wrong and where.
        #[source]
        source: serde_json::Error,
    },
    /// A version that is not known.
    #[error("{document} has schema version {found}, only 2 is supported")]
    SchemaVersion {
        /// `manifest` or `index`.
        document: &'static str,
        /// What it says.
        found: String,
    },
    /// The document says that it is something else.
    #[error("{document} says that its media type is `{found}`, expected `{expected}`")]
    MediaType {
        /// `manifest` or `index`.
        document: &'static str,
        /// What it says.
        found: String,
        /// What it should say, or leave out.
        expected: &'static str,
    },
    /// Both a manifest and an index, depending on who reads it.
    #[error("{document} holds `{key}`, which does not belong there: it could be read in two ways")]
    Ambiguous {
        /// `manifest` or `index`.
        document: &'static str,
        /// The key of the other kind of document.
        key: &'static str,
    },
    /// A digest that is none, or none that is supported.
    #[error("{place} has an unusable digest")]
    Digest {
        /// Which descriptor, such as `layer 3`.
        place: String,
        /// What is wrong with it.
        #[source]
        source: digest::ParseError,
    },
    /// A size that no blob can have.
    #[error(
        "{place} has size {size}, expected 0 to {} bytes",
        super::Descriptor::MAX_SIZE
    )]
    Size {
        /// Which descriptor, such as `layer 3`.
        place: String,
        /// What it says.
        size: String,
    },
    /// One blob with two sizes.
    #[error("blob {digest} is described with two different sizes")]
    TwoSizes {
        /// The blob.
        digest: Digest,
    },
    /// Blobs that have more bytes together than a kit can have.
    #[error(
        "the blobs have more than {} bytes together",
        super::Manifest::MAX_SIZE
    )]
    TooLarge,
    /// Content that is not what its descriptor says.
    #[error("content of {expected} ({size} bytes) is {found_size} bytes with digest {found}")]
    Content {
        /// The digest it should have.
        expected: Digest,
        /// The size it should have.
        size: u64,
        /// The digest it has.
        found: Digest,
        /// The size it has.
        found_size: usize,
    },
    /// Segments that are not a layer.
    #[error("the segments from {place} on are no layer: {problem}")]
    Segments {
        /// Which descriptor, such as `layer 3`.
        place: String,
        /// What is wrong with them.
        problem: &'static str,
    },
    /// Embedded content that is not what its descriptor says.
    #[error("{place} embeds `data` that does not have its digest and size")]
    Embedded {
        /// Which descriptor, such as `layer 3`.
        place: String,
    },
}
