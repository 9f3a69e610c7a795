//! Turns the errors of the mechanisms into failures: which kind it is, and what the user can do.
//! One `From` a mechanism, one arm a variant that deserves more than [`Kind::Failed`].

use std::io;

use super::{
    failure::{Failure, Kind},
    ui::output_failure,
};
use crate::{
    archive::{self, Conflict, LinkProblem, LinkReason, Obstacle, bundle},
    config, credentials, filter, http, kitfile,
    ops::{self, chain::ChainError},
    reference, registry, store,
};

/// What can be done about a damaged blob.
const HEAL: &str =
    "`kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it";

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        use config::Error as E;
        match &error {
            E::NoHome { variable } => Self::of(Kind::Failed, &error).hint(format!(
                "set {variable}, or name a folder with --config PATH or KITOPS_HOME"
            )),
            E::Absolute { .. } => Self::of(Kind::Failed, &error),
            E::SourceDateEpoch { .. } | E::BadFile { .. } => Self::of(Kind::Usage, &error),
            E::FileTooLarge { .. } => Self::of(Kind::Limit, &error),
            E::ReadFile { source, .. } => Self::of(io_kind(source), &error),
        }
    }
}

impl From<store::Error> for Failure {
    fn from(error: store::Error) -> Self {
        use store::Error as E;
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::NotFound { suggestions, .. } => {
                let failure = plain(Kind::NotFound);
                match suggestions.as_slice() {
                    [] => failure.hint("`kit list` shows what there is"),
                    names => failure.hint(format!("there is {}", listed(names))),
                }
            }
            E::Missing { .. } | E::Damaged { .. } => plain(Kind::Damaged).hint(HEAL),
            E::BadManifest { .. } | E::TooLarge { .. } | E::WrongSize { .. } => {
                plain(Kind::Damaged)
            }
            E::WrongContent { .. } => plain(Kind::Damaged)
                .hint("try again: nothing of it was kept. If it happens again, what the other side stores is damaged"),
            E::Undecidable { kit, .. } => plain(Kind::Damaged).hint(format!(
                "remove {kit}, or mend it by packing or loading it again"
            )),
            E::PartlyRebuilt { .. } | E::IndexLost { .. } => {
                plain(Kind::Damaged).hint("run `kit verify --repair`")
            }
            E::BadMarker { .. } => plain(Kind::Damaged).hint(
                "delete the file if no newer version of kit has worked here; it is written anew",
            ),
            E::Busy { .. } => {
                plain(Kind::Busy).hint("try again later, or wait longer with --lock-timeout")
            }
            E::Newer { .. } | E::Unlockable { .. } => plain(Kind::Failed),
            E::IndexFull { .. } => plain(Kind::Limit).hint("`kit remove` takes names off"),
            E::Io { source, .. } => Self::of(io_kind(source), &error).with_space_hint(source),
            E::Interrupted => plain(Kind::Interrupted),
        }
    }
}

impl From<archive::Error> for Failure {
    fn from(error: archive::Error) -> Self {
        use archive::Error as E;
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::Links(problems) => links(problems),
            E::NoSuchPath { paths } => paths
                .iter()
                .filter(|_| paths.len() > 1)
                .fold(plain(Kind::NotFound), |failure, path| {
                    failure.detail(format!("`{path}`"))
                })
                .hint("the paths of a Kitfile are relative to the directory that is packed"),
            E::Special { .. } => plain(Kind::Failed).hint("without --strict it is left out"),
            E::ChangedWhilePacking { .. } => {
                plain(Kind::Failed).hint("pack again when nothing writes there")
            }
            E::Conflicts { conflicts, .. } => {
                let differs = |it: &Conflict| it.obstacle == Obstacle::Different;
                lines(&error).hint(if conflicts.iter().any(differs) {
                    "--overwrite replaces files that differ, --ignore-existing keeps them, -d DIR unpacks elsewhere"
                } else {
                    "move that away, or unpack elsewhere with -d DIR"
                })
            }
            E::Layer { cause, .. } if matches!(**cause, E::Read(_)) => unreadable(&error, cause),
            E::Layer { cause, .. } if matches!(**cause, E::Expands { .. }) => plain(Kind::Limit),
            E::Layer { .. } if error.is_damage() => plain(Kind::Damaged).hint(HEAL),
            E::Layer { .. }
            | E::Damaged { .. }
            | E::Size { .. }
            | E::DiffId { .. }
            | E::Compressed { .. }
            | E::CutOff { .. }
            | E::NoEnd
            | E::Trailing
            | E::Header { .. }
            | E::Kind { .. }
            | E::Name { .. }
            | E::Twice { .. }
            | E::Folded { .. }
            | E::Below { .. }
            | E::Both { .. }
            | E::Clash { .. } => plain(Kind::Damaged),
            E::Expands { .. } | E::TooDeep { .. } | E::TooManyFiles => plain(Kind::Limit),
            E::ReadFile { source, .. } => Self::of(io_kind(source), &error),
            E::WriteLayer { source, .. } | E::Target { source, .. } | E::Write { source, .. } => {
                Self::of(write_kind(source), &error).with_space_hint(source)
            }
            E::LinkAsRoot => plain(Kind::NotAllowed)
                .hint("without --link files are copied; or unpack as another user"),
            E::Link { source, .. } => {
                Self::of(write_kind(source), &error).hint("without --link files are copied")
            }
            E::Interrupted => plain(Kind::Interrupted),
            E::Read(_)
            | E::NotAFolder { .. }
            | E::NotFileOrFolder { .. }
            | E::NameNotUnicode { .. }
            | E::Changed { .. } => plain(Kind::Failed),
        }
    }
}

