//! Taking layers apart: reading archives strictly, and putting their files into a folder that
//! nothing can lead out of.
//!
//! A run goes through three stages. Each layer's files are written into a hidden folder in the
//! target, where they wait (`staging`); when the layer's digest and size have held they join
//! those of the earlier layers; and when all layers were read, they are moved to their names
//! (`publish`), a whole folder at a time where the target has none of that name. So no byte
//! that was not verified is ever seen under a name, and a conflict stops the run before it has
//! changed anything.
//!
//! The target is opened once. From then on everything is reached through handles of folders,
//! opened one component at a time and never through a link: whatever is exchanged meanwhile,
//! nothing is written elsewhere. Files that the target has already with the same bytes are
//! compared and left alone, without being written anywhere.
//!
//! One thread reads, hashes and understands the layer; others create and write the files.

mod claims;
mod feed;
mod files;
mod folder;
mod layer;
mod name;
mod pax;
mod place;
mod publish;
mod queues;
mod reader;
mod report;
mod share;
mod staging;
mod target;
#[cfg(test)]
mod tests;

use std::{
    io::Read,
    num::NonZeroUsize,
    path::Path,
    sync::{Mutex, PoisonError},
    thread,
};

pub use files::Taken;
pub use layer::{Layer, Shape};
pub(crate) use name::fits_windows;
pub use reader::{Entry, Kind, TarReader};
pub use report::{LayerReport, Report};
pub use share::Stored;

use self::{
    claims::Claims,
    feed::{Feed, Said},
    layer::{Metered, Promise, RawFile},
    place::{Context, Counts},
    queues::Queues,
    report::Conflicts,
    staging::Staging,
    target::Target,
};
use crate::{
    archive::{
        Error, LayerFailure,
        decompress::{Bounds, Compression, Decompressed},
    },
    digest::Digest,
    limits::Limits,
    platform,
    progress::Progress,
};

/// Most threads that write: more only wait for the same folders.
const THREADS_LIMIT: usize = 8;

/// What to do where the target has another file already. Equal files are left alone and cut-off
/// ones (the beginning of what is wanted) completed in every case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Existing {
    /// List all of them as one error, and change nothing.
    #[default]
    Refuse,
    /// Replace files, links and special files; folders never.
    Overwrite,
    /// Leave other files as they are. What is no file at all is an error.
    Keep,
}

/// How to unpack.
#[derive(Clone, Debug, Default)]
pub struct Options {
    /// What to do where the target has another file already.
    pub existing: Existing,
    /// How many threads write files; all cores if `None`.
    pub threads: Option<NonZeroUsize>,
    /// Make files that are a whole layer hard links to what the layer is stored in. They are as
    /// read-only as that is; those that may be executed are copied.
    pub link: bool,
    /// What reading a layer may cost.
    pub limits: Limits,
}

/// A run that unpacks into one folder. Dropping it before [`Unpack::finish`] leaves the folder
/// as it was.
pub struct Unpack<'p> {
    options: Options,
    progress: &'p dyn Progress,
    // Before the target, whose lock keeps other processes away until this is gone.
    staging: Staging,
    target: Target,
    claims: Claims,
    said: Said,
    labels: Vec<String>,
    /// Whether each layer so far failed.
    failed: Vec<bool>,
    conflicts: Conflicts,
    failures: Vec<LayerFailure>,
    report: Report,
    /// The run ended with an error that concerns all layers.
    ended: bool,
}

impl<'p> Unpack<'p> {
    /// Begins a run into the folder `target`, which is made if it is missing. Waits, and says
    /// so, while another process unpacks into it; removes what killed runs left there.
    pub fn begin(
        target: &Path,
        options: Options,
        progress: &'p dyn Progress,
    ) -> Result<Self, Error> {
        if options.link && platform::may_write_everything() {
            return Err(Error::LinkAsRoot);
        }
        let target = Target::open(target, progress)?;
        Ok(Self {
            options,
            progress,
            staging: Staging::create(&target)?,
            target,
            claims: Claims::default(),
            said: Said::default(),
            labels: Vec::new(),
            failed: Vec::new(),
            conflicts: Conflicts::default(),
            failures: Vec::new(),
            report: Report::default(),
            ended: false,
        })
    }

