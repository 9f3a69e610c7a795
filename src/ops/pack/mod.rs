//! Packs a directory into an immutable kit in the store.

mod cuts;
mod direct;
mod layer;
mod prepare;
mod raw;
mod regenerate;
mod shards;
mod toc;

use std::path::PathBuf;

use super::{Error, chain::Parent, reuse::Reuse, segments::Segment};
use crate::{
    archive::{ignore::IgnoreRules, pack::Compression, walk::FollowLinks},
    cache::Cache,
    digest::Digest,
    glob::Pattern,
    kitfile::{Entry, Kitfile, MAX_CONFIG_BYTES},
    oci::{Descriptor, Manifest, annotation, media_type, segments},
    progress::Progress,
    reference::Reference,
    store::{Committed, Presence, Store, Trust, Writer},
    toc::{Absence, Table, TocRef},
};

pub use cuts::{cuts, has_cuts};
pub use direct::{Sent, Way, by_repository, send};
pub use prepare::{Prepared, emptiness, prepare};
pub use raw::MAX_RAW_FILES;
pub(super) use shards::cut_tree;
pub use shards::{MIN_SHARD_SIZE, MIN_SHARDED, ShardSize};
pub use toc::TOC_FROM;

/// What a layer is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum LayerFormat {
    /// A tar archive of an element's files.
    #[default]
    Tar,
    /// The content of one file; a folder becomes one layer for each of its files.
    Raw,
    /// The same as [`Self::Tar`], but large layers are kept in several blobs, their segments, which
    /// only this program reads.
    Chunked,
}

/// What to pack, and how.
#[expect(
    clippy::struct_excessive_bools,
    reason = "what a user can ask for is a set of independent switches"
)]
pub struct Options {
    /// The directory that the Kitfile's paths are relative to.
    pub context: PathBuf,
    /// What the kit is made of.
    pub kitfile: Kitfile,
    /// The kits that the model comes from, the nearest first; none if the model is this kit's own.
    pub parents: Vec<Parent>,
    /// Whether nobody wrote the Kitfile: then what looks private is kept out at any depth.
    pub drafted: bool,
    /// What is left out.
    pub rules: IgnoreRules,
    /// The names the kit gets; none leaves it addressed by digest alone.
    pub names: Vec<Reference>,
    /// What becomes of links.
    pub follow_links: FollowLinks,
    /// Whether permission bits are packed as they are.
    pub keep_modes: bool,
    /// Files that can be executed whatever their bits say.
    pub executable: Vec<Pattern>,
    /// Whether files that cannot be packed are errors.
    pub strict: bool,
    /// The value of the `created` annotation, RFC 3339; `None` leaves it out, so that the digest
    /// does not depend on the day.
    pub created: Option<String>,
    /// How layers are compressed.
    pub compression: Compression,
    /// What layers are.
    pub layer_format: LayerFormat,
    /// Which folders become several layers.
    pub shard_size: ShardSize,
    /// With [`LayerFormat::Chunked`]: how large segments are on average, if somebody says so.
    pub segment_size: Option<u64>,
    /// Whether a kit that is large enough gets a table of contents.
    pub toc: bool,
    /// How many threads work, at least one.
    pub threads: usize,
}

/// What was packed.
#[derive(Debug)]
pub struct Report {
    /// The manifest.
    pub manifest: Descriptor,
    /// Whether the manifest was new to the store.
    pub manifest_stored: Committed,
    /// The config.
    pub config: Descriptor,
    /// Whether the config was new to the store.
    pub config_stored: Committed,
    /// The layers in the order of the manifest.
    pub layers: Vec<PackedLayer>,
    /// The table of contents, if the kit has one.
    pub toc: Option<Descriptor>,
    /// Whether that was new to the store.
    pub toc_stored: Option<Committed>,
}

/// A layer that was packed.
#[derive(Debug)]
pub struct PackedLayer {
    /// The element of the Kitfile.
    pub entry: Entry,
    /// The layer as one blob, which it is unless it has segments.
    pub descriptor: Descriptor,
    /// The blobs that it is kept in, in order; none if it is kept as one.
    pub segments: Vec<Segment>,
    /// The digest of what the blob unpacks to.
    pub diff_id: Digest,
    /// How many files it holds.
    pub files: usize,
    /// The bytes of these files.
    pub bytes: u64,
    /// Whether it was new to the store; none if it did not go there.
    pub stored: Option<Committed>,
    /// Its table of contents, or why it has none; nothing if the kit gets none.
    table: Option<Result<Table, Absence>>,
}

