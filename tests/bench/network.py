"""Rows 5.1 and on: registries, against curl that moves the same blobs. Those of trouble are in `trouble`."""

import json
import pathlib
import statistics

import registry
from measure import count, size
from registry import Registry, Relay, blobs, needs
from trees import MIB, warm

RATE = 25_000_000  # bytes a second that one connection gets in row 5.8
RANGES = 16


def kit(bench, home, *words, sync=None):
    """Runs kit measured, and returns that and its JSON."""
    out = bench.folder("json")
    with open(out, "wb") as into:
        run = bench.run([bench.kit, *words, "--format", "json", "--progress", "none"], sync=sync, home=home, into=into)
    return run, json.loads(out.read_text())


def push(bench, home, host, repository):
    return kit(bench, home, "push", "bench:1", f"{host}/{repository}:1", sync=bench.work)


def pull(bench, host, repository):
    return kit(bench, bench.folder("home"), "pull", f"{host}/{repository}:1", sync=bench.work)


def packed(bench, tree):
    home = bench.folder("home")
    bench.pack(tree, home)
    warm(home)
    return home


@needs(("push",), ("pull",))
def row_1(bench):
    """Everything goes to a registry once and comes from it once, verified, beside a program that moves bytes."""
    home = packed(bench, bench.trees.mixed())
    moved = blobs(home)
    length = sum(blob[1] for blob in moved)
    what = f"{size(bench.trees.big)} + {bench.trees.middle} × 100 KiB, {len(moved)} blobs"
    peaks, sent, fetched, wire = [], [], [], []

    # A new registry each time: a blob that it has would be written and thrown away.
    def fresh(send):
        empty = Registry(bench)
        try:
            return send(empty)
        finally:
            empty.stop()

    def ours(to):
        run, report = push(bench, home, to.host, "team/net")
        peaks.append(run.peak)
        sent.append(report["kits"][0]["sentBytes"])
        return run

    def other(to):
        return bench.run(registry.curl_push(to.host, "team/net", moved), sync=bench.work)

    times = bench.pairs(lambda: fresh(ours), lambda: fresh(other))
    bench.ratio("5.1", f"push {what}, against `curl` with a POST and a PUT each", *times, 1.05,
                f"; {share(sent, length)} sent, peak {size(max(peaks))}",
                wire=count(statistics.median(sent), of=length), peak=count(max(peaks)))

    full, peaks = Registry(bench), []
    push(bench, home, full.host, "team/net")
    warm(full.folder / "data")

    def fetch():
        full.answered()
        run, report = pull(bench, full.host, "team/net")
        peaks.append(run.peak)
        fetched.append(report["fetched"])
        wire.append(full.answered())
        return run

    def get():
        to = bench.folder("blobs")
        to.mkdir()
        return bench.run(registry.curl_pull(full.host, "team/net", moved, to), sync=bench.work)

    times = bench.pairs(fetch, get)
    bench.ratio("5.1", f"pull {what}, with verification, against `curl` with a GET each", *times, 1.05,
                f"; {share(wire, length)} given by the registry, {share(fetched, length)} taken by `kit`, "
                f"peak {size(max(peaks))}", wire=count(statistics.median(wire), of=length), peak=count(max(peaks)))


def share(moved, length):
    """Says how much was moved, of what there is."""
    return f"{statistics.median(moved) / length:.3f} of the bytes"


@needs(("push",), ("pull",))
def row_8(bench):
    """One large blob over connections that are slow each: it comes in several ranges at once."""
    home = packed(bench, bench.trees.one("tree-5.8", 2 * bench.trees.big))
    full = Registry(bench)
    push(bench, home, full.host, "team/net")
    warm(full.folder / "data")
    relay = Relay(bench, full, RATE)
    digest, length, _ = max(blobs(home), key=lambda blob: blob[1])
    peaks, opened, wire = [], [], []

    def fetch():
        relay.counted()
        run, _ = pull(bench, relay.host, "team/net")
        _, received, connections = relay.counted()
        peaks.append(run.peak)
        opened.append(connections)
        wire.append(received)
        return run

    def get():
        to = bench.folder("blobs")
        to.mkdir()
        return bench.run(registry.curl_ranges(relay.host, "team/net", digest, length, RANGES, to), sync=bench.work)

    ours, other = bench.pairs(fetch, get)
    bench.speed("5.8", f"pull of one blob of {size(length)}, {RATE // 10**6} MB/s a connection, "
                f"against {RANGES} `curl -r` at once", ours, other, 0.8,
                f"; {share(wire, length)} received over {statistics.median(opened):.0f} connections, peak {size(max(peaks))}",
                wire=count(statistics.median(wire), of=length), peak=count(max(peaks)))


