//! `kit pack --push`, with and without a copy in the store.

use std::{fmt::Write as _, fs, process::Command};

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox,
    fake::{
        stuck::Stuck,
        uploads::{Habits, Trouble, Uploads},
    },
    kits,
    registry::{RealRegistry, Setup},
};

const MIB: u64 = 1 << 20;

/// Writes a tree with a model of so many bytes, and some small files.
fn tree(kit: &Sandbox, bytes: usize) {
    let mut content = String::with_capacity(bytes + 16);
    let mut number = 0;
    while content.len() < bytes {
        writeln!(content, "{number:015}").unwrap();
        number += 1;
    }
    content.truncate(bytes);
    kit.file("src/model.bin", content)
        .file("src/data/a.csv", "a,b\n".repeat(1000))
        .file("src/data/b.csv", "c,d\n")
        .file(
            "src/Kitfile",
            "manifestVersion: 1.0.0\npackage: {name: net}\n\
             model: {name: net, path: model.bin}\ndatasets: [{name: d, path: data}]\n",
        );
}

fn pack<'a>(kit: &Sandbox, more: impl IntoIterator<Item = &'a str>) -> Output {
    let words = [
        "pack",
        "src",
        "--push",
        "--plain-http",
        "--progress",
        "none",
    ];
    kit.run(words.into_iter().chain(more))
}

#[test]
fn a_kit_is_packed_and_pushed_under_its_names_that_have_a_registry() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let host = registry.host();
    tree(&kit, 1000);
    let name = format!("{host}/team/net:1.0,latest");
    let other = format!("{host}/prod/net:1");
    assert_data_eq!(
        pack(&kit, ["-t", &name, "-t", "net:here", "-t", &other])
            .hide(&host, "[HOST]")
            .hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Saved model layer: sha256:[DIGEST]
Saved dataset layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged [HOST]/team/net:1.0
Tagged [HOST]/team/net:latest
Tagged net:here
Tagged [HOST]/prod/net:1
Pushing to [HOST]/team/net:1.0, [HOST]/team/net:latest
Sent 3 blobs (9.9 KiB)
Pushing to [HOST]/prod/net:1
Sent 0 blobs (0 B), 3 taken from other repositories
[exit 0]

"#]]
    );
    for (repository, tag) in [
        ("team/net", "1.0"),
        ("team/net", "latest"),
        ("prod/net", "1"),
    ] {
        registry.has_kit(repository, tag);
    }
    kit.run(["info", "net:here"]).success();
}

#[test]
fn what_is_not_pushed_is_packed_and_can_be_pushed_again() {
    let refuse = |_: &_, _| Some(Trouble::Answer(403, Vec::new(), String::new()));
    let registry = Uploads::start(Habits {
        trouble: Box::new(refuse),
        ..Habits::default()
    });
    let kit = Sandbox::new();
    tree(&kit, 1000);
    let name = format!("{}/team/net:1.0", registry.host());
    let output = pack(&kit, ["-t", &name]).exits(4);
    assert!(
        output.stdout.starts_with("Model saved: sha256:"),
        "{output}"
    );
    let again = format!("hint: the kit is packed; this pushes it: `kit push {name}`");
    assert!(output.stderr.contains(&again), "{output}");
    kit.run(["info", &name]).success();
}

