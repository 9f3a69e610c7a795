//! What registries do differently when they are given blobs: a table, and what is learned beside
//! it while one run lasts.
//!
//! A row is found by the registry's name, else by a header that its answers carry. Nothing depends
//! on finding it: an answer that does not fit teaches the same (see [`Habits`]), only later.

mod table;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use table::Profile;
use table::{ANY_CHUNKS, COMMON, PROFILES};

const MIB: u64 = 1 << 20;

/// Blobs up to this size go in one request wherever that is taken, and larger ones begin with a
/// chunk of it.
pub(super) const FIRST_CHUNK: u64 = 32 * MIB;
/// No chunk is larger.
pub(super) const MAX_CHUNK: u64 = 512 * MIB;
/// No chunk is smaller, but the last one: what a registry takes no more of than this it does not
/// take.
const LEAST_CHUNK: u64 = MIB;
/// The largest chunk of registries that take no chunk of the usual size: several stop at 4 MiB.
const SMALL_CHUNK: u64 = 4 * MIB;
/// How long one request should take: longer costs more when it fails, shorter costs round trips.
const CHUNK_TIME: Duration = Duration::from_secs(4);

/// How blobs are sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// In one request each.
    Whole,
    /// Large ones in several requests, after each of which the registry keeps what it has.
    Chunks,
}

/// The sizes of chunks that are taken, in bytes. The last one may be smaller.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Chunks {
    /// The smallest.
    pub min: u64,
    /// The largest.
    pub max: u64,
}

/// What stands in front of a registry and takes no larger requests, by a header it adds.
static FRONTS: &[(&str, u64)] = &[("cf-ray", 95_000_000)];

/// Returns the kinds of registries that users can name.
pub fn kinds() -> impl Iterator<Item = &'static str> {
    std::iter::once(&COMMON).chain(PROFILES).map(|row| row.key)
}

/// Returns what is known of a kind of registry.
pub fn kind(key: &str) -> Option<&'static Profile> {
    let mut rows = std::iter::once(&COMMON).chain(PROFILES);
    rows.find(|row| row.key == key)
}

/// What is known of one registry: its row, and what its answers taught.
#[derive(Clone, Debug)]
pub struct Habits {
    profile: &'static Profile,
    by_name: bool,
    way: Way,
    chunks: Option<Chunks>,
    max_body: Option<u64>,
    max_layer: Option<u64>,
    /// Whether the user said that.
    limited_by_user: bool,
    request_time: Option<Duration>,
    tells: bool,
    /// Bytes a second, as last measured.
    rate: Option<f64>,
}

impl Habits {
    /// Returns what is known of the registry called `host`, which may have a port.
    pub(super) fn of(host: &str) -> Self {
        let bare = host.rsplit_once(':').map_or(host, |(bare, _)| bare);
        let bare = bare.to_ascii_lowercase();
        let is_it = |pattern: &&str| {
            bare == **pattern || (pattern.starts_with('.') && bare.ends_with(*pattern))
        };
        let row = PROFILES.iter().find(|row| row.hosts.iter().any(&is_it));
        Self::from_row(row.unwrap_or(&COMMON), row.is_some())
    }

    fn from_row(profile: &'static Profile, by_name: bool) -> Self {
        Self {
            profile,
            by_name,
            way: profile.way,
            chunks: profile.chunks,
            max_body: profile.max_body,
            max_layer: profile.max_layer,
            limited_by_user: false,
            request_time: profile.request_time,
            tells: profile.tells,
            rate: None,
        }
    }

