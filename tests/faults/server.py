"""A docker-registry that ends with the run."""

import json
import shutil
import socket
import subprocess
import time

from kit import Skip


def need(*programs):
    """Skips what needs programs that are not here."""
    if lacking := [name for name in programs if not shutil.which(name)]:
        raise Skip(f"{' and '.join(lacking)} not installed")


class Registry:
    """A registry that keeps what it has in `folder`."""

    def __init__(self, folder):
        need("docker-registry")
        self.folder = folder
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(10):  # another process may be faster to take a free port
            if self.start():
                break
        else:
            raise Skip(f"docker-registry does not start: {(folder / 'log').read_text()[-300:]}")
        self.host = f"127.0.0.1:{self.port}"

    def start(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        (self.folder / "config.yml").write_text(
            f"version: 0.1\nlog: {{level: error}}\n"
            f"storage:\n  filesystem: {{rootdirectory: {json.dumps(str(self.folder / 'data'))}}}\n  delete: {{enabled: true}}\n"
            f"http:\n  addr: 127.0.0.1:{self.port}\n")
        with open(self.folder / "log", "ab") as log:
            self.process = subprocess.Popen(["docker-registry", "serve", self.folder / "config.yml"],
                                            stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        while self.process.poll() is None:
            try:
                socket.create_connection(("127.0.0.1", self.port)).close()
                return True
            except OSError:
                time.sleep(0.01)
        return False

    def stop(self):
        self.process.kill()
        self.process.wait()
