//! Takes a kit, or the wanted part of it, out into a directory.

use std::{
    fs::File,
    io::{self, Read},
    num::NonZeroUsize,
    path::PathBuf,
    sync::atomic::{AtomicBool, AtomicU64, Ordering},
};

use super::{
    Error,
    kit::{Kit, Layer, noun},
};
use crate::{
    archive::{
        ready,
        unpack::{self, Existing, Shape, Stored, Unpack},
    },
    filter::{Filter, PathGlobs},
    kitfile::Section,
    progress::Progress,
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

/// Takes the ready file of an earlier run away. To be called before anything that can fail, so
/// that a run that fails leaves none behind.
pub fn withdraw_ready_file(options: &Options) -> Result<(), Error> {
    match &options.ready_file {
        Some(path) => Ok(ready::clear(path)?),
        None => Ok(()),
    }
}

/// Unpacks `kit`. Layers that held stay although another one failed; a second run completes.
pub fn run(
    kit: &Kit,
    store: &Store,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report, Error> {
    let selection = select(kit, options)?;
    let mut unpack = Unpack::begin(
        &options.target,
        unpack::Options {
            existing: options.existing,
            threads: options.threads,
            link: options.link,
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
    for layer in &selection.layers {
        // Layers are said to be unpacked only if something of them is.
        let say = || progress.status(&format!("Unpacking {}", describe(layer)));
        let said = AtomicBool::new(options.globs.is_everything());
        if options.globs.is_everything() {
            say();
        }
        unpack.layer(source(store, layer), &|path: &[u8]| {
            let wanted = wanted(path);
            if wanted && !said.swap(true, Ordering::Relaxed) {
                say();
            }
            wanted
        })?;
    }
    if matched.into_inner() == 0 && !options.globs.is_everything() {
        return Err(Error::NoFile {
            reference: kit.reference.to_string(),
        });
    }
    let files = unpack.finish()?;
    if let Some(path) = &options.ready_file {
        ready::announce(path, &format!("{}\n", kit.descriptor.digest))?;
    }
    Ok(Report {
        files,
        kitfile: selection.kitfile,
        layers: selection.layers,
    })
}

/// What a filter wants of a kit.
struct Selection {
    kitfile: bool,
    layers: Vec<Layer>,
}

fn select(kit: &Kit, options: &Options) -> Result<Selection, Error> {
    let layers = select_layers(kit, &options.filter);
    let kitfile = options.filter.selects_kitfile();
    if layers.is_empty() && !kitfile {
        let entries = kit.layers.iter().map(|layer| &layer.entry);
        let entries =
            entries.map(|entry| (entry.section, entry.name.as_str(), entry.path.as_str()));
        return Err(options.filter.no_match(entries).into());
    }
    Ok(Selection {
        kitfile: kitfile && options.globs.selects(KITFILE.as_bytes()),
        layers,
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
enum Blob {
    Open(File),
    Unusable(Option<store::Error>),
}

impl Read for Blob {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Open(file) => file.read(buffer),
            Self::Unusable(why) => Err(match why.take() {
                Some(why) => io::Error::other(why),
                None => io::ErrorKind::BrokenPipe.into(),
            }),
        }
    }
}

fn source(store: &Store, layer: &Layer) -> unpack::Layer<Blob> {
    let descriptor = &layer.descriptor;
    let shape = if layer.layer_type.encoding.is_raw() {
        Shape::Raw {
            path: layer.entry.clean.clone().into_bytes(),
            executable: layer.executable(),
        }
    } else {
        Shape::Tar
    };
    let (read, stored) = match store.open_blob(&descriptor.digest, descriptor.size) {
        Ok(file) => {
            let path = store.blob_path(&descriptor.digest);
            let stored = file.try_clone().ok().map(|file| Stored { file, path });
            (Blob::Open(file), stored)
        }
        Err(why) => (Blob::Unusable(Some(why)), None),
    };
    unpack::Layer {
        label: describe(layer),
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
