//! What goes wrong between us and a registry.

use super::{io_kind, push, write_kind};
use crate::{
    cli::failure::{Failure, Kind},
    credentials, http, registry, s3,
};

/// What to do where TLS is spoken and we do not.
const SPEAKS_TLS: &str = "it seems to speak TLS: leave --plain-http out";

impl From<http::Error> for Failure {
    fn from(error: http::Error) -> Self {
        use http::{Error as E, Reason as R};
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::Read { source, .. } => plain(io_kind(source)),
            E::NoKey {
                encrypted: true, ..
            } => plain(Kind::Failed).hint("`openssl pkey -in KEY -out PLAIN` unlocks a key"),
            E::NoKey { .. } => plain(Kind::Failed).hint("name the file of the key with --key"),
            E::NoCertificate { .. }
            | E::BadCertificate { .. }
            | E::Identity { .. }
            | E::Setup { .. } => plain(Kind::Failed),
            E::TooLarge { .. } => plain(Kind::Limit),
            E::Redirect { .. } => plain(Kind::Network)
                .hint("check the name; if it is right, ask who runs the registry"),
            E::Unreachable {
                peer,
                proxy,
                reason,
            } => {
                let failure = plain(Kind::Network);
                match reason {
                    R::Name if proxy.is_some() => failure.hint("check the name of the proxy"),
                    R::Name => failure.hint(
                        "check the name; behind a company's proxy set HTTPS_PROXY or --proxy",
                    ),
                    R::UnknownAuthority => failure.hint(
                        "if the registry has an authority of its own, name it with --ca-file FILE",
                    ),
                    R::OtherHost => {
                        failure.hint("this name is not in its certificate: use the one that is")
                    }
                    R::Certificate(_) => failure
                        .hint("check the clock of this machine, and ask who runs the registry"),
                    R::WantsCertificate(_) => {
                        failure.hint("name the client certificate with --cert FILE and --key FILE")
                    }
                    R::NotTls => failure
                        .hint("if it is meant to be spoken to in clear, say so with --plain-http"),
                    R::Proxy(_) => failure.hint(
                        "a proxy that wants a login takes it as http://NAME:PASSWORD@HOST:PORT",
                    ),
                    R::Connect(_) if proxy.is_some() => {
                        failure.hint("check host and port of the proxy, and whether it is running")
                    }
                    R::Connect(_) => failure.hint("check host and port, and whether it is running"),
                    R::Silent(_) => failure.hint(
                        "try again later; behind a company's proxy set HTTPS_PROXY or --proxy",
                    ),
                    // What a TLS server says to what is no TLS is no HTTP.
                    R::Broken(text) if peer.starts_with("http://") && text.contains("invalid") => {
                        failure.hint(SPEAKS_TLS)
                    }
                    R::Tls(_) | R::Broken(_) => failure.hint("try again later; -vv tells more"),
                }
            }
        }
    }
}

impl Failure {
    /// Speaks of the login in the environment where one for `registry` would be changed with a
    /// command, which does not help: the environment goes before it.
    pub(crate) fn with_given_login(mut self, registry: &str) -> Self {
        let command = format!("`kit login {registry}");
        for hint in &mut self.hints {
            if !hint.contains(&command) || hint.contains("--token-server") {
                continue;
            }
            let instead = if hint.contains("--plain-http") {
                "allow it with --plain-http: the login is that of KIT_PASSWORD"
            } else {
                "the login is that of KIT_USERNAME and KIT_PASSWORD: check them"
            };
            instead.clone_into(hint);
        }
        self
    }
}

impl From<http::BadProxy> for Failure {
    fn from(error: http::BadProxy) -> Self {
        Self::of(Kind::Usage, &error)
    }
}

impl From<credentials::Error> for Failure {
    fn from(error: credentials::Error) -> Self {
        use credentials::{Error as E, HelperProblem as P};
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::Read { source, .. } if source.kind() == std::io::ErrorKind::IsADirectory => {
                plain(Kind::Failed).hint("move it away: the file of logins has that name")
            }
            E::Read { source, .. } => plain(io_kind(source)),
            E::Write { source, .. } => plain(write_kind(source)).with_space_hint(source),
            E::Malformed { .. } => plain(Kind::Failed).hint("mend it, or move it away"),
            E::Link { .. } => plain(Kind::Failed)
                .hint("put the file itself there; what it leads to would be overwritten"),
            E::Helper { path, problem, .. } => {
                let file = path.display();
                plain(Kind::Failed).hint(match problem {
                    P::Missing => format!("install it, or take it out of {file}"),
                    P::Hangs(_) => format!(
                        "try it by hand: what it waits for may be asked for there. It is named in {file}, and may take longer with --helper-timeout"
                    ),
                    _ => format!("it is named in {file}"),
                })
            }
        }
    }
}

