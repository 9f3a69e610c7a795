//! `kit inspect`

use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox,
    kits::{blobs, damage, pack},
};

#[test]
fn inspect_prints_the_documents_as_they_are_stored() {
    let kit = Sandbox::new();
    let digest = pack(&kit, "team/net:1.0,prod", "one");
    let output = kit.run(["inspect", "team/net:1.0"]);
    assert_eq!(
        output.stdout,
        kit.run(["inspect", &digest, "--format", "json"]).success()
    );
    assert_data_eq!(
        output.clone().hide_digests(),
        str![[r#"
{
  "digest": "sha256:[DIGEST]",
  "kitfile": {
    "manifestVersion": "1.0.0",
    "package": {
      "name": "net",
      "version": "1.0.0",
      "authors": [
        "Ann",
        "Bo"
      ]
    },
    "model": {
      "name": "net",
      "path": "model.bin",
      "digest": "sha256:[DIGEST]",
      "diffId": "sha256:[DIGEST]"
    }
  },
  "manifest": {
    "schemaVersion": 2,
    "mediaType": "application/vnd.oci.image.manifest.v1+json",
    "artifactType": "application/vnd.kitops.modelkit.manifest.v1+json",
    "config": {
      "mediaType": "application/vnd.kitops.modelkit.config.v1+json",
      "digest": "sha256:[DIGEST]",
      "size": 301
    },
    "layers": [
      {
        "mediaType": "application/vnd.kitops.modelkit.model.v1.tar",
        "digest": "sha256:[DIGEST]",
        "size": 2048,
        "annotations": {
          "org.cncf.model.filepath": "model.bin"
        }
      }
    ]
  },
  "references": [
    "team/net:1.0",
    "team/net:prod"
  ],
  "size": 2048
}
[exit 0]

"#]]
    );
    let document = output.json();
    let (config, _) = blobs(&kit, &digest);
    let stored = |digest: &str| -> serde_json::Value {
        serde_json::from_slice(&kit.store().blob(digest)).unwrap()
    };
    assert_eq!(document["digest"], digest.as_str());
    assert_eq!(document["kitfile"], stored(&config));
    assert_eq!(document["manifest"], stored(&digest));
    assert_eq!(
        kit.run(["inspect", "team/net:prod", "--format", "{{ .Digest }}"])
            .success(),
        format!("{digest}\n")
    );
}

// hazard: 90
#[test]
fn inspect_of_what_is_not_there_or_damaged_says_so() {
    let kit = Sandbox::new();
    let digest = pack(&kit, "team/net:1.0", "one");
    assert_data_eq!(
        kit.run(["inspect", "team/net"]),
        str![[r#"
[stderr]
error: no kit team/net:latest in the store
hint: there is `team/net:1.0`
hint: a name without a tag means the tag `latest`
[exit 3]

"#]]
    );
    damage(&kit, &digest);
    assert_data_eq!(
        kit.run(["inspect", "team/net:1.0"]).hide_digests(),
        str![[r#"
[stderr]
error: blob sha256:[DIGEST] is damaged: its content is sha256:[DIGEST]
hint: `kit verify --repair` sets damaged blobs aside; packing or loading the kit again heals it
[exit 5]

"#]]
    );
    let failure = kit
        .run(["inspect", "team/net:1.0", "--format", "json"])
        .exits(5);
    let failure: serde_json::Value = serde_json::from_str(&failure.stderr).unwrap();
    assert_eq!(failure["error"]["kind"], "damaged");
}
