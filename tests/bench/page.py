"""The page docs/performance.md: what the figures say, row by row."""

import datetime
import os
import pathlib
import resource
import shutil
import subprocess

from measure import size

HEAD = """\
# Performance

What `kit` takes in time, memory, disk and bytes on the wire, beside other programs and beside the limits it is held to.
`tests/bench/run` builds the release program, makes the trees, measures, and writes this page, its figures
([performance.json](performance.json)) and its charts; `tests/bench/run ROW…` measures some rows and replaces their figures.
`cargo bench --bench charts` draws the charts of the figures again.
"""

HOW = """\
## How it is measured

A ratio is the median of `kit` over the median of the other program. Both run in turn, five times each, from sources that were
just read into fresh folders, each ended by `sync -f`; nothing is deleted in between, except with `--drop`. Behind a median
stand the fastest and the slowest run. Bytes written are what the process gave the file system. Bytes on the wire are counted
by a relay before the registry, or are those of its log. Peak memory is that of the largest process; a new process starts with
the peak of the script that started it, so less than that cannot be told apart.

`cp`, `tar`, `find` and `curl` do the part of the work that they can: nothing is hashed, and nothing can be verified later.

`skopeo copy` moves the same kits to and from docker-registry through the same relay: out of the store of `kit`, which is an OCI
layout, and into a layout of its own, which has the version before where the store has it.

`dvc` has a tree of its own with the same bytes, changed in the same places. It works without git, and its remote is a folder on
the same disk, so that it speaks to no server at all, while `kit` speaks to docker-registry over loopback. What `dvc` moved is
what its remote or its cache has more than before. Neither makes a working tree when it fetches. Each change is a new one: no
program meets bytes of a change that it has seen.
"""

# Name, title and figure of each; the titles stand in the charts, too.
CHARTS = (
    ("time", "Time, where that of what `kit` is compared with is 1", "ratio"),
    ("wire", "Bytes on the wire, of those that there are", "wire"),
    ("memory", "Peak memory", "peak"),
    ("disk", "Disk at most, of the size of the kit", "disk"),
)

# By what stands before the dot of a row's name; rows without one are the first.
GROUPS = (
    ("", "Pack and unpack"),
    ("4", "Nothing done twice, all cores used"),
    ("5", "Registries"),
    ("7", "What a change costs"),
)


def render(entries, means, missing=()):
    """Returns the page. `means` says by row what it is to a user, and `missing` is what rows have no figures yet."""
    machines = list(dict.fromkeys(entry["machine"] for entry in entries))
    parts = [HEAD, summary(entries, missing), *(chart(entries, *it) for it in CHARTS), HOW]
    for prefix, title in GROUPS:
        found = [entry for entry in entries if (entry["row"].split(".")[0] if "." in entry["row"] else "") == prefix]
        if found:
            parts += [f"## {title}\n", *(section(entry, means.get(entry["row"]), machines) for entry in found)]
    lines = [f"{number}. {machine}" for number, machine in enumerate(machines, 1)]
    parts.append("## Machines\n\n" + "\n".join(lines) + "\n" if lines else "")
    return "\n".join(part for part in parts if part)


def summary(entries, missing):
    """Says what holds, and names what does not."""
    results = [(entry["row"], it) for entry in entries for it in entry["results"]]
    judged = [it for _, it in results if it["verdict"] in ("holds", "MISSED")]
    text = f"Of {len(judged)} results with a limit {sum(it['verdict'] == 'holds' for it in judged)} hold."
    lines = [f"- Row {row}, {it['what']}: {it['measured']}, must be {it['must']}" for row, it in results
             if it["verdict"] == "MISSED"]
    if lines:
        text += " Missed:\n\n" + "\n".join(lines)
    if missing:
        text += f"\n\nNot measured yet: row{'s' * (len(missing) > 1)} {', '.join(missing)}."
    return text + "\n"


def chart(entries, name, title, figure):
    """Shows a chart. Its values are in the tables, for those who do not see it."""
    shown = any(figure in it for entry in entries for it in entry["results"])
    plain = title.replace("`", "")
    return f"## {title}\n\n![{plain}: a chart of values from the tables below](charts/{name}.svg)\n" if shown else ""


def section(entry, means, machines):
    rows = [[it["what"], it["measured"], it["must"], it["verdict"]] for it in entry["results"]]
    notes = [f"With kit {entry['kit']} on {entry['date']}, [machine {machines.index(entry['machine']) + 1}](#machines), "
             f"load {entry['load']} at the end; {entry['others']}."]
    if entry.get("dropped"):
        notes.append("What a pair made was deleted before the next.")
    if entry.get("floor"):
        notes.append(f"Memory below {size(entry['floor'])} cannot be told apart.")
    parts = [f"### Row {entry['row']}: {entry['title']}", *([means] if means else []), table(rows),
             f"`tests/bench/run {entry['row']}`. {' '.join(notes)}"]
    return "\n\n".join(parts) + "\n"


def table(rows):
    lines = ["| what | measured | must | result |", "|---|---|---|---|"]
    lines += ["| " + " | ".join(row) + " |" for row in rows]
    return "\n".join(lines)


def floor(rows):
    """Returns the least peak that can be measured, where rows have one: that of the script itself."""
    peaks = any("eak" in row.what + row.measured for row in rows)
    return {"floor": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024} if peaks else {}


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
    return (f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GiB memory; {device} {disk}, {system}; "
            f"{os.uname().sysname} {os.uname().release}")


def where(work, kit, built, package, others):
    """Says when, what and on what this ran; of a program that was not `built` here nobody knows the commit."""
    def first_line(*command):
        done = subprocess.run(command, capture_output=True, text=True, cwd=package, check=False)
        return (done.stdout.splitlines() or [""])[0].split(" libcurl/")[0].strip()

    def named(program):
        line = first_line(program, "--version")
        name = pathlib.Path(program).name
        return line if name in line else f"{name} {line}"

    commit = first_line("git", "rev-parse", "--short=10", "HEAD")
    changed = first_line("git", "status", "--porcelain", "--untracked-files=no", "--", "src", "Cargo.lock", "Cargo.toml")
    origin = f"{commit}{' and changes' if changed else ''}" if built else "a given program"
    version = first_line(kit, "-V").removeprefix("kit ")
    return {
        "date": datetime.date.today().isoformat(),
        "kit": f"{version} ({origin})" if origin else version,
        "others": ", ".join(named(program) for program in others if shutil.which(program)),
        "machine": machine(work),
        "load": " ".join(f"{value:.1f}" for value in os.getloadavg()),
    }
