//! What refers to a kit goes with it, if that is wanted.

use super::{copy, two};
use crate::support::{
    Layout, Sandbox, digest,
    fake::{Answer, Fake},
    kits,
    registry::{RealRegistry, Setup},
};

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Returns an artifact that is about a manifest, with an empty config.
fn artifact(subject: &str, size: usize, kind: &str) -> String {
    serde_json::json!({
        "schemaVersion": 2,
        "mediaType": MANIFEST,
        "artifactType": kind,
        "config": {"mediaType": "application/vnd.oci.empty.v1+json", "digest": digest(b"{}"), "size": 2},
        "layers": [{"mediaType": "text/plain", "digest": digest(b"{}"), "size": 2}],
        "subject": {"mediaType": MANIFEST, "digest": subject, "size": size},
        "annotations": {"by": "tests"},
    })
    .to_string()
}

fn listed(kind: &str, content: &str) -> serde_json::Value {
    serde_json::json!({
        "mediaType": MANIFEST,
        "artifactType": kind,
        "digest": digest(content.as_bytes()),
        "size": content.len(),
    })
}

/// Makes the layout `folder` with a kit, a signature of it, and a signature of that. Returns all
/// three digests.
pub(crate) fn signed(kit: &Sandbox) -> [String; 3] {
    let subject = kits::pack(kit, "net:1", "weights");
    kit.run(["save", "net:1", "-o", "folder", "--layout", "dir"])
        .success();
    let size = kit.store().blob(&subject).len();
    let first = artifact(&subject, size, "test/signature");
    let second = artifact(&digest(first.as_bytes()), first.len(), "test/stamp");
    let folder = Layout::at(kit.path("folder"));
    for content in ["{}", &first, &second] {
        kit.file(folder.blob_path(&digest(content.as_bytes())), content);
    }
    let index = serde_json::json!({
        "schemaVersion": 2,
        "manifests": [
            {"mediaType": MANIFEST, "digest": subject, "size": size,
             "annotations": {"org.opencontainers.image.ref.name": "net:1"}},
            listed("test/signature", &first),
            listed("test/stamp", &second),
        ],
    });
    kit.file("folder/index.json", index.to_string());
    [subject, digest(first.as_bytes()), digest(second.as_bytes())]
}

#[test]
fn referrers_come_along_where_no_lists_are_kept() {
    let Some((one, two)) = two() else {
        return;
    };
    let kit = Sandbox::new();
    let digests = signed(&kit);
    let (first, second) = (
        format!("{}/team/net:1", one.host()),
        format!("{}/prod/net:1", two.host()),
    );
    let with = ["--with-referrers", "--format", "json"];
    let all = |from: &str, to: &str| copy(&kit, [from, to].into_iter().chain(with)).json();
    let report = all("oci:folder", &first);
    assert_eq!(
        (&report["referrers"], &report["manifests"]),
        (&2.into(), &3.into())
    );
    let report = all(&first, &second);
    assert_eq!(report["referrers"], 2, "{report}");
    // Once more: the lists are the same.
    assert_eq!(all(&first, &second)["wasThere"], true);
    let report = all(&second, "oci:out:1");
    assert_eq!(report["referrers"], 2, "{report}");
    for digest in &digests {
        assert!(Layout::at(kit.path("out")).blob_path(digest).is_file());
    }
    // From there again, and without them.
    assert_eq!(all("oci:out", "oci:third:1")["referrers"], 2);
    copy(&kit, [&*first, "oci:alone:1"]).success();
    let alone = Layout::at(kit.path("alone"));
    assert!(alone.blob_path(&digests[0]).is_file());
    assert!(!alone.blob_path(&digests[1]).exists());
}

#[test]
fn signatures_under_tags_of_their_own_come_along() {
    let Some((one, two)) = two() else {
        return;
    };
    let kit = Sandbox::new();
    let (first, second) = (
        format!("{}/team/net:1", one.host()),
        format!("{}/prod/net:1", two.host()),
    );
    let subject = super::push(&kit, &first, 100);
    let tag = format!("{}.sig", subject.replace(':', "-"));
    let signature = super::push(&kit, &format!("{}/team/net:{tag}", one.host()), 7);
    copy(&kit, [&*first, &second]).success();
    let there = format!("{}/prod/net:{tag}", two.host());
    assert_eq!(kit.run(["pull", &there]).code, 3);
    copy(&kit, ["--with-referrers", &first, &second]).success();
    let pulled = kit.run(["pull", &there]).success();
    assert!(pulled.contains(&signature), "{pulled}");
}

