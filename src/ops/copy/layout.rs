//! Copies into a folder with an OCI image layout, which may hold other things already.

use std::{
    collections::VecDeque,
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use super::{Moved, graph::Node, source::Source};
use crate::{
    archive::bundle::{self, Bundle, Growing, Turn},
    digest::{Digest, Hasher},
    limits::Limits,
    oci::{
        Descriptor, Index, annotation,
        layout::{BLOBS, INDEX, LAYOUT, LAYOUT_CONTENT},
    },
    ops::{Error, load, transfer::MAX_BLOBS_AT_ONCE},
    progress::{Meter, Progress},
    registry::{self, Throttle},
    store,
};

/// How it is copied into a layout.
pub(super) struct Target<'t> {
    pub(super) path: &'t Path,
    pub(super) name: Option<&'t str>,
    pub(super) concurrency: usize,
    pub(super) throttle: Option<&'t Throttle>,
    pub(super) progress: &'t dyn Progress,
}

impl Target<'_> {
    /// Opens what the layout holds, if it is one.
    fn existing(&self) -> Result<Option<(Bundle, Index)>, Error> {
        if !self.path.exists() {
            return Ok(None);
        }
        if self.path.join("kit-store.json").exists() {
            return Err(Error::IntoStore {
                path: self.path.to_owned(),
            });
        }
        let bundle = Bundle::open(self.path, &Limits::default())?;
        if bundle.file(LAYOUT)?.is_none() {
            if self.is_unused() {
                return Ok(None);
            }
            // Nobody's folder is filled with blobs by mistake.
            return Err(bundle::Error::NotEmpty(self.path.to_owned()).into());
        }
        let layout = load::Source::new(
            Arc::new(Bundle::open(self.path, &Limits::default())?),
            self.shown(),
            "",
        );
        Ok(Some((bundle, layout.index()?)))
    }

    /// Tells whether the folder holds nothing but what making a layout begins with.
    fn is_unused(&self) -> bool {
        let is_begun = |name: &str| {
            let empty = || fs::read(self.path.join(name)).is_ok_and(|it| it == empty_index());
            bundle::is_leftover(name) || (name == INDEX && empty())
        };
        self.path.read_dir().is_ok_and(|mut entries| {
            entries.all(|entry| entry.is_ok_and(|it| it.file_name().to_str().is_some_and(is_begun)))
        })
    }

    fn shown(&self) -> String {
        self.path.display().to_string()
    }

    /// Returns the blobs that the layout lacks, and how many it has.
    pub(super) fn missing(&self, nodes: &[Node]) -> Result<(Vec<Descriptor>, usize), Error> {
        let existing = self.existing()?;
        let mut seen = std::collections::HashSet::new();
        let (mut missing, mut present) = (Vec::new(), 0);
        for node in nodes {
            let contents = &node.contents;
            for blob in contents.layers.iter().chain(&contents.config) {
                if !seen.insert(blob.digest) {
                    continue;
                }
                let is_there = match &existing {
                    Some((bundle, _)) => is_right(bundle, blob)?,
                    None => false,
                };
                if is_there {
                    present += 1;
                } else {
                    missing.push(blob.clone());
                }
            }
        }
        missing.sort_by_key(|blob| std::cmp::Reverse(blob.size));
        Ok((missing, present))
    }

    /// Copies `nodes`, the one of `root` under the layout's name.
    pub(super) fn copy(
        &self,
        source: &Source<'_>,
        nodes: &[Node],
        root: &Digest,
    ) -> Result<Moved, Error> {
        let target = self.opened()?;
        let (missing, present) = self.missing(nodes)?;
        let total = missing.iter().map(|blob| blob.size).sum();
        let meter = self.progress.begin("Copying", Some(total));
        let sent = missing.len();
        let threads = self.concurrency.min(sent).clamp(1, MAX_BLOBS_AT_ONCE);
        let (open, failure) = (Mutex::new(VecDeque::from(missing)), Mutex::new(None));
        let is_over = AtomicBool::new(false);
        let (bytes, done) = (AtomicU64::new(0), AtomicUsize::new(0));
        let work = || {
            while !is_over.load(Ordering::Relaxed) {
                let Some(blob) = lock(&open).pop_front() else {
                    return;
                };
                let mut content = Checked {
                    content: match source.opener(&blob)(0) {
                        Ok(content) => content,
                        Err(error) => Box::new(Failed(Some(error))),
                    },
                    blob: blob.clone(),
                    hasher: Hasher::new(),
                    read: 0,
                    meter: meter.as_ref(),
                    throttle: self.throttle,
                    progress: self.progress,
                    is_over: &is_over,
                };
                if let Err(error) = target.add(&name_of(&blob.digest), &mut content) {
                    lock(&failure).get_or_insert(error);
                    is_over.store(true, Ordering::Relaxed);
                    return;
                }
                bytes.fetch_add(blob.size, Ordering::Relaxed);
                done.fetch_add(1, Ordering::Relaxed);
            }
        };
        thread::scope(|scope| {
            for _ in 1..threads {
                // Where a process may have few threads, fewer do the work.
                let _ = thread::Builder::new().spawn_scoped(scope, work);
            }
            work();
        });
        if let Some(error) = lock(&failure).take() {
            return Err(why(error, source));
        }
        for node in nodes {
            target.add(&name_of(&node.digest()), &mut &node.raw.bytes[..])?;
        }
        self.index(&target, nodes, root)?;
        Ok(Moved {
            manifests: nodes.len(),
            sent,
            present,
            sent_bytes: bytes.into_inner(),
            ..Moved::default()
        })
    }

    /// Opens the layout to add to it, and makes it if there is none.
    fn opened(&self) -> Result<Growing, Error> {
        let target = Growing::open(self.path)?;
        // Another process may be making it, and may have named a kit in it meanwhile.
        let _turn = self.turn(&target)?;
        if self.existing()?.is_none() {
            // First: what is cut off is a layout without the kit, and the next run goes on with it.
            target.add(INDEX, &mut &empty_index()[..])?;
            target.add(LAYOUT, &mut LAYOUT_CONTENT.as_bytes())?;
        }
        Ok(target)
    }

    /// Waits until no other process changes the index.
    fn turn(&self, target: &Growing) -> Result<Turn, Error> {
        loop {
            if let Some(turn) = target.turn()? {
                return Ok(turn);
            }
            if self.progress.cancelled() {
                return Err(store::Error::Interrupted.into());
            }
            thread::sleep(Duration::from_millis(20));
        }
    }

    /// Names what was copied, last of all.
    fn index(&self, target: &Growing, nodes: &[Node], root: &Digest) -> Result<(), Error> {
        let _turn = self.turn(target)?;
        // What others have added meanwhile stays.
        let mut index = self.existing()?.map(|it| it.1).unwrap_or_default();
        for node in nodes {
            let is_root = node.digest() == *root;
            let name = if is_root {
                self.name.map(str::to_owned)
            } else {
                node.tag.clone()
            };
            // What an index names needs no name here.
            if !is_root && name.is_none() && !node.is_referrer {
                continue;
            }
            let mut entry = if node.is_referrer {
                node.described()
            } else {
                node.raw.descriptor.clone()
            };
            let known = |it: &Descriptor| it.annotations.get(annotation::REF_NAME).cloned();
            index.manifests.retain(|it| match &name {
                Some(name) => known(it).as_ref() != Some(name),
                None => it.digest != entry.digest || known(it).is_some(),
            });
            entry.annotations.remove(annotation::REF_NAME);
            if let Some(name) = name {
                entry
                    .annotations
                    .insert(annotation::REF_NAME.to_owned(), name);
            }
            index.manifests.push(entry);
        }
        let bytes = index.to_bytes();
        target.add(INDEX, &mut &bytes[..])?;
        Ok(())
    }
}

