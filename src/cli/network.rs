//! The network flags of all commands that speak to registries, and the one bridge to them.

use std::{fmt, future::Future, num::NonZeroUsize, path::PathBuf, sync::Arc, time::Duration};

use super::{
    Context,
    escape::escape_path,
    failure::{Failure, Kind},
    ui::{Level, Ui},
    values::{self, BadValue},
};
use crate::{
    config,
    credentials::{Credential, Keyring, Secret, Sources},
    http::{
        self, Client, Files, Observer, Options, Policy, Proxies, Timeouts, Tls, limits::MAX_RETRIES,
    },
    ops::{
        self,
        diff::Side,
        kit::{self, Kit},
        pull::Registries,
        remote::{self, AT_ONCE, Remote},
        stream::Streams,
        transfer::Network,
    },
    progress::Progress,
    reference::{self, Reference},
    registry::{
        self, Registry, Repository,
        download::{self, MAX_JOBS},
    },
    store::Store,
};

/// The most seconds that `--stall-timeout` can be; the least is one.
const LONGEST_STALL: u64 = 3600;

/// The flags: flatten them into the arguments of a command.
#[derive(clap::Args)]
#[command(next_help_heading = "Network options")]
pub(crate) struct NetworkArgs {
    /// Speak to registries without TLS, in clear
    #[arg(long)]
    pub(crate) plain_http: bool,
    /// Check the certificates of registries; with `=false` anyone on the way can pose as one
    #[arg(long, default_value = "true")]
    tls_verify: bool,
    /// Believe the authorities in this PEM file, too; may be repeated
    #[arg(long, alias = "tls-cert", value_name = "FILE")]
    ca_file: Vec<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help = "Show this client certificate (PEM) [default: $KITOPS_CLIENT_CERT]"
    )]
    cert: Option<PathBuf>,
    #[arg(
        long,
        value_name = "FILE",
        help = "Key of the client certificate, if it is in a file of its own [default: $KITOPS_CLIENT_KEY]"
    )]
    key: Option<PathBuf>,
    #[arg(
        long,
        value_name = "URL",
        help = "Proxy for all requests, http://HOST:PORT [default: $HTTPS_PROXY, $HTTP_PROXY, but for $NO_PROXY]"
    )]
    proxy: Option<String>,
    /// How often to try again what a registry cannot do right now
    #[arg(long, value_name = "NUMBER", default_value_t = MAX_RETRIES)]
    retries: u32,
    /// How long a credential helper may take
    #[arg(long, value_name = "TIME", default_value = "60s", value_parser = values::duration)]
    helper_timeout: Duration,
}

/// The flags of commands that move blobs.
#[derive(clap::Args)]
#[command(next_help_heading = "Network options")]
pub(crate) struct TransferArgs {
    /// Blobs at a time
    #[arg(long, value_name = "NUMBER", default_value = "5", value_parser = concurrency)]
    pub(crate) concurrency: NonZeroUsize,
    /// Connections at a time [default: 4 to 16, as many as it takes]
    #[arg(long, value_name = "NUMBER", value_parser = connections)]
    jobs: Option<NonZeroUsize>,
    /// Bytes a second over all connections, such as 50MiB [default: no limit]
    #[arg(long, value_name = "SIZE", value_parser = rate)]
    max_rate: Option<u64>,
    /// How long a connection may be silent before it is given up
    #[arg(long, value_name = "TIME", default_value = "20s", value_parser = stall)]
    pub(crate) stall_timeout: Duration,
}

impl TransferArgs {
    /// Returns how blobs are fetched.
    pub(crate) fn download(&self) -> download::Options {
        download::Options {
            jobs: self.jobs.map(NonZeroUsize::get),
            max_rate: self.max_rate,
            stall: self.stall_timeout,
        }
    }
}

impl TransferArgs {
    /// Returns how many blobs are sent at a time: each has one connection.
    pub(crate) fn uploads(&self) -> usize {
        self.jobs
            .map_or(self.concurrency, |jobs| jobs.min(self.concurrency))
            .get()
    }

