"""Runs commands and measures them; collects the rows of the tables."""

import collections
import contextlib
import os
import pathlib
import resource
import shutil
import statistics
import subprocess
import sys
import time

from trees import MIB, Trees

Run = collections.namedtuple("Run", "seconds peak written code cpu system")
# `figures` has the numbers of `measured`, for the charts and for programs.
Row = collections.namedtuple("Row", "what measured must verdict figures")


class Bench:
    def __init__(self, args):
        self.pair_count = args.pairs
        self.tries = 20 if args.scale >= 1 else 2  # of what must hold each time
        self.work = pathlib.Path(args.work).resolve() / f"run-{os.getpid()}"
        self.work.mkdir(parents=True)
        self.kit = args.kit
        self.drop = args.drop
        self.ends = contextlib.ExitStack()  # what runs beside, and ends with the bench
        self.fresh = 0
        self.trees = Trees(self.work, args.scale)
        self.rows = collections.defaultdict(list)  # by the name of the row

    def folder(self, what):
        """Returns a new name in the work folder; nothing is there yet."""
        self.fresh += 1
        return self.work / f"{self.fresh:03}-{what}"

    def environment(self, home):
        return {"PATH": os.environ["PATH"], "HOME": str(self.work), "KITOPS_HOME": str(home)}

    def run(self, command, sync=None, home=None, files=None, check=True, into=None):
        """Runs a command to its end (and `sync -f` of a path), and measures both together."""
        subprocess.run(["sync", "-f", str(self.work)], check=True)  # what came before is not ours
        limit = (lambda: resource.setrlimit(resource.RLIMIT_NOFILE, (files, files))) if files else None
        with open(self.work / "log", "ab") as log:
            start = time.perf_counter()
            process = subprocess.Popen(
                [str(word) for word in command],
                stdin=subprocess.DEVNULL, stdout=into or log, stderr=log,
                env=self.environment(home) if home else None,
                preexec_fn=limit,
            )
            _, status, usage = os.wait4(process.pid, 0)
            process.returncode = os.waitstatus_to_exitcode(status)
            if sync:
                subprocess.run(["sync", "-f", str(sync)], check=True)
            seconds = time.perf_counter() - start
        if check and process.returncode:
            said = (self.work / "log").read_text(errors="replace")[-2000:]
            sys.exit(f"{' '.join(map(str, command))} ended with {process.returncode}:\n{said}")
        return Run(seconds, usage.ru_maxrss * 1024, usage.ru_oublock * 512, process.returncode,
                   usage.ru_utime + usage.ru_stime, usage.ru_stime)

    def pack(self, tree, home, threads=None, more=()):
        command = [self.kit, "pack", tree, "-t", "bench:1", "--progress", "none", *more]
        return self.run(command + self.threads(threads), sync=home.parent, home=home)

    def unpack(self, home, out, threads=None, check=True):
        command = [self.kit, "unpack", "bench:1", "-d", out, "--progress", "none"]
        return self.run(
            command + self.threads(threads), sync=out.parent, home=home, files=256, check=check
        )

    @staticmethod
    def threads(number):
        return ["--threads", str(number)] if number else []

    def quiet(self, home, *args, check=True):
        """Runs kit unmeasured and returns its exit code and what it prints."""
        done = subprocess.run([self.kit, *map(str, args)], env=self.environment(home), check=check,
                              stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        return done.returncode, done.stdout.decode().strip()

    def has(self, *args):
        """Tells whether the program has a command, or takes a flag with this value."""
        return self.quiet(self.work / "no-home", *args, "--help", check=False)[0] == 0

    def in_turn(self, ours, other, names=("kit", "other")):
        """Runs both in turn, and in turn first, and returns the runs of each."""
        runs = ([], [])
        for pair in range(self.pair_count):
            before = self.fresh
            for which in ((0, 1), (1, 0))[pair % 2]:
                runs[which].append((ours, other)[which]())
                last = runs[which][-1]
                print(f"  pair {pair + 1}: {names[which]} {last.seconds:.2f} s, {last.cpu:.2f} s of processors", file=sys.stderr)
            if self.drop:
                self.delete(before)
        return runs

    def pairs(self, ours, other):
        """Does the same, and returns the seconds of each."""
        return tuple(seconds(runs) for runs in self.in_turn(ours, other))

    def delete(self, before):
        """Deletes all that was made after a folder."""
        for path in self.work.glob("[0-9]*-*"):
            if int(path.name.split("-")[0]) > before:
                shutil.rmtree(path) if path.is_dir() else path.unlink()

    # --- results ---

    def row(self, name, what, measured, must, verdict, **figures):
        """Adds a line. The figures are those of `seconds` and `ratio`, and of bytes (see `count`): `peak`, `wire` and `disk`."""
        self.rows[name].append(Row(what, measured, must, verdict, figures))

    def skipped(self, name, what, why):
        self.row(name, what, f"not run: {why}", "", "SKIPPED")

    def ratio(self, name, what, ours, other, limit, more="", **figures):
        value = statistics.median(ours) / statistics.median(other)
        verdict = "holds" if value <= limit * (1.05 if limit == 1 else 1) else "MISSED"
        self.row(name, what, f"{value:.{3 if value < 0.1 else 2}f} × ({spread(ours)} against {spread(other)}){more}",
                 f"≤ {limit} ×", verdict, **compared(ours, other, most=limit), **figures)

    def speed(self, name, what, ours, other, least, more="", **figures):
        """Tells how many times as fast the first is, for work that threads share."""
        value = statistics.median(other) / statistics.median(ours)
        verdict = "holds" if value >= least else "MISSED"
        self.row(name, what, f"{value:.2f} × as fast ({spread(ours)} against {spread(other)}){more}",
                 f"≥ {least} ×", verdict, **compared(ours, other, most=1 / least), **figures)


def seconds(runs):
    return [run.seconds for run in runs]


def spread(times):
    return f"{statistics.median(times):.3g} s, {min(times):.3g}–{max(times):.3g}"


def compared(ours, other, most):
    """The figures of two times. The ratio is the time of the first, where the other's is 1, and the most it may be."""
    times = {"kit": three(ours), "other": three(other)}
    value = statistics.median(ours) / statistics.median(other)
    return {"seconds": times, "ratio": {"value": rounded(value), "most": rounded(most)}}


def three(times):
    return {"median": rounded(statistics.median(times)), "least": rounded(min(times)), "most": rounded(max(times))}


def rounded(value):
    return float(f"{value:.4g}")


def count(bytes, of=None, most=None, other=None):
    """The figure of some bytes: of how many there are, how many they may be, and those of the other program."""
    given = {"bytes": bytes, "of": of, "most": most, "other": other}
    return {name: int(value) for name, value in given.items() if value is not None}


def size(length):
    return f"{length / MIB:.1f} MiB"
