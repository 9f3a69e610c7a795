//! The way to kits in registries, for operations that take what is not in the store from there.

use super::{documents, name};
use crate::{
    oci::Family,
    ops::{
        Error,
        kit::{Kit, Place},
        pull::{Registries, what_it_is},
        transfer::Network,
    },
    progress::Progress,
    reference::{self, Reference},
    registry::{self, Repository},
};

/// The way to kits in registries.
pub struct Remote<'r> {
    /// What waits.
    pub network: &'r Network,
    /// Where repositories are found.
    pub registries: &'r dyn Registries,
    /// Registries, beside a kit's own, that its parents may be on.
    pub parent_registries: &'r [String],
    /// Who is told, and may say that it is enough.
    pub progress: &'r dyn Progress,
}

impl Remote<'_> {
    /// Opens the kit that `reference` names where it is. Its manifest and config are fetched, and
    /// checked; of its layers at most one, if it holds the Kitfile.
    pub fn open(&self, reference: &Reference) -> Result<Kit, Error> {
        let repository = self.registries.repository(needs_registry(reference)?)?;
        self.network.wait(self.progress, async {
            let fetched = repository.manifest(&name(reference)).await?;
            let config = &fetched.manifest.config.media_type;
            if Family::of_config(config).is_none() {
                return Err(registry::Error::NotAKit {
                    registry: repository.registry().name().to_owned(),
                    name: reference.to_string(),
                    what: what_it_is(config),
                }
                .into());
            }
            let descriptor = fetched.descriptor.clone();
            let documents = documents(&repository, reference, fetched).await?;
            let place = Place::Registry(repository.clone());
            Kit::assemble(reference, descriptor, documents, place)
        })
    }

    /// Says that a kit which is not in the store is taken from its registry.
    pub fn tell(&self, reference: &Reference) {
        self.progress.status(&format!(
            "{reference} is not in the store: it is read from its registry"
        ));
    }

    /// Refuses a registry that whoever made a kit should not be able to send us to. `first` is the
    /// repository of the kit that the user named, if that has a registry.
    pub fn check_parent(
        &self,
        first: Option<&reference::Repository>,
        parent: &Reference,
    ) -> Result<(), Error> {
        let Some(name) = registry_of(parent) else {
            return Ok(()); // It will not be found there.
        };
        let first = first.filter(|first| first.registry().is_some());
        if first.is_some_and(|first| first.registry() == name.registry()) {
            return Ok(());
        }
        let registry = name.registry().unwrap_or_default();
        let refuse = |is_private| Error::ParentElsewhere {
            parent: parent.to_string(),
            registry: registry.to_owned(),
            is_private,
        };
        let is_private = |repository: &Repository| repository.registry().is_private();
        if let Some(first) = first
            && is_private(&self.registries.repository(name)?)
            && !is_private(&self.registries.repository(first)?)
        {
            return Err(refuse(true));
        }
        let is_allowed = self.parent_registries.iter().any(|it| it == registry);
        if is_allowed || self.registries.has_login(name)? {
            return Ok(());
        }
        Err(refuse(false))
    }
}

/// Returns the repository of a name that leads to a registry.
pub fn registry_of(reference: &Reference) -> Option<&reference::Repository> {
    reference
        .repository()
        .filter(|name| name.registry().is_some())
}

/// Returns the same, or the error that there is none.
pub(in crate::ops) fn needs_registry(
    reference: &Reference,
) -> Result<&reference::Repository, Error> {
    registry_of(reference).ok_or_else(|| Error::NoRegistry {
        reference: reference.to_string(),
    })
}
