//! Kits in the `ModelPack` format, which has no Kitfile of its own: where one is carried that one
//! is used, else one is made up.

use std::{io::Read, sync::Arc};

use super::{
    Error,
    files::is_below,
    kit::{self, Layer, ReadBlob, is_prompt},
};
use crate::{
    archive::{self, unpack::TarReader},
    digest::Digest,
    kitfile::{self, Entry, Kitfile, MAX_BYTES, ModelPackConfig, ModelPackLayer, NAMES, Section},
    limits::Limits,
    oci::{Descriptor, LayerKind, LayerType, Manifest, annotation},
    reference::Reference,
};

/// What a layer that holds a Kitfile may have beside its bytes: the frame of an archive, and what
/// compression adds.
const FRAME: u64 = 64 * 1024;
/// What is read of a layer that may hold a Kitfile.
pub(super) const MOST_OF_A_KITFILE: u64 = MAX_BYTES as u64 + FRAME;

/// What a `ModelPack` says of itself.
pub(super) struct Pack {
    /// Its Kitfile: carried as an annotation or as a file, or made up.
    pub(super) kitfile: Kitfile,
    /// The Kitfile among its files, as it is there.
    pub(super) carried: Option<Vec<u8>>,
    /// The diffIds of its layers, in order.
    pub(super) diff_ids: Vec<Option<Digest>>,
}

/// Reads a `ModelPack`. Its layers are not looked at, but for one that holds a Kitfile.
pub(super) fn read(
    reference: &Reference,
    manifest: &Manifest,
    config: &[u8],
    read: &ReadBlob<'_>,
) -> Result<Pack, Error> {
    let unreadable = |source| Error::Config {
        reference: reference.to_string(),
        source,
    };
    let config = ModelPackConfig::parse(config).map_err(unreadable)?;
    let diff_ids = match &config.diff_ids {
        None => vec![None; manifest.layers.len()],
        Some(told) if told.len() == manifest.layers.len() => {
            told.iter().copied().map(Some).collect()
        }
        Some(told) => {
            return Err(Error::Mismatch {
                reference: reference.to_string(),
                what: format!(
                    "the config has {} diffIds for {} layers",
                    told.len(),
                    manifest.layers.len()
                ),
            });
        }
    };
    let carried = carried(manifest, &diff_ids, read)?;
    let said = manifest.annotations.get(annotation::KITFILE);
    let kitfile = match (said, &carried) {
        (Some(text), _) => Kitfile::from_config(text.as_bytes()).map_err(unreadable)?,
        (None, Some(text)) if let Ok(parsed) = kitfile::parse_bytes(text) => parsed.kitfile,
        // A file that only has the name of a Kitfile is no reason not to open the kit.
        _ => make_up(&config, manifest, &diff_ids),
    };
    Ok(Pack {
        kitfile,
        carried,
        diff_ids,
    })
}

fn make_up(config: &ModelPackConfig, manifest: &Manifest, diff_ids: &[Option<Digest>]) -> Kitfile {
    let paths: Vec<_> = manifest.layers.iter().map(path).collect();
    let layers = manifest.layers.iter().zip(&paths).zip(diff_ids);
    config.kitfile(layers.filter_map(|((descriptor, path), diff_id)| {
        let layer_type = LayerType::parse(&descriptor.media_type)?;
        let path = match path {
            Some(path) => path,
            None if layer_type.encoding.is_raw() => return None,
            None => ".",
        };
        Some(ModelPackLayer {
            kind: layer_type.kind,
            is_prompt: is_prompt(descriptor),
            path,
            layer: kitfile::Layer {
                digest: Some(descriptor.digest),
                diff_id: *diff_id,
            },
        })
    }))
}

/// Returns the cleaned path that a layer says it holds.
fn path(layer: &Descriptor) -> Option<String> {
    let said = &layer.annotations;
    let path = said
        .get(annotation::FILE_PATH)
        .or_else(|| said.get(annotation::FILE_PATH_FORMER))?;
    Some(kitfile::clean(path)).filter(|_| !path.is_empty())
}

/// A layer that may hold a Kitfile.
pub(super) struct Candidate<'a> {
    pub(super) descriptor: &'a Descriptor,
    /// Where it stands in the manifest.
    position: usize,
    /// What the Kitfile is called.
    name: &'static str,
    layer_type: LayerType,
}

/// Returns the layers that say that they are a Kitfile, in the order in which they are believed.
pub(super) fn candidates(manifest: &Manifest) -> impl Iterator<Item = Candidate<'_>> {
    NAMES.into_iter().filter_map(|name| {
        let mut layers = manifest.layers.iter();
        let position = layers.position(|layer| path(layer).as_deref() == Some(name))?;
        let descriptor = &manifest.layers[position];
        let layer_type = LayerType::parse(&descriptor.media_type)?;
        let fits = descriptor.size <= MOST_OF_A_KITFILE;
        fits.then_some(Candidate {
            descriptor,
            position,
            name,
            layer_type,
        })
    })
}

