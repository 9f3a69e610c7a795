//! A registry, its address, and the proofs it was shown.

use std::{
    collections::HashMap,
    sync::{Mutex, OnceLock, PoisonError},
};

use super::{
    challenge::{self, Bearer, Challenge},
    error::Error,
    token::{self, Token},
    words,
};
use crate::{
    credentials::{Credential, Trust},
    http::{Authorization, Client, Origin, Request, Response, Scheme, Url, limits::MAX_ERROR_BODY},
};

/// How a registry may be spoken to.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Without TLS, wherever it is.
    pub plain_http: bool,
    /// What the user decided when logging in.
    pub trust: Trust,
}

/// What a registry answered to a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Access {
    /// Whether it asked for one at all.
    pub asked: bool,
    /// Whether everything went over the wire in clear.
    pub in_clear: bool,
}

/// One registry.
pub struct Registry {
    client: Client,
    name: String,
    login: Option<Credential>,
    options: Options,
    /// The addresses it may have: with TLS, and in clear if that is allowed should it speak no TLS.
    bases: Vec<Url>,
    /// The one that answered.
    base: OnceLock<Url>,
    proofs: Mutex<Proofs>,
}

/// What the registry asked for, and what it was shown.
#[derive(Default)]
struct Proofs {
    challenge: Option<Challenge>,
    /// By scope.
    tokens: HashMap<String, Token>,
}

impl Registry {
    /// Returns the registry called `name`, as references call it, reached with `login`. Nothing is
    /// sent yet.
    pub fn new(
        client: Client,
        name: &str,
        login: Option<Credential>,
        options: Options,
    ) -> Result<Self, Error> {
        // The name is the one in references; this is where it is served.
        let host = match name {
            "docker.io" | "index.docker.io" => "registry-1.docker.io",
            name => name,
        };
        let base = |scheme: Scheme| {
            let url = Url::parse(&format!("{}://{host}/v2/", scheme.as_str()));
            url.map_err(|_| Error::Name {
                registry: name.to_owned(),
            })
        };
        let mut bases = vec![base(if options.plain_http {
            Scheme::Http
        } else {
            Scheme::Https
        })?];
        let is_loopback = Origin::of(&bases[0]).is_some_and(|origin| origin.is_loopback());
        if is_loopback && !options.plain_http {
            bases.push(base(Scheme::Http)?);
        }
        Ok(Self {
            client,
            name: name.to_owned(),
            login,
            options,
            bases,
            base: OnceLock::new(),
            proofs: Mutex::default(),
        })
    }

    /// Asks whether we are let in.
    pub async fn check(&self) -> Result<Access, Error> {
        let (response, asked) = self.get("", None).await?;
        let in_clear = response.peer().scheme() == Scheme::Http;
        match response.status() {
            200 => Ok(Access { asked, in_clear }),
            403 | 429 | 500..=599 => {
                let shown = self.login.as_ref().filter(|_| asked);
                Err(refusal(response, shown).await)
            }
            status => {
                let peer = response.peer().to_string();
                let words = said(response, self.login.as_ref()).await;
                Err(Error::NotARegistry {
                    peer,
                    status,
                    words,
                })
            }
        }
    }

    /// Gets what is at `path` below `/v2/`, with the proof for `scope` if the registry asks for
    /// one. Returns whether it did. A refused proof that had been taken before is replaced once.
    pub(super) async fn get(
        &self,
        path: &str,
        scope: Option<&str>,
    ) -> Result<(Response, bool), Error> {
        let known = self.known_proof(scope).await?;
        let had_proof = known.is_some();
        let response = self.send(path, known).await?;
        // Some registries answer 403 to a token that is too old.
        let refused = response.status() == 401 || (response.status() == 403 && had_proof);
        if !refused {
            return Ok((response, had_proof));
        }
        let challenge = self.challenge(&response)?;
        drop(response);
        let proof = self.prove(challenge, scope).await?;
        let response = self.send(path, Some(proof)).await?;
        if matches!(response.status(), 401 | 403) {
            return Err(refusal(response, self.login.as_ref()).await);
        }
        Ok((response, true))
    }

    /// Sends one request, and finds out at the first which address answers.
    async fn send(&self, path: &str, proof: Option<Authorization>) -> Result<Response, Error> {
        let known = self.base.get().map(std::slice::from_ref);
        let bases = known.unwrap_or(&self.bases);
        let mut last = None;
        for base in bases {
            let url = base.join(path).map_err(|_| Error::Name {
                registry: self.name.clone(),
            })?;
            let request = Request::get(url).authorization(proof.clone());
            match self.client.send(&request).await {
                Ok(response) => {
                    // Another request may have been faster, with the same result.
                    let _ = self.base.set(base.clone());
                    return Ok(response);
                }
                // On this machine nobody stands in between who could have cut TLS off.
                Err(error) if error.is_not_tls() => last = Some(error),
                Err(error) => return Err(error.into()),
            }
        }
        Err(last.expect("there is at least one address").into())
    }

    /// Returns the address in use.
    fn origin(&self) -> Origin {
        let base = self.base.get().unwrap_or(&self.bases[0]);
        Origin::of(base).expect("addresses of registries are http or https")
    }

    /// Returns the login, if it may be sent over the connection there is.
    fn login(&self) -> Result<Option<&Credential>, Error> {
        let origin = self.origin();
        let may_be_clear =
            self.options.plain_http || (self.options.trust.plain_http && origin.is_loopback());
        if self.login.is_some() && origin.scheme() == Scheme::Http && !may_be_clear {
            return Err(Error::InClear {
                registry: self.name.clone(),
            });
        }
        Ok(self.login.as_ref())
    }

