//! Token servers: which ones are asked, and what they answer.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;
use tokio::time::Instant;

use super::{
    challenge::Bearer,
    error::{Error, ServerProblem},
    session::refusal,
};
use crate::{
    credentials::Credential,
    http::{Authorization, Client, Origin, Request, Scheme, Url, limits::MAX_TOKEN_BODY},
};

/// Registries whose token server is called otherwise, and that server.
const KNOWN_PAIRS: &[(&str, &str)] = &[("registry-1.docker.io", "auth.docker.io")];

/// How long a token lasts that does not say it; the specification's own number.
const DEFAULT_LIFE: u64 = 60;

/// A token, and how long it is used.
#[derive(Clone)]
pub(super) struct Token {
    pub(super) authorization: Authorization,
    fresh_until: Instant,
}

impl Token {
    /// Tells whether it will still be taken when a request arrives.
    pub(super) fn is_fresh(&self) -> bool {
        Instant::now() < self.fresh_until
    }
}

#[derive(Deserialize)]
struct Answer {
    token: Option<String>,
    access_token: Option<String>,
    /// A number; but it is not worth failing for.
    expires_in: Option<Value>,
}

/// Decides whether a token server may be asked, and with a login.
///
/// A login goes to the registry's own host, to the parent of a host that is called `registry.…`
/// (as `GitLab` has it), to known pairs, and to hosts in `trusted`. A request without one goes
/// anywhere through TLS. Nothing ever goes from TLS to clear, or to addresses that are not a
/// server's.
pub(super) fn check_server(
    registry: &Origin,
    server: &Origin,
    trusted: &[String],
    with_login: bool,
) -> Result<(), ServerProblem> {
    let (host, other) = (registry.host(), server.host());
    if registry.scheme() == Scheme::Https && server.scheme() == Scheme::Http {
        return Err(ServerProblem::InClear);
    }
    if server.is_unroutable() || (server.is_loopback() && !registry.is_loopback()) {
        return Err(ServerProblem::Address);
    }
    let is_parent = host.strip_prefix("registry.") == Some(other) && other.contains('.');
    let is_trusted = host == other
        || is_parent
        || KNOWN_PAIRS.contains(&(host, other))
        || trusted.iter().any(|it| it.eq_ignore_ascii_case(other));
    if is_trusted || (!with_login && server.scheme() == Scheme::Https) {
        Ok(())
    } else {
        Err(ServerProblem::Foreign)
    }
}

/// Gets a token for `scope`.
pub(super) async fn fetch(
    client: &Client,
    registry: (&str, &Origin),
    bearer: &Bearer,
    scope: Option<&str>,
    trusted: &[String],
    credential: Option<&Credential>,
) -> Result<Token, Error> {
    let (name, origin) = registry;
    let refuse = |server: &str, problem| Error::TokenServer {
        registry: name.to_owned(),
        server: server.chars().take(200).collect(),
        problem,
    };
    let malformed = || refuse(&bearer.realm, ServerProblem::Malformed);
    let mut url = Url::parse(&bearer.realm).map_err(|_| malformed())?;
    let server = Origin::of(&url).ok_or_else(malformed)?;
    check_server(origin, &server, trusted, credential.is_some())
        .map_err(|problem| refuse(server.host(), problem))?;

    let mut fields = Vec::new();
    if let Some(service) = &bearer.service {
        fields.push(("service", service.as_str()));
    }
    // Several scopes, as for a mount, are several fields.
    for scope in scope.into_iter().flat_map(|it| it.split(' ')) {
        fields.push(("scope", scope));
    }
    let request = match credential {
        Some(Credential::Identity(token)) => {
            fields.push(("grant_type", "refresh_token"));
            fields.push(("client_id", "kit"));
            fields.push(("refresh_token", token.expose()));
            Request::form(url, &fields)
        }
        Some(Credential::Password { user, password }) => {
            fields.push(("account", user));
            url.query_pairs_mut().extend_pairs(fields);
            let authorization = Authorization::basic(user, password.expose());
            Request::get(url).authorization(Some(authorization))
        }
        Some(Credential::Access(_)) | None => {
            if !fields.is_empty() {
                url.query_pairs_mut().extend_pairs(fields);
            }
            Request::get(url)
        }
    };
    let request = request.header("accept", "application/json");
    // A token that was given for another may have ended that one.
    let is_repeatable = !matches!(credential, Some(Credential::Identity(_)));
    let mut failed = 0;
    loop {
        let response = client.send(&request).await?;
        let peer = response.peer().to_string();
        if response.status() != 200 {
            return Err(refusal(response, credential).await);
        }
        let error = match response.document(MAX_TOKEN_BODY).await {
            Ok(body) => return read(&body).ok_or(Error::NoToken { peer }),
            Err(error) => error,
        };
        failed += 1;
        if !is_repeatable || !client.ask_again(&error, failed).await {
            return Err(error.into());
        }
    }
}

