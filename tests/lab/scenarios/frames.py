"""Broken ws frames, named with the rule and with who broke it: rows T11 and T12."""

from __future__ import annotations

import random
import zlib

from model import ANY, Handshake, Peer, Scenario, Witness, broken, expect
from nginx import UPGRADE, location, site
from programs import (
    node_backend,
    node_client,
    py_backend,
    py_client,
    raw_backend,
    switching,
    tunnel_backend,
    tunnel_client,
)

WAITS = (("send", "hello"), ("recv",), ("wait_closed",))
# What follows a fault: the offended side closes with an error, or just leaves.
AFTER = (
    "closed-with-error backend-closed-without-close client-left cut-mid-frame half-closed backend-reset client-reset"
)


SAYS = {
    "frame-unmasked": "client 192.168.50.23 sent a frame without a mask",
    "frame-reserved-bit-of-client": "client 192.168.50.23 sent a frame with a reserved bit",
    "frame-reserved-opcode": "client 192.168.50.23 sent a frame with the undefined opcode 3",
    "frame-bad-utf8": "client 192.168.50.23 sent text that is no UTF-8",
    "frame-continuation-alone": "client 192.168.50.23 sent a continuation without a message",
    "frame-interrupted-message": "client 192.168.50.23 sent a new message inside",
    "frame-ping-fragmented": "client 192.168.50.23 sent a fragmented control frame",
    "frame-ping-too-long": "client 192.168.50.23 sent a control frame of 200 bytes",
    "frame-not-a-frame-of-client": "client 192.168.50.23 sent bytes after the 101 that are no",
    "frame-close-code-undefined": "client 192.168.50.23 sent the close code 999",
    "frame-close-reason-not-utf8": "client 192.168.50.23 sent a close reason that is no UTF-8",
    "frame-text-of-backend-not-utf8": "backend 10.20.0.11:8080 sent text that is no UTF-8",
    "frame-continuation-of-backend-alone": "backend 10.20.0.11:8080 sent a continuation without a message",
    "frame-length-with-high-bit": "backend 10.20.0.11:8080 sent a length with its highest bit set",
    "frame-does-not-inflate": "backend 10.20.0.11:8080 sent a compressed message that does not inflate",
    "frame-context-kept": "backend 10.20.0.11:8080 sent a compressed message that does not inflate",
    "frame-window-exceeded": "backend 10.20.0.11:8080 sent a compressed message that refers 2000 bytes back",
    "frame-masked-by-backend": "backend 10.20.0.11:8080 sent a masked frame",
    "frame-reserved-bit": "backend 10.20.0.11:8080 sent a frame with a reserved bit",
    "frame-close-code-illegal": "backend 10.20.0.11:8080 sent the close code 1005",
    "frame-close-of-one-byte": "backend 10.20.0.11:8080 sent a Close frame with a body of one byte",
    "frame-length-not-minimal": "backend 10.20.0.11:8080 sent a length (5) not in its shortest form",
    "frame-not-a-frame": "backend 10.20.0.11:8080 sent an HTTP response (200) instead of a WebSocket frame",
}
"""What the report must say by scenario: the rule, and who broke it."""


def fault_of_backend(
    name: str,
    title: str,
    *frames: tuple,
    code: int,
    client: Peer | None = None,
    code_seen=ANY,
    verdict="broken",
    cause="frame-fault",
    **more,
) -> Scenario:
    """A raw backend sends `frames`; the client closes with `code`."""
    return Scenario(
        name=name,
        family="session",
        row="T11",
        title=title,
        nginx=site(location("/ws")),
        backends=(tunnel_backend(("frame_in",), *frames),),
        clients=(client or py_client(*WAITS),),
        expect=expect(
            Handshake(verdict, cause, hops=2, close_code=code_seen),
            required="frame-fault",
            allowed=AFTER,
            says=SAYS[name],
        ),
        witness=Witness(access=("101",), saw=({"close_code": code},)),
        **more,
    )


def fault_of_client(name: str, title: str, *frames: tuple, code: int, code_seen=None, **more) -> Scenario:
    """A raw client sends `frames`; Python `websockets` closes with `code`."""
    return Scenario(
        name=name,
        family="session",
        row="T11",
        title=title,
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(tunnel_client(*frames, ("frame_in",), ("drain",)),),
        expect=expect(broken("frame-fault", hops=2, close_code=code_seen or code), allowed=AFTER, says=SAYS[name]),
        witness=Witness(access=("101",), saw=({"close_code": code},)),
        **more,
    )


