//! What `kit unpack --dry-run` says.

use super::{Args, would_fetch};
use crate::{
    cli::{Context, args::Format, failure::Failure, human},
    ops::{
        self,
        chain::Family,
        datasets::Source,
        delta, files,
        unpack::{self, Options, Sources},
    },
    progress::Progress,
};

/// Lists the files that are selected, as they are found: there may be more than fit in memory.
pub(super) fn run(
    args: &Args,
    family: &Family,
    sources: &Sources<'_>,
    options: &Options,
    context: &Context,
    progress: &dyn Progress,
) -> Result<(), Failure> {
    let format = &args.output.format;
    let mut listed = Listed {
        lines: matches!(format, Format::Table).then_some(context),
        rows: Vec::new(),
        count: 0,
        bytes: 0,
    };
    let kit = &family.kit;
    let selection = unpack::select(family, options)?;
    if selection.kitfile {
        let size = kit.kitfile_text().len() as u64;
        listed.add(unpack::KITFILE, size)?;
    }
    let estimate = delta::estimate_unpack(family, &selection, sources, options, progress)?;
    let mut failure = None;
    let found = files::list_layers(
        unpack::kits(family),
        &selection.layers,
        sources,
        &options.globs,
        progress,
        &mut |_, file| {
            // A Kitfile among the files is the one that is listed already.
            let again = selection.kitfile && file.path == unpack::KITFILE.as_bytes();
            if file.is_folder || again {
                return Ok(());
            }
            let path = String::from_utf8_lossy(&file.path);
            listed.add(&path, file.size).map_err(|why| {
                failure = Some(why);
                ops::Error::Output(std::io::ErrorKind::Other.into())
            })
        },
    );
    match failure {
        Some(failure) => return Err(failure),
        None => found?,
    }
    for dataset in &selection.objects {
        let (Source::Object { location, .. }, Some(objects)) = (&dataset.source, &sources.objects)
        else {
            continue;
        };
        if options.globs.selects(dataset.path.as_bytes()) {
            let size = objects.open(location)?.size();
            listed.add(&dataset.path, size)?;
        }
    }
    if listed.count == 0 {
        let reference = kit.reference.to_string();
        return Err(ops::Error::NoFile { reference }.into());
    }
    match format {
        Format::Table => {}
        Format::Json => return context.ui.json(&listed.rows),
        Format::Template(template) => return context.ui.template(template, &listed.rows.into()),
    }
    context.ui.status(format_args!(
        "{} of {} would be written to {}",
        human::count(listed.count, "file"),
        human::bytes(listed.bytes),
        args.dir.display()
    ));
    // Without anything here it is what was said already.
    if let Some(estimate) = estimate.filter(|it| it.delta < it.full) {
        context.ui.status(would_fetch(&estimate));
    }
    Ok(())
}

/// What was listed so far.
struct Listed<'c> {
    /// Where it is said at once; otherwise it is kept.
    lines: Option<&'c Context>,
    rows: Vec<serde_json::Value>,
    count: u64,
    bytes: u64,
}

impl Listed<'_> {
    fn add(&mut self, path: &str, size: u64) -> Result<(), Failure> {
        self.count += 1;
        self.bytes = self.bytes.saturating_add(size);
        match self.lines {
            Some(context) => context.ui.line(path)?,
            None => self
                .rows
                .push(serde_json::json!({"path": path, "size": size})),
        }
        Ok(())
    }
}
