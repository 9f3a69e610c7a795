//! What commands say of the kits that a model comes from.

use serde::Serialize;

use super::{
    Context,
    failure::{Failure, Kind},
    network::NetworkArgs,
};
use crate::{
    digest::Digest,
    kitfile::Kitfile,
    ops::{
        Error,
        chain::{self, Child, Parent},
        kit::Kit,
        pack::Prepared,
        remote::Remote,
        transfer::Network,
    },
    progress::Progress,
    reference::Reference,
};

/// A parent in JSON.
#[derive(Serialize)]
pub(crate) struct ParentRow {
    reference: String,
    digest: Digest,
}

impl ParentRow {
    /// Describes a parent that was opened.
    pub(crate) fn of_kit(kit: &Kit) -> Self {
        Self {
            reference: kit.reference.to_string(),
            digest: kit.descriptor.digest,
        }
    }

    /// Describes a parent that was found.
    pub(crate) fn of(parent: &Parent) -> Self {
        Self {
            reference: parent.reference.to_string(),
            digest: parent.descriptor.digest,
        }
    }
}

/// The way to parents that are not in the store.
pub(crate) struct Way<'w> {
    /// How registries are reached.
    pub(crate) network: &'w NetworkArgs,
    /// Those that parents may be on in every case.
    pub(crate) allowed: &'w [String],
}

/// Finds the kits that a kit which is to have `names` takes its model from.
pub(crate) fn find(
    command: &str,
    names: &[Reference],
    kitfile: &Kitfile,
    way: Option<&Way<'_>>,
    context: &Context,
    progress: &dyn Progress,
) -> Result<Vec<Parent>, Failure> {
    if kitfile.model_reference().is_none() {
        return Ok(Vec::new());
    }
    let child = Child {
        names,
        descriptor: None,
        kitfile,
    };
    let store = context.store(command)?;
    let found = chain::in_store(&store, child, progress);
    let Some(way) = way.filter(|_| found.as_ref().is_err_and(Error::is_elsewhere)) else {
        return Ok(found?);
    };
    // A login in the environment is for where the kit is to go, not for whatever its Kitfile names.
    let own = names.first().cloned();
    let own = own.unwrap_or_else(|| Digest::of(b"").into());
    let access = way.network.access_to_documents(&own, context)?;
    let remote = Remote {
        network: &Network::new()?,
        registries: &access,
        parent_registries: way.allowed,
        progress,
    };
    Ok(chain::anywhere(&store, &remote, child, progress)?)
}

/// Finds the same for a check. That they are elsewhere is no mistake of the Kitfile's: then there
/// are none, and it is said.
pub(crate) fn find_to_check(
    kitfile: &Kitfile,
    context: &Context,
    progress: &dyn Progress,
) -> Result<Vec<Parent>, Failure> {
    match find("kit check", &[], kitfile, None, context, progress) {
        Err(failure) if failure.kind == Kind::NotFound => {
            context.ui.status(format_args!(
                "Not checked against the kits that the model is to come from: {}",
                failure.message
            ));
            Ok(Vec::new())
        }
        found => found,
    }
}

/// Tells what is left out of a kit because it belongs to one of its `parents`, and returns what of
/// that was a warning.
pub(crate) fn tell_claimed(
    parents: &[Parent],
    prepared: &Prepared,
    context: &Context,
) -> Vec<String> {
    let mut warnings = Vec::new();
    for claim in chain::claimed(parents, &prepared.found.foreign) {
        let (path, owner) = (&claim.path, &claim.owner);
        if claim.is_model {
            context
                .ui
                .status(format_args!("Left out: `{path}` belongs to {owner}"));
        } else {
            // Kits take the model of their parents and nothing else.
            let warning = format!(
                "`{path}` is left out: it belongs to {owner}, which is not unpacked with this kit"
            );
            context.ui.warn(&warning);
            warnings.push(warning);
        }
    }
    if let Some(last) = parents.last()
        && !chain::holds_model(parents)
    {
        let warning = format!(
            "the model is to come from {}, which holds none",
            last.reference
        );
        context.ui.warn(&warning);
        warnings.push(warning);
    }
    warnings
}

/// Says where the model of a kit is that is looked into.
pub(crate) fn tell_model_elsewhere(kitfile: &Kitfile, context: &Context) {
    if let Some(model) = kitfile.model_reference() {
        context
            .ui
            .status(format_args!("The model is in another kit: {model}"));
    }
}
