//! `kit init`: a Kitfile for a directory.

use std::fs;

use serde::Deserialize;
use snapbox::{assert_data_eq, str};

use super::support::{Sandbox, kits::zip, testdata};

/// A directory and the Kitfile that is drafted for it.
#[derive(Deserialize)]
struct Case {
    what: String,
    files: Vec<String>,
    #[serde(default)]
    told: Vec<String>,
    kitfile: String,
}

fn cases() -> Vec<Case> {
    #[derive(Deserialize)]
    struct Table {
        case: Vec<Case>,
    }
    let text = fs::read_to_string(testdata("init/cases.toml")).unwrap();
    let table: Table = toml::from_str(&text).unwrap();
    table.case
}

/// Makes the directory of a case.
fn tree(files: &[String]) -> Sandbox {
    let kit = Sandbox::new();
    let mit = fs::read_to_string(testdata("init/MIT.txt")).unwrap();
    for file in files {
        if let Some(folder) = file.strip_suffix('/') {
            kit.dir(folder);
            continue;
        }
        if let Some((path, size)) = file.split_once('@') {
            kit.file(path, "x".repeat(size.parse().unwrap()));
            continue;
        }
        let (path, content) = file.split_once('=').unwrap_or((file, ""));
        let content = match content {
            "mit" => mit.clone().into_bytes(),
            "apache" => fs::read(testdata("../docs/LICENSE")).unwrap(),
            "none" => b"Ask us.\n".to_vec(),
            "more" => format!(
                "{mit}\nThe Software must not be used by competitors of the authors, nor for \
                 weapons, nor to train models.\n"
            )
            .into_bytes(),
            "mcpb" => zip("manifest.json", b"{}"),
            "ignore" => b"secret\n*.log\n".to_vec(),
            "" => b"x".to_vec(),
            other => panic!("{other}"),
        };
        kit.file(path, content);
    }
    kit
}

#[test]
fn every_case_of_the_table_is_drafted_as_it_stands_there() {
    for case in cases() {
        let kit = tree(&case.files);
        let output = kit.run(["init", "--dry-run"]).exits(0);
        assert_eq!(output.stdout, case.kitfile, "{}", case.what);
        let told: Vec<&str> = output
            .stderr
            .lines()
            .filter(|line| !["", "Generated Kitfile:"].contains(line))
            .collect();
        assert_eq!(told, case.told, "{}", case.what);
        assert!(!kit.path("Kitfile").exists(), "{}", case.what);
    }
}

#[test]
fn init_and_then_pack_gives_the_digest_of_pack_alone() {
    let digest = ["pack", ".", "--format", "{{.Digest}}"];
    for case in cases() {
        let kit = tree(&case.files);
        let alone = kit.run(digest);
        if alone.code == 3 {
            assert_eq!(case.kitfile.lines().count(), 1, "{}", case.what);
            continue;
        }
        kit.run(["init"]).success();
        assert_eq!(kit.run(digest).success(), alone.success(), "{}", case.what);
    }
}

#[test]
fn a_large_folder_with_a_private_file_is_one_layer_and_the_file_is_ignored() {
    let kit = Sandbox::new();
    for number in 0..150 {
        kit.file(format!("data/{number:03}.csv"), "x");
    }
    kit.file("data/.env", "secret").file(".kitignore", "*.log");
    let digest = ["pack", ".", "--format", "{{.Digest}}"];
    let alone = kit.run(digest).success();
    let dry = kit.run(["init", "--dry-run"]);
    assert!(
        dry.stderr.contains("Would add 1 line to .kitignore"),
        "{dry}"
    );
    assert!(
        dry.stdout.ends_with("datasets:\n  - path: data/\n"),
        "{dry}"
    );
    let ignored = || fs::read_to_string(kit.path(".kitignore")).unwrap();
    assert_eq!(ignored(), "*.log");
    let output = kit.run(["init"]).exits(0);
    assert!(
        output
            .stderr
            .contains("`data/.env` is left out of the draft: hidden"),
        "{output}"
    );
    assert_eq!(ignored(), "*.log\n/data/.env\n");
    assert_eq!(kit.run(digest).success(), alone);
    // Once is enough.
    kit.run(["init", "--force"]).success();
    assert_eq!(ignored(), "*.log\n/data/.env\n");
}

