//! `kit check-ignore`: which rule decides.

use snapbox::{assert_data_eq, str};

use super::support::Sandbox;

fn sandbox() -> Sandbox {
    let kit = Sandbox::new();
    kit.file(
        "net/.kitignore",
        "# rules\n*.tmp\ndata\n!keep.tmp\n!data/x\n",
    );
    kit
}

#[test]
fn the_rule_that_decides_is_named() {
    let paths = [
        "a.tmp",
        "keep.tmp",
        "b.txt",
        "sub/a.tmp",
        "data",
        "data/y",
        "data/x",
        "a/.git/b",
        "Kitfile",
        "./a/../a.tmp",
    ];
    let mut line = vec!["check-ignore", "-C", "net"];
    line.extend(paths);
    assert_data_eq!(
        sandbox().run(line),
        str![[r#"
a.tmp: ignored by .kitignore:2: *.tmp
keep.tmp: kept by .kitignore:4: !keep.tmp
b.txt: kept
sub/a.tmp: kept
data: ignored by .kitignore:3: data (a later rule may keep something in it)
data/y: ignored by .kitignore:3: data
data/x: kept by .kitignore:5: !data/x
a/.git/b: ignored by built-in rule: .git
Kitfile: ignored, it describes the kit
./a/../a.tmp: ignored by .kitignore:2: *.tmp
[exit 0]

"#]]
    );
}

#[test]
fn a_path_outside_is_an_error() {
    assert_data_eq!(
        sandbox().run_in("net", ["check-ignore", "a.tmp", "../b"]),
        str![[r#"
[stderr]
error: ../b is outside the directory of the kit
hint: paths are relative to it; -C names another directory
[exit 2]

"#]]
    );
}

#[test]
fn the_exit_code_tells_only_when_asked() {
    let kit = sandbox();
    let ask = |line: &[&str]| {
        let mut arguments = vec!["check-ignore", "-C", "net"];
        arguments.extend(line);
        kit.run(arguments).code
    };
    assert_eq!(ask(&["b.txt"]), 0);
    assert_eq!(ask(&["--exit-code", "a.tmp", "data"]), 0);
    assert_eq!(ask(&["--exit-code", "a.tmp", "b.txt"]), 10);
}

#[test]
fn answers_come_as_json() {
    let answers = sandbox()
        .run([
            "check-ignore",
            "-C",
            "net",
            "a.tmp",
            "b",
            "--format",
            "json",
        ])
        .json();
    assert_eq!(answers[0]["ignored"], true);
    assert_eq!(answers[0]["rule"], ".kitignore:2: *.tmp");
    assert_eq!(answers[1]["rule"], serde_json::Value::Null);
}
