//! The kits that a pushed kit takes its model from: whoever pulls it needs them, too.

use super::{Kit, Pushed, Pusher, image};
use crate::{
    digest::Digest,
    kitfile::Kitfile,
    oci::Descriptor,
    ops::{Error, chain, kit, toc},
    reference::{self, Reference},
    store,
};

/// A kit above the one that is pushed.
struct Parent {
    reference: Reference,
    /// What it is here; `None` if it is not in the store.
    here: Option<Descriptor>,
}

impl Pusher<'_> {
    /// Makes sure that the registry has the kits above the stored kit `source`, see
    /// [`Self::parents_from`].
    pub(super) fn parents(
        &mut self,
        source: &Reference,
        registry: Option<&str>,
    ) -> Result<Vec<Pushed>, Error> {
        let kitfile = match kit::look(self.store, source, self.progress) {
            Ok((_, documents)) => documents.kitfile,
            Err(error @ Error::Store(_)) => return Err(error),
            // What cannot be read as a kit has no parents, and can be pushed as well.
            Err(_) => return Ok(Vec::new()),
        };
        self.parents_from(source, &kitfile, registry)
    }

    /// Makes sure that the registry has the kits that a kit takes its model from, the farthest
    /// first. What is there is left as it is. What cannot be pushed, because it belongs to another
    /// registry or is not here, is said. `source` is what the kit is called.
    pub(in crate::ops) fn parents_from(
        &mut self,
        source: &Reference,
        kitfile: &Kitfile,
        registry: Option<&str>,
    ) -> Result<Vec<Pushed>, Error> {
        let mut pushed = Vec::new();
        for parent in self.find_parents(kitfile)?.into_iter().rev() {
            let name = parent.reference.repository();
            let Some(name) = name.filter(|name| name.registry().is_some()) else {
                self.progress.warn(&format!(
                    "{source} takes its model from {}, which names no registry: who pulls it will not find that",
                    parent.reference
                ));
                continue;
            };
            if name.registry() == registry {
                pushed.extend(self.parent(&parent, name)?);
            } else {
                self.check_elsewhere(&parent, name)?;
            }
        }
        Ok(pushed)
    }

    /// Pushes a parent to the registry of its child, if it is not there.
    fn parent(
        &mut self,
        parent: &Parent,
        name: &reference::Repository,
    ) -> Result<Option<Pushed>, Error> {
        let Parent { reference, here } = parent;
        let uploader = self.giver.uploader(name)?;
        let there = self.giver.wait(uploader.find(&wanted(reference)))?;
        match (there, here) {
            (None, Some(_)) => {
                self.progress
                    .status(&format!("Pushing {reference}, its parent"));
                let kit = Kit {
                    source: reference.clone(),
                    targets: vec![reference.clone()],
                };
                return self.one(&kit).map(Some);
            }
            (None, None) => self.progress.warn(&format!(
                "its parent {reference} is neither in the store nor in the registry: who pulls it will not find that"
            )),
            (Some(there), Some(here)) if !self.is(here, there)? => self.progress.warn(&format!(
                "its parent {reference} is {there} in the registry, and {} here: who pulls it gets the one there",
                here.digest
            )),
            (Some(_), _) => {}
        }
        Ok(None)
    }

    /// Tells whether a kit here is what the registry calls `there`.
    fn is(&self, here: &Descriptor, there: Digest) -> Result<bool, Error> {
        if here.digest == there {
            return Ok(true);
        }
        let stored = self.store.manifest(here)?;
        // Whether it was pushed with a table of contents is not known.
        let toc = toc::descriptor(&stored.manifest);
        let is_it = |toc| image(&stored, toc).is_some_and(|it| it.descriptor.digest == there);
        Ok(is_it(None) || is_it(toc.as_ref()))
    }

    /// Looks for a parent in a registry of its own, if there is a login for that.
    fn check_elsewhere(&self, parent: &Parent, name: &reference::Repository) -> Result<(), Error> {
        let reference = &parent.reference;
        if !self.giver.registries.has_login(name)? {
            self.progress.status(&format!(
                "Not looked for: its parent {reference}, in another registry"
            ));
            return Ok(());
        }
        let repository = self.giver.registries.repository(name)?;
        let found = self
            .giver
            .wait(repository.head_manifest(&wanted(reference)))?;
        if found.is_none() {
            self.progress.warn(&format!(
                "its parent {reference} is not there: push that, too"
            ));
        }
        Ok(())
    }

    /// Returns the kits above one with this Kitfile as far as the store knows them, the nearest
    /// first.
    fn find_parents(&self, kitfile: &Kitfile) -> Result<Vec<Parent>, Error> {
        let mut next = chain::parent_of(kitfile);
        let mut found: Vec<Parent> = Vec::new();
        while let Some(reference) = next.take() {
            let is_known = found.iter().any(|it| it.reference == reference);
            // Neither was packed here; a pull says what is wrong with it.
            if is_known || found.len() == chain::MAX_PARENTS {
                break;
            }
            match kit::look(self.store, &reference, self.progress) {
                Ok((descriptor, documents)) => {
                    next = chain::parent_of(&documents.kitfile);
                    found.push(Parent {
                        reference,
                        here: Some(descriptor),
                    });
                }
                Err(Error::Store(store::Error::NotFound { .. })) => {
                    found.push(Parent {
                        reference,
                        here: None,
                    });
                }
                Err(error) => return Err(error),
            }
        }
        Ok(found)
    }
}

/// Returns what a registry is asked for.
fn wanted(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or(Reference::LATEST).to_owned(),
    }
}