def deflated(*messages: bytes) -> tuple[str, ...]:
    """Messages as RFC 7692 7.2.1 compresses them, with one window of 15 bits, in hexadecimal."""
    sender = zlib.compressobj(9, zlib.DEFLATED, -15)
    return tuple(
        (sender.compress(message) + sender.flush(zlib.Z_SYNC_FLUSH)).removesuffix(b"\x00\x00\xff\xff").hex()
        for message in messages
    )


def fault_of_compressor(name: str, title: str, agreed: str, *messages: tuple[int, str]) -> Scenario:
    """A raw backend agrees on `agreed` and sends messages of an opcode with RSV1; node closes with 1007."""
    extensions = f"Sec-WebSocket-Extensions: permessage-deflate{agreed}"
    frames = tuple(("ws", opcode, "", {"hex": payload, "rsv": 4}) for opcode, payload in messages)
    return Scenario(
        name=name,
        family="session",
        row="T11",
        title=title,
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), switching(extensions), ("frame_in",), *frames, ("drain",))),),
        clients=(node_client(*WAITS, deflate=True),),
        expect=expect(broken("frame-fault", hops=2, close_code=1007), allowed=AFTER, says=SAYS[name]),
        witness=Witness(access=("101",), saw=({"close_code": 1006, "error": "."},)),
    )


SPREAD = random.Random(7692).randbytes(2000)
"""Bytes that share nothing among themselves."""

# Faults that the other side let pass, so that the session ended well.
TOLERATED = {"verdict": ("ok", "broken"), "cause": (None, "frame-fault")}
MASKED = {"mask": True}

