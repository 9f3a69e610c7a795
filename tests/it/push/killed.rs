//! A push that is killed, and the next one.

use std::{
    net::TcpListener,
    process::Stdio,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::Duration,
};

use super::{CHUNKS, SEVERAL_CHUNKS, pack_large, push, refuse, with};
use crate::support::{
    Output, Sandbox,
    fake::uploads::{Habits, Trouble, Uploads},
    kits,
    registry::{RealRegistry, Setup},
    relay::{Relay, Stop},
};

const MIB: u64 = 1 << 20;

/// Runs a push until the relay stops it, kills it there, and runs it again. Returns the second,
/// and how many bytes both sent.
fn push_twice(kit: &Sandbox, relay: &Relay, words: &[&str]) -> (Output, u64, u64) {
    let all = ["push", "--plain-http", "--progress", "none"].into_iter();
    let mut child = kit
        .command(all.chain(words.iter().copied()))
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    while !relay.has_stopped() {
        thread::sleep(Duration::from_millis(10));
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
    }
    child.kill().unwrap();
    child.wait().unwrap();
    // What was passed on arrives.
    thread::sleep(Duration::from_millis(300));
    let first = relay.sent();
    let output = push(kit, words.iter().copied()).exits(0);
    (output, first, relay.sent())
}

#[test]
fn killed_between_two_requests_a_real_registry_gets_no_more_than_the_rest() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, size) = (Sandbox::new(), 10 * MIB);
    let relay = Relay::start(
        &registry.host(),
        Stop {
            after: 6 * MIB,
            between_requests: true,
        },
    );
    let name = format!("{}/team/net:1.0", relay.host());
    pack_large(&kit, &name, usize::try_from(size).unwrap());
    let (output, first, again) = push_twice(&kit, &relay, &[&name, CHUNKS[0], CHUNKS[1]]);
    assert_eq!(first, 6 * MIB);
    assert!(again * 100 <= size * 41, "{again} of {size}");
    assert!(output.stderr.contains("going on with"), "{output}");
    assert!(output.stderr.contains("were there from before"), "{output}");
    let other = Sandbox::new();
    let pulled = format!("{}/team/net:1.0", registry.host());
    let _ = other.run(["pull", &pulled]).exits(0);
}

#[test]
fn killed_within_a_request_a_real_registry_loses_that_blob_alone() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let kit = Sandbox::new();
    let relay = Relay::start(
        &registry.host(),
        Stop {
            after: 8 * MIB + 500_000,
            between_requests: false,
        },
    );
    let name = format!("{}/team/net:1.0", relay.host());
    let content =
        |bytes: u64, line: &str| line.repeat(usize::try_from(bytes).unwrap() / line.len());
    kit.file("packed/large.bin", content(6 * MIB, "0123456789abcdef"))
        .file("packed/small.bin", content(4 * MIB, "fedcba9876543210"));
    let kitfile = "model: {path: large.bin}\ndatasets:\n  - {name: small, path: small.bin}\n";
    let digest = kits::pack_kitfile(&kit, &name, kitfile);
    let small = kits::blobs(&kit, &digest).1.remove(1);
    let words = [&*name, CHUNKS[0], CHUNKS[1], "--concurrency", "1"];
    let (output, _, again) = push_twice(&kit, &relay, &words);
    assert!(
        (4 * MIB..4 * MIB + 20_000).contains(&again),
        "all of the second, and nothing of the first: {again}"
    );
    let words = format!("has dropped the upload of {small}: it starts over");
    assert!(output.stderr.contains(&words), "{output}");
    let pulled = format!("{}/team/net:1.0", registry.host());
    let _ = Sandbox::new().run(["pull", &pulled]).exits(0);
}

#[test]
fn killed_within_its_only_request_a_blob_starts_over_and_that_is_said() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, size) = (Sandbox::new(), 6 * MIB);
    let stop = Stop {
        after: 4 * MIB,
        between_requests: false,
    };
    let relay = Relay::start(&registry.host(), stop);
    let name = format!("{}/team/net:1.0", relay.host());
    let digest = pack_large(&kit, &name, usize::try_from(size).unwrap());
    let layer = kits::blobs(&kit, &digest).1.remove(0);
    let (output, _, again) = push_twice(&kit, &relay, &[&name]);
    assert!((size..size + 20_000).contains(&again), "{again}");
    let words = format!("has dropped the upload of {layer}: it starts over");
    assert!(output.stderr.contains(&words), "{output}");
}

#[test]
fn killed_within_a_request_a_registry_that_keeps_what_came_gets_no_more_than_the_rest() {
    let registry = Uploads::start(Habits {
        keeps_cut: true,
        ..Habits::default()
    });
    for (way, value) in [("--upload", "whole"), ("--chunk-size", "1MiB")] {
        let (kit, size) = (Sandbox::new(), 10 * MIB);
        registry.forget_all();
        let relay = Relay::start(
            &registry.host(),
            Stop {
                after: 6 * MIB + 100_000,
                between_requests: false,
            },
        );
        let name = format!("{}/team/net:1.0", relay.host());
        pack_large(&kit, &name, usize::try_from(size).unwrap());
        let (output, _, again) = push_twice(&kit, &relay, &[&name, way, value]);
        assert!(again * 100 <= size * 41, "{again} of {size}");
        assert!(output.stderr.contains("going on with"), "{output}");
        registry.has_kit("team/net", "1.0");
    }
}

