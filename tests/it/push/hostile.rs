//! Registries that lie about what they have, and two who push at once.

use std::{collections::HashMap, process::Stdio};

use super::{pack_large, push, with};
use crate::support::{
    Sandbox,
    fake::uploads::{Habits, Trouble, Uploads},
    kits,
};

// hazard: 75
#[test]
fn a_registry_that_says_it_has_what_it_has_not_is_not_believed_in_the_end() {
    let kit = Sandbox::new();
    kits::pack(&kit, "team/net:1.0", "weights");
    let store = kit.store();
    let sizes: HashMap<String, usize> = store
        .blobs()
        .into_iter()
        .map(|digest| (digest.clone(), store.blob(&digest).len()))
        .collect();
    let registry = Uploads::start(with(move |asked, _| {
        let (_, digest) = asked.path.split_once("/blobs/")?;
        let length = sizes.get(digest)?.to_string();
        let lies = asked.method == "HEAD";
        lies.then(|| Trouble::Answer(200, vec![("Content-Length", length)], String::new()))
    }));
    let name = format!("{}/team/net:1.0", registry.host());
    let output = push(&kit, ["team/net:1.0", &*name]);
    assert_ne!(output.code, 0, "{output}");
    assert!(!output.stdout.contains("Pushed"), "{output}");
    assert!(output.stderr.contains("MANIFEST_BLOB_UNKNOWN"), "{output}");
    assert!(!registry.names("team/net", "1.0"));
}

// hazard: 118
#[test]
fn of_two_that_push_one_tag_one_is_there_whole() {
    let registry = Uploads::start(Habits::default());
    let name = format!("{}/team/net:1.0", registry.host());
    for round in 0..5_usize {
        registry.forget_all();
        let kits = [Sandbox::new(), Sandbox::new()];
        let digests: Vec<String> = (0..2)
            .map(|number| pack_large(&kits[number], &name, 200_000 + 2 * round + number))
            .collect();
        let children = kits.each_ref().map(|kit| {
            let mut command = kit.command(["push", "--plain-http", "--progress", "none", &name]);
            command.stdin(Stdio::null()).stdout(Stdio::piped());
            command.stderr(Stdio::piped()).spawn().unwrap()
        });
        for child in children {
            let output = child.wait_with_output().unwrap();
            assert!(output.status.success(), "{output:?}");
        }
        registry.has_kit("team/net", "1.0");
        assert!(digests.contains(&registry.digest("team/net", "1.0")));
        // What was pushed last under another name does not matter to it.
        assert!(digests.iter().all(|it| registry.names("team/net", it)));
    }
}
