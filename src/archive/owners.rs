//! Which layer a path of the context belongs to.

use std::collections::HashMap;

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
}
