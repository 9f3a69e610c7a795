//! `kit unpack --include-remote`: datasets that a kit names and does not hold.

use std::{
    io::{Read as _, Write as _},
    net::TcpListener,
    thread,
};

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox, digest,
    fake::{Answer, Fake},
    shelf::{Rules, StoreShelf},
};

/// Packs a kit with one dataset that is elsewhere.
fn pack(kit: &Sandbox, remote: &str) {
    kit.file(
        "src/Kitfile",
        format!(
            "docs: [{{path: README.md}}]\ndatasets:\n  - {{name: far, path: data/far, {remote}}}\n"
        ),
    )
    .file("src/README.md", "read");
    kit.run(["pack", "src", "-q", "-t", "net:1"]).success();
}

fn unpack(kit: &Sandbox, words: &str) -> Output {
    let words = words.split_whitespace();
    let words = ["unpack", "net:1", "-d", "out"].into_iter().chain(words);
    kit.run(words).hide_digests()
}

/// Packs a kit of data as `name`.
fn data(kit: &Sandbox, name: &str) -> String {
    kit.file(
        "data/Kitfile",
        "model: {name: net, path: net.bin}\ndatasets: [{name: rows, path: rows}, {name: one, path: one.csv}]\n",
    )
    .file("data/net.bin", "not data")
    .file("data/rows/a.csv", "1,2")
    .file("data/one.csv", "3,4");
    let packed = [
        "pack",
        "data",
        "-q",
        "-t",
        name,
        "--format",
        "{{ .Digest }}",
    ];
    kit.run(packed).success().trim().to_owned()
}

