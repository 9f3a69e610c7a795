//! HTTP/1.1 as far as the fake needs it.

use std::{
    fmt::Write as _,
    io::{self, BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::atomic::Ordering,
    thread,
    time::{Duration, Instant},
};

use super::{Answer, Body, Content, Recorded, Traffic};

/// Reads one request; `None` for what is none.
pub(super) fn read(stream: &mut TcpStream) -> Option<Recorded> {
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut first = [0];
    if stream.peek(&mut first).ok()? == 0 || !first[0].is_ascii_uppercase() {
        return None;
    }
    let mut reader = BufReader::new(stream);
    let mut line = || {
        let mut line = String::new();
        reader.read_line(&mut line).ok()?;
        Some(line.trim_end().to_owned())
    };
    let start = line()?;
    let mut words = start.split(' ');
    let (method, target) = (words.next()?.to_owned(), words.next()?.to_owned());
    let mut headers = Vec::new();
    loop {
        let text = line()?;
        let Some((name, value)) = text.split_once(':') else {
            break;
        };
        headers.push((name.to_ascii_lowercase(), value.trim().to_owned()));
    }
    let length = headers.iter().find(|(name, _)| name == "content-length");
    let length = length.map_or(0, |(_, value)| value.parse().unwrap());
    let mut body = String::new();
    reader.take(length).read_to_string(&mut body).ok()?;
    Some(Recorded {
        at: Instant::now(),
        method,
        target,
        headers,
        body,
    })
}

/// Writes an answer and the end of the connection.
pub(super) fn write(stream: &mut TcpStream, answer: &Answer, traffic: &Traffic) -> io::Result<()> {
    if let Body::Tunnel(address) = &answer.body {
        stream.write_all(b"HTTP/1.1 200 Tunnel\r\n\r\n")?;
        return tunnel(stream, TcpStream::connect(address)?);
    }
    let mut head = format!("HTTP/1.1 {} Test\r\nConnection: close\r\n", answer.status);
    for (name, value) in &answer.headers {
        write!(head, "{name}: {value}\r\n").unwrap();
    }
    let mut send = |text: &str| {
        traffic.wire.fetch_add(text.len() as u64, Ordering::SeqCst);
        stream.write_all(text.as_bytes())
    };
    match &answer.body {
        Body::Text(text) => {
            write!(head, "Content-Length: {}\r\n\r\n{text}", text.len()).unwrap();
            send(&head)
        }
        Body::Content(content) => {
            write!(head, "Content-Length: {}\r\n\r\n", content.range.len()).unwrap();
            send(&head)?;
            write_content(stream, content, traffic)
        }
        Body::Large(bytes) => {
            send(&format!("{head}\r\n"))?;
            traffic.wire.fetch_add(*bytes, Ordering::SeqCst);
            io::copy(&mut io::repeat(b'x').take(*bytes), stream).map(drop)
        }
        Body::Tunnel(_) => Ok(()),
    }
}

/// Writes bytes, and counts them as they go.
fn write_content(stream: &mut TcpStream, content: &Content, traffic: &Traffic) -> io::Result<()> {
    let bytes = &content.bytes[content.range.clone()];
    let end = content.cut.into_iter().chain(content.hang).min();
    let end = end.unwrap_or(bytes.len()).min(bytes.len());
    // A slow one sends ten times a second, so that much is not held back by the system.
    let step = content.rate.map_or(64 << 10, |rate| (rate / 10).max(1));
    let began = Instant::now();
    let mut at = 0;
    let now = traffic.now.fetch_add(1, Ordering::SeqCst) + 1;
    traffic.peak.fetch_max(now, Ordering::SeqCst);
    while at < end {
        let part = &bytes[at..(at + step).min(end)];
        at += part.len();
        if at == end {
            // Before the client may know, and asks for more.
            traffic.now.fetch_sub(1, Ordering::SeqCst);
        }
        stream.write_all(part)?;
        traffic.sent.fetch_add(part.len() as u64, Ordering::SeqCst);
        traffic.wire.fetch_add(part.len() as u64, Ordering::SeqCst);
        if let Some(rate) = content.rate {
            let nanoseconds = at as u128 * 1_000_000_000 / rate as u128;
            let due = Duration::from_nanos(u64::try_from(nanoseconds).unwrap());
            thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
    if content.hang.is_some() {
        // Until the client goes.
        stream.set_read_timeout(None)?;
        let _ = stream.read(&mut [0]);
    }
    Ok(())
}

/// Passes bytes on in both directions until one side ends.
fn tunnel(stream: &mut TcpStream, mut server: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (stream.try_clone()?, server.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut from, &mut to); // The other side may end first.
        let _ = to.shutdown(Shutdown::Both);
    });
    io::copy(&mut server, stream).map(drop)
}

/// Ends a connection so that the other side can still read what was sent.
pub(super) fn finish(mut stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Write);
    let _ = stream.set_read_timeout(Some(Duration::from_secs(1)));
    let _ = stream.read(&mut [0; 4096]);
}
