//! `kit logout`

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        failure::Failure,
        help::examples,
        network,
        values::registry,
    },
    config,
};

/// Forget the login for a registry
#[derive(clap::Args)]
#[command(
    long_about = "Forget the login for a registry. Logins of Docker and Podman stay, and go on being used; it is \
                  said if there is one.",
    after_help = examples(&[("Forget a login", "kit logout registry.example")]))]
pub(crate) struct Args {
    /// Host and port of the registry
    #[arg(value_parser = registry)]
    registry: String,
    #[command(flatten)]
    output: FormatArgs,
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    registry: String,
    removed: bool,
    /// Files of others that still have a login.
    left: Vec<String>,
}

/// Forgets the login.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let mut environment = config::Logins::read();
    let forgotten = network::keyring(context, &mut environment)?.forget(&args.registry)?;
    let registry = &args.registry;
    let report = Report {
        registry: registry.clone(),
        removed: forgotten.removed,
        left: forgotten
            .left
            .iter()
            .map(|it| it.display().to_string())
            .collect(),
    };
    match &args.output.format {
        Format::Json => context.ui.json(&report)?,
        Format::Template(template) => {
            let data = serde_json::to_value(&report).expect("a report is texts and truths");
            context.ui.template(template, &data)?;
        }
        Format::Table if report.removed => {
            context
                .ui
                .line(format_args!("Successfully logged out from {registry}"))?;
        }
        Format::Table => context
            .ui
            .line(format_args!("There was no login for {registry}"))?,
    }
    for file in &report.left {
        context.ui.warn(format_args!(
            "{file} still has a login for {registry}, which is used, too"
        ));
    }
    Ok(())
}
