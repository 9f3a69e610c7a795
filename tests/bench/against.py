"""Rows 7.10 and 7.11: a kit and a change of it, against skopeo and dvc."""

import collections
import os
import re
import shutil
import statistics
import subprocess
import sys

from change import edit
from delta import file_byte, patch
from measure import count, seconds, size
from network import packed
from registry import Registry, Relay, needs
from trees import MIB, linked, noise, small_files, warm, write

DVC = "dvc==3.67.1"
# What runs beside kit, for the versions that the page names.
OTHERS = {
    "7.10": ("docker-registry", "skopeo"),
    "7.11": ("docker-registry", "dvc"),
}


def compare(bench, what, ours, other, wires=None, of=None, most=None):
    """Adds the lines of one comparison: time and peaks of both, and the bytes that moved, of so many."""
    peaks = [max(run.peak for run in runs) for runs in (ours, other)]
    bench.ratio(bench.now, what, seconds(ours), seconds(other), 1, f"; peak {size(peaks[0])} against {size(peaks[1])}",
                peak=count(peaks[0], other=peaks[1]))
    if wires:
        ours, other = (statistics.median(wire) for wire in wires)
        limit = None if most is None else most * other
        bench.row(bench.now, f"{what}: bytes moved", f"{ours:,.0f} against {other:,.0f}, of {of:,}",
                  "" if limit is None else f"≤ {most} ×", "" if limit is None else "holds" if ours <= limit else "MISSED",
                  wire=count(ours, of=of, most=limit, other=other))


# --- skopeo ---


@needs(("push",), ("pull",))
def row_10(bench):
    """`kit push` and `kit pull`, against a program that moves the same blobs and does not look into them."""
    if not shutil.which("skopeo"):
        bench.skipped("7.10", bench.titles["7.10"], "skopeo not installed")
        return
    homes = [packed(bench, bench.trees.mixed()), packed(bench, one_changed(bench))]
    of = sum(path.stat().st_size for path in (homes[1] / "store" / "blobs" / "sha256").iterdir())
    full = Registry(bench)
    for tag, home in enumerate(homes, 1):
        kit_push(bench, home, full.host, tag)
    warm(full.folder / "data")

    def pushed(command, homes, wires):
        relay = Relay(bench, to := Registry(bench))
        try:
            return last(relay, [lambda tag=tag, home=home: command(bench, home, relay.host, tag)
                                for tag, home in enumerate(homes, 1)], wires)
        finally:
            relay.stop()
            to.stop()

    def pulled(command, homes, wires):
        relay, into = Relay(bench, full), bench.folder("into")
        try:
            return last(relay, [lambda tag=tag: command(bench, into, relay.host, tag) for tag, _ in enumerate(homes, 1)], wires)
        finally:
            relay.stop()

    tree = f"{size(bench.trees.big)} + {bench.trees.middle} × 100 KiB"
    for which, there, here in ((homes[:1], tree, tree), (homes, "one of these files changed, the kit before is there",
                                                         "one of these files changed, the kit before is here")):
        for what, side, ours, other in ((f"push, {there}", pushed, kit_push, skopeo_push),
                                        (f"pull, {here}", pulled, kit_pull, skopeo_pull)):
            wires = ([], [])
            runs = bench.in_turn(lambda: side(ours, which, wires[0]), lambda: side(other, which, wires[1]), ("kit", "skopeo"))
            compare(bench, f"{what}, against `skopeo copy`", *runs, wires, of, 1.01)


def last(relay, steps, wires):
    """Does all steps and returns the run of the last, whose bytes on the wire, both ways, are added to `wires`."""
    for step in steps[:-1]:
        step()
    relay.counted()
    run = steps[-1]()
    wires.append(sum(relay.counted()[:2]))
    return run


def kit_push(bench, home, host, tag):
    return bench.run([bench.kit, "push", "bench:1", f"{host}/team/net:{tag}", "--progress", "none"], sync=bench.work, home=home)


def kit_pull(bench, home, host, tag):
    return bench.run([bench.kit, "pull", f"{host}/team/net:{tag}", "--progress", "none"], sync=bench.work, home=home)


