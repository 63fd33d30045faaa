"""Traffic with nothing wrong in it: no finding of severity warning or above may appear."""

from __future__ import annotations

from dataclasses import replace

from model import BACKEND, BACKEND_2, PROXY_FRONT, Event, Peer, Scenario, Witness, expect, ok
from nginx import NEW_DEFAULTS, UPGRADE, location, site, upstream, variables
from programs import (
    KEY,
    curl,
    fastcgi_answer,
    grpc_backend,
    handshake,
    node_backend,
    node_client,
    page,
    py_backend,
    py_client,
    raw_backend,
    raw_client,
    relay,
    switching,
    tunnel_backend,
    tunnel_client,
)

FINE = expect(ok(answered_by="backend", hops=2, close_code=1000, status=101))
CLEAN = Witness(access=("101",), saw=({"status": 101, "close_code": 1000},), not_logged=(r"\[error\]",))
POOLED = upstream(keepalive=32)
BYE = ("ws", 8, "", {"mask": True, "hex": "03e8"})
ENDS = (("ws", 1, "hello", {"mask": True}), ("frame_in",), BYE, ("frame_in",), ("drain",))
KEYED = (f"Sec-WebSocket-Key: {KEY}", "Sec-WebSocket-Version: 13")


def spelled(name: str, title: str, *steps: tuple, backend=None) -> Scenario:
    """A raw client with an unusual but legal way to ask; all goes well."""
    return Scenario(
        name=name,
        family="healthy",
        row="",
        title=title,
        nginx=site(location("/")),
        backends=(backend or node_backend(),),
        clients=(raw_client(*steps),),
        expect=FINE,
        witness=Witness(saw=({"close_code": 1000},), not_logged=(r"\[error\]",)),
    )


def plain(name: str, title: str, *clients, status: int = 200, nginx: str | None = None, **more) -> Scenario:
    """Ordinary HTTP: there is no handshake to report."""
    return Scenario(
        name=name,
        family="healthy",
        row="",
        title=title,
        nginx=nginx or site(location("/"), up=POOLED),
        backends=more.pop("backends", (node_backend(),)),
        clients=clients,
        expect=expect(),
        witness=Witness(saw=({"status": status},) * len(clients)),
        **more,
    )


TALK = (
    *(
        step
        for text in ("hello " * 300, "Grüße aus Köln, 你好 " * 90, "hello " * 300, "0123456789abcdef" * 100)
        for step in (("send", text), ("recv",))
    ),
    ("close", 1000, "bye"),
)
"""Messages long enough to be compressed by everybody, the later ones by what the earlier ones held."""


NUMBERS = " ".join(str(number) for number in range(500))
FAR = (("send", NUMBERS), ("recv",), ("send", NUMBERS), ("recv",), ("close", 1000, "bye"))
"""Messages that repeat what came some 1900 bytes before."""


def compressed(name: str, whose: str, backend: Peer, client: Peer) -> Scenario:
    """A session whose messages share one window; `tests/lab/deflated.py` makes a test of it."""
    return Scenario(
        name=name,
        family="healthy",
        row="",
        title=f"{whose} on both sides, several compressed messages.",
        nginx=site(location("/ws")),
        backends=(backend,),
        clients=(client,),
        expect=FINE,
        witness=CLEAN,
    )


