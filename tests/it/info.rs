//! `kit info`

use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox,
    kits::{blobs, damage, lose, pack, pack_kitfile},
};

const KITFILE: &str = "\
manifestVersion: 1.0.0
package: {name: net, authors: [Ann, Bo], description: \"two\\nlines\"}
model:
  name: net
  path: model.bin
  parameters: {lr: 0.10, steps: 18446744073709551615, note: \"a\\eb\"}
datasets: [{name: train, path: data}]
";

fn sandbox() -> Sandbox {
    let kit = Sandbox::new();
    kit.file("packed/model.bin", "m").file("packed/data/a", "a");
    pack_kitfile(&kit, "team/net:1.0", KITFILE);
    kit
}

#[test]
fn info_prints_the_kitfile() {
    let kit = sandbox();
    assert_data_eq!(
        kit.run(["info", "team/net:1.0"]),
        str![[r#"
manifestVersion: "1.0.0"
package:
  name: net
  description: |-
    two
    lines
  authors: [Ann, Bo]
model:
  name: net
  path: model.bin
  parameters:
    lr: 0.1
    note: "a/eb"
    steps: 18446744073709551615
datasets:
  - name: train
    path: data
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["info", "team/net:1.0", "--format", "json"]),
        str![[r#"
{
  "manifestVersion": "1.0.0",
  "package": {
    "name": "net",
    "description": "two/nlines",
    "authors": [
      "Ann",
      "Bo"
    ]
  },
  "model": {
    "name": "net",
    "path": "model.bin",
    "parameters": {
      "lr": 0.1,
      "note": "a/u001bb",
      "steps": 18446744073709551615
    }
  },
  "datasets": [
    {
      "name": "train",
      "path": "data"
    }
  ]
}
[exit 0]

"#]]
    );
    assert_data_eq!(
        kit.run(["info", "team/net:1.0", "--format", "{{ .Package.Name }}"]),
        str![[r#"
net
[exit 0]

"#]]
    );
}

#[test]
fn a_filter_prints_one_node() {
    let kit = sandbox();
    for (filter, printed) in [
        ("package.name", "net\n"),
        (".package.name", "net\n"),
        ("package.authors", "[Ann, Bo]\n"),
        ("package.description", "two\nlines\n"),
        ("datasets", "- name: train\n  path: data\n"),
        ("dataSets.0.path", "data\n"),
        ("model.parameters.lr", "0.1\n"),
        ("model.parameters.steps", "18446744073709551615\n"),
        ("model.parameters.note", "a\\x1bb\n"),
    ] {
        let output = kit.run(["info", "team/net:1.0", "-f", filter]);
        assert_eq!(output.success(), printed, "{filter}");
    }
    let json = kit.run([
        "info",
        "team/net:1.0",
        "-f",
        "model.parameters.note",
        "--format",
        "json",
    ]);
    assert_eq!(json.json(), "a\x1bb");
}

#[test]
fn a_filter_without_a_node_tells_what_there_is() {
    let kit = sandbox();
    let info = |filter| kit.run(["info", "team/net:1.0", "-f", filter]);
    assert_data_eq!(
        info("dataset"),
        str![[r#"
[stderr]
error: the Kitfile has no `dataset`: it has manifestVersion, package, model, datasets
hint: did you mean 'datasets'?
[exit 3]

"#]]
    );
    assert_data_eq!(
        info("datasets.1"),
        str![[r#"
[stderr]
error: the Kitfile has no `datasets.1`: `datasets` has one element, 0
[exit 3]

"#]]
    );
    assert_data_eq!(
        info("model.path.x"),
        str![[r#"
[stderr]
error: the Kitfile has no `model.path.x`: `model.path` has nothing below it
[exit 3]

"#]]
    );
    assert_data_eq!(
        info("datasets[0]"),
        str![[r#"
[stderr]
error: 'datasets[0]' is not a path
  given for --filter
hint: positions stand between dots: datasets.0.path
[exit 2]

"#]]
    );
}

#[test]
fn no_tag_means_latest_and_is_said_when_that_is_missing() {
    let kit = sandbox();
    assert_data_eq!(
        kit.run(["info", "team/net"]),
        str![[r#"
[stderr]
error: no kit team/net:latest in the store
hint: there is `team/net:1.0`
hint: a name without a tag means the tag `latest`
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["info", "team/net:1.1"]),
        str![[r#"
[stderr]
error: no kit team/net:1.1 in the store
hint: there is `team/net:1.0`
[exit 3]

"#]]
    );
    pack(&kit, "team/net", "latest");
    kit.run(["info", "team/net"]).success();
}

#[test]
fn a_kit_is_shown_by_its_documents_alone() {
    let kit = Sandbox::new();
    let manifest = pack(&kit, "a:1", "one");
    let (config, layers) = blobs(&kit, &manifest);
    lose(&kit, &layers[0]);
    kit.run(["info", &manifest]).success();
    damage(&kit, &config);
    assert_data_eq!(
        kit.run(["info", "a:1"]).hide_digests(),
        str![[r#"
[stderr]
error: blob sha256:[DIGEST] is damaged: its content is sha256:[DIGEST]
hint: `kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it
[exit 5]

"#]]
    );
    lose(&kit, &config);
    assert_data_eq!(
        kit.run(["info", "a:1"]).hide_digests(),
        str![[r#"
[stderr]
error: blob sha256:[DIGEST] is missing from the store
hint: `kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it
[exit 5]

"#]]
    );
}
