//! Whether the segments in the store make the layers that their kits say.

use std::{
    collections::BTreeSet,
    io::{self, Read},
};

use crate::{
    digest::{Digest, Hasher},
    oci::PlainLayer,
    progress::Progress,
};

use super::{Entry, Error, Store, VerifyReport, needs};

/// How much is read at once.
const BUFFER: usize = 256 << 10;

/// A layer that its kit keeps in segments, which make something else, or nothing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct WrongLayer {
    /// The kit.
    pub kit: String,
    /// What is wrong.
    pub problem: String,
}

impl Store {
    /// Reads the layers of `entries` that are kept in segments, those whose segments are there and
    /// right.
    pub(super) fn check_layers(
        &self,
        entries: &[Entry],
        report: &mut VerifyReport,
        progress: &dyn Progress,
    ) -> Result<(), Error> {
        let damaged = report.damaged.iter().map(|it| it.digest);
        let lacking = report.missing.iter().map(|it| it.digest).chain(damaged);
        let lacking: BTreeSet<Digest> = lacking.collect();
        let (mut kits, mut known) = (BTreeSet::new(), BTreeSet::new());
        for entry in entries {
            if !kits.insert(entry.descriptor.digest) {
                continue;
            }
            let Ok((manifest, _)) = needs::manifest(self, &entry.descriptor) else {
                continue; // That was found out before.
            };
            let wrong = |problem: String| WrongLayer {
                kit: entry.log_name(),
                problem,
            };
            let layers = match manifest.plain_layers() {
                Ok(layers) => layers,
                Err(error) => {
                    report.wrong_layers.push(wrong(error.to_string()));
                    continue;
                }
            };
            for layer in layers.iter().filter(|layer| !layer.segments.is_empty()) {
                let blobs: Vec<Digest> = layer.segments.iter().map(|it| it.digest).collect();
                let expected = layer.descriptor.digest;
                let is_whole = !blobs.iter().any(|blob| lacking.contains(blob));
                // Of each kit what is wrong is said, but nothing is read twice that is right.
                if !is_whole || known.contains(&(expected, blobs.clone())) {
                    continue;
                }
                let actual = self.hash(layer, progress)?;
                if actual == expected {
                    known.insert((expected, blobs));
                } else {
                    report.wrong_layers.push(wrong(format!(
                        "the segments of layer {expected} make {actual}"
                    )));
                }
            }
        }
        Ok(())
    }

    /// Returns the digest of what the segments of a layer make.
    fn hash(&self, layer: &PlainLayer, progress: &dyn Progress) -> Result<Digest, Error> {
        let meter = progress.begin("verifying layers", Some(layer.descriptor.size));
        let mut hasher = Hasher::new();
        let mut buffer = vec![0; BUFFER];
        for segment in layer.blobs() {
            let path = self.blob_path(&segment.digest);
            let mut file = self.open_blob(&segment.digest, segment.size)?;
            loop {
                if progress.cancelled() {
                    return Err(Error::Interrupted);
                }
                match file.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(read) => {
                        hasher.update(&buffer[..read]);
                        meter.advance(read as u64);
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(error) => return Err(Error::io("read", path)(error)),
                }
            }
        }
        Ok(hasher.finish())
    }
}
