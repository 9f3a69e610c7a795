"""F12: rights, streams, environments and clocks that are not the usual ones."""

import os
import pathlib
import shutil
import subprocess

from ground import Ground, args, fail, result
from kit import Fault, Kit, Skip, fingerprint, make_tree, state, tail

NOBODY = 65534
STRANGER = 54321  # a number that no user has


def run():
    ground = Ground("places", commands=[])
    # Others than root come to what is theirs.
    for path in (args.work, ground.work, *args.work.parents):
        if os.access(path, os.W_OK) and not path.stat().st_mode & 0o001:
            path.chmod(path.stat().st_mode | 0o011)
    results = []
    for name, scene in SCENES.items():
        one = result("F12", name)
        folder, kit = ground.trial(scene.__name__)
        results.append(one)
        try:
            scene(ground, one, folder, kit)
        except Skip as why:
            args.skip(f"F12 {name}", why)
        except Fault as fault:
            fail(one, fault, "", folder)
            continue
        shutil.rmtree(folder, ignore_errors=True)
    return results


def whole(ground, kit, folder, names=("a:1", "b:1", "gone:1")):
    """All that was there is there."""
    kit.run("verify", kind="damage")
    for name in names:
        kit.holds(name, ground.sources[name[:-2]], folder / f"check-{name[:-2]}")
        shutil.rmtree(folder / f"check-{name[:-2]}")


def tried(one, kit, words, codes, **how):
    one["runs"] += 1
    code, out, said = kit.attempt(*words, **how)
    one["faults"] += code != 0
    if code not in codes:
        raise Fault("other", f"`kit {' '.join(map(str, words))}` ended with {code}, not one of {codes}: {tail(said)}")
    return code, out or b"", said


def give(path, user):
    for it in (path, *path.rglob("*")):
        os.chown(it, user, user, follow_symlinks=False)


def users(ground, one, folder, kit):
    """Others than root: all works with what is theirs, and nothing changes with what is not."""
    if os.geteuid():
        raise Skip("only root can be others")
    program = folder / "kit"
    shutil.copy(kit.program, program)
    program.chmod(0o755)
    for user in (NOBODY, STRANGER):
        as_user = {"user": user, "group": user, "extra_groups": []}
        own = folder / f"home-{user}"
        shutil.copytree(kit.home, own)
        tree = folder / f"tree-{user}"
        source = make_tree(tree, user, 5000, 3)
        for path in (own, tree):
            give(path, user)
        out = folder / f"out-{user}"
        out.mkdir()
        os.chown(out, user, user)
        mine = Kit(str(program), own)
        for words in (["pack", tree, "-t", "new:1"], ["tag", "a:1", "x:1"], ["remove", "x:1"], ["prune"], ["verify"],
                      ["unpack", "new:1", "-d", out]):
            tried(one, mine, words, (0,), **as_user)
        if fingerprint(out) != source:
            raise Fault("damage", "the folder is not as it was packed")
        (tree / "model.bin").chmod(0)
        os.chown(tree / "model.bin", 0, 0)
        _, _, said = tried(one, mine, ["pack", tree, "-t", "new:2"], (1, 4), **as_user)
        if b"model.bin" not in said:
            raise Fault("other", f"does not name the file that cannot be read: {tail(said)}")
        # What belongs to root.
        theirs = Kit(str(program), kit.home)
        before = state(kit.home)
        for words in (["list"], ["verify"], ["pack", ground.trees["b"], "-t", "new:1"], ["tag", "a:1", "x:1"], ["remove", "a:1"], ["prune"]):
            code, _, said = tried(one, theirs, words, (0, 1, 4), **as_user)
            if code == 0 and words[0] not in ("list", "verify"):
                raise Fault("other", f"`kit {words[0]}` ended with 0 in a store that it cannot write to")
        if state(kit.home) != before:
            raise Fault("outside", "the store of root was changed")
    whole(ground, kit, folder)


def read_only(ground, one, folder, kit):
    """A disk that cannot be written to: reading works, and writing says why not."""
    if os.geteuid():
        raise Skip("only root can mount")
    for words in (["--bind", kit.home, kit.home], ["-o", "remount,ro,bind", kit.home]):
        if subprocess.run(["mount", *words], capture_output=True).returncode:
            raise Skip("mount --bind does not work")
    try:
        for words in (["list"], ["info", "a:1"], ["verify"], ["files", "a:1"], ["unpack", "a:1", "-d", folder / "out"],
                      ["save", "a:1", "-o", folder / "a.tar"]):
            tried(one, kit, words, (0,))
        if fingerprint(folder / "out") != ground.sources["a"]:
            raise Fault("damage", "the folder is not as it was packed")
        for words in (["pack", ground.trees["new"], "-t", "new:1"], ["tag", "a:1", "x:1"], ["remove", "a:1"],
                      ["load", ground.archive], ["verify", "--repair"]):
            _, _, said = tried(one, kit, words, (0, 1, 4) if "--repair" in words else (1, 4))
            if b"ead-only" not in said and "--repair" not in words:
                raise Fault("other", f"does not say that the disk is read-only: {tail(said)}")
    finally:
        subprocess.run(["umount", kit.home], check=False)
        subprocess.run(["umount", kit.home], check=False, capture_output=True)
    whole(ground, kit, folder)


