//! Layers on their way out of compression: every byte is hashed before and after, all members and
//! frames are read, and what follows the last one is an error.
//!
//! What a layer claims to unpack to is never believed: memory is bounded, and so is how much may
//! come out of few bytes.

#[cfg(test)]
mod tests;

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use zstd::{
    stream::{raw, zio},
    zstd_safe::{self, zstd_sys::ZSTD_ErrorCode},
};

use super::Error;
use crate::{
    digest::{Digest, Hasher, HashingReader},
    limits::Limits,
};

/// How much compressed content is read at a time.
const BUFFER: usize = 256 * 1024;
/// What any layer may unpack to, in bytes, however small it is.
const EXPANSION_FLOOR: u64 = 256 * 1024 * 1024;

/// How the bytes of a layer are compressed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Compression {
    /// Not at all.
    #[default]
    None,
    /// gzip, with any number of members.
    Gzip,
    /// zstd, with any number of frames.
    Zstd,
}

/// How much a compressed layer may unpack to, and how much memory that may take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Bounds {
    most: u64,
    is_told: bool,
    /// In MiB.
    window: u64,
}

impl Bounds {
    /// Returns the bounds for a layer of `size` bytes: it may unpack to what whoever packed it
    /// says, else to what `limits` allow.
    pub fn of(size: u64, told: Option<u64>, limits: &Limits) -> Self {
        let sane = size.saturating_mul(limits.expansion).max(EXPANSION_FLOOR);
        Self {
            most: told.unwrap_or(sane),
            is_told: told.is_some(),
            window: limits.window,
        }
    }

    /// Returns how many bytes are said to come out, if that is beyond what is sane: nobody who
    /// has no room for so many has to begin.
    pub(super) fn claim(size: u64, told: Option<u64>, limits: &Limits) -> Option<u64> {
        told.filter(|told| *told > Self::of(size, None, limits).most)
    }

    /// Returns the largest window of zstd as a power of two, which is how zstd wants it.
    const fn window_log(self) -> u32 {
        let log = 20 + self.window.next_power_of_two().ilog2();
        // What zstd can hold at all.
        let most = if cfg!(target_pointer_width = "64") {
            31
        } else {
            30
        };
        if log < most { log } else { most }
    }
}

/// What the bytes of a layer come to, once all were read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Sums {
    /// The digest of the layer as it is stored.
    pub digest: Digest,
    /// How many bytes it has as it is stored.
    pub size: u64,
    /// The digest of what it unpacks to; meaningless unless that was read to its end.
    pub diff_id: Digest,
}

/// Reads what a layer unpacks to. Errors that are not those of the source hold an [`Error`].
pub struct Decompressed<R> {
    decoder: Decoder<R>,
    /// Of what comes out, where that differs from what goes in.
    hasher: Hasher,
    count: u64,
    bounds: Bounds,
    /// After an error the decoders may look as if they had ended well.
    has_failed: bool,
}

