"""nginx cannot get a proper answer from the backend: rows H18 to H26."""

from __future__ import annotations

from model import ANY, BACKEND, BACKEND_2, Handshake, Scenario, Witness, expect, failed, ok
from nginx import NEW_DEFAULTS, UPGRADE, location, site, upstream
from programs import (
    PROXY_FRONT,
    curl,
    node_backend,
    node_client,
    page,
    py_backend,
    py_client,
    raw_backend,
    relay,
    switching,
)

QUICK = UPGRADE + "\nproxy_connect_timeout 2s;\nproxy_read_timeout 1s;"
UNREACHABLE = (
    r"\[error\].*connect\(\) failed \(113: (No route to host|Host is unreachable)\) while connecting to upstream"
)
REFUSED = r"\[error\].*connect\(\) failed \(111: Connection refused\) while connecting to upstream"
PREMATURE = r"\[error\].*upstream prematurely closed connection while reading response header from upstream"
RESET = r"\[error\].*recv\(\) failed \(104: Connection reset by peer\) while reading response header from upstream"
ECHO_ONCE = (
    ("head",),
    switching(),
    ("frame_in",),
    ("ws", 1, "hello"),
    ("frame_in",),
    ("ws", 8, "", {"hex": "03e8"}),
    ("fin",),
    ("drain",),
)
POOLED = upstream(keepalive=32)


def bad_gateway(name: str, row: str, title: str, script: tuple, code: str, logged: str, **more) -> Scenario:
    """A backend whose connection breaks before a whole answer: nginx says 502."""
    return Scenario(
        name=name,
        family="handshake",
        row=row,
        title=title,
        nginx=site(location("/ws")),
        backends=(raw_backend(script),),
        clients=(node_client(),),
        expect=expect(failed(code, answered_by="proxy", hops=2, status=502), allowed="bad-gateway"),
        witness=Witness(logged=(logged,), access=("502",), saw=({"status": 502},)),
        **more,
    )


def stale(name: str, title: str, end: str, logged: str, **more) -> Scenario:
    """A pooled connection that the backend ends when the handshake comes; nginx tries once more."""
    return Scenario(
        name=name,
        family="handshake",
        row="H23",
        title=title,
        nginx=site(location("/", NEW_DEFAULTS), location("/ws"), up=POOLED),
        backends=(raw_backend((("head",), page("200 OK", "hello\n"), ("head",), (end,)), ECHO_ONCE),),
        clients=(curl(f"http://{PROXY_FRONT}/"), py_client()),
        expect=expect(ok(answered_by="backend", hops=3), required="backend-retried"),
        witness=Witness(
            logged=(logged,), access=("200", "101"), saw=({"status": 200}, {"status": 101, "close_code": 1000})
        ),
        **more,
    )


