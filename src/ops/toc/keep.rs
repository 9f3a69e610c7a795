//! Keeps tables of contents alive in registries.
//!
//! A registry that cleans up deletes blobs that no manifest lists. So the table of contents has a
//! manifest of its own, an artifact whose subject is the kit. Where registries list what refers to a
//! manifest they keep it with that; elsewhere it has a tag that is made of the kit's digest, beside
//! the list that the specification wants, which alone would not keep it.

use std::{collections::BTreeMap, sync::Arc};

use crate::{
    digest::Digest,
    oci::{Descriptor, Manifest, media_type},
    ops::{
        Error,
        push::{Contents, Elsewhere, Giver, Outgoing},
        referrers,
    },
    progress::Progress,
    reference::Reference,
    registry,
};

/// The config of the artifact: an empty object, as OCI has it where there is nothing to say.
const EMPTY: &[u8] = b"{}";

/// Returns the manifest that keeps the table of contents `toc` of the kit `subject` alive.
pub(in crate::ops) fn artifact(subject: &Descriptor, toc: &Descriptor) -> (Descriptor, Vec<u8>) {
    let manifest = Manifest {
        artifact_type: Some(media_type::TOC.to_owned()),
        config: Descriptor::of(media_type::EMPTY, EMPTY),
        layers: vec![toc.clone()],
        annotations: BTreeMap::new(),
        subject: Some(Descriptor::new(
            &subject.media_type,
            subject.digest,
            subject.size,
        )),
    };
    let bytes = manifest.to_bytes();
    (Descriptor::of(media_type::MANIFEST, &bytes), bytes)
}

/// Returns the tag of that manifest where registries list no referrers.
pub(in crate::ops) fn toc_tag(kit: &Digest) -> String {
    format!("sha256-{}.toc", kit.hex())
}

/// Tells whether a tag is such a tag: it names no kit.
pub(in crate::ops) fn is_toc_tag(tag: &str) -> bool {
    let hex = tag.strip_prefix("sha256-");
    let hex = hex.and_then(|rest| rest.strip_suffix(".toc"));
    hex.is_some_and(|hex| format!("sha256:{hex}").parse::<Digest>().is_ok())
}

/// A table of contents that a registry is to keep.
pub(in crate::ops) struct Keep<'k> {
    /// The repository, by any name of it.
    pub(in crate::ops) target: &'k Reference,
    /// The manifest of the kit.
    pub(in crate::ops) kit: &'k Descriptor,
    /// Its table of contents.
    pub(in crate::ops) toc: &'k Descriptor,
    /// What gives its content.
    pub(in crate::ops) content: &'k Contents<'k>,
}

/// Gives the manifest that keeps a table of contents to a registry, and the table if it is not
/// there. A registry that does not take that is told of: the kit is whole without.
pub(in crate::ops) fn keep(
    giver: &mut Giver<'_>,
    keep: &Keep<'_>,
    progress: &dyn Progress,
) -> Result<(), Error> {
    let Keep {
        target, kit, toc, ..
    } = keep;
    match give(giver, keep) {
        Err(Error::Registry(error)) if !matches!(error, registry::Error::Http(_)) => {
            progress.status(&format!(
                "{target} is there, but its registry may clean its table of contents {} away: it does not take what keeps that ({error})",
                toc.digest
            ));
            progress.detail(&format!("what it does not take is about {}", kit.digest));
            Ok(())
        }
        result => result,
    }
}

fn give(giver: &mut Giver<'_>, keep: &Keep<'_>) -> Result<(), Error> {
    let Some(repository) = keep.target.repository() else {
        return Ok(());
    };
    let (manifest, bytes) = artifact(keep.kit, keep.toc);
    let uploader = giver.uploader(repository)?;
    let listed = giver.wait(uploader.repository().referrers(&keep.kit.digest));
    let listed = match listed {
        Err(Error::Registry(error)) if !matches!(error, registry::Error::Http(_)) => None,
        listed => listed?,
    };
    let is_listed = listed.is_some();
    let name = match listed {
        Some(listed) if listed.iter().any(|it| it.digest == manifest.digest) => return Ok(()),
        Some(_) => keep.target.with_digest(manifest.digest),
        None => {
            let tag = toc_tag(&keep.kit.digest);
            if giver.wait(uploader.find(&tag))? == Some(manifest.digest) {
                return Ok(());
            }
            match keep.target.with_tag(&tag) {
                Ok(name) => name,
                Err(_) => return Ok(()),
            }
        }
    };
    let empty = Descriptor::of(media_type::EMPTY, EMPTY);
    let outgoing = Outgoing {
        called: name.to_string(),
        label: "Pushing",
        manifest: &manifest,
        bytes: &bytes,
        layers: std::slice::from_ref(keep.toc),
        configs: vec![&empty],
        content: &|blob| {
            if blob.digest == empty.digest {
                return Ok(Arc::new(EMPTY.to_vec()));
            }
            (keep.content)(blob)
        },
        elsewhere: &|| Ok(Elsewhere::new()),
    };
    giver.give(&outgoing, &[name])?;
    if is_listed {
        return Ok(());
    }
    let mut described = Descriptor::new(&manifest.media_type, manifest.digest, manifest.size);
    described.artifact_type = Some(media_type::TOC.to_owned());
    referrers::list(giver, &uploader, &keep.kit.digest, vec![described])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_tables_of_contents_are_known_and_no_others() {
        let digest = Digest::of(b"kit");
        let tag = toc_tag(&digest);
        assert!(is_toc_tag(&tag));
        assert!(crate::reference::is_tag(&tag));
        for other in [
            format!("sha256-{}", digest.hex()),
            format!("sha256-{}.sig", digest.hex()),
            format!("x{tag}"),
            format!("{tag}.toc"),
            "sha256-1.toc".to_owned(),
            "1.0.toc".to_owned(),
        ] {
            assert!(!is_toc_tag(&other), "{other}");
        }
    }

    #[test]
    fn the_manifest_that_keeps_a_table_is_always_the_same() {
        let kit = Descriptor::of(media_type::MANIFEST, b"kit");
        let toc = Descriptor::of(media_type::TOC, b"toc");
        let (descriptor, bytes) = artifact(&kit, &toc);
        assert_eq!(descriptor, artifact(&kit, &toc).0);
        let read = Manifest::parse(&bytes).unwrap();
        assert_eq!(read.subject.unwrap().digest, kit.digest);
        assert_eq!(read.layers, [toc]);
        read.config.verify(EMPTY).unwrap();
    }
}