SCENARIOS = [
    fault_of_client(
        "frame-unmasked",
        "The client sends an unmasked frame; the backend closes with 1002.",
        ("ws", 1, "hello"),
        code=1002,
        samples={"any": "frame-unmasked.pcapng"},
    ),
    fault_of_client(
        "frame-reserved-bit-of-client",
        "The client sets RSV2, which no extension uses.",
        ("ws", 1, "hello", {"mask": True, "rsv": 2}),
        code=1002,
    ),
    fault_of_client("frame-reserved-opcode", "The client sends opcode 3.", ("ws", 3, "hello", MASKED), code=1002),
    fault_of_client(
        "frame-bad-utf8",
        "The client sends text that is no UTF-8; the backend closes with 1007.",
        ("ws", 1, "", {"mask": True, "hex": "68c3"}),
        code=1007,
    ),
    fault_of_client(
        "frame-continuation-alone",
        "The client continues a message that it never began.",
        ("ws", 0, "more", MASKED),
        code=1002,
    ),
    fault_of_client(
        "frame-interrupted-message",
        "The client begins a message within another one.",
        ("ws", 1, "one", {"mask": True, "fin": False}),
        ("ws", 1, "two", MASKED),
        code=1002,
    ),
    fault_of_client(
        "frame-ping-fragmented",
        "The client fragments a Ping.",
        ("ws", 9, "one", {"mask": True, "fin": False}),
        code=1002,
    ),
    fault_of_client(
        "frame-ping-too-long", "The client sends a Ping of 200 bytes.", ("ws", 9, "x" * 200, MASKED), code=1002
    ),
    fault_of_client(
        "frame-not-a-frame-of-client",
        "The client goes on in HTTP after the 101.",
        ("send", "GET /next HTTP/1.1\r\nHost: x\r\n\r\n"),
        code=1002,
    ),
    fault_of_client(
        "frame-close-code-undefined",
        "The client closes with 999, which no table has.",
        ("ws", 8, "", {"mask": True, "hex": "03e7"}),
        code=1002,
        code_seen=999,
    ),
    fault_of_client(
        "frame-close-reason-not-utf8",
        "The client's close reason is no UTF-8.",
        ("ws", 8, "", {"mask": True, "hex": "03e8ff"}),
        code=1007,
        code_seen=1000,
    ),
    Scenario(
        name="frame-rsv1-of-client",
        family="session",
        row="T12",
        title="The client sets RSV1, but nobody agreed on compression.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(tunnel_client(("ws", 1, "hello", {"mask": True, "rsv": 4}), ("frame_in",), ("drain",)),),
        expect=expect(broken("compression-not-negotiated", hops=2, close_code=1002), allowed=AFTER),
        witness=Witness(access=("101",), saw=({"close_code": 1002},)),
    ),
    fault_of_backend(
        "frame-text-of-backend-not-utf8",
        "The backend sends text that is no UTF-8.",
        ("ws", 1, "", {"hex": "68c328"}),
        code=1006,
        code_seen=1007,
    ),
    fault_of_backend(
        "frame-continuation-of-backend-alone",
        "The backend continues a message that it never began.",
        ("ws", 0, "more"),
        code=1006,
        code_seen=1002,
    ),
    fault_of_backend(
        "frame-length-with-high-bit",
        "The backend writes a length with its highest bit set.",
        ("hex", "827f8000000000000005" + b"hello".hex()),
        code=1006,
    ),
    fault_of_compressor(
        "frame-does-not-inflate", "The backend sends a compressed message that is no DEFLATE.", "", (1, "ff" * 8)
    ),
    fault_of_compressor(
        "frame-context-kept",
        "The backend agreed to forget its window, and refers back to the message before.",
        "; server_no_context_takeover",
        *((2, payload) for payload in deflated(SPREAD, SPREAD)),
    ),
    fault_of_compressor(
        "frame-window-exceeded",
        "The backend agreed on a window of 512 bytes, and refers 2000 bytes back.",
        "; server_max_window_bits=9",
        *((2, payload) for payload in deflated(SPREAD, SPREAD)),
    ),
    fault_of_backend(
        "frame-masked-by-backend",
        "The backend masks its frames.",
        ("ws", 1, "hello", MASKED),
        code=1006,
        code_seen=1002,
    ),
    fault_of_backend(
        "frame-reserved-bit",
        "The backend sets RSV2, which no extension uses.",
        ("ws", 1, "hello", {"rsv": 2}),
        code=1006,
        code_seen=1002,
    ),
    fault_of_backend(
        "frame-close-code-illegal",
        "The backend closes with 1005, which must not be sent.",
        ("ws", 8, "", {"hex": "03ed"}),
        code=1006,
    ),
    fault_of_backend(
        "frame-close-of-one-byte",
        "The backend's Close frame has a payload of one byte.",
        ("ws", 8, "", {"hex": "03"}),
        code=1006,
    ),
    fault_of_backend(
        "frame-length-not-minimal",
        "The backend writes the length 5 in 16 bits.",
        ("hex", "817e0005" + b"hello".hex()),
        ("ws", 8, "", {"hex": "03e8"}),
        **TOLERATED,
        code=1000,
        code_seen=1000,
        client=py_client(("send", "hello"), ("recv",), ("wait_closed",)),
    ),
    fault_of_backend(
        "frame-not-a-frame",
        "After its 101 the backend goes on in HTTP.",
        ("send", "HTTP/1.1 200 OK\r\nContent-Length: 120\r\n\r\n" + "ok" * 60),
        code=1006,
    ),
    Scenario(
        name="data-after-close",
        family="session",
        row="T11",
        title="The backend sends a message behind its Close frame.",
        nginx=site(location("/ws")),
        backends=(tunnel_backend(("frame_in",), ("ws", 8, "", {"hex": "03e8"}), ("ws", 1, "one more thing")),),
        clients=(py_client(*WAITS),),
        expect=expect(Handshake(**TOLERATED, hops=2, close_code=1000), required="frame-fault", allowed=AFTER),
        witness=Witness(access=("101",), saw=({"close_code": 1000},)),
    ),
    Scenario(
        name="compression-not-negotiated",
        family="session",
        row="T12",
        title="nginx removes Sec-WebSocket-Extensions from the answer only: the backend compresses, the client knows of nothing.",
        nginx=site(location("/ws", UPGRADE + "\nproxy_hide_header Sec-WebSocket-Extensions;")),
        backends=(node_backend(deflate=True),),
        clients=(node_client(("send", "hello " * 400), ("recv",), ("wait_closed",), deflate=True),),
        expect=expect(broken("compression-not-negotiated", hops=2), allowed=AFTER + " frame-fault"),
        witness=Witness(access=("101",), saw=({"close_code": 1006, "error": "RSV1 must be clear"},)),
        samples={"any": "compression-not-negotiated.pcapng"},
    ),
]
