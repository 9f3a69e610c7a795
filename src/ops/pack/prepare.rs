//! What can be done of a pack without a store: the walk, and which layers come of it.

use std::path::Path;

use super::{LayerFormat, Options, raw, shards};
use crate::{
    archive::{
        self,
        ignore::describes_kit,
        pack::{Compression, Shape},
        tree::{Entry as TreeEntry, Kind, Tree},
        walk::{self, Found},
    },
    kitfile::{Entry, Kitfile, Section},
    ops::{Error, chain, draft, kit::noun},
    progress::Progress,
};

/// A context that was walked: what a pack would hold.
pub struct Prepared {
    /// The Kitfile with its layers, of which nothing is known yet.
    pub kitfile: Kitfile,
    /// The element of each layer, in packing order; a large folder is there several times.
    pub entries: Vec<Entry>,
    /// What each layer becomes.
    pub shapes: Vec<Shape>,
    /// What the walk found, by layer.
    pub found: Found,
    /// What the user must hear about the layers.
    pub warnings: Vec<String>,
}

impl Prepared {
    /// Returns how the layer at `index` is compressed when `wanted` is asked for: a server's
    /// bundle never is.
    pub fn compression(&self, index: usize, wanted: Compression) -> Compression {
        match self.entries[index].section {
            Section::McpServer => Compression::None,
            _ => wanted,
        }
    }
}

/// Walks the context: all of a pack that can be done without a store.
pub fn prepare(options: &Options, progress: &dyn Progress) -> Result<Prepared, Error> {
    let name = options.names.first().map(ToString::to_string);
    let name = name.as_deref().unwrap_or("this kit");
    chain::check(name, &options.kitfile, &options.parents)?;
    let claims = chain::claims(&options.parents);
    let foreign: Vec<String> = claims.into_iter().map(|claim| claim.path).collect();
    let entries = options.kitfile.entries();
    let layers: Vec<String> = entries.iter().map(|entry| entry.clean.clone()).collect();
    let found = walk::walk(
        &options.context,
        &walk::Options {
            layers: &layers,
            foreign: &foreign,
            rules: &options.rules,
            follow_links: options.follow_links,
            keep_modes: options.keep_modes,
            executable: &options.executable,
            strict: options.strict,
            guard: options.drafted.then_some(&draft::guard),
        },
        progress,
    )?;
    refuse_ignored(&entries, &found)?;
    for (index, entry) in entries.iter().enumerate() {
        if entry.section == Section::McpServer {
            check_bundle(&options.context, entry, &found, index)?;
        }
    }
    let shape = |entry: &Entry| match entry.section {
        Section::McpServer => Shape::Raw,
        _ => Shape::Tar,
    };
    let mut prepared = Prepared {
        kitfile: options.kitfile.clone(),
        shapes: entries.iter().map(shape).collect(),
        entries,
        found,
        warnings: Vec::new(),
    };
    if options.layer_format == LayerFormat::Raw {
        prepared = raw::spread(prepared, options.keep_modes)?;
    }
    shards::cut(&mut prepared, options.shard_size);
    Ok(prepared)
}

/// Refuses a Kitfile that names what a rule leaves out: one of the two is a mistake, and an empty
/// layer would hide it.
fn refuse_ignored(entries: &[Entry], found: &Found) -> Result<(), Error> {
    let mut ignored = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let rule = found
            .ignored_layers
            .iter()
            .find(|(layer, _)| *layer == index);
        // What a rule leaves out may hold something that another rule brings back.
        let holds_files = found.tree.entries(index).any(|entry| is_file(&entry));
        if let (Some((_, rule)), false, false) = (rule, holds_files, describes_kit(&entry.clean)) {
            ignored.push(format!("{} `{}`: {rule}", noun(entry.section), entry.path));
        }
    }
    if ignored.is_empty() {
        return Ok(());
    }
    Err(Error::IgnoredElements { ignored })
}

pub(super) fn is_file(entry: &TreeEntry<'_>) -> bool {
    entry.kind() == Kind::File
}

/// Returns how many files a layer has.
pub(super) fn file_count(tree: &Tree, layer: usize) -> usize {
    tree.entries(layer).filter(is_file).count()
}

/// Checks that an MCP server's path is one file that is a bundle.
fn check_bundle(context: &Path, entry: &Entry, found: &Found, index: usize) -> Result<(), Error> {
    let files = file_count(&found.tree, index);
    let path = context.join(&entry.clean);
    let result = if files == 1 {
        archive::mcpb::check_path(&path)
    } else {
        Err(archive::mcpb::NotABundle::NotAFile)
    };
    result.map_err(|source| Error::NotABundle {
        path: entry.path.clone(),
        source,
    })
}

/// Returns the line about a layer without content, if it has none.
pub fn emptiness(prepared: &Prepared, index: usize) -> Option<String> {
    let entry = &prepared.entries[index];
    let what = format!("{} `{}`", noun(entry.section), entry.path);
    // What a rule leaves out may hold something that another rule brings back.
    if !prepared.found.tree.is_empty(index) {
        return None;
    }
    let mut ignored = prepared.found.ignored_layers.iter();
    Some(match ignored.find(|(layer, _)| *layer == index) {
        Some((_, rule)) => format!("{what} is left out ({rule}): its layer is empty"),
        None => format!("{what} holds no content"),
    })
}