SCENARIOS = [
    Scenario(
        name="healthy",
        family="healthy",
        row="",
        title="A handshake through nginx, a message each way, a clean close.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=FINE,
        witness=CLEAN,
        samples={"any": "healthy.pcapng"},
    ),
    Scenario(
        name="healthy-sll2",
        family="healthy",
        row="",
        title="node on both sides, compressed messages, captured by tcpdump on `any` (SLL2, pcap).",
        nginx=site(location("/ws")),
        backends=(node_backend(deflate=True),),
        clients=(node_client(("send", "hello " * 300), ("recv",), ("close", 1000, "bye"), deflate=True),),
        captures=("any.pcap",),
        expect=FINE,
        witness=CLEAN,
        samples={"any.pcap": "healthy-deflate.pcap"},
    ),
    compressed("healthy-deflate-node", "node", node_backend(deflate=True), node_client(*TALK, deflate=True)),
    compressed(
        "healthy-deflate-python", "Python `websockets`", py_backend(compress=True), py_client(*TALK, compress=True)
    ),
    compressed(
        "healthy-deflate-small-window-node",
        "node with windows of 9 bits",
        node_backend(deflate={"serverMaxWindowBits": 9, "clientMaxWindowBits": 9}),
        node_client(*FAR, deflate={"clientMaxWindowBits": 9}),
    ),
    compressed(
        "healthy-deflate-small-window-python",
        "Python `websockets` with windows of 10 bits that are forgotten",
        py_backend(
            compress={
                "server_max_window_bits": 10,
                "client_max_window_bits": 10,
                "server_no_context_takeover": True,
                "client_no_context_takeover": True,
            }
        ),
        py_client(*FAR, compress={"client_max_window_bits": True}),
    ),
    Scenario(
        name="healthy-keepalive",
        family="healthy",
        row="",
        title="An ordinary request, then a handshake that rides the same kept-alive backend connection (new nginx defaults).",
        nginx=site(location("/", NEW_DEFAULTS), location("/ws"), up=POOLED),
        backends=(node_backend(),),
        clients=(curl(f"http://{PROXY_FRONT}/"), node_client()),
        expect=FINE,
        witness=Witness(access=("200", "101"), saw=({"status": 200}, {"status": 101, "close_code": 1000})),
        samples={"any": "healthy-keepalive.pcapng"},
        lesson="Requests are paired, not connections.",
    ),
    Scenario(
        name="healthy-open",
        family="healthy",
        row="",
        title="The capture ends while the session is still open.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(py_client(("send", "hello"), ("recv",), ("sleep", 2.0), ("close", 1000, "bye")),),
        events=(Event(0.8, "capture-stop"),),
        expect=expect(ok(answered_by="backend", hops=2, close_code=None, ended_by=None)),
        witness=CLEAN,
    ),
    Scenario(
        name="healthy-server-speaks-first",
        family="healthy",
        row="",
        title="The backend's first frame comes in the same segment as its 101, the client's Close has no code.",
        nginx=site(location("/ws")),
        backends=(
            raw_backend(
                (
                    ("head",),
                    (
                        "send",
                        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
                        "Sec-WebSocket-Accept: %ACCEPT%\r\n\r\n\x81\x07welcome",
                    ),
                    ("frame_in",),
                    ("ws", 8, ""),
                    ("fin",),
                    ("drain",),
                )
            ),
        ),
        clients=(tunnel_client(("frame_in",), ("ws", 8, "", {"mask": True}), ("frame_in",), ("drain",)),),
        expect=expect(ok(answered_by="backend", hops=2)),
        witness=Witness(access=("101",), saw=({"status": 101, "frames": "welcome"},)),
    ),
    Scenario(
        name="healthy-subprotocol",
        family="healthy",
        row="",
        title="Two subprotocols offered, one chosen; cookies and a token go along.",
        nginx=site(location("/ws")),
        backends=(node_backend(subprotocols=["chat.v2"]),),
        clients=(
            node_client(
                subprotocols=["chat.v1", "chat.v2"],
                headers={"Cookie": "session=s3cret", "Authorization": "Bearer s3cret"},
            ),
        ),
        expect=FINE,
        witness=CLEAN,
        samples={"any": "healthy-subprotocol.pcapng"},
    ),
    Scenario(
        name="healthy-extensions-removed",
        family="healthy",
        row="",
        title="nginx removes the extensions on both hops; both sides do without.",
        nginx=site(
            location(
                "/ws",
                UPGRADE
                + '\nproxy_set_header Sec-WebSocket-Extensions "";\nproxy_hide_header Sec-WebSocket-Extensions;',
            )
        ),
        backends=(py_backend(compress=True),),
        clients=(py_client(compress=True),),
        expect=FINE,
        witness=CLEAN,
    ),
    Scenario(
        name="healthy-mirror",
        family="healthy",
        row="",
        title="nginx mirrors the request to a second server, whose answer nobody waits for: no hop of the handshake.",
        nginx=site(
            location("/ws", UPGRADE + "\nmirror /mirror;"),
            location("= /mirror", "internal;", to=f"http://{BACKEND_2}:9000$request_uri"),
        ),
        backends=(py_backend(), py_backend(at=f"{BACKEND_2}:9000")),
        clients=(py_client(),),
        expect=expect(ok(hops=2)),
        witness=CLEAN,
    ),
    Scenario(
        name="healthy-auth-request",
        family="healthy",
        row="H11",
        title="auth_request says 204: the subrequest carries the key and no Upgrade, and is no hop of the handshake.",
        nginx=site(
            location("/ws", UPGRADE + "\nauth_request /auth;"),
            location("= /auth", "internal;", to="http://auth"),
            http=upstream(f"{BACKEND_2}:9000", name="auth"),
        ),
        backends=(
            py_backend(),
            raw_backend((("head",), ("lines", "HTTP/1.1 204 No Content"), ("drain",)), at=f"{BACKEND_2}:9000"),
        ),
        clients=(py_client(),),
        expect=FINE,
        witness=CLEAN,
        samples={"any": "healthy-auth-request.pcapng"},
    ),
    Scenario(
        name="healthy-unix-socket",
        family="healthy",
        row="",
        title="The backend listens on a unix socket: there is no backend hop to see.",
        nginx=site(location("/ws"), up=upstream("unix:backend.sock")),
        backends=(node_backend("unix:backend.sock"),),
        clients=(node_client(),),
        expect=expect(ok(hops=1, close_code=1000)),
        witness=CLEAN,
    ),
    Scenario(
        name="healthy-tcp-relay",
        family="healthy",
        row="",
        title="A TCP relay instead of nginx: the same bytes on both sides.",
        backends=(py_backend(), relay(f"{PROXY_FRONT}:80", "10.20.0.11:8080")),
        clients=(py_client(),),
        expect=expect(ok(close_code=1000, hops=2)),
        witness=Witness(saw=({"status": 101, "close_code": 1000},)),
    ),
    spelled(
        "spelling-odd",
        "Odd spelling: lower-case names, `WebSocket`, `keep-alive, Upgrade`.",
        (
            "lines",
            "GET /ws HTTP/1.1",
            f"host:{PROXY_FRONT}",
            "UPGRADE:   WebSocket  ",
            "connection: keep-alive,  Upgrade",
            *KEYED,
        ),
        ("head",),
        *ENDS,
    ),
    spelled(
        "spelling-repeated-lists",
        "Connection in two fields, extensions in two fields.",
        (
            "lines",
            "GET /ws HTTP/1.1",
            f"Host: {PROXY_FRONT}",
            "Upgrade: websocket",
            "Connection: keep-alive",
            "Connection: Upgrade",
            *KEYED,
            "Sec-WebSocket-Extensions: permessage-deflate; client_max_window_bits",
            "Sec-WebSocket-Extensions: x-lab",
        ),
        ("head",),
        *ENDS,
    ),
    spelled(
        "head-byte-by-byte",
        "The request arrives byte by byte.",
        ("slowly", "\r\n".join(handshake()[1:]) + "\r\n\r\n", 0.002),
        ("head",),
        *ENDS,
    ),
    spelled(
        "upgrade-after-pipelined-request",
        "An ordinary request and the handshake in one segment.",
        ("send", f"GET /poll HTTP/1.1\r\nHost: {PROXY_FRONT}\r\n\r\n" + "\r\n".join(handshake()[1:]) + "\r\n\r\n"),
        ("head",),
        ("send", ""),
        ("head",),
        *ENDS,
        backend=raw_backend(
            (("head",), page("204 No Content")),
            (
                ("head",),
                switching(),
                ("frame_in",),
                ("ws", 1, "hello"),
                ("frame_in",),
                ("ws", 8, "", {"hex": "03e8"}),
                ("fin",),
                ("drain",),
            ),
        ),
    ),
    spelled(
        "data-behind-request",
        "The client's first frame follows its request before the 101, as RFC 6455 forbids and nginx forwards.",
        ("send", "\r\n".join(handshake()[1:]) + "\r\n\r\n\x81\x85\x00\x00\x00\x00hello"),
        ("head",),
        ("frame_in",),
        BYE,
        ("frame_in",),
        ("drain",),
    ),
    plain(
        "fastcgi-pages",
        "Pages from an application behind FastCGI: none of our business.",
        curl(f"http://{PROXY_FRONT}/"),
        curl(f"http://{PROXY_FRONT}/missing"),
        nginx=site(location("/", f"{variables('fastcgi')}\nfastcgi_pass {BACKEND}:8080;", to="")),
        backends=(raw_backend((("bytes", 100), ("hex", fastcgi_answer("200 OK")))),),
    ),
    plain(
        "plain-http",
        "Ordinary HTTP only: two requests and an upload, no handshake at all.",
        curl(f"http://{PROXY_FRONT}/", f"http://{PROXY_FRONT}/again"),
        curl("-d", "name=value", f"http://{PROXY_FRONT}/form"),
        nginx=site(location("/", NEW_DEFAULTS), up=POOLED),
        samples={"any": "plain-http.pcapng"},
    ),
    plain("plain-long-poll", "A request that is answered late.", curl(f"http://{PROXY_FRONT}/poll")),
    plain("plain-event-stream", "Server-sent events.", curl("-N", f"http://{PROXY_FRONT}/events")),
    plain(
        "plain-upload",
        "An upload of 200 kB with `Expect: 100-continue`.",
        curl("-H", "Expect: 100-continue", "-F", "file=@/usr/bin/env", f"http://{PROXY_FRONT}/up"),
    ),
    plain(
        "plain-h2c-upgrade",
        "curl asks for h2c; nginx does not know it and the backend answers as it likes.",
        curl("--http2", f"http://{PROXY_FRONT}/"),
        nginx=site(location("/", NEW_DEFAULTS), up=POOLED),
    ),
    plain(
        "plain-h2c-forwarded",
        "curl asks for h2c, the usual map forwards it, and the backend answers 400.",
        curl("--http2", f"http://{PROXY_FRONT}/"),
        status=400,
    ),
    plain(
        "plain-http2",
        "HTTP/2 with prior knowledge.",
        curl("--http2-prior-knowledge", f"http://{PROXY_FRONT}/"),
        nginx=site(location("/"), listen=f"{PROXY_FRONT}:80 http2"),
    ),
    plain(
        "plain-grpc",
        "A gRPC call through `grpc_pass`: HTTP/2 on both hops.",
        curl(
            "--http2-prior-knowledge",
            "-H",
            "content-type: application/grpc",
            "-H",
            "te: trailers",
            "--data-binary",
            "message",
            f"http://{PROXY_FRONT}/lab.Echo/Say",
        ),
        nginx=site(location("/", "grpc_pass grpc://bk;", to=""), listen=f"{PROXY_FRONT}:80 http2"),
        backends=(grpc_backend(),),
    ),
    Scenario(
        name="plain-connect-tunnel",
        family="healthy",
        row="",
        title="A forward proxy opens a CONNECT tunnel, and both sides talk through it.",
        backends=(
            replace(
                raw_backend(
                    (
                        ("head",),
                        ("lines", "HTTP/1.1 200 Connection established"),
                        ("bytes", 6),
                        ("send", "HELLO\n"),
                        ("drain",),
                    ),
                    at=f"{PROXY_FRONT}:80",
                ),
                role="p",
            ),
        ),
        clients=(
            raw_client(
                ("lines", "CONNECT example.org:443 HTTP/1.1", "Host: example.org:443"),
                ("head",),
                ("send", "hello\n"),
                ("bytes", 6),
                ("fin",),
                ("drain",),
            ),
        ),
        expect=expect(),
        witness=Witness(saw=({"status": 200},)),
    ),
    Scenario(
        name="spelling-folded",
        family="healthy",
        row="",
        title="Extensions and Connection in folded lines (obsolete since RFC 7230), past a TCP relay: nginx would refuse them.",
        backends=(
            tunnel_backend(("frame_in",), ("ws", 1, "hello"), ("frame_in",), ("ws", 8, "", {"hex": "03e8"}), ("fin",)),
            relay(f"{PROXY_FRONT}:80", f"{BACKEND}:8080"),
        ),
        clients=(
            raw_client(
                (
                    "lines",
                    "GET /ws HTTP/1.1",
                    f"Host: {PROXY_FRONT}",
                    "Upgrade: websocket",
                    "Connection: keep-alive,",
                    "  Upgrade",
                    *KEYED,
                    "Sec-WebSocket-Extensions: permessage-deflate;",
                    "\tclient_max_window_bits",
                ),
                ("head",),
                *ENDS,
            ),
        ),
        expect=expect(ok(close_code=1000, hops=2)),
        witness=Witness(saw=({"status": 101, "close_code": 1000},)),
    ),
    plain(
        "plain-connect",
        "CONNECT, which nginx refuses.",
        raw_client(
            ("lines", "CONNECT example.org:443 HTTP/1.1", "Host: example.org:443"), ("head",), ("drain_quietly", 0.3)
        ),
        status=400,
    ),
]
