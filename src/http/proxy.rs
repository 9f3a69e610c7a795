//! Through which proxy a peer is reached, if any.

use std::{fmt, net::IpAddr};

use reqwest::Url;

use super::origin::{address, is_loopback};

/// The proxies there are, and who is reached without.
#[derive(Clone, Default)]
pub struct Proxies {
    http: Option<Url>,
    https: Option<Url>,
    direct: Vec<Direct>,
    /// Whether the proxy is also taken to this machine.
    even_loopback: bool,
}

/// Why a proxy cannot be used. Its address is not part of the text, since it may hold a password.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the proxy of {origin} is no address of the form http://HOST:PORT, https://… or socks5://…"
)]
pub struct BadProxy {
    /// Where the address came from: a flag or a variable.
    pub origin: &'static str,
}

/// Who is reached without a proxy.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Direct {
    All,
    Network(IpAddr, u8),
    /// A host and all below it, by name or address, at one port or at any.
    Host(String, Option<u16>),
    /// Only what is below a host.
    Below(String, Option<u16>),
}

impl Proxies {
    /// Returns one proxy for all peers, as a flag asks for.
    pub fn for_all(text: &str, origin: &'static str) -> Result<Self, BadProxy> {
        let proxy = parse(text, origin)?;
        Ok(Self {
            http: proxy.clone(),
            https: proxy,
            direct: Vec::new(),
            even_loopback: true,
        })
    }

    /// Returns what the variables say: `http_proxy`, `https_proxy`, `no_proxy`. This machine is
    /// always reached without a proxy.
    pub fn from_variables(
        http: Option<&str>,
        https: Option<&str>,
        no_proxy: Option<&str>,
    ) -> Result<Self, BadProxy> {
        let some = |text: Option<&str>, origin| match text {
            Some(text) => parse(text, origin),
            None => Ok(None),
        };
        Ok(Self {
            http: some(http, "HTTP_PROXY")?,
            https: some(https, "HTTPS_PROXY")?,
            direct: no_proxy
                .into_iter()
                .flat_map(|list| list.split([',', ' ']))
                .filter_map(Direct::parse)
                .collect(),
            even_loopback: false,
        })
    }

    /// Returns the proxy on the way to `url`.
    pub(super) fn to(&self, url: &Url) -> Option<&Url> {
        let (proxy, port) = match url.scheme() {
            "http" => (&self.http, 80),
            "https" => (&self.https, 443),
            _ => return None,
        };
        let host = url.host_str()?.trim_end_matches('.');
        let port = url.port().unwrap_or(port);
        if !self.even_loopback && is_loopback(host) {
            return None;
        }
        let is_direct = self.direct.iter().any(|direct| direct.covers(host, port));
        proxy.as_ref().filter(|_| !is_direct)
    }
}

/// Shows no password.
impl fmt::Debug for Proxies {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let host = |url: &Option<Url>| url.as_ref().and_then(|it| it.host_str().map(str::to_owned));
        f.debug_struct("Proxies")
            .field("http", &host(&self.http))
            .field("https", &host(&self.https))
            .field("direct", &self.direct)
            .finish_non_exhaustive()
    }
}

/// Reads the address of a proxy; without a scheme it is http.
fn parse(text: &str, origin: &'static str) -> Result<Option<Url>, BadProxy> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let whole = if text.contains("://") {
        text.to_owned()
    } else {
        format!("http://{text}")
    };
    let url = Url::parse(&whole).ok();
    let usable = |url: &Url| {
        let known = ["http", "https", "socks4", "socks4a", "socks5", "socks5h"];
        known.contains(&url.scheme()) && url.host_str().is_some_and(|host| !host.is_empty())
    };
    url.filter(usable).map(Some).ok_or(BadProxy { origin })
}

impl Direct {
    fn parse(text: &str) -> Option<Self> {
        let text = text.trim().to_ascii_lowercase();
        if text.is_empty() {
            return None;
        }
        if text == "*" {
            return Some(Self::All);
        }
        if let Some((base, bits)) = text.split_once('/') {
            let base = address(base)?;
            let bits: u8 = bits.parse().ok()?;
            let most = if base.is_ipv4() { 32 } else { 128 };
            return (bits <= most).then_some(Self::Network(base, bits));
        }
        // A whole IPv6 address has colons of its own.
        let (host, port) = match text.rsplit_once(':') {
            Some((host, port)) if address(&text).is_none() => (host, Some(port.parse().ok()?)),
            _ => (text.as_str(), None),
        };
        let host = host.trim_end_matches('.');
        if let Some(below) = host.strip_prefix("*.") {
            return Some(Self::Below(below.to_owned(), port));
        }
        let host = host.strip_prefix('.').unwrap_or(host);
        Some(Self::Host(host.to_owned(), port))
    }

