//! A look at the store from outside: how much there is, who is at work. Nothing is read through,
//! and nothing is changed.

use std::fs;

use super::{Error, Holder, Store, blob, index, lock, prune};

/// What is in the store.
#[derive(Clone, Debug, Default)]
pub struct Survey {
    /// The version of its format; `None` if there is no store yet, or its marker cannot be read.
    pub version: Option<u64>,
    /// How many names lead to kits.
    pub names: usize,
    /// How many kits there are.
    pub kits: usize,
    /// How many blobs there are.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
    /// How many files are in `ingest/`: being written, or left by the dead.
    pub partial: usize,
    /// Their bytes.
    pub partial_bytes: u64,
    /// How many damaged blobs were set aside.
    pub quarantined: usize,
    /// Who works with the store, longest at it first.
    pub holders: Vec<Holder>,
    /// What is wrong with the index, if something is.
    pub index_problem: Option<String>,
}

impl Store {
    /// Looks at the store.
    pub fn survey(&self) -> Result<Survey, Error> {
        let mut survey = Survey {
            version: self.version()?,
            holders: lock::holders(self),
            quarantined: prune::listing(&self.quarantine_dir())?.len(),
            ..Survey::default()
        };
        for path in prune::listing(&self.ingest_dir())? {
            survey.partial += 1;
            survey.partial_bytes += fs::symlink_metadata(path).map_or(0, |it| it.len());
        }
        for digest in blob::all(self)? {
            survey.blobs += 1;
            let metadata = fs::symlink_metadata(self.blob_path(&digest));
            survey.bytes += metadata.map_or(0, |it| it.len());
        }
        match index::read(self) {
            Ok(found) => {
                let named = found.entries.iter().filter(|entry| entry.name.is_some());
                survey.names = named.count();
                let entries = found.entries.iter();
                let mut kits: Vec<_> = entries.map(|entry| entry.descriptor.digest).collect();
                kits.sort_unstable();
                kits.dedup();
                survey.kits = kits.len();
                let rebuilt = found.rebuilt.map(|rebuilt| rebuilt.problem);
                survey.index_problem = rebuilt.or_else(|| found.problems.first().cloned());
            }
            Err(error) => survey.index_problem = Some(error.to_string()),
        }
        Ok(survey)
    }
}
