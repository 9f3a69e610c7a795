//! What was found of models so far.

use std::{
    collections::BTreeMap,
    fs::File,
    io::Read,
    path::{Path, PathBuf},
};

use super::is_config;
use crate::{
    model::{self, Config, Facts, Format, MAX_LOOKED},
    platform,
    progress::Progress,
};

/// The most models that are looked at.
pub const MAX_MODELS: usize = 100;

/// A model, which may be several files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Model {
    /// The path of its first file.
    pub path: String,
    /// How many files it is.
    pub files: u64,
    /// How they are made.
    pub format: Format,
    /// What they tell.
    pub facts: Facts,
    /// Whether what was read is known to be what was packed.
    pub verified: bool,
}

/// What was found so far.
#[derive(Default)]
pub(super) struct Models {
    /// Whether what comes now is known to be what was packed.
    pub(super) verified: bool,
    found: BTreeMap<(String, Format), Found>,
    /// The configs, by folder.
    configs: BTreeMap<String, Config>,
}

struct Found {
    path: String,
    files: u64,
    /// What the files told that are one.
    facts: Option<Facts>,
    /// Whether one of them told nothing.
    is_partial: bool,
    left: u64,
    verified: bool,
}

impl Models {
    pub(super) fn is_full(&self) -> bool {
        self.found.len() >= MAX_MODELS
    }

    /// Returns how much may be read of a file.
    pub(super) fn room(&self, path: &str) -> u64 {
        let Some(format) = Format::of_path(path) else {
            return if is_config(path) { Config::MAX_LEN } else { 0 };
        };
        let found = self.found.get(&(group(path), format));
        found.map_or(MAX_LOOKED, |found| found.left)
    }

    /// Looks into a file if it is one of those that tell something.
    pub(super) fn file(
        &mut self,
        path: &str,
        size: u64,
        content: &mut dyn Read,
        progress: &dyn Progress,
    ) {
        self.file_within(path, size, content, MAX_LOOKED, progress);
    }

    /// The same, but no more than `most` bytes are read.
    pub(super) fn file_within(
        &mut self,
        path: &str,
        size: u64,
        content: &mut dyn Read,
        most: u64,
        progress: &dyn Progress,
    ) {
        let Some(format) = Format::of_path(path) else {
            if is_config(path) && size <= Config::MAX_LEN.min(most) && !self.is_full() {
                let mut json = Vec::new();
                // Of one that cannot be read nothing is known.
                if content.take(Config::MAX_LEN).read_to_end(&mut json).is_ok() {
                    self.configs
                        .insert(folder(path).to_owned(), Config::parse(&json));
                }
            }
            return;
        };
        let key = (group(path), format);
        if self.is_full() && !self.found.contains_key(&key) {
            return;
        }
        let verified = self.verified;
        let found = self.found.entry(key).or_insert_with(|| Found {
            path: path.to_owned(),
            files: 0,
            facts: None,
            is_partial: false,
            left: MAX_LOOKED,
            verified: true,
        });
        found.files += 1;
        let allowed = found.left.min(most);
        let mut budget = allowed;
        match model::read(format, content, size, &mut budget) {
            Ok(facts) => {
                found.verified &= verified;
                match &mut found.facts {
                    Some(before) => before.merge(facts),
                    None => found.facts = Some(facts),
                }
            }
            Err(error) => {
                found.is_partial = true;
                progress.detail(&format!("{path}: {error}"));
            }
        }
        found.left -= allowed - budget;
    }

    /// Returns the models in the order of their paths.
    pub(super) fn finish(self) -> Vec<Model> {
        let configs = self.configs;
        let found = self.found.into_iter();
        let models = found.filter_map(|((_, format), found)| {
            let mut facts = found.facts?;
            if found.is_partial {
                // What is only a part of it would mislead.
                (facts.parameters, facts.tensors) = (None, None);
                facts.types.clear();
            }
            if format == Format::Safetensors
                && let Some(config) = configs.get(folder(&found.path))
            {
                facts.merge_config(config.clone());
            }
            Some(Model {
                path: found.path,
                files: found.files,
                format,
                facts,
                verified: found.verified,
            })
        });
        models.collect()
    }
}

/// The models in a folder that is not packed yet.
#[derive(Default)]
pub struct Folder {
    models: Models,
    root: PathBuf,
}

impl Folder {
    /// Returns one that found nothing yet.
    pub fn new(root: &Path) -> Self {
        let models = Models {
            verified: true,
            ..Models::default()
        };
        Self {
            models,
            root: root.to_owned(),
        }
    }

