//! What a registry says when it refuses: its own words, bounded. They are escaped where they are
//! shown.

use serde_json::Value;

/// Characters that are quoted.
const MAX_WORDS: usize = 400;

/// Returns the words in the body of an error: `message (CODE)` of a registry, `error_description`
/// of a token server, or the first line of a text.
pub(super) fn of(body: &[u8]) -> Option<String> {
    let words = if let Ok(document) = serde_json::from_slice::<Value>(body) {
        of_document(&document)?
    } else {
        let text = String::from_utf8_lossy(body);
        let line = text.lines().map(str::trim).find(|line| !line.is_empty())?;
        if line.starts_with('<') {
            return None; // A page for browsers.
        }
        line.to_owned()
    };
    let words = words.trim();
    let mut cut: String = words.chars().take(MAX_WORDS).collect();
    if cut.len() < words.len() {
        cut.push('…');
    }
    (!cut.is_empty()).then_some(cut)
}

fn of_document(document: &Value) -> Option<String> {
    let text = |value: &Value, name: &str| {
        let text = value.get(name).and_then(Value::as_str).map(str::to_owned);
        text.filter(|text| !text.is_empty())
    };
    if let Some(error) = document.get("errors").and_then(|errors| errors.get(0)) {
        return match (text(error, "message"), text(error, "code")) {
            (Some(message), Some(code)) => Some(format!("{message} ({code})")),
            (message, code) => message.or(code),
        };
    }
    ["error_description", "details", "message", "error"]
        .iter()
        .find_map(|name| text(document, name))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_found_where_servers_put_them() {
        for (body, expected) in [
            (
                r#"{"errors":[{"code":"DENIED","message":"access denied","detail":null}]}"#,
                Some("access denied (DENIED)"),
            ),
            (r#"{"errors":[{"code":"DENIED"}]}"#, Some("DENIED")),
            (r#"{"errors":[]}"#, None),
            (
                r#"{"details":"incorrect username or password"}"#,
                Some("incorrect username or password"),
            ),
            (
                r#"{"error":"invalid_grant","error_description":"expired"}"#,
                Some("expired"),
            ),
            ("\n denied \nmore", Some("denied")),
            ("<html>", None),
            ("", None),
            ("[]", None),
        ] {
            assert_eq!(of(body.as_bytes()).as_deref(), expected, "{body}");
        }
        let long = of("x".repeat(70_000).as_bytes()).unwrap();
        assert_eq!(long.chars().count(), MAX_WORDS + 1);
    }
}
