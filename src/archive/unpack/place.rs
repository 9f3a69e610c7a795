//! The threads that put files where they wait, or find that the target has them already.

use std::{
    io::{self, Read, Seek, Write},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
        mpsc::Receiver,
    },
    thread,
};

use cap_std::fs::{Dir, File, OpenOptions};

use super::{
    Conflicts, Existing as Policy,
    folder::{Existing, Folder},
    staging::{Place, Trees, open_below},
    target::Target,
};
use crate::{
    archive::{Error, Obstacle},
    digest::{Hasher, HashingReader},
    failpoint::failpoint,
    platform,
};

/// What the threads that unpack one layer share.
pub(super) struct Context<'r> {
    pub(super) target: &'r Target,
    pub(super) policy: Policy,
    /// Where this layer's files wait.
    pub(super) trees: Trees,
    /// Where the files of earlier layers wait.
    pub(super) ready: Trees,
    /// The label of each layer so far.
    pub(super) labels: &'r [String],
    pub(super) conflicts: Mutex<Conflicts>,
    pub(super) counts: Counts,
    /// A conflict is known, so nothing will be published: only look for more of them.
    pub(super) hopeless: AtomicBool,
    pub(super) failure: Mutex<Option<Error>>,
    pub(super) failed: AtomicBool,
}

/// What became of the files of one layer.
#[derive(Default)]
pub(super) struct Counts {
    pub(super) written: AtomicU64,
    pub(super) linked: AtomicU64,
    pub(super) replaced: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) equal: AtomicU64,
    pub(super) kept: AtomicU64,
    pub(super) bytes: AtomicU64,
}

/// Work for a thread.
pub(super) enum Job {
    /// Small files, one after the other in one buffer.
    Batch {
        content: Vec<u8>,
        files: Vec<(Placed, usize)>,
    },
    /// A large file, in pieces; without a size it ends where they do.
    Stream {
        file: Placed,
        size: Option<u64>,
        pieces: Receiver<Vec<u8>>,
    },
}

/// A file to put somewhere.
pub(super) struct Placed {
    pub(super) folder: Arc<Folder>,
    pub(super) name: PathBuf,
    pub(super) executable: bool,
    /// The earlier layer that holds the same path.
    pub(super) again: Option<usize>,
}

impl Placed {
    pub(super) fn path(&self) -> PathBuf {
        let folder = platform::os_name(&self.folder.path).unwrap_or_default();
        Path::new(&folder).join(&self.name)
    }

    fn shown(&self) -> String {
        self.path().to_string_lossy().into_owned()
    }
}

/// What is where a file shall be.
pub(super) enum Found {
    Nothing,
    /// A file in the target.
    File {
        file: File,
        size: u64,
        executable: bool,
    },
    /// A file in the target that cannot be read.
    Unreadable,
    /// The same path of an earlier layer.
    Waiting {
        file: File,
        size: u64,
    },
    InTheWay(Obstacle),
}

/// What to do about it.
enum Verdict {
    Leave,
    Write { over: bool },
}

