//! `kit list` of registries that are broken, refuse, or lead astray.

use std::sync::atomic::{AtomicU32, Ordering};

use snapbox::{assert_data_eq, str};

use crate::support::{
    fake::{
        Answer, Fake,
        documents::{Documents, MANIFEST, config, manifest, tags},
    },
    logins::{by_password, sandbox},
    registry::{RealRegistry, Setup},
};

// hazard: 60, 61, 63, 122, 133
#[test]
fn what_is_broken_or_no_kit_is_a_row_and_not_the_end() {
    let mut documents = Documents::new();
    let config = config("x\u{1b}[2J");
    let foreign = manifest(&config).replace(
        "vnd.kitops.modelkit.config.v1+json",
        "vnd.cncf.helm.config.v1+json",
    );
    let lost = manifest("never stored");
    let huge =
        manifest(&config).replace(&format!("\"size\":{}", config.len()), "\"size\":99999999");
    let index = r#"{"schemaVersion":2,"manifests":[]}"#;
    let disguised = r#"{"schemaVersion":2,"manifests":[ ]}"#;
    documents
        .kit("good", "net")
        .kit("also", "net")
        .blob(&config)
        .tag("foreign", MANIFEST, &foreign)
        .tag("lost", MANIFEST, &lost)
        .tag("huge", MANIFEST, &huge)
        .tag("escape", MANIFEST, &manifest(&config))
        .tag("junk", MANIFEST, "{")
        .tag("index", "application/vnd.oci.image.index.v1+json", index)
        .tag("disguised", MANIFEST, disguised)
        .lie(
            "lying",
            MANIFEST,
            &manifest("x"),
            &format!("sha256:{}", "0".repeat(64)),
        );
    let registry = Fake::start(move |request| match request.path() {
        "/v2/team/net/tags/list" => {
            let names =
                "also disguised escape foreign good huge index junk large lost lying gone type";
            tags(names.split(' '))
        }
        "/v2/team/net/manifests/large" => Answer::new(200).large(5 << 20),
        "/v2/team/net/manifests/type" => Answer::new(200)
            .header("Content-Type", "application/vnd.oci.image.index.v1+json")
            .body(manifest("x")),
        _ => documents.answer(request),
    });
    let (kit, host) = (sandbox(), registry.host());
    let name = format!("{host}/team/net");
    assert_data_eq!(
        kit.run(["list", &name])
            .hide(&host, "[HOST]")
            .hide_digests(),
        str![[r#"
REPOSITORY                 TAG         MAINTAINER   NAME        SIZE   DIGEST
[HOST]/team/net   also        Ann          net         0 B    sha256:[DIGEST]
[HOST]/team/net   good        Ann          net         0 B    sha256:[DIGEST]
[HOST]/team/net   disguised   <none>       (damaged)   -      sha256:[DIGEST]
[HOST]/team/net   escape      <none>       (damaged)   0 B    sha256:[DIGEST]
[HOST]/team/net   foreign     <none>       (no kit)    0 B    sha256:[DIGEST]
[HOST]/team/net   gone        <none>       (missing)   -      <none>
[HOST]/team/net   huge        <none>       (damaged)   0 B    sha256:[DIGEST]
[HOST]/team/net   index       <none>       (no kit)    -      sha256:[DIGEST]
[HOST]/team/net   junk        <none>       (damaged)   -      sha256:[DIGEST]
[HOST]/team/net   large       <none>       (damaged)   -      <none>
[HOST]/team/net   lost        <none>       (damaged)   0 B    sha256:[DIGEST]
[HOST]/team/net   lying       <none>       (damaged)   -      sha256:[DIGEST]
[HOST]/team/net   type        <none>       (damaged)   -      sha256:[DIGEST]
[stderr]
error: 9 kits cannot be read
  [HOST]/team/net:disguised: the manifest of team/net:disguised on [HOST] cannot be used: manifest holds `manifests`, which does not belong there: it could be read in two ways
  [HOST]/team/net:escape: the config of [HOST]/team/net:escape cannot be read: the config of the kit is not valid: line 1, column 47: not JSON
  [HOST]/team/net:gone: [HOST] has no team/net:gone: unknown (MANIFEST_UNKNOWN)
  [HOST]/team/net:huge: [HOST] sent more than the 4194304 bytes that are read of such an answer
  [HOST]/team/net:junk: the manifest of team/net:junk on [HOST] cannot be used: manifest is malformed: EOF while parsing an object at line 1 column 1
  [HOST]/team/net:large: http://[HOST] sent more than the 4194304 bytes that are read of such an answer
  [HOST]/team/net:lost: [HOST] has no blob sha256:[DIGEST] in team/net
  [HOST]/team/net:lying: http://[HOST] sent content with the digest sha256:[DIGEST] in place of sha256:[DIGEST]
  [HOST]/team/net:type: the manifest of team/net:type on [HOST] cannot be used: index is malformed: `manifests` is missing at line 1 column 252
hint: push them again, or remove them: `kit remove --remote`
[exit 5]

"#]]
    );
    let output = kit.run(["list", &name, "--format", "json"]);
    let report: serde_json::Value = serde_json::from_str(&output.exits(5).stdout).unwrap();
    let rows = report.as_array().unwrap();
    let row = |tag: &str| {
        let has = |row: &&serde_json::Value| row["tags"].as_array().unwrap().contains(&tag.into());
        rows.iter().find(has).unwrap()
    };
    assert_eq!(row("good"), row("also"));
    assert_eq!(row("good").get("problem"), None);
    assert!(row("gone")["digest"].is_null());
    assert!(row("index")["digest"].is_string());
    assert!(row("foreign")["problem"].is_string());
    // One that is no kit is in order, alone or not.
    let one = format!("{name}:foreign");
    let output = kit.run(["list", &one]).success();
    assert!(output.contains("(no kit)"), "{output}");
}

// hazard: 79
#[test]
fn a_list_of_tags_that_leads_astray_is_refused() {
    let elsewhere = Fake::start(|_| tags(["stolen"]));
    let (kit, other) = (sandbox(), elsewhere.host());
    for (link, code, message) in [
        (
            format!("http://{other}/v2/team/net/tags/list?last=a"),
            6,
            "which is another host",
        ),
        (
            "https://evil.example/v2/team/net/tags/list?last=a".to_owned(),
            6,
            "goes on at https://evil.example",
        ),
        ("/v2/team/net/tags/list?n=1000".to_owned(), 6, "leads back"),
        (
            "/v2/team/other/tags/list?last=a".to_owned(),
            6,
            "does not say where it goes on",
        ),
        ("file:///etc/passwd".to_owned(), 6, "another host"),
    ] {
        let registry =
            Fake::start(move |_| tags(["a"]).header("Link", format!("<{link}>; rel=\"next\"")));
        let name = format!("{}/team/net", registry.host());
        let output = kit.run(["list", &name]).exits(code);
        assert!(output.stderr.contains(message), "{output}");
        assert_eq!(registry.requests().len(), 1, "{output}");
    }
    assert!(elsewhere.requests().is_empty());
}

// hazard: 79
#[test]
fn a_list_of_tags_without_end_is_given_up() {
    let page = AtomicU32::new(0);
    let registry = Fake::start(move |_| {
        let page = page.fetch_add(1, Ordering::SeqCst);
        tags(["a"]).header("Link", format!("<?last={page}>; rel=next"))
    });
    let kit = sandbox();
    let name = format!("{}/team/net", registry.host());
    let output = kit.run(["list", &name]).exits(9);
    assert!(
        output.stderr.contains("has more than 1000 pages"),
        "{output}"
    );
    assert_eq!(registry.requests().len(), 1000);
    let many = Fake::start(|_| tags((0..100_001).map(|number| number.to_string())));
    let name = format!("{}/team/net", many.host());
    let output = kit.run(["list", &name]).exits(9);
    assert!(
        output.stderr.contains("has more than 100000 entries"),
        "{output}"
    );
    let huge = Fake::start(|_| Answer::new(200).large(17 << 20));
    let name = format!("{}/team/net", huge.host());
    let output = kit.run(["list", &name]);
    assert!(output.stderr.contains("sent more than"), "{output}");
    let junk = Fake::start(|_| Answer::new(200).body("<html>"));
    let name = format!("{}/team/net", junk.host());
    let output = kit.run(["list", &name]).exits(6);
    assert!(output.stderr.contains("cannot be understood"), "{output}");
}

// hazard: 133
#[test]
fn what_a_registry_refuses_is_told_in_its_words() {
    let kit = sandbox();
    let show = |registry: &Fake, flags: &[&str]| {
        let name = format!("{}/team/net", registry.host());
        let words = [&["list", &name], flags].concat();
        kit.run(words).hide(&registry.host(), "[HOST]")
    };
    assert_data_eq!(
        show(&Fake::start(by_password), &[]),
        str![[r#"
[stderr]
error: [HOST] asks for a login
hint: run `kit login [HOST]`
[exit 4]

"#]]
    );
    let denied = Fake::start(|_| {
        Answer::new(403)
            .body(r#"{"errors":[{"code":"DENIED","message":"\u001b]0;no\u0007 access"}]}"#)
    });
    assert_data_eq!(
        show(&denied, &[]),
        str![[r#"
[stderr]
error: [HOST] does not let us pull from team/net: /x1b]0;no/x07 access (DENIED)
hint: run `kit login [HOST]`
[exit 4]

"#]]
    );
    let broken = Fake::start(|_| Answer::new(500).body("out of order"));
    assert_data_eq!(
        show(&broken, &["--retries", "0"]),
        str![[r#"
[stderr]
error: http://[HOST] answered 500: out of order
hint: try again later
[exit 6]

"#]]
    );
    let refused = kit.run(["list", "localhost:1/team/net", "--retries", "0"]);
    assert_data_eq!(
        refused,
        str![[r#"
[stderr]
error: cannot reach https://localhost:1: Connection refused (os error 111)
hint: check host and port, and whether it is running
[exit 6]

"#]]
    );
    let unknown = kit.run(["list", "no.such.invalid/team/net", "--retries", "0"]);
    assert_data_eq!(
        unknown,
        str![[r#"
[stderr]
error: cannot reach https://no.such.invalid: no such host
hint: check the name; behind a company's proxy set HTTPS_PROXY or --proxy
[exit 6]

"#]]
    );
    let output = kit
        .run(["list", "a.example/x", "--concurrency", "0"])
        .exits(2);
    assert!(
        output
            .stderr
            .contains("invalid argument for concurrency (0): must be at least 1"),
        "{output}"
    );
}

// hazard: 139, 140
#[test]
fn a_certificate_of_an_unknown_authority_is_said() {
    let Some(registry) = RealRegistry::start(&Setup {
        tls: true,
        ..Setup::default()
    }) else {
        return;
    };
    let (kit, host) = (sandbox(), registry.host());
    let name = format!("{host}/team/net");
    assert_data_eq!(
        kit.run(["list", &name]).hide(&host, "[HOST]"),
        str![[r#"
[stderr]
error: cannot reach https://[HOST]: its certificate is not trusted: its authority is not known here
hint: if the registry has an authority of its own, name it with --ca-file FILE
[exit 6]

"#]]
    );
    let authority = registry.path("ca.pem");
    let trusting = ["list", &name, "--ca-file", authority.to_str().unwrap()];
    let _ = kit.run(trusting).exits(3);
    let output = kit.run(["list", &name, "--tls-verify=false"]).exits(3);
    assert!(
        output.stderr.contains("certificates are not checked"),
        "{output}"
    );
}
