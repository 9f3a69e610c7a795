//! safetensors: the length of a JSON object in eight bytes, little-endian, then that object with
//! an entry for each tensor.

use std::{collections::BTreeMap, fmt, io::Read as _};

use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, Visitor},
};

use super::{Error, Facts, Header, MAX_WORD, add};

/// The key that is no tensor.
const METADATA: &str = "__metadata__";

pub(super) fn read(header: &mut Header<'_>) -> Result<Facts, Error> {
    let mut length = [0; 8];
    header.fill(&mut length)?;
    let length = u64::from_le_bytes(length);
    header.room(length)?;
    let mut json = serde_json::Deserializer::from_reader(std::io::BufReader::new(
        header.by_ref().take(length),
    ));
    let sums = Sums::deserialize(&mut json);
    let sums = sums.and_then(|sums| json.end().map(|()| sums));
    let sums = sums.map_err(|error| {
        if error.is_io() {
            Error::Read(error.into())
        } else {
            header.malformed("its header is not a list of tensors")
        }
    })?;
    Ok(Facts {
        parameters: sums.numbers.filter(|_| !sums.is_packed),
        tensors: Some(sums.tensors),
        types: sums.types,
        ..Facts::default()
    })
}

/// What the tensors come to, of which none is kept.
struct Sums {
    tensors: u64,
    numbers: Option<u64>,
    types: BTreeMap<String, u64>,
    is_packed: bool,
}

#[derive(Deserialize)]
struct Tensor {
    dtype: String,
    shape: Vec<u64>,
}

impl<'de> Deserialize<'de> for Sums {
    fn deserialize<D: Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        json.deserialize_map(Tensors)
    }
}

struct Tensors;

impl<'de> Visitor<'de> for Tensors {
    type Value = Sums;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("tensors by name")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Sums, A::Error> {
        let mut sums = Sums {
            tensors: 0,
            numbers: Some(0),
            types: BTreeMap::new(),
            is_packed: false,
        };
        while let Some(name) = map.next_key::<String>()? {
            if name == METADATA {
                map.next_value::<IgnoredAny>()?;
                continue;
            }
            let Tensor { mut dtype, shape } = map.next_value()?;
            let numbers = shape
                .iter()
                .try_fold(1_u64, |numbers, length| numbers.checked_mul(*length));
            sums.tensors += 1;
            // Of GPTQ and AWQ: eight weights in one number.
            sums.is_packed |= name.ends_with(".qweight");
            let known = sums.numbers;
            sums.numbers = known.zip(numbers).and_then(|(a, b)| a.checked_add(b));
            if let Some((end, _)) = dtype.char_indices().nth(MAX_WORD / 4) {
                dtype.truncate(end);
            }
            add(&mut sums.types, &dtype, numbers.unwrap_or(u64::MAX));
        }
        Ok(sums)
    }
}
