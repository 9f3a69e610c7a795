//! Kits of which a part is here already: what changed comes, and the rest is taken from there.

mod folders; // kits that go into folders and not into the store
mod lies; // tables, registries and files that are not what they say
mod ways; // what registries give, and whether it is worth to be asked for

use serde_json::Value;

use crate::support::{
    Sandbox,
    fake::{Answer, Fake, Recorded, Shelf, asked_blob},
    kits::pack_kitfile,
    noise, tocs,
};

const KIB: usize = 1 << 10;
const MIB: usize = 1 << 20;

const KITFILE: &str = "manifestVersion: 1.0.0\n\
                       package: {name: net}\n\
                       model: {name: net, path: model.bin}\n\
                       datasets: [{name: rows, path: rows}]\n";

/// A kit of a model and many small files, and the kit that became of it.
struct Versions {
    shelf: Shelf,
    tocs: [String; 2],
}

/// Returns a shelf with the kits `1` and `2`, both with tables of contents. The second one has
/// what `change` makes of the model, and one more file.
fn versions(change: impl FnOnce(&mut Vec<u8>)) -> Versions {
    let kit = Sandbox::new();
    let mut model = noise(6 * MIB, 1);
    for number in 0..100 {
        let rows = noise(3 * KIB + number, 100 + number as u64);
        kit.file(format!("packed/rows/{number:03}.bin"), rows);
    }
    kit.file("packed/model.bin", &model);
    pack_kitfile(&kit, "team/net:1", KITFILE);
    change(&mut model);
    kit.file("packed/model.bin", &model);
    kit.file("packed/rows/050a.bin", noise(500, 9));
    pack_kitfile(&kit, "team/net:2", KITFILE);
    let mut shelf = Shelf::of(&kit.store());
    let tocs = ["1", "2"].map(|tag| tocs::add(&mut shelf, tag));
    Versions { shelf, tocs }
}

fn serve(shelf: &Shelf) -> Fake {
    serve_but(shelf, |_, answer| answer)
}

/// Serves a shelf, with answers that `change` may change.
fn serve_but(
    shelf: &Shelf,
    change: impl Fn(&Recorded, Answer) -> Answer + Send + Sync + 'static,
) -> Fake {
    let shelf = shelf.clone();
    Fake::start(move |request| change(request, shelf.answer(request)))
}

/// Serves a shelf as a registry does that sends all of a blob, whatever part is asked for.
fn serve_whole(shelf: &Shelf) -> Fake {
    let served = shelf.clone();
    serve_but(shelf, move |request, answer| {
        let is_part = request.header("range").is_some();
        let asked = asked_blob(request).filter(|it| is_part && served.has(it));
        let whole = |digest: &str| {
            let blob = served.blob(digest);
            Answer::new(200).content(blob, 0..blob.len())
        };
        asked.map_or(answer, whole)
    })
}

/// Pulls a kit, and returns what is told of it.
#[track_caller]
fn pull(kit: &Sandbox, registry: &Fake, tag: &str, more: &[&str]) -> Value {
    let name = format!("{}/team/net:{tag}", registry.host());
    let mut words = vec!["pull", &name, "--format", "json"];
    words.extend(more);
    kit.run(words).json()
}

/// Checks that the store has a kit of the shelf, byte for byte, with its table of contents.
#[track_caller]
fn check(kit: &Sandbox, shelf: &Shelf, tag: &str) {
    let (store, manifest) = (kit.store(), shelf.digest(tag));
    assert!(store.names().into_values().any(|it| it == manifest));
    assert!(store.damaged().is_empty());
    for (_, layer, _) in store.layers(&manifest) {
        assert!(store.blob(&layer) == **shelf.blob(&layer), "{layer}");
    }
}

fn number(document: &Value, key: &str) -> u64 {
    document[key].as_u64().unwrap()
}

