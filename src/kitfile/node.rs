//! One node of a [`Kitfile`], found by its dotted path: `model.parts.0.path`.

use serde::{Serialize, Serializer};

use super::{
    Kitfile, Value,
    fields::{Field, Fields, Form},
    write::yaml,
};
use crate::suggest;

/// A part of a Kitfile, or all of it. It serialises in the order of the Kitfile.
pub struct Node<'a>(Field<'a>);

/// A path that leads nowhere.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the Kitfile has no `{path}`: {}", Reason(.parent, .names, *.items))]
pub struct NoSuchNode {
    /// The path up to the first step that leads nowhere.
    pub path: String,
    /// The path before that step; empty for the whole Kitfile.
    pub parent: String,
    /// The names there are in its place, in order.
    pub names: Vec<String>,
    /// How many elements there are, if the parent is a list.
    pub items: Option<usize>,
    /// The name that was probably meant.
    pub suggestion: Option<String>,
}

/// Says what there is in place of a node.
struct Reason<'e>(&'e str, &'e [String], Option<usize>);

impl std::fmt::Display for Reason<'_> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let Self(parent, names, items) = self;
        match (items, names, *parent) {
            (Some(0), ..) => write!(f, "`{parent}` is an empty list"),
            (Some(1), ..) => write!(f, "`{parent}` has one element, 0"),
            (Some(items), ..) => write!(f, "`{parent}` has the elements 0 to {}", items - 1),
            (None, [], _) => write!(f, "`{parent}` has nothing below it"),
            (None, names, "") => write!(f, "it has {}", names.join(", ")),
            (None, names, _) => write!(f, "`{parent}` has {}", names.join(", ")),
        }
    }
}

impl Kitfile {
    /// Returns the node at `path`: names in any letter case and positions in lists from 0, with
    /// dots between them and, as some write it, before them. Nothing but dots is the whole
    /// Kitfile.
    pub fn node(&self, path: &str) -> Result<Node<'_>, NoSuchNode> {
        let mut found = Field::Element(Fields::of(self, Form::Kitfile));
        let mut parent = String::new();
        let path = path.strip_prefix('.').unwrap_or(path);
        let steps = path.split('.').filter(|_| !path.is_empty());
        for step in steps {
            let below = match parent.as_str() {
                "" => step.to_owned(),
                parent => format!("{parent}.{step}"),
            };
            found = descend(found, step).map_err(|(names, items)| NoSuchNode {
                suggestion: suggest::closest(step, names.iter().map(String::as_str))
                    .map(str::to_owned),
                path: below.clone(),
                parent,
                names,
                items,
            })?;
            parent = below;
        }
        Ok(Node(found))
    }
}

impl Node<'_> {
    /// Returns the text, if the node is one.
    pub fn as_text(&self) -> Option<&str> {
        match &self.0 {
            Field::Text(text) => Some(text),
            Field::Value(Value::Text(text)) => Some(text),
            _ => None,
        }
    }

    /// Returns the node as YAML text.
    pub fn to_yaml(&self) -> String {
        yaml(&self.0)
    }
}

impl Serialize for Node<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

/// The names, or the number of elements, that there are in place of a step.
type There = (Vec<String>, Option<usize>);

/// Returns what is one step below `field`.
fn descend<'a>(field: Field<'a>, step: &str) -> Result<Field<'a>, There> {
    match field {
        Field::Element(Fields(mut fields)) => {
            let names: Vec<&str> = fields.iter().map(|(name, _)| *name).collect();
            match position(&names, step) {
                Some(position) => Ok(fields.swap_remove(position).1),
                None => Err((names.into_iter().map(str::to_owned).collect(), None)),
            }
        }
        Field::List(mut elements) => {
            let position = item(step, elements.len())?;
            Ok(Field::Element(elements.swap_remove(position)))
        }
        Field::Line(texts) => Ok(Field::Text(&texts.0[item(step, texts.0.len())?])),
        Field::Value(Value::List(values)) => Ok(Field::Value(&values[item(step, values.len())?])),
        Field::Value(Value::Map(values)) => {
            let names: Vec<&str> = values.keys().map(String::as_str).collect();
            let found = position(&names, step).and_then(|position| values.get(names[position]));
            found
                .map(Field::Value)
                .ok_or_else(|| (names.into_iter().map(str::to_owned).collect(), None))
        }
        Field::Text(_) | Field::Digest(_) | Field::Value(_) => Err((Vec::new(), None)),
    }
}

