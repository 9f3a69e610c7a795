//! What `kit unpack` prints for programs.

use crate::support::Sandbox;

fn with_a_kit() -> Sandbox {
    let kit = Sandbox::new();
    kit.file(
        "src/Kitfile",
        "manifestVersion: 1.0.0\ncode: [{path: a.py}]\n",
    );
    kit.file("src/a.py", "print()\n");
    kit.run(["pack", "src", "-t", "team/code:1"]).success();
    kit
}

#[test]
fn a_dry_run_is_printed_through_the_template_too() {
    let kit = with_a_kit();
    let template = "{{range .}}{{.Path}} {{end}}";
    let output = kit.run(["unpack", "team/code:1", "--dry-run", "--format", template]);
    assert_eq!(output.code, 0, "{output}");
    assert_eq!(output.stdout, "Kitfile a.py \n");
}

#[cfg(target_os = "linux")]
#[test]
fn a_target_whose_name_is_not_unicode_is_reported_in_every_form() {
    use std::{ffi::OsStr, os::unix::ffi::OsStrExt};
    let kit = with_a_kit();
    let target = OsStr::from_bytes(b"out\xff");
    for format in ["table", "json", "{{.Directory}}"] {
        let arguments = ["unpack", "team/code:1", "--format", format, "-d"].map(OsStr::new);
        let output = kit.run(arguments.into_iter().chain([target]));
        assert_eq!(output.code, 0, "{format}\n{output}");
    }
}
