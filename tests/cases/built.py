"""Captures of what the lab cannot produce: crashes, overload, nginx beyond 1.22.1."""

from __future__ import annotations

import struct

from wire import Tape, Tcp, request, switching, text

CLIENT, FRONT, PROXY, BACKEND = "192.168.50.23", "192.168.50.1", "10.20.0.1", "10.20.0.11"
MASK = b"\x37\xfa\x21\x3d"
SAMPLE_KEY = "dGhlIHNhbXBsZSBub25jZQ=="
H2_PREFACE = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"
H2_SETTINGS = bytes.fromhex("000000040000000000")


def client_hop(tape: Tape, port: int, to: int = 80) -> Tcp:
    """A client's connection to the proxy."""
    return Tcp(tape, (CLIENT, port), (FRONT, to))


def backend_hop(tape: Tape, port: int, to: str = BACKEND) -> Tcp:
    """The proxy's connection to a backend."""
    return Tcp(tape, (PROXY, port), (to, 8080))


def tunnel(tape: Tape, number: int) -> tuple[Tcp, Tcp]:
    """A session that is up, on both hops."""
    key = f"{'ABCDEFGH'[number] * 21}A=="
    front, back = client_hop(tape, 40000 + number).open(), backend_hop(tape, 50000 + number)
    front.say("c", request(key=key))
    back.open()
    back.say("c", request(key=key))
    back.say("s", switching(key))
    front.say("s", switching(key))
    for hop in (front, back):
        hop.say("c", text(f"hello {number}", MASK))
    for hop in (back, front):
        hop.say("s", text(f"hello {number}"))
    return front, back


def proxy_crashed() -> bytes:
    """A worker dies: the kernel closes its sockets, the newest first; a new worker accepts the next client."""
    tape = Tape()
    tunnels = [tunnel(tape, number) for number in range(4)]
    tape.wait(0.437)
    for front, back in reversed(tunnels):
        back.rst("c")
        front.rst("s")
    tape.wait(0.8)
    front, back = tunnel(tape, 5)
    front.fin("c")
    back.fin("c")
    return tape.pcap()


def proxy_overloaded() -> bytes:
    """worker_connections are used up: new clients are accepted and closed without a byte, one with an old tunnel goes on."""
    tape = Tape()
    tunnel(tape, 0)
    tape.wait(1.0)
    for number in range(6):
        front = client_hop(tape, 41000 + number).open()
        front.say("c", request(key=f"{'JKLMNOPQ'[number] * 21}A=="))
        front.rst("s")
        tape.wait(0.01)
    return tape.pcap()


def no_answer() -> bytes:
    """The server thinks for three seconds, then closes without a byte, although it answered another client before."""
    tape = Tape()
    front, back = tunnel(tape, 1)
    front.fin("c")
    back.fin("c")
    front = client_hop(tape, 45000).open()
    front.say("c", request())
    tape.wait(3.0)
    front.fin("s")
    return tape.pcap()


def connect_refused() -> bytes:
    """nginx is stopped after a session: its client comes back and is refused. Who waited for it to start is no matter."""
    tape = Tape()
    for number in range(3):
        client_hop(tape, 39000 + number).refused()
        tape.wait(1.0)
    front, back = tunnel(tape, 1)
    front.fin("c")
    back.fin("c")
    tape.wait(5.0)
    for number in range(3):
        client_hop(tape, 46000 + number).refused()
        Tcp(tape, ("192.168.50.77", 46000 + number), (FRONT, 80)).refused()
        tape.wait(2.0)
    return tape.pcap()


def connect_unanswered() -> bytes:
    """A firewall closes after a session: its client comes back and gets no answer. A single SYN says nothing."""
    tape = Tape()
    front, back = tunnel(tape, 1)
    front.fin("c")
    back.fin("c")
    client_hop(tape, 46000).unanswered(())
    tape.wait(60.0)
    client_hop(tape, 46001).unanswered((1.0, 2.0, 4.0))
    return tape.pcap()


