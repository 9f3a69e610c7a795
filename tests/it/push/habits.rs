//! Registries with habits of their own: none needs a flag, and each has the blob in the end.

use super::{SEVERAL_CHUNKS, count, pack_large, push, with};
use crate::support::{
    Sandbox,
    fake::uploads::{Habits, Trouble, Uploads},
};

const MIB: u64 = 1 << 20;
/// More than is sent in one request to a registry of which nothing is known.
const LARGE: usize = 40 << 20;

// hazard: 74, 77, 78
#[test]
fn registries_of_every_kind_are_pushed_to_without_a_flag() {
    let habits = Habits::default;
    let rows: Vec<(&str, Habits)> = vec![
        ("distribution", habits()),
        (
            "GitHub",
            Habits {
                headers: vec![("X-GitHub-Request-Id", "1")],
                max_chunk: Some(4 * MIB),
                ..habits()
            },
        ),
        (
            "GitHub behind another name",
            Habits {
                max_chunk: Some(4 * MIB),
                stuck: true,
                ..habits()
            },
        ),
        ("Amazon behind another name", amazon()),
        (
            "Amazon behind another name, which takes parts of 10 MiB at most",
            Habits {
                max_chunk: Some(10 * MIB),
                min_part: Some(5 * MIB),
                ..amazon()
            },
        ),
        (
            "Google",
            Habits {
                no_chunks: Some(405),
                ..habits()
            },
        ),
        (
            "Google, in other words",
            Habits {
                no_chunks: Some(400),
                ..habits()
            },
        ),
        (
            "Azure",
            Habits {
                headers: vec![("X-Ms-Correlation-Request-Id", "1")],
                max_body: Some(20_000_000),
                ..habits()
            },
        ),
        (
            "Azure behind another name",
            Habits {
                max_body: Some(20_000_000),
                ..habits()
            },
        ),
        (
            "Artifactory",
            Habits {
                headers: vec![("X-JFrog-Version", "Artifactory/7")],
                last_chunk_only: true,
                ..habits()
            },
        ),
        (
            "Artifactory behind another name",
            Habits {
                last_chunk_only: true,
                ..habits()
            },
        ),
        (
            "Nexus",
            Habits {
                headers: vec![("Server", "Nexus/3.70.1")],
                final_location: false,
                ..habits()
            },
        ),
        (
            "Harbor",
            Habits {
                headers: vec![("X-Harbor-CSRF-Token", "1")],
                ..harbor()
            },
        ),
        (
            "GitLab",
            Habits {
                headers: vec![("Gitlab-Container-Registry-Version", "4.15.2-gitlab")],
                ..habits()
            },
        ),
        (
            "zot, which deletes what an error met",
            Habits {
                trouble: Box::new(|asked, number| {
                    (asked.method == "PATCH" && number == 1).then_some(Trouble::Cut(1_000_000))
                }),
                ..habits()
            },
        ),
        (
            "distribution over a store that copies at the end",
            Habits {
                trouble: Box::new(|asked, number| {
                    let closes = asked.method == "PUT" && asked.is_upload() && number == 0;
                    closes.then_some(Trouble::DoneBut(504))
                }),
                ..habits()
            },
        ),
        (
            "behind Cloudflare",
            Habits {
                headers: vec![("CF-Ray", "1")],
                max_body: Some(100_000_000),
                ..habits()
            },
        ),
        (
            "a proxy of 1 MiB",
            Habits {
                max_body: Some(MIB),
                ..habits()
            },
        ),
        (
            "chunks of 10 MiB at least",
            Habits {
                min_chunk: Some(10 * MIB),
                ..habits()
            },
        ),
        (
            "other hosts in addresses",
            Habits {
                location: Some(String::new()),
                ..habits()
            },
        ),
    ];
    let kit = Sandbox::new();
    pack_large(&kit, "team/net:1.0", size());
    for (what, habits) in rows {
        let registry = Uploads::start(habits);
        let name = format!("{}/team/net:1.0", registry.host());
        let output = push(&kit, ["team/net:1.0", &name]);
        assert_eq!(output.code, 0, "{what}: {output}");
        registry.has_kit("team/net", "1.0");
    }
}

/// Returns the size of what is pushed. The figure that is promised is that of 300 MiB:
/// `KIT_TEST_PUSH_MIB=300`.
fn size() -> usize {
    let megabytes = std::env::var("KIT_TEST_PUSH_MIB").ok();
    megabytes.map_or(LARGE, |it| it.parse::<usize>().unwrap() << 20)
}

/// Takes parts, which it counts wrong and tells nobody about.
fn amazon() -> Habits {
    Habits {
        taken: 201,
        stuck: true,
        mute: true,
        ..Habits::default()
    }
}

