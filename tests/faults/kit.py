"""The program with a home of its own, the trees it packs, and what counts as a fault."""

import base64
import hashlib
import json
import os
import pathlib
import random
import shutil
import subprocess
import threading

TIMEOUT = 120  # seconds; a command that takes longer hangs

KINDS = {
    "damage": "ended with 0 and left damage",
    "lost": "committed names lost",
    "unreadable": "store unreadable",
    "rerun": "failed when run again",
    "outside": "wrote outside",
    "secret": "secret at the wrong port",
    "panic": "panics",
    "hang": "hangs",
    "leftover": "leftovers",
    "undetected": "flips not found",
    "other": "other",
}


class Fault(Exception):
    """Something that must hold did not."""

    def __init__(self, kind, text):
        super().__init__(text)
        self.kind = kind


class Skip(Exception):
    """A phase or a part of it cannot be tried here, and why."""


class Kit:
    """The program with one home."""

    def __init__(self, program, home, **more):
        self.program, self.home, self.more = program, home, more

    def environment(self):
        home = str(self.home)
        return {"PATH": os.environ["PATH"], "HOME": home, "KITOPS_HOME": home, **self.more}

    def start(self, *args, before=(), **how):
        how = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "stdin": subprocess.DEVNULL,
               "env": self.environment(), **how}
        command = [*before, self.program, *args]
        return subprocess.Popen([str(word) for word in command], **how)

    def end(self, process, args, timeout=TIMEOUT):
        """Waits for a process. Returns its exit code and what it said; that it hangs or panics is a fault."""
        try:
            out, said = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            raise Fault("hang", f"`kit {shown(args)}` hangs") from None
        said = said or b""
        if process.returncode in (101, 134, -6) or b"panicked at" in said:
            raise Fault("panic", f"`kit {shown(args)}` panics: {tail(said)}")
        return process.returncode, out, said

    def attempt(self, *args, timeout=TIMEOUT, **how):
        """Runs a command that may fail. Returns its exit code, output and messages."""
        return self.end(self.start(*args, **{"stdout": subprocess.PIPE, **how}), args, timeout)

    def run(self, *args, codes=(0,), kind="other", **how):
        """Runs a command that must end with one of `codes`, and returns its output."""
        code, out, said = self.attempt(*args, **how)
        if code not in codes:
            raise Fault(kind, f"`kit {shown(args)}` ended with {code}: {tail(said)}")
        return out

    def names(self):
        """The named kits, as `repository:tag`."""
        found = json.loads(self.run("list", "--format", "json", kind="unreadable"))
        return {f"{kit['repo']}:{tag}" for kit in found for tag in kit.get("tags") or []}

    def holds(self, name, source, out):
        """Checks that a kit unpacks to the tree it was packed from."""
        self.run("unpack", name, "-d", out, kind="damage")
        if (found := fingerprint(out)) != source:
            wrong = sorted(path for path in found.keys() | source.keys() if found.get(path) != source.get(path))
            raise Fault("damage", f"{name} does not unpack to its source: {wrong[:5]}")

    def blob(self, digest):
        return self.home / "store" / "blobs" / digest.replace(":", "/")

    def blobs(self):
        folder = self.home / "store" / "blobs" / "sha256"
        return set(os.listdir(folder)) if folder.exists() else set()

    def leftovers(self):
        """All files of the home but blobs, by path."""
        files = {str(pathlib.Path(at, name).relative_to(self.home)) for at, _, names in os.walk(self.home) for name in names}
        return {name for name in files if not name.startswith("store/blobs/")}

    def manifest(self, name):
        """The digest of a kit and its manifest."""
        digest = self.run("list", name, "--format", "{{.Digest}}").decode().strip()
        return digest, json.loads(self.blob(digest).read_bytes())


def shown(args):
    return " ".join(map(str, args))


def tail(text):
    return text.decode(errors="replace").strip()[-500:]


def fingerprint(root):
    """Path, execute bit and SHA-256 of each file but the Kitfile."""
    found = {}
    for at, _, names in os.walk(root):
        for name in names:
            path = pathlib.Path(at, name)
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            found[str(path.relative_to(root))] = (bool(path.stat().st_mode & 0o100), digest)
    found.pop("Kitfile", None)
    return found


def make_tree(root, seed, size, files, extra=None):
    """A tree of its own for each seed: a model, data, a script. Returns its fingerprint."""
    noise = random.Random(seed)
    (root / "data").mkdir(parents=True)
    (root / "model.bin").write_bytes(noise.randbytes(size))
    for number in range(files):
        (root / "data" / f"{number:04}.csv").write_bytes(noise.randbytes(noise.randrange(2000)))
    (root / "run.sh").write_text(f"#!/bin/sh\necho {seed}\n")
    (root / "run.sh").chmod(0o755)
    (root / "Kitfile").write_text(
        "manifestVersion: 1.0.0\npackage: {name: faults}\nmodel: {path: model.bin}\n"
        "datasets: [{name: d, path: data}]\ncode: [{path: run.sh}]\n" if extra is None else extra
    )
    return fingerprint(root)


def make_kitops_store(kit, name, repository, storage):
    """Writes a kit as KitOps keeps it: blobs together, and two files for each repository."""
    blobs = storage / "blobs" / "sha256"
    blobs.mkdir(parents=True)
    (storage / "ingest").mkdir()
    digest, manifest = kit.manifest(name)
    for one in [digest, *(part["digest"] for part in [manifest["config"], *manifest["layers"]])]:
        shutil.copy(kit.blob(one), blobs)
    size = kit.blob(digest).stat().st_size
    descriptor = {"mediaType": manifest["mediaType"], "digest": digest, "size": size}
    index = {"schemaVersion": 2, "manifests": [descriptor]}
    encoded = base64.urlsafe_b64encode(f"localhost/{repository}".encode()).decode()
    for file, content in [("oci-layout", {"imageLayoutVersion": "1.0.0"}), ("index.json", index),
                          (f"{encoded}-index.json", index), (f"{encoded}-tags.json", {"1": descriptor})]:
        (storage / file).write_text(json.dumps(content))


def state(root):
    """All that can be seen of what is in a folder."""
    paths = sorted(root.rglob("*"))
    return [(path, path.lstat().st_mode, path.lstat().st_mtime_ns, path.is_file() and path.read_bytes()) for path in paths]


def together(jobs, work):
    """Does `work` for each number below `jobs` at the same time, and raises the first fault."""
    faults = []

    def one(number):
        try:
            work(number)
        except Fault as fault:
            faults.append(fault)

    threads = [threading.Thread(target=one, args=(number,)) for number in range(jobs)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if faults:
        raise faults[0]
