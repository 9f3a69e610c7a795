"""A docker-registry that ends with the run."""

import json
import shutil
import socket
import subprocess
import time


class CannotStart(Exception):
    """It is installed and does not start, and what it said."""


def lacking(*programs):
    """Says which of these programs are not installed; None if all are."""
    absent = [name for name in programs if not shutil.which(name)]
    return f"{' and '.join(absent)} not installed" if absent else None


class DockerRegistry:
    """A registry that keeps what it has in `folder`, until `stop`."""

    def __init__(self, folder):
        self.folder = folder
        self.log = folder / "log"
        folder.mkdir(parents=True, exist_ok=True)
        for _ in range(10):  # another process may be faster to take a free port
            if self.start():
                break
        else:
            raise CannotStart(f"docker-registry does not start:\n{self.log.read_text(errors='replace')[-2000:]}")
        self.host = f"127.0.0.1:{self.port}"

    def start(self):
        with socket.create_server(("127.0.0.1", 0)) as listener:
            self.port = listener.getsockname()[1]
        (self.folder / "config.yml").write_text(
            f"version: 0.1\nlog: {{level: error}}\n"
            f"storage:\n  filesystem: {{rootdirectory: {json.dumps(str(self.folder / 'data'))}}}\n  delete: {{enabled: true}}\n"
            f"http:\n  addr: 127.0.0.1:{self.port}\n")
        with open(self.log, "ab") as log:
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
