//! Gives kits to a registry.

mod elsewhere;
mod parents;

use std::{
    collections::HashMap,
    sync::{Arc, atomic::Ordering},
};

use super::{Error, pull::Registries, transfer::Network};
use crate::{
    digest::Digest,
    oci::{
        Descriptor, Manifest,
        compat::{self, Image},
    },
    progress::Progress,
    reference::{self, Reference},
    registry::{self, Blob, Counts, Given, Job, UploadOptions, Uploader, together},
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
    network: &'p Network,
    registries: &'p dyn Registries,
    options: Options,
    progress: &'p dyn Progress,
    uploaders: HashMap<reference::Repository, Arc<Uploader>>,
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
            network,
            registries,
            options,
            progress,
            uploaders: HashMap::new(),
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
            parents: self.parents(kit, registry)?,
            kit: self.one(kit)?,
        })
    }

    /// Pushes one kit: its blobs, the largest first, then its config, its manifest, its names.
    fn one(&mut self, kit: &Kit) -> Result<Pushed, Error> {
        let _lock = self.store.reader(self.progress)?;
        let descriptor = self.store.resolve(&kit.source, self.progress)?.descriptor;
        let stored = self.store.manifest(&descriptor)?;
        let target = kit.targets.first();
        let repository = target.and_then(Reference::repository);
        let repository = repository.ok_or_else(|| Error::NoRegistry {
            reference: target.unwrap_or(&kit.source).to_string(),
        })?;
        let uploader = self.uploader(repository)?;
        let image = image(&stored).filter(|_| self.options.compat);
        // What the registry knows as the manifest.
        let (manifest, bytes) = match &image {
            Some(image) => (&image.descriptor, &image.bytes),
            None => (&descriptor, &stored.bytes),
        };
        let counts = Arc::clone(uploader.counts());
        let sent_before = counts.sent.load(Ordering::Relaxed);
        let there = self.wait(uploader.find(&manifest.digest.to_string()))?;
        let was_there = there == Some(manifest.digest);
        let given = if was_there {
            Vec::new()
        } else {
            self.check_limits(&uploader, &stored, manifest)?;
            self.give(&stored, image.as_ref(), repository, &uploader)?
        };
        for target in &kit.targets {
            let name = match target.tag() {
                Some(tag) => tag.to_owned(),
                None => manifest.digest.to_string(),
            };
            if target.tag().is_some() || !was_there {
                self.wait(uploader.name(&name, manifest, bytes))?;
            }
        }
        let count = |is: fn(&Given) -> bool| given.iter().filter(|it| is(it)).count();
        let resumed = given.iter().map(|it| match it {
            Given::Uploaded { resumed } => *resumed,
            Given::Present | Given::Mounted(_) => 0,
        });
        Ok(Pushed {
            digest: descriptor.digest,
            image: image.as_ref().map(|image| image.descriptor.digest),
            targets: kit.targets.clone(),
            was_there,
            sent: count(|it| matches!(it, Given::Uploaded { .. })),
            mounted: count(|it| matches!(it, Given::Mounted(_))),
            present: count(|it| *it == Given::Present),
            resumed: resumed.sum(),
            sent_bytes: counts.sent.load(Ordering::Relaxed) - sent_before,
        })
    }

    /// Returns what gives to a repository.
    fn uploader(&mut self, name: &reference::Repository) -> Result<Arc<Uploader>, Error> {
        if let Some(known) = self.uploaders.get(name) {
            return Ok(Arc::clone(known));
        }
        if name.registry().is_none() {
            return Err(Error::NoRegistry {
                reference: name.to_string(),
            });
        }
        let repository = self.registries.repository(name)?;
        let uploader = Arc::new(Uploader::new(repository, self.options.upload.clone()));
        self.uploaders.insert(name.clone(), Arc::clone(&uploader));
        Ok(uploader)
    }

    fn wait<T>(
        &self,
        future: impl Future<Output = Result<T, registry::Error>>,
    ) -> Result<T, Error> {
        self.network.wait(self.progress, future)
    }

    /// Says before the first byte what the registry will not take.
    fn check_limits(
        &self,
        uploader: &Uploader,
        stored: &StoredManifest,
        manifest: &Descriptor,
    ) -> Result<(), Error> {
        let habits = uploader.habits();
        let mut problems = Vec::new();
        if let Some(limit) = habits.max_layer() {
            for blob in stored.manifest.blobs().filter(|blob| blob.size > limit) {
                problems.push(Error::AboveLimit {
                    registry: habits.name(),
                    what: format!("layer {}", blob.digest),
                    size: blob.size,
                    limit,
                });
            }
        }
        let longest = Manifest::MAX_LEN as u64;
        if manifest.size > longest {
            problems.push(Error::AboveLimit {
                registry: habits.name(),
                what: "the manifest".to_owned(),
                size: manifest.size,
                limit: longest,
            });
        }
        for problem in problems {
            if self.options.strict_limits {
                return Err(problem);
            }
            self.progress
                .warn(&format!("{problem}; trying all the same"));
        }
        Ok(())
    }

    /// Gives all blobs of a kit.
    fn give(
        &self,
        stored: &StoredManifest,
        image: Option<&Image>,
        repository: &reference::Repository,
        uploader: &Uploader,
    ) -> Result<Vec<Given>, Error> {
        let (store, progress) = (self.store, self.progress);
        let elsewhere = elsewhere::find(store, &stored.manifest, repository, progress)?;
        let mut blobs: Vec<&Descriptor> = Vec::new();
        for blob in &stored.manifest.layers {
            if !blobs.iter().any(|known| known.digest == blob.digest) {
                blobs.push(blob);
            }
        }
        // Largest first: the tail of the run is then one small layer, not one big one.
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let config = &stored.manifest.config;
        let total = blobs.iter().map(|blob| blob.size).sum::<u64>()
            + config.size
            + image.map_or(0, |image| image.config_descriptor.size);
        let meter = progress.begin("Pushing", Some(total));
        let counts: Arc<Counts> = Arc::clone(uploader.counts());
        let mut shown = counts.done.load(Ordering::Relaxed);
        let mut tick = || {
            let done = counts.done.load(Ordering::Relaxed);
            meter.advance(done.saturating_sub(shown));
            shown = done;
            !progress.cancelled()
        };
        let job = |blob: &Descriptor| -> Job<'_, Given, Error> {
            let descriptor = blob.clone();
            let elsewhere = elsewhere.get(&blob.digest).cloned().unwrap_or_default();
            Box::pin(async move {
                let file = store.open_blob(&descriptor.digest, descriptor.size)?;
                let given = uploader.give(Blob {
                    descriptor,
                    content: Arc::new(file),
                    elsewhere,
                });
                Ok(given.await?)
            })
        };
        let mut given = Vec::new();
        // The config comes after the layers that it speaks of.
        let mut configs = vec![job(config)];
        if let Some(image) = image {
            let blob = Blob {
                descriptor: image.config_descriptor.clone(),
                content: Arc::new(image.config.clone()),
                elsewhere: Vec::new(),
            };
            configs.push(Box::pin(async { Ok(uploader.give(blob).await?) }));
        }
        for jobs in [blobs.into_iter().map(&job).collect(), configs] {
            let all = together(jobs, self.options.concurrency, &mut tick);
            match self.network.wait(progress, all) {
                Ok(Some(results)) => given.extend(results),
                Ok(None) => return Err(store::Error::Interrupted.into()),
                Err(error) => return Err(damage(error)),
            }
        }
        tick();
        Ok(given)
    }
}

/// Returns a kit in the form of an image. None for what is not text, which no kit's manifest is.
fn image(stored: &StoredManifest) -> Option<Image> {
    let text = std::str::from_utf8(&stored.bytes).ok()?;
    Some(compat::wrap(&stored.manifest, text))
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
