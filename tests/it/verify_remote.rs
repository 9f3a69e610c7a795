//! `kit verify --repair` where the names of kits lead to a registry.

use std::fs;

use snapbox::{assert_data_eq, str};

use crate::support::{
    Output, Sandbox, have,
    kits::{blobs, damage, lose, pack},
    registry::{RealRegistry, Setup},
    shelf::{Fate, Rules, StoreShelf},
};
use crate::unpack_remote::publish;

/// A kit that was pulled, with where it came from.
struct Pulled {
    publisher: Sandbox,
    shelf: StoreShelf,
    kit: Sandbox,
    digest: String,
}

fn pulled(content: &str, rules: Rules) -> Pulled {
    let publisher = Sandbox::new();
    let shelf = StoreShelf::of(&publisher, rules);
    let name = format!("{}/team/net:1", shelf.host());
    let digest = pack(&publisher, &name, content);
    let kit = Sandbox::new();
    kit.run(["pull", &name]).success();
    Pulled {
        publisher,
        shelf,
        kit,
        digest,
    }
}

fn repair(pulled: &Pulled, words: &str) -> Output {
    let words = words.split_whitespace();
    let words = ["verify", "--repair"].into_iter().chain(words);
    let output = pulled.kit.run(words).hide_digests();
    output.hide(&pulled.shelf.host(), "[HOST]")
}

#[test]
fn who_meets_damage_is_told_that_the_registry_has_it() {
    let pulled = pulled("weights", Rules::default());
    let (config, layers) = blobs(&pulled.kit, &pulled.digest);
    let name = format!("{}/team/net:1", pulled.shelf.host());
    let hint = format!(
        "hint: `kit verify --repair` fetches it again from {}\n",
        pulled.shelf.host()
    );
    for (blob, command) in [
        (&layers[0], "unpack -d out"),
        (&layers[0], "save -o net.tar"),
        (&config, "info"),
    ] {
        damage(&pulled.kit, blob);
        let run = || pulled.kit.run(command.split(' ').chain([&*name]));
        let failed = run().exits(5);
        assert!(failed.stderr.contains(&hint), "{command}: {failed}");
        let _ = repair(&pulled, "").exits(0);
        let _ = run().exits(0);
    }
}

