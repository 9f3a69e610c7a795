//! Many processes at once on one store.

use std::{
    collections::BTreeSet,
    process::{Child, Stdio},
};

use crate::support::{Sandbox, kits};

fn start(kit: &Sandbox, words: &[&str]) -> Child {
    let mut command = kit.command(words);
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    command.stderr(Stdio::piped()).spawn().unwrap()
}

#[track_caller]
fn end(child: Child) -> String {
    let output = child.wait_with_output().unwrap();
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    String::from_utf8(output.stdout).unwrap()
}

/// Writes a kit with a layer that all have and one of its own.
fn tree(kit: &Sandbox, folder: &str) {
    let kitfile = "model: {path: shared.bin}\ndocs: [{path: own.md}]\n";
    kit.file(format!("{folder}/Kitfile"), kitfile)
        .file(format!("{folder}/shared.bin"), vec![5; 400_000])
        .file(format!("{folder}/own.md"), folder);
}

#[track_caller]
fn unpacks(kit: &Sandbox, name: &str, folder: &str) {
    let out = format!("out/{name}").replace(':', "-");
    kit.run(["unpack", name, "-d", &out, "-q"]).success();
    let own = std::fs::read_to_string(kit.path(&out).join("own.md"));
    assert_eq!(own.unwrap(), folder, "{name}");
    assert!(kit.path(&out).join("shared.bin").exists());
}

// hazard: 110, 144
#[test]
fn twelve_processes_that_pack_into_one_repository_lose_no_name() {
    let kit = Sandbox::new();
    for number in 0..12 {
        tree(&kit, &format!("tree-{number}"));
    }
    let children: Vec<_> = (0..12)
        .map(|number| {
            let (folder, name) = (format!("tree-{number}"), format!("team/net:{number}"));
            start(&kit, &["pack", &folder, "-q", "-t", &name])
        })
        .collect();
    for child in children {
        end(child);
    }
    assert_eq!(kit.store().names().len(), 12);
    for number in 0..12 {
        unpacks(
            &kit,
            &format!("team/net:{number}"),
            &format!("tree-{number}"),
        );
    }
    kit.run(["verify"]).success();
}

// hazard: 111, 144
#[test]
fn of_two_kits_packed_under_one_name_one_has_it_and_both_are_whole() {
    let kit = Sandbox::new();
    for folder in ["a", "b"] {
        tree(&kit, folder);
    }
    for round in 0..10 {
        let words = |folder| ["pack", folder, "--format", "{{ .Digest }}", "-t", "net:1"];
        let children = ["a", "b"].map(|folder| start(&kit, &words(folder)));
        let digests = children.map(|child| end(child).trim().to_owned());
        let named = kit.store().names().remove("net:1").unwrap();
        assert!(digests.contains(&named), "{round}");
        kit.run(["verify", "-q"]).success();
        kit.run(["remove", "net:1", "--force", "-q"]).success();
        kit.run(["remove", "--all", "--force", "-q"]).success();
    }
}

// hazard: 115, 116, 144
#[test]
fn what_is_packed_beside_removing_and_pruning_processes_is_complete() {
    let kit = Sandbox::new();
    for number in 0..3 {
        tree(&kit, &format!("tree-{number}"));
    }
    let mut made = BTreeSet::new();
    for round in 0..8 {
        let gone = format!("gone:{round}");
        kit.run(["pack", "tree-0", "-q", "-t", &gone]).success();
        let removing = [
            start(&kit, &["remove", &gone, "-q"]),
            start(&kit, &["prune", "-q"]),
        ];
        let packing: Vec<_> = (0..3)
            .map(|number| {
                let (folder, name) = (format!("tree-{number}"), format!("kept:{round}-{number}"));
                let child = start(&kit, &["pack", &folder, "-q", "-t", &name]);
                made.insert((name, folder));
                child
            })
            .collect();
        for child in packing {
            end(child);
        }
        for child in removing {
            end(child);
        }
        kit.run(["verify", "-q"]).success();
        for (name, folder) in &made {
            unpacks(&kit, name, folder);
        }
        // So that the next round finds nothing that keeps its blobs.
        for (name, _) in std::mem::take(&mut made) {
            kit.run(["remove", &name, "-q"]).success();
        }
    }
    kit.run(["prune", "-q"]).success();
    assert_eq!(kits::count_blobs(&kit), 0);
}
