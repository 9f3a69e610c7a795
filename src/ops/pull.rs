//! Brings kits from registries into the store, with those that they take their model from.

use std::{cell::RefCell, collections::HashSet, path::PathBuf, slice, sync::Arc};

use super::{
    Error,
    chain::{self, ChainError, Child},
    delta::{Coming, Estimate, coming_contents},
    kit,
    remote::{Remote, needs_registry, registry_of},
    toc::Parts,
    transfer::{Moved, Network, Transfer},
};
use crate::{
    digest::Digest,
    kitfile::{Kitfile, MAX_CONFIG_BYTES},
    oci::{Descriptor, Family},
    platform,
    progress::{Progress, Silent},
    reference::{self, Reference},
    registry::{
        self, Fetched, Repository,
        download::{self, Downloads},
    },
    store::{self, Presence, Store, Trust, Writer},
};

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
    /// Folders in whose files what is wanted is looked for.
    pub trees: Vec<PathBuf>,
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
    /// Says which kit it takes its model from; one of another format says nothing.
    kitfile: Kitfile,
}

/// Pulls kits, or looks what that would take.
pub struct Pull<'p> {
    /// Where they go.
    pub store: &'p Store,
    /// What waits.
    pub network: &'p Network,
    /// Where they come from.
    pub registries: &'p dyn Registries,
    /// What is pulled.
    pub options: &'p Options,
    /// Who is told.
    pub progress: &'p dyn Progress,
}

/// What a pull would do.
#[derive(Debug)]
pub struct Plan {
    /// The kit.
    pub kit: Pulled,
    /// The kits it takes its model from, the nearest first.
    pub parents: Vec<Pulled>,
    /// How many bytes would come.
    pub estimate: Estimate,
    /// How many blobs are there.
    pub present: usize,
}

fn check_digest(kit: &Planned, options: &Options) -> Result<(), Error> {
    let digest = kit.fetched.descriptor.digest;
    match options.expected.filter(|expected| *expected != digest) {
        Some(expected) => Err(Error::Unexpected {
            reference: kit.reference.to_string(),
            expected,
            actual: digest,
        }),
        None => Ok(()),
    }
}

impl Planned {
    /// Returns the kit with the name it gets.
    fn pulled(&self) -> Pulled {
        let descriptor = self.fetched.descriptor.clone();
        let reference = match self.reference.digest() {
            // It may be that of an index, or of an image that holds the kit.
            Some(_) => self.reference.with_digest(descriptor.digest),
            None => self.reference.clone(),
        };
        Pulled {
            reference,
            size: self.fetched.manifest.blobs().map(|blob| blob.size).sum(),
            descriptor,
        }
    }
}

