//! The terminal: reads the command line, runs one command, tells the user what came of it.
//!
//! `args` is the command line, `commands` has one file a command. A command translates its
//! arguments into one call of an operation or a mechanism, and prints the report through `ui`,
//! the only writer. What goes wrong becomes a `failure`; `hints` knows what helps.

mod args;
mod commands;
mod complete;
mod escape;
mod failure;
mod help;
mod hints;
mod human;
mod interrupt;
mod kitfile_source;
mod network;
mod parents;
mod place;
mod progress;
mod settings;
mod spelling;
mod table;
mod template;
mod ui;
mod upload;
mod usage;
mod values;

use std::{
    env,
    ffi::OsString,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{Arc, OnceLock},
    time::{Duration, SystemTime},
};

use args::{Cli, Request};
use commands::Command;
use failure::{Failure, Kind};
use interrupt::Interrupt;
use progress::{Look, Reporter};
use ui::{Colour, Level, Ui};
use values::Moved;

use crate::{
    cache::{Cache, Use},
    config::{Settings, file::File},
    digest::Digest,
    origins::{self, Event, Origin},
    progress::Silent,
    store::{self, Store},
};

/// What every command may use.
struct Context {
    settings: Settings,
    /// The file with settings, or why it has no effect.
    settings_file: Result<Option<File>, Failure>,
    ui: Arc<Ui>,
    interrupt: Interrupt,
    look: Look,
    lock_timeout: Duration,
    /// The registry that the login in the environment is for.
    given_login: OnceLock<String>,
}

impl Context {
    /// Returns the store in the home. `command` is what others are told who wait for this one,
    /// and what the history keeps: `kit pack`.
    fn store(&self, command: &str) -> Result<Store, Failure> {
        self.store_within(command, &[])
    }

    /// Returns the store as [`Self::store`] does, with some limits moved.
    fn store_within(&self, command: &str, moved: &[Moved]) -> Result<Store, Failure> {
        let options = store::Options {
            lock_timeout: self.lock_timeout,
            command: command.to_owned(),
            limits: Moved::all(moved),
        };
        Ok(Store::open(&self.settings.home()?.join("store"), options)?)
    }

    /// Returns what is known from earlier runs; with `fresh` nothing of it is believed.
    fn cache(&self, fresh: bool) -> Result<Cache, Failure> {
        let mode = if fresh { Use::WriteOnly } else { Use::All };
        let folder = self.settings.home()?.join("cache").join("hashes");
        Ok(Cache::open(&folder, mode))
    }

    /// Returns the file that tells which kits directories came from.
    fn origins(&self) -> Result<PathBuf, Failure> {
        Ok(self.settings.home()?.join("origins"))
    }

    /// Remembers that a directory and a kit met.
    fn remember(&self, directory: &Path, kit: Digest, name: Option<String>, event: Event) {
        let now = humantime::format_rfc3339_seconds(SystemTime::now());
        let origin = Origin {
            digest: kit,
            reference: name,
            time: now.to_string(),
            event,
        };
        let Ok(path) = self.origins() else { return };
        if let Err(error) = origins::record(&path, directory, origin) {
            // Whatever was asked for is done.
            self.ui.debug(format_args!(
                "cannot remember where {} came from: {error}",
                directory.display()
            ));
        }
    }

    /// Returns what the core reports to while it only looks: Ctrl-C ends the program at once.
    fn watcher(&self) -> Reporter {
        Reporter::new(Arc::clone(&self.ui), self.interrupt.clone(), self.look)
    }

    /// Returns what the core reports to while it works. From here on a first Ctrl-C only asks the
    /// work to stop, so a command calls this when it is about to write, not before.
    fn progress(&self) -> Reporter {
        self.interrupt.listen();
        self.watcher()
    }
}

/// Returns the whole command line as help shows it: switches take no values here. Manual pages and
/// `docs/cli.md` are made of it.
pub fn command() -> clap::Command {
    args::shown_command()
}

