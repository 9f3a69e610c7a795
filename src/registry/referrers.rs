//! What is said about a manifest: signatures, lists of parts, and whatever else names it as its
//! subject.

use super::{Action, Error, Repository, repository::header};
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
        let mut path = format!("referrers/{digest}");
        let mut all = Vec::new();
        for _ in 0..MAX_PAGES {
            let make = |url| Request::get(url);
            let response = self.request(Action::Pull, &path, &make).await?;
            match response.status() {
                200 => {}
                // Where the list is not known the question may be taken for any other.
                400 | 404 | 405 | 501 if all.is_empty() => return Ok(None),
                _ => return Err(self.unexpected(response).await),
            }
            let peer = response.peer().to_string();
            let link = header(&response, "link");
            let next = link.and_then(|it| next(&it, self.registry().name()));
            let is_list = header(&response, "content-type").is_none_or(|it| it.contains("json"));
            if !is_list && all.is_empty() {
                return Ok(None);
            }
            let bytes = response.document(MAX_PAGE_BYTES).await?;
            let page = Index::parse(&bytes).map_err(|source| Error::BadManifest {
                registry: self.registry().name().to_owned(),
                name: format!("the list of what refers to {digest}"),
                source: Box::new(source),
            })?;
            all.extend(page.manifests);
            match next {
                Some(Ok(next)) => path = next,
                // Not silently less than there is.
                Some(Err(location)) => {
                    return Err(Error::Location {
                        peer,
                        location,
                        problem: "that is where a list would go on",
                    });
                }
                None => break,
            }
        }
        Ok(Some(all))
    }
}

/// Returns the path where a list goes on, if it does; an error is an address of another host.
fn next(link: &str, registry: &str) -> Option<Result<String, String>> {
    let (target, relation) = link.trim().strip_prefix('<')?.split_once('>')?;
    if !relation.contains("rel=\"next\"") && !relation.contains("rel=next") {
        return None;
    }
    let own = target
        .strip_prefix("https://")
        .or_else(|| target.strip_prefix("http://"))
        .and_then(|rest| rest.strip_prefix(registry));
    let path = own.unwrap_or(target);
    if path.starts_with('/') && !path.starts_with("//") {
        return Some(Ok(path.to_owned()));
    }
    // Without its query, which may hold a signature.
    Some(Err(target.split('?').next().unwrap_or_default().to_owned()))
}

#[cfg(test)]
mod tests {
    use super::next;

    #[test]
    fn a_list_goes_on_at_the_same_host_alone() {
        let (own, other) = (
            |path: &str| Some(Ok(path.to_owned())),
            |to: &str| Some(Err(to.to_owned())),
        );
        for (link, expected) in [
            (
                "</v2/a/referrers/x?n=2>; rel=\"next\"",
                own("/v2/a/referrers/x?n=2"),
            ),
            ("<https://r.example/v2/a>; rel=next", own("/v2/a")),
            ("</v2/a>; rel=\"prev\"", None),
            (
                "<https://r.example.evil/v2/a?x>; rel=\"next\"",
                other("https://r.example.evil/v2/a"),
            ),
            (
                "<//other.example/v2/a>; rel=\"next\"",
                other("//other.example/v2/a"),
            ),
            ("junk", None),
        ] {
            assert_eq!(next(link, "r.example"), expected, "{link}");
        }
    }
}
