//! Drafts a Kitfile for a directory that has none, from names and sizes alone.
//!
//! Files of the root and of its folders are told apart by their names; what lies deeper goes with
//! its folder. Nothing that looks private is ever taken: see [`never_taken`]. A folder that holds
//! such a file, however deep, is named by its other parts, so that a written draft packs what the
//! draft in memory does. If these are too many it is named as a whole all the same, and the private
//! files are listed as covered: who writes the draft down must write down that they are ignored.

use std::collections::{BTreeMap, BTreeSet};

use super::{
    Code, Dataset, Docs, Kitfile, McpServer, Model, NAMES, Part, Prompt, Value,
    clean::is_kit_reference,
};

mod kind;

use kind::{Kind, extension, kind};
pub use kind::{Reason, never_taken};

/// More unknown files or unclear folders than this are taken as one layer.
const MAX_SINGLE: usize = 5;

/// A folder with private files that would be named by more parts than this is named as a whole.
const MAX_PARTS: usize = 100;

/// A file or folder of the directory.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ListedFile {
    /// Its path below the directory, with `/` between names.
    pub path: String,
    /// Its size in bytes; not used for folders.
    pub size: u64,
    /// Tells a folder from a file. Links and devices are not listed.
    pub is_dir: bool,
}

/// The root of a directory and the files and folders directly below its folders, in any order,
/// but for what ignore rules keep out of a kit anyway; also each path that is [`never_taken`], the
/// folders above it, and all that lies directly in these. Other paths need not be there.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// The files and folders.
    pub entries: Vec<ListedFile>,
}

/// A file or folder that was not taken.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct LeftOut {
    /// Its path below the directory.
    pub path: String,
    /// Why.
    pub reason: Reason,
}

/// A Kitfile for a directory.
#[derive(Clone, Debug, PartialEq)]
pub struct Draft {
    /// The Kitfile; it is valid, and names no path that holds what was left out but for what is
    /// covered.
    pub kitfile: Kitfile,
    /// What was left out, in the order of the paths.
    pub left_out: Vec<LeftOut>,
    /// Those of them that lie in what the Kitfile names, in the order of the paths.
    pub covered: Vec<String>,
    /// The files of the root that hold a licence, in the order of their names.
    pub licences: Vec<String>,
}

impl Kitfile {
    /// Records the licence of all that the directory of a draft holds where the reference does:
    /// with the model, else with the only dataset, else with the only code, else with the package.
    pub fn set_licence(&mut self, identifier: &str) {
        let place = match (
            &mut self.model,
            self.datasets.as_mut_slice(),
            self.code.as_mut_slice(),
        ) {
            (Some(model), _, _) => &mut model.license,
            (None, [dataset], _) => &mut dataset.license,
            (None, _, [code]) => &mut code.license,
            _ => &mut self.package.license,
        };
        identifier.clone_into(place);
    }

    /// Puts down what the files of the model say it is: its format, and parameters by their names.
    /// Nothing if there is no model here.
    pub fn set_model(&mut self, format: &str, parameters: BTreeMap<String, Value>) {
        if let Some(model) = &mut self.model {
            format.clone_into(&mut model.format);
            if !parameters.is_empty() {
                model.parameters = Some(Value::Map(parameters));
            }
        }
    }
}

/// Drafts a Kitfile for the directory that `listing` shows.
pub fn draft(listing: &Listing) -> Draft {
    let mut drafter = Drafter::default();
    let mut root = BTreeMap::new();
    for entry in &listing.entries {
        match entry.path.rsplit_once('/') {
            None => drop(root.insert(entry.path.as_str(), entry)),
            Some((folder, _)) => drafter.below.entry(folder).or_default().push(entry),
        }
    }
    for children in drafter.below.values_mut() {
        children.sort_by(|a, b| a.path.cmp(&b.path));
    }
    root.retain(|_, entry| drafter.may_be_taken(entry));
    for entry in root.values().filter(|entry| !entry.is_dir) {
        drafter.root_file(entry);
    }
    for entry in root.values().filter(|entry| entry.is_dir) {
        drafter.folder(&entry.path);
    }
    drafter.finish()
}

