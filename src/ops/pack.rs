//! Packs a directory into an immutable kit in the store.

use std::{
    path::{Path, PathBuf},
    sync::{
        Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use serde::Serialize;

use super::{
    Error, draft,
    kit::{layer_kind, noun},
};
use crate::{
    archive::{
        self,
        ignore::{IgnoreRules, describes_kit},
        pack::{Packed, Shape},
        walk::{self, FollowLinks, Found},
    },
    digest::Digest,
    kitfile::{Entry, Kitfile, Section},
    oci::{Descriptor, Encoding, Family, LayerType, Manifest, annotation, media_type},
    progress::{Meter, Progress},
    reference::Reference,
    store::{Committed, Presence, Store, Trust, Writer},
};

/// What to pack, and how.
pub struct Options {
    /// The directory that the Kitfile's paths are relative to.
    pub context: PathBuf,
    /// What the kit is made of.
    pub kitfile: Kitfile,
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
    /// Whether files that cannot be packed are errors.
    pub strict: bool,
    /// The value of the `created` annotation, RFC 3339; `None` leaves it out, so that the digest
    /// does not depend on the day.
    pub created: Option<String>,
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
}

/// A layer that was packed.
#[derive(Debug)]
pub struct PackedLayer {
    /// The element of the Kitfile.
    pub entry: Entry,
    /// The blob.
    pub descriptor: Descriptor,
    /// How many files it holds.
    pub files: usize,
    /// The bytes of these files.
    pub bytes: u64,
    /// Whether it was new to the store.
    pub stored: Committed,
}

/// A context that was walked: what a pack would hold.
pub struct Prepared {
    /// The layers' elements, in packing order.
    pub entries: Vec<Entry>,
    /// What the walk found.
    pub found: Found,
}

/// Walks the context: all of a pack that can be done without a store.
pub fn prepare(options: &Options, progress: &dyn Progress) -> Result<Prepared, Error> {
    let entries = options.kitfile.entries();
    let layers: Vec<String> = entries.iter().map(|entry| entry.clean.clone()).collect();
    let found = walk::walk(
        &options.context,
        &walk::Options {
            layers: &layers,
            rules: &options.rules,
            follow_links: options.follow_links,
            keep_modes: options.keep_modes,
            strict: options.strict,
            guard: options.drafted.then_some(&draft::guard),
        },
        progress,
    )?;
    refuse_ignored(&entries, &found)?;
    for (index, entry) in entries.iter().enumerate() {
        if entry.section == Section::McpServer {
            check_bundle(&options.context, entry, &found, index)?;
        }
    }
    Ok(Prepared { entries, found })
}

/// Refuses a Kitfile that names what a rule leaves out: one of the two is a mistake, and an empty
/// layer would hide it.
fn refuse_ignored(entries: &[Entry], found: &Found) -> Result<(), Error> {
    let mut ignored = Vec::new();
    for (index, entry) in entries.iter().enumerate() {
        let rule = found
            .ignored_layers
            .iter()
            .find(|(layer, _)| *layer == index);
        // What a rule leaves out may hold something that another rule brings back.
        let holds_files = found.tree.entries(index).any(|entry| is_file(&entry));
        if let (Some((_, rule)), false, false) = (rule, holds_files, describes_kit(&entry.clean)) {
            ignored.push(format!("{} `{}`: {rule}", noun(entry.section), entry.path));
        }
    }
    if ignored.is_empty() {
        return Ok(());
    }
    Err(Error::IgnoredElements { ignored })
}

/// Packs what [`prepare`] found and names the kit last.
pub fn run(
    options: &Options,
    prepared: &Prepared,
    store: &Store,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let writer = store.writer(progress)?;
    let packed = pack_layers(options, prepared, &writer, progress)?;

    let mut kitfile = options.kitfile.clone();
    let mut layers = Vec::with_capacity(packed.len());
    for (position, (entry, (packed, stored))) in prepared.entries.iter().zip(packed).enumerate() {
        // Nothing is compressed: what is stored is what it unpacks to.
        kitfile.set_layer(position, packed.digest, packed.digest);
        let tree = &prepared.found.tree;
        let files = tree.entries(position).filter(is_file);
        layers.push(PackedLayer {
            descriptor: describe(entry, &packed, &prepared.found, position),
            entry: entry.clone(),
            files: files.count(),
            bytes: tree.bytes(position),
            stored,
        });
    }
    let config = kitfile.to_config();
    let (config, config_stored) = put(&writer, media_type::CONFIG, &config)?;
    let manifest = Manifest {
        artifact_type: Some(media_type::ARTIFACT.to_owned()),
        config: config.clone(),
        layers: layers
            .iter()
            .map(|layer| layer.descriptor.clone())
            .collect(),
        annotations: options
            .created
            .iter()
            .map(|created| (annotation::CREATED.to_owned(), created.clone()))
            .collect(),
        subject: None,
    };
    let bytes = manifest.to_bytes();
    if bytes.len() > Manifest::MAX_LEN {
        return Err(Error::ManifestTooLarge {
            layers: layers.len(),
        });
    }
    let (manifest, manifest_stored) = put(&writer, media_type::MANIFEST, &bytes)?;
    // Last: until here nothing refers to the blobs.
    writer.name(&options.names, &manifest)?;
    Ok(Report {
        manifest,
        manifest_stored,
        config,
        config_stored,
        layers,
    })
}

/// Stores a document, and tells whether it was new.
pub(super) fn put(
    writer: &Writer<'_>,
    media_type: &str,
    content: &[u8],
) -> Result<(Descriptor, Committed), Error> {
    let descriptor = Descriptor::of(media_type, content);
    let before = writer.has(&descriptor.digest, descriptor.size, Trust::Recorded)?;
    writer.put(content)?;
    let committed = match before {
        Presence::Here => Committed::AlreadyThere,
        Presence::Absent => Committed::Stored,
        Presence::Damaged => Committed::Healed,
    };
    Ok((descriptor, committed))
}

fn is_file(entry: &archive::tree::Entry<'_>) -> bool {
    entry.kind() == archive::tree::Kind::File
}

/// Packs every layer, several at a time, and returns them in order.
fn pack_layers(
    options: &Options,
    prepared: &Prepared,
    writer: &Writer<'_>,
    progress: &dyn Progress,
) -> Result<Vec<(Packed, Committed)>, Error> {
    let tree = &prepared.found.tree;
    let count = prepared.entries.len();
    let total = (0..count).map(|layer| tree.bytes(layer)).sum();
    let meter = progress.begin("Packing", Some(total));
    let at_once = options.threads.clamp(1, count.max(1));
    let threads = (options.threads / at_once).max(1);
    let next = AtomicUsize::new(0);
    let done: Mutex<Vec<Option<(Packed, Committed)>>> = Mutex::new(vec![None; count]);
    let failure = Mutex::new(None);
    let work = || {
        loop {
            let layer = next.fetch_add(1, Ordering::Relaxed);
            if layer >= count {
                return;
            }
            let entry = &prepared.entries[layer];
            let stop = Stoppable {
                progress,
                failed: &failure,
            };
            let packed = pack_layer(entry, tree, layer, threads, writer, meter.as_ref(), &stop);
            match packed {
                Ok(packed) => lock(&done)[layer] = Some(packed),
                Err(error) => {
                    // The first failure is the cause; those after it are its echoes.
                    lock(&failure).get_or_insert(error);
                    return;
                }
            }
        }
    };
    thread::scope(|scope| {
        for _ in 1..at_once {
            // Where a process may have few threads, fewer do the work.
            let _ = thread::Builder::new().spawn_scoped(scope, work);
        }
        work();
    });
    if let Some(error) = lock(&failure).take() {
        return Err(error);
    }
    let done = done.into_inner().unwrap_or_else(PoisonError::into_inner);
    let all: Option<Vec<_>> = done.into_iter().collect();
    Ok(all.expect("without a failure every layer was packed"))
}

fn pack_layer(
    entry: &Entry,
    tree: &archive::tree::Tree,
    index: usize,
    threads: usize,
    writer: &Writer<'_>,
    meter: &dyn Meter,
    progress: &dyn Progress,
) -> Result<(Packed, Committed), Error> {
    let blob = writer.create()?;
    let layer = archive::pack::Layer {
        tree,
        index,
        shape: shape(entry),
        path: &entry.path,
    };
    let options = archive::pack::Options {
        threads,
        compression: archive::pack::Compression::None,
        file_digests: false,
    };
    let packed = archive::pack::write(layer, blob.file(), &options, meter, progress)?;
    let stored = blob.commit(&packed.digest, packed.size)?;
    Ok((packed, stored))
}

/// Passes a progress on, and counts as cancelled once some layer has failed.
struct Stoppable<'a> {
    progress: &'a dyn Progress,
    failed: &'a Mutex<Option<Error>>,
}

impl Progress for Stoppable<'_> {
    fn begin(&self, label: &str, total: Option<u64>) -> Box<dyn Meter> {
        self.progress.begin(label, total)
    }
    fn warn(&self, text: &str) {
        self.progress.warn(text);
    }
    fn status(&self, text: &str) {
        self.progress.status(text);
    }
    fn cancelled(&self) -> bool {
        self.progress.cancelled() || lock(self.failed).is_some()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn shape(entry: &Entry) -> Shape {
    match entry.section {
        Section::McpServer => Shape::Raw,
        _ => Shape::Tar,
    }
}

/// Describes a packed layer for the manifest.
fn describe(entry: &Entry, packed: &Packed, found: &Found, index: usize) -> Descriptor {
    let kind = layer_kind(entry.section);
    let layer_type = LayerType {
        family: Family::ModelKit,
        kind,
        encoding: match shape(entry) {
            Shape::Tar => Encoding::Tar,
            Shape::Raw => Encoding::Raw,
        },
    };
    let mut descriptor = Descriptor::new(&layer_type.to_string(), packed.digest, packed.size);
    let annotations = &mut descriptor.annotations;
    annotations.insert(annotation::FILE_PATH.to_owned(), entry.clean.clone());
    if entry.section == Section::Prompt {
        annotations.insert(
            annotation::LAYER_SUBTYPE.to_owned(),
            annotation::SUBTYPE_PROMPT.to_owned(),
        );
    }
    if shape(entry) == Shape::Raw {
        let mode = found
            .tree
            .entries(index)
            .find(is_file)
            .map(|file| file.mode());
        annotations.insert(
            annotation::FILE_METADATA.to_owned(),
            raw_metadata(&entry.clean, mode.unwrap_or(0o644), packed.size),
        );
    }
    descriptor
}

/// Returns the description of a raw layer's file, in which only its name, size and execute bit
/// are its own.
fn raw_metadata(path: &str, mode: u32, size: u64) -> String {
    #[derive(Serialize)]
    struct Metadata<'a> {
        name: &'a str,
        mode: u32,
        uid: u32,
        gid: u32,
        size: u64,
        mtime: &'a str,
        typeflag: u8,
    }
    let metadata = Metadata {
        name: path.rsplit('/').next().unwrap_or(path),
        mode,
        uid: 0,
        gid: 0,
        size,
        mtime: "1970-01-01T00:00:00Z",
        typeflag: 0,
    };
    String::from_utf8(crate::oci::json::to_vec(&metadata)).expect("JSON is UTF-8")
}

/// Checks that an MCP server's path is one file that is a bundle.
fn check_bundle(context: &Path, entry: &Entry, found: &Found, index: usize) -> Result<(), Error> {
    let files = found.tree.entries(index).filter(is_file).count();
    let path = context.join(&entry.clean);
    let result = if files == 1 {
        archive::mcpb::check_path(&path)
    } else {
        Err(archive::mcpb::NotABundle::NotAFile)
    };
    result.map_err(|source| Error::NotABundle {
        path: entry.path.clone(),
        source,
    })
}

/// Returns the line about a layer without content, if it has none.
pub fn emptiness(prepared: &Prepared, index: usize) -> Option<String> {
    let entry = &prepared.entries[index];
    let what = format!("{} `{}`", noun(entry.section), entry.path);
    // What a rule leaves out may hold something that another rule brings back.
    if !prepared.found.tree.is_empty(index) {
        return None;
    }
    let mut ignored = prepared.found.ignored_layers.iter();
    Some(match ignored.find(|(layer, _)| *layer == index) {
        Some((_, rule)) => format!("{what} is left out ({rule}): its layer is empty"),
        None => format!("{what} holds no content"),
    })
}

/// Returns the digest line that scripts read.
pub fn saved_line(digest: Digest) -> String {
    format!("Model saved: {digest}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::LayerKind;

    #[test]
    fn raw_metadata_holds_nothing_of_the_machine() {
        assert_eq!(
            raw_metadata("tools/a.mcpb", 0o755, 7),
            r#"{"name":"a.mcpb","mode":493,"uid":0,"gid":0,"size":7,"mtime":"1970-01-01T00:00:00Z","typeflag":0}"#
        );
        assert_eq!(layer_kind(Section::Prompt), LayerKind::Code);
    }
}