    /// Returns how many bytes a second may be moved.
    pub(crate) fn max_rate(&self) -> Option<u64> {
        self.max_rate
    }
}

/// Reads how many blobs are moved at the same time; the complaint is the reference's.
fn concurrency(text: &str) -> Result<NonZeroUsize, BadValue> {
    text.parse().map_err(|_| {
        BadValue::new(format!(
            "invalid argument for concurrency ({text}): must be at least 1"
        ))
    })
}

/// Reads how many connections there may be.
fn connections(text: &str) -> Result<NonZeroUsize, BadValue> {
    let number = text.parse().ok();
    number
        .filter(|number: &NonZeroUsize| number.get() <= MAX_JOBS)
        .ok_or_else(|| {
            BadValue::new(format!("'{text}' is no number of connections"))
                .hint(format!("write a whole number from 1 to {MAX_JOBS}"))
        })
}

/// Reads how much may come in a second.
fn rate(text: &str) -> Result<u64, BadValue> {
    match values::bytes(text)? {
        0 => Err(BadValue::new("nothing would ever come").hint("leave the limit out")),
        rate => Ok(rate),
    }
}

/// Reads how long a connection may be silent. With less every pause of a registry is too long.
fn stall(text: &str) -> Result<Duration, BadValue> {
    let time = values::duration(text)?;
    if (Duration::from_secs(1)..=Duration::from_secs(LONGEST_STALL)).contains(&time) {
        return Ok(time);
    }
    Err(BadValue::new(format!("'{text}' is too short or too long")).hint("1s to 1h are possible"))
}

/// The registries that a command reaches, each with its login.
pub(crate) struct Access {
    client: Client,
    keyring: Arc<Keyring>,
    /// The registry that the command names, and the login for it in the environment.
    given: Option<(String, Credential)>,
    plain_http: bool,
}

impl Access {
    /// Tells whether the environment holds the login for a registry.
    fn is_given(&self, registry: &str) -> bool {
        self.given.as_ref().is_some_and(|(it, _)| it == registry)
    }

    fn login(&self, name: &reference::Repository) -> Result<Option<Credential>, ops::Error> {
        let registry = name.registry().unwrap_or_default();
        if let Some((_, given)) = self.given.as_ref().filter(|(it, _)| it == registry) {
            return Ok(Some(given.clone()));
        }
        let found = self.keyring.find(registry, Some(name.path()))?;
        Ok(found.map(|found| found.credential))
    }
}

impl Registries for Access {
    fn repository(&self, name: &reference::Repository) -> Result<Repository, ops::Error> {
        let registry = name.registry().unwrap_or_default();
        let options = registry::Options {
            plain_http: self.plain_http,
            trust: self.keyring.trust(registry)?,
        };
        let login = self.login(name)?;
        let mut registry = Registry::new(self.client.clone(), registry, login, options)?;
        if !self.is_given(registry.name()) {
            // Helpers hand out logins that end; what fails now fails as the login that ended did.
            let (keyring, name) = (Arc::clone(&self.keyring), name.clone());
            registry = registry.look_again_with(Arc::new(move || {
                let registry = name.registry().unwrap_or_default();
                let found = keyring.find(registry, Some(name.path())).ok().flatten();
                found.map(|found| found.credential)
            }));
        }
        Ok(Arc::new(registry).repository(name.path()))
    }

    fn has_login(&self, name: &reference::Repository) -> Result<bool, ops::Error> {
        Ok(self.login(name)?.is_some())
    }
}

