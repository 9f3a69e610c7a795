"""A docker-registry in the work folder, a relay before it, and curl that moves blobs to and from it."""

import functools
import json
import pathlib
import re
import shlex
import subprocess
import sys
import time

import docker_registry

NEEDED = ("docker-registry", "curl")


def missing():
    """Returns why the rows of registries cannot run; None if they can."""
    return docker_registry.lacking(*NEEDED)


def needs(*commands):
    """Leaves a row out, with a word, where a program or a command of kit is missing."""
    def of(row):
        @functools.wraps(row)
        def run(bench):
            why = missing()
            for command in commands:
                if not why and not bench.has(*command):
                    why = f"there is no `kit {' '.join(command)}`"
            if why:
                bench.skipped(bench.now, bench.titles[bench.now], why)
            else:
                row(bench)
        return run
    return of


class Registry(docker_registry.DockerRegistry):
    """A registry with nothing in it, until the bench ends or `stop`."""

    def __init__(self, bench):
        self.read = 0  # of the log
        try:
            super().__init__(bench.folder("registry"))
        except docker_registry.CannotStart as why:
            sys.exit(str(why))
        bench.ends.callback(self.stop)

    def has(self, digest):
        """Tells whether it holds a blob, whole."""
        hex = digest.removeprefix("sha256:")
        return (self.folder / "data/docker/registry/v2/blobs/sha256" / hex[:2] / hex / "data").exists()

    def answered(self):
        """Returns how many bytes of blobs it gave away since this was last asked, by its access log."""
        time.sleep(0.2)  # a line is written after its answer
        with open(self.log, "rb") as log:
            log.seek(self.read)
            text = log.read()
        self.read += len(text)
        return sum(map(int, re.findall(rb'"GET \S*/blobs/\S* HTTP/[0-9.]+" 20[06] (\d+)', text)))


class Beside:
    """A script of this folder that says which port it listens on, and ends with its input."""

    def __init__(self, bench, script, *words):
        program = pathlib.Path(__file__).with_name(script)
        self.process = subprocess.Popen([sys.executable, *map(str, (program, *words))], text=True,
                                        stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        bench.ends.callback(self.stop)
        self.port = int(self.process.stdout.readline())
        self.host = f"127.0.0.1:{self.port}"

    def ask(self, line=""):
        self.process.stdin.write(f"{line}\n")
        self.process.stdin.flush()
        return tuple(map(int, self.process.stdout.readline().split()))

    def stop(self):
        self.process.stdin.close()
        self.process.wait()


class Relay(Beside):
    """A relay to a registry, which may slow each connection, cut it, or hold all of them at some point."""

    def __init__(self, bench, registry, rate=None, cut=None, hold=None):
        words = [*(("--rate", rate) if rate else ()), *(("--cut", cut) if cut else ()), *(("--hold", *hold) if hold else ())]
        super().__init__(bench, "relay.py", registry.port, *words)

    def counted(self):
        """Returns the bytes that clients sent and received, and their connections, since this was last asked."""
        return self.ask()

    def killed(self, process):
        """Kills a process when the relay holds, and lets all pass from then on. Returns whether it came to that."""
        while not self.ask("held")[0]:
            if process.poll() is not None:
                return False
            time.sleep(0.01)
        time.sleep(0.5)  # what was passed on arrives
        process.kill()
        process.wait()
        self.ask("go")
        time.sleep(0.5)  # the registry sees that connections are gone
        return True


class Keeper(Beside):
    """A registry that keeps what came of a request that was cut."""

    def __init__(self, bench, *flags):
        self.folder = bench.folder("keeper")
        self.folder.mkdir()
        super().__init__(bench, "keeper.py", self.folder, *flags)


def blob(home, digest):
    return home / "store" / "blobs" / digest.replace(":", "/")


def manifest(home):
    """Returns the manifest of the only kit of a store, which may have several names."""
    index = json.loads((home / "store" / "index.json").read_text())
    [digest] = {entry["digest"] for entry in index["manifests"]}
    return json.loads(blob(home, digest).read_text())


def blobs(home):
    """Returns digest, size and file of its config and its layers."""
    only = manifest(home)
    return [(it["digest"], it["size"], blob(home, it["digest"])) for it in (only["config"], *only["layers"])]


def layer(home, path):
    """Returns the size of its layer that was packed from this path."""
    return next(it["size"] for it in manifest(home)["layers"] if path in it["annotations"].values())


def toc(home):
    """Returns the size of its table of contents; 0 if it has none."""
    return int(manifest(home).get("annotations", {}).get("org.modelkit.toc.size", 0))


def at_once(setup, calls):
    """Returns a command that runs all calls at the same time, and fails if one of them does."""
    lines = [setup, "all="]
    lines += [f'{call} & all="$all $!"' for call in calls]
    lines += ["code=0", 'for one in $all; do wait "$one" || code=1; done', "exit $code"]
    return ["sh", "-c", "\n".join(lines)]


def curl_push(host, repository, moved):
    """Returns a command that sends each blob with a POST and a PUT."""
    setup = (
        "put() {\n"
        f"  at=$(curl -sSf -X POST -D - -o /dev/null http://{host}/v2/{repository}/blobs/uploads/ |"
        " tr -d '\\r' | sed -n 's/^[Ll]ocation: //p') &&\n"
        "  curl -sSf -o /dev/null -H Expect: -H 'Content-Type: application/octet-stream' -T \"$2\" \"$at&digest=$1\"\n"
        "}"
    )
    return at_once(setup, [f"put {digest} {shlex.quote(str(file))}" for digest, _, file in moved])


def curl_pull(host, repository, moved, to):
    """Returns a command that fetches each blob with a GET."""
    return at_once(":", [f"curl -sSf -o {shlex.quote(str(to / digest[7:]))} http://{host}/v2/{repository}/blobs/{digest}"
                         for digest, _, _ in moved])


def curl_ranges(host, repository, digest, length, number, to):
    """Returns a command that fetches a blob in so many ranges at once, each into a file of its own."""
    step = -(-length // number)
    ranges = [(begin, min(begin + step, length) - 1) for begin in range(0, length, step)]
    return at_once(":", [f"curl -sSf -r {first}-{last} -o {shlex.quote(str(to / f'{first:012}'))} "
                         f"http://{host}/v2/{repository}/blobs/{digest}" for first, last in ranges])
