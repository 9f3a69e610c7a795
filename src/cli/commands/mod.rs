//! The commands: one file each, one arm each.
//!
//! A command is `Args`, whose doc comments are the help, and `run(args, &Context)`.

mod cache;
mod cat;
mod check;
mod check_ignore;
mod completion;
mod convert;
mod copy;
mod dev;
mod diff;
mod doctor;
mod du;
mod files;
mod history;
mod info;
mod init;
mod inspect;
mod list;
mod load;
mod login;
mod logout;
mod migrate;
mod pack;
mod prune;
mod pull;
mod push;
mod remove;
mod save;
mod status;
mod tag;
mod toc;
mod unpack;
mod verify;
mod version;

use super::{Context, failure::Failure};

/// A command and its arguments.
#[derive(clap::Subcommand)]
pub(crate) enum Command {
    Cache(cache::Args),
    Cat(cat::Args),
    Check(check::Args),
    CheckIgnore(check_ignore::Args),
    Completion(completion::Args),
    Convert(convert::Args),
    Copy(copy::Args),
    Dev(dev::Args),
    Diff(diff::Args),
    Doctor(doctor::Args),
    Du(du::Args),
    Files(files::Args),
    History(history::Args),
    Info(info::Args),
    Init(init::Args),
    Inspect(inspect::Args),
    List(list::Args),
    Load(load::Args),
    Login(login::Args),
    Logout(logout::Args),
    Migrate(migrate::Args),
    Pack(pack::Args),
    Prune(prune::Args),
    Pull(pull::Args),
    Push(push::Args),
    Remove(remove::Args),
    Save(save::Args),
    Status(status::Args),
    Tag(tag::Args),
    Toc(toc::Args),
    Unpack(unpack::Args),
    Verify(verify::Args),
    Version(version::Args),
}

impl Command {
    /// Tells whether a file with settings that cannot be understood must stop the command. What
    /// helps to mend it must go on.
    pub(crate) const fn needs_settings(&self) -> bool {
        !matches!(
            self,
            Self::Doctor(_) | Self::Version(_) | Self::Completion(_)
        )
    }

    /// Runs the command.
    pub(crate) fn run(self, context: &Context) -> Result<(), Failure> {
        match self {
            Self::Cache(args) => cache::run(&args, context),
            Self::Cat(args) => cat::run(&args, context),
            Self::Check(args) => check::run(&args, context),
            Self::CheckIgnore(args) => check_ignore::run(&args, context),
            Self::Completion(args) => completion::run(&args, context),
            Self::Convert(args) => convert::run(&args, context),
            Self::Copy(args) => copy::run(&args, context),
            Self::Dev(args) => dev::run(&args, context),
            Self::Diff(args) => diff::run(&args, context),
            Self::Doctor(args) => doctor::run(&args, context),
            Self::Du(args) => du::run(&args, context),
            Self::Files(args) => files::run(&args, context),
            Self::History(args) => history::run(&args, context),
            Self::Info(args) => info::run(&args, context),
            Self::Init(args) => init::run(&args, context),
            Self::Inspect(args) => inspect::run(&args, context),
            Self::List(args) => list::run(&args, context),
            Self::Load(args) => load::run(&args, context),
            Self::Login(args) => login::run(&args, context),
            Self::Logout(args) => logout::run(&args, context),
            Self::Migrate(args) => migrate::run(&args, context),
            Self::Pack(args) => pack::run(&args, context),
            Self::Prune(args) => prune::run(&args, context),
            Self::Pull(args) => pull::run(&args, context),
            Self::Push(args) => push::run(&args, context),
            Self::Remove(args) => remove::run(&args, context),
            Self::Save(args) => save::run(&args, context),
            Self::Status(args) => status::run(&args, context),
            Self::Tag(args) => tag::run(&args, context),
            Self::Toc(args) => toc::run(&args, context),
            Self::Unpack(args) => unpack::run(&args, context),
            Self::Verify(args) => verify::run(&args, context),
            Self::Version(args) => version::run(&args, context),
        }
    }
}
