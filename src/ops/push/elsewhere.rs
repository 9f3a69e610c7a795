//! Which repositories of a registry may have a blob already, as far as the names in the store tell.

use std::collections::{HashMap, HashSet};

use crate::{
    digest::Digest, oci::Manifest, ops::Error, progress::Progress, reference::Repository,
    store::Store,
};

/// Returns for each blob of `manifest` the other repositories, in the registry of `repository`, of
/// kits in the store that have the blob, too. Whether they were ever pushed there is not known.
pub(in crate::ops) fn find(
    store: &Store,
    manifest: &Manifest,
    repository: &Repository,
    progress: &dyn Progress,
) -> Result<HashMap<Digest, Vec<String>>, Error> {
    let mut found: HashMap<Digest, Vec<String>> = HashMap::new();
    let Some(registry) = repository.registry() else {
        return Ok(found);
    };
    let wanted: HashSet<Digest> = manifest.blobs().map(|it| it.digest).collect();
    for entry in store.entries(progress)? {
        let Some(other) = entry.repository() else {
            continue;
        };
        if other == repository || other.registry() != Some(registry) {
            continue;
        }
        // A kit that cannot be read has nothing to offer.
        let Ok(stored) = store.manifest(&entry.descriptor) else {
            continue;
        };
        for blob in stored.manifest.blobs() {
            if wanted.contains(&blob.digest) {
                let all = found.entry(blob.digest).or_default();
                if !all.iter().any(|it| it == other.path()) {
                    all.push(other.path().to_owned());
                }
            }
        }
    }
    Ok(found)
}
