//! Packs a directory into a registry: no copy of it is on disk.
//!
//! The directory is read twice, first to find the digests, then to send. So a layer that the
//! registry has is not sent, an upload that broke off goes on from where it stopped, also in another
//! run, and no registry is asked to take what has no name yet. What changes in between is noticed
//! by stamp, and by the digest at the latest: the upload is never finished.

use std::{io::Read as _, sync::Arc};

use super::{
    Options, PackedLayer, Prepared, config, layer, manifest, raw, regenerate::Source, toc,
};
use crate::{
    archive,
    cache::Cache,
    digest::Digest,
    oci::{Descriptor, compat, media_type},
    ops::{
        self, Error,
        pull::Registries,
        push::{self, Outgoing, Pushed, Pusher},
        reuse::Reuse,
        supply::{Content, Flow},
        toc::Keep,
        transfer::Network,
    },
    progress::Progress,
    reference::{self, Reference},
    registry::{self, Supply},
    store::Store,
};

/// The way to registries.
pub struct Way<'w> {
    /// What waits.
    pub network: &'w Network,
    /// Where repositories are found.
    pub registries: &'w dyn Registries,
    /// How blobs are sent.
    pub options: push::Options,
    /// Kits that are here say which other repositories may have a layer.
    pub store: &'w Store,
}

/// What was packed and sent.
#[derive(Debug)]
pub struct Sent {
    /// The manifest.
    pub manifest: Descriptor,
    /// The config.
    pub config: Descriptor,
    /// The layers in the order of the manifest.
    pub layers: Vec<PackedLayer>,
    /// The table of contents, if the kit has one.
    pub toc: Option<Descriptor>,
    /// What became of them, for each repository.
    pub pushed: Vec<Pushed>,
}

/// Packs what [`super::prepare()`] found into the repositories of the kit's names.
pub fn send(
    options: &Options,
    prepared: &Arc<Prepared>,
    way: &Way<'_>,
    cache: &Cache,
    progress: &dyn Progress,
) -> Result<Sent, Error> {
    let reuse = Reuse::new(cache, &options.context);
    let layers = layer::pack_all(options, prepared, None, (&reuse, cache), progress);
    // Whatever came of it: what was found out about files is true.
    reuse.save();
    let layers = layers?;
    if let Some(warning) = raw::equal_files(&layers, &prepared.shapes) {
        progress.warn(&warning);
    }
    let content = config(prepared, &layers)?;
    let config = Descriptor::of(media_type::CONFIG, &content);
    let toc = toc::describe(&layers);
    let document = manifest(options, &config, &layers, toc.as_ref().map(|(toc, _)| toc))?;
    let toc = toc.map(|(toc, root)| {
        let bytes = toc::bytes(&root, &layers);
        (toc.descriptor(), Arc::new(bytes))
    });
    let bytes = document.to_bytes();
    let manifest = Descriptor::of(media_type::MANIFEST, &bytes);
    let image = way.options.compat.then(|| {
        let text = std::str::from_utf8(&bytes).expect("a manifest that was written here is text");
        compat::wrap(&document, text, toc.as_ref().map(|(toc, _)| toc))
    });
    let at_once = way.options.concurrency.min(layers.len()).max(1);
    let threads = (options.threads / at_once).max(1);
    let supply = |blob: &Descriptor| -> Arc<dyn Supply> {
        if let Some((_, bytes)) = toc.as_ref().filter(|(toc, _)| toc.digest == blob.digest) {
            return bytes.clone();
        }
        match place(&layers, &blob.digest) {
            Some((index, start)) => {
                let source = Arc::new(Source {
                    prepared: Arc::clone(prepared),
                    index,
                    compression: prepared.compression(index, options.compression),
                    threads,
                });
                let size = blob.size;
                Arc::new(Flow::new(move |from| {
                    let content = source.open(start + from)?;
                    Ok(Box::new(content.take(size - from.min(size))) as Content)
                }))
            }
            None => Arc::new(match &image {
                Some(image) if image.config_descriptor.digest == blob.digest => {
                    image.config.clone()
                }
                _ => content.clone(),
            }),
        }
    };
    let options_of_push = way.options.clone();
    let mut way_out = Pusher::new(
        way.store,
        way.network,
        way.registries,
        options_of_push,
        progress,
    );
    let mut pushed: Vec<Pushed> = Vec::new();
    for targets in by_repository(&options.names) {
        let repository = targets[0].repository();
        // As far as they are here: whoever pulls the kit needs them, too.
        let registry = repository.and_then(reference::Repository::registry);
        way_out.parents_from(&targets[0], &prepared.kitfile, registry)?;
        let outgoing = Outgoing {
            called: targets[0].to_string(),
            label: "Pushing",
            manifest: image.as_ref().map_or(&manifest, |it| &it.descriptor),
            bytes: image.as_ref().map_or(&bytes, |it| &it.bytes),
            layers: &document.layers,
            configs: [&config]
                .into_iter()
                .chain(image.as_ref().map(|it| &it.config_descriptor))
                .chain(toc.as_ref().map(|(toc, _)| toc))
                .collect(),
            content: &|blob| Ok(supply(blob)),
            elsewhere: &|| match repository {
                Some(target) => {
                    let mut found = push::elsewhere::find(way.store, &document, target, progress)?;
                    for name in earlier(&pushed, target) {
                        for blob in document.blobs() {
                            found
                                .entry(blob.digest)
                                .or_default()
                                .insert(0, name.clone());
                        }
                    }
                    Ok(found)
                }
                None => Ok(push::Elsewhere::new()),
            },
        };
        let outcome = way_out.giver.give(&outgoing, &targets);
        let outcome = outcome.map_err(|error| changed(error, &layers))?;
        if let (Some((toc, _)), None) = (&toc, &image) {
            let keep = Keep {
                target: &targets[0],
                kit: &manifest,
                toc,
                content: &|blob| Ok(supply(blob)),
            };
            ops::toc::keep(&mut way_out.giver, &keep, progress)?;
        }
        pushed.push(Pushed {
            digest: manifest.digest,
            image: image.as_ref().map(|image| image.descriptor.digest),
            ..outcome
        });
    }
    Ok(Sent {
        manifest,
        config,
        layers,
        toc: toc.map(|(toc, _)| toc),
        pushed,
    })
}

