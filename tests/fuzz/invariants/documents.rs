//! Manifests, indexes and configs: strict, and what is printed is what was read.

use modelkit::{
    kitfile::Kitfile,
    oci::{Descriptor, Index, Manifest},
};
use serde_json::Value;

/// Reads the input as each kind of document.
pub(super) fn check(input: &[u8]) -> bool {
    let manifest = Manifest::parse(input).ok();
    let index = Index::parse(input).ok();
    assert!(
        manifest.is_none() || index.is_none(),
        "it is a manifest and an index at once"
    );
    if let Some(manifest) = &manifest {
        check_manifest(input, manifest);
    }
    if let Some(index) = &index {
        check_index(input, index);
    }
    let config = Kitfile::from_config(input).ok();
    if let Some(config) = &config {
        if !is_out_of_range(input) {
            let _ = plainly(input);
        }
        let printed = config.to_config();
        let _ = plainly(&printed);
        let read = Kitfile::from_config(&printed).expect("a config that was written is read");
        assert_eq!(&read, config);
        assert_eq!(read.to_config(), printed);
    }
    manifest.is_some() || index.is_some() || config.is_some()
}

fn check_manifest(input: &[u8], manifest: &Manifest) {
    let printed = manifest.to_bytes();
    let read = Manifest::parse(&printed).expect("a manifest that was written is read");
    assert_eq!(&read, manifest);
    assert_eq!(read.to_bytes(), printed);
    for value in [plainly(input), plainly(&printed)] {
        assert!(value.get("manifests").is_none(), "the keys of an index");
        check_descriptor(&value["config"], &manifest.config);
        check_list(&value["layers"], &manifest.layers);
        check_annotations(&value["annotations"], &manifest.annotations);
        match &manifest.subject {
            Some(subject) => check_descriptor(&value["subject"], subject),
            None => assert!(value["subject"].is_null()),
        }
    }
}

fn check_index(input: &[u8], index: &Index) {
    let printed = index.to_bytes();
    let read = Index::parse(&printed).expect("an index that was written is read");
    assert_eq!(&read, index);
    assert_eq!(read.to_bytes(), printed);
    for value in [plainly(input), plainly(&printed)] {
        assert!(
            value.get("config").is_none() && value.get("layers").is_none(),
            "the keys of a manifest"
        );
        check_list(&value["manifests"], &index.manifests);
        check_annotations(&value["annotations"], &index.annotations);
    }
}

/// Tells whether `input` is JSON with a number that the plain reader cannot hold. A config may have
/// one in a field that is not known here and is not looked at.
fn is_out_of_range(input: &[u8]) -> bool {
    let read: Result<Value, _> = serde_json::from_slice(input);
    read.is_err_and(|error| error.to_string().starts_with("number out of range"))
}

/// Reads `input` with a reader that knows nothing of documents. What was accepted must be JSON in
/// which no object has a key twice, or two readers could see two documents in it.
fn plainly(input: &[u8]) -> Value {
    let value: Value = serde_json::from_slice(input).expect("it is JSON");
    assert_eq!(
        members(&value),
        colons(input),
        "a key stands twice: the reader that keeps the last has fewer members"
    );
    value
}

/// Counts the members of all objects.
fn members(value: &Value) -> usize {
    match value {
        Value::Object(map) => map.len() + map.values().map(members).sum::<usize>(),
        Value::Array(list) => list.iter().map(members).sum(),
        _ => 0,
    }
}

/// Counts the `:` outside of strings: one for each member that is written.
fn colons(text: &[u8]) -> usize {
    let (mut count, mut in_string, mut escaped) = (0, false, false);
    for byte in text {
        match byte {
            _ if escaped => escaped = false,
            b'\\' if in_string => escaped = true,
            b'"' => in_string = !in_string,
            b':' if !in_string => count += 1,
            _ => {}
        }
    }
    count
}

fn check_list(value: &Value, descriptors: &[Descriptor]) {
    let list = value.as_array().map(Vec::as_slice).unwrap_or_default();
    assert_eq!(list.len(), descriptors.len());
    for (value, descriptor) in list.iter().zip(descriptors) {
        check_descriptor(value, descriptor);
    }
}

fn check_descriptor(value: &Value, descriptor: &Descriptor) {
    let digest = descriptor.digest.to_string();
    let hex = digest.strip_prefix("sha256:").expect("the one algorithm");
    assert!(hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f')));
    assert_eq!(value["digest"], *digest);
    assert_eq!(value["mediaType"], *descriptor.media_type);
    assert_eq!(value["size"].as_u64(), Some(descriptor.size));
    assert!(descriptor.size <= Descriptor::MAX_SIZE);
    check_annotations(&value["annotations"], &descriptor.annotations);
}

fn check_annotations(value: &Value, annotations: &std::collections::BTreeMap<String, String>) {
    let members = value.as_object().map_or(0, serde_json::Map::len);
    assert_eq!(members, annotations.len());
    for (key, text) in annotations {
        assert_eq!(value[key], **text);
    }
}
