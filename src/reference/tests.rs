use proptest::prelude::*;

use super::*;

const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

/// Reads `text` and returns registry, path, tag and digest, each empty if it is not there.
fn parts(text: &str) -> [String; 4] {
    let reference = Reference::parse(text).unwrap();
    let owned = |text: Option<&str>| text.unwrap_or_default().to_owned();
    [
        owned(reference.repository().and_then(Repository::registry)),
        owned(reference.repository().map(Repository::path)),
        owned(reference.tag()),
        reference
            .digest()
            .map(|digest| digest.hex())
            .unwrap_or_default(),
    ]
}

#[test]
fn names_are_taken_apart() {
    for (text, expected) in [
        ("net", ["", "net", "", ""]),
        ("a/b/c/d", ["", "a/b/c/d", "", ""]),
        ("test.io/a/b/c/d", ["test.io", "a/b/c/d", "", ""]),
        ("test.io/a/b/c/d:v1", ["test.io", "a/b/c/d", "v1", ""]),
        (
            &format!("testorg.com/testrepo@sha256:{HEX}"),
            ["testorg.com", "testrepo", "", HEX],
        ),
        (
            &format!("testrepo:ignoredtag@sha256:{HEX}"),
            ["", "testrepo", "", HEX],
        ),
        (&format!("sha256:{HEX}"), ["", "", "", HEX]),
        (
            "localhost:5000/org/repo:t",
            ["localhost:5000", "org/repo", "t", ""],
        ),
        ("localhost:5000/x", ["localhost:5000", "x", "", ""]),
        ("localhost/x", ["", "x", "", ""]),
        ("localhost/localhost/x:1", ["", "x", "1", ""]),
        ("localhost", ["", "localhost", "", ""]),
        ("localhost:5000", ["", "localhost", "5000", ""]),
        ("a.b", ["", "a.b", "", ""]),
        ("a.b:1", ["", "a.b", "1", ""]),
        ("reg:5000", ["", "reg", "5000", ""]),
        ("a/b.c/d", ["", "a/b.c/d", "", ""]),
        ("REG.example:443/x", ["reg.example:443", "x", "", ""]),
        ("LOCALHOST:5000/x", ["localhost:5000", "x", "", ""]),
        ("[::1]:5000/x:1", ["[::1]:5000", "x", "1", ""]),
        ("[0:0::1]/x", ["[::1]", "x", "", ""]),
        ("127.0.0.1:5000/x", ["127.0.0.1:5000", "x", "", ""]),
        ("my_registry:5000/x", ["my_registry:5000", "x", "", ""]),
        ("a_b/c__d/e---f.g", ["", "a_b/c__d/e---f.g", "", ""]),
        ("x:_A.b-C", ["", "x", "_A.b-C", ""]),
        (
            "localhost:5000/localhost/x",
            ["localhost:5000", "localhost/x", "", ""],
        ),
        ("sha256/x:1", ["", "sha256/x", "1", ""]),
    ] {
        assert_eq!(parts(text), expected, "{text}");
    }
}

#[test]
fn further_tags_are_names_of_their_own() {
    let list = |text: &str| -> Vec<String> {
        let all = Reference::parse_list(text).unwrap();
        all.iter().map(ToString::to_string).collect()
    };
    assert_eq!(
        list("localhost:5000/org/repo:t,e1,e2"),
        [
            "localhost:5000/org/repo:t",
            "localhost:5000/org/repo:e1",
            "localhost:5000/org/repo:e2"
        ]
    );
    assert_eq!(list("x:a,b,a"), ["x:a", "x:b"]);
    assert_eq!(list("x"), ["x"]);
    assert_eq!(
        list(&format!("x:a,b@sha256:{HEX}")),
        [format!("x@sha256:{HEX}")]
    );
    for bad in [
        "x:a,.bad", "x:a,", "x:,a", "x:a,b/c", "x:a,b:c", "x,y", "x:a, b",
    ] {
        assert!(Reference::parse_list(bad).is_err(), "{bad}");
    }
    let error = Reference::parse("x:a,b").unwrap_err();
    assert_eq!(
        error.to_string(),
        "`x:a,b` has several tags where one name is needed"
    );
}

