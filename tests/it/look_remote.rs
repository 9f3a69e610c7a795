//! `kit info --remote` and `kit inspect --remote`: a kit is looked at where it is.

use serde_json::Value;
use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox,
    kits::{pack, pack_kitfile},
    logins::sandbox,
    registry::{RealRegistry, Setup},
    testdata,
};

/// Starts a registry with a kit and a `ModelPack`, which are in the store of the sandbox, too.
fn filled() -> Option<(RealRegistry, Sandbox)> {
    let registry = RealRegistry::start(&Setup::default())?;
    let kit = sandbox();
    pack(&kit, "team/net:1.0", "one");
    let packed = testdata("artifacts/modelpack");
    let bundle = format!("{}:raw", packed.display());
    kit.run(["load", &bundle, "-t", "team/net:raw"]).success();
    if !registry.receive(kit.store().path(), "team/net:1.0", "team/net:1.0") {
        return None;
    }
    registry.receive(&packed, "raw", "team/net:raw");
    Some((registry, kit))
}

#[test]
fn it_is_told_what_the_same_kit_here_would_tell() {
    let Some((registry, kit)) = filled() else {
        return;
    };
    let elsewhere = sandbox();
    for tag in ["1.0", "raw"] {
        let (here, there) = (
            format!("team/net:{tag}"),
            format!("{}/team/net:{tag}", registry.host()),
        );
        for flags in ["", "--format json", "--filter package.authors"] {
            let flags = flags.split_whitespace();
            let local = kit.run(["info", &here].into_iter().chain(flags.clone()));
            let remote = elsewhere.run(["info", "-r", &there].into_iter().chain(flags));
            assert_eq!(remote.to_string(), local.to_string(), "{tag}");
        }
        let local = kit.run(["inspect", &here]).json();
        let mut remote = elsewhere.run(["inspect", "--remote", &there]).json();
        assert_eq!(remote["references"], Value::from(vec![there.clone()]));
        remote["references"] = local["references"].clone();
        assert_eq!(remote, local);
        let by_digest = format!(
            "{}/team/net@{}",
            registry.host(),
            local["digest"].as_str().unwrap()
        );
        let output = elsewhere.run(["inspect", "-r", &by_digest, "--format", "{{ .Digest }}"]);
        assert_eq!(output.success().trim(), local["digest"]);
    }
    // Nothing came here.
    assert!(!elsewhere.home().join("store").exists());
}

#[test]
fn what_is_asked_of_no_registry_or_not_there_is_told() {
    let Some((registry, kit)) = filled() else {
        return;
    };
    let host = registry.host();
    let show = |words: &[&str]| -> Output {
        let words = words.iter().map(|it| it.replace('@', &host));
        kit.run(words).hide(&host, "[HOST]")
    };
    let mut shown = String::new();
    for words in [
        &["info", "-r", "team/net:1.0"][..],
        &[
            "inspect",
            "-r",
            "sha256:0000000000000000000000000000000000000000000000000000000000000000",
        ],
        &["info", "-r", "@/team/net"],
        &["inspect", "-r", "@/team/net:2"],
        &["info", "-r", "@/team/nett:1.0"],
        &["info", "-r", "@/team/net:1.0,2.0"],
        &["info", "-r", "@/team/net:1.0", "--filter", "model.nothing"],
    ] {
        shown += &show(words).to_string();
    }
    assert_data_eq!(
        shown,
        str![[r#"
[stderr]
error: can not check remote: team/net:1.0 does not contain registry
hint: write the registry before it: registry.example/team/net:1.0
[exit 2]
[stderr]
error: can not check remote: sha256:0000000000000000000000000000000000000000000000000000000000000000 does not contain registry
hint: write the registry before it: registry.example/team/net:1.0
[exit 2]
[stderr]
error: [HOST] has no team/net:latest: manifest unknown (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
hint: a name without a tag means the tag `latest`
[exit 3]
[stderr]
error: [HOST] has no team/net:2: manifest unknown (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]
[stderr]
error: [HOST] has no team/nett:1.0: manifest unknown (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]
[stderr]
error: `[HOST]/team/net:1.0,2.0` has several tags where one name is needed
  given for REFERENCE
[exit 2]
[stderr]
error: the Kitfile has no `model.nothing`: `model` has name, path
[exit 3]

"#]]
    );
}

#[test]
fn a_kit_that_is_not_complete_there_can_still_be_looked_at() {
    let Some((registry, kit)) = filled() else {
        return;
    };
    let kitfile = "manifestVersion: 1.0.0\ncode: [{path: model.bin}]\n";
    kit.file("packed/model.bin", "another");
    pack_kitfile(&kit, "team/net:code", kitfile);
    registry.receive(kit.store().path(), "team/net:code", "team/net:code");
    let name = format!("{}/team/net:code", registry.host());
    let manifest = kit.run(["inspect", "-r", &name]).json();
    let layer = manifest["manifest"]["layers"][0]["digest"]
        .as_str()
        .unwrap();
    registry.lose(layer);
    let output = kit.run(["info", "-r", &name, "--filter", "code.0.path"]);
    assert_eq!(output.success(), "model.bin\n");
    let config = &manifest["manifest"]["config"]["digest"];
    registry.lose(config.as_str().unwrap());
    let _ = kit.run(["info", "-r", &name]).exits(5);
}
