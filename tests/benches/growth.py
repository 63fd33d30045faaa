#!/usr/bin/env python3
"""Feeds endless short connections to `hop101 read -` and prints its peak memory: it must not grow with their number.

    growth.py [--counts 1M,3M,10M] [--kinds http,scan,mixed] [--hop101 PROGRAM]

Connections come at ten thousand a second of packet time, each from another address and port. Kinds: `http` (opened,
one request, one answer, closed by FIN), `scan` (a SYN, answered by RST or by nothing, in turns), `mixed` (both, and
one connection in ten thousand is a WebSocket handshake that is refused). Handshakes are what a report is about: each
costs its part of the report, so that kind grows with their number, and by nothing else. A SYN without an answer is
remembered for 130 s of packet time: 1.3 million connections here, so memory is level from then on. Exits with 1 if
`http` or `scan` take a fifth more memory for the last count than for the one before (a table may double once).
"""

import argparse
import contextlib
import itertools
import os
import pathlib
import struct
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parents[2]
HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)
SERVER = 0xC0A83201
GAP = 100  # microseconds between two connections
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
BLOCK = 512  # connections written at once

GET = b"GET /status HTTP/1.1\r\nHost: shop.example\r\n\r\n"
OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
UPGRADE = (
    b"GET /ws HTTP/1.1\r\nHost: shop.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
REFUSED = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"


class Template:
    """One connection: a struct whose varying fields are the time, the client's address and port."""

    def __init__(self, frames):
        layout, self.fields = "", []
        for at, to_server, flags, seq, ack, payload in frames:
            wire = 54 + len(payload)
            lengths = struct.pack("<II", wire, wire)
            ethernet = b"\x02\0\0\0\0\1\x02\0\0\0\0\2\x08\0"
            ip = struct.pack(">BBHHHBBH", 0x45, 0, wire - 14, 0, 0x4000, 64, 6, 0)
            tcp = struct.pack(">IIBBHHH", seq, ack, 0x50, flags, 64240, 0, 0) + payload
            server, port = SERVER.to_bytes(4, "big"), b"\0\x50"
            before = lengths + ethernet + ip
            if to_server:
                parts = [before, "address", server, "port", port + tcp]
            else:
                parts = [before + server, "address", port, "port", tcp]
            layout += "8s"
            self.fields.append(at)
            for part in parts:
                layout += "4s" if part == "address" else "2s" if part == "port" else f"{len(part)}s"
                self.fields.append(part)
        self.struct = struct.Struct(layout)

    def pack(self, number):
        now = 1_750_000_000_000_000 + number * GAP
        address = (0x0A000000 + number // 32768).to_bytes(4, "big")
        port = (1024 + number % 32768).to_bytes(2, "big")
        values = []
        for field in self.fields:
            if field == "address":
                field = address
            elif field == "port":
                field = port
            elif field.__class__ is int:
                field = ((now + field) // 1_000_000 | (now + field) % 1_000_000 << 32).to_bytes(8, "little")
            values.append(field)
        return self.struct.pack(*values)


def exchange(request, answer):
    asked, told = 1001 + len(request), 5001 + len(answer)
    return Template(
        [
            (0, True, SYN, 1000, 0, b""),
            (300, False, SYN | ACK, 5000, 1001, b""),
            (500, True, ACK, 1001, 5001, b""),
            (600, True, PSH | ACK, 1001, 5001, request),
            (1000, False, PSH | ACK, 5001, asked, answer),
            (1200, True, FIN | ACK, asked, told, b""),
            (1500, False, FIN | ACK, told, asked + 1, b""),
            (1700, True, ACK, asked + 1, told + 1, b""),
        ]
    )


PLAIN, WEBSOCKET = exchange(GET, OK), exchange(UPGRADE, REFUSED)
SILENT = Template([(0, True, SYN, 1000, 0, b"")])
CLOSED = Template([(0, True, SYN, 1000, 0, b""), (300, False, RST | ACK, 0, 1001, b"")])
KINDS = {
    "http": lambda number: PLAIN,
    "scan": lambda number: (SILENT, CLOSED)[number % 2],
    "mixed": lambda number: WEBSOCKET if number % 10_000 == 5 else (PLAIN, SILENT, CLOSED)[number % 3],
}


def feed(pipe, kind, count):
    choose, numbers = KINDS[kind], iter(range(count))
    pipe.write(HEADER)
    while block := list(itertools.islice(numbers, BLOCK)):
        pipe.write(b"".join(choose(number).pack(number) for number in block))


def measure(hop101, kind, count):
    """Peak memory in MB, CPU seconds, bytes of the report."""
    command = [hop101, "read", "-", "--format", "json", "--fail-on", "never"]
    reading, writing = os.pipe()
    child = subprocess.Popen(command, stdin=reading, stdout=subprocess.PIPE)
    os.close(reading)
    feeder = os.fork()
    if feeder == 0:
        # Should hop101 end early, the counts of its report say so.
        with open(writing, "wb") as pipe, contextlib.suppress(BrokenPipeError):
            feed(pipe, kind, count)
        os._exit(0)
    os.close(writing)
    report = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    os.waitpid(feeder, 0)
    if child.returncode != 0:
        sys.exit(f"hop101 failed with {child.returncode}")
    if f'"connections":{count},'.encode() not in report[:4000]:
        sys.exit(f"hop101 did not count {count} connections")
    return usage.ru_maxrss / 1024, usage.ru_utime + usage.ru_stime, len(report)


def number(text):
    return int(text.upper().replace("M", "000000").replace("K", "000"))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--counts", default="1M,3M,10M")
    parser.add_argument("--kinds", default=",".join(KINDS))
    parser.add_argument("--hop101", default=ROOT / "target" / "release" / "hop101")
    args = parser.parse_args()
    counts, grown = [number(text) for text in args.counts.split(",")], []
    print(f"{'kind':6} {'connections':>12} {'peak MB':>9} {'CPU s':>8} {'report kB':>10}", flush=True)
    for kind in args.kinds.split(","):
        peaks = []
        for count in counts:
            peak, seconds, report = measure(args.hop101, kind, count)
            peaks.append(peak)
            print(f"{kind:6} {count:12} {peak:9.1f} {seconds:8.2f} {report / 1000:10.1f}", flush=True)
        if kind != "mixed" and peaks[-1] > 1.2 * peaks[-2:][0]:
            grown.append(kind)
    if grown:
        sys.exit(f"memory grows with the number of connections: {', '.join(grown)}")


if __name__ == "__main__":
    main()