def skopeo_push(bench, home, host, tag):
    return skopeo(bench, f"oci:{home}/store:bench:1", f"docker://{host}/team/net:{tag}")


def skopeo_pull(bench, layout, host, tag):
    return skopeo(bench, f"docker://{host}/team/net:{tag}", f"oci:{layout}:{tag}")


def skopeo(bench, source, target):
    return bench.run(["skopeo", "--insecure-policy", "copy", "-q", "--preserve-digests", "--src-tls-verify=false",
                      "--dest-tls-verify=false", source, target], sync=bench.work, home=bench.work / "no-home")


def one_changed(bench):
    """The tree of row 2 with another file in place of one of its small ones."""
    mixed = bench.trees.mixed()

    def fill(root):
        linked(mixed, root)
        (root / "data" / "00001.bin").unlink()
        (root / "data" / "00001.bin").write_bytes(b"".join(noise("changed", 100 << 10)))

    return bench.trees.tree("tree-7.10", "model: {path: model.bin}\ndatasets: [{name: d, path: data}]\n", fill)


# --- dvc ---


def installed(asked, folder, install):
    """Returns the program dvc: the one that is asked for or in the path, else that of a virtual environment, and why not."""
    if asked or (found := shutil.which("dvc")):
        found = shutil.which(asked) if asked else found
        return (found, None) if found else (None, f"there is no {asked}")
    program = folder / "bin" / "dvc"
    if not program.exists() and install:
        print(f"installing {DVC}", file=sys.stderr)
        for command in ([sys.executable, "-m", "venv", folder], [folder / "bin" / "pip", "install", "--quiet", DVC]):
            if subprocess.run(command, stdin=subprocess.DEVNULL).returncode:
                return None, f"dvc not installed, and `pip install {DVC}` does not do it here"
    return (str(program), None) if program.exists() else (None, "dvc not installed")


