//! Takes a kit, or the wanted part of it, out into a directory.

mod space;

use std::{
    collections::HashSet,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
    thread,
};

pub use super::sources::Sources;
use super::{
    Error,
    chain::Family,
    datasets::{Elsewhere, Source},
    delta, files,
    kit::{Kit, Layer, Place, noun},
    sources::{self, Ahead, Blob, object},
    stream::Streams,
    take::{self, Tables},
    toc::Parts,
};
use crate::{
    archive::{
        self, ready,
        unpack::{self, Existing, Unpack},
    },
    digest::Digest,
    filter::{Filter, PathGlobs, Type},
    kitfile::Section,
    progress::Progress,
    reference::Reference,
    registry,
};

/// The name under which the Kitfile is written.
pub const KITFILE: &str = "Kitfile";

/// What to take out, and how.
pub struct Options {
    /// Where to.
    pub target: PathBuf,
    /// Which elements of the Kitfile.
    pub filter: Filter,
    /// Which paths of these.
    pub globs: PathGlobs,
    /// What becomes of files that are there already.
    pub existing: Existing,
    /// How many threads write; all cores if `None`.
    pub threads: Option<NonZeroUsize>,
    /// Make files that are a whole layer hard links to the store.
    pub link: bool,
    /// Folders in whose files is looked for what is wanted of kits in registries. Besides there is the
    /// target.
    pub trees: Vec<PathBuf>,
    /// A file that appears, with the kit's digest in it, when all is there and durable.
    pub ready_file: Option<PathBuf>,
}

/// What was taken out.
#[derive(Debug)]
pub struct Report {
    /// Whether the Kitfile was wanted.
    pub kitfile: bool,
    /// The layers that were wanted.
    pub layers: Vec<Layer>,
    /// What became of their files.
    pub files: unpack::Report,
    /// What of the layers came from a registry, and what was here.
    pub moved: delta::Filled,
}

/// Takes the ready file of an earlier run away, and checks that this one can make its own. To be
/// called before anything that can fail, so that a run that fails leaves none behind.
pub fn withdraw_ready_file(options: &Options) -> Result<(), Error> {
    let Some(path) = &options.ready_file else {
        return Ok(());
    };
    ready::clear(path)?;
    let folder = ready::folder_of(path);
    // The kit itself may bring a folder below the target.
    if folder.exists() || !is_below(folder, &options.target) {
        ready::check(path)?;
    }
    Ok(())
}

fn is_below(path: &Path, folder: &Path) -> bool {
    let absolute = |path: &Path| std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    absolute(path).starts_with(absolute(folder))
}

