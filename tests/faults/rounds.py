"""F6: many processes at once on one store."""

import random
import shutil
import signal
import subprocess
import time

from ground import args, fail, result
from kit import Fault, Kit, Skip, fingerprint, make_tree, shown, tail, TIMEOUT
from server import Registry


def run():
    """Lets many processes work on one store at once."""
    results = {}
    try:
        registry = Registry(args.work / "rounds-registry")
    except Skip as skip:
        args.skip("F6 three pull the same kit", skip)
        registry = None
    try:
        for number in range(args.rounds):
            a_round(number, registry, results)
            args.say(f"  F6 round {number + 1} of {args.rounds}")
    finally:
        if registry:
            registry.stop()
    return list(results.values())


def a_round(number, registry, results):
    work = args.work / f"round-{number:03}"
    ground = Round(work, f"{args.seed} {number}", registry)
    for scene in (ground.different, ground.same, ground.same_name, ground.small_beside_big, ground.remove_beside_pack,
                  ground.shared_layer, ground.one_is_killed, ground.pulls):
        if scene == ground.pulls and not registry:
            continue
        one = results.setdefault(scene.__name__, result("F6", scene.__doc__, processes=0))
        one["runs"] += 1
        try:
            one["processes"] += scene()
            ground.settle()
        except Fault as fault:
            fail(one, fault, f"round {number}", work)
            return
    shutil.rmtree(work)


class Round:
    """One round: a store of its own, and what must be in it."""

    def __init__(self, work, seed, registry):
        self.work, self.seed, self.registry = work, seed, registry
        work.mkdir(parents=True)
        self.kit = Kit(args.kit, work / "home")
        self.sources = {}
        self.checks = 0

    def tree(self, name, size=20_000, files=5, extra=None):
        root = self.work / "trees" / name
        self.sources[f"{name}:1"] = make_tree(root, f"{self.seed} {name}", size, files, extra)
        return root

    def together(self, *commands, kit=None):
        """Starts all at once; all must succeed."""
        kit = kit or self.kit
        running = [(command, kit.start(*command)) for command in commands]
        faults = []
        for command, process in running:
            try:
                code, _, said = kit.end(process, command)
            except Fault as fault:
                faults.append(fault)
                continue
            if code:
                faults.append(Fault("other", f"`kit {shown(command)}` ended with {code}: {tail(said)}"))
        if faults:
            raise Fault(faults[0].kind, "; ".join(map(str, faults)))
        return len(commands)

    def settle(self):
        """Checks that the store holds exactly what it should."""
        self.kit.run("verify", kind="damage")
        if (names := self.kit.names()) != self.sources.keys():
            raise Fault("lost", f"the names differ: {sorted(names ^ self.sources.keys())}")
        for name, source in self.sources.items():
            self.checks += 1
            self.kit.holds(name, source, self.work / f"check-{self.checks:04}")

    def different(self):
        """12 pack different trees"""
        names = [f"different-{number}" for number in range(12)]
        return self.together(*(["pack", self.tree(name), "-t", f"{name}:1"] for name in names))

    def same(self):
        """8 pack the same tree"""
        root = self.tree("same", 200_000, 30)
        return self.together(*[["pack", root, "-t", "same:1"]] * 8)

    def same_name(self):
        """2 pack different trees under one name"""
        roots = [self.tree(f"fight-{number}") for number in range(2)]
        count = self.together(*(["pack", root, "-t", "fight:1"] for root in roots))
        found = self.work / "fight"
        self.kit.run("unpack", "fight:1", "-d", found, kind="damage")
        both = [self.sources.pop(f"fight-{number}:1") for number in range(2)]
        if (there := fingerprint(found)) not in both:
            raise Fault("damage", "the name leads to neither of the trees")
        self.sources["fight:1"] = there
        return count

    def small_beside_big(self):
        """small packs beside a big one"""
        big = ["pack", self.tree("big", args.size, 20), "-t", "big:1"]
        return self.together(big, *(["pack", self.tree(f"small-{n}"), "-t", f"small-{n}:1"] for n in range(4)))

    def remove_beside_pack(self):
        """remove and prune beside pack"""
        gone = [f"different-{number}:1" for number in range(6)]
        for name in gone:
            del self.sources[name]
        # Two of the trees packed now hold the very layers that are being removed.
        again = []
        for number in range(2):
            name = f"again-{number}"
            shutil.copytree(self.work / "trees" / f"different-{number}", self.work / "trees" / name)
            self.sources[f"{name}:1"] = fingerprint(self.work / "trees" / name)
            again.append(["pack", self.work / "trees" / name, "-t", f"{name}:1"])
        fresh = [["pack", self.tree(f"fresh-{n}"), "-t", f"fresh-{n}:1"] for n in range(4)]
        mixed = [*(["remove", name] for name in gone), *[["prune"]] * 4, *again, *fresh]
        random.Random(self.seed).shuffle(mixed)
        return self.together(*mixed)

    def shared_layer(self):
        """two kits share a layer under two types"""
        kitfile = "manifestVersion: 1.0.0\npackage: {{name: shared}}\n{}\n"
        kinds = {"as-model": "model: {path: model.bin}", "as-data": "datasets: [{name: d, path: model.bin}]"}
        roots = {}
        for name, entry in kinds.items():
            roots[name] = self.work / "trees" / name
            roots[name].mkdir(parents=True)
            (roots[name] / "Kitfile").write_text(kitfile.format(entry))
            (roots[name] / "model.bin").write_bytes(random.Random(self.seed).randbytes(50_000))
            self.sources[f"{name}:1"] = fingerprint(roots[name])
        count = self.together(*(["pack", root, "-t", f"{name}:1"] for name, root in roots.items()))
        self.settle()
        del self.sources["as-model:1"]
        return count + self.together(["remove", "as-model:1"], ["prune"])

    def one_is_killed(self):
        """one of 6 is killed"""
        roots = [self.tree(f"killed-{number}", 500_000) for number in range(6)]
        commands = [["pack", root, "-t", f"killed-{number}:1"] for number, root in enumerate(roots)]
        running = [self.kit.start(*command, stderr=subprocess.DEVNULL) for command in commands]
        time.sleep(random.Random(self.seed).random() * 0.1)
        running[0].send_signal(signal.SIGKILL)
        codes = [process.wait(TIMEOUT) for process in running]
        if any(codes[1:]):
            raise Fault("other", f"the others ended with {codes[1:]}")
        if codes[0]:
            self.kit.run(*commands[0], kind="rerun")
        return len(commands)

    def pulls(self):
        """3 pull the same kit"""
        name = f"{self.registry.host}/r/{self.work.name}:1"
        other = Kit(args.kit, self.work / "puller")
        self.kit.run("push", "same:1", name)
        count = self.together(*[["pull", name]] * 3, kit=other)
        other.run("verify", kind="damage")
        other.holds(name, self.sources["same:1"], self.work / "pulled")
        return count
