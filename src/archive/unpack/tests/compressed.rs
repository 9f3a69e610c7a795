//! Layers in gzip and zstd. What the decoders accept is tested with them.

use std::io::Write as _;

use super::*;
use crate::archive::decompress::Compression;

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut writer = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
    writer.write_all(content).unwrap();
    writer.finish().unwrap()
}

/// The same content as gzip in two members, and as zstd in two frames.
fn both(content: &[u8]) -> [(Compression, Vec<u8>); 2] {
    let (first, second) = content.split_at(content.len() / 3);
    let frame = |content| zstd::encode_all(content, 1).unwrap();
    [
        (Compression::Gzip, [gzip(first), gzip(second)].concat()),
        (Compression::Zstd, [frame(first), frame(second)].concat()),
    ]
}

fn packed<'a>(compression: Compression, bytes: &'a [u8], plain: &[u8]) -> Layer<&'a [u8]> {
    Layer {
        compression,
        diff_id: Some(Digest::of(plain)),
        ..layer(0, bytes)
    }
}

fn raw<'a>(compression: Compression, bytes: &'a [u8], plain: &[u8]) -> Layer<&'a [u8]> {
    Layer {
        shape: Shape::Raw {
            path: b"d/model.bin".to_vec(),
            executable: false,
        },
        ..packed(compression, bytes, plain)
    }
}

fn run(sandbox: &Sandbox, existing: Existing, layer: Layer<&[u8]>) -> Result<Report, Error> {
    let mut unpack = Unpack::begin(&sandbox.target(), options(existing), &Silent)?;
    unpack.layer(layer, &|_| true)?;
    let result = unpack.finish();
    sandbox.check_outside();
    result
}

fn noise(length: usize) -> Vec<u8> {
    let mut state = 1_u32;
    let mut next = || {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..length).map(|_| next()).collect()
}

#[test]
fn compressed_archives_unpack_like_others() {
    let large = noise(1_000_000);
    let archive = Archive::new()
        .folder("d")
        .file("d/small", b"small")
        .file("large", &large)
        .end();
    for (compression, bytes) in both(&archive) {
        let sandbox = Sandbox::new();
        let report = run(
            &sandbox,
            Existing::Refuse,
            packed(compression, &bytes, &archive),
        )
        .unwrap();
        assert_eq!((report.written, report.bytes), (2, 1_000_005));
        assert_eq!(sandbox.tree(), ["d/", "d/small", "large"]);
        assert!(sandbox.read("large") == large);
        let report = run(
            &sandbox,
            Existing::Refuse,
            packed(compression, &bytes, &archive),
        )
        .unwrap();
        assert_eq!((report.equal, report.files()), (2, 2));
    }
}

// hazard: 31, 36, 85, 87
#[test]
fn a_wrong_diff_id_or_a_changed_byte_is_damage_and_leaves_nothing() {
    let archive = Archive::new().file("a", &noise(400_000)).end();
    for (compression, bytes) in both(&archive) {
        let sandbox = Sandbox::new();
        let wrong = packed(compression, &bytes, b"something else");
        let error = run(&sandbox, Existing::Refuse, wrong).unwrap_err();
        assert!(error.is_damage());
        assert!(matches!(cause(error), Error::DiffId { .. }));
        assert!(sandbox.tree().is_empty());

        for at in [0, 20, bytes.len() / 2, bytes.len() - 1] {
            let mut bad = bytes.clone();
            bad[at] ^= 1;
            let damaged = Layer {
                digest: Digest::of(&bytes),
                ..packed(compression, &bad, &archive)
            };
            let error = run(&sandbox, Existing::Refuse, damaged).unwrap_err();
            assert!(matches!(cause(error), Error::Damaged { .. }), "{at}");
            assert!(sandbox.tree().is_empty());
        }
        for cut in [
            &bytes[..0],
            &bytes[..bytes.len() - 1],
            &[&bytes[..], b"x"].concat(),
        ] {
            let damaged = Layer {
                digest: Digest::of(&bytes),
                size: bytes.len() as u64,
                ..packed(compression, cut, &archive)
            };
            let error = run(&sandbox, Existing::Refuse, damaged).unwrap_err();
            assert!(matches!(cause(error), Error::Size { .. }), "{}", cut.len());
        }
    }
}

