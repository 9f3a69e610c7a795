//! What needs more than one file of the module.

use std::{fs, path::Path, time::Duration};

use serde_json::{Value, json};
use tempfile::TempDir;

use super::*;

fn keyring(files: &[&Value]) -> (TempDir, Keyring) {
    let folder = tempfile::tempdir().unwrap();
    let mut others = Vec::new();
    for (number, content) in files.iter().enumerate() {
        let path = folder.path().join(format!("{number}.json"));
        fs::write(&path, content.to_string()).unwrap();
        others.push(path);
    }
    let keyring = Keyring::new(Sources {
        own: folder.path().join("credentials.json"),
        others,
        path: None,
    });
    (folder, keyring)
}

/// Returns the name of the user that is found, `-` for a token.
fn user(keyring: &Keyring, registry: &str, repository: &str) -> Option<String> {
    let found = keyring.find(registry, Some(repository)).unwrap()?;
    Some(found.credential.user().unwrap_or("-").to_owned())
}

fn entry(user: &str) -> Value {
    json!({ "username": user, "password": "p" })
}

#[test]
fn the_longest_key_of_the_first_file_wins() {
    let first = json!({"auths": {
        "r.example": entry("host"),
        "r.example/team": entry("team"),
        "https://r.example/team/net": entry("net"),
    }});
    let second =
        json!({"auths": {"r.example/other/net": entry("second"), "s.example": entry("s")}});
    let (_folder, keyring) = keyring(&[&first, &second]);
    for (registry, repository, expected) in [
        ("r.example", "team/net", Some("net")),
        ("r.example", "team/net/part", Some("net")),
        ("r.example", "team/network", Some("team")),
        ("r.example", "other/net", Some("host")),
        ("s.example", "x", Some("s")),
        ("r.example:5000", "team/net", None),
    ] {
        let found = user(&keyring, registry, repository);
        assert_eq!(found.as_deref(), expected, "{registry}/{repository}");
    }
}

#[test]
fn docker_hub_is_found_under_all_its_names() {
    for key in [
        "https://index.docker.io/v1/",
        "index.docker.io",
        "docker.io",
        "registry-1.docker.io",
    ] {
        let file = json!({"auths": {key: entry("hub")}});
        let (_folder, keyring) = keyring(&[&file]);
        for registry in ["docker.io", "index.docker.io"] {
            assert_eq!(
                user(&keyring, registry, "library/x").as_deref(),
                Some("hub"),
                "{key}"
            );
        }
    }
    let (folder, keyring) = keyring(&[]);
    let credential = Credential::of("me", Secret::new("p".to_owned()));
    keyring
        .save("docker.io", &credential, &Trust::default())
        .unwrap();
    let text = fs::read_to_string(folder.path().join("credentials.json")).unwrap();
    assert!(text.contains("\"https://index.docker.io/v1/\""), "{text}");
    assert!(keyring.forget("index.docker.io").unwrap().removed);
}

// hazard: 132
#[test]
fn every_kind_of_entry_is_read_and_half_a_one_is_an_error() {
    let of = |entry: Value| {
        let (_folder, keyring) = keyring(&[&json!({"auths": {"r.example": entry}})]);
        let found = keyring.find("r.example", None);
        found
            .map(|found| found.map(|it| it.credential))
            .map_err(|error| error.to_string())
    };
    let secret = |text: &str| Secret::new(text.to_owned());
    let password = |user: &str, password: &str| {
        Some(Credential::Password {
            user: user.to_owned(),
            password: secret(password),
        })
    };
    assert_eq!(of(json!({"auth": "YTpiOmM="})), Ok(password("a", "b:c")));
    assert_eq!(of(json!({"auth": "YTpiOmM"})), Ok(password("a", "b:c")));
    assert_eq!(of(json!({"auth": "YTpiAAA="})), Ok(password("a", "b")));
    assert_eq!(
        of(json!({"identitytoken": "t", "auth": "YTpi"})),
        Ok(Some(Credential::Identity(secret("t"))))
    );
    assert_eq!(
        of(json!({"registrytoken": "t"})),
        Ok(Some(Credential::Access(secret("t"))))
    );
    for empty in [
        json!({}),
        json!({"auth": ""}),
        json!({"username": "a"}),
        json!(7),
    ] {
        assert_eq!(of(empty.clone()), Ok(None), "{empty}");
    }
    for bad in ["!!!", "YWI", "//8"] {
        let error = of(json!({"auth": bad})).unwrap_err();
        assert!(
            error.ends_with("is no base64 of NAME:PASSWORD") && !error.contains(bad),
            "{error}"
        );
    }
}

