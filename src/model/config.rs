//! The `config.json` that stands beside safetensors.

use serde::Deserialize;
use serde_json::Value;

use super::MAX_WORD;

/// What a `config.json` tells of a model.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Config {
    /// The class in transformers, or the kind of model: `LlamaForCausalLM`, `llama`.
    pub architecture: Option<String>,
    /// How many tokens it was made for at most.
    pub context_length: Option<u64>,
    /// How its weights were made smaller: `gptq`, `fp8`.
    pub quantization: Option<String>,
}

/// The fields that tell it. Any of them may be something else than what it is for others.
#[derive(Default, Deserialize)]
#[serde(default)]
struct Fields {
    architectures: Value,
    model_type: Value,
    max_position_embeddings: Value,
    n_positions: Value,
    n_ctx: Value,
    max_seq_len: Value,
    quantization_config: Value,
    text_config: Value,
}

impl Config {
    /// The name of the file.
    pub const NAME: &'static str = "config.json";
    /// The longest one that is read, in bytes.
    pub const MAX_LEN: u64 = 1 << 20;

    /// Understands what a `config.json` holds; nothing of what is none.
    pub fn parse(json: &[u8]) -> Self {
        let fields: Fields = serde_json::from_slice(json).unwrap_or_default();
        let length = |of: &Value| {
            let names = [
                "max_position_embeddings",
                "n_positions",
                "n_ctx",
                "max_seq_len",
            ];
            names.iter().find_map(|name| of.get(name)?.as_u64())
        };
        let own = [
            &fields.max_position_embeddings,
            &fields.n_positions,
            &fields.n_ctx,
            &fields.max_seq_len,
        ];
        Self {
            architecture: word(fields.architectures.get(0))
                .or_else(|| word(Some(&fields.model_type))),
            // Models that see have a part that reads.
            context_length: own
                .into_iter()
                .find_map(Value::as_u64)
                .or_else(|| length(&fields.text_config)),
            quantization: word(fields.quantization_config.get("quant_method")),
        }
    }
}

fn word(value: Option<&Value>) -> Option<String> {
    let word = value?.as_str()?;
    (!word.is_empty() && word.len() <= MAX_WORD).then(|| word.to_owned())
}
