//! The tree that YAML and JSON are read into: texts, lists and maps, each with its place.

use std::rc::Rc;

use super::Position;

/// How deep lists and maps may be nested in each other.
pub(super) const MAX_DEPTH: usize = 64;

/// A value with its place. Shared, because a YAML alias is the same node once more.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) kind: Kind,
    pub(super) position: Position,
    /// What it takes to walk the node with everything below it.
    pub(super) size: Size,
}

#[derive(Debug)]
pub(super) enum Kind {
    Scalar {
        text: String,
        style: Style,
    },
    List(Vec<Rc<Node>>),
    /// Keys are unique.
    Map(Vec<(Key, Rc<Node>)>),
}

/// What a scalar may stand for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Style {
    /// Quoted, tagged as text or a block: the text and nothing else.
    Quoted,
    /// Unquoted YAML: a number, a time, … or a text.
    Plain,
    /// An unquoted JSON token: a number, a bool or null.
    Token,
}

#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) text: String,
    pub(super) position: Position,
}

#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Size {
    pub(super) nodes: usize,
    pub(super) bytes: usize,
    pub(super) height: usize,
}

impl Node {
    pub(super) fn new(kind: Kind, position: Position) -> Self {
        let mut size = Size {
            nodes: 1,
            bytes: 0,
            height: 1,
        };
        let mut add = |child: &Self| {
            size.nodes = size.nodes.saturating_add(child.size.nodes);
            size.bytes = size.bytes.saturating_add(child.size.bytes);
            size.height = size.height.max(child.size.height + 1);
        };
        match &kind {
            Kind::Scalar { text, .. } => size.bytes = text.len(),
            Kind::List(items) => {
                for item in items {
                    add(item);
                }
            }
            Kind::Map(pairs) => {
                for (_, value) in pairs {
                    add(value);
                }
                let keys: usize = pairs.iter().map(|(key, _)| key.text.len()).sum();
                size.bytes = size.bytes.saturating_add(keys);
            }
        }
        Self {
            kind,
            position,
            size,
        }
    }

    /// Tells whether the node is there only in form.
    pub(super) fn is_null(&self) -> bool {
        match &self.kind {
            Kind::Scalar { text, style } if *style != Style::Quoted => {
                matches!(text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }
}
