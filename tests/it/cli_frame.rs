//! What holds for every command: help, mistakes, switches, output, signals.

use std::{
    fs,
    path::Path,
    process::{Command, Output, Stdio},
};

use snapbox::{assert_data_eq, str};

/// Runs `kit` without any environment of the developer's.
fn kit(home: &Path, line: &str) -> Output {
    command(home, line).output().unwrap()
}

fn command(home: &Path, line: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kit"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("KITOPS_HOME", home)
        .current_dir(home)
        .stdin(Stdio::null());
    command
}

/// Returns all that a run shows.
fn shown(line: &str) -> String {
    let home = tempfile::tempdir().unwrap();
    text(&kit(home.path(), line))
}

fn text(output: &Output) -> String {
    let mut text = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    if !errors.is_empty() {
        text += "[stderr]\n";
        text += &errors;
    }
    match output.status.code() {
        Some(0) => text,
        Some(code) => text + &format!("[exit {code}]\n"),
        None => text + "[killed]\n",
    }
}

#[test]
fn kit_alone_shows_the_commands_in_groups() {
    let alone = shown("");
    assert_eq!(alone, shown("--help"));
    assert_eq!(alone, shown("help"));
    assert!(alone.contains("\nOther:\n  cache "), "{alone}");
    assert!(!alone.contains('\x1b'), "{alone}");
    assert!(!alone.contains("dev"), "{alone}");
    assert_eq!(alone.matches("  cache ").count(), 1, "{alone}");
}

#[test]
fn help_shows_switches_without_their_values() {
    let help = shown("version --help");
    assert_eq!(help, shown("help version"));
    assert!(
        help.contains("      --show-update-notifications  "),
        "{help}"
    );
    assert!(help.contains("\nExamples:\n"), "{help}");
}

