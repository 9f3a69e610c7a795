//! Finds what makes a JSON document mean different things to different readers.
//!
//! JSON leaves open which of two equal keys counts, and Go takes `LAYERS` for `layers`: a document
//! can show one kit to a scanner and another to the machine that runs it. This is a pass of its
//! own over the text, before it is read into anything: it keeps only the keys of the objects that
//! are open, and limits counts before anything is allocated for them. Depth is limited by
//! `serde_json` (128).

use std::{collections::HashSet, fmt};

use serde::de::{self, DeserializeSeed, MapAccess, SeqAccess, Visitor};

/// More keys than any honest object has; bounds the memory of the pass.
const MAX_KEYS: usize = 500_000;
/// More layers than this would make a manifest that registries refuse anyway.
const MAX_LAYERS: usize = 10_000;
/// More kits than an index within its size limit can describe.
const MAX_MANIFESTS: usize = 1_000_000;

/// What is known about the value at some place of a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Shape {
    Manifest,
    Index,
    Descriptor,
    /// An array of descriptors and how many it may hold.
    Descriptors(usize),
    /// Anything: only keys that stand twice are an error.
    Free,
}

impl Shape {
    /// The keys that mean something, here or in a document this one could be taken for.
    const fn known(self) -> &'static [&'static str] {
        match self {
            Self::Manifest | Self::Index => &[
                "schemaVersion",
                "mediaType",
                "artifactType",
                "config",
                "layers",
                "manifests",
                "subject",
                "annotations",
            ],
            Self::Descriptor => &[
                "mediaType",
                "digest",
                "size",
                "urls",
                "annotations",
                "data",
                "platform",
                "artifactType",
            ],
            Self::Descriptors(_) | Self::Free => &[],
        }
    }

    const fn required(self) -> &'static [&'static str] {
        match self {
            Self::Manifest => &["schemaVersion"],
            Self::Index => &["schemaVersion", "manifests"],
            Self::Descriptor => &["mediaType", "digest", "size"],
            Self::Descriptors(_) | Self::Free => &[],
        }
    }

    /// What stands under `key`.
    fn under(self, key: &str) -> Self {
        match (self, key) {
            (Self::Manifest, "config" | "subject") => Self::Descriptor,
            (Self::Manifest, "layers") => Self::Descriptors(MAX_LAYERS),
            (Self::Index, "manifests") => Self::Descriptors(MAX_MANIFESTS),
            _ => Self::Free,
        }
    }

    /// Reads all of `text`.
    pub(super) fn check(self, text: &str) -> Result<(), serde_json::Error> {
        let mut deserializer = serde_json::Deserializer::from_str(text);
        self.deserialize(&mut deserializer)?;
        deserializer.end()
    }
}

/// Checks that `text` is one JSON document, at most 128 levels deep, in which no object has a key
/// twice. Costs little memory whatever the text holds.
pub fn check_keys(text: &str) -> Result<(), serde_json::Error> {
    Shape::Free.check(text)
}

impl<'de> DeserializeSeed<'de> for Shape {
    type Value = ();

    fn deserialize<D: de::Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Shape {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("JSON")
    }

    fn visit_bool<E>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<(), A::Error> {
        let (element, limit) = match self {
            Self::Descriptors(limit) => (Self::Descriptor, limit),
            Self::Free => (Self::Free, usize::MAX),
            // Derived readers take an array for a struct, its fields in order.
            _ => return Err(de::Error::custom("expected an object, found an array")),
        };
        let mut count = 0_usize;
        while elements.next_element_seed(element)?.is_some() {
            count += 1;
            if count > limit {
                return Err(de::Error::custom(format_args!(
                    "more than {limit} descriptors"
                )));
            }
        }
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<(), A::Error> {
        let mut seen = HashSet::new();
        while let Some(key) = members.next_key::<String>()? {
            if let Some(known) = self.known().iter().find(|known| shadows(&key, known)) {
                return Err(de::Error::custom(format_args!(
                    "key `{key}` could be taken for `{known}`"
                )));
            }
            if seen.contains(&key) {
                return Err(de::Error::custom(format_args!("key `{key}` stands twice")));
            }
            if seen.len() == MAX_KEYS {
                return Err(de::Error::custom(format_args!(
                    "more than {MAX_KEYS} keys in one object"
                )));
            }
            members.next_value_seed(self.under(&key))?;
            seen.insert(key);
        }
        match self.required().iter().find(|key| !seen.contains(**key)) {
            Some(missing) => Err(de::Error::custom(format_args!("`{missing}` is missing"))),
            None => Ok(()),
        }
    }
}

/// Tells whether `key` is not `known` but Go would take it for that.
fn shadows(key: &str, known: &str) -> bool {
    // The two letters outside ASCII that fold to one inside it.
    let fold = |letter: char| match letter {
        '\u{17f}' => 's',
        '\u{212a}' => 'k',
        _ => letter.to_ascii_lowercase(),
    };
    key != known && key.chars().map(fold).eq(known.chars().map(fold))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(text: &str) -> String {
        check_keys(text).unwrap_err().to_string()
    }

    // hazard: 62
    #[test]
    fn a_key_that_stands_twice_is_found_at_every_depth() {
        for text in [
            r#"{"a":1,"a":1}"#,
            r#"{"a":1,"b":2,"a":3}"#,
            r#"{"x":[{"y":{"a":1,"a":2}}]}"#,
            r#"{"a":1,"\u0061":2}"#,
            r#"{"a":{},"a":[]}"#,
        ] {
            assert!(refusal(text).contains("key `a` stands twice"), "{text}");
        }
        assert_eq!(
            refusal("{\"b\":1,\n\"b\":2}"),
            "key `b` stands twice at line 2 column 3"
        );
        check_keys(r#"{"a":{"a":[{"a":1},{"a":2}]},"A":1}"#).unwrap();
    }

    // hazard: 62, 122
    #[test]
    fn depth_keys_and_trailing_bytes_are_limited() {
        let deep = "[".repeat(200_000);
        assert!(refusal(&deep).contains("recursion limit"));
        let deep = r#"{"a":"#.repeat(200_000);
        assert!(refusal(&deep).contains("recursion limit"));
        assert!(refusal("{} {}").contains("trailing characters"));
        assert!(refusal("\u{feff}{}").contains("expected value"));
        let many: Vec<String> = (0..=MAX_KEYS).map(|n| format!("\"{n:x}\":0")).collect();
        assert!(refusal(&format!("{{{}}}", many.join(","))).contains("more than 500000 keys"));
    }

    // hazard: 62
    #[test]
    fn letters_that_go_folds_are_seen() {
        for key in ["LAYERS", "Layers", "layer\u{17f}", "\u{17f}chemaVersion"] {
            assert!(
                ["layers", "schemaVersion"]
                    .iter()
                    .any(|known| shadows(key, known)),
                "{key}"
            );
        }
        assert!(!shadows("layers", "layers"));
        assert!(!shadows("layer", "layers"));
    }
}
