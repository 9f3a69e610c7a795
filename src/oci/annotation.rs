//! Keys of the annotations that are written or understood.

/// On a layer: the cleaned path of what is in it, relative to the root of the kit.
pub const FILE_PATH: &str = "org.cncf.model.filepath";
/// On a raw layer: what a tar header would tell about the file, as JSON.
pub const FILE_METADATA: &str = "org.cncf.model.file.metadata+json";
/// [`FILE_PATH`] and [`FILE_METADATA`] under their former names, read only.
pub const FILE_PATH_FORMER: &str = "org.cnai.model.filepath";
/// See [`FILE_PATH_FORMER`].
pub const FILE_METADATA_FORMER: &str = "org.cnai.model.file.metadata+json";
/// On a layer: what is in it beyond its media type. Known value: [`SUBTYPE_PROMPT`].
pub const LAYER_SUBTYPE: &str = "ml.kitops.modelkit.layer-subtype";
/// The value of [`LAYER_SUBTYPE`] that tells prompts from code.
pub const SUBTYPE_PROMPT: &str = "prompt";
/// On a descriptor of an index: the name of the kit.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// On a manifest: when the kit was made, as RFC 3339.
pub const CREATED: &str = "org.opencontainers.image.created";
/// On a manifest by `KitOps`: the version that packed the kit. Never written here.
pub const CLI_VERSION: &str = "ml.kitops.modelkit.cli-version";
/// On a `ModelPack` manifest: the Kitfile as JSON.
pub const KITFILE: &str = "ml.kitops.modelkit.kitfile";

/// On a manifest that has the form of an image: the manifest of the kit, as text.
pub const WRAPPED: &str = "org.modelkit.manifest";
/// On a compressed layer: the length in bytes of what it unpacks to, so that honest zeros are not
/// taken for an attack.
pub const UNCOMPRESSED_SIZE: &str = "org.modelkit.layer.uncompressed-size";
/// On the first segment of a layer: the descriptor of the layer, as canonical JSON.
pub const LAYER: &str = "org.modelkit.layer";
/// On a manifest: the digest of the table of contents, a blob of its own.
pub const TOC_DIGEST: &str = "org.modelkit.toc.digest";
/// On a manifest: the length in bytes of the table of contents, in decimal digits.
pub const TOC_SIZE: &str = "org.modelkit.toc.size";
/// On a manifest: the digest of what the table of contents begins with, its root.
pub const TOC_ROOT_DIGEST: &str = "org.modelkit.toc.root-digest";
/// On a manifest: the length in bytes of that root, in decimal digits.
pub const TOC_ROOT_SIZE: &str = "org.modelkit.toc.root-size";
