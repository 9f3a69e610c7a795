"""F4: power cuts, of a real file system on a loop device, and of one that forgets all it may."""

import os
import pathlib
import random
import shutil
import subprocess
import time

import replay
from ground import Ground, args, fail, result
from kit import Fault, Kit, Skip, fingerprint, make_tree
from server import need

WAITS = (0, 2, 7, 12)
COMMANDS = ["pack", "repack", "tag", "remove", "load", "prune", "pull", "repair", "migrate"]


def run():
    results = []
    for name, part in (("loop", loop), ("replay", replayed)):
        try:
            results += part()
        except Skip as why:
            args.skip(f"F4 {name}", why)
    return results


def tool(*words):
    done = subprocess.run([str(word) for word in words], stdin=subprocess.DEVNULL, capture_output=True, text=True)
    if done.returncode:
        raise Skip(f"`{' '.join(map(str, words))}`: {done.stderr.strip()[-200:]}")


class Disk:
    """An ext4 in a file, mounted."""

    def __init__(self, image, mount):
        self.image, self.mount = image, mount
        mount.mkdir(parents=True, exist_ok=True)

    def __enter__(self):
        tool("mount", "-o", "loop", self.image, self.mount)
        return self.mount

    def __exit__(self, *_):
        for _ in range(50):
            if subprocess.run(["umount", self.mount], capture_output=True).returncode == 0:
                return
            time.sleep(0.1)


def loop():
    need("mount", "mkfs.ext4", "losetup")
    if os.geteuid():
        raise Skip("only root can mount")
    # Beside the program: a disk in memory would have no other life than its file.
    work = args.work / "power"
    work.mkdir(parents=True)
    trees, sources = {}, {}
    for tree in ("old", "new", "other"):
        trees[tree] = work / "trees" / tree
        sources[tree] = make_tree(trees[tree], f"{args.seed} {tree}", 3 << 20, 20)
    archive = work / "other.tar"
    outer = Kit(args.kit, work / "outer")
    outer.run("pack", trees["other"], "-t", "other:1")
    outer.run("save", "other:1", "-o", archive)
    base = work / "base.img"
    with open(base, "wb") as file:
        file.truncate(96 << 20)
    tool("mkfs.ext4", "-q", "-E", "lazy_itable_init=0", base)
    with Disk(base, work / "mount") as mount:
        Kit(args.kit, mount / "home").run("pack", trees["old"], "-t", "old:1")
    commands = {
        "pack": (lambda _: ["pack", trees["new"], "-t", "new:1"], {"old:1": "old", "new:1": "new"}),
        "load": (lambda _: ["load", archive], {"old:1": "old", "other:1": "other"}),
        "tag": (lambda _: ["tag", "old:1", "new:1"], {"old:1": "old", "new:1": "old"}),
        "unpack": (lambda mount: ["unpack", "old:1", "-d", mount / "out"], {"old:1": "old"}),
        "remove": (lambda _: ["remove", "old:1"], {}),
    }
    results, lost = [], 0
    for command, (words, names) in commands.items():
        results.append(result("F4", f"{command}: power cut after exit 0"))
    for number in range(args.cuts):
        wait, command = WAITS[number // len(commands) % 4] if args.full else WAITS[number % 2], list(commands)[number % len(commands)]
        one = results[number % len(commands)]
        one["runs"] += 1
        one["faults"] += 1
        image, cut = work / "disk.img", work / "cut.img"
        shutil.copyfile(base, image)
        with Disk(image, work / "mount") as mount:
            kit = Kit(args.kit, mount / "home")
            kit.run(*commands[command][0](mount))
            (mount / "control").write_bytes(b"never synced" * 1000)
            time.sleep(wait)
            # What the file system has not written yet is not in the file.
            shutil.copyfile(image, cut)
        try:
            with Disk(cut, work / "cut") as mount:
                lost += not (mount / "control").exists() or (mount / "control").stat().st_size == 0
                after_cut(Kit(args.kit, mount / "home"), commands[command][1], sources, work / "out", mount, command)
        except Fault as fault:
            fail(one, fault, f"after {wait} s", cut)
            cut = cut.rename(work / f"kept-{number}.img")
    if args.cuts >= 4 and not lost:
        raise Skip("this disk loses nothing that is not synced: its cuts show nothing")
    args.say(f"  F4: {args.cuts} cuts, {lost} of them lost what was not synced")
    shutil.rmtree(work)
    return [one for one in results if one["runs"]]


def after_cut(kit, names, sources, out, mount, command):
    if (there := kit.names()) != names.keys():
        raise Fault("lost", f"names {sorted(there)} and not {sorted(names)}")
    kit.run("verify", kind="damage")
    for name, source in names.items():
        kit.holds(name, sources[source], out)
        shutil.rmtree(out)
    if command == "unpack" and fingerprint(mount / "out") != sources["old"]:
        raise Fault("damage", "what was unpacked is not what it was")
    kit.run("pack", out.parent / "trees" / "new", "-t", "again:1", kind="rerun")


def replayed():
    need("strace")
    wanted = [command for command in COMMANDS if command in args.commands]
    ground, results = Ground("replay", commands=wanted, one_thread=True), []
    try:
        for command in ground.commands:
            results.append(forgotten(ground, command, max(2, args.replays // len(ground.commands))))
    finally:
        ground.stop()
    return results


def forgotten(ground, command, number):
    one = result("F4", f"{command}: what was not synced is forgotten")
    noise = random.Random(f"{args.seed} {command}")
    folder, kit = ground.trial(command)
    home = pathlib.Path(os.path.realpath(kit.home))
    before, log = folder / "before", folder / "trace"
    shutil.copytree(home, before)
    strace = ["strace", "-f", "-qq", "-s", "100000000", "-xx", "-o", log, "-e", f"trace={replay.CALLS}", "-e", "signal=none"]
    kit.run(*ground.arguments(command, folder), before=strace, codes=(0, 7) if command == "repair" else (0,))
    done = list(replay.calls(log))
    whole = until(before, home, done)
    if where := whole.differs():
        raise Fault("other", f"the replay of {command} differs at {where}")
    changes = [at for at, (call, *_) in enumerate(done) if call not in ("close", "lseek", "fcntl")]
    for turn in range(number):
        # One in three after the end: what was promised must be there.
        at = len(done) if turn % 3 == 0 else noise.choice(changes)
        trial, cut = ground.trial(command)
        shutil.rmtree(cut.home)
        until(before, home, done[:at]).left(cut.home, noise)
        ground.judge(one, command, trial, cut, f"cut after call {at} of {len(done)}", 0 if at == len(done) else None)
    if command == "pack" and not breaks_when_deaf(ground, command, before, home, done, noise):
        fail(one, Fault("other", "nothing is lost when no sync is heard: the replay shows nothing"), "control")
    shutil.rmtree(folder)
    args.say(f"  F4 {one['what']}: {one['runs']} cuts")
    return one


def breaks_when_deaf(ground, command, before, home, done, noise):
    """Tells whether the oracle sees that a system loses what was synced: else it would see nothing at all."""
    for _ in range(20):
        trial, cut = ground.trial(command)
        shutil.rmtree(cut.home)
        until(before, home, done, deaf=True).left(cut.home, noise)
        try:
            ground.check(command, trial, cut, 0)
        except Fault:
            return True
        finally:
            shutil.rmtree(trial)
    return False


def until(before, home, done, deaf=False):
    """The home after these calls: it was `before` before them, and was called `home`."""
    model = replay.Model(before)
    model.root, model.deaf = str(home), deaf
    for call in done:
        model.do(*call)
    return model