impl NetworkArgs {
    /// Returns the way to registries, first of all to the one of `reference`. A connection that is
    /// silent for `stall` is given up.
    pub(crate) fn access(
        &self,
        reference: &Reference,
        stall: Duration,
        context: &Context,
    ) -> Result<Access, Failure> {
        let mut environment = config::Logins::read();
        let keyring = self.keyring(context, &mut environment)?;
        let first = reference
            .repository()
            .and_then(reference::Repository::registry);
        let given = first.zip(environment.password.take());
        let user = environment.user.take().unwrap_or_default();
        match &given {
            Some((registry, _)) => {
                // There is one registry for one run.
                let _ = context.given_login.set((*registry).to_owned());
            }
            None if first.is_some() && !user.is_empty() => context.ui.warn(
                "KIT_USERNAME counts only with KIT_PASSWORD, which is not set: it is ignored",
            ),
            None => {}
        }
        if let Some(path) = keyring.open_to_others() {
            context.ui.warn(format_args!(
                "others can read the logins in {}: `chmod 600` keeps them out",
                escape_path(path)
            ));
        }
        let given = given.map(|(registry, password)| {
            let login = Credential::of(&user, Secret::new(password));
            (registry.to_owned(), login)
        });
        let timeouts = Timeouts {
            idle: stall,
            connect: stall.min(Timeouts::default().connect),
            ..Timeouts::default()
        };
        Ok(Access {
            client: self.client_with(timeouts, context)?,
            keyring: Arc::new(keyring),
            given,
            plain_http: self.plain_http,
        })
    }

    /// Returns the way to the registry of `reference` for commands that move no blobs.
    pub(crate) fn access_to_documents(
        &self,
        reference: &Reference,
        context: &Context,
    ) -> Result<Access, Failure> {
        self.access(reference, Timeouts::default().idle, context)
    }

    /// Returns the logins of the user.
    pub(crate) fn keyring(
        &self,
        context: &Context,
        environment: &mut config::Logins,
    ) -> Result<Keyring, Failure> {
        Ok(keyring(context, environment)?.with_helper_time(self.helper_timeout))
    }

    /// Makes the client of a command.
    pub(crate) fn client(&self, context: &Context) -> Result<Client, Failure> {
        self.client_with(Timeouts::default(), context)
    }

    fn client_with(&self, timeouts: Timeouts, context: &Context) -> Result<Client, Failure> {
        let environment = config::Network::read();
        if !self.tls_verify {
            context.ui.warn(
                "certificates are not checked (--tls-verify=false): anyone on the way can read and change what is sent",
            );
        }
        let options = Options {
            proxies: self.proxies(&environment)?,
            tls: self.tls(environment)?,
            policy: Policy {
                retries: self.retries,
            },
            timeouts,
        };
        let teller = Teller(Arc::clone(&context.ui));
        Ok(Client::new(options, Arc::new(teller))?)
    }

    fn proxies(&self, environment: &config::Network) -> Result<Proxies, http::BadProxy> {
        if let Some(proxy) = &self.proxy {
            return Proxies::for_all(proxy, "--proxy");
        }
        Proxies::from_variables(
            environment.http_proxy.as_deref(),
            environment.https_proxy.as_deref(),
            environment.no_proxy.as_deref(),
        )
    }

    fn tls(&self, environment: config::Network) -> Result<Tls, Failure> {
        // A flag stands for the pair: its key is never the one of another certificate.
        let (certificate, key, what) = match (&self.cert, &self.key) {
            (None, None) => (
                environment.client_certificate,
                environment.client_key,
                "KITOPS_CLIENT_KEY without KITOPS_CLIENT_CERT",
            ),
            (certificate, key) => (certificate.clone(), key.clone(), "--key without --cert"),
        };
        let identity = match (certificate, key) {
            (Some(certificate), key) => Some((certificate, key)),
            (None, Some(_)) => {
                return Err(Failure::new(Kind::Usage, what)
                    .hint("name the certificate that belongs to the key, too"));
            }
            (None, None) => None,
        };
        let files = Files {
            file: environment.certificate_file,
            folders: environment.certificate_folders,
        };
        let named = files.file.is_some() || !files.folders.is_empty();
        Ok(Tls {
            authorities: self.ca_file.clone(),
            in_place_of_system: named.then_some(files),
            identity,
            believe_anyone: !self.tls_verify,
        })
    }
}

/// The way to kits that are looked into where they are.
pub(crate) struct Way {
    pub(super) access: Access,
    pub(super) network: Network,
}

impl Way {
    /// Makes ready to reach registries, first of all the one of `reference`. Nothing is sent yet.
    pub(crate) fn new(
        args: &NetworkArgs,
        reference: &Reference,
        context: &Context,
    ) -> Result<Self, Failure> {
        Ok(Self {
            access: args.access_to_documents(reference, context)?,
            network: Network::new()?,
        })
    }

