"""The client's own request is at fault: rows H13 to H15, H41 and probes that cannot succeed."""

from __future__ import annotations

from model import PROXY_FRONT, Scenario, Witness, expect, failed, ok
from nginx import MAP, UPGRADE, location, server, site, upstream
from programs import KEY, curl, handshake, node_backend, py_backend, raw_client

READ = (("head",), ("drain_quietly", 0.3))
UPGRADE_FIELDS = ("-H", "Upgrade: websocket", "-H", "Connection: Upgrade", "-H", "Sec-WebSocket-Version: 13")


def asked_wrongly(
    name: str,
    row: str,
    title: str,
    request: tuple,
    code: str,
    status: int,
    required: str = "",
    allowed: str = "",
    backend=None,
    answered_by: str = "backend",
) -> Scenario:
    """A raw client whose request is refused with `status`."""
    return Scenario(
        name=name,
        family="handshake",
        row=row,
        title=title,
        nginx=site(location("/ws")),
        backends=(backend or node_backend(),),
        clients=(raw_client(request, *READ),),
        expect=expect(
            failed(code, answered_by=answered_by, hops=2 if answered_by == "backend" else 1, status=status),
            required=required,
            allowed=f"bad-request {allowed}",
        ),
        witness=Witness(access=(str(status),), saw=({"status": status},)),
    )


