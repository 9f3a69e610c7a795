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
    // Room for all of it at the worst, so that the output does not depend on how it is taken away.
    encoded.reserve(plain.len() + plain.len() / 8 + 1024);
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

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    const METHODS: [Compression; 3] = [
        Compression::Gzip,
        Compression::GzipFastest,
        Compression::Zstd,
    ];

    fn decode(compression: Compression, encoded: &[u8]) -> Vec<u8> {
        let mut plain = Vec::new();
        match compression {
            Compression::None => plain.extend(encoded),
            Compression::Gzip | Compression::GzipFastest => {
                let mut reader = flate2::read::MultiGzDecoder::new(encoded);
                reader.read_to_end(&mut plain).unwrap();
            }
            Compression::Zstd => plain = zstd::decode_all(encoded).unwrap(),
        }
        plain
    }

    /// Returns bytes that no method makes shorter.
    fn noise(length: usize) -> Vec<u8> {
        let mut state = 88_172_645_463_325_252_u64;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            state.to_le_bytes()[3]
        };
        (0..length).map(|_| next()).collect()
    }

    #[test]
    fn every_piece_comes_back_and_an_encoder_keeps_nothing_of_the_one_before() {
        for compression in METHODS {
            let size = piece_size(compression);
            let mut used = Encoder::new(compression).unwrap().unwrap();
            for plain in [
                noise(size),
                vec![0; size],
                Vec::new(),
                b"x".repeat(SLICE + 1),
                noise(3),
            ] {
                let (mut encoded, mut fresh) = (vec![7; 9], Vec::new());
                used.encode(&plain, &mut encoded).unwrap();
                assert!(decode(compression, &encoded) == plain, "{compression:?}");
                let mut unused = Encoder::new(compression).unwrap().unwrap();
                unused.encode(&plain, &mut fresh).unwrap();
                assert!(encoded == fresh, "{compression:?}, {} bytes", plain.len());
                // What cannot be made shorter hardly gets longer.
                assert!(encoded.len() <= plain.len() + plain.len() / 1024 + 64);
            }
        }
        assert!(Encoder::new(Compression::None).unwrap().is_none());
    }

    /// Which encoder flate2 has is decided by all packages together: any of them could add
    /// another one, and the bytes would change.
    #[test]
    fn the_gzip_encoder_is_the_one_whose_bytes_are_pinned() {
        let plain = b"weights and weights of weights".repeat(50);
        let mut deflate = Compress::new(Level::new(GZIP_LEVEL), false);
        let mut ours = Vec::with_capacity(plain.len() + 64);
        deflate
            .compress_vec(&plain, &mut ours, FlushCompress::Finish)
            .unwrap();
        let mut theirs = vec![0; plain.len() + 64];
        let (theirs, _) = zlib_rs::compress_slice(
            &mut theirs,
            &plain,
            zlib_rs::DeflateConfig {
                window_bits: -15,
                ..zlib_rs::DeflateConfig::new(6)
            },
        );
        assert!(ours == theirs);
        let lock = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock"));
        let lock = lock.unwrap();
        let (_, flate2) = lock.split_once("name = \"flate2\"\n").unwrap();
        let (_, needs) = flate2.split_once("dependencies = [\n").unwrap();
        let (needs, _) = needs.split_once("\n]").unwrap();
        assert_eq!(needs, " \"zlib-rs\",");
    }
}
