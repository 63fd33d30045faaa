"""HTTP/2 and PROXY protocol where they do not belong, and a proxy without room: rows H36 to H42."""

from __future__ import annotations

from model import PROXY_FRONT, Scenario, Witness, expect, expect_findings, failed, ok
from nginx import location, site
from programs import handshake, node_client, py_backend, py_client, raw_client, relay

READ = (("head",), ("drain_quietly", 0.3))
# An HTTP/2 preface, empty SETTINGS, and an extended CONNECT (RFC 8441) with literal fields only, as in RFC 7541 6.2.2.
_H2_START = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes.fromhex("000000040000000000")


def _h2_headers(*fields: tuple[str, str]) -> str:
    block = b"".join(b"\x00" + bytes([len(n)]) + n.encode() + bytes([len(v)]) + v.encode() for n, v in fields)
    return (_H2_START + len(block).to_bytes(3, "big") + bytes.fromhex("010400000001") + block).hex()


EXTENDED_CONNECT = _h2_headers(
    (":method", "CONNECT"),
    (":protocol", "websocket"),
    (":scheme", "http"),
    (":path", "/ws"),
    (":authority", PROXY_FRONT),
    ("sec-websocket-version", "13"),
)

SCENARIOS = [
    Scenario(
        name="http2-websocket-refused",
        family="handshake",
        row="H36",
        title="An extended CONNECT over HTTP/2, which nginx does not know.",
        nginx=site(location("/ws"), listen=f"{PROXY_FRONT}:80 http2"),
        backends=(py_backend(),),
        clients=(raw_client(("hex", EXTENDED_CONNECT), ("drain_quietly", 0.5)),),
        expect=expect_findings("http2-websocket-refused"),
        witness=Witness(access=("400",), logged=(r'client sent unknown pseudo-header ":protocol"',)),
    ),
    Scenario(
        name="proxy-protocol-missing",
        family="handshake",
        row="H39",
        title="The listener expects a PROXY header that nobody sends: nginx hangs up without an answer.",
        nginx=site(location("/ws"), listen=f"{PROXY_FRONT}:80 proxy_protocol"),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(failed("proxy-protocol-missing", answered_by=None, hops=1), allowed="backend-not-contacted"),
        witness=Witness(
            access=(),
            saw=({"status": None},),
            logged=(r'(?s)\[error\].*broken header: "GET .* while reading PROXY protocol',),
        ),
        samples={"any": "proxy-protocol-missing.pcapng"},
    ),
    Scenario(
        name="proxy-protocol-unexpected",
        family="handshake",
        row="H40",
        title="A balancer sends a PROXY header to a listener that does not expect one.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        # In one segment, or the 400 may overtake the request.
        clients=(raw_client(("lines", "PROXY TCP4 198.51.100.7 192.168.50.1 51000 80", *handshake()[1:]), *READ),),
        expect=expect(
            failed("proxy-protocol-unexpected", answered_by="proxy", hops=1),
            allowed="bad-request backend-not-contacted",
        ),
        witness=Witness(
            access=("400",), saw=({"status": 400},), logged=(r"\[info\].*client sent invalid (request|method)",)
        ),
    ),
    Scenario(
        name="proxy-protocol-expected",
        family="healthy",
        row="H40",
        title="The same with a listener that expects it: all is well.",
        nginx=site(location("/ws"), listen=f"{PROXY_FRONT}:80 proxy_protocol"),
        backends=(py_backend(),),
        clients=(
            raw_client(
                ("send", "PROXY TCP4 198.51.100.7 192.168.50.1 51000 80\r\n"),
                handshake(),
                ("head",),
                ("ws", 8, "", {"mask": True, "hex": "03e8"}),
                ("frame_in",),
                ("drain",),
            ),
        ),
        expect=expect(ok(answered_by="backend", hops=2, close_code=1000)),
        witness=Witness(access=("101",), saw=({"status": 101},)),
    ),
    Scenario(
        name="proxy-protocol-to-backend",
        family="handshake",
        row="",
        title="A TCP relay sends a PROXY line to a backend that takes it for a request.",
        backends=(py_backend(), relay(f"{PROXY_FRONT}:80", "10.20.0.11:8080", proxy_line=True)),
        clients=(py_client(),),
        expect=expect(failed("proxy-protocol-to-backend"), allowed="bad-request proxy-protocol-unexpected backend-closed-early"),
        witness=Witness(saw=({"status": 400},)),
    ),
    Scenario(
        name="proxy-overloaded",
        family="handshake",
        row="H42",
        title="nginx has no worker_connections left: it accepts and hangs up at once.",
        nginx="# lab: connections=4\n" + site(location("/ws")),
        backends=(py_backend(),),
        clients=(
            py_client(("send", "hello"), ("recv",), ("sleep", 1.5), ("close", 1000, "bye"), background=True),
            node_client(delay=0.6),
            node_client(),
        ),
        expect=expect_findings("proxy-overloaded", "bad-gateway backend-not-contacted"),
        witness=Witness(
            logged=(r"\[alert\].*worker_connections are not enough",), saw=({"status": 101}, {"status": None})
        ),
    ),
    Scenario(
        name="proxy-overloaded-towards-backend",
        family="handshake",
        row="H42",
        title="nginx can still accept the client, but has no connection left for the backend and answers 500.",
        nginx="# lab: connections=5\n" + site(location("/ws")),
        backends=(py_backend(),),
        clients=(
            py_client(("send", "hello"), ("recv",), ("sleep", 1.2), ("close", 1000, "bye"), background=True),
            node_client(delay=0.6),
        ),
        expect=expect(
            ok(hops=2),
            failed(("server-error", "proxy-overloaded"), answered_by="proxy", hops=1),
            allowed="backend-not-contacted",
        ),
        witness=Witness(
            logged=(r"\[alert\].*worker_connections are not enough while connecting to upstream",),
            saw=({"status": 101}, {"status": 500}),
        ),
    ),
]
