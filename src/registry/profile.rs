//! What registries do differently when they are given blobs: a table, and what is learned beside
//! it while one run lasts.
//!
//! A row is found by the registry's name, else by a header that its answers carry. Nothing depends
//! on finding it: an answer that does not fit teaches the same (see [`Habits`]), only later.

use std::time::Duration;

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

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

/// What is known of one kind of registry.
#[derive(Debug)]
pub struct Profile {
    /// What it is called.
    pub name: &'static str,
    /// Its hosts; those with a dot in front are ends of names.
    hosts: &'static [&'static str],
    /// Headers of its answers, and how their values begin.
    signs: &'static [(&'static str, &'static str)],
    /// How it takes large blobs best.
    way: Way,
    /// Which chunks it takes, if any.
    chunks: Option<Chunks>,
    /// The most bytes of one request.
    max_body: Option<u64>,
    /// The most bytes of a layer.
    max_layer: Option<u64>,
    /// How long a request may take.
    request_time: Option<Duration>,
    /// Whether it tells where an upload stands, and tells it right.
    tells: bool,
}

const ANY_CHUNKS: Option<Chunks> = Some(Chunks {
    min: 0,
    max: MAX_CHUNK,
});

/// A registry of which nothing is known.
static COMMON: Profile = Profile {
    name: "distribution",
    hosts: &[],
    signs: &[],
    way: Way::Chunks,
    chunks: ANY_CHUNKS,
    max_body: None,
    max_layer: None,
    request_time: None,
    tells: true,
};

static PROFILES: &[Profile] = &[
    Profile {
        name: "GitHub",
        hosts: &["ghcr.io", ".ghcr.io"],
        signs: &[("x-github-request-id", "")],
        way: Way::Whole,
        chunks: Some(Chunks {
            min: 0,
            max: SMALL_CHUNK,
        }),
        max_layer: Some(10_000_000_000),
        request_time: Some(Duration::from_secs(600)),
        ..COMMON
    },
    Profile {
        name: "Amazon ECR Public",
        hosts: &["public.ecr.aws"],
        way: Way::Whole,
        chunks: Some(Chunks {
            min: 5 * MIB,
            max: 10 * MIB,
        }),
        max_layer: Some(10_000 * MIB),
        tells: false,
        ..COMMON
    },
    Profile {
        name: "Amazon ECR",
        hosts: &[".amazonaws.com", ".amazonaws.com.cn"],
        way: Way::Whole,
        chunks: Some(Chunks {
            min: 5 * MIB,
            max: 10 * MIB,
        }),
        max_layer: Some(52_000 * MIB),
        tells: false,
        ..COMMON
    },
    Profile {
        name: "Google Artifact Registry",
        hosts: &[".pkg.dev", "gcr.io", ".gcr.io"],
        way: Way::Whole,
        chunks: None,
        ..COMMON
    },
    Profile {
        name: "Azure Container Registry",
        hosts: &[".azurecr.io", ".azurecr.cn", ".azurecr.us"],
        signs: &[("x-ms-correlation-request-id", "")],
        chunks: Some(Chunks {
            min: 0,
            max: 16 * MIB,
        }),
        max_body: Some(16 * MIB),
        max_layer: Some(200 * GIB),
        ..COMMON
    },
    Profile {
        // Some versions keep the last chunk alone and say nothing.
        name: "Artifactory",
        hosts: &[".jfrog.io"],
        signs: &[("x-artifactory-id", ""), ("x-jfrog-version", "")],
        way: Way::Whole,
        chunks: None,
        ..COMMON
    },
    Profile {
        name: "Harbor",
        hosts: &["demo.goharbor.io"],
        signs: &[("x-harbor-csrf-token", "")],
        ..COMMON
    },
    Profile {
        name: "GitLab",
        hosts: &["registry.gitlab.com"],
        signs: &[("gitlab-container-registry-version", "")],
        ..COMMON
    },
    Profile {
        name: "Quay",
        hosts: &["quay.io"],
        ..COMMON
    },
    Profile {
        name: "zot",
        hosts: &[".zothub.io"],
        request_time: Some(Duration::from_secs(60)),
        ..COMMON
    },
    Profile {
        name: "Nexus",
        hosts: &[],
        signs: &[("server", "Nexus/")],
        way: Way::Whole,
        ..COMMON
    },
    Profile {
        name: "Docker Hub",
        hosts: &["docker.io", "index.docker.io", "registry-1.docker.io"],
        ..COMMON
    },
];

