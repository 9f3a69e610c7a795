//! `kit pull --dir`: the files of a kit, and nothing in the store.

use std::path::Path;

use serde_json::json;

use super::Args;
use crate::{
    archive::unpack::Existing,
    cli::{
        Context, args::Format, commands::unpack as command, failure::Failure, network::Access,
        parents::ParentRow,
    },
    filter::{Filter, PathGlobs},
    ops::{
        self, chain, delta,
        remote::Remote,
        stream::Streams,
        transfer::Network,
        unpack::{self, Options, Sources},
    },
    progress::Progress,
    store::Store,
};

/// Brings a folder to what the kit is in its registry now.
pub(super) fn run(
    args: &Args,
    dir: &Path,
    store: &Store,
    network: &Network,
    access: &Access,
    context: &Context,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    let reference = args.reference.clone().or_latest();
    let options = Options {
        target: dir.to_owned(),
        filter: Filter::everything(),
        globs: PathGlobs::new(&[], &[])?,
        existing: match (args.ignore_existing, args.overwrite) {
            (true, _) => Existing::Keep,
            (false, true) => Existing::Overwrite,
            (false, false) => Existing::Refuse,
        },
        threads: None,
        link: false,
        trees: args.reuse.clone(),
        ready_file: None,
    };
    let remote = Remote {
        network,
        registries: access,
        parent_registries: &args.allow_parent,
        progress,
    };
    let family = chain::open_far(store, &remote, &reference, &options.filter, progress)?;
    let digest = family.kit.descriptor.digest;
    if let Some(expected) = args.expect_digest.filter(|expected| *expected != digest) {
        return Err(ops::Error::Unexpected {
            reference: reference.to_string(),
            expected,
            actual: digest,
        }
        .into());
    }
    let concurrency = args.transfer.concurrency.get();
    let streams = Streams::new(network, args.transfer.download(), concurrency, progress);
    let sources = Sources {
        store,
        streams: Some(streams),
        objects: None,
        unverified: false,
    };
    let ui = &context.ui;
    let parents = family.parents.iter().map(ParentRow::of_kit);
    let mut document = json!({
        "reference": reference.to_string(),
        "digest": digest.to_string(),
        "size": family.kit.manifest.blobs().map(|blob| blob.size).sum::<u64>(),
        "parents": parents.collect::<Vec<_>>(),
        "directory": dir.to_string_lossy(),
    });
    let mut add = |key: &str, value: u64| document[key] = value.into();
    if args.dry_run {
        let selection = unpack::select(&family, &options)?;
        let estimate = delta::estimate_unpack(&family, &selection, &sources, &options, progress)?;
        let estimate = estimate.unwrap_or_default();
        add("fetch", estimate.delta);
        add("full", estimate.full);
        ui.status(command::would_fetch(&estimate));
    } else {
        let report = unpack::run(&family, &sources, &options, progress)?;
        command::remember(&reference, &family.kit, &options, &report, context);
        let files = &report.files;
        add("fetched", report.moved.fetched);
        add("reused", report.moved.reused);
        add("written", files.written);
        add("replaced", files.replaced);
        add("completed", files.completed);
        add("equal", files.equal);
        add("kept", files.kept);
        add("bytes", files.bytes);
        ui.status(command::summary(files));
        if let Some(fetched) = command::fetched(&report) {
            ui.status(fetched);
        }
    }
    match &args.output.format {
        Format::Json => ui.json(&document),
        Format::Template(template) => ui.template(template, &document),
        Format::Table if args.dry_run => ui.line(format_args!("Would pull {digest}")),
        Format::Table => ui.line(format_args!("Pulled {digest}")),
    }
}
