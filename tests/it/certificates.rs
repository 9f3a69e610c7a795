//! Certificates that must not be believed, and TLS that must not be spoken, on every system.
//!
//! The certificates in `testdata/hazards/tls` are for these tests alone. They are good for a hundred
//! years, but `expired.pem`, which was for a month, and `early.pem`, which is not good yet.

use std::{
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use rustls::{
    ServerConfig, ServerConnection,
    pki_types::{CertificateDer, PrivateKeyDer, pem::PemObject as _},
};

use crate::support::{Output, Sandbox, testdata};

/// A server on a free port of this machine, which ends with its value.
struct Server {
    port: u16,
    end: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(serve: impl Fn(TcpStream) + Send + 'static) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let end = Arc::<AtomicBool>::default();
        let thread = thread::spawn({
            let end = Arc::clone(&end);
            move || {
                while let Ok((stream, _)) = listener.accept() {
                    if end.load(Ordering::SeqCst) {
                        return;
                    }
                    let limit = Some(Duration::from_secs(30));
                    stream.set_read_timeout(limit).unwrap();
                    serve(stream);
                }
            }
        });
        Self {
            port,
            end,
            thread: Some(thread),
        }
    }

    /// Starts one that shows this certificate, and has no kits.
    fn with_certificate(name: &str) -> Self {
        let path = |name: &str| testdata("hazards/tls").join(name);
        let certificate = CertificateDer::from_pem_file(path(name)).unwrap();
        let key = PrivateKeyDer::from_pem_file(path("server.key")).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(vec![certificate], key)
            .unwrap();
        let config = Arc::new(config);
        Self::start(move |stream| {
            let connection = ServerConnection::new(Arc::clone(&config)).unwrap();
            let mut stream = rustls::StreamOwned::new(connection, stream);
            // Whoever does not believe it goes without a word.
            if stream.read(&mut [0; 4096]).is_ok_and(|read| read > 0) {
                let answer = "HTTP/1.1 404 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
                let _ = stream.write_all(answer.as_bytes());
                stream.conn.send_close_notify();
                let _ = stream.flush();
            }
        })
    }

    /// Asks it for a kit, once.
    fn ask(&self, flags: &[&str]) -> Output {
        let name = format!("localhost:{}/team/net:1.0", self.port);
        let words = [&["info", "-r", &name, "--retries", "0"], flags].concat();
        Sandbox::new().run(words)
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
        if let Some(thread) = self.thread.take() {
            thread.join().unwrap();
        }
    }
}

// hazard: 139, 140
#[test]
fn certificates_of_nobody_of_others_and_of_other_times_are_refused() {
    let authority = testdata("hazards/tls/ca.pem");
    let authority = ["--ca-file", authority.to_str().unwrap()];
    for (certificate, flags) in [
        ("good.pem", &[][..]),
        ("other.pem", &authority),
        ("expired.pem", &authority),
        ("early.pem", &authority),
    ] {
        let server = Server::with_certificate(certificate);
        let output = server.ask(flags).exits(6);
        let expected = "its certificate is not trusted: ";
        assert!(output.stderr.contains(expected), "{certificate}: {output}");
        // What has to be said for it, and is never tried.
        let output = server.ask(&["--tls-verify=false"]).exits(3);
        assert!(
            output.stderr.contains("certificates are not checked"),
            "{output}"
        );
    }
    if cfg!(target_os = "linux") {
        // Others may want more of a certificate than these have.
        let server = Server::with_certificate("good.pem");
        let _ = server.ask(&authority).exits(3);
        let server = Server::with_certificate("expired.pem");
        let output = server.ask(&authority).exits(6);
        assert!(output.stderr.contains("expired"), "{output}");
    }
}

// hazard: 140, 141
#[test]
fn old_tls_is_not_spoken_and_nothing_goes_in_clear_in_its_place() {
    for version in [1, 2] {
        let first_bytes = Arc::new(Mutex::new(Vec::new()));
        let server = Server::start({
            let first_bytes = Arc::clone(&first_bytes);
            move |mut stream| {
                let mut hello = [0; 4096];
                let read = stream.read(&mut hello).unwrap_or(0);
                first_bytes.lock().unwrap().push(hello[0]);
                if read == 0 {
                    return;
                }
                // "Let us speak TLS 1.0", or 1.1, with a suite of that time.
                let body = [&[3, version][..], &[7; 32], &[0, 0xc0, 0x13, 0]].concat();
                let length = u8::try_from(body.len()).unwrap();
                let head = [0x16, 3, version, 0, length + 4, 2, 0, 0, length];
                let _ = stream.write_all(&[&head[..], &body].concat());
                let _ = stream.read(&mut hello);
                let _ = stream.shutdown(Shutdown::Both);
            }
        });
        let output = server.ask(&[]).exits(6);
        assert!(output.stderr.contains("cannot reach https://"), "{output}");
        let first_bytes = first_bytes.lock().unwrap();
        assert!(!first_bytes.is_empty());
        assert!(first_bytes.iter().all(|byte| *byte == 0x16), "{output}");
    }
}
