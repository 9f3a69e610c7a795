//! A real registry: `docker-registry` on a free port of this machine, with its own folder.

use std::{
    fmt::Write as _,
    fs,
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::have;

/// How the registry is set up.
#[derive(Default)]
pub(crate) struct Setup {
    /// The one user who may come in, and the password.
    pub(crate) user: Option<(&'static str, &'static str)>,
    /// Whether it speaks TLS.
    pub(crate) tls: bool,
    /// Whether it lets only those in who show a certificate of the same authority.
    pub(crate) client_certificates: bool,
    /// Whether it refuses to delete.
    pub(crate) keeps_all: bool,
}

/// A running registry. It ends with its value.
pub(crate) struct RealRegistry {
    child: Child,
    port: u16,
    folder: TempDir,
    user: Option<(&'static str, &'static str)>,
}

impl RealRegistry {
    /// Starts a registry; `None`, after saying so, where the programs are not installed.
    pub(crate) fn start(setup: &Setup) -> Option<Self> {
        let needed = [
            ("docker-registry", true),
            ("htpasswd", setup.user.is_some()),
            ("openssl", setup.tls),
        ];
        if !needed.iter().all(|(name, needed)| !needed || have(name)) {
            return None;
        }
        let folder = tempfile::Builder::new()
            .prefix("kit-registry-")
            .tempdir()
            .unwrap();
        if setup.tls {
            certificates(folder.path());
        }
        // Between finding a free port and taking it another process may be faster.
        for _ in 0..10 {
            let port = free_port();
            let mut child = run(setup, folder.path(), port);
            if is_up(&mut child, port) {
                return Some(Self {
                    child,
                    port,
                    folder,
                    user: setup.user,
                });
            }
            let log = fs::read_to_string(folder.path().join("log")).unwrap();
            assert!(log.contains("address already in use"), "{log}");
        }
        panic!("no port is free");
    }

    /// Returns `localhost:PORT`.
    pub(crate) fn host(&self) -> String {
        format!("localhost:{}", self.port)
    }

    /// Copies the kit `name` of the OCI layout at `layout` to `to` (`team/net:1.0`) with skopeo, as
    /// the user that may come in. Returns whether skopeo is installed.
    pub(crate) fn receive(&self, layout: &Path, name: &str, to: &str) -> bool {
        if !have("skopeo") {
            return false;
        }
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "-q", "--dest-tls-verify=false"]);
        if let Some((user, password)) = self.user {
            skopeo.args(["--dest-creds", &format!("{user}:{password}")]);
        }
        let copied = skopeo
            .arg(format!("oci:{}:{name}", layout.display()))
            .arg(format!("docker://{}/{to}", self.host()))
            .env("HOME", self.folder.path())
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&copied.stderr);
        assert!(copied.status.success(), "skopeo copy {to}: {said}");
        true
    }

    /// Takes a blob away behind its back.
    pub(crate) fn lose(&self, digest: &str) {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blob = format!("data/docker/registry/v2/blobs/sha256/{}/{hex}", &hex[..2]);
        fs::remove_dir_all(self.path(&blob)).unwrap();
    }

    /// Deletes what no manifest with a tag needs, as whoever runs a registry does.
    pub(crate) fn clean_up(&self) {
        let cleaned = Command::new("docker-registry")
            .args(["garbage-collect", "-m"])
            .arg(self.path("config.yml"))
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&cleaned.stderr);
        assert!(cleaned.status.success(), "garbage-collect: {said}");
    }

    /// Tells whether a blob is there.
    pub(crate) fn has(&self, digest: &str) -> bool {
        let hex = digest.strip_prefix("sha256:").unwrap();
        let blob = format!("data/docker/registry/v2/blobs/sha256/{}/{hex}", &hex[..2]);
        self.path(&blob).exists()
    }

    /// Returns a file beside the registry: `ca.pem`, `client.pem`, `client.key`, `log`.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }
}

impl Drop for RealRegistry {
    fn drop(&mut self) {
        let _ = self.child.kill(); // It may have ended.
        let _ = self.child.wait();
    }
}

/// Waits until the registry listens; false if it ended.
fn is_up(child: &mut Child, port: u16) -> bool {
    loop {
        if child.try_wait().unwrap().is_some() {
            return false;
        }
        if TcpStream::connect((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return true;
        }
        thread::sleep(Duration::from_millis(10));
    }
}

fn free_port() -> u16 {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    listener.local_addr().unwrap().port()
}

fn run(setup: &Setup, folder: &Path, port: u16) -> Child {
    let path = |name: &str| folder.join(name).display().to_string();
    let mut config = format!(
        "version: 0.1\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: {}\n\
         http:\n  addr: 127.0.0.1:{port}\n",
        path("data"),
        !setup.keeps_all
    );
    if setup.tls {
        write!(
            config,
            "  tls:\n    certificate: {}\n    key: {}\n",
            path("server.pem"),
            path("server.key")
        )
        .unwrap();
    }
    if setup.client_certificates {
        write!(config, "    clientcas:\n      - {}\n", path("ca.pem")).unwrap();
    }
    if let Some((user, password)) = setup.user {
        let made = Command::new("htpasswd")
            .args(["-Bbn", user, password])
            .output()
            .unwrap();
        fs::write(folder.join("htpasswd"), made.stdout).unwrap();
        write!(
            config,
            "auth:\n  htpasswd:\n    realm: test\n    path: {}\n",
            path("htpasswd")
        )
        .unwrap();
    }
    fs::write(folder.join("config.yml"), config).unwrap();
    let log = fs::File::create(folder.join("log")).unwrap();
    Command::new("docker-registry")
        .arg("serve")
        .arg(folder.join("config.yml"))
        .stdin(Stdio::null())
        .stdout(log.try_clone().unwrap())
        .stderr(log)
        .spawn()
        .unwrap()
}

/// Makes an authority, and certificates of it for `localhost` and for a client.
fn certificates(folder: &Path) {
    let openssl = |line: &str| {
        let made = Command::new("openssl")
            .args(line.split(' '))
            .current_dir(folder)
            .output()
            .unwrap();
        let said = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "openssl {line}: {said}");
    };
    let key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes";
    openssl(&format!(
        "req -x509 {key} -keyout ca.key -out ca.pem -days 2 -subj /CN=test-authority"
    ));
    for (name, extension) in [
        ("server", "subjectAltName=DNS:localhost"),
        ("client", "extendedKeyUsage=clientAuth"),
    ] {
        fs::write(folder.join("extension"), extension).unwrap();
        openssl(&format!(
            "req {key} -keyout {name}.key -out {name}.csr -subj /CN={name}"
        ));
        openssl(&format!(
            "x509 -req -in {name}.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile extension -out {name}.pem"
        ));
    }
}
