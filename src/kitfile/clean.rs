//! Paths as text: cleaned, and told apart from references.

use crate::reference::model_path_reference;

/// Returns `path` without empty and `.` components, with `..` applied as far as it goes, and `.`
/// for the whole context. Purely textual: links are not looked at.
pub fn clean(path: &str) -> String {
    let rooted = path.starts_with('/');
    let mut kept: Vec<&str> = Vec::new();
    for component in path.split('/') {
        match component {
            "" | "." => {}
            ".." => match kept.last() {
                Some(&last) if last != ".." => {
                    kept.pop();
                }
                _ if rooted => {}
                _ => kept.push(".."),
            },
            component => kept.push(component),
        }
    }
    let joined = kept.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

/// Tells whether the path of a model names a kit.
pub(super) fn is_kit_reference(path: &str) -> bool {
    model_path_reference(path).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_cleaned_as_text() {
        for (path, cleaned) in [
            ("", "."),
            (".", "."),
            ("./", "."),
            ("a/", "a"),
            ("./a//b/./c/", "a/b/c"),
            ("a/../b", "b"),
            ("a/..", "."),
            ("../a", "../a"),
            ("a/../../b", "../b"),
            ("/a/../../b", "/b"),
            ("/", "/"),
            ("..a/b..", "..a/b.."),
        ] {
            assert_eq!(clean(path), cleaned, "{path}");
        }
    }

    #[test]
    fn only_whole_references_count() {
        for reference in [
            "m:1",
            "team/net:1.0",
            "localhost/golden/refs-base:v1",
            "registry.example:5000/team/net",
            "registry.example/team/net@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        ] {
            assert!(is_kit_reference(reference), "{reference}");
        }
        for path in [
            "model", "./a:b", "C:\\x", "C:/x", "c:/x", "a:b/c", "s3://a/b", "a b:c", ":", "@",
        ] {
            assert!(!is_kit_reference(path), "{path}");
        }
    }
}
