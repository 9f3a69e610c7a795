//! What the user must hear before something is packed: nothing is left out without a line.

use crate::{
    archive::ignore::FILE_NAME,
    cli::{Context, human},
    ops::{
        licence::Licence,
        pack::{self, Options, Prepared},
    },
};

/// Tells that the licence of a draft could not be told.
pub(in crate::cli::commands) fn tell_licence(licence: &Licence, context: &Context) {
    if let Licence::Unknown(reason) = licence {
        // The reference's words, which scripts may look for.
        let warning = format_args!("Unable to determine license type: {reason}");
        context.ui.warn(warning);
    }
}

/// Tells what is not packed: nothing is left out without a line that says so.
pub(in crate::cli::commands) fn tell_left_out(
    prepared: &Prepared,
    has_parent: bool,
    context: &Context,
) {
    let found = &prepared.found;
    for warning in &found.warnings {
        context.ui.warn(warning);
    }
    if prepared.entries.is_empty() && !has_parent {
        let warning = "the Kitfile names nothing to pack: the kit has no layers";
        context.ui.warn(warning);
    }
    for index in 0..prepared.entries.len() {
        if let Some(line) = pack::emptiness(prepared, index) {
            context.ui.warn(line);
        }
    }
    for warning in &prepared.warnings {
        context.ui.warn(warning);
    }
    for (path, reason) in &found.guarded {
        context
            .ui
            .warn(format_args!("`{path}` is left out of the draft: {reason}"));
    }
    let mut parts: Vec<String> = found
        .litter
        .iter()
        .map(|(name, count)| format!("{count} {name}"))
        .collect();
    if found.ignored > 0 {
        parts.insert(0, format!("{} by {FILE_NAME}", found.ignored));
    }
    if !parts.is_empty() {
        context
            .ui
            .status(format_args!("Left out: {}", parts.join(", ")));
    }
}

/// Tells what layers in segments mean for who gets the kit.
pub(super) fn tell_cuts(options: &Options, prepared: &Prepared, context: &Context) {
    let Some(cuts) = pack::cuts(options, prepared) else {
        return;
    };
    let from = human::bytes(cuts.from);
    let target = human::bytes(cuts.target);
    context.ui.status(if pack::has_cuts(&cuts, prepared) {
        format!(
            "Layers of {from} and more are kept in segments of some {target}: only `kit` reads this kit, and `kit convert --layer-format tar` makes one of it that all read"
        )
    } else {
        format!("No layer has {from}: the kit is the same as with --layer-format tar")
    });
}
