//! The tags of a repository, page after page.

use std::collections::{BTreeSet, HashSet};

use serde::Deserialize;

use super::{Error, Repository, error::TagsProblem, repository::Action, session::said};
use crate::{
    http::{Origin, Request, Response, Url},
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
/// Characters of the headers that name the next page.
const MAX_LINK: usize = 8 << 10;

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
        let mut asked = HashSet::new();
        let mut query = format!("n={PAGE}");
        loop {
            asked.insert(query.clone());
            let (page, next) = self.tags_page(&query).await?;
            for tag in page {
                let list = if reference::is_tag(&tag) {
                    &mut names
                } else {
                    &mut dropped
                };
                list.insert(tag);
            }
            if names.len() + dropped.len() > MAX_TAGS {
                return Err(self.bad_tags(TagsProblem::TooMany { limit: MAX_TAGS }));
            }
            let Some(next) = next else {
                break;
            };
            let problem = if asked.contains(&next) {
                TagsProblem::Circle
            } else if asked.len() == MAX_TAG_PAGES {
                TagsProblem::TooLong {
                    limit: MAX_TAG_PAGES,
                }
            } else {
                query = next;
                continue;
            };
            return Err(self.bad_tags(problem));
        }
        Ok(Tags {
            names: names.into_iter().collect(),
            dropped: dropped.into_iter().collect(),
        })
    }

    /// Returns the tags on one page, and the query of the next.
    async fn tags_page(&self, query: &str) -> Result<(Vec<String>, Option<String>), Error> {
        let path = format!("tags/list?{query}");
        let response = self.request(Action::Pull, &path, &Request::get).await?;
        match response.status() {
            200 => {}
            404 => return Err(self.unknown(response).await),
            _ => return Err(self.unexpected(response).await),
        }
        let links = response.headers("link");
        let next = if links.iter().map(|link| link.len()).sum::<usize>() > MAX_LINK {
            Err(TagsProblem::Link)
        } else {
            next_query(&links, response.peer(), self.path())
        };
        let next = next.map_err(|problem| self.bad_tags(problem))?;
        let body = response.document(MAX_TAGS_BODY).await?;
        let page: Page =
            serde_json::from_slice(&body).map_err(|_| self.bad_tags(TagsProblem::Form))?;
        Ok((page.tags.unwrap_or_default(), next))
    }

    /// Returns the name of the repository with its registry.
    fn full_name(&self) -> String {
        format!("{}/{}", self.registry().name(), self.path())
    }

    async fn unknown(&self, response: Response) -> Error {
        Error::NoRepository {
            registry: self.registry().name().to_owned(),
            repository: self.path().to_owned(),
            words: said(response, self.registry().credential().as_ref()).await,
        }
    }

    fn bad_tags(&self, problem: TagsProblem) -> Error {
        Error::Tags {
            repository: self.full_name(),
            problem,
        }
    }
}

#[derive(Deserialize)]
struct Page {
    /// Some registries send `null` for a repository without tags.
    tags: Option<Vec<String>>,
}

/// Returns the query of the page that `Link` headers call the next one. It must be the same list
/// of the same registry: whoever sends the link does not choose who is asked.
fn next_query(links: &[&str], origin: &Origin, path: &str) -> Result<Option<String>, TagsProblem> {
    let Some(target) = links.iter().find_map(|link| next_target(link)) else {
        return Ok(None);
    };
    let list = format!("{origin}/v2/{path}/tags/list");
    let base = Url::parse(&list).map_err(|_| TagsProblem::Link)?;
    let next = base.join(target).map_err(|_| TagsProblem::Link)?;
    let other = || TagsProblem::Elsewhere {
        host: Origin::of(&next).map_or_else(|| next.scheme().to_owned(), |it| it.to_string()),
    };
    if Origin::of(&next).as_ref() != Some(origin) {
        return Err(other());
    }
    match next.query() {
        Some(query) if next.path() == base.path() => Ok(Some(query.to_owned())),
        _ => Err(TagsProblem::Link),
    }
}