SCENARIOS = [
    Scenario(
        name="backend-refused",
        family="handshake",
        row="H18",
        title="Nothing listens on the backend's port: its host answers the SYN with RST, nginx answers 502.",
        nginx=site(location("/ws")),
        clients=(node_client(),),
        expect=expect(failed("backend-refused", answered_by="proxy"), allowed="bad-gateway"),
        witness=Witness(logged=(REFUSED,), access=("502",), saw=({"status": 502},)),
        samples={"any": "backend-refused.pcapng"},
    ),
    Scenario(
        name="backend-refused-to-relay",
        family="handshake",
        row="H18",
        title="A TCP relay, as nginx's stream module is one, is refused by the backend and hangs up on its client.",
        backends=(relay(f"{PROXY_FRONT}:80", f"{BACKEND}:8080"),),
        clients=(node_client(),),
        expect=expect(failed("backend-refused", answered_by=None, hops=1)),
        witness=Witness(saw=({"status": None},)),
    ),
    Scenario(
        name="backend-refused-by-icmp",
        family="handshake",
        row="H18",
        title="A firewall rejects the SYN with ICMP port unreachable; nginx logs the same words as for a reset.",
        nginx=site(location("/ws")),
        rules=("b in tcp dport 8080 reject with icmp type port-unreachable",),
        clients=(node_client(),),
        expect=expect(failed("backend-refused", answered_by="proxy"), allowed="bad-gateway"),
        witness=Witness(logged=(REFUSED,), access=("502",), saw=({"status": 502},)),
    ),
    Scenario(
        name="no-live-backend",
        family="handshake",
        row="H18",
        title="Both backends refuse the first client; the second one is answered 502 without any SYN.",
        nginx=site(location("/ws"), up=upstream(f"{BACKEND}:8080", f"{BACKEND_2}:8080")),
        clients=(node_client(), node_client()),
        expect=expect(
            failed("backend-refused", answered_by="proxy"),
            failed("no-live-backend", answered_by="proxy", hops=1),
            allowed="bad-gateway backend-retried backend-not-contacted",
        ),
        witness=Witness(
            logged=(REFUSED, r"no live upstreams while connecting to upstream"),
            access=("502", "502"),
            saw=({"status": 502}, {"status": 502}),
        ),
        samples={"any": "no-live-backend.pcapng"},
    ),
    Scenario(
        name="backend-connect-timeout",
        family="handshake",
        row="H19",
        title="A firewall drops nginx's SYNs; after proxy_connect_timeout (2 s here) nginx answers 504.",
        nginx=site(location("/ws", QUICK)),
        rules=("b in tcp dport 8080 drop",),
        clients=(node_client(),),
        expect=expect(failed("backend-connect-timeout", answered_by="proxy"), allowed="gateway-timeout"),
        witness=Witness(
            logged=(r"\[error\].*upstream timed out \(110: Connection timed out\) while connecting to upstream",),
            access=("504",),
            saw=({"status": 504},),
        ),
        samples={"any": "backend-connect-timeout.pcapng"},
    ),
    Scenario(
        name="backend-unreachable",
        family="handshake",
        row="H20",
        title="A router answers the SYN with ICMP host unreachable.",
        nginx=site(location("/ws")),
        rules=("b in tcp dport 8080 reject with icmp type host-unreachable",),
        clients=(node_client(),),
        expect=expect(failed("backend-unreachable", answered_by="proxy"), allowed="bad-gateway"),
        witness=Witness(logged=(UNREACHABLE,), access=("502",), saw=({"status": 502},)),
    ),
    Scenario(
        name="backend-without-arp",
        family="handshake",
        row="H20",
        title="Nobody answers ARP for the backend's address: not one packet leaves, nginx answers 502.",
        nginx=site(location("/ws"), up=upstream("10.20.0.99:8080")),
        clients=(node_client(),),
        expect=expect(
            Handshake("failed", ANY, answered_by="proxy", hops=1),
            allowed="bad-gateway backend-not-contacted no-live-backend backend-unreachable",
        ),
        witness=Witness(logged=(UNREACHABLE,), access=("502",), saw=({"status": 502},)),
    ),
    bad_gateway(
        "backend-closed-early",
        "H21",
        "The backend reads the request and closes without an answer.",
        (("head",), ("fin",)),
        "backend-closed-early",
        PREMATURE,
        samples={"any": "backend-closed-early.pcapng"},
    ),
    bad_gateway(
        "backend-closed-in-header",
        "H21",
        "The backend closes in the middle of its response header.",
        (("head",), ("send", "HTTP/1.1 101 Switching Protocols\r\nUpgrade: webso"), ("fin",)),
        "backend-closed-early",
        PREMATURE,
    ),
    bad_gateway(
        "backend-reset-early",
        "H22",
        "The backend reads the request and resets the connection.",
        (("head",), ("rst",)),
        "backend-reset-early",
        RESET,
        samples={"any": "backend-reset-early.pcapng"},
    ),
    bad_gateway(
        "backend-header-too-big",
        "H26",
        "The backend's response header is longer than proxy_buffer_size.",
        (
            ("head",),
            (
                "lines",
                "HTTP/1.1 101 Switching Protocols",
                "Upgrade: websocket",
                "Connection: Upgrade",
                "Sec-WebSocket-Accept: %ACCEPT%",
                "Set-Cookie: session=" + "x" * 9000,
            ),
            ("frame_in",),
            ("ws", 1, "hello"),
            ("frame_in",),
            ("ws", 8, "", {"hex": "03e8"}),
            ("drain",),
        ),
        "backend-header-too-big",
        r"\[error\].*upstream sent too big header while reading response header from upstream",
    ),
    bad_gateway(
        "backend-invalid-header",
        "",
        "The backend's head has a line that is no header field, which nginx refuses.",
        (
            ("head",),
            ("lines", "HTTP/1.1 101 Switching Protocols", "Upgrade: websocket", "Connection\x01 Upgrade"),
            ("drain",),
        ),
        "backend-invalid-response",
        r"\[error\].*upstream sent invalid header",
    ),
    Scenario(
        name="backend-not-http",
        family="handshake",
        row="",
        title="The backend answers something that is no HTTP; nginx passes it on as HTTP/0.9 would have it.",
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), ("send", "SSH-2.0-OpenSSH_9.2\r\n"), ("fin",), ("drain",))),),
        clients=(py_client(),),
        expect=expect(failed("backend-invalid-response", hops=2)),
        witness=Witness(logged=(r"\[error\].*upstream sent no valid HTTP/1.0 header",), access=("009",)),
    ),
    Scenario(
        name="listener-http2-only",
        family="handshake",
        row="",
        title="`listen ... http2` without TLS: this nginx takes HTTP/2 only on the port, and answers HTTP/1.1 with SETTINGS.",
        nginx=site(location("/ws"), listen=f"{PROXY_FRONT}:80 http2"),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(
            failed("backend-invalid-response", hops=1), says="192.168.50.1:80 answered HTTP/1.1 with HTTP/2"
        ),
        witness=Witness(logged=(r"\[info\].*invalid connection preface while processing HTTP/2 connection",)),
    ),
    stale(
        "backend-retried",
        "The backend ends a pooled connection just when the handshake arrives on it; nginx repeats it on a new one.",
        "fin",
        PREMATURE,
        samples={"any": "backend-retried.pcapng"},
    ),
    stale("backend-retried-after-reset", "The same with a reset.", "rst", RESET),
    Scenario(
        name="backend-retried-on-another",
        family="handshake",
        row="H23",
        title="The first backend refuses, the second one answers 101: an [error] line for a handshake that worked.",
        nginx=site(location("/ws"), up=upstream(f"{BACKEND}:8080", f"{BACKEND_2}:8080")),
        backends=(py_backend(f"{BACKEND_2}:8080"),),
        clients=(py_client(),),
        expect=expect(ok(answered_by="backend"), required="backend-retried"),
        witness=Witness(logged=(REFUSED,), access=("101",), saw=({"status": 101, "close_code": 1000},)),
    ),
    Scenario(
        name="backend-timeout",
        family="handshake",
        row="H24",
        title="The backend takes the request and stays silent; after proxy_read_timeout (1 s here) nginx answers 504.",
        nginx=site(location("/ws", QUICK)),
        backends=(raw_backend((("head",), ("drain",))),),
        clients=(py_client(),),
        expect=expect(failed("backend-timeout", answered_by="proxy", hops=2), allowed="gateway-timeout"),
        witness=Witness(
            logged=(
                r"\[error\].*upstream timed out \(110: Connection timed out\) while reading response header from upstream",
            ),
            access=("504",),
            saw=({"status": 504},),
        ),
        samples={"any": "backend-timeout.pcapng"},
    ),
    Scenario(
        name="backend-timeout-of-zero",
        family="handshake",
        row="H24",
        title="A popular `proxy_read_timeout 0` is meant to disable the timeout and fails every request at once.",
        nginx=site(location("/ws", f"{UPGRADE}\nproxy_read_timeout 0;")),
        backends=(node_backend(),),
        clients=(py_client(),),
        expect=expect(failed("backend-timeout", answered_by="proxy", hops=2), allowed="gateway-timeout"),
        witness=Witness(
            logged=(
                r"\[error\].*upstream timed out \(110: Connection timed out\) while reading response header from upstream",
            ),
            access=("504",),
            saw=({"status": 504},),
        ),
    ),
    Scenario(
        name="gateway-timeout",
        family="handshake",
        row="H24",
        title="nginx answers 504, and the capture has its front side only: what the backend did is not known.",
        nginx=site(location("/ws", QUICK)),
        backends=(raw_backend((("head",), ("drain",))),),
        clients=(py_client(),),
        capture_filter="port 80",
        expect=expect(failed("gateway-timeout", answered_by=ANY, hops=1), required="backend-hop-not-seen"),
        witness=Witness(logged=(r"\[error\].*upstream timed out",), access=("504",), saw=({"status": 504},)),
    ),
    Scenario(
        name="client-gave-up",
        family="handshake",
        row="H25",
        title="The backend is slow to answer and the client leaves after 1 s.",
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), ("drain",))),),
        clients=(py_client(timeout=1),),
        expect=expect(failed("client-gave-up", answered_by=None, hops=2), allowed="backend-timeout"),
        witness=Witness(
            logged=(r"\[info\].*epoll_wait\(\) reported that client prematurely closed connection",),
            access=("499",),
            saw=({"error": "Timeout"},),
        ),
        samples={"any": "client-gave-up.pcapng"},
    ),
]
