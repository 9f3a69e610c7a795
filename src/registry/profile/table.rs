//! The rows of the table.

use std::time::Duration;

use super::{Chunks, MAX_CHUNK, SMALL_CHUNK, Way};

const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

/// What is known of one kind of registry.
#[derive(Debug)]
pub struct Profile {
    /// What users call it.
    pub(super) key: &'static str,
    /// What it is called.
    pub name: &'static str,
    /// Its hosts; those with a dot in front are ends of names.
    pub(super) hosts: &'static [&'static str],
    /// Headers of its answers, and how their values begin.
    pub(super) signs: &'static [(&'static str, &'static str)],
    /// How it takes large blobs best.
    pub(super) way: Way,
    /// Which chunks it takes, if any.
    pub(super) chunks: Option<Chunks>,
    /// The most bytes of one request.
    pub(super) max_body: Option<u64>,
    /// The most bytes of a layer.
    pub(super) max_layer: Option<u64>,
    /// How long a request may take.
    pub(super) request_time: Option<Duration>,
    /// Whether it tells where an upload stands, and tells it right.
    pub(super) tells: bool,
}

pub(super) const ANY_CHUNKS: Option<Chunks> = Some(Chunks {
    min: 0,
    max: MAX_CHUNK,
});

/// A registry of which nothing is known.
pub(super) static COMMON: Profile = Profile {
    key: "distribution",
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

pub(super) static PROFILES: &[Profile] = &[
    Profile {
        key: "ghcr",
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
        key: "ecr-public",
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
        key: "ecr",
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
        key: "artifact-registry",
        name: "Google Artifact Registry",
        hosts: &[".pkg.dev", "gcr.io", ".gcr.io"],
        way: Way::Whole,
        chunks: None,
        ..COMMON
    },
    Profile {
        key: "acr",
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
        key: "artifactory",
        name: "Artifactory",
        hosts: &[".jfrog.io"],
        signs: &[("x-artifactory-id", ""), ("x-jfrog-version", "")],
        way: Way::Whole,
        chunks: None,
        ..COMMON
    },
    Profile {
        key: "harbor",
        name: "Harbor",
        hosts: &["demo.goharbor.io"],
        signs: &[("x-harbor-csrf-token", "")],
        ..COMMON
    },
    Profile {
        key: "gitlab",
        name: "GitLab",
        hosts: &["registry.gitlab.com"],
        signs: &[("gitlab-container-registry-version", "")],
        ..COMMON
    },
    Profile {
        key: "quay",
        name: "Quay",
        hosts: &["quay.io"],
        ..COMMON
    },
    Profile {
        key: "zot",
        name: "zot",
        hosts: &[".zothub.io"],
        request_time: Some(Duration::from_secs(60)),
        ..COMMON
    },
    Profile {
        key: "nexus",
        name: "Nexus",
        hosts: &[],
        signs: &[("server", "Nexus/")],
        way: Way::Whole,
        ..COMMON
    },
    Profile {
        key: "docker-hub",
        name: "Docker Hub",
        hosts: &["docker.io", "index.docker.io", "registry-1.docker.io"],
        ..COMMON
    },
];
