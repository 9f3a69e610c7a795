//! The flags of all commands that give blobs to registries.

use std::sync::Arc;

use clap::ValueEnum as _;

use super::{Context, failure::Failure, network::TransferArgs, values::bytes};
use crate::{
    config::file::{Entry, File},
    http::limits,
    ops::push,
    reference::Reference,
    registry::{self, Throttle, UploadOptions, Way},
};

/// The flags: flatten them into the arguments of a command.
#[derive(clap::Args)]
#[command(next_help_heading = "Network options")]
pub(crate) struct UploadArgs {
    /// What kind of registry it is [default: known by its name and answers]
    #[arg(long, value_name = "KIND", value_parser = clap::builder::PossibleValuesParser::new(registry::kinds()))]
    kind: Option<String>,
    /// Send blobs in pieces of at most this size, such as 50MB [default: what suits the registry]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    chunk_size: Option<u64>,
    /// How to send large blobs: whole, or in chunks [default: what suits the registry]
    #[arg(
        long,
        value_name = "WAY",
        hide_possible_values = true,
        conflicts_with = "chunk_size"
    )]
    upload: Option<Upload>,
    /// The largest layer that the registry takes, such as 10GB [default: known of some kinds]
    #[arg(long, value_name = "SIZE", value_parser = bytes)]
    max_layer: Option<u64>,
    /// Send nothing if a limit of the registry is known that the kit exceeds
    #[arg(long)]
    strict_limits: bool,
}

/// How large blobs are sent.
#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Upload {
    /// In one request each
    Whole,
    /// In several requests
    Chunks,
}

impl UploadArgs {
    /// Returns how kits are pushed to the registry of `target`: as the flags say, else as the
    /// settings say of that registry.
    pub(crate) fn options(
        &self,
        transfer: &TransferArgs,
        compat: bool,
        target: &Reference,
        context: &Context,
    ) -> Result<push::Options, Failure> {
        let file = context.settings_file.as_ref().ok().and_then(Option::as_ref);
        let host = target.repository().and_then(|it| it.registry());
        // They were checked when the file was read.
        let setting = |key: &str| of_registry(file?, host?, key);
        let is_typed = self.upload.is_some() || self.chunk_size.is_some();
        let upload = setting("upload").filter(|_| !is_typed);
        let chunk_size = setting("chunk-size").filter(|_| !is_typed);
        let upload = self.upload.or_else(|| Upload::from_str(upload?, true).ok());
        let kind = self.kind.as_deref().or_else(|| setting("kind"));
        Ok(push::Options {
            concurrency: transfer.uploads(),
            strict_limits: self.strict_limits,
            compat: compat || setting("compat") == Some("true"),
            places: Some(context.cache(false)?.places()),
            upload: UploadOptions {
                sessions: Some(context.settings.home()?.join("uploads")),
                stall: transfer.stall_timeout,
                closing: limits::CLOSING,
                throttle: transfer
                    .max_rate()
                    .map(|rate| Arc::new(Throttle::new(rate))),
                kind: kind.and_then(registry::kind),
                way: upload.map(|way| match way {
                    Upload::Whole => Way::Whole,
                    Upload::Chunks => Way::Chunks,
                }),
                max_layer: self.max_layer.or_else(|| bytes(setting("max-layer")?).ok()),
                chunk: self.chunk_size.or_else(|| bytes(chunk_size?).ok()),
            },
        })
    }
}

/// Returns what `file` sets for a registry.
fn of_registry<'a>(file: &'a File, host: &str, key: &str) -> Option<&'a str> {
    let is_it = |it: &&Entry| it.host.as_deref() == Some(host) && it.key == key;
    let entry = file.entries.iter().rev().find(is_it)?;
    entry.values.first().map(String::as_str)
}
