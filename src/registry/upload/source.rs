//! The content of a blob on its way to a registry: read once, hashed while it passes.

use std::{
    fs::File,
    io::{self, Read, Seek as _, SeekFrom},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    thread,
    time::{Duration, Instant},
};

use tokio::task::spawn_blocking;

use super::Error;
use crate::{
    digest::{Digest, Hasher},
    http::{Content, Feeder, Taken},
    oci::Descriptor,
};

/// How much is read, hashed and sent at once.
const PIECE: usize = 256 << 10;

/// Keeps all uploads of a command together below a rate.
#[derive(Debug)]
pub struct Throttle {
    /// Bytes a second.
    rate: u64,
    /// When what was let through so far will have been sent at that rate.
    busy_until: Mutex<Instant>,
}

impl Throttle {
    /// Returns a throttle that lets so many bytes a second through.
    pub fn new(bytes_per_second: u64) -> Self {
        Self {
            rate: bytes_per_second.max(1),
            busy_until: Mutex::new(Instant::now()),
        }
    }

    /// Returns how much may be sent at once, so that several connections that share the rate never
    /// are silent for long.
    fn piece(&self) -> usize {
        let piece = usize::try_from(self.rate / 16).unwrap_or(PIECE);
        piece.clamp(1 << 10, PIECE)
    }

    /// Blocks until `bytes` may pass.
    pub fn pass(&self, bytes: usize) {
        #[expect(clippy::cast_precision_loss, reason = "a time is no exact number")]
        let time = Duration::from_secs_f64(bytes as f64 / self.rate as f64);
        let wait = {
            let mut busy_until = self
                .busy_until
                .lock()
                .unwrap_or_else(PoisonError::into_inner);
            let now = Instant::now();
            let begin = now.max(*busy_until);
            *busy_until = begin + time;
            begin - now
        };
        thread::sleep(wait);
    }
}

/// Where the content of a blob comes from. It is read on threads that may block, one at a time.
pub trait Supply: Send + Sync {
    /// Returns what gives the content from the byte `offset` on. It is asked again after a request
    /// that failed, which may be for an earlier byte.
    fn read_from(&self, offset: u64) -> io::Result<Box<dyn Read + '_>>;
}

impl Supply for File {
    fn read_from(&self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        let mut file = self;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

impl Supply for Vec<u8> {
    fn read_from(&self, offset: u64) -> io::Result<Box<dyn Read + '_>> {
        let offset = usize::try_from(offset).unwrap_or(usize::MAX);
        Ok(Box::new(self.get(offset..).unwrap_or_default()))
    }
}

/// What is wrong with a blob here.
#[derive(Debug)]
enum Fault {
    Content(Digest),
    Read(io::Error),
}

struct State {
    hasher: Hasher,
    /// So many bytes are in it.
    hashed: u64,
}

/// A blob that can be sent from anywhere in it, any number of times.
pub(super) struct Source {
    supply: Arc<dyn Supply>,
    blob: Descriptor,
    throttle: Option<Arc<Throttle>>,
    /// Held by whoever reads, for as long as that takes.
    state: Arc<Mutex<State>>,
    /// Never held for long: it is looked at where nothing may block.
    fault: Arc<Mutex<Option<Fault>>>,
}

impl Source {
    pub(super) fn new(
        supply: Arc<dyn Supply>,
        blob: &Descriptor,
        throttle: Option<Arc<Throttle>>,
    ) -> Self {
        Self {
            supply,
            blob: blob.clone(),
            throttle,
            state: Arc::new(Mutex::new(State {
                hasher: Hasher::new(),
                hashed: 0,
            })),
            fault: Arc::default(),
        }
    }

    /// Returns the bytes from `begin` to `end` as a body. The last piece of a blob leaves only
    /// when the digest has held: a damaged blob is never sent whole.
    pub(super) fn body(&self, begin: u64, end: u64, tell: Taken) -> Content {
        let (content, mut feeder) = Content::new(end - begin, tell);
        if begin < end {
            let (supply, blob) = (Arc::clone(&self.supply), self.blob.clone());
            let (state, throttle) = (Arc::clone(&self.state), self.throttle.clone());
            let place = Arc::clone(&self.fault);
            // Ends when the body is dropped.
            drop(spawn_blocking(move || {
                let mut state = lock(&state);
                let to = Some((&mut feeder, throttle.as_deref()));
                if let Err(fault) = pass(&*supply, &blob, &mut state, begin, end, to) {
                    // Before the connection breaks for it.
                    *lock(&place) = Some(fault);
                    feeder.feed(Err(io::ErrorKind::InvalidData.into()));
                }
            }));
        }
        content
    }

    /// Reads what was not read yet and checks the whole.
    pub(super) async fn verify(&self) -> Result<(), Error> {
        let (supply, blob) = (Arc::clone(&self.supply), self.blob.clone());
        let (state, place) = (Arc::clone(&self.state), Arc::clone(&self.fault));
        let checked = spawn_blocking(move || {
            let mut state = lock(&state);
            if let Err(fault) = pass(&*supply, &blob, &mut state, blob.size, blob.size, None) {
                *lock(&place) = Some(fault);
            }
        });
        // It cannot be cancelled, and does not panic.
        let _ = checked.await;
        self.fault().map_or(Ok(()), Err)
    }