#[test]
fn trust_lasts_with_the_login_and_goes_with_it() {
    let (_folder, keyring) = keyring(&[]);
    let trust = Trust {
        plain_http: true,
        token_servers: vec!["auth.example".to_owned()],
    };
    let credential = Credential::of("", Secret::new("t".to_owned()));
    keyring.save("r.example", &credential, &trust).unwrap();
    assert_eq!(keyring.trust("r.example").unwrap(), trust);
    assert_eq!(
        keyring.find("r.example", None).unwrap().unwrap().credential,
        credential
    );
    keyring.forget("r.example").unwrap();
    assert_eq!(keyring.trust("r.example").unwrap(), Trust::default());
}

// hazard: 138
#[test]
fn what_a_killed_login_left_is_swept() {
    let (folder, keyring) = keyring(&[]);
    let left = folder.path().join(".credentials-0123456789abcdef");
    fs::write(&left, "half a file").unwrap();
    let credential = Credential::of("", Secret::new("t".to_owned()));
    keyring
        .save("r.example", &credential, &Trust::default())
        .unwrap();
    assert!(!left.exists());
}

// hazard: 138
#[test]
fn secrets_do_not_print() {
    let credential = Credential::of("me", Secret::new("hunter2".to_owned()));
    assert_eq!(
        format!("{credential:?}"),
        r#"Password { user: "me", password: [secret] }"#
    );
    assert_eq!(
        credential.mask("x hunter2 bWU6aHVudGVyMg== y"),
        "x [secret] [secret]== y"
    );
}

// hazard: 132
#[test]
#[cfg(unix)]
fn a_helper_that_hangs_is_ended_and_named() {
    use std::os::unix::fs::PermissionsExt as _;
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        let path = folder.path().join(name);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        path
    };
    write(
        "docker-credential-slow",
        "#!/bin/sh\necho secret\nexec sleep 1000\n",
    );
    let own = write("credentials.json", r#"{"credsStore":"slow"}"#);
    let keyring = Keyring::new(Sources {
        own,
        others: Vec::new(),
        path: Some(folder.path().into()),
    });
    let keyring = keyring.with_helper_time(Duration::from_millis(200));
    let error = keyring.find("r.example", None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the credential helper docker-credential-slow did not answer for 0 seconds"
    );
}

#[test]
#[cfg(unix)]
fn a_helper_is_not_taken_from_the_folder_one_stands_in() {
    use std::os::unix::fs::PermissionsExt as _;
    // Cargo runs tests in the folder of the package, below which `target` is.
    let here = std::env::current_dir().unwrap();
    let folder = tempfile::tempdir_in("target").unwrap();
    let helper = folder.path().join("docker-credential-near");
    fs::write(&helper, "#!/bin/sh\necho '{\"Secret\":\"s\"}'\n").unwrap();
    fs::set_permissions(&helper, fs::Permissions::from_mode(0o755)).unwrap();
    let own = folder.path().join("credentials.json");
    fs::write(&own, r#"{"credsStore":"near"}"#).unwrap();
    let find = |path: &Path| {
        let keyring = Keyring::new(Sources {
            own: own.clone(),
            others: Vec::new(),
            path: Some(path.into()),
        });
        keyring.find("r.example", None).map(|found| found.is_some())
    };
    let near = folder.path().strip_prefix(&here).unwrap();
    let error = find(near).unwrap_err().to_string();
    assert_eq!(
        error,
        "the credential helper docker-credential-near is not installed"
    );
    assert!(find(&here.join(near)).unwrap());
}