/// Unpacks a kit and the model out of its parents, in one go: nothing gets its name if anything of
/// any of them is in the way. Layers that held stay although another one failed; a second run
/// completes.
pub fn run(
    family: &Family,
    sources: &Sources<'_>,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let kit = &family.kit;
    let mut selection = select(family, options)?;
    let parts = sources.streams.as_ref().map(Streams::parts);
    let parts = parts.map(|parts| parts.of_kits(kits(family)));
    let tables = tables(
        parts.as_ref(),
        family,
        &selection,
        sources,
        options,
        progress,
    )?;
    let mut picks = Vec::new();
    if !options.globs.is_everything() {
        let layers = &mut selection.layers;
        files::retain_selected(layers, sources.store, &options.globs, progress)?;
        picks = take::plan(&tables, layers, &options.globs, sources, progress)?;
        let globs = &options.globs;
        let is_object = |it: &&Elsewhere| globs.selects(it.path.as_bytes());
        selection.objects.retain(is_object);
        if selection.layers.is_empty() && selection.objects.is_empty() && !selection.kitfile {
            return Err(no_file(kit)); // Before there is a target for nothing.
        }
    }
    if options.globs.is_everything() {
        space::check(&selection, &options.target)?;
    }
    let mut unpack = Unpack::begin(
        &options.target,
        unpack::Options {
            existing: options.existing,
            threads: options.threads,
            link: options.link,
            limits: *sources.store.limits(),
        },
        progress,
    )?;
    if selection.kitfile {
        unpack.file(KITFILE, &kit.kitfile_text())?;
    }
    let matched = AtomicU64::new(u64::from(selection.kitfile));
    let wanted = |path: &[u8]| {
        let wanted = options.globs.selects(path);
        matched.fetch_add(wanted.into(), Ordering::Relaxed);
        wanted
    };
    let opened = delta::open(
        parts.as_ref(),
        family,
        &selection,
        sources,
        options,
        progress,
    )?;
    let patches = delta::plan(&opened, &selection, sources, options, progress)?;
    let mut others = patches.layers();
    let picked = picks.iter().zip(&selection.layers);
    let picked = picked.filter(|(pick, _)| pick.is_some());
    others.extend(picked.map(|(_, it)| it.layer.descriptor.digest));
    let mut moved = delta::Filled::default();
    let mut ahead = Ahead::new(sources, &selection.layers, &others)?;
    // A large folder comes in many layers, which are called the same.
    let mut last_said = String::new();
    for (position, wanted_layer) in selection.layers.iter().enumerate() {
        // Layers are said to be unpacked only if something of them is.
        let label = wanted_layer.label();
        let say = || progress.status(&format!("Unpacking {label}"));
        let again = last_said == label;
        let said = AtomicBool::new(options.globs.is_everything() || again);
        if options.globs.is_everything() && !again {
            say();
        }
        let select = |path: &[u8]| {
            let wanted = wanted(path);
            if wanted && !said.swap(true, Ordering::Relaxed) {
                say();
            }
            wanted
        };
        let descriptor = &wanted_layer.layer.descriptor;
        let pick = picks.get(position).and_then(Option::as_ref);
        let (mut held, mut is_lost) = (false, false);
        if let Some(pick) = pick {
            let of = (wanted_layer, label.as_str());
            let which = (&options.globs, &select as &(dyn Fn(&[u8]) -> bool + Sync));
            held = pick.unpack(&mut unpack, of, &tables, which, progress)?.held;
        } else if let Some((patched, patcher)) = patches.read(descriptor)? {
            held = thread::scope(|scope| {
                let making = scope.spawn(|| patcher.run());
                let read = Blob::Patched(patched);
                let layer = sources::source(wanted_layer, label.clone(), read, None);
                let held = unpack.layer(layer, &select).map(|report| report.held);
                let made = making.join();
                moved.reused += made.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
                held
            })?;
            if !held && progress.cancelled() {
                return Err(archive::Error::Interrupted.into());
            }
            let cause = unpack.failure().filter(|_| !held);
            let source = cause.and_then(archive::Error::of_source);
            is_lost = matches!(source, Some(registry::Error::Http(_)));
            if let Some(cause) = cause.filter(|_| !is_lost) {
                let why = match source {
                    Some(why) => why.to_string(),
                    None => cause.to_string(),
                };
                progress.warn(&format!(
                    "{label} could not be put together, and is fetched whole: {why}"
                ));
                unpack.forgive();
            }
        }
        if !held && pick.is_none() && !is_lost {
            let source = ahead.source(position, label.clone());
            let fetched = match &source.read {
                Blob::Far(coming) => Some(coming.fetched()),
                _ => None,
            };
            moved.fetched += fetched.unwrap_or_default();
            held = unpack.layer(source, &select)?.held || fetched.is_none();
        }
        if said.load(Ordering::Relaxed) {
            last_said.clone_from(&label);
        }
        if held {
            continue;
        }
        if progress.cancelled() {
            return Err(archive::Error::Interrupted.into());
        }
        if unpack.failure().is_some_and(archive::Error::is_altered) {
            progress.warn(&format!(
                "what came for {label} is something else: it is fetched once more"
            ));
            unpack.forgive();
            moved.fetched += descriptor.size;
            unpack.layer(ahead.source(position, label.clone()), &select)?;
        }
        // A blob that is not there says nothing about the others.
        let lost = unpack.failure().and_then(archive::Error::of_source);
        if lost.is_some_and(|lost| !matches!(lost, registry::Error::NoBlob { .. })) {
            break;
        }
    }
    drop(ahead);
    for dataset in &selection.objects {
        let label = format!("{} to `{}`", dataset.label, dataset.path);
        if wanted(dataset.path.as_bytes()) {
            progress.status(&format!("Unpacking {label}"));
            unpack.layer(object(dataset, sources, label)?, &|_| true)?;
        }
    }
    // What is damaged may have held what was wanted.
    let is_read = unpack.failure().is_none();
    if is_read && matched.into_inner() == 0 && !options.globs.is_everything() {
        return Err(no_file(kit));
    }
    let files = unpack.finish()?;
    moved.fetched += parts.as_ref().map_or(0, Parts::came);
    if let Some(path) = &options.ready_file {
        ready::announce(path, &format!("{}\n", kit.descriptor.digest))?;
    }
    Ok(Report {
        files,
        kitfile: selection.kitfile,
        moved,
        layers: selection.layers.into_iter().map(|it| it.layer).collect(),
    })
}

