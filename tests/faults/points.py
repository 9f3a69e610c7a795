"""F3: every named point of a test build, with every action that makes sense there."""

import collections
import pathlib
import re
import shutil

from ground import Ground, args, each, fail, result
from kit import Fault, Kit, Skip, fingerprint

SOURCES = pathlib.Path(__file__).resolve().parents[2] / "src"
NAME = re.compile(r'failpoint!\(\s*(write |part )?"([a-z.]+)"')


def points():
    """The points of the sources: name, and whether bytes are written there."""
    found = {}
    for path in SOURCES.rglob("*.rs"):
        if "failpoint" not in path.parts:
            for kind, name in NAME.findall(path.read_text()):
                found[name] = bool(kind)
    return found


def actions(name, writes):
    """What may happen at a point, most telling first."""
    if name.startswith(("http", "upload")):
        return ["kill", "EIO", "EIO:always"]
    # Where bytes are written half of them make the difference to a death before.
    return ["torn" if writes else "kill", "ENOSPC", *(["short"] if writes else []), "EIO:always", "EMFILE"]


def run():
    if not args.failpoints:
        raise Skip("no program with the feature `failpoints` (--failpoints)")
    ground = Ground("points", one_thread=True, program=args.failpoints)
    one_of, reached, results = points(), collections.Counter(), []
    try:
        for command in ground.commands:
            results.append(at_points(ground, command, one_of, reached))
        for name, work in OWN.items():
            results.append(own(ground, name, work, one_of, reached))
    finally:
        ground.stop()
    all_of = result("F3", "points that nothing reaches")
    if missed := sorted(one_of.keys() - reached.keys()):
        if args.commands == args.all_commands:
            fail(all_of, Fault("other", f"{missed}"), "all commands")
    results.append(all_of)
    args.say(f"  F3: {len(reached)} of {len(one_of)} points are reached")
    return results


def record(run_it, log):
    """Which points a command reaches, and how often."""
    run_it(f"record={log}")
    return collections.Counter(log.read_text().splitlines()) if log.exists() else {}


