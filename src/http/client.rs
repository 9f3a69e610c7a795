//! Sends requests.

use std::{fmt, sync::Arc, time::Duration};

use reqwest::{ClientBuilder, Method, Proxy, Url, header, redirect};
use tokio::time::timeout;

use crate::failpoint::failpoint;

use super::{
    error::{Error, Reason, reason},
    limits,
    message::{Request, Response},
    origin::{Origin, Scheme},
    pause::Pauses,
    proxy::Proxies,
    retry::{Clock, Policy, SystemClock},
    tls::{self, Tls},
};

/// Is told what happens; nothing in it is secret.
pub trait Observer: Send + Sync {
    /// A request was answered, or was not.
    fn step(&self, text: fmt::Arguments<'_>);
    /// Time will pass before the next try.
    fn waiting(&self, text: fmt::Arguments<'_>);
    /// Something about the peer that the user may want to know, and need not do anything about.
    fn note(&self, text: fmt::Arguments<'_>) {
        self.waiting(text);
    }
}

/// How long is waited. There is no limit on a whole transfer.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// For a connection, TLS included.
    pub connect: Duration,
    /// For the head of an answer, and for the next bytes of a body.
    pub idle: Duration,
    /// For a body that is held in memory.
    pub document: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: limits::CONNECT,
            idle: limits::IDLE,
            document: limits::DOCUMENT,
        }
    }
}

/// What a client is made with.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// Certificates.
    pub tls: Tls,
    /// Proxies.
    pub proxies: Proxies,
    /// Retries.
    pub policy: Policy,
    /// Waits.
    pub timeouts: Timeouts,
}

/// Sends requests; connections are kept and shared by its clones.
#[derive(Clone)]
pub struct Client {
    pub(super) inner: reqwest::Client,
    proxies: Proxies,
    policy: Policy,
    pub(super) timeouts: Timeouts,
    clock: Arc<dyn Clock>,
    observer: Arc<dyn Observer>,
    pub(super) pauses: Arc<Pauses>,
}

impl Client {
    /// Makes a client. Reading the authorities of the system takes some milliseconds: a command
    /// that needs no network makes none.
    pub fn new(options: Options, observer: Arc<dyn Observer>) -> Result<Self, Error> {
        let Options {
            tls,
            proxies,
            policy,
            timeouts,
        } = options;
        let for_library = proxies.clone();
        let inner = tls::build(&tls, || {
            let proxies = for_library.clone();
            ClientBuilder::new()
                // Nothing that tells about the machine.
                .user_agent(concat!("kit/", env!("CARGO_PKG_VERSION")))
                // The library's own look at the environment is off; ours decides.
                .no_proxy()
                .proxy(Proxy::custom(move |url| proxies.to(url).cloned()))
                .redirect(redirect::Policy::none())
                .referer(false)
                .http1_only()
                .http1_max_headers(limits::MAX_HEADERS)
                .no_gzip()
                .no_brotli()
                .no_zstd()
                .no_deflate()
                .connect_timeout(timeouts.connect)
        })?;
        Ok(Self {
            inner,
            proxies,
            policy,
            timeouts,
            clock: Arc::new(SystemClock),
            observer,
            pauses: Arc::default(),
        })
    }

    /// Returns the client with another clock.
    #[cfg(test)]
    pub(super) fn with_clock(self, clock: Arc<dyn Clock>) -> Self {
        Self { clock, ..self }
    }

    pub(super) const fn policy(&self) -> Policy {
        self.policy
    }

    pub(super) fn clock(&self) -> &dyn Clock {
        &*self.clock
    }

    pub(super) fn observer(&self) -> &dyn Observer {
        &*self.observer
    }

    /// Sends a request, follows redirects, and tries again what may go better. Any status is an
    /// answer, not an error.
    pub async fn send(&self, request: &Request) -> Result<Response, Error> {
        let mut failed = 0;
        loop {
            let result = self.follow(request).await;
            failed += 1;
            let jitter = self.clock.jitter();
            let (wait, why) = match &result {
                Ok(response) => (
                    self.policy.after_status(
                        response.status(),
                        response.retry_after(),
                        failed,
                        jitter,
                    ),
                    format!("{} answered {}", response.peer(), response.status()),
                ),
                // A request that is not answered may have done what it asks for.
                Err(_) if request.body.is_some() => return result,
                Err(error) => (
                    self.policy.after_error(error, failed, jitter),
                    error.to_string(),
                ),
            };
            let Some(wait) = wait else {
                return result;
            };
            let seconds = wait.as_secs_f64();
            self.observer
                .waiting(format_args!("{why}; trying again in {seconds:.1} s"));
            if let Ok(response) = &result
                && let Some(asked) = response.retry_after()
            {
                self.pauses.begin(response.peer(), asked, self.clock());
            }
            drop(result);
            self.clock.sleep(wait).await;
        }
    }

