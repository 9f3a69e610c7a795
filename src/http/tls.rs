//! Whose certificates are believed, and which one is shown.

use std::{
    fs,
    io::Read as _,
    path::{Path, PathBuf},
    sync::Once,
};

use reqwest::{Certificate, ClientBuilder, Identity};

use super::{
    error::Error,
    limits::MAX_PEM_BYTES,
    pem::{self, Block},
};

/// Which certificates are believed and shown.
#[derive(Clone, Debug, Default)]
pub struct Tls {
    /// Files with authorities that are believed, too.
    pub authorities: Vec<PathBuf>,
    /// Files and folders whose authorities are believed in place of the system's.
    pub in_place_of_system: Option<Files>,
    /// The certificate to show, and its key, which may be in the same file.
    pub identity: Option<(PathBuf, Option<PathBuf>)>,
    /// Whether any certificate is taken, which makes whoever is on the way the peer.
    pub believe_anyone: bool,
}

/// Where certificates lie.
#[derive(Clone, Debug, Default)]
pub struct Files {
    /// A file with any number of them.
    pub file: Option<PathBuf>,
    /// Folders in which each file may hold some.
    pub folders: Vec<PathBuf>,
}

/// Builds a client with these certificates. `base` makes the builder that everything but TLS is
/// set on; it is called twice where the system has no store of authorities.
pub(super) fn build(tls: &Tls, base: impl Fn() -> ClientBuilder) -> Result<reqwest::Client, Error> {
    install_provider();
    let mut authorities = Vec::new();
    for file in &tls.authorities {
        authorities.extend(certificates(file)?);
    }
    let mut instead = Vec::new();
    if let Some(Files { file, folders }) = &tls.in_place_of_system {
        if let Some(file) = file {
            instead.extend(certificates(file)?);
        }
        for folder in folders {
            instead.extend(certificates_below(folder)?);
        }
    }
    let identity = match &tls.identity {
        Some((certificate, key)) => Some(identity(certificate, key.as_deref())?),
        None => None,
    };
    let with_identity = || {
        let builder = base().tls_danger_accept_invalid_certs(tls.believe_anyone);
        match &identity {
            Some(identity) => builder.identity(identity.clone()),
            None => builder,
        }
    };
    if tls.in_place_of_system.is_none() {
        let builder = with_identity();
        // Setting no authorities beside the system's is another way through the TLS library than
        // setting an empty list of them.
        let builder = if authorities.is_empty() {
            builder
        } else {
            builder.tls_certs_merge(authorities.clone())
        };
        if let Ok(client) = builder.build() {
            return Ok(client);
        }
        // A system without any store, as in a container with nothing but the program. Should
        // something else be wrong, it is wrong again below.
        instead = webpki_root_certs::TLS_SERVER_ROOT_CERTS
            .iter()
            .filter_map(|der| Certificate::from_der(der).ok())
            .collect();
    }
    instead.extend(authorities);
    let client = with_identity().tls_certs_only(instead).build();
    client.map_err(|error| match &tls.identity {
        Some((path, _)) => Error::Identity {
            path: path.clone(),
            problem: super::error::innermost(&error),
        },
        None => Error::Setup {
            problem: super::error::innermost(&error),
        },
    })
}

/// Makes ring the cryptography of the process: without one the library panics.
fn install_provider() {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // An error says that there is one already, which is as good.
        let _ = rustls::crypto::ring::default_provider().install_default();
    });
}

/// Reads the certificates in a file; none at all is an error, since the option would do nothing.
fn certificates(path: &Path) -> Result<Vec<Certificate>, Error> {
    let text = read(path)?;
    let mut found = Vec::new();
    for block in pem::blocks(&text)
        .iter()
        .filter(|it| it.label == "CERTIFICATE")
    {
        found.push(certificate(path, block)?);
    }
    if found.is_empty() {
        return Err(Error::NoCertificate {
            path: path.to_owned(),
        });
    }
    Ok(found)
}

fn certificate(path: &Path, block: &Block<'_>) -> Result<Certificate, Error> {
    let bad = |problem: String| Error::BadCertificate {
        path: path.to_owned(),
        problem,
    };
    let parsed = Certificate::from_pem_bundle(block.text.as_bytes());
    let mut all = parsed.map_err(|error| bad(super::error::innermost(&error)))?;
    all.pop().ok_or_else(|| bad("it is empty".to_owned()))
}

/// Reads the certificates of a folder such as OpenSSL keeps them in. Other files may lie there.
fn certificates_below(folder: &Path) -> Result<Vec<Certificate>, Error> {
    let unreadable = |source| Error::Read {
        path: folder.to_owned(),
        source,
    };
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let path = entry.map_err(unreadable)?.path();
        if path.is_file() {
            // The system's own stores hold entries that are not for us; one good one is enough.
            found.extend(certificates(&path).unwrap_or_default());
        }
    }
    Ok(found)
}

/// Reads the certificate to show, with those above it, and its key.
fn identity(certificate: &Path, key: Option<&Path>) -> Result<Identity, Error> {
    let text = read(certificate)?;
    let mut pem = String::new();
    for block in pem::blocks(&text)
        .iter()
        .filter(|it| it.label == "CERTIFICATE")
    {
        pem.push_str(block.text);
        pem.push('\n');
    }
    if pem.is_empty() {
        return Err(Error::NoCertificate {
            path: certificate.to_owned(),
        });
    }
    let key_path = key.unwrap_or(certificate);
    let key_text = match key {
        Some(path) => read(path)?,
        None => text,
    };
    let blocks = pem::blocks(&key_text);
    let keys = ["PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY"];
    let Some(key) = blocks.iter().find(|it| keys.contains(&it.label)) else {
        let encrypted = blocks.iter().any(|it| it.label == "ENCRYPTED PRIVATE KEY");
        return Err(Error::NoKey {
            path: key_path.to_owned(),
            encrypted,
        });
    };
    pem.push_str(key.text);
    pem.push('\n');
    Identity::from_pem(pem.as_bytes()).map_err(|error| Error::Identity {
        path: certificate.to_owned(),
        problem: super::error::innermost(&error),
    })
}

/// Reads a file of certificates or keys.
fn read(path: &Path) -> Result<String, Error> {
    let unreadable = |source| Error::Read {
        path: path.to_owned(),
        source,
    };
    let mut bytes = Vec::new();
    fs::File::open(path)
        .and_then(|file| file.take(MAX_PEM_BYTES).read_to_end(&mut bytes))
        .map_err(unreadable)?;
    // Comments between the blocks may be in any encoding.
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}
