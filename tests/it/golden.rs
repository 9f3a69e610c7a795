//! Kits that another tool made from the same sources: same layers, same configs.

use std::fs;

use serde_json::Value;

use crate::support::{Sandbox, testdata};

/// The uncompressed kits, parents before children.
const KITS: &[(&str, &str)] = &[
    ("basic", "plain"),
    ("parts", "v1"),
    ("overlap", "v1"),
    ("refs-base", "v1"),
    ("refs-child", "v1"),
];

fn expected(kit: &str) -> Value {
    let text = fs::read_to_string(testdata("golden/expected.json")).unwrap();
    let all: Value = serde_json::from_str(&text).unwrap();
    assert!(all[kit].is_object(), "{kit} is not in expected.json");
    all[kit].clone()
}

#[test]
fn packing_the_golden_sources_gives_the_golden_digests() {
    let kit = Sandbox::new();
    for (name, tag) in KITS {
        kit.copy(&testdata("golden/src").join(name), name);
        let reference = format!("golden/{name}:{tag}");
        kit.run(["pack", name, "-t", &reference]).success();

        let store = kit.store();
        let manifest = store.names().remove(&reference).unwrap();
        let expected = expected(&format!("{name}:{tag}"));
        let layers: Vec<Value> = store
            .layers(&manifest)
            .into_iter()
            .map(|(media_type, digest, size)| {
                serde_json::json!({"mediaType": media_type, "digest": digest, "size": size})
            })
            .collect();
        assert_eq!(Value::from(layers), expected["layers"], "layers of {name}");
        let config = &store.manifest(&manifest)["config"]["digest"];
        assert_eq!(*config, expected["config"], "config of {name}");
    }
}