impl Pull<'_> {
    /// Pulls a kit and its parents. Their documents come first: what cannot be pulled is refused
    /// before anything large is fetched. The kit gets its name when all of it is in the store, after
    /// its parents got theirs.
    pub fn run(&self) -> Result<Report, Error> {
        let kits = self.look_at_all()?;
        let writer = self.store.writer(self.progress)?;
        check_space(&writer, &kits)?;
        let downloads = Arc::new(Downloads::new(self.options.download));
        let transfer = Transfer {
            network: self.network,
            writer: &writer,
            downloads: &downloads,
            concurrency: self.options.concurrency,
            progress: self.progress,
        };
        let mut moved = Moved::default();
        let mut done = Vec::new();
        for kit in kits.iter().rev() {
            let stored = self.store(kit, &transfer, &mut moved);
            done.push(stored.map_err(|error| unfinished(self.store, &kits, error))?);
        }
        let kit = done.pop().expect("the kit that was asked for is there");
        done.reverse();
        Ok(Report {
            kit,
            parents: done,
            moved,
        })
    }

    /// Looks what a pull would fetch. Nothing is written; of what would be fetched the documents
    /// are, and of tables of contents what tells of layers that are not here.
    pub fn plan(&self) -> Result<Plan, Error> {
        let kits = self.look_at_all()?;
        let downloads = Arc::new(Downloads::new(self.options.download));
        let parts = Parts::new(self.network, downloads, self.progress);
        let (mut estimate, mut present) = (Estimate::default(), 0);
        for kit in &kits {
            let coming = self.coming(kit);
            present += coming.estimate(self.store, &parts, &mut estimate)?;
        }
        let mut kits = kits.iter().map(Planned::pulled);
        Ok(Plan {
            kit: kits.next().expect("the kit that was asked for is there"),
            parents: kits.collect(),
            estimate,
            present,
        })
    }

    /// Fetches the documents of the kit and of its parents, the nearest first.
    fn look_at_all(&self) -> Result<Vec<Planned>, Error> {
        let kit = self.look(&self.options.reference)?;
        check_digest(&kit, self.options)?;
        self.with_parents(kit)
    }

    /// Fetches the documents of a kit.
    fn look(&self, reference: &Reference) -> Result<Planned, Error> {
        let reference = reference.clone().or_latest();
        let repository = self.registries.repository(needs_registry(&reference)?)?;
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
        let kitfile = match family {
            Family::ModelKit => Kitfile::from_config(&config).map_err(|source| Error::Config {
                reference: reference.to_string(),
                source,
            })?,
            Family::ModelPack => Kitfile::default(),
        };
        Ok(Planned {
            reference,
            repository,
            fetched,
            config,
            kitfile,
        })
    }

    /// Returns `kit` and the parents it has, the nearest first.
    fn with_parents(&self, kit: Planned) -> Result<Vec<Planned>, Error> {
        let (name, descriptor) = (kit.reference.clone(), kit.fetched.descriptor.clone());
        let (kitfile, first) = (kit.kitfile.clone(), name.repository().cloned());
        let remote = Remote {
            network: self.network,
            registries: self.registries,
            parent_registries: &self.options.parent_registries,
            progress: self.progress,
        };
        let child = Child {
            names: slice::from_ref(&name),
            descriptor: Some(&descriptor),
            kitfile: &kitfile,
        };
        let kits = RefCell::new(vec![kit]);
        let followed = chain::follow(child, &|parent| {
            if registry_of(parent).is_none() {
                return self.here(parent);
            }
            remote.check_parent(first.as_ref(), parent)?;
            self.progress
                .status(&format!("Pulling {parent}, its parent"));
            let planned = self.look(parent)?;
            let found = (planned.fetched.descriptor.clone(), planned.kitfile.clone());
            kits.borrow_mut().push(planned);
            Ok(found)
        });
        match followed {
            Ok(_) => {}
            // It is on no registry, and not here: perhaps whoever made the kit has it.
            Err(Error::Chain(error)) if names_no_registry(&error) => {
                if let ChainError::Unusable { parent, chain, .. } = *error {
                    self.progress.warn(&format!(
                        "{parent} names no registry: that parent is not pulled ({chain})"
                    ));
                }
            }
            Err(error) => return Err(error),
        }
        Ok(kits.into_inner())
    }

    /// Finds a parent that no registry can have in the store.
    fn here(&self, parent: &Reference) -> Result<(Descriptor, Kitfile), Error> {
        match kit::look(self.store, parent, self.progress) {
            Ok((descriptor, documents)) => {
                self.progress
                    .status(&format!("{parent}, its parent, is in the store"));
                Ok((descriptor, documents.kitfile))
            }
            Err(Error::Store(store::Error::NotFound { .. })) => Err(Error::NoRegistry {
                reference: parent.to_string(),
            }),
            Err(error) => Err(error),
        }
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
        moved.add(self.coming(kit).fetch(transfer, absent, meter.as_ref())?);
        drop(meter);
        writer.put(bytes)?;
        self.warn_of_return(writer.store(), kit)?;
        let pulled = kit.pulled();
        writer.name(slice::from_ref(&pulled.reference), descriptor)?;
        Ok(pulled)
    }

    /// Returns a kit as it is fetched.
    fn coming<'k>(&'k self, kit: &'k Planned) -> Coming<'k> {
        Coming {
            manifest: &kit.fetched.manifest,
            repository: &kit.repository,
            name: kit.reference.repository(),
            trees: &self.options.trees,
            progress: self.progress,
        }
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

fn names_no_registry(error: &ChainError) -> bool {
    let ChainError::Unusable { source, .. } = error else {
        return false;
    };
    matches!(**source, Error::NoRegistry { .. })
}

/// Tells what is left for the next pull of `kits`, beside why this one ended.
fn unfinished(store: &Store, kits: &[Planned], error: Error) -> Error {
    let blobs = kits.iter().flat_map(|kit| kit.fetched.manifest.blobs());
    let blobs: HashSet<_> = blobs.map(|blob| blob.digest).collect();
    match blobs.iter().map(|blob| store.partial_size(blob)).sum() {
        0 => error,
        kept => Error::Unfinished {
            kept,
            source: Box::new(error),
        },
    }
}

/// Fails if there is no room for what is to come.
fn check_space(writer: &Writer<'_>, kits: &[Planned]) -> Result<(), Error> {
    let store = writer.store();
    let mut seen = HashSet::new();
    let mut need = 0;
    let tocs = kits.iter().filter_map(|kit| {
        let toc = coming_contents(&kit.fetched.manifest, &Silent)?;
        Some(toc.descriptor())
    });
    let blobs = kits.iter().flat_map(|kit| kit.fetched.manifest.blobs());
    for blob in blobs.cloned().chain(tocs) {
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
pub(super) fn what_it_is(media_type: &str) -> String {
    match media_type {
        "application/vnd.oci.image.config.v1+json"
        | "application/vnd.docker.container.image.v1+json" => {
            "a container image, not a kit".to_owned()
        }
        other => format!("not a kit: its config is of the type `{other}`"),
    }
}
