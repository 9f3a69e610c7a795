//! Brings kits from registries into the store, with those that they take their model from.

use std::{collections::HashSet, sync::Arc};

use super::{
    Error,
    transfer::{Moved, Network, Transfer},
};
use crate::{
    digest::Digest,
    kitfile::{Kitfile, MAX_CONFIG_BYTES},
    oci::{Descriptor, Family},
    platform,
    progress::Progress,
    reference::{self, Reference, model_path_reference},
    registry::{
        self, Fetched, Repository,
        download::{self, Downloads},
    },
    store::{Presence, Store, Trust, Writer},
};

/// The most parents that a kit may have, one above the other. The kit itself does not count.
const MAX_PARENTS: usize = 10;

/// What is pulled.
pub struct Options {
    /// The kit.
    pub reference: Reference,
    /// The digest that it must have.
    pub expected: Option<Digest>,
    /// Registries, beside the kit's own, that its parents may be on.
    pub parent_registries: Vec<String>,
    /// Blobs at a time.
    pub concurrency: usize,
    /// How they are fetched.
    pub download: download::Options,
}

/// Where repositories are found.
pub trait Registries {
    /// Returns a repository, reached with the login there is for it. Nothing is sent yet.
    fn repository(&self, name: &reference::Repository) -> Result<Repository, Error>;
    /// Tells whether there is a login for a repository.
    fn has_login(&self, name: &reference::Repository) -> Result<bool, Error>;
}

/// What was pulled.
#[derive(Debug)]
pub struct Report {
    /// The kit.
    pub kit: Pulled,
    /// The kits it takes its model from, the nearest first.
    pub parents: Vec<Pulled>,
    /// How it went.
    pub moved: Moved,
}

/// A kit that is in the store now.
#[derive(Clone, Debug)]
pub struct Pulled {
    /// The name it got.
    pub reference: Reference,
    /// Its manifest.
    pub descriptor: Descriptor,
    /// How many bytes its blobs have.
    pub size: u64,
}

/// A kit that is to be pulled.
struct Planned {
    reference: Reference,
    repository: Repository,
    fetched: Fetched,
    config: Vec<u8>,
    /// The kit that it takes its model from.
    parent: Option<Reference>,
}

/// Pulls a kit and its parents. Their documents come first: what cannot be pulled is refused
/// before anything large is fetched. The kit gets its name when all of it is in the store, after
/// its parents got theirs.
pub fn run(
    store: &Store,
    network: &Network,
    registries: &dyn Registries,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let puller = Puller {
        network,
        registries,
        options,
        progress,
    };
    let kit = puller.look(&options.reference)?;
    let digest = kit.fetched.descriptor.digest;
    if let Some(expected) = options.expected.filter(|expected| *expected != digest) {
        return Err(Error::Unexpected {
            reference: kit.reference.to_string(),
            expected,
            actual: digest,
        });
    }
    let mut kits = vec![kit];
    while let Some(next) = puller.parent(&kits)? {
        kits.push(next);
    }
    let writer = store.writer(progress)?;
    check_space(&writer, &kits)?;
    let downloads = Arc::new(Downloads::new(options.download));
    let transfer = Transfer {
        network,
        writer: &writer,
        downloads: &downloads,
        concurrency: options.concurrency,
        progress,
    };
    let mut moved = Moved::default();
    let mut done = Vec::new();
    for kit in kits.iter().rev() {
        done.push(puller.store(kit, &transfer, &mut moved)?);
    }
    let kit = done.pop().expect("the kit that was asked for is there");
    done.reverse();
    Ok(Report {
        kit,
        parents: done,
        moved,
    })
}

struct Puller<'p> {
    network: &'p Network,
    registries: &'p dyn Registries,
    options: &'p Options,
    progress: &'p dyn Progress,
}