@needs(("push",), ("pull",))
def row_9(bench):
    """No blob is ever whole in memory."""
    home = packed(bench, bench.trees.one("tree-5.9", 4 * bench.trees.big, holes=True))
    length = max(blob[1] for blob in blobs(home))
    full = Registry(bench)
    limit = 64 * MIB
    for verb, (run, _) in (("push", push(bench, home, full.host, "team/net")),
                           ("pull", pull(bench, full.host, "team/net"))):
        bench.row("5.9", f"peak memory: {verb} of {size(length)} in one blob", f"{size(run.peak)}; {run.seconds:.1f} s",
                  f"≤ {size(limit)}", "holds" if run.peak <= limit else "MISSED", peak=count(run.peak, most=limit))


def with_small(bench):
    """Returns a store with the kit of row 2 and a layer of 1 MiB beside, and a relay to a registry that has it."""
    if not hasattr(bench, "small"):
        home = packed(bench, bench.trees.mixed_and_small())
        full = Registry(bench)
        relay = Relay(bench, full)
        # Under its full name: that tells where in the registry its layers are.
        bench.quiet(home, "tag", "bench:1", f"{relay.host}/team/net:1")
        bench.quiet(home, "push", f"{relay.host}/team/net:1")
        bench.small = home, relay
    return bench.small


@needs(("push",), ("unpack", "--plain-http"))
def row_10(bench):
    """A part of a kit costs what that part is."""
    home, relay = with_small(bench)
    layer = registry.layer(home, "small.bin")
    total = sum(blob[1] for blob in blobs(home))
    empty, out = bench.folder("home"), bench.folder("out")
    relay.counted()
    bench.run([bench.kit, "unpack", f"{relay.host}/team/net:1", "--filter", "datasets:small", "-d", out,
               "--progress", "none"], home=empty)
    sent, received, _ = relay.counted()
    limit = layer + (64 << 10)
    wire = sent + received
    bench.row("5.10", f"`unpack --filter` of 1 MiB out of {size(total)}: bytes on the wire, both ways",
              f"{wire:,}, {wire - layer:,} more than the layer", f"≤ {limit:,}", "holds" if wire <= limit else "MISSED",
              wire=count(wire, of=total, most=limit))
    files = sorted(path.name for path in out.rglob("*") if path.is_file() and path.name != "Kitfile")
    same = files == ["small.bin"] and (out / "small.bin").read_bytes() == bench.trees.small_bytes()
    left = [path for path in pathlib.Path(empty).rglob("*") if path.is_file() and path.parent.name == "sha256"]
    bench.row("5.10", "what came out; what is left in the store", f"{'the file' if same else f'NOT the file: {files}'}; {len(left)} blobs",
              "the file; 0 blobs", "holds" if same and not left else "MISSED")


@needs(("push",))
def row_11(bench):
    """A registry that has the blobs is not sent them again."""
    home, relay = with_small(bench)
    total = sum(blob[1] for blob in blobs(home))

    def retag(what, home, *words):
        relay.counted()
        kit(bench, home, *words)
        sent, received, _ = relay.counted()
        bench.row("5.11", f"{what} of {size(total)} into another repository: bytes sent",
                  f"{sent:,}; {received:,} received", "≤ 100,000", "holds" if sent <= 100_000 else "MISSED",
                  wire=count(sent, of=total, most=100_000))

    retag("`kit push`", home, "push", f"{relay.host}/team/net:1", f"{relay.host}/prod/net:1")
    if bench.has("copy"):
        retag("`kit copy`", bench.folder("home"), "copy", f"{relay.host}/team/net:1", f"{relay.host}/copied/net:1")
    else:
        bench.skipped("5.11", "`kit copy` into another repository", "there is no `kit copy`")


ROWS = {
    "5.1": ("push and pull of the kit of row 2 over loopback to docker-registry, against curl moving the same blobs", row_1),
    "5.8": ("pull of one blob of 2 GiB with 25 MB/s a connection, against 16 curl -r at once", row_8),
    "5.9": ("peak memory of a push and a pull of 4 GiB", row_9),
    "5.10": ("unpack --filter of 1 MiB out of the kit of row 2, not in the store: bytes on the wire", row_10),
    "5.11": ("the kit of row 2 into another repository of the same registry: bytes sent", row_11),
}
