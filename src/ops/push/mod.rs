//! Gives kits to a registry.

pub(super) mod elsewhere;
mod give;
mod parents;

use std::sync::Arc;

pub(super) use give::{Contents, Elsewhere, Giver, Outgoing};

use super::{
    Error,
    pull::Registries,
    toc::{self, Keep},
    transfer::Network,
};
use crate::{
    cache::Places,
    digest::Digest,
    oci::{
        Descriptor,
        compat::{self, Image},
    },
    progress::Progress,
    reference::{self, Reference},
    registry::UploadOptions,
    store::{self, Store, StoredManifest},
};

/// How kits are pushed.
#[derive(Clone, Debug)]
pub struct Options {
    /// Blobs that are sent at the same time.
    pub concurrency: usize,
    /// Whether a limit of the registry that a kit exceeds is an error before anything is sent.
    pub strict_limits: bool,
    /// Whether kits are pushed in the form of container images.
    pub compat: bool,
    /// Where blobs were seen before, if that is known.
    pub places: Option<Places>,
    /// How blobs are sent.
    pub upload: UploadOptions,
}

/// One kit and what it is to be called in the registry.
#[derive(Clone, Debug)]
pub struct Kit {
    /// Its name or digest here.
    pub source: Reference,
    /// Its names there, one at least and all in one repository; a digest for none.
    pub targets: Vec<Reference>,
}

/// What was pushed.
#[derive(Debug)]
pub struct Report {
    /// The kit.
    pub kit: Pushed,
    /// The kits it takes its model from that were not there, the farthest first.
    pub parents: Vec<Pushed>,
}

/// A kit that was pushed.
#[derive(Debug)]
pub struct Pushed {
    /// The kit.
    pub digest: Digest,
    /// The image that it was pushed as, if it was.
    pub image: Option<Digest>,
    /// Its names in the registry.
    pub targets: Vec<Reference>,
    /// Whether the registry had all of it.
    pub was_there: bool,
    /// Blobs that were sent.
    pub sent: usize,
    /// Blobs that the registry took from another of its repositories.
    pub mounted: usize,
    /// Blobs that were there.
    pub present: usize,
    /// Bytes that an earlier run had sent.
    pub resumed: u64,
    /// Bytes of blobs that were sent, with those that had to be sent again.
    pub sent_bytes: u64,
}

/// Pushes kits. What it learns of a registry with one it knows for the next.
pub struct Pusher<'p> {
    store: &'p Store,
    pub(super) giver: Giver<'p>,
    compat: bool,
    progress: &'p dyn Progress,
}

impl<'p> Pusher<'p> {
    /// Returns what pushes from `store`. Nothing is sent yet.
    pub fn new(
        store: &'p Store,
        network: &'p Network,
        registries: &'p dyn Registries,
        options: Options,
        progress: &'p dyn Progress,
    ) -> Self {
        Self {
            store,
            compat: options.compat,
            giver: Giver::new(network, registries, options, progress),
            progress,
        }
    }

    /// Makes sure that all of `kits` are in the store, before anything is sent of one.
    pub fn check(&self, kits: &[Kit]) -> Result<(), Error> {
        for kit in kits {
            self.store.resolve(&kit.source, self.progress)?;
        }
        Ok(())
    }

    /// Pushes a kit, after the kits that it takes its model from, as far as the registry lacks
    /// them and the store has them.
    pub fn push(&mut self, kit: &Kit) -> Result<Report, Error> {
        let target = kit.targets.first().and_then(Reference::repository);
        let registry = target.and_then(reference::Repository::registry);
        Ok(Report {
            parents: self.parents(&kit.source, registry)?,
            kit: self.one(kit)?,
        })
    }

    /// Pushes one kit: its blobs, the largest first, then its config, its manifest, its names.
    fn one(&mut self, kit: &Kit) -> Result<Pushed, Error> {
        let _lock = self.store.reader(self.progress)?;
        let descriptor = self.store.resolve(&kit.source, self.progress)?.descriptor;
        let stored = self.store.manifest(&descriptor)?;
        let (store, progress) = (self.store, self.progress);
        let toc = toc::here(store, &kit.source, &stored.manifest, progress);
        let image = image(&stored, toc.as_ref()).filter(|_| self.compat);
        let layers: Vec<Descriptor> = stored.manifest.layers.iter().chain(&toc).cloned().collect();
        // What the registry knows as the manifest.
        let (manifest, bytes) = match &image {
            Some(image) => (&image.descriptor, &image.bytes),
            None => (&descriptor, &stored.bytes),
        };
        let mut configs = vec![&stored.manifest.config];
        configs.extend(image.as_ref().map(|image| &image.config_descriptor));
        let repository = kit.targets.first().and_then(Reference::repository);
        let outgoing = Outgoing {
            called: kit.source.to_string(),
            label: "Pushing",
            manifest,
            bytes,
            layers: &layers,
            configs,
            content: &|blob| {
                let image = image.as_ref();
                let image = image.filter(|image| image.config_descriptor.digest == blob.digest);
                Ok(match image {
                    Some(image) => Arc::new(image.config.clone()),
                    None => Arc::new(store.open_blob(&blob.digest, blob.size)?),
                })
            },
            elsewhere: &|| match repository {
                Some(target) => elsewhere::find(store, &stored.manifest, target, progress),
                None => Ok(Elsewhere::new()),
            },
        };
        let given = self.giver.give(&outgoing, &kit.targets).map_err(damage)?;
        if let (Some(toc), Some(target), None) = (&toc, kit.targets.first(), &image) {
            let keep = Keep {
                target,
                kit: &descriptor,
                toc,
                content: &|blob| Ok(Arc::new(store.open_blob(&blob.digest, blob.size)?)),
            };
            toc::keep(&mut self.giver, &keep, progress).map_err(damage)?;
        }
        Ok(Pushed {
            digest: descriptor.digest,
            image: image.as_ref().map(|image| image.descriptor.digest),
            ..given
        })
    }
}

/// Returns a kit in the form of an image. None for what is not text, which no kit's manifest is.
fn image(stored: &StoredManifest, toc: Option<&Descriptor>) -> Option<Image> {
    let text = std::str::from_utf8(&stored.bytes).ok()?;
    Some(compat::wrap(&stored.manifest, text, toc))
}

/// Returns damage that was found on the way as what it is: the store's.
fn damage(error: Error) -> Error {
    use crate::registry::Error as E;
    match error {
        Error::Registry(E::Damaged { digest, actual }) => store::Error::Damaged {
            digest,
            damage: store::Damage::Content { actual },
        }
        .into(),
        error => error,
    }
}
