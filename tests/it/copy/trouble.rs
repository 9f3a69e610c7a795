//! Copies over networks that break, from registries that are damaged.

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{Ipv4Addr, Shutdown, TcpListener, TcpStream},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
};

use super::{copy, push, two};
use crate::support::{
    Sandbox,
    fake::stuck::Stuck,
    kits,
    registry::{RealRegistry, Setup},
};

const MIB: u64 = 1 << 20;

/// Passes connections on to a server, and ends each after so many bytes of its answers.
struct Cutter {
    port: u16,
    end: Arc<AtomicBool>,
    passed: Arc<AtomicU64>,
}

impl Cutter {
    fn start(server: &str, most: u64) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let port = listener.local_addr().unwrap().port();
        let end = Arc::new(AtomicBool::new(false));
        let passed = Arc::new(AtomicU64::new(0));
        let server = server.replace("localhost", "127.0.0.1");
        let (ended, counter) = (Arc::clone(&end), Arc::clone(&passed));
        thread::spawn(move || {
            while let Ok((client, _)) = listener.accept() {
                if ended.load(Ordering::SeqCst) {
                    return;
                }
                let server = TcpStream::connect(&server).unwrap();
                let counter = Arc::clone(&counter);
                thread::spawn(move || pass(&client, &server, most, &counter));
            }
        });
        Self { port, end, passed }
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.end.store(true, Ordering::SeqCst);
        drop(TcpStream::connect((Ipv4Addr::LOCALHOST, self.port)));
    }
}

fn pass(client: &TcpStream, server: &TcpStream, most: u64, counter: &AtomicU64) {
    let (mut from, mut to) = (client.try_clone().unwrap(), server.try_clone().unwrap());
    thread::spawn(move || {
        let _ = std::io::copy(&mut from, &mut to); // Either side may end.
        let _ = to.shutdown(Shutdown::Write);
    });
    let (mut from, mut to) = (server, client);
    let mut left = usize::try_from(most).unwrap();
    let mut buffer = [0; 16 << 10];
    while left > 0 {
        let room = left.min(buffer.len());
        match from.read(&mut buffer[..room]) {
            Ok(read) if read > 0 && to.write_all(&buffer[..read]).is_ok() => {
                left -= read;
                counter.fetch_add(read as u64, Ordering::SeqCst);
            }
            _ => break,
        }
    }
    let _ = server.shutdown(Shutdown::Both);
    let _ = client.shutdown(Shutdown::Both);
}

#[test]
fn a_source_that_breaks_off_is_asked_for_the_rest() {
    let Some((one, two)) = two() else {
        return;
    };
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1", one.host());
    push(&kit, &name, 5 << 20);
    let cutter = Cutter::start(&one.host(), 700_000);
    let name = format!("localhost:{}/team/net:1", cutter.port);
    for (tag, way) in [("1", "whole"), ("2", "chunks")] {
        let target = format!("{}/{way}/net:{tag}", two.host());
        let before = cutter.passed.load(Ordering::SeqCst);
        copy(&kit, [&*name, &target, "--upload", way]).success();
        let passed = cutter.passed.load(Ordering::SeqCst) - before;
        assert!(passed < 5 * MIB + 100_000, "{way}: {passed}");
        assert_eq!(Sandbox::new().run(["pull", &target]).code, 0);
    }
    let before = cutter.passed.load(Ordering::SeqCst);
    copy(&kit, [&*name, "oci:folder"]).success();
    let passed = cutter.passed.load(Ordering::SeqCst) - before;
    assert!(passed < 5 * MIB + 100_000, "{passed}");
}

// hazard: 52
#[test]
fn a_wrong_blob_never_gets_a_name_at_the_target() {
    let Some((one, two)) = two() else {
        return;
    };
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1", one.host());
    let digest = push(&kit, &name, 3 << 20);
    let layer = kits::blobs(&kit, &digest).1.remove(0);
    let hex = layer.strip_prefix("sha256:").unwrap();
    let path = format!(
        "data/docker/registry/v2/blobs/sha256/{}/{hex}/data",
        &hex[..2]
    );
    let path = one.path(&path);
    let mut content = fs::read(&path).unwrap();
    content[2 << 20] ^= 1;
    fs::write(&path, content).unwrap();
    let target = format!("{}/prod/net:1", two.host());
    for more in [
        vec![&*target],
        vec![&*target, "--chunk-size", "1MiB"],
        vec!["oci:out:1"],
    ] {
        let words = [&*name].into_iter().chain(more.clone());
        let output = copy(&kit, words).exits(5);
        assert!(output.stderr.contains(&layer), "{output}");
    }
    assert_eq!(kit.run(["pull", &target]).code, 3);
    assert!(
        !two.path(&format!(
            "data/docker/registry/v2/blobs/sha256/{}/{hex}",
            &hex[..2]
        ))
        .exists()
    );
    assert!(!kit.path(format!("out/blobs/sha256/{hex}")).exists());
    // A part of a file that is no blob is not left either.
    let left = fs::read_dir(kit.path("out/blobs/sha256")).unwrap();
    let left = left.filter(|it| {
        it.as_ref()
            .unwrap()
            .file_name()
            .to_string_lossy()
            .contains("part")
    });
    assert_eq!(left.count(), 0);
}

#[test]
fn a_killed_copy_goes_on_where_it_was() {
    let Some(one) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let two = Stuck::start();
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1", one.host());
    push(&kit, &name, 5 << 20);
    let target = format!("{}/prod/net:1", two.registry.host());
    let words = [
        "copy",
        &name,
        &target,
        "--plain-http",
        "--chunk-size",
        "1MiB",
    ];
    two.kill(kit.command(words));
    let output = kit.run(words).exits(0);
    assert!(output.stderr.contains("going on with sha256:"), "{output}");
    assert!(two.registry.received() < 3 * MIB);
    two.registry.has_kit("prod/net", "1");
}
