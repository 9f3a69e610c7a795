//! Which layer a path of the context belongs to.

use std::{collections::HashMap, fs, io, path::Path};

use super::{error::Error, tree::Tree};

/// Which layer a path belongs to.
pub(super) struct Owners {
    /// The layer whose path it is; `None` for a path that belongs to none of them.
    at: HashMap<Vec<u8>, Option<usize>>,
    /// The layers below a folder, for every folder that leads to one.
    below: HashMap<Vec<u8>, Vec<usize>>,
}

impl Owners {
    /// What lies at `foreign` paths belongs to no layer, except that below them which a layer's own
    /// path leads to.
    pub(super) fn new(layers: &[String], foreign: &[String]) -> Self {
        let mut owners = Self {
            at: HashMap::new(),
            below: HashMap::new(),
        };
        for (index, layer) in layers.iter().enumerate() {
            let layer = layer.as_bytes();
            owners.at.entry(layer.to_vec()).or_insert(Some(index));
            for (slash, _) in layer.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                owners
                    .below
                    .entry(layer[..slash].to_vec())
                    .or_default()
                    .push(index);
            }
        }
        for path in foreign {
            owners.at.entry(path.clone().into_bytes()).or_insert(None);
        }
        owners
    }

    /// Returns the layer that what lies at `path` belongs to, in a folder that belongs to `around`.
    pub(super) fn at(&self, path: &[u8], around: Option<usize>) -> Option<usize> {
        self.at.get(path).copied().unwrap_or(around)
    }

    /// Tells whether `path` is a foreign one.
    pub(super) fn is_foreign(&self, path: &[u8]) -> bool {
        matches!(self.at.get(path), Some(None))
    }

    pub(super) fn below(&self, path: &[u8]) -> &[usize] {
        self.below.get(path).map_or(&[], Vec::as_slice)
    }

    /// Gives the folder `path` to the layer that owns it and to those that lie below it.
    pub(super) fn give(&self, tree: &mut Tree, path: &[u8], node: u32, owner: Option<usize>) {
        if let Some(owner) = owner {
            tree.give(node, owner);
        }
        for layer in self.below(path) {
            if Some(*layer) != owner {
                tree.give(node, *layer);
            }
        }
    }
}

/// Checks that what the paths of layers name in `context` is there and can be packed. All that is
/// missing comes in one error.
pub(super) fn check_paths(context: &Path, layers: &[String]) -> Result<(), Error> {
    let mut missing = Vec::new();
    for layer in layers {
        let path = context.join(layer);
        let metadata = match fs::symlink_metadata(&path) {
            Ok(metadata) => metadata,
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) =>
            {
                missing.push(layer.clone());
                continue;
            }
            Err(source) => return Err(Error::read_file(&path, source)),
        };
        if !(metadata.is_file() || metadata.is_dir() || metadata.is_symlink()) {
            return Err(Error::NotFileOrFolder {
                path: layer.clone(),
            });
        }
    }
    if !missing.is_empty() {
        return Err(Error::NoSuchPath { paths: missing });
    }
    Ok(())
}
