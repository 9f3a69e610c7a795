//! The signature in the address of a request, "AWS Signature Version 4" with query parameters.

use std::{fmt::Write as _, time::SystemTime};

use super::Credentials;
use crate::{
    digest::{Digest, Hasher},
    http::Url,
};

/// How long a signed address is good for, in seconds: for asking, not for reading the answer.
const EXPIRES: u32 = 3600;

/// Signs the address of a request for what is there.
pub(super) fn sign(url: &mut Url, credentials: &Credentials, region: &str, now: SystemTime) {
    sign_for(url, credentials, region, now, EXPIRES);
}

fn sign_for(url: &mut Url, credentials: &Credentials, region: &str, now: SystemTime, expires: u32) {
    let time = humantime::format_rfc3339_seconds(now).to_string();
    let time = time.replace(['-', ':'], "");
    let day = time.split('T').next().unwrap_or_default();
    let scope = format!("{day}/{region}/s3/aws4_request");
    let host = url.host_str().unwrap_or_default();
    let host = match url.port() {
        Some(port) => format!("{host}:{port}"),
        None => host.to_owned(),
    };
    let mut fields = vec![
        ("X-Amz-Algorithm", "AWS4-HMAC-SHA256".to_owned()),
        (
            "X-Amz-Credential",
            format!("{}/{scope}", credentials.access_key),
        ),
        ("X-Amz-Date", time.clone()),
        ("X-Amz-Expires", expires.to_string()),
    ];
    if let Some(token) = &credentials.token {
        fields.push(("X-Amz-Security-Token", token.clone()));
    }
    fields.push(("X-Amz-SignedHeaders", "host".to_owned()));
    let fields = fields.iter();
    let fields = fields.map(|(name, value)| format!("{name}={}", encode(value, false)));
    let query = fields.collect::<Vec<_>>().join("&");
    let request = format!(
        "GET\n{}\n{query}\nhost:{host}\n\nhost\nUNSIGNED-PAYLOAD",
        url.path()
    );
    let text = format!(
        "AWS4-HMAC-SHA256\n{time}\n{scope}\n{}",
        Digest::of(request.as_bytes()).hex()
    );
    let first = format!("AWS4{}", credentials.secret_key);
    let mut key = hmac(first.as_bytes(), day.as_bytes());
    for part in [region, "s3", "aws4_request"] {
        key = hmac(key.as_bytes(), part.as_bytes());
    }
    let signature = hmac(key.as_bytes(), text.as_bytes()).hex();
    url.set_query(Some(&format!("{query}&X-Amz-Signature={signature}")));
}

/// HMAC with SHA-256, RFC 2104.
fn hmac(key: &[u8], message: &[u8]) -> Digest {
    const BLOCK: usize = 64;
    let mut block = [0; BLOCK];
    if key.len() > BLOCK {
        block[..32].copy_from_slice(Digest::of(key).as_bytes());
    } else {
        block[..key.len()].copy_from_slice(key);
    }
    let keyed = |pad: u8, message: &[u8]| {
        let mut hasher = Hasher::new();
        hasher.update(&block.map(|byte| byte ^ pad));
        hasher.update(message);
        hasher.finish()
    };
    keyed(0x5c, keyed(0x36, message).as_bytes())
}

/// Writes all but letters, digits and `-._~` as `%XX`.
pub(super) fn encode(text: &str, keep_slashes: bool) -> String {
    let mut encoded = String::new();
    for byte in text.bytes() {
        match byte {
            b'A'..=b'Z' | b'a'..=b'z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' => {
                encoded.push(char::from(byte));
            }
            b'/' if keep_slashes => encoded.push('/'),
            _ => write!(encoded, "%{byte:02X}").expect("a text takes any text"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use super::*;

    // The example in the documentation of S3, "Authenticating Requests: Using Query Parameters".
    #[test]
    fn the_documented_example_has_the_documented_signature() {
        let mut url = Url::parse("https://examplebucket.s3.amazonaws.com/test.txt").unwrap();
        let credentials = Credentials {
            access_key: "AKIAIOSFODNN7EXAMPLE".to_owned(),
            secret_key: "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY".to_owned(),
            token: None,
        };
        let now = humantime::parse_rfc3339("2013-05-24T00:00:00Z").unwrap();
        sign_for(&mut url, &credentials, "us-east-1", now, 86400);
        assert!(
            url.as_str().ends_with(
                "&X-Amz-Signature=aeeed9bbccd4d02ee5c0109b86d86835f995330da4c265957d157751f604d404"
            ),
            "{url}"
        );
    }

    // RFC 4231, test cases 1 and 6.
    #[test]
    fn codes_are_those_of_the_rfc() {
        assert_eq!(
            hmac(&[0x0b; 20], b"Hi There").hex(),
            "b0344c61d8db38535ca8afceaf0bf12b881dc200c9833da726e9376c2e32cff7"
        );
        assert_eq!(
            hmac(
                &[0xaa; 131],
                b"Test Using Larger Than Block-Size Key - Hash Key First"
            )
            .hex(),
            "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54"
        );
    }

    #[test]
    fn what_an_address_keeps_is_not_encoded() {
        assert_eq!(encode("a/b c~ü", true), "a/b%20c~%C3%BC");
        assert_eq!(encode("a/b", false), "a%2Fb");
    }
}
