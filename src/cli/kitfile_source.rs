//! Where the Kitfile of a context comes from: its own place, `-f FILE`, or standard input.

use std::{
    fs,
    io::{self, IsTerminal as _, Read as _},
    path::{Path, PathBuf},
};

use super::{
    escape::escape_path,
    failure::{Failure, Kind},
    hints::io_kind,
};
use crate::kitfile::{self, MAX_BYTES, Parsed};

/// What stands for standard input on the command line.
const STANDARD_INPUT: &str = "-";

/// A Kitfile that was found but not read, or the lack of one.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// It is this file.
    File(PathBuf),
    /// It came through standard input.
    Stdin(Vec<u8>),
    /// The context has none, and none was named.
    None,
}

impl Source {
    /// Reads and checks the Kitfile; `None` if there is none.
    pub(crate) fn read(&self) -> Result<Option<Parsed>, kitfile::Error> {
        match self {
            Self::File(path) => Ok(Some(kitfile::read(path)?)),
            Self::Stdin(text) => match kitfile::parse_bytes(text) {
                Ok(parsed) => Ok(Some(parsed)),
                Err(problems) => Err(kitfile::Error::Invalid {
                    path: PathBuf::from(self.shown()),
                    problems,
                }),
            },
            Self::None => Ok(None),
        }
    }

    /// Returns the name of the source, for a sentence; raw.
    pub(crate) fn shown(&self) -> String {
        match self {
            Self::File(path) => path.display().to_string(),
            Self::Stdin(_) => "standard input".to_owned(),
            Self::None => "no Kitfile".to_owned(),
        }
    }
}

/// Finds the Kitfile of the directory `context`. `file` is the value of `-f`: `-` is standard
/// input; a relative path is looked up in the current directory, then in `context`, and two files
/// of that name are one too many.
pub(crate) fn locate(context: &Path, file: Option<&Path>) -> Result<Source, Failure> {
    // Of files in the current directory people hear the name alone.
    let context = if context == Path::new(".") {
        Path::new("")
    } else {
        context
    };
    match file {
        None => match kitfile::find(context)? {
            Some(path) => regular(path).map(Source::File),
            None => Ok(Source::None),
        },
        Some(file) if file == Path::new(STANDARD_INPUT) => from_stdin(),
        // An empty path is the current directory, and leaves what is joined to it as it was named.
        Some(file) => named(Path::new(""), context, file).map(Source::File),
    }
}

/// Checks that the directory to be packed is there.
pub(crate) fn check_directory(path: &Path) -> Result<(), Failure> {
    let shown = escape_path(path);
    match fs::metadata(path) {
        Ok(metadata) if metadata.is_dir() => Ok(()),
        Ok(_) => Err(Failure::new(
            Kind::Failed,
            format!("{shown} is not a folder"),
        )),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Err(Failure::new(
            Kind::NotFound,
            format!("there is no folder {shown}"),
        )),
        Err(error) => Err(unreadable(path, &error)),
    }
}

fn from_stdin() -> Result<Source, Failure> {
    let stdin = io::stdin();
    if stdin.is_terminal() {
        // The reference's words, which scripts may look for.
        let problem = "No input file specified and no data piped";
        return Err(Failure::new(Kind::Usage, problem)
            .hint("pipe a Kitfile in, as in `kit pack . -f - < other/Kitfile`"));
    }
    let mut text = Vec::new();
    // One byte more than is allowed tells the parser that it is too much.
    stdin
        .lock()
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut text)
        .map_err(|error| {
            Failure::new(io_kind(&error), "cannot read standard input").because(&error)
        })?;
    Ok(Source::Stdin(text))
}

/// Finds the file that was named by `-f` in the directory `here` for `context`.
fn named(here: &Path, context: &Path, file: &Path) -> Result<PathBuf, Failure> {
    // Joining an absolute path gives that path: both places are then one.
    let context = here.join(context).join(file);
    let in_context = exists(&context)?;
    let in_here = exists(&here.join(file))?;
    match (in_here, in_context) {
        (Some(first), Some(second)) if first != second => Err(Failure::new(
            Kind::Usage,
            format!("`{}` could be either of two files", escape_path(file)),
        )
        .detail(format!("in the current directory: {}", first.display()))
        .detail(format!("in the directory of the kit: {}", second.display()))
        .hint("give the whole path of the one you mean")),
        (Some(_), _) => regular(here.join(file)),
        (None, Some(_)) => regular(context),
        (None, None) => {
            let failure = Failure::new(
                Kind::NotFound,
                format!("there is no file `{}`", escape_path(file)),
            );
            Err(if file.is_absolute() {
                failure
            } else {
                failure.detail("neither in the current directory nor in the directory of the kit")
            })
        }
    }
}

