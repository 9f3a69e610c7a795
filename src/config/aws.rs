//! What the environment says about storages of objects, by the names that all programs for them use.

use std::{env, ffi::OsString};

use super::{Variable, variables as v};

/// The login and the place of a storage.
#[derive(Default)]
pub struct Aws {
    /// The name of the key.
    pub access_key: Option<String>,
    /// The key.
    pub secret_key: Option<String>,
    /// What keys that end after a while come with.
    pub token: Option<String>,
    /// The region.
    pub region: Option<String>,
    /// The address of a storage that is not the one of AWS.
    pub endpoint: Option<String>,
}

impl Aws {
    /// Reads the environment of the process.
    pub fn read() -> Self {
        Self::from_lookup(env::var_os)
    }

    pub(super) fn from_lookup(lookup: impl Fn(&'static str) -> Option<OsString>) -> Self {
        let text = |variable: Variable| variable.read(&lookup)?.into_string().ok();
        Self {
            access_key: text(v::AWS_ACCESS_KEY_ID),
            secret_key: text(v::AWS_SECRET_ACCESS_KEY),
            token: text(v::AWS_SESSION_TOKEN),
            region: text(v::AWS_REGION).or_else(|| text(v::AWS_DEFAULT_REGION)),
            endpoint: text(v::AWS_ENDPOINT_URL_S3).or_else(|| text(v::AWS_ENDPOINT_URL)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_narrower_variable_goes_first_and_nothing_is_none() {
        let aws = Aws::from_lookup(|name| match name {
            "AWS_ACCESS_KEY_ID" => Some(OsString::new()),
            name => Some(name.into()),
        });
        assert_eq!(aws.access_key, None);
        assert_eq!(aws.region.as_deref(), Some("AWS_REGION"));
        assert_eq!(aws.endpoint.as_deref(), Some("AWS_ENDPOINT_URL_S3"));
    }
}
