use std::io::Cursor;

use super::*;

/// Builds a GGUF file as the specification describes it.
#[derive(Default)]
struct Gguf {
    is_big: bool,
    keys: Vec<u8>,
    key_count: u64,
    tensors: Vec<u8>,
    tensor_count: u64,
}

impl Gguf {
    fn u32(&self, number: u32) -> [u8; 4] {
        if self.is_big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn u64(&self, number: u64) -> [u8; 8] {
        if self.is_big {
            number.to_be_bytes()
        } else {
            number.to_le_bytes()
        }
    }

    fn text(&self, text: &str) -> Vec<u8> {
        [&self.u64(text.len() as u64)[..], text.as_bytes()].concat()
    }

    fn key(mut self, name: &str, kind: u32, value: &[u8]) -> Self {
        let key = [&self.text(name), &self.u32(kind)[..], value].concat();
        self.keys.extend(key);
        self.key_count += 1;
        self
    }

    fn word(self, name: &str, value: &str) -> Self {
        let value = self.text(value);
        self.key(name, 8, &value)
    }

    fn number(self, name: &str, value: u32) -> Self {
        let value = self.u32(value);
        self.key(name, 4, &value)
    }

    fn tensor(mut self, name: &str, shape: &[u64], kind: u32) -> Self {
        let mut line = self.text(name);
        line.extend(self.u32(shape.len().try_into().unwrap()));
        line.extend(shape.iter().flat_map(|length| self.u64(*length)));
        line.extend(self.u32(kind));
        line.extend(self.u64(0));
        self.tensors.extend(line);
        self.tensor_count += 1;
        self
    }

    fn build(&self) -> Vec<u8> {
        [
            b"GGUF",
            &self.u32(3)[..],
            &self.u64(self.tensor_count),
            &self.u64(self.key_count),
            &self.keys,
            &self.tensors,
        ]
        .concat()
    }
}

fn llama(is_big: bool) -> Gguf {
    let empty = Gguf {
        is_big,
        ..Gguf::default()
    };
    let words: Vec<u8> = [
        &empty.u32(8)[..],
        &empty.u64(3),
        &empty.text("a"),
        &empty.text(""),
        &empty.text(&"long".repeat(100)),
    ]
    .concat();
    let scores = [&empty.u32(6)[..], &empty.u64(2), &[0; 8]].concat();
    empty
        .number("llama.context_length", 8192)
        .number("clip.context_length", 77)
        .word("general.architecture", "llama")
        .word("general.description", &"x".repeat(5000))
        .key("tokenizer.ggml.tokens", 9, &words)
        .key("tokenizer.ggml.scores", 9, &scores)
        .key("llama.rope.freq_base", 6, &[0; 4])
        .key("general.is_fine", 7, &[1])
        .number("general.file_type", 15)
        .tensor("token_embd.weight", &[4096, 100], 12)
        .tensor("output_norm.weight", &[4096], 0)
        .tensor("one", &[], 200)
}

fn look(format: Format, bytes: &[u8]) -> Result<Facts, Error> {
    let mut budget = MAX_LOOKED;
    read(
        format,
        &mut Cursor::new(bytes),
        bytes.len() as u64,
        &mut budget,
    )
}

fn types(of: &[(&str, u64)]) -> BTreeMap<String, u64> {
    of.iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[test]
fn a_gguf_file_tells_what_it_is_in_either_order_of_bytes() {
    for is_big in [false, true] {
        let facts = look(Format::Gguf, &llama(is_big).build()).unwrap();
        assert_eq!(
            facts,
            Facts {
                architecture: Some("llama".to_owned()),
                parameters: Some(4096 * 100 + 4096 + 1),
                tensors: Some(3),
                types: types(&[("F32", 4096), ("Q4_K", 409_600), ("type 200", 1)]),
                quantization: Some("Q4_K_M".to_owned()),
                context_length: Some(8192),
            }
        );
        assert_eq!(facts.main_type(), Some("Q4_K"));
    }
}

#[test]
fn of_a_gguf_file_no_more_is_read_than_allowed_and_what_was_told_before_is_kept() {
    let bytes = llama(false).build();
    let whole = look(Format::Gguf, &bytes).unwrap();
    for limit in 24..bytes.len() as u64 {
        let mut budget = limit;
        let mut content = Cursor::new(&bytes);
        let facts = read(Format::Gguf, &mut content, bytes.len() as u64, &mut budget).unwrap();
        assert!(content.position() <= limit);
        assert_eq!(content.position() + budget, limit);
        assert_eq!(
            (facts.tensors, facts.parameters),
            (Some(3), None),
            "{limit}"
        );
        assert!(facts.types.is_empty());
    }
    for limit in 0..24 {
        let read = read(
            Format::Gguf,
            &mut Cursor::new(&bytes),
            bytes.len() as u64,
            &mut { limit },
        );
        assert!(matches!(read, Err(Error::TooLong { .. })), "{limit}");
    }
    assert_eq!(whole.tensors, Some(3));
}

#[test]
fn a_gguf_file_that_ends_too_early_or_lies_is_none() {
    let bytes = llama(false).build();
    for end in 0..bytes.len() {
        let error = look(Format::Gguf, &bytes[..end]).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{end}: {error}");
    }
    let nested = (0..6).fold(Vec::new(), |inner, _| {
        let kind = if inner.is_empty() { 0_u32 } else { 9 };
        [&kind.to_le_bytes()[..], &1_u64.to_le_bytes(), &inner].concat()
    });
    let list = |kind: u32, count: u64| [&kind.to_le_bytes()[..], &count.to_le_bytes()].concat();
    let cases = [
        (
            "version",
            [b"GGUF", &4_u32.to_le_bytes()[..], &[0; 16]].concat(),
        ),
        (
            "magic",
            [b"GGML", &3_u32.to_le_bytes()[..], &[0; 16]].concat(),
        ),
        (
            "tensors",
            [
                b"GGUF",
                &3_u32.to_le_bytes()[..],
                &u64::MAX.to_le_bytes(),
                &[0; 8],
            ]
            .concat(),
        ),
        ("type", Gguf::default().key("a", 13, &[0; 64]).build()),
        (
            "length",
            Gguf::default().key("a", 8, &u64::MAX.to_le_bytes()).build(),
        ),
        (
            "list",
            Gguf::default().key("a", 9, &list(10, u64::MAX)).build(),
        ),
        (
            "texts",
            Gguf::default().key("a", 9, &list(8, u64::MAX)).build(),
        ),
        ("lists", Gguf::default().key("a", 9, &nested).build()),
        (
            "dimensions",
            Gguf::default().tensor("a", &[1; 9], 0).build(),
        ),
        (
            "large",
            Gguf::default().tensor("a", &[1 << 40, 1 << 40], 0).build(),
        ),
        (
            "together",
            Gguf::default()
                .tensor("a", &[u64::MAX], 0)
                .tensor("b", &[1], 0)
                .build(),
        ),
    ];
    for (name, bytes) in cases {
        let error = look(Format::Gguf, &bytes).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{name}: {error}");
    }
}

fn safetensors(json: &str) -> Vec<u8> {
    [
        &(json.len() as u64).to_le_bytes()[..],
        json.as_bytes(),
        &[0; 64],
    ]
    .concat()
}

#[test]
fn safetensors_tell_their_tensors_and_the_config_the_rest() {
    let json = r#"{"__metadata__":{"format":"pt"},
        "a.weight":{"dtype":"BF16","shape":[2,3],"data_offsets":[0,12]},
        "a.bias":{"dtype":"F32","shape":[],"data_offsets":[12,16]}}  "#;
    let mut facts = look(Format::Safetensors, &safetensors(json)).unwrap();
    assert_eq!(
        facts,
        Facts {
            parameters: Some(7),
            tensors: Some(2),
            types: types(&[("BF16", 6), ("F32", 1)]),
            ..Facts::default()
        }
    );
    facts.merge_config(Config::parse(
        br#"{"architectures":["LlamaForCausalLM"],"model_type":"llama","max_position_embeddings":4096}"#,
    ));
    assert_eq!(facts.architecture.as_deref(), Some("LlamaForCausalLM"));
    assert_eq!(facts.context_length, Some(4096));
    assert_eq!(facts.parameters, Some(7));
    let other = look(
        Format::Safetensors,
        &safetensors(r#"{"b":{"dtype":"F32","shape":[5]}}"#),
    );
    facts.merge(other.unwrap());
    assert_eq!((facts.parameters, facts.tensors), (Some(12), Some(3)));
    assert_eq!(facts.types, types(&[("BF16", 6), ("F32", 6)]));
}

#[test]
fn weights_that_are_packed_are_not_counted() {
    let packed = r#"{"a.qweight":{"dtype":"I32","shape":[4]}}"#;
    let facts = look(Format::Safetensors, &safetensors(packed)).unwrap();
    assert_eq!((facts.parameters, facts.tensors), (None, Some(1)));
    let mut facts = look(
        Format::Safetensors,
        &safetensors(r#"{"a.weight":{"dtype":"U8","shape":[4]}}"#),
    )
    .unwrap();
    assert_eq!(facts.parameters, Some(4));
    facts.merge_config(Config::parse(
        br#"{"quantization_config":{"quant_method":"bitsandbytes"}}"#,
    ));
    assert_eq!(facts.parameters, None);
    assert_eq!(facts.quantization.as_deref(), Some("bitsandbytes"));
}

#[test]
fn what_is_no_list_of_tensors_is_none() {
    let long = |length: u64| [&length.to_le_bytes()[..], b"{}"].concat();
    let cases = [
        ("empty", Vec::new()),
        ("length", long(u64::MAX)),
        ("cut", long(3)),
        ("list", safetensors("[]")),
        ("words", safetensors(r#"{"a":1}"#)),
        (
            "below zero",
            safetensors(r#"{"a":{"dtype":"F32","shape":[-1]}}"#),
        ),
        ("deep", safetensors(&"{\"a\":".repeat(1000))),
        ("two", safetensors("{}{}")),
    ];
    for (name, bytes) in cases {
        let error = look(Format::Safetensors, &bytes).unwrap_err();
        assert!(matches!(error, Error::Malformed { .. }), "{name}: {error}");
    }
    let beyond = r#"{"a":{"dtype":"F32","shape":[4294967296,4294967296]}}"#;
    let facts = look(Format::Safetensors, &safetensors(beyond)).unwrap();
    assert_eq!((facts.parameters, facts.tensors), (None, Some(1)));
    let mut budget = 9;
    let bytes = safetensors("{  }");
    let error = read(
        Format::Safetensors,
        &mut Cursor::new(&bytes),
        76,
        &mut budget,
    )
    .unwrap_err();
    assert!(matches!(error, Error::TooLong { limit: 9 }), "{error}");
}

#[test]
fn configs_are_understood_as_far_as_they_are_some() {
    for (json, architecture, context, quantization) in [
        ("", None, None, None),
        ("[]", None, None, None),
        (
            r#"{"architectures":[],"model_type":"t5"}"#,
            Some("t5"),
            None,
            None,
        ),
        (
            r#"{"architectures":{"a":1},"n_ctx":1024}"#,
            None,
            Some(1024),
            None,
        ),
        (
            r#"{"text_config":{"max_position_embeddings":131072},"max_position_embeddings":null}"#,
            None,
            Some(131_072),
            None,
        ),
        (
            r#"{"quantization_config":{"quant_method":"gptq"}}"#,
            None,
            None,
            Some("gptq"),
        ),
        (r#"{"model_type":"","n_positions":-1}"#, None, None, None),
    ] {
        let config = Config::parse(json.as_bytes());
        assert_eq!(config.architecture.as_deref(), architecture, "{json}");
        assert_eq!(config.context_length, context, "{json}");
        assert_eq!(config.quantization.as_deref(), quantization, "{json}");
    }
}

#[test]
fn endings_stand_for_formats() {
    for (path, format) in [
        ("model/w.gguf", Some(Format::Gguf)),
        ("W.GGUF", Some(Format::Gguf)),
        ("a.safetensors", Some(Format::Safetensors)),
        ("a.safetensors.index.json", None),
        ("gguf", None),
    ] {
        assert_eq!(Format::of_path(path), format, "{path}");
    }
}