fn empty_index() -> Vec<u8> {
    Index::default().to_bytes()
}

fn name_of(digest: &Digest) -> String {
    format!("{BLOBS}/{}", digest.hex())
}

/// Tells whether a layout has a blob and the blob is right.
fn is_right(bundle: &Bundle, blob: &Descriptor) -> Result<bool, Error> {
    let Some((mut content, size)) = bundle.file(&name_of(&blob.digest))? else {
        return Ok(false);
    };
    if size != blob.size {
        return Ok(false);
    }
    let mut hasher = Hasher::new();
    let mut buffer = vec![0; 256 << 10];
    loop {
        match content.read(&mut buffer) {
            Ok(0) => return Ok(hasher.finish() == blob.digest),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            // It is written anew.
            Err(_) => return Ok(false),
        }
    }
}

/// Returns what a copy failed of.
fn why(error: bundle::Error, source: &Source<'_>) -> Error {
    use bundle::Error as E;
    let E::Content {
        name,
        source: cause,
    } = error
    else {
        return error.into();
    };
    let cause = match cause.downcast::<registry::Error>() {
        Ok(error) => return error.into(),
        Err(cause) => cause,
    };
    let cause = match cause.downcast::<Error>() {
        Ok(error) => return error,
        Err(cause) => cause,
    };
    match cause.downcast::<Wrong>() {
        Ok(Wrong { digest, actual }) => Error::WrongBlob {
            digest,
            peer: source.name(),
            actual,
        },
        Err(source) => E::Content { name, source }.into(),
    }
}

/// A blob that is not what its name says.
#[derive(Debug, thiserror::Error)]
#[error("{digest} has the digest {actual}")]
struct Wrong {
    digest: Digest,
    actual: Digest,
}

/// Content that could not be opened.
struct Failed(Option<io::Error>);

impl Read for Failed {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}

/// Content that fails at its end if it was not right.
struct Checked<'c> {
    content: Box<dyn Read + Send>,
    blob: Descriptor,
    hasher: Hasher,
    read: u64,
    meter: &'c dyn Meter,
    throttle: Option<&'c Throttle>,
    progress: &'c dyn Progress,
    is_over: &'c AtomicBool,
}

impl Read for Checked<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.progress.cancelled() || self.is_over.load(Ordering::Relaxed) {
            return Err(io::Error::other(Error::from(store::Error::Interrupted)));
        }
        let read = self.content.read(into)?;
        if read == 0 {
            let actual = self.hasher.clone().finish();
            if actual != self.blob.digest || self.read != self.blob.size {
                let digest = self.blob.digest;
                return Err(io::Error::other(Wrong { digest, actual }));
            }
            return Ok(0);
        }
        self.hasher.update(&into[..read]);
        self.read += read as u64;
        if let Some(throttle) = self.throttle {
            throttle.pass(read);
        }
        self.meter.advance(read as u64);
        Ok(read)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the folder of a layout as errors name it.
pub(super) fn shown(path: &Path, name: Option<&str>) -> String {
    let path = PathBuf::from(path);
    match name {
        Some(name) => format!("oci:{}:{name}", path.display()),
        None => format!("oci:{}", path.display()),
    }
}
