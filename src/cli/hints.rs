//! Turns the errors of the mechanisms into failures: which kind it is, and what the user can do.
//! One `From` a mechanism, one arm a variant that deserves more than [`Kind::Failed`].

use super::failure::{Failure, Kind};
use crate::config;

impl From<config::Error> for Failure {
    fn from(error: config::Error) -> Self {
        use config::Error as E;
        match &error {
            E::NoHome { variable } => Self::of(Kind::Failed, &error).hint(format!(
                "set {variable}, or name a folder with --config PATH or KITOPS_HOME"
            )),
            E::Absolute { .. } => Self::of(Kind::Failed, &error),
            E::SourceDateEpoch { .. } => Self::of(Kind::Usage, &error),
        }
    }
}