enum Decoder<R> {
    None(Source<R>),
    Gzip(Box<MultiGzDecoder<BufReader<Source<R>>>>),
    Zstd(Box<zio::Reader<BufReader<Source<R>>, raw::Decoder<'static>>>),
}

impl<R: Read> Decompressed<R> {
    /// Returns a reader of what `read` unpacks to.
    pub fn new(read: R, compression: Compression, bounds: Bounds) -> io::Result<Self> {
        let buffered = |source| BufReader::with_capacity(BUFFER, source);
        let source = Source::new(read);
        let decoder = match compression {
            Compression::None => Decoder::None(source),
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(buffered(source)))),
            Compression::Zstd => {
                let mut zstd = raw::Decoder::new()?;
                zstd.set_parameter(raw::DParameter::WindowLogMax(bounds.window_log()))?;
                Decoder::Zstd(Box::new(zio::Reader::new(buffered(source), zstd)))
            }
        };
        Ok(Self::with(decoder, bounds))
    }

    /// Returns a reader of what is not compressed.
    pub fn plain(read: R) -> Self {
        let bounds = Bounds::of(0, None, &Limits::default()); // They bound what is compressed.
        Self::with(Decoder::None(Source::new(read)), bounds)
    }

    fn with(decoder: Decoder<R>, bounds: Bounds) -> Self {
        Self {
            decoder,
            hasher: Hasher::new(),
            count: 0,
            bounds,
            has_failed: false,
        }
    }

    /// Returns how many bytes came out.
    pub const fn count(&self) -> u64 {
        match &self.decoder {
            Decoder::None(source) => source.read.count(),
            _ => self.count,
        }
    }

    /// Takes what is left of the source without unpacking it, and returns the digest and size of
    /// the whole source.
    pub fn drain(self) -> io::Result<(Digest, u64)> {
        let mut source = self.decoder.into_source();
        // What a buffer holds was hashed when it was filled.
        io::copy(&mut source, &mut io::sink())?;
        Ok(source.read.finish())
    }

    /// Returns what was read. To be called once all was.
    pub fn finish(self) -> Sums {
        let plain = match self.decoder {
            Decoder::None(_) => None,
            _ => Some(self.hasher.finish()),
        };
        let (digest, size) = self.decoder.into_source().read.finish();
        Sums {
            digest,
            size,
            diff_id: plain.unwrap_or(digest),
        }
    }

    /// Tells a source that failed from content that cannot be unpacked.
    fn why(&mut self, error: io::Error) -> io::Error {
        self.has_failed = true;
        let (compression, source) = match &self.decoder {
            Decoder::None(_) => return error,
            Decoder::Gzip(reader) => ("gzip", reader.get_ref().get_ref()),
            Decoder::Zstd(reader) => ("zstd", reader.reader().get_ref()),
        };
        if source.has_failed {
            return error;
        }
        if is_too_wide(&error) {
            let most = self.bounds.window;
            return io::Error::other(Error::Window { most });
        }
        let why = if error.kind() == io::ErrorKind::UnexpectedEof {
            format!("it is cut off after {} bytes", source.read.count())
        } else {
            error.to_string()
        };
        io::Error::other(Error::Compressed { compression, why })
    }
}

/// Tells whether zstd refused a window: of its errors only the text comes through.
fn is_too_wide(error: &io::Error) -> bool {
    let code = ZSTD_ErrorCode::ZSTD_error_frameParameter_windowTooLarge as usize;
    error.to_string() == zstd_safe::get_error_name(code.wrapping_neg())
}

impl<R: io::Seek> Decompressed<R> {
    /// Passes over the next `count` bytes of what is not compressed, without reading them. What
    /// [`Self::finish`] says is then meaningless.
    pub fn pass_over(&mut self, count: u64) -> io::Result<()> {
        match &mut self.decoder {
            Decoder::None(source) => source.read.pass_over(count),
            _ => Err(io::ErrorKind::Unsupported.into()),
        }
    }
}

impl<R: Read> Read for Decompressed<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        if self.has_failed {
            return Err(io::ErrorKind::BrokenPipe.into());
        }
        let read = match &mut self.decoder {
            Decoder::None(source) => return source.read(into),
            Decoder::Gzip(reader) => reader.read(into),
            // Some writers make no frame of nothing.
            Decoder::Zstd(reader) => match reader.read(into) {
                Err(error)
                    if error.kind() == io::ErrorKind::UnexpectedEof
                        && reader.reader().get_ref().read.count() == 0 =>
                {
                    Ok(0)
                }
                read => read,
            },
        };
        let read = read.map_err(|error| self.why(error))?;
        self.count += read as u64;
        let Bounds { most, is_told, .. } = self.bounds;
        if self.count > most {
            self.has_failed = true;
            return Err(io::Error::other(Error::Expands { most, is_told }));
        }
        self.hasher.update(&into[..read]);
        Ok(read)
    }
}

impl<R> Decoder<R> {
    fn into_source(self) -> Source<R> {
        match self {
            Self::None(source) => source,
            Self::Gzip(reader) => reader.into_inner().into_inner(),
            Self::Zstd(reader) => reader.into_inner().into_inner(),
        }
    }
}

/// The stored bytes, hashed as they are taken.
struct Source<R> {
    read: HashingReader<R>,
    has_failed: bool,
}

impl<R: Read> Source<R> {
    fn new(read: R) -> Self {
        Self {
            read: HashingReader::new(read),
            has_failed: false,
        }
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        loop {
            match self.read.read(into) {
                // The decoders would give up.
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => {
                    self.has_failed = true;
                    return Err(error);
                }
                read => return read,
            }
        }
    }
}
