//! The thread that reads a layer and hands its files to those that write them.

use std::{
    io::Read as _,
    path::PathBuf,
    sync::{
        Arc,
        atomic::Ordering,
        mpsc::{SyncSender, sync_channel},
    },
};

use super::{
    claims::Claims,
    folder::{Cache, Folder, Live},
    name,
    place::{Context, Job, Placed},
    queues::Queues,
};
use crate::{
    archive::{Error, ignore::is_unpack_name},
    platform,
    progress::Progress,
};

/// Files up to this size travel in batches.
const SMALL: u64 = 128 * 1024;
/// How much content a batch holds before it is sent.
const BATCH_BYTES: usize = 256 * 1024;
/// How many files a batch holds at most, and how many are enough when the folder changes.
const BATCH_FILES: usize = 128;
const BATCH_FEW: usize = 16;
/// The pieces a large file is handed over in, and how many of them may wait: what one layer
/// holds in memory is about threads × (pieces + 1) × this.
const PIECE: usize = 256 * 1024;
const PIECES: usize = 4;

/// What was said once and is not said again.
#[derive(Default)]
pub(super) struct Said {
    version_control: bool,
    windows: bool,
}

/// Hands the files of one layer to the writing threads.
pub(super) struct Feed<'l> {
    pub(super) context: &'l Context<'l>,
    pub(super) progress: &'l dyn Progress,
    pub(super) claims: &'l mut Claims,
    pub(super) said: &'l mut Said,
    /// Whether each earlier layer failed.
    pub(super) layers_failed: &'l [bool],
    jobs: Queues,
    root: Arc<Folder>,
    live: Arc<Live>,
    cache: Cache,
    content: Vec<u8>,
    files: Vec<(Placed, usize)>,
}

/// Gives the content of one file, piece by piece; 0 at its end.
pub(super) type Content<'c> = &'c mut dyn FnMut(&mut [u8]) -> Result<usize, Error>;

/// Fills `buffer` as far as there is content, and returns how far that is.
fn fill(buffer: &mut [u8], content: Content<'_>) -> Result<usize, Error> {
    let mut have = 0;
    while have < buffer.len() {
        match content(&mut buffer[have..])? {
            0 => break,
            read => have += read,
        }
    }
    Ok(have)
}

fn fill_whole(buffer: &mut [u8], content: Content<'_>) -> Result<(), Error> {
    match fill(buffer, content)? {
        have if have < buffer.len() => Err(Error::CutOff { at: have as u64 }),
        _ => Ok(()),
    }
}

impl<'l> Feed<'l> {
    pub(super) fn new(
        context: &'l Context<'l>,
        progress: &'l dyn Progress,
        (claims, said): (&'l mut Claims, &'l mut Said),
        layers_failed: &'l [bool],
        jobs: Queues,
    ) -> Result<Self, Error> {
        let root = Folder::root(context.target.dir())
            .map_err(|error| context.target.write_error("", error))?;
        Ok(Self {
            context,
            progress,
            claims,
            said,
            layers_failed,
            jobs,
            root: Arc::new(root),
            live: Arc::default(),
            cache: Cache::default(),
            content: Vec::new(),
            files: Vec::new(),
        })
    }

    /// Fails if the layer cannot be finished, or the user asked to stop.
    pub(super) fn go_on(&self) -> Result<(), Error> {
        if self.progress.cancelled() {
            return Err(Error::Interrupted);
        }
        if self.context.failed.load(Ordering::Relaxed)
            && let Some(error) = self.context.take_failure()
        {
            return Err(error);
        }
        Ok(())
    }

    /// Puts the folder `path` (cleaned) into the kit.
    pub(super) fn folder(&mut self, path: &[u8]) -> Result<(), Error> {
        self.go_on()?;
        self.check_name(path)?;
        self.open(path, path)?;
        Ok(())
    }