    /// Opens the kit that `reference` names in its registry.
    pub(crate) fn open(
        &self,
        reference: &Reference,
        progress: &dyn Progress,
    ) -> Result<Kit, Failure> {
        let remote = Remote {
            network: &self.network,
            registries: &self.access,
            parent_registries: &[],
            progress,
        };
        Ok(remote.open(reference)?)
    }

    /// Reads the manifest of the kit that `reference` names in its registry.
    pub(crate) fn side(&self, reference: &Reference, context: &Context) -> Result<Side, Failure> {
        let repository = self.access.repository(needs_registry(reference)?)?;
        let side = remote::side(&repository, reference);
        Ok(self.network.wait(&context.watcher(), side)?)
    }

    /// Returns what reads layers.
    pub(crate) fn streams<'w>(&'w self, progress: &'w dyn Progress) -> Streams<'w> {
        let options = download::Options {
            jobs: None,
            max_rate: None,
            stall: Timeouts::default().idle,
        };
        Streams::new(&self.network, options, AT_ONCE, progress)
    }
}

/// Returns what can be done about a failure where kits are read in their registries: what is damaged
/// there is not in the store, where it could be mended.
pub(crate) fn of_registry(way: Option<&Way>, mut failure: Failure) -> Failure {
    if way.is_some() && failure.kind == Kind::Damaged {
        failure.hints = vec![ALTERED.to_owned()];
    }
    failure
}

/// What is wrong when a registry gives other bytes than those of a digest.
pub(crate) const ALTERED: &str =
    "what the registry holds, or something on the way, is not as it was pushed";

/// Opens the kit that `reference` names: in the store, or for want of it there in its registry, to
/// which the way is left in `way`.
pub(crate) fn open_anywhere(
    store: &Store,
    reference: &Reference,
    args: &NetworkArgs,
    way: &mut Option<Way>,
    (context, progress): (&Context, &dyn Progress),
) -> Result<Kit, Failure> {
    match kit::open(store, reference, progress) {
        Err(error) if error.is_elsewhere() => {
            progress.status(&format!(
                "{reference} is not in the store: it is read from its registry"
            ));
            let way = way.insert(Way::new(args, reference, context)?);
            way.open(reference, progress)
        }
        opened => Ok(opened?),
    }
}

/// Returns the repository of a name that a registry is to be asked for.
pub(crate) fn needs_registry(name: &Reference) -> Result<&reference::Repository, Failure> {
    let repository = name.repository().filter(|it| it.registry().is_some());
    repository.ok_or_else(|| {
        // The reference's words.
        let message = format!("can not check remote: {name} does not contain registry");
        Failure::new(Kind::Usage, message)
            .hint("write the registry before it: registry.example/team/net:1.0")
    })
}

/// Tells what the network does.
struct Teller(Arc<Ui>);

impl Observer for Teller {
    fn step(&self, text: fmt::Arguments<'_>) {
        if self.0.shows(Level::Trace) {
            self.0.trace(text);
        }
    }

    fn waiting(&self, text: fmt::Arguments<'_>) {
        self.0.warn(text);
    }

    fn note(&self, text: fmt::Arguments<'_>) {
        self.0.status(text);
    }
}

/// Returns the logins of the user.
pub(crate) fn keyring(
    context: &Context,
    environment: &mut config::Logins,
) -> Result<Keyring, Failure> {
    Ok(Keyring::new(Sources {
        own: context.settings.home()?.join("credentials.json"),
        others: std::mem::take(&mut environment.files),
        path: environment.path.take(),
    }))
}

/// Runs what waits for a network, on this thread.
pub(crate) fn block_on<T>(future: impl Future<Output = T>) -> Result<T, Failure> {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::new(Kind::Failed, "cannot wait for a network").because(&error))?;
    let result = runtime.block_on(future);
    // A name server may take long over a question that nobody asks any more.
    runtime.shutdown_background();
    Ok(result)
}
