//! `kit verify`

use std::collections::BTreeSet;

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
        network::{NetworkArgs, TransferArgs},
        values::{References, references},
    },
    digest::Digest,
    ops::{
        repair::{self, Options},
        toc,
        transfer::Network,
    },
    reference::Reference,
    store::{MissingBlob, Scope, Store, VerifyReport},
};

/// Look whether the kits in the store are whole and undamaged
#[derive(clap::Args)]
#[command(
    long_about = "Look whether the kits in the store are whole and undamaged. Every byte is read. Ends with 5 \
                  if something is wrong, and with 7 if it was repaired but something was lost. What --repair sets \
                  aside or misses is fetched again where the names of the kits lead to registries.",
    after_help = examples(&[
    ("Look at everything", "kit verify"),
    ("Look at one kit", "kit verify team/net:1.0"),
    ("Set damaged blobs aside, and fetch them again from the registries of the kits", "kit verify --repair"),
]))]
pub(crate) struct Args {
    /// Look only at these kits
    #[arg(value_name = "REFERENCE", value_parser = references)]
    references: Vec<References>,
    /// Set damaged blobs aside, fetch them again from registries, and write a lost index anew
    #[arg(long)]
    repair: bool,
    #[command(flatten)]
    output: FormatArgs,
    #[command(flatten)]
    transfer: TransferArgs,
    #[command(flatten)]
    network: NetworkArgs,
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
    missing_tocs: Vec<MissingRow<'a>>,
    wrong_tocs: Vec<LostRow<'a>>,
    wrong_layers: Vec<LostRow<'a>>,
    problems: &'a [String],
    repaired: &'a [String],
    names_lost: bool,
    restored: Vec<Digest>,
    unobtainable: Vec<LostRow<'a>>,
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

/// A kit of which something could not be fetched, or is not what it should be.
#[derive(Serialize)]
struct LostRow<'a> {
    kit: &'a str,
    problem: &'a str,
}

/// What was fetched again.
#[derive(Default)]
struct Restored {
    blobs: BTreeSet<Digest>,
    /// Tables of contents that were made again.
    made: BTreeSet<Digest>,
    /// The kits of which something could not be had, and why.
    failed: Vec<(String, Failure)>,
}

#[derive(Serialize)]
struct MissingRow<'a> {
    digest: Digest,
    kits: &'a [String],
}

impl<'a> From<&'a MissingBlob> for MissingRow<'a> {
    fn from(blob: &'a MissingBlob) -> Self {
        Self {
            digest: blob.digest,
            kits: &blob.kits,
        }
    }
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
    let restored = if args.repair {
        let mut restored = restore(args, &references, &found, &store, context)?;
        let lost = |digest: &Digest| !restored.blobs.contains(digest);
        let damaged = found.damaged.iter().map(|blob| blob.digest);
        let missing = found.missing_tocs.iter().map(|blob| blob.digest);
        let open: BTreeSet<_> = damaged.chain(missing).filter(lost).collect();
        let progress = context.progress();
        restored.made = toc::remake(&store, &open, &progress)?;
        restored
    } else {
        Restored::default()
    };
    match &args.output.format {
        Format::Table => context.ui.out(lines(&found, &restored, args.repair))?,
        Format::Json => context.ui.json(&report(&found, &restored))?,
        Format::Template(template) => {
            let data = report(&found, &restored);
            let data = serde_json::to_value(data).expect("a report is texts and numbers");
            context.ui.template(template, &data)?;
        }
    }
    outcome(&found, &restored, args.repair)
}

/// Fetches what is damaged or missing from the registries that the names of the kits lead to.
fn restore(
    args: &Args,
    references: &[Reference],
    found: &VerifyReport,
    store: &Store,
    context: &Context,
) -> Result<Restored, Failure> {
    let damaged = found.damaged.iter().map(|blob| (blob.digest, &blob.kits));
    let missing = found.missing.iter().chain(&found.missing_tocs);
    let missing = missing.map(|blob| (blob.digest, &blob.kits));
    let needed = damaged.chain(missing).filter(|(_, kits)| !kits.is_empty());
    let broken: BTreeSet<_> = needed.map(|(digest, _)| digest).collect();
    let mut restored = Restored::default();
    if broken.is_empty() {
        return Ok(restored);
    }
    let progress = context.progress();
    let kits = repair::candidates(store, &progress)?;
    if kits.is_empty() {
        return Ok(restored);
    }
    // A login in the environment is for the kit that was typed, and for no other.
    let typed = match references {
        [only] => only.clone(),
        _ => Digest::of(b"").into(),
    };
    let stall = args.transfer.stall_timeout;
    let access = match args.network.access(&typed, stall, context) {
        Ok(access) => access,
        Err(failure) => {
            restored.failed.push(("registries".to_owned(), failure));
            return Ok(restored);
        }
    };
    let options = Options {
        concurrency: args.transfer.concurrency.get(),
        download: args.transfer.download(),
    };
    let network = Network::new()?;
    let work = (&*kits, &broken);
    let done = repair::run(store, &network, &access, work, &options, &progress)?;
    restored.blobs = done.restored;
    let failed = done.failed.into_iter();
    restored.failed = failed.map(|(kit, error)| (kit, error.into())).collect();
    Ok(restored)
}

