//! The Kitfile: what a kit is made of.
//!
//! A Kitfile is YAML in a directory and JSON in a kit (its *config*). Both are read into the same
//! tree (`yaml`, `json`), which `decode` turns into a [`Kitfile`]; `fields` fixes the order of the
//! fields for both ways out. Nothing here touches the file system but this file.

mod clean;
mod config;
mod decode;
mod entries;
mod fields;
pub mod guess;
mod json;
mod model;
mod modelpack;
mod node;
mod parse;
mod problem;
mod resolve;
mod shards;
mod spread;
mod tree;
mod validate;
mod write;
mod yaml;

#[cfg(test)]
mod property_tests;
#[cfg(test)]
mod schema_tests;
#[cfg(test)]
mod tests;

use std::{
    fs, io,
    io::Read as _,
    path::{Path, PathBuf},
};

pub use clean::clean;
pub use config::{ConfigError, MAX_CONFIG_BYTES};
pub use entries::{Entry, Section};
pub use model::{
    Code, Dataset, Docs, Kitfile, Layer, McpServer, Model, Package, Part, Prompt, Value,
};
pub use modelpack::{ModelPackConfig, ModelPackLayer};
pub use node::{NoSuchNode, Node};
pub use parse::{Parsed, parse, parse_bytes};
pub use problem::{Position, Problem, Problems};

/// The most a Kitfile may hold. Real ones are a few kilobytes.
pub const MAX_BYTES: usize = 1 << 20;

/// The names a Kitfile goes by, in the order they are looked for.
pub const NAMES: [&str; 3] = ["Kitfile", "kitfile", ".kitfile"];

/// Why a Kitfile could not be had.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file or its directory cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The file was read and is not a Kitfile.
    #[error("{} is not a valid Kitfile", path.display())]
    Invalid {
        /// The file.
        path: PathBuf,
        /// Everything that is wrong with it.
        #[source]
        problems: Problems,
    },
}

/// Returns the path of the Kitfile in `dir`; `None` if there is none under any of its [`NAMES`].
pub fn find(dir: &Path) -> Result<Option<PathBuf>, Error> {
    for name in NAMES {
        let path = dir.join(name);
        match fs::metadata(&path) {
            Ok(metadata) if !metadata.is_dir() => return Ok(Some(path)),
            Ok(_) => {}
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::NotADirectory
                ) => {}
            Err(source) => return Err(Error::Read { path, source }),
        }
    }
    Ok(None)
}

/// Reads and checks the Kitfile at `path`. Of a file that is too large only the first
/// [`MAX_BYTES`] are read.
pub fn read(path: &Path) -> Result<Parsed, Error> {
    let unreadable = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    fs::File::open(path)
        .map_err(unreadable)?
        .take(MAX_BYTES as u64 + 1)
        .read_to_end(&mut bytes)
        .map_err(unreadable)?;
    parse_bytes(&bytes).map_err(|problems| Error::Invalid {
        path: path.to_owned(),
        problems,
    })
}
