//! Stores as `KitOps` keeps them, made of kits in the store of a sandbox.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::{Value, json};

use super::{Sandbox, kits};

/// A kit to be put there: repository with its registry, digest, tags.
pub(crate) type Placed<'a> = (&'a str, &'a str, &'a [&'a str]);

/// Writes the layout of today: blobs together, and two files for each repository.
pub(crate) fn shared(kit: &Sandbox, storage: &Path, placed: &[Placed<'_>]) {
    let mut indexes: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    let mut all_tags: BTreeMap<&str, serde_json::Map<String, Value>> = BTreeMap::new();
    let mut all = Vec::new();
    for (repository, digest, tags) in placed {
        copy_blobs(kit, digest, storage);
        let descriptor = descriptor(kit, digest);
        indexes
            .entry(repository)
            .or_default()
            .push(descriptor.clone());
        for tag in *tags {
            let of_repository = all_tags.entry(repository).or_default();
            of_repository.insert((*tag).to_owned(), descriptor.clone());
        }
        all.insert(0, descriptor); // In some other order.
    }
    for (repository, manifests) in indexes {
        let index = json!({"schemaVersion": 2, "manifests": manifests});
        fs::write(index_of(storage, repository), index.to_string()).unwrap();
    }
    for (repository, tags) in all_tags {
        fs::write(tags_of(storage, repository), Value::from(tags).to_string()).unwrap();
    }
    write_layout(storage, &all);
}

/// Writes the layout of old: one OCI layout for each repository.
pub(crate) fn separate(kit: &Sandbox, storage: &Path, placed: &[Placed<'_>]) {
    let mut manifests: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
    for (repository, digest, tags) in placed {
        copy_blobs(kit, digest, &storage.join(repository));
        let of_repository = manifests.entry(repository).or_default();
        let mut add = |name: Option<&&str>| {
            let mut descriptor = descriptor(kit, digest);
            if let Some(name) = name {
                descriptor["annotations"] = json!({"org.opencontainers.image.ref.name": name});
            }
            of_repository.push(descriptor);
        };
        match tags {
            [] => add(None),
            tags => tags.iter().for_each(|tag| add(Some(tag))),
        }
    }
    for (repository, manifests) in manifests {
        write_layout(&storage.join(repository), &manifests);
    }
}

fn write_layout(folder: &Path, manifests: &[Value]) {
    fs::create_dir_all(folder.join("ingest")).unwrap();
    fs::write(
        folder.join("oci-layout"),
        r#"{"imageLayoutVersion":"1.0.0"}"#,
    )
    .unwrap();
    let manifests = match manifests {
        [] => Value::Null,
        manifests => manifests.into(),
    };
    let media_type = "application/vnd.oci.image.index.v1+json";
    let index = json!({"schemaVersion": 2, "mediaType": media_type, "manifests": manifests});
    fs::write(folder.join("index.json"), index.to_string()).unwrap();
}

fn descriptor(kit: &Sandbox, digest: &str) -> Value {
    json!({
        "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "digest": digest,
        "size": kit.store().blob(digest).len(),
    })
}

/// Copies all blobs of a kit into `layout`.
fn copy_blobs(kit: &Sandbox, digest: &str, layout: &Path) {
    fs::create_dir_all(layout.join("blobs/sha256")).unwrap();
    let (config, mut blobs) = kits::blobs(kit, digest);
    blobs.extend([config, digest.to_owned()]);
    for blob in blobs {
        let to = blob_of(layout, &blob);
        if !to.exists() {
            fs::write(to, kit.store().blob(&blob)).unwrap();
        }
    }
}

/// Returns where a blob lies.
pub(crate) fn blob_of(layout: &Path, digest: &str) -> PathBuf {
    layout.join("blobs").join(digest.replace(':', "/"))
}

/// Returns the file with the kits of a repository.
pub(crate) fn index_of(storage: &Path, repository: &str) -> PathBuf {
    storage.join(format!("{}-index.json", base64(repository)))
}

/// Returns the file with the tags of a repository.
pub(crate) fn tags_of(storage: &Path, repository: &str) -> PathBuf {
    storage.join(format!("{}-tags.json", base64(repository)))
}

/// Encodes in the alphabet for file names, padded.
fn base64(text: &str) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let mut encoded = String::new();
    for chunk in text.as_bytes().chunks(3) {
        let mut bits = 0_usize;
        for place in 0..3 {
            bits = bits << 8 | usize::from(chunk.get(place).copied().unwrap_or_default());
        }
        for place in 0..4 {
            encoded.push(match place {
                place if place > chunk.len() => '=',
                place => char::from(DIGITS[bits >> (18 - 6 * place) & 63]),
            });
        }
    }
    encoded
}

#[test]
fn repositories_are_encoded_as_kitops_does() {
    assert_eq!(base64("localhost/_"), "bG9jYWxob3N0L18=");
    assert_eq!(base64("???"), "Pz8_");
}
