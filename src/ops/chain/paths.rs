//! The paths of kits that are unpacked into one folder.

use std::collections::BTreeMap;

use super::{ChainError, Parent};
use crate::{
    kitfile::{Entry, Kitfile, Section, clean},
    ops::{Error, kit::noun},
};

/// A path that belongs to a parent: a child leaves out what lies there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The cleaned path.
    pub path: String,
    /// The element: ``model `base` of base:1``.
    pub owner: String,
    /// Whether unpacking the child brings what lies there: parents give their model only.
    pub is_model: bool,
}

/// Returns the paths of all elements of `parents`.
pub fn claims(parents: &[Parent]) -> Vec<Claim> {
    let mut claims = Vec::new();
    for parent in parents {
        let of = parent.reference.to_string();
        claims.extend(elements(&parent.kitfile).into_iter().map(|element| Claim {
            owner: format!("{} of {of}", element.name),
            path: element.path,
            is_model: element.is_model,
        }));
    }
    claims
}

/// Returns the claims on `paths`, in the order of these.
pub fn claimed(parents: &[Parent], paths: &[String]) -> Vec<Claim> {
    let claims = claims(parents);
    let of = |path: &String| claims.iter().find(|claim| claim.path == *path).cloned();
    paths.iter().filter_map(of).collect()
}

/// Checks that no two kits of a chain use the same path; `child` is what the lowest is called.
pub fn check(child: &str, kitfile: &Kitfile, parents: &[Parent]) -> Result<(), Error> {
    if parents.is_empty() {
        return Ok(());
    }
    let own = elements(kitfile).into_iter().map(|element| Claim {
        owner: format!("{} of {child}", element.name),
        path: element.path,
        is_model: element.is_model,
    });
    let mut users: BTreeMap<String, Vec<String>> = BTreeMap::new();
    // Within one kit paths differ, or that kit's own check says so.
    for claim in own.chain(claims(parents)) {
        users.entry(claim.path).or_default().push(claim.owner);
    }
    let clashes: Vec<String> = users
        .into_iter()
        .filter(|(_, owners)| owners.len() > 1)
        .map(|(path, owners)| format!("`{path}`: {}", owners.join(", ")))
        .collect();
    if clashes.is_empty() {
        return Ok(());
    }
    Err(ChainError::SharedPaths { clashes }.into())
}

/// An element with a path in the directory that is packed or unpacked into.
struct Element {
    name: String,
    path: String,
    is_model: bool,
}

/// Returns the elements with a path, those among them whose data is elsewhere.
fn elements(kitfile: &Kitfile) -> Vec<Element> {
    let entries = kitfile.entries();
    let packed = entries.iter().map(|entry| Element {
        name: named(entry),
        path: entry.clean.clone(),
        is_model: matches!(entry.section, Section::Model | Section::Part),
    });
    let remote = kitfile.datasets.iter();
    let remote = remote.filter(|data| !data.remote_path.is_empty());
    let remote = remote.map(|data| Element {
        name: format!("dataset `{}`", data.name),
        path: clean(&data.path),
        is_model: false,
    });
    packed.chain(remote).collect()
}

fn named(entry: &Entry) -> String {
    let noun = noun(entry.section);
    if entry.name.is_empty() {
        noun.to_owned()
    } else {
        format!("{noun} `{}`", entry.name)
    }
}
