//! `--filter`, `--include`, `--exclude` and the older switches.

use snapbox::{assert_data_eq, str};

use super::{files, packed};

#[test]
fn filters_select_by_type_name_and_path() {
    let kit = packed();
    for (number, (line, expected)) in [
        ("--filter kitfile", "Kitfile"),
        ("--filter kitfile:anything", "Kitfile"),
        ("--filter model", "lora.bin model/config.json model/net.bin"),
        ("--filter model:net", "model/config.json model/net.bin"),
        ("--filter model:lora", "lora.bin"),
        (
            "--filter datasets:train",
            "data/train/1.csv data/train/2.txt",
        ),
        ("--filter datasets:data/test", "data/test/1.csv"),
        (
            "--filter datasets:./data//train/",
            "data/train/1.csv data/train/2.txt",
        ),
        ("--filter docs:README.md", "README.md"),
        ("--filter docs:./README.md", "README.md"),
        ("--filter code:code", "code/a.py code/deep/b.py code/run.sh"),
        ("--filter prompts", "prompts/greet.md"),
        ("--filter docs,prompts", "README.md prompts/greet.md"),
        ("--filter docs -f model:lora", "README.md lora.bin"),
        (
            "--filter datasets:train,test",
            "data/test/1.csv data/train/1.csv data/train/2.txt",
        ),
        (
            "--filter datasets:train,nothing",
            "data/train/1.csv data/train/2.txt",
        ),
        // The older switches, which a filter beats.
        ("--docs --kitfile", "Kitfile README.md"),
        (
            "--model=true --docs=false",
            "lora.bin model/config.json model/net.bin",
        ),
        (
            "--datasets",
            "data/test/1.csv data/train/1.csv data/train/2.txt",
        ),
        ("--code --filter docs", "README.md"),
        // By path.
        ("--include **/*.csv", "data/test/1.csv data/train/1.csv"),
        (
            "--include data",
            "data/test/1.csv data/train/1.csv data/train/2.txt",
        ),
        ("--include data --exclude **/*.csv", "data/train/2.txt"),
        ("--include *.md --include Kitfile", "Kitfile README.md"),
        (
            "--filter datasets --exclude data/test",
            "data/train/1.csv data/train/2.txt",
        ),
        (
            "--filter model:net --include **/*.json",
            "model/config.json",
        ),
    ]
    .iter()
    .enumerate()
    {
        let out = format!("out{number}");
        let words = ["unpack", "net:1", "-q", "-d", &out];
        kit.run(words.into_iter().chain(line.split(' '))).success();
        assert_eq!(files(&kit, &out).replace('\n', " "), *expected, "{line}");
        let dry = kit.run(
            words
                .into_iter()
                .chain(line.split(' '))
                .chain(["--dry-run"]),
        );
        let mut dry: Vec<_> = dry.success().lines().map(str::to_owned).collect();
        dry.sort_unstable();
        assert_eq!(dry.join(" "), *expected, "{line} --dry-run");
    }
}

#[test]
fn a_filter_without_a_match_lists_what_there_is() {
    let kit = packed();
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out", "--filter", "datasets:trian"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
error: nothing in the kit matches `datasets:trian`; it holds model:net, model:lora, code:code, datasets:train, datasets:test, docs:README.md, prompts:prompts/greet.md
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out", "--filter", "mcpservers"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
error: nothing in the kit matches `mcpservers`; it holds model:net, model:lora, code:code, datasets:train, datasets:test, docs:README.md, prompts:prompts/greet.md
[exit 3]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out", "--include", "*.nothing"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
error: no file of net:1 is selected by --include and --exclude
hint: `kit files` lists the paths
[exit 3]

"#]]
    );
    assert!(!kit.path("out").exists());
}

#[test]
fn layers_without_a_selected_file_are_not_read() {
    let kit = packed();
    for (pattern, layers) in [("README.md", 1), ("Kitfile", 0), ("**", 7)] {
        let folder = pattern.replace('*', "all");
        let words = ["unpack", "net:1", "-d", &folder, "--include", pattern];
        let words = words.into_iter().chain(["--format", "json"]);
        let report: serde_json::Value = serde_json::from_str(&kit.run(words).success()).unwrap();
        assert_eq!(
            report["layers"].as_array().unwrap().len(),
            layers,
            "{pattern}"
        );
    }
}

#[test]
fn filters_that_are_none_are_refused() {
    let kit = packed();
    assert_data_eq!(
        kit.run(["unpack", "net:1", "--filter", "dataset"]),
        str![[r#"
[stderr]
error: invalid filter type dataset (must be one of 'kitfile', 'model', 'datasets', 'code', 'docs', 'prompts', or 'mcpservers'); did you mean `datasets`?
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:1", "--filter", "Model"]),
        str![[r#"
[stderr]
error: invalid filter type Model (must be one of 'kitfile', 'model', 'datasets', 'code', 'docs', 'prompts', or 'mcpservers'); did you mean `model`?
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:1", "--filter", ":x"]),
        str![[r#"
[stderr]
error: invalid filter: should be in format <type1>,<type2>[:<filter1>,<filter2>], but is `:x`
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:1", "--filter", ""]),
        str![[r#"
[stderr]
error: invalid filter: should be in format <type1>,<type2>[:<filter1>,<filter2>], but is ``
[exit 2]

"#]]
    );
    assert_data_eq!(
        kit.run(["unpack", "net:1", "--include", "a[b"]),
        str![[r#"
[stderr]
error: pattern `a[b` holds a `[` that does not begin a set such as `[a-z]`
[exit 2]

"#]]
    );
}

#[test]
fn only_layers_that_give_a_file_are_said_to_be_unpacked() {
    let kit = packed();
    assert_data_eq!(
        kit.run(["unpack", "net:1", "-d", "out", "--include", "README.md"]),
        str![[r#"
[stderr]
Unpacking to [WORK]/out
Unpacking docs `README.md`
1 file written (21 B)
[exit 0]

"#]]
    );
}
