//! What `kit remove` tells of what it did, or would do.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::{
    cli::{Context, commands::prune::BlobRow, failure::Failure, hints::listed, human},
    digest::Digest,
    ops::chain::Bereft,
    reference::{Reference, Repository},
    store::{Blob, DroppedKit, Entry, Left, Selection},
};

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Report {
    dry_run: bool,
    untagged: Vec<String>,
    removed: Vec<RemovedRow>,
    bytes: u64,
    blobs: Vec<BlobRow>,
    left: Option<String>,
    bereft: Vec<BereftRow>,
}

/// Kits that have lost the one that holds their model.
#[derive(Serialize)]
struct BereftRow {
    parent: String,
    children: Vec<String>,
}

#[derive(Serialize)]
struct RemovedRow {
    repo: Option<String>,
    digest: Digest,
}

impl Report {
    /// Puts the result together.
    pub(super) fn of(
        dry_run: bool,
        names: &[Entry],
        kits: &[DroppedKit],
        blobs: &[Blob],
        stays: Option<&Stays>,
        bereft: &[Bereft],
    ) -> Self {
        let tagged = names.iter().filter(|entry| entry.tag().is_some());
        Self {
            dry_run,
            untagged: tagged
                .filter_map(|entry| entry.name.as_ref().map(ToString::to_string))
                .collect(),
            removed: kits
                .iter()
                .map(|kit| RemovedRow {
                    repo: kit.repository.as_ref().map(ToString::to_string),
                    digest: kit.digest,
                })
                .collect(),
            bytes: blobs.iter().map(|blob| blob.size).sum(),
            blobs: blobs.iter().map(Into::into).collect(),
            left: stays.map(|stays| stays.text.clone()),
            bereft: bereft
                .iter()
                .map(|Bereft { parent, children }| BereftRow {
                    parent: parent.to_string(),
                    children: children.clone(),
                })
                .collect(),
        }
    }
}

/// Returns a line for each name and kit: `Removed` for what was asked for, `Untagged` for the
/// names that went with it.
pub(super) fn lines(
    selection: &Selection,
    names: &[Entry],
    kits: &[DroppedKit],
    dry_run: bool,
) -> Vec<String> {
    let (removed, untagged) = if dry_run {
        ("Would remove", "Would untag")
    } else {
        ("Removed", "Untagged")
    };
    let asked: &[Reference] = match selection {
        Selection::References { references, .. } => references,
        Selection::Untagged | Selection::Everything => &[],
    };
    let mut groups: BTreeMap<(Option<&Repository>, Digest), Vec<&Entry>> = BTreeMap::new();
    for entry in names {
        let key = (entry.repository(), entry.descriptor.digest);
        groups.entry(key).or_default().push(entry);
    }
    let mut lines = Vec::new();
    for ((repository, digest), entries) in groups {
        let mut is_told = false;
        for name in entries.iter().filter_map(|entry| entry.name.as_ref()) {
            if asked.contains(name) && name.tag().is_some() {
                lines.push(format!("{removed} {name} (digest {digest})"));
                is_told = true;
            } else if name.tag().is_some() {
                lines.push(format!("{untagged} {name}"));
            }
        }
        let is_gone =
            |kit: &DroppedKit| kit.repository.as_ref() == repository && kit.digest == digest;
        if !is_told && kits.iter().any(is_gone) {
            let name = full_name(repository, digest);
            lines.push(match selection {
                Selection::References { .. } => format!("{removed} {name} (digest {digest})"),
                Selection::Untagged | Selection::Everything => format!("{removed} {name}"),
            });
        }
    }
    lines
}

fn full_name(repository: Option<&Repository>, digest: Digest) -> Reference {
    match repository {
        Some(repository) => Reference::from(repository.clone()).with_digest(digest),
        None => digest.into(),
    }
}

/// Names the kits whose model was in one that goes.
pub(super) fn tell_bereft(bereft: &[Bereft], dry_run: bool, context: &Context) {
    for Bereft { parent, children } in bereft {
        let goes = if dry_run { "would lose" } else { "lost" };
        context.ui.warn(format_args!(
            "{} {goes} the kit that holds the model: {parent}",
            listed(children)
        ));
    }
}

/// Tells what was freed, and what was not and why.
pub(super) fn tell_space(blobs: &[Blob], stays: Option<&Stays>, dry_run: bool, context: &Context) {
    let ui = &context.ui;
    if !blobs.is_empty() {
        let done = if dry_run { "Would free" } else { "Freed" };
        let bytes = human::bytes(blobs.iter().map(|blob| blob.size).sum());
        let count = human::count(blobs.len() as u64, "blob");
        ui.status(format_args!("{done} {bytes} in {count}"));
    }
    if let Some(stays) = stays {
        ui.warn(&stays.text);
        for hint in &stays.hints {
            ui.hint(hint);
        }
    }
}

/// Why blobs stay that nothing needs, and what helps.
pub(super) struct Stays {
    text: String,
    hints: Vec<String>,
}

impl From<Left> for Stays {
    fn from(left: Left) -> Self {
        let text = match left {
            Left::InUse(Some(holder)) => format!("the store is in use by {holder}"),
            Left::InUse(None) => "the store is in use by another process".to_owned(),
            Left::Failed(error) => {
                let failure = Failure::from(error);
                let causes = failure.causes.iter().map(|cause| format!(": {cause}"));
                let causes: String = causes.collect();
                return Self {
                    text: format!("no space is freed: {}{causes}", failure.message),
                    hints: failure.hints,
                };
            }
        };
        Self {
            text: format!("no space is freed yet: {text}"),
            hints: vec!["run `kit prune` later".to_owned()],
        }
    }
}
