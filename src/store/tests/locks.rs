//! Several at once.

use std::{
    sync::mpsc::{self, TryRecvError},
    thread,
};

use super::*;

// hazard: 110, 144
#[test]
fn twenty_packers_of_a_new_store_lose_no_name() {
    let room = Room::new();
    thread::scope(|scope| {
        for number in 0..20 {
            let room = &room;
            scope.spawn(move || {
                room.pack(
                    &[&format!("a:{number}"), "a:latest"],
                    &format!("layer {number}"),
                );
            });
        }
    });
    let tags = room
        .names()
        .iter()
        .filter(|name| name.starts_with("a:"))
        .count();
    assert_eq!(tags, 21);
    assert!(room.verify(false).is_sound());
    assert_eq!(files_in(&room.store.sessions_dir()), [""; 0]);
    assert_eq!(files_in(&room.store.ingest_dir()), [""; 0]);
}

// hazard: 115, 116
#[test]
fn packing_beside_removing_and_pruning_leaves_every_packed_kit_whole() {
    let room = &Room::new();
    thread::scope(|scope| {
        // Gone at the end of this block, also when a packer fails: the scope waits for all threads.
        let (_packing, is_over) = mpsc::channel::<()>();
        scope.spawn(move || {
            while is_over.try_recv() == Err(TryRecvError::Empty) {
                let plan = room
                    .store
                    .plan_removal(&Selection::Untagged, &Silent)
                    .unwrap();
                room.store.remove(&plan, &Silent).unwrap();
                if let Ok(plan) = room.store.plan_prune(None, &Silent) {
                    room.store.prune(&plan, &Silent).unwrap();
                }
            }
        });
        let packers: Vec<_> = (0..4)
            .map(|packer| {
                scope.spawn(move || {
                    for round in 0..10 {
                        let own = format!("{packer} {round}");
                        let layers = [(MODEL, "shared"), (DATASET, &own)];
                        room.pack_layers(&[&format!("a:{packer}")], &layers);
                    }
                })
            })
            .collect();
        for packer in packers {
            packer.join().unwrap();
        }
    });
    let report = room.verify(false);
    assert!(report.is_sound(), "{report:?}");
    assert!((0..4).all(|packer| room.names().contains(&format!("a:{packer}"))));
}

// hazard: 120
#[test]
fn who_cannot_wait_is_told_who_holds_the_store() {
    let room = Room::new();
    let _writer = room.store.writer(&Silent).unwrap();
    let busy = lock::exclusive(&room.impatient("kit prune"), &Silent).err();
    let Some(Error::Busy {
        holder: Some(holder),
        ..
    }) = busy
    else {
        panic!("the store is in use");
    };
    assert_eq!(
        holder.to_string(),
        format!("`kit test` (pid {})", std::process::id())
    );
    assert!(
        room.impatient("kit pack").writer(&Silent).is_ok(),
        "writers do not exclude each other"
    );
}

// hazard: 120
#[test]
fn waiting_is_said_once_and_ends_when_the_holder_is_done() {
    let room = Room::new();
    let told = Told::default();
    let writer = room.store.writer(&Silent).unwrap();
    thread::scope(|scope| {
        let waiter = scope.spawn(|| lock::exclusive(&room.store, &told).map(|_| ()));
        while told.lines().is_empty() {
            thread::yield_now();
        }
        drop(writer);
        waiter.join().unwrap().unwrap();
    });
    let expected = format!("waiting for `kit test` (pid {}) …", std::process::id());
    assert_eq!(*told.lines(), [expected]);
}

#[test]
fn an_interrupted_wait_ends() {
    struct Interrupted;
    impl Progress for Interrupted {
        fn begin(&self, _label: &str, _total: Option<u64>) -> Box<dyn Meter> {
            Box::new(Silent)
        }
        fn warn(&self, _text: &str) {}
        fn status(&self, _text: &str) {}
        fn cancelled(&self) -> bool {
            true
        }
    }
    let room = Room::new();
    let _writer = room.store.writer(&Silent).unwrap();
    let waited = lock::exclusive(&room.store, &Interrupted).map(|_| ());
    assert!(matches!(waited, Err(Error::Interrupted)));
}

// hazard: 120
#[test]
fn an_exclusive_waiter_is_not_overtaken_by_newcomers() {
    let room = Room::new();
    let first = room.store.writer(&Silent).unwrap();
    let told = Told::default();
    thread::scope(|scope| {
        let exclusive = scope.spawn(|| lock::exclusive(&room.store, &told).map(|_| ()));
        while told.lines().is_empty() {
            thread::yield_now(); // Until it waits inside the gate.
        }
        let newcomer = room.impatient("kit pack");
        assert!(matches!(
            newcomer.writer(&Silent).err(),
            Some(Error::Busy { .. })
        ));
        drop(first);
        exclusive.join().unwrap().unwrap();
        newcomer.writer(&Silent).unwrap();
    });
}
