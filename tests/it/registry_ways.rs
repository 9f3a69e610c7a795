//! The ways to a registry: certificates, proxies, helpers and the identities of clouds, by commands
//! that look into registries. What of it `kit login` does is tested there.

use std::fs;

use base64::{Engine as _, engine::general_purpose::STANDARD};

use crate::support::{
    Output, Sandbox,
    fake::{Answer, Fake, Recorded, documents::Documents},
    kits::pack,
    logins::{PASSWORD, answer_of_helper, helper, login, sandbox},
    registry::{RealRegistry, Setup},
};

/// Starts a registry that holds `team/net:1.0`, or answers what `gate` does first.
fn registry(gate: impl Fn(&Recorded) -> Option<Answer> + Send + Sync + 'static) -> Fake {
    let mut documents = Documents::new();
    documents.kit("1.0", "net");
    Fake::start(move |request| gate(request).unwrap_or_else(|| documents.answer(request)))
}

/// Lets only those in who show this name and password.
fn only(
    user: &str,
    password: &str,
) -> impl Fn(&Recorded) -> Option<Answer> + Send + Sync + 'static {
    let pair = format!("{user}:{password}");
    move |request| (request.basic().as_deref() != Some(&pair)).then(Answer::wants_basic)
}

/// Runs `kit list` of the repository of `host`; its output must never hold the password.
#[track_caller]
fn list(kit: &Sandbox, host: &str, flags: &[&str]) -> Output {
    let name = format!("{host}/team/net");
    let words = [&["list", &name, "-vvv", "--format", "{{ .Tags }}"], flags].concat();
    let output = kit.run(words);
    assert!(!output.to_string().contains(PASSWORD), "{output}");
    output
}

// hazard: 141
#[test]
fn certificates_are_shown_and_believed_as_flags_and_variables_say() {
    let Some(registry) = RealRegistry::start(&Setup {
        user: Some(("ci", PASSWORD)),
        tls: true,
        client_certificates: true,
        ..Setup::default()
    }) else {
        return;
    };
    let (mut kit, host) = (sandbox(), registry.host());
    let path = |name: &str| registry.path(name).to_str().unwrap().to_owned();
    let (authority, certificate, key) = (path("ca.pem"), path("client.pem"), path("client.key"));
    let identity = ["--cert", &certificate, "--key", &key];
    let with = |more: &[&'static str]| -> Vec<String> {
        let all = identity.iter().chain(more).chain(["--ca-file"].iter());
        all.map(ToString::to_string)
            .chain([authority.clone()])
            .collect()
    };
    let flags = with(&[]);
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    pack(&kit, "team/net:1.0", "one");
    login(&kit, &host, flags.iter().copied()).success();
    // There is nothing yet, but whoever comes so far was let in.
    let _ = list(&kit, &host, &flags).exits(3);
    let name = format!("{host}/team/net:1.0");
    for command in ["info", "inspect"] {
        let words = [&[command, "-r", &name], &flags[..]].concat();
        let _ = kit.run(words).exits(3);
    }
    let words = [&["remove", "-r", &name], &flags[..]].concat();
    let _ = kit.run(words).exits(3);
    let other = format!("remote://{name}");
    let words = [&["diff", "team/net:1.0", &other], &flags[..]].concat();
    let _ = kit.run(words).exits(3);
    // Without the certificate, and without the authority.
    let _ = list(&kit, &host, &["--ca-file", &authority]).exits(6);
    let _ = list(&kit, &host, &identity).exits(6);
    // An old name of the flag, and the variables.
    let _ = list(
        &kit,
        &host,
        &[&identity[..], &["--tls-cert", &authority]].concat(),
    )
    .exits(3);
    kit.env("SSL_CERT_FILE", &*authority);
    kit.env("KITOPS_CLIENT_CERT", &*certificate);
    kit.env("KITOPS_CLIENT_KEY", &*key);
    let _ = list(&kit, &host, &[]).exits(3);
    // A flag beats its variable, for better and for worse.
    let server = path("server.key");
    let output = list(&kit, &host, &["--cert", &certificate, "--key", &server]).exits(1);
    assert!(
        output.stderr.contains("cannot use the certificate in"),
        "{output}"
    );
    kit.env("KITOPS_CLIENT_CERT", "nowhere.pem");
    let output = list(&kit, &host, &[]).exits(3);
    assert!(
        output.stderr.contains("cannot read nowhere.pem"),
        "{output}"
    );
    let output = list(&kit, &host, &identity).exits(3);
    assert!(output.stderr.contains("no repository team/net"), "{output}");
}

