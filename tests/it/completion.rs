//! What shells offer while a line is typed: the program's answers, and the scripts in real shells.

use std::{collections::BTreeSet, fs};

use crate::support::{Sandbox, have, kits::pack};

/// A sandbox whose shells find `kit`.
fn sandbox() -> Sandbox {
    let mut kit = Sandbox::new();
    kit.find_kit();
    kit
}

/// A sandbox with some kits.
fn store() -> Sandbox {
    let kit = sandbox();
    pack(&kit, "team/net:1.0,1.1,prod", "one");
    pack(&kit, "registry.example:5000/other:latest", "two");
    kit
}

#[test]
fn the_program_tells_names_of_kits_in_lines_that_scripts_of_the_reference_read_too() {
    let kit = store();
    let ask = |words: &[&str]| kit.run([&["__complete"], words].concat()).success();
    assert_eq!(
        ask(&["unpack", "team/"]),
        "team/net:1.0\nteam/net:1.1\nteam/net:prod\n:4\n"
    );
    assert_eq!(
        ask(&["tag", "--q"]),
        "--quiet\tTell only warnings and errors\n:4\n"
    );
    let plain = kit.run(["__completeNoDesc", "tag", "--q"]).success();
    assert_eq!(plain, "--quiet\n:4\n");
    assert_eq!(ask(&["--help", "--", "-x"]), ":4\n");
    assert_eq!(ask(&["pack", ""]), ":16\n");
    assert_eq!(kit.run(["__complete"]).success(), ":4\n");
}