impl PackedLayer {
    /// Returns its blobs as the manifest has them.
    fn blobs(&self) -> Vec<Descriptor> {
        if self.segments.is_empty() {
            return vec![self.descriptor.clone()];
        }
        let segments = self.segments.iter().map(|it| (it.digest, it.size));
        segments::describe(&self.descriptor, &segments.collect::<Vec<_>>())
    }
}

/// Packs what [`prepare()`] found and names the kit last.
pub fn run(
    options: &Options,
    prepared: &Prepared,
    store: &Store,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let writer = store.writer(progress)?;
    let reuse = Reuse::new(cache, &options.context);
    let trust = reuse.trust();
    let layers = layer::pack_all(options, prepared, Some(&writer), (&reuse, cache), progress);
    // Whatever came of it: what was found out about files is true.
    reuse.save();
    let layers = layers?;
    if let Some(warning) = raw::equal_files(&layers, &prepared.shapes) {
        progress.warn(&warning);
    }
    let config = config(prepared, &layers)?;
    let (config, config_stored) = put(&writer, media_type::CONFIG, &config, trust)?;
    let toc = toc::describe(&layers);
    let (toc, toc_stored) = match &toc {
        Some((toc, root)) => {
            let stored = toc::store(&writer, toc, root, &layers, trust)?;
            (Some(*toc), Some(stored))
        }
        None => (None, None),
    };
    let bytes = manifest(options, &config, &layers, toc.as_ref())?.to_bytes();
    let (manifest, manifest_stored) = put(&writer, media_type::MANIFEST, &bytes, trust)?;
    // Last: until here nothing refers to the blobs.
    writer.name(&options.names, &manifest)?;
    Ok(Report {
        manifest,
        manifest_stored,
        config,
        config_stored,
        layers,
        toc: toc.map(|toc| toc.descriptor()),
        toc_stored,
    })
}

/// Returns the config of a kit with these layers.
fn config(prepared: &Prepared, layers: &[PackedLayer]) -> Result<Vec<u8>, Error> {
    let mut kitfile = prepared.kitfile.clone();
    let known = layers.iter();
    kitfile.set_layers(known.map(|layer| (layer.descriptor.digest, layer.diff_id)));
    let config = kitfile.to_config();
    if config.len() > MAX_CONFIG_BYTES {
        return Err(Error::ConfigTooLarge { size: config.len() });
    }
    Ok(config)
}

/// Returns the manifest of a kit with this config and these layers.
fn manifest(
    options: &Options,
    config: &Descriptor,
    layers: &[PackedLayer],
    toc: Option<&TocRef>,
) -> Result<Manifest, Error> {
    let mut manifest = Manifest {
        artifact_type: Some(media_type::ARTIFACT.to_owned()),
        config: config.clone(),
        layers: layers.iter().flat_map(PackedLayer::blobs).collect(),
        annotations: options
            .created
            .iter()
            .map(|created| (annotation::CREATED.to_owned(), created.clone()))
            .collect(),
        subject: None,
    };
    if let Some(toc) = toc {
        toc.annotate(&mut manifest.annotations);
    }
    if manifest.to_bytes().len() > Manifest::MAX_LEN {
        return Err(Error::ManifestTooLarge {
            layers: manifest.layers.len(),
        });
    }
    Ok(manifest)
}

/// Stores a document, and tells whether it was new.
pub(super) fn put(
    writer: &Writer<'_>,
    media_type: &str,
    content: &[u8],
    trust: Trust,
) -> Result<(Descriptor, Committed), Error> {
    let descriptor = Descriptor::of(media_type, content);
    let before = writer.has(&descriptor.digest, descriptor.size, trust)?;
    writer.put(content)?;
    let committed = match before {
        Presence::Here => Committed::AlreadyThere,
        Presence::Absent => Committed::Stored,
        Presence::Damaged => Committed::Healed,
    };
    Ok((descriptor, committed))
}

/// Returns the digest line that scripts read.
pub fn saved_line(digest: Digest) -> String {
    format!("Model saved: {digest}")
}
