//! A context directory as one walk found it, with each path given to its layer.
//!
//! A tree of a million files must fit in some 100 bytes a file, so names lie in one buffer and
//! entries point to their folder instead of holding paths.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use crate::platform::FileStamp;

/// The parent of what lies in the context root itself.
pub(super) const ROOT: u32 = u32::MAX;

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// A regular file.
    File,
    /// A folder.
    Folder,
}

/// A file or folder found by the walk.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) stamp: FileStamp,
    pub(super) parent: u32,
    pub(super) name_start: u32,
    pub(super) name_length: u16,
    pub(super) mode: u16,
    pub(super) kind: Kind,
    /// The last part of the path is a link, to be followed when it is opened.
    pub(super) via_link: bool,
}

impl Node {
    /// Returns a node that has neither a place nor a mode yet.
    pub(super) const fn new(kind: Kind, stamp: FileStamp) -> Self {
        Self {
            stamp,
            parent: ROOT,
            name_start: 0,
            name_length: 0,
            mode: 0,
            kind,
            via_link: false,
        }
    }
}

/// What stands in a context, by layer and in the order of the archive.
#[derive(Debug)]
pub struct Tree {
    context: PathBuf,
    names: Vec<u8>,
    nodes: Vec<Node>,
    layers: Vec<Vec<u32>>,
}

/// One entry of a layer.
#[derive(Clone, Copy, Debug)]
pub struct Entry<'t> {
    tree: &'t Tree,
    node: &'t Node,
}

impl Tree {
    pub(super) fn new(context: &Path, layers: usize) -> Self {
        Self {
            context: context.to_owned(),
            names: Vec::new(),
            nodes: Vec::new(),
            layers: vec![Vec::new(); layers],
        }
    }

    /// Appends a node; `None` if the tree has as many names as it can hold (4 GiB of them).
    pub(super) fn push(&mut self, parent: u32, name: &[u8], mut node: Node) -> Option<u32> {
        let index = u32::try_from(self.nodes.len())
            .ok()
            .filter(|index| *index < ROOT)?;
        node.parent = parent;
        node.name_start = u32::try_from(self.names.len()).ok()?;
        node.name_length = u16::try_from(name.len()).ok()?;
        self.names.extend_from_slice(name);
        self.nodes.push(node);
        Some(index)
    }

    pub(super) fn give(&mut self, node: u32, layer: usize) {
        self.layers[layer].push(node);
    }

    /// Gives each file of the layers that `wanted` picks a layer of its own, without folders, in
    /// the place of the former. Returns where each former layer begins.
    pub fn split(&mut self, wanted: impl Fn(usize) -> bool) -> Vec<usize> {
        let former = std::mem::take(&mut self.layers);
        let mut begins = Vec::with_capacity(former.len());
        for (layer, nodes) in former.into_iter().enumerate() {
            begins.push(self.layers.len());
            if wanted(layer) {
                let files = nodes.into_iter().filter(|node| {
                    // Folders are above the files that lead here, which know them.
                    self.nodes[*node as usize].kind == Kind::File
                });
                self.layers.extend(files.map(|node| vec![node]));
            } else {
                self.layers.push(nodes);
            }
        }
        begins
    }

