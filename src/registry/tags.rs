//! The tags of a repository, page after page.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{
    Error, Repository, error::ListProblem, pages::Pages, repository::Action, session::said,
};
use crate::{
    http::{Request, Response},
    reference,
};

/// Pages of tags that are asked for of one repository, one after the other.
pub const MAX_TAG_PAGES: usize = 1_000;
/// Tags of one repository.
pub const MAX_TAGS: usize = 100_000;
/// Bytes of one page: a registry may send all tags at once.
pub const MAX_TAGS_BODY: usize = 16 << 20;
/// Tags on a page, if the registry cares.
const PAGE: usize = 1_000;

/// The tags of a repository.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Tags {
    /// Those that can be tags, sorted, each once.
    pub names: Vec<String>,
    /// What else stood among them: nothing that a reference could name.
    pub dropped: Vec<String>,
}

impl Repository {
    /// Returns all tags. A list that cannot be had to its end is an error: half of it would look
    /// like all of it.
    pub async fn tags(&self) -> Result<Tags, Error> {
        let mut names = BTreeSet::new();
        let mut dropped = BTreeSet::new();
        let mut pages = Pages::new("tags/list", Some(PAGE), MAX_TAG_PAGES);
        while let Some(path) = pages.next() {
            for tag in self.tags_page(&path, &mut pages).await? {
                let list = if reference::is_tag(&tag) {
                    &mut names
                } else {
                    &mut dropped
                };
                list.insert(tag);
            }
            if names.len() + dropped.len() > MAX_TAGS {
                return Err(self.bad_tags(ListProblem::TooMany { limit: MAX_TAGS }));
            }
        }
        Ok(Tags {
            names: names.into_iter().collect(),
            dropped: dropped.into_iter().collect(),
        })
    }

    /// Returns the tags on one page.
    async fn tags_page(&self, path: &str, pages: &mut Pages) -> Result<Vec<String>, Error> {
        let response = self.request(Action::Pull, path, &Request::get).await?;
        match response.status() {
            200 => {}
            404 => return Err(self.unknown(response).await),
            _ => return Err(self.unexpected(response).await),
        }
        pages
            .turn(&response, self.path())
            .map_err(|problem| self.bad_tags(problem))?;
        let body = response.document(MAX_TAGS_BODY).await?;
        let page: Page =
            serde_json::from_slice(&body).map_err(|_| self.bad_tags(ListProblem::Form))?;
        Ok(page.tags.unwrap_or_default())
    }

    async fn unknown(&self, response: Response) -> Error {
        Error::NoRepository {
            registry: self.registry().name().to_owned(),
            repository: self.path().to_owned(),
            words: said(response, self.registry().credential().as_ref()).await,
        }
    }

    fn bad_tags(&self, problem: ListProblem) -> Error {
        Error::List {
            what: format!("tags of {}", self.name()),
            problem,
        }
    }
}

#[derive(Deserialize)]
struct Page {
    /// Some registries send `null` for a repository without tags.
    tags: Option<Vec<String>>,
}
