"""A peer that does over a plain socket exactly what its script says: a backend or a client that misbehaves.

    raw.py listen HOST:PORT '{"scripts": [[STEP, ...], ...]}'    one script per connection, the last one repeats
    raw.py connect HOST:PORT '{"steps": [STEP, ...]}'

Steps, each a JSON list (text is Latin-1; `%KEY%` and `%ACCEPT%` come from the last head read):

    ["head"]                 read until an empty line
    ["bytes", N]             read N bytes
    ["frame_in"]             read one ws frame
    ["send", TEXT]           send as it is
    ["lines", L1, L2, ...]   send the lines with CRLF and the empty line behind them
    ["hex", HEX]             send bytes given in hexadecimal
    ["slowly", TEXT, S]      send byte by byte with a pause of S seconds
    ["ws", OPCODE, PAYLOAD, {"mask": true, "fin": true, "rsv": 0, "claim": N}]   send a ws frame
    ["sleep", S]             wait
    ["fin"]                  shut down the sending side
    ["rst"]                  close with a reset
    ["drain"]                read until the other side ends
    ["drain_quietly", S]     read what comes within S seconds
    ["small_buffer", N]      set the receive buffer of this connection
    ["flood", COUNT, SIZE, {"mask": true}]   send COUNT binary ws frames of SIZE bytes, for half a second at most
    ["tls_server", {"certificate_wanted": true, "max": "TLSv1_2", "keylog": FILE}]   start TLS as a server, with cert.pem and
                             key.pem of this folder
    ["tls_client", {"max": "TLSv1_2", "alpn": ["h2"], "keylog": FILE}]   start TLS as a client
    ["tls_end"]              send close_notify and wait for the other side's
"""

import base64
import hashlib
import json
import os
import socket
import ssl
import struct
import sys
import threading

GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
MASK = b"\x37\xfa\x21\x3d"


def ws_frame(opcode, payload, mask=False, fin=True, rsv=0, claim=None):
    """One ws frame (RFC 6455 5.2); `claim` states another length than the payload has."""
    data = payload.encode("utf-8") if isinstance(payload, str) else payload
    length = len(data) if claim is None else claim
    first = (0x80 if fin else 0) | (rsv << 4) | opcode
    bit = 0x80 if mask else 0
    if length < 126:
        head = struct.pack("!BB", first, bit | length)
    elif length < 65536:
        head = struct.pack("!BBH", first, bit | 126, length)
    else:
        head = struct.pack("!BBQ", first, bit | 127, length)
    if mask:
        data = bytes(b ^ MASK[i % 4] for i, b in enumerate(data))
        head += MASK
    return head + data


