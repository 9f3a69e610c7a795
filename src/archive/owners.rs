//! Which layer a path of the context belongs to.

use std::{collections::HashMap, fs, io, path::Path};

use super::{error::Error, tree::Tree};

/// Which layer a path belongs to.
pub(super) struct Owners {
    at: HashMap<Vec<u8>, usize>,
    /// The layers below a folder, for every folder that leads to one.
    below: HashMap<Vec<u8>, Vec<usize>>,
}

impl Owners {
    pub(super) fn new(layers: &[String]) -> Self {
        let mut owners = Self {
            at: HashMap::new(),
            below: HashMap::new(),
        };
        for (index, layer) in layers.iter().enumerate() {
            let layer = layer.as_bytes();
            owners.at.entry(layer.to_vec()).or_insert(index);
            for (slash, _) in layer.iter().enumerate().filter(|(_, byte)| **byte == b'/') {
                owners
                    .below
                    .entry(layer[..slash].to_vec())
                    .or_default()
                    .push(index);
            }
        }
        owners
    }

    pub(super) fn at(&self, path: &[u8]) -> Option<usize> {
        self.at.get(path).copied()
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

/// Checks that what the paths of layers name in `context` is there and can be packed.
pub(super) fn check_paths(context: &Path, layers: &[String]) -> Result<(), Error> {
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
                return Err(Error::NoSuchPath {
                    path: layer.clone(),
                });
            }
            Err(source) => return Err(Error::read_file(&path, source)),
        };
        if !(metadata.is_file() || metadata.is_dir() || metadata.is_symlink()) {
            return Err(Error::NotFileOrFolder {
                path: layer.clone(),
            });
        }
    }
    Ok(())
}
