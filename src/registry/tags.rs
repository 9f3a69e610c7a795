//! The tags of a repository, page after page.

use std::collections::BTreeSet;

use serde::Deserialize;

use super::{
    Error, Repository, error::ListProblem, pages::Pages, repository::Action, session::said,
};
use crate::{
    http::{self, Request, Response},
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
/// Characters of what can be no tag that are kept of it, one more than any tag has.
const SHOWN: usize = 129;

/// Tags, and the query of the next page.
type TagsPage = (Vec<String>, Option<String>);

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
            let client = self.registry().client();
            let page = client.until_whole(async || self.tags_page(&path, &pages).await);
            let (page, next) = page.await?;
            for tag in page {
                if reference::is_tag(&tag) {
                    names.insert(tag);
                } else {
                    // They are only shown, and each may be as long as a page.
                    dropped.insert(tag.chars().take(SHOWN).collect());
                }
            }
            if names.len() + dropped.len() > MAX_TAGS {
                return Err(self.bad_tags(ListProblem::TooMany { limit: MAX_TAGS }));
            }
            let turned = pages.turn(next);
            turned.map_err(|problem| self.bad_tags(problem))?;
        }
        Ok(Tags {
            names: names.into_iter().collect(),
            dropped: dropped.into_iter().collect(),
        })
    }

    /// Returns what is on one page; an error of its own if the page broke off.
    async fn tags_page(
        &self,
        path: &str,
        pages: &Pages,
    ) -> Result<Result<TagsPage, http::Error>, Error> {
        let response = self.request(Action::Pull, path, &Request::get).await?;
        match response.status() {
            200 => {}
            404 => return Err(self.unknown(response).await),
            _ => return Err(self.unexpected(response).await),
        }
        let next = pages.after(&response, self.path());
        let next = next.map_err(|problem| self.bad_tags(problem))?;
        let body = match response.document(MAX_TAGS_BODY).await {
            Ok(body) => body,
            Err(error) => return Ok(Err(error)),
        };
        let page: Page =
            serde_json::from_slice(&body).map_err(|_| self.bad_tags(ListProblem::Form))?;
        Ok(Ok((page.tags.unwrap_or_default(), next)))
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
