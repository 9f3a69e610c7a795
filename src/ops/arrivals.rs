//! Kits on their way from a layout outside into the store.

use super::{Error, load::Source, pack::put, toc};
use crate::{
    oci::Descriptor,
    progress::{Progress, Silent},
    reference::Reference,
    store::{Committed, Trust, Writer},
};

/// What became of the blobs of some kits.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Count {
    /// How many were new to the store.
    pub(super) stored: usize,
    /// How many took the place of damaged ones.
    pub(super) healed: usize,
    /// How many were there already.
    pub(super) present: usize,
    /// The bytes of those that were copied.
    pub(super) bytes: u64,
}

impl Count {
    fn add(&mut self, committed: Committed, size: u64) {
        match committed {
            Committed::Stored => self.stored += 1,
            Committed::Healed => self.healed += 1,
            Committed::AlreadyThere => {
                self.present += 1;
                return;
            }
        }
        self.bytes += size;
    }
}

/// Brings kits into the store and gives them their names: many at a time, since each time the
/// index is written as a whole, but before much more would have to be copied again after a crash.
pub(super) struct Arrivals<'w, 'a> {
    writer: &'w Writer<'a>,
    unnamed: Vec<(Descriptor, Vec<Reference>)>,
    count: Count,
    /// How many bytes had been copied when names were given last.
    named_at: u64,
}

/// How many kits may be without their names at a time, and how many bytes that were copied.
const KITS_AT_ONCE: usize = 100;
const BYTES_AT_ONCE: u64 = 1 << 30;

impl<'w, 'a> Arrivals<'w, 'a> {
    pub(super) fn new(writer: &'w Writer<'a>) -> Self {
        Self {
            writer,
            unnamed: Vec::new(),
            count: Count::default(),
            named_at: 0,
        }
    }

    /// Copies what the store lacks of `kit`, checked, and returns how much that was. It has no
    /// name yet.
    pub(super) fn bring(
        &mut self,
        source: &Source,
        kit: &Descriptor,
        label: &str,
        progress: &dyn Progress,
    ) -> Result<u64, Error> {
        let (manifest, bytes) = source.manifest(kit)?;
        let total = manifest.blobs().map(|blob| blob.size).sum();
        let meter = progress.begin(label, Some(total));
        let before = self.count.bytes;
        for blob in manifest.blobs() {
            let committed = source.copy(blob, self.writer, meter.as_ref(), progress)?;
            self.count.add(committed, blob.size);
        }
        if let Some(toc) = toc::descriptor(&manifest) {
            let copied = source.copy(&toc, self.writer, &Silent, progress);
            if let Some(committed) = toc::optional(copied, &kit.digest, progress)? {
                self.count.add(committed, toc.size);
            }
        }
        let (_, committed) = put(self.writer, &kit.media_type, &bytes, Trust::Recorded)?;
        self.count.add(committed, kit.size);
        Ok(self.count.bytes - before)
    }

    /// Gives `kit` these names, now or a little later.
    pub(super) fn name(&mut self, kit: &Descriptor, names: &[Reference]) -> Result<(), Error> {
        self.unnamed.push((kit.clone(), names.to_vec()));
        let is_much = self.count.bytes - self.named_at >= BYTES_AT_ONCE;
        if is_much || self.unnamed.len() >= KITS_AT_ONCE {
            self.name_all()?;
        }
        Ok(())
    }

    fn name_all(&mut self) -> Result<(), Error> {
        let kits = std::mem::take(&mut self.unnamed);
        if !kits.is_empty() {
            self.writer.name_all(&kits)?;
        }
        self.named_at = self.count.bytes;
        Ok(())
    }

    /// Gives the names that are left. To be called after a failure, too: the kits before it are
    /// all there.
    pub(super) fn finish(mut self) -> Result<Count, Error> {
        self.name_all()?;
        Ok(self.count)
    }
}