/// Opens the tables of contents of kits in registries of which single files are wanted.
fn tables<'t>(
    parts: Option<&'t Parts<'t>>,
    family: &'t Family,
    selection: &Selection<'_>,
    sources: &'t Sources<'_>,
    options: &Options,
    progress: &'t dyn Progress,
) -> Result<Tables<'t>, Error> {
    if parts.is_none() || options.globs.is_everything() {
        return Ok(Tables::none());
    }
    let far = selection.layers.iter().filter(|wanted| wanted.is_far());
    let wanted: HashSet<Digest> = far.map(|wanted| wanted.kit).collect();
    let kits = kits(family).filter(|kit| wanted.contains(&kit.descriptor.digest));
    Tables::open(kits, parts, sources.store, progress)
}

/// Returns the kits of which something is unpacked.
pub fn kits(family: &Family) -> impl Iterator<Item = &Kit> {
    let elsewhere = family.elsewhere.iter().filter_map(|it| match &it.source {
        Source::Kit(kit) => Some(&**kit),
        Source::Object { .. } => None,
    });
    let own = std::iter::once(&family.kit);
    own.chain(&family.parents).chain(elsewhere)
}

fn no_file(kit: &Kit) -> Error {
    Error::NoFile {
        reference: kit.reference.to_string(),
    }
}

/// What a filter wants of a kit and its parents.
#[derive(Debug)]
pub struct Selection<'f> {
    /// Whether the kit's Kitfile is wanted; those of parents never are.
    pub kitfile: bool,
    /// The layers in the order in which they are unpacked: what a kit stands on comes before it.
    pub layers: Vec<Wanted>,
    /// The datasets that are objects.
    pub objects: Vec<&'f Elsewhere>,
}

/// A layer that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The layer.
    pub layer: Layer,
    /// The other kit it belongs to; `None` for one of the kit's own.
    pub parent: Option<Reference>,
    /// The folder that its files go below, if it is not the target.
    pub below: Option<String>,
    /// Where its blob is.
    pub place: Place,
    /// The manifest of its kit.
    pub kit: Digest,
}

impl Wanted {
    /// Tells whether its kit is in a registry.
    pub const fn is_far(&self) -> bool {
        matches!(self.place, Place::Registry(_))
    }

    /// Returns the folder under which the paths in the layer belong.
    pub(super) fn prefix(&self) -> String {
        let own = self.layer.prefix();
        match (&self.below, own) {
            (None, own) => own.unwrap_or_default().to_owned(),
            (Some(below), None) => below.clone(),
            (Some(below), Some(own)) => format!("{below}/{own}"),
        }
    }

    /// Returns where a path as the layer has it, with its own folder, leads to.
    pub(super) fn place_below(&self, path: Vec<u8>) -> Vec<u8> {
        match &self.below {
            Some(below) if below != "." => [below.as_bytes(), b"/", &path].concat(),
            _ => path,
        }
    }