// hazard: 33
#[test]
fn what_was_compressed_wrongly_is_told_from_damage() {
    let archive = Archive::new().file("a", b"a").end();
    for (compression, bytes) in both(&archive) {
        for bad in [
            [&bytes[..], b"junk"].concat(),
            bytes[..bytes.len() - 1].to_vec(),
        ] {
            let sandbox = Sandbox::new();
            let layer = packed(compression, &bad, &archive);
            let error = cause(run(&sandbox, Existing::Refuse, layer).unwrap_err());
            assert!(matches!(error, Error::Compressed { .. }), "{error:?}");
            assert!(sandbox.tree().is_empty());
        }
    }
}

#[test]
fn a_compressed_file_needs_no_size_to_be_put_in_its_place() {
    // Around the length of a piece, in which it is handed over.
    for length in [0, 1, 262_143, 262_144, 262_145, 1_000_000] {
        let content = noise(length);
        for (compression, bytes) in both(&content) {
            let sandbox = Sandbox::new();
            let again = || raw(compression, &bytes, &content);
            let report = run(&sandbox, Existing::Refuse, again()).unwrap();
            assert_eq!((report.written, report.bytes), (1, length as u64));
            assert!(sandbox.read("d/model.bin") == content, "{length}");
            let report = run(&sandbox, Existing::Refuse, again()).unwrap();
            assert_eq!((report.equal, report.bytes), (1, 0), "{length}");
            if length < 2 {
                continue;
            }

            // The beginning of it is completed, whatever is longer or other is in the way.
            for keep in [1, length / 2, length - 1] {
                sandbox.put("d/model.bin", &content[..keep]);
                let report = run(&sandbox, Existing::Refuse, again()).unwrap();
                assert_eq!(report.completed, 1, "{keep} of {length}");
                assert_eq!(report.bytes, (length - keep) as u64);
                assert!(sandbox.read("d/model.bin") == content);
            }
            let longer = [&content[..], b"x"].concat();
            let mut other = content.clone();
            other[length / 2] ^= 1;
            for there in [longer, other, vec![0]] {
                sandbox.put("d/model.bin", &there);
                let error = run(&sandbox, Existing::Refuse, again()).unwrap_err();
                let expected = [("d/model.bin".to_owned(), Obstacle::Different)];
                assert_eq!(conflicts(error), expected);
                let report = run(&sandbox, Existing::Keep, again()).unwrap();
                assert_eq!((report.kept, report.bytes), (1, 0));
                assert!(sandbox.read("d/model.bin") == there);
                let report = run(&sandbox, Existing::Overwrite, again()).unwrap();
                assert_eq!((report.replaced, report.bytes), (1, length as u64));
                assert!(sandbox.read("d/model.bin") == content);
            }
        }
    }
}

// hazard: 40, 121
#[test]
fn what_claims_more_than_is_sane_is_refused_before_it_fills_the_disk() {
    let archive = Archive::new().file("zeros", &vec![0; 100_000]).end();
    for (compression, bytes) in both(&archive) {
        for (told, is_refused) in [
            (Some(u64::MAX), true),
            // Told right, or nothing said, or sane: if there is no room that is found out.
            (Some(archive.len() as u64), false),
            (Some(256 << 20), false),
            (None, false),
        ] {
            let sandbox = Sandbox::new();
            let layer = Layer {
                plain_size: told,
                ..packed(compression, &bytes, &archive)
            };
            let result = run(&sandbox, Existing::Refuse, layer);
            if is_refused && cfg!(unix) {
                let error = cause(result.unwrap_err());
                assert!(matches!(error, Error::NoRoom { .. }), "{error:?}");
                assert!(sandbox.tree().is_empty());
            } else {
                assert_eq!(result.unwrap().written, 1, "{told:?}");
            }
        }
    }
}
