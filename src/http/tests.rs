//! The client against a server of a few lines, with a clock that only counts.

use std::{
    future::{Future, ready},
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    pin::Pin,
    sync::{Arc, Mutex, OnceLock},
    thread,
    time::Duration,
};

use tokio::time::Instant;

use super::*;

#[derive(Default)]
struct Counting(Mutex<Vec<Duration>>, OnceLock<Instant>);

impl Clock for Counting {
    fn sleep(&self, time: Duration) -> Pin<Box<dyn Future<Output = ()> + Send + '_>> {
        self.0.lock().unwrap().push(time);
        Box::pin(ready(()))
    }

    fn now(&self) -> Instant {
        let began = *self.1.get_or_init(Instant::now);
        began + self.0.lock().unwrap().iter().sum::<Duration>()
    }

    fn jitter(&self) -> f64 {
        0.5
    }
}

struct Deaf;

impl Observer for Deaf {
    fn step(&self, _: std::fmt::Arguments<'_>) {}
    fn waiting(&self, _: std::fmt::Arguments<'_>) {}
}

/// Starts a server that gives each connection the next of `answers`, in pieces, and holds it open
/// as long as the client does. Returns its address.
fn server(answers: Vec<Vec<&'static str>>) -> Url {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let address = listener.local_addr().unwrap();
    thread::spawn(move || {
        for pieces in answers {
            let (mut stream, _) = listener.accept().unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                let _ = stream.read(&mut buffer).unwrap();
                for piece in pieces {
                    if stream.write_all(piece.as_bytes()).is_err() {
                        return;
                    }
                    thread::sleep(Duration::from_millis(5));
                }
                // Until the client has had enough.
                while stream.read(&mut buffer).is_ok_and(|read| read > 0) {}
            });
        }
    });
    Url::parse(&format!("http://{address}/")).unwrap()
}

/// What is expected to run out.
const SHORT: Duration = Duration::from_millis(300);
/// What is not, on any machine.
const LONG: Duration = Duration::from_secs(60);

/// Sends one request with this time limit for everything; returns the result and the waits.
async fn get(url: Url, read: bool, limit: Duration) -> (Result<u16, Error>, Vec<Duration>) {
    let clock = Arc::new(Counting::default());
    let options = Options {
        timeouts: Timeouts {
            connect: limit,
            idle: limit,
            document: limit,
        },
        ..Options::default()
    };
    let client = Client::new(options, Arc::new(Deaf)).unwrap();
    let client = client.with_clock(clock.clone());
    let result = match client.send(&Request::get(url)).await {
        Ok(response) if read => {
            let status = response.status();
            response.document(100).await.map(|_| status)
        }
        result => result.map(|response| response.status()),
    };
    let waits = clock.0.lock().unwrap().clone();
    (result, waits)
}

const TOO_MUCH: &str = concat!(
    "0123456789012345678901234567890123456789",
    "0123456789012345678901234567890123456789",
    "012345678901234567890"
);

const OK: &str = "HTTP/1.1 200 OK\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";

// hazard: 70
#[tokio::test]
async fn waits_are_those_that_are_asked_for_or_double() {
    let busy =
        "HTTP/1.1 429 X\r\nRetry-After: 20\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let down = "HTTP/1.1 503 X\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let url = server(vec![vec![busy], vec![down], vec![down], vec![OK]]);
    let (result, waits) = get(url, false, LONG).await;
    assert_eq!(result.unwrap(), 200);
    assert_eq!(waits, [20_000, 500, 1000].map(Duration::from_millis));
}

// hazard: 71
#[tokio::test]
async fn a_server_that_never_answers_is_asked_twice() {
    let url = server(vec![vec![], vec!["HTTP/1.1 200 OK\r\n"], vec![OK]]);
    let (result, waits) = get(url, false, SHORT).await;
    let error = result.unwrap_err().to_string();
    assert!(error.contains("no answer for"), "{error}");
    assert_eq!(waits.len(), 1);
}

#[tokio::test]
async fn a_connection_that_breaks_is_tried_again() {
    let url = server(vec![vec!["HTTP/1.1 nonsense\r\n\r\n"], vec![OK]]);
    let (result, waits) = get(url, false, LONG).await;
    assert_eq!(result.unwrap(), 200);
    assert_eq!(waits.len(), 1);
}

// hazard: 58, 72, 73
#[tokio::test]
async fn a_document_that_drips_or_stalls_or_does_not_end_is_given_up() {
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let mut dripping = vec![head];
    dripping.extend(vec!["x"; 99]);
    let (result, _) = get(server(vec![dripping]), true, SHORT).await;
    assert!(
        result.unwrap_err().to_string().contains("no answer"),
        "dripping"
    );
    let (result, _) = get(server(vec![vec![head, "x"]]), true, SHORT).await;
    assert!(
        result.unwrap_err().to_string().contains("no answer"),
        "stalled"
    );
    let (result, _) = get(server(vec![vec![head, TOO_MUCH]]), true, LONG).await;
    assert!(matches!(result, Err(Error::TooLarge { limit: 100, .. })));
    let announced = "HTTP/1.1 200 OK\r\nContent-Length: 101\r\n\r\n";
    let (result, _) = get(server(vec![vec![announced]]), true, LONG).await;
    assert!(matches!(result, Err(Error::TooLarge { limit: 100, .. })));
}

// hazard: 125
#[tokio::test]
async fn a_head_without_end_is_refused() {
    let long = Box::leak(format!("HTTP/1.1 200 OK\r\nX: {}\r\n\r\n", "x".repeat(10 << 20)).into());
    let (result, _) = get(server(vec![vec![long]; 4]), false, LONG).await;
    assert!(
        matches!(result, Err(Error::Unreachable { .. })),
        "{result:?}"
    );
    let many = Box::leak(format!("HTTP/1.1 200 OK\r\n{}\r\n", "X: y\r\n".repeat(300)).into());
    let (result, _) = get(server(vec![vec![many]; 4]), false, LONG).await;
    assert!(
        matches!(result, Err(Error::Unreachable { .. })),
        "{result:?}"
    );
}

#[tokio::test]
async fn a_peer_that_wants_to_be_left_alone_is_left_alone_by_all() {
    let busy =
        "HTTP/1.1 429 X\r\nRetry-After: 20\r\nContent-Length: 0\r\nConnection: close\r\n\r\n";
    let (clock, pauses) = (Counting::default(), pause::Pauses::default());
    let origin = |url: &str| Origin::of(&Url::parse(url).unwrap()).unwrap();
    let (peer, other) = (origin("https://a.example"), origin("https://b.example"));
    pauses.begin(&peer, Duration::from_secs(20), &clock);
    pauses.begin(&peer, Duration::from_secs(5), &clock);
    pauses.pass(&other, &clock).await;
    assert!(clock.0.lock().unwrap().is_empty());
    pauses.pass(&peer, &clock).await;
    pauses.pass(&peer, &clock).await;
    assert_eq!(*clock.0.lock().unwrap(), [Duration::from_secs(20)]);
    // The one that was told waits once, not twice.
    let (result, waits) = get(
        server(vec![vec![busy], vec![OK]]),
        false,
        Duration::from_secs(5),
    )
    .await;
    assert_eq!(result.unwrap(), 200);
    assert_eq!(waits, [Duration::from_secs(20)]);
}