    /// Returns what the layer is called, with the kit that it comes from if that is a parent.
    fn label(&self) -> String {
        let label = describe(&self.layer);
        match (&self.parent, &self.below) {
            (Some(parent), Some(below)) => format!("{label} of {parent} below `{below}`"),
            (Some(parent), None) => format!("{label} of {parent}"),
            (None, _) => label,
        }
    }
}

/// Returns how many bytes the blobs of layers have together. They may be of many kits.
pub(super) fn size<'w>(layers: impl Iterator<Item = &'w Wanted>) -> u64 {
    let sizes = layers.map(|wanted| wanted.layer.descriptor.size);
    sizes.fold(0, u64::saturating_add)
}

/// Chooses what of a kit and its parents `options` want.
pub fn select<'f>(family: &'f Family, options: &Options) -> Result<Selection<'f>, Error> {
    let mut layers = Vec::new();
    if let Some(filter) = Family::parents_filter(&options.filter) {
        for parent in family.parents.iter().rev() {
            let of_parent = select_layers(parent, &filter).into_iter();
            layers.extend(of_parent.map(|layer| Wanted {
                layer,
                parent: Some(parent.reference.clone()),
                below: None,
                place: parent.place.clone(),
                kit: parent.descriptor.digest,
            }));
        }
    }
    layers.extend(own_layers(&family.kit, &options.filter));
    for dataset in &family.elsewhere {
        if let Source::Kit(kit) = &dataset.source {
            let data = own_layers(kit, &Filter::of_types(&[Type::Datasets]));
            layers.extend(data.map(|wanted| Wanted {
                parent: Some(kit.reference.clone()),
                below: Some(dataset.path.clone()),
                ..wanted
            }));
        }
    }
    let objects: Vec<_> = family.elsewhere.iter().collect();
    let is_object = |it: &&Elsewhere| matches!(it.source, Source::Object { .. });
    let objects: Vec<_> = objects.into_iter().filter(is_object).collect();
    let kitfile = options.filter.selects_kitfile();
    if layers.is_empty() && objects.is_empty() && !kitfile {
        let models = family
            .parents
            .iter()
            .rev()
            .flat_map(|parent| &parent.layers);
        let models = models.filter(|it| Type::of(it.entry.section) == Type::Model);
        let all = models.chain(&family.kit.layers);
        let entries = all.map(|layer| &layer.entry);
        let entries =
            entries.map(|entry| (entry.section, entry.name.as_str(), entry.path.as_str()));
        return Err(options.filter.no_match(entries).into());
    }
    Ok(Selection {
        kitfile: kitfile && options.globs.selects(KITFILE.as_bytes()),
        layers,
        objects,
    })
}

/// Returns the layers of the kit itself that `filter` selects.
pub(super) fn own_layers<'k>(
    kit: &'k Kit,
    filter: &Filter,
) -> impl Iterator<Item = Wanted> + use<'k> {
    let layers = select_layers(kit, filter).into_iter();
    layers.map(|layer| Wanted {
        layer,
        parent: None,
        below: None,
        place: kit.place.clone(),
        kit: kit.descriptor.digest,
    })
}

/// Returns the layers that `filter` selects.
pub fn select_layers(kit: &Kit, filter: &Filter) -> Vec<Layer> {
    let wanted = kit
        .layers
        .iter()
        .filter(|layer| filter.selects(layer.entry.section, &layer.entry.name, &layer.entry.path));
    wanted.cloned().collect()
}

/// Returns what a layer is called: ``dataset `train` ``, with its path if that says more.
pub fn describe(layer: &Layer) -> String {
    let entry = &layer.entry;
    let noun = noun(entry.section);
    match entry.section {
        Section::Code | Section::Docs => format!("{noun} `{}`", entry.clean),
        _ if entry.name.is_empty() => format!("{noun} `{}`", entry.clean),
        _ => format!("{noun} `{}` to `{}`", entry.name, entry.clean),
    }
}
