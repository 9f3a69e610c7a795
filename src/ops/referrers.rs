//! Lists of what refers to a manifest, in registries that keep none: an index under a tag that is
//! made of the manifest's digest, as the distribution specification has it.

use super::{Error, push::Giver};
use crate::{
    digest::Digest,
    oci::{Descriptor, Index, media_type},
    registry::{self, Raw, Uploader},
};

/// Returns the tag that leads to what refers to a manifest.
pub(in crate::ops) fn fallback_tag(subject: &Digest) -> String {
    format!("sha256-{}", subject.hex())
}

/// Tells whether a tag is such a tag: it names no kit.
pub(in crate::ops) fn is_fallback_tag(tag: &str) -> bool {
    let hex = tag.strip_prefix("sha256-");
    hex.is_some_and(|hex| format!("sha256:{hex}").parse::<Digest>().is_ok())
}

/// Adds `described`, which are all about `subject`, to the list under its tag.
pub(in crate::ops) fn list(
    giver: &Giver<'_>,
    uploader: &Uploader,
    subject: &Digest,
    described: Vec<Descriptor>,
) -> Result<(), Error> {
    let repository = uploader.repository();
    let tag = fallback_tag(subject);
    let known = match giver.wait(repository.raw_manifest(&tag)) {
        Ok(Raw { bytes, .. }) => Some(bytes),
        Err(Error::Registry(registry::Error::NoManifest { .. })) => None,
        Err(error) => return Err(error),
    };
    let bad = |source| registry::Error::BadManifest {
        registry: repository.registry().name().to_owned(),
        name: tag.clone(),
        source: Box::new(source),
    };
    let mut index = match &known {
        Some(bytes) => Index::parse(bytes).map_err(bad)?,
        None => Index::default(),
    };
    for it in described {
        if !index
            .manifests
            .iter()
            .any(|known| known.digest == it.digest)
        {
            index.manifests.push(it);
        }
    }
    let bytes = index.to_bytes();
    if known.as_ref() != Some(&bytes) {
        let descriptor = Descriptor::of(media_type::INDEX, &bytes);
        giver.wait(uploader.name(&tag, &descriptor, &bytes))?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_of_lists_are_known_and_no_others() {
        let digest = Digest::of(b"kit");
        let tag = fallback_tag(&digest);
        assert!(is_fallback_tag(&tag));
        for other in [
            format!("{tag}.sig"),
            format!("{tag}0"),
            "sha256-1".to_owned(),
            "1.0".to_owned(),
        ] {
            assert!(!is_fallback_tag(&other), "{other}");
        }
    }
}
