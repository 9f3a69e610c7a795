//! The text of a Kitfile to a checked [`Kitfile`].

use std::collections::BTreeMap;

use super::{
    Kitfile, MAX_BYTES, Position, Problem, Problems,
    decode::{Source, decode},
    validate, yaml,
};

/// A Kitfile that is valid.
#[derive(Clone, Debug, PartialEq)]
pub struct Parsed {
    /// What it says.
    pub kitfile: Kitfile,
    /// What is odd about it.
    pub warnings: Vec<Problem>,
}

/// Reads the bytes of a Kitfile: [`parse`] with a clear word for what is not UTF-8 text.
pub fn parse_bytes(bytes: &[u8]) -> Result<Parsed, Problems> {
    if bytes.len() > MAX_BYTES {
        return Err(too_large());
    }
    if bytes.starts_with(b"\xff\xfe") || bytes.starts_with(b"\xfe\xff") {
        let message = "the Kitfile is UTF-16 text: save it as UTF-8";
        return Err(Problem::at(None, message).into());
    }
    match str::from_utf8(bytes) {
        Ok(text) => parse(text),
        Err(error) => {
            let valid = &bytes[..error.valid_up_to()];
            let position = end_of(&String::from_utf8_lossy(valid));
            Err(Problem::at(position, "the Kitfile is not UTF-8 text").into())
        }
    }
}

/// Reads and validates the text of a Kitfile. All problems are found in one go, except that
/// broken YAML hides what follows it.
pub fn parse(text: &str) -> Result<Parsed, Problems> {
    if text.len() > MAX_BYTES {
        return Err(too_large());
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    if let Some(at) = text.find('\0') {
        let message = "the Kitfile holds a NUL byte: it is not text, or not UTF-8";
        return Err(Problem::at(end_of(&text[..at]), message).into());
    }
    let mut problems = Vec::new();
    let root = match yaml::read(text, &mut problems) {
        Ok(root) => root,
        Err(problem) => {
            problems.push(problem);
            return Err(Problems::sorted(problems));
        }
    };
    let mut decoded = decode(&root, Source::Kitfile);
    problems.append(&mut decoded.problems);
    let findings = validate::check(&decoded.kitfile, &decoded.broken);
    let locate = |found: validate::Finding| {
        let position = found.position(&decoded.places);
        Problem::at(position, found.message)
    };
    problems.extend(findings.errors.into_iter().map(locate));
    if !problems.is_empty() {
        return Err(Problems::sorted(problems));
    }
    let warnings = findings.warnings.into_iter().map(locate).collect();
    // `KitOps` writes a kit's config back as it is. How many layers there were says nothing about
    // how many there will be.
    decoded.kitfile.fold();
    decoded.kitfile.cut(&BTreeMap::new());
    Ok(Parsed {
        kitfile: decoded.kitfile,
        warnings: Problems::sorted(warnings).0,
    })
}

fn too_large() -> Problems {
    let message = format!("the Kitfile is larger than {} MiB", MAX_BYTES >> 20);
    Problem::at(None, message).into()
}

/// Returns the position that follows `text`.
fn end_of(text: &str) -> Position {
    let start = text.rfind('\n').map_or(0, |newline| newline + 1);
    Position {
        line: text.matches('\n').count() + 1,
        column: text[start..].chars().count() + 1,
    }
}
