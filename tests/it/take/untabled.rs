//! Kits without a table of contents.

use std::fs;

use snapbox::{assert_data_eq, str};

use super::{MIB, fresh, picked, shelf};
use crate::support::shelf::{Fate, Rules};

#[test]
fn layers_are_read_whole_unless_what_is_not_verified_is_allowed() {
    let (_publisher, shelf, name) = shelf(false, &[], Rules::default());
    let whole = ["unpack", "@", "-d", "out", "--include", "**/pick.bin"];
    let (kit, output) = fresh(&whole, &name);
    output.success();
    assert!(fs::read(kit.path("out/data/pick.bin")).unwrap() == picked());
    let before = shelf.sent();
    assert!(before > 15 * MIB as u64, "{before} bytes were sent");

    let (kit, output) = fresh(&[&whole[..], &["--allow-unverified"]].concat(), &name);
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
Unpacking to [WORK]/out
Unpacking dataset `train` to `data`
warning: what is taken of dataset `train` to `data` is not verified: the kit has no table of contents, and the rest of the layer is not read
1 file written (1.0 MiB)
[exit 0]

"#]]
    );
    assert!(fs::read(kit.path("out/data/pick.bin")).unwrap() == picked());
    let sent = shelf.sent() - before;
    assert!(sent < 4 * MIB as u64, "{sent} bytes were sent");
}

#[test]
fn layers_that_lie_elsewhere_are_not_read() {
    let (_publisher, shelf, name) = shelf(false, &[], Rules::default());
    let words = ["unpack", "@", "-d", "out", "--include", "data/p*"];
    let (kit, output) = fresh(&words, &name);
    output.success();
    assert!(fs::read(kit.path("out/data/pick.bin")).unwrap() == picked());
    let sent = shelf.sent();
    assert!(sent < 5 * MIB as u64, "{sent} bytes were sent");
}

#[test]
fn a_file_is_printed_after_its_layer_was_read_or_unverified() {
    let (_publisher, shelf, name) = shelf(false, &[], Rules::default());
    let (_, output) = fresh(&["cat", "@", "code/run.sh"], &name);
    assert_data_eq!(
        output,
        str![[r##"
#!/bin/sh
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
Reading all of code `code`, which has no table of contents
[exit 0]

"##]]
    );
    let before = shelf.sent();
    let words = ["cat", "@", "data/empty", "--allow-unverified"];
    let (_, output) = fresh(&words, &name);
    assert_data_eq!(
        output,
        str![[r#"
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
warning: what is printed of dataset `train` to `data` is not verified: the kit has no table of contents, and the rest of the layer is not read
[exit 0]

"#]]
    );
    let sent = shelf.sent() - before;
    assert!(sent < 2 * MIB as u64, "{sent} bytes were sent");
    let (_, output) = fresh(&["cat", "@", "code/train.p"], &name);
    assert!(output.exits(3).stderr.contains("there is `code/train.py`"));
}

#[test]
fn a_layer_that_is_damaged_is_not_printed() {
    let rules = Rules::for_blobs(|it| {
        // The config is the first.
        if it.before > 0 {
            Fate::Wrong
        } else {
            Fate::Fine
        }
    });
    let (_publisher, _shelf, name) = shelf(false, &[], rules);
    let (_, output) = fresh(&["cat", "@", "code/run.sh"], &name);
    assert_data_eq!(
        output.hide_digests(),
        str![[r#"
[stderr]
[HOST]/team/net:1 is not in the store: it is read from its registry
Reading all of code `code`, which has no table of contents
error: blob sha256:[DIGEST] is damaged: its content is sha256:[DIGEST]
hint: what the registry holds, or something on the way, is not as it was pushed
[exit 5]

"#]]
    );
}
