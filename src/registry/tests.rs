//! A registry that gives out tokens and takes them back.

use std::{
    fmt,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, TcpListener},
    sync::{Arc, Mutex},
    thread,
};

use super::*;
use crate::{
    credentials::{Credential, Secret},
    http::{self, Client, Observer, Request},
};

struct Deaf;

impl Observer for Deaf {
    fn step(&self, _: fmt::Arguments<'_>) {}
    fn waiting(&self, _: fmt::Arguments<'_>) {}
}

/// Starts a server that answers as `answer` says, which is given its host, and first line and
/// authorization of a request. Returns its host and what it was asked.
fn server(
    answer: impl Fn(&str, &str, &str) -> String + Send + 'static,
) -> (String, Arc<Mutex<Vec<String>>>) {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let host = listener.local_addr().unwrap().to_string();
    let asked = Arc::new(Mutex::new(Vec::new()));
    let recorded = Arc::clone(&asked);
    let own = host.clone();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                let mut byte = [0];
                stream.read_exact(&mut byte).unwrap();
                head.push(byte[0]);
            }
            let head = String::from_utf8(head).unwrap();
            let line = head.lines().next().unwrap();
            let proof = head
                .lines()
                .find_map(|it| it.strip_prefix("authorization: "));
            let proof = proof.unwrap_or("-");
            recorded.lock().unwrap().push(format!("{line} {proof}"));
            let text = answer(&own, line, proof);
            stream.write_all(text.as_bytes()).unwrap();
        }
    });
    (host, asked)
}

fn reply(status: u16, header: &str, body: &str) -> String {
    let length = body.len();
    format!(
        "HTTP/1.1 {status} X\r\nConnection: close\r\n{header}Content-Length: {length}\r\n\r\n{body}"
    )
}

fn registry(host: &str, login: Option<Credential>) -> Registry {
    let client = Client::new(http::Options::default(), Arc::new(Deaf)).unwrap();
    let options = Options {
        plain_http: true,
        ..Options::default()
    };
    Registry::new(client, host, login, options).unwrap()
}

#[tokio::test]
async fn a_token_is_used_again_for_its_scope_and_replaced_when_it_is_refused() {
    let given = Mutex::new(0);
    let (host, asked) = server(move |host, line, proof| {
        if line.starts_with("GET /token") {
            let mut given = given.lock().unwrap();
            *given += 1;
            return reply(200, "", &format!(r#"{{"token":"t{given}"}}"#));
        }
        match proof {
            "-" => {
                let challenge =
                    format!("WWW-Authenticate: Bearer realm=\"http://{host}/token\"\r\n");
                reply(401, &challenge, "")
            }
            // Too old, as some registries say it: without a challenge.
            "Bearer t1" if line.contains("/third") => reply(403, "", ""),
            _ => reply(200, "", "{}"),
        }
    });
    let registry = registry(&host, None);
    for path in ["first", "second", "third"] {
        let (response, _) = registry
            .ask(path, Some("repository:a:pull"), &Request::get)
            .await
            .unwrap();
        assert_eq!(response.status(), 200, "{path}");
    }
    let (response, _) = registry
        .ask("fourth", Some("repository:b:pull"), &Request::get)
        .await
        .unwrap();
    assert_eq!(response.status(), 200);
    let token = |scope| format!("GET /token?scope=repository%3A{scope}%3Apull HTTP/1.1 -");
    assert_eq!(
        *asked.lock().unwrap(),
        [
            "GET /v2/first HTTP/1.1 -",
            &token("a"),
            "GET /v2/first HTTP/1.1 Bearer t1",
            "GET /v2/second HTTP/1.1 Bearer t1",
            "GET /v2/third HTTP/1.1 Bearer t1",
            &token("a"),
            "GET /v2/third HTTP/1.1 Bearer t2",
            &token("b"),
            "GET /v2/fourth HTTP/1.1 Bearer t3",
        ]
    );
}

// hazard: 138
#[tokio::test]
async fn a_refused_password_is_shown_once() {
    let (host, asked) = server(|_, _, _| reply(401, "WWW-Authenticate: Basic\r\n", "no"));
    let login = Credential::of("u", Secret::new("p".to_owned()));
    let error = registry(&host, Some(login)).check().await.unwrap_err();
    let expected = format!("http://{host} refused the login with 401: no");
    assert_eq!(error.to_string(), expected);
    assert_eq!(asked.lock().unwrap().len(), 2);
}

#[tokio::test]
async fn without_a_login_the_need_for_one_is_said() {
    let (host, _) = server(|_, _, _| reply(401, "WWW-Authenticate: Basic\r\n", ""));
    let error = registry(&host, None).check().await.unwrap_err();
    assert_eq!(error.to_string(), format!("{host} asks for a login"));
}
