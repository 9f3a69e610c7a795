//! The command line of the reference: each part of it is understood, or stands in
//! `docs/differences.md` as missing.

use std::{collections::BTreeSet, fs, path::Path};

use crate::support::{Sandbox, testdata};

/// Every command and flag, each with a line that uses it. `[CONFIG]` is a folder.
const REFERENCE: &[(&str, &str)] = &[
    // Global rules.
    ("--config", "--config [CONFIG] version"),
    ("--config", "version --config=[CONFIG]"),
    ("--log-level", "--log-level trace version"),
    ("--log-level", "version --log-level debug"),
    ("--log-level", "version --log-level info"),
    ("--log-level", "version --log-level warn"),
    ("--log-level", "version --log-level error"),
    ("--progress", "--progress none version"),
    ("--progress", "version --progress plain"),
    ("--progress", "version --progress fancy"),
    ("--progress", "version --progress false"),
    ("--progress", "version --progress cherry"),
    ("--verbose", "version -v"),
    ("--verbose", "-vvv version"),
    ("--verbose", "--verbose --verbose version"),
    ("--help", "--help"),
    ("--help", "-h"),
    ("help", "help pack"),
    ("completion", "completion bash"),
    (
        "completion --no-descriptions",
        "completion zsh --no-descriptions",
    ),
    ("completion", "completion fish"),
    ("completion", "completion powershell"),
    ("__complete", "__complete pack"),
    ("__completeNoDesc", "__completeNoDesc pack"),
    // pack
    ("pack", "pack ."),
    ("pack --file", "pack . --file k.yaml"),
    ("pack -f", "pack . -f -"),
    ("pack --tag", "pack --tag a/b:1,2,3 ."),
    ("pack -t", "pack . -t registry.example:5000/a/b"),
    ("pack --compression", "pack . --compression none"),
    ("pack --compression=gzip", "pack . --compression gzip"),
    (
        "pack --compression=gzip-fastest",
        "pack . --compression=gzip-fastest",
    ),
    // unpack
    ("unpack", "unpack a:1"),
    ("unpack --dir", "unpack a:1 --dir out"),
    ("unpack -d", "unpack -d out a:1"),
    ("unpack --overwrite", "unpack a:1 --overwrite"),
    ("unpack -o", "unpack a:1 -o=false"),
    (
        "unpack --ignore-existing",
        "unpack a:1 --ignore-existing=true",
    ),
    ("unpack -i", "unpack a:1 -i"),
    (
        "unpack --filter",
        "unpack a:1 --filter model,docs:a,b --filter kitfile",
    ),
    ("unpack -f", "unpack a:1 -f code"),
    ("unpack --kitfile", "unpack a:1 --kitfile"),
    ("unpack --model", "unpack a:1 --model=true"),
    ("unpack --code", "unpack a:1 --code"),
    ("unpack --datasets", "unpack a:1 --datasets=false"),
    ("unpack --docs", "unpack a:1 --docs"),
    ("unpack", "unpack a@sha256:[HEX]"),
    // push, pull
    ("push", "push a:1 b:1"),
    ("pull", "pull registry.example/a:1"),
    // tag, list, info, inspect
    ("tag", "tag a:1 a:2"),
    ("list", "list"),
    ("list", "list registry.example/a"),
    ("list --format", "list --format table"),
    ("list --format", "list --format json"),
    ("list --format", "list --format {{.Repo}}"),
    ("info", "info a:1"),
    ("info --remote", "info a:1 --remote"),
    ("info -r", "info a:1 -r"),
    ("info --filter", "info a:1 --filter model.path"),
    ("info -f", "info a:1 -f model"),
    ("inspect", "inspect a:1"),
    ("inspect --remote", "inspect a:1 --remote"),
    ("inspect -r", "inspect a:1 -r"),
    // remove
    ("remove", "remove a:1"),
    ("remove --force", "remove a:1 --force"),
    ("remove -f", "remove -f a:1"),
    ("remove --all", "remove --all"),
    ("remove -a", "remove -a -f"),
    ("remove --remote", "remove a:1 --remote"),
    ("remove -r", "remove a:1 -r"),
    // diff, login, logout, init, import
    ("diff", "diff local://a:1 remote://b:1"),
    ("login", "login registry.example"),
    ("login --username", "login registry.example --username u"),
    ("login -u", "login registry.example -u u"),
    ("login --password", "login registry.example --password p"),
    ("login -p", "login registry.example -p p"),
    (
        "login --password-stdin",
        "login registry.example --password-stdin",
    ),
    ("logout", "logout registry.example"),
    ("init", "init ."),
    ("init --name", "init . --name n"),
    ("init --desc", "init . --desc d"),
    ("init --author", "init . --author a"),
    ("init --force", "init . --force"),
    ("init -f", "init . -f"),
    ("import", "import org/name"),
    ("import --ref", "import org/name --ref main"),
    ("import --token", "import org/name --token t"),
    ("import --tag", "import org/name --tag a:1"),
    ("import -t", "import org/name -t a:1"),
    ("import --file", "import org/name --file k"),
    ("import -f", "import org/name -f -"),
    ("import --tool", "import org/name --tool hf"),
    ("import --concurrency", "import org/name --concurrency 5"),
    // dev
    ("dev start", "dev start ."),
    ("dev start --file", "dev start --file k"),
    ("dev start -f", "dev start -f k"),
    ("dev start --host", "dev start --host 127.0.0.1"),
    ("dev start --port", "dev start --port 0"),
    ("dev stop", "dev stop"),
    ("dev logs", "dev logs"),
    ("dev logs --follow", "dev logs --follow"),
    ("dev logs -f", "dev logs -f"),
    // cache, version
    ("cache info", "cache info"),
    ("cache clear", "cache clear"),
    ("version", "version"),
    (
        "version --show-update-notifications",
        "version --show-update-notifications",
    ),
    (
        "version --show-update-notifications",
        "version --show-update-notifications=false",
    ),
];

