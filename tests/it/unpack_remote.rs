//! `kit unpack` of kits that are in a registry and not in the store.

use std::{
    fs,
    process::{Command, Stdio},
    sync::atomic::{AtomicUsize, Ordering},
    thread,
    time::Duration,
};

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox, digest, foreign, have, noise, reference_tar,
    registry::{RealRegistry, Setup},
    shelf::{Fate, Rules, StoreShelf},
};

const MIB: usize = 1 << 20;

/// Writes the sources of a kit with a large model, a folder of code and a dataset of 1 MiB.
fn sources(kit: &Sandbox, model: usize) {
    kit.file(
        "src/Kitfile",
        "model: {name: net, path: w/net.bin}\ncode: [{path: code}]\n\
         datasets: [{name: train, path: data}]\n",
    )
    .file("src/w/net.bin", noise(model, 7))
    .file("src/data/train.csv", noise(MIB - 4096, 5));
    for number in 0..40 {
        kit.file(format!("src/code/{number}.py"), noise(3000, number));
    }
}

#[track_caller]
fn pack(kit: &Sandbox, name: &str, flags: &[&str]) {
    let arguments = ["pack", "src", "-q", "-t", name];
    kit.run(arguments.iter().chain(flags)).success();
}

/// Hands out a kit with a model of this size under these rules, and returns its name.
fn shelf(model: usize, rules: Rules) -> (Sandbox, StoreShelf, String) {
    let publisher = Sandbox::new();
    sources(&publisher, model);
    let shelf = StoreShelf::of(&publisher, rules);
    let name = format!("{}/team/net:1", shelf.host());
    pack(&publisher, &name, &[]);
    (publisher, shelf, name)
}

/// Takes a kit out in a sandbox that has nothing yet.
fn unpack(name: &str, flags: &[&str]) -> (Sandbox, Output) {
    let kit = Sandbox::new();
    let arguments = ["unpack", name, "-d", "out", "--stall-timeout", "1s"];
    let output = kit.run(arguments.iter().chain(flags));
    let host = name.split_once('/').unwrap().0;
    (kit, output.hide(host, "[HOST]"))
}

/// Checks that the files of `folder` came out as they went in.
#[track_caller]
fn same(publisher: &Sandbox, kit: &Sandbox, folder: &str) {
    let mut count = 0;
    for entry in fs::read_dir(publisher.path("src").join(folder)).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap();
        let out = kit.path("out").join(folder).join(name);
        assert!(
            fs::read(out).unwrap() == fs::read(&path).unwrap(),
            "{folder}: {}",
            name.display()
        );
        count += 1;
    }
    assert!(count > 0);
}

/// Checks that nothing came into the store, not even a folder.
#[track_caller]
fn nothing_stored(kit: &Sandbox) {
    assert!(!kit.home().join("store").exists());
}

#[test]
fn of_a_large_kit_a_small_layer_comes_alone_and_nothing_is_stored() {
    let (publisher, shelf, name) = shelf(40 * MIB, Rules::default());
    let (kit, output) = unpack(&name, &["--filter", "datasets:train"]);
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
Unpacking to [WORK]/out
Unpacking dataset `train` to `data`
1 file written (1020.0 KiB)
[exit 0]

"#]]
    );
    same(&publisher, &kit, "data");
    assert_eq!(fs::read_dir(kit.path("out")).unwrap().count(), 1);
    nothing_stored(&kit);
    let layer = (MIB + 1024) as u64;
    let sent = shelf.sent();
    assert!(sent <= layer + (64 << 10), "{sent} bytes were sent");
}

#[test]
fn all_of_a_kit_comes_over_several_connections() {
    let (publisher, shelf, name) = shelf(40 * MIB, Rules::default());
    let (kit, output) = unpack(&name, &[]);
    output.success();
    for folder in ["w", "code", "data"] {
        same(&publisher, &kit, folder);
    }
    nothing_stored(&kit);
    // Again: all is there, and compared.
    let again = kit.run(["unpack", &name, "-d", "out"]).exits(0).stderr;
    assert!(again.contains("43 already there"), "{again}");
    assert!(shelf.blobs().len() > 8, "the model comes in parts");
}

// hazard: 57
#[test]
fn broken_connections_are_taken_up_where_they_ended() {
    for fate in [Fate::Cut(700_000), Fate::Silent(700_000), Fate::Status(503)] {
        let asked = AtomicUsize::new(0);
        let rules = Rules::for_blobs(move |it| {
            // The config is the first.
            let is_hit = it.before > 0 && asked.fetch_add(1, Ordering::SeqCst).is_multiple_of(3);
            if is_hit { fate } else { Fate::Fine }
        });
        let (publisher, shelf, name) = shelf(12 * MIB, rules);
        let (kit, output) = unpack(&name, &["--retries", "5"]);
        assert_eq!(output.code, 0, "{fate:?}: {output}");
        for folder in ["w", "code", "data"] {
            same(&publisher, &kit, folder);
        }
        // What came is not asked for again.
        let sent = shelf.sent();
        assert!(sent < 14 * MIB as u64, "{fate:?}: {sent} bytes");
    }
}