    /// Looks at the headers of an answer. What was learned before it stays.
    pub(super) fn see<'a>(&mut self, header: impl Fn(&str) -> Option<&'a str>) {
        let shows = |row: &&Profile| {
            let mut signs = row.signs.iter();
            signs.any(|(name, begin)| header(name).is_some_and(|it| it.starts_with(begin)))
        };
        if !self.by_name
            && let Some(row) = PROFILES.iter().find(shows)
            && !std::ptr::eq(row, self.profile)
        {
            let known = std::mem::replace(self, Self::from_row(row, false));
            self.rate = known.rate;
            if known.limited_by_user {
                self.max_layer = known.max_layer;
                self.limited_by_user = true;
            }
            if let Some(most) = known.max_body {
                self.limit_body(most);
            }
        }
        for (name, most) in FRONTS {
            if header(name).is_some() {
                self.limit_body(*most);
            }
        }
        let min = header("oci-chunk-min-length").and_then(|it| it.trim().parse::<u64>().ok());
        if let (Some(min), Some(chunks)) = (min, &mut self.chunks) {
            // A registry may ask for much, but not for more than can be sent again.
            chunks.min = min.min(MAX_CHUNK);
            chunks.max = chunks.max.max(chunks.min);
        }
    }

    /// Returns what the registry is called.
    pub const fn name(&self) -> &'static str {
        self.profile.name
    }

    /// Returns the most bytes that a layer may have.
    pub const fn max_layer(&self) -> Option<u64> {
        self.max_layer
    }

    /// Returns whether a `Range` or the state of an upload is to be believed.
    pub(super) const fn tells(&self) -> bool {
        self.tells
    }

    /// Returns whether a blob may be sent in parts.
    pub(super) const fn takes_chunks(&self) -> bool {
        self.chunks.is_some()
    }

    /// Returns how a blob of `size` bytes is sent.
    pub(super) fn way(&self, size: u64) -> Way {
        let Some(chunks) = self.chunks else {
            return Way::Whole;
        };
        let fits = self.max_body.is_none_or(|most| size <= most);
        let quick = self.expected(size).is_none_or(|time| {
            // Half of the limit: lines get slower, too.
            self.request_time.is_none_or(|limit| time < limit / 2)
        });
        if !fits {
            return Way::Chunks;
        }
        match self.way {
            Way::Whole if quick => Way::Whole,
            Way::Chunks if size <= FIRST_CHUNK.max(chunks.min) => Way::Whole,
            Way::Whole | Way::Chunks => Way::Chunks,
        }
    }

    /// Returns the size of the next chunk of which `left` bytes are left to be sent.
    pub(super) fn chunk(&self, left: u64, last: Option<u64>) -> u64 {
        let chunks = self.chunks.unwrap_or(Chunks {
            min: 0,
            max: MAX_CHUNK,
        });
        let most = chunks.max.min(self.max_body.unwrap_or(u64::MAX));
        let time = self
            .request_time
            .map_or(CHUNK_TIME, |it| CHUNK_TIME.min(it / 4));
        let wanted = match (last, self.rate) {
            (Some(last), Some(rate)) => {
                let by_time = whole(rate * time.as_secs_f64());
                // No leaps: one fast moment says little.
                by_time.clamp(last / 4, last.saturating_mul(2))
            }
            _ => FIRST_CHUNK,
        };
        let size = wanted.min(most).max(LEAST_CHUNK.min(most)).max(chunks.min);
        size.min(left)
    }

    /// Takes note of how long a request took.
    pub(super) fn measured(&mut self, bytes: u64, time: Duration) {
        let seconds = time.as_secs_f64().max(0.000_1);
        if bytes >= LEAST_CHUNK {
            #[expect(clippy::cast_precision_loss, reason = "a rate is no exact number")]
            let rate = bytes as f64 / seconds;
            self.rate = Some(rate);
        }
    }

    fn expected(&self, size: u64) -> Option<Duration> {
        #[expect(clippy::cast_precision_loss, reason = "a time is no exact number")]
        let seconds = size as f64 / self.rate?;
        Some(Duration::from_secs_f64(seconds.min(1e9)))
    }

    fn limit_body(&mut self, most: u64) {
        let most = most.min(self.max_body.unwrap_or(u64::MAX));
        self.max_body = Some(most.max(LEAST_CHUNK));
    }

    /// A body of `size` bytes was too large. Returns what to say, or `None` if nothing smaller can
    /// be tried.
    pub(super) fn too_large(&mut self, size: u64) -> Option<String> {
        let chunks = self.chunks?;
        if size <= LEAST_CHUNK.max(chunks.min) {
            return None;
        }
        let most = (size / 4).max(LEAST_CHUNK);
        self.limit_body(most);
        Some("takes no requests that large: smaller ones follow".to_owned())
    }

    /// A chunk of `size` bytes was refused where it should have been taken. Returns what to say,
    /// or `None` if there is no other way left.
    pub(super) fn chunk_refused(&mut self, size: u64) -> Option<String> {
        let chunks = self.chunks.as_mut()?;
        if size > SMALL_CHUNK && chunks.min <= SMALL_CHUNK {
            chunks.max = SMALL_CHUNK;
            return Some("takes no chunks that large: smaller ones follow".to_owned());
        }
        self.no_chunks()
    }

    /// Chunks do not work here. Returns what to say, or `None` if that was known.
    pub(super) fn no_chunks(&mut self) -> Option<String> {
        self.chunks.take()?;
        self.max_body = None;
        Some("takes no chunks: blobs are sent in one request each".to_owned())
    }

    /// Where an upload stands is told wrong, or not at all. Returns whether that is new.
    pub(super) fn tells_wrong(&mut self) -> bool {
        std::mem::replace(&mut self.tells, false)
    }

    /// One request with a whole blob of `size` bytes broke, again. Returns what to say, or `None`
    /// if it cannot be cut into chunks.
    pub(super) fn whole_breaks(&mut self, size: u64) -> Option<String> {
        self.chunks.filter(|_| size > LEAST_CHUNK)?;
        self.way = Way::Chunks;
        self.limit_body(size / 4);
        Some("breaks long requests: chunks follow".to_owned())
    }

    /// Takes the row that the user names. Answers do not change that.
    pub(super) fn take(&mut self, row: &'static Profile) {
        *self = Self::from_row(row, true);
    }

    /// Sets the most bytes of a layer.
    pub(super) const fn limit_layers(&mut self, most: u64) {
        self.max_layer = Some(most);
        self.limited_by_user = true;
    }

    /// Sets what the user asked for.
    pub(super) fn prefer(&mut self, way: Option<Way>, chunk: Option<u64>) {
        match way {
            Some(Way::Whole) => self.chunks = None,
            Some(Way::Chunks) => {
                self.way = Way::Chunks;
                self.chunks = self.chunks.or(ANY_CHUNKS);
            }
            None => {}
        }
        if let (Some(size), Some(chunks)) = (chunk, &mut self.chunks) {
            self.way = Way::Chunks;
            chunks.max = size.max(chunks.min);
            self.max_body = Some(self.max_body.unwrap_or(u64::MAX).min(chunks.max));
        }
    }
}

/// Returns the whole part of a number that is not negative.
fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "it is cut on purpose, and no rate is negative"
    )]
    let whole = number.min(1e18) as u64;
    whole
}
