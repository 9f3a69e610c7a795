"""Row 7.6: what a change of one huge file costs to push, with its layer in segments and as one blob."""

import registry
from delta import Kits, append, file_byte, insert, patch
from measure import size
from trees import MIB, noise, write


def row_7_6(bench):
    why = registry.missing()
    if not why and not bench.has("pack", "--layer-format=chunked"):
        why = "there is no `kit pack --layer-format chunked`"
    if why:
        bench.skipped("7.6", ROWS["7.6"][0], why)
        return
    is_whole = bench.trees.big >= 1 << 30
    length = bench.trees.big if is_whole else 40 * MIB
    # A trial has a smaller file, which would be one blob.
    segment = 32 * MIB if is_whole else MIB
    tree = bench.trees.tree("tree-7.6", "model: {path: model.bin}\n",
                            lambda root: write(root / "model.bin", noise("model", length)))
    model = tree / "model.bin"
    middle = length // 2
    # With an insertion the header changes, too, and so the first segment, which is small.
    changes = (
        ("1 byte flipped", 2, lambda: patch(model, middle, bytes([file_byte(model, middle) ^ 1]))),
        ("1 MiB inserted in the middle", 2, lambda: insert(model, middle, b"".join(noise("new", MIB)))),
        ("10 MiB appended", 2, lambda: append(model, noise("end", 10 * MIB))),
    )
    chunked = Versions(bench, tree, "--layer-format", "chunked", "--segment-size", str(segment))
    plain = Versions(bench, tree)
    first = [it.push("1") for it in (chunked, plain)]
    bench.row("7.6", f"{size(length)}, the first time: bytes sent",
              f"{first[0]:,} in segments, {first[1]:,} as one blob", "", "")
    for number, (what, most, change) in enumerate(changes):
        was = model.read_bytes()
        change()
        sent, whole = (it.push(f"c{number}") for it in (chunked, plain))
        # A segment is twice the size that is asked for at most.
        limit = most * 2 * segment + segment // 8 + MIB
        bench.row("7.6", f"{size(length)}, {what}: bytes sent",
                  f"{sent:,} in segments, {whole:,} as one blob: {sent / whole:.1%}",
                  f"≤ {limit:,}", "holds" if sent <= limit else "MISSED")
        model.write_bytes(was)


class Versions(Kits):
    """Versions of a tree that are packed in one way."""

    def __init__(self, bench, tree, *flags):
        super().__init__(bench, tree)
        self.flags = flags

    def push(self, tag):
        """Returns the bytes that were sent."""
        self.bench.quiet(self.home, "pack", self.tree, "-t", self.name(tag), "-q", *self.flags)
        self.relay.counted()
        self.bench.quiet(self.home, "push", self.name(tag), "-q")
        return self.relay.counted()[0]


ROWS = {"7.6": ("push of a change of one huge file, in segments and as one blob", row_7_6)}
