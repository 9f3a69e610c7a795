//! What `info`, `inspect` and drafts say of GGUF and safetensors files, wherever these are.

use std::fs;

use serde_json::{Value, json};
use snapbox::{assert_data_eq, str};

use crate::support::{
    Sandbox,
    shelf::{Fate, Rules, StoreShelf},
};

const MIB: usize = 1 << 20;

/// Returns a text as GGUF writes it.
fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes()[..], text.as_bytes()].concat()
}

/// Returns a model of llama.cpp with a vocabulary of `words` and one tensor, and nothing in it.
fn gguf(words: usize) -> Vec<u8> {
    let number = |number: u32| number.to_le_bytes();
    let mut bytes = b"GGUF".to_vec();
    bytes.extend(number(3));
    bytes.extend(1_u64.to_le_bytes());
    bytes.extend(4_u64.to_le_bytes());
    bytes.extend(
        [
            &text("general.architecture")[..],
            &number(8),
            &text("llama"),
        ]
        .concat(),
    );
    bytes.extend([&text("general.file_type")[..], &number(4), &number(15)].concat());
    bytes.extend([&text("llama.context_length")[..], &number(4), &number(8192)].concat());
    bytes.extend([&text("tokenizer.ggml.tokens")[..], &number(9), &number(8)].concat());
    bytes.extend((words as u64).to_le_bytes());
    for word in 0..words {
        bytes.extend(text(&format!("word {word:07}")));
    }
    bytes.extend([&text("token_embd.weight")[..], &number(2)].concat());
    bytes.extend([4096_u64.to_le_bytes(), 2000_u64.to_le_bytes()].concat());
    bytes.extend([&number(12)[..], &0_u64.to_le_bytes()].concat());
    bytes
}

/// Returns a file of Hugging Face with one tensor.
fn safetensors(name: &str, numbers: usize) -> Vec<u8> {
    let header =
        json!({name: {"dtype": "BF16", "shape": [numbers], "data_offsets": [0, numbers * 2]}});
    let header = header.to_string();
    [
        &(header.len() as u64).to_le_bytes()[..],
        header.as_bytes(),
        &vec![0; numbers * 2],
    ]
    .concat()
}

/// Writes a kit with a GGUF file that is followed by `weights` bytes, and a second model.
fn sources(kit: &Sandbox, words: usize, weights: usize) {
    let mut model = gguf(words);
    model.resize(model.len() + weights, 7);
    kit.file(
        "src/Kitfile",
        "manifestVersion: 1.0.0\nmodel:\n  path: m\n  parts: [{name: hf, path: hf}]\n",
    )
    .file("src/m/README.md", "# words")
    .file("src/m/w.gguf", model)
    .file(
        "src/hf/config.json",
        r#"{"architectures": ["LlamaForCausalLM"], "n_ctx": 77}"#,
    )
    .file(
        "src/hf/model-00001-of-00002.safetensors",
        safetensors("a", 5),
    )
    .file(
        "src/hf/model-00002-of-00002.safetensors",
        safetensors("b", 6),
    );
}

fn models(kit: &Sandbox, words: &[&str]) -> Value {
    let shown = kit.run([&["inspect"], words].concat()).json();
    shown["models"].clone()
}

fn expected(verified: bool) -> Value {
    json!([
        {
            "path": "hf/model-00001-of-00002.safetensors",
            "files": 2,
            "format": "safetensors",
            "architecture": "LlamaForCausalLM",
            "parameters": 11,
            "tensors": 2,
            "types": {"BF16": 11},
            "quantization": null,
            "contextLength": 77,
            "verified": verified,
        },
        {
            "path": "m/w.gguf",
            "files": 1,
            "format": "gguf",
            "architecture": "llama",
            "parameters": 8_192_000,
            "tensors": 1,
            "types": {"Q4_K": 8_192_000},
            "quantization": "Q4_K_M",
            "contextLength": 8192,
            "verified": verified,
        },
    ])
}

