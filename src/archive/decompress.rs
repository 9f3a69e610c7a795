//! Layers on their way out of compression: every byte is hashed before and after, all members and
//! frames are read, and what follows the last one is an error.
//!
//! What a layer claims to unpack to is never believed: memory is bounded, and so is how much may
//! come out of few bytes.

use std::io::{self, BufReader, Read};

use flate2::bufread::MultiGzDecoder;
use zstd::stream::{raw, zio};

use super::Error;
use crate::digest::{Digest, Hasher, HashingReader};

/// How much compressed content is read at a time.
const BUFFER: usize = 256 * 1024;
/// The largest zstd window that is read, as a power of two: 128 MiB, what zstd itself allows.
const WINDOW_LOG_LIMIT: u32 = 27;
/// What any layer may unpack to, in bytes, however small it is.
const EXPANSION_FLOOR: u64 = 256 * 1024 * 1024;
/// How many times its size a layer may unpack to beyond that.
const EXPANSION_LIMIT: u64 = 1000;

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

/// How much a compressed layer may unpack to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Expansion {
    most: u64,
    is_told: bool,
}

impl Expansion {
    /// Returns the limit for a layer of `size` bytes: what whoever packed it says of it, else what
    /// is sane.
    pub fn of(size: u64, told: Option<u64>) -> Self {
        Self {
            most: told.unwrap_or(size.saturating_mul(EXPANSION_LIMIT).max(EXPANSION_FLOOR)),
            is_told: told.is_some(),
        }
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
    expansion: Expansion,
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
    pub fn new(read: R, compression: Compression, expansion: Expansion) -> io::Result<Self> {
        let buffered = |source| BufReader::with_capacity(BUFFER, source);
        let source = Source::new(read);
        let decoder = match compression {
            Compression::None => Decoder::None(source),
            Compression::Gzip => Decoder::Gzip(Box::new(MultiGzDecoder::new(buffered(source)))),
            Compression::Zstd => {
                let mut zstd = raw::Decoder::new()?;
                zstd.set_parameter(raw::DParameter::WindowLogMax(WINDOW_LOG_LIMIT))?;
                Decoder::Zstd(Box::new(zio::Reader::new(buffered(source), zstd)))
            }
        };
        Ok(Self::with(decoder, expansion))
    }

    /// Returns a reader of what is not compressed.
    pub fn plain(read: R) -> Self {
        Self::with(Decoder::None(Source::new(read)), Expansion::of(0, None))
    }

    fn with(decoder: Decoder<R>, expansion: Expansion) -> Self {
        Self {
            decoder,
            hasher: Hasher::new(),
            count: 0,
            expansion,
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
        let why = if error.kind() == io::ErrorKind::UnexpectedEof {
            format!("it is cut off after {} bytes", source.read.count())
        } else {
            error.to_string()
        };
        io::Error::other(Error::Compressed { compression, why })
    }
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
        if self.count > self.expansion.most {
            self.has_failed = true;
            let Expansion { most, is_told } = self.expansion;
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write as _;

    fn gzip(content: &[u8]) -> Vec<u8> {
        let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    }

    fn zstd_of(content: &[u8]) -> Vec<u8> {
        let mut writer = zstd::Encoder::new(Vec::new(), 1).unwrap();
        writer.include_checksum(true).unwrap();
        writer.write_all(content).unwrap();
        writer.finish().unwrap()
    }

    /// Gives one byte at a time, and is interrupted before each.
    struct Dribble<'a>(&'a [u8], bool);

    impl Read for Dribble<'_> {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.1 = !self.1;
            if self.1 {
                return Err(io::ErrorKind::Interrupted.into());
            }
            let most = into.len().min(1);
            self.0.read(&mut into[..most])
        }
    }

    fn unpack(bytes: &[u8], compression: Compression) -> Result<(Vec<u8>, Sums), Error> {
        let expansion = Expansion::of(bytes.len() as u64, None);
        let mut whole = Decompressed::new(bytes, compression, expansion).unwrap();
        let mut content = Vec::new();
        let read = whole.read_to_end(&mut content).map_err(Error::read);
        let mut slow = Decompressed::new(Dribble(bytes, false), compression, expansion).unwrap();
        let mut again = Vec::new();
        let slowly = slow.read_to_end(&mut again).map_err(Error::read);
        match (read, slowly) {
            (Ok(_), Ok(_)) => {
                assert_eq!(content, again);
                assert_eq!(whole.count(), content.len() as u64);
                let sums = whole.finish();
                assert_eq!(sums, slow.finish());
                Ok((content, sums))
            }
            (Err(error), Err(_)) => {
                // It stays an error, and what is left can still be hashed.
                assert!(whole.read(&mut [0]).is_err());
                let drained = whole.drain().unwrap();
                assert_eq!(drained, (Digest::of(bytes), bytes.len() as u64));
                Err(error)
            }
            other => panic!("the pieces make a difference: {other:?}"),
        }
    }

    #[test]
    fn all_members_and_frames_are_read_and_hashed_on_both_sides() {
        let skipped = [&[0x50, 0x2a, 0x4d, 0x18, 3, 0, 0, 0][..], b"abc"].concat();
        let gzips = [gzip(b"one "), gzip(b""), gzip(b"two")].concat();
        let frames = [
            &*skipped,
            &zstd_of(b"one "),
            &skipped,
            &zstd_of(b"two"),
            &skipped,
        ]
        .concat();
        for (bytes, compression, content) in [
            (&b"one two"[..], Compression::None, &b"one two"[..]),
            (&gzips, Compression::Gzip, b"one two"),
            (&frames, Compression::Zstd, b"one two"),
            (b"", Compression::None, b""),
            (b"", Compression::Zstd, b""), // what some writers make of nothing
            (&gzip(b""), Compression::Gzip, b""),
            (&zstd_of(b""), Compression::Zstd, b""),
        ] {
            let (found, sums) = unpack(bytes, compression).unwrap();
            assert_eq!(found, content);
            let expected = Sums {
                digest: Digest::of(bytes),
                size: bytes.len() as u64,
                diff_id: Digest::of(content),
            };
            assert_eq!(sums, expected, "{compression:?}");
        }
    }

