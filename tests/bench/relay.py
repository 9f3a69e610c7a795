#!/usr/bin/env python3
"""Stands between programs and a registry of this machine: counts bytes and holds each connection to a rate.

`relay.py PORT [BYTES-A-SECOND]` prints the port it listens on. For each line on its standard input it
prints `SENT RECEIVED CONNECTIONS` since the last one, as the client sees them. It ends with its input.
A process of its own, so that the script that measures takes no part in the transfer.
"""

import os
import socket
import sys
import threading
import time

PIECE = 256 << 10  # at 25 MB/s a hundredth of a second
BURST = 0.05  # seconds of silence that a connection may catch up with


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


def pump(source, target, which, counts, pace):
    buffer = memoryview(bytearray(PIECE))
    try:
        while number := source.recv_into(buffer):
            if pace:
                pace.wait(number)
            counts.add(which, number)  # before it is passed on: who has it finds it counted
            target.sendall(buffer[:number])
        target.shutdown(socket.SHUT_WR)
    except OSError:  # one side has gone
        for end in (source, target):
            try:
                end.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass


def connection(client, port, counts, rate):
    with client, socket.create_connection(("127.0.0.1", port)) as server:
        for end in (client, server):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        back = threading.Thread(target=pump, args=(server, client, 1, counts, Pace(rate) if rate else None))
        back.start()
        pump(client, server, 0, counts, None)
        back.join()


def accept(listener, port, counts, rate):
    while True:
        client, _ = listener.accept()
        counts.add(2, 1)
        threading.Thread(target=connection, args=(client, port, counts, rate), daemon=True).start()


def main():
    port, rate = int(sys.argv[1]), float(sys.argv[2]) if len(sys.argv) > 2 else None
    counts = Counts()
    listener = socket.create_server(("127.0.0.1", 0), backlog=256)
    threading.Thread(target=accept, args=(listener, port, counts, rate), daemon=True).start()
    print(listener.getsockname()[1], flush=True)
    for _ in sys.stdin:
        print(*counts.take(), flush=True)
    os._exit(0)  # connections that are still open are not waited for


if __name__ == "__main__":
    main()
