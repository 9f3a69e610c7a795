//! Writes kits as an OCI image layout, a folder or a tar file, to be carried elsewhere.

use std::{
    collections::BTreeSet,
    io::{self, Read, Write},
    path::PathBuf,
};

use super::{
    Error,
    chain::{self, Left},
    toc,
};
use crate::{
    archive::bundle::{self, Writer},
    digest::Digest,
    oci::{
        Descriptor, Index, annotation,
        layout::{BLOBS, INDEX, LAYOUT, LAYOUT_CONTENT},
    },
    progress::{Meter, Progress},
    reference::Reference,
    store::{self, Store},
};

/// Where kits are written to.
pub enum Target {
    /// A new or empty folder.
    Folder(PathBuf),
    /// A tar file.
    Tar(PathBuf),
    /// A tar stream.
    Stream(Box<dyn Write>),
}

/// What was written.
#[derive(Debug)]
pub struct Report {
    /// The kits, by the names they were asked for by.
    pub kits: Vec<(Reference, Descriptor)>,
    /// Parents of these kits that were not saved with them.
    pub left: Vec<Left>,
    /// How many blobs were written.
    pub blobs: usize,
    /// Their bytes.
    pub bytes: u64,
}

/// Writes the kits that `references` name. Digests stay as they are, every byte is checked, and a
/// tar file appears only when it is whole.
pub fn run(
    store: &Store,
    references: &[Reference],
    target: Target,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let _lock = store.reader(progress)?;
    let mut kits = Vec::new();
    let mut blobs: Vec<Descriptor> = Vec::new();
    let mut known: BTreeSet<Digest> = BTreeSet::new();
    for reference in references {
        if kits.iter().any(|(known, _)| known == reference) {
            continue;
        }
        let entry = store.resolve(reference, progress)?;
        let manifest = store.manifest(&entry.descriptor)?;
        let all = std::iter::once(&entry.descriptor).chain(manifest.manifest.descriptors());
        for descriptor in all {
            if known.insert(descriptor.digest) {
                blobs.push(descriptor.clone());
            }
        }
        if let Some(toc) = toc::here(store, reference, &manifest.manifest, progress)
            && known.insert(toc.digest)
        {
            blobs.push(toc);
        }
        kits.push((reference.clone(), entry.descriptor));
    }
    if let Target::Stream(_) = target {
        // What has gone into a pipe cannot be taken back.
        for blob in &blobs {
            let content = store.verified_blob(&blob.digest, blob.size)?;
            content.finish().map_err(|source| damaged(blob, source))?;
        }
    }
    let mut bundle = match target {
        Target::Folder(path) => Writer::folder(&path)?,
        Target::Tar(path) => Writer::tar(&path)?,
        Target::Stream(out) => Writer::stream(out),
    };
    let bytes = blobs.iter().map(|blob| blob.size).sum();
    let meter = progress.begin("Saving", Some(bytes));
    // In the order of names: the same kits give the same file.
    blobs.sort_by_key(|blob| blob.digest);
    for blob in &blobs {
        let mut content = store.verified_blob(&blob.digest, blob.size)?;
        let mut metered = Metered {
            content: &mut content,
            meter: meter.as_ref(),
            progress,
        };
        bundle.add(
            &format!("{BLOBS}/{}", blob.digest.hex()),
            blob.size,
            &mut metered,
        )?;
        content.finish().map_err(|source| damaged(blob, source))?;
    }
    // Last: without them what was cut off half way is no layout.
    let index = index(&kits).to_bytes();
    bundle.add(INDEX, index.len() as u64, &mut &index[..])?;
    let layout = LAYOUT_CONTENT.as_bytes();
    bundle.add(LAYOUT, layout.len() as u64, &mut &layout[..])?;
    bundle.finish()?;
    Ok(Report {
        left: chain::left_out(store, &kits),
        kits,
        blobs: blobs.len(),
        bytes,
    })
}

fn damaged(blob: &Descriptor, source: io::Error) -> Error {
    bundle::Error::Content {
        name: blob.digest.to_string(),
        source,
    }
    .into()
}

/// Reports what passes, and stops when the user asks for it.
struct Metered<'a> {
    content: &'a mut dyn Read,
    meter: &'a dyn Meter,
    progress: &'a dyn Progress,
}

impl Read for Metered<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.progress.cancelled() {
            return Err(io::Error::other(store::Error::Interrupted));
        }
        let read = self.content.read(buffer)?;
        self.meter.advance(read as u64);
        Ok(read)
    }
}

/// Returns the index of a layout that holds `kits` under their full names.
fn index(kits: &[(Reference, Descriptor)]) -> Index {
    let manifests = kits.iter().map(|(reference, descriptor)| {
        let mut descriptor =
            Descriptor::new(&descriptor.media_type, descriptor.digest, descriptor.size);
        if reference.repository().is_some() {
            descriptor
                .annotations
                .insert(annotation::REF_NAME.to_owned(), reference.to_string());
        }
        descriptor
    });
    Index {
        manifests: manifests.collect(),
        ..Index::default()
    }
}
