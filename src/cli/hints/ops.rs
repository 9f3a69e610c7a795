//! What goes wrong in operations.

use super::{io_kind, listed, write_kind};
use crate::{
    cli::{
        failure::{Failure, Kind},
        human,
        ui::output_failure,
    },
    ops::{self, chain::ChainError, remote::registry_of},
    reference,
};

impl From<ops::Error> for Failure {
    fn from(error: ops::Error) -> Self {
        use ops::Error as E;
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::NoFile { .. } => plain(Kind::NotFound).hint("`kit files` lists the paths"),
            E::NoSuchFile { suggestion, .. } => {
                let failure = plain(Kind::NotFound);
                match suggestion {
                    Some(path) => failure.hint(format!("there is `{path}`")),
                    None => failure.hint("`kit files` lists the paths"),
                }
            }
            E::IsFolder { reference, path } if path == "." => {
                plain(Kind::Failed).hint(format!("`kit files {reference}` lists what is in it"))
            }
            E::IsFolder { reference, path } => plain(Kind::Failed).hint(format!(
                "`kit files {reference} --include '{path}'` lists what is in it"
            )),
            E::TooLargeToPrint { path, .. } => plain(Kind::Limit).hint(format!(
                "`kit unpack --include '{path}'` takes it out into a folder"
            )),
            E::IgnoredElements { ignored } => ignored
                .iter()
                .fold(plain(Kind::Failed), Self::detail)
                .hint("take it out of the Kitfile, or bring it back with `!PATH` in .kitignore"),
            E::ManifestTooLarge { .. } => {
                plain(Kind::Limit).hint("pack folders as single elements of the Kitfile")
            }
            E::RawName { .. } => {
                plain(Kind::Failed).hint("rename it, or pack with --layer-format tar")
            }
            E::ConfigTooLarge { .. } => {
                plain(Kind::Limit).hint("shorten the texts and parameters of the Kitfile")
            }
            E::Config { .. }
            | E::Mismatch { .. }
            | E::Segments { .. }
            | E::NoPath { .. }
            | E::BadDocument { .. } => {
                plain(Kind::Damaged)
            }
            E::DamagedSource { .. } | E::MissingSource { .. } => {
                plain(Kind::Damaged).hint("save or copy it again")
            }
            E::NoSuchName { names, .. } if !names.is_empty() => {
                plain(Kind::NotFound).hint(format!("there is {}", listed(names)))
            }
            E::NoKitopsStore { .. } => plain(Kind::NotFound).hint(
                "name KitOps's home or its storage folder; `kit load` takes other OCI layouts",
            ),
            E::NotInKitops { .. } => {
                plain(Kind::NotFound).hint("`kit migrate --dry-run` lists what there is")
            }
            E::NoSuchName { .. } | E::NothingToPack { .. } => plain(Kind::NotFound),
            E::Ambiguous { path, names } => {
                let failure = plain(Kind::Usage).hint(format!("choose one: {path}:NAME"));
                match names.as_slice() {
                    [] => failure,
                    names => failure.hint(format!("there is {}", listed(names))),
                }
            }
            E::Nameless { path, name, .. } => {
                let named = reference::Reference::parse(&format!("repository:{name}"));
                let is_tag = named.is_ok_and(|it| it.tag() == Some(name));
                let tag = if is_tag { name } else { "TAG" };
                plain(Kind::Usage).hint(format!(
                    "give it a name: `kit load {path}:{name} -t REPOSITORY:{tag}`"
                ))
            }
            E::Output(source) => output_failure(source),
            E::CannotRead { source, .. } | E::Tree { source, .. } => Self::of(io_kind(source), &error),
            E::WriteKitfile { source, .. } => {
                Self::of(write_kind(source), &error).with_space_hint(source)
            }
            E::KitfileExists { .. }
            | E::NotABundle { .. }
            | E::Unsupported { .. }
            | E::NotConvertible { .. }
            | E::NotALayout { .. }
            | E::Threads(_) => plain(Kind::Failed),
            E::NoRegistry { .. } => plain(Kind::Usage)
                .hint("write the registry before it: registry.example/team/net:1.0"),
            E::Unexpected { .. } => plain(Kind::Damaged)
                .hint("someone has moved the tag, or it is not the kit you were told of"),
            E::WrongBlob { .. } => plain(Kind::Damaged)
                .hint("the registry is damaged, or something on the way changes what it sends"),
            E::NoSpace { need, have, .. } => plain(Kind::Limit).hint(format!(
                "free {} there; `kit prune` frees what no kit needs",
                human::bytes(need.saturating_sub(*have))
            )),
            E::AboveLimit { .. } => plain(Kind::Limit).hint(
                "cut what is too large into several elements of the Kitfile, or try without --strict-limits",
            ),
            E::Unfinished { .. } => match error {
                E::Unfinished { kept, source } => Self::from(*source).hint(format!(
                    "{} are kept: the same command goes on from there",
                    human::bytes(kept)
                )),
                other => Self::of(Kind::Failed, &other),
            },
            E::RemoteHash { .. } => {
                plain(Kind::Failed).hint("whoever packs the kit writes it as sha256:…")
            }
            E::Dataset { .. } => {
                let message = error.to_string();
                let E::Dataset { source, .. } = error else {
                    return Self::new(Kind::Failed, message);
                };
                // The kind of failure, and what can be done, are those of the cause.
                let mut failure = Self::from(*source);
                let cause = std::mem::replace(&mut failure.message, message);
                failure.causes.insert(0, cause);
                failure
            }
            E::IntoStore { .. } => plain(Kind::Usage)
                .hint("`kit pull` brings kits into the store, `kit load` those of a layout"),
            E::TooMuch { .. } => plain(Kind::Limit),
            E::ChangedLayer { .. } => plain(Kind::Failed)
                .hint("push again when nothing writes there; with --no-cache nothing is believed"),
            E::ParentElsewhere {
                registry,
                is_private: false,
                ..
            } => plain(Kind::NotAllowed).hint(format!(
                "if you trust it: --allow-parent {registry}, or `kit login {registry}`"
            )),
            E::ParentElsewhere { .. } => plain(Kind::NotAllowed),
            E::Store(_)
            | E::Archive(_)
            | E::Bundle(_)
            | E::Filter(_)
            | E::Chain(_)
            | E::Registry(_)
            | E::S3(_)
            | E::Credentials(_) => match error {
                E::S3(error) => error.into(),
                E::Registry(error) => error.into(),
                E::Credentials(error) => error.into(),
                E::Store(error) => error.into(),
                E::Archive(error) => error.into(),
                E::Bundle(error) => error.into(),
                E::Filter(error) => error.into(),
                E::Chain(error) => (*error).into(),
                other => Self::of(Kind::Failed, &other),
            },
        }
    }
}

