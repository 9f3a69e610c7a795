"""Rows 7.1 and on: what a change costs."""

import collections
import json
import statistics

from measure import count, size
from registry import Registry, Relay, needs
from trees import noise, warm

# What one round of a change came to: the relay to the registry, and what was measured on the way.
Round = collections.namedtuple("Round", "relay first second touched sent pulled")


def edit(tree, number):
    """Adds, changes and removes a file, others in each round."""
    folders = sorted(path for path in (tree / "data").iterdir())

    def folder(part):
        return folders[(len(folders) * part // 4 + number) % len(folders)]

    (folder(1) / f"added-{number}.csv").write_bytes(next(noise(f"added {number}", 12 << 10)))
    changed, removed = (next(path for path in sorted(folder(part).iterdir()) if "added" not in path.name) for part in (2, 3))
    changed.write_bytes(next(noise(f"changed {number}", 12 << 10)))
    removed.unlink()


def layers(bench, home, name):
    manifest = json.loads(bench.quiet(home, "inspect", name)[1])["manifest"]
    return {layer["digest"] for layer in manifest["layers"]}


def change(bench, tree, number):
    """Packs, pushes and pulls a tree, and once more after three of its files changed."""
    home = bench.folder("home")
    relay = Relay(bench, Registry(bench))
    names = [f"{relay.host}/team/net:{version}" for version in (1, 2)]

    def pack(name):
        # A trial has smaller trees, which would be one layer.
        more = ("--shard-size", str(bench.trees.shard)) if bench.trees.shard else ()
        return bench.run([bench.kit, "pack", tree, "-t", name, "--progress", "none", *more], sync=home.parent, home=home)

    def push(name):
        relay.counted()
        bench.run([bench.kit, "push", name, "--progress", "none"], home=home)
        return relay.counted()[0]

    def pull(name):
        relay.counted()
        bench.run([bench.kit, "pull", name, "--progress", "none"], home=other)
        return sum(relay.counted()[:2])

    other = bench.folder("home")
    first = pack(names[0]).seconds
    push(names[0])
    pull(names[0])
    edit(tree, number)
    second = pack(names[1]).seconds
    sent = push(names[1])
    pulled = pull(names[1])
    touched = len(layers(bench, home, names[1]) - layers(bench, home, names[0]))
    return Round(relay, first, second, touched, sent, pulled)


@needs(("pack", "--shard-size=off"), ("push",))
def row_1(bench):
    """A few files of very many change: a few of their shards are sent, and a few chunks are fetched."""
    tree = bench.trees.changing()
    length = sum(path.stat().st_size for path in (tree / "data").rglob("*") if path.is_file())
    what = f"{bench.trees.small} files of 12 KiB, one added, one changed, one removed"
    rounds = []
    for number in range(bench.pair_count):
        before = bench.fresh
        warm(tree)
        rounds.append(change(bench, tree, number))
        if bench.drop:
            rounds[-1].relay.stop()
            bench.delete(before)

    bench.ratio("7.1", f"`kit pack` of {what}, against the first time",
                [it.second for it in rounds], [it.first for it in rounds], 0.3)
    shards = [it.touched for it in rounds]
    bench.row("7.1", f"layers that are new of {what}", f"{statistics.median(shards):.0f}, {min(shards)}–{max(shards)}",
              "≤ 4", "holds" if max(shards) <= 4 else "MISSED")
    for what, moved, digits, limit in (
        ("`kit push` after three of these files changed: bytes sent", [it.sent for it in rounds], 1, 0.25),
        ("`kit pull` after three of these files changed: bytes both ways", [it.pulled for it in rounds], 2, 0.02),
    ):
        middle, least, most = (f"{value / length:.{digits}%}" for value in (statistics.median(moved), min(moved), max(moved)))
        bench.row("7.1", f"{what}, of {size(length)}", f"{middle}, {least}–{most}", f"≤ {limit * 100:.0f} %",
                  "holds" if max(moved) <= limit * length else "MISSED",
                  wire=count(statistics.median(moved), of=length, most=limit * length))


ROWS = {
    "7.1": ("a change of three among 100,000 files: local pack, push to docker-registry, and pull", row_1),
}
