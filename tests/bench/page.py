"""The tables: on the screen, and in docs/performance.md, where each row has a section of its own."""

import datetime
import os
import pathlib
import re
import resource
import shutil
import subprocess

from measure import size

HEAD = """\
# Performance

Measured by `tests/bench/run`, which builds the release program, makes the trees and writes this page;
`tests/bench/run ROW…` measures some rows and replaces their sections. Each section says when and where it was measured.

A ratio is the median of `kit` over the median of the other program. Both run in turn, five times each, from sources that were
just read into fresh folders, each ended by `sync -f`; nothing is deleted in between. Behind a median stand the fastest and the
slowest run. Bytes written are what the process gave the file system. Bytes on the wire are counted by a relay before the
registry, or are those of its log.
"""


def table(rows):
    lines = ["| what | measured | must | |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def floor():
    used = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    return (f"Memory below {size(used)} cannot be told apart: a new process starts with the peak of the script "
            "that started it.")


def section(name, title, rows, where):
    note = f"\n{floor()}\n" if any("eak" in row.what + row.measured for row in rows) else ""
    return f"## Row {name}: {title}\n\n{where}.\n\n{table(rows)}\n{note}"


def merge(page, sections):
    """Returns the page with these sections, by the name of their rows, in place of older ones."""
    found = {}
    for part in re.split(r"^(?=## )", page, flags=re.MULTILINE)[1:]:
        match = re.match(r"## Row (\S+):", part)
        if match:
            found[match[1]] = part.strip() + "\n"
    found.update(sections)
    names = sorted(found, key=lambda name: [int(number) for number in name.split(".")])
    return HEAD + "".join("\n" + found[name].strip() + "\n" for name in names)


def machine(work):
    """Says on what this ran."""
    cpu = "unknown processor"
    for line in open("/proc/cpuinfo"):
        if line.startswith("model name"):
            cpu = line.split(":", 1)[1].strip()
            break
    device, system, longest = "?", "?", -1
    for line in open("/proc/mounts"):
        source, at, kind, options = line.split()[:4]
        if (work == pathlib.Path(at) or pathlib.Path(at) in work.parents) and len(at) >= longest:
            device, system, longest = source, f"{kind} ({options})", len(at)
    name = os.path.basename(os.path.realpath(device))
    block = pathlib.Path("/sys/class/block") / name / "queue" / "rotational"
    disk = {"0\n": "solid state", "1\n": "rotating or virtual"}.get(block.read_text() if block.exists() else "", "disk")
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / (1 << 30)
    load = " ".join(f"{value:.1f}" for value in os.getloadavg())
    return (f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB memory; {device} {disk}, {system}; "
            f"{os.uname().sysname} {os.uname().release}; load at the end {load}")


def versions(kit, package, others):
    """Says what ran."""
    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=package, check=False)
        return (done.stdout.splitlines() or [""])[0].split(" libcurl/")[0].strip()

    commit = first_line("git", "rev-parse", "--short=10", "HEAD")
    changed = first_line("git", "status", "--porcelain", "--untracked-files=no", "--", "src", "Cargo.lock", "Cargo.toml")
    commit = f" ({commit}{' and changes' if changed else ''})" if commit else ""
    others = ", ".join(first_line(name, "--version") for name in others if shutil.which(name))
    return f"{first_line(kit, '-V')}{commit}; {others}"


def where(work, kit, package, others):
    today = datetime.date.today().isoformat()
    return f"{today}, {versions(kit, package, others)}; {machine(work)}"
