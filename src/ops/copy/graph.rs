//! What has to be copied: a manifest with all that it names, and what refers to it.

use std::collections::HashSet;

use super::source::Source;
use crate::{
    digest::Digest,
    oci::{Contents, Descriptor, Family, Manifest, media_type},
    ops::{Error, toc},
    progress::Progress,
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
    /// Its table of contents, which counts among its layers; only if the source has it.
    pub(super) toc: Option<Descriptor>,
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
    progress: &'s dyn Progress,
    nodes: Vec<Node>,
    seen: HashSet<Digest>,
    bytes: u64,
}

impl<'s> Graph<'s> {
    pub(super) fn new(source: &'s Source<'s>, progress: &'s dyn Progress) -> Self {
        Self {
            source,
            progress,
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
        let mut contents =
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
        let toc = self.toc(&raw)?;
        contents.layers.extend(toc.clone());
        self.nodes.push(Node {
            raw,
            contents,
            tag,
            toc,
            is_referrer,
        });
        Ok(true)
    }

    /// Returns the table of contents that a manifest names, if it is that of a kit and the source
    /// has it.
    fn toc(&self, raw: &Raw) -> Result<Option<Descriptor>, Error> {
        let manifest = Manifest::parse(&raw.bytes).ok();
        let kit = manifest.filter(|it| Family::of_config(&it.config.media_type).is_some());
        let Some(toc) = kit.and_then(|kit| toc::descriptor(&kit)) else {
            return Ok(None);
        };
        if self.source.has(&toc)? {
            return Ok(Some(toc));
        }
        self.progress.status(&format!(
            "The table of contents of {} is not there: the kit is whole without it",
            raw.descriptor.digest
        ));
        Ok(None)
    }

    /// Takes away what keeps the tables of contents alive where they are: whoever gets them makes
    /// that anew. Returns all else that was found.
    pub(super) fn finish(self) -> Vec<Node> {
        let known = self.seen;
        let mut nodes = self.nodes;
        nodes.retain(|node| {
            let contents = &node.contents;
            let about = contents.subject.as_ref().map(|it| it.digest);
            let is_keeper = contents.artifact_type.as_deref() == Some(media_type::TOC);
            !(is_keeper && about.is_some_and(|about| known.contains(&about)))
        });
        nodes
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
