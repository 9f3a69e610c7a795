//! Inputs to begin with: from tables here, and from files in `testdata/`.

use std::{fs, path::Path};

use super::{archives, decompress, toc};

/// An input to begin with.
pub struct Seed {
    /// What it is called among those of its target.
    pub name: String,
    /// The input.
    pub content: Vec<u8>,
    /// Whether it must be accepted, if that is known.
    pub accepted: Option<bool>,
}

/// Folders below `testdata/` whose files are inputs as well. Those in `corpora` are what was found
/// to be worth trying again.
const FOLDERS: &[(&str, &[&str])] = &[
    ("layer", &["corpora/layer", "artifacts"]),
    ("decompress", &["corpora/decompress", "artifacts"]),
    ("unpack", &["corpora/unpack"]),
    ("reference", &["corpora/reference"]),
    (
        "documents",
        &["corpora/documents", "documents", "artifacts"],
    ),
    (
        "kitfile",
        &["corpora/kitfile", "kitfiles", "golden/src", "quickstart"],
    ),
    ("ignore", &["corpora/ignore"]),
    ("toc", &["corpora/toc"]),
];

/// The longest file that is taken.
const LONGEST: u64 = 16 << 10;

/// Returns the inputs of the tables for `target`.
pub fn of(target: &str) -> Vec<Seed> {
    let (accepted, refused) = match target {
        "layer" => {
            let accepted = [archives::accepted(), archives::not_unpacked()].concat();
            (accepted, archives::refused())
        }
        "decompress" => (decompress::accepted(), decompress::refused()),
        "unpack" => {
            let refused = [archives::refused(), archives::not_unpacked()].concat();
            (archives::accepted(), refused)
        }
        "reference" => texts(REFERENCES),
        "documents" => texts(DOCUMENTS),
        "kitfile" => texts(KITFILES),
        "ignore" => texts(IGNORES),
        "toc" => toc::seeds(),
        _ => panic!("no seeds for {target}"),
    };
    let seeds = |contents: Vec<Vec<u8>>, good: bool| {
        let word = if good { "accepted" } else { "refused" };
        contents
            .into_iter()
            .zip(1..)
            .map(move |(content, number)| Seed {
                name: format!("{word}-{number:02}"),
                content,
                accepted: Some(good),
            })
    };
    seeds(accepted, true).chain(seeds(refused, false)).collect()
}

/// Returns the files that are inputs for `target`.
pub fn files(target: &str, testdata: &Path) -> Vec<Seed> {
    let mut seeds = Vec::new();
    for (name, folders) in FOLDERS {
        for folder in folders.iter().filter(|_| *name == target) {
            collect(
                &testdata.join(folder),
                &folder.replace('/', "-"),
                &mut seeds,
            );
        }
    }
    seeds
}

fn collect(folder: &Path, name: &str, seeds: &mut Vec<Seed>) {
    let Ok(entries) = fs::read_dir(folder) else {
        return; // nothing was found yet
    };
    let mut paths: Vec<_> = entries
        .map(|entry| entry.expect("the folder can be listed").path())
        .collect();
    paths.sort();
    for path in paths {
        let name = format!("{name}-{}", path.file_name().unwrap_or_default().display());
        if path.is_dir() {
            collect(&path, &name, seeds);
        } else if path.metadata().is_ok_and(|file| file.len() <= LONGEST) {
            seeds.push(Seed {
                name,
                content: fs::read(&path).expect("the file can be read"),
                accepted: None,
            });
        }
    }
}

/// What is accepted and what is refused.
type Texts = (&'static [&'static str], &'static [&'static str]);

fn texts((accepted, refused): Texts) -> (Vec<Vec<u8>>, Vec<Vec<u8>>) {
    let bytes = |texts: &[&str]| texts.iter().map(|text| text.as_bytes().to_vec()).collect();
    (bytes(accepted), bytes(refused))
}

const REFERENCES: Texts = (
    &[
        "team/net",
        "team/net:1.0,prod",
        "localhost/localhost/x:1",
        "localhost:5000/org/repo:t",
        "REG.example:443/a_b/c__d/e---f.g",
        "[0:0::1]:5000/x@sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
        "net:_A.b-C\nnet:_a.B-c\nNET",
        "a.b\na.b/c\na.b:1",
    ],
    &[
        "",
        "C:\\models",
        "https://example.com/x",
        "./x:1",
        "a/../b",
        "a//b",
        "x:.tag",
        "x@sha256:00",
        "localhost/a.b/c",
        "Team/net",
        "a..b/c_._d",
    ],
);