#[test]
fn a_proxy_is_used_as_flag_and_variables_say() {
    let proxy = registry(only("ci", PASSWORD));
    let mut kit = sandbox();
    kit.env("KIT_USERNAME", "ci");
    kit.env("KIT_PASSWORD", PASSWORD);
    let address = format!("http://user:{PASSWORD}@{}", proxy.host());
    let flags = ["--plain-http", "--proxy", &address];
    assert_eq!(list(&kit, "registry.test", &flags).success(), "[1.0]\n");
    let seen = proxy.requests();
    assert!(
        seen.iter()
            .all(|it| it.target.starts_with("http://registry.test/v2/"))
    );
    assert!(
        seen.iter()
            .all(|it| it.header("proxy-authorization").is_some())
    );
    for (variable, scheme) in [("http_proxy", ""), ("HTTP_PROXY", "http://")] {
        kit.env(variable, format!("{scheme}{}", proxy.host()));
        let output = list(&kit, "registry.test", &["--plain-http"]);
        assert_eq!(output.success(), "[1.0]\n");
        kit.env(variable, "");
    }
    // The flag beats the variable.
    kit.env("HTTP_PROXY", "http://127.0.0.1:1");
    assert_eq!(list(&kit, "registry.test", &flags).success(), "[1.0]\n");
    let output = list(&kit, "registry.test", &["--plain-http", "--retries", "0"]).exits(6);
    assert!(
        output.stderr.contains("through the proxy 127.0.0.1:1"),
        "{output}"
    );
}

// hazard: 141
#[test]
fn a_proxy_of_the_settings_gives_way_to_the_variable_and_that_to_the_flag() {
    let proxy = registry(|_| None);
    let mut kit = sandbox();
    let away = "[network]\nproxy = \"http://127.0.0.1:1\"\nretries = \"0\"\n";
    fs::write(kit.home().join("config.toml"), away).unwrap();
    let through_nothing = list(&kit, "registry.test", &["--plain-http"]).exits(6);
    let expected = "through the proxy 127.0.0.1:1";
    assert!(
        through_nothing.stderr.contains(expected),
        "{through_nothing}"
    );
    let address = format!("http://{}", proxy.host());
    let flags = ["--plain-http", "--proxy", &address];
    assert_eq!(list(&kit, "registry.test", &flags).success(), "[1.0]\n");
    kit.env("HTTP_PROXY", &address);
    let flags = ["--plain-http"];
    assert_eq!(list(&kit, "registry.test", &flags).success(), "[1.0]\n");
    let doctor = kit.run(["doctor"]);
    let said = "proxy";
    let line = doctor.stdout.lines().find(|line| line.contains(said));
    assert!(
        line.is_some_and(|line| line.contains("HTTP_PROXY")),
        "{doctor}"
    );
}

#[test]
#[cfg(target_os = "linux")] // where 0.0.0.0 is this machine, but no loopback address
fn networks_that_need_no_proxy_are_reached_without() {
    let (direct, proxy) = (registry(|_| None), registry(|_| None));
    let mut kit = sandbox();
    let host = format!("0.0.0.0:{}", direct.port());
    kit.env("HTTP_PROXY", format!("http://{}", proxy.host()));
    let mut through = 0;
    for (networks, is_through) in [
        ("", true),
        ("10.0.0.0/8,fd00::/8", true),
        ("0.0.0.0/8", false),
        ("10.0.0.0/8, 0.0.0.0/31", false),
        ("0.0.0.1/32", true),
        ("0.0.0.0", false),
        ("*", false),
    ] {
        kit.env("NO_PROXY", networks);
        list(&kit, &host, &["--plain-http"]).success();
        let now = proxy.requests().len();
        assert_eq!(now > through, is_through, "{networks}");
        through = now;
    }
    assert!(!direct.requests().is_empty());
}

