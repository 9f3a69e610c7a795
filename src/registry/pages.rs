//! Lists that come in pages: where the next one is, as far as the registry may say so.

use std::collections::HashSet;

use super::error::ListProblem;
use crate::http::{Origin, Response, Url};

/// Characters of the headers that name the next page.
const MAX_LINK: usize = 8 << 10;

/// The pages of one list. Half of a list looks like all of it, so whatever keeps from the next page
/// is an error.
pub(super) struct Pages {
    /// The list, below the repository.
    list: String,
    /// The query of the page to be asked for, which is empty for some first pages.
    query: Option<String>,
    asked: HashSet<String>,
    limit: usize,
}

impl Pages {
    /// Returns the pages of `list`, `limit` at most, each with so many entries if the registry
    /// cares.
    pub(super) fn new(list: impl Into<String>, entries: Option<usize>, limit: usize) -> Self {
        Self {
            list: list.into(),
            query: Some(entries.map_or_else(String::new, |entries| format!("n={entries}"))),
            asked: HashSet::new(),
            limit,
        }
    }

    /// Returns the path of the page to be asked for; `None` behind the last one.
    pub(super) fn next(&mut self) -> Option<String> {
        let query = self.query.take()?;
        let path = if query.is_empty() {
            self.list.clone()
        } else {
            format!("{}?{query}", self.list)
        };
        self.asked.insert(query);
        Some(path)
    }

    /// Returns the query of the page behind `page`, as that tells it; `repository` is its path.
    pub(super) fn after(
        &self,
        page: &Response,
        repository: &str,
    ) -> Result<Option<String>, ListProblem> {
        let links = page.headers("link");
        if links.iter().map(|link| link.len()).sum::<usize>() > MAX_LINK {
            return Err(ListProblem::Link);
        }
        let list = format!("{repository}/{}", self.list);
        next_query(&links, page.peer(), &list)
    }

    /// Goes on to the page with that query, once the one before was read; `None` ends the list.
    pub(super) fn turn(&mut self, query: Option<String>) -> Result<(), ListProblem> {
        let Some(query) = query else {
            return Ok(());
        };
        if self.asked.contains(&query) {
            return Err(ListProblem::Circle);
        }
        if self.asked.len() == self.limit {
            return Err(ListProblem::TooLong { limit: self.limit });
        }
        self.query = Some(query);
        Ok(())
    }
}

/// Returns the query of the page that `Link` headers call the next one. It must be the same list
/// of the same registry: whoever sends the link does not choose who is asked.
fn next_query(links: &[&str], origin: &Origin, path: &str) -> Result<Option<String>, ListProblem> {
    let Some(target) = links.iter().find_map(|link| next_target(link)) else {
        return Ok(None);
    };
    let list = format!("{origin}/v2/{path}");
    let base = Url::parse(&list).map_err(|_| ListProblem::Link)?;
    let next = base.join(target).map_err(|_| ListProblem::Link)?;
    let other = || ListProblem::Elsewhere {
        host: Origin::of(&next).map_or_else(|| next.scheme().to_owned(), |it| it.to_string()),
    };
    if Origin::of(&next).as_ref() != Some(origin) {
        return Err(other());
    }
    match next.query() {
        Some(query) if next.path() == base.path() => Ok(Some(query.to_owned())),
        _ => Err(ListProblem::Link),
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

    // hazard: 79
    #[test]
    fn only_the_same_list_of_the_same_registry_goes_on() {
        let origin = Origin::of(&Url::parse("https://r.example/").unwrap()).unwrap();
        let next = |link: &str| {
            let header = format!("<{link}>; rel=next");
            next_query(&[header.as_str()], &origin, "team/net/tags/list")
        };
        for (link, expected) in [
            ("/v2/team/net/tags/list?last=b&n=2", Ok("last=b&n=2")),
            (
                "https://r.example:443/v2/team/net/tags/list?last=%2F",
                Ok("last=%2F"),
            ),
            ("?last=b", Ok("last=b")),
            ("/v2/team/net/tags/list", Err(ListProblem::Link)),
            ("/v2/team/other/tags/list?last=b", Err(ListProblem::Link)),
            ("../../../_catalog?last=b", Err(ListProblem::Link)),
            ("http://", Err(ListProblem::Link)),
        ] {
            let expected = expected.map(|query: &str| Some(query.to_owned()));
            assert_eq!(next(link), expected, "{link}");
        }
        for link in [
            "https://evil.example/v2/team/net/tags/list?last=b",
            "//evil.example/v2/team/net/tags/list?last=b",
            "/\\evil.example/v2/team/net/tags/list?last=b",
            "/\t/evil.example/v2/team/net/tags/list?last=b",
            "http://r.example/v2/team/net/tags/list?last=b",
            "https://r.example:444/v2/team/net/tags/list?last=b",
            "file:///etc/passwd?last=b",
        ] {
            let found = next(link);
            assert!(
                matches!(found, Err(ListProblem::Elsewhere { .. })),
                "{link}: {found:?}"
            );
        }
        assert_eq!(next_query(&[], &origin, "team/net/tags/list"), Ok(None));
    }

    // hazard: 79
    #[test]
    fn a_list_is_read_page_after_page_and_never_in_a_circle() {
        let mut pages = Pages::new("tags/list", Some(2), 3);
        assert_eq!(pages.next().as_deref(), Some("tags/list?n=2"));
        assert_eq!(pages.turn(Some("last=b".to_owned())), Ok(()));
        assert_eq!(pages.next().as_deref(), Some("tags/list?last=b"));
        assert_eq!(pages.turn(Some("n=2".to_owned())), Err(ListProblem::Circle));
        assert_eq!(pages.turn(Some("last=c".to_owned())), Ok(()));
        assert!(pages.next().is_some());
        let more = pages.turn(Some("last=d".to_owned()));
        assert_eq!(more, Err(ListProblem::TooLong { limit: 3 }));
        assert_eq!(pages.next(), None);
        let mut whole = Pages::new("referrers/x", None, 3);
        assert_eq!(whole.next().as_deref(), Some("referrers/x"));
    }

    proptest::proptest! {
        // hazard: 79
        #[test]
        fn no_header_confuses_the_reader(header in r#"[<>;,"=a-z/ ?]{0,40}"#) {
            if let Some(target) = next_target(&header) {
                assert!(header.contains(&format!("<{target}>")));
            }
        }
    }
}
