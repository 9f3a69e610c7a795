//! Copies a manifest and all that it names from one registry or layout to another, byte for byte.
//!
//! Nothing of it lies on this machine's disks but in a layout that is written: blobs pass through,
//! and are checked as they do. A wrong one is never finished at the target. Manifests come after what
//! they name, the tag last.

mod graph;
mod layout;
mod source;

use std::{fmt, path::PathBuf};

use super::{
    Error,
    pull::Registries,
    push::{self, Elsewhere, Giver, Outgoing},
    referrers,
    toc::{self, Keep},
    transfer::Network,
};
use crate::{
    digest::Digest, limits::Limits, oci::Descriptor, progress::Progress, reference::Reference,
    registry,
};
use graph::{Graph, Node};
use layout::Target;
use source::Source;

/// Where something is copied from or to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Place {
    /// A name with a registry.
    Registry(Reference),
    /// An OCI image layout: a folder, or a tar file to be read.
    Layout {
        /// Where it is.
        path: PathBuf,
        /// The name in it.
        name: Option<String>,
    },
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(reference) => reference.fmt(f),
            Self::Layout { path, name } => f.write_str(&layout::shown(path, name.as_deref())),
        }
    }
}

/// What is copied.
pub struct Options {
    /// From where.
    pub source: Place,
    /// To where: names of one repository, or one place in a layout.
    pub targets: Vec<Place>,
    /// The digest that it must have.
    pub expected: Option<Digest>,
    /// Whether what refers to it is copied, too.
    pub with_referrers: bool,
    /// Whether only to tell what would be copied.
    pub dry_run: bool,
    /// What reading a tar file may cost.
    pub limits: Limits,
    /// How blobs are sent.
    pub push: push::Options,
}

/// What was copied, or would be.
#[derive(Clone, Debug)]
pub struct Report {
    /// The manifest.
    pub descriptor: Descriptor,
    /// What became of it and of what refers to it.
    pub moved: Moved,
    /// How many manifests refer to it, or to each other.
    pub referrers: usize,
}

/// Counts what was moved.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Moved {
    /// Manifests that the target has now.
    pub manifests: usize,
    /// Blobs that were sent.
    pub sent: usize,
    /// Blobs that a registry took from another of its repositories.
    pub mounted: usize,
    /// Blobs that were there.
    pub present: usize,
    /// Bytes of blobs that were sent.
    pub sent_bytes: u64,
    /// Bytes that an earlier run had sent.
    pub resumed: u64,
    /// Whether the target had the manifest, and so all of it.
    pub was_there: bool,
}

/// Copies.
pub fn run(
    network: &Network,
    registries: &dyn Registries,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let source = Source::open(options, network, registries, progress)?;
    let root = source.root(&options.source)?;
    let digest = root.descriptor.digest;
    if let Some(expected) = options.expected.filter(|expected| *expected != digest) {
        return Err(Error::Unexpected {
            reference: options.source.to_string(),
            expected,
            actual: digest,
        });
    }
    let mut graph = Graph::new(&source, progress);
    graph.add(root, None, false)?;
    if options.with_referrers {
        graph.add_referrers()?;
    }
    let nodes = graph.finish();
    let root = nodes.iter().find(|node| node.digest() == digest);
    let descriptor = root.map(|root| root.raw.descriptor.clone());
    let moved = if let Some(Place::Layout { path, name }) = options.targets.first() {
        let target = Target {
            path,
            name: name.as_deref(),
            concurrency: options.push.concurrency,
            throttle: options.push.upload.throttle.as_deref(),
            progress,
        };
        if options.dry_run {
            let (missing, present) = target.missing(&nodes)?;
            Moved {
                manifests: nodes.len(),
                sent: missing.len(),
                sent_bytes: missing.iter().map(|blob| blob.size).sum(),
                present,
                ..Moved::default()
            }
        } else {
            target.copy(&source, &nodes, &digest)?
        }
    } else {
        let mut copy = IntoRegistry {
            source: &source,
            giver: Giver::new(network, registries, options.push.clone(), progress),
            moved: Moved::default(),
            progress,
        };
        let targets = options.targets.iter().filter_map(|target| match target {
            Place::Registry(reference) => Some(reference.clone()),
            Place::Layout { .. } => None,
        });
        let targets: Vec<Reference> = targets.collect();
        if options.dry_run {
            copy.look(&nodes, &targets)?;
        } else {
            copy.run(&nodes, &digest, &targets)?;
        }
        copy.moved
    };
    Ok(Report {
        descriptor: descriptor.expect("it was added"),
        moved,
        referrers: nodes.iter().filter(|node| node.is_referrer).count(),
    })
}

struct IntoRegistry<'c> {
    source: &'c Source<'c>,
    giver: Giver<'c>,
    moved: Moved,
    progress: &'c dyn Progress,
}

