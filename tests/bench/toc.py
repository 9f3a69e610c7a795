"""Row 7.5: what tables of contents cost when a kit is packed."""

import json
import statistics

from measure import compared, size, spread
from trees import MIB, noise, small_files, write

SMALL = 4 << 10


def row_7_5(bench):
    """What makes the rows before possible is made while packing."""
    if not bench.has("pack", "--no-toc"):
        bench.skipped("7.5", "pack with a table of contents", "there is no such flag")
        return
    count = max(20_000, bench.trees.small // 5)
    large = max(80 * MIB, bench.trees.big)  # below 64 MiB there is no table of contents

    def fill(root):
        write(root / "model.bin", noise("model", large))

    one = bench.trees.tree("tree-7.5", "model: {path: model.bin}\n", fill)
    many = bench.trees.tree("tree-7.5-small", "datasets: [{name: d, path: data}]\n",
                            lambda root: small_files(root / "data", count, SMALL))
    for what, tree, bytes_of_large, files in (
        (f"one file of {size(large)}", one, large, 1),
        (f"{count} files of {SMALL >> 10} KiB", many, 0, count),
    ):
        cost(bench, what, tree)
        length(bench, what, tree, bytes_of_large // 1000 + 100 * files)


def cost(bench, what, tree):
    """Compares packing with and without, in turn."""
    runs = bench.in_turn(lambda: bench.pack(tree, bench.folder("home")),
                         lambda: bench.pack(tree, bench.folder("home"), more=("--no-toc",)), ("with", "without"))
    for name, pick, most in (
        ("processor time", lambda run: run.cpu, 1.8),
        ("time, `sync -f` included", lambda run: run.seconds, 1.15),
    ):
        ours, other = ([pick(run) for run in which] for which in runs)
        value = statistics.median(ours) / statistics.median(other)
        bench.row("7.5", f"{what}: {name}, with a table of contents against without",
                  f"{value:.2f} × ({spread(ours)} against {spread(other)})", f"≤ {most} ×",
                  "holds" if value <= most else "MISSED", **compared(ours, other, most))


def length(bench, what, tree, most):
    """Looks at how long the table of contents is."""
    home = bench.folder("home")
    _, said = bench.quiet(home, "pack", tree, "-t", "bench:1", "--format", "json")
    found = json.loads(said)["toc"]["size"]
    bench.row("7.5", f"{what}: bytes of the table of contents", f"{found}",
              f"≤ {most}", "holds" if found <= most else "MISSED")


ROWS = {"7.5": ("pack with a table of contents, against without", row_7_5)}