    /// Sends a request and follows its redirects.
    async fn follow(&self, request: &Request) -> Result<Response, Error> {
        let mut url = without_login(request.url.clone());
        let mut origin = origin(&url)?;
        let mut authorized = request.authorization.is_some();
        for _ in 0..=limits::MAX_REDIRECTS {
            let response = self.once(request, &url, &origin, authorized).await?;
            let Some(next) = location(request, &response, &url)? else {
                return Ok(response);
            };
            let to = check_redirect(&origin, &next)?;
            // Once lost it does not come back: whoever redirected back chose the way.
            authorized &= to == origin;
            url = next;
            origin = to;
        }
        Err(Error::Redirect {
            from: Origin::of(&request.url).map_or_else(String::new, |from| from.to_string()),
            to: origin.to_string(),
            problem: "there are too many redirects",
        })
    }

    /// Sends one request to one address.
    async fn once(
        &self,
        request: &Request,
        url: &Url,
        origin: &Origin,
        authorized: bool,
    ) -> Result<Response, Error> {
        self.pauses.pass(origin, self.clock()).await;
        let mut builder = self
            .inner
            .request(request.method.clone(), url.clone())
            .headers(request.headers.clone());
        if let Some(authorization) = request.authorization.as_ref().filter(|_| authorized) {
            builder = builder.header(header::AUTHORIZATION, authorization.0.clone());
        }
        if let Some(form) = &request.body {
            builder = builder
                .header(header::CONTENT_TYPE, "application/x-www-form-urlencoded")
                .body(form.0.clone());
        }
        let what = format!("{} {}", request.method, shown(url));
        let with = if authorized { " with a login" } else { "" };
        let idle = self.timeouts.idle;
        // The connection has a shorter limit of its own.
        let sent = async {
            failpoint!("http.send")?;
            let sent = builder.send().await;
            let answer = sent.map_err(|error| reason(&error, self.timeouts.connect))?;
            failpoint!("http.headers")?;
            Ok(answer)
        };
        let reason = match timeout(idle, sent).await {
            Ok(Ok(response)) => {
                let status = response.status();
                self.observer.step(format_args!("{what}{with}: {status}"));
                return Ok(Response {
                    inner: response,
                    peer: origin.clone(),
                    timeouts: self.timeouts,
                });
            }
            Ok(Err(reason)) => reason,
            Err(_) => Reason::Silent(idle),
        };
        self.observer.step(format_args!("{what}{with}: {reason}"));
        Err(self.unreachable(url, origin, reason))
    }

    /// Returns the error of a request that got no answer.
    pub(super) fn unreachable(&self, url: &Url, origin: &Origin, reason: Reason) -> Error {
        let proxy = self.proxies.to(url).map(|proxy| {
            let host = proxy.host_str().unwrap_or_default();
            proxy
                .port()
                .map_or_else(|| host.to_owned(), |port| format!("{host}:{port}"))
        });
        Error::Unreachable {
            peer: origin.to_string(),
            proxy,
            reason,
        }
    }
}

pub(super) fn origin(url: &Url) -> Result<Origin, Error> {
    Origin::of(url).ok_or_else(|| Error::Redirect {
        from: "the request".to_owned(),
        to: shown(url),
        problem: "only http and https are spoken",
    })
}

/// Drops a name and password in an address: the library would send them.
fn without_login(mut url: Url) -> Url {
    // Both fail only for addresses that cannot have them.
    let _ = url.set_username("");
    let _ = url.set_password(None);
    url
}

/// Returns where an answer redirects to.
fn location(request: &Request, response: &Response, url: &Url) -> Result<Option<Url>, Error> {
    let redirects = matches!(response.status(), 301 | 302 | 303 | 307 | 308);
    let repeatable = matches!(request.method, Method::GET | Method::HEAD);
    let location = response.headers("location");
    let Some(location) = location.first().filter(|_| redirects && repeatable) else {
        return Ok(None);
    };
    match url.join(location) {
        Ok(next) => Ok(Some(without_login(next))),
        Err(_) => Err(Error::Redirect {
            from: response.peer().to_string(),
            to: location.chars().take(200).collect(),
            problem: "that is no address",
        }),
    }
}

/// Decides about a redirect, and returns whom it leads to.
fn check_redirect(from: &Origin, next: &Url) -> Result<Origin, Error> {
    let refuse = |problem| Error::Redirect {
        from: from.to_string(),
        to: shown(next),
        problem,
    };
    let to = Origin::of(next).ok_or_else(|| refuse("only http and https are spoken"))?;
    if from.scheme() == Scheme::Https && to.scheme() == Scheme::Http {
        return Err(refuse("what began with TLS does not go on without"));
    }
    if to.is_unroutable() || (to.is_loopback() && !from.is_loopback()) {
        return Err(refuse(
            "a server may not send others to this machine's own addresses",
        ));
    }
    Ok(to)
}

/// Returns an address as it is shown: without what a signature or a token may be in.
pub(super) fn shown(url: &Url) -> String {
    const HARMLESS: [&str; 6] = ["service", "scope", "account", "digest", "n", "last"];
    let Some(origin) = Origin::of(url) else {
        return format!("{}:", url.scheme());
    };
    let mut text = format!("{origin}{}", url.path());
    for (number, (key, value)) in url.query_pairs().enumerate() {
        text.push(if number == 0 { '?' } else { '&' });
        text.push_str(&key);
        text.push('=');
        let harmless = HARMLESS.contains(&&*key);
        text.push_str(if harmless { &value } else { "[…]" });
    }
    text
}
