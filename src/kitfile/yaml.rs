//! YAML text to a tree.
//!
//! The events come from the parser; here they get their bounds. What an alias or a merge repeats
//! is counted as if it were written out, before anything is done with it, so that the tree is
//! never more than a small multiple of the text.

use std::{
    collections::{HashMap, HashSet},
    rc::Rc,
};

use granit_parser::{ErrorKind, Event, Parser, ScalarStyle, Span, StrInput, Tag};

use super::{
    MAX_BYTES, Position, Problem,
    tree::{Key, Kind, MAX_DEPTH, Node, Size, Style},
};

/// How many aliases a text may hold. Anchors are a convenience; thousands of them are an attack.
const MAX_ALIASES: usize = 10_000;
/// How many nodes and bytes aliases and merges may add to the text.
const MAX_EXPANDED_NODES: usize = 100_000;
const MAX_EXPANDED_BYTES: usize = MAX_BYTES;

/// Reads one document. Problems that do not hide the rest of the text are pushed to `problems`;
/// one that does is the error.
pub(super) fn read(text: &str, problems: &mut Vec<Problem>) -> Result<Rc<Node>, Problem> {
    let mut options = granit_parser::Options::default();
    options.flow_nesting_limit = MAX_DEPTH;
    options.block_nesting_limit = MAX_DEPTH;
    let mut builder = Builder {
        parser: Parser::new_from_str_with_options(text, options),
        problems,
        anchors: HashMap::new(),
        aliases: 0,
        expanded: Size::default(),
    };
    builder.document()
}

/// An event as it comes, and the place it starts at.
type Placed<'a> = ((Event<'a>, Span), Position);

struct Builder<'a> {
    parser: Parser<'a, StrInput<'a>>,
    problems: &'a mut Vec<Problem>,
    /// The anchored nodes that are complete.
    anchors: HashMap<usize, Rc<Node>>,
    aliases: usize,
    expanded: Size,
}

impl<'a> Builder<'a> {
    fn document(&mut self) -> Result<Rc<Node>, Problem> {
        let mut root = None;
        while let Some((event, position)) = self.next()? {
            match event.0 {
                Event::DocumentStart(..) if root.is_some() => {
                    return Err(Problem::at(
                        position,
                        "a second document starts here, but a Kitfile is one document",
                    ));
                }
                Event::StreamStart
                | Event::StreamEnd
                | Event::DocumentStart(..)
                | Event::DocumentEnd => {}
                _ => root = Some(self.node(event, position, 1)?),
            }
        }
        let empty = || Problem::at(None, "the Kitfile is empty");
        let root = root.ok_or_else(empty)?;
        if root.is_null() {
            Err(empty())
        } else {
            Ok(root)
        }
    }