impl Puller<'_> {
    /// Fetches the documents of a kit.
    fn look(&self, reference: &Reference) -> Result<Planned, Error> {
        let reference = reference.clone().or_latest();
        let name = reference
            .repository()
            .filter(|name| name.registry().is_some());
        let name = name.ok_or_else(|| Error::NoRegistry {
            reference: reference.to_string(),
        })?;
        let repository = self.registries.repository(name)?;
        let wanted = match (reference.digest(), reference.tag()) {
            (Some(digest), _) => digest.to_string(),
            (None, tag) => tag.unwrap_or(Reference::LATEST).to_owned(),
        };
        let fetched = self.wait(repository.manifest(&wanted))?;
        let config = &fetched.manifest.config;
        let family =
            Family::of_config(&config.media_type).ok_or_else(|| registry::Error::NotAKit {
                registry: repository.registry().name().to_owned(),
                name: reference.to_string(),
                what: what_it_is(&config.media_type),
            })?;
        let config = self.wait(repository.document(config, MAX_CONFIG_BYTES))?;
        let parent = match family {
            Family::ModelKit => {
                let kitfile = Kitfile::from_config(&config).map_err(|source| Error::Config {
                    reference: reference.to_string(),
                    source,
                })?;
                let named = kitfile.model_reference().and_then(model_path_reference);
                named.map(Reference::or_latest)
            }
            Family::ModelPack => None,
        };
        Ok(Planned {
            reference,
            repository,
            fetched,
            config,
            parent,
        })
    }

    /// Returns the parent of the last of `kits`, if it has one that can be pulled.
    fn parent(&self, kits: &[Planned]) -> Result<Option<Planned>, Error> {
        let last = kits.last().expect("there is the kit that was asked for");
        let Some(parent) = &last.parent else {
            return Ok(None);
        };
        let chain = || {
            let names = kits.iter().map(|kit| &kit.reference).chain([parent]);
            let names: Vec<_> = names.map(ToString::to_string).collect();
            names.join(" => ")
        };
        if kits.iter().any(|kit| kit.reference == *parent) {
            return Err(Error::ParentCircle { chain: chain() });
        }
        if kits.len() > MAX_PARENTS {
            return Err(Error::TooManyParents { chain: chain() });
        }
        let name = parent.repository().filter(|name| name.registry().is_some());
        let Some(name) = name else {
            self.progress.warn(&format!(
                "{} takes its model from {parent}, which names no registry: it is not pulled",
                last.reference
            ));
            return Ok(None);
        };
        self.check_registry(kits, name, parent)?;
        self.progress
            .status(&format!("Pulling {parent}, its parent"));
        let planned = self.look(parent).map_err(|error| Error::Parent {
            chain: chain(),
            source: Box::new(error),
        })?;
        let digest = planned.fetched.descriptor.digest;
        if kits
            .iter()
            .any(|kit| kit.fetched.descriptor.digest == digest)
        {
            return Err(Error::ParentCircle { chain: chain() });
        }
        Ok(Some(planned))
    }

    /// Refuses registries that whoever made the kit should not be able to send us to.
    fn check_registry(
        &self,
        kits: &[Planned],
        name: &reference::Repository,
        parent: &Reference,
    ) -> Result<(), Error> {
        let first = kits[0].repository.registry();
        let other = name.registry().unwrap_or_default();
        if other == first.name() {
            return Ok(());
        }
        let refuse = |is_private| Error::ParentElsewhere {
            parent: parent.to_string(),
            registry: other.to_owned(),
            is_private,
        };
        let repository = self.registries.repository(name)?;
        if repository.registry().is_private() && !first.is_private() {
            return Err(refuse(true));
        }
        let is_allowed = self.options.parent_registries.iter().any(|it| it == other);
        if is_allowed || self.registries.has_login(name)? {
            return Ok(());
        }
        Err(refuse(false))
    }

    /// Brings the rest of a kit into the store, and names it.
    fn store(
        &self,
        kit: &Planned,
        transfer: &Transfer<'_>,
        moved: &mut Moved,
    ) -> Result<Pulled, Error> {
        let writer = transfer.writer;
        let Fetched {
            descriptor,
            manifest,
            bytes,
        } = &kit.fetched;
        let size = manifest.blobs().map(|blob| blob.size).sum();
        let meter = self
            .progress
            .begin(&format!("Pulling {}", kit.reference), Some(size));
        let config = manifest.config.digest;
        writer.put(&kit.config)?;
        meter.advance(manifest.config.size);
        let mut absent = Vec::new();
        for blob in manifest.blobs().filter(|blob| blob.digest != config) {
            if writer.has(&blob.digest, blob.size, Trust::Recorded)? == Presence::Here {
                meter.advance(blob.size);
                moved.present += 1;
            } else {
                absent.push(blob.clone());
            }
        }
        // Small ones at the end: what is begun last is over soon.
        absent.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        moved.add(transfer.fetch(&kit.repository, absent, meter.as_ref())?);
        drop(meter);
        writer.put(bytes)?;
        self.warn_of_return(writer.store(), kit)?;
        let name = match kit.reference.digest() {
            Some(digest) => kit.reference.with_digest(digest),
            None => kit.reference.clone(),
        };
        writer.name(std::slice::from_ref(&name), descriptor)?;
        Ok(Pulled {
            reference: name,
            descriptor: descriptor.clone(),
            size,
        })
    }

    /// Warns of a tag that went back to a kit that it had left: a registry may have been set back,
    /// or may want us to use what is known to be bad.
    fn warn_of_return(&self, store: &Store, kit: &Planned) -> Result<(), Error> {
        let digest = kit.fetched.descriptor.digest;
        let now = store
            .entries(self.progress)?
            .into_iter()
            .find(|entry| entry.name.as_ref() == Some(&kit.reference) && entry.tag().is_some());
        let moves = now.is_some_and(|entry| entry.descriptor.digest != digest);
        let name = kit.reference.to_string();
        if moves
            && store
                .history()?
                .changes
                .iter()
                .any(|change| change.name == name && change.new == Some(digest))
        {
            self.progress.warn(&format!(
                "{name} went back to {digest}, which it had left: is that what was meant?"
            ));
        }
        Ok(())
    }

    fn wait<T>(
        &self,
        future: impl Future<Output = Result<T, registry::Error>>,
    ) -> Result<T, Error> {
        self.network.wait(self.progress, future)
    }
}

/// Fails if there is no room for what is to come.
fn check_space(writer: &Writer<'_>, kits: &[Planned]) -> Result<(), Error> {
    let store = writer.store();
    let mut seen = HashSet::new();
    let mut need = 0;
    for blob in kits.iter().flat_map(|kit| kit.fetched.manifest.blobs()) {
        if !seen.insert(blob.digest)
            || writer.has(&blob.digest, blob.size, Trust::Recorded)? == Presence::Here
        {
            continue;
        }
        need += blob.size.saturating_sub(store.partial_size(&blob.digest));
    }
    match platform::free_space(store.root()) {
        Some(have) if have < need => Err(Error::NoSpace {
            path: store.root().to_owned(),
            need,
            have,
        }),
        _ => Ok(()),
    }
}

/// Returns what an artifact with a config of this type is, which is not that of a kit.
fn what_it_is(media_type: &str) -> String {
    match media_type {
        "application/vnd.oci.image.config.v1+json"
        | "application/vnd.docker.container.image.v1+json" => {
            "a container image, not a kit".to_owned()
        }
        other => format!("not a kit: its config is of the type `{other}`"),
    }
}