fn report<'a>(found: &'a VerifyReport, restored: &'a Restored) -> Report<'a> {
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
        missing: found.missing.iter().map(MissingRow::from).collect(),
        missing_tocs: found.missing_tocs.iter().map(MissingRow::from).collect(),
        wrong_tocs: found
            .wrong_tocs
            .iter()
            .map(|wrong| LostRow {
                kit: &wrong.kit,
                problem: &wrong.problem,
            })
            .collect(),
        wrong_layers: found
            .wrong_layers
            .iter()
            .map(|wrong| LostRow {
                kit: &wrong.kit,
                problem: &wrong.problem,
            })
            .collect(),
        problems: &found.problems,
        repaired: &found.repaired,
        names_lost: found.names_lost,
        restored: restored.blobs.union(&restored.made).copied().collect(),
        unobtainable: restored
            .failed
            .iter()
            .map(|(kit, failure)| LostRow {
                kit,
                problem: &failure.message,
            })
            .collect(),
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
fn lines(found: &VerifyReport, restored: &Restored, repair: bool) -> String {
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
    for wrong in &found.wrong_tocs {
        lines.push(format!(
            "wrong table of contents: {}: {}",
            wrong.kit, wrong.problem
        ));
    }
    for wrong in &found.wrong_layers {
        lines.push(format!("wrong layer: {}: {}", wrong.kit, wrong.problem));
    }
    lines.extend(found.problems.iter().map(|text| format!("problem: {text}")));
    lines.extend(
        found
            .repaired
            .iter()
            .map(|text| format!("repaired: {text}")),
    );
    for blob in &found.missing_tocs {
        lines.push(format!(
            "no table of contents: {}, {}, whole without it",
            blob.digest,
            needed_by(&blob.kits).replace("needed by", "named by")
        ));
    }
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
    let blobs = restored.blobs.iter();
    lines.extend(blobs.map(|digest| format!("fetched again: {digest}")));
    let blobs = restored.made.iter();
    lines.extend(blobs.map(|digest| format!("made again: {digest}")));
    for (kit, failure) in &restored.failed {
        lines.push(format!("not to be had: {kit}: {}", failure.message));
    }
    let kits = human::count(found.kits as u64, "kit");
    let blobs = human::count(found.blobs as u64, "blob");
    let wrong = found.wrong_tocs.len() + found.wrong_layers.len();
    let findings = found.damaged.len() + found.missing.len() + wrong;
    let verdict = match findings + found.problems.len() {
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
fn outcome(found: &VerifyReport, restored: &Restored, repair: bool) -> Result<(), Failure> {
    let is_lost = |digest| !restored.blobs.contains(digest) && !restored.made.contains(digest);
    let is_damaged = found.damaged.iter().any(|blob| is_lost(&blob.digest));
    let is_missing = found.missing.iter().any(|blob| is_lost(&blob.digest));
    let is_wrong = !found.wrong_tocs.is_empty() || !found.wrong_layers.is_empty();
    let mut failure = if repair && (is_damaged || found.names_lost) {
        Failure::new(
            Kind::Lossy,
            "the store was repaired, but something was lost",
        )
    } else if !is_damaged && !is_missing && !is_wrong && found.problems.is_empty() {
        return Ok(());
    } else {
        Failure::new(Kind::Damaged, "the store is damaged")
    };
    if !repair && !found.damaged.is_empty() {
        failure = failure.hint(
            "`kit verify --repair` sets damaged blobs aside, and fetches them again if it knows a registry",
        );
    } else if !repair && !found.problems.is_empty() {
        failure = failure.hint("`kit verify --repair` writes a lost index anew");
    }
    if let Some(wrong) = found.wrong_tocs.first() {
        failure = failure.hint(format!(
            "`kit toc add {}` makes a kit that has the right one",
            wrong.kit
        ));
    }
    if let Some(wrong) = found.wrong_layers.first() {
        failure = failure.hint(format!(
            "`kit remove {}` gives it up: whoever made it made it wrong",
            wrong.kit
        ));
    }
    // What would help to reach a registry.
    for (_, failed) in &restored.failed {
        for hint in &failed.hints {
            if !failure.hints.contains(hint) {
                failure = failure.hint(hint);
            }
        }
    }
    if is_damaged || is_missing {
        failure = failure.hint("packing or loading a kit again heals it; `kit remove` gives it up");
    }
    Err(failure)
}
