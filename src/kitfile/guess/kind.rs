//! What a file is, by its name.

/// What a file is taken for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Model,
    Metadata,
    Docs,
    Dataset,
    Prompt,
    McpServer,
    Code,
    Unknown,
}

const MODEL: &[&str] = &[
    ".safetensors",
    ".pkl",
    ".joblib",
    ".pth",
    ".pt",
    ".mar",
    ".pt2",
    ".ptl",
    ".pb",
    ".ckpt",
    ".tflite",
    ".tfrecords",
    ".npy",
    ".npz",
    ".keras",
    ".h5",
    ".caffemodel",
    ".pmml",
    ".coreml",
    ".gguf",
    ".ggml",
    ".ggmf",
    ".llamafile",
    ".onnx",
];
const METADATA: &[&str] = &[".json", ".yaml", ".xml", ".txt"];
const DOCS: &[&str] = &[".md", ".adoc", ".html", ".pdf"];
const DATASET: &[&str] = &[".tar", ".zip", ".parquet", ".csv"];
const PROMPT: &[&str] = &["agents.md", "skill.md", "claude.md"];

/// Returns what the file at `path` is taken for. Suffixes count in lower case only.
pub(super) fn kind(path: &str) -> Kind {
    let name = name(path);
    let lower = name.to_lowercase();
    let ends_in = |suffixes: &[&str]| suffixes.iter().any(|suffix| name.ends_with(suffix));
    // Other `.bin` files may be anything.
    let is_torch = name
        .strip_suffix(".bin")
        .is_some_and(|stem| stem.contains("pytorch_model"));
    // First, because a prompt may end like a document.
    if PROMPT.contains(&lower.as_str()) || lower.contains(".prompt") {
        Kind::Prompt
    } else if name
        .strip_suffix(".mcpb")
        .is_some_and(|stem| !stem.is_empty())
    {
        Kind::McpServer
    } else if is_torch || ends_in(MODEL) {
        Kind::Model
    } else if ends_in(METADATA) {
        Kind::Metadata
    } else if ends_in(DOCS) {
        Kind::Docs
    } else if ends_in(DATASET) {
        Kind::Dataset
    } else {
        Kind::Unknown
    }
}

/// Why a file or folder is not taken.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// Its name starts with a dot.
    Hidden,
    /// It looks like a private key or a store of keys.
    PrivateKey,
}

impl std::fmt::Display for Reason {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Hidden => "hidden",
            Self::PrivateKey => "may be a private key",
        })
    }
}

/// Returns why a Kitfile that nobody wrote must not bring the file at `path` into a kit, at any
/// depth: it, or a folder it lies in, is hidden or looks like a private key.
pub fn never_taken(path: &str) -> Option<Reason> {
    path.split('/').find_map(|name| {
        let name = name.to_lowercase();
        let is_key = [".pem", ".key", ".ppk", ".p12", ".pfx", ".jks", ".keystore"]
            .iter()
            .any(|suffix| name.ends_with(suffix));
        if name.starts_with('.') && name != "." {
            Some(Reason::Hidden)
        } else if is_key || name.starts_with("id_") {
            Some(Reason::PrivateKey)
        } else {
            None
        }
    })
}

fn name(path: &str) -> &str {
    path.rsplit('/').next().unwrap_or(path)
}

/// Returns the last dot of the name and what follows; empty without a dot.
pub(super) fn extension(path: &str) -> &str {
    let name = name(path);
    name.rfind('.').map_or("", |dot| &name[dot..])
}
