//! Kits that take their model from others.

use serde_json::json;
use snapbox::{assert_data_eq, str};

use super::names;
use crate::support::{
    Sandbox,
    fake::{Fake, Shelf},
    kits,
};

/// Returns a shelf that holds kits which each take their model from the next: `kits` are tags and
/// what `model.path` says.
fn shelf(kits: &[(&str, &str)]) -> Shelf {
    let maker = Sandbox::new();
    kits::pack(&maker, "made:root", "weights");
    let mut shelf = Shelf::of(&maker.store());
    for (tag, path) in kits {
        shelf.put_kit(tag, &config(path));
    }
    shelf
}

/// Returns the config of a kit that takes its model from another.
fn config(parent: &str) -> Vec<u8> {
    let config = json!({
        "manifestVersion": "1.0.0",
        "model": {"name": "net", "path": parent},
    });
    config.to_string().into_bytes()
}

fn start(shelf: Shelf) -> Fake {
    Fake::start(move |request| shelf.answer(request))
}

// hazard: 81, 82
#[test]
fn parents_come_along_and_keep_their_names() {
    let root = start(shelf(&[]));
    let base = format!("{}/team/base:root", root.host());
    let child = start(shelf(&[("1", &base)]));
    let name = format!("{}/team/net:1", child.host());
    let kit = Sandbox::new();
    let refused = kit.run(["pull", &name]);
    assert_data_eq!(
        refused
            .hide(&child.host(), "[CHILD]")
            .hide(&root.host(), "[ROOT-HOST]"),
        str![[r#"
[stderr]
Pulling [CHILD]/team/net:1
error: parent kit [ROOT-HOST]/team/base:root cannot be used ([CHILD]/team/net:1 => [ROOT-HOST]/team/base:root)
  caused by: its parent [ROOT-HOST]/team/base:root is on [ROOT-HOST], another registry
hint: if you trust it: --allow-parent [ROOT-HOST], or `kit login [ROOT-HOST]`
[exit 4]

"#]]
    );
    assert!(names(&kit).is_empty());
    let report = kit
        .run([
            "pull",
            &name,
            "--allow-parent",
            &root.host(),
            "--format",
            "json",
        ])
        .json();
    assert_eq!(report["parents"][0]["reference"], json!(base));
    let names: Vec<_> = kit.store().names().into_keys().collect();
    let mut expected = vec![base, name.clone()];
    expected.sort();
    assert_eq!(names, expected);
    kit.run(["unpack", &name, "-d", "out"]).success();
    assert_eq!(
        std::fs::read(kit.path("out/model.bin")).unwrap(),
        b"weights"
    );
}

// hazard: 81
#[test]
fn a_login_for_the_registry_of_a_parent_is_as_good_as_leave() {
    let root = start(shelf(&[]));
    let child = start(shelf(&[("1", &format!("{}/team/base:root", root.host()))]));
    let kit = Sandbox::new();
    let auths = json!({"auths": {root.host(): {"auth": "Y2k6cHc="}}});
    kit.file("../home/credentials.json", auths.to_string());
    kit.run(["pull", &format!("{}/team/net:1", child.host())])
        .success();
}

#[test]
fn a_parent_without_a_registry_is_left_out_and_said() {
    let child = start(shelf(&[("1", "team/base:2")]));
    let kit = Sandbox::new();
    assert_data_eq!(
        kit.run(["pull", &format!("{}/team/net:1", child.host())])
            .hide(&child.host(), "[HOST]")
            .hide_digests(),
        str![[r#"
Pulled sha256:[DIGEST]
[stderr]
Pulling [HOST]/team/net:1
warning: team/base:2 names no registry: that parent is not pulled ([HOST]/team/net:1 => team/base:2)
0 B fetched, 0 blobs there already
[exit 0]

"#]]
    );
}

#[test]
fn a_parent_without_a_registry_that_is_here_is_enough() {
    let root = start(shelf(&[]));
    let root_name = format!("{}/team/base:root", root.host());
    let child = start(shelf(&[("1", "team/base:2")]));
    let kit = Sandbox::new();
    kit.file("docs.md", "words");
    let kitfile = format!("model: {{path: '{root_name}'}}\ndocs: [{{path: docs.md}}]\n");
    kit.file("Kitfile", kitfile);
    kit.run(["pull", &root_name]).success();
    kit.run(["pack", ".", "-t", "team/base:2"]).success();
    kit.run(["remove", &root_name, "--yes"]).success();
    let pull = ["pull", &*format!("{}/team/net:1", child.host())];
    // What it is built on is brought, as far as the child may lead to it.
    let output = kit.run(pull).exits(4);
    assert!(
        output
            .stderr
            .contains("team/base:2, its parent, is in the store"),
        "{output}"
    );
    let host = root.host();
    let output = kit.run(pull.into_iter().chain(["--allow-parent", &host]));
    assert!(!output.stderr.contains("warning"), "{output}");
    let _ = output.exits(0);
    assert!(names(&kit).contains(&root_name));
}

#[test]
fn a_parent_that_is_not_there_keeps_the_kit_out_too() {
    let registry = TwoWay::start(&[("1", "2")]);
    let kit = Sandbox::new();
    assert_data_eq!(
        kit.run(["pull", &registry.name("1")])
            .hide(&registry.0.host(), "[HOST]"),
        str![[r#"
[stderr]
Pulling [HOST]/team/net:1
Pulling [HOST]/team/net:2, its parent
error: parent kit [HOST]/team/net:2 cannot be used ([HOST]/team/net:1 => [HOST]/team/net:2)
  caused by: [HOST] has no team/net:2: MANIFEST_UNKNOWN
hint: check repository and tag; some registries hide what needs a login
[exit 3]

"#]]
    );
    assert!(names(&kit).is_empty());
}

#[test]
fn circles_and_endless_chains_end() {
    let registry = TwoWay::start(&[("1", "2"), ("2", "3"), ("3", "1")]);
    let kit = Sandbox::new();
    assert_data_eq!(
        kit.run(["pull", &registry.name("1")])
            .hide(&registry.0.host(), "[HOST]"),
        str![[r#"
[stderr]
Pulling [HOST]/team/net:1
Pulling [HOST]/team/net:2, its parent
Pulling [HOST]/team/net:3, its parent
error: kits take their model from each other in a circle: [HOST]/team/net:1 => [HOST]/team/net:2 => [HOST]/team/net:3 => [HOST]/team/net:1
hint: let model.path of one of them name the files of the model
[exit 1]

"#]]
    );
    let tags: Vec<String> = (0..13).map(|number| format!("k{number}")).collect();
    let chain: Vec<_> = tags.windows(2).map(|pair| (&*pair[0], &*pair[1])).collect();
    let registry = TwoWay::start(&chain);
    let output = kit.run(["pull", &registry.name("k0")]).exits(9);
    assert!(output.stderr.contains("more than 10 kits"), "{output}");
    let manifests = registry.0.requests();
    let manifests = manifests
        .iter()
        .filter(|it| it.target.contains("/manifests/"));
    assert_eq!(manifests.count(), 11);
    // Ten are followed: what is missing here is the tenth.
    let registry = TwoWay::start(&chain[..10]);
    let output = kit.run(["pull", &registry.name("k0")]).exits(3);
    assert!(output.stderr.contains("k10"), "{output}");
}

/// A registry whose kits name others on itself: its address is not known before it runs.
struct TwoWay(Fake);

impl TwoWay {
    fn start(kits: &[(&str, &str)]) -> Self {
        let kits: Vec<_> = kits
            .iter()
            .map(|(tag, parent)| ((*tag).to_owned(), (*parent).to_owned()))
            .collect();
        Self(Fake::start(move |request| {
            let host = request.header("host").unwrap();
            let mut shelf = Shelf::default();
            for (tag, parent) in &kits {
                shelf.put_kit(tag, &config(&format!("{host}/team/net:{parent}")));
            }
            shelf.answer(request)
        }))
    }

    fn name(&self, tag: &str) -> String {
        format!("{}/team/net:{tag}", self.0.host())
    }
}
