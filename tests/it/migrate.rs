//! `kit migrate`: kits out of the store of `KitOps`.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use serde_json::json;
use snapbox::{assert_data_eq, str};

use super::support::{
    Sandbox,
    kitops::{self, blob_of, index_of, tags_of},
    kits::{blobs, damage, pack, pack_kitfile},
};

/// Two homes: kits are made in the one, and put as `KitOps`'s into the other.
struct Homes {
    maker: Sandbox,
    kit: Sandbox,
    one: String,
    two: String,
}

impl Homes {
    fn new() -> Self {
        let maker = Sandbox::new();
        let one = pack(&maker, "a:1", "one");
        let two = pack(&maker, "a:2", "two");
        let kit = Sandbox::new();
        Self {
            maker,
            kit,
            one,
            two,
        }
    }

    fn storage(&self) -> PathBuf {
        self.kit.home().join("storage")
    }

    /// Puts two kits into `KitOps`'s store, in the layout of today.
    fn usual(&self) {
        let placed: &[kitops::Placed<'_>] = &[
            ("localhost/team/net", &self.one, &["1.0"]),
            ("localhost/team/net", &self.two, &["2.0", "latest"]),
            ("reg.example:5000/x", &self.one, &[]),
            ("localhost/_", &self.two, &[]),
        ];
        kitops::shared(&self.maker, &self.storage(), placed);
    }

    fn names(&self) -> BTreeMap<String, String> {
        self.kit.store().names()
    }
}

/// Returns all that can be seen of the files below `folder`.
fn state(folder: &Path) -> BTreeMap<PathBuf, (Vec<u8>, String)> {
    let mut found = BTreeMap::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let metadata = fs::symlink_metadata(&path).unwrap();
        if metadata.is_dir() {
            found.extend(state(&path));
        }
        let content = fs::read(&path).unwrap_or_default();
        #[cfg(unix)]
        let seen = {
            use std::os::unix::fs::MetadataExt as _;
            let stat = &metadata;
            format!(
                "{} {} {} {} {} {} {}",
                stat.ino(),
                stat.mode(),
                stat.len(),
                stat.mtime(),
                stat.mtime_nsec(),
                stat.ctime(),
                stat.ctime_nsec()
            )
        };
        #[cfg(not(unix))]
        let seen = format!("{:?} {:?}", metadata.len(), metadata.modified());
        found.insert(path, (content, seen));
    }
    found
}

