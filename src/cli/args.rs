//! The command line: global flags, and the habits that hold for the flags of every command.

use std::{ffi::OsString, path::PathBuf, time::Duration};

use clap::{Arg, ArgAction, CommandFactory as _, FromArgMatches as _, builder::StyledStr};

use super::{
    commands::Command,
    failure::Failure,
    help,
    progress::Look,
    settings, spelling,
    template::Template,
    ui::{Colour, Level},
    usage,
    values::{BadValue, LAYER_LIMITS, Moved, duration, layer_limit, limit_help, log_level, switch},
};

/// Pack AI models, datasets, code and docs into immutable kits, keep them, take them out again
#[derive(clap::Parser)]
#[command(
    name = "kit",
    version,
    propagate_version = true,
    disable_version_flag = true,
    max_term_width = 100,
    args_override_self = true
)]
pub(crate) struct Cli {
    #[command(flatten)]
    pub(crate) global: Global,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

/// Flags that stand before or after the command.
#[derive(clap::Args)]
#[command(next_help_heading = "Global options")]
pub(crate) struct Global {
    #[arg(
        long,
        global = true,
        value_name = "PATH",
        help = "Folder of the store, the cache and the settings [default: $KITOPS_HOME, else the user's data folder]"
    )]
    pub(crate) config: Option<PathBuf>,
    /// What to tell on standard error: trace, debug, info, warn or error
    #[arg(long, global = true, value_name = "LEVEL", default_value = "info", hide_default_value = true, value_parser = log_level)]
    log_level: Level,
    /// How to show progress: auto, none, plain, fancy or json
    #[arg(
        long,
        global = true,
        value_name = "LOOK",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    progress: Look,
    /// Tell more: -v decisions, -vv every step, -vvv without progress bars
    #[arg(short, long, global = true, action = ArgAction::Count)]
    verbose: u8,
    /// Tell only warnings and errors
    #[arg(short, long, global = true)]
    quiet: bool,
    /// When to use colour: auto, always or never
    #[arg(
        long,
        global = true,
        value_name = "WHEN",
        default_value = "auto",
        hide_default_value = true,
        hide_possible_values = true
    )]
    pub(crate) color: Colour,
    /// How long to wait for other processes that use the store, such as 30s or 10m
    #[arg(long, global = true, value_name = "TIME", default_value = "10m", value_parser = duration)]
    pub(crate) lock_timeout: Duration,
    /// Print the version
    #[arg(short = 'V', long = "version", global = true, action = ArgAction::Version)]
    version: Option<bool>,
}

impl Global {
    /// Returns what is told on standard error; `-v` beats `--quiet`, which beats `--log-level`.
    pub(crate) const fn level(&self) -> Level {
        match self.verbose {
            0 if self.quiet => Level::Warn,
            0 => self.log_level,
            1 => Level::Debug,
            _ => Level::Trace,
        }
    }

    /// Returns how progress is shown: bars would only tear the many lines of `-vvv` apart.
    pub(crate) const fn look(&self) -> Look {
        match self.progress {
            Look::Json => Look::Json,
            _ if self.verbose > 2 => Look::None,
            look => look,
        }
    }
}

/// The flag `--format`: flatten it into the arguments of a command that reports. Failures of the
/// command are then JSON, too, when the result is.
#[derive(clap::Args)]
pub(crate) struct FormatArgs {
    /// How to print the result: table, json, or a template such as '{{.Name}}'
    #[arg(long, value_name = "FORMAT", default_value = "table", hide_default_value = true, value_parser = Format::parse)]
    pub(crate) format: Format,
}

/// The flag `--limit`: flatten it into the arguments of a command that reads layers.
#[derive(clap::Args)]
pub(crate) struct LimitArgs {
    #[arg(
        long = "limit",
        value_name = "NAME=NUMBER",
        value_parser = layer_limit,
        help = limit_help("kit", LAYER_LIMITS)
    )]
    pub(crate) moved: Vec<Moved>,
}

