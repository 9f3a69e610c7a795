//! Where the kit is that a command looks at: in the local store or in its registry.

use super::{
    Context,
    failure::{Failure, Kind},
    network::{NetworkArgs, Way, needs_registry},
    values::concurrency,
};
use crate::{
    oci::Descriptor,
    ops::{
        kit::{self, Documents},
        look::{self, Model},
        pull::Registries as _,
        remote,
        toc::Far,
        transfer::Network,
    },
    progress::Progress,
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
        looked.map_err(|failure| self.not_found(reference, failure))
    }

    /// Finds a kit as [`PlaceArgs::look`] does, and looks into its models.
    pub(crate) fn look_into(
        &self,
        reference: &Reference,
        command: &'static str,
        context: &Context,
    ) -> Result<(Descriptor, Documents, Vec<Model>), Failure> {
        let progress = context.progress();
        if self.remote {
            let way = Way::new(&self.network, reference, context)?;
            return look_into_registry(&way, reference, &progress)
                .map_err(|failure| self.not_found(reference, failure));
        }
        let (descriptor, documents) = self.look(reference, command, context)?;
        let store = context.store(command)?;
        let place = look::Place::Store(&store);
        let models = look::models(reference, &documents, place, &progress)?;
        Ok((descriptor, documents, models))
    }

    /// Says where else the kit may be.
    fn not_found(&self, reference: &Reference, failure: Failure) -> Failure {
        let failure = failure.about(reference);
        let registry = reference.repository().and_then(|it| it.registry());
        match registry.filter(|_| !self.remote && failure.kind == Kind::NotFound) {
            Some(registry) => failure.hint(format!("--remote looks for it in {registry}")),
            None => failure,
        }
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

/// Reads the documents of a kit in its registry, and the beginnings of its models.
fn look_into_registry(
    way: &Way,
    reference: &Reference,
    progress: &dyn Progress,
) -> Result<(Descriptor, Documents, Vec<Model>), Failure> {
    let repository = way.access.repository(needs_registry(reference)?)?;
    let looked = remote::look(&repository, reference);
    let (descriptor, documents) = way.network.wait(progress, looked)?;
    let parts = way.streams(progress).parts();
    let far = Far {
        parts: &parts,
        repository: &repository,
    };
    let place = look::Place::Registry(far);
    let models = look::models(reference, &documents, place, progress)?;
    Ok((descriptor, documents, models))
}