// hazard: 143
#[test]
fn a_killed_push_goes_on_where_it_was() {
    for lost in [false, true] {
        let stop = Arc::new(AtomicBool::new(true));
        let registry = Uploads::start(with({
            let stop = Arc::clone(&stop);
            move |asked, number| {
                let held = asked.method == "PATCH" && number == 3 && stop.load(Ordering::SeqCst);
                held.then(|| {
                    Trouble::Answer(503, vec![("Retry-After", "60".to_owned())], String::new())
                })
            }
        }));
        let kit = Sandbox::new();
        let name = format!("{}/team/net:1.0", registry.host());
        pack_large(&kit, &name, SEVERAL_CHUNKS);
        let words = ["push", "--plain-http", &name].into_iter().chain(CHUNKS);
        let mut child = kit
            .command(words)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !registry.asked().iter().any(|it| it.status == 503) {
            thread::sleep(Duration::from_millis(10));
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        }
        child.kill().unwrap();
        child.wait().unwrap();
        stop.store(false, Ordering::SeqCst);
        registry.forget();
        if lost {
            registry.drop_uploads();
        }
        let output = push(&kit, [&*name].into_iter().chain(CHUNKS)).exits(0);
        registry.has_kit("team/net", "1.0");
        let words = if lost {
            "it starts over"
        } else {
            "going on with"
        };
        assert!(output.stderr.contains(words), "{output}");
        let all = SEVERAL_CHUNKS as u64;
        let expected = if lost { all } else { all - 3 * MIB };
        let received = registry.received();
        assert!(
            (expected..expected + 20_000).contains(&received),
            "{received}"
        );
        assert_eq!(
            std::fs::read_dir(kit.home().join("uploads"))
                .unwrap()
                .count(),
            0
        );
    }
}

#[test]
fn an_upload_on_a_machine_that_is_no_more_starts_over() {
    let refused = Arc::new(AtomicBool::new(true));
    let registry = Uploads::start(with({
        let refused = Arc::clone(&refused);
        move |asked, number| {
            let hits = asked.method == "PATCH" && number >= 3 && refused.load(Ordering::SeqCst);
            hits.then(|| refuse(403))
        }
    }));
    let kit = Sandbox::new();
    let name = format!("{}/team/net:1.0", registry.host());
    pack_large(&kit, &name, SEVERAL_CHUNKS);
    let words = || [&*name].into_iter().chain(CHUNKS);
    let _ = push(&kit, words()).exits(4);
    // As if the registry had sent on to another machine, of which nothing is left.
    let gone = TcpListener::bind("127.0.0.1:0").and_then(|it| it.local_addr());
    let gone = gone.unwrap().to_string();
    let files = std::fs::read_dir(kit.home().join("uploads")).unwrap();
    for file in files.map(|it| it.unwrap().path()) {
        let session = std::fs::read_to_string(&file).unwrap();
        assert!(session.contains(&registry.host()), "{session}");
        let other = session.replace(
            &format!("http://{}", registry.host()),
            &format!("http://{gone}"),
        );
        std::fs::write(&file, other).unwrap();
    }
    refused.store(false, Ordering::SeqCst);
    let output = push(&kit, words()).exits(0);
    registry.has_kit("team/net", "1.0");
    assert!(output.stderr.contains("it starts over"), "{output}");
}

/// Runs a push that is asked to stop when so many bytes have passed the relay.
#[cfg(unix)]
fn interrupted(kit: &Sandbox, relay: &Relay, signal: &str, bytes: u64, words: &[&str]) -> Output {
    let all = ["push", "--plain-http", "--progress", "none"].into_iter();
    let mut command = kit.command(all.chain(words.iter().copied()));
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let child = command.stderr(Stdio::piped()).spawn().unwrap();
    let mut sent = 0;
    while sent < bytes {
        thread::sleep(Duration::from_millis(5));
        sent += relay.sent();
    }
    let pid = child.id().to_string();
    let killed = std::process::Command::new("kill")
        .args([signal, &pid])
        .status();
    assert!(killed.unwrap().success());
    let output = child.wait_with_output().unwrap();
    relay.sent();
    Output {
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
        code: output.status.code().unwrap(),
    }
}

#[cfg(unix)]
#[test]
fn interrupted_within_a_request_a_real_registry_keeps_what_it_has() {
    let Some(registry) = RealRegistry::start(&Setup::default()) else {
        return;
    };
    let (kit, size) = (Sandbox::new(), 8 * MIB);
    let relay = Relay::start(
        &registry.host(),
        Stop {
            after: u64::MAX,
            between_requests: true,
        },
    );
    let name = format!("{}/team/net:1.0", relay.host());
    pack_large(&kit, &name, usize::try_from(size).unwrap());
    let slowly = [&*name, CHUNKS[0], CHUNKS[1], "--max-rate", "2MiB"];
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        // In the middle of a chunk, each time a new one.
        let output = interrupted(&kit, &relay, signal, 2 * MIB + 500_000, &slowly).exits(code);
        assert_eq!(output.stdout, "");
        for words in [
            "stopping when the chunks on their way have arrived",
            "hint: the same command goes on from there",
        ] {
            assert_eq!(output.stderr.matches(words).count(), 1, "{output}");
        }
    }
    let output = push(&kit, [&*name].into_iter().chain(CHUNKS)).exits(0);
    let again = relay.sent();
    assert!(again < 3 * MIB, "{again} of {size}");
    assert!(output.stderr.contains("going on with"), "{output}");
    let pulled = format!("{}/team/net:1.0", registry.host());
    let _ = Sandbox::new().run(["pull", &pulled]).exits(0);
}
