//! Kits whose model is in another kit: the chain of parents that `model.path` leads to.
//!
//! A parent is another kit, which keeps its own names; nothing of it is stored under the child's.
//! [`follow`] walks up the chain through a function that finds a kit, so that what is not in the
//! store can be looked for elsewhere; [`in_store`] is the one that looks in the store alone.

mod children;
mod error;
mod paths;
#[cfg(test)]
mod tests;

use std::{cell::RefCell, sync::Arc};

use super::{
    Error,
    datasets::{self, Elsewhere},
    kit::{self, Kit},
    remote::Remote,
};
use crate::{
    filter::{Filter, Type},
    kitfile::{Kitfile, Section},
    oci::Descriptor,
    progress::Progress,
    reference::{Reference, model_path_reference},
    store::{self, ReadLock, Store},
};

pub use children::{Bereft, Left, bereft, left_out};
pub use error::ChainError;
pub use paths::{Claim, check, claimed, claims};

/// The most parents that a kit may have, one above the other. The kit itself does not count.
pub const MAX_PARENTS: usize = 10;

/// A kit that others take their model from.
#[derive(Clone, Debug)]
pub struct Parent {
    /// The name by which the kit below refers to it, with its tag.
    pub reference: Reference,
    /// Its manifest.
    pub descriptor: Descriptor,
    /// Its Kitfile.
    pub kitfile: Kitfile,
}

/// The kit at the lower end of a chain.
#[derive(Clone, Copy, Debug)]
pub struct Child<'a> {
    /// What it is called: several names, or none for a kit that has none yet.
    pub names: &'a [Reference],
    /// Its manifest, if it is packed already.
    pub descriptor: Option<&'a Descriptor>,
    /// Its Kitfile.
    pub kitfile: &'a Kitfile,
}

/// Finds the kit that a reference names.
pub type Find<'a> = dyn Fn(&Reference) -> Result<(Descriptor, Kitfile), Error> + 'a;

/// Returns the kits that `child` takes its model from, the nearest first; none for most kits.
///
/// # Errors
///
/// A parent that is missing or cannot be read, a circle, more than [`MAX_PARENTS`].
pub fn follow(child: Child<'_>, find: &Find<'_>) -> Result<Vec<Parent>, Error> {
    let mut parents: Vec<Parent> = Vec::new();
    loop {
        let below = parents.last().map_or(child.kitfile, |last| &last.kitfile);
        let Some(reference) = parent_of(below) else {
            return Ok(parents);
        };
        let chain = || shown(child.names, &parents, &reference);
        let is_known = child.names.contains(&reference)
            || parents.iter().any(|parent| parent.reference == reference);
        if is_known {
            return Err(ChainError::Circle { chain: chain() }.into());
        }
        if parents.len() == MAX_PARENTS {
            return Err(ChainError::TooLong { chain: chain() }.into());
        }
        let (descriptor, kitfile) =
            find(&reference).map_err(|error| not_found(&reference, chain(), error))?;
        let digests = parents.iter().map(|parent| &parent.descriptor);
        let mut digests = digests.chain(child.descriptor).map(|known| known.digest);
        if digests.any(|digest| digest == descriptor.digest) {
            // By its names alone nobody sees that it is one.
            let chain = format!("{}, which is a kit met before", chain());
            return Err(ChainError::Circle { chain }.into());
        }
        parents.push(Parent {
            reference,
            descriptor,
            kitfile,
        });
    }
}

/// Follows the chain of `child` through the kits in `store`.
pub fn in_store(
    store: &Store,
    child: Child<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Parent>, Error> {
    follow(child, &|reference| {
        let (descriptor, documents) = kit::look(store, reference, progress)?;
        Ok((descriptor, documents.kitfile))
    })
}

/// Follows the chain of `child` through the kits in `store`, and for want of them there through the
/// registries that their names lead to, of which nothing is stored. What the child itself names is
/// its maker's choice; from there on it is that of others.
pub fn anywhere(
    store: &Store,
    remote: &Remote<'_>,
    child: Child<'_>,
    progress: &dyn Progress,
) -> Result<Vec<Parent>, Error> {
    let nearest = RefCell::new(None);
    follow(child, &|reference| {
        let mut nearest = nearest.borrow_mut();
        match kit::look(store, reference, progress) {
            Err(error) if error.is_elsewhere() => {
                if let Some(nearest) = &*nearest {
                    remote.check_parent(Reference::repository(nearest), reference)?;
                }
                remote.tell(reference);
                let kit = remote.open(reference)?;
                nearest.get_or_insert_with(|| reference.clone());
                Ok((kit.descriptor, kit.kitfile))
            }
            found => {
                let (descriptor, documents) = found?;
                nearest.get_or_insert_with(|| reference.clone());
                Ok((descriptor, documents.kitfile))
            }
        }
    })
}

/// A kit and those it takes its model from.
#[derive(Debug)]
pub struct Family {
    /// The kit that was asked for.
    pub kit: Kit,
    /// Its parents, the nearest first, as far as they are wanted.
    pub parents: Vec<Kit>,
    /// Its datasets that are kept elsewhere, as far as they are wanted.
    pub elsewhere: Vec<Elsewhere>,
}

impl Family {
    /// Returns what is wanted of the parents if `filter` says what is wanted of the kit: of the
    /// model, and nothing else. `None` if that is nothing.
    pub fn parents_filter(filter: &Filter) -> Option<Filter> {
        filter.restricted_to(Type::Model)
    }
}

/// Opens the kit that `reference` names and, if `filter` wants something of a model, its parents:
/// each in the store, or for want of it there where `remote` leads to. With `all_datasets` those that
/// are kept elsewhere, too.
pub fn open(
    store: &Store,
    remote: Option<&Remote<'_>>,
    reference: &Reference,
    filter: &Filter,
    all_datasets: bool,
    progress: &dyn Progress,
) -> Result<Family, Error> {
    let around = Around::new(store, remote, progress)?;
    let kit = match around.here(reference)? {
        Ok(kit) => kit,
        Err(remote) => {
            remote.tell(reference);
            remote.open(reference)?
        }
    };
    around.family(kit, reference, filter, all_datasets)
}

/// Opens the kit that `reference` names in its registry now, whatever the store has by that name,
/// and its parents as [`open`] does.
pub fn open_far(
    store: &Store,
    remote: &Remote<'_>,
    reference: &Reference,
    filter: &Filter,
    progress: &dyn Progress,
) -> Result<Family, Error> {
    let kit = remote.open(reference)?;
    let around = Around::new(store, Some(remote), progress)?;
    around.family(kit, reference, filter, false)
}

/// Where other kits are found.
struct Around<'a> {
    store: &'a Store,
    remote: Option<&'a Remote<'a>>,
    lock: Arc<ReadLock>,
    progress: &'a dyn Progress,
}