/// Reads a token server's answer.
fn read(body: &[u8]) -> Option<Token> {
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let filled = |token: Option<String>| token.filter(|token| !token.is_empty());
    let token = filled(answer.token).or_else(|| filled(answer.access_token))?;
    // Nothing lasts longer than a day without being asked for again; zero means the default.
    let life = answer
        .expires_in
        .and_then(|life| life.as_u64().or_else(|| life.as_str()?.parse().ok()))
        .filter(|life| *life > 0)
        .unwrap_or(DEFAULT_LIFE)
        .min(86_400);
    // The last tenth is left to the way and to clocks that differ.
    let life = Duration::from_secs(life).mul_f64(0.9);
    Some(Token {
        authorization: Authorization::bearer(&token)?,
        fresh_until: Instant::now() + life,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    // hazard: 137
    #[test]
    fn logins_stay_with_the_registry_and_those_it_is_known_to_work_with() {
        use ServerProblem::{Address, Foreign, InClear};
        let origin = |url: &str| Origin::of(&Url::parse(url).unwrap()).unwrap();
        let trusted = ["auth.trusted.example".to_owned()];
        for (registry, server, with_login, without) in [
            (
                "https://r.example",
                "https://r.example/token",
                Ok(()),
                Ok(()),
            ),
            (
                "https://r.example:5000",
                "https://r.example/token",
                Ok(()),
                Ok(()),
            ),
            (
                "https://r.example",
                "http://r.example/token",
                Err(InClear),
                Err(InClear),
            ),
            (
                "https://r.example",
                "https://other.example",
                Err(Foreign),
                Ok(()),
            ),
            (
                "https://r.example",
                "https://r.example.evil.example",
                Err(Foreign),
                Ok(()),
            ),
            ("https://r.example", "https://example", Err(Foreign), Ok(())),
            (
                "https://r.example",
                "https://auth.trusted.example",
                Ok(()),
                Ok(()),
            ),
            (
                "https://r.example",
                "http://auth.trusted.example",
                Err(InClear),
                Err(InClear),
            ),
            (
                "https://registry.git.example",
                "https://git.example/jwt",
                Ok(()),
                Ok(()),
            ),
            (
                "https://registry.example",
                "https://example/jwt",
                Err(Foreign),
                Ok(()),
            ),
            (
                "https://registry-1.docker.io",
                "https://auth.docker.io/token",
                Ok(()),
                Ok(()),
            ),
            (
                "https://r.example",
                "https://auth.docker.io/token",
                Err(Foreign),
                Ok(()),
            ),
            (
                "https://r.example",
                "https://169.254.169.254/",
                Err(Address),
                Err(Address),
            ),
            (
                "https://r.example",
                "https://[fe80::1]/",
                Err(Address),
                Err(Address),
            ),
            (
                "https://r.example",
                "https://127.0.0.1/",
                Err(Address),
                Err(Address),
            ),
            (
                "https://r.example",
                "https://localhost/",
                Err(Address),
                Err(Address),
            ),
            (
                "http://localhost:5000",
                "http://localhost:5001/token",
                Ok(()),
                Ok(()),
            ),
            (
                "http://localhost:5000",
                "http://127.0.0.1:5001",
                Err(Foreign),
                Err(Foreign),
            ),
            ("http://r.example", "http://r.example/token", Ok(()), Ok(())),
            (
                "http://r.example",
                "http://other.example",
                Err(Foreign),
                Err(Foreign),
            ),
            (
                "http://r.example",
                "https://other.example",
                Err(Foreign),
                Ok(()),
            ),
        ] {
            let check = |login| check_server(&origin(registry), &origin(server), &trusted, login);
            assert_eq!(check(true), with_login, "{registry} {server} with a login");
            assert_eq!(check(false), without, "{registry} {server} without");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_fresh_for_most_of_its_life() {
        for (body, seconds) in [
            (r#"{"token":"a"}"#, 54),
            (r#"{"access_token":"a","expires_in":5}"#, 4),
            (r#"{"token":"","access_token":"a","expires_in":300}"#, 270),
            (r#"{"token":"a","expires_in":0}"#, 54),
            (r#"{"token":"a","expires_in":-1}"#, 54),
            (r#"{"token":"a","expires_in":1.5}"#, 54),
            (r#"{"token":"a","expires_in":[]}"#, 54),
            (r#"{"token":"a","expires_in":"300"}"#, 270),
            (r#"{"token":"a","expires_in":18446744073709551615}"#, 77_760),
        ] {
            let token = read(body.as_bytes()).unwrap();
            tokio::time::advance(Duration::from_secs(seconds - 1)).await;
            assert!(token.is_fresh(), "{body}");
            tokio::time::advance(Duration::from_secs(2)).await;
            assert!(!token.is_fresh(), "{body}");
        }
        for junk in [
            "",
            "[]",
            "{}",
            r#"{"token":7}"#,
            r#"{"token":"a b"}"#,
            r#"{"token":"a\nb"}"#,
        ] {
            assert!(read(junk.as_bytes()).is_none(), "{junk}");
        }
    }
}
