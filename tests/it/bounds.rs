//! Limits on what servers may say: what is just allowed, and one byte, hop or page more.

use crate::support::{
    Output, Sandbox,
    fake::{
        Answer, Fake,
        documents::{Documents, tags},
    },
    logins::{login, sandbox},
};

/// Returns a text with this beginning and end, and so many bytes.
fn padded(start: &str, end: &str, length: usize) -> String {
    let pad = "x".repeat(length - start.len() - end.len());
    [start, &pad, end].concat()
}

// hazard: 123
#[test]
fn a_token_may_have_a_mebibyte_with_all_around_it() {
    for (length, code) in [(1 << 20, 0), ((1 << 20) + 1, 9)] {
        let body = padded(r#"{"token":"t-1","x":""#, r#""}"#, length);
        let server = Fake::start(move |_| Answer::new(200).body(&*body));
        let realm = format!("http://{}/token", server.host());
        let registry = Fake::start(move |request| match request.header("authorization") {
            Some("Bearer t-1") => Answer::new(200),
            _ => Answer::wants_bearer(&realm),
        });
        let _ = login(&sandbox(), &registry.host(), []).exits(code);
    }
}

/// Asks for `team/net:1.0`, once.
fn ask(registry: &Fake) -> Output {
    let name = format!("{}/team/net:1.0", registry.host());
    Sandbox::new().run(["info", "-r", &name, "--retries", "0"])
}

// hazard: 125
#[test]
fn of_an_error_64_kib_are_read() {
    for (length, is_understood) in [(64 << 10, true), ((64 << 10) + 1, false)] {
        let (start, end) = (
            r#"{"errors":[{"code":"DENIED","message":"not you","detail":""#,
            r#""}]}"#,
        );
        let body = padded(start, end, length);
        let registry = Fake::start(move |_| Answer::new(403).body(&*body));
        let output = ask(&registry).exits(4);
        let words = output.stderr.contains("not you (DENIED)");
        assert_eq!(words, is_understood, "{length}: {output}");
        assert!(output.stderr.len() < 2000, "{}", output.stderr.len());
    }
}

// hazard: 125
#[test]
fn the_head_of_an_answer_may_have_256_lines() {
    // With the four that are there anyway.
    for (more, code) in [(252, 0), (253, 6)] {
        let mut documents = Documents::new();
        documents.kit("1.0", "net");
        let registry = Fake::start(move |request| {
            let answer = documents.answer(request);
            (0..more).fold(answer, |answer, number| {
                answer.header(&format!("X-{number}"), "x")
            })
        });
        let _ = ask(&registry).exits(code);
    }
}

// hazard: 69
#[test]
fn five_redirects_are_followed_and_not_one_more() {
    for (hops, code) in [(5, 0), (6, 6)] {
        let mut documents = Documents::new();
        documents.kit("1.0", "net");
        let registry = Fake::start(move |request| {
            let at = match request.path().strip_prefix("/hop/") {
                Some(hop) => hop.parse().unwrap(),
                None if request.path().ends_with("/manifests/1.0") => 0,
                None => return documents.answer(request),
            };
            if at < hops {
                return Answer::new(307).header("Location", format!("/hop/{}", at + 1));
            }
            let mut original = request.clone();
            original.target = "/v2/team/net/manifests/1.0".to_owned();
            documents.answer(&original)
        });
        let output = ask(&registry).exits(code);
        let too_many = output.stderr.contains("there are too many redirects");
        assert_eq!(too_many, code != 0, "{output}");
    }
}

// hazard: 79
#[test]
fn a_list_of_tags_may_have_a_thousand_pages() {
    for (pages, code) in [(1000, 0), (1001, 9)] {
        let mut documents = Documents::new();
        documents.kit("a", "net");
        let registry = Fake::start(move |request| {
            if !request.path().ends_with("/tags/list") {
                return documents.answer(request);
            }
            let page = request.target.split_once("last=").map_or(1, |(_, last)| {
                let digits = last.split('&').next().unwrap();
                digits.parse::<u32>().unwrap()
            });
            let answer = tags(["a"]);
            if page == pages {
                return answer;
            }
            answer.header("Link", format!("<?last={}>; rel=next", page + 1))
        });
        let name = format!("{}/team/net", registry.host());
        let _ = sandbox().run(["list", &name]).exits(code);
    }
}
