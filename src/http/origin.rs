//! Whom a request goes to: scheme, host and port.

use std::{fmt, net::IpAddr};

use reqwest::Url;

/// How a peer is spoken to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Scheme {
    /// In clear.
    Http,
    /// Through TLS.
    Https,
}

impl Scheme {
    /// Returns the word in front of `://`.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Http => "http",
            Self::Https => "https",
        }
    }

    const fn port(self) -> u16 {
        match self {
            Self::Http => 80,
            Self::Https => 443,
        }
    }
}

/// A peer. What is secret belongs to one of these and is sent to no other.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Origin {
    scheme: Scheme,
    host: String,
    port: u16,
}

impl Origin {
    /// Returns the peer of an address; `None` for anything but http and https.
    pub fn of(url: &Url) -> Option<Self> {
        let scheme = match url.scheme() {
            "http" => Scheme::Http,
            "https" => Scheme::Https,
            _ => return None,
        };
        Some(Self {
            scheme,
            host: url.host_str()?.trim_end_matches('.').to_owned(),
            port: url.port().unwrap_or(scheme.port()),
        })
    }

    /// Returns how the peer is spoken to.
    pub const fn scheme(&self) -> Scheme {
        self.scheme
    }

    /// Returns the host, an IPv6 address in brackets.
    pub fn host(&self) -> &str {
        &self.host
    }

    /// Tells whether this is the same machine by its name or address.
    pub fn is_loopback(&self) -> bool {
        is_loopback(&self.host)
    }

    /// Tells whether the host is an address that only means something on this machine or in a
    /// network that is closed to others.
    pub fn is_private(&self) -> bool {
        let in_network = match address(&self.host) {
            Some(IpAddr::V4(it)) => it.is_private(),
            Some(IpAddr::V6(it)) => match it.to_ipv4_mapped() {
                Some(it) => it.is_private(),
                None => it.is_unique_local(),
            },
            None => false,
        };
        in_network || self.is_loopback() || self.is_unroutable()
    }

    /// Tells whether the host is an address that no server of others has: link-local, where cloud
    /// machines serve their secrets, or none at all.
    pub fn is_unroutable(&self) -> bool {
        match address(&self.host) {
            Some(IpAddr::V4(it)) => it.is_link_local() || it.is_unspecified(),
            Some(IpAddr::V6(it)) => match it.to_ipv4_mapped() {
                Some(it) => it.is_link_local() || it.is_unspecified(),
                None => it.is_unicast_link_local() || it.is_unspecified(),
            },
            None => false,
        }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}", self.scheme.as_str(), self.host)?;
        if self.port != self.scheme.port() {
            write!(f, ":{}", self.port)?;
        }
        Ok(())
    }
}

/// Tells whether `host` means this machine whatever a name server says.
pub(super) fn is_loopback(host: &str) -> bool {
    match address(host) {
        Some(IpAddr::V6(it)) => {
            let mapped = it.to_ipv4_mapped();
            mapped.map_or_else(|| it.is_loopback(), |it| it.is_loopback())
        }
        Some(IpAddr::V4(it)) => it.is_loopback(),
        None => host == "localhost" || host.ends_with(".localhost"),
    }
}

/// Returns the address that `host` is.
pub(super) fn address(host: &str) -> Option<IpAddr> {
    let bare = host.strip_prefix('[').and_then(|it| it.strip_suffix(']'));
    bare.unwrap_or(host).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn origin(url: &str) -> Origin {
        Origin::of(&Url::parse(url).unwrap()).unwrap()
    }

    // hazard: 136
    #[test]
    fn scheme_host_and_port_make_an_origin() {
        assert_eq!(
            origin("https://A.example/x"),
            origin("https://a.example:443")
        );
        for other in [
            "http://a.example",
            "https://a.example:444",
            "https://b.a.example",
        ] {
            assert_ne!(origin("https://a.example"), origin(other), "{other}");
        }
        assert_eq!(
            origin("https://a.example:8443/x?y").to_string(),
            "https://a.example:8443"
        );
        assert_eq!(Origin::of(&Url::parse("file:///etc/passwd").unwrap()), None);
    }

    // hazard: 81, 137
    #[test]
    fn loopback_and_unroutable_addresses_are_known_in_every_spelling() {
        for (url, loopback, unroutable) in [
            ("http://localhost:5000", true, false),
            ("http://x.localhost", true, false),
            ("http://127.8.9.1", true, false),
            ("http://2130706433", true, false), // as a number, which URL parsers read
            ("http://[::1]:5000", true, false),
            ("http://[::ffff:127.0.0.1]", true, false),
            ("http://localhost.example", false, false),
            ("http://169.254.169.254/latest", false, true),
            ("http://[fe80::1]", false, true),
            ("http://[::ffff:169.254.1.1]", false, true),
            ("http://0.0.0.0", false, true),
            ("http://10.0.0.1", false, false),
        ] {
            let origin = origin(url);
            assert_eq!(origin.is_loopback(), loopback, "{url}");
            assert_eq!(origin.is_unroutable(), unroutable, "{url}");
            let private = loopback || unroutable || url == "http://10.0.0.1";
            assert_eq!(origin.is_private(), private, "{url}");
        }
        assert!(origin("https://[fd00::1]").is_private());
        assert!(origin("https://[::ffff:192.168.1.1]").is_private());
    }
}
