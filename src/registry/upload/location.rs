//! Where a registry says that an upload goes on.

use super::Error;
use crate::http::{Origin, Scheme, Url};

/// Returns the address that a `Location` in an answer from `base` means.
///
/// A registry behind a proxy that ends TLS often believes that it is spoken to in clear: its own
/// name with `http` means itself. Any other way out of TLS is refused, and so are addresses that no
/// other server has. Another host may be named: it gets the bytes, but never a proof.
pub(super) fn resolve(base: &Url, location: &str) -> Result<Url, Error> {
    let refuse = |problem| Error::Location {
        peer: Origin::of(base).map_or_else(String::new, |it| it.to_string()),
        location: location
            .split('?')
            .next()
            .unwrap_or_default()
            .chars()
            .take(200)
            .collect(),
        problem,
    };
    let mut url = base
        .join(location)
        .map_err(|_| refuse("that is no address"))?;
    // Both fail only for addresses that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    let from = Origin::of(base).expect("a request was sent there");
    let mut to = Origin::of(&url).ok_or_else(|| refuse("only http and https are spoken"))?;
    if from.scheme() == Scheme::Https && to.scheme() == Scheme::Http && from.host() == to.host() {
        // Neither fails from one of these schemes to the other.
        let _ = url.set_scheme("https");
        let _ = url.set_port(base.port());
        to = from.clone();
    }
    if from.scheme() == Scheme::Https && to.scheme() == Scheme::Http {
        return Err(refuse("what began with TLS does not go on without"));
    }
    if to.is_unroutable() || (to.is_loopback() && !from.is_loopback()) {
        return Err(refuse("that is an address of this machine's own"));
    }
    Ok(url)
}

/// Returns the address that closes an upload.
pub(super) fn closing(location: &Url, digest: &str) -> Url {
    let mut url = location.clone();
    url.query_pairs_mut().append_pair("digest", digest);
    url
}

/// Reads how many bytes a `Range` says are there: `0-99`, with or without `bytes=`.
pub(super) fn received(range: &str) -> Option<u64> {
    let range = range.trim();
    let range = range
        .strip_prefix("bytes")
        .map_or(range, |it| it.trim_start_matches(['=', ' ']));
    let (first, last) = range.split_once('-')?;
    if first.trim() != "0" {
        return None;
    }
    match last.trim().parse::<u64>().ok()? {
        // Registries say this of an upload that has nothing; none has a single byte.
        0 => Some(0),
        last => last.checked_add(1),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // hazard: 135
    #[test]
    fn uploads_go_on_where_it_is_safe() {
        for (base, location, expected) in [
            (
                "https://r.example/v2/",
                "/v2/a/u/1?s=2",
                Some("https://r.example/v2/a/u/1?s=2"),
            ),
            (
                "https://r.example/v2/a/u/1",
                "2",
                Some("https://r.example/v2/a/u/2"),
            ),
            (
                "https://r.example/",
                "https://cdn.example/u",
                Some("https://cdn.example/u"),
            ),
            (
                "https://r.example:5000/",
                "http://r.example/u",
                Some("https://r.example:5000/u"),
            ),
            (
                "https://r.example/",
                "http://r.example:80/u",
                Some("https://r.example/u"),
            ),
            (
                "https://r.example/",
                "//cdn.example/u",
                Some("https://cdn.example/u"),
            ),
            (
                "https://r.example/",
                "https://a:b@r.example/u",
                Some("https://r.example/u"),
            ),
            (
                "http://r.example/",
                "https://r.example/u",
                Some("https://r.example/u"),
            ),
            (
                "http://localhost:5000/",
                "http://127.0.0.1:9/u",
                Some("http://127.0.0.1:9/u"),
            ),
            ("https://r.example/", "http://cdn.example/u", None),
            ("https://r.example/", "https://127.0.0.1/u", None),
            ("https://r.example/", "https://169.254.169.254/u", None),
            ("https://r.example/", "file:///etc/passwd", None),
            ("https://r.example/", "http://[", None),
        ] {
            let url = Url::parse(base).unwrap();
            let actual = resolve(&url, location).ok();
            assert_eq!(
                actual.as_ref().map(Url::as_str),
                expected,
                "{base} {location}"
            );
        }
    }

    #[test]
    fn a_range_tells_how_much_is_there() {
        for (range, expected) in [
            ("0-0", Some(0)),
            ("0-99", Some(100)),
            ("bytes=0-99", Some(100)),
            ("bytes 0-99", Some(100)),
            ("0-18446744073709551615", None),
            ("5-99", None),
            ("99", None),
            ("-", None),
            ("0--1", None),
            ("", None),
        ] {
            assert_eq!(received(range), expected, "{range}");
        }
    }

    #[test]
    fn the_state_in_an_address_stays() {
        let url = Url::parse("https://r.example/u?_state=a%2Bb%3D").unwrap();
        assert_eq!(
            closing(&url, "sha256:aa").as_str(),
            "https://r.example/u?_state=a%2Bb%3D&digest=sha256%3Aaa"
        );
    }
}
