"""What every fault falls on, and the one oracle that looks at what is left.

After each fault, for every command: names that were there lead to kits that unpack to their
sources; the name that was being made is absent or whole; `verify` is clean; `list` works; the same
command again succeeds; nothing outside of the home and the target has changed; after it no
temporary file is left that an undisturbed run would not have left. What the cache knows is true.
"""

import concurrent.futures
import hashlib
import os
import shutil
import threading
import time
import types

from kit import Fault, Kit, Skip, fingerprint, make_kitops_store, make_tree, tail
from server import Registry

args = types.SimpleNamespace()  # what the command line says, for all modules

LOCAL = ["pack", "repack", "unpack", "tag", "remove", "prune", "verify", "load", "migrate", "forget"]
REMOTE = ["push", "pull", "copy", "fetch", "repair"]
COMMANDS = [*LOCAL, *REMOTE]
# The name that a command makes.
MADE = {"pack": "new:1", "repack": "new:1", "tag": "new:1", "load": "loaded:1", "migrate": "migrated:1"}


def result(phase, what, **more):
    """What is counted of one part of a phase."""
    return {"phase": phase, "what": what, "runs": 0, "faults": 0, "in_progress": 0, "done": 0,
            "failures": [], "kinds": {}, **more}


def fail(one, fault, what, folder=None):
    """Counts a trial that does not hold."""
    kept = f" (kept: {folder})" if folder else ""
    with lock:
        one["failures"].append(f"{one['what']}, {what}: {fault}{kept}")
        one["kinds"][fault.kind] = one["kinds"].get(fault.kind, 0) + 1
    args.say(f"  FAULT {one['failures'][-1]}")


lock = threading.Lock()  # over whatever is counted


def each(work, jobs):
    """Does `work` for each job, as many at a time as there are processors: trials know nothing of each other."""
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        list(pool.map(lambda job: work(*job), jobs))


