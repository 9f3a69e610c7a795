//! A registry, its address, and the proofs it was shown.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, OnceLock, PoisonError},
};

use super::{
    challenge::{self, Bearer, Challenge},
    error::Error,
    login::{Again, Login},
    repository::Repository,
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
    login: Login,
    options: Options,
    /// The addresses it may have: with TLS, and in clear if that is allowed should it speak no TLS.
    bases: Vec<Url>,
    /// The one that answered.
    base: OnceLock<Url>,
    proofs: Mutex<Proofs>,
    /// Held while a proof is made.
    renewing: tokio::sync::Mutex<()>,
}

/// Which proof it was: the login itself, or a token. Each has another number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Serial {
    Login(u64),
    Token(u64),
}

/// What the registry asked for, and what it was shown.
#[derive(Default)]
struct Proofs {
    challenge: Option<Challenge>,
    /// By scope, numbered in the order in which they came.
    tokens: HashMap<String, (Token, u64)>,
    last: u64,
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
            login: Login::new(login),
            options,
            bases,
            base: OnceLock::new(),
            proofs: Mutex::default(),
            renewing: tokio::sync::Mutex::default(),
        })
    }

    /// Returns the registry with a way to look for its login again, should it end.
    #[must_use]
    pub fn look_again_with(mut self, again: Again) -> Self {
        self.login.look_again_with(again);
        self
    }

    /// Asks whether we are let in.
    pub async fn check(&self) -> Result<Access, Error> {
        let (response, asked) = self.ask("", None, &Request::get).await?;
        let in_clear = response.peer().scheme() == Scheme::Http;
        match response.status() {
            200 => Ok(Access { asked, in_clear }),
            403 | 429 | 500..=599 => {
                let shown = self.credential().filter(|_| asked);
                Err(refusal(response, shown.as_ref()).await)
            }
            status => {
                let peer = response.peer().to_string();
                let words = said(response, self.credential().as_ref()).await;
                Err(Error::NotARegistry {
                    peer,
                    status,
                    words,
                })
            }
        }
    }

    /// Returns the repository at `path`.
    pub fn repository(self: &Arc<Self>, path: &str) -> Repository {
        Repository::new(Arc::clone(self), path)
    }

    /// Returns the name by which references call the registry.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Tells whether the registry is on this machine or in a network of its own by its address.
    pub fn is_private(&self) -> bool {
        Origin::of(&self.bases[0]).is_some_and(|origin| origin.is_private())
    }

    /// Tells whether the registry is the one that is called `docker.io`.
    pub(super) fn is_docker_hub(&self) -> bool {
        self.bases[0].host_str() == Some("registry-1.docker.io")
    }

    /// Tells whether what is shown as `peer` is the registry itself.
    pub(super) fn is_at(&self, peer: &str) -> bool {
        self.origin().to_string() == peer
    }

    /// Tells whether an address is the registry's own.
    pub(super) fn is_own(&self, url: &Url) -> bool {
        Origin::of(url) == Some(self.origin())
    }

    /// Returns what sends requests.
    pub(super) const fn client(&self) -> &Client {
        &self.client
    }

    /// Returns the login.
    pub(super) fn credential(&self) -> Option<Credential> {
        self.login.credential()
    }

    /// Asks for what is at `path` below `/v2/` (or at a whole address, as registries hand them
    /// out), with the proof for `scope` if the registry asks for one. `make` makes the request for
    /// an address. Returns whether a proof was given. One that is refused is replaced once.
    pub(super) async fn ask(
        &self,
        path: &str,
        scope: Option<&str>,
        make: &(dyn Fn(Url) -> Request + Sync),
    ) -> Result<(Response, bool), Error> {
        let mut known = self.known_proof(scope).await?;
        let mut is_last = false;
        loop {
            let (proof, serial) = known.unzip();
            let had_proof = proof.is_some();
            let response = self.send(path, proof, make).await?;
            // Some registries answer 403 to a token that is too old.
            let refused = response.status() == 401 || (response.status() == 403 && had_proof);
            if !refused {
                return Ok((response, had_proof));
            }
            if is_last {
                return Err(refusal(response, self.credential().as_ref()).await);
            }
            let challenge = self.challenge(&response)?;
            drop(response);
            // Of many requests that are refused at once, one gets a new token for all.
            let _renewing = self.renewing.lock().await;
            known = match self.kept_proof(scope)? {
                Some((proof, newer)) if serial != Some(newer) => Some((proof, newer)),
                _ => {
                    is_last = true;
                    // What was shown is the login itself: it may have ended.
                    if let Some(Serial::Login(number)) = serial {
                        self.login.renew(number).await;
                    }
                    Some(self.new_proof(challenge, scope).await?)
                }
            };
        }
    }

    /// Sends one request, and finds out at the first which address answers.
    async fn send(
        &self,
        path: &str,
        proof: Option<Authorization>,
        make: &(dyn Fn(Url) -> Request + Sync),
    ) -> Result<Response, Error> {
        let known = self.base.get().map(std::slice::from_ref);
        let bases = known.unwrap_or(&self.bases);
        let mut last = None;
        for base in bases {
            let url = base.join(path).map_err(|_| Error::Name {
                registry: self.name.clone(),
            })?;
            // A whole address may be somebody else's.
            let is_own = Origin::of(&url) == Origin::of(base);
            let request = make(url).authorization(proof.clone().filter(|_| is_own));
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

    /// Returns the address of what is at `path` below `/v2/`, or at a whole address.
    pub(super) fn address(&self, path: &str) -> Result<Url, Error> {
        let base = self.base.get().unwrap_or(&self.bases[0]);
        base.join(path).map_err(|_| Error::Name {
            registry: self.name.clone(),
        })
    }

    /// Returns the proof for `scope` to show at `url`: the one that worked before, or a new one if
    /// that has become old. None where the registry never asked, and for anyone else's address.
    pub(super) async fn fresh_proof(
        &self,
        scope: &str,
        url: &Url,
    ) -> Result<Option<Authorization>, Error> {
        if !self.is_own(url) {
            return Ok(None);
        }
        let known = self.known_proof(Some(scope)).await?;
        Ok(known.map(|(proof, _)| proof))
    }

    /// Returns the address in use.
    fn origin(&self) -> Origin {
        let base = self.base.get().unwrap_or(&self.bases[0]);
        Origin::of(base).expect("addresses of registries are http or https")
    }

    /// Returns the login, if it may be sent over the connection there is.
    fn login(&self) -> Result<Option<Credential>, Error> {
        let origin = self.origin();
        let may_be_clear =
            self.options.plain_http || (self.options.trust.plain_http && origin.is_loopback());
        let login = self.credential();
        if login.is_some() && origin.scheme() == Scheme::Http && !may_be_clear {
            return Err(Error::InClear {
                registry: self.name.clone(),
            });
        }
        Ok(login)
    }

    /// Returns the proof that worked before, while it lasts.
    fn kept_proof(&self, scope: Option<&str>) -> Result<Option<(Authorization, Serial)>, Error> {
        let number = self.login.number();
        let proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
        Ok(match &proofs.challenge {
            Some(Challenge::Basic) => {
                let proof = self.login()?.as_ref().and_then(direct);
                proof.map(|proof| (proof, Serial::Login(number)))
            }
            Some(Challenge::Bearer(bearer)) => proofs
                .tokens
                .get(&key(bearer, scope))
                .filter(|(token, _)| token.is_fresh())
                .map(|(token, serial)| (token.authorization.clone(), Serial::Token(*serial))),
            Some(Challenge::Other(_)) | None => None,
        })
    }

    /// Returns the proof for a registry that has said what it wants: the one that worked before,
    /// or a new token where the last one is old or for something else.
    async fn known_proof(
        &self,
        scope: Option<&str>,
    ) -> Result<Option<(Authorization, Serial)>, Error> {
        if let Some(kept) = self.kept_proof(scope)? {
            return Ok(Some(kept));
        }
        let challenge = {
            let proofs = self.proofs.lock().unwrap_or_else(PoisonError::into_inner);
            proofs.challenge.clone()
        };
        let Some(challenge) = challenge else {
            return Ok(None);
        };
        let _renewing = self.renewing.lock().await;
        match self.kept_proof(scope)? {
            Some(kept) => Ok(Some(kept)),
            None => self.new_proof(challenge, scope).await.map(Some),
        }
    }

    /// Makes the proof that a challenge asks for.
    async fn new_proof(
        &self,
        challenge: Challenge,
        scope: Option<&str>,
    ) -> Result<(Authorization, Serial), Error> {
        let number = self.login.number();
        let proof = match self.prove(challenge.clone(), scope).await {
            // The token server takes the login no more; there may be a newer one.
            Err(Error::Refused { .. }) if self.login.renew(number).await => {
                self.prove(challenge, scope).await?
            }
            proved => proved?,
        };
        let kept = self.kept_proof(scope)?;
        Ok(kept.unwrap_or((proof, Serial::Login(self.login.number()))))
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

    async fn prove(
        &self,
        challenge: Challenge,
        scope: Option<&str>,
    ) -> Result<Authorization, Error> {
        let login = self.login()?;
        let proof = match (&challenge, &login) {
            (_, Some(login @ Credential::Access(_))) => direct(login),
            (Challenge::Bearer(bearer), login) => {
                let login = login.as_ref();
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
        proof.ok_or_else(|| Error::NameNeeded {
            registry: self.name.clone(),
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
        if let Some((key, token)) = token {
            proofs.last += 1;
            let serial = proofs.last;
            proofs.tokens.insert(key, (token, serial));
        }
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
pub(super) async fn said(response: Response, login: Option<&Credential>) -> Option<String> {
    let body = response.beginning(MAX_ERROR_BODY).await;
    let Some(login) = login else {
        return words::of(&body);
    };
    // Before words are cut, when half a secret might be left, and after escapes are gone.
    let body = login.mask(&String::from_utf8_lossy(&body));
    let words = words::of(body.as_bytes())?;
    Some(login.mask(&words))
}
