//! Against a real registry, and what another program finds there.

use std::process::Command;

use super::{pack_large, push};
use crate::support::{
    Sandbox, have, kits,
    logins::{PASSWORD, login, sandbox},
    registry::{RealRegistry, Setup},
    relay::{Relay, Stop},
};

/// Returns what skopeo finds under a name.
fn skopeo(words: &[&str]) -> Vec<u8> {
    let found = Command::new("skopeo").args(words).output().unwrap();
    let said = String::from_utf8_lossy(&found.stderr);
    assert!(found.status.success(), "{words:?}: {said}");
    found.stdout
}

#[test]
fn others_find_the_kit_as_it_is() {
    if !have("skopeo") {
        return;
    }
    for (user, tls) in [
        (None, false),
        (Some(("ci", PASSWORD)), false),
        (Some(("ci", PASSWORD)), true),
    ] {
        let setup = Setup {
            user,
            tls,
            ..Setup::default()
        };
        let Some(registry) = RealRegistry::start(&setup) else {
            return;
        };
        let (mut kit, host) = (Sandbox::new(), registry.host());
        if user.is_some() {
            kit.env("KIT_USERNAME", "ci");
            kit.env("KIT_PASSWORD", PASSWORD);
        }
        let authority = registry.path("ca.pem");
        let mut trust = vec!["--plain-http"];
        if tls {
            trust = vec!["--ca-file", authority.to_str().unwrap()];
        }
        let name = format!("{host}/team/net:1.0");
        let digest = pack_large(&kit, &name, 6 << 20);
        for more in [["--chunk-size", "1MiB"], ["--upload", "whole"]] {
            let words = ["push", &name].into_iter();
            let output = kit
                .run(words.chain(trust.iter().copied()).chain(more))
                .exits(0);
            assert!(!output.stderr.contains("warning"), "{output}");
        }
        let remote = format!("docker://{name}");
        let login = format!("ci:{PASSWORD}");
        let mut words = vec!["--tls-verify=false"];
        if user.is_some() {
            words.extend(["--creds", &login]);
        }
        let inspect = ["inspect", "--raw"]
            .into_iter()
            .chain(words.iter().copied());
        let manifest = skopeo(&inspect.chain([&*remote]).collect::<Vec<_>>());
        assert_eq!(manifest, kit.store().blob(&digest));
        let layout = kit.path("copy");
        let target = format!("oci:{}:1.0", layout.display());
        let mut copy = vec!["copy", "--src-tls-verify=false"];
        if user.is_some() {
            copy.extend(["--src-creds", &login]);
        }
        copy.extend([&*remote, &*target]);
        skopeo(&copy);
        let (config, layers) = kits::blobs(&kit, &digest);
        for blob in layers.into_iter().chain([config, digest]) {
            let hex = blob.strip_prefix("sha256:").unwrap();
            let copied = std::fs::read(layout.join("blobs/sha256").join(hex)).unwrap();
            assert!(copied == kit.store().blob(&blob), "{blob}");
        }
        let left = std::fs::read_dir(kit.home().join("uploads")).unwrap();
        assert_eq!(left.count(), 0, "nothing is kept of what is done");
    }
}

#[test]
fn a_large_kit_gets_into_another_repository_for_a_few_bytes() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let never = Stop {
        after: u64::MAX,
        between_requests: false,
    };
    let (kit, relay) = (Sandbox::new(), Relay::start(&registry.host(), never));
    let name = format!("{}/team/net:1.0", relay.host());
    pack_large(&kit, &name, 40 << 20);
    push(&kit, [&*name]).success();
    let before = relay.wire();
    assert!(before > 40 << 20, "{before}");
    let other = format!("{}/prod/net:2", relay.host());
    let report = push(&kit, [&*name, &other, "--format", "json"]).json();
    let sent = relay.wire() - before;
    assert_eq!(report["kits"][0]["mounted"], 2);
    assert_eq!(report["kits"][0]["sentBytes"], 0);
    assert!(sent <= 100_000, "{sent}");
    let pulled = format!("{}/prod/net:2", registry.host());
    let _ = Sandbox::new().run(["pull", &pulled]).exits(0);
}

#[test]
fn what_was_pushed_under_another_name_is_taken_from_there() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let never = Stop {
        after: u64::MAX,
        between_requests: false,
    };
    let (kit, relay) = (Sandbox::new(), Relay::start(&registry.host(), never));
    // Nothing in the store tells that the registry has it.
    pack_large(&kit, "net:1", 8 << 20);
    push(&kit, ["net:1", &format!("{}/team/net:1", relay.host())]).success();
    let before = relay.wire();
    assert!(before > 8 << 20, "{before}");
    let other = format!("{}/prod/net:1", relay.host());
    let report = push(&kit, ["net:1", &other, "--format", "json"]).json();
    assert_eq!(report["kits"][0]["mounted"], 2, "{report}");
    let sent = relay.wire() - before;
    assert!(sent <= 100_000, "{sent}");
    // The repository is gone since: nothing is lost but two requests.
    let gone = "data/docker/registry/v2/repositories";
    for name in ["team", "prod"] {
        std::fs::remove_dir_all(registry.path(gone).join(name)).unwrap();
    }
    let third = format!("{}/third/net:1", relay.host());
    let report = push(&kit, ["net:1", &third, "--format", "json"]).json();
    assert_eq!(report["kits"][0]["sent"], 2, "{report}");
}

#[test]
fn a_registry_that_wants_a_login_gets_it() {
    let Some(registry) = RealRegistry::start(&Setup {
        user: Some(("ci", PASSWORD)),
        tls: true,
        ..Setup::default()
    }) else {
        return;
    };
    let (kit, host) = (sandbox(), registry.host());
    let name = format!("{host}/team/net:1.0");
    pack_large(&kit, &name, 6 << 20);
    let authority = registry.path("ca.pem");
    let trusting = ["--ca-file", authority.to_str().unwrap()];
    let words = ["push", &name, "-vvv"].into_iter().chain(trusting);
    let output = kit.run(words.clone()).exits(4);
    assert!(
        output
            .stderr
            .contains(&format!("hint: run `kit login {host}`")),
        "{output}"
    );
    login(&kit, &host, trusting).success();
    let output = kit.run(words.chain(["--chunk-size", "1MiB"])).exits(0);
    assert!(output.stderr.contains("PATCH"), "{output}");
    assert!(!output.stderr.contains(PASSWORD), "{output}");
}

// hazard: 77
#[test]
fn a_real_registry_that_has_lost_the_upload_is_started_over_with() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, host) = (Sandbox::new(), registry.host());
    let name = format!("{host}/team/net:1.0");
    let digest = pack_large(&kit, &name, 6 << 20);
    let layer = kits::blobs(&kit, &digest).1.remove(0);
    // What a killed run leaves.
    let key = format!("{host}/team/net@{layer}");
    let key = modelkit::digest::Digest::of(key.as_bytes()).hex();
    let session = serde_json::json!({
        "version": 1,
        "repository": format!("{host}/team/net"),
        "digest": layer,
        "location": format!("http://{host}/v2/team/net/blobs/uploads/00000000-0000-4000-8000-000000000000"),
        "offset": 1 << 20,
    });
    std::fs::create_dir_all(kit.home().join("uploads")).unwrap();
    let path = kit.home().join(format!("uploads/{key}.json"));
    std::fs::write(&path, session.to_string()).unwrap();
    let output = push(&kit, [&*name]).exits(0);
    assert!(
        output.stderr.contains(&format!(
            "has dropped the upload of {layer}: it starts over"
        )),
        "{output}"
    );
    assert!(!path.exists());
}