#[test]
fn the_datasets_of_another_kit_go_below_the_path() {
    let kit = Sandbox::new();
    let digest = data(&kit, "team/data:1");
    pack(
        &kit,
        &format!("remotePath: 'team/data:1', remoteHash: '{digest}'"),
    );
    assert_data_eq!(
        unpack(&kit, ""),
        str![[r#"
[stderr]
Not taken: dataset `far` is kept elsewhere (team/data:1); --include-remote takes it
Unpacking to [WORK]/out
Unpacking docs `README.md`
2 files written (209 B)
[exit 0]

"#]]
    );
    assert_data_eq!(
        unpack(&kit, "--include-remote"),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking docs `README.md`
Unpacking dataset `rows` to `rows` of team/data:1 below `data/far`
Unpacking dataset `one` to `one.csv` of team/data:1 below `data/far`
2 files written, 2 already there (6 B)
[exit 0]

"#]]
    );
    let read = |path: &str| std::fs::read_to_string(kit.path(path)).unwrap();
    assert_eq!(read("out/data/far/rows/a.csv"), "1,2");
    assert_eq!(read("out/data/far/one.csv"), "3,4");
    assert!(!kit.path("out/data/far/net.bin").exists());
    assert_data_eq!(
        unpack(&kit, "--include-remote --dry-run --include **/a.csv"),
        str![[r#"
data/far/rows/a.csv
[stderr]
1 file of 3 B would be written to out
[exit 0]

"#]]
    );
    assert_data_eq!(
        unpack(&kit, "--include-remote --filter docs"),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking docs `README.md`
0 files written, 1 already there (0 B)
[exit 0]

"#]]
    );
    // Another kit than was meant.
    pack(
        &kit,
        &format!(
            "remotePath: 'team/data:1', remoteHash: '{}'",
            crate::support::digest(b"x")
        ),
    );
    assert_data_eq!(
        unpack(&kit, "--include-remote"),
        str![[r#"
[stderr]
error: cannot get dataset `far` from team/data:1
  caused by: team/data:1 is sha256:[DIGEST], not sha256:[DIGEST]
hint: someone has moved the tag, or it is not the kit you were told of
[exit 5]

"#]]
    );
}

#[test]
fn a_kit_of_data_may_be_in_a_registry() {
    let publisher = Sandbox::new();
    let shelf = StoreShelf::of(&publisher, Rules::default());
    let name = format!("{}/team/data:1", shelf.host());
    data(&publisher, &name);
    let kit = Sandbox::new();
    pack(&kit, &format!("remotePath: '{name}'"));
    let hide = |output: Output| output.hide(&shelf.host(), "[HOST]");
    assert_data_eq!(
        hide(unpack(&kit, "--include-remote")),
        str![[r#"
[stderr]
error: cannot get dataset `far` from [HOST]/team/data:1
  caused by: its parent [HOST]/team/data:1 is on [HOST], another registry
hint: if you trust it: --allow-parent [HOST], or `kit login [HOST]`
[exit 4]

"#]]
    );
    let allowed = format!("--include-remote --allow-parent {}", shelf.host());
    assert_data_eq!(
        hide(unpack(&kit, &allowed)),
        str![[r#"
[stderr]
[HOST]/team/data:1 is not in the store: it is read from its registry
Unpacking to [WORK]/out
Unpacking docs `README.md`
Unpacking dataset `rows` to `rows` of [HOST]/team/data:1 below `data/far`
Unpacking dataset `one` to `one.csv` of [HOST]/team/data:1 below `data/far`
4 files written (143 B)
[exit 0]

"#]]
    );
    assert!(kit.path("out/data/far/rows/a.csv").exists());
}

const CONTENT: &str = "id,label\n1,cat\n";

fn s3(kit: &Sandbox) {
    let hash = digest(CONTENT.as_bytes());
    pack(
        kit,
        &format!("remotePath: 's3://my-bucket/a b/far.csv', remoteHash: '{hash}'"),
    );
}

#[test]
fn an_object_is_fetched_with_a_signed_address_and_checked() {
    let storage = Fake::start(|_| Answer::new(200).body(CONTENT));
    let mut kit = Sandbox::new();
    s3(&kit);
    kit.env("AWS_ENDPOINT_URL_S3", format!("http://{}", storage.host()));
    assert_data_eq!(
        unpack(&kit, "--include-remote"),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking docs `README.md`
Unpacking dataset `far` to `data/far`
3 files written (239 B)
[exit 0]

"#]]
    );
    let content = std::fs::read_to_string(kit.path("out/data/far")).unwrap();
    assert_eq!(content, CONTENT);
    let asked = &storage.requests()[0];
    assert_eq!(asked.target, "/my-bucket/a%20b/far.csv", "not signed");
    kit.env("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE");
    kit.env("AWS_SECRET_ACCESS_KEY", "verysecret");
    kit.env("AWS_SESSION_TOKEN", "verysecrettoken");
    let output = unpack(&kit, "--include-remote -vvv").exits(0);
    assert!(!output.to_string().contains("verysecret"), "{output}");
    let asked = storage.requests().pop().unwrap().target;
    for part in [
        "X-Amz-Credential=AKIDEXAMPLE%2F",
        "us-east-1%2Fs3%2Faws4_request",
        "X-Amz-Security-Token=verysecrettoken",
        "X-Amz-Signature=",
    ] {
        assert!(asked.contains(part), "{asked}");
    }
    let signature = asked.rsplit('=').next().unwrap();
    assert!(!output.to_string().contains(signature), "{output}");
}

#[test]
fn what_an_object_must_not_be_is_told() {
    let answers = |answer: Answer| {
        let storage = Fake::start(move |_| answer.clone());
        let mut kit = Sandbox::new();
        s3(&kit);
        kit.env("AWS_ENDPOINT_URL_S3", format!("http://{}", storage.host()));
        let output = unpack(&kit, "--include-remote --retries 0");
        assert!(kit.path("out/README.md").exists(), "the layers are there");
        assert!(!kit.path("out/data/far").exists());
        output.hide(&storage.host(), "[HOST]")
    };
    assert_data_eq!(
        answers(Answer::new(200).body("another")),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking docs `README.md`
Unpacking dataset `far` to `data/far`
error: cannot unpack dataset `far` to `data/far` (sha256:[DIGEST])
  caused by: the content is damaged: expected sha256:[DIGEST], found sha256:[DIGEST]
hint: what the registry holds, or something on the way, is not as it was pushed
[exit 5]

"#]]
    );
    let denied = "<?xml version=\"1.0\"?><Error><Code>AccessDenied</Code></Error>";
    assert_data_eq!(
        answers(Answer::new(403).body(denied)),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking docs `README.md`
Unpacking dataset `far` to `data/far`
error: cannot unpack dataset `far` to `data/far` (sha256:[DIGEST])
  caused by: http://[HOST] answered 403 to the request for s3://my-bucket/a b/far.csv: AccessDenied
hint: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or copy it there by other means
[exit 4]

"#]]
    );
    let kit = Sandbox::new();
    let hash = digest(b"");
    pack(
        &kit,
        &format!("remotePath: 's3://my-bucket/folder/', remoteHash: '{hash}'"),
    );
    assert_data_eq!(
        unpack(&kit, "--include-remote"),
        str![[r#"
[stderr]
error: cannot get dataset `far` from s3://my-bucket/folder/
  caused by: s3://my-bucket/folder/ names no single object
hint: single objects are fetched, s3://BUCKET/KEY; copy others with a program of the storage
[exit 1]

"#]]
    );
    pack(
        &kit,
        "remotePath: 's3://my-bucket/a.csv', remoteHash: 'md5:1'",
    );
    assert_data_eq!(
        unpack(&kit, "--include-remote"),
        str![[r#"
[stderr]
error: cannot get dataset `far` from s3://my-bucket/a.csv
  caused by: its remoteHash `md5:1` is no SHA-256
hint: whoever packs the kit writes it as sha256:…
[exit 1]

"#]]
    );
}

#[test]
fn an_object_that_breaks_off_goes_on_where_it_ended() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let host = listener.local_addr().unwrap();
    let server = thread::spawn(move || {
        let half = CONTENT.len() / 2;
        let mut asked = Vec::new();
        for turn in 0..2 {
            let (mut stream, _) = listener.accept().unwrap();
            let mut request = vec![0; 8192];
            let read = stream.read(&mut request).unwrap();
            asked.push(String::from_utf8_lossy(&request[..read]).to_lowercase());
            let length = CONTENT.len();
            let answer = if turn == 0 {
                format!(
                    "HTTP/1.1 200 OK\r\nContent-Length: {length}\r\n\r\n{}",
                    &CONTENT[..half]
                )
            } else {
                format!(
                    "HTTP/1.1 206 Partial\r\nContent-Range: bytes {half}-{}/{length}\r\nContent-Length: {}\r\n\r\n{}",
                    length - 1,
                    length - half,
                    &CONTENT[half..]
                )
            };
            stream.write_all(answer.as_bytes()).unwrap();
        }
        asked
    });
    let mut kit = Sandbox::new();
    s3(&kit);
    kit.env("AWS_ENDPOINT_URL", format!("http://{host}"));
    unpack(&kit, "--include-remote").success();
    let asked = server.join().unwrap();
    let range = format!("range: bytes={}-{}", CONTENT.len() / 2, CONTENT.len() - 1);
    assert!(
        !asked[0].contains("range:") && asked[1].contains(&range),
        "{asked:?}"
    );
    let content = std::fs::read_to_string(kit.path("out/data/far")).unwrap();
    assert_eq!(content, CONTENT);
}