#[test]
fn what_is_wrong_is_said() {
    let repository = "expected lower-case letters and digits, in between `/`, `.`, `_`, `__` or any number of `-`";
    let registry = "expected a host name or address and, behind `:`, a port from 1 to 65535 without zeros in front";
    let tag = "expected 1 to 128 letters, digits, `_`, `.` and `-`, not beginning with `.` or `-`";
    for (text, message) in [
        ("", "the name of the kit is empty".to_owned()),
        ("net:1,v2,", "`net:1,v2,` has an empty tag".to_owned()),
        ("net:", "`net:` has an empty tag".to_owned()),
        (
            "net:1,net:2",
            "`net:2` in `net:1,net:2` is a name where a tag is expected: only tags follow a comma"
                .to_owned(),
        ),
        (
            "net:1,reg.io/net:2",
            "`reg.io/net:2` in `net:1,reg.io/net:2` is a name where a tag is expected: only tags follow a comma"
                .to_owned(),
        ),
        (
            "UPPER",
            "repository `UPPER` has upper-case letters; did you mean `upper`?".to_owned(),
        ),
        (
            "reg.io/Team/Net:1",
            "repository `Team/Net` has upper-case letters; did you mean `reg.io/team/net`?"
                .to_owned(),
        ),
        (
            "Localhost/x",
            "repository `Localhost/x` has upper-case letters; did you mean `localhost/x`?"
                .to_owned(),
        ),
        (
            "./a",
            "`./a` is a file path, not the name of a kit".to_owned(),
        ),
        (
            "../a",
            "`../a` is a file path, not the name of a kit".to_owned(),
        ),
        (".", "`.` is a file path, not the name of a kit".to_owned()),
        (
            "/a/b",
            "`/a/b` is a file path, not the name of a kit".to_owned(),
        ),
        (
            r"C:\x",
            r"`C:\x` is a file path, not the name of a kit".to_owned(),
        ),
        (
            "C:/x",
            "`C:/x` is a file path, not the name of a kit".to_owned(),
        ),
        (
            r"\\host\x",
            r"`\\host\x` is a file path, not the name of a kit".to_owned(),
        ),
        (
            "https://reg.io/x:1",
            "`https://reg.io/x:1` is a URL, not the name of a kit; did you mean `reg.io/x:1`?"
                .to_owned(),
        ),
        ("a b", format!("repository `a b` holds ' ', {repository}")),
        (
            r"a\b",
            format!(r"repository `a\b` holds '\\', {repository}"),
        ),
        ("é", format!("repository `é` holds 'é', {repository}")),
        (
            "a\nb",
            format!("repository `a\nb` holds '\\n', {repository}"),
        ),
        (
            "a..b",
            format!("repository `a..b` is not valid, {repository}"),
        ),
        (
            "a___b",
            format!("repository `a___b` is not valid, {repository}"),
        ),
        (
            "a//b",
            format!("repository `a//b` is not valid, {repository}"),
        ),
        ("a/", format!("repository `a/` is not valid, {repository}")),
        ("-a", format!("repository `-a` is not valid, {repository}")),
        (":tag", format!("repository `` is not valid, {repository}")),
        (
            "localhost/",
            format!("repository `` is not valid, {repository}"),
        ),
        (
            "reg.io/",
            format!("repository `` is not valid, {repository}"),
        ),
        ("x:.a", format!("tag `.a` is not valid, {tag}")),
        ("x:a:b", format!("tag `a:b` holds ':', {tag}")),
        (
            "reg.io:/x",
            format!("registry `reg.io:` is not valid, {registry}"),
        ),
        (
            "reg.io:0/x",
            format!("registry `reg.io:0` is not valid, {registry}"),
        ),
        (
            "reg.io:65536/x",
            format!("registry `reg.io:65536` is not valid, {registry}"),
        ),
        (
            "reg.io:+5/x",
            format!("registry `reg.io:+5` is not valid, {registry}"),
        ),
        ("x:a/b", format!("registry `x:a` is not valid, {registry}")),
        (
            "a..b/x",
            format!("registry `a..b` is not valid, {registry}"),
        ),
        (
            "-a.b/x",
            format!("registry `-a.b` is not valid, {registry}"),
        ),
        ("a$.b/x", format!("registry `a$.b` holds '$', {registry}")),
        (
            "[::1/x",
            format!("registry `[::1` is not valid, {registry}"),
        ),
        (
            "[::1]5/x",
            format!("registry `[::1]5` is not valid, {registry}"),
        ),
        (
            "sha256",
            "repository `sha256` has the name of a digest algorithm".to_owned(),
        ),
        (
            "localhost/reg.io/x",
            "`localhost/reg.io/x` would be shown as `reg.io/x`, a name in registry `reg.io`"
                .to_owned(),
        ),
    ] {
        assert_eq!(Reference::parse(text).unwrap_err().to_string(), message);
    }
}

// hazard: 64, 65
#[test]
fn bad_digests_are_explained_by_their_cause() {
    let cause = |text: &str| {
        let error = Reference::parse(text).unwrap_err();
        std::error::Error::source(&error).unwrap().to_string()
    };
    let unsupported = "digest algorithm `sha512` is not supported, only sha256 is";
    assert_eq!(cause("sha512:abc"), unsupported);
    assert_eq!(cause("x@sha512:abc"), unsupported);
    for text in ["sha256:abc", "x@", "x@latest", "x@sha256:abc"] {
        assert!(
            cause(text).contains("expected `sha256:` and 64 lower-case hex digits"),
            "{text}"
        );
    }
    assert!(cause(&format!("x@sha256:{}", HEX.to_uppercase())).contains("is not a digest"));
    assert!(cause(&format!("x@sha256:{HEX},b")).contains("is not a digest"));
}

