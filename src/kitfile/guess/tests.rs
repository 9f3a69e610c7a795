use proptest::prelude::*;

use super::*;

/// Lists `paths`: a path ending in `/` is a folder, `@N` behind a path its size; folders above a
/// path need not be named.
fn listing(paths: &[&str]) -> Listing {
    let mut entries: BTreeMap<String, ListedFile> = BTreeMap::new();
    for path in paths {
        let (path, size) = path.split_once('@').unwrap_or((path, "1"));
        let is_dir = path.ends_with('/');
        let path = path.trim_end_matches('/').to_owned();
        if let Some((folder, _)) = path.split_once('/') {
            let folder = ListedFile {
                path: folder.to_owned(),
                size: 0,
                is_dir: true,
            };
            entries.insert(folder.path.clone(), folder);
        }
        entries.insert(
            path.clone(),
            ListedFile {
                path,
                size: size.parse().unwrap(),
                is_dir,
            },
        );
    }
    Listing {
        entries: entries.into_values().collect(),
    }
}

/// Shows a draft in one line: `model`, `+part`, `code:`, `data:`, `docs:`, `prompt:`, `mcp:`.
fn shown(paths: &[&str]) -> String {
    let Draft {
        kitfile, left_out, ..
    } = draft(&listing(paths));
    assert_eq!(kitfile.validate(), []);
    assert_eq!(kitfile.manifest_version, "1.0.0");
    let mut words = Vec::new();
    if let Some(model) = &kitfile.model {
        words.push(format!("model:{}={}", model.name, model.path));
        words.extend(model.parts.iter().map(|part| format!("+{}", part.path)));
    }
    words.extend(
        kitfile
            .code
            .iter()
            .map(|code| format!("code:{}", code.path)),
    );
    words.extend(
        kitfile
            .datasets
            .iter()
            .map(|data| format!("data:{}", data.path)),
    );
    words.extend(
        kitfile
            .docs
            .iter()
            .map(|docs| match docs.description.as_str() {
                "" => format!("docs:{}", docs.path),
                description => format!("docs:{}({description})", docs.path),
            }),
    );
    words.extend(
        kitfile
            .prompts
            .iter()
            .map(|prompt| format!("prompt:{}", prompt.path)),
    );
    words.extend(
        kitfile
            .mcp_servers
            .iter()
            .map(|server| format!("mcp:{}={}", server.name, server.path)),
    );
    words.extend(left_out.iter().map(|left| format!("left:{}", left.path)));
    words.join(" ")
}

macro_rules! rows {
    ($($paths:expr => $shown:expr,)*) => {
        $(assert_eq!(shown(&$paths), $shown, "{:?}", $paths);)*
    };
}

#[test]
fn suffixes_tell_the_type() {
    for suffix in [
        "safetensors",
        "pkl",
        "joblib",
        "pth",
        "pt",
        "mar",
        "pt2",
        "ptl",
        "pb",
        "ckpt",
        "tflite",
        "tfrecords",
        "npy",
        "npz",
        "keras",
        "h5",
        "caffemodel",
        "pmml",
        "coreml",
        "gguf",
        "ggml",
        "ggmf",
        "llamafile",
        "onnx",
    ] {
        assert_eq!(
            shown(&[&format!("a.{suffix}")]),
            format!("model:a=a.{suffix}")
        );
    }
    for suffix in ["md", "adoc", "html", "pdf"] {
        assert_eq!(shown(&[&format!("a.{suffix}")]), format!("docs:a.{suffix}"));
    }
    for suffix in ["json", "yaml", "xml", "txt", "tar", "zip", "parquet", "csv"] {
        assert_eq!(shown(&[&format!("a.{suffix}")]), format!("data:a.{suffix}"));
    }
    for suffix in ["yml", "toml", "py", "GGUF", "CSV", "bin", ""] {
        assert_eq!(shown(&[&format!("a.{suffix}")]), format!("code:a.{suffix}"));
    }
    rows! {
        ["pytorch_model.bin"] => "model:pytorch_model=pytorch_model.bin",
        ["my-pytorch_model-1.bin"] => "model:my-pytorch_model-1=my-pytorch_model-1.bin",
        ["model.bin"] => "code:model.bin",
        ["pytorch_model.bin.old"] => "code:pytorch_model.bin.old",
    }
}