def pairing_ambiguous() -> bytes:
    """Two attempts with the sample key at one instant: either backend connection fits either of them."""
    tape = Tape()
    fronts = [client_hop(tape, 42000 + number).open() for number in range(2)]
    backs = [backend_hop(tape, 52000 + number).open() for number in range(2)]
    for front in fronts:
        front.say("c", request(key=SAMPLE_KEY))
    for back in backs:
        back.say("c", request(key=SAMPLE_KEY))
    for back in backs:
        back.say("s", switching(SAMPLE_KEY))
    for front in fronts:
        front.say("s", switching(SAMPLE_KEY))
    tape.wait(1.0)
    return tape.pcap()


def http2_to_backend() -> bytes:
    """`proxy_http_version 2` (nginx 1.29.4): the handshake goes on as an HTTP/2 request, which the backend answers 400."""
    tape = Tape()
    front = client_hop(tape, 43000).open()
    # On one network the proxy has one address, which ties the connection to it.
    back = Tcp(tape, (FRONT, 53000), ("192.168.50.11", 8080))
    front.say("c", request())
    back.open()
    back.say("c", H2_PREFACE + H2_SETTINGS + h2_request("GET"))
    back.say("s", H2_SETTINGS + h2_answer())
    back.fin("c")
    body = b"<html><center><h1>400 Bad Request</h1></center><hr><center>nginx/1.29.5</center></html>\r\n"
    front.say(
        "s",
        b"HTTP/1.1 400 Bad Request\r\nServer: nginx/1.29.5\r\nContent-Length: %d\r\nConnection: close\r\n\r\n" % len(body)
        + body,
    )
    front.fin("s")
    return tape.pcap()


def http2_connection_header() -> bytes:
    """A client puts the classic handshake into HTTP/2; nginx 1.31.0 and later answers 400 to its Connection field."""
    tape = Tape()
    front = client_hop(tape, 44000).open()
    front.say("c", H2_PREFACE + H2_SETTINGS + h2_request("GET", ("connection", "Upgrade"), ("upgrade", "websocket")))
    front.say("s", H2_SETTINGS + h2_answer())
    front.fin("s")
    return tape.pcap()


def h2_request(method: str, *more: tuple[str, str]) -> bytes:
    """A HEADERS frame on stream 1 with literal fields only (RFC 7541 6.2.2)."""
    fields = ((":method", method), (":scheme", "http"), (":path", "/ws"), (":authority", FRONT), *more)
    block = b"".join(
        b"\x00" + bytes([len(name)]) + name.encode() + bytes([len(value)]) + value.encode() for name, value in fields
    )
    return len(block).to_bytes(3, "big") + bytes.fromhex("010500000001") + block


def h2_answer() -> bytes:
    """A HEADERS frame on stream 1: `:status: 400` by its index in the static table (RFC 7541 A)."""
    return bytes.fromhex("0000010105000000018c")


def pcapng_blocks(capture: bytes) -> list[bytes]:
    """The blocks of a little-endian pcapng file."""
    blocks, at = [], 0
    while at < len(capture):
        (length,) = struct.unpack_from("<I", capture, at + 4)
        blocks.append(capture[at : at + length])
        at += length
    return blocks


ENHANCED_PACKET, INTERFACE_STATISTICS = 6, 5


def without_frame(capture: bytes, number: int) -> bytes:
    """A pcapng file without one of its frames, as a tool leaves it that could not keep up."""
    kept, seen = [], 0
    for block in pcapng_blocks(capture):
        if int.from_bytes(block[:4], "little") == ENHANCED_PACKET:
            seen += 1
            if seen == number:
                continue
        kept.append(block)
    return b"".join(kept)


def with_drops(capture: bytes, dropped: int) -> bytes:
    """A pcapng file whose last interface statistics count packets that the kernel had no room for."""
    blocks = [b for b in pcapng_blocks(capture) if int.from_bytes(b[:4], "little") != INTERFACE_STATISTICS]
    packets = [b for b in blocks if int.from_bytes(b[:4], "little") == ENHANCED_PACKET]
    last_time = packets[-1][12:20]
    body = bytes(4) + last_time + struct.pack("<HHQ", 7, 8, dropped) + bytes(4)  # isb_osdrop
    length = struct.pack("<I", len(body) + 12)
    return b"".join(blocks) + struct.pack("<I", INTERFACE_STATISTICS) + length + body + length
