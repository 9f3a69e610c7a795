//! Where logins are kept and found: the own file, Docker's, Podman's, helper programs.
#![cfg(unix)]

use std::{fs, os::unix::fs::PermissionsExt as _, process::Command};

use serde_json::json;
use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox, have,
    logins::{PASSWORD, answer_of_helper, credentials, helper, login, registry, sandbox},
    registry::{RealRegistry, Setup},
};

/// Writes Docker's file.
fn docker(kit: &Sandbox, content: &serde_json::Value) {
    let folder = kit.path("../.docker");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("config.json"), content.to_string()).unwrap();
}

fn basic(user: &str, password: &str) -> String {
    use base64::Engine as _;
    base64::engine::general_purpose::STANDARD.encode(format!("{user}:{password}"))
}

// hazard: 138
#[test]
fn the_own_file_is_private_and_keeps_what_it_does_not_know() {
    let (kit, registry) = (sandbox(), registry());
    let path = kit.home().join("credentials.json");
    fs::write(
        &path,
        r#"{"new":{"b":1},"auths":{"other.example":{"auth":"eDp5","extra":true}}}"#,
    )
    .unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
    login(&kit, &registry.host(), []).success();
    let mode = fs::metadata(&path).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o600);
    let file = credentials(&kit);
    assert_eq!(file["new"], json!({"b": 1}));
    assert_eq!(
        file["auths"]["other.example"],
        json!({"auth": "eDp5", "extra": true})
    );
    let entry = &file["auths"][registry.host()];
    assert_eq!(entry["auth"], basic("ci", PASSWORD));
    assert_eq!(entry["kit"], json!({"plainHttp": true}));
    kit.run(["logout", &registry.host()]).success();
    assert_eq!(credentials(&kit)["auths"].as_object().unwrap().len(), 1);
}