#[derive(Default)]
struct Drafter<'a> {
    kitfile: Kitfile,
    left_out: Vec<LeftOut>,
    covered: Vec<String>,
    licences: Vec<String>,
    /// What lies directly in each folder, sorted.
    below: BTreeMap<&'a str, Vec<&'a ListedFile>>,
    models: Vec<&'a ListedFile>,
    metadata: Vec<&'a ListedFile>,
    unknown: Vec<&'a str>,
    /// Folders of no clear kind, each with the paths that stand for it.
    unclear: Vec<Vec<String>>,
}

impl<'a> Drafter<'a> {
    fn may_be_taken(&mut self, entry: &ListedFile) -> bool {
        if NAMES.contains(&entry.path.as_str()) {
            return false;
        }
        let reason = never_taken(&entry.path);
        self.left_out.extend(reason.map(|reason| LeftOut {
            path: entry.path.clone(),
            reason,
        }));
        reason.is_none()
    }

    fn root_file(&mut self, file: &'a ListedFile) {
        let path = file.path.as_str();
        let lower = path.to_lowercase();
        if lower.starts_with("readme") {
            self.docs(path, "Readme file");
        } else if lower.starts_with("license") {
            self.docs(path, "License file");
            self.licences.push(path.to_owned());
        } else {
            match kind(path) {
                Kind::Model => self.models.push(file),
                Kind::Metadata => self.metadata.push(file),
                Kind::Unknown => self.unknown.push(path),
                Kind::McpServer => self.mcp_server(path),
                known => self.add(known, path),
            }
        }
    }

    /// Returns the paths that stand for a folder: itself, or, if that would take what is left out
    /// with it, its other parts.
    fn parts_of(&mut self, folder: &str) -> Vec<String> {
        let before = self.left_out.len();
        let mut parts = Vec::new();
        for child in self.below.get(folder).cloned().unwrap_or_default() {
            if !self.may_be_taken(child) {
                continue;
            }
            if child.is_dir {
                parts.extend(self.parts_of(&child.path));
            } else {
                parts.push(child.path.clone());
            }
        }
        if parts.len() > MAX_PARTS {
            let inside = self.left_out[before..].iter().map(|left| &left.path);
            // What a folder further down covers is there already.
            let new: Vec<String> = inside
                .filter(|path| !self.covered.contains(path))
                .cloned()
                .collect();
            self.covered.extend(new);
        } else if self.left_out.len() > before {
            return parts;
        }
        vec![format!("{folder}/")]
    }

    fn folder(&mut self, folder: &str) {
        let paths = self.parts_of(folder);
        if paths.is_empty() {
            return;
        }
        let children: Vec<&ListedFile> = self.below.get(folder).cloned().unwrap_or_default();
        let children: Vec<&ListedFile> = children
            .into_iter()
            .filter(|child| never_taken(&child.path).is_none())
            .collect();
        let add_all = |me: &mut Self, kind| paths.iter().for_each(|path| me.add(kind, path));
        let is_skill = |child: &&ListedFile| {
            !child.is_dir && child.path[folder.len() + 1..].eq_ignore_ascii_case("skill.md")
        };
        match folder {
            _ if children.iter().any(is_skill) => return add_all(self, Kind::Prompt),
            "docs" => return add_all(self, Kind::Docs),
            "src" | "pkg" | "lib" | "build" => return add_all(self, Kind::Code),
            _ => {}
        }
        let kind_of = |child: &ListedFile| {
            if child.is_dir {
                Kind::Unknown
            } else {
                kind(&child.path)
            }
        };
        let kinds: BTreeSet<Kind> = children
            .iter()
            .map(|child| kind_of(child))
            .filter(|kind| *kind != Kind::Metadata)
            .collect();
        let of = |kind| {
            children
                .iter()
                .copied()
                .filter(move |child| kind_of(child) == kind)
        };
        let only = kinds.first().copied().filter(|_| kinds.len() == 1);
        match only {
            Some(Kind::Model) => {
                self.models
                    .extend(of(Kind::Model).chain(of(Kind::Metadata)));
            }
            Some(kind @ (Kind::Dataset | Kind::Docs | Kind::Prompt)) => add_all(self, kind),
            Some(Kind::McpServer) if of(Kind::Metadata).next().is_none() => {
                of(Kind::McpServer).for_each(|child| self.mcp_server(&child.path));
            }
            _ => {
                self.models.extend(of(Kind::Model));
                let models: BTreeSet<String> =
                    of(Kind::Model).map(|model| model.path.clone()).collect();
                let mut paths = paths.clone();
                paths.retain(|path| !models.contains(path));
                self.unclear.push(paths);
            }
        }
    }