/// Returns the failure of a layer whose bytes `cause` kept from being read.
fn unreadable(error: &archive::Error, cause: &archive::Error) -> Failure {
    let source = std::error::Error::source(cause).and_then(|it| it.downcast_ref::<io::Error>());
    let store = source.and_then(|it| it.get_ref()?.downcast_ref());
    match store {
        Some(store::Error::Damaged { .. } | store::Error::Missing { .. }) => {
            Failure::of(Kind::Damaged, error).hint(HEAL)
        }
        _ => Failure::of(source.map_or(Kind::Failed, io_kind), error),
    }
}

/// Returns the failure of a message with several lines: the first is the message.
fn lines(error: &archive::Error) -> Failure {
    let text = error.to_string();
    let mut lines = text.lines();
    let first = lines.next().unwrap_or_default().trim_end_matches(':');
    lines.fold(Failure::new(Kind::Failed, first), |failure, line| {
        failure.detail(line.trim_start())
    })
}

fn links(problems: &[LinkProblem]) -> Failure {
    let message = match problems.len() {
        1 => "a link cannot be packed".to_owned(),
        count => format!("{count} links cannot be packed"),
    };
    let failure = Failure::new(Kind::Failed, message);
    let failure = problems.iter().fold(failure, |failure, problem| {
        failure.detail(problem.to_string())
    });
    let outside = |problem: &LinkProblem| problem.reason == LinkReason::Outside;
    failure.hint(if problems.iter().any(outside) {
        "--follow-links all packs what lies outside, --follow-links skip leaves links out"
    } else {
        "mend or remove them, or leave all links out with --follow-links skip"
    })
}

