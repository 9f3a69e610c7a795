"""Rows 2 to 6: the local core against cp and tar."""

import os
import statistics
import time

from measure import count
from trees import MIB, warm


def row_2(bench):
    """Large and middle files into the store, hashed on the way, beside a copy that does not look at them."""
    tree = bench.trees.mixed()

    def copy():
        to = bench.folder("copy")
        return bench.run(["cp", "-r", tree, to], sync=to.parent)

    ours, other = bench.pairs(lambda: bench.pack(tree, bench.folder("home")), copy)
    bench.ratio("2", f"pack {bench.trees.big // MIB} MiB + {bench.trees.middle} × 100 KiB, against `cp -r`", ours, other, 1.1)


def row_3(bench):
    """Many small files: what each file costs, not its bytes."""
    tree = bench.trees.files()

    def tar():
        return bench.run(["tar", "cf", bench.folder("tar"), "-C", tree, "."], sync=bench.work)

    ours, other = bench.pairs(lambda: bench.pack(tree, bench.folder("home")), tar)
    bench.ratio("3", f"pack {bench.trees.small} × 2 KiB, against `tar cf`", ours, other, 1.3)


def row_4(bench):
    """Many small files out of the store. All is verified before anything is seen in the folder."""
    tree, home, archive = bench.trees.files(), bench.folder("home"), bench.folder("tar")
    bench.pack(tree, home)
    bench.run(["tar", "cf", archive, "-C", tree, "."])

    def untar():
        to = bench.folder("out")
        to.mkdir()
        return bench.run(["tar", "xf", archive, "-C", to], sync=to.parent)

    def unpack():
        return bench.unpack(home, bench.folder("out"))

    warm(home)
    warm(archive)
    ours, other = bench.pairs(unpack, untar)
    bench.ratio("4", f"unpack {bench.trees.small} × 2 KiB with `ulimit -n 256`, against `tar xf`", ours, other, 1.1)
    flipped(bench, home)


def flipped(bench, home):
    """Unpacks a layer whose last byte was changed: nothing of it may be seen."""
    blobs = (home / "store" / "blobs" / "sha256").iterdir()
    layer = max(blobs, key=lambda path: path.stat().st_size)
    layer.chmod(0o644)
    with open(layer, "r+b") as file:
        file.seek(-1, os.SEEK_END)
        last = file.read(1)
        file.seek(-1, os.SEEK_END)
        file.write(bytes([last[0] ^ 1]))
    out = bench.folder("out")
    code = bench.unpack(home, out, check=False).code
    seen = sum(len(names) for at, _, names in os.walk(out) if ".kit-unpack-" not in at)
    seen -= (out / "Kitfile").exists()
    verdict = "holds" if code == 5 and seen == 0 else "MISSED"
    bench.row("4", "last byte of a layer flipped", f"exit {code}, {seen} files seen", "exit 5, 0 files", verdict)


def row_5(bench):
    """Memory depends on neither the size of files nor the number of threads, and little on how many files there are."""
    trees = [
        ("2", bench.trees.mixed(), bench.trees.middle + 1),
        ("3, 4", bench.trees.files(), bench.trees.small),
        (f"{bench.trees.many} files", bench.trees.million(), bench.trees.many),
    ]
    for name, tree, files in trees:
        for threads in (2, 16):
            home = bench.folder("home")
            packed = bench.pack(tree, home, threads)
            unpacked = bench.unpack(home, bench.folder("out"), threads)
            for verb, run in (("pack", packed), ("unpack", unpacked)):
                limit = 64 * MIB + 150 * files
                verdict = "holds" if run.peak <= limit else "MISSED"
                bench.row("5", f"peak memory: {verb} of {name}, {threads} threads",
                          f"{run.peak / MIB:.1f} MiB", f"≤ {limit / MIB:.1f} MiB", verdict, peak=count(run.peak, most=limit))


def row_6(bench):
    """What a person waits for at the keyboard."""
    home, tree = bench.folder("home"), bench.folder("tree")
    tree.mkdir()
    (tree / "Kitfile").write_text("manifestVersion: 1.0.0\npackage: {name: bench}\ndocs: [{path: note.md}]\n")
    for number in range(bench.trees.kits):
        (tree / "note.md").write_text(f"{number}\n")
        bench.quiet(home, "pack", tree, "-t", f"team/kit-{number:04}:1")
    for what, limit, command in (
        ("version", 5, ["version"]),
        (f"list, {bench.trees.kits} kits", 50, ["list"]),
        (f"__complete unpack, {bench.trees.kits} kits", 50, ["__complete", "unpack", ""]),
    ):
        times = []
        for _ in range(bench.tries + 11):
            start = time.perf_counter()
            bench.quiet(home, *command)
            times.append((time.perf_counter() - start) * 1000)
        middle = statistics.median(times)
        verdict = "holds" if middle <= limit else "MISSED"
        bench.row("6", f"`kit {what}`", f"{middle:.1f} ms ({min(times):.1f}–{max(times):.1f})",
                  f"≤ {limit} ms", verdict)


ROWS = {
    "2": ("pack of one 1 GiB file and 2,000 files of 100 KiB, against cp -r", row_2),
    "3": ("pack of 100,000 files of 2 KiB in 1,000 folders, against tar cf", row_3),
    "4": ("unpack of these with at most 256 open files, against tar xf; a layer with its last byte flipped", row_4),
    "5": ("peak memory of 2, 3, 4 and of 1,000,000 small files, with 2 and with 16 threads", row_5),
    "6": ("kit version, kit list and a completion with 2,000 kits", row_6),
}