/// Returns the address in `<address>; rel="next"` (RFC 8288), which may stand among others.
fn next_target(header: &str) -> Option<&str> {
    let mut rest = header;
    loop {
        let (_, behind) = rest.split_once('<')?;
        let (target, behind) = behind.split_once('>')?;
        let parameters = &behind[..end_of_link(behind)];
        let is_next = parameters.split(';').any(|parameter| {
            let Some((name, value)) = parameter.split_once('=') else {
                return false;
            };
            let mut words = value.trim().trim_matches('"').split_ascii_whitespace();
            name.trim().eq_ignore_ascii_case("rel")
                && words.any(|word| word.eq_ignore_ascii_case("next"))
        });
        if is_next {
            return Some(target);
        }
        rest = &behind[parameters.len()..];
    }
}

/// Returns where the parameters of one link end: at a comma outside of quotes.
fn end_of_link(text: &str) -> usize {
    let mut in_quotes = false;
    let end = text.char_indices().find(|(_, c)| {
        in_quotes ^= *c == '"';
        *c == ',' && !in_quotes
    });
    end.map_or(text.len(), |(at, _)| at)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_page_is_found_among_links() {
        for (header, expected) in [
            (
                r#"</v2/a/tags/list?last=x&n=2>; rel="next""#,
                Some("/v2/a/tags/list?last=x&n=2"),
            ),
            ("<?last=x>;rel=next", Some("?last=x")),
            (
                r#"</one>; rel="prev", </two>; title="a, b"; REL="last Next""#,
                Some("/two"),
            ),
            ("</a,b>; rel=next", Some("/a,b")),
            (r#"</one>; rel="prev""#, None),
            (r#"</one>; title="rel=next""#, None),
            ("</one>", None),
            ("</one; rel=next", None),
            ("next", None),
            ("", None),
        ] {
            assert_eq!(next_target(header), expected, "{header}");
        }
    }

    #[test]
    fn only_the_same_list_of_the_same_registry_goes_on() {
        let origin = Origin::of(&Url::parse("https://r.example/").unwrap()).unwrap();
        let next = |link: &str| {
            let header = format!("<{link}>; rel=next");
            next_query(&[header.as_str()], &origin, "team/net")
        };
        for (link, expected) in [
            ("/v2/team/net/tags/list?last=b&n=2", Ok("last=b&n=2")),
            (
                "https://r.example:443/v2/team/net/tags/list?last=%2F",
                Ok("last=%2F"),
            ),
            ("?last=b", Ok("last=b")),
            ("/v2/team/net/tags/list", Err(TagsProblem::Link)),
            ("/v2/team/other/tags/list?last=b", Err(TagsProblem::Link)),
            ("../../../_catalog?last=b", Err(TagsProblem::Link)),
            ("http://", Err(TagsProblem::Link)),
        ] {
            let expected = expected.map(|query: &str| Some(query.to_owned()));
            assert_eq!(next(link), expected, "{link}");
        }
        for link in [
            "https://evil.example/v2/team/net/tags/list?last=b",
            "//evil.example/v2/team/net/tags/list?last=b",
            "http://r.example/v2/team/net/tags/list?last=b",
            "https://r.example:444/v2/team/net/tags/list?last=b",
            "file:///etc/passwd?last=b",
        ] {
            let found = next(link);
            assert!(
                matches!(found, Err(TagsProblem::Elsewhere { .. })),
                "{link}: {found:?}"
            );
        }
        assert_eq!(next_query(&[], &origin, "team/net"), Ok(None));
    }

    proptest::proptest! {
        #[test]
        fn no_header_confuses_the_reader(header in r#"[<>;,"=a-z/ ?]{0,40}"#) {
            if let Some(target) = next_target(&header) {
                assert!(header.contains(&format!("<{target}>")));
            }
        }
    }
}
