"""F8: flipped bits and cut files: whatever is read out of the store is looked at before."""

import json
import random
import shutil

from ground import Ground, args, fail, result
from kit import Fault

# What a damaged store may end with: failed, damaged, repaired with loss, not found.
REFUSED = (1, 3, 5, 7)


def run():
    ground = Ground("flips", commands=["push"])
    try:
        return [blobs(ground), names(ground)]
    finally:
        ground.stop()


def damages(size, noise, number):
    """So many ways to damage a file: bits at random places, at both ends, and shorter ones."""
    bits = [(0, noise.randrange(8)), (size - 1, noise.randrange(8))]
    bits += [(noise.randrange(size), noise.randrange(8)) for _ in range(number)]
    cuts = sorted({cut for cut in (0, 1, 511, 512, size // 2, size - 1) if 0 <= cut < size})
    return [("bit", *one) for one in bits] + [("cut", cut) for cut in cuts]


def harm(path, content, way):
    path.chmod(0o644)
    if way[0] == "cut":
        path.write_bytes(content[: way[1]])
    else:
        changed = bytearray(content)
        changed[way[1]] ^= 1 << way[2]
        path.write_bytes(changed)


def blobs(ground):
    """Every blob of a kit; detection by unpack, push and verify must be complete."""
    one = result("F8", "blobs: unpack, push, verify", flips=0, found=0)
    folder, kit = ground.trial("flips")
    digest, manifest = kit.manifest("a:1")
    parts = [digest, manifest["config"]["digest"], *(layer["digest"] for layer in manifest["layers"])]
    noise = random.Random(f"{args.seed} blobs")
    for part in parts:
        path = kit.blob(part)
        content = path.read_bytes()
        for way in damages(len(content), noise, max(1, args.flips // 3 // len(parts) - 8)):
            harm(path, content, way)
            for command in ("unpack", "push", "verify"):
                look(ground, one, kit, folder, command, f"{part[7:19]} {way}")
            path.write_bytes(content)
            path.chmod(0o444)
    finish(one, kit, ground, folder)
    return one


def look(ground, one, kit, folder, command, what):
    one["runs"] += 1
    one["faults"] += 1
    one["flips"] += 1
    host = ground.registry.host if ground.registry else None
    if command == "push" and not host:
        one["flips"] -= 1
        return
    asked = {"unpack": ["unpack", "a:1", "-d", folder / "out"], "verify": ["verify"],
             "push": ["push", "a:1", f"{host}/flips/{one['runs']}:1", "--retries", "0"]}[command]
    try:
        code, _, said = kit.attempt(*asked)
        if code in REFUSED:
            one["found"] += 1
        else:
            raise Fault("undetected", f"`kit {command}` ended with {code}: {said.decode(errors='replace')[-200:]}")
        if command == "unpack" and (folder / "out").exists():
            there = {path.name for path in (folder / "out").rglob("*") if path.is_file()}
            for path in (folder / "out").rglob("*"):
                source = ground.trees["a"] / path.relative_to(folder / "out")
                if path.is_file() and path.name != "Kitfile" and path.read_bytes() != source.read_bytes():
                    raise Fault("damage", f"{path.name} of {sorted(there)} was written with damage")
    except Fault as fault:
        fail(one, fault, f"{command} of {what}")
    shutil.rmtree(folder / "out", ignore_errors=True)


def finish(one, kit, ground, folder):
    """What was put back is whole."""
    try:
        kit.run("verify", kind="damage")
        kit.holds("a:1", ground.sources["a"], folder / "last")
    except Fault as fault:
        fail(one, fault, "after all")
    else:
        shutil.rmtree(folder)
    args.say(f"  {one['what']}: {one['found']} of {one['flips']} found")


def names(ground):
    """Index, log and markers: a name leads to its kit, or to none, or is told to be lost."""
    one = result("F8", "index, log and what else is kept", flips=0, found=0)
    folder, kit = ground.trial("names")
    noise = random.Random(f"{args.seed} names")
    digests = {f"{it['repo']}:{tag}": it["digest"] for it in json.loads(kit.run("list", "--format", "json")) for tag in it["tags"]}
    files = [name for name in ("index.json", "names.log", "oci-layout", "kit-store.json", "blob-stamps")
             if (kit.home / "store" / name).exists()]
    for name in files:
        path = kit.home / "store" / name
        content = path.read_bytes()
        for way in damages(len(content), noise, max(4, args.flips // 10 // len(files))):
            path.write_bytes(content)
            harm(path, content, way)
            one["runs"] += 1
            one["faults"] += 1
            try:
                believed(kit, digests, name)
                repaired(kit, digests, folder, ground, name)
            except Fault as fault:
                fail(one, fault, f"{name} {way}")
            # As it was: other files may have been written anew.
            shutil.rmtree(kit.home)
            shutil.copytree(ground.template.home, kit.home)
    finish(one, kit, ground, folder)
    return one


def believed(kit, digests, name):
    """A name that is shown leads to the kit that it led to."""
    code, out, _ = kit.attempt("list", "--format", "json")
    if code not in (0, *REFUSED):
        raise Fault("other", f"`kit list` ended with {code}")
    if code:
        return
    shown = {f"{it['repo']}:{tag}": it["digest"] for it in json.loads(out) for tag in it.get("tags") or []}
    for found, digest in shown.items():
        if found in digests and digests[found] != digest:
            # One bit of the index makes another digest of it, whose manifest is not there.
            code, _, _ = kit.attempt("verify")
            if code not in REFUSED:
                raise Fault("undetected", f"{found} leads to {digest}, and `kit verify` ended with {code}")


def repaired(kit, digests, folder, ground, name):
    """After `verify --repair` the store can be used, and whatever is named is whole."""
    code, _, said = kit.attempt("verify", "--repair")
    if code not in (0, *REFUSED):
        raise Fault("unreadable", f"`kit verify --repair` ended with {code}: {said.decode(errors='replace')[-200:]}")
    code, _, said = kit.attempt("pack", ground.trees["b"], "-t", "after:1")
    told = code in (1, 5) and (b"names.log" in said or b"index" in said or b"version" in said or b"layout" in said or b"json" in said)
    if code and not told:
        raise Fault("rerun", f"`kit pack` ended with {code}: {said.decode(errors='replace')[-300:]}")
    if not code:
        kit.holds("after:1", ground.sources["b"], folder / "after")
        shutil.rmtree(folder / "after")