impl IntoRegistry<'_> {
    fn run(&mut self, nodes: &[Node], root: &Digest, targets: &[Reference]) -> Result<(), Error> {
        let Some(first) = targets.first() else {
            return Ok(());
        };
        let (Some(repository), uploader) = (first.repository(), self.uploader(first)?) else {
            return Ok(());
        };
        let wanted = root.to_string();
        let was_there = self.giver.wait(uploader.find(&wanted))? == Some(*root);
        // Those that are named are there if what names them is.
        let is_needed = |node: &&Node| node.is_referrer || node.digest() == *root || !was_there;
        let from = self.source.path_in(repository);
        let mut tagged = Vec::new();
        for node in nodes.iter().filter(is_needed) {
            let name = match &node.tag {
                Some(tag) => first.with_tag(tag).ok(),
                None => None,
            };
            let by_digest = [name.unwrap_or_else(|| first.with_digest(node.digest()))];
            if node.digest() == *root {
                // Its names come when what refers to it is there, too.
                tagged.push(node);
                continue;
            }
            self.give(node, &by_digest, from.as_deref())?;
        }
        for node in tagged {
            self.give(node, targets, from.as_deref())?;
        }
        self.moved.was_there = was_there;
        let source = self.source;
        for node in nodes {
            let Some(toc) = &node.toc else {
                continue;
            };
            let keep = Keep {
                target: first,
                kit: &node.raw.descriptor,
                toc,
                content: &|blob| Ok(source.supply(blob)),
            };
            let kept = toc::keep(&mut self.giver, &keep, self.progress);
            kept.map_err(|error| why(error, source))?;
        }
        self.list_referrers(nodes, first)
    }

    fn uploader(&mut self, name: &Reference) -> Result<std::sync::Arc<registry::Uploader>, Error> {
        let repository = name.repository().ok_or_else(|| Error::NoRegistry {
            reference: name.to_string(),
        })?;
        self.giver.uploader(repository)
    }

    fn give(
        &mut self,
        node: &Node,
        targets: &[Reference],
        from: Option<&str>,
    ) -> Result<(), Error> {
        let contents = &node.contents;
        let source = self.source;
        let outgoing = Outgoing {
            called: source.name(),
            label: "Copying",
            manifest: &node.raw.descriptor,
            bytes: &node.raw.bytes,
            layers: &contents.layers,
            configs: contents.config.iter().collect(),
            content: &|blob| Ok(source.supply(blob)),
            elsewhere: &|| {
                let mut found = Elsewhere::new();
                for blob in contents.layers.iter().chain(&contents.config) {
                    if let Some(from) = from {
                        found.insert(blob.digest, vec![from.to_owned()]);
                    }
                }
                Ok(found)
            },
        };
        let given = self.giver.give(&outgoing, targets);
        let given = given.map_err(|error| why(error, source))?;
        let moved = &mut self.moved;
        moved.manifests += 1;
        moved.sent += given.sent;
        moved.mounted += given.mounted;
        moved.present += given.present;
        moved.sent_bytes += given.sent_bytes;
        moved.resumed += given.resumed;
        Ok(())
    }

    /// Where the registry keeps no lists of what refers to a manifest, keeps them under tags.
    fn list_referrers(&mut self, nodes: &[Node], target: &Reference) -> Result<(), Error> {
        let mut subjects: Vec<Digest> = Vec::new();
        for node in nodes {
            if let Some(subject) = &node.contents.subject
                && !subjects.contains(&subject.digest)
            {
                subjects.push(subject.digest);
            }
        }
        for subject in subjects {
            let uploader = self.uploader(target)?;
            let repository = uploader.repository();
            if self.giver.wait(repository.referrers(&subject))?.is_some() {
                continue;
            }
            let about = |node: &&Node| {
                let its = node.contents.subject.as_ref();
                its.is_some_and(|its| its.digest == subject)
            };
            let described = nodes.iter().filter(about).map(Node::described);
            referrers::list(&self.giver, &uploader, &subject, described.collect())?;
        }
        Ok(())
    }

    /// Counts what the target lacks.
    fn look(&mut self, nodes: &[Node], targets: &[Reference]) -> Result<(), Error> {
        let Some(first) = targets.first() else {
            return Ok(());
        };
        let uploader = self.uploader(first)?;
        let from = first.repository().and_then(|it| self.source.path_in(it));
        let mut seen = std::collections::HashSet::new();
        for node in nodes {
            self.moved.manifests += 1;
            let contents = &node.contents;
            for blob in contents.layers.iter().chain(&contents.config) {
                if !seen.insert(blob.digest) {
                    continue;
                }
                if self.giver.wait(uploader.has(blob))? {
                    self.moved.present += 1;
                } else if from.is_some() {
                    self.moved.mounted += 1;
                } else {
                    self.moved.sent += 1;
                    self.moved.sent_bytes += blob.size;
                }
            }
        }
        let all = self.moved;
        self.moved.was_there = all.sent == 0 && all.mounted == 0;
        Ok(())
    }
}

/// Returns what was wrong with a blob as what it is: the source's.
fn why(error: Error, source: &Source<'_>) -> Error {
    use registry::Error as E;
    match error {
        Error::Registry(E::Damaged { digest, actual }) => Error::WrongBlob {
            digest,
            peer: source.name(),
            actual,
        },
        Error::Registry(E::Read { digest, source }) => {
            let source = match source.downcast::<E>() {
                Ok(cause) => return cause.into(),
                Err(source) => source,
            };
            match source.downcast::<Error>() {
                Ok(cause) => cause,
                Err(source) => E::Read { digest, source }.into(),
            }
        }
        error => error,
    }
}
