//! `kit doctor`

mod place;

use std::{fmt::Write as _, path::Path, thread};

use serde::Serialize;

use self::place::Place;
use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        escape::escape,
        failure::{Failure, Kind},
        help::examples,
        human,
    },
    platform,
    store::{self, Holder, Survey},
};

/// Tell about this installation, for reports of problems
#[derive(clap::Args)]
#[command(
    long_about = "Tell about this installation, for reports of problems: versions, paths, what is in \
                  the store, what the file systems can do, which settings are in force, and what is \
                  wrong with any of it. Nothing is changed, and nothing is sent anywhere. Exits with \
                  1 if a problem was found, and with 5 if it is damage.",
    after_help = examples(&[
    ("Look whether all is well", "kit doctor"),
    ("Put it into a report", "kit doctor --format json > doctor.json"),
]))]
pub(crate) struct Args {
    #[command(flatten)]
    output: FormatArgs,
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report {
    version: &'static str,
    commit: &'static str,
    platform: String,
    home: Option<Place>,
    home_from: &'static str,
    store: Option<StoreReport>,
    current_directory: Option<Place>,
    open_files: Option<u64>,
    threads: Option<usize>,
    variables: Vec<&'static str>,
    settings_file: Option<String>,
    settings: Vec<Setting>,
    problems: Vec<Problem>,
}

/// The store.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct StoreReport {
    path: String,
    exists: bool,
    version: Option<u64>,
    names: usize,
    kits: usize,
    blobs: usize,
    bytes: u64,
    /// What `prune` would free; `None` if that cannot be told.
    needless: Option<u64>,
    partial: usize,
    partial_bytes: u64,
    quarantined: usize,
    at_work: Vec<Holder>,
}

/// A setting of the file.
#[derive(Serialize)]
struct Setting {
    command: Option<String>,
    key: String,
    values: Vec<String>,
    line: usize,
    /// The variable that goes before it.
    overruled: Option<&'static str>,
}

/// Something that is wrong.
#[derive(Serialize)]
struct Problem {
    #[serde(rename = "problem")]
    text: String,
    hint: Option<String>,
    #[serde(skip)]
    is_damage: bool,
}

impl Report {
    fn problem(&mut self, problem: impl Into<String>, hint: &str) {
        self.problems.push(Problem {
            text: problem.into(),
            hint: Some(hint.to_owned()).filter(|hint| !hint.is_empty()),
            is_damage: false,
        });
    }

    fn damage(&mut self, problem: impl Into<String>) {
        self.problem(
            problem,
            "`kit verify` tells what is damaged, `kit verify --repair` mends it",
        );
        if let Some(last) = self.problems.last_mut() {
            last.is_damage = true;
        }
    }

    fn failure(&mut self, failure: &Failure) {
        let mut text = failure.message.clone();
        for cause in &failure.causes {
            text = format!("{text}: {cause}");
        }
        self.problem(text, failure.hints.first().map_or("", String::as_str));
        if let (Some(last), Kind::Damaged) = (self.problems.last_mut(), failure.kind) {
            last.is_damage = true;
        }
    }
}

/// Looks, and tells.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let report = look(context);
    match &args.output.format {
        Format::Json => context.ui.json(&report)?,
        Format::Template(template) => {
            let data = serde_json::to_value(&report).expect("a report is texts and numbers");
            context.ui.template(template, &data)?;
        }
        Format::Table => context.ui.out(text(&report))?,
    }
    let is_damaged = report.problems.iter().any(|problem| problem.is_damage);
    match report.problems.len() {
        0 => Ok(()),
        _ if is_damaged => Err(Failure::reported(Kind::Damaged)),
        _ => Err(Failure::reported(Kind::Failed)),
    }
}

fn look(context: &Context) -> Report {
    let settings = &context.settings;
    let mut report = Report {
        version: env!("CARGO_PKG_VERSION"),
        commit: option_env!("KIT_COMMIT").unwrap_or("unknown"),
        platform: format!("{}/{}", std::env::consts::OS, std::env::consts::ARCH),
        home: None,
        home_from: settings.home_from(),
        store: None,
        current_directory: None,
        open_files: platform::open_files_limit(),
        threads: thread::available_parallelism().ok().map(Into::into),
        variables: settings.variables().iter().map(|it| it.name).collect(),
        settings_file: None,
        settings: Vec::new(),
        problems: Vec::new(),
    };
    settings_in_force(context, &mut report);
    match settings.home() {
        Ok(home) => {
            let place = Place::of(&home);
            for (problem, hint) in place.problems() {
                report.problem(problem, hint);
            }
            report.home = Some(place);
            look_at_store(&home.join("store"), context, &mut report);
        }
        Err(error) => report.failure(&error.into()),
    }
    match std::env::current_dir() {
        Ok(path) => report.current_directory = Some(Place::of(&path)),
        Err(error) => report.problem(format!("cannot tell the current directory: {error}"), ""),
    }
    report
}

fn settings_in_force(context: &Context, report: &mut Report) {
    let file = match &context.settings_file {
        Ok(Some(file)) => file,
        Ok(None) => return,
        Err(failure) => return report.failure(failure),
    };
    report.settings_file = Some(file.path.to_string_lossy().into_owned());
    for entry in &file.entries {
        let variables = context.settings.variables().iter();
        let overruled = variables
            .copied()
            .find(|variable| variable.beats(entry.table.as_deref(), &entry.key));
        report.settings.push(Setting {
            command: match (&entry.table, &entry.host) {
                (Some(table), Some(host)) => Some(format!("{table}.\"{host}\"")),
                (table, _) => table.clone(),
            },
            key: entry.key.clone(),
            values: entry.values.clone(),
            line: entry.line,
            overruled: overruled.map(|variable| variable.name),
        });
    }
}