    /// Adds one path to the section for its kind.
    fn add(&mut self, kind: Kind, path: &str) {
        let path = as_file(path);
        let kitfile = &mut self.kitfile;
        match kind {
            Kind::Docs => self.docs(&path, ""),
            Kind::Dataset => kitfile.datasets.push(Dataset {
                path,
                ..Dataset::default()
            }),
            Kind::Prompt => kitfile.prompts.push(Prompt {
                path,
                ..Prompt::default()
            }),
            _ => kitfile.code.push(Code {
                path,
                ..Code::default()
            }),
        }
    }

    fn docs(&mut self, path: &str, description: &str) {
        self.kitfile.docs.push(Docs {
            path: as_file(path),
            description: description.to_owned(),
            ..Docs::default()
        });
    }

    fn mcp_server(&mut self, path: &str) {
        let stem = path.strip_suffix(".mcpb").unwrap_or(path);
        let short = stem.rsplit('/').next().unwrap_or(stem);
        let servers = &mut self.kitfile.mcp_servers;
        let taken = servers.iter().any(|server| server.name == short);
        servers.push(McpServer {
            name: if taken { stem } else { short }.to_owned(),
            path: as_file(path),
            ..McpServer::default()
        });
    }

    fn finish(mut self) -> Draft {
        "1.0.0".clone_into(&mut self.kitfile.manifest_version);
        let models = std::mem::take(&mut self.models);
        self.kitfile.model = model(&models);
        for file in std::mem::take(&mut self.metadata) {
            match &mut self.kitfile.model {
                Some(model) => model.parts.push(part(file)),
                None => self.add(Kind::Dataset, &file.path),
            }
        }
        let many = self.unknown.len() > MAX_SINGLE || self.unclear.len() > MAX_SINGLE;
        let parts = self.unknown.len() + self.unclear.iter().flatten().count();
        if many && (self.left_out.is_empty() || parts > MAX_PARTS) {
            // Holds all that no other entry names.
            self.covered = self.left_out.iter().map(|left| left.path.clone()).collect();
            self.kitfile.code.clear();
            self.add(Kind::Code, ".");
        } else {
            let unclear = std::mem::take(&mut self.unclear).into_iter().flatten();
            let unknown = std::mem::take(&mut self.unknown)
                .into_iter()
                .map(str::to_owned);
            for path in unclear.chain(unknown) {
                self.add(Kind::Code, &path);
            }
        }
        self.left_out.sort();
        self.covered.sort();
        Draft {
            kitfile: self.kitfile,
            left_out: self.left_out,
            covered: self.covered,
            licences: self.licences,
        }
    }
}

/// Makes one file the model and the others its parts: the one that outweighs the others by half
/// of the average, or else the first.
fn model(files: &[&ListedFile]) -> Option<Model> {
    let first = files.first()?;
    let total: u128 = files.iter().map(|file| u128::from(file.size)).sum();
    let average = total / files.len() as u128;
    // Of equally large ones the first, which `max_by_key` would not give.
    let largest = files.iter().rev().max_by_key(|file| file.size)?;
    let stands_out = files.len() == 1 || u128::from(largest.size) > average + average / 2;
    let main = if stands_out { largest } else { first };
    let name = main
        .path
        .strip_suffix(extension(&main.path))
        .unwrap_or(&main.path);
    Some(Model {
        name: if stands_out {
            name.to_owned()
        } else {
            String::new()
        },
        path: as_file(&main.path),
        parts: files
            .iter()
            .filter(|file| file.path != main.path)
            .map(|file| part(file))
            .collect(),
        ..Model::default()
    })
}

fn part(file: &ListedFile) -> Part {
    Part {
        path: as_file(&file.path),
        ..Part::default()
    }
}

/// Returns the path in a form that is not taken for a reference, a drive or a URL.
fn as_file(path: &str) -> String {
    let is_drive = path.as_bytes().get(1) == Some(&b':');
    if is_drive || path.starts_with('\\') || is_kit_reference(path) {
        format!("./{path}")
    } else {
        path.to_owned()
    }
}

#[cfg(test)]
mod tests;
