"""F5: disks that are too small, and limits of file size, open files and memory."""

import os
import pathlib
import resource
import shutil
import subprocess
import threading
import time

from ground import Ground, args, fail, result
from kit import Fault, Kit, Skip, fingerprint, make_tree, tail

NO_ROOM = (1, 9)  # and, by an error of the system that has a code of its own, never another


def run():
    ground = Ground("room", size=300_000, files=20, commands=["pack", "unpack", "load", "pull", "tag"])
    try:
        results = [limited(ground, *limit) for limit in LIMITS]
        results.append(most_files(ground))
        try:
            results += [small(ground, command) for command in ground.commands]
            results.append(small_cache(ground))
        except Skip as why:
            args.skip("F5 small disks", why)
    finally:
        ground.stop()
    return results


class Small:
    """A disk in memory of this size."""

    def __init__(self, path, size):
        self.path, self.size = path, size

    def __enter__(self):
        if os.geteuid():
            raise Skip("only root can mount")
        self.path.mkdir(parents=True, exist_ok=True)
        self.mount("-t", "tmpfs", "-o", f"size={self.size}", "none")
        return self

    def mount(self, *words):
        done = subprocess.run(["mount", *words, str(self.path)], capture_output=True, text=True)
        if done.returncode:
            raise Skip(f"`mount {' '.join(words)}`: {done.stderr.strip()}")

    def grow(self):
        self.mount("-o", "remount,size=64m")

    def __exit__(self, *_):
        subprocess.run(["umount", "-l", self.path], check=False)


def occupied(path):
    # A disk in memory gives out whole pages, and none for folders.
    return sum(-(-it.lstat().st_size // 4096) * 4096 for it in path.rglob("*") if not it.is_dir())


def small(ground, command):
    """A disk with too little room for what a command writes: from nothing at all to enough."""
    one = result("F5", f"{command}: small disks")
    whole = ground.template.home
    folder, kit = ground.trial(command)
    kit.run(*ground.arguments(command, folder))
    there = folder / "out" if command == "unpack" else kit.home
    base = 0 if command == "unpack" else occupied(whole)
    need = occupied(there) - base
    shutil.rmtree(folder)
    for number in range(args.sizes):
        size = base + int(need * 1.3 * number / max(1, args.sizes - 1)) // 4096 * 4096 + 8192
        folder = ground.work / f"small-{command}-{number}"
        on_it = folder / ("out" if command == "unpack" else "home")
        what = f"{size} bytes"
        with Small(on_it, size) as disk:
            home = folder / "home"
            try:
                shutil.copytree(whole, home, dirs_exist_ok=True)
            except shutil.Error:
                continue  # not even what was there before
            kit = Kit(args.kit, home)
            one["runs"] += 1
            try:
                code, _, said = kit.attempt(*ground.arguments(command, folder))
                one["faults"] += code != 0
                if code not in (0, *NO_ROOM):
                    raise Fault("other", f"ended with {code}: {tail(said)}")
                if code and b"o space" not in said and b"room" not in said:
                    raise Fault("other", f"does not say that there is no room: {tail(said)}")
                disk.grow()
                one["done"] += bool(ground.check(command, folder, kit, code))
            except Fault as fault:
                fail(one, fault, what)
        shutil.rmtree(folder, ignore_errors=True)
    args.say(f"  F5 {command}: {one['faults']} of {one['runs']} sizes were too small")
    return one


def small_cache(ground):
    """What the cache cannot keep costs time and nothing else."""
    one = result("F5", "pack: no room for the cache")
    for size in (4096, 8192, 16384):
        folder, kit = ground.trial("pack")
        shutil.rmtree(kit.home / "cache", ignore_errors=True)
        with Small(kit.home / "cache", size):
            one["runs"] += 1
            one["faults"] += 1
            try:
                kit.run(*ground.arguments("pack", folder))
                kit.holds("new:1", ground.sources["new"], folder / "held")
                kit.run("verify", kind="damage")
            except Fault as fault:
                fail(one, fault, f"{size} bytes")
        shutil.rmtree(folder, ignore_errors=True)
    return one


# What is limited, to how much, and whether commands work all the same.
LIMITS = [
    ("file size", resource.RLIMIT_FSIZE, (0, 100, 4096, 50_000, 250_000, 299_000), False),
    ("open files", resource.RLIMIT_NOFILE, (64,), True),
    ("open files, far too few", resource.RLIMIT_NOFILE, (4, 8, 12, 16), False),
    ("memory", resource.RLIMIT_AS, (256 << 20,), True),
]


def limited(ground, name, which, sizes, works):
    one = result("F5", f"limit of {name}")
    for size in sizes:
        for command in ground.commands:
            folder, kit = ground.trial(command)
            how = {"preexec_fn": lambda size=size: resource.setrlimit(which, (size, size))}
            try:
                code, _, said = kit.attempt(*ground.arguments(command, folder), **how)
                if works and code:
                    raise Fault("other", f"ended with {code}: {tail(said)}")
                # Where the loader has no file left it says so itself; where no message can be written
                # there is none.
                if code not in (0, 1, 6, 8, 9, 127, -25):
                    raise Fault("other", f"ended with {code}: {tail(said)}")
            except Fault as fault:
                fail(one, fault, f"{command} with {size}", folder)
                continue
            ground.judge(one, command, folder, kit, f"{command} with {size}", code, code != 0)
    args.say(f"  F5 {one['what']}: {one['faults']} of {one['runs']} failed, as they may")
    return one


def most_files(ground):
    """How many files are open at once, at most, with many to pack and to unpack."""
    one = result("F5", "open files with 400 to pack", open_files=0)
    folder = ground.work / "many"
    source = make_tree(folder / "tree", "many", 1000, 400)
    kit = Kit(args.kit, folder / "home")
    for words in (["pack", folder / "tree", "-t", "many:1"], ["unpack", "many:1", "-d", folder / "out"]):
        process = kit.start(*words, preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (64, 64)))
        watch = threading.Thread(target=count_files, args=(process, one))
        watch.start()
        one["runs"] += 1
        try:
            code, _, said = kit.end(process, words)
            if code:
                raise Fault("other", f"with 64 files ended with {code}: {tail(said)}")
        except Fault as fault:
            fail(one, fault, words[0])
        watch.join()
    if not one["failures"] and fingerprint(folder / "out") != source:
        fail(one, Fault("damage", "what was unpacked is not what was packed"), "64 files")
    shutil.rmtree(folder)
    return one


def count_files(process, one):
    folder = pathlib.Path(f"/proc/{process.pid}/fd")
    while process.poll() is None:
        try:
            one["open_files"] = max(one["open_files"], len(os.listdir(folder)))
        except OSError:
            return
        time.sleep(0.002)