    #[test]
    fn large_content_passes_through_whole() {
        let content: Vec<u8> = (0..3_000_000_u32).map(|it| (it / 7 % 251) as u8).collect();
        for (bytes, compression) in [
            (gzip(&content), Compression::Gzip),
            (zstd_of(&content), Compression::Zstd),
        ] {
            assert!(unpack(&bytes, compression).unwrap().0 == content);
        }
    }

    #[test]
    fn every_cut_and_every_changed_byte_that_matters_is_found() {
        let content = b"some content that is compressed, and compressed, and compressed";
        for (good, compression) in [
            ([gzip(content), gzip(b"more")].concat(), Compression::Gzip),
            (
                [zstd_of(content), zstd_of(b"more")].concat(),
                Compression::Zstd,
            ),
        ] {
            let first = good.len()
                - if compression == Compression::Gzip {
                    gzip(b"more")
                } else {
                    zstd_of(b"more")
                }
                .len();
            for length in 1..good.len() {
                if length == first {
                    continue; // Whole, as far as it goes: its digest is another.
                }
                let error = unpack(&good[..length], compression).unwrap_err();
                assert!(
                    matches!(error, Error::Compressed { .. }),
                    "{length}: {error:?}"
                );
            }
            for at in 0..good.len() {
                let mut bad = good.clone();
                bad[at] ^= 0x10;
                if let Ok((found, _)) = unpack(&bad, compression) {
                    // Fields that say nothing of the content: time, system, flags of speed.
                    assert_eq!(found, [&content[..], b"more"].concat(), "{at}");
                }
            }
        }
    }

    #[test]
    fn what_follows_the_last_member_is_an_error() {
        for (good, compression) in [
            (gzip(b"content"), Compression::Gzip),
            (zstd_of(b"content"), Compression::Zstd),
        ] {
            for junk in [&b"\0"[..], &[0; 512], b"junk and more of it", &good[..5]] {
                let error = unpack(&[&good, junk].concat(), compression).unwrap_err();
                assert!(matches!(error, Error::Compressed { .. }), "{error:?}");
            }
        }
        assert!(unpack(b"", Compression::Gzip).is_err());
        assert!(unpack(b"plain text, not compressed", Compression::Gzip).is_err());
        assert!(unpack(b"plain text, not compressed", Compression::Zstd).is_err());
        assert!(unpack(&gzip(b"other"), Compression::Zstd).is_err());
    }

    #[test]
    fn checksums_are_checked() {
        let good = gzip(b"content");
        for at in good.len() - 8..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1;
            let error = unpack(&bad, Compression::Gzip).unwrap_err();
            assert!(
                error
                    .to_string()
                    .starts_with("the gzip data is not valid: "),
                "{error}"
            );
        }
        let mut bad = zstd_of(b"content");
        *bad.last_mut().unwrap() ^= 1;
        let error = unpack(&bad, Compression::Zstd).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the zstd data is not valid: "),
            "{error}"
        );
    }

    #[test]
    fn a_window_of_more_than_128_mib_is_refused() {
        // A frame header that asks for 2^log bytes, then an empty last block.
        let frame = |log: u8| {
            [
                &[0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3][..],
                &[1, 0, 0],
            ]
            .concat()
        };
        assert_eq!(unpack(&frame(27), Compression::Zstd).unwrap().0, b"");
        let error = unpack(&frame(28), Compression::Zstd).unwrap_err();
        assert!(error.to_string().contains("memory"), "{error}");
    }

    #[test]
    fn a_source_that_fails_is_not_damage() {
        struct Broken;
        impl Read for Broken {
            fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
                Err(io::ErrorKind::PermissionDenied.into())
            }
        }
        for compression in [Compression::None, Compression::Gzip, Compression::Zstd] {
            let source = io::empty().chain(Broken);
            let mut read = Decompressed::new(source, compression, Expansion::of(1, None)).unwrap();
            let error = Error::read(read.read(&mut [0; 10]).unwrap_err());
            assert!(matches!(error, Error::Read(_)), "{error:?}");
        }
    }

    #[test]
    fn few_bytes_that_unpack_to_very_many_are_refused_unless_it_is_said() {
        let bomb = zstd_of(&vec![0; 1 << 20]).repeat(300); // 300 MiB of zeros
        let size = bomb.len() as u64;
        let run = |told| {
            let expansion = Expansion::of(size, told);
            let mut read = Decompressed::new(&*bomb, Compression::Zstd, expansion).unwrap();
            io::copy(&mut read, &mut io::sink()).map_err(Error::read)
        };
        assert!(size * EXPANSION_LIMIT < EXPANSION_FLOOR, "{size}");
        let error = run(None).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the layer unpacks to more than 268435456 bytes, which is too much for its size"
        );
        assert_eq!(run(Some(300 << 20)).unwrap(), 300 << 20);
        let error = run(Some(1 << 20)).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the layer unpacks to more than 1048576 bytes, which is what the manifest says"
        );
    }
}
