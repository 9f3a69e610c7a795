//! What kits take that are in a registry and not here.

use std::fmt::Write as _;

use serde::Serialize;

use crate::{
    cli::{
        Context,
        escape::escape,
        failure::Failure,
        human,
        network::{NetworkArgs, Way},
        table::Table,
    },
    digest::Digest,
    ops::{
        files::{self, Measured},
        kit::noun,
        unpack::Sources,
    },
    reference::Reference,
    store::Store,
};

/// A kit in JSON.
#[derive(Serialize)]
pub(super) struct Kit {
    reference: String,
    digest: Digest,
    elements: Vec<Element>,
    /// What its layers take together, each once.
    stored: u64,
    /// What of that is not here.
    fetched: u64,
}

/// An element of its Kitfile in JSON.
#[derive(Serialize)]
struct Element {
    r#type: &'static str,
    name: String,
    path: String,
    files: Option<u64>,
    bytes: Option<u64>,
    layers: usize,
    stored: u64,
    fetched: u64,
}

/// Looks at kits in their registries.
pub(super) fn look(
    references: &[Reference],
    store: &Store,
    network: &NetworkArgs,
    context: &Context,
) -> Result<Vec<Kit>, Failure> {
    let Some(first) = references.first() else {
        return Ok(Vec::new());
    };
    let progress = context.progress();
    let way = Way::new(network, first, context)?;
    let sources = Sources {
        store,
        streams: Some(way.streams(&progress)),
        objects: None,
        unverified: false,
    };
    let mut kits = Vec::new();
    for reference in references {
        let kit = way.open(reference, &progress)?;
        let measured = files::measure(&kit, &sources, &progress)?;
        let mut elements: Vec<Element> = Vec::new();
        let mut known = std::collections::HashSet::new();
        for (layer, of) in kit.layers.iter().zip(&measured) {
            let entry = &layer.entry;
            let is_new = known.insert(layer.descriptor.digest);
            let stored = if is_new { layer.descriptor.size } else { 0 };
            let fetched = if of.is_here { 0 } else { stored };
            let kind = noun(entry.section);
            // A folder may be cut into several layers.
            if let Some(last) = elements.last_mut()
                && (last.r#type, &last.name, &last.path) == (kind, &entry.name, &entry.clean)
            {
                last.files = last.files.zip(of.files).map(|(a, b)| a + b);
                last.bytes = last.bytes.zip(of.bytes).map(|(a, b)| a + b);
                last.layers += 1;
                last.stored += stored;
                last.fetched += fetched;
                continue;
            }
            let Measured { files, bytes, .. } = *of;
            elements.push(Element {
                r#type: kind,
                name: entry.name.clone(),
                path: entry.clean.clone(),
                files,
                bytes,
                layers: 1,
                stored,
                fetched,
            });
        }
        kits.push(Kit {
            reference: reference.to_string(),
            digest: kit.descriptor.digest,
            stored: elements.iter().map(|it| it.stored).sum(),
            fetched: elements.iter().map(|it| it.fetched).sum(),
            elements,
        });
    }
    Ok(kits)
}

impl Kit {
    /// Returns the table for people and the lines under it.
    pub(super) fn text(&self) -> String {
        let mut table = Table::new(&["TYPE", "PATH", "FILES", "SIZE", "STORED", "HERE"]);
        let or_unknown = |text: Option<String>| text.unwrap_or_else(|| "?".to_owned());
        for it in &self.elements {
            let here = match it.fetched {
                0 => "all".to_owned(),
                fetched if fetched == it.stored => "-".to_owned(),
                fetched => human::bytes(it.stored - fetched),
            };
            table.row(&[
                it.r#type,
                &it.path,
                &or_unknown(it.files.map(|files| files.to_string())),
                &or_unknown(it.bytes.map(human::bytes)),
                &human::bytes(it.stored),
                &here,
            ]);
        }
        let name = escape(&self.reference);
        let layers: usize = self.elements.iter().map(|it| it.layers).sum();
        let mut text = format!("{}\n", table.render());
        // Writing to a string cannot fail.
        let _ = writeln!(
            text,
            "{name}: {} in {}, not in the store",
            human::bytes(self.stored),
            human::count(layers as u64, "layer")
        );
        let _ = writeln!(text, "`kit pull` fetches: {}", human::bytes(self.fetched));
        if self.elements.iter().any(|it| it.files.is_none()) {
            text += "What is unknown (?) no table of contents tells\n";
        }
        text
    }
}
