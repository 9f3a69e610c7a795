//! Takes a kit, or the wanted part of it, out into a directory.

use std::{
    collections::{HashSet, VecDeque},
    fs::File,
    io::{self, Read},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{
    Error,
    chain::Family,
    files,
    kit::{Kit, Layer, Place, noun},
    stream::{Stream, Streams},
};
use crate::{
    archive::{
        self, ready,
        unpack::{self, Existing, Shape, Stored, Unpack},
    },
    digest::Digest,
    filter::{Filter, PathGlobs, Type},
    kitfile::Section,
    progress::Progress,
    reference::Reference,
    registry,
    store::{self, Store},
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

/// Where layers come from.
pub struct Sources<'s> {
    /// What is here.
    pub store: &'s Store,
    /// What reads the rest out of registries; `None` if all is here.
    pub streams: Option<Streams<'s>>,
}

impl<'s> Sources<'s> {
    /// Begins to read a layer out of a registry; `None` if it is to be found in the store.
    pub(super) fn stream(&self, wanted: &Wanted) -> Option<Stream<'s>> {
        let streams = self.streams.as_ref()?;
        match &wanted.place {
            Place::Store(_) => None,
            Place::Registry(repository) => Some(streams.open(repository, &wanted.layer.descriptor)),
        }
    }
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
    if !options.globs.is_everything() {
        let layers = &mut selection.layers;
        files::retain_selected(layers, sources.store, &options.globs, progress)?;
        if selection.layers.is_empty() && !selection.kitfile {
            return Err(no_file(kit)); // Before there is a target for nothing.
        }
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
    let mut ahead = Ahead::new(sources, &selection.layers)?;
    for (position, wanted_layer) in selection.layers.iter().enumerate() {
        // Layers are said to be unpacked only if something of them is.
        let label = wanted_layer.label();
        let say = || progress.status(&format!("Unpacking {label}"));
        let said = AtomicBool::new(options.globs.is_everything());
        if options.globs.is_everything() {
            say();
        }
        let select = |path: &[u8]| {
            let wanted = wanted(path);
            if wanted && !said.swap(true, Ordering::Relaxed) {
                say();
            }
            wanted
        };
        let source = ahead.source(position, label.clone());
        let is_far = matches!(source.read, Blob::Far(_));
        if unpack.layer(source, &select)?.held || !is_far {
            continue;
        }
        if unpack.failure().is_some_and(archive::Error::is_altered) {
            progress.warn(&format!(
                "what came for {label} is something else: it is fetched once more"
            ));
            unpack.forgive();
            unpack.layer(ahead.source(position, label.clone()), &select)?;
        }
        // A blob that is not there says nothing about the others.
        let lost = unpack.failure().and_then(archive::Error::of_source);
        if lost.is_some_and(|lost| !matches!(lost, registry::Error::NoBlob { .. })) {
            break;
        }
    }
    drop(ahead);
    if matched.into_inner() == 0 && !options.globs.is_everything() {
        return Err(no_file(kit));
    }
    let files = unpack.finish()?;
    if let Some(path) = &options.ready_file {
        ready::announce(path, &format!("{}\n", kit.descriptor.digest))?;
    }
    Ok(Report {
        files,
        kitfile: selection.kitfile,
        layers: selection.layers.into_iter().map(|it| it.layer).collect(),
    })
}

fn no_file(kit: &Kit) -> Error {
    Error::NoFile {
        reference: kit.reference.to_string(),
    }
}

/// What a filter wants of a kit and its parents.
#[derive(Debug)]
pub struct Selection {
    /// Whether the kit's Kitfile is wanted; those of parents never are.
    pub kitfile: bool,
    /// The layers in the order in which they are unpacked: what a kit stands on comes before it.
    pub layers: Vec<Wanted>,
}

/// A layer that is wanted.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The layer.
    pub layer: Layer,
    /// The parent it belongs to; `None` for one of the kit's own.
    pub parent: Option<Reference>,
    /// Where its blob is.
    pub place: Place,
}

impl Wanted {
    /// Tells whether its kit is in a registry.
    pub const fn is_far(&self) -> bool {
        matches!(self.place, Place::Registry(_))
    }

    /// Returns what the layer is called, with the kit that it comes from if that is a parent.
    fn label(&self) -> String {
        let label = describe(&self.layer);
        match &self.parent {
            Some(parent) => format!("{label} of {parent}"),
            None => label,
        }
    }
}