class Ground:
    """A template to start every trial from, and the trials."""

    def __init__(self, name, size=20_000, files=5, commands=None, one_thread=False, program=None):
        self.one_thread = one_thread
        self.work = args.work / name
        self.work.mkdir(parents=True)
        self.program = program or args.kit
        self.trials = 0
        self.trees, self.sources = {}, {}
        for tree in ("a", "b", "gone", "new", "loaded", "known"):
            self.trees[tree] = self.work / "trees" / tree
            big = tree in ("a", "new", "loaded", "known")  # what the commands work on
            self.sources[tree] = make_tree(self.trees[tree], f"{name} {tree}", size if big else 20_000, files)
        self.archive = self.work / "loaded.tar"
        other = Kit(args.kit, self.work / "other")
        other.run("pack", self.trees["loaded"], "-t", "loaded:1")
        other.run("save", "loaded:1", "-o", self.archive)
        self.kitops = self.work / "kitops" / "storage"
        make_kitops_store(other, "loaded:1", "migrated", self.kitops)
        self.template = Kit(args.kit, self.work / "template")
        for tree in ("a", "b", "gone", "known"):
            self.template.run("pack", self.trees[tree], "-t", f"{tree}:1")
        (self.trees["known"] / "data" / "0000.csv").write_text("changed\n")
        self.sources["changed"] = fingerprint(self.trees["known"])
        self.canary = self.work / "canary"
        make_tree(self.canary, "canary", 100, 2)
        wanted = commands if commands is not None else args.commands
        self.registry = None
        if any(command in REMOTE for command in wanted):
            try:
                self.registry = Registry(self.work / "registry")
            except Skip as skip:
                args.skip(f"{name} {' '.join(REMOTE)}", skip)
                wanted = [command for command in wanted if command in LOCAL]
            else:
                self.seed(other)
        self.commands = wanted
        self.untouched = self.outside()
        try:
            self.expected = {command: self.undisturbed(command) for command in wanted}
        except BaseException:
            self.stop()
            raise

    def seed(self, other):
        """Gives the registry what is fetched from it, and the template a kit that came from there."""
        host = self.registry.host
        other.run("push", "loaded:1", f"{host}/seed/loaded:1")
        for name in self.template.names():
            self.template.run("push", name, f"{host}/seed/{name}")
        self.template.run("tag", "b:1", f"{host}/seed/b:1")
        # Otherwise a push would take everything from there, and send nothing.
        (self.template.home / "cache" / "hashes" / "places").unlink()

    def stop(self):
        if self.registry:
            self.registry.stop()

    def outside(self):
        """What no command may change."""
        files = {}
        for root in (self.canary, self.work / "trees", self.kitops, self.archive):
            for path in [root, *root.rglob("*")]:
                there = path.lstat()
                files[str(path)] = (there.st_mode, there.st_size, there.st_mtime_ns, there.st_ino)
        return files

    def arguments(self, command, folder):
        few = ["--threads", "1"] if command in ("pack", "repack", "unpack") and self.one_thread else []
        host = self.registry.host if self.registry else ""
        near = ["--jobs", "1", "--concurrency", "1"] if self.one_thread else []
        slow = ["--stall-timeout", "2s", "--retries", "1"]
        remote = f"{host}/{folder.name}/kit:1"
        return {
            "pack": ["pack", self.trees["new"], "-t", "new:1", *few],
            "unpack": ["unpack", "a:1", "-d", folder / "out", *few],
            "tag": ["tag", "a:1", "new:1"],
            "remove": ["remove", "gone:1"],
            "prune": ["prune"],
            "verify": ["verify"],
            "load": ["load", self.archive],
            "repack": ["pack", self.trees["known"], "-t", "new:1", *few],
            "migrate": ["migrate", self.kitops],
            "forget": ["cache", "clear"],
            "push": ["push", "a:1", remote, *near[2:], "--retries", "1"],
            "pull": ["pull", f"{host}/seed/loaded:1", *near, *slow],
            "copy": ["copy", f"{host}/seed/a:1", remote, *near[2:], "--retries", "1"],
            "fetch": ["unpack", f"{host}/seed/loaded:1", "-d", folder / "out", *slow],
            "repair": ["verify", "--repair", f"{host}/seed/b:1", *near, *slow],
        }[command]

    def made(self, command):
        """The name that a command makes, if it makes one."""
        return f"{self.registry.host}/seed/loaded:1" if command == "pull" else MADE.get(command)

    def trial(self, command, **environment):
        """Makes a fresh copy of the template."""
        with lock:
            self.trials += 1
            folder = self.work / f"{self.trials:05}-{command}"
        shutil.copytree(self.template.home, folder / "home")
        kit = Kit(self.program, folder / "home", **environment)
        if command == "prune":
            for number in range(20):  # blobs that nothing needs
                content = f"stray {number}".encode() * 200
                (kit.home / "store/blobs/sha256" / hashlib.sha256(content).hexdigest()).write_bytes(content)
        if command == "repair":
            _, manifest = self.template.manifest("b:1")
            damaged = kit.blob(manifest["layers"][0]["digest"])
            damaged.chmod(0o644)
            with open(damaged, "r+b") as file:
                file.write(b"damaged")
        return folder, kit

    def undisturbed(self, command):
        """What files a run leaves that nothing disturbs, and how long it takes."""
        lengths = []
        for _ in range(3):
            folder, kit = self.trial(command)
            start = time.perf_counter()
            code, _, said = kit.attempt(*self.arguments(command, folder))
            lengths.append(time.perf_counter() - start)
            if code not in ((0, 7) if command == "repair" else (0,)):
                raise Fault("other", f"`kit {command}` fails undisturbed: {tail(said)}")
        left = kit.leftovers()
        kit.run("prune")
        seen = (min(lengths), left, kit.blobs())
        shutil.rmtree(folder)
        return seen

    def check(self, command, folder, kit, code=None):
        """The oracle. Returns whether the interrupted command had already had its effect."""
        _, expected_left, expected_blobs = self.expected[command]
        kit = Kit(args.kit, kit.home)
        if command == "repair":
            # What was damaged may still be, and what was set aside may still be missing.
            kit.run("verify", codes=(0, 5), kind="unreadable")
            kit.run(*self.arguments(command, folder), kind="rerun", codes=(0, 7))
        kit.run("verify", kind="damage")
        names = kit.names()
        for name in {"a:1", "b:1", "known:1"} | ({"gone:1"} if command != "remove" else set()):
            if name not in names:
                raise Fault("lost", f"the name {name} is lost: {sorted(names)}")
        new = {"tag": "a", "repack": "changed"}.get(command, "new")
        kits = {"a:1": "a", "b:1": "b", "gone:1": "gone", "known:1": "known", "new:1": new,
                "loaded:1": "loaded", "migrated:1": "loaded"}
        if self.registry:
            kits |= {f"{self.registry.host}/seed/{tree}:1": tree for tree in ("b", "loaded")}
        for number, name in enumerate(sorted(names)):
            if name not in kits:
                raise Fault("damage", f"the name {name} came from nowhere")
            kit.holds(name, self.sources[kits[name]], folder / f"check-{number}")
        made = self.made(command)
        done = "gone:1" not in names if command == "remove" else made in names
        if code == 0 and (made or command == "remove") and not done:
            raise Fault("damage", "it ended with 0 and has done nothing")
        if code == 0 and command in ("push", "copy"):
            self.is_there(command, folder, kit, "first")
        # What is already removed cannot be removed again.
        codes = (0, 3) if command == "remove" and done else (0,)
        kit.run(*self.arguments(command, folder), codes=codes, kind="rerun")
        names = kit.names()
        if command in ("unpack", "fetch"):
            source = "a" if command == "unpack" else "loaded"
            if fingerprint(folder / "out") != self.sources[source]:
                raise Fault("damage", "the folder is not mended by unpacking again")
        elif command in ("push", "copy"):
            self.is_there(command, folder, kit, "again")
        elif command == "remove":
            if "gone:1" in names:
                raise Fault("rerun", "gone:1 is still named")
        elif made:
            kit.holds(made, self.sources[kits[made]], folder / "again")
        self.tidy(command, kit, expected_left, expected_blobs)
        if command in ("pack", "repack", "forget"):
            for tree in self.trees.values():
                digests = [kit.run("pack", tree, "--format", "{{.Digest}}", *flags) for flags in ((), ("--no-cache",))]
                if digests[0] != digests[1]:
                    raise Fault("damage", f"the cache is wrong about {tree}")
        if (now := self.outside()) != self.untouched:
            changed = sorted(path for path in now.keys() | self.untouched.keys() if now.get(path) != self.untouched.get(path))
            self.untouched = now
            raise Fault("outside", f"changed: {changed[:5]}")
        kit.run("verify", kind="damage")
        return done

    def is_there(self, command, folder, kit, when):
        """Checks that what was sent can be had, by someone who has nothing."""
        fresh = Kit(args.kit, folder / f"fresh-{when}")
        name = f"{self.registry.host}/{folder.name}/kit:1"
        fresh.run("pull", name, kind="damage")
        fresh.holds(name, self.sources["a"], folder / f"sent-{when}")

    def tidy(self, command, kit, expected_left, expected_blobs):
        """Checks that nothing is left of what was interrupted."""
        # What is written beside the store, and may be lost, is swept an hour later; an upload goes on
        # where it was, and its record goes after a week.
        swept_later = {name for name in kit.leftovers() if name.endswith(".tmp") and not name.startswith("store/")}
        known = {name for name in kit.leftovers() if name.startswith(("uploads/", "store/quarantine/"))}
        if more := kit.leftovers() - expected_left - swept_later - known:
            raise Fault("leftover", f"left over: {sorted(more)[:5]}")
        if command in ("remove", "prune"):
            kit.run("prune", kind="rerun")
        if more := kit.blobs() - expected_blobs:
            raise Fault("leftover", f"blobs left over: {sorted(more)[:5]}")
        for name in swept_later:
            os.utime(kit.home / name, (time.time() - 7200,) * 2)
        if swept_later:
            kit.run("pack", self.trees["b"], "-t", "later:1", "--compression", "gzip", "--no-cache")
        if more := {name for name in kit.leftovers() if name.endswith(".tmp")}:
            raise Fault("leftover", f"not swept: {sorted(more)[:5]}")

    def judge(self, one, command, folder, kit, what, code=None, fell=True):
        """Counts a trial and looks at what is left of it."""
        # Seen only right after the fault: it shows that the fault met work in progress.
        in_progress = bool(kit.leftovers() - self.expected[command][1]) or (folder / "out").exists()
        with lock:
            one["runs"] += 1
            one["faults"] += bool(fell)
            one["in_progress"] += in_progress
        try:
            done = bool(self.check(command, folder, kit, code))
            with lock:
                one["done"] += done
        except Fault as fault:
            fail(one, fault, what, folder)
        else:
            shutil.rmtree(folder)