@needs(("push",), ("pull",))
def row_11(bench):
    """`kit pack`, `kit push` and `kit pull` of a tree that changed a little, against `dvc add`, `dvc push` and `dvc fetch`."""
    program, why = bench.dvc
    if why:
        bench.skipped("7.11", bench.titles["7.11"], why)
        return
    length = max(80 * MIB, bench.trees.big)  # below 64 MiB there is no table of contents
    file = Change(
        f"1 byte of {size(length)} flipped", "model.bin", "model: {path: model.bin}\n",
        lambda root: write(root / "model.bin", noise("model", length)),
        lambda root, number: flip(root / "model.bin", length * (2 * number + 1) // (2 * bench.pair_count)),
    )
    files = Change(
        f"3 of {bench.trees.small} files of 12 KiB changed", "data", "datasets: [{name: d, path: data}]\n",
        lambda root: small_files(root / "data", bench.trees.small, 12 << 10), edit,
    )
    for change in (file, files):
        rounds(bench, program, change)


# What changes of a tree: in words, the path, the Kitfile, and what makes the tree and a change of it by its number.
Change = collections.namedtuple("Change", "what path kitfile fill edit")


def flip(file, at):
    patch(file, at, bytes([file_byte(file, at) ^ 1]))


def rounds(bench, program, change):
    """Lets both keep a tree, and measures what each of some changes costs them."""
    before = bench.fresh
    trees = [bench.trees.tree(f"tree-7.11-{change.path}-{side}", change.kitfile, change.fill) for side in ("kit", "dvc")]
    sides = (OfKit(bench, trees[0]), OfDvc(bench, program, trees[1], change.path))
    steps = ("pack", "push", "pull")
    for side in sides:
        for step in steps:
            getattr(side, step)(0)
    runs, wires = collections.defaultdict(lambda: ([], [])), collections.defaultdict(lambda: ([], []))
    for number in range(1, bench.pair_count + 1):
        for tree in trees:
            change.edit(tree, number - 1)
            warm(tree / change.path)
        for step in steps:
            for which in ((0, 1), (1, 0))[number % 2]:
                run, moved = getattr(sides[which], step)(number)
                runs[step][which].append(run)
                wires[step][which].append(moved)
                print(f"  {step} {number}: {('kit', 'dvc')[which]} {run.seconds:.2f} s, {moved:,} bytes", file=sys.stderr)
        if bench.drop:
            for side in sides:
                side.forget(number - 1)
    of = length(trees[0] / change.path)
    if bench.drop:
        bench.delete(before)
    for step, theirs in zip(steps, ("add", "push", "fetch")):
        compare(bench, f"`kit {step}`, {change.what}, against `dvc {theirs}`", *runs[step],
                wires[step] if step != "pack" else None, of)


class OfKit:
    """Versions of a tree in a registry, and another store that pulls them."""

    def __init__(self, bench, tree):
        self.bench, self.tree = bench, tree
        self.home, self.other = bench.folder("home"), bench.folder("home")
        self.relay = Relay(bench, Registry(bench))

    def run(self, home, verb, *words):
        self.relay.counted()
        run = self.bench.run([self.bench.kit, verb, *words, "--progress", "none"], sync=self.bench.work, home=home)
        return run, sum(self.relay.counted()[:2])

    def name(self, number):
        return f"{self.relay.host}/team/net:{number}"

    def pack(self, number):
        # A trial has smaller trees, which would be one layer.
        more = ("--shard-size", str(self.bench.trees.shard)) if self.bench.trees.shard else ()
        return self.run(self.home, "pack", self.tree, "-t", self.name(number), *more)

    def push(self, number):
        return self.run(self.home, "push", self.name(number))

    def pull(self, number):
        return self.run(self.other, "pull", self.name(number))

    def forget(self, number):
        for home in (self.home, self.other):
            self.bench.quiet(home, "remove", self.name(number), "-q")


class OfDvc:
    """A tree that dvc keeps, a folder that is its remote, and another place with a cache that fetches."""

    def __init__(self, bench, program, tree, path):
        self.bench, self.program, self.tree, self.path = bench, program, tree, path
        self.remote, self.other = bench.folder("remote"), bench.folder("clone")
        self.remote.mkdir()
        self.other.mkdir()
        for place in (tree, self.other):
            self.run(place, "init", "--no-scm", "-q")
            for name, value in (("core.analytics", "false"), ("core.check_update", "false"),
                                ("core.site_cache_dir", bench.work / "dvc-site")):
                self.run(place, "config", name, value)
            self.run(place, "remote", "add", "-q", "-d", "there", self.remote)

    def run(self, place, verb, *words):
        return self.bench.run([self.program, "--cd", place, verb, *words], sync=self.bench.work, home=self.bench.work / "no-home")

    def moved(self, into, *words):
        """Runs a command, and returns that and how many bytes there are more in a folder than before."""
        before = length(into)
        run = self.run(*words)
        return run, length(into) - before

    def pack(self, _):
        cache = self.tree / ".dvc" / "cache"
        return self.moved(cache, self.tree, "add", "-q", self.path)

    def push(self, _):
        return self.moved(self.remote, self.tree, "push", "-q")

    def pull(self, _):
        shutil.copy(self.tree / f"{self.path}.dvc", self.other)  # what git would bring
        return self.moved(self.other / ".dvc" / "cache", self.other, "fetch", "-q")

    def forget(self, _):
        """Deletes older versions of a file; those of a folder share what did not change, and take little."""
        kept = re.search(r"md5: (\S+)", (self.tree / f"{self.path}.dvc").read_text())[1]
        if (self.tree / self.path).is_dir():
            return
        for place in (self.tree / ".dvc" / "cache", self.other / ".dvc" / "cache", self.remote):
            for file in place.rglob("*"):
                if file.is_file() and file.stat().st_size >= MIB and file.parent.name + file.name != kept:
                    file.unlink()


def length(path):
    """Returns how many bytes a file has, or all files below a folder."""
    if path.is_file():
        return path.stat().st_size
    return sum(os.lstat(os.path.join(at, name)).st_size for at, _, names in os.walk(path) for name in names)


ROWS = {
    "7.10": ("push and pull of the kit of row 2, and of a change of it, against skopeo copy", row_10),
    "7.11": ("pack, push and pull of a changed tree, against dvc", row_11),
}
