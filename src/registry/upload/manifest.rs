//! Manifests: what makes blobs a kit.

use super::{Error, Uploader};
use crate::{
    digest::Digest,
    http::{Content, Method, Request, Response},
    oci::Descriptor,
    registry::{Action, raw::ACCEPT},
};

impl Uploader {
    /// Asks which manifest a tag or digest names; none if there is none.
    pub async fn find(&self, reference: &str) -> Result<Option<Digest>, Error> {
        let path = format!("manifests/{reference}");
        let make = |url| Request::head(url).header("accept", ACCEPT);
        let response = self.repository.request(Action::Pull, &path, &make).await?;
        // The first answer there is: it may tell what kind of registry this is.
        self.see(&response);
        let said = response.headers("docker-content-digest");
        match (
            response.status(),
            said.first().and_then(|it| it.parse().ok()),
        ) {
            (404, _) => Ok(None),
            (200, Some(digest)) => Ok(Some(digest)),
            _ => {
                let found = self.repository.head_manifest(reference).await?;
                Ok(found.map(|found| found.digest))
            }
        }
    }

    /// Gives a manifest under a tag or its digest. Its blobs must be there.
    pub async fn name(
        &self,
        reference: &str,
        manifest: &Descriptor,
        bytes: &[u8],
    ) -> Result<(), Error> {
        let mut failed = 0;
        let mut renewed = false;
        loop {
            let path = format!("manifests/{reference}");
            let result = self.put_manifest(&path, manifest, bytes).await;
            let (why, retry_after, error) = match result {
                Ok(response) => match response.status() {
                    200..=299 => return check(manifest, &response),
                    401 | 403 if !renewed => {
                        // Asking for anything with it gets a new token.
                        renewed = true;
                        let make = |url| Request::head(url).header("accept", ACCEPT);
                        self.repository.request(Action::Push, &path, &make).await?;
                        continue;
                    }
                    status @ (408 | 429 | 500 | 502..=504) => {
                        let why = format!("{} answered {status}", response.peer());
                        let retry_after = response.retry_after();
                        (
                            why,
                            retry_after,
                            self.refused("the manifest", response).await,
                        )
                    }
                    _ => return Err(self.refused("the manifest", response).await),
                },
                Err(error) => (error.to_string(), None, error),
            };
            failed += 1;
            let client = self.repository.registry().client();
            if !client.wait_to_retry(&why, failed, retry_after).await {
                return Err(error);
            }
        }
    }

    async fn put_manifest(
        &self,
        path: &str,
        manifest: &Descriptor,
        bytes: &[u8],
    ) -> Result<Response, Error> {
        let url = self.repository.address(path)?;
        let request = Request::of(Method::PUT, url.clone())
            .value("content-type", &manifest.media_type)
            .authorization(self.repository.proof(Action::Push, &url).await?);
        let content = Content::of(bytes.to_vec());
        let client = self.repository.registry().client();
        Ok(client
            .transmit(&request, content, self.patience(true))
            .await?)
    }
}

/// Compares the digest that a registry says it computed.
fn check(manifest: &Descriptor, response: &Response) -> Result<(), Error> {
    let said = response.headers("docker-content-digest");
    let said = said.first().and_then(|it| it.parse().ok());
    match said {
        Some(actual) if actual != manifest.digest => Err(Error::OtherDigest {
            peer: response.peer().to_string(),
            expected: manifest.digest,
            actual,
        }),
        _ => Ok(()),
    }
}
