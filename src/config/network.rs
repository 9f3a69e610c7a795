//! What the environment says about networks and logins.

use std::{env, ffi::OsString, path::PathBuf};

use super::{System, Variable, variables as v};

/// What the environment says about networks.
#[derive(Default)]
pub struct Network {
    /// The client certificate and its key.
    pub client_certificate: Option<PathBuf>,
    /// See above.
    pub client_key: Option<PathBuf>,
    /// A file and folders with authorities, in place of the system's.
    pub certificate_file: Option<PathBuf>,
    /// See above.
    pub certificate_folders: Vec<PathBuf>,
    /// Proxies for http and for https; they may hold passwords.
    pub http_proxy: Option<String>,
    /// See above.
    pub https_proxy: Option<String>,
    /// Who is reached without a proxy.
    pub no_proxy: Option<String>,
}

impl Network {
    /// Reads the environment of the process.
    pub fn read() -> Self {
        Self::from_lookup(env::var_os)
    }

    pub(super) fn from_lookup(lookup: impl Fn(&'static str) -> Option<OsString>) -> Self {
        let path = |variable: Variable| variable.read(&lookup).map(PathBuf::from);
        let text = |variable: Variable| {
            let value = variable.read(&lookup);
            value.map(|value| value.to_string_lossy().into_owned())
        };
        let all = text(v::ALL_PROXY);
        let folders = v::SSL_CERT_DIR.read(&lookup);
        Self {
            client_certificate: path(v::KITOPS_CLIENT_CERT),
            client_key: path(v::KITOPS_CLIENT_KEY),
            certificate_file: path(v::SSL_CERT_FILE),
            certificate_folders: folders.map_or_else(Vec::new, |list| {
                env::split_paths(&list)
                    .filter(|it| !it.as_os_str().is_empty())
                    .collect()
            }),
            http_proxy: text(v::HTTP_PROXY).or_else(|| all.clone()),
            https_proxy: text(v::HTTPS_PROXY).or(all),
            no_proxy: text(v::NO_PROXY),
        }
    }
}

/// What the environment says about logins.
#[derive(Default)]
pub struct Logins {
    /// The files of other programs, in the order they are asked.
    pub files: Vec<PathBuf>,
    /// Where programs are found.
    pub path: Option<OsString>,
    /// A name and a password for the registry that a command names.
    pub user: Option<String>,
    /// See above.
    pub password: Option<String>,
}

impl Logins {
    /// Reads the environment of the process.
    pub fn read() -> Self {
        Self::from_lookup(System::CURRENT, env::var_os)
    }

    pub(super) fn from_lookup(
        system: System,
        lookup: impl Fn(&'static str) -> Option<OsString>,
    ) -> Self {
        let path = |variable: Variable| variable.read(&lookup).map(PathBuf::from);
        let text = |variable: Variable| {
            let value = variable.read(&lookup);
            value.map(|value| value.to_string_lossy().into_owned())
        };
        let home = path(if system == System::Windows {
            v::USERPROFILE
        } else {
            v::HOME
        });
        let in_home = |below: &str| home.as_ref().map(|home| home.join(below));
        let docker = match path(v::DOCKER_CONFIG) {
            Some(folder) => Some(folder.join("config.json")),
            None => in_home(".docker/config.json"),
        };
        let podman = match path(v::REGISTRY_AUTH_FILE) {
            Some(file) => vec![Some(file)],
            None => vec![
                path(v::XDG_RUNTIME_DIR).map(|folder| folder.join("containers/auth.json")),
                match path(v::XDG_CONFIG_HOME).filter(|folder| folder.has_root()) {
                    Some(folder) => Some(folder.join("containers/auth.json")),
                    None => in_home(".config/containers/auth.json"),
                },
            ],
        };
        Self {
            files: [docker].into_iter().chain(podman).flatten().collect(),
            path: v::PATH.read(&lookup),
            user: text(v::KIT_USERNAME),
            password: text(v::KIT_PASSWORD),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::{super::tests::lookup, *};

    #[test]
    #[cfg(unix)]
    fn proxies_and_certificates_come_from_their_usual_variables() {
        let network = Network::from_lookup(lookup(&[
            ("HTTPS_PROXY", "upper"),
            ("https_proxy", "lower"),
            ("ALL_PROXY", "all"),
            ("NO_PROXY", ""),
            ("SSL_CERT_DIR", "/a:/b"),
            ("KITOPS_CLIENT_CERT", "/c"),
        ]));
        assert_eq!(network.https_proxy.as_deref(), Some("lower"));
        assert_eq!(network.http_proxy.as_deref(), Some("all"));
        assert_eq!(network.no_proxy, None);
        assert_eq!(
            network.certificate_folders,
            [Path::new("/a"), Path::new("/b")]
        );
        assert_eq!(network.client_certificate.as_deref(), Some(Path::new("/c")));
    }

    #[test]
    #[cfg(unix)]
    fn files_of_logins_are_where_docker_and_podman_keep_them() {
        let files = |variables: &[(&str, &str)]| -> Vec<String> {
            let logins = Logins::from_lookup(System::Other, lookup(variables));
            let shown = |path: &PathBuf| path.to_string_lossy().into_owned();
            logins.files.iter().map(shown).collect()
        };
        assert_eq!(
            files(&[("HOME", "/h"), ("XDG_RUNTIME_DIR", "/run/7")]),
            [
                "/h/.docker/config.json",
                "/run/7/containers/auth.json",
                "/h/.config/containers/auth.json"
            ]
        );
        assert_eq!(
            files(&[
                ("HOME", "/h"),
                ("DOCKER_CONFIG", "/d"),
                ("REGISTRY_AUTH_FILE", "/a")
            ]),
            ["/d/config.json", "/a"]
        );
        assert!(files(&[]).is_empty());
    }
}
