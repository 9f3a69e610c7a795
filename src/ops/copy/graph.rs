//! What has to be copied: a manifest with all that it names, and what refers to it.

use std::collections::HashSet;

use super::source::Source;
use crate::{
    digest::Digest,
    oci::{Contents, Descriptor},
    ops::Error,
    registry::{self, Raw},
};

/// Manifests that one copy may bring along.
const MAX_MANIFESTS: usize = 10_000;
/// How deep indexes may lie in indexes, and referrers on referrers.
const MAX_NESTING: usize = 8;
/// Bytes of manifests that are held in memory.
const MAX_DOCUMENTS: u64 = 256 << 20;

/// The ends of tags that say what is known about a manifest, where others look for it: signatures,
/// attestations, lists of parts, tables of contents.
const TAGS: &[&str] = &["sig", "att", "sbom", "toc"];

/// A manifest that is to be copied.
pub(super) struct Node {
    pub(super) raw: Raw,
    pub(super) contents: Contents,
    /// A name of its own that it has beside the kit's.
    pub(super) tag: Option<String>,
    /// Whether it belongs to what refers to the manifest, and not to the manifest itself.
    pub(super) is_referrer: bool,
}

impl Node {
    pub(super) fn digest(&self) -> Digest {
        self.raw.descriptor.digest
    }

    /// Returns how a list of referrers describes it.
    pub(super) fn described(&self) -> Descriptor {
        let mut descriptor = self.raw.descriptor.clone();
        descriptor
            .artifact_type
            .clone_from(&self.contents.artifact_type);
        descriptor
            .annotations
            .clone_from(&self.contents.annotations);
        descriptor
    }
}

/// Finds manifests, each one after those that it names.
pub(super) struct Graph<'s> {
    source: &'s Source<'s>,
    pub(super) nodes: Vec<Node>,
    seen: HashSet<Digest>,
    bytes: u64,
}

impl<'s> Graph<'s> {
    pub(super) fn new(source: &'s Source<'s>) -> Self {
        Self {
            source,
            nodes: Vec::new(),
            seen: HashSet::new(),
            bytes: 0,
        }
    }

    /// Adds a manifest and those that it names. Returns whether it is new.
    pub(super) fn add(
        &mut self,
        raw: Raw,
        tag: Option<String>,
        is_referrer: bool,
    ) -> Result<bool, Error> {
        self.nested(raw, tag, is_referrer, 0)
    }

    fn nested(
        &mut self,
        mut raw: Raw,
        tag: Option<String>,
        is_referrer: bool,
        depth: usize,
    ) -> Result<bool, Error> {
        if !self.seen.insert(raw.descriptor.digest) {
            return Ok(false);
        }
        self.bytes += raw.bytes.len() as u64;
        if self.seen.len() > MAX_MANIFESTS || depth > MAX_NESTING || self.bytes > MAX_DOCUMENTS {
            return Err(Error::TooMuch {
                reference: self.source.name(),
            });
        }
        let contents =
            Contents::parse(&raw.bytes).map_err(|source| registry::Error::BadManifest {
                registry: self.source.name(),
                name: raw.descriptor.digest.to_string(),
                source: Box::new(source),
            })?;
        if let Some(media_type) = &contents.media_type {
            raw.descriptor.media_type.clone_from(media_type);
        }
        for manifest in &contents.manifests {
            let child = self.source.manifest(manifest)?;
            self.nested(child, None, is_referrer, depth + 1)?;
        }
        self.nodes.push(Node {
            raw,
            contents,
            tag,
            is_referrer,
        });
        Ok(true)
    }

    /// Adds what refers to what is there, and what refers to that.
    pub(super) fn add_referrers(&mut self) -> Result<(), Error> {
        let mut next: Vec<Digest> = self.nodes.iter().map(Node::digest).collect();
        for _ in 0..MAX_NESTING {
            let mut found = Vec::new();
            for subject in std::mem::take(&mut next) {
                for referrer in self.source.referrers(&subject)? {
                    if self.seen.contains(&referrer.digest) {
                        continue;
                    }
                    let raw = self.source.manifest(&referrer)?;
                    let digest = raw.descriptor.digest;
                    if self.add(raw, None, true)? {
                        found.push(digest);
                    }
                }
                for end in TAGS {
                    let tag = format!("sha256-{}.{end}", subject.hex());
                    if let Some(raw) = self.source.tagged(&tag)? {
                        self.add(raw, Some(tag), true)?;
                    }
                }
            }
            if found.is_empty() {
                return Ok(());
            }
            next = found;
        }
        Err(Error::TooMuch {
            reference: self.source.name(),
        })
    }
}
