"""A TCP relay that changes no byte, as balancers and nginx's stream module do: `relay.py LISTEN TARGET JSON`.

Settings: `proxy_line` (sends a PROXY v1 line first), `idle` (seconds of silence after which it ends both sides),
`how` (`fin` or `rst`).
"""

import json
import selectors
import socket
import struct
import sys
import threading


def address(text):
    host, _, port = text.rpartition(":")
    return host, int(port)


def carry(inner, target, setting):
    """Carries bytes between two connections until one of them ends or nothing comes for too long."""
    try:
        outer = socket.create_connection(address(target))
    except OSError:
        inner.close()
        return
    if setting.get("proxy_line"):
        (client, client_port), (here, port) = inner.getpeername(), inner.getsockname()
        outer.sendall(f"PROXY TCP4 {client} {here} {client_port} {port}\r\n".encode())
    waiting = selectors.DefaultSelector()
    waiting.register(inner, selectors.EVENT_READ, outer)
    waiting.register(outer, selectors.EVENT_READ, inner)
    try:
        while True:
            ready = waiting.select(setting.get("idle"))
            if not ready:
                if setting.get("how") == "rst":
                    for sock in (inner, outer):
                        sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                return
            for key, _ in ready:
                data = key.fileobj.recv(65536)
                if not data:
                    return
                key.data.sendall(data)
    except OSError:
        return
    finally:
        inner.close()
        outer.close()


def main():
    setting = json.loads(sys.argv[3])
    server = socket.create_server(address(sys.argv[1]))
    print("ready", flush=True)
    while True:
        inner, _ = server.accept()
        threading.Thread(target=carry, args=(inner, sys.argv[2], setting), daemon=True).start()


main()
