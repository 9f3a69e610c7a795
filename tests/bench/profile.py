"""Row 7.8: where the time of pack, push, pull and unpack goes, beside what the machine needs for the parts."""

import collections
import os
import pathlib
import statistics
import subprocess
import time

import registry
from measure import size
from registry import Registry, blobs
from trees import MIB, noise, warm

STEP = 16 * MIB  # how much is written between two calls that send it to the disk

# A part of the work by itself: what it is, and its seconds.
Floor = collections.namedtuple("Floor", "what seconds")
# What a floor took, where no other program runs.
Took = collections.namedtuple("Took", "seconds")


def row_8(bench):
    mixed, many = bench.trees.mixed(), bench.trees.files()
    for what, tree in (
        (f"{size(bench.trees.big)} + {bench.trees.middle} × 100 KiB", mixed),
        (f"{bench.trees.small} × 2 KiB", many),
    ):
        profile(bench, what, tree)


def profile(bench, what, tree):
    homes = []

    def pack():
        homes.append(bench.folder("home"))
        return bench.pack(tree, homes[-1])

    packed = several(bench, pack)
    home = homes[-1]
    warm(home)
    moved = blobs(home)
    lengths = [length for _, length, _ in moved]
    without = several(bench, lambda: bench.pack(tree, bench.folder("home"), more=("--no-toc",)))
    headers = several(bench, lambda: bench.run(["tar", "cf", os.devnull, "-C", tree, "."]))
    with open(os.devnull, "wb") as nowhere:
        reading = several(bench, lambda: bench.run(["find", tree, "-type", "f", "-exec", "cat", "{}", "+"], into=nowhere))
    verified = several(bench, lambda: bench.run([bench.kit, "verify", "bench:1", "--progress", "none"], home=home))
    disk = Floor("the disk: as many bytes written and synced", median(several(bench, lambda: written(bench, lengths))))
    hashed = Floor("SHA-256: all bytes once, on one core (own time of `kit verify`)", own(verified))
    longest = Floor("SHA-256: the longest layer, which one core hashes", own(verified) * max(lengths) / sum(lengths))
    phase(bench, f"pack {what}", packed, [
        disk, longest,
        Floor("headers: names, sizes and modes of all files (`tar cf /dev/null`)", median(headers)),
        Floor("reading: all files opened and read (`cat`)", median(reading)),
    ], [
        hashed,
        Floor("the table of contents: processors, against `--no-toc`", processors(packed) - processors(without)),
    ])

    unpacked = several(bench, lambda: bench.unpack(home, bench.folder("out")))
    phase(bench, f"unpack {what}", unpacked, [
        Floor("the disk: as many files of these sizes made, and synced once",
              median(several(bench, lambda: made(bench, tree)))),
        longest,
    ], [hashed])

    if why := registry.missing():
        bench.skipped("7.8", f"push and pull {what}", why)
        return
    transfers(bench, what, home, moved, (disk, longest, hashed))


def transfers(bench, what, home, moved, floors):
    disk, longest, hashed = floors
    repository = "team/net"
    used = {"push": [], "pull": []}

    def with_registry(verb, full, call):
        before = spent(full.process.pid)
        run = call()
        used[verb].append(spent(full.process.pid) - before)
        return run

    # A new registry each time: a blob that it has would be written and thrown away.
    def fresh(call):
        full = Registry(bench)
        try:
            return call(full)
        finally:
            full.stop()

    def push(full):
        words = [bench.kit, "push", "bench:1", f"{full.host}/{repository}:1", "--progress", "none"]
        return with_registry("push", full, lambda: bench.run(words, sync=bench.work, home=home))

    def sent(full):
        return bench.run(registry.curl_push(full.host, repository, moved), sync=bench.work)

    pushed, others = several(bench, lambda: fresh(push)), several(bench, lambda: fresh(sent))
    phase(bench, f"push {what}", pushed, [
        Floor("the registry: the same blobs sent with `curl`", median(others)), longest,
    ], [hashed, Floor("docker-registry: processors", statistics.median(used["push"]))])

    full = Registry(bench)
    bench.quiet(home, "push", "bench:1", f"{full.host}/{repository}:1", "-q")
    warm(full.folder / "data")

    def pull():
        words = [bench.kit, "pull", f"{full.host}/{repository}:1", "--progress", "none"]
        return with_registry("pull", full, lambda: bench.run(words, sync=bench.work, home=bench.folder("home")))

    def given():
        command = registry.curl_pull(full.host, repository, moved, bench.work)
        command[-1] = "\n".join(line if " -o " not in line else thrown_away(line) for line in command[-1].split("\n"))
        return bench.run(command)

    pulled, others = several(bench, pull), several(bench, given)
    phase(bench, f"pull {what}", pulled, [
        disk, Floor("the registry: the same blobs fetched with `curl` and thrown away", median(others)), longest,
    ], [hashed, Floor("docker-registry: processors", statistics.median(used["pull"]))])