SCENARIOS = [
    asked_wrongly(
        "version-missing",
        "H13",
        "The request has no Sec-WebSocket-Version.",
        handshake(without="Sec-WebSocket-Version"),
        "version-missing",
        400,
    ),
    asked_wrongly(
        "version-unsupported",
        "H13",
        "The client speaks version 7 of the protocol.",
        handshake("/ws", "Sec-WebSocket-Version: 7", without="Sec-WebSocket-Version"),
        "version-unsupported",
        400,
        allowed="upgrade-required",
    ),
    asked_wrongly(
        "key-missing",
        "H14",
        "The request has no Sec-WebSocket-Key.",
        handshake(without="Sec-WebSocket-Key"),
        "key-missing",
        400,
    ),
    asked_wrongly(
        "key-invalid",
        "H14",
        "The key is base64 of 10 bytes, not of 16.",
        handshake(key="MTIzNDU2Nzg5MA=="),
        "key-invalid",
        400,
    ),
    asked_wrongly(
        "offer-invalid",
        "",
        "The client puts a token with a space into the subprotocol, as browsers forbid and hand-made clients do.",
        handshake("/ws", "Sec-WebSocket-Protocol: Bearer eyJhbGciOi"),
        "offer-invalid",
        400,
    ),
    asked_wrongly(
        "key-duplicated",
        "H14",
        "The request has two keys.",
        handshake("/ws", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ=="),
        "header-duplicated",
        400,
        backend=py_backend(),
    ),
    Scenario(
        name="probe-with-key-test",
        family="handshake",
        row="H14",
        title="A popular curl recipe sends the key `test`.",
        nginx=site(location("/ws")),
        backends=(node_backend(),),
        clients=(
            curl("--http1.1", "-N", *UPGRADE_FIELDS, "-H", "Sec-WebSocket-Key: test", f"http://{PROXY_FRONT}/ws"),
        ),
        expect=expect(
            failed("key-invalid", answered_by="backend", hops=2), required="probe-artefact", allowed="bad-request"
        ),
        witness=Witness(access=("400",), saw=({"status": 400},)),
        samples={"any": "probe-with-key-test.pcapng"},
        lesson="Such a probe fails on a correct server.",
    ),
    Scenario(
        name="probe-with-head",
        family="handshake",
        row="H15",
        title="`curl -I` sends HEAD, which is no handshake.",
        nginx=site(location("/ws")),
        backends=(node_backend(),),
        clients=(
            curl("--http1.1", "-I", *UPGRADE_FIELDS, "-H", f"Sec-WebSocket-Key: {KEY}", f"http://{PROXY_FRONT}/ws"),
        ),
        expect=expect(
            failed("method-not-get", hops=2), required="probe-artefact", allowed="bad-request method-not-allowed"
        ),
        witness=Witness(saw=({"status": 405},)),
    ),
    asked_wrongly(
        "method-not-get",
        "H15",
        "The client sends its handshake with POST.",
        (
            "lines",
            "POST /ws HTTP/1.1",
            f"Host: {PROXY_FRONT}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Content-Length: 0",
            f"Sec-WebSocket-Key: {KEY}",
            "Sec-WebSocket-Version: 13",
        ),
        "method-not-get",
        405,
        allowed="method-not-allowed",
    ),
    Scenario(
        name="http10-request",
        family="handshake",
        row="H15",
        title="Without any proxy, a client asks in HTTP/1.0 and the server refuses.",
        topology="loopback",
        backends=(py_backend("127.0.0.2:8080"),),
        clients=(
            raw_client(("lines", "GET /ws HTTP/1.0", *handshake(host="127.0.0.2")[2:]), *READ, to="127.0.0.2:8080"),
        ),
        captures=("lo",),
        expect=expect(failed("http10-request", hops=1), allowed="bad-request"),
        witness=Witness(saw=({"status": 400},)),
    ),
    Scenario(
        name="http10-request-upgraded",
        family="healthy",
        row="H15",
        title="A client asks in HTTP/1.0; nginx asks the backend in HTTP/1.1, and it works.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(
            raw_client(
                ("lines", "GET /ws HTTP/1.0", *handshake()[2:]),
                ("head",),
                ("ws", 1, "hello", {"mask": True}),
                ("frame_in",),
                ("ws", 8, "", {"mask": True, "hex": "03e8"}),
                ("frame_in",),
                ("drain",),
            ),
        ),
        expect=expect(ok(answered_by="backend", hops=2, close_code=1000), allowed="http10-request"),
        witness=Witness(access=("101",), saw=({"status": 101, "close_code": 1000},)),
    ),
    asked_wrongly(
        "host-duplicated",
        "H41",
        "The request has two Host fields; nginx itself refuses it.",
        handshake("/ws", "Host: elsewhere.example"),
        "header-duplicated",
        400,
        answered_by="proxy",
        allowed="backend-not-contacted",
    ),
    asked_wrongly(
        "host-missing",
        "H41",
        "An HTTP/1.1 request without Host; nginx itself refuses it.",
        handshake(without="Host"),
        "host-missing",
        400,
        answered_by="proxy",
        allowed="backend-not-contacted",
    ),
    Scenario(
        name="request-incomplete",
        family="handshake",
        row="",
        title="The client never sends the empty line that ends its request; nginx gives up after client_header_timeout (1 s here).",
        nginx=site(location("/ws"), "client_header_timeout 1s;"),
        backends=(py_backend(),),
        clients=(raw_client(("send", "\r\n".join(handshake()[1:]) + "\r\n"), ("drain_quietly", 3)),),
        expect=expect(failed("request-incomplete", hops=1), allowed="backend-not-contacted bad-request"),
        witness=Witness(
            access=("408",), logged=(r"\[info\].*client timed out .* while reading client request headers",)
        ),
    ),
    Scenario(
        name="connection-upgrade-forced",
        family="handshake",
        row="H5",
        title='`Connection "upgrade"` on everything: an ordinary request reaches the backend with it and gets 400.',
        nginx=site(location("/", UPGRADE.replace("$connection_upgrade", '"upgrade"'))),
        backends=(py_backend(),),
        clients=(curl(f"http://{PROXY_FRONT}/"),),
        expect=expect(required="connection-upgrade-forced"),
        witness=Witness(access=("426",), saw=({"status": 426},)),
    ),
    Scenario(
        name="upgrade-added",
        family="handshake",
        row="H5",
        title="Both fields hard-coded: nginx makes handshakes without a key out of ordinary requests.",
        nginx=site(
            location(
                "/",
                'proxy_http_version 1.1;\nproxy_set_header Upgrade websocket;\nproxy_set_header Connection "upgrade";',
            )
        ),
        backends=(node_backend(),),
        clients=(curl(f"http://{PROXY_FRONT}/"),),
        expect=expect(
            failed("upgrade-added"), allowed="connection-upgrade-forced key-missing version-missing bad-request"
        ),
        witness=Witness(access=("400",), saw=({"status": 400},)),
    ),
    Scenario(
        name="sample-key-in-parallel",
        family="healthy",
        row="",
        title="Two clients use the sample key of RFC 6455 at the same time, on different paths.",
        nginx="\n".join((MAP, upstream(), server(location("/"), listen=f"{PROXY_FRONT}:80"))),
        backends=(py_backend(),),
        clients=tuple(
            raw_client(
                handshake(path, key="dGhlIHNhbXBsZSBub25jZQ=="),
                ("head",),
                ("sleep", 0.4),
                ("ws", 8, "", {"mask": True, "hex": "03e8"}),
                ("frame_in",),
                ("drain",),
                background=True,
            )
            for path in ("/left", "/right")
        ),
        expect=expect(ok(hops=2), ok(hops=2)),
        witness=Witness(access=("101", "101"), saw=({"status": 101}, {"status": 101})),
    ),
    Scenario(
        name="sample-key-ambiguous",
        family="healthy",
        row="",
        title="Two clients use the sample key at the same time and on the same path.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=tuple(
            raw_client(
                handshake(key="dGhlIHNhbXBsZSBub25jZQ=="),
                ("head",),
                ("ws", 1, word, {"mask": True}),
                ("frame_in",),
                ("sleep", 0.4),
                ("ws", 8, "", {"mask": True, "hex": "03e8"}),
                ("frame_in",),
                ("drain",),
                background=True,
            )
            for word in ("left", "right")
        ),
        expect=expect(ok(hops=2), ok(hops=2), allowed="pairing-ambiguous"),
        witness=Witness(access=("101", "101"), saw=({"status": 101}, {"status": 101})),
    ),
]