impl<'a> Around<'a> {
    fn new(
        store: &'a Store,
        remote: Option<&'a Remote<'a>>,
        progress: &'a dyn Progress,
    ) -> Result<Self, Error> {
        Ok(Self {
            store,
            remote,
            lock: Arc::new(store.reader(progress)?),
            progress,
        })
    }

    /// Opens a kit in the store, or returns the way to where it is instead.
    fn here(&self, reference: &Reference) -> Result<Result<Kit, &'a Remote<'a>>, Error> {
        let lock = Arc::clone(&self.lock);
        match (
            kit::open_locked(self.store, reference, lock, self.progress),
            self.remote,
        ) {
            (Err(error), Some(remote)) if error.is_elsewhere() => Ok(Err(remote)),
            (opened, _) => opened.map(Ok),
        }
    }

    /// Opens what `kit`, which is called `reference`, stands on.
    fn family(
        &self,
        kit: Kit,
        reference: &Reference,
        filter: &Filter,
        all_datasets: bool,
    ) -> Result<Family, Error> {
        // What a kit names is where whoever made it wants.
        let open_other = |other: &Reference| match self.here(other)? {
            Ok(kit) => Ok(kit),
            Err(remote) => {
                remote.check_parent(reference.repository(), other)?;
                remote.tell(other);
                remote.open(other)
            }
        };
        let parents = RefCell::new(Vec::new());
        if Family::parents_filter(filter).is_some() {
            let names = [reference.clone().or_latest()];
            let child = Child {
                names: &names,
                descriptor: Some(&kit.descriptor),
                kitfile: &kit.kitfile,
            };
            follow(child, &|parent| {
                let opened = open_other(parent)?;
                let found = (opened.descriptor.clone(), opened.kitfile.clone());
                parents.borrow_mut().push(opened);
                Ok(found)
            })?;
        }
        let elsewhere = if all_datasets {
            datasets::find(&kit.kitfile, filter, &open_other)?
        } else {
            Vec::new()
        };
        Ok(Family {
            kit,
            parents: parents.into_inner(),
            elsewhere,
        })
    }
}

/// Returns the kit that holds the model of a kit with this Kitfile.
pub(super) fn parent_of(kitfile: &Kitfile) -> Option<Reference> {
    let reference = model_path_reference(kitfile.model_reference()?)?;
    Some(reference.or_latest())
}

/// Tells whether any of `parents` holds a model of its own.
pub fn holds_model(parents: &[Parent]) -> bool {
    parents.iter().any(|parent| {
        let entries = parent.kitfile.entries();
        entries.iter().any(|entry| entry.section == Section::Model)
    })
}

fn not_found(parent: &Reference, chain: String, error: Error) -> Error {
    let parent = parent.clone();
    match error {
        Error::Store(store::Error::NotFound { suggestions, .. }) => ChainError::Missing {
            parent,
            chain,
            suggestions,
        },
        // What stopped the run, or keeps others out, is no fault of the parent.
        Error::Store(store::Error::Interrupted | store::Error::Busy { .. }) => return error,
        error => ChainError::Unusable {
            parent,
            chain,
            source: Box::new(error),
        },
    }
    .into()
}

/// Writes the chain up to `next`: `a:1 => b:1 => c:1`.
fn shown(names: &[Reference], parents: &[Parent], next: &Reference) -> String {
    // Of several names the one that closes a circle says most.
    let first = names.iter().find(|name| *name == next).or(names.first());
    let mut chain = first.map_or_else(|| "this kit".to_owned(), ToString::to_string);
    for reference in parents.iter().map(|parent| &parent.reference).chain([next]) {
        chain.push_str(" => ");
        chain.push_str(&reference.to_string());
    }
    chain
}
