//! GGUF: a magic number, a version, counts, keys with values, then a line for each tensor. All
//! numbers are little-endian, or all of them big-endian, which the version shows.

use super::{Error, Facts, Header, MAX_WORD, add, types};

const MAGIC: &[u8; 4] = b"GGUF";
/// Lists within lists within lists are nobody's.
const MAX_DEPTH: usize = 4;
/// llama.cpp has four.
const MAX_DIMENSIONS: u32 = 8;
/// What is counted is bounded by what can be read; this keeps sums far from their ends.
const MAX_TENSORS: u64 = 1 << 32;

/// A value of a key, as far as anybody wants to know it.
enum Value {
    Number(u64),
    Text(String),
    Other,
}

pub(super) fn read(header: &mut Header<'_>) -> Result<Facts, Error> {
    let mut magic = [0; 4];
    header.fill(&mut magic)?;
    if &magic != MAGIC {
        return Err(header.malformed("its first bytes are others"));
    }
    let mut version = [0; 4];
    header.fill(&mut version)?;
    let is_big = u32::from_le_bytes(version) > 0xffff;
    let mut gguf = Gguf { header, is_big };
    match gguf.order(version) {
        2 | 3 => {}
        _ => return Err(gguf.header.malformed("its version is not known")),
    }
    let tensors = gguf.u64()?;
    let keys = gguf.u64()?;
    if tensors > MAX_TENSORS {
        return Err(gguf.header.malformed("it has too many tensors"));
    }
    let mut facts = Facts {
        tensors: Some(tensors),
        ..Facts::default()
    };
    match gguf.rest(keys, tensors, &mut facts) {
        // Long lists of words come before the tensors: what stood before them is told.
        Err(Error::TooLong { .. }) => {
            facts.parameters = None;
            facts.types.clear();
            Ok(facts)
        }
        other => other.map(|()| facts),
    }
}

struct Gguf<'g, 'h> {
    header: &'g mut Header<'h>,
    is_big: bool,
}

impl Gguf<'_, '_> {
    fn rest(&mut self, keys: u64, tensors: u64, facts: &mut Facts) -> Result<(), Error> {
        let mut contexts = Vec::new();
        for _ in 0..keys {
            let key = self.text()?;
            let kind = self.u32()?;
            let value = self.value(kind, 0)?;
            match (key.as_deref(), value) {
                (Some("general.architecture"), Value::Text(name)) => {
                    facts.architecture = Some(name);
                }
                (Some("general.file_type"), Value::Number(number)) => {
                    facts.quantization = types::of_file(number).map(str::to_owned);
                }
                (Some(key), Value::Number(number)) => {
                    if let Some(of) = key.strip_suffix(".context_length") {
                        // Models that are made of several have one for each.
                        if contexts.len() < MAX_DEPTH {
                            contexts.push((of.to_owned(), number));
                        }
                    }
                }
                _ => {}
            }
            facts.context_length = contexts
                .iter()
                .find(|(of, _)| facts.architecture.as_ref() == Some(of))
                .map(|(_, number)| *number);
        }
        let mut total: u64 = 0;
        for _ in 0..tensors {
            self.text()?;
            let dimensions = self.u32()?;
            if dimensions > MAX_DIMENSIONS {
                return Err(self.header.malformed("a tensor has too many dimensions"));
            }
            let mut numbers: u64 = 1;
            for _ in 0..dimensions {
                let length = self.u64()?;
                numbers = numbers
                    .checked_mul(length)
                    .ok_or_else(|| self.header.malformed("a tensor is too large"))?;
            }
            let kind = self.u32()?;
            let name = types::of_tensor(kind).map_or_else(|| format!("type {kind}"), str::to_owned);
            add(&mut facts.types, &name, numbers);
            total = total
                .checked_add(numbers)
                .ok_or_else(|| self.header.malformed("its tensors are too large"))?;
            self.u64()?;
        }
        facts.parameters = Some(total);
        Ok(())
    }

    const fn order(&self, bytes: [u8; 4]) -> u32 {
        if self.is_big {
            u32::from_be_bytes(bytes)
        } else {
            u32::from_le_bytes(bytes)
        }
    }

    fn u32(&mut self) -> Result<u32, Error> {
        let mut bytes = [0; 4];
        self.header.fill(&mut bytes)?;
        Ok(self.order(bytes))
    }

    fn u64(&mut self) -> Result<u64, Error> {
        self.number(8)
    }

    /// Reads a number of up to eight bytes, without a sign.
    fn number(&mut self, length: usize) -> Result<u64, Error> {
        let mut bytes = [0; 8];
        self.header.fill(&mut bytes[..length])?;
        if self.is_big {
            bytes[..length].reverse();
        }
        Ok(u64::from_le_bytes(bytes))
    }

    /// Reads a text; none if it is longer than a word, or not one.
    fn text(&mut self) -> Result<Option<String>, Error> {
        let length = self.u64()?;
        match usize::try_from(length) {
            Ok(length) if length <= MAX_WORD => {
                let mut bytes = vec![0; length];
                self.header.fill(&mut bytes)?;
                Ok(String::from_utf8(bytes).ok())
            }
            _ => self.header.skip(length).map(|()| None),
        }
    }

    fn value(&mut self, kind: u32, depth: usize) -> Result<Value, Error> {
        Ok(match kind {
            8 => self.text()?.map_or(Value::Other, Value::Text),
            9 => {
                if depth == MAX_DEPTH {
                    return Err(self.header.malformed("its lists go too deep"));
                }
                let kind = self.u32()?;
                let count = self.u64()?;
                match length(kind) {
                    Some(each) => {
                        let bytes = count.checked_mul(each as u64);
                        let bytes = bytes.ok_or_else(|| self.header.malformed("it is cut off"))?;
                        self.header.skip(bytes)?;
                    }
                    None => {
                        for _ in 0..count {
                            self.value(kind, depth + 1)?;
                        }
                    }
                }
                Value::Other
            }
            // Whole numbers; below zero they are lengths of nothing.
            0 | 2 | 4 | 10 => Value::Number(self.number(length(kind).unwrap_or_default())?),
            1 | 3 | 5 | 11 => {
                let bytes = length(kind).unwrap_or_default();
                let number = self.number(bytes)?;
                let is_below_zero = number >> (bytes * 8 - 1) == 1;
                if is_below_zero {
                    Value::Other
                } else {
                    Value::Number(number)
                }
            }
            6 | 7 | 12 => {
                self.number(length(kind).unwrap_or_default())?;
                Value::Other
            }
            _ => return Err(self.header.malformed("a value's type is not known")),
        })
    }
}

/// Returns how many bytes a value of a type takes, if all take the same.
const fn length(kind: u32) -> Option<usize> {
    match kind {
        0 | 1 | 7 => Some(1),
        2 | 3 => Some(2),
        4..=6 => Some(4),
        10..=12 => Some(8),
        _ => None,
    }
}
