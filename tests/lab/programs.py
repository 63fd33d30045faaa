"""Command lines of the programs at both ends: Python `websockets`, node `ws`, curl and the raw-socket peer."""

from __future__ import annotations

import json
import struct
from pathlib import Path
from typing import Any

from model import BACKEND, PROXY_FRONT, Peer

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
CACHE = ROOT / "target" / "lab"
PYTHON = "/usr/bin/python3"
URL = f"ws://{PROXY_FRONT}/ws"
KEY = "x3JJHMbDL1EzLkh9GBhXDw=="
"""A well-formed key for hand-written requests (RFC 6455's other example)."""
ECHO = (("send", "hello"), ("recv",), ("close", 1000, "bye"))


def _python(script: str, *args: str) -> tuple[str, ...]:
    return (PYTHON, "-u", str(HERE / "peers" / script), *args)


def _node(script: str, *args: str, flags: tuple[str, ...] = ()) -> tuple[str, ...]:
    return ("node", *flags, str(HERE / "peers" / script), *args)


def py_backend(at: str = f"{BACKEND}:8080", **setting: Any) -> Peer:
    """A backend on Python `websockets`."""
    told = f"Python `websockets` on {at}" + (f", `{json.dumps(setting)}`" if setting else ", echoing")
    return Peer(_python("ws_server.py", at, json.dumps(setting)), told)


def node_backend(at: str = f"{BACKEND}:8080", **setting: Any) -> Peer:
    """A backend on node's http server and `ws`."""
    host, _, port = at.rpartition(":")
    told = f"node http + `ws` on {at}" + (f", `{json.dumps(setting)}`" if setting else ", echoing")
    return Peer(_node("ws_server.js", host, port, json.dumps(setting)), told)


def grpc_backend(at: str = f"{BACKEND}:8080") -> Peer:
    """A gRPC backend on node's http2: every call gets a message and trailers."""
    host, _, port = at.rpartition(":")
    return Peer(_node("grpc_server.js", host, port), f"node http2 on {at}, answering gRPC")


def raw_backend(*scripts: tuple, at: str = f"{BACKEND}:8080", **setting: Any) -> Peer:
    """A raw-socket backend: one script per connection, the last one repeats."""
    told = f"raw socket on {at}: " + " | ".join(_tell(script) for script in scripts)
    return Peer(_python("raw.py", "listen", at, json.dumps({"scripts": scripts, **setting})), told)


def tunnel_backend(*steps: tuple, **setting: Any) -> Peer:
    """A raw-socket backend that switches protocols, takes these steps, and then only reads."""
    return raw_backend((("head",), switching(), *steps, ("drain",)), **setting)


def relay(listen: str, to: str, role: str = "p", **setting: Any) -> Peer:
    """A byte-transparent TCP relay on a proxy host."""
    told = f"TCP relay {listen} to {to}" + (f", `{json.dumps(setting)}`" if setting else "")
    return Peer(_python("relay.py", listen, to, json.dumps(setting)), told, role=role)


def wire(role: str = "w", **setting: Any) -> Peer:
    """A bad wire: of topology `wire` the one between client and nginx."""
    told = f"between {'client and nginx' if role == 'w' else 'two hosts'} a wire that spoils frames, `{json.dumps(setting)}`"
    return Peer(_python("wire.py", "left", "right", json.dumps(setting)), told, role=role)


def py_client(*steps: tuple, url: str = URL, background: bool = False, delay: float = 0.0, **setting: Any) -> Peer:
    """A client on Python `websockets`; by default it sends, receives and closes."""
    steps = steps or ECHO
    told = f"Python `websockets` to {url}: {_tell(steps)}" + (f", `{json.dumps(setting)}`" if setting else "")
    return Peer(_python("ws_client.py", url, json.dumps({"steps": steps, **setting})), told, background, delay)