    /// Returns those entries of `layer` before which it may be cut, in their order: its files, and
    /// folders in which it has nothing.
    pub(super) fn cuttable(&self, layer: usize) -> impl Iterator<Item = Entry<'_>> {
        let nodes = &self.layers[layer];
        let positions = 0..nodes.len();
        let positions = positions.filter(|position| self.is_cuttable(nodes, *position));
        positions.map(|position| self.entry(nodes[position] as usize))
    }

    /// Puts several layers in the place of each that is a key of `cuts`: a new one begins with each of
    /// the entries that [`Self::cuttable`] returns at these positions. Each has the folders that lead
    /// to what it holds.
    pub(super) fn take_apart(&mut self, cuts: &BTreeMap<usize, Vec<usize>>) {
        let former = std::mem::take(&mut self.layers);
        for (layer, nodes) in former.into_iter().enumerate() {
            match cuts.get(&layer) {
                Some(cuts) => {
                    let parts = self.parts(&nodes, cuts);
                    self.layers.extend(parts);
                }
                None => self.layers.push(nodes),
            }
        }
    }

    fn parts(&self, nodes: &[u32], cuts: &[usize]) -> Vec<Vec<u32>> {
        let mut cuts = cuts.iter().copied().peekable();
        let mut parts = Vec::with_capacity(cuts.len() + 1);
        let mut part = Vec::new();
        // The folders that lead to the entry, and how many of them the part has.
        let (mut above, mut given) = (Vec::new(), 0);
        let mut count = 0;
        for (position, node) in nodes.iter().copied().enumerate() {
            while above
                .pop_if(|folder| !self.is_above(*folder, node))
                .is_some()
            {}
            given = given.min(above.len());
            if !self.is_cuttable(nodes, position) {
                above.push(node);
                continue;
            }
            if cuts.next_if_eq(&count).is_some() {
                parts.push(std::mem::take(&mut part));
                given = 0;
            }
            count += 1;
            part.extend_from_slice(&above[given..]);
            given = above.len();
            part.push(node);
        }
        parts.push(part);
        parts
    }

    fn is_cuttable(&self, nodes: &[u32], position: usize) -> bool {
        let node = nodes[position];
        let is_file = self.nodes[node as usize].kind == Kind::File;
        let next = nodes.get(position + 1);
        is_file || !next.is_some_and(|next| self.is_above(node, *next))
    }

    /// Tells whether `node` lies in `folder`, at any depth.
    fn is_above(&self, folder: u32, node: u32) -> bool {
        let mut parent = self.nodes[node as usize].parent;
        while parent != ROOT && parent != folder {
            parent = self.nodes[parent as usize].parent;
        }
        parent == folder
    }

    /// Returns the folder that was walked.
    pub fn context(&self) -> &Path {
        &self.context
    }

    /// Returns how many entries `layer` has.
    pub fn len(&self, layer: usize) -> usize {
        self.layers[layer].len()
    }

    /// Tells whether `layer` has no file with content.
    pub fn is_empty(&self, layer: usize) -> bool {
        self.entries(layer).all(|entry| entry.size() == 0)
    }

    /// Returns the entries of `layer` in the order of the archive.
    pub fn entries(&self, layer: usize) -> impl ExactSizeIterator<Item = Entry<'_>> {
        self.layers[layer]
            .iter()
            .map(|index| self.entry(*index as usize))
    }

    /// Returns the entry at `position` of `layer`.
    pub(super) fn entry_at(&self, layer: usize, position: usize) -> Option<Entry<'_>> {
        let index = *self.layers[layer].get(position)?;
        Some(self.entry(index as usize))
    }

    /// Returns the bytes of all files of `layer`.
    pub fn bytes(&self, layer: usize) -> u64 {
        self.entries(layer).map(|entry| entry.size()).sum()
    }

    fn entry(&self, index: usize) -> Entry<'_> {
        Entry {
            tree: self,
            node: &self.nodes[index],
        }
    }

    fn name(&self, node: &Node) -> &[u8] {
        &self.names[node.name_start as usize..][..usize::from(node.name_length)]
    }
}

impl Entry<'_> {
    /// Returns whether it is a file or a folder.
    pub const fn kind(&self) -> Kind {
        self.node.kind
    }

    /// Returns the content's length in bytes; 0 for a folder.
    pub const fn size(&self) -> u64 {
        match self.node.kind {
            Kind::File => self.node.stamp.size,
            Kind::Folder => 0,
        }
    }

    /// Returns the permission bits that the archive gets.
    pub const fn mode(&self) -> u32 {
        self.node.mode as u32
    }

    /// Returns what the file was like when the walk saw it.
    pub const fn stamp(&self) -> &FileStamp {
        &self.node.stamp
    }

    /// Returns whether the path's last part is a link that stands for the file.
    pub const fn via_link(&self) -> bool {
        self.node.via_link
    }

    /// Returns the path relative to the context, with `/` between its parts.
    pub fn path(&self) -> Vec<u8> {
        let mut path = Vec::new();
        self.path_into(&mut path);
        path
    }

    /// Writes the path over the content of `path`, so that a loop needs one buffer only.
    pub fn path_into(&self, path: &mut Vec<u8>) {
        path.clear();
        let mut node = self.node;
        loop {
            path.extend(self.tree.name(node).iter().rev());
            if node.parent == ROOT {
                break;
            }
            path.push(b'/');
            node = &self.tree.nodes[node.parent as usize];
        }
        path.reverse();
    }
}
