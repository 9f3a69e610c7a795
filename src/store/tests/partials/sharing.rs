//! Who may touch a partial, and for how long it stays.

use std::{
    fs::File,
    sync::{
        Barrier,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
    time::SystemTime,
};

use super::*;

// hazard: 113
#[test]
fn who_comes_second_waits_and_finds_the_blob() {
    let source = Source::new(2 * PIECE);
    let room = Room::new();
    let (first, told) = (room.store.writer(&Silent).unwrap(), Told::default());
    let partial = source.claim(&first);
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            let writer = room.store.writer(&told).unwrap();
            assert!(
                writer
                    .try_partial(&source.digest, source.size(), &Silent)
                    .unwrap()
                    .is_none()
            );
            source.is_here(&writer)
        });
        while told.lines().is_empty() {
            thread::yield_now();
        }
        source.finish(partial);
        assert!(second.join().unwrap());
    });
    let waiting = format!("waiting for `kit test` (pid {}) …", std::process::id());
    assert_eq!(*told.lines(), [waiting]);
}

#[test]
fn who_comes_second_goes_on_with_what_the_first_gave_up() {
    let source = Source::new(3 * PIECE);
    let room = Room::new();
    let (first, told) = (room.store.writer(&Silent).unwrap(), Told::default());
    let partial = source.claim(&first);
    source.bring(&partial, PIECE..2 * PIECE);
    thread::scope(|scope| {
        let second = scope.spawn(|| {
            let writer = room.store.writer(&told).unwrap();
            let partial = source.claim(&writer);
            assert_eq!(partial.missing(), [0..PIECE, 2 * PIECE..3 * PIECE]);
            source.finish(partial);
        });
        while told.lines().is_empty() {
            thread::yield_now();
        }
        drop(partial);
        second.join().unwrap();
    });
    assert!(source.is_here(&first));
}

#[test]
fn a_download_that_does_not_grow_is_waited_for_as_long_as_a_lock() {
    let source = Source::new(2 * PIECE);
    let room = Room::new();
    let writer = room.store.writer(&Silent).unwrap();
    let _partial = source.claim(&writer);
    let store = room.impatient("kit pull");
    let other = store.writer(&Silent).unwrap();
    let error = other.partial(&source.digest, source.size(), &Silent).err();
    let Some(Error::Busy {
        holder: Some(holder),
        ..
    }) = error
    else {
        panic!("{error:?}");
    };
    assert_eq!(holder.command, "kit test");
    // Others do not matter to it.
    let next = Source::new(7);
    next.finish(next.claim(&other));
}

// hazard: 113
#[test]
fn of_many_that_want_a_blob_one_brings_it() {
    let source = Source::new(2 * PIECE + 1);
    let room = Room::new();
    let (brought, barrier) = (AtomicUsize::new(0), Barrier::new(8));
    thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let store = Store::open(room.store.root(), Options::default()).unwrap();
                let writer = store.writer(&Silent).unwrap();
                barrier.wait();
                match writer
                    .partial(&source.digest, source.size(), &Silent)
                    .unwrap()
                {
                    Claim::Here => {}
                    Claim::Ours(partial) => {
                        brought.fetch_add(1, Ordering::Relaxed);
                        source.finish(partial);
                    }
                }
            });
        }
    });
    assert_eq!(brought.into_inner(), 1);
    assert_eq!(files_in(&room.store.ingest_dir()), [""; 0]);
}

// hazard: 109
#[test]
fn a_partial_is_its_owners_and_no_link_leads_out_of_it() {
    use std::os::unix::fs::{PermissionsExt as _, symlink};

    let source = Source::new(2 * PIECE);
    let room = source.left(&[0, 1]);
    let (path, side) = (
        room.store.partial_path(&source.digest),
        room.store.side_path(&source.digest),
    );
    for file in [&path, &side] {
        let mode = fs::metadata(file).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600, "{}", file.display());
    }
    // Killed just before it became a blob.
    fs::set_permissions(&path, fs::Permissions::from_mode(0o444)).unwrap();
    assert_eq!(source.heal(&room), 0);

    let room = source.left(&[]);
    let outside = room.directory.path().join("outside");
    fs::write(&outside, "precious").unwrap();
    for link in [&path, &side] {
        let link = room.store.ingest_dir().join(link.file_name().unwrap());
        symlink(&outside, link).unwrap();
    }
    assert_eq!(source.heal(&room), source.size());
    assert_eq!(fs::read(&outside).unwrap(), b"precious");
}

#[test]
fn prune_and_a_week_end_downloads_and_nothing_else_does() {
    let source = Source::new(2 * PIECE);
    let days = |days: u64| SystemTime::now() - Duration::from_secs(days * 24 * 3600);
    let age = |room: &Room, when| {
        let path = room.store.partial_path(&source.digest);
        let file = File::options().write(true).open(path).unwrap();
        file.set_modified(when).unwrap();
    };
    let room = source.left(&[0]);
    age(&room, days(6));
    drop(room.store.writer(&Silent).unwrap());
    assert_eq!(room.verify(true).resumable.len(), 1);
    let plan = room.store.plan_prune(Some(days_of(7)), &Silent).unwrap();
    assert_eq!(plan.partials, []);
    age(&room, days(8));
    let plan = room.store.plan_prune(Some(days_of(7)), &Silent).unwrap();
    assert_eq!((plan.partials.len(), plan.bytes()), (1, PIECE));
    // While someone is at work with it, it is not abandoned, whatever the clock says.
    let first = room.store.writer(&Silent).unwrap();
    assert_eq!(files_in(&room.store.ingest_dir()), [""; 0], "after a week");
    let partial = source.claim(&first);
    source.bring(&partial, 0..PIECE);
    age(&room, days(8));
    drop(room.store.writer(&Silent).unwrap());
    drop(partial);
    drop(first);
    assert_eq!(files_in(&room.store.ingest_dir()).len(), 2);

    let plan = room.store.plan_prune(None, &Silent).unwrap();
    let report = room.store.prune(&plan, &Silent).unwrap();
    assert_eq!(report.partials[0].digest, source.digest);
    assert_eq!(files_in(&room.store.ingest_dir()), [""; 0]);
}

fn days_of(days: u64) -> Duration {
    Duration::from_secs(days * 24 * 3600)
}

#[test]
fn a_side_file_alone_is_swept() {
    let source = Source::new(2 * PIECE);
    let room = source.left(&[0]);
    fs::remove_file(room.store.partial_path(&source.digest)).unwrap();
    drop(room.store.writer(&Silent).unwrap());
    assert_eq!(files_in(&room.store.ingest_dir()), [""; 0]);
}
