"""Row 7.7: how much disk each way takes at most, and how much it writes."""

import os
import subprocess
import threading

import registry
from measure import size
from registry import Registry
from trees import MIB

NOBODY = 65534  # the user whom root may be to be somebody else
SLACK = 64 * MIB  # tables of contents, caches, what the file system keeps of folders


def row_7(bench):
    if why := registry.missing():
        bench.skipped("7.7", ROWS["7.7"][0], why)
        return
    tree = bench.trees.mixed()
    total = sum(file.stat().st_size for file in tree.rglob("*") if file.is_file())
    local, full, other = bench.folder("home"), Registry(bench), Registry(bench)
    name = f"{full.host}/team/net:1"
    bench.quiet(local, "pack", tree, "-t", name, "-q")
    bench.quiet(local, "push", name, "-q")
    archive, layout = bench.folder("kit.tar"), bench.folder("layout")

    def home():
        return bench.folder("home")

    def out(*words):
        to = bench.folder("out")
        return to, [*words, "-d", to]

    # What it is, how often the kit is there afterwards and where, the home, what else is written to, the words.
    ways = (
        ("`pack`", 1, "in the store", home(), None, ["pack", tree, "-t", "bench:1"]),
        ("`pack --layer-format raw`", 1, "in the store", home(), None,
         ["pack", tree, "-t", "bench:1", "--layer-format", "raw"]),
        ("`pack --push --no-store`", 0, "nothing here", home(), None,
         ["pack", tree, "-t", f"{other.host}/first/net:1", "--push", "--no-store"]),
        ("`push`", 0, "nothing more here", local, None, ["push", name, f"{other.host}/second/net:1"]),
        ("`pull`", 1, "in the store", home(), None, ["pull", name]),
        ("`pull -d`", 1, "in the folder", home(), *out("pull", name)),
        ("`unpack`, from the store", 1, "in the folder", local, *out("unpack", name)),
        ("`unpack`, from a registry", 1, "in the folder", home(), *out("unpack", name)),
        ("`save` to an archive", 1, "in the archive", local, archive, ["save", name, "-o", archive]),
        ("`save` to a folder", 1, "in the folder", local, layout, ["save", name, "-o", layout, "--layout", "dir"]),
        ("`load` of an archive", 1, "in the store", home(), None, ["load", archive]),
        ("`load` of a folder", 1, "in the store", home(), None, ["load", layout]),
    )
    for what, times, where, at, to, words in ways:
        judge(bench, what, times, where, total, measured(bench, at, to, words))
    linked(bench, tree, total)


def linked(bench, tree, total):
    """Measures what root is refused, as somebody else."""
    what = "`unpack --link`, raw layers"
    at, to = bench.folder("home"), bench.folder("out")
    bench.quiet(at, "pack", tree, "-t", "bench:1", "--layer-format", "raw")
    user = None
    if os.geteuid() == 0:
        user = NOBODY
        subprocess.run(["chown", "-R", f"{NOBODY}:{NOBODY}", at], check=True)
        to.mkdir()
        os.chown(to, NOBODY, NOBODY)
        try:
            subprocess.run([bench.kit, "version"], user=user, group=user, extra_groups=[], check=True,
                           env=bench.environment(at), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        except (OSError, subprocess.CalledProcessError):
            bench.skipped("7.7", what, "it is refused for root, and nobody else may run the program")
            return
    judge(bench, what, 0, "as hard links", total, measured(bench, at, to, ["unpack", "bench:1", "--link", "-d", to], user))


def judge(bench, what, times, where, total, found):
    most, written = found
    limit = times * total + SLACK
    bench.row("7.7", f"{what}: disk at most, beside what was there; bytes written",
              f"{size(most)}, {most / total:.2f} × the kit, {where}; {size(written)}, {written / total:.2f} ×",
              f"≤ {times} × and {SLACK // MIB} MiB, both", "holds" if max(most, written) <= limit else "MISSED")


def measured(bench, home, to, words, user=None):
    """Runs kit, and returns how much more disk there was in use at most than before, and how much it wrote.

    What is gone before it is looked at, or has no name, still counts as written.
    """
    temporary = bench.folder("temporary")
    temporary.mkdir()
    if user:
        os.chown(temporary, user, user)
    folders = [folder for folder in (home, to, temporary) if folder]
    command = [bench.kit, *map(str, words), "--progress", "none"]
    before, most, done = used(folders), 0, threading.Event()

    def watch():
        nonlocal most
        while not done.wait(0.02):
            most = max(most, used(folders) - before)

    identity = {"user": user, "group": user, "extra_groups": []} if user else {}
    with open(bench.work / "log", "ab") as log:
        process = subprocess.Popen(command, env={**bench.environment(home), "TMPDIR": str(temporary)}, **identity,
                                   stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        watcher = threading.Thread(target=watch)
        watcher.start()
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        done.set()
        watcher.join()
    if process.returncode:
        raise subprocess.CalledProcessError(process.returncode, command)
    return max(most, used(folders) - before), usage.ru_oublock * 512


def used(paths):
    """Returns how many bytes of disk files take, and those below folders, each once."""
    known, total = set(), 0
    for path in paths:
        files = [path] if path.is_file() else (
            os.path.join(root, name) for root, _, names in os.walk(path) for name in names
        )
        for file in files:
            try:
                found = os.lstat(file)
            except FileNotFoundError:
                continue  # it was renamed or deleted meanwhile
            if (found.st_dev, found.st_ino) not in known:
                known.add((found.st_dev, found.st_ino))
                total += found.st_blocks * 512
    return total


ROWS = {"7.7": ("how much disk each way takes at most", row_7)}
