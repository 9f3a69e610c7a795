//! Manifests of any kind, as they are.

use super::{Action, Error, Repository, manifests::bare, repository::header};
use crate::{
    digest::Digest,
    http::{self, Request},
    oci::{Descriptor, Manifest},
};

/// What a manifest may be answered with: what is asked for, and what has to be told apart from it.
pub(super) const ACCEPT: &str = "application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.oci.image.index.v1+json, \
                      application/vnd.docker.distribution.manifest.v2+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json";

/// A manifest of any kind as it came.
#[derive(Clone, Debug)]
pub struct Raw {
    /// Its digest, as it was computed here, its size, and the type that the registry says.
    pub descriptor: Descriptor,
    /// Its exact bytes.
    pub bytes: Vec<u8>,
}

impl Repository {
    /// Fetches the manifest that a tag or digest names, whatever it is of. Its digest is computed
    /// here; it must be the one that was asked for and the one that the registry says.
    pub async fn raw_manifest(&self, reference: &str) -> Result<Raw, Error> {
        let client = self.registry().client();
        let ask = async || self.raw_manifest_once(reference).await;
        client.until_whole(ask).await
    }

    /// Does that once, with an error of its own for what broke off.
    async fn raw_manifest_once(&self, reference: &str) -> Result<Result<Raw, http::Error>, Error> {
        let make = |url| Request::get(url).header("accept", ACCEPT);
        let path = format!("manifests/{reference}");
        let response = self.request(Action::Pull, &path, &make).await?;
        match response.status() {
            200 => {}
            404 => return Err(self.no_manifest(reference, response).await),
            _ => return Err(self.unexpected(response).await),
        }
        let peer = response.peer().to_string();
        let said = header(&response, "docker-content-digest");
        let content_type = header(&response, "content-type").unwrap_or_default();
        let bytes = match response.document(Manifest::MAX_LEN).await {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        let actual = Digest::of(&bytes);
        let asked = reference.parse().ok();
        let announced = said.and_then(|said| said.parse().ok());
        for expected in [asked, announced].into_iter().flatten() {
            if expected != actual {
                return Err(Error::WrongContent {
                    peer,
                    expected,
                    actual,
                });
            }
        }
        Ok(Ok(Raw {
            descriptor: Descriptor::of(bare(&content_type), &bytes),
            bytes,
        }))
    }
}
