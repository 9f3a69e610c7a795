//! Lists the kits in a repository of a registry, also what cannot be read there.

use std::collections::HashMap;

use super::{documents, name};
use crate::{
    digest::Digest,
    filter::Filter,
    http,
    ops::{
        Error,
        list::{ListedKit, ProblemKind, Summary, size},
        referrers::is_fallback_tag,
        toc::is_toc_tag,
    },
    reference::Reference,
    registry::{self, Repository, each},
};

/// What a repository of a registry holds.
#[derive(Debug)]
pub struct Listing {
    /// A kit with all its tags, by the first of them.
    pub kits: Vec<ListedKit>,
    /// What the registry calls tags, but can be none.
    pub dropped: Vec<String>,
}

/// Lists what `wanted` names in `repository`: all tags, or the one tag or digest that it has. What
/// cannot be read is listed with its problem; only a registry that does not answer, or lets nobody
/// in, is an error. What `filter` selects nothing of is left out.
pub async fn run(
    repository: &Repository,
    wanted: &Reference,
    filter: &Filter,
    at_once: usize,
) -> Result<Listing, Error> {
    if wanted.tag().is_some() || wanted.digest().is_some() {
        return Ok(Listing {
            kits: group(
                wanted,
                vec![examine(repository, wanted, filter, true).await?],
            ),
            dropped: Vec::new(),
        });
    }
    let tags = repository.tags().await?;
    let references: Vec<_> = tags
        .names
        .iter()
        .filter(|tag| !is_toc_tag(tag) && !is_fallback_tag(tag))
        .filter_map(|tag| wanted.with_tag(tag).ok())
        .collect();
    let look = |reference| examine(repository, reference, filter, false);
    let seen = each(&references, at_once, look).await?;
    Ok(Listing {
        kits: group(wanted, seen),
        dropped: tags.dropped,
    })
}

/// What is under one tag or digest.
struct Seen {
    tag: Option<String>,
    digest: Option<Digest>,
    summary: Summary,
}

/// Looks at what `reference` names. Where nothing is there it fails if nothing else was `asked`
/// for: a tag in a list that leads nowhere is a row of the list.
async fn examine(
    repository: &Repository,
    reference: &Reference,
    filter: &Filter,
    asked: bool,
) -> Result<Seen, Error> {
    let wanted = name(reference);
    let tag = reference.tag().map(str::to_owned);
    let fetched = match repository.manifest(&wanted).await {
        Ok(fetched) => fetched,
        Err(error) => {
            let error = Error::from(error);
            let kind = match problem_kind(&error) {
                Some(kind) if !(asked && kind == ProblemKind::Missing) => kind,
                _ => return Err(error),
            };
            // What it is cannot be read, but which one it is may be known.
            let digest = match reference.digest() {
                None if kind != ProblemKind::Missing => {
                    let head = repository.head_manifest(&wanted).await;
                    head.ok().flatten().map(|head| head.digest)
                }
                digest => digest,
            };
            let summary = Summary::of_problem(kind, &error, filter);
            return Ok(Seen {
                tag,
                digest,
                summary,
            });
        }
    };
    let digest = Some(fetched.descriptor.digest);
    let size = size(&fetched.manifest);
    let summary = match documents(repository, reference, fetched).await {
        Ok(documents) => Summary::of(documents, filter),
        Err(error) => match problem_kind(&error) {
            None => return Err(error),
            Some(kind) => Summary {
                size: Some(size),
                ..Summary::of_problem(kind, &error, filter)
            },
        },
    };
    Ok(Seen {
        tag,
        digest,
        summary,
    })
}

/// Tells what is the matter with one artifact; `None` for what concerns the whole registry.
fn problem_kind(error: &Error) -> Option<ProblemKind> {
    use registry::Error as E;
    match error {
        Error::Registry(error) => match error {
            E::NoManifest { .. } => Some(ProblemKind::Missing),
            E::NotAKit { .. } => Some(ProblemKind::Foreign),
            E::NoBlob { .. }
            | E::BadManifest { .. }
            | E::WrongContent { .. }
            | E::WrongSize { .. }
            | E::Range { .. }
            | E::Http(http::Error::TooLarge { .. }) => Some(ProblemKind::Damaged),
            // Of a busy registry the next question is one too many, too.
            E::Status { status, .. } if !matches!(status, 429 | 503) => Some(ProblemKind::Damaged),
            _ => None,
        },
        Error::Unsupported { .. } => Some(ProblemKind::Foreign),
        _ => Some(ProblemKind::Damaged),
    }
}

/// Puts tags of the same kit together, by the first of them, and leaves out what is not wanted.
fn group(wanted: &Reference, seen: Vec<Seen>) -> Vec<ListedKit> {
    let mut kits: Vec<ListedKit> = Vec::new();
    let mut places = HashMap::new();
    for Seen {
        tag,
        digest,
        summary,
    } in seen.into_iter().filter(|it| it.summary.is_wanted)
    {
        let known = digest.and_then(|digest| places.get(&digest).copied());
        if let Some(place) = known {
            let kit: &mut ListedKit = &mut kits[place];
            kit.tags.extend(tag);
            continue;
        }
        if let Some(digest) = digest {
            places.insert(digest, kits.len());
        }
        kits.push(ListedKit {
            repository: wanted.repository().cloned(),
            digest,
            tags: tag.into_iter().collect(),
            summary,
        });
    }
    kits
}