/// What stands in front of a registry and takes no larger requests, by a header it adds.
static FRONTS: &[(&str, u64)] = &[("cf-ray", 95_000_000)];

/// What is known of one registry: its row, and what its answers taught.
#[derive(Clone, Debug)]
pub struct Habits {
    profile: &'static Profile,
    by_name: bool,
    way: Way,
    chunks: Option<Chunks>,
    max_body: Option<u64>,
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
        let row = PROFILES
            .iter()
            .find(|row| row.hosts.iter().any(|it| is_it(&it)));
        Self::from_row(row.unwrap_or(&COMMON), row.is_some())
    }

    fn from_row(profile: &'static Profile, by_name: bool) -> Self {
        Self {
            profile,
            by_name,
            way: profile.way,
            chunks: profile.chunks,
            max_body: profile.max_body,
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
        self.profile.max_layer
    }

    /// Returns whether a `Range` or the state of an upload is to be believed.
    pub(super) const fn tells(&self) -> bool {
        self.tells
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

    /// One request with the whole blob broke, again. Returns what to say, or `None` if it cannot be
    /// cut into chunks.
    pub(super) fn whole_breaks(&mut self) -> Option<String> {
        self.chunks?;
        (std::mem::replace(&mut self.way, Way::Chunks) == Way::Whole)
            .then(|| "breaks long requests: chunks follow".to_owned())
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_are_known_by_their_names() {
        for (host, name, way) in [
            ("ghcr.io", "GitHub", Way::Whole),
            ("GHCR.IO:443", "GitHub", Way::Whole),
            (
                "1.dkr.ecr.eu-west-1.amazonaws.com",
                "Amazon ECR",
                Way::Whole,
            ),
            (
                "1.dkr.ecr.cn-north-1.amazonaws.com.cn",
                "Amazon ECR",
                Way::Whole,
            ),
            ("public.ecr.aws", "Amazon ECR Public", Way::Whole),
            (
                "europe-docker.pkg.dev",
                "Google Artifact Registry",
                Way::Whole,
            ),
            ("eu.gcr.io", "Google Artifact Registry", Way::Whole),
            ("team.azurecr.io", "Azure Container Registry", Way::Chunks),
            ("team.jfrog.io", "Artifactory", Way::Whole),
            ("registry.gitlab.com", "GitLab", Way::Chunks),
            ("quay.io", "Quay", Way::Chunks),
            ("docker.io", "Docker Hub", Way::Chunks),
            ("registry.example:5000", "distribution", Way::Chunks),
            ("notghcr.io.example", "distribution", Way::Chunks),
            ("amazonaws.com.example", "distribution", Way::Chunks),
            ("xgcr.io", "distribution", Way::Chunks),
        ] {
            let habits = Habits::of(host);
            assert_eq!((habits.name(), habits.way(GIB)), (name, way), "{host}");
        }
    }

    #[test]
    fn registries_are_known_by_their_answers_and_a_name_counts_more() {
        for (header, value, name) in [
            ("x-jfrog-version", "Artifactory/7", "Artifactory"),
            ("gitlab-container-registry-version", "4", "GitLab"),
            ("server", "Nexus/3.70", "Nexus"),
            ("server", "nginx", "distribution"),
            ("x-github-request-id", "1", "GitHub"),
            (
                "x-ms-correlation-request-id",
                "1",
                "Azure Container Registry",
            ),
            ("x-harbor-csrf-token", "1", "Harbor"),
        ] {
            let mut habits = Habits::of("registry.example");
            habits.see(|it| (it == header).then_some(value));
            assert_eq!(habits.name(), name, "{header}: {value}");
        }
        let mut habits = Habits::of("ghcr.io");
        habits.see(|it| (it == "server").then_some("Nexus/3"));
        assert_eq!(habits.name(), "GitHub");
    }

    #[test]
    fn chunks_follow_time_and_limits() {
        let mut habits = Habits::of("registry.example");
        assert_eq!(habits.chunk(GIB, None), FIRST_CHUNK);
        assert_eq!(habits.chunk(5, None), 5, "the last one is what is left");
        habits.measured(FIRST_CHUNK, Duration::from_millis(30));
        assert_eq!(habits.chunk(GIB, Some(FIRST_CHUNK)), 2 * FIRST_CHUNK);
        assert_eq!(habits.chunk(GIB, Some(MAX_CHUNK)), MAX_CHUNK);
        habits.measured(FIRST_CHUNK, Duration::from_secs(40));
        assert_eq!(habits.chunk(GIB, Some(FIRST_CHUNK)), FIRST_CHUNK / 4);
        habits.measured(MIB, Duration::from_secs(1000));
        assert_eq!(habits.chunk(GIB, Some(MIB)), LEAST_CHUNK);
        habits.see(|it| (it == "oci-chunk-min-length").then_some("10485760"));
        assert_eq!(habits.chunk(GIB, Some(MIB)), 10 * MIB);
        habits.see(|it| (it == "oci-chunk-min-length").then_some("18446744073709551615"));
        assert_eq!(habits.chunk(GIB, Some(MIB)), MAX_CHUNK);
        let mut habits = Habits::of("registry.example");
        habits.see(|it| (it == "cf-ray").then_some("1"));
        assert_eq!(habits.chunk(GIB, Some(GIB)), FIRST_CHUNK);
        habits.measured(FIRST_CHUNK, Duration::from_millis(1));
        assert_eq!(habits.chunk(GIB, Some(GIB)), 95_000_000);
    }

    #[test]
    fn what_is_refused_is_tried_smaller_and_in_the_end_otherwise() {
        let mut habits = Habits::of("registry.example");
        let mut sizes = vec![32 * MIB];
        while habits.too_large(*sizes.last().unwrap()).is_some() {
            sizes.push(habits.chunk(GIB, None));
        }
        assert_eq!(sizes, [32 * MIB, 8 * MIB, 2 * MIB, MIB]);
        let mut habits = Habits::of("registry.example");
        assert!(habits.chunk_refused(FIRST_CHUNK).is_some());
        assert_eq!(habits.chunk(GIB, None), SMALL_CHUNK);
        assert!(habits.chunk_refused(SMALL_CHUNK).is_some());
        assert_eq!(habits.way(GIB), Way::Whole);
        assert_eq!(habits.chunk_refused(SMALL_CHUNK), None);
        assert_eq!(habits.whole_breaks(), None, "there are no chunks");
    }

    #[test]
    fn a_whole_blob_that_would_take_too_long_is_cut() {
        let mut habits = Habits::of("ghcr.io");
        assert_eq!(habits.way(GIB), Way::Whole);
        habits.measured(MIB, Duration::from_secs(1));
        assert_eq!(habits.way(GIB), Way::Chunks);
        assert_eq!(habits.chunk(GIB, None), SMALL_CHUNK);
        assert_eq!(habits.way(100 * MIB), Way::Whole);
    }

    #[test]
    fn what_the_user_asks_for_counts() {
        let mut habits = Habits::of("ghcr.io");
        habits.prefer(Some(Way::Chunks), None);
        assert_eq!(habits.way(GIB), Way::Chunks);
        habits.prefer(None, Some(2 * MIB));
        assert_eq!(habits.way(3 * MIB), Way::Chunks);
        assert_eq!(habits.chunk(GIB, None), 2 * MIB);
        habits.prefer(Some(Way::Whole), None);
        assert_eq!(habits.way(GIB), Way::Whole);
    }
}
