"""Builds captures by hand: Ethernet, IPv4 and TCP in a classic pcap file. Checksums are left 0, as offloading leaves them."""

from __future__ import annotations

import base64
import hashlib
import struct
from dataclasses import dataclass, field

FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
START = 1_790_000_000_000_000_000
"""The first frame's time, in nanoseconds since 1970."""
NANOSECOND_PCAP = 0xA1B23C4D
ETHERNET = 1
GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
KEY = "x3JJHMbDL1EzLkh9GBhXDw=="


def accept(key: str) -> str:
    """The answer to a key (RFC 6455 4.2.2 step 5.4)."""
    return base64.b64encode(hashlib.sha1((key + GUID).encode()).digest()).decode()


def request(target: str = "/ws", *more: str, host: str = "app.example.org", key: str = KEY) -> bytes:
    """An opening handshake."""
    lines = (
        f"GET {target} HTTP/1.1",
        f"Host: {host}",
        "Upgrade: websocket",
        "Connection: Upgrade",
        f"Sec-WebSocket-Key: {key}",
        "Sec-WebSocket-Version: 13",
        *more,
    )
    return "".join(line + "\r\n" for line in (*lines, "")).encode()


def switching(key: str = KEY) -> bytes:
    """The answer 101."""
    lines = (
        "HTTP/1.1 101 Switching Protocols",
        "Server: nginx/1.28.0",
        "Connection: upgrade",
        "Upgrade: websocket",
        f"Sec-WebSocket-Accept: {accept(key)}",
        "",
    )
    return "".join(line + "\r\n" for line in lines).encode()


def text(words: str, mask: bytes = b"") -> bytes:
    """A text frame; with a mask as clients send it."""
    payload = words.encode()
    head = bytes([0x81, len(payload) | (0x80 if mask else 0)]) + mask
    return head + bytes(b ^ mask[i % 4] for i, b in enumerate(payload)) if mask else head + payload


@dataclass
class Tape:
    """Frames in the order of time."""

    frames: list[tuple[int, bytes]] = field(default_factory=list)
    now: int = START

    def wait(self, seconds: float) -> None:
        """Lets time pass."""
        self.now += round(seconds * 1e9)

    def frame(self, data: bytes) -> None:
        """Adds a frame; the next one comes 50 microseconds later."""
        self.frames.append((self.now, data))
        self.now += 50_000

    def pcap(self) -> bytes:
        """The file."""
        out = struct.pack("<IHHIIII", NANOSECOND_PCAP, 2, 4, 0, 0, 262144, ETHERNET)
        for at, data in self.frames:
            out += struct.pack("<IIII", at // 10**9, at % 10**9, len(data), len(data)) + data
        return out


class Tcp:
    """One connection on a tape. Sides are `c`, who opens it, and `s`."""

    def __init__(self, tape: Tape, client: tuple[str, int], server: tuple[str, int]) -> None:
        self._tape = tape
        self._ends = {"c": client, "s": server}
        self._next = {"c": 1000 + client[1], "s": 2_000_000 + client[1]}

    def open(self) -> "Tcp":
        """Three frames."""
        self._send("c", SYN)
        self._send("s", SYN | ACK)
        self._send("c", ACK)
        return self

    def refused(self) -> None:
        """A SYN, answered by a reset."""
        self._send("c", SYN)
        self._send("s", RST | ACK)

    def unanswered(self, waits: tuple[float, ...]) -> None:
        """The same SYN again after each of these times, in seconds."""
        for wait in (*waits, 0):
            self._send("c", SYN)
            self._next["c"] -= 1
            self._tape.wait(wait)

    def say(self, side: str, data: bytes) -> None:
        """A segment with payload, and its acknowledgement."""
        self._send(side, PSH | ACK, data)
        self._send("s" if side == "c" else "c", ACK)

    def fin(self, first: str) -> None:
        """Both sides close."""
        other = "s" if first == "c" else "c"
        self._send(first, FIN | ACK)
        self._send(other, FIN | ACK)
        self._send(first, ACK)

    def rst(self, side: str) -> None:
        """One side aborts."""
        self._send(side, RST | ACK)

    def _send(self, side: str, flags: int, data: bytes = b"") -> None:
        other = "s" if side == "c" else "c"
        (source, source_port), (to, to_port) = self._ends[side], self._ends[other]
        acknowledged = 0 if flags == SYN else self._next[other]
        tcp = struct.pack(
            ">HHIIBBHHH", source_port, to_port, self._next[side], acknowledged, 5 << 4, flags, 64240, 0, 0
        )
        self._next[side] += len(data) + bool(flags & SYN) + bool(flags & FIN)
        ip = struct.pack(
            ">BBHHHBBH4s4s", 0x45, 0, 40 + len(data), 0, 0x4000, 64, 6, 0, _address(source), _address(to)
        )
        self._tape.frame(bytes.fromhex("020000000001 020000000002 0800") + ip + tcp + data)


def _address(dotted: str) -> bytes:
    return bytes(int(part) for part in dotted.split("."))