// hazard: 132
#[test]
fn a_helper_that_is_missing_hangs_or_prints_junk_is_named_and_nothing_is_asked_for() {
    let registry = registry(only("ci", PASSWORD));
    let (kit, host) = (sandbox(), registry.host());
    helper(
        &kit,
        "junk",
        &format!("echo '{{\"Username\":\"ci\",\"Secret\":{PASSWORD}'"),
    );
    helper(&kit, "array", &format!("echo '[\"{PASSWORD}\"]'"));
    helper(
        &kit,
        "failing",
        &format!("echo {PASSWORD}; echo no session >&2; exit 1"),
    );
    helper(
        &kit,
        "hanging",
        &format!("echo {PASSWORD}; while :; do :; done"),
    );
    for (name, says, hint) in [
        (
            "missing",
            "docker-credential-missing is not installed",
            "install it",
        ),
        (
            "junk",
            "printed something that is no login",
            "it is named in",
        ),
        (
            "array",
            "printed something that is no login",
            "it is named in",
        ),
        ("failing", "failed: no session", "it is named in"),
        (
            "hanging",
            "did not answer for 1 seconds",
            "--helper-timeout",
        ),
    ] {
        let config = format!(r#"{{"credHelpers":{{"{host}":"{name}"}}}}"#);
        kit.file("../.docker/config.json", config);
        let output = list(&kit, &host, &["--plain-http", "--helper-timeout", "1s"]).exits(1);
        assert!(output.stderr.contains(says), "{output}");
        assert!(output.stderr.contains(hint), "{output}");
        assert!(output.stderr.contains("/.docker/config.json"), "{output}");
    }
    assert!(registry.requests().is_empty());
    fs::remove_file(kit.path("../.docker/config.json")).unwrap();
    let _ = list(&kit, &host, &["--plain-http"]).exits(4);
}

#[test]
fn blobs_go_and_come_by_certificates_a_proxy_and_a_helper_and_nothing_secret_is_said() {
    let Some(registry) = RealRegistry::start(&Setup {
        user: Some(("ci", PASSWORD)),
        tls: true,
        client_certificates: true,
        ..Setup::default()
    }) else {
        return;
    };
    let proxy = Fake::start(|request| Answer::tunnel(&request.target));
    let (kit, host) = (sandbox(), registry.host());
    helper(&kit, "cloud", &answer_of_helper("ci", PASSWORD));
    let config = format!(r#"{{"credHelpers":{{"{host}":"cloud"}}}}"#);
    kit.file("../.docker/config.json", config);
    let path = |name: &str| registry.path(name).to_str().unwrap().to_owned();
    let flags = [
        ("--ca-file", path("ca.pem")),
        ("--cert", path("client.pem")),
        ("--key", path("client.key")),
        (
            "--proxy",
            format!("http://user:{PASSWORD}@{}", proxy.host()),
        ),
    ];
    let flags: Vec<String> = flags.map(|(flag, value)| format!("{flag}={value}")).into();
    let [name, other, third] =
        ["team/net", "prod/net", "new/net"].map(|it| format!("{host}/{it}:1"));
    pack(&kit, &name, "weights");
    let mut said = String::new();
    for words in [
        &["push", &name][..],
        &["copy", &name, &other],
        &["pack", "packed", "--push", "--no-store", "-t", &third],
        &["list", &name],
        &["inspect", "-r", &other],
        &[
            "diff",
            &format!("local://{name}"),
            &format!("remote://{name}"),
        ],
        &["unpack", &third, "-d", "out"],
        &["pull", &other],
    ] {
        let before = proxy.requests().len();
        let words = words.iter().map(|it| (*it).to_owned());
        let all = words.chain(flags.clone()).chain(["-vvv".to_owned()]);
        let output = kit.run(all).exits(0);
        assert!(proxy.requests().len() > before, "{output}");
        said += &output.to_string();
    }
    assert!(said.contains("trace: PUT https://"), "{said}");
    let encoded = |user: &str| STANDARD.encode(format!("{user}:{PASSWORD}"));
    let key = fs::read_to_string(path("client.key")).unwrap();
    let key = key.lines().nth(1).unwrap();
    for secret in [PASSWORD, &encoded("ci"), &encoded("user"), key] {
        assert!(!said.contains(secret), "`{secret}` in:\n{said}");
    }
    for request in proxy.requests() {
        assert_eq!(
            (request.method.as_str(), &request.target),
            ("CONNECT", &host)
        );
        assert!(request.header("authorization").is_none());
    }
}

/// Looks into the registry of a cloud, which `cloud` is behind a proxy.
fn look_into(kit: &Sandbox, host: &str, helper: &str, cloud: &Fake) -> Output {
    let config = format!(r#"{{"credHelpers":{{"{host}":"{helper}"}}}}"#);
    kit.file("../.docker/config.json", config);
    let proxy = format!("http://{}", cloud.host());
    list(kit, host, &["--plain-http", "--proxy", &proxy])
}

#[test]
fn amazon_is_entered_with_what_its_helper_makes_of_the_role_of_a_service_account() {
    let mut kit = sandbox();
    kit.file("token", PASSWORD);
    // As a cluster tells programs who they are; the helper finds it in its environment.
    kit.env("AWS_ROLE_ARN", "arn:aws:iam::1:role/puller");
    kit.env("AWS_WEB_IDENTITY_TOKEN_FILE", kit.path("token"));
    helper(
        &kit,
        "ecr-login",
        r#"read -r server
[ "$1 $server $AWS_ROLE_ARN" = "get 1.dkr.ecr.eu-west-1.amazonaws.com arn:aws:iam::1:role/puller" ] || exit 3
read -r token < "$AWS_WEB_IDENTITY_TOKEN_FILE"
echo '{"ServerURL":"x","Username":"AWS","Secret":"'"$token"'"}'"#,
    );
    let cloud = registry(only("AWS", PASSWORD));
    let host = "1.dkr.ecr.eu-west-1.amazonaws.com";
    let output = look_into(&kit, host, "ecr-login", &cloud);
    assert_eq!(output.success(), "[1.0]\n");
    kit.env("AWS_ROLE_ARN", "");
    let output = look_into(&kit, host, "ecr-login", &cloud).exits(1);
    assert!(
        output.stderr.contains("docker-credential-ecr-login failed"),
        "{output}"
    );
}

/// Answers as a cloud whose token server is at `path` of the registry itself; `takes` tells whether
/// it takes what it is shown.
fn with_tokens(
    host: &'static str,
    path: &'static str,
    takes: impl Fn(&Recorded) -> bool + Send + Sync + 'static,
) -> Fake {
    let token = format!("of-{PASSWORD}");
    let bearer = format!("Bearer {token}");
    registry(move |request| {
        if request.path() == path {
            return Some(if takes(request) {
                Answer::new(200).body(format!(r#"{{"access_token":"{token}"}}"#))
            } else {
                Answer::new(401)
            });
        }
        let realm = format!("http://{host}{path}");
        (request.header("authorization") != Some(&bearer)).then(|| Answer::wants_bearer(&realm))
    })
}

#[test]
fn google_is_entered_with_the_access_token_of_its_helpers() {
    let kit = sandbox();
    for (name, user) in [("gcr", "_dcgcr_token"), ("gcloud", "_dcgcloud_token")] {
        helper(&kit, name, &answer_of_helper(user, PASSWORD));
        let pair = format!("{user}:{PASSWORD}");
        let host = "europe-docker.pkg.dev";
        let cloud = with_tokens(host, "/v2/token", move |it| {
            it.basic().as_deref() == Some(&pair)
        });
        let output = look_into(&kit, host, name, &cloud);
        assert_eq!(output.success(), "[1.0]\n");
    }
}

#[test]
fn azure_is_entered_with_the_identity_token_of_its_helper() {
    let kit = sandbox();
    for user in ["<token>", "00000000-0000-0000-0000-000000000000"] {
        helper(&kit, "acr-env", &answer_of_helper(user, PASSWORD));
        let cloud = with_tokens("team.azurecr.io", "/oauth2/token", |request| {
            let form = format!("grant_type=refresh_token&client_id=kit&refresh_token={PASSWORD}");
            let pair = format!("00000000-0000-0000-0000-000000000000:{PASSWORD}");
            request.body.ends_with(&form) || request.basic() == Some(pair)
        });
        let output = look_into(&kit, "team.azurecr.io", "acr-env", &cloud);
        assert_eq!(output.success(), "[1.0]\n");
        let asked = cloud.requests();
        let method = if user == "<token>" { "POST" } else { "GET" };
        let of_tokens = asked.iter().filter(|it| it.path() == "/oauth2/token");
        assert!(of_tokens.clone().count() >= 1);
        assert!(of_tokens.clone().all(|it| it.method == method), "{user}");
    }
}