def streams(ground, one, folder, kit):
    """Streams that are closed, full or read by nobody: the work is done, and nothing panics."""
    commands = [["list"], ["files", "a:1"], ["info", "a:1"], ["tag", "a:1", "x:1"], ["verify"], ["--help"],
                ["pack", ground.trees["b"], "-t", "b:2"], ["unpack", "a:1", "-d", folder / "out"], ["cat", "a:1", "run.sh"]]
    for words in commands:
        for number in (0, 1, 2):
            tried(one, kit, words, (0, 1), preexec_fn=lambda number=number: os.close(number))
        shutil.rmtree(folder / "out", ignore_errors=True)
        ends = os.pipe()
        os.close(ends[0])  # nobody reads
        tried(one, kit, words, (0,), stdout=ends[1])
        os.close(ends[1])
        shutil.rmtree(folder / "out", ignore_errors=True)
        with open("/dev/full", "w") as full:
            code, _, _ = tried(one, kit, words, (0, 1, 9), stdout=full)
            if code == 0 and words[0] in ("list", "files", "info", "cat"):
                raise Fault("damage", f"`kit {words[0]}` ended with 0 though its output is lost")
            tried(one, kit, words, (0, 1, 4, 9), stderr=full)
        shutil.rmtree(folder / "out", ignore_errors=True)
    whole(ground, kit, folder)


def environments(ground, one, folder, kit):
    """No HOME, a language without letters, names that are no text, no folder to be in."""
    tried(one, kit, ["list"], (1, 2), env={"PATH": os.environ["PATH"]})
    tree = folder / "tree"
    make_tree(tree, "names", 1000, 2)
    (tree / "data" / "größe 漢字.csv").write_text("1")
    with open(os.fsencode(tree / "data") + b"/\xff\xfe.bin", "w") as file:
        file.write("2")
    digests = set()
    for language in ("C", "C.UTF-8", "tr_TR.UTF-8", ""):
        _, digest, _ = tried(one, Kit(kit.program, kit.home, LANG=language, LC_ALL=language, TZ="Asia/Kathmandu"),
                             ["pack", tree, "-t", "names:1", "--no-cache", "--format", "{{.Digest}}"], (0,))
        digests.add(digest)
        out = folder / f"out{language}"
        tried(one, Kit(kit.program, kit.home, LANG=language, LC_ALL=language), ["unpack", "names:1", "-d", out], (0,))
        if fingerprint(out) != fingerprint(tree):
            raise Fault("damage", f"with LANG={language} the folder is not as it was packed")
    if len(digests) != 1:
        raise Fault("damage", f"the digest depends on the language: {digests}")
    gone = folder / "gone"
    gone.mkdir()
    # Where the working directory was is nothing any more.
    tried(one, kit, ["list"], (0,), before=["sh", "-c", f'cd "{gone}" && rmdir "{gone}" && exec "$@"', "sh"])
    (kit.home / "config.toml").write_text("this is [not a setting")
    tried(one, kit, ["list"], (1, 2))
    (kit.home / "config.toml").unlink()
    whole(ground, kit, folder)


def alone(ground, one, folder, kit):
    """The first process of a container, which no signal ends by itself."""
    check = subprocess.run(["unshare", "-pf", "true"], capture_output=True)
    if check.returncode:
        raise Skip(f"unshare: {tail(check.stderr)}")
    tried(one, kit, ["pack", ground.trees["new"], "-t", "new:1"], (0,), before=["unshare", "-pf"])
    # All have the number 1: nobody may take another's files for its own.
    running = [kit.start("pack", ground.trees["a"], "-t", f"first-{number}:1", "--no-cache", before=["unshare", "-pf"]) for number in range(4)]
    for process in running:
        code, _, said = kit.end(process, ["pack"])
        one["runs"] += 1
        if code:
            raise Fault("other", f"ended with {code}: {tail(said)}")
    whole(ground, kit, folder, ("a:1", "b:1", "gone:1", "new:1"))


def clocks(ground, one, folder, kit):
    """A clock that is a year wrong, in one command and not in the next."""
    library = next(iter(pathlib.Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")), None)
    if not library:
        raise Skip("libfaketime is not installed")
    for number, moved in enumerate(("-1y", "+1y", "-1y")):
        other = Kit(kit.program, kit.home, LD_PRELOAD=str(library), FAKETIME=moved)
        for words in (["pack", ground.trees["new"], "-t", f"clock-{number}:1"], ["prune"], ["list"], ["verify"],
                      ["remove", f"clock-{number}:1"]):
            tried(one, other, words, (0,))
        tried(one, kit, ["prune"], (0,))
        digests = {tried(one, it, ["pack", ground.trees["a"], "--no-cache", "--format", "{{.Digest}}"], (0,))[1] for it in (other, kit)}
        if len(digests) != 1:
            raise Fault("damage", "the digest depends on the clock")
    whole(ground, kit, folder)


SCENES = {"users": users, "a read-only disk": read_only, "streams": streams, "environments": environments,
          "the first process": alone, "clocks": clocks}
