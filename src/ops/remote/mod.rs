//! Kits in a registry: looked at and read without being fetched, listed, removed.

pub mod list;
pub mod remove;
mod way;

use std::collections::HashMap;

pub(super) use way::needs_registry;
pub use way::{Remote, registry_of};

use super::{Error, diff::Side, kit::Documents};
use crate::{
    oci::{Descriptor, Family},
    reference::Reference,
    registry::{Fetched, Repository},
    store::StoredManifest,
};

/// How many requests are under way at a time where nobody says otherwise.
pub const AT_ONCE: usize = 5;

/// Reads the documents of the kit that `reference` names in `repository`, all checked. Whether its
/// layers are there does not matter.
pub async fn look(
    repository: &Repository,
    reference: &Reference,
) -> Result<(Descriptor, Documents), Error> {
    let fetched = repository.manifest(&name(reference)).await?;
    let descriptor = fetched.descriptor.clone();
    let documents = documents(repository, reference, fetched).await?;
    Ok((descriptor, documents))
}

/// Reads the manifest of the kit that `reference` names in `repository`.
pub async fn side(repository: &Repository, reference: &Reference) -> Result<Side, Error> {
    let fetched = repository.manifest(&name(reference)).await?;
    let config = &fetched.manifest.config.media_type;
    if Family::of_config(config).is_none() {
        return Err(Error::Unsupported {
            reference: reference.to_string(),
            what: format!("config type `{config}`"),
        });
    }
    Ok(Side {
        digest: fetched.descriptor.digest,
        manifest: fetched.manifest,
    })
}

/// Reads the other documents of the kit whose manifest is here.
async fn documents(
    repository: &Repository,
    reference: &Reference,
    fetched: Fetched,
) -> Result<Documents, Error> {
    let stored = StoredManifest {
        manifest: fetched.manifest,
        bytes: fetched.bytes,
    };
    let mut blobs = HashMap::new();
    for (blob, limit) in Documents::needed(&stored.manifest) {
        let limit = usize::try_from(limit).unwrap_or(usize::MAX);
        blobs.insert(blob.digest, repository.document(blob, limit).await?);
    }
    Documents::read(reference, stored, &|blob, _| {
        let content = blobs.get(&blob.digest);
        let content = content.expect("`needed` tells all that is asked for");
        Ok(content.clone())
    })
}

/// Returns the tag or the digest by which a registry knows what `reference` names.
fn name(reference: &Reference) -> String {
    match (reference.digest(), reference.tag()) {
        (Some(digest), _) => digest.to_string(),
        (None, tag) => tag.unwrap_or(Reference::LATEST).to_owned(),
    }
}
