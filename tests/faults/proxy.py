"""A proxy in front of a registry that does one kind of harm, and a neighbour who listens for secrets."""

import base64
import gzip
import http.client
import http.server
import json
import random
import socket
import threading
import time

USER, PASSWORD = "me", "s3cret-word"
LOGIN = "Basic " + base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
SECRETS = (PASSWORD.encode(), LOGIN.split()[1].encode())
STALL = 40  # seconds of silence: more than anybody waits here


class Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def handle_error(self, *_):
        pass  # connections break here all the time

    def __enter__(self):
        self.host = f"127.0.0.1:{self.server_address[1]}"
        threading.Thread(target=self.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self.shutdown()
        self.server_close()


class Trap(Server):
    """Whoever is sent here must not have brought a secret."""

    def __init__(self):
        self.secrets = []
        super().__init__(("127.0.0.1", 0), TrapHandler)


class TrapHandler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def all(self):
        length = int(self.headers.get("content-length") or 0)
        seen = f"{self.path}\n{self.headers}".encode() + self.rfile.read(min(length, 1 << 20))
        if any(secret in seen for secret in SECRETS):
            self.server.secrets.append(seen.decode(errors="replace")[:500])
        self.send_response(404)
        self.send_header("content-length", "0")
        self.end_headers()

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = all


class Proxy(Server):
    """`harm` is which requests are harmed, and what is done to them: that returns False if it does not fit."""

    def __init__(self, port, harm, once, trap, seed):
        self.port, self.harm, self.once, self.trap = port, harm, once, trap
        self.noise = random.Random(seed)
        self.fired, self.state, self.lock = 0, {}, threading.Lock()
        super().__init__(("127.0.0.1", 0), Exchange)


class Exchange(http.server.BaseHTTPRequestHandler):
    """One request, and its answer."""

    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def all(self):
        self.content = None
        server = self.server
        if self.headers.get("authorization") != LOGIN:
            self.answer(401, {"www-authenticate": 'Basic realm="here"'}, b"")
            return
        asked, harm = server.harm or (None, None)
        if asked and asked(self):
            with server.lock:
                fires = not (server.once and server.fired)
                server.fired += fires
            # An answer that is none of what it could harm is none of its business.
            if fires and harm(self) is not False:
                return
            server.fired -= fires
        self.answer(*self.forward())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = all

    # --- what is asked ---

    def is_blob(self):
        return self.command == "GET" and "/blobs/sha256:" in self.path

    def is_manifest(self):
        return self.command in ("GET", "HEAD") and "/manifests/" in self.path

    def is_document(self):
        return self.command == "GET" and ("/manifests/" in self.path or "/tags/" in self.path)

    def is_sent(self):
        return self.command in ("PATCH", "PUT") and "/blobs/uploads/" in self.path

    def begins_upload(self):
        return self.command == "POST" and "/blobs/uploads/" in self.path

    def is_read(self):
        return self.is_blob() or self.is_document()

    def any(self):
        return self.path != "/v2/"

    # --- what is answered ---

    def body(self):
        if self.content is None:
            if "chunked" in (self.headers.get("transfer-encoding") or ""):
                parts = []
                while size := int(self.rfile.readline().split(b";")[0], 16):
                    parts.append(self.rfile.read(size))
                    self.rfile.readline()
                self.rfile.readline()
                self.content = b"".join(parts)
            else:
                self.content = self.rfile.read(int(self.headers.get("content-length") or 0))
        return self.content

    def forward(self, method=None, path=None, without=()):
        """What the registry says."""
        drop = {"host", "authorization", "connection", "transfer-encoding", "content-length", *without}
        headers = {name: value for name, value in self.headers.items() if name.lower() not in drop}
        headers["Host"] = self.server.host  # so that addresses in its answers lead here
        connection = http.client.HTTPConnection("127.0.0.1", self.server.port, timeout=60)
        try:
            connection.request(method or self.command, path or self.path, self.body(), headers)
            answer = connection.getresponse()
            content = answer.read()
        finally:
            connection.close()
        kept = {name.lower(): value for name, value in answer.getheaders()
                if name.lower() not in ("connection", "transfer-encoding", "content-length", "date")}
        if self.command == "HEAD":
            kept["content-length"] = answer.getheader("content-length") or "0"
        return answer.status, kept, content

    def answer(self, status, headers, content, length=None, until=None, step=None, pause=0.0):
        """Gives an answer: with this `Content-Length`, cut after `until` bytes, or in slow steps."""
        self.body()  # or it would be taken for the next request
        self.send_response(status)
        for name, value in headers.items():
            if name != "content-length" or self.command == "HEAD":
                self.send_header(name, value)
        if self.command != "HEAD":
            self.send_header("content-length", str(len(content) if length is None else length))
        self.end_headers()
        if self.command == "HEAD":
            return
        content = content[:until]
        if step:
            for at in range(0, len(content), step):
                self.wfile.write(content[at:at + step])
                self.wfile.flush()
                time.sleep(pause)
        else:
            self.wfile.write(content)
        if until is not None or (length is not None and length != len(content)):
            self.cut()

    def cut(self):
        self.wfile.flush()
        self.close_connection = True
        self.connection.shutdown(socket.SHUT_RDWR)


# --- kinds of harm ---


def when(asked, do):
    return asked, do


def cut(it):
    status, headers, content = it.forward()
    it.answer(status, headers, content, len(content), until=it.server.noise.randrange(max(1, len(content))))


def stall_body(it):
    status, headers, content = it.forward()
    it.answer(status, headers, content, len(content) + 1, step=max(1, len(content)), pause=STALL)


def drip(it):
    status, headers, content = it.forward()
    if len(content) < 100_000:
        return False  # a minute is not too long for a document
    it.answer(status, headers, content, step=1, pause=0.3)


def stall(it):
    time.sleep(STALL)
    it.cut()


def status(code, **headers):
    return lambda it: it.answer(code, {name.replace("_", "-"): value for name, value in headers.items()}, b"{}")


def no_answer(it):
    it.body()
    it.cut()


def flip(it):
    code, headers, content = it.forward()
    if not content:
        return False
    changed = bytearray(content)
    changed[it.server.noise.randrange(len(changed))] ^= 1 << it.server.noise.randrange(8)
    it.answer(code, headers, bytes(changed))


def longer(it):
    code, headers, content = it.forward()
    it.answer(code, headers, content + bytes(4 << 20))


def announced(more):
    def do(it):
        code, headers, content = it.forward()
        it.answer(code, headers, content, max(0, len(content) + more))
    return do


def other_range(it):
    code, headers, content = it.forward()
    if code != 206:
        return False
    it.answer(206, headers | {"content-range": f"bytes 1-{len(content)}/{len(content) + 1}"}, content)


def whole_for_part(it):
    if "range" not in it.headers:
        return False
    it.answer(*it.forward(without=("range",)))


def part_for_whole(it):
    code, headers, content = it.forward(without=("range",))
    it.answer(206, headers, content[: len(content) // 2])


def location(make):
    def do(it):
        code, headers, content = it.forward()
        if "location" not in headers:
            return False
        it.answer(code, headers | {"location": make(it, headers["location"])}, content)
    return do


def relative(it, place):
    return "/" + place.split("/", 3)[3] if "://" in place else place


def elsewhere(host):
    return lambda it, place: f"http://{host(it)}{relative(it, place)}"


def redirect(make):
    return lambda it: it.answer(307, {"location": make(it)}, b"")


def realm(make):
    return lambda it: it.answer(401, {"www-authenticate": f'Bearer realm="{make(it)}",service="s",scope="repository:x:pull"'}, b"")


def huge_token(it):
    if "token" not in it.path:
        return it.answer(401, {"www-authenticate": f'Bearer realm="http://{it.server.host}/v2/token",service="s"'}, b"")
    return it.answer(200, {"content-type": "application/json"}, b'{"token":"' + b"x" * (8 << 20) + b'"}')


def huge(it):
    code, headers, content = it.forward()
    it.answer(code, headers, content + b" " * (8 << 20))


def link_loop(it):
    code, headers, content = it.forward()
    it.answer(code, headers | {"link": f'<{it.path}>; rel="next"'}, content)


def tag_flip(it):
    """Another kit has the tag at each second look."""
    with it.server.lock:
        turn = it.server.state["turn"] = it.server.state.get("turn", 0) + 1
    other = it.path.replace("/manifests/1", "/manifests/2")
    it.answer(*it.forward(path=other if turn % 2 else it.path))


def other_digest(it):
    code, headers, content = it.forward()
    it.answer(code, headers | {"docker-content-digest": "sha256:" + "0" * 64}, content)


def twice(it):
    """Keys that one reader takes for the first and another for the last."""
    code, headers, content = it.forward()
    if not content.startswith(b"{"):
        return False
    evil = json.dumps({"mediaType": "x/y", "digest": "sha256:" + "1" * 64, "size": 1})
    it.answer(code, {k: v for k, v in headers.items() if k != "docker-content-digest"}, b'{"config":' + evil.encode() + b"," + content[1:])


def zipped(it):
    code, headers, content = it.forward()
    it.answer(code, headers | {"content-encoding": "gzip"}, gzip.compress(content))


def no_location(it):
    code, headers, content = it.forward()
    it.answer(code, {name: value for name, value in headers.items() if name != "location"}, content)


def trapped(it):
    return it.server.trap.host


def renamed(it):
    return it.server.trap.host.replace("127.0.0.1", "localhost")


E = Exchange
READ, SENT = ("pull", "unpack"), ("push",)
ALL = ("pull", "push", "list", "unpack")
# name: (harm, once, commands, whether they must succeed in spite of it)
MODES = {
    "cut once": (when(E.is_blob, cut), True, READ, True),
    "cut always": (when(E.is_blob, cut), False, READ, None),
    "cut while it takes once": (when(E.is_sent, no_answer), True, SENT, True),
    "stall in a body once": (when(E.is_blob, stall_body), True, READ, None),
    "stall before an answer once": (when(E.is_blob, stall), True, READ, None),
    # Who drips for ever is read for ever, on the last connection that is tried: no total is limited.
    "drip once": (when(E.is_blob, drip), True, READ, True),
    "500 once": (when(E.any, status(500)), True, ("pull", "list", "unpack"), True),
    "503 always": (when(E.any, status(503)), False, ALL, False),
    "429 once": (when(E.any, status(429, retry_after="1")), True, ALL, None),
    "429 always": (when(E.any, status(429, retry_after="86400")), False, ALL, False),
    "wrong range": (when(E.is_blob, other_range), False, READ, None),
    "200 for 206": (when(lambda it: it.is_blob() and "range" in it.headers, whole_for_part), False, READ, True),
    "206 for 200": (when(E.is_blob, part_for_whole), False, READ, None),
    "wrong bytes once": (when(E.is_blob, flip), True, READ, None),
    "wrong bytes always": (when(E.is_blob, flip), False, READ, False),
    "wrong manifest": (when(E.is_document, flip), False, ("pull", "unpack"), False),
    "endless body": (when(E.is_blob, longer), False, READ, None),
    "Content-Length too long": (when(E.is_blob, announced(7)), False, READ, None),
    "Content-Length too short": (when(E.is_blob, announced(-7)), False, READ, None),
    "upload lost once": (when(E.is_sent, status(404)), True, SENT, None),
    "upload lost always": (when(E.is_sent, status(404)), False, SENT, False),
    "Location relative": (when(E.begins_upload, location(relative)), False, SENT, True),
    "Location at another port": (when(E.begins_upload, location(elsewhere(trapped))), False, SENT, False),
    "Location at another host": (when(E.begins_upload, location(elsewhere(renamed))), False, SENT, False),
    "redirect to another port": (when(E.is_read, redirect(lambda it: f"http://{trapped(it)}/x")), False, READ, False),
    "redirect to itself": (when(E.is_read, redirect(lambda it: it.path)), False, READ, False),
    "redirect to a file": (when(E.is_read, redirect(lambda it: "file:///etc/passwd")), False, READ, False),
    "no Location": (when(E.is_sent, no_location), False, SENT, None),
    "realm at another port": (when(E.any, realm(lambda it: f"http://{trapped(it)}/token")), False, ALL, False),
    "realm at another host": (when(E.any, realm(lambda it: f"http://{renamed(it)}/token")), False, ALL, False),
    "401 always": (when(E.any, status(401, www_authenticate='Basic realm="x"')), False, ALL, False),
    "huge manifest": (when(E.is_document, huge), False, ("pull", "unpack"), False),
    "huge token": (when(E.any, huge_token), False, ALL, False),
    "link loop": (when(lambda it: "/tags/" in it.path, link_loop), False, ("list",), None),
    "tag flips": (when(lambda it: it.is_manifest() and it.path.endswith("/1"), tag_flip), False, ("pull", "unpack"), None),
    "another digest is told": (when(E.is_manifest, other_digest), False, ("pull", "unpack"), None),
    "another digest is confirmed": (when(E.is_sent, other_digest), False, SENT, False),
    "duplicate keys": (when(E.is_document, twice), False, ("pull", "unpack"), False),
    "gzip encoding": (when(E.is_blob, zipped), False, READ, None),
    "no answer": (when(E.any, no_answer), False, ALL, False),
}
