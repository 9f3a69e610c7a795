//! Files of a layer of which the rest is never read.

use super::{
    Unpack, name,
    reader::{Entry, Kind},
    report::LayerReport,
};
use crate::{archive::Error, digest::Digest};

/// Files and folders that are taken out of a layer one after the other. Whoever gives them answers
/// for what they hold: nothing is given that was not checked, as far as it can be.
pub trait Taken {
    /// Returns the next one, with the path that it goes to; what is left of the one before is
    /// passed over.
    fn next(&mut self) -> Result<Option<Entry>, Error>;

    /// Reads content of that one into `into`; 0 at its end.
    fn read(&mut self, into: &mut [u8]) -> Result<usize, Error>;
}

impl Unpack<'_> {
    /// Stages what `taken` gives of the layer `digest`, by the same rules as [`Unpack::layer`]:
    /// nothing of it counts unless all of it came.
    pub fn files(
        &mut self,
        label: String,
        digest: Digest,
        taken: &mut dyn Taken,
    ) -> Result<LayerReport, Error> {
        let staged = self.stage(label.clone(), |feed| {
            while let Some(entry) = taken.next()? {
                let path = name::clean(&entry.path)?;
                match entry.kind {
                    Kind::Folder => feed.folder(&path)?,
                    Kind::File => {
                        let mut content = |into: &mut [u8]| taken.read(into);
                        feed.file(&path, entry.executable(), entry.size, &mut content)?;
                    }
                }
            }
            Ok(())
        })?;
        Ok(self.settle(label, digest, staged))
    }
}
