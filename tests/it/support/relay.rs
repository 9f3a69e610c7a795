//! Stands between a program and a registry, and stops at a chosen point of what is sent.

use std::{
    io::{self, BufRead as _, BufReader, Read, Write as _},
    net::{Ipv4Addr, Shutdown, SocketAddr, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

/// Where nothing more is passed on, once.
#[derive(Clone, Copy)]
pub(crate) struct Stop {
    /// When so many bytes of bodies were passed on.
    pub(crate) after: u64,
    /// Whether that is only looked at before a request: then the one before is answered.
    pub(crate) between_requests: bool,
}

/// What all connections share.
struct State {
    target: SocketAddr,
    stop: Stop,
    /// Whether it has stopped.
    stopped: AtomicBool,
    /// Bytes of bodies that were passed on.
    sent: AtomicU64,
    /// The same with the heads of requests.
    wire: AtomicU64,
    end: AtomicBool,
}

/// A running relay. It ends with its value.
pub(crate) struct Relay {
    address: SocketAddr,
    state: Arc<State>,
}

impl Relay {
    /// Starts a relay to `host` of this machine.
    pub(crate) fn start(host: &str, stop: Stop) -> Self {
        let (_, port) = host.rsplit_once(':').unwrap();
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let state = Arc::new(State {
            target: (Ipv4Addr::LOCALHOST, port.parse().unwrap()).into(),
            stop,
            stopped: AtomicBool::new(false),
            sent: AtomicU64::new(0),
            wire: AtomicU64::new(0),
            end: AtomicBool::new(false),
        });
        thread::spawn({
            let state = Arc::clone(&state);
            move || {
                while let Ok((client, _)) = listener.accept() {
                    if state.end.load(Ordering::SeqCst) {
                        return;
                    }
                    let state = Arc::clone(&state);
                    thread::spawn(move || connection(&client, &state));
                }
            }
        });
        Self { address, state }
    }

    /// Returns `127.0.0.1:PORT`.
    pub(crate) fn host(&self) -> String {
        self.address.to_string()
    }

    /// Tells whether it has stopped.
    pub(crate) fn has_stopped(&self) -> bool {
        self.state.stopped.load(Ordering::SeqCst)
    }

    /// Returns how many bytes of bodies were passed on since this was last asked.
    pub(crate) fn sent(&self) -> u64 {
        self.state.sent.swap(0, Ordering::SeqCst)
    }
}

impl Relay {
    /// Returns how many bytes were passed on in all.
    pub(crate) fn wire(&self) -> u64 {
        self.state.wire.load(Ordering::SeqCst)
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        self.state.end.store(true, Ordering::SeqCst);
        // Wakes the thread that waits for a connection.
        drop(TcpStream::connect(self.address));
    }
}

fn connection(client: &TcpStream, state: &State) {
    let Ok(server) = TcpStream::connect(state.target) else {
        return;
    };
    let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut back);
        let _ = back.shutdown(Shutdown::Both);
    });
    // Either side may have had enough.
    let _ = requests(client, &server, state);
    let _ = server.shutdown(Shutdown::Both);
}

/// Passes requests on, one after the other.
fn requests(client: &TcpStream, mut server: &TcpStream, state: &State) -> io::Result<()> {
    let mut reader = BufReader::new(client);
    loop {
        let mut head = Vec::new();
        let mut length = 0;
        loop {
            let begin = head.len();
            if reader.read_until(b'\n', &mut head)? == 0 {
                return Ok(());
            }
            let line = String::from_utf8_lossy(&head[begin..]).to_ascii_lowercase();
            if let Some(value) = line.strip_prefix("content-length:") {
                length = value.trim().parse().unwrap();
            }
            if line.trim().is_empty() {
                break;
            }
        }
        let full = || state.sent.load(Ordering::SeqCst) >= state.stop.after;
        if state.stop.between_requests && length > 0 && full() && hold(state) {
            return wait_for_end(client);
        }
        server.write_all(&head)?;
        state.wire.fetch_add(head.len() as u64, Ordering::SeqCst);
        let mut left: u64 = length;
        let mut piece = [0; 8 << 10];
        while left > 0 {
            let most = piece.len().min(usize::try_from(left).unwrap());
            let read = reader.read(&mut piece[..most])?;
            if read == 0 {
                return Ok(());
            }
            server.write_all(&piece[..read])?;
            left -= read as u64;
            state.sent.fetch_add(read as u64, Ordering::SeqCst);
            state.wire.fetch_add(read as u64, Ordering::SeqCst);
            if !state.stop.between_requests && full() && hold(state) {
                return wait_for_end(client);
            }
        }
    }
}

/// Tells whether this is the moment to stop, which comes once.
fn hold(state: &State) -> bool {
    !state.stopped.swap(true, Ordering::SeqCst)
}

/// Waits until the program is gone.
fn wait_for_end(mut client: &TcpStream) -> io::Result<()> {
    client.set_read_timeout(Some(Duration::from_secs(60)))?;
    let mut rest = [0; 4 << 10];
    while client.read(&mut rest)? > 0 {}
    Ok(())
}