#[test]
fn a_name_without_a_registry_is_refused_before_anything_is_packed() {
    let kit = Sandbox::new();
    tree(&kit, 1000);
    assert_data_eq!(
        pack(&kit, ["-t", "team/net:1"]),
        str![[r#"
[stderr]
error: --push needs a name that has a registry
hint: name the kit: -t registry.example/team/net:1.0
[exit 2]

"#]]
    );
    let names = ["--no-store", "-t", "r.example/net:1", "-t", "team/net:1"];
    assert_data_eq!(
        pack(&kit, names),
        str![[r#"
[stderr]
error: --no-store keeps nothing here that could be called team/net:1
hint: leave out that name, or --no-store
[exit 2]

"#]]
    );
    let words = ["pack", "src", "--no-store", "-t", "r.example/net:1"];
    assert_eq!(kit.run(words).code, 2);
    assert!(!kit.home().join("store").exists());
}

#[test]
fn without_the_store_the_same_kit_is_sent_and_nothing_is_kept() {
    for more in [
        vec![],
        vec!["--compression", "gzip"],
        vec!["--compression", "zstd", "--chunk-size", "1MiB"],
        vec!["--layer-format", "raw"],
        vec!["--chunk-size", "1MiB"],
        vec!["--upload", "whole"],
    ] {
        let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
        let name = format!("{}/team/net:1.0", registry.host());
        tree(&kit, 5 << 20);
        let arguments = ["--no-store", "-t", &name].into_iter().chain(more.clone());
        let sent = pack(&kit, arguments.clone()).success();
        registry.has_kit("team/net", "1.0");
        assert!(!kit.home().join("store").exists());
        let network = |word: &&str| !["--chunk-size", "1MiB", "--upload", "whole"].contains(word);
        let plain = more.iter().copied().filter(network);
        let words = ["pack", "src", "-t", "net:1"].into_iter().chain(plain);
        let packed = kit.run(words).success();
        assert_eq!(sent.replace("Pushed", "Model saved:"), packed, "{more:?}");
        registry.forget();
        // Its files are known now, and the registry has it.
        let report = pack(&kit, arguments.chain(["--format", "json"])).json();
        assert_eq!(report["pushed"][0]["wasThere"], true);
        assert_eq!(registry.received(), 0);
    }
}

#[test]
fn without_the_store_a_table_of_contents_is_sent_too() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    kit.file("src/model.bin", "weights")
        .file("src/Kitfile", "model: {name: net, path: model.bin}\n");
    let model = fs::File::options()
        .write(true)
        .open(kit.path("src/model.bin"));
    model.unwrap().set_len(64 * MIB).unwrap();
    let name = format!("{}/team/net:1.0", registry.host());
    let report = pack(&kit, ["--no-store", "-t", &name, "--format", "json"]).json();
    assert!(report["toc"]["size"].as_u64() > Some(1000), "{report}");
    registry.has_kit("team/net", "1.0");
    let packed = kit.run(["pack", "src", "-t", "net:1", "--format", "json"]);
    assert_eq!(packed.json()["digest"], report["digest"]);
}

#[test]
fn without_the_store_only_what_the_registry_lacks_is_sent() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let host = registry.host();
    tree(&kit, 3 << 20);
    pack(&kit, ["--no-store", "-t", &format!("{host}/team/net:1")]).success();
    kit.file("src/data/b.csv", "other\n");
    registry.forget();
    let (second, third) = (format!("{host}/team/net:2"), format!("{host}/prod/net:2"));
    let words = [
        "--no-store",
        "-t",
        &second,
        "-t",
        &third,
        "--format",
        "json",
    ];
    let report = pack(&kit, words).json();
    let count = |it: usize, what| report["pushed"][it][what].as_u64().unwrap();
    assert_eq!((count(0, "sent"), count(0, "present")), (2, 1), "{report}");
    assert_eq!((count(1, "sent"), count(1, "mounted")), (0, 3), "{report}");
    assert!(registry.received() < 20_000);
    registry.has_kit("prod/net", "2");
    assert!(report["layers"][0]["stored"].is_null());
}

#[test]
fn without_the_store_an_upload_that_breaks_goes_on_and_any_way_is_taken() {
    let cut = |keeps_cut| Habits {
        keeps_cut,
        trouble: Box::new(|asked, number| {
            let hits = asked.method == "PATCH" && number == 1;
            hits.then_some(Trouble::Cut(300_000))
        }),
        ..Habits::default()
    };
    let no_chunks = Habits {
        no_chunks: Some(405),
        ..Habits::default()
    };
    for (habits, compression) in [
        (cut(true), "none"),
        (cut(false), "none"),
        (cut(true), "gzip-fastest"),
        (no_chunks, "none"),
    ] {
        let (kit, registry) = (Sandbox::new(), Uploads::start(habits));
        let name = format!("{}/team/net:1.0", registry.host());
        tree(&kit, 5 << 20);
        let words = ["--no-store", "--chunk-size", "1MiB", "--compression"];
        pack(&kit, words.into_iter().chain([compression, "-t", &name])).success();
        registry.has_kit("team/net", "1.0");
    }
}

#[test]
fn without_the_store_a_killed_run_goes_on_in_the_next() {
    let stuck = Stuck::start();
    let registry = &stuck.registry;
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1.0", registry.host());
    tree(&kit, 5 << 20);
    let words = ["pack", "src", "--push", "--no-store", "--plain-http"];
    let words = words
        .into_iter()
        .chain(["--chunk-size", "1MiB", "-t", &name]);
    stuck.kill(kit.command(words.clone()));
    let output = kit.run(words).exits(0);
    assert!(output.stderr.contains("going on with sha256:"), "{output}");
    assert!(registry.received() < 3 * MIB);
    registry.has_kit("team/net", "1.0");
}

// hazard: 47
#[test]
fn without_the_store_a_file_that_changes_meanwhile_is_an_error_and_no_kit() {
    let kit = Sandbox::new();
    // Larger than what is read ahead.
    tree(&kit, 40 << 20);
    let path = kit.path("src/model.bin");
    let change = move || {
        let mut content = fs::read(&path).unwrap();
        content[39 << 20] ^= 1;
        fs::write(&path, content).unwrap();
    };
    let registry = Uploads::start(Habits {
        trouble: Box::new(move |asked, number| {
            if asked.method == "PATCH" && number == 0 {
                change();
            }
            None
        }),
        ..Habits::default()
    });
    let name = format!("{}/team/net:1.0", registry.host());
    let output = pack(&kit, ["--no-store", "--chunk-size", "1MiB", "-t", &name]).exits(1);
    // Which of the two sees it, reader or sender, is a matter of time.
    let seen = [
        "model.bin changed while it was being read",
        "model.bin` changed while it was sent",
    ];
    assert!(seen.iter().any(|it| output.stderr.contains(it)), "{output}");
    assert!(!registry.names("team/net", "1.0"));
}

#[test]
fn without_the_store_a_parent_that_is_here_goes_before_its_child() {
    let (kit, registry) = (Sandbox::new(), Uploads::start(Habits::default()));
    let host = registry.host();
    let parent = format!("{host}/team/base:1");
    kits::pack(&kit, &parent, "weights");
    kit.file("src/readme.md", "# net").file(
        "src/Kitfile",
        format!(
            "package: {{name: net}}\nmodel: {{path: '{parent}'}}\ndocs: [{{path: readme.md}}]\n"
        ),
    );
    let name = format!("{host}/team/net:1");
    let output = pack(&kit, ["--no-store", "-t", &name]).exits(0);
    let words = format!("Pushing {parent}, its parent");
    assert!(output.stderr.contains(&words), "{output}");
    registry.has_kit("team/base", "1");
    registry.has_kit("team/net", "1");
    let output = pack(&kit, ["--no-store", "-t", &name]).exits(0);
    assert!(!output.stderr.contains("its parent"), "{output}");
}

/// Returns a shell that has a file system of so many MiB in memory at `small/`, gone with it.
fn with_small_disk(kit: &Sandbox, mib: u32, script: &str) -> Option<Command> {
    kit.dir("small");
    let mount = format!("mount -t tmpfs -o size={mib}m tmpfs small");
    let tried = kit
        .program("unshare")
        .args(["--mount", "sh", "-c", &mount])
        .output();
    if !tried.is_ok_and(|it| it.status.success()) {
        eprintln!("SKIP: no file system can be mounted here");
        return None;
    }
    let mut command = kit.program("unshare");
    let script = format!("set -e\n{mount}\nmkdir small/home small/tmp\n{script}");
    command.args(["--mount", "sh", "-c", &script]);
    Some(command)
}

#[test]
fn a_kit_larger_than_the_disk_of_home_and_temporary_files_is_packed_into_a_registry() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let mut kit = Sandbox::new();
    kit.find_kit();
    kit.env("KITOPS_HOME", kit.path("small/home"));
    kit.env("TMPDIR", kit.path("small/tmp"));
    tree(&kit, 1000);
    let model = fs::File::create(kit.path("src/model.bin")).unwrap();
    model.set_len(200 * MIB).unwrap();
    let name = format!("{}/team/net:1.0", registry.host());
    let script = format!(
        "kit pack src -t {name} --push --no-store --progress none
         ! kit pack src -t net:1 --progress none"
    );
    let Some(command) = with_small_disk(&kit, 64, &script) else {
        return;
    };
    let output = kit.finish(command, b"").exits(0);
    assert!(output.stdout.starts_with("Pushed sha256:"), "{output}");
    // Where it does not fit, it is said what is missing.
    let error = "bytes left, and 209716736 are to come\nhint: free ";
    assert!(output.stderr.contains(error), "{output}");
    let hint = "hint: `kit pack --push --no-store` sends a kit and keeps no copy of it here";
    assert!(output.stderr.contains(hint), "{output}");
    kit.env("KITOPS_HOME", kit.path("home2"));
    kit.run(["pull", &name]).success();
}

#[test]
fn a_kit_is_unpacked_out_of_a_registry_where_there_is_just_room_for_it_and_again() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let mut kit = Sandbox::new();
    kit.find_kit();
    tree(&kit, 1000);
    let model = fs::File::create(kit.path("src/model.bin")).unwrap();
    model.set_len(20 * MIB).unwrap();
    let name = format!("{}/team/net:1.0", registry.host());
    let script = format!(
        "kit pack src -t {name} --push --no-store
         kit unpack {name} -d small/out
         kit unpack {name} -d small/out
         ! kit unpack {name} -d small/other
         test ! -e small/other"
    );
    let Some(command) = with_small_disk(&kit, 24, &script) else {
        return;
    };
    let output = kit.finish(command, b"").exits(0);
    assert!(output.stderr.contains(" are to come"), "{output}");
}

#[test]
fn no_command_needs_room_for_temporary_files() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let mut kit = Sandbox::new();
    kit.find_kit();
    kit.env("TMPDIR", kit.path("small/tmp"));
    tree(&kit, 1000);
    let model = fs::File::create(kit.path("src/model.bin")).unwrap();
    model.set_len(20 * MIB).unwrap();
    let name = format!("{}/team/net:1.0", registry.host());
    let script = format!(
        "for compression in none gzip-fastest zstd; do
           kit pack src -t {name} --compression $compression
           kit push {name}
           kit verify
           kit save {name} -o kit.tar
           kit remove {name} --yes
           kit load kit.tar
           kit unpack {name} -d out-$compression
           kit cat {name} model.bin | cmp - src/model.bin
           kit files {name}
           kit remove {name} --yes
           kit pull {name}
           kit prune
         done
         kit pack src -t {name} --push --no-store
         test -z \"$(ls small/tmp)\""
    );
    let Some(command) = with_small_disk(&kit, 1, &script) else {
        return;
    };
    kit.finish(command, b"").success();
}
