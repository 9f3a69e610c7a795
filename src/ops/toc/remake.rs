//! Brings tables of contents back that the store has lost: a kit has one and no other, so that it
//! can be made again from the layers.

use std::collections::BTreeSet;

use super::{add::put_toc, make::make};
use crate::{
    archive,
    digest::Digest,
    ops::Error,
    progress::Progress,
    store::{self, Store},
    toc::TocRef,
};

/// Makes those of the tables of contents `lost` again that kits in the store name, and returns
/// which are there now. What cannot be made because layers are damaged, or because it never was the
/// table of contents of its kit, is left out.
pub fn remake(
    store: &Store,
    lost: &BTreeSet<Digest>,
    progress: &dyn Progress,
) -> Result<BTreeSet<Digest>, Error> {
    let mut made = BTreeSet::new();
    if lost.is_empty() {
        return Ok(made);
    }
    let writer = store.writer(progress)?;
    for entry in store.entries(progress)? {
        let Ok(stored) = store.manifest(&entry.descriptor) else {
            continue;
        };
        let Ok(Some(toc)) = TocRef::of(&stored.manifest) else {
            continue;
        };
        if !lost.contains(&toc.digest) || made.contains(&toc.digest) {
            continue;
        }
        let name = entry.log_name();
        match make(store, &name, &stored.manifest, progress) {
            Ok(found) if found.toc == toc => {
                put_toc(&writer, &found)?;
                made.insert(toc.digest);
            }
            Ok(_) => progress.warn(&format!(
                "what {name} names as its table of contents is none of it: `kit toc add` makes a kit that has one"
            )),
            Err(
                error @ (Error::Store(store::Error::Interrupted)
                | Error::Archive(archive::Error::Interrupted)),
            ) => return Err(error),
            Err(error) => progress.detail(&format!(
                "the table of contents of {name} cannot be made again: {error}"
            )),
        }
    }
    writer.flush()?;
    Ok(made)
}
