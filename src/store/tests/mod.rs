//! The store as its users see it, in a directory of its own for each test.

mod crash;
mod locks;
mod names;
mod partials;
mod reading;
mod removal;

use std::{
    fs,
    io::Write as _,
    path::Path,
    sync::{Mutex, MutexGuard},
    time::Duration,
};

use super::*;
use crate::{
    limits::Limits,
    oci::media_type,
    progress::{Meter, Silent},
};

/// A store of its own, with what it takes to fill it.
struct Room {
    directory: tempfile::TempDir,
    store: Store,
}

impl Room {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let options = Options {
            lock_timeout: Duration::from_secs(60),
            limits: Limits::default(),
            command: "kit test".to_owned(),
        };
        let store = Store::open(&directory.path().join("home/store"), options).unwrap();
        Self { directory, store }
    }

    /// The same store as another process sees it, that gives up at once.
    fn impatient(&self, command: &str) -> Store {
        let options = Options {
            lock_timeout: Duration::ZERO,
            limits: Limits::default(),
            command: command.to_owned(),
        };
        Store::open(self.store.root(), options).unwrap()
    }

    /// Stores a kit with one layer for each `(media type, content)` and names it.
    fn pack_layers(&self, names: &[&str], layers: &[(&str, &str)]) -> Descriptor {
        let writer = self.store.writer(&Silent).unwrap();
        let mut described = Vec::new();
        for (media_type, content) in layers {
            put_layer(&writer, content);
            described.push(Descriptor::of(media_type, content.as_bytes()));
        }
        let config = format!("{{\"of\":{layers:?}}}");
        writer.put(config.as_bytes()).unwrap();
        let manifest = Manifest {
            artifact_type: Some(media_type::ARTIFACT.to_owned()),
            config: Descriptor::of(media_type::CONFIG, config.as_bytes()),
            layers: described,
            annotations: std::collections::BTreeMap::new(),
            subject: None,
        };
        let bytes = manifest.to_bytes();
        writer.put(&bytes).unwrap();
        let mut descriptor = Descriptor::of(media_type::MANIFEST, &bytes);
        descriptor.artifact_type = manifest.artifact_type;
        let names: Vec<Reference> = names.iter().map(|name| reference(name)).collect();
        writer.name(&names, &descriptor).unwrap();
        descriptor
    }

    fn pack(&self, names: &[&str], layer: &str) -> Descriptor {
        self.pack_layers(names, &[(MODEL, layer)])
    }

    /// The names in the index, digests shortened.
    fn names(&self) -> Vec<String> {
        let entries = self.store.entries(&Silent).unwrap();
        entries
            .iter()
            .map(|entry| short(&entry.log_name()))
            .collect()
    }

    fn blobs(&self) -> Vec<Digest> {
        blob::all(&self.store).unwrap()
    }

    fn has_blob(&self, content: &str) -> bool {
        self.store
            .blob_path(&Digest::of(content.as_bytes()))
            .exists()
    }

    /// Puts other bytes in place of a blob, whatever its mode.
    fn overwrite(&self, digest: &Digest, content: &[u8]) {
        let path = self.store.blob_path(digest);
        fs::remove_file(&path).unwrap();
        fs::write(path, content).unwrap();
    }

    fn verify(&self, repair: bool) -> VerifyReport {
        self.store.verify(&Scope::All, repair, &Silent).unwrap()
    }

    fn remove(&self, selection: &Selection) -> RemovalReport {
        let plan = self.store.plan_removal(selection, &Silent).unwrap();
        let report = self.store.remove(&plan, &Silent).unwrap();
        assert_eq!(plan.names, report.names, "the plan told what happened");
        report
    }
}

const MODEL: &str = "application/vnd.kitops.modelkit.model.v1.tar";
const DATASET: &str = "application/vnd.kitops.modelkit.dataset.v1.tar";

fn reference(text: &str) -> Reference {
    Reference::parse(text).unwrap()
}

fn put_layer(writer: &Writer<'_>, content: &str) -> Committed {
    let mut temporary = writer.create().unwrap();
    temporary.write_all(content.as_bytes()).unwrap();
    let digest = Digest::of(content.as_bytes());
    temporary.commit(&digest, content.len() as u64).unwrap()
}

/// Leaves 8 digits of each digest.
fn short(text: &str) -> String {
    match text.find("sha256:") {
        Some(start) => text[..start + 15].to_owned(),
        None => text.to_owned(),
    }
}

fn files_in(directory: &Path) -> Vec<String> {
    let mut names: Vec<String> = fs::read_dir(directory)
        .unwrap()
        .map(|found| found.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

/// Remembers what it was told.
#[derive(Default)]
struct Told(Mutex<Vec<String>>);

impl Told {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap()
    }
}

impl Progress for Told {
    fn begin(&self, _label: &str, _total: Option<u64>) -> Box<dyn Meter> {
        Box::new(Silent)
    }
    fn warn(&self, text: &str) {
        self.lines().push(format!("warning: {text}"));
    }
    fn status(&self, text: &str) {
        self.lines().push(text.to_owned());
    }
}
