//! Drafts a Kitfile for a directory that has none.

use std::path::Path;

use super::Error;
use crate::{
    archive::{
        ignore::IgnoreRules,
        tree::Kind,
        walk::{self, FollowLinks, Seen},
    },
    kitfile::{
        Kitfile,
        guess::{self, ListedFile, Listing},
    },
    progress::Progress,
};

/// Drafts a Kitfile for `context`. What looks private is in none of its layers, as long as it is
/// packed as a draft.
pub fn run(
    context: &Path,
    rules: &IgnoreRules,
    follow_links: FollowLinks,
    progress: &dyn Progress,
) -> Result<Kitfile, Error> {
    let options = walk::Options {
        layers: &[".".to_owned()],
        foreign: &[],
        rules,
        follow_links,
        keep_modes: false,
        executable: &[],
        strict: false,
        // What is private must be listed: a folder that holds some is not taken as a whole. But a
        // link to it must not become an element.
        guard: Some(&|seen| match seen {
            Seen::Path(_) => None,
            Seen::End(_) => guard(seen),
        }),
    };
    let found = walk::walk(context, &options, progress)?;
    let mut listing = Listing::default();
    for entry in found.tree.entries(0) {
        let path = entry.path();
        if path.split(|byte| *byte == b'/').nth(2).is_some() {
            continue;
        }
        // A Kitfile is text: what has no name in it is in the layer of its folder.
        if let Ok(path) = String::from_utf8(path) {
            listing.entries.push(ListedFile {
                path,
                size: entry.size(),
                is_dir: entry.kind() == Kind::Folder,
            });
        }
    }
    let guess::Draft { kitfile, left_out } = guess::draft(&listing);
    if kitfile.entries().is_empty() {
        return Err(Error::NothingToPack {
            path: context.to_owned(),
            left_out: left_out
                .into_iter()
                .map(|left| format!("`{}` ({})", left.path, left.reason))
                .collect(),
        });
    }
    // What is left out of this Kitfile is told by the walk that packs it.
    Ok(kitfile)
}

/// Tells why a path stays out of a kit whose Kitfile nobody wrote.
pub(super) fn guard(seen: Seen<'_>) -> Option<String> {
    let (Seen::Path(path) | Seen::End(path)) = seen;
    guess::never_taken(path).map(|reason| reason.to_string())
}
