//! From text to names.

use std::net::Ipv6Addr;

use super::{Error, Part, Reference, Repository};
use crate::digest::Digest;

/// Algorithms of digests: `sha256:…` is a digest, never a repository with a tag.
const ALGORITHMS: [&str; 4] = ["sha256", "sha384", "sha512", "blake3"];

/// Reads a name with any number of tags.
pub(super) fn references(text: &str) -> Result<Vec<Reference>, Error> {
    refuse_foreign(text)?;
    // Before a `/` in it is taken for one of the first name.
    if let Some(name) = text.split(',').skip(1).find(|behind| is_name(behind)) {
        return Err(Error::NameAmongTags {
            name: name.to_owned(),
            text: text.to_owned(),
        });
    }
    if text
        .split_once(':')
        .is_some_and(|(first, _)| ALGORITHMS.contains(&first))
    {
        return Ok(vec![digest(text, text)?.into()]);
    }
    let (name, digest) = match text.split_once('@') {
        Some((name, behind)) => (name, Some(digest(text, behind)?)),
        None => (text, None),
    };
    // A `:` further in front belongs to the registry's port.
    let last = name.rfind('/').map_or(0, |slash| slash + 1);
    let (name, tags) = match name[last..].find(':') {
        Some(colon) => (&name[..last + colon], Some(&name[last + colon + 1..])),
        None => (name, None),
    };
    let untagged = Reference::from(repository(name)?);
    let mut all = Vec::new();
    for tag in tags.into_iter().flat_map(|tags| tags.split(',')) {
        let tagged = untagged.with_tag(tag).map_err(|error| match tag {
            "" => Error::EmptyTag {
                text: text.to_owned(),
            },
            _ => error,
        })?;
        if !all.contains(&tagged) {
            all.push(tagged);
        }
    }
    match digest {
        // The digest decides which kit it is; the tags only had to be tags.
        Some(digest) => Ok(vec![untagged.with_digest(digest)]),
        None if all.is_empty() => Ok(vec![untagged]),
        None => Ok(all),
    }
}

/// Refuses what is plainly something else than a name.
pub(super) fn refuse_foreign(text: &str) -> Result<(), Error> {
    let owned = || text.to_owned();
    if text.is_empty() {
        return Err(Error::Empty);
    }
    if let Some((_, rest)) = text.split_once("://") {
        let suggestion = rest.trim_end_matches('/').to_owned();
        return Err(Error::Url {
            text: owned(),
            suggestion,
        });
    }
    let mut bytes = text.bytes();
    let drive = bytes.next().is_some_and(|byte| byte.is_ascii_alphabetic())
        && bytes.next() == Some(b':')
        && matches!(bytes.next(), Some(b'/' | b'\\'));
    let first = text.split(['/', '\\']).next();
    if drive || matches!(first, Some("" | "." | "..")) {
        return Err(Error::Path { text: owned() });
    }
    Ok(())
}

/// Tells whether what stands where a tag should would be a name by itself.
fn is_name(text: &str) -> bool {
    // A digest behind the last tag is one of the first name.
    let name = text.split_once('@').map_or(text, |(name, _)| name);
    name.contains(['/', ':']) && references(text).is_ok()
}

/// Reads the digest in `text`.
fn digest(text: &str, digest: &str) -> Result<Digest, Error> {
    digest.parse().map_err(|source| Error::Digest {
        text: text.to_owned(),
        source,
    })
}

/// Tells whether the first of several parts names a registry.
pub(super) fn is_registry(first: &str) -> bool {
    first.contains(['.', ':'])
}

