//! `<home>/config.toml`, the environment, and the page about both.

use std::fs;

use snapbox::{assert_data_eq, str};

use super::support::{Sandbox, testdata};

/// Returns a sandbox with these settings.
fn with(settings: &str) -> Sandbox {
    let kit = Sandbox::new();
    fs::write(kit.home().join("config.toml"), settings).unwrap();
    kit.file("net.gguf", "w").exec("run.sh", "r");
    kit
}

#[test]
fn a_setting_is_the_default_of_its_flag_and_the_flag_goes_before_it() {
    let kit = with("quiet = true\n\n[pack]\nkeep-modes = true\n");
    crate::support::set_mode(&kit.path("net.gguf"), 0o600);
    let digest = |arguments: &[&str]| {
        let output = kit.run([&["pack", "."], arguments].concat());
        assert_eq!(output.stderr.is_empty(), arguments.is_empty(), "{output}");
        output.success()
    };
    let set = digest(&[]);
    assert_eq!(set, digest(&["--keep-modes", "--quiet=false"]));
    if cfg!(unix) {
        assert_ne!(set, digest(&["--keep-modes=false", "-v"]));
    }
    // It holds for one command, and whatever the home is found by.
    fs::create_dir(kit.path("other")).unwrap();
    let other = kit.run(["pack", ".", "--config", "other"]);
    assert!(other.stderr.contains("Saved model layer"), "{other}");
    assert!(kit.path("other/store").exists());
}

#[test]
fn the_environment_goes_before_the_file_and_the_flag_before_both() {
    let mut kit = with("color = \"always\"\n");
    let is_coloured =
        |kit: &Sandbox, arguments: &[&str]| kit.run(arguments).stderr.contains('\u{1b}');
    assert!(is_coloured(&kit, &["info", "nix:1"]));
    assert!(!is_coloured(&kit, &["info", "nix:1", "--color", "never"]));
    kit.env("NO_COLOR", "1");
    assert!(!is_coloured(&kit, &["info", "nix:1"]));
    assert!(is_coloured(&kit, &["info", "nix:1", "--color=always"]));
}

#[test]
fn a_mistake_names_file_line_and_key_not_a_flag_that_nobody_typed() {
    assert_data_eq!(
        with("[pack]\nthreads = -1\n").run(["list"]),
        str![[r#"
[stderr]
error: [HOME]/config.toml, line 2: `threads` in [pack]: '-1' is not a number of threads
hint: write a whole number, 1 or more
[exit 2]

"#]]
    );
    assert_data_eq!(
        with("[pack\n").run(["list"]),
        str![[r#"
[stderr]
error: [HOME]/config.toml, line 1: unclosed table, expected `]`
[exit 2]

"#]]
    );
    assert_data_eq!(
        with("[remove]\nall = true\n").run(["list"]),
        str![[r#"
[stderr]
error: [HOME]/config.toml, line 2: there are no settings for `remove`
hint: `kit help environment` lists the settings there are
[exit 2]

"#]]
    );
    let failure = with("lock-timeout = 'soon'").run(["list", "--format", "json"]);
    assert_eq!(failure.code, 2);
    let document: serde_json::Value = serde_json::from_str(&failure.stderr).unwrap();
    assert_eq!(document["error"]["kind"], "usage");
    let big = with(&"#".repeat(64 * 1024 + 1)).run(["list"]);
    assert_eq!(big.code, 9, "{big}");
}

#[test]
fn what_helps_to_mend_a_broken_file_goes_on() {
    let kit = with("[pack\n");
    for line in [
        "version",
        "--version",
        "help",
        "help environment",
        "pack --help",
        "completion bash",
    ] {
        let output = kit.run(line.split(' '));
        assert_eq!((output.code, &*output.stderr), (0, ""), "{line}: {output}");
    }
    let doctor = kit.run(["doctor"]).exits(1);
    assert!(doctor.stdout.contains("config.toml, line 1: "), "{doctor}");
    // A mistake on the command line is told first.
    let typed = kit.run(["lsit"]).exits(2);
    assert!(typed.stderr.contains("'list'"), "{typed}");
}

#[test]
fn nothing_is_made_to_look_for_settings() {
    let kit = Sandbox::new();
    let home = kit.path("nowhere");
    kit.run(["version", "--config", home.to_str().unwrap()])
        .success();
    assert!(!home.exists());
}

#[test]
fn the_page_about_settings_is_what_the_program_prints() {
    let kit = Sandbox::new();
    let printed = kit.run(["help", "environment"]).success();
    let path = testdata("../docs/settings.md");
    let page = fs::read_to_string(&path).unwrap();
    let start = "```text settings\n";
    let (before, rest) = page.split_once(start).unwrap();
    let (block, after) = rest.split_once("```").unwrap();
    if block != printed && std::env::var_os("SNAPSHOTS").is_some_and(|it| it == "overwrite") {
        fs::write(&path, format!("{before}{start}{printed}```{after}")).unwrap();
        return;
    }
    assert_eq!(block, printed);
    // The general help leads there.
    assert!(
        kit.run(["--help"])
            .success()
            .contains("kit help environment")
    );
}
