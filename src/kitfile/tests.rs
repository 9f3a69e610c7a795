use std::{fmt::Write as _, fs, path::PathBuf};

use snapbox::{Data, assert_data_eq};

use super::*;
use crate::digest::Digest;

pub(super) fn cases(kind: &str) -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("testdata/kitfiles")
        .join(kind);
    let mut paths: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    paths.retain(|path| {
        path.extension()
            .is_some_and(|extension| extension == "yaml")
    });
    paths.sort();
    assert!(paths.len() > 8, "{kind} has its cases");
    paths
}

// hazard: 129, 130
#[test]
fn every_valid_kitfile_makes_the_recorded_config() {
    for path in cases("valid") {
        let kitfile = read(&path)
            .unwrap_or_else(|error| panic!("{error}: {error:?}"))
            .kitfile;
        let config = String::from_utf8(kitfile.to_config()).unwrap();
        assert_data_eq!(
            format!("{config}\n"),
            Data::read_from(&path.with_extension("json"), None).raw()
        );
        assert_eq!(
            Kitfile::from_config(config.as_bytes()),
            Ok(kitfile.clone()),
            "{config}"
        );
        assert_eq!(
            parse(&kitfile.to_yaml()).unwrap().kitfile,
            kitfile,
            "{}",
            kitfile.to_yaml()
        );
    }
}

// hazard: 44, 126, 129, 130
#[test]
fn every_invalid_kitfile_gives_the_recorded_problems() {
    for path in cases("invalid") {
        let bytes = fs::read(&path).unwrap();
        let problems = parse_bytes(&bytes).expect_err(&path.display().to_string());
        assert_data_eq!(
            format!("{problems}\n"),
            Data::read_from(&path.with_extension("txt"), None).raw()
        );
    }
}

#[test]
fn an_odd_manifest_version_is_a_warning() {
    let parsed = parse("manifestVersion: v2").unwrap();
    assert_eq!(
        parsed
            .warnings
            .iter()
            .map(Problem::to_string)
            .collect::<Vec<_>>(),
        ["line 1, column 18: unrecognized manifestVersion v2: the Kitfile is read as 1.0.0"]
    );
    for known in [
        "{}",
        "manifestVersion: 1.0",
        "manifestVersion: 1.0.0",
        "manifestVersion: \"1.0.0\"",
    ] {
        assert_eq!(parse(known).unwrap().warnings, [], "{known}");
    }
}

/// The example of the format: the bytes of its config have this digest in every kit.
#[test]
fn the_config_of_the_example_has_its_published_bytes() {
    let text = fs::read_to_string(
        Path::new(env!("CARGO_MANIFEST_DIR")).join("testdata/kitfiles/valid/example.yaml"),
    )
    .unwrap();
    let mut kitfile = parse(&text).unwrap().kitfile;
    let layers = [
        "eb0d26a26bf6cb939f910b48436288b06240eda32e340e4306078bd9b2923b60",
        "756618e82e35180466f144343a2f0d61b9eb1f1ef79b2de9bc02a458c0bac1eb",
        "6e827236bb6f62543c083dfd8de5b73cb4c17984ce730fc28f99f7198fb4267c",
        "e246df15930c368562ac35abec0420be42299433dbe52cc98d6f7499e35ccf85",
        "3d6cdb070cacbed6af16857504801e4e20e16dcbfdb47bf881cef2c88eb590cb",
    ]
    .map(|hex| Digest::from_hex(hex).unwrap());
    assert_eq!(kitfile.entries().len(), layers.len());
    kitfile.set_layers(layers.map(|digest| (digest, digest)));
    let config = kitfile.to_config();
    assert_eq!(config.len(), 1463);
    assert_eq!(
        Digest::of(&config).hex(),
        "285506c53550835c7315360e318749d566d7b1132bae697a4e735528f95ffe3b"
    );
    let entries = kitfile.entries();
    assert_eq!(
        entries
            .iter()
            .map(|entry| entry.digest.unwrap())
            .collect::<Vec<_>>(),
        layers
    );
    assert_eq!(Kitfile::from_config(&config), Ok(kitfile));
}

