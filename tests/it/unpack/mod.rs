//! `kit unpack`: what is taken out of a kit, where it goes, and what is never seen.

mod damage; // stored bytes that are not what they should be, kits that contradict themselves
mod filters; // which part is taken
mod target; // what stands in the target before

use snapbox::{assert_data_eq, str};

use crate::support::{Sandbox, set_mode, trees::Fingerprint};

/// Packs a kit `net:1` with an element of every kind.
fn packed() -> Sandbox {
    let kit = Sandbox::new();
    kit.file(
        "src/Kitfile",
        "manifestVersion: 1.0.0\n\
         model:\n  name: net\n  path: ./model\n  parts:\n    - name: lora\n      path: lora.bin\n\
         code:\n  - path: code/\n\
         datasets:\n  - name: train\n    path: data/train\n  - name: test\n    path: ./data/test\n\
         docs:\n  - path: ./README.md\n\
         prompts:\n  - path: prompts/greet.md\n",
    );
    for file in [
        "model/net.bin",
        "model/config.json",
        "lora.bin",
        "code/a.py",
        "code/deep/b.py",
        "data/train/1.csv",
        "data/train/2.txt",
        "data/test/1.csv",
        "README.md",
        "prompts/greet.md",
    ] {
        kit.file(format!("src/{file}"), format!("content of {file}\n"));
    }
    kit.exec("src/code/run.sh", "#!/bin/sh\n");
    kit.run(["pack", "src", "-t", "net:1"]).success();
    kit
}

/// Returns the files below `folder`, one a line.
fn files(kit: &Sandbox, folder: &str) -> String {
    let tree = Fingerprint::of(&kit.path(folder), true).0;
    let files = tree
        .iter()
        .filter(|(_, node)| **node != crate::support::trees::Node::Folder)
        .map(|(path, _)| String::from_utf8(path.clone()).unwrap());
    files.collect::<Vec<_>>().join("\n")
}

// hazard: 49
#[test]
fn everything_comes_out_as_it_went_in() {
    let kit = packed();
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking model `net` to `model`
Unpacking modelpart `lora` to `lora.bin`
Unpacking code `code`
Unpacking dataset `train` to `data/train`
Unpacking dataset `test` to `data/test`
Unpacking docs `README.md`
Unpacking prompt `prompts/greet.md`
12 files written (540 B)
[exit 0]

"#]]
    );
    let mut out = Fingerprint::of(&kit.path("out"), true);
    let mut src = Fingerprint::of(&kit.path("src"), true);
    // The Kitfile is written anew: `model` and `./model` are one path, said the way it was typed.
    assert!(out.0.remove(&b"Kitfile"[..]).is_some());
    src.0.remove(&b"Kitfile"[..]);
    assert_eq!(out, src);
    // Into the current directory, and by digest.
    kit.dir("here");
    let digest = kit.store().names()["net:1"].clone();
    kit.run_in("here", ["unpack", &digest]).success();
    assert_eq!(files(&kit, "here"), files(&kit, "out"));
}

