#!/usr/bin/env python3
"""A registry that keeps what arrived of a request that was cut, as docker-registry does not.

`keeper.py FOLDER [--no-chunks]` prints the port it listens on, and ends with its standard input. Blobs lie in the
folder under their digests, which are checked when an upload is closed; `--no-chunks` refuses each PATCH.
"""

import hashlib
import http.server
import json
import os
import pathlib
import re
import sys
import threading
import urllib.parse
import uuid

PIECE = 1 << 20
MANIFEST = "application/vnd.oci.image.manifest.v1+json"


class Registry(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    folder, chunks = None, True

    def log_message(self, *_):
        pass

    def answer(self, status, body=b"", **headers):
        self.send_response(status)
        for name, value in {"Content-Length": len(body), **headers}.items():
            self.send_header(name.replace("_", "-"), str(value))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def error(self, status, code):
        self.close_connection = True  # a body may not have been read
        self.answer(status, json.dumps({"errors": [{"code": code, "message": code}]}).encode(), Connection="close")

    def split(self):
        url = urllib.parse.urlsplit(self.path)
        found = re.fullmatch(r"/v2/(?:(.+)/(blobs/uploads|blobs|manifests)/([^/]*))?", url.path)
        return found and found.groups(), dict(urllib.parse.parse_qsl(url.query))

    def file(self, kind, name):
        return self.folder / re.sub("[^A-Za-z0-9._-]", "-", f"{kind}-{name}")

    def do_GET(self):
        found, _ = self.split()
        if found is None:
            return self.error(404, "NAME_UNKNOWN")
        name, kind, last = found
        if kind is None:
            return self.answer(200, b"{}")
        if kind == "blobs/uploads":
            upload = self.file("upload", last)
            if not upload.exists():
                return self.error(404, "BLOB_UPLOAD_UNKNOWN")
            return self.answer(204, **self.stand(name, last, upload))
        file = self.file("blob", last) if kind == "blobs" else self.file(f"manifest-{name}", last)
        if not file.exists():
            return self.error(404, "BLOB_UNKNOWN" if kind == "blobs" else "MANIFEST_UNKNOWN")
        if kind == "manifests":
            body = file.read_bytes()
            return self.answer(200, body, Content_Type=MANIFEST, Docker_Content_Digest=digest([body]))
        self.send_response(200)
        self.send_header("Content-Length", str(file.stat().st_size))
        self.end_headers()
        if self.command == "GET":
            for piece in pieces(file):
                self.wfile.write(piece)

    do_HEAD = do_GET

    def stand(self, name, upload, file):
        end = file.stat().st_size
        return {"Location": f"/v2/{name}/blobs/uploads/{upload}", "Range": f"0-{max(end, 1) - 1}"}

    def do_POST(self):
        found, _ = self.split()
        if not found or found[1:] != ("blobs/uploads", ""):
            return self.error(404, "NAME_UNKNOWN")
        upload = str(uuid.uuid4())
        file = self.file("upload", upload)
        file.touch()
        self.answer(202, **self.stand(found[0], upload, file))

    def take(self, file):
        """Adds the body to a file, as far as it comes; tells whether all of it did."""
        left = int(self.headers["Content-Length"])
        with open(file, "ab", buffering=0) as into:
            while left:
                try:
                    piece = self.rfile.read1(min(left, PIECE))
                except OSError:
                    piece = b""
                if not piece:
                    self.close_connection = True
                    return False
                into.write(piece)
                left -= len(piece)
        return True

    def do_PATCH(self):
        found, _ = self.split()
        file = self.file("upload", found[2]) if found else None
        if not file or not file.exists():
            return self.error(404, "BLOB_UPLOAD_UNKNOWN")
        if not self.chunks:
            return self.error(405, "UNSUPPORTED")
        if self.headers["Content-Range"].split("-")[0] != str(file.stat().st_size):
            return self.error(416, "BLOB_UPLOAD_INVALID")
        if self.take(file):
            self.answer(202, **self.stand(found[0], found[2], file))

    def do_PUT(self):
        found, query = self.split()
        if found and found[1] == "manifests":
            body = self.rfile.read(int(self.headers["Content-Length"]))
            for last in (found[2], digest([body])):
                self.file(f"manifest-{found[0]}", last).write_bytes(body)
            return self.answer(201, Location=self.path, Docker_Content_Digest=digest([body]))
        file = self.file("upload", found[2]) if found else None
        if not file or not file.exists():
            return self.error(404, "BLOB_UPLOAD_UNKNOWN")
        if not self.take(file):
            return
        if digest(pieces(file)) != query["digest"]:
            file.unlink()
            return self.error(400, "DIGEST_INVALID")
        os.rename(file, self.file("blob", query["digest"]))
        self.answer(201, Location=f"/v2/{found[0]}/blobs/{query['digest']}", Docker_Content_Digest=query["digest"])


def pieces(file):
    with open(file, "rb") as content:
        while piece := content.read(PIECE):
            yield piece


def digest(content):
    hashed = hashlib.sha256()
    for piece in content:
        hashed.update(piece)
    return f"sha256:{hashed.hexdigest()}"


def main():
    Registry.folder, Registry.chunks = pathlib.Path(sys.argv[1]), "--no-chunks" not in sys.argv[2:]
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Registry)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    print(server.server_address[1], flush=True)
    sys.stdin.read()
    os._exit(0)


if __name__ == "__main__":
    main()