    /// Puts a file of `size` bytes into the kit at the cleaned path `path`.
    pub(super) fn file(
        &mut self,
        path: &[u8],
        executable: bool,
        size: u64,
        content: Content<'_>,
    ) -> Result<(), Error> {
        match self.place(path, executable)? {
            Some(file) => self.put(file, Some(size), content),
            None => Ok(()),
        }
    }

    /// Puts a file where it was placed. Without a size it ends where `content` does.
    pub(super) fn put(
        &mut self,
        file: Placed,
        size: Option<u64>,
        content: Content<'_>,
    ) -> Result<(), Error> {
        match size {
            None => self.put_to_its_end(file, content),
            Some(size) => match usize::try_from(size) {
                Ok(length) if size <= SMALL => self.small(file, length, content),
                _ => self.large(file, size, content),
            },
        }
    }

    fn put_to_its_end(&mut self, file: Placed, content: Content<'_>) -> Result<(), Error> {
        let mut beginning = vec![0; PIECE];
        let have = fill(&mut beginning, content)?;
        beginning.truncate(have);
        if have < PIECE {
            let mut beginning = &*beginning;
            return self.small(file, have, &mut |into| {
                beginning.read(into).map_err(Error::Read)
            });
        }
        self.flush();
        let (sender, pieces) = sync_channel(PIECES);
        let folder = Arc::clone(&file.folder);
        let size = None;
        self.jobs
            .send(Job::Stream { file, size, pieces }, &folder.path);
        let mut piece = beginning;
        while !piece.is_empty() {
            self.send(&sender, piece)?;
            piece = vec![0; PIECE];
            let have = fill(&mut piece, content)?;
            piece.truncate(have);
        }
        Ok(())
    }

    /// Finds out where a file is to be put; `None` if something is in the way there.
    pub(super) fn place(&mut self, path: &[u8], executable: bool) -> Result<Option<Placed>, Error> {
        self.go_on()?;
        self.check_name(path)?;
        let again = self.claim_file(path)?;
        let (folder, base) = name::split(path);
        let folder = self.open(folder, path)?;
        let base = platform::os_name(base).ok_or_else(|| Error::Name {
            path: name::text(path),
            why: "this system cannot hold that name",
        })?;
        let name = PathBuf::from(base.into_owned());
        if matches!(folder.existing, super::folder::Existing::Blocked) {
            return Ok(None); // Told when the folder was opened.
        }
        Ok(Some(Placed {
            folder,
            name,
            executable,
            again,
        }))
    }

    fn small(&mut self, file: Placed, size: usize, content: Content<'_>) -> Result<(), Error> {
        let goes_elsewhere = |(last, _): &(Placed, usize)| last.folder.path != file.folder.path;
        if self.files.len() >= BATCH_FEW && self.files.last().is_some_and(goes_elsewhere) {
            self.flush();
        }
        let start = self.content.len();
        self.content.resize(start + size, 0);
        fill_whole(&mut self.content[start..], content)?;
        self.files.push((file, size));
        if self.content.len() >= BATCH_BYTES || self.files.len() >= BATCH_FILES {
            self.flush();
        }
        Ok(())
    }

    fn large(&mut self, file: Placed, size: u64, content: Content<'_>) -> Result<(), Error> {
        self.flush();
        let (sender, pieces) = sync_channel(PIECES);
        let folder = Arc::clone(&file.folder);
        let mut left = size;
        let size = Some(size);
        self.jobs
            .send(Job::Stream { file, size, pieces }, &folder.path);
        while left > 0 {
            let mut piece = vec![0; usize::try_from(left).map_or(PIECE, |left| left.min(PIECE))];
            fill_whole(&mut piece, content)?;
            left -= piece.len() as u64;
            self.send(&sender, piece)?;
        }
        Ok(())
    }

    fn send(&self, sender: &SyncSender<Vec<u8>>, piece: Vec<u8>) -> Result<(), Error> {
        if sender.send(piece).is_err() {
            // The thread has failed, or is about to say so.
            self.context.wait_for_failure();
        }
        self.go_on()
    }