impl From<ops::Error> for Failure {
    fn from(error: ops::Error) -> Self {
        use ops::Error as E;
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::NoFile { .. } => plain(Kind::NotFound).hint("`kit files` lists the paths"),
            E::NoSuchFile { suggestion, .. } => {
                let failure = plain(Kind::NotFound);
                match suggestion {
                    Some(path) => failure.hint(format!("there is `{path}`")),
                    None => failure.hint("`kit files` lists the paths"),
                }
            }
            E::IsFolder { reference, path } if path == "." => {
                plain(Kind::Failed).hint(format!("`kit files {reference}` lists what is in it"))
            }
            E::IsFolder { reference, path } => plain(Kind::Failed).hint(format!(
                "`kit files {reference} --include '{path}'` lists what is in it"
            )),
            E::IgnoredElements { ignored } => ignored
                .iter()
                .fold(plain(Kind::Failed), Self::detail)
                .hint("take it out of the Kitfile, or bring it back with `!PATH` in .kitignore"),
            E::ManifestTooLarge { .. } => {
                plain(Kind::Limit).hint("pack folders as single elements of the Kitfile")
            }
            E::RawName { .. } => {
                plain(Kind::Failed).hint("rename it, or pack with --layer-format tar")
            }
            E::ConfigTooLarge { .. } => {
                plain(Kind::Limit).hint("shorten the texts and parameters of the Kitfile")
            }
            E::Config { .. } | E::Mismatch { .. } | E::NoPath { .. } | E::BadDocument { .. } => {
                plain(Kind::Damaged)
            }
            E::DamagedSource { .. } | E::MissingSource { .. } => {
                plain(Kind::Damaged).hint("save or copy it again")
            }
            E::NoSuchName { names, .. } if !names.is_empty() => {
                plain(Kind::NotFound).hint(format!("there is {}", listed(names)))
            }
            E::NoKitopsStore { .. } => plain(Kind::NotFound).hint(
                "name KitOps's home or its storage folder; `kit load` takes other OCI layouts",
            ),
            E::NotInKitops { .. } => {
                plain(Kind::NotFound).hint("`kit migrate --dry-run` lists what there is")
            }
            E::NoSuchName { .. } | E::NothingToPack { .. } => plain(Kind::NotFound),
            E::Ambiguous { path, names } => {
                let failure = plain(Kind::Usage).hint(format!("choose one: {path}:NAME"));
                match names.as_slice() {
                    [] => failure,
                    names => failure.hint(format!("there is {}", listed(names))),
                }
            }
            E::Nameless { path, name, .. } => {
                let named = reference::Reference::parse(&format!("repository:{name}"));
                let is_tag = named.is_ok_and(|it| it.tag() == Some(name));
                let tag = if is_tag { name } else { "TAG" };
                plain(Kind::Usage).hint(format!(
                    "give it a name: `kit load {path}:{name} -t REPOSITORY:{tag}`"
                ))
            }
            E::Output(source) => output_failure(source),
            E::CannotRead { source, .. } => Self::of(io_kind(source), &error),
            E::WriteKitfile { source, .. } => {
                Self::of(write_kind(source), &error).with_space_hint(source)
            }
            E::KitfileExists { .. }
            | E::NotABundle { .. }
            | E::Unsupported { .. }
            | E::NotALayout { .. } => plain(Kind::Failed),
            E::Store(_) | E::Archive(_) | E::Bundle(_) | E::Filter(_) | E::Chain(_) => {
                match error {
                    E::Store(error) => error.into(),
                    E::Archive(error) => error.into(),
                    E::Bundle(error) => error.into(),
                    E::Filter(error) => error.into(),
                    E::Chain(error) => (*error).into(),
                    other => Self::of(Kind::Failed, &other),
                }
            }
        }
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        use ChainError as E;
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::Circle { .. } => plain(Kind::Failed)
                .hint("let model.path of one of them name the files of the model"),
            E::TooLong { .. } => {
                plain(Kind::Limit).hint("let model.path name a kit further up the chain")
            }
            E::Missing {
                parent,
                suggestions,
                ..
            } => {
                let failure = plain(Kind::NotFound).hint(format!(
                    "`kit pull {parent}` fetches it, `kit load` takes it out of a bundle"
                ));
                match suggestions.as_slice() {
                    [] => failure,
                    names => failure.hint(format!("there is {}", listed(names))),
                }
            }
            E::SharedPaths { clashes } => clashes
                .iter()
                .fold(plain(Kind::Failed), Self::detail)
                .hint("give the elements of this kit paths of their own"),
            E::Unusable { .. } => {
                let message = error.to_string();
                let E::Unusable { source, .. } = error else {
                    return Self::new(Kind::Failed, message);
                };
                // The kind of failure, and what can be done, are those of the cause.
                let mut failure = Self::from(*source);
                let cause = std::mem::replace(&mut failure.message, message);
                failure.causes.insert(0, cause);
                failure
            }
        }
    }
}

impl From<bundle::Error> for Failure {
    fn from(error: bundle::Error) -> Self {
        use bundle::Error as E;
        match &error {
            // What was read was checked while it was read, and may say more than the disk.
            E::Content { source, .. } => match source.get_ref().and_then(|it| it.downcast_ref()) {
                Some(store::Error::Damaged { .. } | store::Error::Missing { .. }) => {
                    Self::of(Kind::Damaged, &error)
                }
                _ => Self::of(io_kind(source), &error).with_space_hint(source),
            },
            E::TooLarge { .. } => Self::of(Kind::Limit, &error),
            E::Io {
                action: "read",
                source,
                ..
            } => Self::of(io_kind(source), &error),
            E::Io { source, .. } => Self::of(write_kind(source), &error).with_space_hint(source),
            E::Output(source) => output_failure(source),
            E::BadTar { .. } => Self::of(Kind::Damaged, &error),
            E::NotEmpty(_) => {
                Self::of(Kind::Failed, &error).hint("name a folder that is empty or not there")
            }
            E::NotAFile(_) => Self::of(Kind::Failed, &error).hint("copy it to a file first"),
        }
    }
}

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
            E::Redirect { .. } => plain(Kind::Network),
            E::Unreachable { proxy, reason, .. } => {
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
                    R::Connect(_) => failure.hint("check host and port, and whether it is running"),
                    R::Silent(_) => failure.hint(
                        "try again later; behind a company's proxy set HTTPS_PROXY or --proxy",
                    ),
                    R::Tls(_) | R::Broken(_) => failure.hint("try again later; -vv tells more"),
                }
            }
        }
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
            E::Read { source, .. } => plain(io_kind(source)),
            E::Write { source, .. } => plain(write_kind(source)).with_space_hint(source),
            E::Malformed { .. } => plain(Kind::Failed).hint("mend it, or move it away"),
            E::Link { .. } => plain(Kind::Failed)
                .hint("put the file itself there; what it leads to would be overwritten"),
            E::Helper { path, problem, .. } => {
                let file = path.display();
                plain(Kind::Failed).hint(match problem {
                    P::Missing => format!("install it, or take it out of {file}"),
                    _ => format!("it is named in {file}"),
                })
            }
        }
    }
}

