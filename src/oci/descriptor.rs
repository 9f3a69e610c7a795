//! What one document says about a blob.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::Error;
use crate::digest::Digest;

/// Names a blob by digest and size, and tells what it is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    /// What the blob is; not checked against anything.
    pub media_type: String,
    /// The digest of the blob.
    pub digest: Digest,
    /// The length of the blob in bytes, at most [`Descriptor::MAX_SIZE`].
    pub size: u64,
    /// What else is known, by key (see [`super::annotation`]).
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// For a manifest: what its artifact is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
}

impl Descriptor {
    /// The greatest size that is believed: 1 PiB. Beyond it, a size is a mistake or an attack, and
    /// sums over all layers of a manifest stay far from overflow.
    pub const MAX_SIZE: u64 = 1 << 50;

    /// Returns a descriptor that says nothing but this.
    pub fn new(media_type: &str, digest: Digest, size: u64) -> Self {
        Self {
            media_type: media_type.to_owned(),
            digest,
            size,
            annotations: BTreeMap::new(),
            artifact_type: None,
        }
    }

    /// Returns the descriptor of `content`.
    pub fn of(media_type: &str, content: &[u8]) -> Self {
        Self::new(media_type, Digest::of(content), content.len() as u64)
    }

    /// Checks that `content` is what the descriptor names.
    pub fn verify(&self, content: &[u8]) -> Result<(), Error> {
        let found = Digest::of(content);
        if found == self.digest && content.len() as u64 == self.size {
            return Ok(());
        }
        Err(Error::Content {
            expected: self.digest,
            size: self.size,
            found,
            found_size: content.len(),
        })
    }
}

/// A descriptor as it was sent, nothing believed yet. Keys that are not here are ignored: `urls`
/// are never fetched, `platform` says nothing about a kit.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Received {
    media_type: String,
    digest: String,
    size: serde_json::Number,
    annotations: Option<BTreeMap<String, String>>,
    artifact_type: Option<String>,
    data: Option<String>,
}

impl Received {
    /// Checks everything; `place` names the descriptor in errors.
    pub(super) fn check(self, place: impl Fn() -> String) -> Result<Descriptor, Error> {
        let digest = self.digest.parse().map_err(|source| Error::Digest {
            place: place(),
            source,
        })?;
        let size = self
            .size
            .as_u64()
            .filter(|size| *size <= Descriptor::MAX_SIZE)
            .ok_or_else(|| Error::Size {
                place: place(),
                size: self.size.to_string(),
            })?;
        let descriptor = Descriptor {
            media_type: self.media_type,
            digest,
            size,
            annotations: self.annotations.unwrap_or_default(),
            artifact_type: self.artifact_type.filter(|artifact| !artifact.is_empty()),
        };
        // Others may use what is embedded in place of the blob, so it must be the blob.
        if let Some(data) = self.data.filter(|data| !data.is_empty()) {
            decode_base64(&data)
                .filter(|content| descriptor.verify(content).is_ok())
                .ok_or_else(|| Error::Embedded { place: place() })?;
        }
        Ok(descriptor)
    }
}

/// Decodes the padded standard alphabet; `None` for anything else.
pub(crate) fn decode_base64(text: &str) -> Option<Vec<u8>> {
    let digits = text.trim_end_matches('=').as_bytes();
    if !text.len().is_multiple_of(4) || text.len() - digits.len() > 2 {
        return None;
    }
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut bits, mut count) = (0_u32, 0);
    for digit in digits {
        let value = match digit {
            b'A'..=b'Z' => digit - b'A',
            b'a'..=b'z' => digit - b'a' + 26,
            b'0'..=b'9' => digit - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => return None,
        };
        bits = (bits << 6 | u32::from(value)) & 0xffff;
        count += 6;
        if count >= 8 {
            count -= 8;
            bytes.push((bits >> count & 0xff) as u8);
        }
    }
    Some(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn content_is_verified_by_digest_and_size() {
        let descriptor = Descriptor::of("text/plain", b"weights");
        descriptor.verify(b"weights").unwrap();
        assert!(descriptor.verify(b"weightz").is_err());
        let longer = Descriptor {
            size: 8,
            ..descriptor
        };
        assert!(longer.verify(b"weights").is_err());
    }

    #[test]
    fn base64_is_decoded_strictly() {
        for (text, bytes) in [
            ("", &b""[..]),
            ("YQ==", b"a"),
            ("YWI=", b"ab"),
            ("YWJj", b"abc"),
            ("d2VpZ2h0cw==", b"weights"),
            ("+/+/", &[0xfb, 0xff, 0xbf]),
        ] {
            assert_eq!(decode_base64(text).as_deref(), Some(bytes), "{text}");
        }
        for bad in ["YQ", "YQ=", "YQ===", "=", "====", "Y Q=", "-_-_", "YWJj\n"] {
            assert_eq!(decode_base64(bad), None, "{bad}");
        }
    }
}