#[test]
fn json_and_templates_tell_what_became_of_the_files() {
    let kit = packed();
    kit.file("out/README.md", "content of README.md\n")
        .file("out/lora.bin", "content");
    let line = [
        "unpack",
        "net:1",
        "-d",
        "out",
        "--filter",
        "model,docs",
        "-q",
        "--format",
    ];
    assert_data_eq!(
        kit.run(line.iter().chain(&["json"])),
        str![[r#"
{
  "reference": "net:1",
  "digest": "sha256:ef0acd611159330a450d82579f068cee953dd0b8b9df53744ead8cdb5bfd0297",
  "parents": [],
  "directory": "out",
  "layers": [
    "sha256:afb4768753798cefedaf585c97e791d99d2d244b278c9b3519addd6e9a0de675",
    "sha256:5467fc493537ff41b7ffdbe934d13a0c0ce0dee784c84382900cc53c8e45b9f1",
    "sha256:2ebb30bcc85fc30958848a262b65701d50667db4539fd274a1ba5908cba3c61a"
  ],
  "remote": [],
  "written": 2,
  "linked": 0,
  "replaced": 0,
  "completed": 1,
  "equal": 1,
  "kept": 0,
  "bytes": 67,
  "fetched": 0,
  "reused": 0
}
[exit 0]

"#]]
    );
    assert_eq!(
        kit.run(line.iter().chain(&["{{ .Equal }}"])).success(),
        "4\n"
    );
    assert_data_eq!(
        kit.run(line.iter().chain(&["{{ .Eqaul }}"])),
        str![[r#"
[stderr]
error: bad template, line 1, column 4: there is no field `.Eqaul`, only .Bytes, .Completed, .Digest, .Directory, .Equal, .Fetched, .Kept, .Layers, .Linked, .Parents, .Reference, .Remote, .Replaced, .Reused, .Written
[exit 2]

"#]]
    );
}

#[test]
fn a_dry_run_lists_and_writes_nothing() {
    let kit = packed();
    assert_data_eq!(
        kit.run([
            "unpack",
            "net:1",
            "-d",
            "out",
            "--dry-run",
            "--include",
            "**/*.csv",
            "--ready-file",
            "ready"
        ]),
        str![[r#"
data/train/1.csv
data/test/1.csv
[stderr]
2 files of 55 B would be written to out
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run([
            "unpack",
            "net:1",
            "--dry-run",
            "--filter",
            "docs,kitfile",
            "--format",
            "json"
        ]),
        str![[r#"
[
  {
    "path": "Kitfile",
    "size": 277
  },
  {
    "path": "README.md",
    "size": 21
  }
]
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run([
            "unpack",
            "net:1",
            "--dry-run",
            "--filter",
            "docs",
            "--format",
            "{{ range . }}{{ .Path }}:{{ .Size }}{{ end }}"
        ]),
        str![[r#"
README.md:21
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:1", "--dry-run", "--filter", "model:x"]),
        str![[r#"
[stderr]
error: nothing in the kit matches `model:x`; it holds model:net, model:lora, code:code, datasets:train, datasets:test, docs:README.md, prompts:prompts/greet.md
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:1", "--dry-run", "--include", "*.x"]),
        str![[r#"
[stderr]
error: no file of net:1 is selected by --include and --exclude
hint: `kit files` lists the paths
[exit 3]

"#]]
    );
    assert!(!kit.path("out").exists());
}

#[test]
fn one_kit_is_unpacked_at_a_time() {
    let kit = packed();
    assert_data_eq!(
        kit.run(["unpack", "net:1,2"]),
        str![[r#"
[stderr]
error: can not unpack multiple tags
hint: unpack one after the other
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:2"]),
        str![[r#"
[stderr]
error: no kit net:2 in the store
hint: there is `net:1`
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "nte:1"]),
        str![[r#"
[stderr]
error: no kit nte:1 in the store
hint: there is `net:1`
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net"]),
        str![[r#"
[stderr]
error: no kit net:latest in the store
hint: there is `net:1`
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack"]),
        str![[r#"
[stderr]
error: missing <REFERENCE>
hint: see `kit unpack --help`
[exit 2]

"#]]
    );
}

#[test]
fn the_ready_file_appears_when_all_is_there_and_never_without() {
    let kit = packed();
    let digest = kit.store().names()["net:1"].clone();
    let line = ["unpack", "net:1", "-d", "out", "--ready-file", "out/.ready"];
    kit.run(line).success();
    assert_eq!(
        std::fs::read_to_string(kit.path("out/.ready")).unwrap(),
        format!("{digest}\n")
    );
    kit.run(line).success();

    // A run that fails takes the promise of the run before back, whatever it fails of.
    kit.file("out/README.md", "changed");
    let _ = kit.run(line).exits(1);
    assert!(!kit.path("out/.ready").exists());
    for reference in ["net:2", "net:1"] {
        kit.file("out/.ready", "stale");
        let layer = kit.store().layers(&digest)[0].1.clone();
        let path = kit.store().blob_path(&layer);
        set_mode(&path, 0o644);
        std::fs::write(path, "damaged").unwrap();
        let output = kit.run([
            "unpack",
            reference,
            "-d",
            "new",
            "--ready-file",
            "out/.ready",
        ]);
        assert!(output.code == 3 || output.code == 5, "{output}");
        assert!(!kit.path("out/.ready").exists(), "{reference}");
    }
    // A question changes nothing.
    kit.file("out/.ready", "kept");
    kit.run([
        "unpack",
        "net:1",
        "--dry-run",
        "--filter",
        "docs",
        "--ready-file",
        "out/.ready",
    ])
    .success();
    assert!(kit.path("out/.ready").exists());
}

// hazard: 38, 104, 124
#[cfg(unix)]
#[test]
fn thousands_of_files_need_few_open_ones() {
    let kit = Sandbox::new();
    kit.file("src/Kitfile", "code:\n  - path: .\n");
    for folder in 0..30 {
        kit.dir(format!("src/{folder}"));
        for file in 0..100 {
            std::fs::write(kit.path(format!("src/{folder}/{file}")), [1]).unwrap();
        }
    }
    kit.run(["pack", "src", "-t", "many:1"]).success();
    for (limit, folder) in [("256", "a"), ("64", "b")] {
        let mut command = std::process::Command::new("sh");
        command
            .args(["-c", &format!("ulimit -n {limit}; exec \"$0\" \"$@\"")])
            .arg(env!("CARGO_BIN_EXE_kit"))
            .args(["unpack", "many:1", "-d", folder, "--threads", "8"])
            .current_dir(kit.path(""))
            .env("KITOPS_HOME", kit.home());
        kit.finish(command, b"").success();
        assert_eq!(files(&kit, folder).lines().count(), 3001);
    }
}

// hazard: 26, 37
#[test]
fn a_kit_with_what_others_run_or_cannot_hold_is_unpacked_with_a_warning() {
    let kit = Sandbox::new();
    kit.file("src/Kitfile", "code:\n  - path: .\n")
        .file("src/.kitignore", "!.git\n");
    kit.file("src/.git/hooks/pre-commit", "x")
        .file("src/sub/Kitfile", "x");
    if cfg!(unix) {
        kit.file("src/aux.txt", "x").file("src/a:b", "x");
    }
    kit.run(["pack", "src", "-t", "odd:1"]).success();
    let output = kit.run(["unpack", "odd:1", "-d", "out"]).exits(0);
    if cfg!(unix) {
        assert_data_eq!(
            output,
            str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking code `.`
warning: the kit holds files of a version control system, which may run them: .git
warning: the kit holds a name that Windows cannot hold: a:b
5 files written (44 B)
[exit 0]

"#]]
        );
    }
}

#[test]
fn a_place_that_is_not_there_is_a_failure_and_no_missing_kit() {
    let kit = packed();
    for line in [
        &["unpack", "net:1", "-d", "out", "--ready-file", "no/ready"][..],
        &["save", "net:1", "-o", "no/net.tar"],
    ] {
        let output = kit.run(line).exits(1);
        assert!(output.stderr.contains("caused by: "), "{output}");
        // It is found before anything is done.
        assert!(!kit.path("out").exists(), "{output}");
    }
    // What is in the way is the fault of the place, too, and is left.
    kit.dir("ready/x");
    let _ = kit
        .run(["unpack", "net:1", "-d", "out", "--ready-file", "ready"])
        .exits(1);
    assert!(!kit.path("out").exists());
    // A folder that the kit brings is there when the file is written.
    kit.run([
        "unpack",
        "net:1",
        "-d",
        "out",
        "--ready-file",
        "out/data/ready",
    ])
    .success();
    assert!(kit.path("out/data/ready").exists());
}