/// The flags of what talks to registries, with values.
const NETWORK: &[(&str, &str)] = &[
    ("--plain-http", "--plain-http"),
    ("--tls-verify", "--tls-verify=false"),
    ("--cert", "--cert c.pem"),
    ("--key", "--key k.pem"),
    ("--concurrency", "--concurrency 5"),
    ("--proxy", "--proxy http://proxy.example"),
];

/// The commands that have them, each with what else it needs.
const ON_THE_NETWORK: &[(&str, &str)] = &[
    ("pull", "a:1"),
    ("push", "a:1"),
    ("list", ""),
    ("info", "a:1"),
    ("inspect", "a:1"),
    ("remove", "a:1"),
    ("login", "registry.example"),
    ("unpack", "a:1"),
    ("diff", "a:1 b:1"),
];

fn reference() -> Vec<(String, String)> {
    let whole = REFERENCE
        .iter()
        .map(|(what, line)| ((*what).to_owned(), (*line).to_owned()));
    let network = ON_THE_NETWORK.iter().flat_map(|(command, rest)| {
        NETWORK.iter().map(move |(flag, with)| {
            (
                format!("{command} {flag}"),
                format!("{command} {rest} {with}"),
            )
        })
    });
    whole.chain(network).collect()
}

/// Returns what `docs/differences.md` says is missing: `command`, `command --flag`,
/// `command --flag=value`.
fn missing() -> BTreeSet<String> {
    let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/differences.md");
    let page = fs::read_to_string(page).unwrap();
    let (_, section) = page
        .split_once("\n## Command line not here (yet)\n")
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let quoted = |text: &str| -> Vec<String> {
        text.split('`')
            .skip(1)
            .step_by(2)
            .map(str::to_owned)
            .collect()
    };
    let rows = section.lines().filter(|line| line.starts_with("| `"));
    rows.flat_map(|row| {
        let cell = row.split('|').nth(1).unwrap();
        match cell.split_once(" with ") {
            Some((commands, flags)) => quoted(commands)
                .iter()
                .flat_map(|command| {
                    quoted(flags)
                        .into_iter()
                        .map(move |flag| format!("{command} {flag}"))
                })
                .collect(),
            None => quoted(cell),
        }
    })
    .collect()
}

/// Tells whether the program understands `line`, without doing what it says.
fn parses(kit: &Sandbox, line: &str) -> bool {
    let line = line
        .replace("[CONFIG]", kit.home().to_str().unwrap())
        .replace("[HEX]", &"0".repeat(64));
    // Asking for help after the rest runs nothing; `help` itself does neither.
    let help = (!line.starts_with("help")).then_some("--help");
    let output = kit.run(line.split_whitespace().chain(help));
    assert!(output.code == 0 || output.code == 2, "{line}: {output}");
    output.code == 0
}

#[test]
fn all_of_the_reference_is_understood_or_listed_as_missing() {
    let kit = Sandbox::new();
    let missing = missing();
    let mut used = BTreeSet::new();
    for (what, line) in reference() {
        // A row stands for all below it: `push` for `push --plain-http`.
        let row = missing.iter().find(|row| {
            what.strip_prefix(row.as_str())
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        });
        match (row, parses(&kit, &line)) {
            (None, false) => panic!("`kit {line}` is neither understood nor listed as missing"),
            (Some(row), true) => {
                panic!("`{row}` is listed as missing, but `kit {line}` is understood")
            }
            (Some(row), false) => drop(used.insert(row.clone())),
            (None, true) => {}
        }
    }
    // A row that stands for nothing says nothing.
    assert_eq!(used, missing);
}