/// Reads a repository with or without a registry.
pub(super) fn repository(text: &str) -> Result<Repository, Error> {
    let mut name = text;
    // More than once: what is shown without it must not be read as something else.
    while let Some(rest) = name.strip_prefix("localhost/") {
        name = rest;
    }
    let (host, path) = match name.split_once('/') {
        Some((first, path)) if is_registry(first) => (Some(first), path),
        _ => (None, name),
    };
    if let Some(host) = host.filter(|_| name.len() < text.len()) {
        return Err(Error::LocalRegistry {
            text: name.to_owned(),
            registry: host.to_owned(),
        });
    }
    let host = host.map(registry).transpose()?;
    check_path(path).map_err(|error| match (error, &host) {
        (Error::UpperCase { text, suggestion }, Some(host)) => Error::UpperCase {
            text,
            suggestion: format!("{host}/{suggestion}"),
        },
        (error, _) => error,
    })?;
    match host {
        Some(host) => Ok(Repository(format!("{host}/{path}"))),
        None if ALGORITHMS.contains(&path) => Err(Error::Algorithm {
            text: path.to_owned(),
        }),
        None => Ok(Repository(path.to_owned())),
    }
}

/// Returns a registry's host and port in their one spelling.
pub(super) fn registry(text: &str) -> Result<String, Error> {
    let lower = text.to_ascii_lowercase();
    let shape = || Error::Shape {
        part: Part::Registry,
        text: text.to_owned(),
    };
    let (host, port) = if let Some(rest) = lower.strip_prefix('[') {
        let (address, port) = rest.split_once(']').ok_or_else(shape)?;
        let address: Ipv6Addr = address.parse().map_err(|_| shape())?;
        let port = match port.strip_prefix(':') {
            None if !port.is_empty() => return Err(shape()),
            port => port,
        };
        (format!("[{address}]"), port)
    } else {
        let (host, port) = match lower.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (lower.as_str(), None),
        };
        let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
        refuse_character(Part::Registry, host, known)?;
        let label = |label: &str| !label.is_empty() && label.trim_matches('-') == label;
        if host.len() > 253 || !host.split('.').all(label) {
            return Err(shape());
        }
        (host.to_owned(), port)
    };
    match port {
        None => Ok(host),
        Some(port) => {
            let digits = port.bytes().all(|byte| byte.is_ascii_digit());
            if !digits || port.starts_with('0') || port.parse::<u16>().is_err() {
                return Err(shape());
            }
            Ok(format!("{host}:{port}"))
        }
    }
}

/// Checks the repository within its registry.
fn check_path(path: &str) -> Result<(), Error> {
    let part = Part::Repository;
    let text = || path.to_owned();
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_' | '/');
    refuse_character(part, path, known)?;
    let lower = path.to_ascii_lowercase();
    if !lower.split('/').all(is_component) {
        return Err(Error::Shape { part, text: text() });
    }
    if path.len() > Repository::LONGEST {
        return Err(Error::Long { text: text() });
    }
    if lower != path {
        return Err(Error::UpperCase {
            text: text(),
            suggestion: lower,
        });
    }
    Ok(())
}

/// Tells whether `text` is letters and digits joined by one `.`, one or two `_`, or some `-`.
fn is_component(text: &str) -> bool {
    let is_word = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    let mut rest = text;
    loop {
        let behind_word = rest.trim_start_matches(is_word);
        if behind_word.len() == rest.len() {
            return false;
        }
        if behind_word.is_empty() {
            return true;
        }
        rest = behind_word.trim_start_matches(|c| !is_word(c));
        let joint = &behind_word[..behind_word.len() - rest.len()];
        if !matches!(joint, "." | "_" | "__") && !joint.bytes().all(|byte| byte == b'-') {
            return false;
        }
    }
}

/// Checks one tag.
pub(super) fn check_tag(tag: &str) -> Result<(), Error> {
    let part = Part::Tag;
    let known = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    refuse_character(part, tag, known)?;
    if tag.is_empty() || tag.len() > 128 || tag.starts_with(['.', '-']) {
        let text = tag.to_owned();
        return Err(Error::Shape { part, text });
    }
    Ok(())
}

/// Names the first character of `text` that the part cannot hold.
fn refuse_character(part: Part, text: &str, known: impl Fn(char) -> bool) -> Result<(), Error> {
    match text.chars().find(|c| !known(*c)) {
        Some(character) => Err(Error::Character {
            part,
            text: text.to_owned(),
            character,
        }),
        None => Ok(()),
    }
}
