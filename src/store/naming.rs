//! What giving a name to a kit does to the other names.

use crate::{oci::Descriptor, reference::Reference};

use super::Entry;

/// Calls the kit `descriptor` by `name`, and keeps the rule that for one kit in one repository
/// there are either tags or exactly one entry with the digest.
pub(super) fn set_name(
    entries: &mut Vec<Entry>,
    name: Option<&Reference>,
    descriptor: &Descriptor,
) {
    let named = |name: Option<Reference>| Entry {
        name,
        descriptor: descriptor.clone(),
    };
    // What was not known of a kit whose manifest was lost is known now.
    for entry in &mut *entries {
        if entry.descriptor.digest == descriptor.digest {
            entry.descriptor = descriptor.clone();
        }
    }
    let Some(name) = name.filter(|name| name.repository().is_some()) else {
        let entry = named(None);
        if !entries.iter().any(|other| other.is_same_kit(&entry)) {
            entries.push(entry);
        }
        return;
    };
    if name.tag().is_none() {
        let entry = named(Some(name.with_digest(descriptor.digest)));
        if !entries.iter().any(|other| other.is_same_kit(&entry)) {
            entries.push(entry);
        }
        return;
    }
    let entry = named(Some(name.clone()));
    let moved = entries
        .iter()
        .position(|other| other.name.as_ref() == Some(name))
        .map(|position| entries.remove(position))
        .filter(|old| old.descriptor.digest != descriptor.digest);
    entries.retain(|other| !other.is_same_kit(&entry) || other.tag().is_some());
    entries.push(entry);
    if let Some(old) = moved
        && !entries.iter().any(|other| other.is_same_kit(&old))
    {
        entries.push(Entry {
            name: Some(name.with_digest(old.descriptor.digest)),
            descriptor: old.descriptor,
        });
    }
}

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::{digest::Digest, oci::media_type};

    /// Returns the descriptor of a kit that is not there.
    pub(in crate::store) fn kit(content: &str) -> Descriptor {
        Descriptor {
            media_type: media_type::MANIFEST.to_owned(),
            digest: Digest::of(content.as_bytes()),
            size: content.len() as u64,
            annotations: BTreeMap::new(),
            artifact_type: None,
        }
    }

    /// Applies `(name, kit)` in order and returns what is in the index then.
    fn after(steps: &[(&str, &str)]) -> Vec<String> {
        let mut entries = Vec::new();
        for (name, content) in steps {
            let name = (!name.is_empty()).then(|| Reference::parse(name).unwrap());
            set_name(&mut entries, name.as_ref(), &kit(content));
        }
        let mut names: Vec<String> = entries.iter().map(Entry::log_name).collect();
        names.sort();
        names
    }

    #[test]
    fn a_kit_in_a_repository_has_either_tags_or_one_entry_with_its_digest() {
        let digest = |content: &str| Digest::of(content.as_bytes()).to_string();
        let at = |repository: &str, content: &str| format!("{repository}@{}", digest(content));
        for (steps, expected) in [
            (vec![("a:1", "x")], vec!["a:1".to_owned()]),
            (vec![("a:1", "x"), ("a:1", "x")], vec!["a:1".to_owned()]),
            // A tag that moves leaves the old kit under its digest,
            (
                vec![("a:1", "x"), ("a:1", "y")],
                vec!["a:1".to_owned(), at("a", "x")],
            ),
            // unless another tag of the repository leads to it.
            (
                vec![("a:1", "x"), ("a:2", "x"), ("a:1", "y")],
                vec!["a:1".to_owned(), "a:2".to_owned()],
            ),
            (
                vec![("a:1", "x"), ("b:2", "x"), ("a:1", "y")],
                vec!["a:1".to_owned(), at("a", "x"), "b:2".to_owned()],
            ),
            // A tag takes the place of the digest; the digest adds nothing to a tag.
            (
                vec![(&*at("a", "x"), "x"), ("a:1", "x")],
                vec!["a:1".to_owned()],
            ),
            (
                vec![("a:1", "x"), (&*at("a", "x"), "x")],
                vec!["a:1".to_owned()],
            ),
            (
                vec![("", "x"), ("", "x"), ("a:1", "x")],
                vec!["a:1".to_owned(), digest("x")],
            ),
        ] {
            assert_eq!(after(&steps), expected, "{steps:?}");
        }
    }
}