    /// Returns what the blob is called in messages.
    pub(super) fn name(&self) -> String {
        self.blob.digest.to_string()
    }

    /// Returns what was found to be wrong with the blob here.
    pub(super) fn fault(&self) -> Option<Error> {
        let digest = self.blob.digest;
        match lock(&self.fault).take()? {
            Fault::Content(actual) => Some(Error::Damaged { digest, actual }),
            Fault::Read(source) => Some(Error::Read { digest, source }),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Reads on from where hashing stopped or sending begins, whichever comes first, to `end`.
fn pass(
    supply: &dyn Supply,
    blob: &Descriptor,
    state: &mut State,
    begin: u64,
    end: u64,
    mut to: Option<(&mut Feeder, Option<&Throttle>)>,
) -> Result<(), Fault> {
    let mut at = begin.min(state.hashed);
    let throttle = to.as_ref().and_then(|(_, throttle)| *throttle);
    let piece = throttle.map_or(PIECE, Throttle::piece);
    let mut content = supply.read_from(at).map_err(Fault::Read)?;
    loop {
        let is_sent = at >= begin;
        // Nothing is sent twice in one body, nothing is hashed twice in one blob.
        let until = if is_sent { end } else { begin.min(end) };
        let until = if at < state.hashed {
            until.min(state.hashed)
        } else {
            until
        };
        let piece = if is_sent { piece } else { PIECE };
        let length = usize::try_from(until - at).unwrap_or(piece).min(piece);
        if length > 0 {
            let mut piece = vec![0; length];
            content.read_exact(&mut piece).map_err(Fault::Read)?;
            if at == state.hashed {
                state.hasher.update(&piece);
                state.hashed += length as u64;
            }
            at += length as u64;
            if at == blob.size {
                check(blob, state)?;
            }
            if let (true, Some((feeder, throttle))) = (is_sent, &mut to) {
                if let Some(throttle) = throttle {
                    throttle.pass(length);
                }
                if !feeder.feed(Ok(piece)) {
                    return Ok(());
                }
            }
        }
        if at == end {
            return if at == blob.size {
                check(blob, state)
            } else {
                Ok(())
            };
        }
    }
}

fn check(blob: &Descriptor, state: &State) -> Result<(), Fault> {
    let actual = state.hasher.clone().finish();
    if state.hashed == blob.size && actual == blob.digest {
        Ok(())
    } else {
        Err(Fault::Content(actual))
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    fn source(content: &[u8], digest: Digest) -> Source {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(content).unwrap();
        let mut blob = Descriptor::of("application/octet-stream", content);
        blob.digest = digest;
        Source::new(Arc::new(file), &blob, None)
    }

    async fn carried(source: &Source, begin: u64, end: u64) -> (Vec<u8>, bool) {
        source.body(begin, end, Arc::new(|_| {})).collect().await
    }

    #[tokio::test]
    async fn a_blob_is_sent_from_anywhere_and_checked_whatever_was_sent_before() {
        let content: Vec<u8> = (0..1_000_000_u32).map(|it| it.to_le_bytes()[0]).collect();
        let all = content.len() as u64;
        for steps in [
            vec![(0, all)],
            vec![(0, 300_000), (300_000, all)],
            vec![(0, 300_000), (100_000, 600_000), (0, all)],
            vec![(700_000, 800_000), (800_000, all)],
            vec![(0, 500_000), (500_000, 500_000)],
        ] {
            let source = source(&content, Digest::of(&content));
            for (begin, end) in &steps {
                let range = usize::try_from(*begin).unwrap()..usize::try_from(*end).unwrap();
                let (bytes, whole) = carried(&source, *begin, *end).await;
                assert!(whole && bytes == content[range], "{steps:?}");
            }
            source.verify().await.unwrap();
            assert!(source.fault().is_none());
        }
    }

    #[test]
    fn a_slow_rate_is_kept_in_small_pieces() {
        for (rate, piece) in [(1, 1 << 10), (160_000, 10_000), (1 << 30, PIECE)] {
            assert_eq!(Throttle::new(rate).piece(), piece);
        }
    }

    // hazard: 89
    #[tokio::test]
    async fn a_damaged_blob_is_never_sent_whole() {
        let content = vec![7; 600_000];
        for begin in [0, 300_000, 599_999] {
            let source = source(&content, Digest::of(b"other"));
            let (bytes, whole) = carried(&source, begin, 600_000).await;
            assert!(!whole && (bytes.len() as u64) < 600_000 - begin);
            assert!(matches!(source.fault(), Some(Error::Damaged { .. })));
        }
        let source = source(&content, Digest::of(b"other"));
        carried(&source, 0, 100).await;
        assert!(matches!(source.verify().await, Err(Error::Damaged { .. })));
    }

    #[tokio::test]
    async fn an_empty_blob_has_the_digest_of_nothing() {
        let right = source(b"", Digest::of(b""));
        right.verify().await.unwrap();
        let wrong = source(b"", Digest::of(b"x"));
        assert!(wrong.verify().await.is_err());
    }
}