#[test]
fn root_files_go_where_their_type_belongs() {
    rows! {
        [""; 0] => "",
        ["Kitfile", "kitfile", ".kitfile"] => "",
        ["README.md", "readme", "ReadMe.txt"] => "docs:README.md(Readme file) docs:ReadMe.txt(Readme file) docs:readme(Readme file)",
        ["LICENSE", "license.json"] => "docs:LICENSE(License file) docs:license.json(License file)",
        ["b.md", "a.csv", "c.py"] => "code:c.py data:a.csv docs:b.md",
        ["config.json", "m.gguf"] => "model:m=m.gguf +config.json",
        ["config.json", "a.csv"] => "data:a.csv data:config.json",
        ["AGENTS.md", "claude.md", "x.prompt", "a.Prompt.md", "SKILL.md"] => "prompt:AGENTS.md prompt:SKILL.md prompt:a.Prompt.md prompt:claude.md prompt:x.prompt",
        ["search.mcpb", ".mcpb"] => "mcp:search=search.mcpb left:.mcpb",
    }
}

#[test]
fn folders_are_judged_by_their_names_and_children() {
    rows! {
        ["docs/a.gguf"] => "docs:docs/",
        ["docs/"] => "docs:docs/",
        ["src/a", "pkg/b.csv", "lib/", "build/c.md"] => "code:build/ code:lib/ code:pkg/ code:src/",
        ["data/a.csv", "data/b.parquet", "data/info.json"] => "data:data/",
        ["manual/a.md", "manual/b.pdf"] => "docs:manual/",
        ["prompts/a.prompt", "prompts/agents.md"] => "prompt:prompts/",
        ["skills/Skill.md", "skills/run.py", "skills/sub/"] => "prompt:skills/",
        ["servers/a.mcpb", "servers/b.mcpb"] => "mcp:a=servers/a.mcpb mcp:b=servers/b.mcpb",
        ["a.mcpb", "servers/a.mcpb"] => "mcp:a=a.mcpb mcp:servers/a=servers/a.mcpb",
        ["servers/a.mcpb", "servers/b.json"] => "code:servers/",
        ["mixed/a.csv", "mixed/b.md"] => "code:mixed/",
        ["nested/a.csv", "nested/sub/"] => "code:nested/",
        ["scripts/a.py"] => "code:scripts/",
        ["config/a.json", "config/b.yaml"] => "code:config/",
        ["empty/"] => "code:empty/",
        ["weights/b.json", "weights/a.gguf@9"] => "model:weights/a=weights/a.gguf +weights/b.json",
        ["mixed/a.py", "mixed/m.gguf"] => "model:mixed/m=mixed/m.gguf code:mixed/",
    }
}

#[test]
fn the_largest_file_is_the_model_if_it_stands_out() {
    rows! {
        ["a.gguf@10", "b.gguf@100", "c.gguf@10"] => "model:b=b.gguf +a.gguf +c.gguf",
        ["a.gguf@100", "b.gguf@100", "c.gguf@90"] => "model:=a.gguf +b.gguf +c.gguf",
        ["a.gguf@1", "b.gguf@3"] => "model:=a.gguf +b.gguf",
        ["a.gguf@1", "b.gguf@4"] => "model:b=b.gguf +a.gguf",
        ["a.gguf@0", "b.gguf@0"] => "model:=a.gguf +b.gguf",
        ["z.gguf@9", "a/m.onnx@1", "a/c.json@1", "top.json"] => "model:z=z.gguf +a/m.onnx +a/c.json +top.json",
        ["a.gguf@18446744073709551615", "b.gguf@18446744073709551615"] => "model:=a.gguf +b.gguf",
    }
}

#[test]
fn many_unknown_files_or_folders_are_one_layer() {
    rows! {
        ["1", "2", "3", "4", "5"] => "code:1 code:2 code:3 code:4 code:5",
        ["1", "2", "3", "4", "5", "6"] => "code:.",
        ["1", "2", "3", "4", "5", "6", "src/", "m.gguf"] => "model:m=m.gguf code:.",
        ["a/", "b/", "c/", "d/", "e/", "src/"] => "code:src/ code:a/ code:b/ code:c/ code:d/ code:e/",
        ["a/", "b/", "c/", "d/", "e/", "f/", "src/"] => "code:.",
        ["x.py", "a/1.py"] => "code:a/ code:x.py",
    }
}