#[test]
fn what_is_damaged_or_missing_is_fetched_again_and_nothing_else() {
    let pulled = pulled(&"weights ".repeat(100_000), Rules::default());
    let (config, layers) = blobs(&pulled.kit, &pulled.digest);
    damage(&pulled.kit, &config);
    let before = pulled.shelf.sent();
    assert_data_eq!(
        repair(&pulled, ""),
        str![[r#"
damaged: sha256:[DIGEST] (its content is sha256:[DIGEST]), needed by [HOST]/team/net:1
set aside: [HOME]/store/quarantine/[DIGEST]
fetched again: sha256:[DIGEST]
Checked 1 kit, 3 blobs, 783.5 KiB: 1 finding
[exit 0]

"#]]
    );
    // The config, and not the layer.
    assert!(pulled.shelf.sent() - before < 20_000);
    lose(&pulled.kit, &layers[0]);
    assert_data_eq!(
        repair(&pulled, ""),
        str![[r#"
missing: sha256:[DIGEST], needed by [HOST]/team/net:1
set aside: [HOME]/store/quarantine/[DIGEST]
fetched again: sha256:[DIGEST]
Checked 1 kit, 2 blobs, 832 B: 1 finding
[exit 0]

"#]]
    );
    pulled.kit.run(["verify"]).success();
    let asked = pulled.shelf.blobs().len();
    assert_data_eq!(
        repair(&pulled, "--format json"),
        str![[r#"
{
  "sound": true,
  "kits": 1,
  "blobs": 3,
  "bytes": 802624,
  "damaged": [],
  "missing": [],
  "missingTocs": [],
  "wrongTocs": [],
  "wrongLayers": [],
  "problems": [],
  "repaired": [],
  "namesLost": false,
  "restored": [],
  "unobtainable": [],
  "unneeded": [],
  "temporary": [],
  "resumable": [],
  "setAside": [
    "[HOME]/store/quarantine/[DIGEST]"
  ]
}
[exit 0]

"#]]
    );
    assert_eq!(pulled.shelf.blobs().len(), asked, "nothing was missing");
}

#[test]
fn a_manifest_comes_back_with_all_that_it_names() {
    let pulled = pulled("weights", Rules::default());
    let (config, layers) = blobs(&pulled.kit, &pulled.digest);
    lose(&pulled.kit, &pulled.digest);
    lose(&pulled.kit, &config);
    damage(&pulled.kit, &layers[0]);
    assert_data_eq!(
        repair(&pulled, ""),
        str![[r#"
damaged: sha256:[DIGEST] (its content is sha256:[DIGEST]), which no kit needs
missing: sha256:[DIGEST], needed by [HOST]/team/net:1
perhaps unneeded: sha256:[DIGEST] (2.0 KiB)
set aside: [HOME]/store/quarantine/[DIGEST]
fetched again: sha256:[DIGEST]
fetched again: sha256:[DIGEST]
fetched again: sha256:[DIGEST]
Checked 1 kit, 1 blob, 0 B: 2 findings
[exit 0]

"#]]
    );
    pulled.kit.run(["verify"]).success();
}

#[test]
fn what_cannot_be_had_is_told_with_the_reason() {
    let pulled = pulled("weights", Rules::default());
    let (config, layers) = blobs(&pulled.kit, &pulled.digest);
    damage(&pulled.kit, &config);
    damage(&pulled.kit, &layers[0]);
    lose(&pulled.publisher, &layers[0]);
    assert_data_eq!(
        repair(&pulled, ""),
        str![[r#"
damaged: sha256:[DIGEST] (its content is sha256:[DIGEST]), needed by [HOST]/team/net:1
damaged: sha256:[DIGEST] (its content is sha256:[DIGEST]), needed by [HOST]/team/net:1
set aside: [HOME]/store/quarantine/[DIGEST]
set aside: [HOME]/store/quarantine/[DIGEST]
fetched again: sha256:[DIGEST]
not to be had: [HOST]/team/net:1: [HOST] has no blob sha256:[DIGEST] in team/net
Checked 1 kit, 3 blobs, 529 B: 2 findings
[stderr]
error: the store was repaired, but something was lost
hint: the kit is not complete there: push it again
hint: packing or loading a kit again heals it; `kit remove` gives it up
[exit 7]

"#]]
    );
    let Pulled {
        publisher,
        shelf,
        kit,
        digest,
    } = pulled;
    let host = shelf.host();
    damage(&kit, &config);
    drop(shelf);
    let output = kit.run(["verify", "--repair", "--retries", "0", "--format", "json"]);
    let output = output.hide_digests().hide(&host, "[HOST]");
    assert_data_eq!(
        output,
        str![[r#"
{
  "sound": false,
  "kits": 1,
  "blobs": 2,
  "bytes": 529,
  "damaged": [
    {
      "digest": "sha256:[DIGEST]",
      "problem": "its content is sha256:[DIGEST]",
      "kits": [
        "[HOST]/team/net:1"
      ]
    }
  ],
  "missing": [
    {
      "digest": "sha256:[DIGEST]",
      "kits": [
        "[HOST]/team/net:1"
      ]
    }
  ],
  "missingTocs": [],
  "wrongTocs": [],
  "wrongLayers": [],
  "problems": [],
  "repaired": [],
  "namesLost": false,
  "restored": [],
  "unobtainable": [
    {
      "kit": "[HOST]/team/net:1",
      "problem": "cannot reach https://[HOST]: Connection refused (os error 111)"
    }
  ],
  "unneeded": [],
  "temporary": [],
  "resumable": [],
  "setAside": [
    "[HOME]/store/quarantine/[DIGEST]",
    "[HOME]/store/quarantine/[DIGEST]"
  ]
}
[stderr]
{"error":{"kind":"lossy","message":"the store was repaired, but something was lost","details":[],"causes":[],"hints":["check host and port, and whether it is running","packing or loading a kit again heals it; `kit remove` gives it up"]},"exit":7}
[exit 7]

"#]]
    );
    drop((publisher, digest));
}

// hazard: 52
#[test]
fn what_comes_wrong_is_not_believed() {
    let rules = Rules {
        blobs: Some(Box::new(|asked| match asked.before {
            0..2 => Fate::Fine,
            _ => Fate::Wrong,
        })),
        ..Rules::default()
    };
    let pulled = pulled("weights", rules);
    let (_, layers) = blobs(&pulled.kit, &pulled.digest);
    damage(&pulled.kit, &layers[0]);
    assert_data_eq!(
        repair(&pulled, ""),
        str![[r#"
damaged: sha256:[DIGEST] (its content is sha256:[DIGEST]), needed by [HOST]/team/net:1
set aside: [HOME]/store/quarantine/[DIGEST]
not to be had: [HOST]/team/net:1: [HOST]/team/net sent sha256:[DIGEST] for sha256:[DIGEST], twice
Checked 1 kit, 3 blobs, 830 B: 1 finding
[stderr]
warning: what [HOST]/team/net sent for sha256:[DIGEST] is something else (sha256:[DIGEST]): it is fetched once more
error: the store was repaired, but something was lost
hint: the registry is damaged, or something on the way changes what it sends
hint: packing or loading a kit again heals it; `kit remove` gives it up
[exit 7]

"#]]
    );
    assert!(!pulled.kit.store().blob_path(&layers[0]).exists());
}

#[test]
fn a_kit_without_a_registry_in_its_name_asks_nobody() {
    let kit = Sandbox::new();
    let digest = pack(&kit, "net:1", "weights");
    damage(&kit, &blobs(&kit, &digest).1[0]);
    let output = kit.run(["verify", "--repair", "-vv"]).exits(7);
    assert!(!output.stderr.contains("GET"), "{output}");
    assert!(!output.stdout.contains("not to be had"), "{output}");
}

#[test]
fn a_store_is_mended_out_of_a_real_registry() {
    let setup = Setup::default();
    let Some(registry) = RealRegistry::start(&setup).filter(|_| have("skopeo")) else {
        return;
    };
    let publisher = Sandbox::new();
    let name = format!("{}/team/net:1", registry.host());
    let digest = pack(&publisher, &name, &"weights ".repeat(1_000_000));
    publish(&publisher, &name);
    let kit = Sandbox::new();
    kit.run(["pull", &name]).success();
    for blob in fs::read_dir(kit.store().path().join("blobs/sha256")).unwrap() {
        let hex = blob.unwrap().file_name();
        damage(&kit, &format!("sha256:{}", hex.to_str().unwrap()));
    }
    let output = kit.run(["verify", "--repair"]).exits(0);
    assert_eq!(
        output.stdout.matches("fetched again").count(),
        3,
        "{output}"
    );
    kit.run(["verify"]).success();
    assert_eq!(kit.store().names()[&name], digest);
}
