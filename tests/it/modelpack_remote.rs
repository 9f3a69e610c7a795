//! Kits in the `ModelPack` format that are in a registry: looked at, streamed and pulled.

use std::fs;

use crate::{
    modelpack::{FAMILIES, modelpack},
    support::{
        Sandbox, digest,
        registry::{RealRegistry, Setup},
        testdata,
        trees::{Fingerprint, Node},
    },
};

#[test]
fn a_modelpack_in_a_registry_is_a_kit_like_others() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    for family in FAMILIES {
        for encoding in ["raw", "tar", "tar+gzip", "tar+zstd"] {
            let maker = Sandbox::new();
            let layout = modelpack(&maker, family, encoding);
            let tag = encoding.replace('+', "-");
            let repository = format!("{}/{}/net", registry.host(), family.0);
            let name = format!("{repository}:{tag}");
            // As it is: nothing of ours has understood it on the way.
            maker
                .run(["copy", &format!("oci:{layout}"), &name])
                .success();
            let kit = Sandbox::new();
            let row = kit.run(["list", &name]).success();
            assert!(row.contains("Ann"), "{row}");
            let info = kit.run(["info", "--remote", &name]).success();
            assert!(info.contains("path: weights/a.gguf"), "{info}");
            let inspected = kit.run(["inspect", "--remote", &name]).json();
            assert_eq!(inspected["config"]["config"]["architecture"], "transformer");

            // Streamed: nothing of it is in the store.
            let some = ["--filter", "docs", "-d", "some"];
            kit.run(["unpack", &name].into_iter().chain(some)).success();
            let some = Fingerprint::of(&kit.path("some"), true);
            let readme = Node::File(false, digest(b"# Net\n"));
            assert_eq!(some.0[&b"README.md"[..]], readme);
            assert!(!some.0.contains_key(&b"rows.csv"[..]), "{some:?}");
            kit.run(["unpack", &name, "-d", "streamed"]).success();
            let _ = kit.run(["info", &name]).exits(3);

            let pulled = kit.run(["pull", &name]).success();
            assert!(pulled.contains(inspected["digest"].as_str().unwrap()));
            assert_eq!(kit.run(["info", &name]).success(), info);
            assert_eq!(
                kit.run(["list", "--format", "json"]).json()[0]["author"],
                "Ann"
            );
            kit.run(["unpack", &name, "-d", "out"]).success();
            let out = Fingerprint::of(&kit.path("out"), true);
            assert_eq!(out, Fingerprint::of(&kit.path("streamed"), true));
            let run = Node::File(true, digest(b"#!/bin/sh\n"));
            assert_eq!(out.0[&b"src/run.sh"[..]], run);
            let kitfile = fs::read_to_string(kit.path("out/Kitfile")).unwrap();
            assert_eq!(kitfile, info);
            // What is pulled can be given on.
            let other = format!("{}/given/on:{tag}", registry.host());
            let report = kit.run(["push", &name, &other, "--format", "json"]).json();
            assert_eq!(report["kits"][0]["digest"], inspected["digest"]);
            let compared = ["diff", &name, &format!("remote://{other}")];
            assert!(kit.run(compared).success().contains("identical"));
        }
    }
}

#[test]
fn a_modelpack_of_its_own_tool_is_pulled_and_unpacked() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let layout = testdata("artifacts/modelpack");
    for called in ["raw", "tar"] {
        let to = format!("team/net:{called}");
        if !registry.receive(&layout, called, &to) {
            return;
        }
        let (kit, local) = (Sandbox::new(), Sandbox::new());
        let name = format!("{}/{to}", registry.host());
        kit.run(["unpack", &name, "-d", "streamed"]).success();
        kit.run(["pull", &name]).success();
        kit.run(["verify", &name]).success();
        kit.run(["unpack", &name, "-d", "out"]).success();
        let source = format!("{}:{called}", layout.display());
        local.run(["load", &source, "-t", "net:1"]).success();
        local.run(["unpack", "net:1", "-d", "out"]).success();
        let expected = Fingerprint::of(&local.path("out"), true);
        assert_eq!(Fingerprint::of(&kit.path("out"), true), expected);
        assert_eq!(Fingerprint::of(&kit.path("streamed"), true), expected);
    }
}
