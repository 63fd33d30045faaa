#!/usr/bin/python3
"""How much `hop101 live` bears: traffic on a veth pair in a private network namespace, beside tcpdump on the same load.

    load.py speed --hop101 BIN [--seconds 10] [--rates 0,300000,200000,100000]
    load.py soak --hop101 BIN [--minutes 10] [--rate 10000]

`speed` replays the same packets at each rate (0: as fast as they go), with `tcpdump -w /dev/null` and `hop101 live` in
turn, each with a buffer of 64 MiB, and prints packets per second, losses, and CPU time per packet. `soak` replays at a
steady rate and prints the resident memory every half minute. Needs root, tcpreplay and tcpdump.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
from pathlib import Path

SPACE = f"h101-{os.getpid()}-0-l"
"""The namespace, named like those of the lab, so that `lab.py clean` finds what a killed run leaves behind."""

SOURCE, SINK = "load0", "load1"

CONVERSATIONS = 6000
"""Conversations in the capture that is replayed; tcpreplay gives them new addresses in every round."""

SYN, ACK, SYN_ACK, FIN_ACK = 0x02, 0x10, 0x12, 0x11

REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: shop.example\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nCookie: %s\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n" % (b"c" * 300)
)
ANSWERS = {
    "up": b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
    "refused": b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
}


def packet(source, target, seq, ack, flags, payload=b""):
    """An Ethernet frame with a TCP segment."""
    tcp = struct.pack("!HHIIBBHHH", source[1], target[1], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 64240, 0, 0)
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, source[0], target[0])
    return b"\x02\0\0\0\0\x02\x02\0\0\0\0\x01\x08\x00" + ip + tcp + payload


def conversation(chance, number):
    """The frames of one: most are bulk transfers, some WebSocket sessions, a few refused handshakes."""
    client, server = (0x0A000000 + number, 1024 + number % 60000), (0xC0A80001, 80)
    kind = chance.choices(("bulk", "up", "refused"), (80, 12, 8))[0]
    here, there = chance.randrange(1 << 32), chance.randrange(1 << 32)
    yield packet(client, server, here, 0, SYN)
    yield packet(server, client, there, here + 1, SYN_ACK)
    here, there = here + 1, there + 1
    yield packet(client, server, here, there, ACK)
    request = REQUEST if kind != "bulk" else b"GET /file HTTP/1.1\r\nHost: shop.example\r\n\r\n"
    yield packet(client, server, here, there, ACK, request)
    here += len(request)
    if kind == "bulk":
        pieces = [1400] * chance.randrange(10, 40)
        head = b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % sum(pieces)
        bodies = [b"x" * size for size in pieces]
    else:
        head = ANSWERS[kind]
        bodies = [b"\x82\x7e" + struct.pack("!H", 200) + b"y" * 200] * (chance.randrange(5, 30) if kind == "up" else 0)
    for piece in (head, *bodies):
        yield packet(server, client, there, here, ACK, piece)
        there += len(piece)
        if chance.random() < 0.4:
            yield packet(client, server, here, there, ACK)
    yield packet(server, client, there, here, FIN_ACK)
    yield packet(client, server, here, there + 1, FIN_ACK)
    yield packet(server, client, there + 1, here + 1, ACK)


def write_capture(path):
    """Conversations that overlap, as pcap. Returns how many packets."""
    chance = random.Random(1)
    waiting = (conversation(chance, number) for number in range(CONVERSATIONS))
    open_ones, count = [], 0
    with path.open("wb") as out:
        out.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1))
        while True:
            while len(open_ones) < 200 and (new := next(waiting, None)) is not None:
                open_ones.append(new)
            if not open_ones:
                return count
            place = chance.randrange(len(open_ones))
            frame = next(open_ones[place], None)
            if frame is None:
                open_ones.pop(place)
                continue
            out.write(struct.pack("<IIII", count // 100000, count % 100000 * 10, len(frame), len(frame)) + frame)
            count += 1


def inside(*argv):
    """The command line that runs in the namespace."""
    return ["ip", "netns", "exec", SPACE, *map(str, argv)]


def run(*argv):
    """Runs a command that must succeed."""
    return subprocess.run(list(map(str, argv)), check=True, capture_output=True, text=True)


def replay(capture, seconds, rate):
    """Sends, and tells how many packets and how many per second."""
    speed = ["--topspeed"] if rate == 0 else [f"--pps={rate}"]
    loop = ["--loop=0", "--unique-ip", f"--duration={seconds}"]
    said = run(*inside("tcpreplay", "-q", "--preload-pcap", "-i", SOURCE, *speed, *loop, capture)).stdout
    sent, took = re.search(r"Actual: (\d+) packets .* sent in ([\d.]+) seconds", said).groups()
    return int(sent), int(sent) / float(took)


class Tool:
    """A program that captures on the other end."""

    def __init__(self, name, argv, ready, folder):
        self.name = name
        self._out, self._err = folder / "out", folder / "err"
        with self._out.open("w") as out, self._err.open("w") as err:
            self._process = subprocess.Popen(inside(*argv), stdout=out, stderr=err)
        deadline = time.monotonic() + 10
        while ready not in self._err.read_text():
            if time.monotonic() > deadline or self._process.poll() is not None:
                raise SystemExit(f"{name} does not listen: {self._err.read_text()}")
            time.sleep(0.05)
        self.pid = self._process.pid

    def memory(self):
        """Resident memory in MB."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(re.search(r"VmRSS:\s+(\d+)", status).group(1)) / 1024

    def stop(self):
        """Ends it: what it printed, what it said, and its CPU seconds."""
        time.sleep(0.5)
        self._process.send_signal(signal.SIGINT)
        _, status, usage = os.wait4(self.pid, 0)
        self._process.returncode = os.waitstatus_to_exitcode(status)
        return self._out.read_text(), self._err.read_text(), usage.ru_utime + usage.ru_stime

    def kill(self):
        """Ends it, whatever happened."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.wait()


def tcpdump(folder):
    """The yardstick."""
    argv = ("tcpdump", "-n", "-i", SINK, "-B", 65536, "-Z", "root", "-w", "/dev/null")
    return Tool("tcpdump -w /dev/null", argv, "listening on", folder)


def hop101(binary, folder):
    """What is measured."""
    argv = (binary, "live", "-i", SINK, "--only", "failed", "--format", "json", "-Z", "root")
    return Tool("hop101 live", argv, "listening on", folder)


def counts(tool, out, err):
    """Packets captured and lost."""
    if tool.name == "hop101 live":
        report = json.loads(out)
        return report["captures"][0]["frames"], report["captures"][0]["dropped"], report["summary"]["handshakes"]
    number = lambda text: int(re.search(rf"(\d+) packets? {text}", err).group(1))
    return number("captured"), number("dropped by kernel"), None


def command_speed(options, capture, folder):
    """Both programs in turn at each rate."""
    print(f"{'':22}{'sent':>10}{'per second':>12}{'captured':>10}{'lost':>8}{'CPU us/packet':>15}{'handshakes':>12}")
    for rate in [int(rate) for rate in options.rates.split(",")]:
        for start in (tcpdump, lambda folder: hop101(options.hop101, folder)):
            tool = start(folder)
            try:
                sent, per_second = replay(capture, options.seconds, rate)
                out, err, cpu = tool.stop()
            finally:
                tool.kill()
            captured, lost, handshakes = counts(tool, out, err)
            each = 1e6 * cpu / max(captured, 1)
            row = f"{tool.name:22}{sent:10}{per_second:12.0f}{captured:10}{lost:8}{each:15.2f}{handshakes or '':>12}"
            print(row, flush=True)
    return 0


def command_soak(options, capture, folder):
    """Steady load; the memory must not grow once every table is as full as the load makes it."""
    tool = hop101(options.hop101, folder)
    sender = subprocess.Popen(
        inside("tcpreplay", "-q", "--preload-pcap", "-i", SOURCE, f"--pps={options.rate}", "--loop=0", "--unique-ip",
               f"--duration={options.minutes * 60}", capture),
        stdout=subprocess.DEVNULL,
    )  # fmt: skip
    try:
        begun, next_at = time.monotonic(), 0
        while sender.poll() is None:
            if time.monotonic() - begun >= next_at:
                print(f"{next_at:5} s {tool.memory():8.1f} MB", flush=True)
                next_at += 30
            time.sleep(0.2)
        out, err, cpu = tool.stop()
    finally:
        sender.kill()
        sender.wait()
        tool.kill()
    captured, lost, handshakes = counts(tool, out, err)
    print(f"{captured} packets captured, {lost} lost, {handshakes} handshakes, {1e6 * cpu / captured:.2f} us CPU per packet")
    return 0


def main():
    """Parses the command line, makes the namespace, runs, cleans up."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("command", choices=("speed", "soak"))
    parser.add_argument("--hop101", type=Path, required=True, help="the binary, of a release build")
    parser.add_argument("--seconds", type=int, default=10, help="of each replay")
    parser.add_argument("--rates", default="0,300000,200000,100000", help="packets per second, 0: as fast as they go")
    parser.add_argument("--minutes", type=int, default=10, help="of the soak")
    parser.add_argument("--rate", type=int, default=10000, help="packets per second of the soak")
    options = parser.parse_args()
    options.hop101 = options.hop101.resolve()
    command = {"speed": command_speed, "soak": command_soak}[options.command]
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder)
        capture = folder / "load.pcap"
        count = write_capture(capture)
        print(f"{count} packets a round, {capture.stat().st_size / count - 16:.0f} bytes each")
        run("ip", "netns", "add", SPACE)
        try:
            run(*inside("ip", "link", "add", SOURCE, "type", "veth", "peer", "name", SINK))
            for device in (SOURCE, SINK):
                # Nobody is to answer, nor to chatter.
                run(*inside("sysctl", "-q", f"net.ipv6.conf.{device}.disable_ipv6=1"))
                run(*inside("ip", "link", "set", device, "arp", "off", "up"))
            return command(options, capture, folder)
        finally:
            run("ip", "netns", "del", SPACE)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    sys.exit(main())
