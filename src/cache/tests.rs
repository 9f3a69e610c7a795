use std::{fs, path::Path};

use super::*;
use crate::platform::FileStamp;

const NOW: i64 = 1_800_000_000_000_000_000;

fn stamp(inode: u64, age: i64) -> FileStamp {
    FileStamp {
        device: 5,
        inode,
        size: 3,
        modified: NOW - age,
        changed: NOW - age,
    }
}

fn known(text: &str) -> Known {
    Known {
        digest: Digest::of(text.as_bytes()),
        size: 10,
        diff_id: Digest::of(b"plain"),
        plain_size: 20,
    }
}

const OLD: i64 = 60_000_000_001;

#[test]
fn a_file_is_known_as_long_as_nothing_about_it_changed() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Path::new("/some/tree");
    let cache = Cache::open_at(folder.path(), Use::All, NOW);
    let file = stamp(1, OLD);
    let mut files = cache.files(tree);
    files.learn(&file, &Digest::of(b"one"));
    files.learn(&stamp(2, 5), &Digest::of(b"young"));
    files.learn(&stamp(0, OLD), &Digest::of(b"no number"));
    files.save();

    let mut files = cache.files(tree);
    assert_eq!(files.find(&file), Some(Digest::of(b"one")));
    for other in [
        FileStamp { size: 4, ..file },
        FileStamp {
            modified: 1,
            ..file
        },
        // Written in place, and the time of the content put back.
        FileStamp {
            changed: NOW,
            ..file
        },
        // Another file in its place.
        FileStamp { inode: 3, ..file },
        FileStamp { device: 3, ..file },
        // Written in the very moment in which it was read.
        stamp(2, 5),
        stamp(0, OLD),
    ] {
        assert_eq!(files.find(&other), None, "{other:?}");
    }
    assert_eq!(cache.files(Path::new("/other")).find(&file), None);
}

#[test]
fn a_cache_that_is_only_written_believes_nothing_and_replaces() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Path::new("/some/tree");
    let all = Cache::open_at(folder.path(), Use::All, NOW);
    let mut files = all.files(tree);
    files.learn(&stamp(1, OLD), &Digest::of(b"wrong"));
    files.learn(&stamp(2, OLD), &Digest::of(b"two"));
    files.save();

    let fresh = Cache::open_at(folder.path(), Use::WriteOnly, NOW);
    let mut files = fresh.files(tree);
    assert_eq!(files.find(&stamp(1, OLD)), None);
    files.learn(&stamp(1, OLD), &Digest::of(b"right"));
    files.save();

    let mut files = all.files(tree);
    assert_eq!(files.find(&stamp(1, OLD)), Some(Digest::of(b"right")));
    assert_eq!(files.find(&stamp(2, OLD)), Some(Digest::of(b"two")));
}

type Step<'a> = (&'a [u8], u32, Option<(u64, Content<'a>)>);

#[test]
fn any_difference_makes_another_recipe() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open_at(folder.path(), Use::All, NOW);
    let digest = Digest::of(b"x");
    let (one, two) = (stamp(1, OLD), stamp(2, OLD));
    let recipes: [(&str, &[Step<'_>]); 13] = [
        ("tar", &[]),
        ("tar+gzip", &[]),
        ("tar", &[(b"a", 0o755, None)]),
        ("tar", &[(b"a", 0o700, None)]),
        ("tar", &[(b"b", 0o755, None)]),
        ("tar", &[(b"a", 0o755, Some((0, Content::Digest(&digest))))]),
        ("tar", &[(b"a", 0o644, Some((0, Content::Digest(&digest))))]),
        ("tar", &[(b"a", 0o644, Some((1, Content::Digest(&digest))))]),
        ("tar", &[(b"a", 0o644, Some((1, Content::Stamp(&one))))]),
        ("tar", &[(b"a", 0o644, Some((1, Content::Stamp(&two))))]),
        ("tar", &[(b"a", 0o755, None), (b"b", 0o755, None)]),
        ("tar", &[(b"b", 0o755, None), (b"a", 0o755, None)]),
        ("tar", &[(b"a", 0o755, None), (b"b", 0o644, None)]),
    ];
    let ids: Vec<RecipeId> = recipes
        .iter()
        .map(|(writing, steps)| {
            let mut recipe = Recipe::new(&cache, writing);
            for (path, mode, file) in *steps {
                match file {
                    None => recipe.folder(path, *mode),
                    Some((size, content)) => recipe.file(path, *mode, *size, *content),
                }
            }
            recipe.finish()
        })
        .collect();
    for (position, id) in ids.iter().enumerate() {
        assert_eq!(ids.iter().position(|other| other == id), Some(position));
    }

    let mut table = cache.recipes();
    for (position, id) in ids.iter().enumerate() {
        table.learn(*id, &known(&position.to_string()));
    }
    table.save();
    let mut table = cache.recipes();
    for (position, id) in ids.iter().enumerate() {
        assert_eq!(table.find(*id), Some(known(&position.to_string())));
    }
}

#[test]
fn a_recipe_of_young_stamps_is_not_remembered() {
    let folder = tempfile::tempdir().unwrap();
    let cache = Cache::open_at(folder.path(), Use::All, NOW);
    let mut recipe = Recipe::new(&cache, "tar");
    recipe.file(b"old", 0o644, 3, Content::Stamp(&stamp(1, OLD)));
    recipe.file(b"young", 0o644, 3, Content::Stamp(&stamp(2, 5)));
    let id = recipe.finish();
    let mut table = cache.recipes();
    table.learn(id, &known("x"));
    table.save();
    assert_eq!(cache.recipes().find(id), None);
}

#[test]
fn many_writers_lose_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let tree = Path::new("/some/tree");
    std::thread::scope(|scope| {
        for writer in 0..4 {
            let folder = folder.path();
            scope.spawn(move || {
                for round in 0..8 {
                    let cache = Cache::open_at(folder, Use::All, NOW);
                    let mut files = cache.files(tree);
                    let inode = 1 + writer * 8 + round;
                    files.learn(&stamp(inode, OLD), &Digest::of(&inode.to_le_bytes()));
                    files.save();
                }
            });
        }
    });
    let cache = Cache::open_at(folder.path(), Use::All, NOW);
    let mut files = cache.files(tree);
    for inode in 1_u64..=32 {
        let expected = Some(Digest::of(&inode.to_le_bytes()));
        assert_eq!(files.find(&stamp(inode, OLD)), expected);
    }
}

// hazard: 103
#[test]
fn a_place_that_cannot_be_written_is_no_cache_and_no_error() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("hashes"), "a file").unwrap();
    let cache = Cache::open_at(&folder.path().join("hashes"), Use::All, NOW);
    let mut files = cache.files(Path::new("/t"));
    files.learn(&stamp(1, OLD), &Digest::of(b"one"));
    files.save();
    cache.learn_listing(&Digest::of(b"l"), 0, &|_| {});
    assert_eq!(cache.files(Path::new("/t")).find(&stamp(1, OLD)), None);
}

#[test]
fn what_was_not_written_for_long_goes() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (folder.path().join("old"), folder.path().join("new"));
    fs::write(&new, "new").unwrap();
    let file = fs::File::create(&old).unwrap();
    let age = Duration::from_secs(86_400 * (u64::from(table::MAX_AGE_DAYS) + 1));
    file.set_modified(SystemTime::now() - age).unwrap();
    bound(folder.path(), MAX_FILES_OF_A_KIND);
    assert!(new.exists() && !old.exists());
}
