//! `kit pack` of kits whose parents are in a registry and not in the store, and what becomes of them.

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox, have,
    kits::count_blobs,
    registry::{RealRegistry, Setup},
    shelf::{Rules, StoreShelf},
};
use crate::unpack_remote::publish;

/// Packs a kit with a model as `HOST/team/base:1` where `shelf` hands it out.
fn base(publisher: &Sandbox, host: &str) -> String {
    let name = format!("{host}/team/base:1");
    publisher
        .file("base/Kitfile", "model: {name: net, path: w/net.bin}\n")
        .file("base/w/net.bin", "weights ".repeat(50_000));
    publisher.run(["pack", "base", "-q", "-t", &name]).success();
    name
}

/// Writes a child of `parent`, with files where the parent has its own.
fn child(kit: &Sandbox, parent: &str) {
    kit.file(
        "child/Kitfile",
        format!("model: {{path: '{parent}'}}\ncode: [{{path: .}}]\n"),
    )
    .file("child/w/net.bin", "not packed")
    .file("child/main.py", "import w");
}

fn pack(kit: &Sandbox, name: &str, flags: &[&str]) -> Output {
    let arguments = ["pack", "child", "-t", name];
    kit.run(arguments.iter().chain(flags)).hide_digests()
}

#[test]
fn a_parent_is_looked_at_in_its_registry_and_not_stored() {
    let publisher = Sandbox::new();
    let shelf = StoreShelf::of(&publisher, Rules::default());
    let parent = base(&publisher, &shelf.host());
    let kit = Sandbox::new();
    child(&kit, &parent);
    let output = pack(&kit, "child:1", &[]).hide(&shelf.host(), "[HOST]");
    assert_data_eq!(
        output,
        str![[r#"
Model saved: sha256:[DIGEST]
[stderr]
[HOST]/team/base:1 is not in the store: it is read from its registry
Left out: `w/net.bin` belongs to model `net` of [HOST]/team/base:1
Saved code layer: sha256:[DIGEST]
Saved configuration: sha256:[DIGEST]
Saved manifest to storage: sha256:[DIGEST]
Parent [HOST]/team/base:1 (digest sha256:[DIGEST])
Tagged child:1
[exit 0]

"#]]
    );
    assert_eq!(count_blobs(&kit), 3, "the child's own");
    assert_eq!(kit.store().names().len(), 1);
    assert!(shelf.sent() < 10_000, "documents alone");
    // Whoever unpacks it needs the model.
    let arguments = ["unpack", "child:1", "-d", "out"];
    let output = kit
        .run(arguments)
        .hide_digests()
        .hide(&shelf.host(), "[HOST]");
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
error: parent kit [HOST]/team/base:1 cannot be used (child:1 => [HOST]/team/base:1)
  caused by: its parent [HOST]/team/base:1 is on [HOST], another registry
hint: if you trust it: --allow-parent [HOST], or `kit login [HOST]`
[exit 4]

"#]]
    );
    let allowed = ["--allow-parent".to_owned(), shelf.host()];
    let arguments = arguments.map(str::to_owned).into_iter().chain(allowed);
    let output = kit.run(arguments).hide(&shelf.host(), "[HOST]");
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
[HOST]/team/base:1 is not in the store: it is read from its registry
Unpacking to [WORK]/out
Unpacking model `net` to `w/net.bin` of [HOST]/team/base:1
Unpacking code `.`
3 files written (390.7 KiB)
[exit 0]

"#]]
    );
    assert!(kit.path("out/w/net.bin").exists());
    assert_eq!(count_blobs(&kit), 3);
    // Without the model nobody is asked.
    let asked = shelf.sent();
    kit.run(["unpack", "child:1", "-d", "code", "--filter", "code"])
        .success();
    assert_eq!(shelf.sent(), asked);
}

