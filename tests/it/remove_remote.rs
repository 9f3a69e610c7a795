//! `kit remove --remote`

use std::sync::Mutex;

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox,
    fake::{
        Answer, Fake,
        documents::{Documents, tags},
    },
    kits::pack,
    logins::{PASSWORD, login, sandbox},
    registry::{RealRegistry, Setup},
};

/// Starts a registry with two kits in `team/net`: the one is `1.0` and `prod`, the other `2.0`.
fn filled(setup: &Setup) -> Option<(RealRegistry, Sandbox)> {
    let registry = RealRegistry::start(setup)?;
    let kit = sandbox();
    pack(&kit, "team/net:1.0", "one");
    pack(&kit, "team/net:2.0", "two");
    let layout = kit.store().path().to_owned();
    for (name, to) in [("1.0", "1.0"), ("1.0", "prod"), ("2.0", "2.0")] {
        let (name, to) = (format!("team/net:{name}"), format!("team/net:{to}"));
        if !registry.receive(&layout, &name, &to) {
            return None;
        }
    }
    Some((registry, kit))
}

/// Runs `kit remove -r` for kits of `team/net` at `host`, with `@` for the name of the repository.
fn remove(kit: &Sandbox, host: &str, words: &str) -> Output {
    let name = format!("{host}/team/net");
    let words = words.replace('@', &name);
    let output = kit.run(["remove", "-r"].into_iter().chain(words.split_whitespace()));
    output.hide(host, "[HOST]").hide_digests()
}

/// Returns the tags that are left.
fn left(kit: &Sandbox, host: &str) -> String {
    let name = format!("{host}/team/net");
    let output = kit.run(["list", &name, "--format", "{{ .Tags }}"]);
    output.success().replace('\n', "")
}

