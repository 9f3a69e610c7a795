//! Which names from archives are accepted, and as what.

use crate::archive::Error;

/// Longest accepted path, in bytes.
const PATH_LIMIT: usize = 4096;
/// Longest accepted component, in bytes: what file systems hold.
const COMPONENT_LIMIT: usize = 255;
/// Most components of an accepted path.
const DEPTH_LIMIT: usize = 1000;

/// Returns `name` as text, for messages.
pub(crate) fn text(name: &[u8]) -> String {
    String::from_utf8_lossy(name).into_owned()
}

/// Returns `name` without `./`, doubled and trailing slashes: relative, below every limit, no
/// component `..`. Empty for the folder that all paths are relative to.
pub(crate) fn clean(name: &[u8]) -> Result<Vec<u8>, Error> {
    let refuse = |why| {
        // A hostile name may be long; its beginning is enough to find it.
        let path = text(&name[..name.len().min(300)]);
        Err(Error::Name { path, why })
    };
    if name.is_empty() {
        return refuse("it is empty");
    }
    if name.len() > PATH_LIMIT {
        return refuse("it is longer than 4096 bytes");
    }
    if name.contains(&0) {
        return refuse("it contains a NUL byte");
    }
    if name.starts_with(b"/") {
        return refuse("it is an absolute path");
    }
    let mut cleaned = Vec::with_capacity(name.len());
    let mut depth = 0;
    for component in name.split(|&byte| byte == b'/') {
        match component {
            b"" | b"." => continue,
            b".." => return refuse("it leads out of its folder"),
            _ => {}
        }
        if component.len() > COMPONENT_LIMIT {
            return refuse("a part of it is longer than 255 bytes");
        }
        depth += 1;
        if !cleaned.is_empty() {
            cleaned.push(b'/');
        }
        cleaned.extend_from_slice(component);
    }
    if depth > DEPTH_LIMIT {
        return refuse("it is deeper than 1000 folders");
    }
    if cfg!(windows) && !fits_windows(&cleaned) {
        return refuse("Windows cannot hold that name");
    }
    Ok(cleaned)
}

/// Splits a cleaned path into its folder (empty for none) and its last component.
pub(crate) fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|&byte| byte == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// Returns the cleaned path of `name` in the cleaned folder `folder`.
pub(crate) fn join(folder: &[u8], name: &[u8]) -> Vec<u8> {
    match (folder, name) {
        (b"", _) => name.to_owned(),
        (_, b"") => folder.to_owned(),
        _ => [folder, b"/", name].concat(),
    }
}

/// Tells whether Windows can hold every component of the cleaned path `path`.
pub(crate) fn fits_windows(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/')
        .all(|component| component.is_empty() || fits_windows_component(component))
}

fn fits_windows_component(component: &[u8]) -> bool {
    let forbidden = |byte: &u8| {
        matches!(
            byte,
            0..=31 | b'\\' | b':' | b'<' | b'>' | b'"' | b'|' | b'?' | b'*'
        )
    };
    if component.iter().any(forbidden) || matches!(component.last(), Some(b'.' | b' ')) {
        return false;
    }
    // A device is one whatever its extension, and with spaces before that.
    let stem = component
        .split(|&byte| byte == b'.')
        .next()
        .unwrap_or(component);
    let stem = stem.trim_ascii_end().to_ascii_uppercase();
    match stem.as_slice() {
        b"CON" | b"PRN" | b"AUX" | b"NUL" | b"CONIN$" | b"CONOUT$" => false,
        [b'C', b'O', b'M', port @ ..] | [b'L', b'P', b'T', port @ ..] => {
            let superscript = ["¹", "²", "³"].map(str::as_bytes).contains(&port);
            !(superscript || matches!(port, [b'0'..=b'9']))
        }
        _ => true,
    }
}

/// Tells whether a component of the cleaned path is where a version control system keeps what it
/// runs and trusts.
pub(crate) fn is_version_control(path: &[u8]) -> bool {
    path.split(|&byte| byte == b'/').any(|component| {
        [&b".git"[..], b".hg", b".svn"]
            .iter()
            .any(|folder| component.eq_ignore_ascii_case(folder))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // hazard: 25, 27
    #[test]
    fn names_are_cleaned_and_kept_as_bytes() {
        for (name, cleaned) in [
            (&b"a"[..], &b"a"[..]),
            (b"./a/./b//c/", b"a/b/c"),
            (b"./", b""),
            (b"weights..v2.bin", b"weights..v2.bin"),
            (b"...", b"..."),
            (b"\xff\n\x1b", b"\xff\n\x1b"),
        ] {
            assert_eq!(clean(name).unwrap(), cleaned);
        }
        assert!(clean(&[b'c'; 255]).is_ok());
    }

    // hazard: 1, 2, 27, 28
    #[test]
    fn names_that_lead_out_or_are_too_long_are_refused() {
        let long = vec![b'c'; 256];
        let longer = "a/".repeat(2049).into_bytes();
        let deep = "a/".repeat(1001).into_bytes();
        for name in [
            &b""[..],
            b"/",
            b"/etc/passwd",
            b"..",
            b"../x",
            b"a/../b",
            b"a/..",
            b"a/../../x",
            b"a\0b",
            &long,
            &longer,
            &deep,
        ] {
            assert!(
                matches!(clean(name), Err(Error::Name { .. })),
                "{}",
                text(name)
            );
        }
    }

    // hazard: 28
    #[test]
    fn each_limit_of_a_name_is_met_by_one_byte_or_part_more() {
        let long = |last: &str| {
            format!(
                "{}{}/{last}",
                ("x".repeat(255) + "/").repeat(15),
                "x".repeat(254)
            )
        };
        let deep = |parts: usize| vec!["d"; parts].join("/");
        for (allowed, refused) in [
            ("x".repeat(255), "x".repeat(256)),
            (long("x"), long("xx")),
            (deep(1000), deep(1001)),
        ] {
            assert_eq!(clean(allowed.as_bytes()).unwrap(), allowed.as_bytes());
            assert!(clean(refused.as_bytes()).is_err(), "{}", refused.len());
        }
        assert_eq!((long("x").len(), long("xx").len()), (4096, 4097));
    }

    // hazard: 26
    #[test]
    fn names_that_windows_cannot_hold_are_known() {
        for name in [
            "a\\b",
            "C:x",
            "CON",
            "d/aux.txt",
            "nul .tar.gz",
            "x.",
            "x ",
            "COM¹",
            "lpt9.log",
            "file:stream",
            "a\u{1}",
        ] {
            assert!(!fits_windows(name.as_bytes()), "{name}");
        }
        for name in ["console", "COM", "COM10", "lpt", "a.b", ".x", "aux2", "a b"] {
            assert!(fits_windows(name.as_bytes()), "{name}");
        }
    }
}
