//! Changes of documents that leave every other byte as it is.

use std::{collections::BTreeMap, ops::Range};

use serde_json::value::RawValue;

use super::{Descriptor, Error, Manifest, json as canonical};

type Members<'t> = BTreeMap<String, &'t RawValue>;

/// Returns the manifest `bytes` with these annotations, over those of the same keys. All else stays
/// as it was written, blanks and unknown keys too; a manifest in our form stays in it.
pub fn annotated(bytes: &[u8], values: &BTreeMap<String, String>) -> Result<Vec<u8>, Error> {
    let mut manifest = Manifest::parse(bytes)?;
    if manifest.to_bytes() == bytes {
        manifest.annotations.extend(values.clone());
        return Ok(manifest.to_bytes());
    }
    let malformed = |source| Error::Malformed {
        document: "manifest",
        source,
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed(<serde_json::Error as serde::de::Error>::custom(error)))?;
    let members: Members<'_> = serde_json::from_str(text).map_err(malformed)?;
    let is_set = |value: &&&RawValue| value.get() != "null";
    let mut edits: Vec<(Range<usize>, String)> = Vec::new();
    if let Some(annotations) = members.get("annotations").filter(is_set) {
        let known: Members<'_> = serde_json::from_str(annotations.get()).map_err(malformed)?;
        let mut new = Vec::new();
        for (key, value) in values {
            match known.get(key) {
                Some(old) => edits.push((span(text, old), json(value))),
                None => new.push(member(key, value)),
            }
        }
        if !new.is_empty() {
            let start = span(text, annotations).start + 1;
            let end = if known.is_empty() { "" } else { "," };
            edits.push((start..start, new.join(",") + end));
        }
    } else {
        let all: Vec<String> = values
            .iter()
            .map(|(key, value)| member(key, value))
            .collect();
        let all = format!("{{{}}}", all.join(","));
        if let Some(null) = members.get("annotations") {
            edits.push((span(text, null), all));
        } else {
            // Behind the last member, of which there is at least the config.
            let end = text.rfind('}').unwrap_or_default();
            let end = text[..end].trim_end().len();
            edits.push((end..end, format!(",\"annotations\":{all}")));
        }
    }
    edits.sort_by_key(|(range, _)| std::cmp::Reverse(range.start));
    let mut text = text.to_owned();
    for (range, new) in edits {
        text.replace_range(range, &new);
    }
    Ok(text.into_bytes())
}

/// Returns the manifest `bytes` with these layers in place of its own. All else stays as it was
/// written.
pub fn with_layers(bytes: &[u8], layers: Vec<Descriptor>) -> Result<Vec<u8>, Error> {
    let mut manifest = Manifest::parse(bytes)?;
    if manifest.to_bytes() == bytes {
        manifest.layers = layers;
        return Ok(manifest.to_bytes());
    }
    let malformed = |source| Error::Malformed {
        document: "manifest",
        source,
    };
    let text = std::str::from_utf8(bytes)
        .map_err(|error| malformed(<serde_json::Error as serde::de::Error>::custom(error)))?;
    let members: Members<'_> = serde_json::from_str(text).map_err(malformed)?;
    let new = String::from_utf8(canonical::to_vec(&layers)).expect("JSON is UTF-8");
    // Where there are no layers none can be put in their place.
    let Some(old) = members.get("layers") else {
        return Ok(bytes.to_vec());
    };
    let old = span(text, old);
    let mut text = text.to_owned();
    text.replace_range(old, &new);
    Ok(text.into_bytes())
}

/// Returns where in `text` a value that was read from it stands.
fn span(text: &str, value: &RawValue) -> Range<usize> {
    let start = value.get().as_ptr().addr() - text.as_ptr().addr();
    start..start + value.get().len()
}

fn member(key: &str, value: &str) -> String {
    format!("{}:{}", json(key), json(value))
}

fn json(text: &str) -> String {
    serde_json::to_string(text).expect("a text can be written")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::Descriptor;

    fn values() -> BTreeMap<String, String> {
        [("k.one", "1"), ("k.two", "a\"b")]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into()
    }

    #[test]
    fn only_annotations_are_written_into_a_manifest_of_another_program() {
        let config = format!(
            r#"{{"mediaType":"c","digest":"{}","size":1}}"#,
            crate::digest::Digest::of(b"x")
        );
        for (before, after) in [
            (
                "{\n  \"schemaVersion\": 2,\n  \"zzz\": [1.50],\n  \"config\": C\n}\n",
                "{\n  \"schemaVersion\": 2,\n  \"zzz\": [1.50],\n  \"config\": C,\"annotations\":{\"k.one\":\"1\",\"k.two\":\"a\\\"b\"}\n}\n",
            ),
            (
                r#"{"annotations":null,"config":C,"schemaVersion":2}"#,
                r#"{"annotations":{"k.one":"1","k.two":"a\"b"},"config":C,"schemaVersion":2}"#,
            ),
            (
                r#"{"annotations":{ },"config":C,"schemaVersion":2}"#,
                r#"{"annotations":{"k.one":"1","k.two":"a\"b" },"config":C,"schemaVersion":2}"#,
            ),
            (
                r#"{"annotations":{"z":"\u0041", "k.two" : "old"},"schemaVersion":2,"config":C}"#,
                r#"{"annotations":{"k.one":"1","z":"\u0041", "k.two" : "a\"b"},"schemaVersion":2,"config":C}"#,
            ),
        ] {
            let (before, after) = (before.replace('C', &config), after.replace('C', &config));
            let found = annotated(before.as_bytes(), &values()).unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), after);
            let again = annotated(after.as_bytes(), &values()).unwrap();
            assert_eq!(String::from_utf8(again).unwrap(), after);
        }
    }

    #[test]
    fn only_layers_are_written_into_a_manifest_of_another_program() {
        let config = format!(
            r#"{{"mediaType":"c","digest":"{}","size":1}}"#,
            crate::digest::Digest::of(b"x")
        );
        let new = Descriptor::of("l", b"new");
        let text = String::from_utf8(canonical::to_vec(&[&new])).unwrap();
        for (before, after) in [
            (
                "{ \"layers\": [ ],\n \"zzz\": [1.50], \"config\": C, \"schemaVersion\": 2 }\n",
                "{ \"layers\": N,\n \"zzz\": [1.50], \"config\": C, \"schemaVersion\": 2 }\n",
            ),
            (
                r#"{"config":C,"layers":null,"schemaVersion":2}"#,
                r#"{"config":C,"layers":N,"schemaVersion":2}"#,
            ),
        ] {
            let before = before.replace('C', &config);
            let after = after.replace('C', &config).replace('N', &text);
            let found = with_layers(before.as_bytes(), vec![new.clone()]).unwrap();
            assert_eq!(String::from_utf8(found).unwrap(), after);
        }
    }

    #[test]
    fn a_manifest_in_our_form_stays_in_it() {
        let mut manifest = Manifest {
            artifact_type: None,
            config: Descriptor::of("c", b"{}"),
            layers: Vec::new(),
            annotations: [("a", "1"), ("z", "2")]
                .map(|(key, value)| (key.to_owned(), value.to_owned()))
                .into(),
            subject: None,
        };
        let found = annotated(&manifest.to_bytes(), &values()).unwrap();
        manifest.annotations.extend(values());
        assert_eq!(found, manifest.to_bytes());
        manifest.layers = vec![Descriptor::of("l", b"new")];
        let found = with_layers(&found, manifest.layers.clone()).unwrap();
        assert_eq!(found, manifest.to_bytes());
    }
}