/// Finds `step` among `names`: as it is written, else in another letter case.
fn position(names: &[&str], step: &str) -> Option<usize> {
    let folded = step.to_lowercase();
    let same = |name: &&str| *name == step;
    let alike = |name: &&str| name.to_lowercase() == folded;
    names
        .iter()
        .position(same)
        .or_else(|| names.iter().position(alike))
}

fn item(step: &str, items: usize) -> Result<usize, There> {
    match step.parse() {
        Ok(position) if position < items => Ok(position),
        _ => Err((Vec::new(), Some(items))),
    }
}

#[cfg(test)]
mod tests {
    use super::super::parse;

    const KITFILE: &str = "\
manifestVersion: 1.0.0
package: {name: net, authors: [Ann, Bo]}
model:
  path: m.bin
  parts: [{path: a.bin}, {path: b.bin, name: b}]
  parameters: {lr: 0.1, LR: 2, layers: [8, 16], Note: 'a # b', deep: {er: true}}
datasets: [{name: train, path: data}]
mcpServers: [{name: s, path: s.mcpb}]
";

    #[test]
    fn a_path_finds_its_node_in_any_letter_case() {
        let kitfile = parse(KITFILE).unwrap().kitfile;
        for (path, yaml) in [
            ("package.name", "net\n"),
            (".package.name", "net\n"),
            ("Package.Name", "net\n"),
            ("package.authors", "[Ann, Bo]\n"),
            ("package.authors.1", "Bo\n"),
            ("dataSets.0.path", "data\n"),
            ("datasets", "- name: train\n  path: data\n"),
            ("model.parts.1", "path: b.bin\nname: b\n"),
            ("mcpservers.0.path", "s.mcpb\n"),
            ("model.parameters.lr", "0.1\n"),
            ("model.parameters.LR", "2\n"),
            ("model.parameters.note", "\"a # b\"\n"),
            ("model.parameters.layers.1", "16\n"),
            ("model.parameters.deep.er", "true\n"),
        ] {
            let node = kitfile.node(path).unwrap();
            let mut lines: Vec<_> = node.to_yaml().lines().map(str::to_owned).collect();
            let mut wanted: Vec<_> = yaml.lines().collect();
            lines.sort();
            wanted.sort_unstable();
            assert_eq!(lines, wanted, "{path}");
        }
        for all in ["", "."] {
            assert_eq!(kitfile.node(all).unwrap().to_yaml(), kitfile.to_yaml());
        }
    }

    #[test]
    fn a_path_that_leads_nowhere_tells_what_there_is() {
        let kitfile = parse(KITFILE).unwrap().kitfile;
        for (path, message, suggestion) in [
            (
                "dataset",
                "the Kitfile has no `dataset`: it has manifestVersion, package, model, datasets, \
                 mcpServers",
                Some("datasets"),
            ),
            (
                "model.parts.2.path",
                "the Kitfile has no `model.parts.2`: `model.parts` has the elements 0 to 1",
                None,
            ),
            (
                "datasets.path",
                "the Kitfile has no `datasets.path`: `datasets` has one element, 0",
                None,
            ),
            (
                "model.path.x",
                "the Kitfile has no `model.path.x`: `model.path` has nothing below it",
                None,
            ),
            (
                "model.parameters.layer",
                "the Kitfile has no `model.parameters.layer`: `model.parameters` has LR, Note, \
                 deep, layers, lr",
                Some("layers"),
            ),
            (
                "package..name",
                "the Kitfile has no `package.`: `package` has name, authors",
                None,
            ),
        ] {
            let Err(error) = kitfile.node(path) else {
                panic!("{path}");
            };
            assert_eq!(error.to_string(), message);
            assert_eq!(error.suggestion.as_deref(), suggestion, "{path}");
        }
    }
}