#[test]
fn the_kitfile_is_the_result_and_all_else_is_told_beside_it() {
    let kit = Sandbox::new();
    kit.file("net.gguf", "w");
    assert_data_eq!(
        kit.run([
            "init",
            "--name",
            "net",
            "--desc",
            "Finds: nets",
            "--author",
            "Ann, of A"
        ]),
        str![[r#"
manifestVersion: "1.0.0"
package:
  name: net
  description: "Finds: nets"
  authors: ["Ann, of A"]
model:
  name: net
  path: net.gguf
[stderr]
Generated Kitfile:

Saved to path 'Kitfile'
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["init"]),
        str![[r#"
[stderr]
error: Kitfile already exists at Kitfile. Use '--force' to overwrite
[exit 1]

"#]]
    );
    let again = kit.run(["init", ".", "-f", "--author", "Bob", "-q"]);
    assert_eq!(
        fs::read_to_string(kit.path("Kitfile")).unwrap(),
        again.stdout
    );
    assert_data_eq!(
        again,
        str![[r#"
manifestVersion: "1.0.0"
package:
  authors: [Bob]
model:
  name: net
  path: net.gguf
[exit 0]

"#]]
    );
    // Nothing was asked, and nothing else was written.
    assert_eq!(fs::read_dir(kit.path("")).unwrap().count(), 2);
    assert!(!kit.home().join("store").exists());
}

#[test]
fn a_licence_file_is_looked_for_in_the_directory_not_in_the_current_one() {
    let kit = Sandbox::new();
    kit.file("net/LICENSE", fs::read(testdata("init/MIT.txt")).unwrap())
        .file("net/m.gguf", "w")
        .file("LICENSE", fs::read(testdata("../docs/LICENSE")).unwrap());
    let kitfile = kit.run(["init", "net"]).success();
    assert!(kitfile.contains("license: MIT"), "{kitfile}");
}

#[test]
fn a_kitfile_by_any_of_its_names_is_replaced_only_by_force() {
    for name in ["Kitfile", "kitfile", ".kitfile"] {
        let kit = Sandbox::new();
        kit.file("d/m.gguf", "w").file(format!("d/{name}"), "old");
        let refused = kit.run(["init", "d"]).exits(1);
        let message =
            format!("error: Kitfile already exists at d/{name}. Use '--force' to overwrite\n");
        assert_eq!(refused.stderr, message);
        let kitfile = kit.run(["init", "d", "--force"]).success();
        assert_eq!(
            fs::read_to_string(kit.path(format!("d/{name}"))).unwrap(),
            kitfile
        );
        assert_eq!(fs::read_dir(kit.path("d")).unwrap().count(), 2);
    }
}

#[cfg(unix)]
#[test]
fn force_replaces_a_link_and_not_what_it_leads_to() {
    let kit = Sandbox::new();
    kit.file("outside", "precious")
        .file("d/m.gguf", "w")
        .symlink("../outside", "d/Kitfile");
    let _ = kit.run(["init", "d"]).exits(1);
    kit.run(["init", "d", "--force"]).success();
    assert_eq!(fs::read_to_string(kit.path("outside")).unwrap(), "precious");
    assert!(!kit.path("d/Kitfile").is_symlink());
    // Also a link that leads nowhere is somebody's.
    fs::remove_file(kit.path("d/Kitfile")).unwrap();
    kit.symlink("nowhere", "d/Kitfile");
    let _ = kit.run(["init", "d"]).exits(1);
    assert!(!kit.path("d/nowhere").exists());
}

#[test]
fn what_is_no_directory_gets_no_kitfile() {
    let kit = Sandbox::new();
    kit.file("file", "x").dir("d/Kitfile/x");
    assert_data_eq!(
        kit.run(["init", "nowhere"]),
        str![[r#"
[stderr]
error: there is no folder nowhere
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["init", "file"]),
        str![[r#"
[stderr]
error: file is not a folder
[exit 1]

"#]]
    );
    assert_data_eq!(
        kit.run(["init", "d", "--force"]),
        str![[r#"
[stderr]
warning: the Kitfile names nothing to pack: the kit has no layers
error: cannot write d/Kitfile
  caused by: Is a directory (os error 21)
[exit 1]

"#]]
    );
}
