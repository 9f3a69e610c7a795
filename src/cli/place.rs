//! Where the kit is that a command looks at: in the local store or in its registry.

use super::{
    Context,
    failure::{Failure, Kind},
    network::{NetworkArgs, needs_registry},
    values::concurrency,
};
use crate::{
    oci::Descriptor,
    ops::{
        kit::{self, Documents},
        pull::Registries as _,
        remote,
        transfer::Network,
    },
    reference::Reference,
};

/// The flags: flatten them into the arguments of a command.
#[derive(clap::Args)]
pub(crate) struct PlaceArgs {
    /// Ask the kit's registry, not the local store
    #[arg(short, long)]
    pub(crate) remote: bool,
    /// Accepted for compatibility: a kit has few documents
    #[arg(long, hide = true, value_name = "NUMBER", value_parser = concurrency)]
    concurrency: Option<usize>,
    #[command(flatten)]
    network: NetworkArgs,
}

impl PlaceArgs {
    /// Finds a kit for `command` and reads its documents. The local store is opened only if the kit
    /// is looked for there.
    pub(crate) fn look(
        &self,
        reference: &Reference,
        command: &'static str,
        context: &Context,
    ) -> Result<(Descriptor, Documents), Failure> {
        let looked = if self.remote {
            look_in_registry(&self.network, reference, context)
        } else {
            let store = context.store(command)?;
            kit::look(&store, reference, &context.watcher()).map_err(Failure::from)
        };
        looked.map_err(|failure| {
            let failure = failure.about(reference);
            let registry = reference.repository().and_then(|it| it.registry());
            match registry.filter(|_| !self.remote && failure.kind == Kind::NotFound) {
                Some(registry) => failure.hint(format!("--remote looks for it in {registry}")),
                None => failure,
            }
        })
    }
}

/// Reads the documents of a kit in its registry.
pub(crate) fn look_in_registry(
    network: &NetworkArgs,
    reference: &Reference,
    context: &Context,
) -> Result<(Descriptor, Documents), Failure> {
    let name = needs_registry(reference)?;
    let access = network.access_to_documents(reference, context)?;
    let repository = access.repository(name)?;
    let progress = context.progress();
    Ok(Network::new()?.wait(&progress, remote::look(&repository, reference))?)
}