/// How a result is printed.
#[derive(Clone, Debug)]
pub(crate) enum Format {
    /// For people: a table or lines.
    Table,
    /// One JSON document. Failures are JSON then, too.
    Json,
    /// As the user wrote, in a subset of Go's templates.
    Template(Template),
}

impl Format {
    fn parse(text: &str) -> Result<Self, BadValue> {
        match text {
            "table" => Ok(Self::Table),
            "json" => Ok(Self::Json),
            _ if text.contains("{{") => Template::parse(text)
                .map(Self::Template)
                .map_err(|error| BadValue::new(error.to_string())),
            _ => Err(BadValue::new(format!("there is no output format '{text}'"))
                .hint("use 'table', 'json' or a template such as --format '{{ .Name }}'")),
        }
    }
}

/// What the command line asks for.
pub(crate) enum Request {
    /// Run a command.
    Run {
        /// The flags and the command.
        cli: Box<Cli>,
        /// Whether failures are printed as JSON.
        json: bool,
    },
    /// Print this help.
    Help(StyledStr),
    /// Print the version.
    Version,
}

/// Returns the command line as it is shown in help and completions: switches without values.
pub(crate) fn shown_command() -> clap::Command {
    help::grouped(Cli::command())
}

/// Returns the command line as it is parsed: every switch takes `=true` and `=false`.
pub(crate) fn parsed_command() -> clap::Command {
    lenient(shown_command())
}

/// Turns every switch in the tree into an option with an optional boolean value, so that
/// `--force`, `--force=false`, `-f=0` all work and no command can forget it.
fn lenient(command: clap::Command) -> clap::Command {
    command
        .mut_args(|arg| {
            if !matches!(arg.get_action(), ArgAction::SetTrue) {
                return arg;
            }
            let default: &'static str = if default_is_true(&arg) {
                "true"
            } else {
                "false"
            };
            arg.action(ArgAction::Set)
                .num_args(0..=1)
                .require_equals(true)
                .value_name("BOOL")
                .default_value(default)
                .default_missing_value("true")
                .value_parser(switch)
        })
        .mut_subcommands(lenient)
}

fn default_is_true(arg: &Arg) -> bool {
    arg.get_default_values().iter().any(|value| value == "true")
}

/// Understands a command line, without the program's name. `command` is [`parsed_command`], with
/// other defaults if there are settings.
pub(crate) fn parse(arguments: &[OsString], command: clap::Command) -> Result<Request, Failure> {
    let arguments = spelling::plain(arguments)?;
    let first = arguments
        .iter()
        .find(|argument| !argument.as_encoded_bytes().starts_with(b"-"));
    if first.is_some_and(|it| it == "help")
        && arguments.ends_with(&["help".into(), "environment".into()])
    {
        return Ok(Request::Help(settings::page(&shown_command()).into()));
    }
    let arguments = || std::iter::once(OsString::from("kit")).chain(arguments.iter().cloned());
    let result = command
        .try_get_matches_from(arguments())
        .and_then(|matches| Ok((Cli::from_arg_matches(&matches)?, wants_json(&matches))));
    let error = match result {
        Ok((Cli { command: None, .. }, _)) => {
            return Ok(Request::Help(shown_command().render_help()));
        }
        Ok((cli, json)) => {
            let cli = Box::new(cli);
            return Ok(Request::Run { cli, json });
        }
        Err(error) => error,
    };
    match error.kind() {
        kind if is_help(kind) => {
            // The same question to the tree that shows switches plainly. It cannot answer when a
            // switch with a value stood before `--help`.
            let shown = shown_command().try_get_matches_from(arguments()).err();
            let shown = shown.filter(|shown| is_help(shown.kind()));
            Ok(Request::Help(shown.unwrap_or(error).render()))
        }
        clap::error::ErrorKind::DisplayVersion => Ok(Request::Version),
        _ => Err(usage::failure(&error, &shown_command())),
    }
}