/// Stands behind a server that ends long requests, and mounts only for those who may read all.
fn harbor() -> Habits {
    const LONGEST: u64 = 150 << 20;
    with(|asked, _| {
        let length = asked.header("content-length")?.parse::<u64>().ok()?;
        if asked.query.contains("mount=") {
            return Some(Trouble::Answer(401, vec![], String::new()));
        }
        (length > LONGEST).then_some(Trouble::Cut(LONGEST))
    })
}

/// What each kind of the table is called, where it is, and what it does.
fn kinds() -> Vec<(&'static str, &'static str, Habits)> {
    let habits = Habits::default;
    let at = |address: &str| Habits {
        location: Some(address.to_owned()),
        ..habits()
    };
    vec![
        (
            "ecr",
            "1.dkr.ecr.eu-west-1.amazonaws.com",
            Habits {
                max_chunk: Some(10 * MIB),
                ..amazon()
            },
        ),
        (
            "ecr-public",
            "public.ecr.aws",
            Habits {
                no_chunks: Some(416),
                ..habits()
            },
        ),
        (
            "artifact-registry",
            "europe-docker.pkg.dev",
            Habits {
                no_chunks: Some(405),
                ..habits()
            },
        ),
        (
            "acr",
            "team.azurecr.io",
            Habits {
                max_body: Some(20_000_000),
                ..habits()
            },
        ),
        (
            "artifactory",
            "team.jfrog.io",
            Habits {
                last_chunk_only: true,
                ..habits()
            },
        ),
        (
            "ghcr",
            "ghcr.io",
            Habits {
                max_chunk: Some(4 * MIB),
                ..habits()
            },
        ),
        ("quay", "quay.io", habits()),
        ("zot", "demo.zothub.io", habits()),
        ("docker-hub", "docker.io", at("http://registry-1.docker.io")),
        ("harbor", "demo.goharbor.io", habits()),
        (
            "gitlab",
            "registry.gitlab.com",
            at("http://registry.gitlab.com"),
        ),
        // Each has a name of its own: it is known by its answers.
        (
            "nexus",
            "nexus.example",
            Habits {
                headers: vec![("Server", "Nexus/3.70.1")],
                final_location: false,
                ..habits()
            },
        ),
        (
            "distribution",
            "registry.example:5000",
            at("http://registry.example:5000"),
        ),
    ]
}

/// Checks that nothing was refused but what is not there yet.
#[track_caller]
fn is_taken_right_at_once(registry: &Uploads, what: &str) {
    registry.has_kit("team/net", "1.0");
    let asked = registry.asked();
    let is_taken = |status| (200..300).contains(&status) || status == 404;
    let refused = asked.iter().find(|it| !is_taken(it.status));
    assert!(refused.is_none(), "{what}: {refused:?}");
}

#[test]
fn registries_that_are_known_by_name_are_taken_right_at_once_without_a_flag() {
    let listed: Vec<_> = kinds().into_iter().map(|row| row.0).collect();
    for kind in modelkit::registry::kinds() {
        assert!(listed.contains(&kind), "{kind} has no registry here");
    }
    let mut kit = Sandbox::new();
    pack_large(&kit, "team/net:1.0", size());
    for (kind, host, habits) in kinds() {
        // As a proxy it can be any host; in clear, as it has the certificate of none.
        let registry = Uploads::start(habits);
        kit.env("HTTP_PROXY", format!("http://{}", registry.host()));
        let name = format!("{host}/team/net:1.0");
        push(&kit, ["team/net:1.0", &name]).success();
        is_taken_right_at_once(&registry, kind);
    }
}

#[test]
fn registries_of_which_the_kind_is_said_are_taken_right_at_once() {
    let kit = Sandbox::new();
    pack_large(&kit, "team/net:1.0", LARGE);
    for (kind, _, habits) in kinds() {
        let registry = Uploads::start(Habits {
            location: None,
            ..habits
        });
        let name = format!("{}/team/net:1.0", registry.host());
        push(&kit, ["team/net:1.0", &name, "--kind", kind]).success();
        is_taken_right_at_once(&registry, kind);
    }
}

