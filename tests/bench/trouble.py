"""Rows 5.2, 5.3, 5.12 and 5.13: registries, when connections break, programs are killed and disks are small."""

import json
import re
import shlex
import subprocess

from measure import count, size
from network import kit, packed, pull, push
from registry import Keeper, Registry, Relay, blobs, needs
from trees import MIB

SMALL = 64  # MiB of a disk in memory


def full(bench):
    """Returns the home with the kit of row 2, how many bytes it has, and a registry that has it, too."""
    if not hasattr(bench, "full"):
        home = packed(bench, bench.trees.mixed())
        to = Registry(bench)
        push(bench, home, to.host, "team/net")
        bench.full = home, sum(blob[1] for blob in blobs(home)), to
    return bench.full


def scaled(bench, length):
    """Returns a length that is to 1 GiB what it is said to be, where the trees are smaller."""
    return max(1, length * bench.trees.big // (1024 * MIB))


def verdict(holds):
    return "holds" if holds else "MISSED"


def share(part, whole):
    return f"{part / whole:.4f} × ({part:,} of {whole:,})"


@needs(("push",), ("pull",))
def row_2(bench):
    """A connection that breaks costs what was on its way."""
    _, length, to = full(bench)
    cut = scaled(bench, 64 * MIB)
    relay = Relay(bench, to, cut=cut)
    run, report = pull(bench, relay.host, "team/net")
    _, received, connections = relay.counted()
    bench.row("5.2", f"one pull of {size(length)}, each connection cut after {size(cut)}: bytes on the wire",
              f"{share(received, length)}; {connections} connections, {report['fetched']:,} taken; {run.seconds:.1f} s",
              "≤ 1.02 ×", verdict(received <= 1.02 * length), wire=count(received, of=length, most=1.02 * length))


def start(bench, home, *words):
    with open(bench.work / "log", "ab") as log:
        words = [bench.kit, *words, "--progress", "none"]
        return subprocess.Popen(words, env=bench.environment(home), stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def again(bench, relay, home, *words, between=lambda: None):
    """Kills a command where the relay holds, and runs it again. Returns both wires, and what the second said."""
    relay.counted()
    if not relay.killed(start(bench, home, *words)):
        return None
    first = relay.counted()
    between()
    done = subprocess.run([bench.kit, *words, "--progress", "none"], env=bench.environment(home), check=True,
                          stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    return first, relay.counted(), done.stderr


def killed(bench, what, limit, direction, relay, home, words):
    length = full(bench)[1]
    ran = again(bench, relay, home, *words)
    if not ran:
        bench.row("5.3", what, "it ended before it was killed", f"≤ {limit:.0%} again", "MISSED")
        return
    first, second, _ = ran
    part = second[direction] / length
    bench.row("5.3", what, f"{first[direction] / length:.1%} at first, {part:.2%} again ({second[direction]:,} bytes)",
              f"≤ {limit:.0%} again", verdict(part <= limit), wire=count(second[direction], of=length, most=limit * length))


@needs(("push",), ("pull",))
def row_3(bench):
    """What is there when a program dies is not moved again."""
    home, length, to = full(bench)
    half, most = length // 2, length * 60 // 100
    relay = Relay(bench, to, hold=("received", half))
    words = ("pull", f"{relay.host}/team/net:1")
    killed(bench, "pull killed at 50 %, and run again", 0.51, 1, relay, bench.folder("home"), words)

    # Of a size that does not grow: else there is no moment between two requests near 60 %.
    chunk = max(MIB, scaled(bench, 16 * MIB))
    relay = Relay(bench, Registry(bench), hold=("requests", most))
    words = ("push", "bench:1", f"{relay.host}/team/net:1", "--chunk-size", f"{chunk // MIB}MiB")
    killed(bench, f"push killed at 60 % between two requests, chunks of {size(chunk)}, docker-registry", 0.41, 0, relay, home, words)

    keeper = Keeper(bench)
    relay = Relay(bench, keeper, hold=("sent", most))
    words = ("push", "bench:1", f"{relay.host}/team/net:1")
    killed(bench, "push killed at 60 % within requests, a registry that keeps what arrived", 0.41, 0, relay, home, words)

    starts_over(bench, home, length, most)


def starts_over(bench, home, length, most):
    """Kills a push to docker-registry within requests: what was cut starts over, what was done does not."""
    empty, cut = Registry(bench), []
    relay = Relay(bench, empty, hold=("sent", most))
    config, *layers = blobs(home)

    def look():
        cut.extend(layer[:2] for layer in layers if not empty.has(layer[0]))

    what = "the same on docker-registry, which drops what is cut: bytes again, and what is said"
    ran = again(bench, relay, home, "push", "bench:1", f"{relay.host}/team/net:1", between=look)
    if not ran:
        bench.row("5.3", what, "it ended before it was killed", "", "MISSED")
        return
    first, second, said = ran
    over = set(re.findall(r"has dropped the upload of (sha256:[0-9a-f]{64}): it starts over", said))
    limit = sum(size for _, size in cut) + config[1] + MIB // 16
    bench.row("5.3", what, f"{first[0] / length:.1%} at first, {second[0]:,} bytes again; {len(cut)} of {len(layers)} layers were cut, "
              f"said of {len(over)}", f"≤ {limit:,}, what was cut; said of it alone",
              verdict(second[0] <= limit and over == {digest for digest, _ in cut}),
              wire=count(second[0], of=length, most=limit))


@needs(("push",), ("pull",))
def row_12(bench):
    """Processes that need the same blobs fetch each of them once."""
    _, length, to = full(bench)
    relay = Relay(bench, to)
    relay.counted()
    pull(bench, relay.host, "team/net")
    one = relay.counted()[1]
    home = bench.folder("home")
    children = [start(bench, home, "pull", f"{relay.host}/team/net:1") for _ in range(8)]
    codes = [child.wait() for child in children]
    received = relay.counted()[1]
    good = received <= 1.05 * one and not any(codes)
    bench.row("5.12", f"8 processes pull {size(length)} into one store: bytes on the wire, against one process",
              f"{share(received, one)}; {codes.count(0)} succeed", "≤ 1.05 ×, all succeed", verdict(good), wire=count(received, of=length, most=1.05 * one))


class Memory:
    """Runs commands with a disk of 64 MiB in memory, which goes with each."""

    def __init__(self, bench):
        self.bench = bench
        self.at = bench.folder("small")
        self.at.mkdir()
        self.mount = f"mount -t tmpfs -o size={SMALL}m tmpfs {shlex.quote(str(self.at))}"

    def missing(self):
        """Returns why it cannot be; None if it can."""
        try:
            tried = subprocess.run(["unshare", "--mount", "sh", "-c", self.mount], stdin=subprocess.DEVNULL, capture_output=True)
        except FileNotFoundError:
            return "unshare is not installed"
        return None if tried.returncode == 0 else "no file system can be mounted here: root may"

    def command(self, script):
        """Returns a command of a script, in whose end `small/home` and `small/temp` are on that disk."""
        lines = ["set -e", self.mount, f"cd {shlex.quote(str(self.at))}", "mkdir home temp", f"export TMPDIR={self.at}/temp", script]
        return ["unshare", "--mount", "sh", "-c", "\n".join(lines)]

    def quiet(self, script, home):
        done = subprocess.run(self.command(script), env=self.bench.environment(home), stdin=subprocess.DEVNULL,
                              capture_output=True, text=True)
        return done.returncode, done.stdout, done.stderr


@needs(("push",), ("pack", "--no-store"))
def row_13(bench):
    """Machines with small disks send large kits, and no command keeps copies in temporary files."""
    disk = Memory(bench)
    if why := disk.missing():
        bench.skipped("5.13", bench.titles["5.13"], why)
        return
    tree = bench.trees.one("tree-5.13", bench.trees.big)
    program, source, home = shlex.quote(str(bench.kit)), shlex.quote(str(tree)), disk.at / "home"
    expected = bench.quiet(bench.folder("home"), "pack", tree, "-q", "-t", "bench:1", "--format", "{{ .Digest }}")[1]
    where = f"home and temporary files on {SMALL} MiB"
    for what, to in (("docker-registry", Registry(bench)), ("a registry that takes no PATCH", Keeper(bench, "--no-chunks"))):
        out, words = bench.folder("json"), f"exec {program} pack {source} -t {to.host}/team/net:1"
        with open(out, "wb") as into:
            run = bench.run(disk.command(f"{words} --push --no-store --format json --progress none"), home=home, into=into, check=False)
        text = out.read_text()
        sent = sum(kit["sentBytes"] for kit in json.loads(text)["pushed"]) if run.code == 0 else 0
        pulled = run.code == 0 and kit(bench, bench.folder("home"), "pull", f"{to.host}/team/net:1")[1]["digest"] == expected
        bench.row("5.13", f"`pack --push --no-store` of {size(bench.trees.big)} to {what}, {where}",
                  f"exit {run.code}, {sent:,} bytes sent; {'pulled again, the same kit' if pulled else 'NOT the kit'}; "
                  f"peak {size(run.peak)}; {run.seconds:.1f} s", "succeeds", verdict(pulled), peak=count(run.peak))
    code, _, said = disk.quiet(f"{program} pack {source} -t net:1 --progress none", home)
    told = re.search(r"(\d+) bytes left, and (\d+) are to come", said)
    told = f"exit {code}: {told[1]} bytes left, {told[2]} to come" if told else f"exit {code}: {said.strip()!r}"
    bench.row("5.13", f"`pack` of {size(bench.trees.big)} without `--no-store`, {where}", told, "exit 9, need and have named",
              verdict(code == 9 and "to come" in told and "--no-store` sends a kit and keeps no copy" in said))
    others(bench, disk, program, source)


# What each command does with a kit of 1 GiB; $K is the program, $S the tree, $H a registry, $B a folder on a large disk.
COMMANDS = """\
init $K init $S --dry-run
check $K check $S
check-ignore $K check-ignore $S/model.bin -C $S || test $? = 1
pack $K pack $S -t $H/team/net:1
pack-gzip $K pack $S -t gzip:1 --compression gzip-fastest
pack-zstd $K pack $S -t zstd:1 --compression zstd
pack-push $K pack $S -t $H/team/other:1 --push --no-store --chunk-size 16MiB
list $K list
info $K info $H/team/net:1
inspect $K inspect $H/team/net:1
files $K files $H/team/net:1
cat $K cat $H/team/net:1 model.bin | cmp - $S/model.bin
cat-zstd $K cat zstd:1 model.bin | cmp - $S/model.bin
tag $K tag $H/team/net:1 net:2
diff $K diff --files gzip:1 zstd:1
history $K history
status $K status $S --kit net:2 --no-cache
du $K du
verify $K verify
toc $K toc show net:2
push $K push $H/team/net:1
push-zstd $K push zstd:1 $H/team/zstd:1
copy $K copy $H/team/net:1 $H/prod/net:1
copy-layout $K copy $H/team/net:1 oci:$B/layout:net
save $K save net:2 zstd:1 -o $B/kits.tar
save-zstd $K save net:2 -o $B/kits.tar.gz
remove $K remove net:2 zstd:1 gzip:1 $H/team/net:1 --yes
prune $K prune
load $K load $B/kits.tar
unpack $K unpack net:2 -d $B/out
unpack-zstd $K unpack zstd:1 -d $B/out-zstd
unpack-remote $K unpack $H/team/zstd:1 -d $B/out-remote && cmp $B/out-remote/model.bin $S/model.bin
pull $K pull $H/team/net:1
list-remote $K list $H/team/net
info-remote $K info -r $H/team/net:1
inspect-remote $K inspect -r $H/team/net:1
diff-remote $K diff local://$H/team/net:1 remote://$H/team/net:1
remove-remote $K remove -r --force $H/team/net:1
migrate $K copy $H/prod/net:1 oci:$B/kitops/storage/localhost/team/moved:1 && $K migrate $B/kitops --format json | grep -q moved
cache $K cache info && $K cache clear
doctor $K doctor
completion $K completion bash
login printf secret | $K login $H -u ci --password-stdin
logout $K logout $H
version $K version
help $K help
"""


def others(bench, disk, program, source):
    """Runs each command with a temporary folder of 64 MiB, and a home that is on a large disk."""
    home, large, to = bench.folder("home"), bench.folder("large"), Registry(bench)
    large.mkdir()
    setup = [f"K={program}", f"S={source}", f"H={to.host}", f"B={shlex.quote(str(large))}"]
    failed, left, ran = [], [], set()
    for line in COMMANDS.splitlines():
        name, script = line.split(" ", 1)
        ran.add(name.split("-")[0] if name != "check-ignore" else name)
        # What was written stays there only if a command left it; a full disk ends it.
        script = "\n".join([*setup, f"( {script} ) >/dev/null", 'find temp -type f | sed "s/^/left /"'])
        code, out, said = disk.quiet(script, home)
        if code:
            failed.append(f"{name}: exit {code}")
            print(f"  {name}: exit {code}\n{said[-500:]}")
        left += [f"{name}: {path}" for path in out.splitlines()]
    listed = set(re.findall(r"^  ([a-z-]+)  ", bench.quiet(home, "--help")[1], re.MULTILINE))
    absent = sorted(listed - ran)
    measured = f"{len(COMMANDS.splitlines())} runs, {len(failed)} failed, {len(left)} files left"
    measured += "".join(f"; {text}" for text in [*failed, *left])
    measured += f"; not run: {', '.join(absent)}" if absent else ""
    bench.row("5.13", f"every command with a kit of {size(bench.trees.big)} and temporary files on {SMALL} MiB", measured,
              "all succeed", verdict(not failed and not left and not absent))


ROWS = {
    "5.2": ("pull of the kit of row 2, each connection cut after 64 MiB", row_2),
    "5.3": ("a pull killed at 50 % and a push killed at 60 %, and run again: bytes on the wire", row_3),
    "5.12": ("8 processes that pull the kit of row 2 into one store: bytes on the wire", row_12),
    "5.13": ("pack --push --no-store of 1 GiB, home and temporary files on 64 MiB; every other command with such a temporary folder", row_13),
}