// hazard: 79
#[test]
fn lists_of_referrers_are_read_to_their_end_and_on_no_other_host() {
    let Some(target) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    for (link, problem) in [
        ("?page=2", ""),
        (
            "http://other.example/?page=2",
            "goes on at http://other.example",
        ),
        (
            "/v2/team/other/referrers/x?page=2",
            "does not say where it goes on",
        ),
        ("?page=1", "leads back"),
    ] {
        let kit = Sandbox::new();
        let subject = artifact(&digest(b"nothing"), 7, "test/kit");
        let about = digest(subject.as_bytes());
        let signatures: Vec<String> = ["a", "b"]
            .into_iter()
            .map(|kind| artifact(&about, subject.len(), kind))
            .collect();
        let source = Fake::start(move |request| {
            let path = request.target.clone();
            let ok =
                |kind: &str, text: &str| Answer::new(200).header("Content-Type", kind).body(text);
            if path.contains("/referrers/") {
                let number = usize::from(path.contains("page=2"));
                if !path.contains(&about) {
                    return ok(INDEX, r#"{"schemaVersion":2,"manifests":[]}"#);
                }
                let page = serde_json::json!({
                    "schemaVersion": 2,
                    "manifests": [listed("x", &signatures[number])],
                });
                let page = ok(INDEX, &page.to_string());
                return if number == 0 {
                    page.header("Link", format!("<{link}>; rel=\"next\""))
                } else {
                    page
                };
            }
            let known = [&subject].into_iter().chain(&signatures);
            let mut known = known.filter(|it| path.ends_with(&digest(it.as_bytes())));
            if path.ends_with("/manifests/1") {
                return ok(MANIFEST, &subject);
            }
            match known.next() {
                Some(manifest) => ok(MANIFEST, manifest),
                None if path.contains("/blobs/") => ok("text/plain", "{}"),
                None => Answer::new(404).body("{}"),
            }
        });
        let name = format!("{}/team/net:1", source.host());
        let there = format!("{}/prod/net:1", target.host());
        let output = copy(
            &kit,
            [
                "--plain-http",
                "--with-referrers",
                &name,
                &there,
                "--format",
                "json",
            ],
        );
        if problem.is_empty() {
            assert_eq!(output.json()["referrers"], 2);
        } else {
            let output = output.exits(6);
            assert!(output.stderr.contains(problem), "{output}");
        }
    }
}

#[test]
fn a_registry_that_keeps_lists_gets_no_tag_for_them() {
    let kit = Sandbox::new();
    let [subject, ..] = signed(&kit);
    let target = Fake::start(|request| match request.method.as_str() {
        _ if request.target.contains("/referrers/") => Answer::new(200)
            .header("Content-Type", INDEX)
            .body(r#"{"schemaVersion":2,"manifests":[]}"#),
        "HEAD" if request.target.contains("/manifests/") => Answer::new(404),
        "PUT" => Answer::new(201),
        "HEAD" => Answer::new(200).large(0),
        _ => Answer::new(200).body("{}"),
    });
    let name = format!("{}/team/net:1", target.host());
    copy(
        &kit,
        ["--plain-http", "--with-referrers", "oci:folder", &name],
    )
    .success();
    let puts = target
        .requests()
        .into_iter()
        .filter(|it| it.method == "PUT");
    let puts: Vec<String> = puts.map(|it| it.target).collect();
    assert_eq!(puts.len(), 3, "{puts:?}");
    assert!(puts.last().unwrap().ends_with("/manifests/1"), "{puts:?}");
    let tag = format!("/manifests/{}", subject.replace(':', "-"));
    assert!(!puts.iter().any(|it| it.ends_with(&tag)), "{puts:?}");
}

#[test]
fn lists_of_referrers_that_never_end_or_lead_elsewhere_are_refused() {
    let subject = artifact(&digest(b"nothing"), 7, "test/kit");
    for (link, words) in [
        ("?page=1", "leads back to a page that was read already"),
        ("/\\other.example/v2/x?page=2", "http://other.example"),
        ("/\t/other.example/v2/x?page=2", "http://other.example"),
        (
            "/v2/team/other/tags/list?page=2",
            "does not say where it goes on",
        ),
    ] {
        let document = subject.clone();
        let source = Fake::start(move |request| {
            let ok =
                |kind: &str, text: &str| Answer::new(200).header("Content-Type", kind).body(text);
            if request.path().contains("/referrers/") {
                return ok(INDEX, r#"{"schemaVersion":2,"manifests":[]}"#)
                    .header("Link", format!("<{link}>; rel=next"));
            }
            match request.path() {
                path if path.ends_with("/manifests/1") => ok(MANIFEST, &document),
                path if path.contains("/blobs/") => ok("text/plain", "{}"),
                _ => Answer::new(404).body("{}"),
            }
        });
        let name = format!("{}/team/net:1", source.host());
        let kit = Sandbox::new();
        let output = copy(&kit, ["--plain-http", "--with-referrers", &name, "oci:out"]);
        let output = output.exits(6);
        assert!(output.stderr.contains(words), "{output}");
    }
}