/// Returns what the program has that the reference has not, as rows of a table: each command with
/// its flags.
fn own() -> Vec<String> {
    let known: BTreeSet<String> = reference().into_iter().map(|(what, _)| what).collect();
    let program = modelkit::cli::command();
    let row = |name: &str, command: &clap::Command, globals: bool| {
        let is_own = |flag: &&clap::Arg| {
            let long = flag.get_long().map(|long| format!("--{long}"));
            flag.is_global_set() == globals
                && !flag.is_hide_set()
                && long.is_some_and(|long| {
                    let what = [name, &long].join(" ");
                    !known.contains(what.trim()) && long != "--help"
                })
        };
        let flags = command.get_arguments().filter(is_own);
        let mut flags: Vec<_> = flags.filter_map(clap::Arg::get_long).collect();
        flags.sort_unstable();
        let flags: Vec<_> = flags.iter().map(|flag| format!("`--{flag}`")).collect();
        let begins = |what: &String| {
            what.strip_prefix(name)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with(' '))
        };
        let is_new = !name.is_empty() && !known.iter().any(begins);
        (is_new || !flags.is_empty()).then(|| format!("{} |", flags.join(", ")))
    };
    let all = row("", &program, true).map(|flags| format!("| all | {flags}"));
    let mut commands = Vec::new();
    for command in program.get_subcommands() {
        let name = command.get_name();
        commands.push((name.to_owned(), command));
        let below = command.get_subcommands();
        commands.extend(below.map(|below| (format!("{name} {}", below.get_name()), below)));
    }
    commands.sort_by(|(one, _), (other, _)| one.cmp(other));
    let commands = commands.into_iter().filter_map(|(name, command)| {
        Some(format!("| `{name}` | {}", row(&name, command, false)?))
    });
    all.into_iter().chain(commands).collect()
}

#[test]
fn all_that_the_reference_has_not_is_told() {
    let page = fs::read_to_string(testdata("../docs/differences.md")).unwrap();
    let (_, section) = page
        .split_once("\n## Commands and flags of its own\n")
        .unwrap();
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter(|row| row.starts_with("| ")).skip(1);
    let told: Vec<_> = rows
        .map(|row| &row[..row.rfind(" | ").unwrap() + 2])
        .collect();
    let own = own();
    let lacks: Vec<_> = own
        .iter()
        .filter(|row| !told.contains(&row.as_str()))
        .collect();
    assert!(lacks.is_empty(), "docs/differences.md lacks {lacks:#?}");
    assert_eq!(told, own);
}

#[test]
fn commands_ask_for_as_many_arguments_as_in_the_reference() {
    let kit = Sandbox::new();
    for line in [
        "pack a b",
        "unpack",
        "unpack a:1 b:1",
        "tag a:1",
        "tag a:1 b:1 c:1",
        "list a b",
        "info",
        "info a:1 b:1",
        "inspect",
        "inspect a:1 b:1",
        "cache info x",
        "cache clear x",
        "version x",
        "completion",
    ] {
        let output = kit.run(line.split(' '));
        assert_eq!(output.code, 2, "{line}: {output}");
    }
}

#[test]
fn mistakes_in_flags_are_told_in_words_of_the_reference() {
    let kit = Sandbox::new();
    kit.file("Kitfile", "docs:\n  - path: a\n").file("a", "a");
    kit.run(["pack", ".", "-t", "a:1"]).success();
    for (line, words) in [
        (
            "remove",
            "modelkit is required for remove unless --all is specified",
        ),
        (
            "remove a:1 --all",
            "modelkit should not be specified when --all flag is used",
        ),
        (
            "pack . --compression best",
            "invalid compression type: must be one of 'none', 'gzip', ",
        ),
        (
            "version --log-level zzz",
            "nvalid log level 'zzz'. Options are 'trace', 'debug', 'info', 'warn', 'error'",
        ),
        ("unpack a:1,2", "can not unpack multiple tags"),
        (
            "unpack a:1 --filter modl",
            "invalid filter type modl (must be one of 'kitfile', 'model', 'datasets', 'code',",
        ),
        (
            "unpack a:1 --filter :",
            "invalid filter: should be in format <type1>,<type2>[:<filter1>,<filter2>]",
        ),
    ] {
        let output = kit.run(line.split(' '));
        assert_eq!(output.code, 2, "{line}: {output}");
        assert!(output.stderr.contains(words), "{line}: {output}");
    }
}

#[test]
fn a_missing_command_says_so_and_suggests_nothing_else() {
    let kit = Sandbox::new();
    let output = kit.run(["import", "x"]).exits(2);
    assert!(
        output
            .stderr
            .contains("is not available yet in this version"),
        "{output}"
    );
    assert!(!output.stderr.contains("did you mean"), "{output}");
    for command in ["start", "stop", "logs"] {
        let output = kit.run(["dev", command]).exits(2);
        assert!(output.stderr.contains("`kit dev` is gone"), "{output}");
    }
}
