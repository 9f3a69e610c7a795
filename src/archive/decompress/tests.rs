use std::io::Write as _;

use super::*;

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
    unpack_within(bytes, compression, &Limits::default())
}

fn unpack_within(
    bytes: &[u8],
    compression: Compression,
    limits: &Limits,
) -> Result<(Vec<u8>, Sums), Error> {
    let bounds = Bounds::of(bytes.len() as u64, None, limits);
    let mut whole = Decompressed::new(bytes, compression, bounds).unwrap();
    let mut content = Vec::new();
    let read = whole.read_to_end(&mut content).map_err(Error::read);
    let mut slow = Decompressed::new(Dribble(bytes, false), compression, bounds).unwrap();
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

// hazard: 33, 104
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

// hazard: 33
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

// hazard: 33
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

// hazard: 33
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

// hazard: 105, 121
#[test]
fn a_window_of_more_than_128_mib_is_refused_unless_it_is_allowed() {
    // A frame header that asks for 2^log bytes, then an empty last block.
    let frame = |log: u8| {
        [
            &[0x28, 0xb5, 0x2f, 0xfd, 0, (log - 10) << 3][..],
            &[1, 0, 0],
        ]
        .concat()
    };
    for (window, log) in [(128, 27), (129, 28), (256, 28), (1, 20), (2048, 31)] {
        let limits = Limits {
            window,
            ..Limits::default()
        };
        let unpack = |log| unpack_within(&frame(log), Compression::Zstd, &limits);
        if window < 2048 {
            assert_eq!(unpack(log).unwrap().0, b"", "{window}");
            let error = unpack(log + 1).unwrap_err();
            assert_eq!(
                error.to_string(),
                format!("the zstd data needs more than {window} MiB of memory")
            );
        } else {
            // Larger ones cannot be said in a frame.
            let bounds = Bounds::of(0, None, &limits);
            assert!(bounds.window_log() <= log.into());
        }
    }
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
        let bounds = Bounds::of(1, None, &Limits::default());
        let mut read = Decompressed::new(source, compression, bounds).unwrap();
        let error = Error::read(read.read(&mut [0; 10]).unwrap_err());
        assert!(matches!(error, Error::Read(_)), "{error:?}");
    }
}

// hazard: 121
#[test]
fn few_bytes_that_unpack_to_very_many_are_refused_unless_it_is_said() {
    let bomb = zstd_of(&vec![0; 1 << 20]).repeat(300); // 300 MiB of zeros
    let size = bomb.len() as u64;
    let run_within = |told, expansion| {
        let limits = Limits {
            expansion,
            ..Limits::default()
        };
        let bounds = Bounds::of(size, told, &limits);
        let mut read = Decompressed::new(&*bomb, Compression::Zstd, bounds).unwrap();
        io::copy(&mut read, &mut io::sink()).map_err(Error::read)
    };
    let default = Limits::default().expansion;
    let run = |told| run_within(told, default);
    assert!(size * default < EXPANSION_FLOOR, "{size}");
    let error = run(None).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the layer unpacks to more than 268435456 bytes, which is too much for its size"
    );
    assert_eq!(run(Some(300 << 20)).unwrap(), 300 << 20);
    let needed = (300_u64 << 20).div_ceil(size);
    assert_eq!(run_within(None, needed).unwrap(), 300 << 20);
    assert!(run_within(None, needed - 1).is_err());
    let error = run(Some(1 << 20)).unwrap_err();
    assert_eq!(
        error.to_string(),
        "the layer unpacks to more than 1048576 bytes, which is what the manifest says"
    );
}
