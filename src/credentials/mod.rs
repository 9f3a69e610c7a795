//! Logins: where they are kept, which one belongs to a registry, and secrets that do not print.
//!
//! The own file, `<home>/credentials.json`, is read and written; the files of Docker and Podman
//! are only read. All have one shape: `auths` with logins, `credHelpers` and `credsStore` with the
//! names of helper programs that keep them better.

mod error;
mod file;
mod helper;
mod key;
mod keyring;
mod secret;
#[cfg(test)]
mod tests;

pub use error::{Error, HelperProblem};
pub use keyring::{Forgotten, Found, Keyring, Saved, Sources, Trust};
pub use secret::{Credential, Secret};
