//! What can go wrong in an operation beyond what its mechanisms report.

use std::{io, path::PathBuf};

use super::remote::registry_of;
use crate::{archive, credentials, digest::Digest, filter, kitfile, oci, registry, s3, store};

/// A failure of an operation.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The store could not do its part.
    #[error(transparent)]
    Store(#[from] store::Error),
    /// A registry could not do its part.
    #[error(transparent)]
    Registry(#[from] registry::Error),
    /// A transfer ended early. What had come is kept for the next one, which needs not be said of
    /// those that end before anything came.
    #[error("{kept} bytes are kept for the next try")]
    Unfinished {
        /// How many bytes are kept.
        kept: u64,
        /// Why it ended.
        source: Box<Error>,
    },
    /// A storage of objects could not do its part.
    #[error(transparent)]
    S3(#[from] s3::Error),
    /// A dataset that is kept elsewhere cannot be had.
    #[error("cannot get {dataset} from {from}")]
    Dataset {
        /// What it is called.
        dataset: String,
        /// Where it is.
        from: String,
        /// Why not.
        source: Box<Error>,
    },
    /// A dataset that is kept elsewhere has no hash that can be checked.
    #[error("its remoteHash {} is no SHA-256", quoted(.hash))]
    RemoteHash {
        /// What stands in its place.
        hash: String,
    },
    /// The logins cannot be read.
    #[error(transparent)]
    Credentials(#[from] credentials::Error),
    /// Threads that wait for a network cannot be started, or ended.
    #[error("cannot wait for a network")]
    Threads(#[source] io::Error),
    /// A name without a registry, where a registry is to be asked.
    #[error("{reference} names no registry")]
    NoRegistry {
        /// The name.
        reference: String,
    },
    /// A kit is not the one that was expected.
    #[error("{reference} is {actual}, not {expected}")]
    Unexpected {
        /// The kit.
        reference: String,
        /// The digest it should have.
        expected: Digest,
        /// The digest it has.
        actual: Digest,
    },
    /// A registry sent the wrong bytes for a blob, twice.
    #[error("{peer} sent {actual} for {digest}, twice")]
    WrongBlob {
        /// Registry and repository.
        peer: String,
        /// The blob.
        digest: Digest,
        /// The digest of what came.
        actual: Digest,
    },
    /// There is no room for what would be fetched.
    #[error("{} has {have} bytes left, and {need} are to come", .path.display())]
    NoSpace {
        /// The store.
        path: PathBuf,
        /// How many bytes would be written.
        need: u64,
        /// How many are free.
        have: u64,
    },
    /// A parent on a registry that nobody has allowed.
    #[error("its parent {parent} is on {registry}{}", if *is_private { ", an address of this machine or network" } else { ", another registry" })]
    ParentElsewhere {
        /// The parent.
        parent: String,
        /// Its registry.
        registry: String,
        /// Whether a public registry sends us into a closed network: that is never followed.
        is_private: bool,
    },
    /// A registry will not take a part of a kit.
    #[error("{what} has {size} bytes, and {registry} takes {limit}")]
    AboveLimit {
        /// The kind of registry.
        registry: &'static str,
        /// A layer, or the manifest.
        what: String,
        /// How large it is.
        size: u64,
        /// What the registry takes.
        limit: u64,
    },
    /// More manifests, or more of them in each other, than anybody copies on purpose.
    #[error("{reference} names more manifests than can be copied")]
    TooMuch {
        /// From where it would be copied.
        reference: String,
    },
    /// A folder whose files were to be used cannot be looked at.
    #[error("cannot look for files in {}", .path.display())]
    Tree {
        /// The folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A layout that may not be written to.
    #[error("{} is the store of kit", .path.display())]
    IntoStore {
        /// Where it is.
        path: PathBuf,
    },
    /// A layer that became another one between hashing and sending it.
    #[error("`{path}` changed while it was sent")]
    ChangedLayer {
        /// The path of the layer.
        path: String,
    },
    /// A directory could not be packed or unpacked.
    #[error(transparent)]
    Archive(#[from] archive::Error),
    /// A bundle could not be written or read.
    #[error(transparent)]
    Bundle(#[from] archive::bundle::Error),
    /// A filter selects nothing, or is not one.
    #[error(transparent)]
    Filter(#[from] filter::Error),
    /// The kits that hold the model cannot be followed.
    #[error(transparent)]
    Chain(Box<super::chain::ChainError>),
    /// Patterns select no file.
    #[error("no file of {reference} is selected by --include and --exclude")]
    NoFile {
        /// The kit.
        reference: String,
    },
    /// A path that the kit does not hold.
    #[error("{reference} holds no file `{path}`")]
    NoSuchFile {
        /// The kit.
        reference: String,
        /// The path that was asked for.
        path: String,
        /// A path that may have been meant.
        suggestion: Option<String>,
    },
    /// A directory without a Kitfile holds nothing that one could be drafted from.
    #[error("{} holds nothing to pack{}", .path.display(), but_for(.left_out))]
    NothingToPack {
        /// The directory.
        path: PathBuf,
        /// What it holds but a draft never takes, each with the reason.
        left_out: Vec<String>,
    },
    /// A directory that is to get a Kitfile has one.
    // The reference's words, which scripts may look for.
    #[error("Kitfile already exists at {}. Use '--force' to overwrite", .path.display())]
    KitfileExists {
        /// What goes by its name.
        path: PathBuf,
    },
    /// A Kitfile cannot be written.
    #[error("cannot write {}", .path.display())]
    WriteKitfile {
        /// Where it was to be.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A path that is a folder, where a file was asked for.
    #[error("`{path}` in {reference} is a folder")]
    IsFolder {
        /// The kit.
        reference: String,
        /// The path that was asked for.
        path: String,
    },
    /// The content of a file in a layer cannot be read.
    #[error("cannot read `{path}` out of its layer")]
    CannotRead {
        /// The path in the kit.
        path: String,
        /// Why not.
        source: io::Error,
    },
    /// What was asked for cannot be written where the caller wants it.
    #[error("cannot write the output")]
    Output(#[source] io::Error),
    /// The path of an MCP server is not a bundle.
    #[error("`{path}` is not an MCP bundle")]
    NotABundle {
        /// The path as the Kitfile has it.
        path: String,
        /// Why not.
        source: archive::mcpb::NotABundle,
    },
    /// Elements of the Kitfile of which a rule leaves out everything.
    #[error("the Kitfile names what is ignored")]
    IgnoredElements {
        /// The elements, each with the rule.
        ignored: Vec<String>,
    },
    /// A file whose name only an archive can hold.
    #[error("`{path}` cannot be a raw layer: its name is not UTF-8")]
    RawName {
        /// The path, with what is not UTF-8 replaced.
        path: String,
    },
    /// A config larger than readers take.
    #[error(
        "the config of the kit would have {size} bytes, and at most {} are read",
        kitfile::MAX_CONFIG_BYTES
    )]
    ConfigTooLarge {
        /// Its length.
        size: usize,
    },
    /// More layers than a manifest can name.
    #[error("{layers} layers make a manifest larger than registries take")]
    ManifestTooLarge {
        /// How many layers.
        layers: usize,
    },
    /// A kit of a kind that this version does not know.
    #[error("{reference} is of a kind that this version of kit does not know: {what}")]
    Unsupported {
        /// The kit.
        reference: String,
        /// What is not known.
        what: String,
    },
    /// A file that would have to be held in memory until the layer that it is in has held.
    #[error(
        "{path} has {size} bytes or more, of a layer that must be read whole before a byte can be believed"
    )]
    TooLargeToPrint {
        /// The file.
        path: String,
        /// How many bytes.
        size: u64,
    },
    /// A config that cannot be read.
    #[error("the config of {reference} cannot be read")]
    Config {
        /// The kit.
        reference: String,
        /// Why not.
        source: kitfile::ConfigError,
    },
    /// Manifest and config of a kit contradict each other.
    #[error("{reference} contradicts itself: {what}")]
    Mismatch {
        /// The kit.
        reference: String,
        /// In what.
        what: String,
    },
    /// A kit whose layers can have one form only.
    #[error("{reference} is a ModelPack, whose layers are one blob each")]
    NotConvertible {
        /// The kit.
        reference: String,
    },
    /// Segments that make no layer.
    #[error("a layer of {reference} cannot be put together")]
    Segments {
        /// The kit.
        reference: String,
        /// Why not.
        source: oci::Error,
    },
    /// A layer that is a single file and does not say which.
    #[error(
        "layer {digest} of {reference} is a file without a path: it has no annotation `{}`",
        oci::annotation::FILE_PATH
    )]
    NoPath {
        /// The kit.
        reference: String,
        /// The layer.
        digest: Digest,
    },
    /// A folder or tar file that holds no layout of kits.
    #[error("cannot load {path}: {reason}")]
    NotALayout {
        /// The folder or tar file.
        path: String,
        /// What is missing or wrong.
        reason: String,
    },
    /// A document in a layout that cannot be read.
    #[error("`{name}` in {path} cannot be read")]
    BadDocument {
        /// The folder or tar file.
        path: String,
        /// The document.
        name: String,
        /// Why not.
        source: Box<oci::Error>,
    },
    /// A layout that holds several kits, of which none was chosen, or none of the chosen name.
    #[error("{path} holds no kit that is called `{name}`")]
    NoSuchName {
        /// The folder or tar file.
        path: String,
        /// The name that was asked for.
        name: String,
        /// The names there are.
        names: Vec<String>,
    },
    /// A kit in a layout has no name that is a full reference, and none was given.
    #[error("the kit {digest} in {path} is called `{name}`, which is no full name of a kit")]
    Nameless {
        /// The folder or tar file.
        path: String,
        /// The kit.
        digest: String,
        /// The name it has, which is not a full one.
        name: String,
    },
    /// A name was given for several kits.
    #[error("{path} holds several kits, and one name cannot be given to all")]
    Ambiguous {
        /// The folder or tar file.
        path: String,
        /// The names there are.
        names: Vec<String>,
    },
    /// A folder that is not the store of `KitOps`, nor has one.
    #[error("{} holds no KitOps store", path.display())]
    NoKitopsStore {
        /// The folder.
        path: PathBuf,
    },
    /// A store of `KitOps` has no kit of that name.
    #[error("{path} holds no kit {reference}")]
    NotInKitops {
        /// The store.
        path: String,
        /// What was looked for.
        reference: String,
    },
    /// A blob that a layout names is not in it.
    #[error("blob {digest} is missing from {path}")]
    MissingSource {
        /// The folder or tar file.
        path: String,
        /// The blob.
        digest: Digest,
    },
    /// A blob outside the store is not what its name says.
    #[error("blob {digest} in {path} is damaged: {damage}")]
    DamagedSource {
        /// The folder or tar file.
        path: String,
        /// The blob.
        digest: Digest,
        /// What is wrong with it.
        damage: store::Damage,
    },
}

impl Error {
    /// Tells whether all that is wrong is that a kit is not in the store, and whether its name leads
    /// to a registry that may have it.
    pub fn is_elsewhere(&self) -> bool {
        let missing = match self {
            Self::Store(store::Error::NotFound { reference, .. }) => Some(reference),
            Self::Dataset { source, .. } => return source.is_elsewhere(),
            Self::Chain(error) => match &**error {
                super::chain::ChainError::Missing { parent, .. } => Some(parent),
                _ => None,
            },
            _ => None,
        };
        missing.is_some_and(|reference| registry_of(reference).is_some())
    }
}

impl From<super::chain::ChainError> for Error {
    fn from(error: super::chain::ChainError) -> Self {
        Self::Chain(Box::new(error)) // Large, and rare.
    }
}

fn quoted(text: &str) -> String {
    format!("`{text}`")
}

fn but_for(left_out: &[String]) -> String {
    if left_out.is_empty() {
        String::new()
    } else {
        format!(
            ", but for what is only taken if a Kitfile names it: {}",
            left_out.join(", ")
        )
    }
}
