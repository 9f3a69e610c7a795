//! A [`Kitfile`] to and from the config of a kit: one line of JSON, whose bytes have a digest.

use super::{
    Kitfile, Problem, Problems,
    decode::{Source, decode},
    fields::{Fields, Form},
    json,
};

/// The most a config may hold.
pub const MAX_CONFIG_BYTES: usize = 4 << 20;

/// Why bytes are not the config of a kit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the config of the kit is not valid: {0}")]
pub struct ConfigError(Problems);

impl Kitfile {
    /// Returns the config: the same bytes for the same Kitfile, always.
    pub fn to_config(&self) -> Vec<u8> {
        go_json::to_vec(&Fields::of(self, Form::Config))
    }

    /// Reads a config. Fields of newer kits are ignored, and nothing is validated: an old kit
    /// with a path that would be refused today can still be looked at.
    pub fn from_config(bytes: &[u8]) -> Result<Self, ConfigError> {
        let refuse = |message: String| Err(ConfigError(Problem::at(None, message).into()));
        if bytes.len() > MAX_CONFIG_BYTES {
            return refuse(format!("it is larger than {} MiB", MAX_CONFIG_BYTES >> 20));
        }
        let Ok(text) = str::from_utf8(bytes) else {
            return refuse("it is not UTF-8 text".to_owned());
        };
        let root = json::read(text).map_err(|problem| ConfigError(problem.into()))?;
        let decoded = decode(&root, Source::Config);
        if decoded.problems.is_empty() {
            Ok(decoded.kitfile)
        } else {
            Err(ConfigError(Problems::sorted(decoded.problems)))
        }
    }
}

// INTEGRATION: stands in for `crate::oci::json`; delete and call that.
mod go_json {
    use std::io;

    use serde::Serialize;
    use serde_json::{
        Serializer,
        ser::{CharEscape, CompactFormatter, Formatter},
    };

    pub(super) fn to_vec<T: Serialize>(value: &T) -> Vec<u8> {
        let mut bytes = Vec::new();
        value
            .serialize(&mut Serializer::with_formatter(&mut bytes, Go))
            .expect("writing to memory does not fail");
        bytes
    }

    struct Go;

    impl Formatter for Go {
        fn write_f64<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            value: f64,
        ) -> io::Result<()> {
            let size = value.abs();
            if size != 0.0 && !(1e-6..1e21).contains(&size) {
                let text = format!("{value:e}");
                let sign = if text.contains("e-") { "" } else { "+" };
                writer.write_all(text.replace('e', &format!("e{sign}")).as_bytes())
            } else {
                write!(writer, "{value}")
            }
        }

        fn write_string_fragment<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            fragment: &str,
        ) -> io::Result<()> {
            let mut rest = fragment;
            while let Some(at) = rest.find(['<', '>', '&', '\u{2028}', '\u{2029}']) {
                writer.write_all(&rest.as_bytes()[..at])?;
                let escaped = rest[at..].chars().next().unwrap_or_default();
                write!(writer, "\\u{:04x}", u32::from(escaped))?;
                rest = &rest[at + escaped.len_utf8()..];
            }
            writer.write_all(rest.as_bytes())
        }

        fn write_char_escape<W: ?Sized + io::Write>(
            &mut self,
            writer: &mut W,
            escape: CharEscape,
        ) -> io::Result<()> {
            CompactFormatter.write_char_escape(writer, escape)
        }
    }
}
