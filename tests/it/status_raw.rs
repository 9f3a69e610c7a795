//! `kit status` against kits whose layers are compressed, or files as they are.

use crate::support::{Sandbox, set_mode};

const KITFILE: &str = "manifestVersion: 1.0.0
package: {name: net}
model: {name: net, path: net.bin}
code: [{path: run}]
datasets: [{name: rows, path: data}]
";

/// A tree whose stamps are believed, so that nothing has to be read.
fn tree() -> Sandbox {
    let kit = Sandbox::new();
    kit.file("Kitfile", KITFILE)
        .file("net.bin", [7; 5000])
        .exec("run", "#!/bin/sh\n")
        .file("data/a.csv", "1,2,3\n")
        .file("data/b.csv", "4,5,6\n");
    let_time_pass();
    kit
}

fn let_time_pass() {
    std::thread::sleep(std::time::Duration::from_millis(150));
}

fn pack(kit: &Sandbox, name: &str, arguments: &[&str]) {
    let pack = ["pack", ".", "-t", name];
    kit.run(pack.iter().chain(arguments)).success();
}

#[test]
fn raw_and_compressed_layers_are_compared_file_by_file() {
    for arguments in [
        &["--layer-format", "raw"][..],
        &["--compression", "gzip"],
        &["--compression", "zstd", "--layer-format", "raw"],
    ] {
        let kit = tree();
        pack(&kit, "team/net:5", arguments);
        kit.run(["status", "--exit-code"]).success();
        kit.file("data/a.csv", "3,2,1\n").file("data/c.csv", "1\n");
        let status = kit.run(["status"]).success();
        let changes: Vec<&str> = status.lines().skip(1).collect();
        assert_eq!(
            changes,
            [
                "",
                "dataset `rows` in `data`",
                "  modified: data/a.csv",
                "  new:      data/c.csv"
            ],
            "{arguments:?}"
        );
    }
}

#[test]
#[cfg(unix)]
fn the_mode_of_a_raw_layer_counts_although_its_digest_is_the_same() {
    for arguments in [
        &["--layer-format", "raw"][..],
        &["--layer-format", "raw", "--compression", "zstd"],
    ] {
        let kit = tree();
        pack(&kit, "net:executable", arguments);
        set_mode(&kit.path("run"), 0o644);
        let_time_pass();
        // Now it is known what comes of both.
        pack(&kit, "net:plain", arguments);
        let status = ["status", "--kit", "net:executable"];
        let status = kit.run(status).success();
        assert!(status.contains("  mode:     run\n"), "{status}");
        kit.run(["status", "--exit-code"]).success();
    }
}

#[test]
#[cfg(unix)]
fn a_raw_layer_has_the_mode_that_it_was_packed_with() {
    let kit = tree();
    set_mode(&kit.path("data/a.csv"), 0o600);
    pack(&kit, "net:1", &["--layer-format", "raw", "--keep-modes"]);
    kit.run(["status", "--exit-code"]).success();
    set_mode(&kit.path("data/a.csv"), 0o640);
    let status = kit.run(["status"]).success();
    assert!(status.contains("  mode:     data/a.csv\n"), "{status}");
}

#[test]
fn empty_folders_are_not_new_where_they_cannot_be_packed() {
    let kit = tree();
    kit.dir("data/empty");
    pack(&kit, "net:1", &["--layer-format", "raw"]);
    kit.run(["status", "--exit-code"]).success();
    // Raw layers are not all that an element may have: an archive would hold it.
    pack(&kit, "net:1", &[]);
    kit.run(["status", "--exit-code"]).success();
    kit.dir("data/another");
    let status = kit.run(["status"]).success();
    assert!(status.contains("  new:      data/another/\n"), "{status}");
}
