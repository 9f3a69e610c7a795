//! `kit completion`

use clap_complete::Shell;

use crate::cli::{Context, args, failure::Failure, help::examples};

/// Print a script that completes commands and flags in a shell
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

/// Prints the script.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let shell = match args.shell {
        Name::Bash => Shell::Bash,
        Name::Zsh => Shell::Zsh,
        Name::Fish => Shell::Fish,
        Name::Powershell => Shell::PowerShell,
    };
    let mut command = args::shown_command();
    if args.no_descriptions {
        command = without_descriptions(command);
    }
    // The generator panics when it cannot write, so it writes to memory.
    let mut script = Vec::new();
    clap_complete::generate(shell, &mut command, "kit", &mut script);
    context.ui.write_out(&script)
}

fn without_descriptions(command: clap::Command) -> clap::Command {
    command
        .about(None::<&str>)
        .long_about(None::<&str>)
        .mut_args(|arg| arg.help(None::<&str>).long_help(None::<&str>))
        .mut_subcommands(without_descriptions)
}
