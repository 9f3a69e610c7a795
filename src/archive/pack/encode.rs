//! Compresses pieces, each for itself, so that any thread can do any of them and the result is
//! the same.
//!
//! gzip: one member a piece. zstd: one frame a piece. Both formats say that a reader takes such
//! streams as one.

use std::io;

use flate2::{Compress, Compression as Level, Crc, FlushCompress, Status};
use zstd::zstd_safe::{self, CCtx, CParameter};

use super::Compression;

/// The length of a piece that is not compressed: large enough that its bookkeeping is noise.
const PLAIN: usize = 1024 * 1024;
/// The length before compression of a gzip member.
const MEMBER: usize = 1024 * 1024;
/// The length before compression of a zstd frame.
const FRAME: usize = 4 * 1024 * 1024;

/// What zlib is fed at a time. Its output depends on it.
const SLICE: usize = 64 * 1024;

const GZIP_LEVEL: u32 = 6;
/// Not 1: that has fixed codes, which make weights larger than they were.
const GZIP_FASTEST_LEVEL: u32 = 2;
const ZSTD_LEVEL: i32 = 3;

/// Returns how long the pieces are that are compressed each for itself.
pub(super) const fn piece_size(compression: Compression) -> usize {
    match compression {
        Compression::None => PLAIN,
        Compression::Gzip | Compression::GzipFastest => MEMBER,
        Compression::Zstd => FRAME,
    }
}

/// What a thread compresses with. It is used for one piece after the other.
pub(super) enum Encoder {
    Gzip { deflate: Compress, extra: u8 },
    Zstd(CCtx<'static>),
}

impl Encoder {
    /// Returns an encoder; `None` if there is nothing to do.
    pub(super) fn new(compression: Compression) -> io::Result<Option<Self>> {
        let gzip = |level, extra| Self::Gzip {
            deflate: Compress::new(Level::new(level), false),
            extra,
        };
        Ok(Some(match compression {
            Compression::None => return Ok(None),
            Compression::Gzip => gzip(GZIP_LEVEL, 0),
            Compression::GzipFastest => gzip(GZIP_FASTEST_LEVEL, 4),
            Compression::Zstd => {
                let mut context = CCtx::try_create()
                    .ok_or_else(|| io::Error::from(io::ErrorKind::OutOfMemory))?;
                for parameter in [
                    CParameter::CompressionLevel(ZSTD_LEVEL),
                    CParameter::ChecksumFlag(true),
                    CParameter::ContentSizeFlag(true),
                ] {
                    context.set_parameter(parameter).map_err(zstd_error)?;
                }
                Self::Zstd(context)
            }
        }))
    }

    /// Writes the compressed `plain` over the content of `encoded`.
    pub(super) fn encode(&mut self, plain: &[u8], encoded: &mut Vec<u8>) -> io::Result<()> {
        encoded.clear();
        match self {
            Self::Gzip { deflate, extra } => gzip(deflate, *extra, plain, encoded),
            Self::Zstd(context) => {
                encoded.reserve(zstd_safe::compress_bound(plain.len()));
                context.compress2(encoded, plain).map_err(zstd_error)?;
                Ok(())
            }
        }
    }
}

/// Writes one member of a gzip stream, with a header in which nothing depends on the machine.
fn gzip(deflate: &mut Compress, extra: u8, plain: &[u8], encoded: &mut Vec<u8>) -> io::Result<()> {
    // Room for all of it, so that the output does not depend on how it is taken away: what
    // cannot be compressed is stored, with 5 bytes for each 64 KiB at most.
    encoded.reserve(plain.len() + plain.len() / 1024 + 1024);
    encoded.extend([0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra, 0xff]);
    deflate.reset();
    let mut crc = Crc::new();
    for slice in plain.chunks(SLICE) {
        crc.update(slice);
        let before = deflate.total_in();
        deflate.compress_vec(slice, encoded, FlushCompress::None)?;
        if deflate.total_in() - before != slice.len() as u64 {
            return Err(io::Error::other("the compressor does not take its input"));
        }
    }
    if deflate.compress_vec(&[], encoded, FlushCompress::Finish)? != Status::StreamEnd {
        return Err(io::Error::other("the compressor does not end its output"));
    }
    encoded.extend(crc.sum().to_le_bytes());
    encoded.extend(crc.amount().to_le_bytes());
    Ok(())
}

fn zstd_error(code: usize) -> io::Error {
    io::Error::other(zstd_safe::get_error_name(code))
}
