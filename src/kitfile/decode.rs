//! A tree to a [`Kitfile`]: every field by name and type, all problems in one go.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    Code, Dataset, Docs, Kitfile, Layer, McpServer, Model, Package, Part, Position, Problem,
    Prompt, Value, resolve,
    tree::{Kind, Node, Style},
};
use crate::{digest::Digest, suggest::closest};

/// Which of its two homes a tree comes from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Source {
    /// A Kitfile, written by people: no unknown fields, any unquoted scalar is a text.
    Kitfile,
    /// A config, written by programs, maybe newer ones: unknown fields are ignored, types are
    /// exact, layers are known.
    Config,
}

/// What a tree was decoded to.
pub(super) struct Decoded {
    pub(super) kitfile: Kitfile,
    pub(super) problems: Vec<Problem>,
    /// Where each field stands, under its path such as `model.parts[0].type`, and each element
    /// under its own.
    pub(super) places: HashMap<String, Position>,
    /// The places that hold something of another type, about which no more is to be said.
    pub(super) broken: HashSet<String>,
}

const KITFILE: &[&str] = &[
    "manifestVersion",
    "package",
    "model",
    "code",
    "datasets",
    "docs",
    "prompts",
    "mcpServers",
];
const PACKAGE: &[&str] = &["name", "version", "description", "license", "authors"];
const MODEL: &[&str] = &[
    "name",
    "path",
    "license",
    "framework",
    "format",
    "version",
    "description",
    "parts",
    "parameters",
];
const PART: &[&str] = &["name", "path", "license", "type"];
const CODE: &[&str] = &["path", "description", "license"];
const DATASET: &[&str] = &[
    "name",
    "path",
    "remotePath",
    "remoteHash",
    "description",
    "license",
    "parameters",
];
const DOCS: &[&str] = &["path", "description"];
const NAMED: &[&str] = &["name", "path", "description"];

/// Decodes `root`.
pub(super) fn decode(root: &Node, source: Source) -> Decoded {
    let mut decoder = Decoder {
        source,
        problems: Vec::new(),
        places: HashMap::new(),
        broken: HashSet::new(),
    };
    let kitfile = decoder.kitfile(root);
    Decoded {
        kitfile,
        problems: decoder.problems,
        places: decoder.places,
        broken: decoder.broken,
    }
}

struct Decoder {
    source: Source,
    problems: Vec<Problem>,
    places: HashMap<String, Position>,
    broken: HashSet<String>,
}

impl Decoder {
    fn kitfile(&mut self, node: &Node) -> Kitfile {
        let mut kitfile = Kitfile::default();
        self.map(node, "", KITFILE, |me, field, at, value| match field {
            "manifestVersion" => kitfile.manifest_version = me.text(value, at),
            "package" => kitfile.package = me.package(value, at),
            "model" => kitfile.model = (!value.is_null()).then(|| me.model(value, at)),
            "code" => kitfile.code = me.list(value, at, Self::code),
            "datasets" => kitfile.datasets = me.list(value, at, Self::dataset),
            "docs" => kitfile.docs = me.list(value, at, Self::docs),
            "prompts" => kitfile.prompts = me.list(value, at, Self::prompt),
            "mcpServers" => kitfile.mcp_servers = me.list(value, at, Self::mcp_server),
            _ => {}
        });
        kitfile
    }

    fn package(&mut self, node: &Node, at: &str) -> Package {
        let mut package = Package::default();
        if node.is_null() {
            return package;
        }
        self.map(node, at, PACKAGE, |me, field, at, value| match field {
            "name" => package.name = me.text(value, at),
            "version" => package.version = me.text(value, at),
            "description" => package.description = me.text(value, at),
            "license" => package.license = me.text(value, at),
            "authors" => package.authors = me.list(value, at, Self::text),
            _ => {}
        });
        package
    }

