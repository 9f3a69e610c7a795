//! Removes kits, or tags of kits, from a registry.

use std::collections::BTreeSet;

use super::name;
use crate::{
    digest::Digest,
    oci::Index,
    ops::{Error, referrers::fallback_tag, toc},
    reference::Reference,
    registry::{self, Deletion, Repository, each},
};

/// Tags that are looked at to tell which go with a kit.
pub const MAX_TAGS_COMPARED: usize = 1_000;

/// What is to be removed, and what goes with it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was asked for.
    pub reference: Reference,
    /// The kit it names.
    pub digest: Digest,
    /// Whether the kit goes, and not just the tag.
    pub is_whole: bool,
    /// The tags that go with the kit, but for the one that was asked for.
    pub others: OtherTags,
}

/// The other tags of a kit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherTags {
    /// Those that are known, sorted.
    pub names: Vec<String>,
    /// Whether there may be more, which the registry did not tell.
    pub may_be_more: bool,
}

/// What became of what was to be removed.
#[derive(Clone, Debug)]
pub enum Outcome {
    /// It is gone.
    Removed,
    /// The tag is gone, and the kit is gone with it.
    RemovedWhole,
    /// The registry deletes nothing.
    Unsupported,
    /// The registry takes no single tag off; what would go with the kit.
    WholeOnly(OtherTags),
}

/// What was done.
#[derive(Clone, Debug)]
pub struct Done {
    /// What became of what was to be removed.
    pub outcome: Outcome,
    /// Manifests that keep its table of contents, which the registry did not remove with it.
    pub left: Vec<Digest>,
}

/// Tells what removing `reference` from `repository` would do: with `is_whole`, or by a digest, the
/// kit goes with all its tags. Changes nothing.
pub async fn plan(
    repository: &Repository,
    reference: &Reference,
    is_whole: bool,
    at_once: usize,
) -> Result<Plan, Error> {
    let wanted = name(reference);
    let found = repository.head_manifest(&wanted).await?;
    // What cannot be found is asked for once more, for the registry's words.
    let digest = match (reference.digest(), found) {
        (Some(digest), Some(_)) => digest,
        (None, Some(found)) => found.digest,
        (_, None) => repository.manifest(&wanted).await?.descriptor.digest,
    };
    let is_whole = is_whole || reference.digest().is_some();
    let others = if is_whole {
        other_tags(repository, reference, digest, at_once).await?
    } else {
        OtherTags::default()
    };
    Ok(Plan {
        reference: reference.clone(),
        digest,
        is_whole,
        others,
    })
}

/// Does what was planned.
pub async fn run(repository: &Repository, plan: &Plan, at_once: usize) -> Result<Done, Error> {
    let target = if plan.is_whole {
        plan.digest.to_string()
    } else {
        name(&plan.reference)
    };
    let mut kept = if plan.is_whole {
        kept(repository, plan).await
    } else {
        Vec::new()
    };
    let outcome = delete(repository, plan, &target, at_once).await?;
    let is_gone = plan.is_whole && matches!(outcome, Outcome::Removed)
        || matches!(outcome, Outcome::RemovedWhole);
    if let Outcome::RemovedWhole = outcome {
        // Nobody could know before; and now nobody can read the manifest.
        let head = repository.head_manifest(&toc::toc_tag(&plan.digest)).await;
        kept.extend(head.ok().flatten().map(|head| head.digest));
        kept.extend(only_lists(repository, &plan.digest, &kept).await);
    }
    let mut left = Vec::new();
    for digest in kept.into_iter().filter(|_| is_gone) {
        match repository.delete_manifest(&digest.to_string()).await {
            Ok(Deletion::Done) => {}
            // The kit is gone all the same.
            Ok(Deletion::Unsupported(_)) | Err(_) => left.push(digest),
        }
    }
    Ok(Done { outcome, left })
}

/// Returns the manifests that keep the table of contents of what is to be removed.
async fn kept(repository: &Repository, plan: &Plan) -> Vec<Digest> {
    let mut found = Vec::new();
    // What cannot be read, or is no kit, has none.
    let Ok(fetched) = repository.manifest(&plan.digest.to_string()).await else {
        return found;
    };
    let Some(toc) = toc::descriptor(&fetched.manifest) else {
        return found;
    };
    let (artifact, _) = toc::artifact(&fetched.descriptor, &toc);
    for name in [toc::toc_tag(&plan.digest), artifact.digest.to_string()] {
        if let Ok(Some(head)) = repository.head_manifest(&name).await
            && !found.contains(&head.digest)
        {
            found.push(head.digest);
        }
    }
    found.extend(only_lists(repository, &plan.digest, &found).await);
    found
}

/// Returns the list of what refers to a kit, if there is one under a tag and it names nothing but
/// `kept`.
async fn only_lists(repository: &Repository, kit: &Digest, kept: &[Digest]) -> Option<Digest> {
    let raw = repository.raw_manifest(&fallback_tag(kit)).await.ok()?;
    let index = Index::parse(&raw.bytes).ok()?;
    let mut listed = index.manifests.iter();
    listed
        .all(|it| kept.contains(&it.digest))
        .then(|| Digest::of(&raw.bytes))
}

async fn delete(
    repository: &Repository,
    plan: &Plan,
    target: &str,
    at_once: usize,
) -> Result<Outcome, Error> {
    match repository.delete_manifest(target).await? {
        Deletion::Done if plan.is_whole => Ok(Outcome::Removed),
        // Some registries take what the tag names, or what has no tag any more. That they do not
        // say is no reason to say that it failed.
        Deletion::Done => match repository.head_manifest(&plan.digest.to_string()).await {
            Ok(None) => Ok(Outcome::RemovedWhole),
            Ok(Some(_)) | Err(_) => Ok(Outcome::Removed),
        },
        Deletion::Unsupported(_) if plan.is_whole => Ok(Outcome::Unsupported),
        Deletion::Unsupported(_) => {
            let others = other_tags(repository, &plan.reference, plan.digest, at_once).await?;
            Ok(Outcome::WholeOnly(others))
        }
    }
}

/// Returns the tags of a kit, but for the one in `reference`, as far as the registry tells.
async fn other_tags(
    repository: &Repository,
    reference: &Reference,
    digest: Digest,
    at_once: usize,
) -> Result<OtherTags, Error> {
    let tags = match repository.tags().await {
        Ok(tags) => tags,
        // It need not list tags to delete them.
        Err(
            registry::Error::NoRepository { .. }
            | registry::Error::List { .. }
            | registry::Error::Denied { .. }
            | registry::Error::Status { .. },
        ) => {
            return Ok(OtherTags {
                names: Vec::new(),
                may_be_more: true,
            });
        }
        Err(error) => return Err(error.into()),
    };
    let others = tags.names.iter().filter(|tag| reference.tag() != Some(tag));
    let may_be_more = others.clone().count() > MAX_TAGS_COMPARED;
    let found = each(others.take(MAX_TAGS_COMPARED), at_once, async |tag| {
        let head = repository.head_manifest(tag).await?;
        let is_same = head.is_some_and(|head| head.digest == digest);
        Ok::<_, registry::Error>(is_same.then(|| tag.clone()))
    })
    .await?;
    let names: BTreeSet<String> = found.into_iter().flatten().collect();
    Ok(OtherTags {
        names: names.into_iter().collect(),
        may_be_more,
    })
}
