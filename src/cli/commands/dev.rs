//! `kit dev`, which is gone.

use std::ffi::OsString;

use crate::cli::{
    Context,
    failure::{Failure, Kind},
};

/// Gone: ran a model in a local development server
#[derive(clap::Args)]
#[command(hide = true)]
pub(crate) struct Args {
    #[arg(trailing_var_arg = true, allow_hyphen_values = true, hide = true)]
    _rest: Vec<OsString>,
}

/// Tells that the command is gone, why, and what to do instead.
pub(crate) fn run(_: &Args, _: &Context) -> Result<(), Failure> {
    // Wrong usage: nothing was tried that could have failed.
    Err(Failure::new(Kind::Usage, "`kit dev` is gone")
        .detail("running a model is work for a model server, a container or a cluster;")
        .detail("this program packs the files and brings them there")
        .hint("run `kit unpack REF --filter model`, and start a model server on the files"))
}
