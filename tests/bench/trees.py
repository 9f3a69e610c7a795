"""The fixed trees: the same bytes from the same seeds, on any machine."""

import array
import multiprocessing
import os
import pathlib
import random
import subprocess
import sys

MIB = 1 << 20


class Trees:
    """Makes trees in the work folder, each once."""

    def __init__(self, work, scale):
        self.work = work
        # --scale makes them smaller to try the scripts themselves.
        self.big = max(MIB, int(1024 * MIB * scale))
        self.middle = max(2, int(2000 * scale))
        self.small = max(1000, int(100_000 * scale))
        self.many = max(1000, int(1_000_000 * scale))
        self.part = max(MIB, int(256 * MIB * scale))
        self.kits = max(5, int(2000 * scale))
        # How large the layers of a folder are; what kit does by itself for trees that are not made smaller.
        self.shard = None if scale >= 1 else max(16 << 10, int(32 * MIB * scale))

    def tree(self, name, kitfile, fill):
        """Makes a tree once, and reads it: every run starts with warm sources."""
        root = self.work / name
        if not root.exists():
            print(f"making {name}", file=sys.stderr)
            root.mkdir()
            (root / "Kitfile").write_text(f"manifestVersion: 1.0.0\npackage: {{name: bench}}\n{kitfile}")
            # In a process of its own: the peak of this one is the least that can be measured of others.
            maker = multiprocessing.get_context("fork").Process(target=fill, args=(root,))
            maker.start()
            maker.join()
            if maker.exitcode:
                sys.exit(f"cannot make {root}")
            subprocess.run(["sync", "-f", str(root)], check=True)
        warm(root)
        return root

    def mixed(self):
        def fill(root):
            with open(root / "model.bin", "wb") as file:
                for block in noise("model", self.big):
                    file.write(block)
            (root / "data").mkdir()
            for number in range(self.middle):
                (root / "data" / f"{number:05}.bin").write_bytes(b"".join(noise(number, 100 << 10)))

        return self.tree("tree-2", "model: {path: model.bin}\ndatasets: [{name: d, path: data}]\n", fill)

    def files(self):
        return self.tree("tree-3", "datasets: [{name: d, path: data}]\n",
                         lambda root: small_files(root / "data", self.small, 2 << 10))

    def changing(self):
        """Many files, some of which the rows change."""
        return self.tree("tree-7.1", "datasets: [{name: d, path: data}]\n",
                         lambda root: small_files(root / "data", self.small, 12 << 10))

    def million(self):
        return self.tree("tree-5", "datasets: [{name: d, path: data}]\n",
                         lambda root: small_files(root / "data", self.many, 64))

    def one(self, name, length, holes=False):
        """A model of one file; with holes it takes no space."""
        def fill(root):
            write(root / "model.bin", () if holes else noise("one", length))
            os.truncate(root / "model.bin", length)

        return self.tree(name, "model: {path: model.bin}\n", fill)

    def mixed_and_small(self):
        """The files of `mixed`, and a dataset of 1 MiB."""
        mixed = self.mixed()

        def fill(root):
            linked(mixed, root)
            (root / "small.bin").write_bytes(self.small_bytes())

        return self.tree("tree-5.10", "model: {path: model.bin}\n"
                         "datasets: [{name: d, path: data}, {name: small, path: small.bin}]\n", fill)

    def mixed_and_pick(self):
        """The files of `mixed`, and one of 1 MiB among those of its dataset."""
        mixed = self.mixed()

        def fill(root):
            linked(mixed, root)
            (root / "data" / "pick.bin").write_bytes(self.small_bytes())

        return self.tree("tree-7.4", "model: {path: model.bin}\ndatasets: [{name: d, path: data}]\n", fill)

    @staticmethod
    def small_bytes():
        return b"".join(noise("small", MIB))

    def parts(self):
        def fill(root):
            for number in range(8):
                write(root / f"{number}.bin", noise(number, self.part))

        entries = ", ".join(f"{{name: p{number}, path: {number}.bin}}" for number in range(8))
        return self.tree("tree-parts", f"datasets: [{entries}]\n", fill)

    def text(self):
        return self.tree("tree-text", "datasets: [{name: d, path: text.txt}]\n",
                         lambda root: write(root / "text.txt", text("text", self.big)))


def linked(mixed, root):
    """Makes the files of `mixed` again, in no space."""
    (root / "data").mkdir()
    os.link(mixed / "model.bin", root / "model.bin")
    for file in (mixed / "data").iterdir():
        os.link(file, root / "data" / file.name)


def write(path, blocks):
    with open(path, "wb") as file:
        for block in blocks:
            file.write(block)


def noise(seed, length):
    """Yields `length` bytes that do not compress, the same ones for the same seed."""
    source = random.Random(seed)
    for at in range(0, length, MIB):
        yield source.randbytes(min(MIB, length - at))


def small_files(root, number, size):
    folders = min(1000, number)
    for folder in range(folders):
        to = root / f"{folder:03}"
        to.mkdir(parents=True)
        for file in range(folder, number, folders):
            (to / f"{file:07}.csv").write_bytes(next(noise(file, size)))


def text(seed, length):
    """Yields `length` bytes that compress as prose does: words, the frequent ones far more often."""
    source = random.Random(seed)
    letters = "etaoinshrdlucmfwypvbgkjqxz"
    common = [len(letters) - at for at in range(len(letters))]
    words = ["".join(source.choices(letters, common, k=1 + at.bit_length() // 2 + source.randrange(5))).encode()
             for at in range(8000)]
    weights = [1 / (at + 3) for at in range(len(words))]
    # Two random bytes choose a word: that is fast, and fast enough for a GiB.
    table = source.choices(words, weights, k=1 << 16)
    while length > 0:
        numbers = array.array("H", source.randbytes(MIB))
        if sys.byteorder == "big":
            numbers.byteswap()
        block = b" ".join(map(table.__getitem__, numbers))[:length - 1] + b"\n"
        yield block
        length -= len(block)


def warm(path):
    """Reads all of a tree or a file."""
    files = [path] if path.is_file() else (
        pathlib.Path(at) / name for at, _, names in os.walk(path) for name in names
    )
    for file in files:
        with open(file, "rb") as content:
            while content.read(MIB):
                pass