class Script:
    """Runs the steps of one connection and keeps what it saw."""

    def __init__(self, sock, steps):
        self.sock = sock
        self.steps = steps
        self.got = b""
        self.saw = {"heads": [], "frames": [], "bytes_in": 0, "end": None}
        self.names = {"%KEY%": "", "%ACCEPT%": ""}

    def run(self):
        try:
            for step in self.steps:
                getattr(self, "do_" + step[0])(*step[1:])
        except ConnectionResetError:
            self.saw["end"] = "rst"
        except EOFError:
            self.saw["end"] = "fin"
        except (BrokenPipeError, OSError) as error:
            self.saw["end"] = type(error).__name__
        finally:
            self.sock.close()
        self.saw["rest"] = self.got[:400].decode("latin-1")
        status = [head for head in self.saw["heads"] if head.startswith("HTTP/")]
        if status:
            self.saw["status"] = int(status[0].split()[1])
        elif self.got.startswith(b"HTTP/"):
            self.saw["status"] = int(self.got.split()[1])
        return self.saw

    def fill(self):
        """Reads once more; the end of the stream is an EOFError."""
        data = self.sock.recv(65536)
        if not data:
            raise EOFError
        self.saw["bytes_in"] += len(data)
        self.got += data

    def take(self, count):
        while len(self.got) < count:
            self.fill()
        data, self.got = self.got[:count], self.got[count:]
        return data

    def put(self, text):
        for name, value in self.names.items():
            text = text.replace(name, value)
        self.sock.sendall(text.encode("latin-1"))

    def do_head(self):
        while b"\r\n\r\n" not in self.got:
            self.fill()
        head, _, self.got = self.got.partition(b"\r\n\r\n")
        text = head.decode("latin-1")
        self.saw["heads"].append(text)
        for line in text.split("\r\n")[1:]:
            name, _, value = line.partition(":")
            if name.lower() == "sec-websocket-key":
                key = value.strip()
                digest = hashlib.sha1((key + GUID).encode("latin-1")).digest()
                self.names = {"%KEY%": key, "%ACCEPT%": base64.b64encode(digest).decode()}

    def do_bytes(self, count):
        self.take(count)

    def do_frame_in(self):
        first, second = self.take(2)
        length = second & 0x7F
        if length == 126:
            (length,) = struct.unpack("!H", self.take(2))
        elif length == 127:
            (length,) = struct.unpack("!Q", self.take(8))
        mask = self.take(4) if second & 0x80 else b"\0\0\0\0"
        payload = bytes(b ^ mask[i % 4] for i, b in enumerate(self.take(length)))
        self.saw["frames"].append([first & 0x0F, payload[:100].decode("latin-1")])
        if first & 0x0F == 8 and length >= 2:
            self.saw["close_code"] = struct.unpack("!H", payload[:2])[0]

    def do_send(self, text):
        self.put(text)

    def do_lines(self, *lines):
        self.put("".join(line + "\r\n" for line in lines) + "\r\n")

    def do_hex(self, digits):
        self.sock.sendall(bytes.fromhex(digits))

    def do_slowly(self, text, pause):
        for name, value in self.names.items():
            text = text.replace(name, value)
        for byte in text.encode("latin-1"):
            self.sock.sendall(bytes([byte]))
            self.do_sleep(pause)

    def do_ws(self, opcode, payload, options=None):
        options = dict(options or {})
        data = bytes.fromhex(options.pop("hex")) if "hex" in options else payload
        self.sock.sendall(ws_frame(opcode, data, **options))

    def do_sleep(self, seconds):
        threading.Event().wait(seconds)

    def do_fin(self):
        self.sock.shutdown(socket.SHUT_WR)

    def do_rst(self):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def do_drain(self):
        while True:
            self.fill()

    def do_drain_quietly(self, seconds):
        self.sock.settimeout(seconds)
        try:
            self.do_drain()
        except TimeoutError:
            self.sock.settimeout(None)

    def do_small_buffer(self, size):
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, size)

    def do_flood(self, count, size, options=None):
        self.sock.settimeout(0.5)
        frame = ws_frame(2, os.urandom(16) * (size // 16), **(options or {}))
        try:
            for _ in range(count):
                self.sock.sendall(frame)
        except TimeoutError:
            self.saw["blocked"] = True
        self.sock.settimeout(None)

    def do_tls_server(self, options=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain("cert.pem", "key.pem")
        if (options or {}).get("certificate_wanted"):
            context.verify_mode = ssl.CERT_REQUIRED
            context.load_verify_locations("ca.pem")
        self.start_tls(context, options or {}, server_side=True)

    def do_tls_client(self, options=None):
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
        context.load_verify_locations("ca.pem")
        if "alpn" in (options or {}):
            context.set_alpn_protocols(options["alpn"])
        self.start_tls(context, options or {}, server_hostname="lab.example")

    def start_tls(self, context, options, **role):
        if "max" in options:
            context.maximum_version = ssl.TLSVersion[options["max"]]
        if "keylog" in options:
            context.keylog_filename = options["keylog"]
        self.sock = context.wrap_socket(self.sock, **role)

    def do_tls_end(self):
        self.sock = self.sock.unwrap()


def address(text):
    """Splits `1.2.3.4:80` or `[::1]:80`."""
    host, _, port = text.rpartition(":")
    return host.strip("[]"), int(port)


def listen(where, setting):
    """Serves connections, each by its script, until killed."""
    host, port = address(where)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    server = socket.socket(family)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    if "listen_buffer" in setting:
        server.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, setting["listen_buffer"])
    server.bind((host, port))
    server.listen(64)
    print("ready", flush=True)
    scripts = setting["scripts"]
    number = 0
    while True:
        sock, _ = server.accept()
        steps = scripts[min(number, len(scripts) - 1)]
        number += 1
        threading.Thread(target=play, args=(sock, steps), daemon=True).start()


def play(sock, steps):
    """Runs one connection's script and prints what it saw."""
    print(json.dumps(Script(sock, steps).run()), flush=True)


def connect(where, setting):
    """Plays one client and prints what it saw."""
    host, port = address(where)
    sock = socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET)
    if "receive_buffer" in setting:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, setting["receive_buffer"])
    sock.connect((host, port))
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    play(sock, setting["steps"])


if __name__ == "__main__":
    {"listen": listen, "connect": connect}[sys.argv[1]](sys.argv[2], json.loads(sys.argv[3]))