    fn model(&mut self, node: &Node, at: &str) -> Model {
        let mut model = Model::default();
        self.map(node, at, MODEL, |me, field, at, value| match field {
            "name" => model.name = me.text(value, at),
            "path" => model.path = me.text(value, at),
            "license" => model.license = me.text(value, at),
            "framework" => model.framework = me.text(value, at),
            "format" => model.format = me.text(value, at),
            "version" => model.version = me.text(value, at),
            "description" => model.description = me.text(value, at),
            "parts" => model.parts = me.list(value, at, Self::part),
            "parameters" => model.parameters = me.parameters(value),
            _ => me.layer(field, value, at, &mut model.layer),
        });
        model
    }

    fn part(&mut self, node: &Node, at: &str) -> Part {
        let mut part = Part::default();
        self.map(node, at, PART, |me, field, at, value| match field {
            "name" => part.name = me.text(value, at),
            "path" => part.path = me.text(value, at),
            "license" => part.license = me.text(value, at),
            "type" => part.part_type = me.text(value, at),
            _ => me.layer(field, value, at, &mut part.layer),
        });
        part
    }

    fn code(&mut self, node: &Node, at: &str) -> Code {
        let mut code = Code::default();
        self.map(node, at, CODE, |me, field, at, value| match field {
            "path" => code.path = me.text(value, at),
            "description" => code.description = me.text(value, at),
            "license" => code.license = me.text(value, at),
            _ => me.layer(field, value, at, &mut code.layer),
        });
        code
    }

    fn dataset(&mut self, node: &Node, at: &str) -> Dataset {
        let mut dataset = Dataset::default();
        self.map(node, at, DATASET, |me, field, at, value| match field {
            "name" => dataset.name = me.text(value, at),
            "path" => dataset.path = me.text(value, at),
            "remotePath" => dataset.remote_path = me.text(value, at),
            "remoteHash" => dataset.remote_hash = me.text(value, at),
            "description" => dataset.description = me.text(value, at),
            "license" => dataset.license = me.text(value, at),
            "parameters" => dataset.parameters = me.parameters(value),
            _ => me.layer(field, value, at, &mut dataset.layer),
        });
        dataset
    }

    fn docs(&mut self, node: &Node, at: &str) -> Docs {
        let mut docs = Docs::default();
        self.map(node, at, DOCS, |me, field, at, value| match field {
            "path" => docs.path = me.text(value, at),
            "description" => docs.description = me.text(value, at),
            _ => me.layer(field, value, at, &mut docs.layer),
        });
        docs
    }

    fn prompt(&mut self, node: &Node, at: &str) -> Prompt {
        let mut prompt = Prompt::default();
        self.map(node, at, NAMED, |me, field, at, value| match field {
            "name" => prompt.name = me.text(value, at),
            "path" => prompt.path = me.text(value, at),
            "description" => prompt.description = me.text(value, at),
            _ => me.layer(field, value, at, &mut prompt.layer),
        });
        prompt
    }

    fn mcp_server(&mut self, node: &Node, at: &str) -> McpServer {
        let mut server = McpServer::default();
        self.map(node, at, NAMED, |me, field, at, value| match field {
            "name" => server.name = me.text(value, at),
            "path" => server.path = me.text(value, at),
            "description" => server.description = me.text(value, at),
            _ => me.layer(field, value, at, &mut server.layer),
        });
        server
    }

    /// Takes the two fields that only a config has.
    fn layer(&mut self, field: &str, node: &Node, at: &str, layer: &mut Layer) {
        match field {
            "digest" => layer.digest = self.digest(node, at),
            "diffId" => layer.diff_id = self.digest(node, at),
            _ => {}
        }
    }

    fn digest(&mut self, node: &Node, at: &str) -> Option<Digest> {
        let text = self.text(node, at);
        if text.is_empty() {
            return None;
        }
        text.parse()
            .map_err(|error| {
                let message = format!("`{at}`: {error}");
                self.problems.push(Problem::at(node.position, message));
            })
            .ok()
    }

