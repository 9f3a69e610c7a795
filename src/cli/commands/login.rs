//! `kit login`

use std::io::{self, Read as _};

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::{Failure, Kind},
        help::examples,
        network::{self, NetworkArgs},
        values::registry,
    },
    config,
    credentials::{Credential, Found, Keyring, Saved, Secret, Trust},
    registry::{self, Access, Registry},
};

/// Bytes of a password on standard input.
const MAX_PASSWORD: u64 = 64 << 10;

/// Log in to a registry, and keep the login
#[derive(clap::Args)]
#[command(
    long_about = "Log in to a registry, and keep the login if the registry takes it: with the credential helper of \
                  the system, or in a file that is readable for you alone. Logins of Docker and Podman are used \
                  as they are.",
    after_help = examples(&[
    ("Be asked for name and password", "kit login registry.example"),
    ("Log in from a script", "kit login registry.example -u ci --password-stdin"),
    ("Log in with an identity token, which has no name", "kit login registry.example --password-stdin"),
    ("See which login is used, and whether it works", "kit login registry.example --check"),
    ("Trust a registry's token server on another host", "kit login registry.example --token-server auth.example"),
]))]
pub(crate) struct Args {
    /// Host and port of the registry
    #[arg(value_parser = registry)]
    registry: String,
    #[arg(
        short,
        long,
        value_name = "NAME",
        help = "Name of the user [default: $KIT_USERNAME, else asked for]"
    )]
    username: Option<String>,
    #[arg(
        short,
        long,
        help = "The password, which other users of this machine may see [default: $KIT_PASSWORD, else asked for]"
    )]
    password: Option<String>,
    /// Read the password from standard input; without a name it is an identity token
    #[arg(long)]
    password_stdin: bool,
    /// Try the login there is, wherever it comes from, and keep nothing
    #[arg(long, conflicts_with_all = ["username", "password", "token_server"])]
    check: bool,
    /// Send the login to this host, too, if the registry asks for it; may be repeated
    #[arg(long, value_name = "HOST", value_parser = registry)]
    token_server: Vec<String>,
    /// Accepted for compatibility: there is one request at a time
    #[arg(long, hide = true, value_name = "NUMBER")]
    concurrency: Option<u32>,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    network: NetworkArgs,
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    registry: String,
    username: Option<String>,
    /// Whether the registry asked for the login: else nobody knows whether it is right.
    tried: bool,
    in_clear: bool,
    /// Where the login is kept, or came from.
    file: Option<String>,
    helper: Option<String>,
}

/// Logs in, or checks a login.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let _ = args.concurrency; // Nothing to be done at the same time.
    let mut environment = config::Logins::read();
    let keyring = args.network.keyring(context, &mut environment)?;
    // What is wrong with the file is known before a password is asked for.
    keyring.check()?;
    if args.check {
        return check(args, environment, &keyring, context);
    }
    let credential = credential(args, environment, context)?;
    let mut trust = Trust {
        plain_http: true, // decided below, by what happened
        token_servers: hosts(&args.token_server),
    };
    let access = try_login(args, credential.clone(), trust.clone(), context)?;
    if access.in_clear && access.asked {
        context.ui.warn(format_args!(
            "the login was sent to {} in clear: it does not speak TLS",
            args.registry
        ));
    }
    trust.plain_http = access.in_clear;
    let saved = keyring.save(&args.registry, &credential, &trust)?;
    let mut report = report(args, &credential, access);
    match saved {
        Saved::Helper(helper) => report.helper = Some(helper),
        Saved::Plain(path) => {
            context.ui.warn(format_args!(
                "the login is kept unencrypted in {}; a credential helper would keep it better",
                path.display()
            ));
            report.file = Some(path.display().to_string());
        }
    }
    print(args, &report, "Log in successful", context)
}

/// Tries the login there is.
fn check(
    args: &Args,
    environment: config::Logins,
    keyring: &Keyring,
    context: &Context,
) -> Result<(), Failure> {
    let trust = keyring.trust(&args.registry)?;
    let from_environment = match (environment.user, environment.password) {
        (user, Some(password)) => {
            let user = user.unwrap_or_default();
            Some(Credential::of(&user, Secret::new(password)))
        }
        _ => None,
    };
    let found: Option<Found> = if from_environment.is_some() {
        None
    } else {
        keyring.find(&args.registry, None)?
    };
    let credential = from_environment.or_else(|| found.as_ref().map(|it| it.credential.clone()));
    let credential = credential.ok_or_else(|| no_login(&args.registry))?;
    let access = try_login(args, credential.clone(), trust, context)?;
    let mut report = report(args, &credential, access);
    let place = match &found {
        Some(found) => found.to_string(),
        None => "KIT_USERNAME and KIT_PASSWORD".to_owned(),
    };
    report.file = found.as_ref().map(|it| it.file.display().to_string());
    report.helper = found.and_then(|it| it.helper);
    let who = match credential.user() {
        Some(user) => format!("as `{user}`"),
        None => "with a token".to_owned(),
    };
    let text = format!("Logged in to {} {who}, by {place}", args.registry);
    print(args, &report, &text, context)
}

