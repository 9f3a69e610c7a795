//! `kit pack --push`

use std::sync::Arc;

use super::{
    Args,
    report::{self, Packed},
};
use crate::{
    cache::Cache,
    cli::{
        Context,
        args::Format,
        commands::push::summary,
        failure::{Failure, Kind},
    },
    ops::{
        self,
        pack::{self, Options, Prepared, Way},
        push::{Kit, Pushed, Pusher},
        transfer::Network,
    },
    reference::Reference,
    store::Store,
};

fn has_registry(name: &Reference) -> bool {
    name.repository().is_some_and(|it| it.registry().is_some())
}

/// Refuses what cannot be pushed, before anything is read.
pub(super) fn check(args: &Args) -> Result<(), Failure> {
    let names = super::names(args);
    if !args.push {
        return Ok(());
    }
    if !names.iter().any(has_registry) {
        return Err(
            Failure::new(Kind::Usage, "--push needs a name that has a registry")
                .hint("name the kit: -t registry.example/team/net:1.0"),
        );
    }
    let local = names.iter().find(|name| !has_registry(name));
    if let (true, Some(name)) = (args.no_store, local) {
        let message = format!("--no-store keeps nothing here that could be called {name}");
        return Err(Failure::new(Kind::Usage, message).hint("leave out that name, or --no-store"));
    }
    Ok(())
}

/// Pushes a kit that was packed, under all of its names that have a registry.
pub(super) fn push(
    args: &Args,
    options: &Options,
    store: &Store,
    context: &Context,
) -> Result<Vec<Pushed>, Failure> {
    let names = options.names.iter().filter(|name| has_registry(name));
    let names: Vec<Reference> = names.cloned().collect();
    let push = || {
        let access = args
            .network
            .access(&names[0], args.transfer.stall_timeout, context)?;
        let network = Network::new()?;
        let progress = context.progress();
        let push = args
            .upload
            .options(&args.transfer, args.compat, &names[0], context)?;
        let mut pusher = Pusher::new(store, &network, &access, push, &progress);
        let mut reports = Vec::new();
        for targets in pack::by_repository(&names) {
            tell_target(&targets, context);
            let kit = Kit {
                source: targets[0].clone(),
                targets,
            };
            let done = pusher.push(&kit)?.kit;
            context.ui.status(summary(&done));
            reports.push(done);
        }
        Ok(reports)
    };
    push().map_err(|failure: Failure| {
        let failure = failure.about(&names[0]);
        let again = names.iter().map(ToString::to_string);
        failure.hint(format!(
            "the kit is packed; this pushes it: {}",
            again
                .map(|name| format!("`kit push {name}`"))
                .collect::<Vec<_>>()
                .join(", ")
        ))
    })
}

/// Packs into registries alone, and prints what was packed.
pub(super) fn send(
    args: &Args,
    options: &Options,
    prepared: &Arc<Prepared>,
    (store, cache): (&Store, &Cache),
    context: &Context,
) -> Result<(), Failure> {
    let name = &options.names[0];
    let stall = args.transfer.stall_timeout;
    let access = args.network.access(name, stall, context)?;
    let network = Network::new()?;
    let way = Way {
        network: &network,
        registries: &access,
        options: args
            .upload
            .options(&args.transfer, args.compat, name, context)?,
        store,
    };
    for targets in pack::by_repository(&options.names) {
        tell_target(&targets, context);
    }
    let progress = context.progress();
    let sent = pack::send(options, prepared, &way, cache, &progress);
    drop(progress);
    let sent = sent.map_err(|error| Failure::from(error).about(name))?;
    for pushed in &sent.pushed {
        context.ui.status(summary(pushed));
    }
    match &args.output.format {
        Format::Table => context
            .ui
            .line(format_args!("Pushed {}", sent.manifest.digest)),
        format => report::print(
            format,
            options,
            &Packed::sent(&sent),
            Some(&sent.pushed),
            context,
        ),
    }
}

/// Returns the failure of a kit that could not be stored; where it does not fit, it can be sent all
/// the same.
pub(super) fn without_a_copy(error: ops::Error) -> Failure {
    let does_not_fit = matches!(error, ops::Error::NoSpace { .. });
    let failure = Failure::from(error);
    if does_not_fit {
        return failure
            .hint("`kit pack --push --no-store` sends a kit and keeps no copy of it here");
    }
    failure
}

fn tell_target(targets: &[Reference], context: &Context) {
    let names: Vec<String> = targets.iter().map(ToString::to_string).collect();
    context
        .ui
        .status(format_args!("Pushing to {}", names.join(", ")));
}