impl Context<'_> {
    /// Does jobs until there are no more. After a failure they are only taken, so that the
    /// sender never waits in vain.
    pub(super) fn work(&self, jobs: &Receiver<Job>) {
        for job in jobs {
            if self.failed.load(Ordering::Relaxed) {
                continue;
            }
            let done = match job {
                Job::Batch { content, files } => self.place_batch(&content, files),
                Job::Stream { file, size, pieces } => self.place_stream(&file, size, &pieces),
            };
            if let Err(error) = done {
                self.fail(error);
            }
        }
    }

    /// Refuses what is said to unpack to more than would be sane and than there is room for. Any
    /// other layer may be there already, and need no room.
    pub(super) fn check_room(&self, claim: Option<u64>) -> Result<(), Error> {
        match (claim, platform::free_space(self.target.path())) {
            (Some(told), Some(free)) if told > free => Err(Error::NoRoom { told, free }),
            _ => Ok(()),
        }
    }

    fn fail(&self, error: Error) {
        let mut failure = self.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(error);
        self.failed.store(true, Ordering::Relaxed);
    }

    /// Returns the failure of a thread, if there was one.
    pub(super) fn take_failure(&self) -> Option<Error> {
        self.failure
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .take()
    }

    /// Waits until a thread that stopped taking content has said why.
    pub(super) fn wait_for_failure(&self) {
        while !self.failed.load(Ordering::Relaxed) {
            thread::yield_now();
        }
    }

    /// Remembers what is in the way; from now on nothing is written.
    pub(super) fn conflict(&self, path: String, obstacle: Obstacle) {
        let mut conflicts = self
            .conflicts
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        conflicts.add(path, obstacle);
        self.hopeless.store(true, Ordering::Relaxed);
    }

    pub(super) fn is_hopeless(&self) -> bool {
        self.hopeless.load(Ordering::Relaxed)
    }

    fn place_batch(&self, mut content: &[u8], files: Vec<(Placed, usize)>) -> Result<(), Error> {
        for (file, size) in files {
            let (own, rest) = content.split_at(size);
            content = rest;
            self.place_small(&file, own)?;
        }
        Ok(())
    }

    fn place_small(&self, file: &Placed, content: &[u8]) -> Result<(), Error> {
        let size = content.len() as u64;
        let mut found = self.find(file)?;
        let same = match &mut found {
            Found::File {
                file: existing,
                size: has,
                ..
            }
            | Found::Waiting {
                file: existing,
                size: has,
            } if *has <= size => {
                same_beginning(existing, content).map_err(|error| self.write_error(file, error))?
            }
            _ => 0,
        };
        if let Verdict::Write { over } = self.judge(file, &found, same as u64, size)?
            && let Some(mut out) = self.create(file, over)?
        {
            failpoint!(write "unpack.file.write", &mut out, content)
                .map_err(|error| self.write_error(file, error))?;
        }
        Ok(())
    }

    fn place_stream(
        &self,
        file: &Placed,
        size: Option<u64>,
        pieces: &Receiver<Vec<u8>>,
    ) -> Result<(), Error> {
        let fail = |error| self.write_error(file, error);
        let mut found = self.find(file)?;
        let mut same = 0;
        let mut taken = 0;
        let mut beginning = Hasher::new();
        let mut rest = Vec::new();
        if let Found::File {
            file: existing,
            size: has,
            ..
        }
        | Found::Waiting {
            file: existing,
            size: has,
        } = &mut found
            && size.is_none_or(|size| *has <= size)
        {
            while let Ok(mut piece) = pieces.recv() {
                let equal = same_beginning(existing, &piece).map_err(fail)?;
                beginning.update(&piece[..equal]);
                same += equal as u64;
                taken += piece.len() as u64;
                if equal < piece.len() {
                    rest = piece.split_off(equal);
                    break;
                }
            }
            if rest.is_empty() && size.is_some_and(|size| taken < size) {
                return Ok(()); // The layer broke off; what is wrong with it is known elsewhere.
            }
        }
        // Without a size it is at least as long as what was taken: all of it, or more than what
        // is there has in common with it.
        let later = size.is_none();
        let size = size.unwrap_or(taken);
        let Verdict::Write { over } = self.judge(file, &found, same, size)? else {
            for _ in pieces {}
            return Ok(());
        };
        let Some(mut out) = self.create(file, over)? else {
            for _ in pieces {}
            return Ok(());
        };
        if let Found::File { file: existing, .. } = &mut found
            && same > 0
        {
            // Taken from the file itself, not from the stream, which has passed: so it is checked
            // that nobody wrote to it in between.
            existing.rewind().map_err(fail)?;
            let mut copied = HashingReader::new(existing.take(same));
            io::copy(&mut copied, &mut out).map_err(fail)?;
            if copied.finish() != (beginning.finish(), same) {
                return Err(Error::Changed {
                    path: self.target.path().join(file.path()),
                });
            }
        }
        out.write_all(&rest).map_err(fail)?;
        for piece in pieces {
            failpoint!(write "unpack.file.stream", &mut out, &piece).map_err(fail)?;
            if later {
                let more = piece.len() as u64;
                self.counts.bytes.fetch_add(more, Ordering::Relaxed);
            }
        }
        Ok(())
    }

    /// Looks for what is where `file` shall be.
    pub(super) fn find(&self, file: &Placed) -> Result<Found, Error> {
        let fail = |error| self.write_error(file, error);
        if file.again.is_some() {
            let folder = platform::os_name(&file.folder.path).unwrap_or_default();
            for tree in [&self.ready.new, &self.ready.over] {
                let waiting = open_below(tree, Path::new(&folder))
                    .and_then(|folder| platform::open_file_no_follow(&folder, &file.name));
                match waiting {
                    Ok(file) => {
                        let size = file.metadata().map_err(fail)?.len();
                        return Ok(Found::Waiting { file, size });
                    }
                    Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                    Err(error) => return Err(fail(error)),
                }
            }
        }
        match &file.folder.existing {
            Existing::Here(dir) => look(dir, &file.name).map_err(fail),
            Existing::Missing | Existing::Blocked => Ok(Found::Nothing),
        }
    }

    /// Decides about a file of `size` bytes of which `same` are what was found, and counts it.
    fn judge(&self, file: &Placed, found: &Found, same: u64, size: u64) -> Result<Verdict, Error> {
        let counts = &self.counts;
        let count = |counter: &AtomicU64, bytes: u64| {
            counter.fetch_add(1, Ordering::Relaxed);
            counts.bytes.fetch_add(bytes, Ordering::Relaxed);
        };
        let (equal, beginning, same_mode) = match *found {
            Found::Nothing => {
                count(&counts.written, size);
                return Ok(Verdict::Write { over: false });
            }
            Found::Waiting { size: has, .. } if has == size && same == size => {
                return Ok(Verdict::Leave);
            }
            Found::Waiting { .. } => return Err(self.clash(file)),
            Found::File {
                size: has,
                executable,
                ..
            } => (
                has == size && same == size,
                has < size && same == has,
                cfg!(not(unix)) || executable == file.executable,
            ),
            Found::Unreadable => (false, false, false),
            Found::InTheWay(obstacle) => {
                let replaceable = matches!(obstacle, Obstacle::Link | Obstacle::Special);
                if self.policy == Policy::Overwrite && replaceable {
                    count(&counts.replaced, size);
                    return Ok(Verdict::Write { over: true });
                }
                self.conflict(file.shown(), obstacle);
                return Ok(Verdict::Leave);
            }
        };
        if equal && (same_mode || self.policy != Policy::Overwrite) {
            count(&counts.equal, 0);
            return Ok(Verdict::Leave);
        }
        // The earlier layer left the file in the target alone: this one holds something else.
        if !equal && file.again.is_some() && self.policy != Policy::Keep {
            return Err(self.clash(file));
        }
        if beginning {
            count(&counts.completed, size - same);
            return Ok(Verdict::Write { over: true });
        }
        match self.policy {
            Policy::Overwrite => {
                count(&counts.replaced, size);
                Ok(Verdict::Write { over: true })
            }
            Policy::Keep => {
                count(&counts.kept, 0);
                Ok(Verdict::Leave)
            }
            Policy::Refuse => {
                self.conflict(file.shown(), Obstacle::Different);
                Ok(Verdict::Leave)
            }
        }
    }

    /// Makes the file where it waits; `None` if nothing is written any more.
    fn create(&self, file: &Placed, over: bool) -> Result<Option<File>, Error> {
        if self.is_hopeless() {
            return Ok(None);
        }
        let place = if over { Place::Over } else { Place::New };
        let fail = |error| self.write_error(file, error);
        let dir = file.folder.tree(&self.trees, place).map_err(fail)?;
        let mut options = OpenOptions::new();
        options.write(true).create_new(true);
        #[cfg(unix)]
        {
            let mode = if file.executable { 0o755 } else { 0o644 };
            cap_std::fs::OpenOptionsExt::mode(&mut options, mode);
        }
        match failpoint!("unpack.file.create", dir.open_with(&file.name, &options)) {
            Ok(out) => Ok(Some(out)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                Err(folded(dir, &file.path()))
            }
            Err(error) => Err(fail(error)),
        }
    }

    fn clash(&self, file: &Placed) -> Error {
        let label = |layer: usize| self.labels.get(layer).cloned().unwrap_or_default();
        Error::Clash {
            path: file.shown(),
            first: label(file.again.unwrap_or_default()),
            second: label(self.labels.len() - 1),
        }
    }

    pub(super) fn write_error(&self, file: &Placed, error: io::Error) -> Error {
        self.target.write_error(file.path(), error)
    }
}

