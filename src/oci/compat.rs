//! A kit in the form of a container image, for registries that take nothing else.
//!
//! The layers are the kit's config and its layers, under the media types of image layers; the
//! manifest of the kit stands in an annotation, byte for byte. So the kit that comes out is the one
//! that went in, with its digest. The config is that of an image for no machine.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Descriptor, Error, Manifest, annotation, json, media_type};
use crate::digest::Digest;

/// The media type of the config of an image.
const IMAGE_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// The media type of a layer of an image, without how it is compressed.
const IMAGE_LAYER: &str = "application/vnd.oci.image.layer.v1.tar";

/// A kit as an image.
#[derive(Clone, Debug)]
pub struct Image {
    /// The manifest of the image.
    pub descriptor: Descriptor,
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// The config of the image, a blob that the kit does not have.
    pub config: Vec<u8>,
    /// What the config is called.
    pub config_descriptor: Descriptor,
}

/// The config of an image, with what some registries insist on.
#[derive(Serialize)]
struct Config {
    architecture: &'static str,
    os: &'static str,
    rootfs: Files,
}

#[derive(Serialize)]
struct Files {
    r#type: &'static str,
    diff_ids: Vec<Digest>,
}

/// Returns the kit with this manifest as an image, with its table of contents if that is there. The
/// same kit always is the same image.
pub fn wrap(manifest: &Manifest, bytes: &str, toc: Option<&Descriptor>) -> Image {
    let layers: Vec<Descriptor> = manifest
        .blobs()
        .chain(toc)
        .map(|blob| {
            let compression = ["+gzip", "+zstd"]
                .into_iter()
                .find(|end| blob.media_type.ends_with(end));
            let media_type = format!("{IMAGE_LAYER}{}", compression.unwrap_or_default());
            Descriptor::new(&media_type, blob.digest, blob.size)
        })
        .collect();
    let config = json::to_vec(&Config {
        architecture: "unknown",
        os: "unknown",
        rootfs: Files {
            r#type: "layers",
            diff_ids: layers.iter().map(|layer| layer.digest).collect(),
        },
    });
    let config_descriptor = Descriptor::of(IMAGE_CONFIG, &config);
    let image = Manifest {
        artifact_type: None,
        config: config_descriptor.clone(),
        layers,
        annotations: BTreeMap::from([(annotation::WRAPPED.to_owned(), bytes.to_owned())]),
        subject: None,
    };
    let bytes = image.to_bytes();
    Image {
        descriptor: Descriptor::of(media_type::MANIFEST, &bytes),
        bytes,
        config,
        config_descriptor,
    }
}

/// Returns the manifest of the kit in an image, and its bytes; `None` for any other manifest.
///
/// # Errors
///
/// What stands in the annotation is no manifest, or one of blobs that the image does not have.
pub fn unwrap(image: &Manifest) -> Result<Option<(Manifest, Vec<u8>)>, Error> {
    let Some(text) = image.annotations.get(annotation::WRAPPED) else {
        return Ok(None);
    };
    if image.config.media_type != IMAGE_CONFIG {
        return Ok(None);
    }
    let kit = Manifest::parse(text.as_bytes())?;
    let is_there = |blob: &Descriptor| {
        let mut layers = image.layers.iter();
        layers.any(|layer| (layer.digest, layer.size) == (blob.digest, blob.size))
    };
    let missing = kit.blobs().find(|blob| !is_there(blob));
    match missing.map(|blob| blob.digest) {
        Some(digest) => Err(Error::NotInImage { digest }),
        None => Ok(Some((kit, text.clone().into_bytes()))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn kit() -> Manifest {
        let layer = |end: &str| {
            Descriptor::of(
                &format!("application/vnd.kitops.modelkit.model.v1.{end}"),
                end.as_bytes(),
            )
        };
        Manifest {
            artifact_type: Some(media_type::ARTIFACT.to_owned()),
            config: Descriptor::of(media_type::CONFIG, b"{}"),
            layers: ["tar", "tar+gzip", "raw+zstd", "raw"].map(layer).to_vec(),
            annotations: BTreeMap::from([("a<b".to_owned(), "\u{2028}\"".to_owned())]),
            subject: None,
        }
    }

    #[test]
    fn a_kit_comes_out_as_it_went_in() {
        let kit = kit();
        let bytes = String::from_utf8(kit.to_bytes()).unwrap();
        let image = wrap(&kit, &bytes, None);
        let read = Manifest::parse(&image.bytes).unwrap();
        assert_eq!(read.artifact_type, None);
        assert_eq!(read.config, image.config_descriptor);
        image.config_descriptor.verify(&image.config).unwrap();
        let types: Vec<&str> = read
            .layers
            .iter()
            .map(|it| it.media_type.as_str())
            .collect();
        let ends = ["", "", "+gzip", "+zstd", ""];
        assert_eq!(types, ends.map(|end| format!("{IMAGE_LAYER}{end}")));
        let (manifest, inner) = unwrap(&read).unwrap().unwrap();
        assert_eq!((manifest, inner), (kit, bytes.into_bytes()));
    }

    #[test]
    fn what_is_no_kit_in_an_image_stays_what_it_is() {
        let mut image = Manifest::parse(&wrap(&kit(), "{}", None).bytes).unwrap();
        assert!(unwrap(&image).is_err(), "no manifest");
        image.annotations.clear();
        assert!(unwrap(&image).unwrap().is_none());
        assert!(unwrap(&kit()).unwrap().is_none());
        let bytes = String::from_utf8(kit().to_bytes()).unwrap();
        let mut image = Manifest::parse(&wrap(&kit(), &bytes, None).bytes).unwrap();
        image.layers.pop();
        assert!(matches!(unwrap(&image), Err(Error::NotInImage { .. })));
    }
}
