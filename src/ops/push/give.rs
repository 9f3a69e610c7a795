//! Gives what a manifest names, wherever its content comes from, and then the manifest.

use std::{
    collections::{HashMap, HashSet},
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

use super::{Options, Pushed};
use crate::{
    digest::Digest,
    oci::{Descriptor, Manifest},
    ops::{
        Error,
        pull::Registries,
        transfer::{MAX_BLOBS_AT_ONCE, Network},
    },
    progress::Progress,
    reference::{self, Reference},
    registry::{self, Blob, Counts, Given, Supply, Uploader, together},
    store,
};

/// How many seconds what is being sent may take after the user wanted to stop.
const LONGEST_STOP: u64 = 20;

/// What gives the content of a blob.
pub(in crate::ops) type Contents<'c> =
    dyn Fn(&Descriptor) -> Result<Arc<dyn Supply>, Error> + Sync + 'c;

/// For each blob the other repositories of the registry that may have it.
pub(in crate::ops) type Elsewhere = HashMap<Digest, Vec<String>>;

/// A manifest and what it names.
pub(in crate::ops) struct Outgoing<'o> {
    /// What it is called here.
    pub(in crate::ops) called: String,
    /// What is done with it, as it is shown.
    pub(in crate::ops) label: &'static str,
    /// The manifest.
    pub(in crate::ops) manifest: &'o Descriptor,
    /// Its exact bytes.
    pub(in crate::ops) bytes: &'o [u8],
    /// Blobs that it names.
    pub(in crate::ops) layers: &'o [Descriptor],
    /// Blobs that speak of the others.
    pub(in crate::ops) configs: Vec<&'o Descriptor>,
    pub(in crate::ops) content: &'o Contents<'o>,
    /// Asked only if something has to be sent.
    pub(in crate::ops) elsewhere: &'o dyn Fn() -> Result<Elsewhere, Error>,
}

impl Outgoing<'_> {
    fn blobs(&self) -> impl Iterator<Item = Digest> {
        let all = self.layers.iter().chain(self.configs.iter().copied());
        all.map(|it| it.digest)
    }
}

/// Gives to registries. What it learns of one it knows for the next kit.
pub(in crate::ops) struct Giver<'p> {
    network: &'p Network,
    pub(super) registries: &'p dyn Registries,
    options: Options,
    progress: &'p dyn Progress,
    uploaders: HashMap<reference::Repository, Arc<Uploader>>,
}

impl<'p> Giver<'p> {
    pub(in crate::ops) fn new(
        network: &'p Network,
        registries: &'p dyn Registries,
        options: Options,
        progress: &'p dyn Progress,
    ) -> Self {
        Self {
            network,
            registries,
            options,
            progress,
            uploaders: HashMap::new(),
        }
    }

    /// Gives a manifest and what it names: blobs, the largest first, then its config, the manifest,
    /// its names. `targets` are in one repository; a digest stands for no name.
    pub(in crate::ops) fn give(
        &mut self,
        outgoing: &Outgoing<'_>,
        targets: &[Reference],
    ) -> Result<Pushed, Error> {
        let repository = targets.first().and_then(Reference::repository);
        let repository = repository.ok_or_else(|| Error::NoRegistry {
            reference: targets
                .first()
                .map_or_else(|| outgoing.called.clone(), ToString::to_string),
        })?;
        let uploader = self.uploader(repository)?;
        let counts = Arc::clone(uploader.counts());
        let sent_before = counts.sent.load(Ordering::Relaxed);
        let manifest = outgoing.manifest;
        let there = self.wait(uploader.find(&manifest.digest.to_string()))?;
        let was_there = there == Some(manifest.digest);
        let mut lost = Vec::new();
        let given = if was_there {
            Vec::new()
        } else {
            self.check_limits(&uploader, outgoing)?;
            self.blobs(outgoing, &uploader, repository, &mut lost)?
        };
        for target in targets {
            let name = match target.tag() {
                Some(tag) => tag.to_owned(),
                None => manifest.digest.to_string(),
            };
            if target.tag().is_some() || !was_there {
                self.wait(uploader.name(&name, manifest, outgoing.bytes))?;
            }
        }
        self.remember(outgoing, repository, &lost);
        let count = |is: fn(&Given) -> bool| given.iter().filter(|it| is(it)).count();
        let resumed = given.iter().map(|it| match it {
            Given::Uploaded { resumed } => *resumed,
            Given::Present | Given::Mounted(_) => 0,
        });
        Ok(Pushed {
            digest: manifest.digest,
            image: None,
            targets: targets.to_vec(),
            was_there,
            sent: count(|it| matches!(it, Given::Uploaded { .. })),
            mounted: count(|it| matches!(it, Given::Mounted(_))),
            present: count(|it| *it == Given::Present),
            resumed: resumed.sum(),
            sent_bytes: counts.sent.load(Ordering::Relaxed) - sent_before,
        })
    }