/// Returns the error for a name in `dir` that is taken although no entry has it: the file system
/// does not tell it from another one.
pub(super) fn folded(dir: &Dir, path: &Path) -> Error {
    let name = path
        .file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned();
    let other = dir.entries().ok().and_then(|entries| {
        entries
            .filter_map(|entry| Some(entry.ok()?.file_name().to_string_lossy().into_owned()))
            .find(|other| *other != name && other.to_lowercase() == name.to_lowercase())
    });
    let shown = path.to_string_lossy().into_owned();
    match other {
        Some(other) => Error::Folded {
            other: path.with_file_name(other).to_string_lossy().into_owned(),
            path: shown,
        },
        None => Error::Twice { path: shown },
    }
}

/// Tells what `name` is in the target.
fn look(dir: &Dir, name: &Path) -> io::Result<Found> {
    let metadata = match dir.symlink_metadata(name) {
        Ok(metadata) => metadata,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Found::Nothing),
        Err(error) => return Err(error),
    };
    if metadata.is_symlink() {
        return Ok(Found::InTheWay(Obstacle::Link));
    }
    if metadata.is_dir() {
        return Ok(Found::InTheWay(Obstacle::Folder));
    }
    if !metadata.is_file() {
        return Ok(Found::InTheWay(Obstacle::Special));
    }
    match platform::open_file_no_follow(dir, name) {
        Ok(file) => {
            let metadata = file.metadata()?;
            #[cfg(unix)]
            let executable = cap_std::fs::MetadataExt::mode(&metadata) & 0o100 != 0;
            #[cfg(not(unix))]
            let executable = false;
            Ok(Found::File {
                size: metadata.len(),
                executable,
                file,
            })
        }
        // Something else came between the two looks.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
            Ok(Found::InTheWay(Obstacle::Special))
        }
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => Ok(Found::Unreadable),
        Err(error) => Err(error),
    }
}

/// Returns how many bytes at the beginning of `content` are what `file` holds from its current
/// position on. The position is of no use afterwards unless all are.
fn same_beginning(file: &mut File, content: &[u8]) -> io::Result<usize> {
    let mut buffer = [0; 16 * 1024];
    let mut same = 0;
    while same < content.len() {
        let wanted = buffer.len().min(content.len() - same);
        let read = match file.read(&mut buffer[..wanted]) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            result => result?,
        };
        let there = &content[same..same + read];
        if buffer[..read] != *there {
            let pairs = buffer[..read].iter().zip(there);
            return Ok(same + pairs.take_while(|(has, wants)| has == wants).count());
        }
        same += read;
        if read == 0 {
            break;
        }
    }
    Ok(same)
}