// hazard: 81
#[test]
fn what_a_parent_names_is_not_followed_everywhere() {
    let publisher = Sandbox::new();
    let (first, second) = (
        StoreShelf::of(&publisher, Rules::default()),
        StoreShelf::of(&publisher, Rules::default()),
    );
    let top = base(&publisher, &second.host());
    let middle = format!("{}/team/middle:1", first.host());
    publisher.file(
        "middle/Kitfile",
        format!("model: {{path: '{top}', parts: [{{name: lora, path: lora.bin}}]}}\n"),
    );
    publisher.file("middle/lora.bin", "lora");
    publisher
        .run(["pack", "middle", "-q", "-t", &middle])
        .success();
    let kit = Sandbox::new();
    child(&kit, &middle);
    let hide = |output: Output| {
        let output = output.hide_digests();
        let output = output.hide(&first.host(), "[FIRST]");
        output.hide(&second.host(), "[SECOND]")
    };
    let before = second.sent();
    assert_data_eq!(
        hide(pack(&kit, "child:1", &[])),
        str![[r#"
[stderr]
[FIRST]/team/middle:1 is not in the store: it is read from its registry
error: parent kit [SECOND]/team/base:1 cannot be used (child:1 => [FIRST]/team/middle:1 => [SECOND]/team/base:1)
  caused by: its parent [SECOND]/team/base:1 is on [SECOND], another registry
hint: if you trust it: --allow-parent [SECOND], or `kit login [SECOND]`
[exit 4]

"#]]
    );
    assert_eq!(second.sent(), before, "nobody asked there");
    let allowed = second.host();
    let allowed = ["--allow-parent", &allowed];
    pack(&kit, "child:1", &allowed).success();
    // The same rule holds for a kit that is unpacked from a registry.
    let arguments = ["unpack", &middle, "-d", "out"];
    assert_data_eq!(
        hide(kit.run(arguments)),
        str![[r#"
[stderr]
[FIRST]/team/middle:1 is not in the store: it is read from its registry
error: parent kit [SECOND]/team/base:1 cannot be used ([FIRST]/team/middle:1 => [SECOND]/team/base:1)
  caused by: its parent [SECOND]/team/base:1 is on [SECOND], another registry
hint: if you trust it: --allow-parent [SECOND], or `kit login [SECOND]`
[exit 4]

"#]]
    );
    assert!(!kit.path("out").exists());
    kit.run(arguments.iter().chain(&allowed)).success();
    assert!(kit.path("out/w/net.bin").exists() && kit.path("out/lora.bin").exists());
}

#[test]
fn a_parent_that_is_nowhere_is_told() {
    let publisher = Sandbox::new();
    let shelf = StoreShelf::of(&publisher, Rules::default());
    base(&publisher, &shelf.host());
    let kit = Sandbox::new();
    child(&kit, &format!("{}/team/base:2", shelf.host()));
    let hide = |output: Output| output.hide(&shelf.host(), "[HOST]");
    assert_data_eq!(
        hide(pack(&kit, "child:1", &[])),
        str![[r#"
[stderr]
[HOST]/team/base:2 is not in the store: it is read from its registry
error: parent kit [HOST]/team/base:2 cannot be used (child:1 => [HOST]/team/base:2)
  caused by: [HOST] has no team/base:2: no such thing (MANIFEST_UNKNOWN)
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
    child(&kit, "team/base:1");
    assert_data_eq!(
        pack(&kit, "child:1", &[]),
        str![[r#"
[stderr]
error: parent kit team/base:1 is not in the store (child:1 => team/base:1)
hint: `kit load` takes it out of a bundle; a name that begins with a registry is looked for there
[exit 3]

"#]]
    );
    assert!(!kit.home().join("store/index.json").exists());
}

// hazard: 81
#[test]
fn a_login_in_the_environment_is_not_for_what_a_kitfile_names() {
    let publisher = Sandbox::new();
    let rules = Rules {
        token_life: Some(std::time::Duration::from_secs(60)),
        ..Rules::default()
    };
    let shelf = StoreShelf::of(&publisher, rules);
    let parent = base(&publisher, &shelf.host());
    let mut kit = Sandbox::new();
    kit.env("KIT_USERNAME", "ci");
    kit.env("KIT_PASSWORD", "secret");
    child(&kit, &parent);
    pack(&kit, "child:1", &[]).success();
    assert_eq!(shelf.logins(), 0);
    let own = format!("{}/team/child:1", shelf.host());
    pack(&kit, &own, &["--plain-http"]).success();
    assert_eq!(shelf.logins(), 1);
}

#[test]
fn parents_are_read_out_of_a_real_registry() {
    let setup = Setup::default();
    let Some(registry) = RealRegistry::start(&setup).filter(|_| have("skopeo")) else {
        return;
    };
    let publisher = Sandbox::new();
    let parent = base(&publisher, &registry.host());
    publish(&publisher, &parent);
    let kit = Sandbox::new();
    child(&kit, &parent);
    let name = format!("{}/team/child:1", registry.host());
    pack(&kit, &name, &[]).success();
    publish(&kit, &name);
    // Both out of the registry, in one run.
    let other = Sandbox::new();
    other.run(["unpack", &name, "-d", "out"]).success();
    assert!(other.path("out/w/net.bin").exists() && other.path("out/main.py").exists());
    assert!(!other.home().join("store").exists());
}
