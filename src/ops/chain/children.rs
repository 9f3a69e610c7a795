//! The chain seen from above: which kits in the store miss a parent if it goes or is left behind.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashSet},
};

use super::{Child, follow, parent_of};
use crate::{
    digest::Digest,
    oci::Descriptor,
    ops::{
        Error,
        kit::{self, documents},
    },
    progress::{Progress, Silent},
    reference::Reference,
    store::{Entry, Store},
};

/// Kits that take their model from a kit that goes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Bereft {
    /// The kit that goes, by the name that the others know it by.
    pub parent: Reference,
    /// Those that stay: their names, or digests where they have none.
    pub children: Vec<String>,
}

/// Returns the kits in the store that name one of `going` as their parent and find it no more when
/// those names are gone. A kit that cannot be read has no parent that it could miss.
pub fn bereft(
    store: &Store,
    going: &[Entry],
    progress: &dyn Progress,
) -> Result<Vec<Bereft>, Error> {
    if going.is_empty() {
        return Ok(Vec::new());
    }
    let gone: HashSet<_> = going.iter().map(identity).collect();
    let mut staying = store.entries(progress)?;
    staying.retain(|entry| !gone.contains(&identity(entry)));
    let mut children: BTreeMap<Reference, BTreeSet<String>> = BTreeMap::new();
    let mut parents = BTreeMap::new();
    for entry in &staying {
        let digest = entry.descriptor.digest;
        let name = match &entry.name {
            Some(name) => name.clone(),
            None => digest.into(),
        };
        let parent = parents.entry(digest).or_insert_with(|| {
            let read = documents(store, &name, &entry.descriptor).ok()?;
            parent_of(&read.kitfile)
        });
        let Some(parent) = parent else { continue };
        let is_met = |entries: &[Entry]| entries.iter().any(|entry| entry.is_meant_by(parent));
        if is_met(going) && !is_met(&staying) {
            children
                .entry(parent.clone())
                .or_default()
                .insert(name.to_string());
        }
    }
    Ok(children
        .into_iter()
        .map(|(parent, children)| Bereft {
            parent,
            children: children.into_iter().collect(),
        })
        .collect())
}

fn identity(entry: &Entry) -> (Option<&Reference>, Digest) {
    (entry.name.as_ref(), entry.descriptor.digest)
}

/// Parents that stay behind when a kit is carried away.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Left {
    /// The kit that is carried.
    pub child: Reference,
    /// The kits above it that are not, the nearest first.
    pub parents: Vec<Reference>,
}

/// Returns for each of the `carried` kits, given by the names they are carried under, those of its
/// parents that are not carried with it. What lies above a parent that is not here is not known.
pub fn left_out(store: &Store, carried: &[(Reference, Descriptor)]) -> Vec<Left> {
    let entries: Vec<Entry> = carried
        .iter()
        .map(|(name, descriptor)| Entry {
            name: name.repository().is_some().then(|| name.clone()),
            descriptor: descriptor.clone(),
        })
        .collect();
    let is_left = |parent: &Reference| !entries.iter().any(|entry| entry.is_meant_by(parent));
    let mut left = Vec::new();
    for (child, descriptor) in carried {
        // What cannot be read, or is no kit with a Kitfile, has no parent to be missed.
        let Ok(read) = documents(store, child, descriptor) else {
            continue;
        };
        let asked = RefCell::new(Vec::new());
        let kit = Child {
            names: std::slice::from_ref(child),
            descriptor: Some(descriptor),
            kitfile: &read.kitfile,
        };
        // A chain that ends too early, or never, is for those to report who need it whole.
        let _ = follow(kit, &|reference| {
            asked.borrow_mut().push(reference.clone());
            let (descriptor, read) = kit::look(store, reference, &Silent)?;
            Ok((descriptor, read.kitfile))
        });
        let mut parents = asked.into_inner();
        parents.retain(is_left);
        if !parents.is_empty() {
            let child = child.clone();
            left.push(Left { child, parents });
        }
    }
    left
}