def node_client(*steps: tuple, url: str = URL, background: bool = False, delay: float = 0.0, **setting: Any) -> Peer:
    """A client on node `ws`."""
    steps = steps or ECHO
    told = f"node `ws` to {url}: {_tell(steps)}" + (f", `{json.dumps(setting)}`" if setting else "")
    flags = (f"--tls-keylog={setting.pop('keylog')}",) if "keylog" in setting else ()
    argv = _node("ws_client.js", url, json.dumps({"steps": steps, **setting}), flags=flags)
    return Peer(argv, told, background, delay)


def raw_client(
    *steps: tuple, to: str = f"{PROXY_FRONT}:80", background: bool = False, delay: float = 0.0, **setting: Any
) -> Peer:
    """A raw-socket client."""
    told = f"raw socket to {to}: {_tell(steps)}"
    return Peer(_python("raw.py", "connect", to, json.dumps({"steps": steps, **setting})), told, background, delay)


def tunnel_client(*steps: tuple, **setting: Any) -> Peer:
    """A raw-socket client that takes these steps once its handshake is answered."""
    return raw_client(handshake(), ("head",), *steps, **setting)


def curl(*args: str, background: bool = False, delay: float = 0.0, keylog: str = "") -> Peer:
    """curl; what it saw is its exit code, the status and the body."""
    env = ("env", f"SSLKEYLOGFILE={keylog}") if keylog else ()
    told = "`" + " ".join([*env[1:], "curl", *(f"'{a}'" if " " in a else a for a in args)]) + "`"
    fixed = ("curl", "-sS", "-o", "-", "--max-time", "4", "-w", "\n%{http_code} %{http_version}")
    return Peer((*env, *fixed, *args), told, background, delay)


def s_client(*steps: tuple, to: str = f"{PROXY_FRONT}:443", **setting: Any) -> Peer:
    """`openssl s_client`, for what other clients do not do with TLS."""
    told = f"`openssl s_client` to {to}: {_tell(steps)}, `{json.dumps(setting)}`"
    return Peer(_python("s_client.py", to, json.dumps({"steps": steps, **setting})), told)


def handshake(path: str = "/ws", *more: str, host: str = PROXY_FRONT, key: str = KEY, without: str = "") -> tuple:
    """A `lines` step with an opening handshake; `without` names fields to leave out, `more` adds or replaces."""
    fields = {
        "Host": host,
        "Upgrade": "websocket",
        "Connection": "Upgrade",
        "Sec-WebSocket-Key": key,
        "Sec-WebSocket-Version": "13",
    }
    for name in without.split():
        del fields[name]
    return ("lines", f"GET {path} HTTP/1.1", *(f"{name}: {value}" for name, value in fields.items()), *more)


def switching(*more: str, without: str = "") -> tuple:
    """A `lines` step with a correct 101, less the fields named in `without`, plus `more`."""
    fields = {"Upgrade": "websocket", "Connection": "Upgrade", "Sec-WebSocket-Accept": "%ACCEPT%"}
    for name in without.split():
        del fields[name]
    return ("lines", "HTTP/1.1 101 Switching Protocols", *(f"{n}: {v}" for n, v in fields.items()), *more)


def page(status: str, body: str = "", *more: str) -> tuple:
    """A `lines`-like step with an ordinary answer and its body."""
    head = [f"HTTP/1.1 {status}", "Content-Type: text/plain", f"Content-Length: {len(body)}", *more]
    return ("send", "".join(line + "\r\n" for line in head) + "\r\n" + body)


def fastcgi_answer(status: str) -> str:
    """An answer in FastCGI, in hexadecimal: output, its end, the end of the request."""
    said = f"Status: {status}\r\nContent-Type: text/html\r\n\r\nhello\n".encode()
    stdout, ended = (1, 6, 1), (1, 3, 1)
    records = ((stdout, said), (stdout, b""), (ended, bytes(8)))
    return b"".join(struct.pack("!BBHHBB", *kind, len(data), 0, 0) + data for kind, data in records).hex()


def _tell(steps: tuple) -> str:
    """Steps in words short enough for a README."""
    words = []
    for step in steps:
        text = " ".join(json.dumps(part) if not isinstance(part, str) else json.dumps(part)[1:-1] for part in step)
        words.append(text if len(text) <= 90 else text[:87] + "...")
    return "; ".join(words) or "nothing"
