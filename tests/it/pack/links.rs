//! Links are judged by where they end, and never dropped without a word.
#![cfg(unix)]

use std::fs;

use snapbox::{assert_data_eq, str};

use super::{code, would_hold};
use crate::support::{Sandbox, trees::Fingerprint};

// hazard: 41
#[test]
fn links_inside_are_packed_as_what_they_lead_to() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "model:\n  path: latest.bin\ncode:\n  - path: src\n",
    );
    kit.file("store/v2.bin", "weights")
        .exec("tools/run.sh", "#!/bin/sh\n");
    kit.symlink("store/v2.bin", "latest.bin");
    kit.symlink("../tools", "src/tools")
        .symlink("tools/run.sh", "src/again");
    kit.file("src/a", "a");
    assert_data_eq!(
        kit.run(["pack", ".", "-t", "l:1"]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
Saved model layer: sha256:[DIGEST]
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged l:1
[exit 0]

"#]]
    );
    kit.run(["unpack", "l:1", "-d", "out"]).success();
    assert_data_eq!(
        format!("{:?}", Fingerprint::of(&kit.path("out"), true)),
        str![[r#"
Kitfile file 44256890071a
latest.bin file 9a129038d9a0
src folder
src/a file ca978112ca1b
src/again exec a8076d3d28d2
src/tools folder
src/tools/run.sh exec a8076d3d28d2

"#]]
    );
}

// hazard: 42, 51
#[test]
fn links_that_cannot_be_packed_are_all_named_with_both_ends() {
    let kit = Sandbox::new();
    code(&kit, ".");
    kit.file(".kitignore", "secret\n");
    kit.file("a", "a")
        .file("secret", "s")
        .file("../outside", "o");
    kit.symlink("../outside", "out")
        .symlink("secret", "to-ignored")
        .symlink("gone", "to-nothing")
        .symlink("..", "deep/up")
        .symlink("loop-b", "loop-a")
        .symlink("loop-a", "loop-b")
        .symlink("a/b", "through-a-file")
        .symlink(".git/HEAD", "to-litter")
        .file(".git/HEAD", "h");
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: 8 links cannot be packed
  `deep/up` -> `..` leads back to a folder it lies in
  `loop-a` -> `loop-b` is part of a circle of links
  `loop-b` -> `loop-a` is part of a circle of links
  `out` -> `../outside` leads outside the context
  `through-a-file` -> `a/b` leads to nothing
  `to-ignored` -> `secret` leads to what is ignored (.kitignore:1: secret)
  `to-litter` -> `.git/HEAD` leads to what is ignored (built-in rule: .git)
  `to-nothing` -> `gone` leads to nothing
hint: --follow-links all packs what lies outside, --follow-links skip leaves links out
[exit 1]

"#]]
    );
}

#[test]
fn all_takes_what_lies_outside_and_lists_it() {
    let kit = Sandbox::new();
    code(&kit, ".");
    kit.file("a", "a")
        .file("../outside", "o")
        .file("../folder/deep/x", "x");
    kit.symlink("../outside", "out")
        .symlink("../folder", "folder");
    assert_data_eq!(
        kit.run(["pack", ".", "--follow-links", "context"]),
        str![[r#"
[stderr]
error: 2 links cannot be packed
  `folder` -> `../folder` leads outside the context
  `out` -> `../outside` leads outside the context
hint: --follow-links all packs what lies outside, --follow-links skip leaves links out
[exit 1]

"#]]
    );
    assert_data_eq!(
        kit.run(["pack", ".", "--follow-links", "all", "-t", "l:1"])
            .hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
warning: `folder` is packed from outside the context: `[ROOT]/folder`
warning: `folder/deep/x` is packed from outside the context: `[ROOT]/folder/deep/x`
warning: `out` is packed from outside the context: `[ROOT]/outside`
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged l:1
[exit 0]

"#]]
    );
    kit.run(["unpack", "l:1", "-d", "out2"]).success();
    assert_eq!(fs::read(kit.path("out2/folder/deep/x")).unwrap(), b"x");
    // What leads nowhere is an error all the same.
    kit.symlink("gone", "to-nothing");
    assert_data_eq!(
        kit.run(["pack", ".", "--follow-links", "all"]),
        str![[r#"
[stderr]
error: a link cannot be packed
  `to-nothing` -> `gone` leads to nothing
hint: mend or remove them, or leave all links out with --follow-links skip
[exit 1]

"#]]
    );
}

#[test]
fn skip_leaves_links_out_and_names_each() {
    let kit = Sandbox::new();
    kit.file(
        "Kitfile",
        "model:\n  path: link.bin\ncode:\n  - path: src\n",
    );
    kit.file("src/a", "a").file("v2.bin", "v");
    kit.symlink("v2.bin", "link.bin")
        .symlink("a", "src/b")
        .symlink("gone", "src/c");
    assert_data_eq!(
        kit.run(["pack", ".", "--follow-links", "skip"])
            .hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
warning: `link.bin` is a link to `v2.bin` and is not packed
warning: `src/b` is a link to `a` and is not packed
warning: `src/c` is a link to `gone` and is not packed
warning: model `link.bin` holds no content
Saved model layer: sha256:[DIGEST]
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
[exit 0]

"#]]
    );
}

// hazard: 41, 44
#[test]
fn a_layer_below_a_link_that_leads_outside_is_refused() {
    let kit = Sandbox::new();
    code(&kit, "sub/x");
    kit.file("../folder/x", "x").symlink("../folder", "sub");
    assert_data_eq!(
        kit.run(["pack", "."]),
        str![[r#"
[stderr]
error: a link cannot be packed
  `sub` -> `../folder` leads outside the context
hint: --follow-links all packs what lies outside, --follow-links skip leaves links out
[exit 1]

"#]]
    );
}

// hazard: 42
#[test]
fn a_cache_snapshot_packs_as_real_files() {
    let kit = Sandbox::new();
    let snapshot = "models--org--net/snapshots/abc";
    kit.file("models--org--net/blobs/1234", "weights")
        .dir(snapshot);
    kit.symlink("../../blobs/1234", format!("{snapshot}/model.safetensors"));
    kit.file(
        format!("{snapshot}/Kitfile"),
        "model:\n  path: model.safetensors\n",
    );
    assert_data_eq!(
        kit.run(["pack", snapshot, "-t", "hf:1"]).hide_digests(),
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
warning: the context is a cache snapshot: 1 link is packed as what it leads to in `[WORK]/models--org--net/blobs`
Saved model layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Tagged hf:1
[exit 0]

"#]]
    );
    kit.run(["unpack", "hf:1", "-d", "out"]).success();
    assert_eq!(
        fs::read(kit.path("out/model.safetensors")).unwrap(),
        b"weights"
    );
    // A link from there to another place is still outside.
    kit.file("other", "o")
        .symlink("../../../other", format!("{snapshot}/x"));
    kit.file(format!("{snapshot}/Kitfile"), "code:\n  - path: .\n");
    let output = kit.run(["pack", snapshot]).exits(1);
    assert!(
        output.stderr.contains("leads outside the context"),
        "{output}"
    );
}

#[test]
fn a_linked_context_and_hard_links_are_nothing_special() {
    let kit = Sandbox::new();
    kit.file("real/Kitfile", "code:\n  - path: .\n")
        .file("real/a", "a");
    fs::hard_link(kit.path("real/a"), kit.path("real/b")).unwrap();
    kit.symlink("real", "linked");
    let digest = kit.run(["pack", "real"]).success();
    assert_eq!(kit.run(["pack", "linked"]).success(), digest);
    fs::remove_file(kit.path("real/b")).unwrap();
    kit.file("real/b", "a");
    assert_eq!(kit.run(["pack", "linked"]).success(), digest);
}

/// A rule about links, and how a context shows it.
struct Rule {
    name: &'static str,
    /// The link's path and what it holds.
    link: (&'static str, &'static str),
    words: &'static str,
    /// The files that are packed, or the error.
    packed: Result<&'static str, &'static str>,
    /// What is told besides.
    told: &'static [&'static str],
}

// hazard: 41
#[test]
fn each_rule_about_links_holds() {
    const OUT: &str = "leads outside the context";
    let rules = [
        Rule {
            name: "a link to a file inside is that file, once per path",
            link: ("src/l", "a"),
            words: "",
            packed: Ok("src/a src/d/b src/l"),
            told: &[],
        },
        Rule {
            name: "a link to a folder inside is that folder, once per path",
            link: ("src/l", "d"),
            words: "--follow-links context",
            packed: Ok("src/a src/d/b src/l/b"),
            told: &[],
        },
        Rule {
            name: "an end inside may be in no layer",
            link: ("src/l", "../beside"),
            words: "",
            packed: Ok("src/a src/d/b src/l"),
            told: &[],
        },
        Rule {
            name: "an end that is absolute is judged like any other",
            link: ("src/l", "[WORK]/beside"),
            words: "",
            packed: Ok("src/a src/d/b src/l"),
            told: &[],
        },
        Rule {
            name: "a loop is an error",
            link: ("src/d/l", "../../src"),
            words: "",
            packed: Err("`src/d/l` -> `../../src` leads back to a folder it lies in"),
            told: &[],
        },
        Rule {
            name: "an ignored end is an error",
            link: ("src/l", "../ignored"),
            words: "",
            packed: Err("`src/l` -> `../ignored` leads to what is ignored (.kitignore:1: ignored)"),
            told: &[],
        },
        Rule {
            name: "what lies in an ignored folder is ignored",
            link: ("src/l", "../ignored/x"),
            words: "--follow-links all",
            packed: Err("`src/l` -> `../ignored/x` leads to what is ignored"),
            told: &[],
        },
        Rule {
            name: "an end outside is an error",
            link: ("src/l", "../../outside/f"),
            words: "",
            packed: Err("`src/l` -> `../../outside/f` leads outside the context"),
            told: &[],
        },
        Rule {
            name: "names that begin alike are not inside",
            link: ("src/l", "../../work-2"),
            words: "",
            packed: Err(OUT),
            told: &[],
        },
        Rule {
            name: "no end is an error whatever is followed",
            link: ("src/l", "gone"),
            words: "--follow-links all",
            packed: Err("`src/l` -> `gone` leads to nothing"),
            told: &[],
        },
        Rule {
            name: "all lists each file that it takes from outside",
            link: ("src/l", "../../outside"),
            words: "--follow-links all",
            packed: Ok("src/a src/d/b src/l/deep/g src/l/f"),
            told: &[
                "`src/l` is packed from outside the context: `[ROOT]/outside`",
                "`src/l/f` is packed from outside the context: `[ROOT]/outside/f`",
                "`src/l/deep/g` is packed from outside the context: `[ROOT]/outside/deep/g`",
            ],
        },
        Rule {
            name: "skip leaves a good link out, and names it",
            link: ("src/l", "a"),
            words: "--follow-links skip",
            packed: Ok("src/a src/d/b"),
            told: &["`src/l` is a link to `a` and is not packed"],
        },
        Rule {
            name: "skip leaves a bad link out, and names it",
            link: ("src/l", "gone"),
            words: "--follow-links skip",
            packed: Ok("src/a src/d/b"),
            told: &["`src/l` is a link to `gone` and is not packed"],
        },
        Rule {
            name: "an ignored link is nobody's concern",
            link: ("src/ignored", "gone"),
            words: "",
            packed: Ok("src/a src/d/b"),
            told: &[],
        },
        Rule {
            name: "a link in no layer is nobody's concern",
            link: ("l", "gone"),
            words: "",
            packed: Ok("src/a src/d/b"),
            told: &[],
        },
    ];
    for rule in rules {
        let kit = Sandbox::new();
        code(&kit, "src");
        kit.file(".kitignore", "ignored\nsrc/ignored\n")
            .file("src/a", "a")
            .file("src/d/b", "b")
            .file("beside", "s")
            .file("ignored/x", "i")
            .file("../outside/f", "f")
            .file("../outside/deep/g", "g")
            .file("../work-2", "w");
        let (path, end) = rule.link;
        let work = kit.path("");
        let end = end.replace("[WORK]/", &work.display().to_string());
        kit.symlink(end, path);
        let words = rule.words.split_whitespace();
        let output = kit.run(["pack", ".", "--dry-run"].into_iter().chain(words));
        let name = rule.name;
        match rule.packed {
            Ok(files) => {
                let packed = output
                    .stdout
                    .lines()
                    .filter_map(|line| line.strip_prefix("  "));
                assert_eq!(packed.collect::<Vec<_>>().join(" "), files, "{name}");
                assert_eq!(output.code, 0, "{name}");
            }
            Err(error) => {
                assert!(output.stderr.contains(error), "{name}: {output}");
                assert_eq!(output.code, 1, "{name}");
            }
        }
        let warnings = output
            .stderr
            .lines()
            .filter(|line| line.starts_with("warning:"));
        assert_eq!(warnings.count(), rule.told.len(), "{name}: {output}");
        for told in rule.told {
            assert!(output.stderr.contains(told), "{name}: {output}");
        }
    }
}

#[test]
fn a_mistyped_word_gets_a_suggestion() {
    let kit = Sandbox::new();
    code(&kit, ".");
    kit.file("a", "a");
    assert_eq!(would_hold(&kit), "a");
    assert_data_eq!(
        kit.run(["pack", ".", "--follow-links", "contxt"]),
        str![[r#"
[stderr]
error: invalid value 'contxt' for '--follow-links <WHICH>'
hint: did you mean 'context'?
hint: possible values: context, all, skip
[exit 2]

"#]]
    );
}

#[test]
#[cfg(target_os = "linux")]
fn content_of_files_without_a_length_is_not_lost() {
    for arguments in [
        &[][..],
        &["--compression", "zstd"],
        &["--layer-format", "raw"],
    ] {
        let kit = Sandbox::new();
        code(&kit, "src");
        kit.file("src/a", "a")
            .symlink("/proc/self/status", "src/status");
        let pack = ["pack", ".", "-t", "l:1", "--follow-links", "all"];
        let output = kit.run(pack.iter().chain(arguments));
        let said = "/src/status has content although the system says that it is empty";
        assert!(output.stderr.contains(said), "{output}");
        assert_eq!(output.code, 1, "{output}");
        fs::remove_file(kit.path("src/status")).unwrap();
        // A device is packed from nowhere.
        kit.symlink("/dev/null", "src/null");
        let output = kit.run(pack.iter().chain(arguments));
        assert!(
            output
                .stderr
                .contains("`src/null` is a device and is not packed")
        );
        assert!(!output.stderr.contains("from outside"), "{output}");
    }
}
