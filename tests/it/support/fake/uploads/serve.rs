//! Requests as they arrive, and answers as they leave.

use std::{
    fmt::Write as _,
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Shutdown, TcpStream},
    sync::Mutex,
    time::{Duration, Instant},
};

use super::{Asked, Checks, Habits, Held, Trouble, spec};

pub(super) struct Answer {
    pub(super) status: u16,
    headers: Vec<(String, String)>,
    body: String,
}

pub(super) fn answer(status: u16) -> Answer {
    Answer {
        status,
        headers: Vec::new(),
        body: String::new(),
    }
}

pub(super) fn error(status: u16, code: &str, message: &str) -> Answer {
    Answer {
        body: format!(r#"{{"errors":[{{"code":"{code}","message":"{message}"}}]}}"#),
        ..answer(status)
    }
}

impl Answer {
    pub(super) fn header(mut self, name: &str, value: impl std::fmt::Display) -> Self {
        self.headers.push((name.to_owned(), value.to_string()));
        self
    }

    pub(super) fn body(mut self, text: &str) -> Self {
        text.clone_into(&mut self.body);
        self
    }
}

pub(super) fn serve(mut stream: &TcpStream, held: &Mutex<Held>, habits: &Habits, checks: &Checks) {
    stream
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let mut reader = BufReader::new(stream);
    let Some(mut asked) = head(&mut reader) else {
        return;
    };
    let number = {
        let mut held = held.lock().unwrap();
        let method = asked.method.clone();
        let count = held.counts.entry(method).or_default();
        *count += 1;
        *count - 1
    };
    let target = format!("{}{}", asked.before, asked.target());
    let length = asked.length().unwrap_or(0);
    let trouble = (habits.trouble)(&asked, number);
    if let Some(Trouble::AnswerAndHang(status)) = trouble {
        let _ = reader.read_exact(&mut vec![0; 1 << 20]);
        hang(stream, held, checks, status);
        return;
    }
    let mut body = Vec::new();
    // Only manifests are looked into.
    let is_upload = asked.is_upload();
    if is_upload {
        checks.request(&asked.checked(&target, b""));
    }
    let result = match &trouble {
        Some(Trouble::Answer(status, headers, text)) => Some(Answer {
            headers: headers
                .iter()
                .map(|it| (it.0.to_owned(), it.1.clone()))
                .collect(),
            body: text.clone(),
            ..answer(*status)
        }),
        _ if habits.max_body.is_some_and(|most| length > most) => {
            Some(error(413, "SIZE_INVALID", "request entity too large"))
        }
        _ => {
            let take = match trouble {
                Some(Trouble::Cut(bytes)) => bytes.min(length),
                _ => length,
            };
            (&mut reader).take(take).read_to_end(&mut body).ok();
            asked.body = body.len() as u64;
            if asked.body < length {
                held.lock().unwrap().cut(asked, &body, habits);
                let _ = stream.shutdown(Shutdown::Both);
                return;
            }
            None
        }
    };
    let document = if is_upload { Vec::new() } else { body.clone() };
    if !is_upload {
        checks.request(&asked.checked(&target, &document));
    }
    let mut held = held.lock().unwrap();
    let result = result.unwrap_or_else(|| held.act(&asked, body, habits));
    asked.status = result.status;
    held.asked.push(asked.clone());
    drop(held);
    let result = match trouble {
        Some(Trouble::DoneBut(status)) => answer(status),
        Some(Trouble::DoneInSilence) => {
            let _ = stream.shutdown(Shutdown::Both);
            return;
        }
        _ => result,
    };
    checks.answer(
        &asked.checked(&target, &document),
        result.status,
        &result.headers,
    );
    let is_head = asked.method == "HEAD";
    let mut text = format!("HTTP/1.1 {} X\r\nConnection: close\r\n", result.status);
    let mut headers = result.headers;
    headers.extend(
        habits
            .headers
            .iter()
            .map(|it| (it.0.to_owned(), it.1.to_owned())),
    );
    if !headers.iter().any(|it| it.0 == "Content-Length") {
        headers.push(("Content-Length".to_owned(), result.body.len().to_string()));
    }
    for (name, value) in headers {
        write!(text, "{name}: {value}\r\n").unwrap();
    }
    text.push_str("\r\n");
    if !is_head {
        text.push_str(&result.body);
    }
    // The other side may have had enough.
    let _ = stream.write_all(text.as_bytes());
    let _ = stream.shutdown(Shutdown::Write);
    // What is still being sent is taken and dropped, as careful servers do.
    let _ = stream.set_read_timeout(Some(Duration::from_secs(2)));
    let _ = std::io::copy(&mut reader, &mut std::io::sink());
}

/// Answers, and then neither reads nor ends the connection, as long as a careful client needs.
fn hang(mut stream: &TcpStream, held: &Mutex<Held>, checks: &Checks, status: u16) {
    let answer = format!("HTTP/1.1 {status} X\r\nContent-Length: 0\r\n\r\n");
    let _ = stream.write_all(answer.as_bytes());
    let asked = || held.lock().unwrap().counts.values().sum::<usize>();
    let (before, began) = (asked(), Instant::now());
    while asked() == before {
        // Less than the time after which systems give such a connection up.
        if began.elapsed() > Duration::from_secs(20) {
            return checks.fault("nothing was asked while one connection hung");
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    std::thread::sleep(Duration::from_secs(5));
}

fn head(reader: &mut BufReader<&TcpStream>) -> Option<Asked> {
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
    // A proxy is told the host, too.
    let below = spec::below(&target);
    let before = target[..target.len() - below.len()].to_owned();
    let (path, query) = below.split_once('?').unwrap_or((below, ""));
    Some(Asked {
        at: Instant::now(),
        method,
        before,
        path: path.to_owned(),
        query: query.to_owned(),
        headers,
        body: 0,
        status: 0,
    })
}