impl From<registry::Error> for Failure {
    fn from(error: registry::Error) -> Self {
        use registry::{Error as E, ServerProblem};
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::Name { .. } => plain(Kind::Usage),
            E::NotARegistry { .. } => plain(Kind::Network)
                .hint("check host and port: the name of a repository is not part of them"),
            E::Challenge { .. } | E::NoToken { .. } | E::Range { .. } => plain(Kind::Network),
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
            E::Status { .. } => plain(Kind::Network).hint("try again later"),
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
            E::NoManifest { .. } => plain(Kind::NotFound)
                .hint("check repository and tag; some registries hide what needs a login"),
            E::NoBlob { .. } => {
                plain(Kind::Damaged).hint("the kit is not complete there: push it again")
            }
            E::NotAKit { .. } => plain(Kind::Failed),
            E::BadManifest { .. } => plain(Kind::Damaged),
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

impl From<filter::Error> for Failure {
    fn from(error: filter::Error) -> Self {
        let kind = match error {
            filter::Error::NoMatch { .. } => Kind::NotFound,
            _ => Kind::Usage,
        };
        Self::of(kind, &error)
    }
}

impl From<kitfile::Error> for Failure {
    fn from(error: kitfile::Error) -> Self {
        match &error {
            kitfile::Error::Read { source, .. } => Self::of(io_kind(source), &error),
            kitfile::Error::Invalid { path, problems } => {
                let failure = Self::new(
                    Kind::Failed,
                    format!("{} is not a valid Kitfile", path.display()),
                );
                problems.0.iter().fold(failure, |failure, problem| {
                    failure.detail(problem.to_string())
                })
            }
        }
    }
}

impl From<reference::Error> for Failure {
    fn from(error: reference::Error) -> Self {
        Self::of(Kind::Usage, &error)
    }
}

impl Failure {
    /// Says which tag was looked for if `reference` has none and was not found.
    pub(crate) fn about(self, reference: &reference::Reference) -> Self {
        let is_bare = reference.tag().is_none() && reference.digest().is_none();
        if self.kind == Kind::NotFound && is_bare {
            return self.hint("a name without a tag means the tag `latest`");
        }
        self
    }

    fn with_space_hint(self, source: &io::Error) -> Self {
        match io_kind(source) {
            Kind::Limit => self.hint("free space there; `kit prune` frees what no kit needs"),
            _ => self,
        }
    }
}

/// Returns what kind of failure an error of the system is.
pub(crate) fn io_kind(error: &io::Error) -> Kind {
    match error.kind() {
        io::ErrorKind::NotFound => Kind::NotFound,
        io::ErrorKind::PermissionDenied | io::ErrorKind::ReadOnlyFilesystem => Kind::NotAllowed,
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded | io::ErrorKind::FileTooLarge => {
            Kind::Limit
        }
        _ => Kind::Failed,
    }
}

/// Returns what kind of failure it is when something cannot be written. "Not found" is what was
/// asked for, never the place it should go to.
fn write_kind(error: &io::Error) -> Kind {
    match io_kind(error) {
        Kind::NotFound => Kind::Failed,
        kind => kind,
    }
}

/// Lists some names in a sentence.
pub(crate) fn listed(names: &[String]) -> String {
    const MOST: usize = 5;
    let quoted: Vec<_> = names
        .iter()
        .take(MOST)
        .map(|name| format!("`{name}`"))
        .collect();
    let quoted = quoted.join(", ");
    match names.len().saturating_sub(MOST) {
        0 => quoted,
        more => format!("{quoted} and {more} more"),
    }
}
