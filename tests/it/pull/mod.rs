//! `kit pull`: kits out of registries, whatever these do.

mod breaks; // connections that end, stall or drip, and pulls that are killed
mod hostile; // registries that lie, and tags that move
mod limits; // how much is asked for at a time, and what is refused before
mod parents; // kits that take their model from others
mod real; // a real registry, filled by others
mod servers; // registries with habits of their own
mod sharing; // several processes, one store
mod tokens; // proofs that end, and who gets to see them

use std::{ffi::OsStr, process::Child};

use crate::support::{
    Output, Sandbox,
    fake::{Answer, Fake, Recorded, Shelf, asked_blob},
    noise,
};

const MIB: usize = 1 << 20;

/// Returns what the kit of a test is called on a fake registry.
fn name(registry: &Fake) -> String {
    format!("{}/team/net:1", registry.host())
}

/// Pulls the kit of a test.
fn pull<I: AsRef<OsStr>>(
    kit: &Sandbox,
    registry: &Fake,
    more: impl IntoIterator<Item = I>,
) -> Output {
    kit.run(words(registry, more))
}

/// Begins to pull the kit of a test.
fn begin<I: AsRef<OsStr>>(
    kit: &Sandbox,
    registry: &Fake,
    more: impl IntoIterator<Item = I>,
) -> Child {
    use std::process::Stdio;
    let mut command = kit.command(words(registry, more));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

fn words<I: AsRef<OsStr>>(
    registry: &Fake,
    more: impl IntoIterator<Item = I>,
) -> Vec<std::ffi::OsString> {
    let mut words = vec!["pull".into(), name(registry).into()];
    words.extend(more.into_iter().map(|word| word.as_ref().to_owned()));
    words
}

/// Starts a registry with what is on the shelf, whose answers for blobs `change` may change.
fn registry(
    shelf: &Shelf,
    change: impl Fn(&Recorded, Answer) -> Answer + Send + Sync + 'static,
) -> Fake {
    let shelf = shelf.clone();
    let large = shelf.largest().0;
    Fake::start(move |request| {
        let answer = shelf.answer(request);
        if asked_blob(request) == Some(&large) {
            change(request, answer)
        } else {
            answer
        }
    })
}

/// Checks that the store holds the kit `1` of the shelf, byte for byte, and nothing half done.
#[track_caller]
fn check_store(kit: &Sandbox, shelf: &Shelf) {
    let (store, manifest) = (kit.store(), shelf.digest("1"));
    assert_eq!(
        store.names().into_values().collect::<Vec<_>>(),
        std::slice::from_ref(&manifest)
    );
    assert!(store.damaged().is_empty());
    for (_, layer, _) in store.layers(&manifest) {
        assert!(store.blob(&layer) == **shelf.blob(&layer), "{layer}");
    }
    assert_eq!(partials(kit), Vec::<String>::new());
}

/// Returns the names of the files of downloads that are not done.
fn partials(kit: &Sandbox) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(kit.store().path().join("ingest")) else {
        return Vec::new();
    };
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.collect()
}

/// Returns the ranges of the blob that were asked for.
fn asked(registry: &Fake, digest: &str) -> Vec<Recorded> {
    let mut requests = registry.requests();
    requests.retain(|request| asked_blob(request) == Some(digest));
    requests
}

/// Tells whether `part` is no more than `percent` of `whole`.
#[track_caller]
fn at_most(part: u64, percent: u64, whole: u64) {
    assert!(
        part * 100 <= whole * percent,
        "{part} is more than {percent} % of {whole}"
    );
}

/// Returns the names of the kits in the store, which need not be there.
fn names(kit: &Sandbox) -> Vec<String> {
    let index = kit.store().path().join("index.json");
    if !index.exists() {
        return Vec::new();
    }
    kit.store().names().into_keys().collect()
}
