//! Manifests of a repository.

use super::{
    error::Error,
    raw::{ACCEPT, Raw},
    repository::{Action, Repository, header},
    session::said,
};
use crate::{
    http::{Request, Response},
    oci::{Descriptor, Index, Manifest, compat, media_type},
};

/// How many manifests of an index are named.
const MOST_LISTED: usize = 5;

/// A manifest as it came.
#[derive(Clone, Debug)]
pub struct Fetched {
    /// Its digest, as it was computed here, its size and its type.
    pub descriptor: Descriptor,
    /// What it says.
    pub manifest: Manifest,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
}

impl Repository {
    /// Fetches the manifest that a tag or digest names, of a kit or of an image. Its digest is
    /// computed here; it must be the one that was asked for and the one that the registry says. An
    /// index that lists one manifest stands for that.
    pub async fn manifest(&self, reference: &str) -> Result<Fetched, Error> {
        let raw = self.raw_manifest(reference).await?;
        let bad = |source| Error::BadManifest {
            registry: self.registry().name().to_owned(),
            name: self.called(reference),
            source: Box::new(source),
        };
        let Raw { descriptor, bytes } = if raw.descriptor.media_type == media_type::INDEX {
            let index = Index::parse(&raw.bytes).map_err(bad)?;
            match index.manifests.as_slice() {
                [only] => self.raw_manifest(&only.digest.to_string()).await?,
                several => return Err(self.not_a_kit(reference, listed(several))),
            }
        } else {
            raw
        };
        if let Some(what) = foreign(&descriptor.media_type) {
            return Err(self.not_a_kit(reference, what.to_owned()));
        }
        let manifest = Manifest::parse(&bytes).map_err(bad)?;
        // A kit that was pushed as an image is that kit again.
        let (manifest, bytes) = match compat::unwrap(&manifest).map_err(bad)? {
            Some(kit) => kit,
            None => (manifest, bytes),
        };
        Ok(Fetched {
            descriptor: Descriptor::of(media_type::MANIFEST, &bytes),
            manifest,
            bytes,
        })
    }

    /// Asks which manifest a tag or digest names; `None` if there is none.
    pub async fn head_manifest(&self, reference: &str) -> Result<Option<Descriptor>, Error> {
        let make = |url| Request::head(url).header("accept", ACCEPT);
        let path = format!("manifests/{reference}");
        let response = self.request(Action::Pull, &path, &make).await?;
        match response.status() {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.unexpected(response).await),
        }
        let asked = reference.parse().ok();
        let said = header(&response, "docker-content-digest").and_then(|it| it.parse().ok());
        let size = header(&response, "content-length").and_then(|it| it.parse().ok());
        let content_type = header(&response, "content-type").unwrap_or_default();
        if let (Some(digest), Some(size)) = (said.or(asked), size) {
            return Ok(Some(Descriptor::new(bare(&content_type), digest, size)));
        }
        // Some registries tell nothing in a head.
        Ok(Some(self.raw_manifest(reference).await?.descriptor))
    }

    pub(super) async fn no_manifest(&self, reference: &str, response: Response) -> Error {
        Error::NoManifest {
            registry: self.registry().name().to_owned(),
            name: self.called(reference),
            words: said(response, self.registry().credential().as_ref()).await,
        }
    }

    fn not_a_kit(&self, reference: &str, what: String) -> Error {
        Error::NotAKit {
            registry: self.registry().name().to_owned(),
            name: self.called(reference),
            what,
        }
    }

    /// Returns what a reference is called within the registry.
    fn called(&self, reference: &str) -> String {
        let sign = if reference.contains(':') { '@' } else { ':' };
        format!("{}{sign}{reference}", self.path())
    }
}

/// Returns a media type without its parameters.
pub(super) fn bare(content_type: &str) -> &str {
    content_type.split(';').next().unwrap_or_default().trim()
}

/// Tells what is in an index that does not stand for one kit.
fn listed(manifests: &[Descriptor]) -> String {
    if manifests.is_empty() {
        return "an empty index, not a kit".to_owned();
    }
    let shown = manifests.iter().take(MOST_LISTED);
    let shown: Vec<_> = shown.map(|it| it.digest.to_string()).collect();
    let rest = match manifests.len() - shown.len() {
        0 => String::new(),
        rest => format!(" and {rest} more"),
    };
    let count = manifests.len();
    let shown = shown.join(", ");
    format!("an index of {count} manifests, not a kit: {shown}{rest}")
}

/// Returns what a manifest that is sent as this type is, if it cannot be that of a kit.
fn foreign(media_type: &str) -> Option<&'static str> {
    Some(match media_type {
        media_type::INDEX => "an index in an index, not a kit",
        "application/vnd.docker.distribution.manifest.list.v2+json" => {
            "a container image for several platforms, not a kit"
        }
        "application/vnd.docker.distribution.manifest.v2+json" => "a container image, not a kit",
        "application/vnd.docker.distribution.manifest.v1+json"
        | "application/vnd.docker.distribution.manifest.v1+prettyjws" => {
            "a container image of an old form, not a kit"
        }
        _ => return None,
    })
}
