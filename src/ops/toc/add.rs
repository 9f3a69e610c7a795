//! Gives a kit a table of contents: the same layers under a new manifest.

use std::{collections::BTreeMap, slice};

use super::make::make;
use crate::{
    oci::{Descriptor, Family, Manifest, edit, media_type},
    ops::{Error, pack::put},
    progress::Progress,
    reference::Reference,
    store::{Presence, Store, Trust, Writer},
    toc::{Absence, Assembled, Root, TocRef},
};

/// What became of a kit that was to get a table of contents.
#[derive(Debug)]
pub struct Added {
    /// The kit as it was.
    pub old: Descriptor,
    /// The kit with the table of contents; the same if it had the right one.
    pub new: Descriptor,
    /// The table of contents.
    pub toc: TocRef,
    /// Layers that have no table, and why.
    pub without: Vec<(Descriptor, Absence)>,
    /// The names of the new kit that it was given.
    pub names: Vec<Reference>,
}

impl Added {
    /// Tells whether the kit was right as it was.
    pub fn was_right(&self) -> bool {
        self.old.digest == self.new.digest
    }
}

/// Makes a kit with the layers, the config and all else of the one that `reference` means, and a
/// table of contents. It gets `names`; without any, the name that was asked for leads to it from now
/// on. The old kit stays as it is. A kit that has its table of contents is left as it is.
pub fn add(
    store: &Store,
    reference: &Reference,
    names: &[Reference],
    progress: &dyn Progress,
) -> Result<Added, Error> {
    store.resolve(reference, progress)?; // Before a store is made for nothing.
    let writer = store.writer(progress)?;
    // Under the lock: it may have moved.
    let old = store.resolve(reference, progress)?.descriptor;
    let stored = store.manifest(&old)?;
    let manifest = &stored.manifest;
    let name = reference.to_string();
    let config = &manifest.config.media_type;
    if Family::of_config(config).is_none() {
        return Err(Error::Unsupported {
            reference: name,
            what: format!("config type `{config}`"),
        });
    }
    let made = make(store, &name, manifest, progress)?;
    let toc = made.toc;
    put_toc(&writer, &made)?;
    let new = if TocRef::of(manifest) == Ok(Some(toc)) {
        old.clone()
    } else {
        let mut values = BTreeMap::new();
        toc.annotate(&mut values);
        let bytes = edit::annotated(&stored.bytes, &values).map_err(|source| {
            crate::store::Error::BadManifest {
                digest: old.digest,
                source,
            }
        })?;
        if bytes.len() > Manifest::MAX_LEN {
            return Err(Error::ManifestTooLarge {
                layers: manifest.layers.len(),
            });
        }
        put(&writer, media_type::MANIFEST, &bytes, Trust::Recorded)?.0
    };
    let own = own_name(reference.clone().or_latest(), &new);
    let names = match (names, &own) {
        ([], Some(own)) if new != old => slice::from_ref(own),
        (names, _) => names,
    };
    if new != old || !names.is_empty() {
        writer.name(names, &new)?;
    }
    let head = usize::try_from(toc.root_size).unwrap_or(usize::MAX);
    let root = made
        .bytes
        .get(..head)
        .and_then(|bytes| Root::parse(bytes).ok());
    let root = root.expect("a root that was just written can be read");
    let plain = manifest.plain_layers().unwrap_or_default().into_iter();
    let layers = plain.zip(root.layers());
    let without = layers.filter_map(|(layer, told)| Some((layer.descriptor, told.table.err()?)));
    Ok(Added {
        old,
        new,
        toc,
        without: without.collect(),
        names: names.to_vec(),
    })
}

/// Returns the name that leads to the new kit: the one that was asked for, or its repository with
/// the digest that it has now. A digest alone is no name.
pub(in crate::ops) fn own_name(asked: Reference, new: &Descriptor) -> Option<Reference> {
    asked.repository()?;
    Some(match asked.digest() {
        Some(_) => asked.with_digest(new.digest),
        None => asked,
    })
}

/// Stores a table of contents.
pub(in crate::ops) fn put_toc(writer: &Writer<'_>, made: &Assembled) -> Result<(), Error> {
    let toc = made.toc;
    if writer.has(&toc.digest, toc.size, Trust::Recorded)? == Presence::Here {
        return Ok(());
    }
    let mut blob = writer.create()?;
    blob.append(&made.bytes)?;
    blob.commit(&toc.digest, toc.size)?;
    Ok(())
}
