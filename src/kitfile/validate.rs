//! What a Kitfile must hold to beyond the types of its fields.

use std::collections::{BTreeMap, HashMap, HashSet};

use super::{
    Kitfile, Position, Problem,
    clean::{clean, is_kit_reference},
    entries::holds_layer,
    shards::Sharded,
};

/// The longest path that can be packed, as in the system calls that open it.
const MAX_PATH_BYTES: usize = 4096;
/// The longest type of a part.
const MAX_TYPE_CHARS: usize = 64;

/// Something that does not hold.
pub(super) struct Finding {
    /// The path of the field, such as `model.parts[0].type`.
    field: String,
    pub(super) message: String,
}

impl Finding {
    /// Returns where the field stands; an absent field stands where its element does.
    pub(super) fn position(&self, places: &HashMap<String, Position>) -> Option<Position> {
        [self.field.as_str(), self.element()]
            .into_iter()
            .find_map(|place| places.get(place))
            .copied()
    }

    fn element(&self) -> &str {
        self.field.rfind('.').map_or("", |dot| &self.field[..dot])
    }
}

/// All that was found.
#[derive(Default)]
pub(super) struct Findings {
    pub(super) errors: Vec<Finding>,
    pub(super) warnings: Vec<Finding>,
}

impl Kitfile {
    /// Returns everything that keeps the Kitfile from being packed, without positions.
    pub fn validate(&self) -> Vec<Problem> {
        let mut messages: Vec<String> = check(self, &HashSet::new())
            .errors
            .into_iter()
            .map(|e| e.message)
            .collect();
        messages.sort();
        messages
            .into_iter()
            .map(|message| Problem::at(None, message))
            .collect()
    }
}

/// An element with a path.
struct Element<'a> {
    /// How texts name it: `dataset train`, `code layer 0`.
    id: String,
    /// Its own path in the Kitfile: `datasets[0]`.
    place: String,
    path: &'a str,
    /// Its files come from elsewhere: nothing else may be put among them.
    remote: bool,
    /// It stands for a further layer of the element before it.
    repeats: bool,
}

/// Checks all rules, but for the fields and elements at the places in `broken`.
pub(super) fn check(kitfile: &Kitfile, broken: &HashSet<String>) -> Findings {
    let mut findings = Findings::default();
    if !matches!(kitfile.manifest_version.as_str(), "" | "1.0" | "1.0.0") {
        findings.warnings.push(Finding {
            field: "manifestVersion".to_owned(),
            message: format!(
                "unrecognized manifestVersion {}: the Kitfile is read as 1.0.0",
                kitfile.manifest_version
            ),
        });
    }
    let errors = &mut findings.errors;
    let mut elements = elements(kitfile);
    elements.retain(|element| {
        !broken.contains(&element.place) && !broken.contains(&format!("{}.path", element.place))
    });
    for element in &elements {
        check_path(element, errors);
    }
    check_distinct(&elements, errors);
    check_remote_folders(&elements, errors);
    check_parts(kitfile, errors);
    check_datasets(kitfile, errors);
    check_mcp_servers(kitfile, errors);
    errors.retain(|found| !broken.contains(&found.field) && !broken.contains(found.element()));
    findings
}

