//! `<home>/config.toml`: keys at the top for all commands, a table for each command. Which keys
//! there are is the business of the command line; here is only the form.

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

use toml::{
    Spanned,
    de::{DeTable, DeValue},
};

use super::Error;

/// The name of the file in the home.
pub const FILE_NAME: &str = "config.toml";

/// The table with a table for each registry: `[registry."registry.example"]`.
pub const REGISTRY: &str = "registry";

/// The most it may hold, in bytes.
const MAX_FILE: u64 = 64 * 1024;

/// The settings that a file holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct File {
    /// Where it is.
    pub path: PathBuf,
    /// What it sets, in the order of the lines.
    pub entries: Vec<Entry>,
}

/// One line of the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The table it stands in: a command; `None` for what holds for all.
    pub table: Option<String>,
    /// The registry it is for, in the table `registry`: it stands in a table of its own there.
    pub host: Option<String>,
    /// The key.
    pub key: String,
    /// The value, or the values of a list, as they would be typed.
    pub values: Vec<String>,
    /// The number of the line, from 1.
    pub line: usize,
}

/// Reads the file in `home`; `None` if there is none.
pub fn read(home: &Path) -> Result<Option<File>, Error> {
    let path = home.join(FILE_NAME);
    match read_text(&path) {
        Ok(Some(text)) => parse(&path, &text).map(Some),
        Ok(None) => Err(Error::FileTooLarge { path }),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(source) => Err(Error::ReadFile { path, source }),
    }
}

/// Returns the text of a file; `None` if it is too long.
fn read_text(path: &Path) -> io::Result<Option<String>> {
    // Before it is opened: opening a fifo would wait for a writer.
    if !fs::metadata(path)?.is_file() {
        return Err(io::Error::other("not a regular file"));
    }
    let mut text = String::new();
    let length = fs::File::open(path)?
        .take(MAX_FILE + 1)
        .read_to_string(&mut text)?;
    Ok((length as u64 <= MAX_FILE).then_some(text))
}

/// Understands the text of the file at `path`.
pub fn parse(path: &Path, text: &str) -> Result<File, Error> {
    let line_at = |at: usize| 1 + text.bytes().take(at).filter(|byte| *byte == b'\n').count();
    let wrong = |at: usize, problem: String| Error::BadFile {
        path: path.to_owned(),
        line: line_at(at),
        problem,
    };
    let table = DeTable::parse(text).map_err(|error| {
        let at = error.span().map_or(0, |span| span.start);
        wrong(at, error.message().replace('\n', ", "))
    })?;
    let mut entries = Vec::new();
    let mut add =
        |table: Option<&str>, host: Option<&str>, key: &Spanned<_>, value: &Spanned<_>| {
            let key: &toml::de::DeString<'_> = key.get_ref();
            let values = values(value.get_ref())
                .map_err(|problem| wrong(value.span().start, format!("`{key}` {problem}")))?;
            entries.push(Entry {
                table: table.map(str::to_owned),
                host: host.map(str::to_owned),
                key: key.to_string(),
                values,
                line: line_at(value.span().start),
            });
            Ok(())
        };
    for (key, value) in table.get_ref() {
        match value.get_ref() {
            DeValue::Table(inner) => {
                for (name, value) in inner {
                    match value.get_ref() {
                        DeValue::Table(settings) if key.get_ref() == REGISTRY => {
                            for (key, value) in settings {
                                add(Some(REGISTRY), Some(name.get_ref()), key, value)?;
                            }
                        }
                        _ => add(Some(key.get_ref()), None, name, value)?,
                    }
                }
            }
            _ => add(None, None, key, value)?,
        }
    }
    entries.sort_by_key(|entry| entry.line);
    Ok(File {
        path: path.to_owned(),
        entries,
    })
}

/// Returns a value as it would be typed behind a flag.
fn values(value: &DeValue<'_>) -> Result<Vec<String>, &'static str> {
    let single = match value {
        DeValue::String(text) => text.to_string(),
        DeValue::Integer(number) if number.radix() == 10 => number.as_str().replace('_', ""),
        DeValue::Boolean(value) => value.to_string(),
        DeValue::Array(list) => {
            let mut all = Vec::new();
            for value in list {
                match value.get_ref() {
                    DeValue::Array(_) => return Err("is a list of lists"),
                    single => all.extend(values(single)?),
                }
            }
            return Ok(all);
        }
        DeValue::Integer(_) => return Err("is not a decimal number"),
        DeValue::Float(_) => return Err("is a number with a fraction"),
        DeValue::Datetime(_) => return Err("is a date"),
        DeValue::Table(_) => return Err("is a table in a table"),
    };
    Ok(vec![single])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(text: &str) -> Result<Vec<(String, Vec<String>, usize)>, String> {
        let file = parse(Path::new("c.toml"), text).map_err(|error| error.to_string())?;
        let entries = file.entries.into_iter().map(|entry| {
            let table = entry.table.map(|it| it + " ").unwrap_or_default();
            (table + &entry.key, entry.values, entry.line)
        });
        Ok(entries.collect())
    }

    #[test]
    fn values_are_what_would_be_typed() {
        let text = "# mine\nlog-level = \"warn\"\nquiet = true\n\n[pack]\nthreads = 1_0\nexecutable = [\"*.sh\", 'x']\n";
        let typed = |name: &str, values: &[&str], line| {
            let values = values.iter().map(ToString::to_string).collect();
            (name.to_owned(), values, line)
        };
        assert_eq!(
            of(text),
            Ok(vec![
                typed("log-level", &["warn"], 2),
                typed("quiet", &["true"], 3),
                typed("pack threads", &["10"], 6),
                typed("pack executable", &["*.sh", "x"], 7),
            ])
        );
        assert_eq!(of(""), Ok(vec![]));
    }

    #[test]
    fn what_cannot_be_meant_is_told_with_its_line() {
        for (text, problem) in [
            ("a = 1\na = 2\n", "c.toml, line 2: duplicate key"),
            (
                "\na = 1.5",
                "c.toml, line 2: `a` is a number with a fraction",
            ),
            ("a = 0x1f", "c.toml, line 1: `a` is not a decimal number"),
            ("a = 2026-01-01", "c.toml, line 1: `a` is a date"),
            ("[a.b]\nc = 1", "c.toml, line 1: `b` is a table in a table"),
            (
                "[registry.\"a\".b]\nc = 1",
                "c.toml, line 1: `b` is a table in a table",
            ),
            ("a = [[1]]", "c.toml, line 1: `a` is a list of lists"),
        ] {
            assert_eq!(of(text), Err(problem.to_owned()), "{text}");
        }
        let message = of("a = 1\nb == 2\n").unwrap_err();
        assert!(message.starts_with("c.toml, line 2: "), "{message}");
    }

    #[test]
    fn a_file_that_is_no_settings_file_is_not_read() {
        let home = tempfile::tempdir().unwrap();
        assert_eq!(read(home.path()).unwrap(), None);
        assert_eq!(read(&home.path().join("nowhere")).unwrap(), None);
        let path = home.path().join(FILE_NAME);
        fs::File::create(&path)
            .unwrap()
            .set_len(MAX_FILE + 1)
            .unwrap();
        assert!(matches!(read(home.path()), Err(Error::FileTooLarge { .. })));
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        assert!(matches!(read(home.path()), Err(Error::ReadFile { .. })));
    }
}
