//! Certificates and proxies, against a real registry and a proxy of the test.

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::support::{
    fake::{Answer, Fake, Recorded},
    logins::{PASSWORD, by_password, login, sandbox},
    registry::{RealRegistry, Setup},
};

fn with_tls(client_certificates: bool) -> Option<RealRegistry> {
    RealRegistry::start(&Setup {
        user: Some(("ci", PASSWORD)),
        tls: true,
        client_certificates,
        ..Setup::default()
    })
}

// hazard: 139, 140, 141
#[test]
fn an_authority_that_is_not_the_systems_has_to_be_named() {
    let Some(registry) = with_tls(false) else {
        return;
    };
    let (mut kit, host) = (sandbox(), registry.host());
    assert_data_eq!(
        login(&kit, &host, []).hide(&host, "[HOST]"),
        str![[r#"
[stderr]
error: cannot reach https://[HOST]: its certificate is not trusted: its authority is not known here
hint: if the registry has an authority of its own, name it with --ca-file FILE
[exit 6]

"#]]
    );
    let authority = registry.path("ca.pem");
    let authority = authority.to_str().unwrap();
    for flag in ["--ca-file", "--tls-cert"] {
        let output = login(&kit, &host, [flag, authority]).exits(0);
        assert!(!output.stderr.contains("in clear"), "{output}");
    }
    let output = login(&kit, &host, ["--tls-verify=false"]).exits(0);
    assert!(
        output.stderr.contains("certificates are not checked"),
        "{output}"
    );
    kit.env("SSL_CERT_FILE", authority);
    login(&kit, &host, []).success();
    // Never remembered.
    kit.env("SSL_CERT_FILE", "");
    let _ = login(&kit, &host, []).exits(6);
    let folder = kit.path("authorities");
    fs::create_dir(&folder).unwrap();
    fs::copy(authority, folder.join("one.pem")).unwrap();
    fs::write(folder.join("README"), "other files may lie here").unwrap();
    kit.env("SSL_CERT_DIR", folder);
    login(&kit, &host, []).success();
}

// hazard: 139
#[test]
fn a_certificate_for_another_host_is_refused() {
    let Some(registry) = with_tls(false) else {
        return;
    };
    let authority = registry.path("ca.pem");
    let host = registry.host().replace("localhost", "127.0.0.1");
    let more = ["--ca-file", authority.to_str().unwrap()];
    assert_data_eq!(
        login(&sandbox(), &host, more).hide(&host, "[HOST]"),
        str![[r#"
[stderr]
error: cannot reach https://[HOST]: its certificate is not trusted: it belongs to another host
hint: this name is not in its certificate: use the one that is
[exit 6]

"#]]
    );
}

// hazard: 139
#[test]
fn speaking_in_clear_to_tls_is_refused_by_the_registry_in_its_words() {
    let Some(registry) = with_tls(false) else {
        return;
    };
    let output = login(&sandbox(), &registry.host(), ["--plain-http"]).exits(6);
    assert!(
        output.stderr.contains("HTTP request to an HTTPS server"),
        "{output}"
    );
}

#[test]
fn files_without_certificates_or_keys_are_named() {
    let kit = sandbox();
    kit.file("junk.pem", "junk").file(
        "bad.pem",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    );
    kit.file(
        "locked.pem",
        "-----BEGIN ENCRYPTED PRIVATE KEY-----\nAAAA\n-----END ENCRYPTED PRIVATE KEY-----\n",
    );
    for (flags, code, message) in [
        ("--ca-file junk.pem", 1, "no certificate in junk.pem"),
        ("--ca-file missing.pem", 3, "cannot read missing.pem"),
        (
            "--cert junk.pem --key junk.pem",
            1,
            "no certificate in junk.pem",
        ),
        ("--cert bad.pem", 1, "no private key in bad.pem"),
        (
            "--cert bad.pem --key locked.pem",
            1,
            "only one that is locked with a password",
        ),
        ("--key junk.pem", 2, "--key without --cert"),
        (
            "--proxy ftp://x:hunter2@y",
            2,
            "the proxy of --proxy is no address",
        ),
    ] {
        let output = login(&kit, "localhost:1", flags.split(' ')).exits(code);
        assert!(output.stderr.contains(message), "{flags}: {output}");
        assert!(!output.stderr.contains("hunter2"), "{output}");
    }
}

// hazard: 141
#[test]
fn a_client_certificate_is_shown_and_a_flag_beats_the_variable() {
    let Some(registry) = with_tls(true) else {
        return;
    };
    let (mut kit, host) = (sandbox(), registry.host());
    let path = |name: &str| registry.path(name).to_str().unwrap().to_owned();
    let authority = path("ca.pem");
    let trusting = ["--ca-file", &authority, "--retries", "0"];
    let output = login(&kit, &host, trusting).exits(6);
    assert!(output.stderr.contains("client certificate"), "{output}");
    let (certificate, key) = (path("client.pem"), path("client.key"));
    let both = [&trusting[..], &["--cert", &certificate, "--key", &key]].concat();
    login(&kit, &host, both.clone()).success();
    let wrong = path("server.key");
    let mixed = [&trusting[..], &["--cert", &certificate, "--key", &wrong]].concat();
    let output = login(&kit, &host, mixed).exits(1);
    assert!(
        output.stderr.contains("cannot use the certificate in"),
        "{output}"
    );
    kit.env("KITOPS_CLIENT_CERT", &*certificate);
    kit.env("KITOPS_CLIENT_KEY", &*key);
    login(&kit, &host, trusting).success();
    kit.env("KITOPS_CLIENT_CERT", "junk.pem");
    let _ = login(&kit, &host, trusting).exits(3);
    login(&kit, &host, both).success();
}

/// Answers as a proxy that has the registry behind it.
fn proxy() -> Fake {
    Fake::start(|request: &Recorded| {
        if request.target.starts_with("http://") {
            by_password(request)
        } else {
            Answer::new(400).body("this is a proxy")
        }
    })
}

// hazard: 141
#[test]
fn proxies_come_from_the_environment_or_the_flag() {
    let (mut kit, proxy) = (sandbox(), proxy());
    let address = format!("http://user:{PASSWORD}@{}", proxy.host());
    kit.env("http_proxy", &*address);
    login(&kit, "registry.test", ["--plain-http"]).success();
    let seen = proxy.requests();
    assert_eq!(seen[0].target, "http://registry.test/v2/");
    let login_of_proxy = seen[0].header("proxy-authorization").unwrap();
    assert!(login_of_proxy.starts_with("Basic "), "{login_of_proxy}");
    assert_eq!(seen[1].basic(), Some(format!("ci:{PASSWORD}")));
    // The flag beats the variable, and holds for this machine, too.
    kit.env("http_proxy", "http://127.0.0.1:1");
    let flags = ["--plain-http", "--proxy", &address];
    login(&kit, "localhost:9", flags).success();
    let output = login(&kit, "registry.test", ["--plain-http", "--retries", "0"]).exits(6);
    assert!(
        output.stderr.contains("through the proxy 127.0.0.1:1"),
        "{output}"
    );
}

// hazard: 141
#[test]
#[cfg(target_os = "linux")] // where 0.0.0.0 is this machine, but no loopback address
fn no_proxy_takes_networks() {
    let (mut kit, proxy) = (sandbox(), proxy());
    let registry = Fake::start(by_password);
    let host = format!("0.0.0.0:{}", registry.port());
    kit.env("HTTP_PROXY", format!("http://{}", proxy.host()));
    login(&kit, &host, ["--plain-http"]).success();
    assert_eq!((proxy.requests().len(), registry.requests().len()), (2, 0));
    kit.env("NO_PROXY", "other.example,0.0.0.0/8");
    login(&kit, &host, ["--plain-http"]).success();
    assert_eq!((proxy.requests().len(), registry.requests().len()), (2, 2));
}

// hazard: 141
#[test]
fn tls_goes_through_the_tunnel_of_a_proxy() {
    let Some(registry) = with_tls(false) else {
        return;
    };
    let (kit, host) = (sandbox(), registry.host());
    let proxy = Fake::start(|request| Answer::tunnel(&request.target));
    let address = format!("http://user:{PASSWORD}@{}", proxy.host());
    let authority = registry.path("ca.pem");
    let flags = [
        "--proxy",
        &address,
        "--ca-file",
        authority.to_str().unwrap(),
    ];
    login(&kit, &host, flags).success();
    for request in proxy.requests() {
        assert_eq!(
            (request.method.as_str(), &request.target),
            ("CONNECT", &host)
        );
        assert!(request.header("proxy-authorization").is_some());
        assert!(request.header("authorization").is_none());
    }
}

// hazard: 138, 141
#[test]
fn a_proxy_that_refuses_a_tunnel_is_named_without_its_password() {
    let (kit, proxy) = (sandbox(), Fake::start(|_| Answer::new(407)));
    let address = format!("http://user:{PASSWORD}@{}", proxy.host());
    let flags = ["--proxy", &address, "-vvv"];
    let output = login(&kit, "registry.test", flags).exits(6);
    assert_eq!(proxy.requests()[0].method, "CONNECT");
    assert_eq!(proxy.requests()[0].target, "registry.test:443");
    assert!(output.stderr.contains("the proxy refused"), "{output}");
    assert!(!output.stderr.contains(PASSWORD), "{output}");
}
