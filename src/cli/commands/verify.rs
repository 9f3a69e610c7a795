//! `kit verify`

use serde::Serialize;

use crate::{
    cli::{
        Context,
        args::{Format, FormatArgs},
        commands::prune::{BlobRow, FileRow},
        escape::escape,
        failure::{Failure, Kind},
        help::examples,
        human,
        values::{References, references},
    },
    digest::Digest,
    store::{Scope, VerifyReport},
};

/// Look whether the kits in the store are whole and undamaged
#[derive(clap::Args)]
#[command(
    long_about = "Look whether the kits in the store are whole and undamaged. Every byte is read. Ends with 5 \
                  if something is wrong, and with 7 if it was repaired but something was lost.",
    after_help = examples(&[
    ("Look at everything", "kit verify"),
    ("Look at one kit", "kit verify team/net:1.0"),
    ("Set damaged blobs aside; packing or loading the kits again heals them", "kit verify --repair"),
]))]
pub(crate) struct Args {
    /// Look only at these kits
    #[arg(value_name = "REFERENCE", value_parser = references)]
    references: Vec<References>,
    /// Set damaged blobs aside, and write a lost index anew
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    output: FormatArgs,
}

/// The result in JSON.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Report<'a> {
    sound: bool,
    kits: usize,
    blobs: usize,
    bytes: u64,
    damaged: Vec<DamagedRow<'a>>,
    missing: Vec<MissingRow<'a>>,
    problems: &'a [String],
    repaired: &'a [String],
    names_lost: bool,
    unneeded: Vec<BlobRow>,
    temporary: Vec<FileRow>,
    resumable: Vec<FileRow>,
    set_aside: Vec<String>,
}

#[derive(Serialize)]
struct DamagedRow<'a> {
    digest: Digest,
    problem: String,
    kits: &'a [String],
}

#[derive(Serialize)]
struct MissingRow<'a> {
    digest: Digest,
    kits: &'a [String],
}

/// Verifies and tells what was found.
pub(crate) fn run(args: &Args, context: &Context) -> Result<(), Failure> {
    let store = context.store("kit verify")?;
    let references: Vec<_> = args.references.iter().flat_map(|it| it.0.clone()).collect();
    let scope = match references.as_slice() {
        [] => Scope::All,
        _ => Scope::References(references.clone()),
    };
    let progress = context.progress();
    let found = store.verify(&scope, args.repair, &progress);
    drop(progress);
    let found = found.map_err(|error| {
        let failure = Failure::from(error);
        match references.as_slice() {
            [only] => failure.about(only),
            _ => failure,
        }
    })?;
    match &args.output.format {
        Format::Table => context.ui.out(lines(&found, args.repair))?,
        Format::Json => context.ui.json(&report(&found))?,
        Format::Template(template) => {
            let data = serde_json::to_value(report(&found)).expect("a report is texts and numbers");
            context.ui.template(template, &data)?;
        }
    }
    outcome(&found, args.repair)
}

fn report(found: &VerifyReport) -> Report<'_> {
    Report {
        sound: found.is_sound(),
        kits: found.kits,
        blobs: found.blobs,
        bytes: found.bytes,
        damaged: found
            .damaged
            .iter()
            .map(|blob| DamagedRow {
                digest: blob.digest,
                problem: blob.damage.to_string(),
                kits: &blob.kits,
            })
            .collect(),
        missing: found
            .missing
            .iter()
            .map(|blob| MissingRow {
                digest: blob.digest,
                kits: &blob.kits,
            })
            .collect(),
        problems: &found.problems,
        repaired: &found.repaired,
        names_lost: found.names_lost,
        unneeded: found.stray.iter().map(Into::into).collect(),
        temporary: found.temporary.iter().map(Into::into).collect(),
        resumable: found.resumable.iter().map(Into::into).collect(),
        set_aside: found
            .quarantined
            .iter()
            .map(|path| path.to_string_lossy().into_owned())
            .collect(),
    }
}

/// Returns a line for each finding, then for each thing that is only worth knowing, then a summary.
fn lines(found: &VerifyReport, repair: bool) -> String {
    let mut lines = Vec::new();
    for blob in &found.damaged {
        let kits = needed_by(&blob.kits);
        lines.push(format!(
            "damaged: {} ({}), {kits}",
            blob.digest, blob.damage
        ));
    }
    for blob in &found.missing {
        lines.push(format!(
            "missing: {}, {}",
            blob.digest,
            needed_by(&blob.kits)
        ));
    }
    lines.extend(found.problems.iter().map(|text| format!("problem: {text}")));
    lines.extend(
        found
            .repaired
            .iter()
            .map(|text| format!("repaired: {text}")),
    );
    for blob in &found.stray {
        let size = human::bytes(blob.size);
        let word = if found.undecidable {
            "perhaps unneeded"
        } else {
            "unneeded"
        };
        lines.push(format!("{word}: {} ({size})", blob.digest));
    }
    let left = if repair { "swept" } else { "left over" };
    for (what, files) in [(left, &found.temporary), ("to resume", &found.resumable)] {
        for (path, size) in files {
            lines.push(format!(
                "{what}: {} ({})",
                path.display(),
                human::bytes(*size)
            ));
        }
    }
    for path in &found.quarantined {
        lines.push(format!("set aside: {}", path.display()));
    }
    let kits = human::count(found.kits as u64, "kit");
    let blobs = human::count(found.blobs as u64, "blob");
    let verdict = match found.damaged.len() + found.missing.len() + found.problems.len() {
        0 => "all is well".to_owned(),
        findings => human::count(findings as u64, "finding"),
    };
    let bytes = human::bytes(found.bytes);
    lines.push(format!("Checked {kits}, {blobs}, {bytes}: {verdict}"));
    let lines: Vec<_> = lines.iter().map(|line| escape(line)).collect();
    lines.join("\n") + "\n"
}

fn needed_by(kits: &[String]) -> String {
    match kits {
        [] => "which no kit needs".to_owned(),
        kits => format!("needed by {}", kits.join(", ")),
    }
}

/// Decides how the command ends.
fn outcome(found: &VerifyReport, repair: bool) -> Result<(), Failure> {
    let mut failure = if repair && (!found.damaged.is_empty() || found.names_lost) {
        Failure::new(
            Kind::Lossy,
            "the store was repaired, but something was lost",
        )
    } else if found.is_sound() {
        return Ok(());
    } else {
        Failure::new(Kind::Damaged, "the store is damaged")
    };
    if !repair && !found.damaged.is_empty() {
        failure = failure.hint("`kit verify --repair` sets damaged blobs aside");
    } else if !repair && !found.problems.is_empty() {
        failure = failure.hint("`kit verify --repair` writes a lost index anew");
    }
    if !found.damaged.is_empty() || !found.missing.is_empty() {
        failure = failure.hint("packing or loading a kit again heals it; `kit remove` gives it up");
    }
    Err(failure)
}