    fn next(&mut self) -> Result<Option<Placed<'a>>, Problem> {
        match self.parser.next_event() {
            None => Ok(None),
            Some(Ok((event, span))) => Ok(Some(((event, span), place(span.start)))),
            Some(Err(error)) => {
                let mut message = error.info();
                if matches!(error.kind(), ErrorKind::RecursionLimitExceeded) {
                    message = too_deep();
                }
                Err(Problem::at(place(*error.marker()), message))
            }
        }
    }

    /// Returns the event that follows inside a list or map.
    fn inside(&mut self) -> Result<Placed<'a>, Problem> {
        self.next()?
            .ok_or_else(|| Problem::at(None, "the text ends inside a list or map"))
    }

    /// Returns the node that starts with `event`, with `depth` lists and maps around and
    /// including it.
    fn node(
        &mut self,
        (event, span): (Event<'a>, Span),
        position: Position,
        depth: usize,
    ) -> Result<Rc<Node>, Problem> {
        if depth > MAX_DEPTH + 1 {
            return Err(Problem::at(position, too_deep()));
        }
        let (kind, anchor) = match event {
            Event::Alias(anchor) => return self.alias(anchor, position, depth),
            Event::Scalar(text, style, anchor, tag) => {
                let is_text = self.tag(tag.as_deref(), "str", span, position);
                let style = match style {
                    ScalarStyle::Plain if !is_text => Style::Plain,
                    _ => Style::Quoted,
                };
                let text = text.into_owned();
                (Kind::Scalar { text, style }, anchor)
            }
            Event::SequenceStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), "seq", span, position);
                (Kind::List(self.list(depth)?), anchor)
            }
            Event::MappingStart(_, anchor, tag) => {
                self.tag(tag.as_deref(), "map", span, position);
                (Kind::Map(self.map(depth)?), anchor)
            }
            _ => return Err(Problem::at(position, "expected a value")),
        };
        let node = Rc::new(Node::new(kind, position));
        if anchor != 0 {
            self.anchors.insert(anchor, Rc::clone(&node));
        }
        Ok(node)
    }

    /// Tells whether the node has the core tag `own`; every other tag is a problem.
    fn tag(&mut self, tag: Option<&Tag>, own: &str, span: Span, position: Position) -> bool {
        let Some(tag) = tag else { return false };
        let is_own = tag.is_yaml_core_schema_tag(own);
        if !is_own {
            let position = span.tag_start.map_or(position, place);
            let message = format!("the tag `{}` is not supported", tag.original());
            self.problems.push(Problem::at(position, message));
        }
        is_own
    }

    fn list(&mut self, depth: usize) -> Result<Vec<Rc<Node>>, Problem> {
        let mut items = Vec::new();
        loop {
            let (event, position) = self.inside()?;
            if matches!(event.0, Event::SequenceEnd) {
                return Ok(items);
            }
            items.push(self.node(event, position, depth + 1)?);
        }
    }

    fn map(&mut self, depth: usize) -> Result<Vec<(Key, Rc<Node>)>, Problem> {
        let mut pairs: Vec<(Key, Rc<Node>)> = Vec::new();
        let mut lines: HashMap<String, usize> = HashMap::new();
        let mut merges = Vec::new();
        loop {
            let (event, position) = self.inside()?;
            if matches!(event.0, Event::MappingEnd) {
                break;
            }
            let key = self.node(event, position, depth + 1)?;
            let (event, at) = self.inside()?;
            let value = self.node(event, at, depth + 1)?;
            let Kind::Scalar { text, style } = &key.kind else {
                let message = "a list or map cannot be the name of a field";
                self.problems.push(Problem::at(position, message));
                continue;
            };
            if text == "<<" && *style == Style::Plain {
                merges.push((position, value));
                continue;
            }
            if let Some(line) = lines.get(text) {
                let message = format!("the field `{text}` is already set on line {line}");
                self.problems.push(Problem::at(position, message));
                continue;
            }
            lines.insert(text.clone(), position.line);
            let text = text.clone();
            pairs.push((Key { text, position }, value));
        }
        if !merges.is_empty() {
            let mut known: HashSet<String> = lines.into_keys().collect();
            for (position, value) in merges {
                self.merge(&value, position, &mut known, &mut pairs)?;
            }
        }
        Ok(pairs)
    }

    /// Adds the fields of `source`, a map or a list of maps, that are not `known` to `pairs`.
    fn merge(
        &mut self,
        source: &Node,
        position: Position,
        known: &mut HashSet<String>,
        pairs: &mut Vec<(Key, Rc<Node>)>,
    ) -> Result<(), Problem> {
        let sources = match &source.kind {
            Kind::Map(source) => vec![source],
            Kind::List(items) => items
                .iter()
                .filter_map(|item| match &item.kind {
                    Kind::Map(source) => Some(source),
                    _ => None,
                })
                .collect(),
            Kind::Scalar { .. } => Vec::new(),
        };
        let wanted = match &source.kind {
            Kind::List(items) => items.len(),
            _ => 1,
        };
        if sources.len() != wanted {
            let message = "`<<` takes a map or a list of maps";
            self.problems.push(Problem::at(position, message));
        }
        for (key, value) in sources.into_iter().flatten() {
            if known.contains(&key.text) {
                self.expand(
                    Size {
                        nodes: 1,
                        ..Size::default()
                    },
                    position,
                )?;
                continue;
            }
            let bytes = value.size.bytes + key.text.len();
            self.expand(
                Size {
                    bytes,
                    ..value.size
                },
                position,
            )?;
            known.insert(key.text.clone());
            pairs.push((key.clone(), Rc::clone(value)));
        }
        Ok(())
    }

    fn alias(
        &mut self,
        anchor: usize,
        position: Position,
        depth: usize,
    ) -> Result<Rc<Node>, Problem> {
        let Some(node) = self.anchors.get(&anchor).map(Rc::clone) else {
            return Err(Problem::at(
                position,
                "an alias names the value it stands in",
            ));
        };
        self.aliases += 1;
        if self.aliases > MAX_ALIASES {
            let message = format!("more than {MAX_ALIASES} aliases");
            return Err(Problem::at(position, message));
        }
        // A scalar counts as height 1 at any depth, as it does when it is written out.
        if depth + node.size.height > MAX_DEPTH + 2 {
            return Err(Problem::at(position, too_deep()));
        }
        self.expand(node.size, position)?;
        Ok(node)
    }

    /// Takes `size` from what aliases and merges may add.
    fn expand(&mut self, size: Size, position: Position) -> Result<(), Problem> {
        let total = &mut self.expanded;
        total.nodes = total.nodes.saturating_add(size.nodes);
        total.bytes = total.bytes.saturating_add(size.bytes);
        if total.nodes > MAX_EXPANDED_NODES || total.bytes > MAX_EXPANDED_BYTES {
            let message = "aliases repeat more than a Kitfile may hold";
            return Err(Problem::at(position, message));
        }
        Ok(())
    }
}

fn place(marker: granit_parser::Marker) -> Position {
    Position {
        line: marker.line(),
        column: marker.col() + 1,
    }
}

pub(super) fn too_deep() -> String {
    format!("lists and maps are nested more than {MAX_DEPTH} deep")
}