    /// Returns the proof for a registry that has said what it wants: the one that worked before,
    /// or a new token where the last one is old or for something else.
    async fn known_proof(&self, scope: Option<&str>) -> Result<Option<Authorization>, Error> {
        let (challenge, token) = {
            let proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
            let token = match &proofs.challenge {
                Some(Challenge::Bearer(bearer)) => proofs.tokens.get(&key(bearer, scope)),
                _ => None,
            };
            (proofs.challenge.clone(), token.cloned())
        };
        match (challenge, token) {
            (_, Some(token)) if token.is_fresh() => Ok(Some(token.authorization)),
            (Some(challenge), _) => self.prove(challenge, scope).await.map(Some),
            (None, _) => Ok(None),
        }
    }

    /// Returns what the registry asks for in an answer that refuses.
    fn challenge(&self, response: &Response) -> Result<Challenge, Error> {
        let bad = |problem: String| Error::Challenge {
            registry: self.name.clone(),
            problem,
        };
        if *response.peer() != self.origin() {
            return Err(bad(format!(
                "it sends on to {}, which asks for a login of its own",
                response.peer()
            )));
        }
        let headers = response.headers("www-authenticate");
        if headers.is_empty() {
            let proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
            let known = proofs.challenge.clone();
            return known.ok_or_else(|| bad("it does not say".to_owned()));
        }
        let all = challenge::parse(&headers).ok_or_else(|| {
            let quoted: String = headers.join(", ").chars().take(200).collect();
            bad(format!("`{quoted}`"))
        })?;
        let is_bearer = |it: &Challenge| matches!(it, Challenge::Bearer(_));
        let best = all
            .iter()
            .find(|it| is_bearer(it))
            .or_else(|| all.iter().find(|it| **it == Challenge::Basic))
            .or_else(|| all.first());
        match best {
            Some(Challenge::Other(scheme)) => Err(bad(format!("by `{scheme}`"))),
            Some(challenge) => Ok(challenge.clone()),
            None => Err(bad("it does not say".to_owned())),
        }
    }

    /// Makes the proof that a challenge asks for.
    async fn prove(
        &self,
        challenge: Challenge,
        scope: Option<&str>,
    ) -> Result<Authorization, Error> {
        let login = self.login()?;
        let proof = match (&challenge, login) {
            (_, Some(Credential::Access(_))) => login.and_then(direct),
            (Challenge::Bearer(bearer), _) => {
                return self.fetch_token(bearer.clone(), scope, login).await;
            }
            (_, None) => {
                return Err(Error::LoginNeeded {
                    registry: self.name.clone(),
                });
            }
            (_, Some(login)) => direct(login),
        };
        self.remember(challenge, None);
        proof.ok_or_else(|| Error::Challenge {
            registry: self.name.clone(),
            problem: "it takes a name and a password, not this token".to_owned(),
        })
    }

    async fn fetch_token(
        &self,
        bearer: Bearer,
        scope: Option<&str>,
        login: Option<&Credential>,
    ) -> Result<Authorization, Error> {
        let origin = self.origin();
        let key = key(&bearer, scope);
        let wanted = Some(key.as_str()).filter(|scope| !scope.is_empty());
        let registry = (self.name.as_str(), &origin);
        let trusted = &self.options.trust.token_servers;
        let token = token::fetch(&self.client, registry, &bearer, wanted, trusted, login).await?;
        let authorization = token.authorization.clone();
        self.remember(Challenge::Bearer(bearer), Some((key, token)));
        Ok(authorization)
    }

    fn remember(&self, challenge: Challenge, token: Option<(String, Token)>) {
        let mut proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        proofs.challenge = Some(challenge);
        proofs.tokens.extend(token);
    }
}

/// Returns what a token is kept under: the scope that is wanted, or that the registry named.
fn key(bearer: &Bearer, scope: Option<&str>) -> String {
    let scope = scope.or(bearer.scope.as_deref());
    scope.unwrap_or_default().to_owned()
}

/// Returns the proof that needs no token server.
fn direct(login: &Credential) -> Option<Authorization> {
    match login {
        Credential::Password { user, password } => {
            Some(Authorization::basic(user, password.expose()))
        }
        Credential::Access(token) => Authorization::bearer(token.expose()),
        Credential::Identity(_) => None,
    }
}

/// Returns the error of an answer that gives nothing.
pub(super) async fn refusal(response: Response, login: Option<&Credential>) -> Error {
    let status = response.status();
    let peer = response.peer().to_string();
    let retry_after = response.retry_after();
    let words = said(response, login).await;
    match status {
        // 400 is how token servers refuse a token that has gone.
        400 | 401 | 403 if login.is_some() => Error::Refused {
            peer,
            status,
            words,
        },
        _ => Error::Status {
            peer,
            status,
            words,
            retry_after,
        },
    }
}

/// Returns the words of an answer, without our own secret.
async fn said(response: Response, login: Option<&Credential>) -> Option<String> {
    let body = response.beginning(MAX_ERROR_BODY).await;
    let Some(login) = login else {
        return words::of(&body);
    };
    // Before words are cut, when half a secret might be left, and after escapes are gone.
    let body = login.mask(&String::from_utf8_lossy(&body));
    let words = words::of(body.as_bytes())?;
    Some(login.mask(&words))
}