impl From<s3::Error> for Failure {
    fn from(error: s3::Error) -> Self {
        use s3::Error as E;
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::Location { .. } => plain(Kind::Failed).hint(
                "single objects are fetched, s3://BUCKET/KEY; copy others with a program of the storage",
            ),
            E::Endpoint { .. } => {
                plain(Kind::Usage).hint("AWS_ENDPOINT_URL_S3 or AWS_ENDPOINT_URL holds it")
            }
            E::Status { status: 404, .. } => plain(Kind::NotFound),
            E::Status {
                status: 401 | 403,
                anonymous: true,
                ..
            } => plain(Kind::NotAllowed)
                .hint("set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or copy it there by other means"),
            E::Status {
                status: 401 | 403, ..
            } => plain(Kind::NotAllowed)
                .hint("check that the key in AWS_ACCESS_KEY_ID may read it, and AWS_REGION"),
            E::Status { .. } | E::Range { .. } => plain(Kind::Network).hint("try again later"),
            E::Http(_) => match error {
                E::Http(error) => error.into(),
                other => Self::of(Kind::Failed, &other),
            },
        }
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        use registry::{Error as E, ListProblem, ServerProblem};
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::Name { .. } => plain(Kind::Usage),
            E::NotARegistry { .. } => plain(Kind::Network)
                .hint("check host and port: the name of a repository is not part of them"),
            E::Challenge { .. } | E::NoToken { .. } | E::Range { .. } => plain(Kind::Network),
            E::NameNeeded { registry } => {
                plain(Kind::NotAllowed).hint(format!("run `kit login {registry} -u NAME`"))
            }
            E::LoginNeeded { registry } => {
                plain(Kind::NotAllowed).hint(format!("run `kit login {registry}`"))
            }
            E::Refused { .. } => plain(Kind::NotAllowed).hint(
                "check name and password; many registries want an access token as the password",
            ),
            E::Status {
                status: 401 | 403, ..
            } => plain(Kind::NotAllowed).hint("ask who runs the registry whether you may use it"),
            E::Status {
                retry_after: Some(time),
                ..
            } => plain(Kind::Network).hint(format!("try again in {} s", time.as_secs())),
            E::Status {
                peer,
                status: 400 | 497,
                words,
                ..
            } if peer.starts_with("http://")
                // An answer to `HEAD` says nothing.
                && words.as_ref().is_none_or(|it| it.contains("HTTPS")) =>
            {
                plain(Kind::Network).hint(SPEAKS_TLS)
            }
            E::Status {
                status: 408 | 429 | 500..,
                ..
            } => plain(Kind::Network).hint("try again later"),
            E::Status { .. } => {
                plain(Kind::Network).hint("check that it is a registry; -vvv tells what was asked")
            }
            E::Denied {
                registry,
                logged_in: false,
                ..
            } => plain(Kind::NotAllowed).hint(format!("run `kit login {registry}`")),
            E::Denied {
                repository,
                registry,
                ..
            } => plain(Kind::NotAllowed).hint(format!(
                "check that your login for {registry} is meant for {repository}: `kit login {registry} --check`"
            )),
            E::NoRepository { .. } => plain(Kind::NotFound)
                .hint("check its name; some registries hide what needs a login"),
            E::List { problem, .. } => plain(match problem {
                ListProblem::TooLong { .. } | ListProblem::TooMany { .. } => Kind::Limit,
                _ => Kind::Network,
            }),
            E::NoManifest { .. } => plain(Kind::NotFound)
                .hint("check repository and tag; some registries hide what needs a login"),
            E::NoBlob { .. } => {
                plain(Kind::Damaged).hint("the kit is not complete there: push it again")
            }
            E::NotTaken { .. }
            | E::NotStored { .. }
            | E::OtherDigest { .. }
            | E::StartsOver { .. }
            | E::Location { .. }
            | E::Damaged { .. }
            | E::Read { .. } => push::refused(&error),
            E::NotAKit { .. } => plain(Kind::Failed),
            E::BadManifest { .. } => plain(Kind::Damaged).hint(
                "push it again, unless something on the way answers in the registry's place: -vvv shows who",
            ),
            E::WrongContent { .. } | E::WrongSize { .. } => plain(Kind::Damaged)
                .hint("what the registry holds, or something on the way, is not as it was pushed"),
            E::TokenServer {
                registry,
                server,
                problem: ServerProblem::Foreign,
            } => plain(Kind::NotAllowed).hint(format!(
                "if you trust it with your password: `kit login {registry} --token-server {server}`"
            )),
            E::TokenServer { .. } => plain(Kind::NotAllowed),
            E::InClear { registry } => plain(Kind::NotAllowed).hint(format!(
                "log in again, `kit login {registry}`, or allow it with --plain-http"
            )),
            E::Http(_) => match error {
                E::Http(error) => error.into(),
                other => Self::of(Kind::Failed, &other),
            },
        }
    }
}