#[test]
fn kits_come_with_all_their_names_and_the_source_stays_as_it_was() {
    let homes = Homes::new();
    homes.usual();
    let before = state(&homes.storage());
    assert_data_eq!(
        homes.kit.run(["migrate", "--dry-run"]).hide_digests(),
        str![[r#"
Would migrate team/net:2.0 (digest sha256:[DIGEST])
Would migrate team/net:latest (digest sha256:[DIGEST])
Would migrate team/net:1.0 (digest sha256:[DIGEST])
Would migrate reg.example:5000/x@sha256:[DIGEST] (digest sha256:[DIGEST])
Would migrate sha256:[DIGEST] (digest sha256:[DIGEST])
[stderr]
Would migrate 4 kits and copy 5.6 KiB; 0 here already
[exit 0]

"#]]
    );
    assert!(!homes.kit.store().path().exists());
    assert_data_eq!(
        homes.kit.run(["migrate"]).hide_digests(),
        str![[r#"
Migrated team/net:2.0 (digest sha256:[DIGEST])
Migrated team/net:latest (digest sha256:[DIGEST])
Migrated team/net:1.0 (digest sha256:[DIGEST])
Migrated reg.example:5000/x@sha256:[DIGEST] (digest sha256:[DIGEST])
Migrated sha256:[DIGEST] (digest sha256:[DIGEST])
[stderr]
Migrated 4 kits, copied 5.6 KiB; 0 here already
[exit 0]

"#]]
    );
    let names = homes.names();
    let untagged = format!("reg.example:5000/x@{}", homes.one);
    for (name, digest) in [
        ("team/net:1.0", &homes.one),
        ("team/net:2.0", &homes.two),
        ("team/net:latest", &homes.two),
        (&*untagged, &homes.one),
    ] {
        assert_eq!(names.get(name), Some(digest), "{name}");
    }
    assert_eq!(names.len(), 4);
    let index = homes.kit.store().index();
    assert_eq!(index["manifests"].as_array().unwrap().len(), 5);
    homes.kit.run(["verify"]).success();
    homes
        .kit
        .run(["unpack", "team/net:2.0", "-d", "out"])
        .success();
    assert_eq!(fs::read(homes.kit.path("out/model.bin")).unwrap(), b"two");
    let log = fs::read(homes.kit.store().path().join("names.log")).unwrap();
    assert_data_eq!(
        homes.kit.run(["migrate"]).hide_digests(),
        str![[r#"
[stderr]
Migrated 0 kits, copied 0 B; 4 here already
[exit 0]

"#]]
    );
    assert_data_eq!(
        homes.kit.run(["migrate", "--dry-run"]).hide_digests(),
        str![[r#"
[stderr]
Would migrate 0 kits and copy 0 B; 4 here already
[exit 0]

"#]]
    );
    let after = fs::read(homes.kit.store().path().join("names.log")).unwrap();
    assert_eq!(after, log, "nothing was new");
    assert!(state(&homes.storage()) == before, "KitOps's store changed");
}

#[test]
fn the_layout_of_old_is_read_in_the_same_way_and_beside_the_other() {
    let homes = Homes::new();
    kitops::separate(
        &homes.maker,
        &homes.storage(),
        &[
            ("localhost/blobs/net", &homes.one, &["1", "latest"]),
            ("localhost/blobs", &homes.one, &["outer"]),
            ("reg.example:5000/team/deep/net", &homes.two, &["1"]),
            ("reg.example:5000/bare", &homes.two, &[]),
        ],
    );
    let before = state(&homes.storage());
    let storage = homes.storage();
    let _ = homes
        .kit
        .run(["migrate", storage.to_str().unwrap()])
        .success();
    assert!(state(&storage) == before);
    let bare = format!("reg.example:5000/bare@{}", homes.two);
    let names: Vec<String> = homes.names().into_keys().collect();
    assert_eq!(
        names,
        [
            "blobs/net:1",
            "blobs/net:latest",
            "blobs:outer",
            &bare,
            "reg.example:5000/team/deep/net:1"
        ]
    );
    homes.usual();
    let _ = homes.kit.run(["migrate"]).success();
    assert_eq!(homes.names()["team/net:1.0"], homes.one);
    homes.kit.run(["verify"]).success();
}

#[test]
fn only_what_was_asked_for_is_copied() {
    let homes = Homes::new();
    homes.usual();
    let _ = homes
        .kit
        .run(["migrate", "--only", "team/net:latest"])
        .success();
    assert_eq!(
        homes.names().into_keys().collect::<Vec<_>>(),
        ["team/net:latest"]
    );
    let _ = homes.kit.run(["migrate", "--only", &homes.one]).success();
    assert_eq!(homes.names().len(), 3);
    assert_data_eq!(
        homes
            .kit
            .run(["migrate", "--only", "team/net:3"])
            .hide_digests(),
        str![[r#"
[stderr]
error: [HOME]/storage holds no kit team/net:3
hint: `kit migrate --dry-run` lists what there is
[exit 3]

"#]]
    );
}

#[test]
fn names_that_lead_elsewhere_here_move_only_when_they_are_told_to() {
    let homes = Homes::new();
    homes.usual();
    let own = pack(&homes.kit, "team/net:1.0,latest", "three");
    assert_data_eq!(
        homes.kit.run(["migrate"]).hide_digests(),
        str![[r#"
Migrated team/net:2.0 (digest sha256:[DIGEST])
Migrated reg.example:5000/x@sha256:[DIGEST] (digest sha256:[DIGEST])
Migrated sha256:[DIGEST] (digest sha256:[DIGEST])
[stderr]
warning: team/net:latest is kept: here it is sha256:[DIGEST], in KitOps sha256:[DIGEST]; --force moves it
warning: team/net:1.0 is kept: here it is sha256:[DIGEST], in KitOps sha256:[DIGEST]; --force moves it
Migrated 3 kits, copied 5.6 KiB; 0 here already
[exit 0]

"#]]
    );
    assert_eq!(homes.names()["team/net:1.0"], own);
    assert_eq!(homes.names()["team/net:latest"], own);
    assert_eq!(homes.names()["team/net:2.0"], homes.two);
    let report = homes
        .kit
        .run(["migrate", "--force", "--format", "json"])
        .json();
    let kits = report["kits"].as_array().unwrap();
    let moved = kits
        .iter()
        .find(|kit| kit["references"][0] == "team/net:1.0")
        .unwrap();
    assert_eq!(
        (&moved["outcome"], &moved["kept"]),
        (&"migrated".into(), &json!([]))
    );
    assert_eq!(homes.names()["team/net:1.0"], homes.one);
    assert_eq!(homes.names()["team/net:latest"], homes.two);
    assert_eq!(homes.names()[&format!("team/net@{own}")], own);
}

#[test]
fn damaged_kits_are_named_and_the_others_are_copied() {
    let homes = Homes::new();
    let lost = pack(&homes.maker, "a:3", "lost layer");
    let torn = pack(&homes.maker, "a:4", "torn layer");
    let gone = pack(&homes.maker, "a:5", "lost manifest");
    homes.usual();
    let storage = homes.storage();
    let placed: &[kitops::Placed<'_>] = &[
        ("localhost/lost", &lost, &["1"]),
        ("localhost/torn", &torn, &["1"]),
        ("localhost/gone", &gone, &["1"]),
    ];
    kitops::shared(&homes.maker, &storage, placed);
    fs::remove_file(blob_of(&storage, &blobs(&homes.maker, &lost).1[0])).unwrap();
    let layer = blob_of(&storage, &blobs(&homes.maker, &torn).1[0]);
    let mut content = fs::read(&layer).unwrap();
    content[600] ^= 1;
    fs::write(&layer, content).unwrap();
    fs::remove_file(blob_of(&storage, &gone)).unwrap();
    // What two programs at a time leave, and what removing leaves.
    fs::write(storage.join("index.json"), r#"{"schemaVersion":2,"mani"#).unwrap();
    fs::write(index_of(&storage, "localhost/cut"), "{\"sch").unwrap();
    fs::write(
        index_of(&storage, "localhost/empty"),
        r#"{"schemaVersion":2,"manifests":null}"#,
    )
    .unwrap();
    fs::write(index_of(&storage, "localhost/team/net"), "").unwrap();
    let bad = format!(
        r#"{{"schemaVersion":2,"manifests":[{{"mediaType":"x","digest":"sha512:{}","size":1}}]}}"#,
        "0".repeat(128)
    );
    fs::write(index_of(&storage, "localhost/other"), bad).unwrap();
    let dry = homes.kit.run(["migrate", "--dry-run"]).exits(5);
    assert!(
        dry.stderr.contains("lost:1: ") && !dry.stderr.contains("torn:1: "),
        "{dry}"
    );
    assert_data_eq!(
        homes.kit.run(["migrate"]).hide_digests(),
        str![[r#"
Migrated team/net:2.0 (digest sha256:[DIGEST])
Migrated team/net:latest (digest sha256:[DIGEST])
Migrated team/net:1.0 (digest sha256:[DIGEST])
Migrated reg.example:5000/x@sha256:[DIGEST] (digest sha256:[DIGEST])
Migrated sha256:[DIGEST] (digest sha256:[DIGEST])
[stderr]
Migrated 4 kits, copied 6.2 KiB; 0 here already
error: 3 kits of [HOME]/storage cannot be copied
  localhost/other: `bG9jYWxob3N0L290aGVy-index.json` in [HOME]/storage cannot be read: manifest 1 has an unusable digest: digest algorithm `sha512` is not supported, only sha256 is
  localhost/cut: `bG9jYWxob3N0L2N1dA==-index.json` in [HOME]/storage cannot be read: index is malformed: EOF while parsing a string at line 1 column 5
  localhost/team/net: `bG9jYWxob3N0L3RlYW0vbmV0-index.json` in [HOME]/storage cannot be read: index is malformed: EOF while parsing a value at line 1 column 0
  gone:1: blob sha256:[DIGEST] is missing from [HOME]/storage
  lost:1: blob sha256:[DIGEST] is missing from [HOME]/storage
  torn:1: blob sha256:[DIGEST] in [HOME]/storage is damaged: its content is sha256:[DIGEST]
hint: nothing else is held up by it; pack these again, or load them from elsewhere
[exit 5]

"#]]
    );
    let names: Vec<String> = homes.names().into_keys().collect();
    let untagged = format!("reg.example:5000/x@{}", homes.one);
    assert_eq!(
        names,
        [
            &*untagged,
            "team/net:1.0",
            "team/net:2.0",
            "team/net:latest"
        ]
    );
    homes.kit.run(["verify"]).success();
}

#[test]
fn a_damaged_blob_here_is_healed_from_there() {
    let homes = Homes::new();
    homes.usual();
    let _ = homes.kit.run(["migrate"]).success();
    damage(&homes.kit, &blobs(&homes.kit, &homes.one).1[0]);
    let report = homes.kit.run(["migrate", "--format", "json"]).json();
    assert_eq!(
        (&report["healed"], &report["stored"]),
        (&1.into(), &0.into())
    );
    homes.kit.run(["verify"]).success();
}

#[test]
fn tags_that_cannot_be_names_leave_the_kit_its_digest() {
    let homes = Homes::new();
    let placed: &[kitops::Placed<'_>] = &[
        ("localhost/net", &homes.one, &[".bad"]),
        ("localhost/localhost/y", &homes.one, &["1"]),
        ("localhost/NET", &homes.two, &["1"]),
    ];
    kitops::shared(&homes.maker, &homes.storage(), placed);
    assert_data_eq!(
        homes.kit.run(["migrate"]).hide_digests(),
        str![[r#"
Migrated sha256:[DIGEST] (digest sha256:[DIGEST])
Migrated y:1 (digest sha256:[DIGEST])
Migrated net@sha256:[DIGEST] (digest sha256:[DIGEST])
[stderr]
warning: sha256:[DIGEST] cannot be called `localhost/NET` here
warning: sha256:[DIGEST] cannot be called `localhost/net:.bad` here
Migrated 3 kits, copied 5.6 KiB; 0 here already
[exit 0]

"#]]
    );
    assert_eq!(homes.names()[&format!("net@{}", homes.one)], homes.one);
    assert_eq!(homes.names()["y:1"], homes.one);
}

#[cfg(unix)]
#[test]
fn links_are_not_followed_out_of_the_store() {
    use std::os::unix::fs::symlink;
    let homes = Homes::new();
    homes.usual();
    let storage = homes.storage();
    let elsewhere = homes.kit.path("elsewhere");
    fs::rename(storage.join("blobs"), &elsewhere).unwrap();
    symlink(&elsewhere, storage.join("blobs")).unwrap();
    let tags = tags_of(&storage, "localhost/team/net");
    fs::rename(&tags, homes.kit.path("tags")).unwrap();
    symlink(homes.kit.path("tags"), &tags).unwrap();
    symlink(homes.maker.store().path(), storage.join("reg.example")).unwrap();
    assert_data_eq!(
        homes.kit.run(["migrate"]).hide_digests(),
        str![[r#"
[stderr]
Migrated 0 kits, copied 0 B; 0 here already
error: 4 kits of [HOME]/storage cannot be copied
  localhost/team/net: cannot read [HOME]/storage/bG9jYWxob3N0L3RlYW0vbmV0-tags.json: not a regular file
  team/net@sha256:[DIGEST]: cannot read [HOME]/storage/blobs/sha256/[DIGEST]: not a directory
  team/net@sha256:[DIGEST]: cannot read [HOME]/storage/blobs/sha256/[DIGEST]: not a directory
  reg.example:5000/x@sha256:[DIGEST]: cannot read [HOME]/storage/blobs/sha256/[DIGEST]: not a directory
  sha256:[DIGEST]: cannot read [HOME]/storage/blobs/sha256/[DIGEST]: not a directory
hint: nothing else is held up by it; pack these again, or load them from elsewhere
[exit 5]

"#]]
    );
    assert!(homes.names().is_empty());
}

#[test]
fn what_is_no_store_of_kitops_is_refused() {
    let homes = Homes::new();
    homes.kit.file("folder/note.txt", "hello");
    let mut shown = homes.kit.run(["migrate"]).to_string();
    for directory in ["folder", "absent", "folder/note.txt"] {
        shown += &homes.kit.run(["migrate", directory]).to_string();
    }
    kitops::shared(&homes.maker, &homes.storage(), &[]);
    shown += &homes.kit.run(["migrate"]).to_string();
    assert_data_eq!(
        shown,
        str![[r#"
[stderr]
error: [HOME] holds no KitOps store
hint: name KitOps's home or its storage folder; `kit load` takes other OCI layouts
[exit 3]
[stderr]
error: folder holds no KitOps store
hint: name KitOps's home or its storage folder; `kit load` takes other OCI layouts
[exit 3]
[stderr]
error: absent holds no KitOps store
hint: name KitOps's home or its storage folder; `kit load` takes other OCI layouts
[exit 3]
[stderr]
error: folder/note.txt holds no KitOps store
hint: name KitOps's home or its storage folder; `kit load` takes other OCI layouts
[exit 3]
[stderr]
[HOME]/storage holds no kits
[exit 0]

"#]]
    );
    assert!(!homes.kit.store().path().exists());
}

#[test]
fn an_oci_layout_or_our_own_store_is_no_store_of_kitops() {
    let kit = Sandbox::new();
    pack(&kit, "net:1", "w");
    kit.run(["save", "net:1", "-o", "layout/"]).success();
    let before = fs::read(kit.store().path().join("names.log")).unwrap();
    let store = kit.store().path().to_owned();
    // The home holds a store of ours; nothing else.
    for directory in [kit.home(), &*store, &*kit.path("layout"), &*kit.path("")] {
        let output = kit.run(["migrate", directory.to_str().unwrap()]).exits(3);
        assert!(output.stderr.contains("holds no KitOps store"), "{output}");
    }
    let _ = kit.run(["migrate"]).exits(3);
    assert_eq!(fs::read(store.join("names.log")).unwrap(), before);
}

#[test]
fn a_manifest_of_something_else_is_named_and_left() {
    let homes = Homes::new();
    let kitfile = "manifestVersion: 1.0.0\ncode: [{path: model.bin}]\n";
    let other = pack_kitfile(&homes.maker, "a:3", kitfile);
    kitops::shared(
        &homes.maker,
        &homes.storage(),
        &[("localhost/x", &other, &["1"])],
    );
    let manifest = blob_of(&homes.storage(), &other);
    let text = fs::read_to_string(&manifest).unwrap();
    fs::write(
        &manifest,
        text.replace("modelkit.config", "modelkit.konfig"),
    )
    .unwrap();
    let output = homes.kit.run(["migrate"]).exits(5);
    assert!(output.stderr.contains("x:1: "), "{output}");
}
