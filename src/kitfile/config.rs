//! A [`Kitfile`] to and from the config of a kit: one line of JSON, whose bytes have a digest.

use super::{
    Kitfile, Problem, Problems,
    decode::{Source, decode},
    fields::{Fields, Form},
    json,
};
use crate::oci;

/// The most a config may hold.
pub const MAX_CONFIG_BYTES: usize = 4 << 20;

/// Why bytes are not the config of a kit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the config of the kit is not valid: {0}")]
pub struct ConfigError(Problems);

impl From<Problem> for ConfigError {
    fn from(problem: Problem) -> Self {
        Self(problem.into())
    }
}

pub(super) fn too_large() -> ConfigError {
    let message = format!("it is larger than {} MiB", MAX_CONFIG_BYTES >> 20);
    Problem::at(None, message).into()
}

impl Kitfile {
    /// Returns the config: the same bytes for the same Kitfile, always.
    pub fn to_config(&self) -> Vec<u8> {
        oci::json::to_vec(&Fields::of(self, Form::Config))
    }

    /// Reads a config. Fields of newer kits are ignored, and nothing is validated: an old kit
    /// with a path that would be refused today can still be looked at. Elements that are repeated
    /// for their layers are there once.
    pub fn from_config(bytes: &[u8]) -> Result<Self, ConfigError> {
        let refuse = |message: String| Err(Problem::at(None, message).into());
        if bytes.len() > MAX_CONFIG_BYTES {
            return Err(too_large());
        }
        let Ok(text) = str::from_utf8(bytes) else {
            return refuse("it is not UTF-8 text".to_owned());
        };
        let root = json::read(text).map_err(ConfigError::from)?;
        let mut decoded = decode(&root, Source::Config);
        if decoded.problems.is_empty() {
            decoded.kitfile.fold();
            Ok(decoded.kitfile)
        } else {
            Err(ConfigError(Problems::sorted(decoded.problems)))
        }
    }
}
