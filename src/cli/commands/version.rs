//! `kit version`

use serde_json::json;

use crate::cli::{
    Context,
    args::{Format, FormatArgs},
    failure::Failure,
    help::examples,
};

/// Print the version of the program and where it comes from
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Print what a bug report needs", "kit version"),
    ("Print the version alone", "kit version --format '{{ .Version }}'"),
]))]
pub(crate) struct Args {
    /// Accepted for compatibility: this program looks for no updates
    #[arg(long)]
    show_update_notifications: bool,
    #[command(flatten)]
    output: FormatArgs,
}

/// Prints four lines, as scripts expect them.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let _ = args.show_update_notifications; // Nothing to switch: nothing asks for updates.
    let version = env!("CARGO_PKG_VERSION");
    // Set by the release build; a build from a working copy does not know them.
    let commit = option_env!("KIT_COMMIT").unwrap_or("unknown");
    let built = option_env!("KIT_BUILT").unwrap_or("unknown");
    let platform = format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH);
    let document = json!({
        "version": version,
        "commit": commit,
        "built": built,
        "platform": platform,
    });
    match &args.output.format {
        Format::Table => context.ui.out(format_args!(
            "Version: {version}\nCommit: {commit}\nBuilt: {built}\nPlatform: {platform}\n"
        )),
        Format::Json => context.ui.json(&document),
        Format::Template(template) => context.ui.template(template, &document),
    }
}