#[test]
fn what_changed_in_a_file_comes_and_the_rest_is_here() {
    for (what, change) in [
        (
            "a byte",
            &(|model: &mut Vec<u8>| model[3_000_000] ^= 1) as &dyn Fn(&mut Vec<u8>),
        ),
        ("an insertion", &|model| {
            model.splice(2_000_000..2_000_000, noise(1000, 7));
        }),
        ("a cut", &|model| {
            model.drain(1_000_000..1_500_000);
        }),
        ("an end", &|model| model.extend(noise(1000, 8))),
    ] {
        let Versions { shelf, tocs } = versions(change);
        let kit = Sandbox::new();
        let registry = serve(&shelf);
        let first = pull(&kit, &registry, "1", &[]);
        assert_eq!(number(&first, "reused"), 0, "{what}");
        let before = registry.sent();
        let second = pull(&kit, &registry, "2", &[]);
        check(&kit, &shelf, "2");
        let (sent, size) = (registry.sent() - before, shelf.size("2"));
        assert!(sent < size / 8, "{what}: {sent} of {size}");
        // What is told is what happened.
        let fetched = number(&second, "fetched");
        let toc = shelf.blob(&tocs[1]).len() as u64;
        assert!(
            fetched <= sent && sent < fetched + 10_000,
            "{what}: {fetched}, {sent}"
        );
        assert!(
            number(&second, "reused") + fetched + 10_000 > size + toc,
            "{what}: {second}"
        );
        // Nothing is left over that a next pull would ask for.
        let before = registry.sent();
        pull(&kit, &registry, "2", &[]);
        assert!(registry.sent() - before < 10_000);
    }
}

#[test]
fn an_unpacked_tree_is_as_good_as_a_kit() {
    let Versions { shelf, .. } = versions(|model| model[4_000_000] ^= 1);
    let registry = serve(&shelf);
    let one = Sandbox::new();
    pull(&one, &registry, "1", &[]);
    let name = format!("{}/team/net:1", registry.host());
    one.run(["unpack", &name, "-q", "-d", "tree"]).success();
    let kit = Sandbox::new();
    let tree = one.path("tree");
    let before = registry.sent();
    let told = pull(&kit, &registry, "2", &["--reuse", tree.to_str().unwrap()]);
    check(&kit, &shelf, "2");
    let sent = registry.sent() - before;
    assert!(sent < shelf.size("2") / 8, "{sent}: {told}");
    let missing = pull_fails(&kit, &registry, &["--reuse", "nowhere"]);
    assert!(
        missing.contains("cannot look for files in nowhere"),
        "{missing}"
    );
}

/// Pulls what cannot be pulled, and returns what is said.
#[track_caller]
fn pull_fails(kit: &Sandbox, registry: &Fake, more: &[&str]) -> String {
    let name = format!("{}/team/net:2", registry.host());
    let mut words = vec!["pull", &name];
    words.extend(more);
    kit.run(words).exits(3).to_string()
}

#[test]
fn without_anything_here_a_kit_comes_whole() {
    let Versions { shelf, .. } = versions(|_| {});
    let kit = Sandbox::new();
    let registry = serve(&shelf);
    let told = pull(&kit, &registry, "2", &[]);
    check(&kit, &shelf, "2");
    assert_eq!(number(&told, "reused"), 0);
    let toc = shelf.blob(&tocs_of(&shelf, "2")).len() as u64;
    assert!(registry.sent() < shelf.size("2") + toc + 10_000);
}

/// Returns the digest of the table of contents of a kit.
fn tocs_of(shelf: &Shelf, tag: &str) -> String {
    let manifest = shelf.manifest(&shelf.digest(tag));
    let digest = &manifest["annotations"]["org.modelkit.toc.digest"];
    digest.as_str().unwrap().to_owned()
}

#[test]
fn a_dry_run_tells_both_ways_and_stores_nothing() {
    let Versions { shelf, .. } = versions(|model| model[3_000_000] ^= 1);
    let kit = Sandbox::new();
    let registry = serve(&shelf);
    pull(&kit, &registry, "1", &[]);
    let blobs = kit.store().blobs();
    let told = pull(&kit, &registry, "2", &["--dry-run"]);
    assert_eq!(kit.store().blobs(), blobs);
    assert_eq!(number(&told, "full"), whole(&shelf));
    let fetched = pull(&kit, &registry, "2", &[]);
    assert_eq!(number(&told, "fetch"), number(&fetched, "fetched"));
    let name = format!("{}/team/net:2", registry.host());
    let fresh = Sandbox::new();
    let said = fresh.run(["pull", &name, "--dry-run"]).success();
    assert!(said.starts_with("Would pull sha256:"), "{said}");
    assert!(!fresh.store().path().join("blobs").exists());
}

/// Returns the bytes of the kit `2`, with its table of contents, as a pull counts them: without
/// the documents.
fn whole(shelf: &Shelf) -> u64 {
    let config = &shelf.manifest(&shelf.digest("2"))["config"];
    let toc = shelf.blob(&tocs_of(shelf, "2")).len() as u64;
    shelf.size("2") + toc - number(config, "size")
}
