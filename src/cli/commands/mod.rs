//! The commands: one file each, one arm each.
//!
//! A command is `Args`, whose doc comments are the help, and `run(args, &Context)`.

mod cache;
mod completion;
mod dev;
mod pack;
mod unpack;
mod version;

use super::{Context, failure::Failure};

/// A command and its arguments.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Cache(cache::Args),
    Completion(completion::Args),
    Dev(dev::Args),
    Pack(pack::Args),
    Unpack(unpack::Args),
    Version(version::Args),
}

impl Command {
    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Cache(args) => cache::run(&args, context),
            Self::Completion(args) => completion::run(&args, context),
            Self::Dev(args) => dev::run(&args, context),
            Self::Pack(args) => pack::run(&args, context),
            Self::Unpack(args) => unpack::run(&args, context),
            Self::Version(args) => version::run(&args, context),
        }
    }
}