#[test]
fn completing_makes_nothing_and_says_nothing_whatever_state_the_store_is_in() {
    let kit = sandbox();
    let ask = || kit.run(["__complete", "unpack", ""]).to_string();
    assert_eq!(ask(), ":4\n[exit 0]\n");
    assert_eq!(fs::read_dir(kit.home()).unwrap().count(), 0);

    pack(&kit, "a:1", "one");
    let index = kit.home().join("store/index.json");
    fs::write(&index, "{").unwrap();
    assert_eq!(ask(), "a:1\n:4\n[exit 0]\n", "from the log of names");
    assert_eq!(fs::read_to_string(&index).unwrap(), "{");
    fs::write(kit.home().join("store/names.log"), "?\n").unwrap();
    assert_eq!(ask(), ":4\n[exit 0]\n");
    fs::write(kit.home().join("store/kit-store.json"), r#"{"version":99}"#).unwrap();
    assert_eq!(ask(), ":4\n[exit 0]\n");
}

#[test]
fn completing_waits_for_no_lock() {
    let kit = store();
    let locks = ["store.lock", "gate.lock", "index.lock"]
        .map(|name| kit.home().join("store/lock").join(name))
        .map(|path| {
            let file = fs::File::options().create(true).append(true).open(path);
            file.unwrap()
        });
    for lock in &locks {
        lock.lock().unwrap();
    }
    let found = kit.run(["__complete", "info", "team/net:p"]).success();
    assert_eq!(found, "team/net:prod\n:4\n");
}

#[test]
fn there_is_a_script_for_each_of_four_shells() {
    let kit = Sandbox::new();
    for shell in ["bash", "zsh", "fish", "powershell"] {
        let with = kit.run(["completion", shell]).success();
        let without = kit
            .run(["completion", shell, "--no-descriptions"])
            .success();
        assert!(with.contains("kit"), "{with}");
        assert!(!without.contains("__complete "), "{without}");
        assert!(without.contains("__completeNoDesc "), "{without}");
    }
}

/// Lines, and what a shell makes of the word at the end.
const LINES: &[(&str, &[&str])] = &[
    ("kit unpac", &["unpack"]),
    ("kit unpack team/net:1", &["team/net:1.0", "team/net:1.1"]),
    ("kit -q info team/net:p", &["team/net:prod"]),
    ("kit info 'team/net:p", &["team/net:prod"]),
    (
        "kit tag team/net:1.0 team/net:1.0,p",
        &["team/net:1.0,prod"],
    ),
    (
        "kit inspect registry.example:",
        &["registry.example:5000/other:latest"],
    ),
    ("kit list --color=al", &["--color=always"]),
    ("kit cache ", &["clear", "info"]),
    ("kit info nothing", &[]),
];

/// Runs `script` in a shell after the completion script was read there.
fn in_shell(kit: &Sandbox, shell: &str, options: &[&str], script: &str) -> Vec<String> {
    let completion = kit.run(["completion", shell]).success();
    kit.file("completion", completion);
    let mut command = kit.program(shell);
    command.args(options).args(["-c", script]);
    let output = kit.finish(command, b"");
    assert_eq!(output.stderr, "", "{script}\n{output}");
    output
        .stdout
        .lines()
        .filter(|it| !it.is_empty())
        .map(str::to_owned)
        .collect()
}

#[cfg(unix)]
#[test]
fn bash_completes_names_although_it_cuts_words_at_colons() {
    if !have("bash") {
        return;
    }
    let kit = store();
    let ask = |line: &str, breaks: &str| {
        let quoted = line.replace('\'', "'\\''");
        let script = format!(
            "source completion; COMP_WORDBREAKS=$' \\t\\n\"\\'><=;|&({breaks}'; \
             COMP_LINE='{quoted}'; COMP_POINT=${{#COMP_LINE}}; _kit; printf '%s\\n' \"${{COMPREPLY[@]}}\""
        );
        in_shell(&kit, "bash", &["--norc"], &script)
    };
    for (line, expected) in LINES {
        // What bash has as the word begins behind the last colon; in quotes nothing is cut.
        let word = line.rsplit(' ').next().unwrap();
        let cut = |breaks: &str| match word.rfind(|c| breaks.contains(c)) {
            Some(at) if !word.starts_with('\'') => at + 1,
            _ => 0,
        };
        for breaks in [":", "@:", ""] {
            let cut = cut(&format!("={breaks}"));
            let expected: Vec<&str> = expected.iter().map(|it| &it[cut..]).collect();
            assert_eq!(ask(line, breaks), expected, "{line} with `{breaks}`");
        }
    }
}

#[cfg(unix)]
#[test]
fn bash_passes_words_as_the_shell_would() {
    if !have("bash") {
        return;
    }
    let kit = store();
    let home = kit.path("an other home");
    kit.dir("an other home/store");
    for name in ["index.json", "names.log"] {
        fs::copy(
            kit.home().join("store").join(name),
            home.join("store").join(name),
        )
        .unwrap();
    }
    for quoted in ["'an other home'", "\"an other home\"", "an\\ other\\ home"] {
        let script = "source completion; COMP_WORDBREAKS=' :'; KITOPS_HOME=/nowhere; read -r COMP_LINE; \
             COMP_POINT=${#COMP_LINE}; _kit; printf '%s\\n' \"${COMPREPLY[@]}\"";
        kit.file("completion", kit.run(["completion", "bash"]).success());
        let mut command = kit.program("bash");
        command.args(["--norc", "-c", script]);
        let line = format!("kit --config {quoted} info team/net:pr\n");
        assert_eq!(
            kit.finish(command, line.as_bytes()).success(),
            "prod\n",
            "{quoted}"
        );
    }
}

#[cfg(unix)]
#[test]
fn zsh_completes_names_and_shows_what_commands_do() {
    if !have("zsh") {
        return;
    }
    let kit = store();
    for (line, expected) in LINES {
        // Outside of the line editor the functions that offer candidates are not to be had.
        // An open quote does not reach the function.
        let words: Vec<&str> = line.split(' ').map(|it| it.trim_matches('\'')).collect();
        let script = format!(
            "compdef() {{ : }}; source ./completion; _describe() {{ print -rl -- \"${{(@P)4}}\" }}; \
             words=({}); CURRENT=$#words; PREFIX=$words[-1]; _kit",
            words
                .iter()
                .map(|word| format!("\"{word}\""))
                .collect::<Vec<_>>()
                .join(" ")
        );
        let found = in_shell(&kit, "zsh", &["-f"], &script);
        let found: Vec<String> = found
            .iter()
            .map(|it| it.replace("\\:", "\u{1}"))
            .map(|it| it.split(':').next().unwrap().replace('\u{1}', ":"))
            .collect();
        assert_eq!(found, *expected, "{line}");
    }
    let script = "compdef() { : }; source ./completion; _describe() { print -rl -- \"${(@P)4}\" }; \
                  words=(kit cach); CURRENT=2; PREFIX=cach; _kit";
    let found = in_shell(&kit, "zsh", &["-f"], script);
    assert_eq!(
        found,
        ["cache:Show or empty the cache, the folder for what can be made again"]
    );
    let script = "compdef() { : }; source ./completion; _files() { print files $* }; \
                  words=(kit pack ''); CURRENT=3; PREFIX=; _kit";
    assert_eq!(in_shell(&kit, "zsh", &["-f"], script), ["files -/"]);
}

#[cfg(unix)]
#[test]
fn fish_completes_names_and_paths() {
    if !have("fish") {
        return;
    }
    let kit = store();
    kit.dir("models");
    kit.file("models.tar", "");
    for (line, expected) in LINES.iter().chain(&[
        ("kit pack mod", &["models/"][..]),
        ("kit load mod", &["models/", "models.tar"]),
        (
            "kit save team/net:1.0 --output=mod",
            &["--output=models/", "--output=models.tar"],
        ),
    ]) {
        let line = line.replace('\'', "\\'");
        let script = format!("source completion; complete -C '{line}'");
        let found = in_shell(&kit, "fish", &["--no-config"], &script);
        let found = found.iter().map(|it| it.split('\t').next().unwrap());
        assert_eq!(
            found.collect::<BTreeSet<_>>(),
            expected.iter().copied().collect(),
            "{line}"
        );
    }
}