const DOCUMENTS: Texts = (
    &[
        concat!(
            r#"{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","#,
            r#""artifactType":"a/b","config":{"mediaType":"a/b","#,
            r#""digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","#,
            r#""size":0},"layers":[{"mediaType":"c/d","#,
            r#""digest":"sha256:2c26b46b68ffc68ff99b453c1d30413413422d706483bfa0f98a5e886266e7ae","#,
            r#""size":3,"annotations":{"a":"<x>","b":"\u00e9"}}],"annotations":{"k":"v","l":"w"}}"#,
        ),
        concat!(
            r#"{"schemaVersion":2,"manifests":[{"mediaType":"a/b","#,
            r#""digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","#,
            r#""size":1125899906842624,"artifactType":"x/y","annotations":{"a":"1","b":"2"}}]}"#,
        ),
        r#"{"schemaVersion":2,"manifests":null,"other":{"a":[1,{"b":2,"c":3}]}}"#,
        r#"{"manifestVersion":"1.0.0","package":{"name":"n","authors":["a","b"]}}"#,
        concat!(
            r#"{"manifestVersion":"1.0.0","model":{"name":"m","path":"a","parts":[{"path":"b"}],"#,
            r#""parameters":{"a":1,"b":[1e21,-0.0,1.50,123456789012345678901234567890,"x"]},"#,
            r#""digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"}}"#,
        ),
        concat!(
            r#"{"datasets":[{"name":"d","path":"x","parameters":{"p":null}}],"code":[{"path":"."}],"#,
            r#""docs":[{"path":""}],"prompts":[{"path":"p"}],"mcpServers":[{"name":"s"}]}"#,
        ),
    ],
    &[
        "",
        "[]",
        "{} {}",
        r#"{"package":{"name":"a","name":"b"}}"#,
        r#"{"schemaVersion":2,"Layers":[],"model":1}"#,
        r#"{"schemaVersion":2,"manifests":[],"layers":[],"model":1}"#,
        r#"{"schemaVersion":1,"manifests":[],"model":1}"#,
        r#"{"schemaVersion":2,"manifests":[{"mediaType":"a","digest":"sha512:00","size":1}],"model":1}"#,
        r#"{"schemaVersion":2,"manifests":[],"annotations":{"a":"1","\u0061":"2"},"model":1}"#,
    ],
);

const KITFILES: Texts = (
    &[
        "manifestVersion: 1.0.0\npackage: {name: n, authors: [a, 'b c']}\nmodel:\n  path: m.bin\n  \
         parts: [{path: p, type: lora}]\n  parameters: {a: 1, b: [0x1f, 1e3, ~, no, -0.0, .5]}\n",
        "datasets:\n- name: d\n  path: a\n  parameters: {a: \"x\\n\\u2028\"}\n  description: |+\n    two\n    lines\n\n",
        "code: [{path: &a src, description: *a}]\ndocs:\n- path: >-\n    folded\n    text\n",
        "model:\n  path: team/net:1.0\n  name: |2-\n     x\n",
        "model:\n  parameters:\n    x: &x {p: 1}\n    y: {<<: *x, k: 2001-01-01, z: !!str 1}\n",
        "mcpServers: [{name: s, path: s.mcpb}]\nprompts: [{path: ./p/../q}]\n",
    ],
    &[
        "a: &a [*a]\n",
        "a: &a [x]\nb: &b [*a, *a, *a]\nc: [*b, *b, *b]\n",
        "model: [[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[",
        concat!(
            "model:\n  parameters:\n    a: &a [x,x,x,x,x,x,x,x,x]\n",
            "    b: &b [*a,*a,*a,*a,*a,*a,*a,*a,*a]\n    c: &c [*b,*b,*b,*b,*b,*b,*b,*b,*b]\n",
            "    d: &d [*c,*c,*c,*c,*c,*c,*c,*c,*c]\n    e: &e [*d,*d,*d,*d,*d,*d,*d,*d,*d]\n",
            "    f: &f [*e,*e,*e,*e,*e,*e,*e,*e,*e]\n    g: &g [*f,*f,*f,*f,*f,*f,*f,*f,*f]\n",
        ),
        "model: {path: a}\nmodel: {path: b}\n",
        "--- {}\n--- {}\n",
        "? [a]\n: b\n? {c: d}\n",
        "model: {path: ../x}\ncode: [{path: /y}]\n",
        "package: {name: \"\\x1b[31m\\0\"}\nunknown: [\n",
    ],
);

const IGNORES: Texts = (
    &[
        "*.bin\n!keep.bin\n\0sub/a.bin",
        "**/*.bin\n\0sub/deep/a.bin",
        "data\n!data/deep/keep\n!lib/*/x\n\0data/deep/keep/y",
        "# c\n # c\n  data/  \n/./x/../y\n\0# c/y",
        "a/[^b-d]?\\*[é]**x\n\0a/e0*\u{e9}/x",
        "!.git\n!**/__pycache__/x\n._*\n\0a/__pycache__/x",
        "**foo\na**\n**/b**\n\0a/xfoo",
        "*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b\n\0aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        "**/a/**/a/**/a/**/a/**/a/**/a/**/a/b\n\0a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a/a",
        "data/**.csv\n***/x\n**/**/y\n\0data/a/b.csv",
        "/../x\n..\n\0x",
        "[/]\n[^/]x\na\\/b\n\0a/b",
    ],
    &[
        "!\n\0a", "a\n[\0a", "[b-a]\0a", "a\\\0a", "[]\0]", "[a-]\0a",
    ],
);
