//! What can go wrong with the network, told so that the user knows what to do.

use std::{error::Error as StdError, fmt, io, path::PathBuf, time::Duration};

/// Why no usable answer came.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A file of certificates or keys cannot be read.
    #[error("cannot read {}", path.display())]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why not.
        source: io::Error,
    },
    /// A file that should hold certificates holds none.
    #[error("no certificate in {}", path.display())]
    NoCertificate {
        /// The file.
        path: PathBuf,
    },
    /// A certificate cannot be understood.
    #[error("bad certificate in {}: {problem}", path.display())]
    BadCertificate {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file that should hold a private key holds none that can be used.
    #[error("no private key in {}{}", path.display(), if *encrypted { ", only one that is locked with a password" } else { "" })]
    NoKey {
        /// The file.
        path: PathBuf,
        /// Whether there is one, but encrypted.
        encrypted: bool,
    },
    /// Certificate and key do not make an identity.
    #[error("cannot use the certificate in {}: {problem}", path.display())]
    Identity {
        /// The file with the certificate.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The client cannot be made.
    #[error("cannot set up TLS: {problem}")]
    Setup {
        /// What is wrong.
        problem: String,
    },
    /// A peer cannot be reached, or the way to it broke.
    #[error("cannot reach {peer}{}: {reason}", through(proxy.as_deref()))]
    Unreachable {
        /// Scheme, host and port.
        peer: String,
        /// The proxy on the way, without its password.
        proxy: Option<String>,
        /// What kind of failure it is.
        reason: Reason,
    },
    /// A redirect that is not followed.
    #[error("{from} redirects to {to}: {problem}")]
    Redirect {
        /// Who sent it.
        from: String,
        /// Where it leads.
        to: String,
        /// Why it is not followed.
        problem: &'static str,
    },
    /// An answer is larger than anything it could be.
    #[error("{peer} sent more than the {limit} bytes that are read of such an answer")]
    TooLarge {
        /// Who sent it.
        peer: String,
        /// The limit.
        limit: usize,
    },
}

/// What kind of failure keeps a peer out of reach.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reason {
    /// No name server knows it.
    Name,
    /// No connection could be made: the system's words.
    Connect(String),
    /// Its certificate is signed by an authority that is not known here.
    UnknownAuthority,
    /// Its certificate is for other hosts.
    OtherHost,
    /// Its certificate does not hold otherwise: why.
    Certificate(String),
    /// It wants a certificate of ours, or another one: its alert.
    WantsCertificate(String),
    /// It does not speak TLS.
    NotTls,
    /// TLS failed otherwise.
    Tls(String),
    /// The proxy did not let us through.
    Proxy(String),
    /// It said nothing for this long.
    Silent(Duration),
    /// The connection ended too early, or what came is no HTTP.
    Broken(String),
}

/// How a connection fails that a test lets fail.
impl From<io::Error> for Reason {
    fn from(error: io::Error) -> Self {
        Self::Broken(error.to_string())
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name => f.write_str("no such host"),
            Self::Connect(text) | Self::Broken(text) => f.write_str(text),
            Self::UnknownAuthority => {
                f.write_str("its certificate is not trusted: its authority is not known here")
            }
            Self::OtherHost => {
                f.write_str("its certificate is not trusted: it belongs to another host")
            }
            Self::Certificate(text) => write!(f, "its certificate is not trusted: {text}"),
            Self::WantsCertificate(text) => {
                write!(
                    f,
                    "it does not take the client certificate, or wants one ({text})"
                )
            }
            Self::NotTls => f.write_str("it does not speak TLS"),
            Self::Tls(text) => write!(f, "TLS failed: {text}"),
            Self::Proxy(text) => write!(f, "the proxy refused: {text}"),
            Self::Silent(time) => write!(f, "no answer for {} seconds", time.as_secs()),
        }
    }
}

impl Error {
    /// Tells whether the peer answered a TLS greeting with something that is no TLS.
    pub fn is_not_tls(&self) -> bool {
        let Self::Unreachable { reason, .. } = self else {
            return false;
        };
        *reason == Reason::NotTls
    }
}

fn through(proxy: Option<&str>) -> String {
    proxy.map_or_else(String::new, |proxy| format!(" through the proxy {proxy}"))
}

/// Returns the text of the deepest cause: those above it say only which part of the library it
/// passed, and may quote an address with a signature in it.
pub(super) fn innermost(error: &dyn StdError) -> String {
    let mut last = error;
    while let Some(next) = last.source() {
        last = next;
    }
    last.to_string()
}

/// Tells what kind of failure the HTTP library met.
pub(super) fn reason(error: &reqwest::Error, silent: Duration) -> Reason {
    let mut texts = Vec::new();
    let mut is_refused = false;
    let mut next: Option<&(dyn StdError + 'static)> = Some(error);
    while let Some(it) = next {
        if let Some(tls) = tls_error(it) {
            return tls_reason(tls);
        }
        let system = it.downcast_ref().map(io::Error::kind);
        is_refused |= system == Some(io::ErrorKind::ConnectionRefused);
        texts.push(it.to_string());
        next = it.source();
    }
    let text = texts.last().cloned().unwrap_or_default();
    let mentions = |words: &str| texts.iter().any(|it| it.contains(words));
    if error.is_dns() || mentions("dns error") {
        Reason::Name
    } else if is_refused {
        // Also on the way to a proxy, which has said nothing then.
        Reason::Connect(text)
    } else if mentions("tunnel error") || mentions("socks") {
        Reason::Proxy(text)
    } else if error.is_timeout() {
        Reason::Silent(silent)
    } else if error.is_connect() {
        Reason::Connect(text)
    } else {
        Reason::Broken(text)
    }
}

/// Returns the error of the TLS library that `error` is, or that lies in it: what is inside of an
/// `io::Error`, even of one in another, is not among its sources.
fn tls_error<'a>(error: &'a (dyn StdError + 'static)) -> Option<&'a rustls::Error> {
    let mut next = Some(error);
    while let Some(it) = next {
        if let Some(tls) = it.downcast_ref() {
            return Some(tls);
        }
        let inside = it.downcast_ref().and_then(io::Error::get_ref);
        next = inside.map(|it| it as &(dyn StdError + 'static));
    }
    None
}

fn tls_reason(error: &rustls::Error) -> Reason {
    use rustls::{AlertDescription as Alert, CertificateError as Bad, Error as E, InvalidMessage};
    match error {
        E::InvalidMessage(InvalidMessage::InvalidContentType) => Reason::NotTls,
        E::InvalidCertificate(bad) => match bad {
            Bad::UnknownIssuer => Reason::UnknownAuthority,
            Bad::NotValidForName | Bad::NotValidForNameContext { .. } => Reason::OtherHost,
            Bad::Expired | Bad::ExpiredContext { .. } => {
                Reason::Certificate("it has expired".to_owned())
            }
            Bad::NotValidYet | Bad::NotValidYetContext { .. } => {
                Reason::Certificate("it is not valid yet".to_owned())
            }
            other => Reason::Certificate(other.to_string()),
        },
        E::AlertReceived(
            alert @ (Alert::CertificateRequired
            | Alert::BadCertificate
            | Alert::UnsupportedCertificate
            | Alert::CertificateUnknown
            | Alert::UnknownCA
            | Alert::AccessDenied),
        ) => Reason::WantsCertificate(format!("{alert:?}")),
        E::AlertReceived(alert) => Reason::Tls(format!("it sent the alert {alert:?}")),
        other => Reason::Tls(other.to_string()),
    }
}