impl From<ChainError> for Failure {
    fn from(error: ChainError) -> Self {
        use ChainError as E;
        let plain = |kind| Self::of(kind, &error);
        match &error {
            E::Circle { .. } => plain(Kind::Failed)
                .hint("let model.path of one of them name the files of the model"),
            E::TooLong { .. } => {
                plain(Kind::Limit).hint("let model.path name a kit further up the chain")
            }
            E::Missing {
                parent,
                suggestions,
                ..
            } => {
                let hint = if registry_of(parent).is_some() {
                    format!("`kit pull {parent}` fetches it, `kit load` takes it out of a bundle")
                } else {
                    "`kit load` takes it out of a bundle; a name that begins with a registry is \
                     looked for there"
                        .to_owned()
                };
                let failure = plain(Kind::NotFound).hint(hint);
                match suggestions.as_slice() {
                    [] => failure,
                    names => failure.hint(format!("there is {}", listed(names))),
                }
            }
            E::SharedPaths { clashes } => clashes
                .iter()
                .fold(plain(Kind::Failed), Self::detail)
                .hint("give the elements of this kit paths of their own"),
            E::Unusable { .. } => {
                let message = error.to_string();
                let E::Unusable { source, .. } = error else {
                    return Self::new(Kind::Failed, message);
                };
                // The kind of failure, and what can be done, are those of the cause.
                let mut failure = Self::from(*source);
                let cause = std::mem::replace(&mut failure.message, message);
                failure.causes.insert(0, cause);
                failure
            }
        }
    }
}