#[test]
fn lengths_are_limited() {
    let tag = "t".repeat(128);
    assert_eq!(parts(&format!("x:{tag}"))[2], tag);
    assert!(Reference::parse(&format!("x:{tag}t")).is_err());
    let path = "p".repeat(255);
    assert_eq!(parts(&format!("reg.io/{path}"))[1], path);
    let error = Reference::parse(&format!("{path}p")).unwrap_err();
    assert!(
        error.to_string().ends_with("is longer than 255 bytes"),
        "{error}"
    );
}

#[test]
fn parts_are_exchanged_without_parsing_again() {
    let net = Reference::parse("reg.io/net").unwrap();
    assert_eq!(net.clone().or_latest().to_string(), "reg.io/net:latest");
    let tagged = net.with_tag("v2").unwrap();
    assert_eq!(tagged.clone().or_latest().to_string(), "reg.io/net:v2");
    let digest = Digest::of(b"");
    let pinned = tagged.with_digest(digest);
    assert_eq!(pinned.to_string(), format!("reg.io/net@sha256:{HEX}"));
    assert_eq!(pinned.clone().or_latest(), pinned);
    assert_eq!(pinned.with_tag("v3").unwrap().to_string(), "reg.io/net:v3");
    assert!(net.with_tag("a b").is_err());
    let bare = Reference::from(digest);
    assert_eq!(bare.with_tag("v1"), Err(Error::NoRepository));
    assert_eq!(bare.clone().or_latest(), bare);
    let repository = Repository::parse("localhost/net").unwrap();
    assert_eq!(Reference::from(repository).to_string(), "net");
    assert!(Repository::parse("net:1").is_err());
    assert!(Repository::parse("./net").is_err());
}

#[test]
fn a_model_path_is_a_kit_only_if_it_cannot_be_a_file() {
    for (text, kit) in [
        ("reg.io/base:1", "reg.io/base:1"),
        ("localhost/golden/refs-base:v1", "golden/refs-base:v1"),
        ("base:latest", "base:latest"),
    ] {
        assert_eq!(model_path_reference(text).unwrap().to_string(), kit);
    }
    for file in [
        "model.gguf",
        "reg.io/base",
        "./a:b",
        "../a:b",
        "/a:b",
        r"C:\m.gguf",
        "C:/m.gguf",
        "https://x.io/a:b",
        "Model:v1",
        "a b:c",
        "data:x/y",
        "a:b,c",
        "",
    ] {
        assert_eq!(model_path_reference(file), None, "{file}");
    }
}

fn any_reference() -> impl Strategy<Value = Reference> {
    let name = "[a-z0-9]{1,4}((\\.|_|__|-{1,3})[a-z0-9]{1,3}){0,2}";
    let registry = prop_oneof![
        "[a-z0-9]{1,4}(\\.[a-z0-9]{1,3}){1,2}(:[1-9][0-9]{0,3})?",
        "[a-z0-9_]{1,6}:[1-9][0-9]{0,3}",
        any::<[u16; 8]>().prop_map(|groups| format!("[{}]:5000", std::net::Ipv6Addr::from(groups))),
    ];
    let repository = (
        prop::option::of(registry),
        prop::collection::vec(name, 1..4),
    )
        .prop_filter_map(
            "a local name must not begin like a registry",
            |(registry, names)| {
                let path = names.join("/");
                match registry {
                    Some(registry) => Some(Repository(format!("{registry}/{path}"))),
                    None if names.len() > 1 && names[0].contains('.') => None,
                    None => Some(Repository(path)),
                }
            },
        );
    prop_oneof![
        (
            repository.clone(),
            prop::option::of("[A-Za-z0-9_][A-Za-z0-9_.-]{0,9}")
        )
            .prop_map(|(repository, tag)| Reference {
                repository: Some(repository),
                tag,
                digest: None
            }),
        (prop::option::of(repository), any::<[u8; 32]>()).prop_map(|(repository, bytes)| {
            Reference {
                repository,
                tag: None,
                digest: Some(Digest::from_bytes(bytes)),
            }
        }),
    ]
}

proptest! {
    #[test]
    fn a_name_that_is_written_reads_back(reference in any_reference()) {
        prop_assert_eq!(Reference::parse(&reference.to_string()), Ok(reference));
    }

    #[test]
    fn a_text_that_is_read_is_written_in_one_spelling(
        text in "(localhost/)?([aA.:/@,_-]|\\[::1\\]|sha256:|localhost|5000){0,8}",
    ) {
        for reference in Reference::parse_list(&text).into_iter().flatten() {
            let written = reference.to_string();
            prop_assert_eq!(Reference::parse(&written), Ok(reference), "{}", written);
        }
    }
}