fn no_login(registry: &str) -> Failure {
    Failure::new(Kind::NotFound, format!("no login for {registry}"))
        .hint(format!("run `kit login {registry}`"))
}

/// Shows a login to the registry.
fn try_login(
    args: &Args,
    credential: Credential,
    trust: Trust,
    context: &Context,
) -> Result<Access, Failure> {
    let client = args.network.client(context)?;
    let options = registry::Options {
        plain_http: args.network.plain_http,
        trust,
    };
    let registry = Registry::new(client, &args.registry, Some(credential), options)?;
    let access = network::block_on(registry.check())??;
    if !access.asked {
        context.ui.warn(format_args!(
            "{} asks nobody for a login: whether this one is right is not known",
            args.registry
        ));
    }
    Ok(access)
}

fn report(args: &Args, credential: &Credential, access: Access) -> Report {
    Report {
        registry: args.registry.clone(),
        username: credential.user().map(str::to_owned),
        tried: access.asked,
        in_clear: access.in_clear,
        file: None,
        helper: None,
    }
}

fn print(args: &Args, report: &Report, text: &str, context: &Context) -> Result<(), Failure> {
    match &args.output.format {
        Format::Json => context.ui.json(report),
        Format::Template(template) => {
            let data = serde_json::to_value(report).expect("a report is texts and truths");
            context.ui.template(template, &data)
        }
        Format::Table => context.ui.line(text),
    }
}

/// Returns the hosts of token servers without their ports: a server is trusted as a whole.
fn hosts(servers: &[String]) -> Vec<String> {
    let bare = |server: &String| match server.rsplit_once(':') {
        Some((host, port)) if port.bytes().all(|byte| byte.is_ascii_digit()) => host.to_owned(),
        _ => server.clone(),
    };
    servers.iter().map(bare).collect()
}

/// Returns the login that was given, or asks for it.
fn credential(
    args: &Args,
    environment: config::Logins,
    context: &Context,
) -> Result<Credential, Failure> {
    if args.password_stdin && args.password.is_some() {
        let message = "cannot use both --password and --password-stdin";
        return Err(Failure::new(Kind::Usage, message));
    }
    let password = if args.password_stdin {
        Some(password_on_stdin()?)
    } else {
        let given = args.password.clone().map(Secret::new);
        if given.is_some() {
            context.ui.warn(
                "Using --password via CLI is insecure. Consider using --password-stdin instead",
            );
        }
        given.or(environment.password.map(Secret::new))
    };
    let user = args.username.clone().or(environment.user);
    let nobody = || {
        Failure::new(
            Kind::Usage,
            "no password was given, and there is no terminal to ask on",
        )
        .hint(
            "give it with --password-stdin, or name and password in KIT_USERNAME and KIT_PASSWORD",
        )
    };
    let (user, password) = match (user, password) {
        (user, Some(password)) => (user.unwrap_or_default(), password),
        _ if !context.ui.can_ask() => return Err(nobody()),
        (user, None) => {
            let user = match user {
                Some(user) => user,
                None => context
                    .ui
                    .ask_line("Username: ")
                    .map_err(|error| unread(&error))?,
            };
            let what = if user.is_empty() {
                "Token: "
            } else {
                "Password: "
            };
            let password = context
                .ui
                .ask_secret(what)
                .map_err(|error| unread(&error))?;
            (user, Secret::new(password))
        }
    };
    if password.is_empty() {
        return Err(Failure::new(Kind::Usage, "the password is empty"));
    }
    if user.contains(':') {
        let message = format!("`{user}` has a colon, which no name of a user has");
        return Err(Failure::new(Kind::Usage, message));
    }
    Ok(Credential::of(&user, password))
}

fn unread(error: &io::Error) -> Failure {
    let kind = match error.kind() {
        io::ErrorKind::Interrupted => Kind::Interrupted,
        _ => Kind::Failed,
    };
    Failure::new(kind, "cannot read the login from the terminal").because(error)
}

/// Reads the password from standard input, without the line end behind it.
fn password_on_stdin() -> Result<Secret, Failure> {
    let mut text = String::new();
    io::stdin()
        .take(MAX_PASSWORD)
        .read_to_string(&mut text)
        .map_err(|error| {
            Failure::new(Kind::Failed, "cannot read the password from standard input")
                .because(&error)
        })?;
    let end = text.trim_end_matches('\n').trim_end_matches('\r').len();
    text.truncate(end);
    if text.is_empty() {
        let message = "there is no password on standard input";
        return Err(Failure::new(Kind::Usage, message));
    }
    Ok(Secret::new(text))
}