// hazard: 55
#[test]
fn a_registry_without_ranges_sends_each_layer_as_one_stream() {
    let (publisher, shelf, name) = shelf(12 * MIB, Rules::for_blobs(|_| Fate::Whole));
    let (kit, output) = unpack(&name, &["--jobs", "2"]);
    output.success();
    for folder in ["w", "code", "data"] {
        same(&publisher, &kit, folder);
    }
    assert_eq!(shelf.blobs().len(), 4, "config and three layers");
}

// hazard: 52
#[test]
fn layers_that_are_wrong_come_once_more_and_then_never_under_their_names() {
    let asked = AtomicUsize::new(0);
    let rules = Rules::for_blobs(move |it| {
        let is_large = it.range.as_ref().is_some_and(|range| range.start > 0);
        if is_large && asked.fetch_add(1, Ordering::SeqCst) == 0 {
            Fate::Wrong
        } else {
            Fate::Fine
        }
    });
    let (publisher, _once, name) = shelf(12 * MIB, rules);
    let (kit, output) = unpack(&name, &[]);
    let said = output.exits(0).stderr;
    assert!(
        said.contains("what came for model `net` to `w/net.bin` is something else"),
        "{said}"
    );
    same(&publisher, &kit, "w");

    let rules = Rules::for_blobs(|it| match &it.range {
        Some(range) if range.start > 0 => Fate::Wrong,
        _ => Fate::Fine,
    });
    let (publisher, _shelf, name) = shelf(12 * MIB, rules);
    let (kit, output) = unpack(&name, &[]);
    assert_data_eq!(
        output.hide_digests(),
        str![[r#"
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
Unpacking to [WORK]/out
Unpacking model `net` to `w/net.bin`
warning: what came for model `net` to `w/net.bin` is something else: it is fetched once more
Unpacking code `code`
Unpacking dataset `train` to `data`
error: cannot unpack model `net` to `w/net.bin` (sha256:[DIGEST])
  caused by: the content is damaged: expected sha256:[DIGEST], found sha256:[DIGEST]
hint: what the registry holds, or something on the way, is not as it was pushed
[exit 5]

"#]]
    );
    // The other layers are there.
    same(&publisher, &kit, "code");
    same(&publisher, &kit, "data");
    assert!(!kit.path("out/w").exists());
}

#[test]
fn a_layer_that_was_made_wrong_comes_once_and_is_called_that() {
    let publisher = Sandbox::new();
    let file = reference_tar::file("m/a.bin", 0o644, "content");
    let plain = reference_tar::layer(&[file], "m", &[]);
    foreign::one_layer(&publisher, "tar", &plain, b"something else", &json!({}));
    let shelf = StoreShelf::of(&publisher, Rules::default());
    let name = format!("{}/team/net:1", shelf.host());
    let _ = publisher.run(["tag", "x:1", &name]).exits(0);
    let (kit, output) = unpack(&name, &[]);
    assert_data_eq!(
        output.hide_digests(),
        str![[r#"
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
Unpacking to [WORK]/out
Unpacking model `net` to `m`
error: cannot unpack model `net` to `m` (sha256:[DIGEST])
  caused by: the uncompressed content is sha256:[DIGEST], but the config says sha256:[DIGEST]
hint: its digest holds, so it was made like that: whoever made the kit has to make it again
[exit 5]

"#]]
    );
    let digest = digest(&plain);
    let asked = shelf.blobs();
    assert_eq!(asked.iter().filter(|blob| **blob == digest).count(), 1);
    assert!(!kit.path("out/m").exists());
}

#[test]
fn tokens_that_end_in_the_middle_are_renewed() {
    let rules = Rules {
        token_life: Some(Duration::from_millis(300)),
        // So that it takes longer than a token is good for.
        blobs: Some(Box::new(|_| {
            thread::sleep(Duration::from_millis(60));
            Fate::Fine
        })),
    };
    let (publisher, shelf, name) = shelf(24 * MIB, rules);
    let (kit, output) = unpack(&name, &["--jobs", "1"]);
    output.success();
    same(&publisher, &kit, "w");
    assert!(shelf.tokens() > 1, "{}", shelf.tokens());
}

// hazard: 57
#[test]
fn a_registry_that_goes_away_ends_the_run_and_what_is_whole_stays() {
    // The config and the code come.
    let rules = Rules::for_blobs(|it| match it.before {
        0..2 => Fate::Fine,
        _ => Fate::Cut(1000),
    });
    let (publisher, _shelf, name) = shelf(MIB, rules);
    let flags = "--retries 1 --concurrency 1 --filter code,datasets";
    let (kit, output) = unpack(&name, &flags.split(' ').collect::<Vec<_>>());
    let failure = output.map(|text| text[text.find("error:").unwrap_or_default()..].to_owned());
    assert_data_eq!(
        failure.hide_digests(),
        str![[r#"
[stderr]
error: cannot unpack dataset `train` to `data` (sha256:[DIGEST])
  caused by: cannot reach http://[HOST]: end of file before message length reached
hint: try again later; -vv tells more
[exit 6]

"#]]
    );
    same(&publisher, &kit, "code");
    assert!(!kit.path("out/data").exists());
}

#[test]
fn what_is_not_there_is_told_by_what_was_asked() {
    let (_publisher, shelf, name) = shelf(MIB, Rules::default());
    let other = name.replace(":1", ":2");
    let (kit, output) = unpack(&other, &[]);
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
[HOST]/team/net:2 is not in the store: it is read from its registry
error: [HOST] has no team/net:2: no such thing (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
    nothing_stored(&kit);
    assert!(!kit.path("out").exists());
    drop(shelf);
    let (kit, output) = unpack(&name, &["--retries", "0"]);
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
error: cannot reach https://[HOST]: Connection refused (os error 111)
hint: check host and port, and whether it is running
[exit 6]

"#]]
    );
    nothing_stored(&kit);
    let output = kit.run(["unpack", "team/net:1"]);
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
error: no kit team/net:1 in the store
hint: `kit list` shows what there is
[exit 3]

"#]]
    );
}

#[test]
fn what_would_be_written_is_listed_without_writing() {
    let (_publisher, shelf, name) = shelf(12 * MIB, Rules::default());
    let (kit, output) = unpack(&name, &["--dry-run", "--filter", "datasets,kitfile"]);
    assert_data_eq!(
        output,
        str![[r#"
Kitfile
data/train.csv
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
warning: the kit has no table of contents: what is listed was read in its layers here and there, and not verified
2 files of 1020.1 KiB would be written to out
[exit 0]

"#]]
    );
    nothing_stored(&kit);
    assert!(!kit.path("out").exists());
    assert!(shelf.sent() < MIB as u64 / 4);
}

#[cfg(unix)]
#[test]
fn who_interrupts_waits_for_no_other_layer_and_finds_the_folder_as_it_was() {
    let (_publisher, shelf, name) = shelf(
        MIB,
        Rules::for_blobs(|it| {
            // The config comes.
            if it.before == 0 {
                Fate::Fine
            } else {
                Fate::Silent(1000)
            }
        }),
    );
    let kit = Sandbox::new();
    let mut command = kit.command(["unpack", &name, "-d", "out"]);
    command.stderr(Stdio::piped());
    let child = command.spawn().unwrap();
    while shelf.blobs().len() < 2 {
        thread::sleep(Duration::from_millis(10));
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args(["-INT", &pid])
            .status()
            .unwrap()
            .success()
    );
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(
        said.contains("Unpacking model") && !said.contains("Unpacking code"),
        "{said}"
    );
    assert_eq!(fs::read_dir(kit.path("out")).unwrap().count(), 0);
}

#[test]
fn layers_of_every_kind_come_out_of_a_real_registry() {
    let setup = Setup::default();
    let Some(registry) = RealRegistry::start(&setup).filter(|_| have("skopeo")) else {
        return;
    };
    let publisher = Sandbox::new();
    sources(&publisher, 5 * MIB);
    for (tag, flags) in [
        ("tar", &[][..]),
        ("gzip", &["--compression", "gzip"]),
        ("zstd", &["--compression", "zstd"]),
        ("raw", &["--layer-format", "raw"]),
    ] {
        let name = format!("{}/team/net:{tag}", registry.host());
        pack(&publisher, &name, flags);
        publish(&publisher, &name);
        let (kit, output) = unpack(&name, &[]);
        assert_eq!(output.code, 0, "{tag}: {output}");
        for folder in ["w", "code", "data"] {
            same(&publisher, &kit, folder);
        }
        nothing_stored(&kit);
    }
}

/// Copies a kit from the store to the registry that its name leads to.
#[track_caller]
pub(crate) fn publish(kit: &Sandbox, name: &str) {
    let from = format!("oci:{}:{name}", kit.store().path().display());
    let copied = Command::new("skopeo")
        .args([
            "copy",
            "-q",
            "--preserve-digests",
            "--dest-tls-verify=false",
        ])
        .args([&from, &format!("docker://{name}")])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&copied.stderr);
    assert!(copied.status.success(), "{said}");
}