#[test]
fn a_kit_tells_what_its_models_are() {
    let kit = Sandbox::new();
    sources(&kit, 3, 100);
    for (tag, flags) in [("tar", &[][..]), ("gzip", &["--compression", "gzip"])] {
        let name = format!("net:{tag}");
        let pack = ["pack", "src", "-q", "-t", &name];
        kit.run(pack.iter().chain(flags)).success();
        assert_eq!(models(&kit, &[&name]), expected(true), "{tag}");
    }
    assert_data_eq!(
        kit.run(["info", "net:tar"]),
        str![[r#"
manifestVersion: "1.0.0"
model:
  path: m
  parts:
    - name: hf
      path: hf
[stderr]
Model hf/model-00001-of-00002.safetensors (2 files): safetensors, LlamaForCausalLM, 11 parameters, BF16, 77 tokens of context, 2 tensors
Model m/w.gguf: GGUF, llama, 8.19 M parameters, Q4_K_M, 8,192 tokens of context, 1 tensor
[exit 0]

"#]]
    );
    // Who asks for something else is not told.
    let output = kit.run(["info", "net:tar", "--filter", "model.path"]);
    assert_eq!(
        (output.stdout.as_str(), output.stderr.as_str()),
        ("m\n", "")
    );
    let output = kit.run([
        "inspect",
        "net:tar",
        "--format",
        "{{ range .Models }}{{ .Path }};{{ end }}",
    ]);
    assert_eq!(
        output.success(),
        "hf/model-00001-of-00002.safetensors;m/w.gguf;\n"
    );
}

#[test]
fn a_drafted_kitfile_says_what_the_model_is() {
    let kit = Sandbox::new();
    kit.file("src/w.gguf", gguf(1))
        .file("src/train.py", "pass\n");
    kit.run(["init", "src", "--name", "net", "-q"]).success();
    let kitfile = fs::read_to_string(kit.path("src/Kitfile")).unwrap();
    assert_data_eq!(
        kitfile,
        str![[r#"
manifestVersion: "1.0.0"
package:
  name: net
model:
  name: w
  path: w.gguf
  format: gguf
  parameters:
    architecture: llama
    contextLength: 8192
    parameterCount: 8192000
    quantization: Q4_K_M
code:
  - path: train.py

"#]]
    );
    kit.run(["pack", "src", "-q", "-t", "net:1"]).success();
    // What is no model says nothing.
    kit.file(
        "other/w.gguf",
        "version https://git-lfs.github.com/spec/v1\n",
    );
    kit.run(["init", "other", "--name", "net", "-q"]).success();
    let kitfile = fs::read_to_string(kit.path("other/Kitfile")).unwrap();
    assert!(!kitfile.contains("format"), "{kitfile}");
}

#[test]
fn of_a_kit_in_a_registry_only_the_beginnings_of_models_are_fetched() {
    for (flags, verified) in [(&[][..], true), (&["--no-toc"], false)] {
        let publisher = Sandbox::new();
        sources(&publisher, 20_000, 70 * MIB);
        let shelf = StoreShelf::of(&publisher, Rules::default());
        let name = format!("{}/team/net:1", shelf.host());
        let pack = ["pack", "src", "-q", "-t", &name];
        publisher.run(pack.iter().chain(flags)).success();
        let elsewhere = Sandbox::new();
        let before = shelf.sent();
        assert_eq!(models(&elsewhere, &["-r", &name]), expected(verified));
        let sent = shelf.sent() - before;
        assert!(sent < 2 * MIB as u64, "{sent} bytes were sent");
        let told = elsewhere.run(["info", "-r", &name]);
        assert_eq!(told.stderr.contains("(not verified)"), !verified, "{told}");
        assert!(!elsewhere.home().join("store").exists());
    }
}

#[test]
fn no_more_is_fetched_than_may_be_and_what_was_told_until_then_is_shown() {
    for flags in [&[][..], &["--no-toc"]] {
        let publisher = Sandbox::new();
        // 14 MB of words come before the tensors.
        sources(&publisher, 700_000, 60 * MIB);
        let shelf = StoreShelf::of(&publisher, Rules::default());
        let name = format!("{}/team/net:1", shelf.host());
        let pack = ["pack", "src", "-q", "-t", &name];
        publisher.run(pack.iter().chain(flags)).success();
        let before = shelf.sent();
        let models = models(&Sandbox::new(), &["-r", &name]);
        let sent = shelf.sent() - before;
        assert!(sent < 10_000_000, "{sent} bytes were sent");
        let found = models.as_array().unwrap().iter();
        let model = found.clone().find(|it| it["path"] == "m/w.gguf").unwrap();
        assert_eq!(model["architecture"], "llama");
        assert_eq!(model["tensors"], 1);
        assert_eq!(model["parameters"], Value::Null);
        // The same here.
        let here = publisher.run(["inspect", &name]).json();
        let mut found = here["models"].as_array().unwrap().iter();
        let model = found.find(|it| it["path"] == "m/w.gguf").unwrap();
        assert_eq!(model["parameters"], Value::Null);
    }
}

#[test]
fn what_comes_wrong_is_not_told_and_the_kit_is_shown_all_the_same() {
    let publisher = Sandbox::new();
    sources(&publisher, 3, 70 * MIB);
    let rules = Rules {
        blobs: Some(Box::new(|asked| match asked.range {
            Some(_) => Fate::Wrong,
            None => Fate::Fine,
        })),
        ..Rules::default()
    };
    let shelf = StoreShelf::of(&publisher, rules);
    let name = format!("{}/team/net:1", shelf.host());
    publisher.run(["pack", "src", "-q", "-t", &name]).success();
    let told = Sandbox::new().run(["info", "-r", &name]);
    assert_eq!(told.code, 0, "{told}");
    assert!(told.stdout.contains("path: hf"), "{told}");
    assert!(!told.stderr.contains("Model "), "{told}");
}