fn look_at_store(path: &Path, context: &Context, report: &mut Report) {
    let exists = path.is_dir();
    let mut survey = Survey::default();
    let mut needless = None;
    match context.store("kit doctor") {
        Ok(store) => {
            match store.survey() {
                Ok(found) => survey = found,
                Err(error) => report.failure(&error.into()),
            }
            if let Some(problem) = &survey.index_problem {
                report.damage(format!("the index of the store is damaged: {problem}"));
            }
            match store.plan_prune(None, &crate::progress::Silent) {
                Ok(plan) => needless = Some(plan.bytes()),
                // What was told of the index would be told twice.
                Err(_) if survey.index_problem.is_some() => {}
                Err(error) => report.failure(&error.into()),
            }
            if survey.quarantined > 0 {
                let count = human::count(survey.quarantined as u64, "damaged blob");
                report.problem(
                    format!("{count} set aside in {}", path.join("quarantine").display()),
                    "pack or load their kits again, then delete what is in that folder",
                );
            }
            if survey.version.is_none() && survey.blobs > 0 {
                report.damage("the store does not tell the version of its format");
            }
        }
        Err(failure) => report.failure(&failure),
    }
    report.store = Some(StoreReport {
        path: path.to_string_lossy().into_owned(),
        exists,
        version: survey.version,
        names: survey.names,
        kits: survey.kits,
        blobs: survey.blobs,
        bytes: survey.bytes,
        needless,
        partial: survey.partial,
        partial_bytes: survey.partial_bytes,
        quarantined: survey.quarantined,
        at_work: survey.holders,
    });
}

/// Returns the report for people.
fn text(report: &Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: &str| {
        // What has no name goes with the line before.
        let heading = if name.is_empty() {
            String::new()
        } else {
            format!("{name}:")
        };
        // Writing to a string cannot fail.
        let line = format!("{heading:<19} {}", escape(value));
        let _ = writeln!(text, "{}", line.trim_end());
    };
    line(
        "Version",
        &format!("{} ({})", report.version, report.commit),
    );
    line("Platform", &report.platform);
    if let Some(home) = &report.home {
        line(
            "Home",
            &format!("{} (from {})", home.path, report.home_from),
        );
        line("", &home.shown());
    }
    if let Some(store) = &report.store {
        line("Store", &shown_store(store));
        if store.exists {
            for held in shown_content(store) {
                line("", &held);
            }
        }
    }
    if let Some(here) = &report.current_directory {
        line("Current directory", &here.path);
        line("", &here.shown());
    }
    let limit = |count: Option<u64>| count.map_or_else(|| "no limit".into(), human::number);
    line("Open files", &limit(report.open_files));
    if let Some(threads) = report.threads {
        line("Threads", &threads.to_string());
    }
    line("Variables set", &or_none(&report.variables.join(", ")));
    match &report.settings_file {
        None => line("Settings", "none"),
        Some(path) => line("Settings", path),
    }
    for setting in &report.settings {
        line("", &shown_setting(setting));
    }
    line(
        "Problems",
        if report.problems.is_empty() {
            "none"
        } else {
            ""
        },
    );
    for problem in &report.problems {
        let _ = writeln!(text, "  {}", escape(&problem.text));
        if let Some(hint) = &problem.hint {
            let _ = writeln!(text, "    hint: {}", escape(hint));
        }
    }
    text
}

fn or_none(text: &str) -> String {
    if text.is_empty() { "none" } else { text }.to_owned()
}

fn shown_store(store: &StoreReport) -> String {
    match (store.exists, store.version) {
        (false, _) => format!("{} (not there yet)", store.path),
        (true, Some(version)) => format!(
            "{} (format {version}, the newest known is {})",
            store.path,
            store::VERSION
        ),
        (true, None) => format!("{} (format unknown)", store.path),
    }
}

fn shown_content(store: &StoreReport) -> Vec<String> {
    let count = |count: usize, noun| human::count(count as u64, noun);
    let mut lines = vec![format!(
        "{} with {}, {} of {}",
        count(store.kits, "kit"),
        count(store.names, "name"),
        count(store.blobs, "blob"),
        human::bytes(store.bytes)
    )];
    let mut rest = Vec::new();
    if let Some(needless) = store.needless.filter(|bytes| *bytes > 0) {
        rest.push(format!("`kit prune` would free {}", human::bytes(needless)));
    }
    if store.partial > 0 {
        let files = count(store.partial, "unfinished file");
        rest.push(format!("{files} of {}", human::bytes(store.partial_bytes)));
    }
    if !rest.is_empty() {
        lines.push(rest.join(", "));
    }
    for holder in &store.at_work {
        lines.push(format!("in use by {holder} since {}", holder.started));
    }
    lines
}

fn shown_setting(setting: &Setting) -> String {
    let command = setting.command.as_ref();
    let table = command.map(|it| format!("[{it}] ")).unwrap_or_default();
    let values = setting.values.join(", ");
    let overruled = setting.overruled;
    let overruled = overruled.map(|it| format!(", overruled by {it}"));
    format!(
        "{table}{} = {values} (line {}{})",
        setting.key,
        setting.line,
        overruled.unwrap_or_default()
    )
}
