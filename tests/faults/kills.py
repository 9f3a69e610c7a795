"""F1: signals at moments spread over the measured length of each command."""

import random
import signal
import subprocess
import time

from ground import Ground, args, result
from kit import Fault

SIGNALS = {"KILL": (signal.SIGKILL, (-9,)), "TERM": (signal.SIGTERM, (-15, 143, 0)), "INT": (signal.SIGINT, (-2, 130, 0))}
NEEDS_BIG = ("pack", "repack", "unpack", "load", "push", "pull", "copy", "fetch")


def run():
    """Sends each command a signal at random moments: three of five kill, the others ask."""
    ground, results = Ground("kill", args.size, 100), []
    try:
        for command in ground.commands:
            results.append(killed(ground, command))
    finally:
        ground.stop()
    return results


def killed(ground, command):
    length = ground.expected[command][0]
    moments = random.Random(f"{args.seed} {command}")
    one = result("F1", command, length_ms=round(length * 1000, 1), live=0)
    for number in range(args.kills):
        name = ("KILL", "TERM", "KILL", "INT", "KILL")[number % 5]
        number_of, expected = SIGNALS[name]
        folder, kit = ground.trial(command)
        moment = (number + moments.random()) / args.kills * length * 0.95
        process = kit.start(*ground.arguments(command, folder), stderr=subprocess.DEVNULL)
        end = time.perf_counter() + moment
        while (left := end - time.perf_counter()) > 0:
            time.sleep(left if left > 0.002 else 0)
        alive = process.poll() is None
        one["live"] += alive
        process.send_signal(number_of)
        what = f"SIG{name} after {moment * 1000:.1f} ms"
        try:
            code, _, _ = kit.end(process, ground.arguments(command, folder), 20)
        except Fault as fault:
            code = None
            one["failures"].append(f"{command}, {what}: {fault}")
            one["kinds"][fault.kind] = one["kinds"].get(fault.kind, 0) + 1
        # A signal may come before the first line of the program, or after its last.
        if code is not None and code not in (*expected, 0, *((7,) if command == "repair" else ())):
            one["failures"].append(f"{command}, {what}: ended with {code}")
            one["kinds"]["other"] = one["kinds"].get("other", 0) + 1
        ground.judge(one, command, folder, kit, what, code if code == 0 else None, alive)
    args.say(f"  F1 {command}: {one['live']} of {args.kills} met a live process")
    return one
