"""F9: a neighbour who swaps folders for links, in the target and in the store, while a kit is unpacked."""

import ctypes
import os
import shutil
import threading

from ground import Ground, args, fail, result
from kit import Fault, Skip, fingerprint, state, tail

SWAPS = 10_000
EXCHANGE = 2
HERE = -100


def exchange(one, other):
    """Swaps two names in one step."""
    if ctypes.CDLL(None, use_errno=True).renameat2(HERE, os.fsencode(one), HERE, os.fsencode(other), EXCHANGE):
        raise Skip(f"renameat2: {os.strerror(ctypes.get_errno())}")


def run():
    ground = Ground("racer", size=100_000, files=60, commands=["unpack"])
    try:
        # What is swapped: a folder of the target, the one where files wait in it, a folder of the store;
        # and what the target already holds. (Who names a link as the target means where it leads.)
        scenes = [("out/data", "new"), ("out/data", "old"), ("out/.kit-unpack", "old"), ("out/.kit-unpack", "new"),
                  ("home/store/blobs/sha256", "new"), ("home/store/blobs", "new")]
        return [raced(ground, place, there, number) for place, there in scenes for number in range(args.races)]
    finally:
        ground.stop()


def raced(ground, place, there, number):
    one = result("F9", f"{place} is swapped, {there} files, {number + 1}", swaps=0)
    folder, kit = ground.trial("unpack")
    out = folder / "out"
    if there == "old":
        kit.run("unpack", "b:1", "-d", out)
    else:
        (out / "data").mkdir(parents=True)
    outside = folder / "outside"
    shutil.copytree(ground.trees["gone"], outside)
    # Names that unpacking looks for, so that following the link has somewhere to go.
    (outside / "sha256").mkdir()
    before = state(outside)
    real, link = folder / place, folder / "link"
    link.symlink_to(outside / "data" if place.endswith("data") else outside)
    stop = threading.Event()
    waiting = place.endswith(".kit-unpack")
    if not waiting:
        exchange(real, link)  # where that cannot be done nothing can be tried
        exchange(real, link)
    racer = threading.Thread(target=swap_waiting if waiting else swap, args=(real, link, one, stop))
    racer.start()
    try:
        while racer.is_alive() or not one["runs"]:
            code, _, said = kit.attempt("unpack", "a:1", "-d", out, *(["--overwrite"] if one["runs"] % 2 else []))
            one["runs"] += 1
            one["faults"] += code != 0
            if code not in (0, 1, 2, 3, 4, 5, 7, 9):
                raise Fault("other", f"ended with {code}: {tail(said)}")
            if state(outside) != before:
                raise Fault("outside", "a file outside of the target was changed")
    except Fault as fault:
        fail(one, fault, f"after {one['swaps']} swaps", folder)
        return one
    finally:
        stop.set()
        racer.join()
        if real.is_symlink():
            exchange(real, link)
    try:
        kit.run("unpack", "a:1", "-d", out, "--overwrite", kind="rerun")
        whole = fingerprint(out)
        if wrong := [path for path, what in ground.sources["a"].items() if whole.get(path) != what]:
            raise Fault("damage", f"not as in the kit: {wrong[:5]}")
        left = [path.name for path in out.iterdir() if path.name.startswith(".kit")]
        if left and not waiting:  # what the neighbour put in its place is the neighbour's
            raise Fault("leftover", f"left over: {left}")
        kit.run("verify", kind="damage")
        if state(outside) != before:
            raise Fault("outside", "a file outside of the target was changed")
    except Fault as fault:
        fail(one, fault, "at the end", folder)
    else:
        shutil.rmtree(folder)
    args.say(f"  F9 {one['what']}: {one['swaps']} swaps, {one['faults']} of {one['runs']} runs refused")
    return one


def swap_waiting(place, link, one, stop):
    """Swaps the folder where files wait, whatever it is called this time."""
    rounds = 0
    while one["swaps"] < SWAPS and rounds < SWAPS * 20 and not stop.is_set():
        rounds += 1
        try:
            for name in os.listdir(place.parent):
                if name.startswith(place.name):
                    exchange(place.with_name(name), link)
                    exchange(place.with_name(name), link)
                    one["swaps"] += 2
        except (Skip, OSError):
            pass  # it has gone meanwhile


def swap(real, link, one, stop):
    pause = threading.Event()
    while one["swaps"] < SWAPS and not stop.is_set():
        exchange(real, link)
        one["swaps"] += 1
        # Sometimes each of both stays for a while: long enough to be opened, then gone.
        if one["swaps"] % 7 == 0:
            pause.wait(0.0005)
