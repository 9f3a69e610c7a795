//! Whether the tables of contents in the store are those of their kits.

use std::{
    collections::{BTreeMap, BTreeSet},
    io,
};

use crate::{
    digest::Digest,
    oci::Manifest,
    platform,
    toc::{self, Root, TocRef},
};

use super::{Entry, MissingBlob, Store, VerifyReport, needs};

/// A table of contents that is not that of its kit: its digest is right, what it says is not.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongToc {
    /// The kit.
    pub kit: String,
    /// What is wrong.
    pub problem: String,
}

/// Why a table of contents could not be looked at, or what is wrong with it.
enum Finding {
    Unreadable,
    Wrong(toc::Error),
}

impl Store {
    /// Looks into the tables of contents of `entries` whose bytes are right.
    pub(super) fn check_tocs(&self, entries: &[Entry], report: &mut VerifyReport) {
        let mut missing: BTreeMap<Digest, Vec<String>> = BTreeMap::new();
        let mut seen = BTreeSet::new();
        for entry in entries {
            let Ok((manifest, _)) = needs::manifest(self, &entry.descriptor) else {
                continue; // That was found out before.
            };
            let wrong = |error: &toc::Error| WrongToc {
                kit: entry.log_name(),
                problem: error.to_string(),
            };
            let toc = match TocRef::of(&manifest) {
                Ok(Some(toc)) => toc,
                Ok(None) => continue,
                Err(error) => {
                    report.wrong_tocs.push(wrong(&error));
                    continue;
                }
            };
            if !self.blob_path(&toc.digest).exists() {
                missing
                    .entry(toc.digest)
                    .or_default()
                    .push(entry.log_name());
                continue;
            }
            let is_damaged = report.damaged.iter().any(|it| it.digest == toc.digest);
            if is_damaged || !seen.insert(entry.descriptor.digest) {
                continue;
            }
            if let Err(Finding::Wrong(error)) = self.check_toc(&manifest, &toc) {
                report.wrong_tocs.push(wrong(&error));
            }
        }
        let missing = missing.into_iter();
        report.missing_tocs = missing
            .map(|(digest, kits)| MissingBlob { digest, kits })
            .collect();
    }

    fn check_toc(&self, manifest: &Manifest, toc: &TocRef) -> Result<(), Finding> {
        let unreadable = |_: io::Error| Finding::Unreadable;
        let blob = self.open_blob(&toc.digest, toc.size);
        let blob = blob.map_err(|_| Finding::Unreadable)?;
        let part = |offset, length: u64| {
            let length = usize::try_from(length).map_err(|_| Finding::Unreadable)?;
            let mut bytes = vec![0; length];
            platform::read_exact_at(&blob, &mut bytes, offset).map_err(unreadable)?;
            Ok(bytes)
        };
        let root = Root::open(toc, manifest, &part(0, toc.root_size)?).map_err(Finding::Wrong)?;
        for position in root.tables() {
            let layer = &root.layers()[position];
            if let Some(range) = layer.range() {
                let bytes = part(range.start, range.end - range.start)?;
                layer.open(bytes).map_err(Finding::Wrong)?;
            }
        }
        Ok(())
    }
}
