//! A context directory as one walk found it, with each path given to its layer.
//!
//! A tree of a million files must fit in some 100 bytes a file, so names lie in one buffer and
//! entries point to their folder instead of holding paths.

use std::path::{Path, PathBuf};

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