const fn is_help(kind: clap::error::ErrorKind) -> bool {
    use clap::error::ErrorKind::{DisplayHelp, DisplayHelpOnMissingArgumentOrSubcommand};
    matches!(kind, DisplayHelp | DisplayHelpOnMissingArgumentOrSubcommand)
}

/// Tells whether the innermost command was asked for JSON.
fn wants_json(matches: &clap::ArgMatches) -> bool {
    let mut innermost = matches;
    while let Some((_, inner)) = innermost.subcommand() {
        innermost = inner;
    }
    matches!(
        innermost.try_get_one::<Format>("format"),
        Ok(Some(Format::Json))
    )
}

/// Returns the value of `--config` on a command line that is not understood yet.
pub(crate) fn peek_config(arguments: &[OsString]) -> Option<PathBuf> {
    let mut found = None;
    let mut rest = arguments.iter().take_while(|argument| *argument != "--");
    while let Some(argument) = rest.next() {
        if argument == "--config" {
            found = rest.next().map(PathBuf::from);
        } else if let Some(value) = argument
            .to_str()
            .and_then(|it| it.strip_prefix("--config="))
        {
            found = Some(value.into());
        }
    }
    found
}

/// Returns the last value of `--flag` on a command line that could not be understood, so that the
/// complaint takes the form that was asked for.
pub(crate) fn peek<'a>(arguments: &'a [OsString], flag: &str) -> Option<&'a str> {
    let mut found = None;
    let mut rest = arguments.iter().filter_map(|argument| argument.to_str());
    while let Some(argument) = rest.next() {
        match argument.strip_prefix(flag) {
            Some("") => found = rest.next(),
            Some(value) => found = value.strip_prefix('=').or(found),
            None if argument == "--" => break,
            None => {}
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse_words(line: &str) -> Result<Request, Failure> {
        let words: Vec<OsString> = line.split_whitespace().map(Into::into).collect();
        parse(&words, parsed_command())
    }

    fn global(line: &str) -> Global {
        match parse_words(line) {
            Ok(Request::Run { cli, .. }) => cli.global,
            Ok(_) => panic!("`{line}` does not run a command"),
            Err(failure) => panic!("`{line}`: {}", failure.message),
        }
    }

    fn message(line: &str) -> String {
        match parse_words(line) {
            Ok(_) => panic!("`{line}` is understood"),
            Err(failure) => failure.render(false),
        }
    }

    #[test]
    fn the_tree_holds_together() {
        parsed_command().debug_assert();
        shown_command().debug_assert();
    }

    #[test]
    fn every_switch_takes_true_and_false() {
        fn walk(command: &clap::Command) {
            for arg in command.get_arguments() {
                assert!(
                    !matches!(arg.get_action(), ArgAction::SetTrue | ArgAction::SetFalse),
                    "{} {}",
                    command.get_name(),
                    arg.get_id()
                );
            }
            command.get_subcommands().for_each(walk);
        }
        let command = parsed_command();
        assert!(command.get_arguments().any(|arg| arg.get_id() == "quiet"));
        walk(&command);
    }

    #[test]
    fn switches_read_booleans_as_the_reference_does() {
        for (flags, expected) in [
            ("", false),
            ("--quiet", true),
            ("-q", true),
            ("--quiet=true", true),
            ("--quiet=TRUE", true),
            ("--quiet=1", true),
            ("--quiet=t", true),
            ("-q=T", true),
            ("--quiet=false", false),
            ("--quiet=False", false),
            ("--quiet=0", false),
            ("-q=f", false),
            ("-q --quiet=false", false),
            ("-qv", true),
        ] {
            assert_eq!(
                global(&format!("version {flags}")).quiet,
                expected,
                "{flags}"
            );
            assert_eq!(
                global(&format!("{flags} version")).quiet,
                expected,
                "{flags}"
            );
        }
        assert_eq!(
            message("version --quiet=maybe"),
            "error: 'maybe' is neither true nor false\n  given for --quiet"
        );
    }

    #[test]
    fn a_switch_that_is_on_by_default_can_be_switched_off() {
        let command = || {
            lenient(
                clap::Command::new("x").arg(
                    Arg::new("tls")
                        .long("tls")
                        .action(ArgAction::SetTrue)
                        .default_value("true"),
                ),
            )
        };
        for (words, expected) in [
            (&["x"][..], true),
            (&["x", "--tls"], true),
            (&["x", "--tls=false"], false),
        ] {
            let matches = command().try_get_matches_from(words).unwrap();
            assert_eq!(matches.get_one::<bool>("tls"), Some(&expected), "{words:?}");
        }
    }

    #[test]
    fn global_flags_stand_before_or_after_the_command() {
        for line in [
            "--config /x version",
            "version --config /x",
            "version --config=/x",
        ] {
            assert_eq!(global(line).config, Some("/x".into()), "{line}");
        }
        for (line, level, look) in [
            ("version", Level::Info, Look::Auto),
            ("--log-level warn version", Level::Warn, Look::Auto),
            ("version --log-level error", Level::Error, Look::Auto),
            ("-v version", Level::Debug, Look::Auto),
            ("version -vv", Level::Trace, Look::Auto),
            ("version -vvv", Level::Trace, Look::None),
            ("version -v -v -v --progress json", Level::Trace, Look::Json),
            ("version -q", Level::Warn, Look::Auto),
            ("version -q -v", Level::Debug, Look::Auto),
            ("--help=false version --verbose=2", Level::Trace, Look::Auto),
            ("version --progress false", Level::Info, Look::None),
            ("version --progress cherry", Level::Info, Look::Fancy),
            ("--progress plain cache info", Level::Info, Look::Plain),
        ] {
            let global = global(line);
            assert_eq!((global.level(), global.look()), (level, look), "{line}");
        }
    }

    #[test]
    fn bad_values_say_what_is_possible() {
        assert_eq!(
            message("version --log-level zzz"),
            "error: invalid log level 'zzz'. Options are 'trace', 'debug', 'info', 'warn', \
             'error'\n  given for --log-level"
        );
        assert_eq!(
            message("version --progress fansy"),
            "error: invalid value 'fansy' for '--progress <LOOK>'\nhint: did you mean 'fancy'?\nhint: possible values: auto, none, plain, fancy, json"
        );
        assert_eq!(
            message("version --format yaml"),
            "error: there is no output format 'yaml'\n  given for --format\nhint: use 'table', 'json' or a template such as --format '{{ .Name }}'"
        );
    }

    #[test]
    fn help_is_asked_for_in_many_ways() {
        for line in [
            "",
            "--help",
            "-h",
            "help",
            "--help=true",
            "version --help",
            "version --help=1",
            "version -h",
            "help version",
            "cache",
        ] {
            assert!(matches!(parse_words(line), Ok(Request::Help(_))), "{line}");
        }
        for line in ["-V", "--version", "version -V", "version --version"] {
            assert!(matches!(parse_words(line), Ok(Request::Version)), "{line}");
        }
    }

    #[test]
    fn a_flag_is_found_on_a_line_that_cannot_be_parsed() {
        let words = |line: &str| line.split(' ').map(Into::into).collect::<Vec<OsString>>();
        for (line, expected) in [
            ("list --format json --x", Some("json")),
            ("list --format=json", Some("json")),
            ("list --format=table --format json", Some("json")),
            ("list --formatted=json", None),
            ("list -- --format json", None),
            ("list --format", None),
        ] {
            assert_eq!(peek(&words(line), "--format"), expected, "{line}");
        }
    }
}
