"""Rows 4.1 to 4.5: nothing done twice, all cores used."""

import os
import pathlib
import shutil
import statistics
import time

from measure import compared, count, size, spread
from trees import warm


def row_1(bench):
    """Nothing is read again that did not change, and no change is missed."""
    tree = bench.trees.mixed()
    first, again, written, peaks, touched = [], [], [], [], 0
    for _ in range(bench.pair_count):
        home = bench.folder("home")
        first.append(bench.pack(tree, home).seconds)
        before = blobs(home)
        run = bench.pack(tree, home)
        touched += blobs(home) != before
        again.append(run.seconds)
        written.append(run.written)
        peaks.append(run.peak)
    more = f"; {size(statistics.median(written))} written, peak {size(max(peaks))}"
    bench.ratio("4.1", f"pack {size(bench.trees.big)} + {bench.trees.middle} × 100 KiB again, unchanged, against the first time",
                again, first, 0.02, more, peak=count(max(peaks)))
    bench.row("4.1", "blobs made, replaced or touched by packing again", f"{touched} of {bench.pair_count} runs",
              "0", "holds" if touched == 0 else "MISSED")
    for what, change in (
        ("a byte changed in place, mtime put back", in_place),
        ("a file written again within a tick of the clock", within_a_tick),
        ("a file replaced by rename, mtime and size kept", by_rename),
    ):
        seen = sum(change_is_seen(bench, change) for _ in range(bench.tries))
        bench.row("4.1", what, f"seen {seen} of {bench.tries} times", "always", "holds" if seen == bench.tries else "MISSED")


def blobs(home):
    """Returns what tells whether a blob was written again."""
    found = (home / "store" / "blobs" / "sha256").iterdir()
    stats = ((path.name, path.stat()) for path in found)
    return sorted((name, stat.st_ino, stat.st_size, stat.st_mtime_ns, stat.st_ctime_ns) for name, stat in stats)


def change_is_seen(bench, change):
    home, tree = bench.folder("home"), bench.folder("tree")
    tree.mkdir()
    (tree / "Kitfile").write_text("manifestVersion: 1.0.0\npackage: {name: bench}\ndocs: [{path: a.txt}]\n")
    file = tree / "a.txt"
    file.write_bytes(b"one")

    def pack():
        return bench.quiet(home, "pack", tree, "-q", "-t", "bench:1", "--format", "{{ .Digest }}")[1]

    before = pack()
    if change is not within_a_tick:
        time.sleep(0.02)  # the file is old enough to be trusted
        pack()
    change(file)
    return pack() != before


def in_place(file):
    stat = file.stat()
    with open(file, "r+b") as content:
        content.write(b"t")
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns))


def within_a_tick(file):
    file.write_bytes(b"two")


def by_rename(file):
    stat = file.stat()
    other = file.with_name("other")
    other.write_bytes(b"two")
    os.utime(other, ns=(stat.st_atime_ns, stat.st_mtime_ns))
    other.rename(file)


def row_2(bench):
    """With nothing to read, looking at each file once is all that is left."""
    tree, home = bench.trees.files(), bench.folder("home")
    bench.pack(tree, home)
    time.sleep(0.1)
    bench.pack(tree, home)  # what was too young to be trusted the first time is recorded now

    def find():
        with open(os.devnull, "wb") as nowhere:
            return bench.run(["find", tree, "-printf", "%p %y %s %T@ %C@ %i %m\n"], into=nowhere)

    def status():
        # 10 would be a difference; what it says is not measured here.
        return bench.run([bench.kit, "status", tree, "--progress", "none"], home=home, check=False)

    for command, ours in (("pack", lambda: bench.pack(tree, home)), ("status", status)):
        what = f"`kit {command}` of {bench.trees.small} unchanged files, against `find -printf`"
        if not bench.has(command):
            bench.skipped("4.2", what, f"there is no `kit {command}`")
            continue
        if (code := ours().code) not in (0, 10):
            bench.row("4.2", what, f"exit {code}", "≤ 0.6 s or 1.5 ×", "MISSED")
            continue
        times, other = bench.pairs(ours, find)
        value = statistics.median(times) / statistics.median(other)
        holds = statistics.median(times) <= 0.6 or value <= 1.5
        bench.row("4.2", what, f"{value:.2f} × ({spread(times)} against {spread(other)})",
                  "≤ 0.6 s or 1.5 ×", "holds" if holds else "MISSED", **compared(times, other, most=1.5))


def row_3(bench):
    """Layers are hashed at the same time. The disk holds that back, so it is measured without one, too."""
    tree = bench.trees.parts()
    bench_threads(bench, "4.3", f"pack 8 layers of {size(bench.trees.part)}, a thread a core against `--threads 1`",
                  lambda threads: bench.pack(tree, bench.folder("home"), threads))
    # The same without a disk: what memory does not hold back, the program does.
    memory = pathlib.Path("/dev/shm")
    what = "the same, into a store in memory (tmpfs)"
    if not memory.is_dir() or shutil.disk_usage(memory).free < 10 * bench.trees.part:
        bench.skipped("4.3", what, "/dev/shm has no space")
        return

    def pack(threads):
        home = memory / f"kit-bench-{os.getpid()}"
        try:
            return bench.pack(tree, home, threads)
        finally:
            shutil.rmtree(home)

    bench_threads(bench, "4.3", what, pack)


def bench_threads(bench, name, what, pack):
    """Compares all cores with one."""
    if (os.cpu_count() or 1) < 2:
        bench.skipped(name, what, "there is one core")
        return
    ours, other = bench.pairs(lambda: pack(None), lambda: pack(1))
    bench.speed(name, what, ours, other, 1.7)


def row_5(bench):
    """One layer is compressed by all cores, and its bytes do not depend on how many there are."""
    tree = None
    for method in ("gzip", "gzip-fastest", "zstd"):
        what = f"pack {size(bench.trees.big)} of text with `--compression {method}`"
        if not bench.has("pack", "--compression", method):
            bench.skipped("4.5", what, f"there is no `--compression {method}`")
            continue
        tree = tree or bench.trees.text()
        warm(tree)
        more = ("--compression", method)
        layers, peaks = {}, {}
        for threads in (1, 2, 7):
            home = bench.folder("home")
            peaks[threads] = bench.pack(tree, home, threads, more).peak
            layers[threads] = max(blobs(home), key=lambda blob: blob[2])
        length = next(iter(layers.values()))[2]
        same = len({blob[0] for blob in layers.values()}) == 1
        bench.row("4.5", f"{what}: the layer with 1, 2 and 7 threads",
                  f"{'the same' if same else 'NOT the same'}; {length / bench.trees.big:.2f} of the size; "
                  f"peak {', '.join(size(peak) for peak in peaks.values())}",
                  "the same", "holds" if same else "MISSED", peak=count(max(peaks.values())))
        bench_threads(bench, "4.5", f"{what}: a thread a core against one",
                      lambda threads, more=more: bench.pack(tree, bench.folder("home"), threads, more))


ROWS = {
    "4.1": ("the tree of row 2 packed again unchanged, against the first time; changes that must be seen", row_1),
    "4.2": ("pack and status of 100,000 unchanged files, against find -printf", row_2),
    "4.3": ("pack of 8 layers of 256 MiB with all cores, against one thread", row_3),
    "4.5": ("gzip and zstd of 1 GiB of text-like data with 1, 2 and 7 threads", row_5),
}