/// Chooses what of a kit and its parents `options` want.
pub fn select(family: &Family, options: &Options) -> Result<Selection, Error> {
    let mut layers = Vec::new();
    if let Some(filter) = Family::parents_filter(&options.filter) {
        for parent in family.parents.iter().rev() {
            let of_parent = select_layers(parent, &filter).into_iter();
            layers.extend(of_parent.map(|layer| Wanted {
                layer,
                parent: Some(parent.reference.clone()),
                place: parent.place.clone(),
            }));
        }
    }
    layers.extend(own_layers(&family.kit, &options.filter));
    let kitfile = options.filter.selects_kitfile();
    if layers.is_empty() && !kitfile {
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
        place: kit.place.clone(),
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

/// The bytes of a blob, or why there are none. What is gone or cut off is found when it is
/// opened, what was changed when it is read; either way the other layers are unpacked.
enum Blob<'s> {
    Open(File),
    Far(Stream<'s>),
    Unusable(Option<store::Error>),
}

impl Read for Blob<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Open(file) => file.read(buffer),
            Self::Far(stream) => stream.read(buffer),
            Self::Unusable(why) => Err(match why.take() {
                Some(why) => io::Error::other(why),
                None => io::ErrorKind::BrokenPipe.into(),
            }),
        }
    }
}

/// The layers in their order, those of registries begun before their turn.
struct Ahead<'s> {
    sources: &'s Sources<'s>,
    layers: &'s [Wanted],
    /// Blobs of kits in registries that the store has all the same.
    here: HashSet<Digest>,
    /// What comes already, with its place in the order.
    begun: VecDeque<(usize, Stream<'s>)>,
    /// The first layer that was not looked at.
    next: usize,
}

impl<'s> Ahead<'s> {
    fn new(sources: &'s Sources<'s>, layers: &'s [Wanted]) -> Result<Self, Error> {
        let far = layers.iter().filter(|wanted| wanted.is_far());
        let far: Vec<_> = far.map(|wanted| &wanted.layer.descriptor).collect();
        let here = if far.is_empty() {
            HashSet::new()
        } else {
            sources.store.unchanged(far)?
        };
        Ok(Self {
            sources,
            layers,
            here,
            begun: VecDeque::new(),
            next: 0,
        })
    }

    /// Returns the layer at `position`, and begins with those after it.
    fn source(&mut self, position: usize, label: String) -> unpack::Layer<Blob<'s>> {
        let wanted = &self.layers[position];
        let (read, stored) = match self.stream(position) {
            Some(stream) => (Blob::Far(stream), None),
            None => open(self.sources.store, &wanted.layer),
        };
        source(&wanted.layer, label, read, stored)
    }

    fn stream(&mut self, position: usize) -> Option<Stream<'s>> {
        let mine = match self.begun.front() {
            Some((begun, _)) if *begun == position => self.begun.pop_front(),
            _ => None,
        };
        let mine = mine.map(|(_, stream)| stream);
        // Read once more, or the first of all.
        let mine = mine.or_else(|| self.open(position));
        self.next = self.next.max(position + 1);
        let most = self.sources.streams.as_ref().map_or(0, Streams::at_once);
        while self.begun.len() + 1 < most && self.next < self.layers.len() {
            if let Some(stream) = self.open(self.next) {
                self.begun.push_back((self.next, stream));
            }
            self.next += 1;
        }
        mine
    }

    fn open(&self, position: usize) -> Option<Stream<'s>> {
        let wanted = &self.layers[position];
        if self.here.contains(&wanted.layer.descriptor.digest) {
            return None;
        }
        self.sources.stream(wanted)
    }
}

fn open<'s>(store: &Store, layer: &Layer) -> (Blob<'s>, Option<Stored>) {
    let descriptor = &layer.descriptor;
    match store.open_blob(&descriptor.digest, descriptor.size) {
        Ok(file) => {
            let path = store.blob_path(&descriptor.digest);
            let stored = file.try_clone().ok().map(|file| Stored { file, path });
            (Blob::Open(file), stored)
        }
        Err(why) => (Blob::Unusable(Some(why)), None),
    }
}

fn source<'s>(
    layer: &Layer,
    label: String,
    read: Blob<'s>,
    stored: Option<Stored>,
) -> unpack::Layer<Blob<'s>> {
    let descriptor = &layer.descriptor;
    let shape = if layer.layer_type.encoding.is_raw() {
        Shape::Raw {
            path: layer.entry.clean.clone().into_bytes(),
            executable: layer.executable(),
        }
    } else {
        Shape::Tar
    };
    unpack::Layer {
        label,
        digest: descriptor.digest,
        size: descriptor.size,
        diff_id: layer.entry.diff_id,
        prefix: layer.prefix().unwrap_or_default().as_bytes().to_vec(),
        shape,
        compression: layer.compression(),
        plain_size: layer.plain_size(),
        read,
        stored,
    }
}
