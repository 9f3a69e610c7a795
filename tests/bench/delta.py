"""Rows 7.2 and 7.3: what changed comes, the rest is here."""

import json
import shutil

from measure import count, size
from registry import Registry, Relay, needs
from trees import MIB, noise, write


@needs(("pull", "--dry-run"))
def row_7_2(bench):
    """Who has the version before fetches the chunks that are new."""
    length = max(80 * MIB, bench.trees.big)  # below 64 MiB there is no table of contents
    tree = bench.trees.tree("tree-7.2", "model: {path: model.bin}\n",
                            lambda root: write(root / "model.bin", noise("model", length)))
    model = tree / "model.bin"
    middle = length // 2
    changes = (
        ("1 byte flipped", 1, lambda file: patch(file, middle, bytes([file_byte(file, middle) ^ 1]))),
        ("1 MiB inserted in the middle", MIB, lambda file: insert(file, middle, b"".join(noise("new", MIB)))),
        ("10 MiB appended", 10 * MIB, lambda file: append(file, noise("end", 10 * MIB))),
    )
    # No file is ever whole in this process: its peak is the least that can be measured of others.
    was = bench.folder("was")
    shutil.copyfile(model, was)
    kits = Kits(bench, tree)
    kits.push("1")
    kits.pull("1")
    for number, (what, changed, change) in enumerate(changes):
        change(model)
        tag = f"c{number}"
        kits.push(tag)
        wire, told = kits.pull(tag)
        limit = MIB + changed * 12 // 10
        bench.row("7.2", f"{size(length)}, {what}: bytes on the wire, both ways",
                  f"{wire:,} ({told['fetched']:,} of blobs, {told['reused']:,} were here)", f"≤ {limit:,}",
                  "holds" if wire <= limit else "MISSED", wire=count(wire, of=length, most=limit))
        kits.forget(tag)
        shutil.copyfile(was, model)


@needs(("pull", "--dry-run"))
def row_7_3(bench):
    """The same for changes in many places of several files."""
    length = max(80 * MIB, bench.trees.big)
    parts = 8

    def fill(root):
        write(root / "model.bin", noise("model", length))
        (root / "data").mkdir()
        for number in range(parts):
            write(root / "data" / f"{number}.bin", noise(number, length // parts))

    tree = bench.trees.tree("tree-7.3", "model: {path: model.bin}\ndatasets: [{name: d, path: data}]\n", fill)
    kits = Kits(bench, tree)
    kits.push("1")
    kits.pull("1")
    each = 2 * length // 100 // 20
    for place in range(10):
        patch(tree / "model.bin", length // 10 * place + 12345, b"".join(noise(f"new {place}", each)))
    for place in range(10):
        file = tree / "data" / f"{place % parts}.bin"
        patch(file, length // parts // 3 * (1 + place // parts), b"".join(noise(f"data {place}", each)))
    kits.push("2")
    wire, told = kits.pull("2")
    limit = 2 * length * 3 // 100
    bench.row("7.3", f"{size(2 * length)}, 1 % changed in 20 places: bytes on the wire, both ways",
              f"{wire:,}, {wire / length * 50:.2f} % ({told['reused']:,} were here)", f"≤ {limit:,}, 3 %",
              "holds" if wire <= limit else "MISSED", wire=count(wire, of=2 * length, most=limit))


class Kits:
    """Versions of a tree in a registry, and a store that pulls them."""

    def __init__(self, bench, tree):
        self.bench, self.tree = bench, tree
        self.home, self.puller = bench.folder("home"), bench.folder("home")
        self.relay = Relay(bench, Registry(bench))

    def name(self, tag):
        return f"{self.relay.host}/team/net:{tag}"

    def push(self, tag):
        self.bench.quiet(self.home, "pack", self.tree, "-t", self.name(tag), "-q")
        self.bench.quiet(self.home, "push", self.name(tag), "-q")

    def pull(self, tag):
        """Returns the bytes on the wire, both ways, and what kit tells."""
        self.relay.counted()
        _, said = self.bench.quiet(self.puller, "pull", self.name(tag), "-q", "--format", "json")
        sent, received, _ = self.relay.counted()
        return sent + received, json.loads(said)

    def forget(self, tag):
        self.bench.quiet(self.puller, "remove", self.name(tag), "-q")
        self.bench.quiet(self.home, "remove", self.name(tag), "-q")


def file_byte(file, at):
    with open(file, "rb") as opened:
        opened.seek(at)
        return opened.read(1)[0]


def patch(file, at, content):
    with open(file, "r+b") as opened:
        opened.seek(at)
        opened.write(content)


def insert(file, at, content):
    whole = file.with_name("whole")
    with open(file, "rb") as source, open(whole, "wb") as target:
        while at:
            piece = source.read(min(at, MIB))
            target.write(piece)
            at -= len(piece)
        target.write(content)
        shutil.copyfileobj(source, target)
    whole.rename(file)


def append(file, blocks):
    with open(file, "ab") as opened:
        for block in blocks:
            opened.write(block)


ROWS = {
    "7.2": ("pull of a changed file when the kit before is here", row_7_2),
    "7.3": ("pull of 1 % changed in 20 places when the kit before is here", row_7_3),
}