#[test]
fn what_may_be_private_is_left_and_listed() {
    rows! {
        [".env", ".git/", ".git/config", "m.gguf"] => "model:m=m.gguf left:.env left:.git",
        ["server.pem", "id_rsa", "ID_ed25519", "tls.KEY", "a.p12"] => "left:ID_ed25519 left:a.p12 left:id_rsa left:server.pem left:tls.KEY",
        ["src/a.py", "src/.env"] => "code:src/a.py left:src/.env",
        ["data/a.csv", "data/key.pem", "data/b.csv"] => "data:data/a.csv data:data/b.csv left:data/key.pem",
        ["mixed/m.gguf", "mixed/a.py", "mixed/sub/", "mixed/.x"] => "model:mixed/m=mixed/m.gguf code:mixed/a.py code:mixed/sub/ left:mixed/.x",
        ["keys/id_rsa"] => "left:keys/id_rsa",
        ["1", "2", "3", "4", "5", "6", ".env"] => "code:1 code:2 code:3 code:4 code:5 code:6 left:.env",
    }
    assert_eq!(never_taken("src/deep/.cache/x"), Some(Reason::Hidden));
    assert_eq!(never_taken("src/deep/id_rsa"), Some(Reason::PrivateKey));
    assert_eq!(never_taken("./src/a.py"), None);
}

#[test]
fn a_folder_of_very_many_files_is_one_entry_beside_private_files_too() {
    let many = |folder: &str, count: usize| {
        let numbers = (0..count).map(move |number| format!("{folder}{number:04}.csv"));
        numbers.collect::<Vec<String>>()
    };
    let of = |paths: &[Vec<String>], private: &[&str]| {
        let paths: Vec<&str> = paths.iter().flatten().map(String::as_str).collect();
        let listing = listing(&[&paths, private].concat());
        let Draft {
            kitfile,
            left_out,
            covered,
            ..
        } = draft(&listing);
        assert_eq!(kitfile.validate(), []);
        let named = kitfile.entries().len();
        (named, left_out.len(), covered)
    };
    let none: Vec<String> = Vec::new();
    assert_eq!(of(&[many("data/", 100)], &["data/.env"]), (100, 1, none));
    assert_eq!(
        of(&[many("data/", 101)], &["data/.env", "data/k.pem"]),
        (1, 2, vec!["data/.env".to_owned(), "data/k.pem".to_owned()])
    );
    // Only the folder that is too large is taken as a whole.
    assert_eq!(
        of(
            &[many("src/deep/", 500), many("src/", 3)],
            &["src/.env", "src/deep/.env", "src/deep/"]
        ),
        (4, 2, vec!["src/deep/.env".to_owned()])
    );
    let unknown: Vec<String> = (0..101).map(|number| format!("{number}.py")).collect();
    assert_eq!(
        of(&[unknown], &[".env", "src/a.py", "src/.x"]),
        (1, 2, vec![".env".to_owned(), "src/.x".to_owned()])
    );
}

#[test]
fn odd_names_are_written_as_files() {
    rows! {
        ["a:b.csv", "team:1", "C:x.md"] => "code:./team:1 data:./a:b.csv docs:./C:x.md",
    }
}

proptest! {
    #[test]
    fn every_draft_is_valid_and_takes_nothing_private(
        paths in prop::collection::btree_set(
            "(a|b|docs|src|\\.x)?/?(SKILL|m|id_|x:|readme|c|\\.d|s\\\\)(\\.gguf|\\.csv|\\.md|\\.json|\\.mcpb|\\.pem|:1|/)?",
            0..20,
        )
    ) {
        let paths: Vec<&str> = paths.iter().map(|path| path.trim_start_matches('/')).collect();
        let entries = listing(&paths).entries;
        let Draft { kitfile, left_out, .. } = draft(&Listing { entries: entries.clone() });
        prop_assert_eq!(kitfile.validate(), []);
        let named: Vec<_> = kitfile.entries().into_iter().map(|entry| entry.clean).collect();
        for left in &left_out {
            let holds = |path: &String| path == "." || left.path == *path || left.path.starts_with(&format!("{path}/"));
            prop_assert!(!named.iter().any(holds), "{:?} holds {:?}", named, left.path);
        }
        for file in entries.iter().filter(|entry| !entry.is_dir && never_taken(&entry.path).is_none()) {
            let holds = |path: &String| path == "." || file.path == *path || file.path.starts_with(&format!("{path}/"));
            prop_assert!(named.iter().any(holds), "{:?} lacks {:?}", named, file.path);
        }
    }
}
