"""Row 7.4: a part of a kit that is not here."""

import pathlib
import statistics

from measure import count, size, spread
from network import packed
from registry import Registry, Relay, blobs, needs, toc
from trees import MIB


@needs(("unpack", "--allow-unverified"))
def row_4(bench):
    """One file of a large layer is fetched alone, and verified."""
    home = packed(bench, bench.trees.mixed_and_pick())
    total = sum(blob[1] for blob in blobs(home))
    length = toc(home)
    if not length:
        bench.skipped("7.4", "one file of 1 MiB", "the kit has no table of contents")
        return
    full = Registry(bench)
    relay = Relay(bench, full)
    bench.quiet(home, "push", "bench:1", f"{full.host}/team/net:1")
    wires, times, same, left = [], [], True, 0
    for _ in range(bench.pair_count):
        empty, out = bench.folder("home"), bench.folder("out")
        relay.counted()
        run = bench.run([bench.kit, "unpack", f"{relay.host}/team/net:1", "--include", "data/pick.bin", "-d", out,
                         "--progress", "none"], home=empty)
        sent, received, _ = relay.counted()
        wires.append(sent + received)
        times.append(run.seconds)
        files = [path for path in out.rglob("*") if path.is_file()]
        same &= files == [out / "data" / "pick.bin"] and files[0].read_bytes() == bench.trees.small_bytes()
        left += sum(path.parent.name == "sha256" for path in pathlib.Path(empty).rglob("*") if path.is_file())
    wire, limit = int(statistics.median(wires)), MIB + MIB // 10 + length
    bench.row("7.4", f"`unpack --include` of 1 MiB out of {size(total)}: bytes on the wire, both ways",
              f"{wire:,}; {spread(times)}", f"≤ {limit:,}: 1.1 MiB and the table of contents ({length:,})",
              "holds" if wire <= limit else "MISSED", wire=count(wire, of=total, most=limit))
    bench.row("7.4", "what came out; what is left in the store", f"{'the file' if same else 'NOT the file'}; {left} blobs",
              "the file; 0 blobs", "holds" if same and not left else "MISSED")


ROWS = {
    "7.4": ("one file of 1 MiB out of a kit of 1.2 GiB that is not in the store: bytes on the wire", row_4),
}
