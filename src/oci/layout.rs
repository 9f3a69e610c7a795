//! The names in an OCI image layout (image-spec, image-layout.md).

/// The file that says what the folder is.
pub const LAYOUT: &str = "oci-layout";
/// What that file holds.
pub const LAYOUT_CONTENT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// The list of manifests.
pub const INDEX: &str = "index.json";
/// The folder of blobs.
pub const BLOBS: &str = "blobs/sha256";