    fn covers(&self, host: &str, port: u16) -> bool {
        let here = |wanted: &Option<u16>| wanted.is_none_or(|wanted| wanted == port);
        let is_below = |name: &str| {
            let rest = host.strip_suffix(name);
            rest.is_some_and(|rest| rest.ends_with('.'))
        };
        match self {
            Self::All => true,
            Self::Network(base, bits) => {
                address(host).is_some_and(|it| same_network(it, *base, *bits))
            }
            Self::Host(name, wanted) => {
                let same = match (address(name), address(host)) {
                    (Some(a), Some(b)) => a.to_canonical() == b.to_canonical(),
                    (None, None) => name == host || is_below(name),
                    _ => false,
                };
                same && here(wanted)
            }
            Self::Below(name, wanted) => is_below(name) && here(wanted),
        }
    }
}

fn same_network(a: IpAddr, b: IpAddr, bits: u8) -> bool {
    let bits = u32::from(bits);
    match (a.to_canonical(), b) {
        (IpAddr::V4(a), IpAddr::V4(b)) => {
            let mask = u32::MAX.checked_shl(32 - bits).unwrap_or(0);
            a.to_bits() & mask == b.to_bits() & mask
        }
        (IpAddr::V6(a), IpAddr::V6(b)) => {
            let mask = u128::MAX.checked_shl(128 - bits).unwrap_or(0);
            a.to_bits() & mask == b.to_bits() & mask
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // hazard: 141
    #[test]
    fn no_proxy_knows_names_ports_and_networks() {
        for (list, url, direct) in [
            ("example.com", "http://example.com", true),
            ("example.com", "http://a.example.com", true),
            ("example.com", "http://notexample.com", false),
            (".example.com", "http://example.com", true),
            ("*.example.com", "http://example.com", false),
            ("*.example.com", "http://a.example.com", true),
            ("Example.COM", "http://EXAMPLE.com", true),
            ("example.com:5000", "http://example.com:5000", true),
            ("example.com:5000", "http://example.com", false),
            ("a, b.c ,10.0.0.0/8", "http://10.9.8.7", true),
            ("a b.c 10.0.0.0/8", "http://10.9.8.7", true),
            ("10.0.0.0/8", "http://11.0.0.1", false),
            ("10.0.0.0/8", "http://ten.example", false),
            ("0.0.0.0/0", "http://8.8.8.8", true),
            ("192.168.7.0/25", "http://192.168.7.127", true),
            ("192.168.7.0/25", "http://192.168.7.128", false),
            ("192.168.7.1", "http://192.168.7.1:5000", true),
            ("2001:db8::/32", "http://[2001:db8:1::2]", true),
            ("2001:db8::/32", "http://[2001:db9::1]", false),
            ("[2001:db8::1]:5000", "http://[2001:db8::1]:5000", true),
            ("2001:db8::1", "http://[2001:db8::1]:5000", true),
            ("*", "http://any.example", true),
            ("10.0.0.0/33,/,,:", "http://10.0.0.1", false),
        ] {
            let proxies = Proxies::from_variables(Some("proxy:3128"), None, Some(list)).unwrap();
            let found = proxies.to(&Url::parse(url).unwrap());
            assert_eq!(found.is_none(), direct, "{list}: {url}");
        }
    }

    #[test]
    fn each_scheme_has_its_proxy_and_loopback_none_unless_the_flag_says_so() {
        let of = |proxies: &Proxies, url: &str| {
            let found = proxies.to(&Url::parse(url).unwrap());
            found.map(ToString::to_string)
        };
        let both = Proxies::from_variables(Some("a:1"), Some("https://u:p@b:2"), None).unwrap();
        assert_eq!(of(&both, "http://x").as_deref(), Some("http://a:1/"));
        assert_eq!(of(&both, "https://x").as_deref(), Some("https://u:p@b:2/"));
        assert_eq!(of(&both, "https://localhost:5000"), None);
        assert_eq!(of(&both, "http://127.0.0.1"), None);
        assert!(!format!("{both:?}").contains("u:p"));
        let flag = Proxies::for_all("socks5h://s:1080", "--proxy").unwrap();
        assert_eq!(
            of(&flag, "http://127.0.0.1").as_deref(),
            Some("socks5h://s:1080")
        );
        assert_eq!(
            of(&Proxies::for_all("", "--proxy").unwrap(), "http://x"),
            None
        );
    }

    // hazard: 138
    #[test]
    fn a_bad_proxy_is_refused_without_showing_its_password() {
        for bad in ["ftp://user:hunter2@x", "http://", "http://user:hunter2@:80"] {
            let error = Proxies::for_all(bad, "--proxy").unwrap_err();
            assert!(!error.to_string().contains("hunter2"), "{error}");
        }
    }
}