/// Returns the resolved path of what stands at `path`; `None` if nothing does.
fn exists(path: &Path) -> Result<Option<PathBuf>, Failure> {
    match fs::canonicalize(path) {
        Ok(resolved) => Ok(Some(resolved)),
        Err(error)
            if matches!(
                error.kind(),
                io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
            ) =>
        {
            Ok(None)
        }
        Err(error) => Err(unreadable(path, &error)),
    }
}

/// Checks that `path` is a file: reading a fifo or a device might never end.
fn regular(path: PathBuf) -> Result<PathBuf, Failure> {
    let metadata = fs::metadata(&path).map_err(|error| unreadable(&path, &error))?;
    if metadata.is_file() {
        return Ok(path);
    }
    let what = if metadata.is_dir() {
        "a folder"
    } else {
        "not a regular file"
    };
    let failure = Failure::new(
        Kind::Failed,
        format!("the Kitfile {} is {what}", escape_path(&path)),
    );
    Err(if metadata.is_dir() {
        failure
    } else {
        failure.hint("read from a pipe with `-f -`")
    })
}

fn unreadable(path: &Path, error: &io::Error) -> Failure {
    Failure::new(io_kind(error), format!("cannot read {}", escape_path(path))).because(error)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A current directory `here` with a context `here/context`.
    struct Place(tempfile::TempDir);

    impl Place {
        fn with(files: &[&str]) -> Self {
            let root = tempfile::tempdir().unwrap();
            fs::create_dir_all(root.path().join("context/sub")).unwrap();
            for file in files {
                fs::write(root.path().join(file), "").unwrap();
            }
            Self(root)
        }

        fn find(&self, file: &str) -> Result<PathBuf, Failure> {
            named(self.0.path(), Path::new("context"), Path::new(file))
        }
    }

    #[test]
    fn a_named_file_is_looked_up_here_and_then_in_the_context() {
        let place = Place::with(&["here.yaml", "context/there.yaml", "context/sub/x"]);
        assert_eq!(
            exists(&place.find("there.yaml").unwrap()).unwrap(),
            exists(&place.0.path().join("context/there.yaml")).unwrap()
        );
        assert!(place.find("sub/x").is_ok());
        let here = place.0.path().join("here.yaml");
        assert_eq!(place.find("here.yaml").unwrap(), here);
        assert_eq!(place.find(here.to_str().unwrap()).unwrap(), here);
        for absent in ["absent", "here.yaml/x", "/nowhere/at/all"] {
            assert_eq!(place.find(absent).unwrap_err().kind, Kind::NotFound);
        }
    }

    #[test]
    fn two_files_of_one_name_are_an_error_that_names_both() {
        let place = Place::with(&["k.yaml", "context/k.yaml"]);
        let failure = place.find("k.yaml").unwrap_err();
        assert_eq!(failure.kind, Kind::Usage);
        assert_eq!(failure.details.len(), 2);
        assert!(failure.details[1].ends_with("k.yaml"), "{failure:?}");
        // One file on two ways is one file.
        let same = named(place.0.path(), place.0.path(), Path::new("k.yaml"));
        assert_eq!(same.unwrap(), place.0.path().join("k.yaml"));
    }

    #[test]
    fn a_folder_is_not_a_kitfile() {
        let place = Place::with(&[]);
        let failure = place.find("sub").unwrap_err();
        assert!(failure.message.ends_with("is a folder"), "{failure:?}");
    }

    #[cfg(unix)]
    #[test]
    fn what_might_never_end_is_refused_before_it_is_read() {
        let failure = Place::with(&[]).find("/dev/zero").unwrap_err();
        assert!(failure.message.ends_with("not a regular file"));
    }
}
