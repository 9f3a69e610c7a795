//! The one integration binary: a file per command or promise.
#![allow(
    clippy::needless_raw_string_hashes,
    clippy::unwrap_used,
    clippy::print_stdout,
    clippy::print_stderr,
    reason = "tests may panic and print, and snapbox writes the strings"
)]

mod bounds; // limits on what servers may say
mod cache_reuse; // nothing is done twice
mod calls; // what is synced, and calls that fail
mod cat; // one file of a kit
mod certificates; // which are believed, on every system
mod chains; // kits whose model is in another kit
mod charts; // docs/performance.md, its figures and its charts
mod check; // a Kitfile without packing
mod check_ignore; // which rule decides
mod chunked; // large layers in segments
mod cli_frame; // what every command shares: flags, help, failures
mod completion; // what shells offer while a line is typed
mod conformance; // the registry of the tests against what a real one does
mod copy; // from registry to registry
mod corpora; // the invariants that fuzzing looks to break, for all collected inputs
mod crashes; // processes that are killed, interrupted or stopped
mod delta; // what changed comes, the rest is here
mod diff; // comparing two kits
mod doctor; // what a report of a problem needs
mod du; // what kits take on the disk
mod failpoints; // where a test build can be made to fail
mod files; // what is in a kit
mod foreign; // kits as other tools write them
mod format_page; // docs/format.md tells what is written
mod golden; // kits that other tools made
mod guide; // the session it prints
mod history; // what names pointed to
mod house; // what holds for every file: licences, white space, links, the changelog
mod info; // the Kitfile of a kit, and parts of it
mod init; // a Kitfile for a directory
mod inspect; // the documents of a kit
mod install; // docs/install.md
mod layering; // which module may use which
mod limits; // what reading may cost, and moving that
mod list; // the kits there are
mod list_hostile;
mod list_remote; // what there is in a registry
mod load; // kits out of image layouts
mod login; // logins that a registry takes or refuses
mod login_files;
mod login_hints; // where logins are kept and found
mod login_network; // certificates, proxies, retries
mod look;
mod look_remote;
mod migrate; // kits out of the store of KitOps
mod modelpack;
mod modelpack_remote; // kits of the other format
mod pack; // `kit pack`
mod pack_parents; // kits on top of kits that are in a registry
mod pack_push; // straight from a directory to a registry
mod prune; // freeing what nothing needs
mod pull; // kits out of registries, whatever these do
mod push; // kits to a registry
mod random_trees; // pack and unpack against a model
mod readme; // the session it prints
mod reference; // docs/cli.md and the manual pages are what the program says of itself
mod reference_command_line; // what KitOps takes is taken, or listed as missing
mod registry_errors;
mod registry_ways;
mod reliability; // what may happen, and which tests show that it does no harm
mod remove;
mod remove_remote; // taking names and kits away
mod reproducible; // one tree, one digest
mod save; // kits as image layouts
mod security; // .github/SECURITY.md
mod settings; // the file in the home, the environment
mod shards; // large folders as several layers
mod sharing; // unpacking without copying
mod spdx; // licence expressions, for `house`
mod status; // a directory and the kit it came from
mod status_raw; // the same, of layers that are compressed or no archives
mod support; // the sandbox and what tests are built from
mod surroundings; // disks, clocks, memory, users
mod tag; // giving names
mod take; // single files and lists of files, out of a registry
mod toc; // tables of contents, wherever their kits go
mod toc_page; // docs/format.md tells enough for a second reader of tables of contents
mod together; // many processes on one store
mod unpack; // `kit unpack`
mod unpack_datasets; // what a kit names and does not hold
mod unpack_output; // what unpack prints for programs
mod unpack_remote; // out of a registry, without the store
mod verify; // finding and setting aside damage
mod verify_remote; // mending a store out of a registry
mod workflows; // those of the distribution specification that push
mod written_once; // no byte of a kit is stored twice

#[path = "../fuzz/invariants/mod.rs"]
#[expect(unreachable_pub, reason = "the fuzz targets use it as a library")]
mod invariants;

use std::{fs, path::Path};

/// Rust compiles only what is listed above: a file that was forgotten would never run.
#[test]
fn every_file_in_this_folder_is_listed() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/it");
    for (list, folder) in [
        ("main.rs", folder.clone()),
        ("support/mod.rs", folder.join("support")),
    ] {
        let text = fs::read_to_string(folder.join(list.rsplit('/').next().unwrap())).unwrap();
        let listed = |name: &str| {
            text.lines().any(|line| {
                let line = line.strip_prefix("pub(crate) ").unwrap_or(line);
                line.starts_with(&format!("mod {name};"))
            })
        };
        for entry in fs::read_dir(&folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            let is_module = path.is_dir() || path.extension().is_some_and(|e| e == "rs");
            if is_module && name != "main" && name != "mod" {
                assert!(listed(&name), "tests/it/{list}: add `mod {name};`");
            }
        }
    }
}
