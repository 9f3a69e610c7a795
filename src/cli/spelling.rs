//! Spellings of the reference's command line that the parser does not know: `--help=false`,
//! `--verbose=2`. Scripts that compose their flags write them.

use std::ffi::OsString;

use super::{
    failure::{Failure, Kind},
    values::{BadValue, switch},
};

/// More make no difference.
const MOST_VERBOSE: usize = 3;

/// Returns the arguments with `--help` and `--verbose` as the parser knows them.
pub(super) fn plain(arguments: &[OsString]) -> Result<Vec<OsString>, Failure> {
    let mut plain = Vec::with_capacity(arguments.len());
    let mut rest = arguments.iter();
    for argument in rest.by_ref() {
        if argument == "--" {
            plain.push(argument.clone());
            break;
        }
        let (flag, value) = argument
            .to_str()
            .and_then(|it| it.split_once('='))
            .unwrap_or_default();
        let given = |bad: &BadValue| {
            Failure::new(Kind::Usage, bad.message.clone()).detail(format!("given for {flag}"))
        };
        match flag {
            "--help" | "-h" => {
                let wanted = switch(value).map_err(|bad| given(&bad))?;
                plain.extend(wanted.then(|| flag.into()));
            }
            "--verbose" | "-v" => {
                let times: usize = value.parse().map_err(|_| {
                    given(&BadValue::new(format!(
                        "'{value}' is not a whole number, 0 or more"
                    )))
                })?;
                plain.extend(std::iter::repeat_n(flag.into(), times.min(MOST_VERBOSE)));
            }
            _ => plain.push(argument.clone()),
        }
    }
    plain.extend(rest.cloned());
    Ok(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(line: &str) -> Result<String, String> {
        let words: Vec<OsString> = line.split(' ').map(Into::into).collect();
        let plain = plain(&words).map_err(|failure| failure.render(false))?;
        let plain: Vec<&str> = plain.iter().map(|word| word.to_str().unwrap()).collect();
        Ok(plain.join(" "))
    }

    #[test]
    fn values_of_help_and_verbose_become_the_flags_alone() {
        for (line, expected) in [
            ("list --help=true", "list --help"),
            ("list -h=T", "list -h"),
            ("list --help=false --help=0 x", "list x"),
            ("--verbose=2 list", "--verbose --verbose list"),
            ("list -v=1", "list -v"),
            ("list --verbose=0", "list"),
            (
                "list --verbose=1000000000",
                "list --verbose --verbose --verbose",
            ),
            ("list --help -v --verbose", "list --help -v --verbose"),
            (
                "list --format=x -- --help=true",
                "list --format=x -- --help=true",
            ),
            (
                "init --name --verbose=1 --names=-v=2",
                "init --name --verbose --names=-v=2",
            ),
        ] {
            assert_eq!(of(line), Ok(expected.to_owned()), "{line}");
        }
    }

    #[test]
    fn other_values_are_refused() {
        for (line, expected) in [
            (
                "list --help=maybe",
                "error: 'maybe' is neither true nor false\n  given for --help",
            ),
            (
                "list --verbose=x",
                "error: 'x' is not a whole number, 0 or more\n  given for --verbose",
            ),
            (
                "list -v=",
                "error: '' is not a whole number, 0 or more\n  given for -v",
            ),
        ] {
            assert_eq!(of(line), Err(expected.to_owned()), "{line}");
        }
    }
}