/// Runs the program on the arguments and the environment of the process.
pub fn main() -> ExitCode {
    #[cfg(feature = "failpoints")]
    if let Some(wanted) = crate::config::failpoints() {
        crate::failpoint::arm(&wanted).expect("KIT_FAIL is what tests/faults writes");
    }
    let arguments: Vec<OsString> = env::args_os().skip(1).collect();
    if let Some(completion) = completion(&arguments) {
        let ui = early_ui(&[]);
        return finish(&ui, ui.out(completion), false);
    }
    let result = match understand(&arguments) {
        Ok((Request::Run { cli, json }, found)) => return run(*cli, found, json),
        Ok((request, _)) => Ok(request),
        Err(failure) => Err(failure),
    };
    let result = match result {
        Ok(Request::Run { .. }) => Ok(()), // It ran.
        Ok(Request::Help(text)) => {
            let ui = early_ui(&arguments);
            if ui.colour_out() {
                ui.out(text.ansi())
            } else {
                ui.out(text)
            }
        }
        Ok(Request::Version) => {
            early_ui(&arguments).line(format_args!("kit {}", env!("CARGO_PKG_VERSION")))
        }
        Err(failure) => Err(failure),
    };
    let json = args::peek(&arguments, "--format") == Some("json");
    finish(&early_ui(&arguments), result, json)
}

/// What was found beside the command line.
struct Found {
    settings: Settings,
    /// The file with settings, or why it has no effect.
    file: Result<Option<File>, Failure>,
}

/// Understands the command line, with the defaults that the file in the home sets.
fn understand(arguments: &[OsString]) -> Result<(Request, Found), Failure> {
    let mut config = args::peek_config(arguments);
    let mut again = true;
    loop {
        let settings = Settings::read(config.as_deref());
        let mut file = settings.file().map_err(Failure::from);
        let mut command = args::parsed_command();
        if let Ok(Some(found)) = &file {
            match settings::apply(command, found, settings.variables()) {
                Ok(with_defaults) => command = with_defaults,
                Err(failure) => {
                    file = Err(failure);
                    command = args::parsed_command();
                }
            }
        }
        let request = args::parse(arguments, command)?;
        if let Request::Run { cli, .. } = &request {
            if again && cli.global.config != config {
                // Something else only looked like the flag, or it is not text.
                config.clone_from(&cli.global.config);
                again = false;
                continue;
            }
            let needs_file = cli.command.as_ref().is_none_or(Command::needs_settings);
            if let (Err(failure), true) = (&file, needs_file) {
                return Err(failure.clone());
            }
        }
        return Ok((request, Found { settings, file }));
    }
}

/// Answers the script of a shell that asks how a line could go on. Nothing is complained about, waited
/// for or made: the user is still typing.
fn completion(arguments: &[OsString]) -> Option<String> {
    let (first, words) = arguments.split_first()?;
    let with_descriptions = match first.to_str()? {
        "__complete" => true,
        "__completeNoDesc" => false,
        _ => return None,
    };
    let names = |config: Option<PathBuf>| {
        let home = Settings::read(config.as_deref()).home().ok();
        let store =
            home.and_then(|home| Store::open(&home.join("store"), store::Options::default()).ok());
        store
            .and_then(|store| store.entries(&Silent).ok())
            .unwrap_or_default()
    };
    let completion = complete::complete(&args::shown_command(), words, names);
    Some(completion.lines(with_descriptions))
}

fn run(cli: Cli, found: Found, json: bool) -> ExitCode {
    let Cli { global, command } = cli;
    let Found { settings, file } = found;
    let look = global.look();
    let ui = Ui::new(&settings, global.level(), global.color, look == Look::Json);
    let context = Context {
        settings,
        settings_file: file,
        ui: Arc::new(ui),
        interrupt: Interrupt::default(),
        look,
        lock_timeout: global.lock_timeout,
        given_login: OnceLock::new(),
    };
    let command = command.expect("without a command the help was printed");
    let result = command.run(&context).map_err(|failure| {
        let failure = match context.given_login.get() {
            Some(registry) => failure.with_given_login(registry),
            None => failure,
        };
        // Whatever stopped work ended with, the user asked for it. Work that was done before it
        // saw the signal is a success.
        match context.interrupt.failure() {
            Some(stopped) if failure.kind == Kind::Interrupted => {
                failure.hints.into_iter().fold(stopped, Failure::hint)
            }
            stopped => stopped.unwrap_or(failure),
        }
    });
    finish(&context.ui, result, json)
}

/// Returns a writer for a command line that was not understood, or needs nothing else.
fn early_ui(arguments: &[OsString]) -> Ui {
    let colour = match args::peek(arguments, "--color") {
        Some("always") => Colour::Always,
        Some("never") => Colour::Never,
        _ => Colour::Auto,
    };
    let json_events = args::peek(arguments, "--progress") == Some("json");
    Ui::new(&Settings::read(None), Level::Info, colour, json_events)
}

fn finish(ui: &Ui, result: Result<(), Failure>, json: bool) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            ui.failure(&failure, json);
            failure.kind.code().into()
        }
    }
}
