//! `WWW-Authenticate`: what a registry wants to see (RFC 9110, section 11).

/// One way to prove who one is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Challenge {
    /// A name and a password.
    Basic,
    /// A token from a token server.
    Bearer(Bearer),
    /// Something that is not spoken here.
    Other(String),
}

/// Where the token comes from and what it is for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Bearer {
    pub(super) realm: String,
    pub(super) service: Option<String>,
    pub(super) scope: Option<String>,
}

/// Characters of one header that are read.
const MAX_CHALLENGE: usize = 8 << 10;

/// Reads all challenges of all headers. `None` if one cannot be understood: half a challenge may
/// mean anything.
pub(super) fn parse(headers: &[&str]) -> Option<Vec<Challenge>> {
    let mut all = Vec::new();
    for header in headers {
        if header.len() > MAX_CHALLENGE {
            return None;
        }
        all.extend(Reader { rest: header }.challenges()?);
    }
    Some(all)
}

struct Reader<'a> {
    rest: &'a str,
}

impl<'a> Reader<'a> {
    fn challenges(mut self) -> Option<Vec<Challenge>> {
        let mut all = Vec::new();
        self.skip(&[' ', '\t', ',']);
        while !self.rest.is_empty() {
            let scheme = self.token()?;
            let parameters = self.parameters()?;
            all.push(challenge(scheme, parameters)?);
            self.skip(&[' ', '\t', ',']);
        }
        Some(all)
    }

    /// Reads `name=value` pairs up to the next scheme or the end.
    fn parameters(&mut self) -> Option<Vec<(String, String)>> {
        let mut found: Vec<(String, String)> = Vec::new();
        let behind_scheme = self.rest;
        if !behind_scheme.is_empty() && !behind_scheme.starts_with([' ', '\t', ',']) {
            return None;
        }
        self.skip(&[' ', '\t']);
        loop {
            let start = self.rest;
            self.skip(&[' ', '\t', ',']);
            if self.rest.is_empty() {
                return Some(found);
            }
            let separated =
                found.is_empty() || start[..start.len() - self.rest.len()].contains(',');
            let before_name = self.rest;
            let name = self.token()?.to_ascii_lowercase();
            self.skip(&[' ', '\t']);
            let Some(rest) = self.rest.strip_prefix('=') else {
                // No pair: the next scheme begins here.
                self.rest = before_name;
                return start[..start.len() - before_name.len()]
                    .contains(',')
                    .then_some(found);
            };
            self.rest = rest;
            self.skip(&[' ', '\t']);
            let value = self.value()?;
            if !separated || found.iter().any(|(known, _)| *known == name) {
                return None;
            }
            found.push((name, value));
        }
    }

    fn value(&mut self) -> Option<String> {
        let Some(quoted) = self.rest.strip_prefix('"') else {
            return self.token().map(str::to_owned);
        };
        let mut value = String::new();
        let mut characters = quoted.char_indices();
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.rest = &quoted[at + 1..];
                    return Some(value);
                }
                '\\' => value.push(characters.next()?.1),
                c if c.is_control() && c != '\t' => return None,
                c => value.push(c),
            }
        }
        None // The quotes do not end.
    }

    /// Reads a word; a URL without quotes, which some registries write, is one, too.
    fn token(&mut self) -> Option<&'a str> {
        let legal = |c: char| c.is_ascii_graphic() && !matches!(c, '"' | ',' | '=' | '\\');
        let behind = self.rest.trim_start_matches(legal);
        let (token, rest) = self.rest.split_at(self.rest.len() - behind.len());
        self.rest = rest;
        (!token.is_empty()).then_some(token)
    }

    fn skip(&mut self, characters: &[char]) {
        self.rest = self.rest.trim_start_matches(characters);
    }
}

fn challenge(scheme: &str, parameters: Vec<(String, String)>) -> Option<Challenge> {
    if scheme.eq_ignore_ascii_case("basic") {
        return Some(Challenge::Basic);
    }
    if !scheme.eq_ignore_ascii_case("bearer") {
        return Some(Challenge::Other(scheme.to_owned()));
    }
    let mut bearer = Bearer::default();
    for (name, value) in parameters {
        match name.as_str() {
            "realm" => bearer.realm = value,
            "service" => bearer.service = Some(value),
            "scope" => bearer.scope = Some(value).filter(|scope| !scope.is_empty()),
            _ => {}
        }
    }
    (!bearer.realm.is_empty()).then_some(Challenge::Bearer(bearer))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bearer(realm: &str, service: Option<&str>, scope: Option<&str>) -> Challenge {
        Challenge::Bearer(Bearer {
            realm: realm.to_owned(),
            service: service.map(str::to_owned),
            scope: scope.map(str::to_owned),
        })
    }

    #[test]
    fn challenges_of_real_registries_are_understood() {
        let auth = "https://auth.example/token";
        for (header, expected) in [
            (r#"Basic realm="Registry Realm""#, vec![Challenge::Basic]),
            ("basic", vec![Challenge::Basic]),
            (
                r#"Bearer realm="https://auth.example/token",service="r.example",scope="repository:a/b:pull,push""#,
                vec![bearer(
                    auth,
                    Some("r.example"),
                    Some("repository:a/b:pull,push"),
                )],
            ),
            (
                r#"BEARER  Realm = "https://auth.example/token" , service=r.example, error="invalid_token""#,
                vec![bearer(auth, Some("r.example"), None)],
            ),
            (
                r#"Negotiate, Basic realm="x, y=z", Bearer realm="https://auth.example/token",scope="""#,
                vec![
                    Challenge::Other("Negotiate".to_owned()),
                    Challenge::Basic,
                    bearer(auth, None, None),
                ],
            ),
            (
                r#"Bearer realm="https://auth.example/\"token""#,
                vec![bearer("https://auth.example/\"token", None, None)],
            ),
            (
                "Bearer realm=https://auth.example/token",
                vec![bearer(auth, None, None)],
            ),
            ("", vec![]),
        ] {
            assert_eq!(parse(&[header]), Some(expected), "{header}");
        }
        let two = parse(&["Negotiate", "Basic realm=x"]).unwrap();
        assert_eq!(two.len(), 2);
    }

    proptest::proptest! {
        #[test]
        fn no_text_confuses_the_reader(text in r"[ -~\t]{0,60}", junk in ".{0,40}") {
            for header in [&text, &junk, &format!("Bearer realm=\"{text}\",{junk}")] {
                if let Some(all) = parse(&[header]) {
                    for challenge in all {
                        if let Challenge::Bearer(bearer) = challenge {
                            assert!(!bearer.realm.is_empty());
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn half_a_challenge_is_none() {
        let long = format!("Bearer realm=\"{}\"", "x".repeat(MAX_CHALLENGE));
        for junk in [
            "Bearer",
            "Bearer service=x",
            r#"Bearer realm="https://a"#,
            r#"Bearer realm="https://a" service="b""#,
            r#"Bearer realm="https://a",realm="https://b""#,
            r#"Bearer realm="https://a\"#,
            r#"Bearer realm="a"b"#,
            "=",
            "\"",
            "Bearer realm=",
            "Basic =x",
            "Bearer realm=\"a\u{1}b\"",
            &long,
        ] {
            assert_eq!(parse(&[junk]), None, "{junk}");
        }
    }
}