    /// Sends the batch.
    pub(super) fn flush(&mut self) {
        if !self.files.is_empty() {
            let content = std::mem::replace(&mut self.content, Vec::with_capacity(BATCH_BYTES));
            let files = std::mem::take(&mut self.files);
            let folder = files.last().map(|(file, _)| Arc::clone(&file.folder));
            let folder = folder.as_ref().map_or(&[][..], |folder| &folder.path);
            self.jobs.send(Job::Batch { content, files }, folder);
        }
    }

    /// Returns the open folder `path`, making it where files wait; `needed_by` is for messages.
    fn open(&mut self, path: &[u8], needed_by: &[u8]) -> Result<Arc<Folder>, Error> {
        let mut folder = self
            .cache
            .nearest(path)
            .unwrap_or_else(|| Arc::clone(&self.root));
        while folder.path.len() < path.len() {
            let start = if folder.path.is_empty() {
                0
            } else {
                folder.path.len() + 1
            };
            let end = path[start..].iter().position(|&byte| byte == b'/');
            let end = end.map_or(path.len(), |length| start + length);
            self.claim_folder(&path[..end], needed_by)?;
            let permit = self.live.try_permit().unwrap_or_else(|| {
                // What is open now is needed by files under way only.
                self.flush();
                self.cache.clear();
                self.live.permit()
            });
            let writes = !self.context.is_hopeless();
            let (child, obstacle) = folder
                .child(&path[start..end], &self.context.trees, writes, permit)
                .map_err(|error| {
                    let path = platform::os_name(&path[..end]).unwrap_or_default();
                    self.context
                        .target
                        .write_error(PathBuf::from(path.into_owned()), error)
                })?;
            if let Some(obstacle) = obstacle {
                self.context.conflict(name::text(&child.path), obstacle);
            }
            folder = Arc::new(child);
            self.cache.push(Arc::clone(&folder));
        }
        Ok(folder)
    }

    fn claim_file(&mut self, path: &[u8]) -> Result<Option<usize>, Error> {
        let own = self.layers_failed.len();
        match self.claims.get(path, self.layers_failed) {
            None => {
                self.claims.set(path, own, true);
                Ok(None)
            }
            Some((layer, true)) if layer == own => Err(Error::Twice {
                path: name::text(path),
            }),
            Some((layer, true)) => Ok(Some(layer)),
            Some((_, false)) => Err(Error::Both {
                path: name::text(path),
            }),
        }
    }

    fn claim_folder(&mut self, path: &[u8], needed_by: &[u8]) -> Result<(), Error> {
        match self.claims.get(path, self.layers_failed) {
            None => self.claims.set(path, self.layers_failed.len(), false),
            Some((_, false)) => {}
            Some((_, true)) if path == needed_by => {
                return Err(Error::Both {
                    path: name::text(path),
                });
            }
            Some((_, true)) => {
                let (file, child) = (name::text(path), name::text(needed_by));
                return Err(Error::Below { file, child });
            }
        }
        Ok(())
    }

    /// Refuses names that are ours, and warns of those that a tool or system takes for more.
    fn check_name(&mut self, path: &[u8]) -> Result<(), Error> {
        if is_unpack_name(path) {
            let why = "it is kept for unpacking itself";
            return Err(Error::Name {
                path: name::text(path),
                why,
            });
        }
        if !self.said.version_control && name::is_version_control(path) {
            self.said.version_control = true;
            self.progress.warn(&format!(
                "the kit holds files of a version control system, which may run them: {}",
                name::text(path)
            ));
        }
        if !self.said.windows && !name::fits_windows(path) {
            self.said.windows = true;
            self.progress.warn(&format!(
                "the kit holds a name that Windows cannot hold: {}",
                name::text(path)
            ));
        }
        Ok(())
    }
}
