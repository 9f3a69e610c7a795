"""F2: death, and errors of the system, at the Nth system call of a kind, for every N there is."""

import collections
import shutil

from ground import REMOTE, Ground, args, each, fail, result
from kit import Fault
from server import need

# `?` : the call may not exist on this processor.
CLASSES = {
    "create": "openat,?openat2,?open,?creat,?mkdir,mkdirat",
    "write": "write,pwrite64,?writev,?copy_file_range,?sendfile",
    "sync": "fsync,fdatasync,syncfs,?sync_file_range",
    "rename": "?rename,renameat,renameat2,?link,linkat",
    "unlink": "?unlink,unlinkat,?rmdir",
}
# What the system answers to which kind of call.
ERRORS = {
    "create": ("EMFILE", "ENOSPC", "EINTR"),
    "write": ("ENOSPC", "EIO", "EDQUOT", "EINTR"),
    "sync": ("EIO", "ENOSPC", "EINTR"),
    "rename": ("EIO", "ENOSPC"),
    "unlink": ("EIO",),
}


# The network's own threads wake each other by `write`, which the system never answers so: what is
# written to files by that call, F3 lets fail by name.
FILES_ONLY = "pwrite64,?copy_file_range"


def run():
    need("strace")
    commands = [command for command in args.commands if command not in ("fetch",)]
    ground, results = Ground("death", commands=commands, one_thread=True), []
    try:
        for command in ground.commands:
            for name, calls in CLASSES.items():
                total = count(ground, command, calls)
                if total:
                    results.append(died(ground, command, name, calls, total))
                    if name == "write" and command in REMOTE:
                        calls, total = FILES_ONLY, count(ground, command, FILES_ONLY)
                    results.append(erred(ground, command, name, calls, total))
    finally:
        ground.stop()
    return results


def strace(calls, *more, to="/dev/null"):
    return ["strace", "-f", "-qq", "-o", to, "-e", f"trace={calls}", "-e", "signal=none", *more]


def count(ground, command, calls):
    """How often the busiest thread calls: strace counts for each."""
    folder, kit = ground.trial(command)
    log = folder / "trace"
    codes = (0, 7) if command == "repair" else (0,)
    kit.run(*ground.arguments(command, folder), before=strace(calls, to=log), codes=codes)
    threads = collections.Counter(line.split()[0] for line in log.read_text().splitlines() if " resumed>" not in line)
    shutil.rmtree(folder)
    return max(threads.values(), default=0)


def spread(total):
    """Every N, or about `args.deaths` of them."""
    return range(1, total + 1, max(1, -(-total // args.deaths)) if args.deaths else 1)


def died(ground, command, name, calls, total):
    one = result("F2", f"{command}: death at {name}", total=total)

    def at(number):
        folder, kit = ground.trial(command)
        before = strace(calls, "-e", f"inject={calls}:signal=KILL:when={number}")
        try:
            code, _, _ = kit.attempt(*ground.arguments(command, folder), before=before)
        except Fault as fault:
            fail(one, fault, f"{number} of {total}", folder)
        else:
            ground.judge(one, command, folder, kit, f"{number} of {total}", code, code in (-9, 137))

    each(at, [(number,) for number in spread(total)])
    args.say(f"  {one['what']}: {one['faults']} of {total}")
    return one


def erred(ground, command, name, calls, total):
    one = result("F2", f"{command}: errors at {name}", total=total)
    errors = ERRORS[name]

    def at(number, error):
        folder, kit = ground.trial(command)
        before = strace(calls, "-e", f"inject={calls}:error={error}:when={number}")
        what = f"{error} at {number} of {total}"
        try:
            code, _, said = kit.attempt(*ground.arguments(command, folder), before=before)
            # Some calls are the loader's, which gives up in its own way.
            early = code == 127 and b"error while loading shared libraries" in said
            if code not in (0, 1, 5, 6, 7, 8, 9) and not early:
                raise Fault("other", f"ended with {code}: {said.decode(errors='replace')[-300:]}")
        except Fault as fault:
            fail(one, fault, what, folder)
        else:
            ground.judge(one, command, folder, kit, what, code)

    # In the short set each N has one of the errors, in turn.
    each(at, [(number, error) for turn, number in enumerate(spread(total))
              for error in (errors if not args.deaths else (errors[turn % len(errors)],))])
    args.say(f"  {one['what']}: {one['runs']} runs")
    return one
