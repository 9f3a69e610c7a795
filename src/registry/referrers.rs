//! What is said about a manifest: signatures, lists of parts, and whatever else names it as its
//! subject.

use super::{Action, Error, ListProblem, Repository, pages::Pages, repository::header};
use crate::{
    digest::Digest,
    http::{self, Request},
    oci::{Descriptor, Index},
};

/// Pages of one list that are read.
const MAX_PAGES: usize = 100;
/// The most bytes of a page.
const MAX_PAGE_BYTES: usize = 4 << 20;

/// The most that one list names.
const MAX_REFERRERS: usize = 10_000;

/// What a page names, and the query of the next; `None` from a registry that keeps no such lists.
type Page = Option<(Vec<Descriptor>, Option<String>)>;

impl Repository {
    /// Lists the manifests that name `digest` as their subject; `None` from a registry that keeps no
    /// such lists. A list that cannot be had to its end is an error: half of it would look like all
    /// of it.
    pub async fn referrers(&self, digest: &Digest) -> Result<Option<Vec<Descriptor>>, Error> {
        let mut pages = Pages::new(format!("referrers/{digest}"), None, MAX_PAGES);
        let mut all = Vec::new();
        let mut is_first = true;
        while let Some(path) = pages.next() {
            let client = self.registry().client();
            let page = client.until_whole(async || {
                let page = self.referrers_page(digest, &path, &pages, is_first);
                page.await
            });
            let Some((page, next)) = page.await? else {
                return Ok(None);
            };
            all.extend(page);
            if all.len() > MAX_REFERRERS {
                let limit = MAX_REFERRERS;
                return Err(self.bad_referrers(digest, ListProblem::TooMany { limit }));
            }
            let turned = pages.turn(next);
            turned.map_err(|problem| self.bad_referrers(digest, problem))?;
            is_first = false;
        }
        Ok(Some(all))
    }

    /// Returns one page; an error of its own if the page broke off.
    async fn referrers_page(
        &self,
        digest: &Digest,
        path: &str,
        pages: &Pages,
        is_first: bool,
    ) -> Result<Result<Page, http::Error>, Error> {
        let response = self.request(Action::Pull, path, &Request::get).await?;
        match response.status() {
            200 => {}
            // Where the list is not known the question may be taken for any other.
            400 | 404 | 405 | 501 if is_first => return Ok(Ok(None)),
            _ => return Err(self.unexpected(response).await),
        }
        let is_list = header(&response, "content-type").is_none_or(|it| it.contains("json"));
        if !is_list && is_first {
            return Ok(Ok(None));
        }
        let next = pages.after(&response, self.path());
        let next = next.map_err(|problem| self.bad_referrers(digest, problem))?;
        let bytes = match response.document(MAX_PAGE_BYTES).await {
            Ok(bytes) => bytes,
            Err(error) => return Ok(Err(error)),
        };
        let page = Index::parse(&bytes).map_err(|source| Error::BadManifest {
            registry: self.registry().name().to_owned(),
            name: format!("the list of what refers to {digest}"),
            source: Box::new(source),
        })?;
        Ok(Ok(Some((page.manifests, next))))
    }

    fn bad_referrers(&self, digest: &Digest, problem: ListProblem) -> Error {
        Error::List {
            what: format!("what refers to {digest} in {}", self.name()),
            problem,
        }
    }
}