// hazard: 132, 138
#[test]
fn an_own_file_that_is_a_link_or_damaged_is_left_alone_and_named() {
    let (kit, registry) = (sandbox(), registry());
    let path = kit.home().join("credentials.json");
    let elsewhere = kit.path("elsewhere.json");
    fs::write(&elsewhere, "{}").unwrap();
    std::os::unix::fs::symlink(&elsewhere, &path).unwrap();
    assert_data_eq!(
        login(&kit, &registry.host(), []),
        str![[r#"
[stderr]
error: [HOME]/credentials.json is a symbolic link
hint: put the file itself there; what it leads to would be overwritten
[exit 1]

"#]]
    );
    fs::remove_file(&path).unwrap();
    fs::write(&path, format!("{{\"auths\":{{\"x\":\n\"{PASSWORD}")).unwrap();
    assert_data_eq!(
        login(&kit, &registry.host(), []),
        str![[r#"
[stderr]
error: [HOME]/credentials.json is not a file of logins: no JSON from line 2, column 22 on
hint: mend it, or move it away
[exit 1]

"#]]
    );
    assert!(registry.requests().is_empty(), "nothing was sent");
    assert_eq!(fs::read_to_string(&elsewhere).unwrap(), "{}");
}

#[test]
fn logins_of_docker_and_podman_are_used_and_never_written() {
    let (mut kit, registry) = (sandbox(), registry());
    let host = registry.host();
    let check = |kit: &Sandbox| kit.run(["login", &host, "--check", "--plain-http"]);
    let place = |kit: &Sandbox| {
        let text = check(kit).success();
        text.trim_end().split(", by ").nth(1).unwrap().to_owned()
    };
    let _ = check(&kit).exits(3);
    let good = json!({"auths": {&host: {"auth": basic("ci", PASSWORD)}}});
    kit.file("podman.json", good.to_string());
    kit.env("REGISTRY_AUTH_FILE", kit.path("podman.json"));
    assert_eq!(place(&kit), "[WORK]/podman.json");
    // As Kubernetes mounts secrets.
    fs::rename(kit.path("podman.json"), kit.path("mounted")).unwrap();
    kit.symlink("mounted", "podman.json");
    assert_eq!(place(&kit), "[WORK]/podman.json");
    // Docker's comes first, under the spelling it has there.
    docker(
        &kit,
        &json!({"auths": {format!("https://{host}/v1/"): {"auth": basic("ci", PASSWORD)}}}),
    );
    assert_eq!(place(&kit), "[ROOT]/.docker/config.json");
    let before = fs::read(kit.path("../.docker/config.json")).unwrap();
    login(&kit, &host, []).success();
    assert_eq!(place(&kit), "[HOME]/credentials.json");
    assert_data_eq!(
        kit.run(["logout", &host]).hide(&host, "[HOST]"),
        str![[r#"
Successfully logged out from [HOST]
[stderr]
warning: [ROOT]/.docker/config.json still has a login for [HOST], which is used, too
warning: [WORK]/podman.json still has a login for [HOST], which is used, too
[exit 0]

"#]]
    );
    assert_eq!(
        fs::read(kit.path("../.docker/config.json")).unwrap(),
        before
    );
}

#[test]
fn skopeo_reads_our_logins_and_we_read_its() {
    let setup = Setup {
        user: Some(("ci", PASSWORD)),
        ..Setup::default()
    };
    let Some(registry) = RealRegistry::start(&setup).filter(|_| have("skopeo")) else {
        return;
    };
    let (mut kit, host) = (sandbox(), registry.host());
    let skopeo = |words: &[&str]| {
        let made = Command::new("skopeo").args(words).output().unwrap();
        assert!(made.status.success(), "{words:?}: {made:?}");
        String::from_utf8(made.stdout).unwrap()
    };
    let theirs = kit.path("auth.json");
    let theirs = theirs.to_str().unwrap();
    let words = ["login", "--tls-verify=false", "--authfile", theirs];
    skopeo(&[&words[..], &["-u", "ci", "-p", PASSWORD, &host]].concat());
    kit.env("REGISTRY_AUTH_FILE", theirs);
    let check = kit
        .run(["login", &host, "--check", "--plain-http"])
        .success();
    assert!(check.ends_with("by [WORK]/auth.json\n"), "{check}");

    login(&kit, &host, []).success();
    let ours = kit.home().join("credentials.json");
    let words = [
        "login",
        "--get-login",
        "--authfile",
        ours.to_str().unwrap(),
        &host,
    ];
    assert_eq!(skopeo(&words), "ci\n");
}

#[test]
fn helpers_of_docker_are_asked_and_named() {
    let (kit, registry) = (sandbox(), registry());
    let host = registry.host();
    helper(&kit, "cloud", &answer_of_helper("ci", PASSWORD));
    docker(
        &kit,
        &json!({"credHelpers": {&host: "cloud"}, "credsStore": "nowhere"}),
    );
    let check = kit.run(["login", &host, "--check", "--plain-http"]);
    assert_data_eq!(
        check.hide(&host, "[HOST]"),
        str![[r#"
Logged in to [HOST] as `ci`, by docker-credential-cloud (named in [ROOT]/.docker/config.json)
[exit 0]

"#]]
    );
    // A helper that has no such login is no failure.
    helper(
        &kit,
        "cloud",
        "echo credentials not found in native keychain; exit 1",
    );
    helper(
        &kit,
        "nowhere",
        "echo credentials not found in native keychain; exit 1",
    );
    let _ = kit.run(["login", &host, "--check"]).exits(3);
}

// hazard: 132, 138
#[test]
fn a_helper_that_does_not_work_is_named_and_what_it_prints_is_not() {
    let (kit, registry) = (sandbox(), registry());
    let host = registry.host();
    let run = |name: &str| {
        docker(&kit, &json!({"credsStore": name}));
        let output = kit.run(["login", &host, "--check", "-vvv"]).exits(1);
        assert!(!output.to_string().contains(PASSWORD), "{output}");
        output
    };
    assert_data_eq!(
        run("missing"),
        str![[r#"
[stderr]
error: the credential helper docker-credential-missing is not installed
hint: install it, or take it out of [ROOT]/.docker/config.json
[exit 1]

"#]]
    );
    helper(&kit, "junk", &format!("echo '{PASSWORD} {{'"));
    assert_data_eq!(
        run("junk"),
        str![[r#"
[stderr]
error: the credential helper docker-credential-junk printed something that is no login
hint: it is named in [ROOT]/.docker/config.json
[exit 1]

"#]]
    );
    let script = format!("echo {PASSWORD}; echo 'please run \x1b[2Jcloud login' >&2; exit 3");
    helper(&kit, "failing", &script);
    assert_data_eq!(
        run("failing"),
        str![[r#"
[stderr]
error: the credential helper docker-credential-failing failed: please run /x1b[2Jcloud login
hint: it is named in [ROOT]/.docker/config.json
[exit 1]

"#]]
    );
    for name in ["../../bin/sh", "a b", "-x/y", "a;b"] {
        let output = run(name);
        assert!(
            output.stderr.contains("has a name that no helper has"),
            "{output}"
        );
    }
    assert!(registry.requests().is_empty());
}

/// A helper that keeps one login in a file beside it.
const KEEPING: &str = r#"
file="${0%/*}/kept"
case "$1" in
store) read -r line; printf '%s' "$line" > "$file";;
erase) : > "$file";;
get) if [ -s "$file" ]; then read -r line < "$file"; printf '%s' "$line"; else
    echo credentials not found in native keychain; exit 1; fi;;
esac"#;

#[test]
fn the_helper_of_the_system_keeps_a_login_where_it_is_installed() {
    if cfg!(target_os = "macos") {
        return; // It has another one.
    }
    let (kit, registry) = (sandbox(), registry());
    let host = registry.host();
    helper(&kit, "secretservice", KEEPING);
    assert_data_eq!(
        login(&kit, &host, []).hide(&host, "[HOST]"),
        str![[r#"
Log in successful
[stderr]
warning: the login was sent to [HOST] in clear: it does not speak TLS
[exit 0]

"#]]
    );
    let file = credentials(&kit);
    assert_eq!(file["credsStore"], "secretservice");
    assert!(!file.to_string().contains(&basic("ci", PASSWORD)));
    let kept = fs::read_to_string(kit.path("bin/kept")).unwrap();
    let kept: serde_json::Value = serde_json::from_str(&kept).unwrap();
    assert_eq!(
        kept,
        json!({"ServerURL": host, "Username": "ci", "Secret": PASSWORD})
    );
    let check = kit.run(["login", &host, "--check"]).success();
    assert!(check.contains("docker-credential-secretservice"), "{check}");
    let logout = kit.run(["logout", &host]).success();
    assert!(logout.starts_with("Successfully"), "{logout}");
    assert_eq!(fs::read_to_string(kit.path("bin/kept")).unwrap(), "");
    let _ = kit.run(["login", &host, "--check"]).exits(3);
}

// hazard: 138
#[test]
fn a_helper_that_cannot_keep_a_login_does_not_leave_it_in_clear() {
    let (kit, registry) = (sandbox(), registry());
    let path = kit.home().join("credentials.json");
    fs::write(&path, r#"{"credsStore":"locked"}"#).unwrap();
    helper(&kit, "locked", "echo the store is locked >&2; exit 1");
    let output = login(&kit, &registry.host(), []).exits(1);
    assert!(
        output.stderr.contains("failed: the store is locked"),
        "{output}"
    );
    assert_eq!(
        fs::read_to_string(&path).unwrap(),
        r#"{"credsStore":"locked"}"#
    );
}

#[test]
fn two_logins_at_a_time_both_last() {
    let (kit, one, two) = (sandbox(), registry(), registry());
    std::thread::scope(|scope| {
        for registry in [&one, &two] {
            let kit = &kit;
            scope.spawn(move || login(kit, &registry.host(), []).success());
        }
    });
    let file = credentials(&kit);
    assert_eq!(file["auths"].as_object().unwrap().len(), 2, "{file}");
}
