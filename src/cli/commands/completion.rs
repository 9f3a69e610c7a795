//! `kit completion`

use crate::cli::{Context, failure::Failure, help::examples};

/// Print a script that completes commands, flags and names of kits in a shell
#[derive(clap::Args)]
#[command(after_help = examples(&[
    ("Complete in this bash", "kit completion bash > /tmp/kit.bash && . /tmp/kit.bash"),
    ("Complete in every zsh", "kit completion zsh > ~/.zfunc/_kit"),
    ("Complete in every fish", "kit completion fish > ~/.config/fish/completions/kit.fish"),
]))]
pub(crate) struct Args {
    /// The shell
    shell: Name,
    /// Leave out the descriptions of commands and flags
    #[arg(long)]
    no_descriptions: bool,
}

/// The shells there are scripts for.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Name {
    Bash,
    Zsh,
    Fish,
    Powershell,
}

/// Prints the script. It asks the program for everything, so there is one for all versions.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let script = match args.shell {
        Name::Bash => include_str!("completion/kit.bash"),
        Name::Zsh => include_str!("completion/kit.zsh"),
        Name::Fish => include_str!("completion/kit.fish"),
        Name::Powershell => include_str!("completion/kit.ps1"),
    };
    if args.no_descriptions {
        context
            .ui
            .out(script.replace("__complete ", "__completeNoDesc "))
    } else {
        context.ui.out(script)
    }
}