    /// Puts a file of the caller's own at `path`, by the same rules as the files of layers,
    /// which cannot replace it.
    pub fn file(&mut self, path: &str, content: &[u8]) -> Result<(), Error> {
        let path = name::clean(path.as_bytes())?;
        let staged = self.stage(format!("`{}`", name::text(&path)), |feed| {
            let mut rest = content;
            let size = content.len() as u64;
            feed.file(&path, false, size, &mut |into| {
                rest.read(into).map_err(Error::Read)
            })
        })?;
        staged.map(|_| ())
    }

    /// Reads a layer to its end and stages the files that `select` accepts by their path.
    ///
    /// An error ends the run: the target or the user does not allow any layer. What is wrong
    /// with this layer alone, be it damage, is kept for [`Unpack::finish`], so that the others
    /// are still unpacked; so is what is in the way in the target.
    pub fn layer<R: Read + Send>(
        &mut self,
        layer: Layer<R>,
        select: &(dyn Fn(&[u8]) -> bool + Sync),
    ) -> Result<LayerReport, Error> {
        let Layer {
            label,
            digest,
            size,
            diff_id,
            prefix,
            shape,
            compression,
            plain_size,
            read,
            stored,
        } = layer;
        let meter = self.progress.begin(&label, Some(size));
        let meter = meter.as_ref();
        // One byte more than promised shows that there are too many.
        let most = size.saturating_add(1);
        let read = read.take(most);
        let read = Metered { read, meter };
        let link = self.options.link;
        let bounds = Bounds::of(size, plain_size, &self.options.limits);
        let promise = Promise {
            digest,
            size,
            diff_id,
        };
        let is_compressed = compression != Compression::None;
        let claim = Bounds::claim(size, plain_size, &self.options.limits).filter(|_| is_compressed);
        let staged = self.stage(label.clone(), |feed| {
            feed.context.check_room(claim)?;
            let read = Decompressed::new(read, compression, bounds).map_err(Error::Read)?;
            match shape {
                Shape::Tar => layer::feed_tar(feed, read, &prefix, &promise, select),
                Shape::Raw { path, executable } => {
                    let file = RawFile {
                        path: layer::below(&prefix, &path)?,
                        executable,
                        size: (!is_compressed).then_some(size),
                        stored,
                        link,
                    };
                    layer::feed_raw(feed, read, &file, meter, &promise, select)
                }
            }
        })?;
        Ok(self.settle(label, digest, staged))
    }

    /// Keeps what is wrong with a layer for the end.
    fn settle(
        &mut self,
        label: String,
        digest: Digest,
        staged: Result<Report, Error>,
    ) -> LayerReport {
        match staged {
            Ok(files) => LayerReport { held: true, files },
            Err(cause) => {
                self.failures.push(LayerFailure {
                    label,
                    digest,
                    cause,
                });
                LayerReport {
                    held: false,
                    files: Report::default(),
                }
            }
        }
    }

    /// Returns what is wrong with the last of the layers that failed.
    pub fn failure(&self) -> Option<&Error> {
        self.failures.last().map(|failure| &failure.cause)
    }

    /// Forgets the last of the layers that failed: it will be read once more.
    pub fn forgive(&mut self) {
        self.failures.pop();
    }

    /// Ends the run: moves what was staged to its names and makes it durable.
    ///
    /// If anything in the target is in the way, nothing is moved, and the error lists all of
    /// it. Else the layers that held are unpacked, and the first one that did not is the error.
    pub fn finish(mut self) -> Result<Report, Error> {
        if self.ended || self.progress.cancelled() {
            return Err(Error::Interrupted);
        }
        // Where the target folds names there was an error.
        if let Some(warning) = self.claims.warning() {
            self.progress.warn(&warning);
        }
        if self.conflicts.is_empty() {
            self.publish()?;
        }
        let conflicts = std::mem::take(&mut self.conflicts);
        self.staging
            .close()
            .map_err(|error| self.target.write_error("", error))?;
        if let Some(error) = conflicts.into_error() {
            return Err(error);
        }
        let mut failures = self.failures.into_iter();
        match failures.next() {
            None => Ok(self.report),
            Some(LayerFailure {
                label,
                digest,
                cause,
            }) => Err(Error::Layer {
                label,
                digest,
                cause: Box::new(cause),
                others: failures.collect(),
            }),
        }
    }