/// Returns the elements with a path, but for a model that has none or a reference.
fn elements(kitfile: &Kitfile) -> Vec<Element<'_>> {
    let mut elements = Vec::new();
    let mut add = |kind: &str, name: &str, place: String, path, (remote, repeats): (bool, bool)| {
        let index = place
            .rsplit('[')
            .next()
            .unwrap_or_default()
            .trim_end_matches(']');
        let id = match (kind, name) {
            ("model", "") => kind.to_owned(),
            (_, "") => format!("{kind} {index}"),
            _ => format!("{kind} {name}"),
        };
        elements.push(Element {
            id,
            place,
            path,
            remote,
            repeats,
        });
    };
    if let Some(model) = &kitfile.model {
        let is_here = holds_layer(&model.path);
        if is_here {
            let place = "model".to_owned();
            add("model", &model.name, place, &model.path, OWN);
        }
        let mut of_model = is_here;
        let mut first = None;
        for (index, part) in model.parts.iter().enumerate() {
            of_model &= part.repeats_model(model);
            let repeats = of_model || repeats(&mut first, part);
            add(
                "modelpart",
                &part.name,
                format!("model.parts[{index}]"),
                &part.path,
                (false, repeats),
            );
        }
    }
    for (index, code) in kitfile.code.iter().enumerate() {
        add("code layer", "", format!("code[{index}]"), &code.path, OWN);
    }
    let mut first = None;
    for (index, data) in kitfile.datasets.iter().enumerate() {
        let remote = !data.remote_path.is_empty();
        let repeats = repeats(&mut first, data);
        add(
            "dataset",
            &data.name,
            format!("datasets[{index}]"),
            &data.path,
            (remote, repeats),
        );
    }
    for (index, docs) in kitfile.docs.iter().enumerate() {
        add("docs layer", "", format!("docs[{index}]"), &docs.path, OWN);
    }
    for (index, prompt) in kitfile.prompts.iter().enumerate() {
        add(
            "prompt",
            &prompt.name,
            format!("prompts[{index}]"),
            &prompt.path,
            OWN,
        );
    }
    for (index, server) in kitfile.mcp_servers.iter().enumerate() {
        add(
            "mcpServer",
            &server.name,
            format!("mcpServers[{index}]"),
            &server.path,
            OWN,
        );
    }
    elements
}

/// An element of this directory that repeats no other.
const OWN: (bool, bool) = (false, false);

/// Tells whether `element` repeats the `first` of those before it that are the same, which it
/// becomes itself if it does not.
fn repeats<'k, T: Sharded>(first: &mut Option<&'k T>, element: &'k T) -> bool {
    let repeats = first.is_some_and(|first| element.repeats(first));
    if !repeats {
        *first = Some(element);
    }
    repeats
}

fn check_path(element: &Element<'_>, errors: &mut Vec<Finding>) {
    let Element {
        id, place, path, ..
    } = element;
    let reason = if path.len() > MAX_PATH_BYTES {
        format!("the path of {id} is longer than {MAX_PATH_BYTES} bytes")
    } else if path.contains('\0') {
        format!("the path of {id} holds a NUL character")
    } else if path.contains("://") {
        format!("URLs are not supported in a Kitfile (path {path} in {id})")
    } else if is_windows_absolute(path) {
        format!("Windows paths are not supported in a Kitfile (path {path} in {id})")
    } else if path.starts_with('/') {
        format!("absolute paths are not supported in a Kitfile (path {path} in {id})")
    } else if matches!(clean(path).split('/').next(), Some("..")) {
        format!("the path leaves the directory of the Kitfile (path {path} in {id})")
    } else if place != "model" && is_kit_reference(path) {
        format!(
            "only model.path may be a kit reference (path {path} in {id}): write ./{path} if it is a file"
        )
    } else {
        return;
    };
    errors.push(Finding {
        field: format!("{place}.path"),
        message: reason,
    });
}

/// Tells whether the path starts with a drive letter or names a network share.
pub(super) fn is_windows_absolute(path: &str) -> bool {
    let bytes = path.as_bytes();
    bytes.first() == Some(&b'\\')
        || (bytes.len() > 1 && bytes[0].is_ascii_alphabetic() && bytes[1] == b':')
}

