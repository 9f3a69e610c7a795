//! What is written to a partial, and what it becomes.

use std::{
    sync::atomic::{AtomicU64, Ordering},
    thread,
};

use proptest::prelude::*;

use super::*;

#[test]
fn threads_bring_a_blob_in_any_order_and_twice() {
    let source = Source::new(9 * PIECE + 123);
    let room = Room::new();
    let writer = room.store.writer(&Silent).unwrap();
    let partial = source.claim(&writer);
    let new = AtomicU64::new(0);
    thread::scope(|scope| {
        for thread in 0..6 {
            let (source, partial, new) = (&source, &partial, &new);
            scope.spawn(move || {
                let step = 170_000;
                let mut starts: Vec<u64> = (0..source.size()).step_by(step as usize).collect();
                let middle = starts.len() * thread / 6;
                starts.rotate_left(middle);
                for start in starts {
                    // More than its share, so that neighbours overlap.
                    let end = (start + step + 50_000).min(source.size());
                    new.fetch_add(source.bring(partial, start..end), Ordering::Relaxed);
                }
            });
        }
    });
    assert_eq!(new.into_inner(), source.size());
    assert_eq!(partial.missing(), []);
    assert_eq!(partial.commit().unwrap(), Committed::Stored);
    assert!(fs::read(room.store.blob_path(&source.digest)).unwrap() == source.content);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn missing_tells_what_nobody_has_written(
        writes in proptest::collection::vec((0..2 * PIECE + 500, 1..PIECE), 0..9),
    ) {
        let source = Source::new(2 * PIECE + 500);
        let room = Room::new();
        let writer = room.store.writer(&Silent).unwrap();
        let partial = source.claim(&writer);
        let mut there = vec![false; source.content.len()];
        for (start, length) in writes {
            let range = start as usize..(start + length).min(source.size()) as usize;
            let expected = there[range.clone()].iter().filter(|byte| !**byte).count() as u64;
            let new = partial.write_at(start, &source.content[range.clone()]).unwrap();
            prop_assert_eq!(new, expected);
            there[range].fill(true);
        }
        let mut missing = vec![true; there.len()];
        for range in partial.missing() {
            missing[range.start as usize..range.end as usize].fill(false);
        }
        prop_assert!(there == missing);
        source.finish(partial);
        prop_assert!(fs::read(room.store.blob_path(&source.digest)).unwrap() == source.content);
    }
}

// hazard: 58
#[test]
fn what_comes_late_or_beyond_the_end_changes_nothing() {
    let source = Source::new(2 * PIECE + 10);
    let room = Room::new();
    let writer = room.store.writer(&Silent).unwrap();
    let partial = source.claim(&writer);
    source.bring(&partial, 0..PIECE + 150_000);
    let junk = vec![0; 200_000];
    assert_eq!(partial.write_at(PIECE - 50_000, &junk).unwrap(), 0);
    for offset in [source.size(), source.size() - 1, u64::MAX] {
        let error = partial.write_at(offset, b"ab").unwrap_err();
        assert!(matches!(error, Error::WrongSize { .. }), "{error}");
    }
    source.finish(partial);
    assert!(source.is_here(&writer));
}

#[test]
fn a_commit_before_the_end_keeps_what_is_there() {
    let source = Source::new(2 * PIECE);
    let room = Room::new();
    let writer = room.store.writer(&Silent).unwrap();
    let partial = source.claim(&writer);
    source.bring(&partial, 0..2 * PIECE - 1);
    let error = partial.commit().unwrap_err().to_string();
    let expected = format!(
        "{} was written with 524287 bytes in place of 524288",
        source.digest
    );
    assert_eq!(error, expected);
    assert_eq!(source.claim(&writer).resumed(), PIECE);
}

// hazard: 52, 53
#[test]
fn nothing_is_kept_of_wrong_content_and_the_next_run_heals_it() {
    for length in [10, 2 * PIECE + 10] {
        let source = Source::new(length);
        let room = Room::new();
        let writer = room.store.writer(&Silent).unwrap();
        let partial = source.claim(&writer);
        partial.write_at(0, b"wrong").unwrap();
        source.bring(&partial, 5..length);
        let error = partial.commit().unwrap_err();
        assert!(matches!(error, Error::WrongContent { digest, .. } if digest == source.digest));
        assert_eq!(files_in(&room.store.ingest_dir()), [""; 0]);
        assert_eq!(source.finish(source.claim(&writer)), length);
    }
}

#[test]
fn small_and_empty_blobs_are_downloaded_too() {
    for length in [0, 1, PIECE - 1, PIECE] {
        let source = Source::new(length);
        let room = Room::new();
        let writer = room.store.writer(&Silent).unwrap();
        source.finish(source.claim(&writer));
        assert!(source.is_here(&writer), "{length}");
        assert_eq!(files_in(&room.store.ingest_dir()), [""; 0]);
    }
}

#[test]
fn a_download_takes_the_place_of_a_damaged_blob() {
    let source = Source::new(PIECE + 10);
    let room = Room::new();
    let writer = room.store.writer(&Silent).unwrap();
    source.finish(source.claim(&writer));
    room.overwrite(&source.digest, &vec![0; source.content.len()]);
    let partial = source.claim(&writer);
    source.bring(&partial, 0..source.size());
    assert_eq!(partial.commit().unwrap(), Committed::Healed);
    assert!(source.is_here(&writer));
}
