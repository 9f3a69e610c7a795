use std::path::Path;

use super::{
    super::args::{parsed_command, shown_command},
    *,
};
use crate::config::file;

/// The flags that name, delete or shape a result: each new flag must be put here or among the
/// settings.
const TYPED: &[&str] = &[
    // for all commands
    "config",
    "verbose",
    "version",
    "help",
    "format",
    // what is meant
    "file",
    "convert --layer-format",
    "segment-size",
    "tag",
    "name",
    "desc",
    "author",
    "dir",
    "local",
    "remote",
    "filter",
    "include",
    "exclude",
    "kit",
    "only",
    "output",
    "layout",
    "context",
    "ready-file",
    // what is deleted or replaced
    "force",
    "all",
    "yes",
    "overwrite",
    "ignore-existing",
    "repair",
    // what comes out
    "dry-run",
    "reuse",
    "exit-code",
    "folders",
    "entries",
    "files",
    "history --limit",
    "no-trunc",
    "no-descriptions",
    "show-update-notifications",
    // who is believed, and who may read along: for one command and one registry
    "plain-http",
    "tls-verify",
    "username",
    "password",
    "password-stdin",
    "check",
    "token-server",
    "allow-parent",
    "allow-unverified",
    "include-remote",
    "expect-digest",
    "push",
    "no-store",
    "with-referrers",
    // the old names of filters
    "kitfile",
    "model",
    "code",
    "datasets",
    "docs",
];

fn message(text: &str) -> String {
    let file = file::parse(Path::new("c.toml"), text).unwrap();
    match apply(parsed_command(), &file, &[]) {
        Ok(_) => String::new(),
        Err(failure) => failure.render(false),
    }
}

#[test]
fn every_flag_is_a_setting_or_can_only_be_typed() {
    fn keys_of(table: &str) -> Option<&'static [&'static str]> {
        COMMANDS.iter().find(|(it, _)| *it == table).map(|it| it.1)
    }
    fn walk(command: &Command, path: &str) {
        let settings = match path {
            "" => Some(GLOBAL),
            path => keys_of(path),
        };
        let of_registry = ["push", "pack", "copy"]
            .contains(&path)
            .then_some(OF_REGISTRY);
        let shared = keys_of(NETWORK).filter(|_| !path.is_empty());
        for long in command.get_arguments().filter_map(Arg::get_long) {
            let is_setting = [settings, shared, of_registry]
                .into_iter()
                .flatten()
                .any(|keys| keys.contains(&long));
            let of_one = format!("{path} --{long}");
            let is_typed = TYPED.contains(&long) || TYPED.contains(&of_one.as_str());
            assert!(
                is_setting != is_typed,
                "put --{long} of `kit {path}` among the settings, or into TYPED"
            );
        }
        for inner in command
            .get_subcommands()
            .filter(|it| it.get_name() != "dev")
        {
            walk(inner, format!("{path} {}", inner.get_name()).trim());
        }
    }
    walk(&shown_command(), "");
}

#[test]
fn every_setting_has_its_flag() {
    let command = parsed_command();
    for key in GLOBAL {
        assert!(flag(&command, key).is_some(), "{key}");
    }
    for (name, keys) in COMMANDS {
        for key in *keys {
            let holder = holder(&command, Some(name), key);
            assert!(
                holder.is_some_and(|it| flag(it, key).is_some()),
                "{name} {key}"
            );
        }
    }
}

#[test]
fn mistakes_name_the_file_and_the_key_and_what_helps() {
    for (text, expected) in [
        (
            "log-level = \"warn\"\n[pack]\nthreads = 2\nkeep-modes = true\n",
            "",
        ),
        (
            "\nlog-level = 'loud'",
            "error: c.toml, line 2: `log-level`: invalid log level 'loud'. Options are 'trace', 'debug', 'info', 'warn', 'error'",
        ),
        (
            "progress = 'fansy'",
            "error: c.toml, line 1: `progress`: invalid value 'fansy'\nhint: did you mean 'fancy'?\nhint: possible values: auto, none, plain, fancy, json",
        ),
        (
            "[pack]\nthreads = 0",
            "error: c.toml, line 2: `threads` in [pack]: '0' is not a number of threads\nhint: write a whole number, 1 or more",
        ),
        (
            "quiet = 'maybe'",
            "error: c.toml, line 1: `quiet`: 'maybe' is neither true nor false",
        ),
        (
            "quiet = []",
            "error: c.toml, line 1: `quiet`: takes one value",
        ),
        (
            "loglevel = 1",
            "error: c.toml, line 1: there is no setting `loglevel`\nhint: did you mean `log-level`?",
        ),
        (
            "threads = 1",
            "error: c.toml, line 1: there is no setting `threads`\nhint: write it below `[pack]`",
        ),
        (
            "[pack]\nquiet = true",
            "error: c.toml, line 2: there is no setting `quiet` in [pack]\nhint: write it above the first `[…]`: it is for all commands",
        ),
        (
            "[remove]\nforce = true",
            "error: c.toml, line 2: there are no settings for `remove`\nhint: `kit help environment` lists the settings there are",
        ),
        (
            "[pakc]\nthreads = 1",
            "error: c.toml, line 2: there are no settings for `pakc`\nhint: did you mean `[pack]`?",
        ),
        (
            "[network]\njobs = 0",
            "error: c.toml, line 2: `jobs` in [network]: '0' is no number of connections\nhint: write a whole number from 1 to 256",
        ),
        (
            "[network]\nplain-http = true",
            "error: c.toml, line 2: `plain-http` in [network] is no setting\nhint: --plain-http can only be typed",
        ),
        (
            "[registry.\"r.example:5000\"]\nkind = 'harbor'\nchunk-size = '5MB'\ncompat = true",
            "",
        ),
        (
            "[registry.\"r.example\"]\nkind = 'habor'",
            "error: c.toml, line 2: `kind` in [registry.\"r.example\"]: invalid value 'habor'\nhint: did you mean 'harbor'?\nhint: possible values: distribution, ghcr, ecr-public, ecr, artifact-registry, acr, artifactory, harbor, gitlab, quay, zot, nexus, docker-hub",
        ),
        (
            "[registry]\nkind = 'harbor'",
            "error: c.toml, line 2: `kind` is for no registry\nhint: did you mean `[registry.\"HOST\"]`?",
        ),
        (
            "[registry.\"r.example\"]\nconcurrency = 3",
            "error: c.toml, line 2: there is no setting `concurrency` in [registry.\"r.example\"]\nhint: write it below `[network]`",
        ),
        (
            "[pack]\ntag = 'x'",
            "error: c.toml, line 2: `tag` in [pack] is no setting\nhint: --tag can only be typed",
        ),
        (
            "config = '/x'",
            "error: c.toml, line 1: `config` is no setting\nhint: --config can only be typed",
        ),
    ] {
        assert_eq!(message(text), expected, "{text}");
    }
}