/// Returns which layer a blob belongs to, and where in it the blob begins.
fn place(layers: &[PackedLayer], blob: &Digest) -> Option<(usize, u64)> {
    for (index, layer) in layers.iter().enumerate() {
        if layer.segments.is_empty() && layer.descriptor.digest == *blob {
            return Some((index, 0));
        }
        let mut start = 0;
        for segment in &layer.segments {
            if segment.digest == *blob {
                return Some((index, start));
            }
            start += segment.size;
        }
    }
    None
}

/// Returns the other repositories in the registry of `target` that have the kit by now.
fn earlier(pushed: &[Pushed], target: &reference::Repository) -> Vec<String> {
    let done = pushed.iter().filter_map(|it| it.targets[0].repository());
    done.filter(|it| it.registry() == target.registry())
        .map(|it| it.path().to_owned())
        .collect()
}

/// Returns names in groups of the same repository.
pub fn by_repository(names: &[Reference]) -> Vec<Vec<Reference>> {
    let mut groups: Vec<Vec<Reference>> = Vec::new();
    for name in names {
        let group = groups
            .iter_mut()
            .find(|group| group[0].repository() == name.repository());
        match group {
            Some(group) => group.push(name.clone()),
            None => groups.push(vec![name.clone()]),
        }
    }
    groups
}

/// Returns the failure of a layer that was to be sent as what it is: the directory's.
fn changed(error: Error, layers: &[PackedLayer]) -> Error {
    use registry::Error as E;
    match error {
        Error::Registry(E::Damaged { digest, actual }) => match place(layers, &digest) {
            Some((index, _)) => Error::ChangedLayer {
                path: layers[index].entry.path.clone(),
            },
            None => E::Damaged { digest, actual }.into(),
        },
        Error::Registry(E::Read { digest, source }) => match source.downcast::<archive::Error>() {
            Ok(cause) => cause.into(),
            Err(source) => E::Read { digest, source }.into(),
        },
        error => error,
    }
}
