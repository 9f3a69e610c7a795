//! Drafts a Kitfile for a directory that has none.

use std::{
    collections::{BTreeMap, HashSet},
    path::Path,
};

use super::{
    Error,
    files::is_below,
    licence::{self, Licence},
    look::{Folder, Model},
};
use crate::{
    archive::{
        ignore::IgnoreRules,
        tree::{Kind, Tree},
        walk::{self, FollowLinks, Seen},
    },
    kitfile::{
        self, Kitfile, Value,
        guess::{self, ListedFile, Listing},
    },
    model::Facts,
    progress::Progress,
    store,
};

/// A Kitfile that nobody wrote.
#[derive(Debug)]
pub struct Draft {
    /// The Kitfile.
    pub kitfile: Kitfile,
    /// What the licence files say; what is known stands in the Kitfile.
    pub licence: Licence,
    /// What looks private in folders that the Kitfile names: the ignore file must name it where
    /// the Kitfile is written down.
    pub covered: Vec<String>,
    left_out: Vec<String>,
}

impl Draft {
    /// Returns the draft if there is something in it.
    pub fn not_empty(self, context: &Path) -> Result<Self, Error> {
        if !self.kitfile.entries().is_empty() {
            return Ok(self);
        }
        Err(Error::NothingToPack {
            path: context.to_owned(),
            left_out: self.left_out,
        })
    }
}

/// Drafts a Kitfile for `context`. What looks private is in none of its layers, as long as it is
/// packed as a draft.
pub fn run(
    context: &Path,
    rules: &IgnoreRules,
    follow_links: FollowLinks,
    progress: &dyn Progress,
) -> Result<Draft, Error> {
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
    let listing = list(&found.tree);
    let guess::Draft {
        mut kitfile,
        left_out,
        covered,
        licences,
    } = guess::draft(&listing);
    let licence = licence::of_files(context, &licences);
    if let Licence::Known(identifier) = &licence {
        kitfile.set_licence(identifier);
    }
    if let Some(model) = model(context, &kitfile, &found.tree, progress)? {
        kitfile.set_model(model.format.name(), parameters(&model.facts));
    }
    // What is left out of this Kitfile is told by the walk that packs it.
    let left_out = left_out.into_iter();
    Ok(Draft {
        kitfile,
        licence,
        covered,
        left_out: left_out
            .map(|left| format!("`{}` ({})", left.path, left.reason))
            .collect(),
    })
}

/// Looks into the files of the model, and returns what they are if they are one.
fn model(
    context: &Path,
    kitfile: &Kitfile,
    tree: &Tree,
    progress: &dyn Progress,
) -> Result<Option<Model>, Error> {
    let Some(path) = kitfile
        .model
        .as_ref()
        .map(|model| kitfile::clean(&model.path))
    else {
        return Ok(None);
    };
    let mut folder = Folder::new(context);
    for entry in tree.entries(0) {
        if progress.cancelled() {
            return Err(store::Error::Interrupted.into());
        }
        if entry.kind() == Kind::File
            && let Ok(path) = String::from_utf8(entry.path())
        {
            folder.file(&path, entry.size(), progress);
        }
    }
    let mut models = folder.finish();
    models.retain(|model| is_below(&model.path, &path));
    Ok(models.pop().filter(|_| models.is_empty()))
}

/// Returns what a model says of itself, by the names that the `ModelPack` specification has, where
/// it has some.
fn parameters(facts: &Facts) -> BTreeMap<String, Value> {
    let text = |text: Option<&str>| text.map(|it| Value::Text(it.to_owned()));
    let number = |number: Option<u64>| number.map(|it| Value::Integer(it.into()));
    let precision = match &facts.quantization {
        Some(_) => None,
        None => facts.main_type(),
    };
    let all = [
        ("architecture", text(facts.architecture.as_deref())),
        ("contextLength", number(facts.context_length)),
        ("parameterCount", number(facts.parameters)),
        ("precision", text(precision)),
        ("quantization", text(facts.quantization.as_deref())),
    ];
    let known = all.into_iter();
    known
        .filter_map(|(name, value)| Some((name.to_owned(), value?)))
        .collect()
}

/// Lists what a draft looks at: two levels of names, and what lies beside private files.
fn list(tree: &Tree) -> Listing {
    let mut split: HashSet<String> = HashSet::new();
    let mut listing = Listing::default();
    // A Kitfile is text: what has no name in it is in the layer of its folder.
    let entries = || {
        let entries = tree.entries(0);
        entries.filter_map(|entry| Some((String::from_utf8(entry.path()).ok()?, entry)))
    };
    for (path, _) in entries() {
        if guess::never_taken(&path).is_some() {
            let mut above = path.as_str();
            while let Some((folder, _)) = above.rsplit_once('/') {
                if !split.insert(folder.to_owned()) {
                    break;
                }
                above = folder;
            }
        }
    }
    for (path, entry) in entries() {
        let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
        if !folder.contains('/') || split.contains(folder) {
            listing.entries.push(ListedFile {
                size: entry.size(),
                is_dir: entry.kind() == Kind::Folder,
                path,
            });
        }
    }
    listing
}

/// Tells why a path stays out of a kit whose Kitfile nobody wrote.
pub(super) fn guard(seen: Seen<'_>) -> Option<String> {
    let (Seen::Path(path) | Seen::End(path)) = seen;
    guess::never_taken(path).map(|reason| reason.to_string())
}