def times(count):
    """Which of the times that a point is reached are tried."""
    if args.full:
        return range(count) if count <= 10 else [*range(5), *range(5, count, -(-count // 5))]
    return [0] if count == 1 else [count - 1]


def spec(point, skip, action):
    word, _, always = action.partition(":")
    return f"{point}:skip={skip}:{always + ':' if always else ''}{word}"


def at_points(ground, command, one_of, reached):
    folder, kit = ground.trial(command)
    codes = (0, 7) if command == "repair" else (0,)

    def plain(armed):
        Kit(args.failpoints, kit.home, KIT_FAIL=armed).run(*ground.arguments(command, folder), codes=codes)

    counts = record(plain, folder / "points")
    shutil.rmtree(folder)
    new = [name for name in counts if not reached[name]]
    reached.update(counts)
    one = result("F3", command, total=len(counts))

    def at(armed):
        folder, kit = ground.trial(command, KIT_FAIL=armed)
        try:
            code, _, said = kit.attempt(*ground.arguments(command, folder))
            if code not in (0, 1, 5, 6, 7, 8, 9, -9):
                raise Fault("other", f"ended with {code}: {said.decode(errors='replace')[-300:]}")
        except Fault as fault:
            fail(one, fault, armed, folder)
        else:
            ground.judge(one, command, folder, kit, armed, code)

    # In the short set a point is tried with every action by the first command that comes to it.
    tried = {point: actions(point, one_of[point]) for point in counts}
    each(at, [(spec(point, skip, action),) for point, count in sorted(counts.items())
              for action in (tried[point] if args.full or point in new else tried[point][:1]) for skip in times(count)])
    args.say(f"  F3 {command}: {one['runs']} runs at {len(counts)} points")
    return one


def own(ground, name, work, one_of, reached):
    """Does the same for what changes no store."""
    one = result("F3", name)
    folder = ground.work / f"own-{name}"

    def go(armed):
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        home = folder / "home"
        shutil.copytree(ground.template.home, home)
        return work(ground, Kit(args.failpoints, home, KIT_FAIL=armed), Kit(args.kit, home), folder)

    log = ground.work / f"points-{name}"
    counts = record(go, log)
    for point, count in sorted(counts.items()):
        if reached[point] and not args.full:
            continue
        for action in actions(point, one_of[point]):
            for skip in times(count):
                one["runs"] += 1
                one["faults"] += 1
                try:
                    go(spec(point, skip, action))
                except Fault as fault:
                    fail(one, fault, spec(point, skip, action))
    reached.update(counts)
    shutil.rmtree(folder, ignore_errors=True)
    args.say(f"  F3 {name}: {one['runs']} runs")
    return one


def save(ground, faulty, kit, folder):
    """A tar file is the old one or the new one."""
    to = folder / "kit.tar"
    kit.run("save", "b:1", "-o", to)
    faulty.attempt("save", "a:1", "-o", to)
    looked = Kit(args.kit, folder / "other")
    looked.run("load", to, kind="damage")
    name = next(iter(looked.names()))
    looked.holds(name, ground.sources[name[0]], folder / "out")
    kit.run("save", "a:1", "-o", to, kind="rerun")
    if more := {path.name for path in folder.iterdir()} - {"home", "other", "out", "kit.tar"}:
        raise Fault("leftover", f"left over: {more}")


def save_folder(ground, faulty, kit, folder):
    """A folder is a whole layout, or not taken for one."""
    to = folder / "layout"
    faulty.attempt("save", "a:1", "-o", f"{to}/")
    if (to / "oci-layout").exists():
        looked = Kit(args.kit, folder / "other")
        looked.run("load", to, kind="damage")


def layout(ground, faulty, kit, folder):
    """A layout that is copied to holds what it held."""
    if not ground.registry:
        return
    host, to = ground.registry.host, folder / "layout"
    kit.run("copy", f"{host}/seed/b:1", f"oci:{to}:b")
    faulty.attempt("copy", f"{host}/seed/a:1", f"oci:{to}:a")
    looked = Kit(args.kit, folder / "other")
    looked.run("load", f"{to}:b", "-t", "b:1", kind="lost")
    kit.run("copy", f"{host}/seed/a:1", f"oci:{to}:a", kind="rerun")
    looked.run("load", f"{to}:a", "-t", "a:1", kind="damage")
    for name in ("a:1", "b:1"):
        looked.holds(name, ground.sources[name[0]], folder / f"out-{name[0]}")


def login(ground, faulty, kit, folder):
    """Logins that were there stay."""
    if not ground.registry:
        return
    first, second = ground.registry.host, f"localhost:{ground.registry.port}"
    kit.run("login", first, "-u", "me", "-p", "secret")
    faulty.attempt("login", second, "-u", "me", "-p", "secret")
    text = next(kit.home.rglob("credentials.json")).read_text()
    if first not in text:
        raise Fault("lost", "the first login is lost")
    kit.run("login", second, "-u", "me", "-p", "secret", kind="rerun")


def init(ground, faulty, kit, folder):
    """A Kitfile is the old one or the new one."""
    shutil.copytree(ground.trees["b"], folder / "tree")
    old = (folder / "tree" / "Kitfile").read_text()
    code, _, _ = faulty.attempt("init", "--force", folder / "tree")
    text = (folder / "tree" / "Kitfile").read_text()
    if text != old and code == 0 and "manifestVersion" not in text:
        raise Fault("damage", "the Kitfile is neither the old nor a new one")
    kit.run("check", folder / "tree", kind="damage")
    kit.run("init", "--force", folder / "tree", kind="rerun")


def over(ground, faulty, kit, folder):
    """A folder with old files holds old and new ones, each whole."""
    to = folder / "out"
    kit.run("unpack", "b:1", "-d", to)
    old = (to / "model.bin").read_bytes()
    faulty.attempt("unpack", "a:1", "-d", to, "--overwrite")
    new = (ground.trees["a"] / "model.bin").read_bytes()
    if (to / "model.bin").read_bytes() not in (old, new):
        raise Fault("damage", "model.bin is neither the old nor the new one")
    kit.run("unpack", "a:1", "-d", to, "--overwrite", kind="rerun")


def big(ground, faulty, kit, folder):
    """A file that comes in pieces, and one blob of it that was damaged and is a folder now."""
    tree = folder / "tree"
    tree.mkdir()
    (tree / "Kitfile").write_text("manifestVersion: 1.0.0\npackage: {name: big}\nmodel: {path: m}\n")
    (tree / "m").write_bytes(b"0123456789abcdef" * (256 << 10))
    kit.run("pack", tree, "-t", "big:1")
    _, manifest = kit.manifest("big:1")
    faulty.attempt("unpack", "big:1", "-d", folder / "out")
    kit.run("unpack", "big:1", "-d", folder / "out", kind="rerun")
    kept = kit.blob(manifest["layers"][0]["digest"])
    kept.unlink()
    kept.mkdir()
    faulty.attempt("pack", tree, "-t", "big:1")
    kit.run("pack", tree, "-t", "big:1", kind="rerun")
    kit.run("verify", kind="damage")


def pull_large(ground, faulty, kit, folder):
    """A blob that comes in parts, with a record of those that are there."""
    if not ground.registry:
        return
    name = f"{ground.registry.host}/seed/large:1"
    tree = ground.work / "large"
    if not tree.exists():
        tree.mkdir()
        (tree / "Kitfile").write_text("manifestVersion: 1.0.0\npackage: {name: large}\nmodel: {path: m}\n")
        (tree / "m").write_bytes(bytes(3 << 20))
        kit.run("pack", tree, "-t", name)
        kit.run("push", name)
        kit.run("remove", name)
    few = ["--jobs", "1", "--concurrency", "1", "--retries", "1"]
    faulty.attempt("pull", name, *few)
    kit.run("pull", name, *few, kind="rerun")
    kit.run("verify", kind="damage")
    kit.holds(name, fingerprint(tree), folder / "out")
    if left := list((kit.home / "store/ingest").iterdir()):
        raise Fault("leftover", f"left over: {left[:5]}")


def first(ground, faulty, kit, folder):
    """A store that is being made is none, or a good one."""
    shutil.rmtree(kit.home)
    faulty.attempt("pack", ground.trees["b"], "-t", "b:1")
    kit.run("list", kind="unreadable")
    kit.run("pack", ground.trees["b"], "-t", "b:1", kind="rerun")
    kit.run("verify", kind="damage")
    kit.holds("b:1", ground.sources["b"], folder / "out")


def sweep(ground, faulty, kit, folder):
    """What dead processes left goes, now or at the next time."""
    (kit.home / "store/ingest/4-dead-1.tmp").write_text("half")
    faulty.attempt("tag", "a:1", "x:1")
    kit.run("tag", "a:1", "x:1", kind="rerun")
    if (kit.home / "store/ingest/4-dead-1.tmp").exists():
        raise Fault("leftover", "the file of a dead process is not swept")


def full(ground, faulty, kit, folder):
    """An index that cannot be written leaves a log that tells of nothing else."""
    armed = faulty.more["KIT_FAIL"]
    again = Kit(args.failpoints, kit.home, KIT_FAIL=f"store.index.write:ENOSPC,{armed}")
    again.attempt("tag", "a:1", "x:1")
    if "x:1" in kit.names():
        raise Fault("damage", "x:1 is named by an index that was not written")
    (kit.home / "store/index.json").unlink()
    kit.run("verify", "--repair", kind="unreadable", codes=(0, 7))
    if not {"a:1", "b:1", "known:1", "gone:1"} <= kit.names():
        raise Fault("lost", "names are lost with the index")


OWN = {"save": save, "save to a folder": save_folder, "copy to a layout": layout, "login": login, "init": init,
       "unpack over": over, "large files": big, "large pull": pull_large,
       "first": first, "sweep": sweep, "index not written": full}