#[test]
fn where_tags_cannot_be_deleted_nothing_is_and_the_way_out_is_told() {
    let Some((registry, kit)) = filled(&Setup::default()) else {
        return;
    };
    let host = registry.host();
    assert_data_eq!(
        remove(&kit, &host, "@:1.0"),
        str![[r#"
[stderr]
error: [HOST] cannot take a tag off a kit: [HOST]/team/net:1.0 stays
hint: `kit remove --remote --force [HOST]/team/net:1.0` removes the kit with its other tags, too: `prod`
[exit 6]

"#]]
    );
    assert_data_eq!(
        remove(&kit, &host, "@:2.0"),
        str![[r#"
[stderr]
error: [HOST] cannot take a tag off a kit: [HOST]/team/net:2.0 stays
hint: `kit remove --remote --force [HOST]/team/net:2.0` removes the kit, which has no other tag
[exit 6]

"#]]
    );
    assert_eq!(left(&kit, &host), "[1.0 prod][2.0]");
    // What is here is not touched.
    assert_eq!(kit.store().names().len(), 2);
}

#[test]
fn a_kit_goes_with_all_its_tags_and_each_is_told_before_and_after() {
    let Some((registry, kit)) = filled(&Setup::default()) else {
        return;
    };
    let host = registry.host();
    assert_data_eq!(
        remove(&kit, &host, "--force @:1.0 --dry-run"),
        str![[r#"
Would remove [HOST]/team/net:1.0 (digest sha256:[DIGEST])
Would untag [HOST]/team/net:prod
[exit 0]

"#]]
    );
    assert_eq!(left(&kit, &host), "[1.0 prod][2.0]");
    assert_data_eq!(
        remove(&kit, &host, "--force @:1.0 --format json"),
        str![[r#"
{
  "dryRun": false,
  "untagged": [
    "[HOST]/team/net:1.0",
    "[HOST]/team/net:prod"
  ],
  "removed": [
    {
      "repo": "[HOST]/team/net",
      "digest": "sha256:[DIGEST]"
    }
  ],
  "mayBeMore": false
}
[exit 0]

"#]]
    );
    assert_eq!(left(&kit, &host), "[2.0]");
    assert_data_eq!(
        remove(&kit, &host, "--force @:1.0 @:2.0 @:7"),
        str![[r#"
Removed [HOST]/team/net:2.0 (digest sha256:[DIGEST])
[stderr]
error: 2 names not removed
  [HOST] has no team/net:1.0: manifest unknown (MANIFEST_UNKNOWN)
  [HOST] has no team/net:7: manifest unknown (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
    assert_eq!(left(&kit, &host), "");
}

#[test]
fn a_digest_takes_the_kit_with_its_tags() {
    let Some((registry, kit)) = filled(&Setup::default()) else {
        return;
    };
    let host = registry.host();
    let name = format!("{host}/team/net");
    let digest = kit
        .run([
            "inspect",
            "-r",
            &format!("{name}:prod"),
            "--format",
            "{{ .Digest }}",
        ])
        .success();
    let by_digest = kit.run(["rm", "--remote", &format!("{name}@{}", digest.trim())]);
    assert_data_eq!(
        by_digest.hide(&host, "[HOST]").hide_digests(),
        str![[r#"
Removed [HOST]/team/net@sha256:[DIGEST] (digest sha256:[DIGEST])
Untagged [HOST]/team/net:1.0
Untagged [HOST]/team/net:prod
[exit 0]

"#]]
    );
    assert_eq!(left(&kit, &host), "[2.0]");
}

#[test]
fn a_registry_that_deletes_nothing_is_named() {
    let Some((registry, kit)) = filled(&Setup {
        keeps_all: true,
        ..Setup::default()
    }) else {
        return;
    };
    let host = registry.host();
    assert_data_eq!(
        remove(&kit, &host, "@:1.0"),
        str![[r#"
[stderr]
error: [HOST] cannot take a tag off a kit: [HOST]/team/net:1.0 stays
hint: `kit remove --remote --force [HOST]/team/net:1.0` removes the kit with its other tags, too: `prod`
[exit 6]

"#]]
    );
    assert_data_eq!(
        remove(&kit, &host, "--force @:1.0"),
        str![[r#"
[stderr]
error: removing models is unsupported by registry [HOST]
hint: whoever runs it can allow it
[exit 6]

"#]]
    );
    assert_eq!(left(&kit, &host), "[1.0 prod][2.0]");
}

#[test]
fn a_login_is_used_and_never_shown() {
    let Some((registry, kit)) = filled(&Setup {
        user: Some(("ci", PASSWORD)),
        ..Setup::default()
    }) else {
        return;
    };
    let host = registry.host();
    assert_data_eq!(
        remove(&kit, &host, "@:1.0"),
        str![[r#"
[stderr]
error: [HOST] asks for a login
hint: run `kit login [HOST]`
[exit 4]

"#]]
    );
    login(&kit, &host, []).success();
    let output = remove(&kit, &host, "-f @:2.0 -vvv").exits(0);
    assert!(!output.to_string().contains(PASSWORD), "{output}");
    assert_eq!(left(&kit, &host), "[1.0 prod]");
}

/// Starts a registry that takes tags off.
fn untagging() -> Fake {
    let mut documents = Documents::new();
    documents
        .kit("1.0", "net")
        .kit("prod", "net")
        .kit("2.0", "other");
    let documents = Mutex::new(documents);
    Fake::start(move |request| {
        let mut documents = documents.lock().unwrap();
        let tag = request.path().rsplit('/').next().unwrap();
        if request.method == "DELETE" && documents.untag(tag) {
            return Answer::new(202);
        }
        documents.answer(request)
    })
}

#[test]
fn a_tag_goes_alone_where_the_registry_can() {
    let (registry, kit) = (untagging(), sandbox());
    let host = registry.host();
    assert_data_eq!(
        remove(&kit, &host, "@:1.0 --dry-run"),
        str![[r#"
Would remove [HOST]/team/net:1.0 (digest sha256:[DIGEST])
[exit 0]

"#]]
    );
    assert_eq!(left(&kit, &host), "[1.0 prod][2.0]");
    assert_data_eq!(
        remove(&kit, &host, "@:1.0"),
        str![[r#"
Removed [HOST]/team/net:1.0 (digest sha256:[DIGEST])
[exit 0]

"#]]
    );
    assert_eq!(left(&kit, &host), "[2.0][prod]");
    assert_data_eq!(
        remove(&kit, &host, "@:prod,2.0,3.0"),
        str![[r#"
Removed [HOST]/team/net:prod (digest sha256:[DIGEST])
Removed [HOST]/team/net:2.0 (digest sha256:[DIGEST])
[stderr]
warning: [HOST] removed the kit with its tag [HOST]/team/net:prod, and with any other tag of it
warning: [HOST] removed the kit with its tag [HOST]/team/net:2.0, and with any other tag of it
error: [HOST] has no team/net:3.0: unknown (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
    assert_eq!(left(&kit, &host), "");
}

#[test]
fn what_is_no_single_kit_of_a_registry_is_refused_before_anything_is_asked() {
    let (registry, kit) = (untagging(), sandbox());
    let host = registry.host();
    for (words, says) in [
        ("team/net:1.0", "does not contain registry"),
        ("@", "names neither a tag nor a digest"),
        ("--all", "cannot use --all with --remote"),
        ("@:1.0 team/net:1.0", "does not contain registry"),
        ("", "modelkit is required for remove"),
    ] {
        let output = remove(&kit, &host, words).exits(2);
        assert!(output.stderr.contains(says), "{output}");
    }
    assert!(registry.requests().is_empty());
}

#[test]
fn a_registry_that_hides_its_tags_still_deletes_and_that_is_said() {
    let mut documents = Documents::new();
    documents.kit("1.0", "net");
    let registry = Fake::start(move |request| match request.method.as_str() {
        "DELETE" => Answer::new(202),
        _ if request.path().ends_with("/tags/list") => Answer::new(404),
        _ => documents.answer(request),
    });
    let kit = sandbox();
    assert_data_eq!(
        remove(&kit, &registry.host(), "-f @:1.0"),
        str![[r#"
Removed [HOST]/team/net:1.0 (digest sha256:[DIGEST])
[stderr]
warning: the registry does not tell all tags: others may go with the kit
[exit 0]

"#]]
    );
}

#[test]
fn a_registry_that_fails_in_the_middle_tells_what_stayed() {
    let mut documents = Documents::new();
    documents.kit("1.0", "net").kit("2.0", "other");
    let registry = Fake::start(move |request| match request.method.as_str() {
        "DELETE" if request.path().ends_with("1.0") => Answer::new(202),
        "DELETE" => Answer::new(403)
            .body(r#"{"errors":[{"code":"DENIED","message":"tag 2.0 is \u001b[31mprotected"}]}"#),
        _ => documents.answer(request),
    });
    let kit = sandbox();
    assert_data_eq!(
        remove(&kit, &registry.host(), "@:1.0,2.0"),
        str![[r#"
Removed [HOST]/team/net:1.0 (digest sha256:[DIGEST])
[stderr]
error: [HOST] does not let us delete in team/net: tag 2.0 is /x1b[31mprotected (DENIED)
hint: run `kit login [HOST]`
[exit 4]

"#]]
    );
}

#[test]
fn a_busy_registry_is_asked_again_and_what_went_meanwhile_is_gone() {
    let registry = {
        let asked = Mutex::new(0);
        let mut documents = Documents::new();
        documents.kit("1.0", "net");
        let documents = Mutex::new(documents);
        Fake::start(move |request| {
            let mut documents = documents.lock().unwrap();
            if request.method == "DELETE" {
                let mut asked = asked.lock().unwrap();
                *asked += 1;
                if *asked == 1 {
                    // It is done, but nobody hears of it.
                    documents.untag("1.0");
                    return Answer::new(503);
                }
            }
            if request.path().ends_with("/tags/list") {
                return tags(["1.0"]);
            }
            documents.answer(request)
        })
    };
    let kit = sandbox();
    let output = remove(&kit, &registry.host(), "@:1.0").exits(0);
    assert!(output.stdout.contains("Removed"), "{output}");
}

#[test]
fn a_registry_that_takes_the_kit_with_the_tag_is_told_of() {
    let documents = {
        let mut documents = Documents::new();
        documents.kit("1.0", "net").kit("prod", "net");
        Mutex::new(documents)
    };
    let registry = Fake::start(move |request| {
        let mut documents = documents.lock().unwrap();
        if request.method == "DELETE" {
            documents.untag("1.0");
            documents.untag("prod");
            return Answer::new(202);
        }
        documents.answer(request)
    });
    let kit = sandbox();
    let host = registry.host();
    assert_data_eq!(
        remove(&kit, &host, "@:1.0 --format json"),
        str![[r#"
{
  "dryRun": false,
  "untagged": [
    "[HOST]/team/net:1.0"
  ],
  "removed": [
    {
      "repo": "[HOST]/team/net",
      "digest": "sha256:[DIGEST]"
    }
  ],
  "mayBeMore": false
}
[stderr]
warning: [HOST] removed the kit with its tag [HOST]/team/net:1.0, and with any other tag of it
[exit 0]

"#]]
    );
}