#[test]
fn mistakes_end_with_2_and_a_suggestion() {
    assert_data_eq!(
        shown("versoin"),
        str![[r#"
[stderr]
error: there is no command 'versoin'
hint: did you mean 'verify' or 'version'?
[exit 2]

"#]]
    );
    assert_data_eq!(
        shown("version --formt json"),
        str![[r#"
[stderr]
error: there is no flag '--formt'
hint: did you mean '--format'?
[exit 2]

"#]]
    );
    // Two letters that changed places, in a word too short for the parser's own guess.
    assert_data_eq!(
        shown("pack --tga x"),
        str![[r#"
[stderr]
error: there is no flag '--tga'
hint: did you mean '--tag'?
[exit 2]

"#]]
    );
    assert_data_eq!(
        shown("--confg x version"),
        str![[r#"
[stderr]
error: there is no flag '--confg'
hint: did you mean '--config'?
[exit 2]

"#]]
    );
    assert_data_eq!(
        shown("version extra"),
        str![[r#"
[stderr]
error: unexpected argument 'extra'
hint: see `kit version --help`
[exit 2]

"#]]
    );
    assert_data_eq!(
        shown("completion"),
        str![[r#"
[stderr]
error: missing <SHELL>
hint: see `kit completion --help`
[exit 2]

"#]]
    );
    assert_data_eq!(
        shown("completion tcsh"),
        str![[r#"
[stderr]
error: invalid value 'tcsh' for '<SHELL>'
hint: did you mean 'zsh'?
hint: possible values: bash, zsh, fish, powershell
[exit 2]

"#]]
    );
    assert_data_eq!(
        shown("version --format {{.Nmae}}"),
        str![[r#"
[stderr]
error: bad template, line 1, column 3: there is no field `.Nmae`, only .Built, .Commit, .Platform, .Version
[exit 2]

"#]]
    );
    assert_data_eq!(
        shown("--config"),
        str![[r#"
[stderr]
error: '--config <PATH>' needs a value
[exit 2]

"#]]
    );
}

#[test]
fn a_mistake_beside_format_json_is_json() {
    assert_data_eq!(
        shown("version --format json --bad"),
        str![[r#"
[stderr]
{"error":{"kind":"usage","message":"there is no flag '--bad'","details":[],"causes":[],"hints":["see `kit version --help`"]},"exit":2}
[exit 2]

"#]]
    );
}

#[test]
fn commands_of_the_reference_that_are_missing_are_called_missing() {
    let text = shown("import some --flag");
    let expected = "error: `kit import` is not available yet in this version\n";
    assert!(text.contains(expected), "{text}");
    assert!(text.ends_with("[exit 2]\n"), "{text}");
}

#[test]
fn dev_says_that_it_is_gone() {
    assert_data_eq!(
        shown("dev start . --port 8080"),
        str![[r#"
[stderr]
error: `kit dev` is gone
  running a model is work for a model server, a container or a cluster;
  this program packs the files and brings them there
hint: run `kit unpack REF --filter model`, and start a model server on the files
[exit 2]

"#]]
    );
    for line in ["dev", "dev stop", "dev logs -f"] {
        assert_eq!(shown(line), shown("dev start"), "{line}");
    }
}

#[test]
fn version_has_four_lines_and_three_forms() {
    let text = shown("version --show-update-notifications=false");
    let keys: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split(':').next())
        .collect();
    assert_eq!(keys, ["Version", "Commit", "Built", "Platform"]);
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(
        shown("version --format {{.Version}}"),
        format!("{version}\n")
    );
    let document: serde_json::Value =
        serde_json::from_str(&shown("version --format json")).unwrap();
    assert_eq!(document["version"], version);
    assert_eq!(shown("-V"), format!("kit {version}\n"));
}

#[test]
fn the_cache_is_measured_and_emptied_and_nothing_else() {
    let home = tempfile::tempdir().unwrap();
    let home = home.path();
    assert_eq!(text(&kit(home, "cache info")), "Cache is currently empty\n");
    fs::create_dir_all(home.join("cache/pack/deep")).unwrap();
    fs::create_dir_all(home.join("store")).unwrap();
    fs::write(home.join("store/kept"), "x").unwrap();
    fs::write(home.join("cache/pack/deep/a"), vec![0; 2048]).unwrap();
    fs::write(home.join("cache/b"), "12345").unwrap();
    #[cfg(unix)]
    std::os::unix::fs::symlink(home.join("store"), home.join("cache/link")).unwrap();
    #[cfg(unix)]
    assert_data_eq!(
        text(&kit(home, "cache info")),
        str![[r#"
Total size of cache directory: 2.0 KiB
Cache contents:
  ./b    5 B
  ./link    0 B
  ./pack    2.0 KiB

"#]]
    );
    assert_eq!(text(&kit(home, "cache info --format {{.Size}}")), "2053\n");
    assert_data_eq!(
        text(&kit(home, "cache clear")),
        str![[r#"
[stderr]
Freed 2.0 KiB

"#]]
    );
    assert_eq!(fs::read_dir(home.join("cache")).unwrap().count(), 0);
    assert!(home.join("store/kept").exists());
    assert_eq!(text(&kit(home, "cache clear -q")), "");
}

// hazard: 142
#[test]
fn without_a_home_only_what_needs_one_fails() {
    let folder = tempfile::tempdir().unwrap();
    let run = |line: &str| text(&command(folder.path(), line).env_clear().output().unwrap());
    assert!(run("version").starts_with("Version:"));
    if cfg!(all(unix, not(target_os = "macos"))) {
        assert_data_eq!(
            run("cache info"),
            str![[r#"
[stderr]
error: cannot tell where kits are kept: HOME is not set
hint: set HOME, or name a folder with --config PATH or KITOPS_HOME
[exit 1]

"#]]
        );
        assert_data_eq!(
            run("cache info --format json"),
            str![[r#"
[stderr]
{"error":{"kind":"failed","message":"cannot tell where kits are kept: HOME is not set","details":[],"causes":[],"hints":["set HOME, or name a folder with --config PATH or KITOPS_HOME"]},"exit":1}
[exit 1]

"#]]
        );
    }
}

// hazard: 134
#[test]
fn colour_appears_only_where_it_is_wanted() {
    let home = tempfile::tempdir().unwrap();
    let run = |line: &str, variable: Option<(&str, &str)>| {
        text(&command(home.path(), line).envs(variable).output().unwrap())
    };
    let coloured = |text: &str| text.contains('\x1b');
    assert!(!coloured(&run("nope", None)));
    assert!(coloured(&run("nope --color=always", None)));
    assert!(coloured(&run("--help --color always", None)));
    assert!(coloured(&run("nope", Some(("CLICOLOR_FORCE", "1")))));
    assert!(!coloured(&run(
        "nope --color never",
        Some(("CLICOLOR_FORCE", "1"))
    )));
    assert!(coloured(&run(
        "nope --color always",
        Some(("NO_COLOR", "1"))
    )));
}

// hazard: 133
#[test]
fn what_comes_from_outside_is_escaped_in_messages() {
    let home = tempfile::tempdir().unwrap();
    let output = command(home.path(), "")
        .arg("\x1b]0;owned\x07")
        .output()
        .unwrap();
    let text = text(&output);
    assert!(
        text.contains("error: there is no command '\\x1b]0;owned\\x07'\n"),
        "{text}"
    );
}

// hazard: 142
#[cfg(target_os = "linux")]
#[test]
fn a_reader_that_leaves_is_no_failure_but_a_full_disk_is() {
    let home = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = command(home.path(), "completion bash")
        .stdout(writer)
        .output()
        .unwrap();
    assert_eq!(text(&output), "");

    let full = fs::File::options().write(true).open("/dev/full").unwrap();
    let output = command(home.path(), "version")
        .stdout(full)
        .output()
        .unwrap();
    assert_data_eq!(
        text(&output),
        str![[r#"
[stderr]
error: cannot write to standard output
  caused by: No space left on device (os error 28)
[exit 9]

"#]]
    );
}