def thrown_away(line):
    """Lets a `curl` of a script write to nowhere."""
    before, after = line.split(" -o ", 1)
    return f"{before} -o {os.devnull} {after.split(' ', 1)[1]}"


def phase(bench, what, runs, floors, parts):
    """Lists a phase, what each part of it takes by itself, and what is above the largest of those that cannot be shared."""
    seconds, limit = median(runs), max(floors, key=lambda floor: floor.seconds)
    system = statistics.median(run.system for run in runs)
    least, most = min(run.seconds for run in runs), max(run.seconds for run in runs)
    bench.row("7.8", what,
              f"{seconds:.3g} s, {least:.3g}–{most:.3g}; processors {processors(runs):.3g} s, {system:.3g} of them in the kernel",
              "limit and rest listed", "listed")
    for floor in (*floors, *parts):
        mark = "limit" if floor is limit else "part"
        bench.row("7.8", f"— {floor.what}", f"{floor.seconds:.3g} s, {floor.seconds / seconds:.0%}", "", mark)
    left = seconds - limit.seconds
    bench.row("7.8", "— what is above the limit", f"{left:.3g} s, {left / seconds:.0%}", "", "rest")


def several(bench, call):
    """Runs something as often as pairs are run; the last one stays where the disk is small."""
    runs, before = [], bench.fresh
    for _ in range(bench.pair_count):
        if bench.drop:
            bench.delete(before)
        before = bench.fresh
        runs.append(call())
    return runs


def timed(bench, call):
    subprocess.run(["sync", "-f", str(bench.work)], check=True)
    start = time.perf_counter()
    call()
    return Took(time.perf_counter() - start)


def written(bench, lengths):
    """Writes files of these lengths as `kit` does: room is reserved, and they go to the disk meanwhile."""
    to, block = bench.folder("written"), next(noise("floor", MIB))
    to.mkdir()

    def write():
        for number, length in enumerate(lengths):
            with open(to / str(number), "wb", buffering=0) as file:
                if length:
                    os.posix_fallocate(file.fileno(), 0, length)
                for at in range(0, length, MIB):
                    file.write(block[:length - at])
                    if at % STEP == 0 and at >= 2 * STEP:
                        os.posix_fadvise(file.fileno(), at - 2 * STEP, 2 * STEP, os.POSIX_FADV_DONTNEED)
                os.fsync(file.fileno())
        subprocess.run(["sync", "-f", str(to)], check=True)

    return timed(bench, write)


def made(bench, tree):
    """Makes as many files as a tree has, with as many bytes."""
    to, block = bench.folder("made"), next(noise("floor", MIB))
    found = [(pathlib.Path(at).relative_to(tree), [(name, os.stat(os.path.join(at, name)).st_size) for name in names])
             for at, _, names in os.walk(tree)]

    def make():
        for folder, names in found:
            os.makedirs(to / folder, exist_ok=True)
            for name, length in names:
                file = os.open(f"{to}/{folder}/{name}", os.O_WRONLY | os.O_CREAT | os.O_EXCL)
                for at in range(0, length, MIB):
                    os.write(file, block[:length - at])
                os.close(file)
        subprocess.run(["sync", "-f", str(to)], check=True)

    return timed(bench, make)


def spent(process):
    """Returns the seconds that a process has spent on processors."""
    fields = pathlib.Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def median(runs):
    return statistics.median(run.seconds for run in runs)


def processors(runs):
    return statistics.median(run.cpu for run in runs)


def own(runs):
    """Returns the time on processors that was not the kernel's."""
    return statistics.median(run.cpu - run.system for run in runs)


ROWS = {"7.8": ("where the time of pack, push, pull and unpack goes", row_8)}
