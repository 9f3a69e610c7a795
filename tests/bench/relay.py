#!/usr/bin/env python3
"""Stands between programs and a registry of this machine: counts bytes, and holds, slows or cuts connections.

`relay.py PORT [--rate BYTES-A-SECOND] [--cut BYTES] [--hold received|sent|requests BYTES]` prints the port it
listens on. `--cut` ends each connection when its client has received so many bytes. `--hold` passes nothing more on
when clients have received or sent so many bytes, all together; `requests` lets those that have begun come to their
ends, and no others begin.

It answers each line on its standard input: an empty one with `SENT RECEIVED CONNECTIONS` since the last one, as the
client sees them; `held` with 1 if it holds and nothing is on its way, else 0; `go` with 0, after which what was held is
broken off and all that comes then passes. It ends with its input. A process of its own, so that the script that measures
takes no part in the transfer.
"""

import argparse
import os
import socket
import sys
import threading
import time

PIECE = 256 << 10  # at 25 MB/s a hundredth of a second
BURST = 0.05  # seconds of silence that a connection may catch up with
SENT, RECEIVED, CONNECTIONS = range(3)


class Counts:
    def __init__(self):
        self.lock = threading.Lock()
        self.values = [0, 0, 0]

    def add(self, which, number):
        with self.lock:
            self.values[which] += number

    def take(self):
        with self.lock:
            taken, self.values = self.values, [0, 0, 0]
        return taken


class Pace:
    """Waits until so many bytes may have passed."""

    def __init__(self, rate):
        self.rate, self.begin, self.passed = rate, time.monotonic(), 0

    def wait(self, number):
        now = time.monotonic()
        due = self.begin + self.passed / self.rate
        if due > now:
            time.sleep(due - now)
        elif now - due > BURST:
            self.begin, self.passed = now - BURST, 0
        self.passed += number


class Hold:
    """Lets so many bytes pass in one direction, and no more until `go`."""

    def __init__(self, what, limit):
        self.which = RECEIVED if what == "received" else SENT
        self.requests = what == "requests"
        self.left = limit
        self.waiting = self.under_way = 0
        self.over = what is None
        self.change = threading.Condition()

    def grant(self, which, number):
        """Returns how many of these bytes may pass, once some may."""
        with self.change:
            if self.over or which != self.which:
                return number
            if not self.requests:
                self.wait()
                number = min(number, self.left)
            self.left -= number
            return number

    def begin(self):
        """Waits until a request may begin."""
        with self.change:
            if self.requests and not self.over:
                self.wait()
            self.under_way += 1

    def end(self):
        with self.change:
            self.under_way -= 1

    def wait(self):
        if self.left <= 0:
            self.waiting += 1
            self.change.wait_for(lambda: self.over)
            raise ConnectionError("what was held is broken off")

    def holds(self):
        with self.change:
            return self.waiting > 0 and not (self.requests and self.under_way)

    def go(self):
        with self.change:
            self.over = True
            self.change.notify_all()


class Connection:
    def __init__(self, client, server, counts, hold, rate, cut):
        self.client, self.server, self.counts, self.hold, self.cut = client, server, counts, hold, cut
        self.pace = Pace(rate) if rate else None
        self.asked = False  # whether a request is under way

    def both(self):
        back = threading.Thread(target=self.guarded, args=(self.answers,))
        back.start()
        self.guarded(self.requests if self.hold.requests else lambda: self.pump(self.client, self.server, SENT))
        back.join()
        self.settled()

    def guarded(self, work):
        try:
            work()
        except OSError:  # one side has gone, or is to go
            for end in (self.client, self.server):
                try:
                    end.shutdown(socket.SHUT_RDWR)
                except OSError:
                    pass

    def settled(self):
        if self.asked:
            self.asked = False
            self.hold.end()

    def pass_on(self, piece, target, which):
        while piece:
            number = self.hold.grant(which, len(piece))
            self.counts.add(which, number)  # before it is passed on: who has it finds it counted
            target.sendall(piece[:number])
            piece = piece[number:]

    def pump(self, source, target, which):
        buffer = memoryview(bytearray(PIECE))
        while number := source.recv_into(buffer):
            self.pass_on(buffer[:number], target, which)
        target.shutdown(socket.SHUT_WR)

    def answers(self):
        buffer, passed = memoryview(bytearray(PIECE)), 0
        while number := self.server.recv_into(buffer):
            self.settled()
            if self.cut:
                number = min(number, self.cut - passed)
            if self.pace:
                self.pace.wait(number)
            self.pass_on(buffer[:number], self.client, RECEIVED)
            passed += number
            if passed == self.cut:
                self.client.shutdown(socket.SHUT_WR)
                self.server.shutdown(socket.SHUT_RDWR)
                return
        self.client.shutdown(socket.SHUT_WR)

    def requests(self):
        """Passes on what the client sends, and knows where a request ends: all say the length of their bodies."""
        if self.client.recv(1, socket.MSG_PEEK) == b"\x16":  # TLS, which clients try first, has no lines
            return self.pump(self.client, self.server, SENT)
        source = self.client.makefile("rb", PIECE)
        while head := self.head(source):
            self.hold.begin()
            self.asked = True
            self.pass_on(memoryview(b"".join(head)), self.server, SENT)
            fields = (line.decode("latin-1").lower().partition(":") for line in head)
            left = sum(int(value) for name, _, value in fields if name == "content-length")
            while left and (piece := source.read1(min(left, PIECE))):
                self.pass_on(memoryview(piece), self.server, SENT)
                left -= len(piece)
        self.server.shutdown(socket.SHUT_WR)

    @staticmethod
    def head(source):
        lines = []
        while line := source.readline():
            lines.append(line)
            if not line.strip():
                return lines
        return []


def accept(listener, args, counts, hold):
    def serve(client):
        with client, socket.create_connection(("127.0.0.1", args.port)) as server:
            for end in (client, server):
                end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            Connection(client, server, counts, hold, args.rate, args.cut).both()

    while True:
        client, _ = listener.accept()
        counts.add(CONNECTIONS, 1)
        threading.Thread(target=serve, args=(client,), daemon=True).start()


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("port", type=int)
    parser.add_argument("--rate", type=float)
    parser.add_argument("--cut", type=int)
    parser.add_argument("--hold", nargs=2, default=(None, 0))
    args = parser.parse_args()
    counts, hold = Counts(), Hold(args.hold[0], int(args.hold[1]))
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    threading.Thread(target=accept, args=(listener, args, counts, hold), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    for line in sys.stdin:
        match line.strip():
            case "held":
                print(int(hold.holds()), flush=True)
            case "go":
                hold.go()
                print(0, flush=True)
            case _:
                print(*counts.take(), flush=True)
    os._exit(0)  # connections that are still open are not waited for


if __name__ == "__main__":
    main()
