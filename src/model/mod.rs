//! What the first bytes of a model's file tell of it.
//!
//! Two formats begin with a list of their tensors: GGUF and safetensors. What is told there may be
//! wrong, and nothing but words is made of it.

mod config;
mod gguf;
mod safetensors;
mod types;

use std::{
    collections::BTreeMap,
    fmt,
    io::{self, Read},
};

pub use self::config::Config;

/// The most bytes that are read of one model to look into it.
pub const MAX_LOOKED: u64 = 10_000_000;
/// The longest text that is taken out of a header, in bytes: names of architectures and types.
pub const MAX_WORD: usize = 128;
/// The most types of tensors that are told apart.
pub const MAX_TYPES: usize = 64;

/// How the file of a model is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Format {
    /// A file of llama.cpp.
    Gguf,
    /// A file of Hugging Face.
    Safetensors,
}

impl Format {
    /// Returns the format that a path's ending stands for.
    pub fn of_path(path: &str) -> Option<Self> {
        let (_, ending) = path.rsplit_once('.')?;
        if ending.eq_ignore_ascii_case("gguf") {
            Some(Self::Gguf)
        } else if ending.eq_ignore_ascii_case("safetensors") {
            Some(Self::Safetensors)
        } else {
            None
        }
    }

    /// Returns its name as Kitfiles and the `ModelPack` specification have it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Gguf => "gguf",
            Self::Safetensors => "safetensors",
        }
    }
}

impl fmt::Display for Format {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Gguf => "GGUF",
            Self::Safetensors => "safetensors",
        })
    }
}

/// What is known of a model. What its files do not tell is `None`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Facts {
    /// What kind of network it is, in the words of the file: `llama`, `LlamaForCausalLM`.
    pub architecture: Option<String>,
    /// How many numbers its tensors hold. Not known where several are packed into one.
    pub parameters: Option<u64>,
    /// How many tensors there are.
    pub tensors: Option<u64>,
    /// How many numbers there are of each type, as the format calls it: `BF16`, `Q4_K`.
    pub types: BTreeMap<String, u64>,
    /// How the weights were made smaller: `Q4_K_M`, `gptq`.
    pub quantization: Option<String>,
    /// How many tokens it was made for at most.
    pub context_length: Option<u64>,
}

impl Facts {
    /// Adds what another file of the same model tells. What both tell is taken from the first.
    pub fn merge(&mut self, other: Self) {
        // A file without any tensors is a part, too.
        let sum = |a: Option<u64>, b: Option<u64>| a.zip(b).and_then(|(a, b)| a.checked_add(b));
        self.parameters = sum(self.parameters, other.parameters);
        self.tensors = sum(self.tensors, other.tensors);
        for (name, count) in other.types {
            add(&mut self.types, &name, count);
        }
        self.architecture = self.architecture.take().or(other.architecture);
        self.quantization = self.quantization.take().or(other.quantization);
        self.context_length = self.context_length.or(other.context_length);
    }

    /// Adds what stands in the `config.json` beside safetensors, which themselves tell of tensors
    /// only.
    pub fn merge_config(&mut self, config: Config) {
        self.architecture = self.architecture.take().or(config.architecture);
        self.context_length = self.context_length.or(config.context_length);
        if let Some(method) = config.quantization {
            // Several weights stand in one whole number.
            if self.types.keys().any(|name| name.starts_with(['I', 'U'])) {
                self.parameters = None;
            }
            self.quantization = self.quantization.take().or(Some(method));
        }
    }

    /// Returns the type that most numbers have.
    pub fn main_type(&self) -> Option<&str> {
        let most = self.types.iter().max_by_key(|(_, count)| **count)?;
        Some(most.0)
    }
}

/// Why a file tells nothing.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// It could not be read.
    #[error("cannot be read")]
    Read(#[source] io::Error),
    /// It is not what its name says.
    #[error("not a {format} file: {what}")]
    Malformed {
        /// What its name says.
        format: Format,
        /// What is wrong.
        what: &'static str,
    },
    /// Its header is longer than what is read.
    #[error("the header does not end within {limit} bytes")]
    TooLong {
        /// How much may be read.
        limit: u64,
    },
}

/// Reads the beginning of a file of `size` bytes, `budget` bytes of it at most, and takes off that
/// what it read. What was told before the budget was used up is returned, too.
///
/// # Errors
///
/// That it is not of this format, or that the budget did not do for anything.
pub fn read(
    format: Format,
    content: &mut dyn Read,
    size: u64,
    budget: &mut u64,
) -> Result<Facts, Error> {
    let mut header = Header {
        content,
        format,
        limit: *budget,
        left: *budget,
        size,
        at: 0,
    };
    let facts = match format {
        Format::Gguf => gguf::read(&mut header),
        Format::Safetensors => safetensors::read(&mut header),
    };
    *budget = header.left;
    facts
}

/// Counts numbers of a type; what is beyond counting stays at the end of it.
fn add(types: &mut BTreeMap<String, u64>, name: &str, count: u64) {
    if let Some(known) = types.get_mut(name) {
        *known = known.saturating_add(count);
    } else if types.len() < MAX_TYPES {
        types.insert(name.to_owned(), count);
    }
}

/// The beginning of a file, of which no more is read than is allowed.
struct Header<'h> {
    content: &'h mut dyn Read,
    format: Format,
    /// How many bytes could be read at first, and how many still can be.
    limit: u64,
    left: u64,
    /// How long the file is, and how much was read of it.
    size: u64,
    at: u64,
}

impl Header<'_> {
    const fn malformed(&self, what: &'static str) -> Error {
        Error::Malformed {
            format: self.format,
            what,
        }
    }

    /// Refuses a length that the file or the budget does not have room for, before it is read.
    const fn room(&self, length: u64) -> Result<(), Error> {
        if length > self.size.saturating_sub(self.at) {
            return Err(self.malformed("it is cut off"));
        }
        if length > self.left {
            return Err(Error::TooLong { limit: self.limit });
        }
        Ok(())
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), Error> {
        let length = into.len() as u64;
        self.room(length)?;
        self.content.read_exact(into).map_err(|error| {
            if error.kind() == io::ErrorKind::UnexpectedEof {
                self.malformed("it is cut off")
            } else {
                Error::Read(error)
            }
        })?;
        self.left -= length;
        self.at += length;
        Ok(())
    }

    fn skip(&mut self, length: u64) -> Result<(), Error> {
        self.room(length)?;
        let mut block = [0; 8192];
        let mut rest = length;
        while rest > 0 {
            let now = usize::try_from(rest).map_or(block.len(), |rest| rest.min(block.len()));
            self.fill(&mut block[..now])?;
            rest -= now as u64;
        }
        Ok(())
    }
}

impl Read for Header<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let most = self.left.min(self.size.saturating_sub(self.at));
        let most = usize::try_from(most).map_or(into.len(), |most| most.min(into.len()));
        let read = self.content.read(&mut into[..most])?;
        self.left -= read as u64;
        self.at += read as u64;
        Ok(read)
    }
}

#[cfg(test)]
mod tests;
