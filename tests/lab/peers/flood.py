"""A flood of SYNs and of garbage on loopback, and one handshake that fails in the middle of it.

    flood.py SECONDS RATE

RATE is packets per second of each kind. Prints one line of JSON at the end: how many packets were sent, and whether the client got its answer.
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
    counts = [multiprocessing.Value("q", 0) for _ in range(2)]
    floods = [
        multiprocessing.Process(target=flood, args=(until, 100 / float(sys.argv[2]), count), daemon=True)
        for flood, count in zip((syns, garbage), counts)
    ]
    for flood in floods:
        flood.start()
    time.sleep((until - begin) / 2)
    with socket.create_connection(("127.0.0.1", PORT), timeout=20) as client:
        client.sendall(request(b"ws", b"one that matters"))
        answer = client.recv(4096)
    for flood in floods:
        flood.join()
    print(json.dumps({"sent": sum(count.value for count in counts), "answered": answer.startswith(b"HTTP/1.1 403")}))


main()
