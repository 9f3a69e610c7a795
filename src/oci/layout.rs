//! The names in an OCI image layout.

/// The file that says what the folder is.
pub(super) const LAYOUT: &str = "oci-layout";
/// What that file holds.
pub(super) const LAYOUT_CONTENT: &str = r#"{"imageLayoutVersion":"1.0.0"}"#;
/// The list of manifests.
pub(super) const INDEX: &str = "index.json";
/// The folder of blobs.
pub(super) const BLOBS: &str = "blobs/sha256";
