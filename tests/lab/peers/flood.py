"""A flood on loopback, and one handshake that fails in the middle of it.

    flood.py SECONDS RATE [KIND...]

KIND is `syns`, `frames` (nonsense under every EtherType) or `heads` (conversations that look like handshakes); without
one, SYNs and frames. RATE is packets per second of each kind. Prints one line of JSON at the end: how many packets were
sent, and whether the client got its answer.
"""

import base64
import json
import multiprocessing
import random
import socket
import struct
import sys
import threading
import time

PORT = 8080


def request(path, key):
    """An opening handshake."""
    return (
        b"GET /%s HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        b"Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n\r\n" % (path, base64.b64encode(key))
    )


ANSWER = b"HTTP/1.1 403 Forbidden\r\nServer: flooded\r\nContent-Length: 0\r\nConnection: close\r\n\r\n"


def syns(until, pause, sent):
    """SYNs from everywhere, and segments with any flags and payloads that look like heads."""
    chance = random.Random(1)
    sock = socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW)
    target = socket.inet_aton("127.0.0.1")
    while time.monotonic() < until:
        for _ in range(100):
            source = struct.pack("!I", 0x7F000000 | chance.randrange(1 << 24))
            odd = chance.random() < 0.3
            payload = b""
            if odd:
                head = request(b"%x" % chance.randrange(1 << 32), chance.randbytes(16))
                payload = head[: chance.randrange(len(head))]
            tcp = struct.pack(
                "!HHIIBBHHH",
                chance.randrange(1, 65536),
                chance.choice((PORT, 80, chance.randrange(1, 65536))),
                chance.randrange(1 << 32),
                chance.randrange(1 << 32) if odd else 0,
                chance.randrange(4, 16) << 4 if odd else 0x50,
                chance.randrange(256) if odd else 0x02,
                64240,
                0,
                0,
            )
            ip = struct.pack("!BBHHHBBH", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0) + source + target
            sock.sendto(ip + tcp + payload, ("127.0.0.1", 0))
        sent.value += 100
        time.sleep(pause)


def garbage(until, pause, sent):
    """Frames of nonsense: cut headers, wrong lengths, random bytes under every kind of EtherType."""
    chance = random.Random(2)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind(("lo", 0))
    kinds = (b"\x08\x00", b"\x86\xdd", b"\x81\x00", b"\x88\x47", b"\x88\x64", b"\x08\x06", b"\xff\xff")
    starts = (b"", b"\x45", b"\x4f\x00\xff\xff\x00\x00\x20\x00\x40\x06", b"\x60\x00\x00\x00\xff\xff\x2c\x40")
    while time.monotonic() < until:
        for _ in range(100):
            body = chance.choice(starts) + chance.randbytes(chance.randrange(200))
            sock.send(b"\0" * 12 + chance.choice(kinds) + body)
        sent.value += 100
        time.sleep(pause)


KEY = b"one that matters"
"""All conversations have the key of the handshake that matters."""

HOSTS = 0x0A000000
"""Addresses that this machine does not have, so that it answers none of it."""


def frame(source, target, seq, ack, flags, payload=b""):
    """An Ethernet frame with a TCP segment; addresses are (number, port)."""
    tcp = struct.pack("!HHIIBBHHH", source[1], target[1], seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, 0x50, flags, 64240, 0, 0)
    ip = struct.pack("!BBHHHBBHII", 0x45, 0, 40 + len(payload), 0, 0, 64, 6, 0, source[0], target[0])
    return b"\0" * 12 + b"\x08\x00" + ip + tcp + payload


SYN, ACK, SYN_ACK, FIN = 2, 16, 18, 17


def heads(until, pause, sent):
    """Conversations with port 80: handshakes with one and the same key that are refused, that wait for ever, one after
    the other on a connection that stays; heads without an end, heads of 60 KB, random bytes."""
    chance = random.Random(3)
    sock = socket.socket(socket.AF_PACKET, socket.SOCK_RAW)
    sock.bind(("lo", 0))
    server = (HOSTS | 0xFF0001, 80)
    kept = [[(HOSTS | 0xFE0000 + n, 40000), 1, 1] for n in range(4)]
    shake = request(b"ws", KEY)
    refused = b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n"
    while time.monotonic() < until:
        count = 0
        while count < 100:
            client = (HOSTS | chance.randrange(0xFE0000), chance.randrange(1024, 65536))
            kind = chance.randrange(7)
            if kind == 6:
                one = chance.choice(kept)
                wire = [frame(one[0], server, one[1], one[2], ACK, shake)]
                one[1] += len(shake)
                wire.append(frame(server, one[0], one[2], one[1], ACK, refused))
                one[2] += len(refused)
            else:
                isn, nsi = chance.randrange(1 << 32), chance.randrange(1 << 32)
                wire = [
                    frame(client, server, isn, 0, SYN),
                    frame(server, client, nsi, isn + 1, SYN_ACK),
                    frame(client, server, isn + 1, nsi + 1, ACK),
                ]
                said = {
                    0: shake,
                    1: shake,
                    2: shake,
                    3: shake[: chance.randrange(1, len(shake))],
                    4: chance.randbytes(chance.randrange(1, 1400)),
                    5: shake[:-2] + b"Cookie: " + b"c" * 60000 + b"\r\n\r\n",
                }[kind]
                wire.append(frame(client, server, isn + 1, nsi + 1, ACK, said))
                if kind in (0, 1):
                    here, there = isn + 1 + len(said), nsi + 1 + len(refused)
                    wire += [
                        frame(server, client, nsi + 1, here, ACK, refused),
                        frame(server, client, there, here, FIN),
                        frame(client, server, here, there + 1, FIN),
                        frame(server, client, there + 1, here + 1, ACK),
                    ]
            for one in wire:
                sock.send(one)
            count += len(wire)
        sent.value += count
        time.sleep(pause)


KINDS = {"syns": syns, "frames": garbage, "heads": heads}


def serve(listener):
    while True:
        connection, _ = listener.accept()
        connection.recv(4096)
        connection.sendall(ANSWER)
        connection.close()


def main():
    listener = socket.create_server(("127.0.0.1", PORT), backlog=4096)
    threading.Thread(target=serve, args=(listener,), daemon=True).start()
    begin = time.monotonic()
    until = begin + float(sys.argv[1])
    kinds = [KINDS[kind] for kind in sys.argv[3:] or ("syns", "frames")]
    counts = [multiprocessing.Value("q", 0) for _ in kinds]
    floods = [
        multiprocessing.Process(target=flood, args=(until, 100 / float(sys.argv[2]), count), daemon=True)
        for flood, count in zip(kinds, counts)
    ]
    for flood in floods:
        flood.start()
    time.sleep((until - begin) / 2)
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as client:
        client.sendall(request(b"ws", KEY))
        answer = client.recv(4096)
    for flood in floods:
        flood.join()
    print(json.dumps({"sent": sum(count.value for count in counts), "answered": answer.startswith(b"HTTP/1.1 403")}))


main()
