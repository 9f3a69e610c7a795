//! Paths as text: cleaned, and told apart from references.

use crate::reference::model_path_reference;

pub use crate::glob::clean;

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
