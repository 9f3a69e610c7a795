"""F7: a proxy that does harm in front of a registry: what comes is right or refused, and secrets stay home."""

import concurrent.futures
import shutil
import threading

from ground import args, fail, result
from kit import Fault, Kit, fingerprint, make_tree, shown, tail
from proxy import MODES, PASSWORD, USER, Proxy, Trap
from server import Registry

LIMIT = 100  # seconds; whoever waits longer hangs
CODES = (0, 1, 3, 4, 5, 6, 9)
AT_ONCE = 8  # nearly all the time is spent waiting


class Ground:
    def __init__(self):
        self.work = args.work / "network"
        self.sources, self.trees = {}, {}
        for tree, size in (("seed", 9_000_000), ("other", 20_000), ("new", 2_500_000)):
            self.trees[tree] = self.work / "trees" / tree
            self.sources[tree] = make_tree(self.trees[tree], f"{args.seed} {tree}", size, 5)
        self.kit = Kit(args.kit, self.work / "template")
        self.registry = Registry(self.work / "registry")
        for tree in self.trees:
            self.kit.run("pack", self.trees[tree], "-t", f"{tree}:1")
        self.kit.run("push", "seed:1", f"{self.registry.host}/seed/kit:1")
        self.kit.run("push", "other:1", f"{self.registry.host}/seed/kit:2")
        self.lock = threading.Lock()


def run():
    ground = Ground()
    results = {}
    jobs = [(mode, command, number) for mode, (_, _, commands, _) in MODES.items() for command in commands for number in range(args.times)]
    for mode in MODES:
        results[mode] = result("F7", mode)
    try:
        with concurrent.futures.ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda job: tried(ground, results[job[0]], *job), jobs))
    finally:
        ground.registry.stop()
    for one in results.values():
        if not one["faults"] and not one["failures"]:
            fail(one, Fault("other", "no request was harmed"), "all commands")
    args.skip("F7 zot", "only docker-registry is tried here")
    args.say(f"  F7: {len(jobs)} runs in {len(MODES)} modes")
    return list(results.values())


def tried(ground, one, mode, command, number):
    harm, once, _, must = MODES[mode]
    folder = ground.work / f"{mode.replace(' ', '-').lower()}-{command}-{number}"
    what = f"{command} {number}"
    try:
        with Trap() as trap, Proxy(ground.registry.port, None, once, trap, f"{args.seed} {mode} {number}") as proxy:
            kit = Kit(args.kit, folder / "home")
            if command == "push":
                shutil.copytree(ground.kit.home, kit.home)
            else:
                kit.run("pack", ground.trees["other"], "-t", "kept:1")
            kit.run("login", proxy.host, "-u", USER, "-p", PASSWORD)
            proxy.harm = harm
            words = arguments(command, proxy.host, folder)
            code, out, said = kit.attempt(*words, timeout=LIMIT)
            proxy.harm = None
            with ground.lock:
                one["runs"] += 1
                one["faults"] += bool(proxy.fired)
                one["done"] += code == 0
            if code not in CODES:
                raise Fault("other", f"ended with {code}: {tail(said)}")
            if code and not said.strip():
                raise Fault("other", f"ended with {code} and does not say why")
            if must is not None and bool(proxy.fired) and must != (code == 0):
                raise Fault("other" if code else "damage", f"`kit {shown(words)}` ended with {code}: {tail(said)}")
            check(ground, kit, command, code, folder, proxy, number, "first")
            # Without harm all is well at once.
            kit.run(*words, kind="rerun", timeout=LIMIT)
            check(ground, kit, command, 0, folder, proxy, number, "again")
            if PASSWORD.encode() in said or PASSWORD.encode() in (out or b""):
                raise Fault("secret", "the password is in what was said")
            if trap.secrets:
                raise Fault("secret", trap.secrets[0])
    except Fault as fault:
        with ground.lock:
            fail(one, fault, what, folder)
    else:
        shutil.rmtree(folder)


def arguments(command, host, folder):
    few = ["--retries", "2", "--plain-http"]
    return {
        "pull": ["pull", f"{host}/seed/kit:1", "--stall-timeout", "1s", *few],
        "unpack": ["unpack", f"{host}/seed/kit:1", "-d", folder / "out", "--overwrite", "--stall-timeout", "1s", *few],
        "push": ["push", "new:1", f"{host}/{folder.name}/kit:1", "--stall-timeout", "1s", *few],
        "list": ["list", f"{host}/seed/kit", *few],
    }[command]


def check(ground, kit, command, code, folder, proxy, number, when):
    """What is there is right."""
    kit.run("verify", kind="damage")
    trees = [ground.sources["seed"], ground.sources["other"]]
    if command == "pull":
        names = [name for name in kit.names() if "/seed/kit" in name]
        if code == 0 and not names:
            raise Fault("damage", "it ended with 0 and has named nothing")
        for name in names:
            out = folder / f"pulled-{when}"
            kit.run("unpack", name, "-d", out, kind="damage")
            if fingerprint(out) not in trees:
                raise Fault("damage", "what was pulled is none of the kits")
    elif command == "unpack":
        out = folder / "out"
        there = fingerprint(out) if out.exists() else {}
        if code == 0 and there not in trees and when == "first":
            raise Fault("damage", "what was unpacked is none of the kits")
        for path, found in there.items():
            if not path.startswith(".kit") and all(tree.get(path) != found for tree in trees):
                raise Fault("damage", f"{path} is not as in a kit")
    elif command == "push" and code == 0:
        fresh = Kit(args.kit, folder / f"fresh-{when}")
        name = f"{ground.registry.host}/{folder.name}/kit:1"
        fresh.run("pull", name, kind="damage")
        fresh.holds(name, ground.sources["new"], folder / f"sent-{when}")
