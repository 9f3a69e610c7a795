//! Decompression: the pieces make no difference to what comes out, every byte is read and hashed on both sides, and
//! no more comes out than may.

use std::io::{self, Read};

use modelkit::{
    archive::decompress::{Bounds, Compression, Decompressed},
    digest::Digest,
    limits::Limits,
};

/// How much an input may unpack to here.
const MOST: u64 = 1 << 20;

pub(super) fn check(input: &[u8]) -> bool {
    let gzip = check_as(input, Compression::Gzip);
    let zstd = check_as(input, Compression::Zstd);
    assert!(
        input.is_empty() || !(gzip && zstd),
        "two kinds of compression"
    );
    gzip || zstd
}

fn check_as(input: &[u8], compression: Compression) -> bool {
    let whole = read(input, input, compression, 1 << 16);
    let slowly = read(input, Pieces(input, 0), compression, 997);
    // A length in the header of a frame of zstd that is not that of its content is only noticed by
    // some of the ways that libzstd goes. Whatever comes out is the same.
    if compression == Compression::Gzip || (whole.is_some() && slowly.is_some()) {
        assert_eq!(whole, slowly, "the pieces make a difference");
    }
    whole.is_some()
}

/// Returns what comes out; `None` if that is an error.
fn read(
    input: &[u8],
    source: impl Read,
    compression: Compression,
    at_once: usize,
) -> Option<Vec<u8>> {
    let bounds = Bounds::of(input.len() as u64, Some(MOST), &Limits::default());
    let mut reader = Decompressed::new(source, compression, bounds).expect("there is memory");
    let mut content = Vec::new();
    let mut buffer = vec![0; at_once];
    loop {
        match reader.read(&mut buffer) {
            Ok(0) => break,
            Ok(read) => content.extend_from_slice(&buffer[..read]),
            Err(_) => {
                assert!(reader.read(&mut buffer).is_err(), "an error passes");
                let drained = reader.drain().expect("the source does not fail");
                assert_eq!(drained, (Digest::of(input), input.len() as u64));
                return None;
            }
        }
    }
    assert!(content.len() as u64 <= MOST, "more than may come out");
    assert_eq!(reader.count(), content.len() as u64);
    let sums = reader.finish();
    assert_eq!(sums.digest, Digest::of(input), "not every byte was read");
    assert_eq!(sums.size, input.len() as u64);
    assert_eq!(sums.diff_id, Digest::of(&content));
    Some(content)
}

/// Gives an input in pieces of changing length.
struct Pieces<'a>(&'a [u8], usize);

impl Read for Pieces<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        self.1 = (self.1 * 5 + 3) % 17;
        let most = into.len().min(self.1 + 1);
        self.0.read(&mut into[..most])
    }
}

// `abcabcabc` and nothing, as other tools write them.
const GZIP: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x4b\x4c\x4a\x4e\x04\x23\x00\x18\x48\x2d\x46\x09\x00\x00\x00";
const GZIP_OF_NOTHING: &[u8] =
    b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x02\xff\x03\x00\x00\x00\x00\x00\x00\x00\x00\x00";
const ZSTD: &[u8] =
    b"\x28\xb5\x2f\xfd\x04\x48\x49\x00\x00\x61\x62\x63\x61\x62\x63\x61\x62\x63\x57\x46\x52\x17";
const ZSTD_OF_NOTHING: &[u8] = b"\x28\xb5\x2f\xfd\x24\x00\x01\x00\x00\x99\xe9\xd8\x51";
const SKIPPED: &[u8] = b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc";
/// One byte that repeats for 128 KiB, sixteen times: more than may come out.
const ZEROS: &[u8] = b"\x28\xb5\x2f\xfd\x00\x58\x02\x00\x10\x00\x02\x00\x10\x00\x02\x00\x10\x00\x02\x00\x10\x00\
    \x02\x00\x10\x00\x02\x00\x10\x00\x02\x00\x10\x00\x02\x00\x10\x00\x02\x00\x10\x00\x03\x00\x10\x00";

/// Returns inputs that are accepted.
pub(super) fn accepted() -> Vec<Vec<u8>> {
    vec![
        Vec::new(),
        GZIP.to_vec(),
        [GZIP, GZIP_OF_NOTHING, GZIP].concat(),
        ZSTD.to_vec(),
        [SKIPPED, ZSTD, ZSTD_OF_NOTHING, SKIPPED, ZSTD].concat(),
    ]
}

/// Returns inputs that are refused.
pub(super) fn refused() -> Vec<Vec<u8>> {
    vec![
        [GZIP, b"\0"].concat(),
        [GZIP, ZSTD].concat(),
        GZIP[..GZIP.len() - 1].to_vec(),
        [ZSTD, b"junk"].concat(),
        ZSTD[..ZSTD.len() - 1].to_vec(),
        SKIPPED[..9].to_vec(),
        ZEROS.to_vec(),
        b"\x28\xb5\x2f\xfd\x00\x90\x01\x00\x00".to_vec(), // a window of 256 MiB
    ]
}