#[test]
fn a_known_registry_is_not_taught_by_failures() {
    for (header, chunks) in [
        (("X-GitHub-Request-Id", "1"), 0),
        (("X-JFrog-Version", "7"), 0),
        // Of 16 MiB each at most.
        (("X-Ms-Correlation-Request-Id", "1"), 3),
        (("Docker-Distribution-Api-Version", "registry/2.0"), 2),
    ] {
        let registry = Uploads::start(Habits {
            headers: vec![header],
            ..Habits::default()
        });
        let kit = Sandbox::new();
        let name = format!("{}/team/net:1.0", registry.host());
        pack_large(&kit, &name, LARGE);
        push(&kit, [&*name]).success();
        let asked = registry.asked();
        assert_eq!(count(&asked, "PATCH"), chunks, "{header:?}");
        assert!(
            asked
                .iter()
                .all(|it| (200..300).contains(&it.status) || it.status == 404)
        );
    }
}

#[test]
fn long_requests_that_break_again_and_again_become_chunks() {
    // Of a kind that gets blobs whole, behind something that ends requests after 2 MiB.
    let registry = Uploads::start(Habits {
        headers: vec![("X-GitHub-Request-Id", "1")],
        trouble: Box::new(|asked, _| {
            let length = asked.header("content-length")?.parse::<u64>().ok()?;
            (length > 2 * MIB).then_some(Trouble::Cut(2 * MIB))
        }),
        ..Habits::default()
    });
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1.0", registry.host());
    pack_large(&kit, &name, SEVERAL_CHUNKS);
    let output = push(&kit, [&*name]).exits(0);
    assert!(
        output
            .stderr
            .contains("breaks long requests: chunks follow"),
        "{output}"
    );
    registry.has_kit("team/net", "1.0");
}

#[test]
fn limits_of_the_registry_are_told_before_anything_is_sent() {
    let registry = Uploads::start(Habits::default());
    let (kit, host) = (Sandbox::new(), registry.host());
    let name = format!("{host}/team/net:1.0");
    pack_large(&kit, &name, 3_000_000);
    let limited = [&*name, "--max-layer", "1MB"];
    let output = push(&kit, limited.into_iter().chain(["--strict-limits"])).exits(9);
    assert!(
        output.stderr.contains("and distribution takes 1000000"),
        "{output}"
    );
    assert!(
        output.stderr.contains("several elements of the Kitfile"),
        "{output}"
    );
    assert_eq!(count(&registry.asked(), "POST"), 0);
    let output = push(&kit, limited).exits(0);
    assert!(output.stderr.contains("trying all the same"), "{output}");
    registry.has_kit("team/net", "1.0");
}

#[test]
fn settings_of_a_registry_hold_for_it_alone_and_flags_go_before_them() {
    let kit = Sandbox::new();
    pack_large(&kit, "team/net:1.0", SEVERAL_CHUNKS);
    let registry = Uploads::start(Habits::default());
    let name = format!("{}/team/net:1.0", registry.host());
    let settings = |host: &str, text: &str| {
        let text = format!("[registry.\"{host}\"]\n{text}");
        std::fs::create_dir_all(kit.home()).unwrap();
        std::fs::write(kit.home().join("config.toml"), text).unwrap();
    };
    for (host, text, flag, chunks) in [
        (registry.host(), "chunk-size = \"2MiB\"", None, 3),
        (
            registry.host(),
            "chunk-size = \"2MiB\"",
            Some("--upload=whole"),
            0,
        ),
        (
            registry.host(),
            "kind = \"acr\"\nchunk-size = \"1MiB\"",
            None,
            6,
        ),
        (
            registry.host(),
            "kind = \"artifactory\"\nchunk-size = \"1MiB\"",
            None,
            0,
        ),
        ("other.example".to_owned(), "chunk-size = \"2MiB\"", None, 0),
    ] {
        settings(&host, text);
        registry.forget_all();
        push(&kit, ["team/net:1.0", &name].into_iter().chain(flag)).success();
        assert_eq!(count(&registry.asked(), "PATCH"), chunks, "{text} {flag:?}");
        registry.has_kit("team/net", "1.0");
    }
    settings(&registry.host(), "compat = true");
    let output = push(&kit, ["team/net:1.0", &name]).exits(0);
    assert!(output.stderr.contains("holds the kit"), "{output}");
}

#[test]
fn the_user_decides_how_blobs_are_sent() {
    let kit = Sandbox::new();
    pack_large(&kit, "team/net:1.0", SEVERAL_CHUNKS);
    for (flags, chunks) in [
        (vec!["--upload", "chunks"], 0),
        (vec!["--chunk-size", "2MiB"], 3),
        (vec!["--upload", "whole"], 0),
    ] {
        let registry = Uploads::start(Habits::default());
        let name = format!("{}/team/net:1.0", registry.host());
        push(&kit, ["team/net:1.0", &name].into_iter().chain(flags)).success();
        assert_eq!(count(&registry.asked(), "PATCH"), chunks);
        registry.has_kit("team/net", "1.0");
    }
}
