//! The network flags of all commands that speak to registries, and the one bridge to them.

use std::{fmt, future::Future, path::PathBuf, sync::Arc};

use super::{
    Context,
    failure::{Failure, Kind},
    ui::{Level, Ui},
};
use crate::{
    config,
    credentials::{Keyring, Sources},
    http::{self, Client, Files, Observer, Options, Policy, Proxies, Tls, limits::MAX_RETRIES},
};

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
}

impl NetworkArgs {
    /// Makes the client of a command.
    pub(crate) fn client(&self, context: &Context) -> Result<Client, Failure> {
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
            ..Options::default()
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
