"""Rows 7.2 and 7.3: what changed comes, the rest is here. Row 7.9: how much disk each way takes at most."""

import json
import os
import pathlib
import subprocess
import threading
import time

import registry
from measure import size
from registry import Registry, Relay
from trees import MIB, noise, write


def row_7_2(bench):
    if missing(bench, "7.2"):
        return
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
    kits = Kits(bench, tree)
    kits.push("1")
    kits.pull("1")
    for number, (what, changed, change) in enumerate(changes):
        was = model.read_bytes()
        change(model)
        tag = f"c{number}"
        kits.push(tag)
        wire, told = kits.pull(tag)
        limit = MIB + changed * 12 // 10
        bench.row("7.2", f"{size(length)}, {what}: bytes on the wire, both ways",
                  f"{wire:,} ({told['fetched']:,} of blobs, {told['reused']:,} were here)", f"≤ {limit:,}",
                  "holds" if wire <= limit else "MISSED")
        kits.forget(tag)
        model.write_bytes(was)


def row_7_3(bench):
    if missing(bench, "7.3"):
        return
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
              "holds" if wire <= limit else "MISSED")


def row_7_9(bench):
    if missing(bench, "7.9"):
        return
    tree = bench.trees.mixed()
    total = sum(file.stat().st_size for file in tree.rglob("*") if file.is_file())
    kits = Kits(bench, tree)
    kits.push("1")
    name = f"{kits.relay.host}/team/net:1"
    local = kits.home

    def home():
        return bench.folder("home")

    def out():
        return bench.folder("out")

    ways = (
        ("`pack`", "in the store", home(), None, ["pack", tree, "-t", "bench:1"]),
        ("`pack --push --no-store`", "nothing here", home(), None,
         ["pack", tree, "-t", f"{kits.relay.host}/other/net:1", "--push", "--no-store"]),
        ("`pull`", "in the store", home(), None, ["pull", name]),
        ("`pull -d`", "in the folder", home(), out(), ["pull", name, "-d"]),
        ("`unpack`, from the store", "in the folder", local, out(), ["unpack", name, "-d"]),
        ("`unpack`, from a registry", "in the folder", home(), out(), ["unpack", name, "-d"]),
        ("`unpack --link`, raw layers", "as hard links", None, out(), ["unpack", "bench:raw", "--link", "-d"]),
    )
    for what, where, at, to, words in ways:
        if at is None:
            if os.geteuid() == 0:
                bench.skipped("7.9", what, "it is refused for root")
                continue
            at = home()
            bench.quiet(at, "pack", tree, "-t", "bench:raw", "--layer-format", "raw")
        command = [bench.kit, *map(str, words), *([str(to)] if to else []), "--progress", "none"]
        most = peak(command, bench.environment(at), [at, to], log=bench.work / "log")
        least = 0 if where in ("nothing here", "as hard links") else 1
        limit = least * total + 64 * MIB
        bench.row("7.9", f"{what}: disk at most, beside what was there", f"{size(most)}, {most / total:.2f} × the kit, {where}",
                  f"≤ {least} × and 64 MiB", "holds" if most <= limit else "MISSED")


def peak(command, environment, folders, log):
    """Runs a command, and returns how much more the folders held at most than before."""
    folders = [folder for folder in folders if folder]
    before, most, done = used(folders), 0, threading.Event()

    def watch():
        nonlocal most
        while not done.is_set():
            most = max(most, used(folders) - before)
            time.sleep(0.02)

    with open(log, "ab") as out:
        watcher = threading.Thread(target=watch)
        watcher.start()
        try:
            subprocess.run(command, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=out, check=True)
        finally:
            done.set()
            watcher.join()
    return max(most, used(folders) - before)


def used(folders):
    """Returns how many bytes of disk the files below folders take, each file once."""
    known, total = set(), 0
    for folder in folders:
        for root, _, names in os.walk(folder):
            for name in names:
                try:
                    found = os.lstat(os.path.join(root, name))
                except FileNotFoundError:
                    continue  # it was renamed or deleted meanwhile
                if (found.st_dev, found.st_ino) not in known:
                    known.add((found.st_dev, found.st_ino))
                    total += found.st_blocks * 512
    return total


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


def missing(bench, row):
    why = registry.missing()
    if not why and not bench.has("pull", "--dry-run"):
        why = "there is no `kit pull --dry-run`"
    if why:
        bench.skipped(row, ROWS[row][0], why)
    return why


def file_byte(file, at):
    with open(file, "rb") as opened:
        opened.seek(at)
        return opened.read(1)[0]


def patch(file, at, content):
    with open(file, "r+b") as opened:
        opened.seek(at)
        opened.write(content)


def insert(file, at, content):
    was = pathlib.Path(file).read_bytes()
    write(file, (was[:at], content, was[at:]))


def append(file, blocks):
    with open(file, "ab") as opened:
        for block in blocks:
            opened.write(block)


ROWS = {
    "7.2": ("pull of a changed file when the kit before is here", row_7_2),
    "7.3": ("pull of 1 % changed in 20 places when the kit before is here", row_7_3),
    "7.9": ("how much disk each way takes at most", row_7_9),
}