#[test]
fn yaml_is_written_for_people() {
    let text = "\
manifestVersion: 1.0.0
package: {name: tiny, version: 1.10, description: \"two\\nlines\", license: 'no', authors: [Ann, Bob, 'null']}
model:
  path: ./model
  parts: [{name: lora, path: a.gguf}, {path: b.gguf}]
  parameters: {b: 0xFF, a: [1, 2.50, {}, [], [x, y], {k: ~}], long: 'a long text that goes on and on and on and on and on and on and on and on and on and on and on'}
docs: [{}]
";
    let kitfile = parse(text).unwrap().kitfile;
    assert_data_eq!(
        kitfile.to_yaml(),
        snapbox::str![[r#"
manifestVersion: "1.0.0"
package:
  name: tiny
  version: "1.10"
  description: |-
    two
    lines
  license: "no"
  authors: [Ann, Bob, "null"]
model:
  path: ./model
  parts:
    - name: lora
      path: a.gguf
    - path: b.gguf
  parameters:
    a:
      - 1
      - 2.5
      - {}
      - []
      - - x
        - "y"
      - k: null
    b: 255
    long: a long text that goes on and on and on and on and on and on and on and on and on and on and on
docs:
  - path: ""

"#]]
    );
}

#[test]
fn entries_are_what_makes_a_layer() {
    let parsed = parse(
        "\
model: {name: m, path: '', parts: [{name: p, path: ./a//b/}]}
code: [{}]
datasets: [{name: r, path: d, remotePath: team/d:1}, {name: l, path: e/}]
docs: [{path: f}]
prompts: [{name: g, path: g}]
mcpServers: [{name: h, path: h.mcpb}]
",
    );
    let mut kitfile = parsed.unwrap().kitfile;
    let shown: Vec<_> = kitfile
        .entries()
        .into_iter()
        .map(|entry| {
            (
                entry.section,
                entry.index,
                entry.name,
                entry.path,
                entry.clean,
            )
        })
        .collect();
    let entry = |section, index, name: &str, path: &str, clean: &str| {
        (
            section,
            index,
            name.to_owned(),
            path.to_owned(),
            clean.to_owned(),
        )
    };
    assert_eq!(
        shown,
        [
            entry(Section::Part, 0, "p", "./a//b/", "a/b"),
            entry(Section::Code, 0, "", "", "."),
            entry(Section::Dataset, 1, "l", "e/", "e"),
            entry(Section::Docs, 0, "", "f", "f"),
            entry(Section::Prompt, 0, "g", "g", "g"),
            entry(Section::McpServer, 0, "h", "h.mcpb", "h.mcpb"),
        ]
    );
    kitfile.set_layers([b"1", b"4", b"2"].map(|it| (Digest::of(it), Digest::of(b"3"))));
    assert_eq!(kitfile.datasets[1].layer.diff_id, Some(Digest::of(b"3")));
    assert_eq!(kitfile.layers_mut().count(), 6);

    let child = parse("model: {path: team/base:1, parts: [{path: a}]}")
        .unwrap()
        .kitfile;
    assert_eq!(child.model_reference(), Some("team/base:1"));
    assert_eq!(child.entries()[0].section, Section::Part);
    let whole = parse("model: {path: .}").unwrap().kitfile;
    assert_eq!((whole.entries().len(), whole.model_reference()), (1, None));
}

// hazard: 35
#[test]
fn configs_are_read_strictly_by_type_and_leniently_by_field() {
    let newer = r#"{"manifestVersion":"1.0.0","future":[{"a":1}],"package":{"x":{}},"model":{"path":"/../old","future":1,"digest":""}}"#;
    let kitfile = Kitfile::from_config(newer.as_bytes()).unwrap();
    assert_eq!(kitfile.model.unwrap().path, "/../old");
    for bad in [
        "",
        "null",
        "[]",
        "\"text\"",
        "{",
        "{} {}",
        "{\"manifestVersion\":1}",
        "{\"package\":{\"name\":true}}",
        "{\"model\":{\"digest\":\"sha256:abc\"}}",
        "{\"model\":{\"digest\":\"sha512:abc\"}}",
        "{\"model\":{\"path\":\"a\",\"path\":\"b\"}}",
        "{\"code\":{}}",
        "{\"code\":[null]}",
        "{\"model\":{\"parameters\":1e999}}",
        "\u{feff}{}",
    ] {
        assert!(Kitfile::from_config(bad.as_bytes()).is_err(), "{bad}");
    }
    assert!(Kitfile::from_config(b"{\"package\":{\"name\":\"\xff\"}}").is_err());
    let escaped = "{\"package\":{\"name\":\"\\ud83d\\ude00\\u0000\\/\"}}";
    assert_eq!(
        Kitfile::from_config(escaped.as_bytes())
            .unwrap()
            .package
            .name,
        "😀\0/"
    );
    let deep = |depth| {
        format!(
            "{{\"model\":{{\"parameters\":{}1{}}}}}",
            "[".repeat(depth),
            "]".repeat(depth)
        )
    };
    assert!(Kitfile::from_config(deep(62).as_bytes()).is_ok());
    assert!(Kitfile::from_config(deep(63).as_bytes()).is_err());
    assert!(Kitfile::from_config(deep(1_000_000).as_bytes()).is_err());
    let large = format!(
        "{{\"package\":{{\"name\":\"{}\"}}}}",
        "a".repeat(MAX_CONFIG_BYTES)
    );
    assert!(Kitfile::from_config(large.as_bytes()).is_err());
}

/// Each of these takes minutes or all memory in a reader without bounds.
// hazard: 126, 127, 128
#[test]
fn hostile_yaml_is_refused() {
    let nested = |open: &str| open.repeat(200_000 / open.len());
    let aliases = format!("model: {{parameters: [&a x{}]}}", ", *a".repeat(100_000));
    let long_scalar = format!(
        "model: {{parameters: [&a {}{}]}}",
        "x".repeat(20_000),
        ", *a".repeat(9_000)
    );
    let mut laughs = "model:\n  parameters:\n    - &a0 [x, x, x, x, x, x, x, x, x, x]\n".to_owned();
    for level in 1..40 {
        let list = vec![format!("*a{}", level - 1); 10].join(", ");
        writeln!(laughs, "    - &a{level} [{list}]").unwrap();
    }
    let mut tower = "model:\n  parameters:\n    - &a0 [x]\n".to_owned();
    for level in 1..2_000 {
        writeln!(tower, "    - &a{level} [*a{}]", level - 1).unwrap();
    }
    let merges = format!(
        "model:\n  parameters:\n    - &a {{{}}}\n{}",
        (0..1000)
            .map(|key| format!("k{key}: v"))
            .collect::<Vec<_>>()
            .join(", "),
        "    - {<<: *a}\n".repeat(9_000)
    );
    for (text, message) in [
        (nested("["), "lists and maps are nested more than 64 deep"),
        (
            nested("{a: "),
            "lists and maps are nested more than 64 deep",
        ),
        (nested("- "), "lists and maps are nested more than 64 deep"),
        (nested("? "), "lists and maps are nested more than 64 deep"),
        (aliases, "more than 10000 aliases"),
        (long_scalar, "aliases repeat more than a Kitfile may hold"),
        (laughs, "aliases repeat more than a Kitfile may hold"),
        (tower, "lists and maps are nested more than 64 deep"),
        (merges, "aliases repeat more than a Kitfile may hold"),
        (
            "a".repeat(MAX_BYTES + 1),
            "the Kitfile is larger than 1 MiB",
        ),
    ] {
        let problems = parse(&text).unwrap_err();
        assert_eq!(
            problems.0.len(),
            1,
            "{:?}",
            &problems.0[..2.min(problems.0.len())]
        );
        assert_eq!(problems.0[0].message, message, "{}", &text[..60]);
    }
}

// hazard: 128
#[test]
fn a_kitfile_and_a_config_may_be_as_large_as_is_said_and_no_larger() {
    let padded = |text: &str, length: usize| text.to_owned() + &" ".repeat(length - text.len());
    let kitfile = |length| padded("package: {name: a}", length);
    assert!(parse(&kitfile(MAX_BYTES)).is_ok());
    assert!(parse(&kitfile(MAX_BYTES + 1)).is_err());
    let config = |length| padded(r#"{"package":{"name":"a"}}"#, length);
    assert!(Kitfile::from_config(config(MAX_CONFIG_BYTES).as_bytes()).is_ok());
    assert!(Kitfile::from_config(config(MAX_CONFIG_BYTES + 1).as_bytes()).is_err());
    let aliases = |count: usize| format!("model: {{parameters: [&a x{}]}}", ", *a".repeat(count));
    assert!(parse(&aliases(10_000)).is_ok());
    assert!(parse(&aliases(10_001)).is_err());
}

// hazard: 127
#[test]
fn depth_is_counted_alike_with_and_without_aliases() {
    let list = |depth: usize| format!("{}x{}", "[".repeat(depth), "]".repeat(depth));
    let plain = |depth| format!("model: {{parameters: {}}}", list(depth));
    assert!(parse(&plain(62)).is_ok());
    assert!(parse(&plain(63)).is_err());
    let alias = |depth: usize| {
        format!(
            "model: {{parameters: [&a {}, {}*a{}]}}",
            list(30),
            "[".repeat(depth - 31),
            "]".repeat(depth - 31)
        )
    };
    assert!(parse(&alias(62)).is_ok());
    assert!(parse(&alias(63)).is_err());
}

// hazard: 124
#[test]
fn large_kitfiles_are_read() {
    let text = format!(
        "code:\n{}",
        (0..20_000)
            .map(|n| format!("  - path: src/{n}\n"))
            .collect::<Vec<_>>()
            .concat()
    );
    assert_eq!(parse(&text).unwrap().kitfile.entries().len(), 20_000);
    let slashes = format!("code: [{{path: {}}}]", "a/".repeat(2_000));
    assert!(parse(&slashes).is_ok());
}

// hazard: 128
#[test]
fn the_kitfile_is_looked_for_under_its_names_in_order() {
    let dir = tempfile::tempdir().unwrap();
    assert_eq!(find(dir.path()).unwrap(), None);
    fs::create_dir(dir.path().join("Kitfile")).unwrap();
    for name in [".kitfile", "kitfile"] {
        fs::write(dir.path().join(name), "package: {name: a}").unwrap();
        assert_eq!(find(dir.path()).unwrap().unwrap(), dir.path().join(name));
    }
    assert_eq!(
        read(&dir.path().join("kitfile"))
            .unwrap()
            .kitfile
            .package
            .name,
        "a"
    );
    let missing = read(&dir.path().join("none")).unwrap_err();
    assert!(matches!(missing, Error::Read { .. }));
    fs::write(dir.path().join("large"), vec![b'#'; MAX_BYTES + 7]).unwrap();
    let Err(Error::Invalid { problems, .. }) = read(&dir.path().join("large")) else {
        panic!()
    };
    assert_eq!(problems.to_string(), "the Kitfile is larger than 1 MiB");
}
