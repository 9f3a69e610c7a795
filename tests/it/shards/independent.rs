//! A reader of kits that follows the rules by which `KitOps` unpacks and shares no code with the program:
//! order, digests and elements of the config, what is in the way, which names are refused.
//!
//! `KitOps` looks for the element of a layer in two ways, depending on its version: the n-th layer
//! of a type takes the n-th element of that type and their digests must agree, or the layer takes
//! the element with its digest. Both must find the same.

use std::{
    collections::BTreeMap,
    fs,
    io::Read as _,
    path::{Path, PathBuf},
};

use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// How the element of a layer is found.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Matching {
    Order,
    Digest,
}

/// What is to be taken: types, and raw names or paths; nothing takes all.
#[derive(Clone, Copy, Debug)]
pub(super) struct Filter<'f> {
    pub(super) kind: &'f str,
    pub(super) value: Option<&'f str>,
}

/// A folder with `blobs/sha256`.
pub(super) struct Reader<'r> {
    pub(super) store: &'r Path,
    pub(super) matching: Matching,
    pub(super) filter: Option<Filter<'r>>,
}

impl Reader<'_> {
    /// Unpacks the kit with this manifest into the empty folder `target`.
    pub(super) fn unpack(&self, manifest: &str, target: &Path) -> Result<(), String> {
        let manifest: Value = json(&self.blob(manifest)?);
        let config: Value = json(&self.blob(text(&manifest["config"]["digest"]))?);
        if text(&manifest["config"]["mediaType"])
            != "application/vnd.kitops.modelkit.config.v1+json"
        {
            return Err("does not refer to a model".to_owned());
        }
        fs::create_dir_all(target).unwrap();
        if self.filter.is_none() {
            fs::write(target.join("Kitfile"), written_back(&config)).unwrap();
        }
        let elements = elements(&config);
        let mut counts: BTreeMap<&str, usize> = BTreeMap::new();
        for layer in manifest["layers"].as_array().unwrap() {
            let kind = kind(text(&layer["mediaType"]))?;
            let digest = text(&layer["digest"]);
            let of_kind = &elements[kind];
            let number = counts.entry(kind).or_default();
            let element = match self.matching {
                Matching::Order => of_kind.get(*number).copied(),
                Matching::Digest => of_kind.iter().copied().find(|it| it["digest"] == digest),
            };
            *number += 1;
            let element = element.ok_or_else(|| format!("no element for a layer of {kind}"))?;
            if element["digest"] != digest {
                return Err(format!(
                    "digest in config and manifest do not match in {kind}"
                ));
            }
            if self.wants(kind, element) {
                untar(&self.blob(digest)?, target)?;
            }
        }
        Ok(())
    }

    /// A filter selects a model with its parts; its value is compared with the raw text.
    fn wants(&self, kind: &str, element: &Value) -> bool {
        let Some(filter) = self.filter else {
            return true;
        };
        let of = match kind {
            "modelpart" => "model",
            "dataset" => "datasets",
            kind => kind,
        };
        let is_named = |value: &str| element["name"] == value || element["path"] == value;
        filter.kind == of && filter.value.is_none_or(is_named)
    }

    fn blob(&self, digest: &str) -> Result<Vec<u8>, String> {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let content = fs::read(self.store.join("blobs/sha256").join(hex));
        let content = content.map_err(|error| format!("{digest}: {error}"))?;
        let actual = Sha256::digest(&content);
        let expected = (0..hex.len()).step_by(2);
        let expected = expected.map(|at| u8::from_str_radix(&hex[at..at + 2], 16).unwrap());
        if actual.iter().copied().eq(expected) {
            Ok(content)
        } else {
            Err(format!("{digest} holds something else"))
        }
    }
}

/// Returns the elements of each type in their order.
fn elements(config: &Value) -> BTreeMap<&'static str, Vec<&Value>> {
    let mut elements: BTreeMap<&'static str, Vec<&Value>> = BTreeMap::new();
    let model = &config["model"];
    // One that is in another kit has no layer.
    let here = model["path"].as_str().filter(|path| !path.contains(':'));
    elements.insert("model", here.map(|_| model).into_iter().collect());
    for (kind, list) in [
        ("modelpart", &model["parts"]),
        ("code", &config["code"]),
        ("dataset", &config["datasets"]),
        ("docs", &config["docs"]),
    ] {
        elements.insert(kind, list.as_array().into_iter().flatten().collect());
    }
    elements
}

fn kind(media_type: &str) -> Result<&str, String> {
    let kind = media_type.strip_prefix("application/vnd.kitops.modelkit.");
    let kind = kind.and_then(|rest| rest.strip_suffix(".v1.tar"));
    kind.filter(|it| ["model", "modelpart", "code", "dataset", "docs"].contains(it))
        .ok_or_else(|| format!("unknown layer type {media_type}"))
}

/// Takes an archive out where it is: what is missing is not made, what is there is not replaced.
fn untar(archive: &[u8], target: &Path) -> Result<(), String> {
    let mut archive = tar::Archive::new(archive);
    for entry in archive.entries().unwrap() {
        let mut entry = entry.map_err(|error| error.to_string())?;
        let name = PathBuf::from(String::from_utf8(entry.path_bytes().into_owned()).unwrap());
        let shown = name.display().to_string();
        if name.is_absolute() {
            return Err(format!("absolute paths are not supported ({shown})"));
        }
        if name.components().any(|part| part.as_os_str() == "..") {
            return Err("layer paths must stay within context directory".to_owned());
        }
        let (place, mode) = (target.join(&name), entry.header().mode().unwrap());
        match entry.header().entry_type() {
            tar::EntryType::Directory if place.is_dir() => {}
            tar::EntryType::Directory if place.exists() => {
                return Err(format!(
                    "path '{shown}' already exists and is not a directory"
                ));
            }
            tar::EntryType::Directory => {
                fs::create_dir(&place).map_err(|error| format!("{shown}: {error}"))?;
                set_mode(&place, mode);
            }
            tar::EntryType::Regular if place.exists() => {
                return Err(format!("path '{shown}' already exists"));
            }
            tar::EntryType::Regular => {
                let mut content = Vec::new();
                entry.read_to_end(&mut content).unwrap();
                fs::write(&place, content).map_err(|error| format!("{shown}: {error}"))?;
                set_mode(&place, mode);
            }
            _ => return Err(format!("unrecognized type in archive: {shown}")),
        }
    }
    Ok(())
}

#[cfg(unix)]
fn set_mode(path: &Path, mode: u32) {
    use std::os::unix::fs::PermissionsExt as _;
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

#[cfg(not(unix))]
fn set_mode(_: &Path, _: u32) {}

/// Returns the config as a Kitfile: what it says of layers is left out, the rest stays as it is.
/// JSON is YAML.
fn written_back(config: &Value) -> String {
    let mut kitfile = config.clone();
    forget_layers(&mut kitfile);
    serde_json::to_string_pretty(&kitfile).unwrap()
}

fn forget_layers(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.remove("digest");
            fields.remove("diffId");
            fields.values_mut().for_each(forget_layers);
        }
        Value::Array(items) => items.iter_mut().for_each(forget_layers),
        _ => {}
    }
}

fn json(bytes: &[u8]) -> Value {
    serde_json::from_slice(bytes).unwrap()
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap()
}