    /// Looks into a file if it is one of those that tell something. One that cannot be read is for
    /// those to tell of who pack it.
    pub fn file(&mut self, path: &str, size: u64, progress: &dyn Progress) {
        if !wants(path) {
            return;
        }
        let opened: std::io::Result<File> = platform::open_to_read(&self.root.join(path), true);
        match opened {
            Ok(mut file) => self.models.file(path, size, &mut file, progress),
            Err(error) => progress.detail(&format!("{path}: {error}")),
        }
    }

    /// Returns the models in the order of their paths.
    pub fn finish(self) -> Vec<Model> {
        self.models.finish()
    }
}

/// Tells whether a file would be looked into.
pub(super) fn wants(path: &str) -> bool {
    is_config(path) || Format::of_path(path).is_some()
}

fn folder(path: &str) -> &str {
    path.rsplit_once('/').map_or("", |(folder, _)| folder)
}

/// Returns what the files of one model have in common: of `a/model-00002-of-00003.safetensors` that
/// is `a/model-of-00003.safetensors`.
fn group(path: &str) -> String {
    let number = |text: &str| text.len() == 5 && text.bytes().all(|byte| byte.is_ascii_digit());
    let split = || {
        let (stem, ending) = path.rsplit_once('.')?;
        let (before, of) = stem.rsplit_once("-of-")?;
        let (name, part) = before.rsplit_once('-')?;
        (number(part) && number(of)).then(|| format!("{name}-of-{of}.{ending}"))
    };
    split().unwrap_or_else(|| path.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::progress::Silent;

    fn safetensors(json: &str) -> Vec<u8> {
        [&(json.len() as u64).to_le_bytes()[..], json.as_bytes()].concat()
    }

    fn add(models: &mut Models, path: &str, bytes: &[u8]) {
        models.file(path, bytes.len() as u64, &mut &bytes[..], &Silent);
    }

    #[test]
    fn files_of_one_model_are_one() {
        let mut models = Models::default();
        let part = safetensors(r#"{"a":{"dtype":"F16","shape":[3]}}"#);
        for path in [
            "m/model-00001-of-00002.safetensors",
            "m/model-00002-of-00002.safetensors",
            "m/other-00001-of-00002.safetensors",
            "n/model-00001-of-00002.safetensors",
            "m/0001-of-00002.safetensors",
        ] {
            add(&mut models, path, &part);
        }
        add(&mut models, "m/config.json", br#"{"model_type":"llama"}"#);
        add(&mut models, "README.md", b"# hi");
        let found: Vec<_> = models
            .finish()
            .into_iter()
            .map(|it| {
                (
                    it.path,
                    it.files,
                    it.facts.parameters,
                    it.facts.architecture,
                )
            })
            .collect();
        let llama = Some("llama".to_owned());
        assert_eq!(
            found,
            [
                (
                    "m/0001-of-00002.safetensors".to_owned(),
                    1,
                    Some(3),
                    llama.clone()
                ),
                (
                    "m/model-00001-of-00002.safetensors".to_owned(),
                    2,
                    Some(6),
                    llama.clone()
                ),
                (
                    "m/other-00001-of-00002.safetensors".to_owned(),
                    1,
                    Some(3),
                    llama
                ),
                (
                    "n/model-00001-of-00002.safetensors".to_owned(),
                    1,
                    Some(3),
                    None
                ),
            ]
        );
    }

    #[test]
    fn of_a_model_with_a_part_that_is_none_nothing_is_counted() {
        let mut models = Models::default();
        let part = safetensors(r#"{"a":{"dtype":"F16","shape":[3]}}"#);
        add(&mut models, "m-00001-of-00002.safetensors", &part);
        add(
            &mut models,
            "m-00002-of-00002.safetensors",
            b"version https://git-lfs",
        );
        add(&mut models, "none.safetensors", b"version https://git-lfs");
        let found = models.finish();
        assert_eq!(found.len(), 1);
        assert_eq!(found[0].files, 2);
        assert_eq!(found[0].facts, Facts::default());
    }

    #[test]
    fn there_is_an_end_to_how_many_are_looked_at() {
        let mut models = Models::default();
        let part = safetensors("{}");
        for number in 0..MAX_MODELS + 5 {
            add(&mut models, &format!("{number:03}.safetensors"), &part);
        }
        assert!(models.is_full());
        assert_eq!(models.finish().len(), MAX_MODELS);
    }
}
