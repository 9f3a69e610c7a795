//! Links, modes and special files, which only Unix has in full.

use std::os::unix::fs::{PermissionsExt, symlink};

use super::*;
use crate::archive::LinkReason;

fn chmod(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

// hazard: 48
#[test]
fn modes_are_those_of_the_execute_bit_unless_kept() {
    let context = Context::new(&[("d/run", ""), ("d/plain", "")]);
    chmod(&context.path("d/run"), 0o4711);
    chmod(&context.path("d/plain"), 0o606);
    chmod(&context.path("d"), 0o1777);
    let modes =
        |found: &Found| -> Vec<u32> { found.tree.entries(0).map(|entry| entry.mode()).collect() };
    assert_eq!(
        modes(&context.walk(&["."], "").unwrap()),
        [0o755, 0o644, 0o755]
    );
    let kept = context.walk_as(&["."], "", |options| options.keep_modes = true);
    assert_eq!(modes(&kept.unwrap()), [0o1777, 0o606, 0o4711]);
}

// hazard: 41
#[test]
fn links_inside_are_packed_as_what_they_lead_to() {
    let context = Context::new(&[("data/a", "A"), ("data/sub/b", "B")]);
    symlink("data", context.path("link")).unwrap();
    symlink("sub/b", context.path("data/c")).unwrap();
    symlink("c", context.path("data/d")).unwrap();
    let found = context.walk(&["."], "").unwrap();
    assert_eq!(
        names(&found, 0),
        [
            "data/",
            "data/a",
            "data/c",
            "data/d",
            "data/sub/",
            "data/sub/b",
            "link/",
            "link/a",
            "link/c",
            "link/d",
            "link/sub/",
            "link/sub/b"
        ]
    );
    let (_, bytes) = pack(&found, 0, 2);
    let mut archive = tar::Archive::new(&bytes[..]);
    let sizes: Vec<u64> = archive
        .entries()
        .unwrap()
        .map(|entry| entry.unwrap().size())
        .collect();
    assert_eq!(sizes, [0, 1, 1, 1, 0, 1, 0, 1, 1, 1, 0, 1]);
}

// hazard: 41
#[test]
fn a_linked_layer_path_is_packed_as_what_it_leads_to() {
    let context = Context::new(&[("real/w", "W"), ("file", "F")]);
    symlink("real", context.path("model")).unwrap();
    symlink("file", context.path("readme")).unwrap();
    let found = context.walk(&["model", "readme"], "").unwrap();
    assert_eq!(names(&found, 0), ["model/", "model/w"]);
    assert_eq!(names(&found, 1), ["readme"]);
}

// hazard: 42, 51
#[test]
fn every_link_that_cannot_be_packed_is_named_with_both_ends() {
    let outside = Context::new(&[("secret", "")]);
    let context = Context::new(&[("a/x", ""), ("key", ""), (".git/c", "")]);
    symlink(outside.path("secret"), context.path("a/out")).unwrap();
    symlink("../key", context.path("a/hidden")).unwrap();
    symlink("../.git/c", context.path("a/litter")).unwrap();
    symlink("nowhere", context.path("a/gone")).unwrap();
    symlink("../a", context.path("a/up")).unwrap();
    symlink("round", context.path("a/round")).unwrap();
    let Err(Error::Links(problems)) = context.walk(&["."], "key\n") else {
        panic!("the links were accepted");
    };
    let reasons: Vec<_> = problems
        .iter()
        .map(|problem| (problem.path.as_str(), problem.reason.clone()))
        .collect();
    assert_eq!(
        reasons,
        [
            ("a/gone", LinkReason::Missing),
            (
                "a/hidden",
                LinkReason::Ignored(".kitignore:1: key".to_owned())
            ),
            (
                "a/litter",
                LinkReason::Ignored("built-in rule: .git".to_owned())
            ),
            ("a/out", LinkReason::Outside),
            ("a/round", LinkReason::Circle),
            ("a/up", LinkReason::Loop),
        ]
    );
    assert_eq!(problems[0].target, Path::new("nowhere"));

    let found = context
        .walk_as(&["."], "key\n", |options| {
            options.follow_links = FollowLinks::Skip;
        })
        .unwrap();
    assert_eq!(names(&found, 0), ["a/", "a/x"]);
    assert_eq!(found.warnings.len(), 6);
}

#[test]
fn what_is_ignored_where_a_link_leads_is_ignored_there() {
    let context = Context::new(&[("data/a", ""), ("data/secret.key", "")]);
    symlink("data", context.path("link")).unwrap();
    let found = context.walk(&["link"], "data/*.key\n").unwrap();
    assert_eq!(names(&found, 0), ["link/", "link/a"]);
}

#[test]
fn following_all_links_lists_what_comes_from_outside() {
    let outside = Context::new(&[("shared/w", "W")]);
    let context = Context::new(&[("a", "")]);
    symlink(outside.path("shared"), context.path("weights")).unwrap();
    let found = context
        .walk_as(&["."], "", |options| {
            options.follow_links = FollowLinks::All;
        })
        .unwrap();
    assert_eq!(names(&found, 0), ["a", "weights/", "weights/w"]);
    assert!(found.warnings[0].starts_with("`weights` is packed from outside the context: `"));
}

// hazard: 42
#[test]
fn a_cache_snapshot_is_packed_as_real_files() {
    let cache = Context::new(&[("models--o--n/blobs/0123", "weights")]);
    let snapshot = cache.path("models--o--n/snapshots/abc");
    fs::create_dir_all(&snapshot).unwrap();
    symlink("../../blobs/0123", snapshot.join("model.safetensors")).unwrap();
    let rules = IgnoreRules::default();
    let options = Options {
        layers: &["model.safetensors".to_owned()],
        foreign: &[],
        rules: &rules,
        follow_links: FollowLinks::Context,
        keep_modes: false,
        executable: &[],
        strict: false,
        guard: None,
    };
    let found = walk(&snapshot, &options, &Silent).unwrap();
    assert_eq!(names(&found, 0), ["model.safetensors"]);
    assert_eq!(found.tree.bytes(0), 7);
    assert!(
        found.warnings[0].starts_with("the context is a cache snapshot: 1 link is packed"),
        "{:?}",
        found.warnings
    );
    assert!(pack(&found, 0, 1).1.starts_with(b"model.safetensors\0"));
}

// hazard: 45
#[test]
fn special_files_are_warned_of_or_refused() {
    let context = Context::new(&[("a", "")]);
    let socket = std::os::unix::net::UnixListener::bind(context.path("s")).unwrap();
    let found = context.walk(&["."], "").unwrap();
    assert_eq!(found.warnings, ["`s` is a socket and is not packed"]);
    let strict = context.walk_as(&["."], "", |options| options.strict = true);
    assert_eq!(
        strict.err().unwrap().to_string(),
        "`s` is a socket and cannot be packed"
    );
    let alone = context.walk(&["s"], "");
    assert_eq!(
        alone.err().unwrap().to_string(),
        "path `s` is neither a file nor a folder"
    );
    drop(socket);
}

// hazard: 124
#[test]
fn a_deep_context_is_walked_on_a_small_stack() {
    const DEPTH: usize = 500;
    let context = Context::new(&[]);
    let mut path = context.path("");
    for _ in 0..DEPTH {
        path.push("d");
        fs::create_dir(&path).unwrap();
    }
    fs::write(path.join("f"), "").unwrap();
    let walk = || context.walk(&["."], "").unwrap().tree.len(0);
    let found = std::thread::scope(|scope| {
        let walked = std::thread::Builder::new()
            .stack_size(256 << 10)
            .spawn_scoped(scope, walk);
        walked.unwrap().join().unwrap()
    });
    assert_eq!(found, DEPTH + 1);
}

// hazard: 51
#[test]
fn links_that_multiply_are_refused() {
    let context = Context::new(&[("end/file", "")]);
    for level in 0..12 {
        let folder = context.path(&format!("l{level:02}"));
        fs::create_dir(&folder).unwrap();
        let next = match level {
            11 => "../end".to_owned(),
            _ => format!("../l{:02}", level + 1),
        };
        for name in ["a", "b"] {
            symlink(&next, folder.join(name)).unwrap();
        }
    }
    let Err(Error::Links(problems)) = context.walk(&["l00"], "") else {
        panic!("the links were accepted");
    };
    assert_eq!(problems[0].reason, LinkReason::TooOften(1000));
}
