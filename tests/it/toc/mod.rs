//! `kit toc`, and tables of contents wherever their kits go.

mod local;
mod registries;

use serde_json::Value;

use crate::support::{Sandbox, kits};

/// Packs a small kit, gives it a table of contents, and returns the digests of the kit and of the
/// table.
#[track_caller]
fn pack(kit: &Sandbox, name: &str, content: &str) -> (String, String) {
    kits::pack(kit, name, content);
    let added = kit.run(["toc", "add", name, "--format", "json"]).json();
    let digest = |it: &Value| it.as_str().unwrap().to_owned();
    (digest(&added["digest"]), digest(&added["toc"]["digest"]))
}
