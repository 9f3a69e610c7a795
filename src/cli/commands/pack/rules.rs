//! The ignore file of a directory.

use std::{fs, io, path::Path};

use crate::{
    archive::ignore::{FILE_NAME, IgnoreRules, MAX_LENGTH},
    cli::{
        failure::{Failure, Kind},
        hints::io_kind,
    },
};

/// Returns the rules of the context's ignore file; only the built-in ones if there is none.
pub(in crate::cli::commands) fn read_rules(directory: &Path) -> Result<IgnoreRules, Failure> {
    let path = directory.join(FILE_NAME);
    let unreadable = |error: &io::Error| {
        Failure::new(io_kind(error), format!("cannot read {}", path.display())).because(error)
    };
    let text = match fs::metadata(&path) {
        Ok(metadata) if !metadata.is_file() => {
            return Err(Failure::new(
                Kind::Failed,
                format!("{} is not a file", path.display()),
            ));
        }
        Ok(metadata) if metadata.len() > MAX_LENGTH => {
            return Err(Failure::new(
                Kind::Limit,
                format!("{} is longer than 1 MiB", path.display()),
            ));
        }
        Ok(_) => fs::read_to_string(&path).map_err(|error| unreadable(&error))?,
        Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
        Err(error) => return Err(unreadable(&error)),
    };
    IgnoreRules::parse(&text).map_err(|error| {
        Failure::new(
            Kind::Failed,
            format!("{} cannot be understood", path.display()),
        )
        .detail(error.to_string())
    })
}
