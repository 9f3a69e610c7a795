//! Raw layers: every file a layer of its own, without an archive around it.

use std::{
    collections::{BTreeMap, BTreeSet},
    str,
};

use super::{
    PackedLayer, Prepared,
    prepare::{file_count, is_file},
};
use crate::{
    archive::{pack::Shape, tree::Kind, walk::Found},
    digest::Digest,
    kitfile::{Entry, Section},
    ops::{Error, kit::noun},
};

/// How many files of one element become raw layers; an element of more stays a tar archive.
pub const MAX_RAW_FILES: usize = 1_000;

/// How many paths a warning names.
const NAMED: usize = 5;

/// Turns what was prepared for tar archives into raw layers where that can be.
pub(super) fn spread(mut prepared: Prepared, keep_modes: bool) -> Result<Prepared, Error> {
    let mut files = BTreeMap::new();
    for (index, entry) in prepared.entries.iter().enumerate() {
        if entry.section == Section::McpServer {
            continue;
        }
        let count = file_count(&prepared.found.tree, index);
        if count > MAX_RAW_FILES {
            prepared.warnings.push(format!(
                "{} `{}` holds {count} files, more than the {MAX_RAW_FILES} that become raw layers: it is packed as tar",
                noun(entry.section),
                entry.path
            ));
        } else if count > 0 {
            files.insert(index, paths(&prepared, index, entry)?);
        }
        // Without a file there is nothing that could be raw.
    }
    let lost = lost_folders(&prepared, |layer| files.contains_key(&layer), keep_modes);
    prepared.warnings.extend(lost);
    prepared.kitfile.spread(&files);
    prepared.entries = prepared.kitfile.entries();
    let shapes = prepared.shapes.iter().enumerate();
    prepared.shapes = shapes
        .flat_map(|(index, shape)| match files.get(&index) {
            Some(files) => vec![Shape::Raw; files.len()],
            None => vec![*shape],
        })
        .collect();
    let begins = prepared
        .found
        .tree
        .split(|layer| files.contains_key(&layer));
    begin_at(&begins, &mut prepared.found);
    Ok(prepared)
}

/// Corrects what was found about layers, of which each former one now begins at `begins`.
pub(super) fn begin_at(begins: &[usize], found: &mut Found) {
    for (layer, _) in &mut found.ignored_layers {
        *layer = begins[*layer];
    }
}

/// Returns the paths of the files of the layer at `index`, as a Kitfile has them.
fn paths(prepared: &Prepared, index: usize, entry: &Entry) -> Result<Vec<String>, Error> {
    let mut paths = Vec::new();
    for file in prepared.found.tree.entries(index).filter(is_file) {
        let path = file.path();
        let path = str::from_utf8(&path).map_err(|_| Error::RawName {
            path: String::from_utf8_lossy(&path).into_owned(),
        })?;
        // A file that the Kitfile names keeps the name it has there.
        paths.push(if path == entry.clean {
            entry.path.clone()
        } else {
            path.to_owned()
        });
    }
    Ok(paths)
}

/// Returns the lines about folders that only archives can hold.
fn lost_folders(
    prepared: &Prepared,
    is_raw: impl Fn(usize) -> bool,
    keep_modes: bool,
) -> Vec<String> {
    let tree = &prepared.found.tree;
    let layers = 0..prepared.entries.len();
    let (mut folders, mut modes) = (BTreeSet::new(), BTreeSet::new());
    for entry in layers
        .clone()
        .filter(|layer| is_raw(*layer))
        .flat_map(|layer| tree.entries(layer))
    {
        if entry.kind() == Kind::Folder {
            if keep_modes && entry.mode() != 0o755 {
                modes.insert(entry.path());
            }
            folders.insert(entry.path());
        }
    }
    // What holds a file comes out anyway, whichever layer that file is in; what an archive holds
    // too comes out with it.
    for (layer, entry) in
        layers.flat_map(|layer| tree.entries(layer).map(move |entry| (layer, entry)))
    {
        let mut path = entry.path();
        if entry.kind() == Kind::Folder && !is_raw(layer) {
            folders.remove(&path);
            modes.remove(&path);
        }
        while let Some(end) = path.iter().rposition(|byte| *byte == b'/') {
            path.truncate(end);
            folders.remove(&path);
        }
    }
    let mut lines = Vec::new();
    for (lost, paths) in [
        ("empty folders", &folders),
        ("permissions of folders", &modes),
    ] {
        if !paths.is_empty() {
            let paths = list(paths);
            lines.push(format!("{lost} are left out of raw layers: {paths}"));
        }
    }
    lines
}

/// Returns the line about files of equal content: `KitOps` finds a layer by its digest alone, and
/// takes one of them for all.
pub(super) fn equal_files(layers: &[PackedLayer], shapes: &[Shape]) -> Option<String> {
    let mut files: BTreeMap<Digest, BTreeSet<Vec<u8>>> = BTreeMap::new();
    for (layer, shape) in layers.iter().zip(shapes) {
        if *shape == Shape::Raw {
            let path = layer.entry.clean.clone().into_bytes();
            files
                .entry(layer.descriptor.digest)
                .or_default()
                .insert(path);
        }
    }
    files.retain(|_, paths| paths.len() > 1);
    let all = files.into_values().flatten().collect::<BTreeSet<_>>();
    (!all.is_empty()).then(|| {
        let all = list(&all);
        format!("KitOps cannot unpack raw layers of equal content, as these files have: {all}")
    })
}

fn list(paths: &BTreeSet<Vec<u8>>) -> String {
    let named: Vec<String> = paths
        .iter()
        .take(NAMED)
        .map(|path| format!("`{}`", String::from_utf8_lossy(path)))
        .collect();
    let more = paths.len() - named.len();
    match more {
        0 => named.join(", "),
        more => format!("{} and {more} more", named.join(", ")),
    }
}
