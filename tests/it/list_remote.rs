//! `kit list` of a repository in a registry.

use std::{
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

use snapbox::{assert_data_eq, str};

use crate::support::{
    fake::{
        Answer, Fake, Recorded,
        documents::{Documents, tags},
    },
    kits::{pack, pack_kitfile},
    logins::{PASSWORD, login, sandbox},
    registry::{RealRegistry, Setup},
    testdata,
};

/// Starts a registry with these documents.
fn serve(documents: &Documents) -> Fake {
    let documents = documents.clone();
    Fake::start(move |request| documents.answer(request))
}

#[test]
fn a_repository_in_a_real_registry_is_listed_with_all_its_tags() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, host) = (sandbox(), registry.host());
    pack(&kit, "team/net:1.0", "one");
    let layout = kit.store().path().to_owned();
    let arrived = registry.receive(&layout, "team/net:1.0", "team/net:1.0");
    if !arrived {
        return;
    }
    pack(&kit, "team/net:2.0", "two");
    pack_kitfile(
        &kit,
        "team/net:bare",
        "manifestVersion: 1.0.0\ncode: [{path: model.bin}]\n",
    );
    for (name, to) in [
        ("team/net:1.0", "team/net:prod"),
        ("team/net:2.0", "team/net:2.0"),
        ("team/net:bare", "team/net:bare"),
    ] {
        registry.receive(&layout, name, to);
    }
    let pack = testdata("artifacts/modelpack");
    registry.receive(&pack, "raw", "team/net:pack");
    let name = format!("{host}/team/net");
    let show = |words: &[&str]| {
        let words = [&["list", &name], words].concat();
        kit.run(words).hide(&name, "[NAME]").hide_digests()
    };
    assert_data_eq!(
        show(&[]),
        str![[r#"
REPOSITORY                 TAG    MAINTAINER   NAME     SIZE       DIGEST
[NAME]   1.0    Ann          net      2.0 KiB    sha256:[DIGEST]
[NAME]   prod   Ann          net      2.0 KiB    sha256:[DIGEST]
[NAME]   2.0    Ann          net      2.0 KiB    sha256:[DIGEST]
[NAME]   bare   <none>       <none>   2.0 KiB    sha256:[DIGEST]
[NAME]   pack   Ada          basic    68.9 KiB   sha256:[DIGEST]
[exit 0]

"#]]
    );
    assert_data_eq!(
        show(&["--format", "json"]),
        str![[r#"
[
  {
    "repo": "[NAME]",
    "digest": "sha256:[DIGEST]",
    "tags": [
      "1.0",
      "prod"
    ],
    "modelName": "net",
    "size": 2048,
    "author": "Ann"
  },
  {
    "repo": "[NAME]",
    "digest": "sha256:[DIGEST]",
    "tags": [
      "2.0"
    ],
    "modelName": "net",
    "size": 2048,
    "author": "Ann"
  },
  {
    "repo": "[NAME]",
    "digest": "sha256:[DIGEST]",
    "tags": [
      "bare"
    ],
    "modelName": "<none>",
    "size": 2048,
    "author": "<none>"
  },
  {
    "repo": "[NAME]",
    "digest": "sha256:[DIGEST]",
    "tags": [
      "pack"
    ],
    "modelName": "basic",
    "size": 70612,
    "author": "Ada"
  }
]
[exit 0]

"#]]
    );
    assert_data_eq!(
        show(&["--format", "{{ .Tags }} {{ .Size }}"]),
        str![[r#"
[1.0 prod] 2048
[2.0] 2048
[bare] 2048
[pack] 70612
[exit 0]

"#]]
    );
    let one = format!("{name}:prod");
    assert_data_eq!(
        kit.run(["list", &one, "--format", "{{ .Tags }}"]),
        str![[r#"
[prod]
[exit 0]

"#]]
    );
    // Nothing of it is here.
    let _ = kit.run(["list", "--local", &name]).exits(3);
    let missing = format!("{name}:3");
    assert_data_eq!(
        kit.run(["list", &missing]).hide(&host, "[HOST]"),
        str![[r#"
[stderr]
error: [HOST] has no team/net:3: manifest unknown (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
    let other = format!("{name}x");
    assert_data_eq!(
        kit.run(["ls", &other]).hide(&host, "[HOST]"),
        str![[r#"
[stderr]
error: [HOST] has no repository team/netx: repository name not known to registry (NAME_UNKNOWN)
hint: check its name; some registries hide what needs a login
[exit 3]

"#]]
    );
}

#[test]
fn a_registry_that_wants_a_login_gets_the_one_there_is() {
    let user = Some(("ci", PASSWORD));
    let Some(registry) = RealRegistry::start(&Setup {
        user,
        ..Setup::default()
    }) else {
        return;
    };
    let (mut kit, host) = (sandbox(), registry.host());
    pack(&kit, "team/net:1.0", "one");
    if !registry.receive(kit.store().path(), "team/net:1.0", "team/net:1.0") {
        return;
    }
    let name = format!("{host}/team/net");
    assert_data_eq!(
        kit.run(["list", &name]).hide(&host, "[HOST]"),
        str![[r#"
[stderr]
error: [HOST] asks for a login
hint: run `kit login [HOST]`
[exit 4]

"#]]
    );
    login(&kit, &host, []).success();
    let listing = ["list", &name, "--format", "{{ .Tags }}", "-vvv"];
    let output = kit.run(listing).success();
    assert!(output.contains("[1.0]"), "{output}");
    let output = kit.run(listing);
    assert!(!output.to_string().contains(PASSWORD), "{output}");
    kit.env("KIT_USERNAME", "ci");
    kit.env("KIT_PASSWORD", "wrong-horse");
    let output = kit.run(["list", &name, "--plain-http", "-vvv"]).exits(4);
    assert!(!output.stderr.contains("wrong-horse"), "{output}");
    kit.env("KIT_PASSWORD", PASSWORD);
    let _ = kit.run(["list", &name, "--plain-http"]).success();
}

// hazard: 80, 133
#[test]
fn tags_come_page_after_page_and_what_is_none_is_left_out() {
    let mut documents = Documents::new();
    documents.kit("a", "net").kit("b", "net").kit("c", "other");
    let registry = Fake::start(move |request| match request.target.as_str() {
        "/v2/team/net/tags/list?n=1000" => tags(["c", "../../etc"])
            .header("Link", "</v2/team/net/tags/list?last=c&n=2>; rel=\"next\""),
        "/v2/team/net/tags/list?last=c&n=2" => {
            tags(["b", "\u{1b}[31mred"]).header("Link", "<?last=%2Fx>; rel=next")
        }
        "/v2/team/net/tags/list?last=%2Fx" => tags(["a", "b", &"x".repeat(129)]),
        _ => documents.answer(request),
    });
    let (kit, host) = (sandbox(), registry.host());
    let name = format!("{host}/team/net");
    assert_data_eq!(
        kit.run(["list", &name])
            .hide(&host, "[HOST]")
            .hide_digests(),
        str![[r#"
REPOSITORY                 TAG   MAINTAINER   NAME    SIZE   DIGEST
[HOST]/team/net   a     Ann          net     0 B    sha256:[DIGEST]
[HOST]/team/net   b     Ann          net     0 B    sha256:[DIGEST]
[HOST]/team/net   c     Ann          other   0 B    sha256:[DIGEST]
[stderr]
warning: [HOST]/team/net has 3 names that no tag can be called: `/x1b[31mred`, `../../etc`, `xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx`
[exit 0]

"#]]
    );
    let asked = registry.requests();
    let of_tags = asked.iter().filter(|it| it.path().ends_with("tags/list"));
    assert_eq!(of_tags.count(), 3);
}

#[test]
fn a_repository_without_tags_is_an_empty_list() {
    let kit = sandbox();
    for body in [r#"{"name":"team/net","tags":null}"#, r#"{"tags":[]}"#, "{}"] {
        let registry = Fake::start(move |_| Answer::new(200).body(body));
        let name = format!("{}/team/net", registry.host());
        let output = kit.run(["list", &name, "--format", "json"]).success();
        assert_eq!(output, "[]\n");
    }
}

// hazard: 70
#[test]
fn a_busy_registry_is_asked_again_when_it_wants() {
    let mut documents = Documents::new();
    documents.kit("a", "net");
    let asked = AtomicU32::new(0);
    let registry = Fake::start(move |request| {
        let is_manifest = request.path().ends_with("manifests/a");
        if is_manifest && asked.fetch_add(1, Ordering::SeqCst) == 0 {
            return Answer::new(429).header("Retry-After", "1");
        }
        documents.answer(request)
    });
    let kit = sandbox();
    let name = format!("{}/team/net", registry.host());
    let _ = kit.run(["list", &name]).success();
    let asked = registry.requests();
    let manifests: Vec<&Recorded> = asked
        .iter()
        .filter(|it| it.path().ends_with("manifests/a"))
        .collect();
    assert_eq!(manifests.len(), 2);
    assert!(manifests[1].at - manifests[0].at >= Duration::from_secs(1));
    let never = Fake::start(|_| Answer::new(429).header("Retry-After", "86400"));
    let name = format!("{}/team/net", never.host());
    let output = kit.run(["list", &name]).exits(6);
    assert!(output.stderr.contains("try again in 86400 s"), "{output}");
    assert_eq!(never.requests().len(), 1);
}

#[test]
fn many_kits_are_asked_for_at_a_time_but_not_all() {
    let mut documents = Documents::new();
    for number in 0..30 {
        documents.kit(&format!("v{number}"), &format!("net{number}"));
    }
    let registry = serve(&documents);
    let kit = sandbox();
    let name = format!("{}/team/net", registry.host());
    let rows = |concurrency| {
        let words = [
            "list",
            &name,
            "--concurrency",
            concurrency,
            "--format",
            "{{ .ModelName }}",
        ];
        kit.run(words).success()
    };
    let one = rows("1");
    assert_eq!(one.lines().count(), 30);
    assert_eq!(rows("7"), one);
}