    /// Calls `set` with the name, the path and the value of every known field of `node`.
    fn map(
        &mut self,
        node: &Node,
        at: &str,
        known: &[&str],
        mut set: impl FnMut(&mut Self, &str, &str, &Node),
    ) {
        self.places.insert(at.to_owned(), node.position);
        let Kind::Map(pairs) = &node.kind else {
            self.mismatch(node, at, "a map of fields");
            return;
        };
        let problems = self.problems.len();
        for (key, value) in pairs {
            let is_layer = matches!(key.text.as_str(), "digest" | "diffId");
            if self.source == Source::Kitfile && !known.contains(&key.text.as_str()) {
                let place = if at.is_empty() {
                    String::new()
                } else {
                    format!(" in `{at}`")
                };
                let message = format!("unknown field `{}`{place}", key.text);
                let suggestion = closest(&key.text, known.iter().copied()).map(str::to_owned);
                let problem = Problem::at(key.position, message);
                self.problems.push(Problem {
                    suggestion,
                    ..problem
                });
            } else if is_layer || known.contains(&key.text.as_str()) {
                let dot = if at.is_empty() { "" } else { "." };
                let field_at = format!("{at}{dot}{}", key.text);
                self.places.insert(field_at.clone(), value.position);
                set(self, &key.text, &field_at, value);
            }
        }
        if self.problems.len() > problems && !pairs.iter().any(|(key, _)| key.text == "path") {
            // The path may be there under a misspelt name: it is not taken to be empty.
            self.broken.insert(format!("{at}.path"));
        }
    }

    fn list<T>(&mut self, node: &Node, at: &str, item: fn(&mut Self, &Node, &str) -> T) -> Vec<T> {
        match &node.kind {
            Kind::List(items) => items
                .iter()
                .enumerate()
                .map(|(index, node)| item(self, node, &format!("{at}[{index}]")))
                .collect(),
            _ if node.is_null() => Vec::new(),
            _ => {
                self.mismatch(node, at, "a list");
                Vec::new()
            }
        }
    }

    fn text(&mut self, node: &Node, at: &str) -> String {
        match &node.kind {
            _ if node.is_null() => String::new(),
            Kind::Scalar { text, style } if *style != Style::Token => text.clone(),
            _ => {
                self.mismatch(node, at, "a text");
                String::new()
            }
        }
    }

    fn parameters(&mut self, node: &Node) -> Option<Value> {
        Some(self.value(node)).filter(|value| *value != Value::Null)
    }

    fn value(&mut self, node: &Node) -> Value {
        let resolved = match &node.kind {
            Kind::List(items) => {
                return Value::List(items.iter().map(|item| self.value(item)).collect());
            }
            Kind::Map(pairs) => {
                let mut map = BTreeMap::new();
                for (key, value) in pairs {
                    map.insert(key.text.clone(), self.value(value));
                }
                return Value::Map(map);
            }
            Kind::Scalar { text, style } => match style {
                Style::Quoted => return Value::Text(text.clone()),
                Style::Plain => resolve::plain(text),
                Style::Token => resolve::token(text),
            },
        };
        resolved.unwrap_or_else(|message| {
            self.problems.push(Problem::at(node.position, message));
            Value::Null
        })
    }

    fn mismatch(&mut self, node: &Node, at: &str, expected: &str) {
        self.broken.insert(at.to_owned());
        let found = match &node.kind {
            Kind::Map(_) => "a map",
            Kind::List(_) => "a list",
            Kind::Scalar { .. } if node.is_null() => "nothing",
            Kind::Scalar {
                style: Style::Token,
                ..
            } => "a number or bool",
            Kind::Scalar { .. } => "a text",
        };
        let what = if at.is_empty() {
            "the Kitfile".to_owned()
        } else {
            format!("`{at}`")
        };
        let message = format!("{what} must be {expected}, not {found}");
        self.problems.push(Problem::at(node.position, message));
    }
}
