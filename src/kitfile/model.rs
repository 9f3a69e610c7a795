//! What a Kitfile says, field by field. An empty text is an absent field.

use std::collections::BTreeMap;

use crate::digest::Digest;

/// What a kit is made of: the Kitfile in a directory, the config of a kit.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Kitfile {
    /// The version of the format; kept as it was written.
    pub manifest_version: String,
    /// What the kit as a whole is.
    pub package: Package,
    /// The model, if the kit holds or names one.
    pub model: Option<Model>,
    /// Source code.
    pub code: Vec<Code>,
    /// Data, local and remote.
    pub datasets: Vec<Dataset>,
    /// Documents.
    pub docs: Vec<Docs>,
    /// Prompts and skills.
    pub prompts: Vec<Prompt>,
    /// MCP servers as `.mcpb` bundles.
    pub mcp_servers: Vec<McpServer>,
}

/// What the kit as a whole is.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Package {
    /// The name, unrelated to the references the kit is tagged with.
    pub name: String,
    /// The version, in any scheme.
    pub version: String,
    /// A sentence for people.
    pub description: String,
    /// The licence of all that names no other.
    pub license: String,
    /// Who made it.
    pub authors: Vec<String>,
}

/// The layer that holds an element's files. Known in a config, never in a Kitfile.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Layer {
    /// The digest of the layer as it is stored.
    pub digest: Option<Digest>,
    /// The digest of the layer before compression.
    pub diff_id: Option<Digest>,
}

/// The model.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Model {
    /// The name.
    pub name: String,
    /// A file, a folder or the reference of the kit that holds the model; empty for none.
    pub path: String,
    /// The licence.
    pub license: String,
    /// What the model was made with.
    pub framework: String,
    /// The format of its files.
    pub format: String,
    /// The version.
    pub version: String,
    /// A sentence for people.
    pub description: String,
    /// Files that go with the model, each a layer of its own.
    pub parts: Vec<Part>,
    /// Anything else, as the author likes.
    pub parameters: Option<Value>,
    /// Where the files are.
    pub layer: Layer,
    /// Where those of its files are that lie in further layers, one for each further shard.
    pub shards: Vec<Layer>,
}

/// A file or folder that goes with the model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Part {
    /// The name.
    pub name: String,
    /// The file or folder.
    pub path: String,
    /// The licence.
    pub license: String,
    /// What it is to the model, such as `lora`.
    pub part_type: String,
    /// Where the files are.
    pub layer: Layer,
    /// Where those of its files are that lie in further layers, one for each further shard.
    pub shards: Vec<Layer>,
}

/// Source code.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Code {
    /// The file or folder.
    pub path: String,
    /// A sentence for people.
    pub description: String,
    /// The licence.
    pub license: String,
    /// Where the files are.
    pub layer: Layer,
}

/// Data.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Dataset {
    /// The name.
    pub name: String,
    /// The file or folder; for remote data where it is to be put.
    pub path: String,
    /// `s3://…` or the reference of a kit, for data that is not packed.
    pub remote_path: String,
    /// The hash of the remote data.
    pub remote_hash: String,
    /// A sentence for people.
    pub description: String,
    /// The licence.
    pub license: String,
    /// Anything else, as the author likes.
    pub parameters: Option<Value>,
    /// Where the files are.
    pub layer: Layer,
    /// Where those of its files are that lie in further layers, one for each further shard.
    pub shards: Vec<Layer>,
}

/// Documents.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Docs {
    /// The file or folder.
    pub path: String,
    /// A sentence for people.
    pub description: String,
    /// Where the files are.
    pub layer: Layer,
}

/// Prompts or a skill.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Prompt {
    /// The name.
    pub name: String,
    /// The file or folder.
    pub path: String,
    /// A sentence for people.
    pub description: String,
    /// Where the files are.
    pub layer: Layer,
}

/// An MCP server.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct McpServer {
    /// The name, unique in the kit.
    pub name: String,
    /// The `.mcpb` file.
    pub path: String,
    /// A sentence for people.
    pub description: String,
    /// Where the file is.
    pub layer: Layer,
}

/// A value of free form, as JSON can hold it.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    /// Nothing.
    Null,
    /// Yes or no.
    Bool(bool),
    /// A whole number, exactly.
    Integer(i128),
    /// A finite number that is not whole, or negative zero, or too large to be written out.
    Float(f64),
    /// Text.
    Text(String),
    /// A list.
    List(Vec<Value>),
    /// A map, sorted by key as it is written.
    Map(BTreeMap<String, Value>),
}

impl Value {
    /// Returns `number` as the one variant that stands for it, so that a value is the same
    /// whether it was read from `1200`, `1.2e3` or a config. `None` unless it is finite.
    pub(super) fn from_float(number: f64) -> Option<Self> {
        // From 1e21 on JSON writers go to the form with an exponent.
        let whole = number.fract() == 0.0 && number.abs() < 1e21;
        if !number.is_finite() {
            None
        } else if whole && !(number == 0.0 && number.is_sign_negative()) {
            // Written with the shortest digits that are this float, which is what a JSON writer
            // makes of it; a cast would show digits that nobody wrote.
            format!("{number}").parse().ok().map(Self::Integer)
        } else {
            Some(Self::Float(number))
        }
    }
}
