//! `docs/install.md` tells what is released, what is needed for it, and what is left.

use std::{collections::BTreeSet, fs};

use crate::support::{Sandbox, testdata};

fn file(name: &str) -> String {
    fs::read_to_string(testdata("..").join(name)).unwrap()
}

fn page() -> String {
    file("docs/install.md")
}

/// Returns what stands between each `before` and the next `after`.
fn between<'t>(text: &'t str, before: &str, after: &str) -> BTreeSet<&'t str> {
    let parts = text.split(before).skip(1);
    parts
        .filter_map(|rest| Some(rest.split_once(after)?.0))
        .collect()
}

#[test]
fn the_page_lists_what_the_workflow_builds() {
    let (page, workflow) = (page(), file(".github/workflows/release.yml"));
    let built = between(&workflow, "- {target: ", ",");
    assert!(built.len() > 3, "{built:?}");
    let rows = between(&page, "| `kit-VERSION-", "` |");
    let archives: BTreeSet<String> = built
        .iter()
        .map(|target| {
            let kind = if target.contains("windows") {
                "zip"
            } else {
                "tar.gz"
            };
            format!("{target}.{kind}")
        })
        .collect();
    assert_eq!(rows, archives.iter().map(String::as_str).collect());
    for machine in ["amd64", "arm64"] {
        let packages = file(".github/release/package");
        assert!(packages.contains(&format!("-linux-musl\": \"{machine}\"")));
        assert!(page.contains(&format!("`modelkit_VERSION_{machine}.deb`")));
    }
}

#[test]
fn the_page_builds_with_the_tools_of_the_workflow() {
    let (page, workflow) = (page(), file(".github/workflows/release.yml"));
    let compilers = between(&workflow, "RUSTUP_TOOLCHAIN: ", "\n");
    assert_eq!(between(&page, "RUSTUP_TOOLCHAIN=", "\n"), compilers);
    assert_eq!(between(&page, "toolchain install ", " "), compilers);
    let tools = between(&workflow, "- run: cargo install ", "\n");
    assert!(tools.len() > 1, "{tools:?}");
    for tool in tools {
        assert!(page.contains(&format!("`cargo install {tool}`")), "{tool}");
    }
    let oldest = file("Cargo.toml");
    let oldest = between(&oldest, "rust-version = \"", "\"");
    assert_eq!(between(&page, "You need Rust ", " or newer"), oldest);
}

#[test]
fn every_command_of_the_page_is_one() {
    let page = page();
    let commands = between(&page, "`kit ", "`");
    assert!(commands.len() > 5, "{commands:?}");
    for command in commands {
        let words = command.split(' ').filter(|word| *word != "--help");
        Sandbox::new().run(words.chain(["--help"])).success();
    }
}

#[cfg(all(unix, not(target_os = "macos")))] // which have the page's command
#[test]
fn what_the_page_removes_is_all_that_was_written() {
    use std::path::Path;

    use crate::support::{console, logins};

    /// What is below a folder, but for folders.
    fn files(folder: &Path, found: &mut Vec<String>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                files(&path, found);
            } else {
                found.push(path.display().to_string());
            }
        }
    }

    let mut kit = Sandbox::new();
    // The folder of the platform, in a home of its own, beside which temporary files are.
    kit.env("KITOPS_HOME", "");
    let user = kit.path("user");
    fs::create_dir(&user).unwrap();
    kit.env("HOME", &user);
    kit.copy(&testdata("quickstart"), "project");
    let registry = logins::registry();
    logins::login(&kit, &registry.host(), []).success();
    for line in [
        "pack project -t team/net:1,latest",
        "unpack team/net:1 -d out",
        "status out",
        "save team/net:1 -o net.tar",
        "load net.tar",
        "remove team/net:1",
        "prune",
        "verify",
    ] {
        kit.run(line.split(' ')).success();
    }
    let mut before = Vec::new();
    files(&user, &mut before);
    assert!(before.len() > 5, "{before:?}");
    let steps = console::steps(&page());
    assert_eq!(steps.len(), 1, "{steps:?}");
    for step in steps {
        step.run_in_shell(&kit);
    }
    let mut left = Vec::new();
    files(kit.path("..").as_path(), &mut left);
    let named = ["/work/project/", "/work/out/", "/work/net.tar"];
    left.retain(|path| !named.iter().any(|named| path.contains(named)));
    assert!(left.is_empty(), "{left:#?}");
}