fn check_distinct(elements: &[Element<'_>], errors: &mut Vec<Finding>) {
    let mut users: BTreeMap<String, Vec<&Element<'_>>> = BTreeMap::new();
    for element in elements.iter().filter(|element| !element.repeats) {
        users.entry(clean(element.path)).or_default().push(element);
    }
    for (path, users) in users {
        let [first @ .., last] = users.as_slice() else {
            continue;
        };
        if !first.is_empty() {
            let first: Vec<&str> = first.iter().map(|element| element.id.as_str()).collect();
            errors.push(Finding {
                field: format!("{}.path", last.place),
                message: format!(
                    "{} and {} use the same path {path}",
                    first.join(", "),
                    last.id
                ),
            });
        }
    }
}

/// Nothing may lie inside the folder that remote data will be put in.
fn check_remote_folders(elements: &[Element<'_>], errors: &mut Vec<Finding>) {
    // With a slash behind each path, what lies in a folder sorts right after the folder.
    let mut paths: Vec<(String, &Element<'_>)> = elements
        .iter()
        .map(|element| match clean(element.path).as_str() {
            "." => (String::new(), element),
            path => (format!("{path}/"), element),
        })
        .collect();
    paths.sort_by(|a, b| a.0.cmp(&b.0));
    let mut around: Vec<(&str, &Element<'_>)> = Vec::new();
    for (path, element) in &paths {
        while around
            .last()
            .is_some_and(|(folder, _)| !path.starts_with(folder))
        {
            around.pop();
        }
        // Equal paths have their own message.
        if let Some((_, folder)) = around.iter().rev().find(|(folder, _)| folder != path) {
            errors.push(Finding {
                field: format!("{}.path", element.place),
                message: format!(
                    "{} uses a path ({}) inside the folder of the remote {} ({})",
                    element.id, element.path, folder.id, folder.path
                ),
            });
        }
        if element.remote {
            around.push((path, element));
        }
    }
}

fn check_parts(kitfile: &Kitfile, errors: &mut Vec<Finding>) {
    let parts = kitfile.model.iter().flat_map(|model| &model.parts);
    for (index, part) in parts.enumerate() {
        let kind = part.part_type.as_str();
        let id = if part.name.is_empty() {
            index.to_string()
        } else {
            part.name.clone()
        };
        let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
        let message = if kind.is_empty() {
            continue;
        } else if !kind.starts_with(word)
            || !kind.chars().all(|c| word(c) || matches!(c, '.' | '-'))
        {
            format!(
                "modelpart {id} has invalid type {kind:?} (must be alphanumeric with dots, dashes and underscores)"
            )
        } else if kind.len() > MAX_TYPE_CHARS {
            format!("modelpart {id} type is too long (at most {MAX_TYPE_CHARS} characters)")
        } else {
            continue;
        };
        errors.push(Finding {
            field: format!("model.parts[{index}].type"),
            message,
        });
    }
}

fn check_datasets(kitfile: &Kitfile, errors: &mut Vec<Finding>) {
    for (index, data) in kitfile.datasets.iter().enumerate() {
        let id = if data.name.is_empty() {
            index.to_string()
        } else {
            data.name.clone()
        };
        let (remote, hash) = (data.remote_path.as_str(), data.remote_hash.as_str());
        let bucket = remote.strip_prefix("s3://");
        let (field, message) = if remote.is_empty() && !hash.is_empty() {
            (
                "remoteHash",
                format!("dataset {id} has a remoteHash but no remotePath"),
            )
        } else if bucket.is_some_and(|rest| rest.is_empty() || rest.starts_with('/')) {
            (
                "remotePath",
                format!("the remotePath of dataset {id} names no bucket ({remote})"),
            )
        } else if bucket.is_some() && hash.is_empty() {
            (
                "remotePath",
                format!("dataset {id} needs a remoteHash for its remotePath ({remote})"),
            )
        } else if remote.is_empty() || bucket.is_some() || is_kit_reference(remote) {
            continue;
        } else {
            (
                "remotePath",
                format!(
                    "the remotePath of dataset {id} is neither s3://… nor a kit reference ({remote})"
                ),
            )
        };
        errors.push(Finding {
            field: format!("datasets[{index}].{field}"),
            message,
        });
    }
}

fn check_mcp_servers(kitfile: &Kitfile, errors: &mut Vec<Finding>) {
    let mut names = HashSet::new();
    for (index, server) in kitfile.mcp_servers.iter().enumerate() {
        let name = server.name.as_str();
        if name.is_empty() {
            errors.push(Finding {
                field: format!("mcpServers[{index}].name"),
                message: format!("mcpServer {index} has no name"),
            });
        } else if !names.insert(name) {
            errors.push(Finding {
                field: format!("mcpServers[{index}].name"),
                message: format!("two mcpServers have the name {name}"),
            });
        }
        let file = server.path.rsplit('/').next().unwrap_or_default();
        if file.strip_suffix(".mcpb").is_none_or(str::is_empty) {
            let id = if name.is_empty() {
                index.to_string()
            } else {
                name.to_owned()
            };
            errors.push(Finding {
                field: format!("mcpServers[{index}].path"),
                message: format!(
                    "the path of mcpServer {id} must be one .mcpb file, not {:?}",
                    server.path
                ),
            });
        }
    }
}
