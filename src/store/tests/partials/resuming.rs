//! What the next run does with what it finds.

use std::{
    fs::File,
    io::{Seek as _, SeekFrom},
};

use super::*;

// hazard: 97
#[test]
fn a_killed_download_goes_on_after_its_last_whole_piece() {
    let source = Source::new(4 * PIECE + 5);
    let room = Room::new();
    let writer = room.store.writer(&Silent).unwrap();
    let partial = source.claim(&writer);
    assert_eq!(partial.missing(), [0..source.size()]);
    source.bring(&partial, 0..2 * PIECE + 77);
    assert_eq!(partial.missing(), [2 * PIECE + 77..source.size()]);

    // What a killed process leaves is what the files hold now.
    let other = Room::new();
    copy_tree(room.store.root(), other.store.root());
    let next = other.store.writer(&Silent).unwrap();
    let rest = source.claim(&next);
    assert_eq!(rest.resumed(), 2 * PIECE);
    assert_eq!(rest.missing(), [2 * PIECE..source.size()]);
    source.finish(rest);
    assert!(source.is_here(&next));

    // In the same run nothing at all is brought again.
    assert_eq!(source.finish(partial), source.size() - 2 * PIECE - 77);
}

#[test]
fn a_download_that_has_brought_nothing_leaves_nothing() {
    let source = Source::new(2 * PIECE);
    let room = source.left(&[]);
    assert_eq!(files_in(&room.store.ingest_dir()), [""; 0]);
}

// hazard: 54
#[test]
fn only_bad_pieces_are_brought_again() {
    let source = Source::new(3 * PIECE + 1000);
    // Lengths that the file is given one after the other, where bytes are changed, and the price.
    let cases: [(&str, &[u64], &[u64], u64); 7] = [
        ("nothing", &[], &[], 0),
        ("first byte", &[], &[0], PIECE),
        ("two pieces", &[], &[2 * PIECE - 2], 2 * PIECE),
        ("last piece", &[], &[3 * PIECE + 996], 1000),
        ("too long", &[40 << 20], &[], 0),
        ("cut", &[2 * PIECE - 1], &[], 2 * PIECE + 1000),
        (
            "zeroed by a power cut",
            &[PIECE, source.size()],
            &[],
            2 * PIECE + 1000,
        ),
    ];
    for (harm, lengths, flips, brought) in cases {
        let room = source.left(&[0, 1, 2, 3]);
        let path = room.store.partial_path(&source.digest);
        let mut file = File::options().write(true).open(path).unwrap();
        for length in lengths {
            file.set_len(*length).unwrap();
        }
        for at in flips {
            file.seek(SeekFrom::Start(*at)).unwrap();
            file.write_all(b"flip").unwrap();
        }
        assert_eq!(source.heal(&room), brought, "{harm}");
    }
}

// hazard: 54
#[test]
fn a_side_file_that_is_damaged_costs_only_what_it_does_not_tell() {
    let source = Source::new(2 * PIECE + 9);
    let room = source.left(&[0, 1, 2]);
    let side = room.store.side_path(&source.digest);
    let whole = fs::read(&side).unwrap();
    let first = whole.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let line = "0 ".len() + 16 + 1;
    assert_eq!(whole.len(), first + 3 * line);
    for length in 0..=whole.len() {
        // Around the ends of lines, and here and there.
        let place = length.saturating_sub(first) % line;
        if place > 2 && place < line - 2 && length % 41 != 0 {
            continue;
        }
        let again = Room::new();
        copy_tree(room.store.root(), again.store.root());
        fs::write(again.store.side_path(&source.digest), &whole[..length]).unwrap();
        let pieces = length.checked_sub(first).map_or(0, |rest| rest / line) as u64;
        let resumed = (pieces * PIECE).min(source.size());
        assert_eq!(
            source.heal(&again),
            source.size() - resumed,
            "{length} bytes of {}",
            whole.len()
        );
    }
    for (damage, brought) in [
        (b"\0".repeat(4096), source.size()),
        (b"{}\n".to_vec(), source.size()),
        (
            [&whole[..first], b"7 x\n\n99 \n", &whole[first..]].concat(),
            0,
        ),
        // Pieces that are claimed and are not those.
        ([&whole[..first], b"1", &whole[first + 1..]].concat(), PIECE),
    ] {
        let again = Room::new();
        copy_tree(room.store.root(), again.store.root());
        fs::write(again.store.side_path(&source.digest), damage).unwrap();
        assert_eq!(source.heal(&again), brought);
    }
}

// hazard: 54
#[test]
fn what_was_noted_for_another_size_is_not_believed() {
    let source = Source::new(3 * PIECE);
    let room = source.left(&[0, 1]);
    let writer = room.store.writer(&Silent).unwrap();
    let claim = writer.partial(&source.digest, 2 * PIECE, &Silent).unwrap();
    let Claim::Ours(partial) = claim else {
        panic!("it is not there");
    };
    assert_eq!(partial.missing(), [0..2 * PIECE]);
}

#[cfg(unix)]
#[test]
fn an_interrupted_resume_loses_nothing() {
    struct Stopping;
    impl Progress for Stopping {
        fn begin(&self, _label: &str, _total: Option<u64>) -> Box<dyn Meter> {
            Box::new(Silent)
        }
        fn warn(&self, _text: &str) {}
        fn status(&self, _text: &str) {}
        fn cancelled(&self) -> bool {
            true
        }
    }
    let source = Source::new(2 * PIECE);
    let room = source.left(&[1]);
    let writer = room.store.writer(&Stopping).unwrap();
    let error = writer.partial(&source.digest, source.size(), &Silent).err();
    assert!(matches!(error, Some(Error::Interrupted)), "{error:?}");
    drop(writer);
    assert_eq!(source.heal(&room), PIECE);
}
