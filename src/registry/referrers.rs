//! What is said about a manifest: signatures, lists of parts, and whatever else names it as its
//! subject.

use super::{Action, Error, Repository, pages::Pages, repository::header};
use crate::{
    digest::Digest,
    http::Request,
    oci::{Descriptor, Index},
};

/// Pages of one list that are read.
const MAX_PAGES: usize = 100;
/// The most bytes of a page.
const MAX_PAGE_BYTES: usize = 4 << 20;

impl Repository {
    /// Lists the manifests that name `digest` as their subject; `None` from a registry that keeps no
    /// such lists.
    pub async fn referrers(&self, digest: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        let what = || format!("what refers to {digest} in {}", self.name());
        let mut pages = Pages::new(format!("referrers/{digest}"), None, MAX_PAGES);
        let mut all = Vec::new();
        while let Some(path) = pages.next() {
            let response = self.request(Action::Pull, &path, &Request::get).await?;
            match response.status() {
                200 => {}
                // Where the list is not known the question may be taken for any other.
                400 | 404 | 405 | 501 if all.is_empty() => return Ok(None),
                _ => return Err(self.unexpected(response).await),
            }
            let is_list = header(&response, "content-type").is_none_or(|it| it.contains("json"));
            if !is_list && all.is_empty() {
                return Ok(None);
            }
            let turned = pages.turn(&response, self.path());
            turned.map_err(|problem| Error::List {
                what: what(),
                problem,
            })?;
            let bytes = response.document(MAX_PAGE_BYTES).await?;
            let page = Index::parse(&bytes).map_err(|source| Error::BadManifest {
                registry: self.registry().name().to_owned(),
                name: format!("the list of what refers to {digest}"),
                source: Box::new(source),
            })?;
            all.extend(page.manifests);
        }
        Ok(Some(all))
    }
}