    fn publish(&mut self) -> Result<(), Error> {
        let fail = |path: &Path, error| self.target.write_error(path, error);
        let ready = self
            .staging
            .ready()
            .map_err(|error| fail(Path::new(""), error))?;
        let conflicts = &mut self.conflicts;
        let mut taken = |path: &Path, obstacle| {
            conflicts.add(path.to_string_lossy().into_owned(), obstacle);
        };
        let only_longer = self.options.existing != Existing::Overwrite;
        let dir = self.target.dir();
        publish::move_new(&ready.new, dir, &mut taken)
            .and_then(|()| publish::move_over(&ready.over, dir, only_longer, &mut taken))
            .map_err(|(path, error)| fail(&path, error))?;
        self.target
            .sync()
            .map_err(|error| fail(Path::new(""), error))
    }

    /// Runs the threads for one layer that `feed` reads. The outer error ends the run, the inner
    /// one concerns the layer.
    fn stage(
        &mut self,
        label: String,
        feed: impl FnOnce(&mut Feed<'_>) -> Result<(), Error>,
    ) -> Result<Result<Report, Error>, Error> {
        if self.ended {
            return Err(Error::Interrupted);
        }
        let staged = self.stage_or_end(label, feed);
        self.ended = staged.is_err();
        staged
    }

    fn stage_or_end(
        &mut self,
        label: String,
        feed: impl FnOnce(&mut Feed<'_>) -> Result<(), Error>,
    ) -> Result<Result<Report, Error>, Error> {
        let fail = |error| Error::Target {
            path: self.target.path().to_owned(),
            source: error,
        };
        self.labels.push(label);
        let context = Context {
            target: &self.target,
            policy: self.options.existing,
            trees: self.staging.begin_layer().map_err(fail)?,
            ready: self.staging.ready().map_err(fail)?,
            labels: &self.labels,
            conflicts: Mutex::default(),
            counts: Counts::default(),
            hopeless: (!self.conflicts.is_empty()).into(),
            failure: Mutex::default(),
            failed: false.into(),
        };
        let threads = self.options.threads.map_or_else(
            || thread::available_parallelism().map_or(1, NonZeroUsize::get),
            NonZeroUsize::get,
        );
        let threads = threads.min(THREADS_LIMIT);
        let mut queues = Queues::default();
        let outcome = thread::scope(|scope| {
            for number in 0..threads {
                let jobs = queues.add();
                let context = &context;
                let spawned = thread::Builder::new()
                    .name(format!("unpack-{number}"))
                    .spawn_scoped(scope, move || context.work(&jobs));
                if let Err(error) = spawned {
                    queues.withdraw();
                    if number == 0 {
                        return Err(fail(error));
                    }
                }
            }
            let memory = (&mut self.claims, &mut self.said);
            let mut feeder = Feed::new(&context, self.progress, memory, &self.failed, queues)?;
            feed(&mut feeder)?;
            feeder.flush();
            Ok(())
        });
        let staged = match (context.take_failure(), outcome) {
            // Damage is the reason for whatever the threads met in it.
            (Some(met), Err(error)) if error.is_damage() && !met.ends_the_run() => Err(error),
            (Some(error), _) | (None, Err(error)) => Err(error),
            (None, Ok(())) => Ok(Report::of(&context.counts)),
        };
        match staged {
            Err(error) if error.ends_the_run() => return Err(error),
            Err(error) => {
                // Its conflicts were with content that cannot be trusted.
                self.failed.push(true);
                self.staging.end_layer().map_err(fail)?;
                return Ok(Err(error));
            }
            Ok(_) => {}
        }
        self.failed.push(false);
        let found = context
            .conflicts
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        self.conflicts.append(found);
        if self.conflicts.is_empty() {
            join_ready(&context.trees, &context.ready, &self.target)?;
        }
        self.staging.end_layer().map_err(fail)?;
        let files = staged.expect("matched above");
        self.report.add(files);
        Ok(Ok(files))
    }
}

/// Moves the files of a layer that held to those of the earlier ones.
fn join_ready(
    layer: &staging::Trees,
    ready: &staging::Trees,
    target: &Target,
) -> Result<(), Error> {
    for (from, to) in [(&layer.new, &ready.new), (&layer.over, &ready.over)] {
        // The same path was met already; what is left is a name that folds to another one.
        let mut folded = None;
        publish::move_new(from, to, &mut |path, _| {
            let parent = path.parent().unwrap_or(Path::new(""));
            if let Ok(dir) = staging::open_below(to, parent) {
                folded.get_or_insert_with(|| place::folded(&dir, path));
            }
        })
        .map_err(|(path, error)| target.write_error(path, error))?;
        if let Some(error) = folded {
            return Err(error);
        }
    }
    Ok(())
}
