//! What commands say of logins that do not help: where they came from, and what would.

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox,
    fake::{Answer, Fake, documents::Documents},
    kits,
    logins::{PASSWORD, sandbox},
    set_mode,
};

/// A registry that lets in `ci` with the password, and a user of it.
fn registry() -> (Fake, Sandbox) {
    let mut documents = Documents::new();
    documents.kit("1.0", "net");
    let pair = format!("ci:{PASSWORD}");
    let registry = Fake::start(move |request| {
        if request.basic().as_deref() == Some(&pair) {
            documents.answer(request)
        } else {
            Answer::wants_basic()
        }
    });
    (registry, sandbox())
}

fn list(kit: &Sandbox, registry: &Fake, flags: &[&str]) -> Output {
    let name = format!("{}/team/net", registry.host());
    let words = ["list", &name, "--format", "{{ .Tags }}"];
    let output = kit.run(words.iter().chain(flags));
    output.hide(&registry.host(), "[HOST]")
}

#[test]
#[cfg(unix)]
fn logins_that_others_can_read_are_said() {
    let (registry, kit) = registry();
    let file = kit.home().join("credentials.json");
    kit.file(
        &file,
        format!(
            r#"{{"auths":{{"{}":{{"username":"ci","password":"{PASSWORD}","kit":{{"plainHttp":true}}}}}}}}"#,
            registry.host()
        ),
    );
    set_mode(&file, 0o644);
    assert_data_eq!(
        list(&kit, &registry, &[]),
        str![[r#"
[1.0]
[stderr]
warning: others can read the logins in [HOME]/credentials.json: `chmod 600` keeps them out
[exit 0]

"#]]
    );
    set_mode(&file, 0o600);
    assert!(list(&kit, &registry, &[]).stderr.is_empty());
    // What a helper keeps is not in the file.
    kit.file(&file, r#"{"credsStore":"","auths":{"r.example":{}}}"#);
    set_mode(&file, 0o644);
    let output = list(&kit, &registry, &[]).exits(4);
    assert!(!output.stderr.contains("warning"), "{output}");
}

#[test]
fn a_login_in_the_environment_is_not_mended_by_logging_in() {
    let (registry, mut kit) = registry();
    kit.env("KIT_USERNAME", "ci");
    assert_data_eq!(
        list(&kit, &registry, &["--plain-http"]),
        str![[r#"
[stderr]
warning: KIT_USERNAME counts only with KIT_PASSWORD, which is not set: it is ignored
error: [HOST] asks for a login
hint: run `kit login [HOST]`
[exit 4]

"#]]
    );
    kit.env("KIT_PASSWORD", "a wrong one");
    assert_data_eq!(
        list(&kit, &registry, &["--plain-http"]),
        str![[r#"
[stderr]
error: [HOST] does not let this login pull from team/net
hint: the login is that of KIT_USERNAME and KIT_PASSWORD: check them
[exit 4]

"#]]
    );
    kit.env("KIT_PASSWORD", PASSWORD);
    assert_data_eq!(
        list(&kit, &registry, &[]),
        str![[r#"
[stderr]
error: the login for [HOST] would be sent in clear: it does not speak TLS
hint: allow it with --plain-http: the login is that of KIT_PASSWORD
[exit 4]

"#]]
    );
    assert_eq!(
        list(&kit, &registry, &["--plain-http"]).success(),
        "[1.0]\n"
    );
    // A token where a name is wanted.
    kit.env("KIT_USERNAME", "");
    assert_data_eq!(
        list(&kit, &registry, &["--plain-http"]),
        str![[r#"
[stderr]
error: [HOST] takes a name and a password, and the login is a token alone
hint: the login is that of KIT_USERNAME and KIT_PASSWORD: check them
[exit 4]

"#]]
    );
}

#[test]
fn a_registry_alone_is_no_repository_and_a_repository_no_registry() {
    let kit = sandbox();
    assert_data_eq!(
        kit.run(["list", "registry.example:5000"]),
        str![[r#"
[stderr]
error: no kit of registry.example:5000 in the store
hint: registries do not list their repositories: name one, `kit list registry.example:5000/team/net`
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["logout", "registry.example/team"]),
        str![[r#"
[stderr]
error: registry `registry.example/team` holds '/', expected a host name or address and, behind `:`, a port from 1 to 65535 without zeros in front
  given for REGISTRY
hint: write 'registry.example'
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["info", "registry.example/team/net:1"]),
        str![[r#"
[stderr]
error: no kit registry.example/team/net:1 in the store
hint: `kit list` shows what there is
hint: --remote looks for it in registry.example
[exit 3]

"#]]
    );
}

#[test]
fn a_proxy_that_is_not_there_is_named() {
    let mut kit = sandbox();
    kit.env("HTTPS_PROXY", format!("http://ci:{PASSWORD}@127.0.0.1:1"));
    assert_data_eq!(
        kit.run(["list", "registry.example/team/net", "--retries", "0"]),
        str![[r#"
[stderr]
error: cannot reach https://registry.example through the proxy 127.0.0.1:1: Connection refused (os error 111)
hint: check host and port of the proxy, and whether it is running
[exit 6]

"#]]
    );
}

#[test]
fn who_speaks_in_clear_to_a_server_with_tls_is_told_so() {
    let registry = Fake::start(|_| Answer::new(400));
    let kit = sandbox();
    kits::pack(&kit, "net:1", "weights");
    let name = format!("{}/team/net:1", registry.host());
    let output = kit.run(["push", "net:1", &name, "--plain-http"]).exits(6);
    let hint = "hint: it seems to speak TLS: leave --plain-http out\n";
    assert!(output.stderr.ends_with(hint), "{output}");
}
