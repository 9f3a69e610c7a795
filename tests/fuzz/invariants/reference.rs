//! Names: what is accepted prints as its one spelling and reads back as the same.

use modelkit::reference::{Reference, Repository, model_path_reference};

/// Reads each line as a name.
pub(super) fn check(input: &[u8]) -> bool {
    let Ok(text) = str::from_utf8(input) else {
        return false;
    };
    let mut all: Vec<Reference> = Vec::new();
    for line in text.lines().take(8) {
        let Ok(references) = Reference::parse_list(line) else {
            assert!(Reference::parse(line).is_err(), "{line:?}");
            assert!(model_path_reference(line).is_none(), "{line:?}");
            continue;
        };
        assert!(!references.is_empty(), "{line:?}");
        let alone = Reference::parse(line);
        assert_eq!(alone.is_ok(), references.len() == 1, "{line:?}");
        if let Some(named) = model_path_reference(line) {
            assert_eq!(Ok(named), alone, "{line:?}");
            assert!(!line.starts_with(['.', '/']), "{line:?}");
        }
        for reference in &references {
            check_one(reference);
        }
        all.extend(references);
    }
    for (number, one) in all.iter().enumerate() {
        for other in &all[..number] {
            check_pair(one, other);
        }
    }
    !all.is_empty()
}

fn check_one(reference: &Reference) {
    let text = reference.to_string();
    assert_eq!(Reference::parse(&text).as_ref(), Ok(reference), "{text:?}");
    assert_eq!(
        Reference::parse_list(&text).as_deref(),
        Ok(&[reference.clone()][..]),
        "{text:?}"
    );
    assert!(is_spelled_right(&text), "{text:?} has another shape");
    let latest = reference.clone().or_latest();
    assert!(
        latest.tag().is_some() != latest.digest().is_some(),
        "{text:?}"
    );
    assert_eq!(
        Reference::parse(&latest.to_string()),
        Ok(latest),
        "{text:?}"
    );
    if let Some(repository) = reference.repository() {
        let name = repository.as_str();
        assert_eq!(Repository::parse(name).as_ref(), Ok(repository), "{text:?}");
        assert_eq!(name, name.to_lowercase(), "{text:?}");
        let whole = match repository.registry() {
            Some(registry) => format!("{registry}/{}", repository.path()),
            None => repository.path().to_owned(),
        };
        assert_eq!(name, whole);
    }
}

/// Two names are one exactly if their texts are, also on systems that fold the case of letters.
fn check_pair(one: &Reference, other: &Reference) {
    let (text, second) = (one.to_string(), other.to_string());
    assert_eq!(one == other, text == second, "{text:?} and {second:?}");
    if text.eq_ignore_ascii_case(&second) {
        assert_eq!(one.repository(), other.repository());
        assert_eq!(one.digest(), other.digest());
    }
}

/// Recognises the spelling that is shown and stored, written down a second time:
/// `[host[:port]/]name{/name}[:tag | @digest]` or a digest.
fn is_spelled_right(text: &str) -> bool {
    if is_digest(text) {
        return true;
    }
    let (name, tail_is_right) = match text.split_once('@') {
        Some((name, digest)) => (name, is_digest(digest)),
        None => match text.rsplit_once(':') {
            Some((name, tag)) if !tag.contains('/') => (name, is_tag(tag)),
            _ => (text, true),
        },
    };
    let mut parts: Vec<&str> = name.split('/').collect();
    if parts.len() > 1 && parts[0].contains(['.', ':']) {
        let host = parts.remove(0);
        let allowed =
            |c: char| matches!(c, 'a'..='z' | '0'..='9' | '.' | '-' | '_' | ':' | '[' | ']');
        if host.is_empty() || !host.chars().all(allowed) || host.contains("..") {
            return false;
        }
    } else if parts[0] == "localhost" && parts.len() > 1 {
        return false;
    }
    tail_is_right && parts.join("/").len() <= 255 && parts.iter().all(|part| is_part(part))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:").is_some_and(|hex| {
        hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

fn is_tag(text: &str) -> bool {
    (1..=128).contains(&text.len())
        && !text.starts_with(['.', '-'])
        && text
            .bytes()
            .all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b))
}

/// Words of letters and digits, joined by `.`, `_`, `__` or any number of `-`.
fn is_part(text: &str) -> bool {
    let word = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let bytes = text.as_bytes();
    word(bytes.first().copied())
        && word(bytes.last().copied())
        && bytes.iter().all(|b| word(Some(*b)) || b"._-".contains(b))
        && ["..", "___", "._", "_.", "-.", ".-", "-_", "_-"]
            .iter()
            .all(|pair| !text.contains(pair))
}