    /// Returns what gives to a repository.
    pub(in crate::ops) fn uploader(
        &mut self,
        name: &reference::Repository,
    ) -> Result<Arc<Uploader>, Error> {
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

    pub(in crate::ops) fn wait<T>(
        &self,
        future: impl Future<Output = Result<T, registry::Error>>,
    ) -> Result<T, Error> {
        self.network.wait(self.progress, future)
    }

    /// Says before the first byte what the registry will not take.
    fn check_limits(&self, uploader: &Uploader, outgoing: &Outgoing<'_>) -> Result<(), Error> {
        let habits = uploader.habits();
        let mut problems = Vec::new();
        if let Some(limit) = habits.max_layer() {
            let all = outgoing.layers.iter();
            let all = all.chain(outgoing.configs.iter().copied());
            for blob in all.filter(|blob| blob.size > limit) {
                problems.push(Error::AboveLimit {
                    registry: habits.name(),
                    what: format!("layer {}", blob.digest),
                    size: blob.size,
                    limit,
                });
            }
        }
        let longest = Manifest::MAX_LEN as u64;
        if outgoing.manifest.size > longest {
            problems.push(Error::AboveLimit {
                registry: habits.name(),
                what: "the manifest".to_owned(),
                size: outgoing.manifest.size,
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

    /// Returns where blobs may be taken from: first where they were seen.
    fn elsewhere(
        &self,
        outgoing: &Outgoing<'_>,
        target: &reference::Repository,
    ) -> Result<Elsewhere, Error> {
        let mut all = (outgoing.elsewhere)()?;
        if let (Some(places), Some(registry)) = (&self.options.places, target.registry()) {
            let seen = places.find(registry, target.path(), outgoing.blobs());
            for (blob, mut names) in seen {
                let others = all.remove(&blob).unwrap_or_default();
                let new = others.into_iter().filter(|it| !names.contains(it));
                let new: Vec<String> = new.collect();
                names.extend(new);
                all.insert(blob, names);
            }
        }
        Ok(all)
    }

    /// Remembers where the blobs are now, and which ones no other repository gave.
    fn remember(&self, outgoing: &Outgoing<'_>, target: &reference::Repository, lost: &[Digest]) {
        if let (Some(places), Some(registry)) = (&self.options.places, target.registry()) {
            let blobs: Vec<Digest> = outgoing.blobs().collect();
            places.learn(registry, target.path(), &blobs, lost);
        }
    }

    /// Gives all blobs. Those that were to be taken from elsewhere and could not be are `lost`.
    fn blobs(
        &self,
        outgoing: &Outgoing<'_>,
        uploader: &Uploader,
        target: &reference::Repository,
        lost: &mut Vec<Digest>,
    ) -> Result<Vec<Given>, Error> {
        let progress = self.progress;
        let elsewhere = self.elsewhere(outgoing, target)?;
        let mut seen = HashSet::new();
        let layers = outgoing.layers.iter();
        let mut blobs: Vec<_> = layers.filter(|blob| seen.insert(blob.digest)).collect();
        // Largest first: the tail of the run is then one small layer, not one big one.
        blobs.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        let configs = outgoing.configs.iter().copied();
        let all = blobs.iter().copied().chain(configs.clone());
        let meter = progress.begin(outgoing.label, Some(all.map(|blob| blob.size).sum()));
        let counts: Arc<Counts> = Arc::clone(uploader.counts());
        let mut shown = counts.done.load(Ordering::Relaxed);
        let mut stopping = None;
        let mut tick = || {
            let done = counts.done.load(Ordering::Relaxed);
            meter.advance(done.saturating_sub(shown));
            shown = done;
            !progress.cancelled() || self.ends_in_time(uploader, &mut stopping)
        };
        let give = async |blob: &Descriptor| {
            let content = (outgoing.content)(blob)?;
            let given = uploader.give(Blob {
                descriptor: blob.clone(),
                content,
                elsewhere: elsewhere.get(&blob.digest).cloned().unwrap_or_default(),
            });
            Ok::<_, Error>((blob.digest, given.await?))
        };
        let at_once = self.options.concurrency.min(MAX_BLOBS_AT_ONCE);
        let mut given = Vec::new();
        // The config comes after the layers that it speaks of.
        for blobs in [blobs, configs.collect()] {
            let all = together(blobs, at_once, give, &mut tick);
            match self.network.wait_patiently(all)? {
                Some(results) => given.extend(results),
                None => return Err(store::Error::Interrupted.into()),
            }
        }
        tick();
        let refused = |(digest, given): &&(Digest, Given)| {
            matches!(given, Given::Uploaded { .. }) && elsewhere.contains_key(digest)
        };
        lost.extend(given.iter().filter(refused).map(|(digest, _)| *digest));
        Ok(given.into_iter().map(|(_, given)| given).collect())
    }

    /// The user wants to stop. Tells whether to wait for what is being sent: a registry may drop an
    /// upload whose request is cut, with all that it has of it.
    fn ends_in_time(&self, uploader: &Uploader, since: &mut Option<Instant>) -> bool {
        uploader.begin_no_more();
        let left = uploader.under_way();
        let longest = Duration::from_secs(LONGEST_STOP);
        let is_new = since.is_none();
        let waited = since.get_or_insert_with(Instant::now).elapsed();
        if left > 0 && is_new {
            self.progress.status(
                "stopping when the chunks on their way have arrived; once more stops at once",
            );
        } else if left > 0 && waited >= longest {
            self.progress.warn(
                "not waited for any longer: what is cut now may have to be sent from its beginning",
            );
        }
        left > 0 && waited < longest
    }
}