/// Reads the Kitfile among the files of a kit, if a layer says that it is one.
fn carried(
    manifest: &Manifest,
    diff_ids: &[Option<Digest>],
    read: &ReadBlob<'_>,
) -> Result<Option<Vec<u8>>, Error> {
    for candidate in candidates(manifest) {
        let Candidate {
            descriptor, name, ..
        } = candidate;
        // Small, so it is checked before anything of it is understood.
        let blob = read(descriptor, MOST_OF_A_KITFILE)?;
        let entry = Entry {
            section: Section::Part,
            index: 0,
            shard: 0,
            name: String::new(),
            path: name.to_owned(),
            clean: name.to_owned(),
            digest: Some(descriptor.digest),
            diff_id: diff_ids[candidate.position],
        };
        let layer = Layer {
            descriptor: descriptor.clone(),
            layer_type: candidate.layer_type,
            segments: Arc::default(),
            entry,
        };
        if let Some(text) = file_in(&layer, &blob, name, &Limits::default())?
            && text.len() <= MAX_BYTES
        {
            return Ok(Some(text));
        }
    }
    Ok(None)
}

/// Returns the beginning of the file `name` in a layer, more of it than a Kitfile can hold.
fn file_in(
    layer: &Layer,
    blob: &[u8],
    name: &str,
    limits: &Limits,
) -> Result<Option<Vec<u8>>, Error> {
    fn beginning(content: impl Read) -> Result<Option<Vec<u8>>, Error> {
        let mut text = Vec::new();
        let mut content = content.take(MAX_BYTES as u64 + 1);
        let read = content.read_to_end(&mut text);
        read.map_err(archive::Error::read)?;
        Ok(Some(text))
    }
    let content = layer.decompressed(blob, limits)?;
    if layer.layer_type.encoding.is_raw() {
        return beginning(content);
    }
    let mut tar = TarReader::of(content);
    while let Some(entry) = tar.next_entry()? {
        if entry.path == name.as_bytes() {
            return beginning(tar);
        }
    }
    Ok(None)
}

/// Gives each layer an element of the Kitfile: the one with its digest, the one with the longest
/// path above its own, or for want of a path the next one of its kind. A layer without any gets
/// an element of its own, and elements without layers are left alone: the Kitfile of a kit that
/// another tool packed may say more than was packed.
pub(super) fn match_layers(
    reference: &Reference,
    manifest: &Manifest,
    kitfile: &Kitfile,
    diff_ids: &[Option<Digest>],
) -> Result<Vec<Layer>, Error> {
    let entries = kitfile.layers();
    let mut is_taken = vec![false; entries.len()];
    let mut layers = Vec::with_capacity(manifest.layers.len());
    for (descriptor, diff_id) in manifest.layers.iter().zip(diff_ids) {
        let layer_type = kit::layer_type(reference, descriptor)?;
        let path = path(descriptor);
        if path.is_none() && layer_type.encoding.is_raw() {
            return Err(Error::NoPath {
                reference: reference.to_string(),
                digest: descriptor.digest,
            });
        }
        let fits = |entry: &Entry| kit::holds(layer_type.kind, is_prompt(descriptor), entry);
        let by_digest = || {
            let mut entries = entries.iter();
            entries.position(|entry| entry.digest == Some(descriptor.digest) && fits(entry))
        };
        let by_path = |path: &str| {
            let above = entries
                .iter()
                .enumerate()
                .filter(|(_, entry)| is_below(path, &entry.clean));
            let best = above.max_by_key(|(place, entry)| {
                let length = if entry.clean == "." {
                    0
                } else {
                    entry.clean.len()
                };
                (length, fits(entry), std::cmp::Reverse(*place))
            });
            best.map(|(place, _)| place)
        };
        let by_order = || {
            let mut places = entries.iter().zip(&is_taken);
            places.position(|(entry, taken)| !taken && entry.digest.is_none() && fits(entry))
        };
        let place = by_digest().or_else(|| match &path {
            Some(path) => by_path(path),
            None => by_order(),
        });
        let own = match place {
            Some(place) => {
                is_taken[place] = true;
                entries[place].clone()
            }
            None => Entry {
                section: section(layer_type.kind, is_prompt(descriptor)),
                index: 0,
                shard: 0,
                name: String::new(),
                path: path.clone().unwrap_or_default(),
                clean: ".".to_owned(),
                digest: None,
                diff_id: None,
            },
        };
        let layer = Layer {
            descriptor: descriptor.clone(),
            segments: Arc::default(),
            layer_type,
            entry: Entry {
                clean: path.unwrap_or(own.clean),
                digest: Some(descriptor.digest),
                diff_id: *diff_id,
                ..own
            },
        };
        if let Some(flag) = layer.other_than_file()
            && layer_type.encoding.is_raw()
        {
            return Err(Error::Unsupported {
                reference: reference.to_string(),
                what: format!(
                    "the raw layer `{}` is no file, but of type {flag}",
                    layer.entry.clean
                ),
            });
        }
        layers.push(layer);
    }
    Ok(layers)
}

const fn section(kind: LayerKind, is_prompt: bool) -> Section {
    match kind {
        LayerKind::Model => Section::Model,
        LayerKind::ModelPart => Section::Part,
        LayerKind::Code if is_prompt => Section::Prompt,
        LayerKind::Code => Section::Code,
        LayerKind::Dataset => Section::Dataset,
        LayerKind::Docs => Section::Docs,
        LayerKind::McpServer => Section::McpServer,
    }
}
