"""The backend answers 101, or something like it, and the answer is wrong on one of the hops: rows H28 and H29."""

from __future__ import annotations

from model import Handshake, Peer, Scenario, Witness, expect, failed, ok
from nginx import UPGRADE, location, site
from programs import (
    KEY,
    handshake,
    node_backend,
    node_client,
    page,
    py_client,
    raw_backend,
    raw_client,
    switching,
    tunnel_backend,
)

LEAVES = "closed-right-after-101"
SAMPLE_ACCEPT = "Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo="
"""Right for the sample key of RFC 6455, wrong for any other."""


def bad_answer(name: str, title: str, answer: tuple, code: str, client: Peer, error: str, **more) -> Scenario:
    """A raw backend whose 101 the client does not accept. nginx checks nothing and logs nothing."""
    return Scenario(
        name=name,
        family="handshake",
        row="H28",
        title=title,
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), answer, ("drain",))),),
        clients=(client,),
        expect=expect(failed(code, answered_by="backend", hops=2), allowed=LEAVES),
        witness=Witness(access=("101",), saw=({"error": error},), not_logged=(r"\[error\]",)),
        **more,
    )


def edited(
    name: str,
    title: str,
    directive: str,
    shake: Handshake,
    saw: dict,
    required: str = "",
    allowed: str = "",
    backend: Peer | None = None,
    client: Peer | None = None,
    **more,
) -> Scenario:
    """An nginx that edits a field of the handshake with one more directive."""
    return Scenario(
        name=name,
        family=more.pop("family", "handshake"),
        row=more.pop("row", ""),
        title=title,
        nginx=site(location("/ws", f"{UPGRADE}\n{directive}")),
        backends=(backend or node_backend(),),
        clients=(client or node_client(),),
        expect=expect(shake, required=required, allowed=allowed),
        witness=Witness(saw=(saw,), not_logged=(r"\[error\]",)),
        **more,
    )


SCENARIOS = [
    bad_answer(
        "accept-mismatch",
        "The backend's 101 carries a Sec-WebSocket-Accept that does not belong to the key; the client leaves at once.",
        switching(SAMPLE_ACCEPT, without="Sec-WebSocket-Accept"),
        "accept-mismatch",
        node_client(),
        "Invalid Sec-WebSocket-Accept header",
        samples={"any": "accept-mismatch.pcapng"},
        lesson="nginx does not check a 101 and logs nothing.",
    ),
    bad_answer(
        "accept-missing",
        "The backend's 101 has no Sec-WebSocket-Accept.",
        switching(without="Sec-WebSocket-Accept"),
        "accept-missing",
        py_client(),
        "Accept",
    ),
    bad_answer(
        "answer-upgrade-missing",
        "The backend's 101 has no Upgrade.",
        switching(without="Upgrade"),
        "answer-upgrade-missing",
        py_client(),
        "Upgrade",
    ),
    bad_answer(
        "answer-upgrade-wrong",
        "The backend's 101 switches to another protocol than was asked for.",
        switching("Upgrade: h2c", without="Upgrade"),
        "answer-upgrade-wrong",
        py_client(),
        "Upgrade",
    ),
    bad_answer(
        "subprotocol-not-offered",
        "The backend chooses a subprotocol that the client did not offer.",
        switching("Sec-WebSocket-Protocol: mqtt"),
        "subprotocol-not-offered",
        py_client(subprotocols=["chat.v2"]),
        "unsupported subprotocol",
    ),
    bad_answer(
        "subprotocol-unasked",
        "The backend chooses a subprotocol although the client offered none.",
        switching("Sec-WebSocket-Protocol: mqtt"),
        "subprotocol-not-offered",
        node_client(),
        "subprotocol but none was requested",
    ),
    bad_answer(
        "extension-not-offered",
        "The backend answers with an extension that the client did not offer.",
        switching("Sec-WebSocket-Extensions: permessage-deflate"),
        "extension-not-offered",
        py_client(),
        "no extensions supported",
    ),
    bad_answer(
        "extension-parameters-invalid",
        "The backend agrees to compression with a window of 7 bits, which RFC 7692 does not allow.",
        switching("Sec-WebSocket-Extensions: permessage-deflate; server_max_window_bits=7"),
        "extension-parameters-invalid",
        node_client(deflate=True),
        "Invalid",
    ),
    bad_answer(
        "two-subprotocols",
        "The backend answers with two subprotocols.",
        switching("Sec-WebSocket-Protocol: chat.v1", "Sec-WebSocket-Protocol: chat.v2"),
        ("header-duplicated", "subprotocol-not-offered"),
        py_client(subprotocols=["chat.v1", "chat.v2"]),
        "multiple subprotocols",
    ),
    Scenario(
        name="answer-connection-missing",
        family="healthy",
        row="H28",
        title="The backend's 101 has no Connection; nginx writes its own, so the client never notices.",
        nginx=site(location("/ws")),
        backends=(
            raw_backend(
                (
                    ("head",),
                    switching(without="Connection"),
                    ("frame_in",),
                    ("ws", 1, "hello"),
                    ("frame_in",),
                    ("ws", 8, "", {"hex": "03e8"}),
                    ("fin",),
                    ("drain",),
                )
            ),
        ),
        clients=(py_client(),),
        expect=expect(ok(answered_by="backend", hops=2, close_code=1000), allowed="answer-connection-missing"),
        witness=Witness(access=("101",), saw=({"status": 101, "close_code": 1000},)),
    ),
    Scenario(
        name="answer-connection-missing-direct",
        family="handshake",
        row="H28",
        title="The same without nginx: the client refuses.",
        topology="loopback",
        backends=(raw_backend((("head",), switching(without="Connection"), ("drain",)), at="127.0.0.2:8080"),),
        clients=(py_client(url="ws://127.0.0.2:8080/ws"),),
        captures=("lo",),
        expect=expect(failed("answer-connection-missing", hops=1), allowed=LEAVES),
        witness=Witness(saw=({"error": "Connection"},)),
    ),
    Scenario(
        name="subprotocol-not-chosen",
        family="handshake",
        row="H29",
        title="The client offers a subprotocol, the backend chooses none, and the client leaves as browsers do.",
        nginx=site(location("/ws")),
        backends=(node_backend(),),
        clients=(node_client(subprotocols=["mqtt"]),),
        expect=expect(failed("subprotocol-not-chosen", answered_by="backend", hops=2), allowed=LEAVES),
        witness=Witness(access=("101",), saw=({"status": 101, "error": "Server sent no subprotocol"},)),
        samples={"any": "subprotocol-not-chosen.pcapng"},
    ),
    Scenario(
        name="interim-response",
        family="handshake",
        row="",
        title="The backend sends 103 before its 101; nginx takes the 103 for the answer and never tunnels.",
        nginx=site(location("/ws")),
        backends=(
            raw_backend(
                (
                    ("head",),
                    ("lines", "HTTP/1.1 103 Early Hints", "Link: </a.css>; rel=preload"),
                    ("sleep", 0.05),
                    switching(),
                    ("drain",),
                )
            ),
        ),
        clients=(py_client(timeout=2),),
        expect=expect(failed("interim-response", hops=2), allowed="client-gave-up status-changed"),
        witness=Witness(saw=({"status": None},), access=("499",)),
    ),
    edited(
        "accept-not-returned",
        "nginx hides Sec-WebSocket-Accept in the answer.",
        "proxy_hide_header Sec-WebSocket-Accept;",
        failed("accept-not-returned", hops=2),
        {"error": "Sec-WebSocket-Accept"},
        allowed=f"{LEAVES} accept-missing",
    ),
    edited(
        "upgrade-not-returned",
        "nginx hides Upgrade in the answer.",
        "proxy_hide_header Upgrade;",
        failed("upgrade-not-returned", hops=2),
        {"error": "Upgrade"},
        allowed=f"{LEAVES} answer-upgrade-missing",
        client=py_client(),
    ),
    edited(
        "key-not-forwarded",
        "nginx removes the key.",
        'proxy_set_header Sec-WebSocket-Key "";',
        failed("key-not-forwarded", answered_by="backend", hops=2),
        {"status": 400},
        allowed="bad-request key-missing",
    ),
    edited(
        "key-rewritten",
        "nginx sends a key of its own, so that the Accept cannot fit.",
        f"proxy_set_header Sec-WebSocket-Key {KEY};",
        failed("key-rewritten", hops=2),
        {"error": "Invalid Sec-WebSocket-Accept"},
        allowed=f"{LEAVES} accept-mismatch",
    ),
    edited(
        "version-not-forwarded",
        "nginx removes the version.",
        'proxy_set_header Sec-WebSocket-Version "";',
        failed("version-not-forwarded", answered_by="backend", hops=2),
        {"status": 400},
        allowed="bad-request version-missing",
    ),
    edited(
        "subprotocol-not-forwarded",
        "nginx removes the subprotocols; the backend chooses none and the client leaves.",
        'proxy_set_header Sec-WebSocket-Protocol "";',
        failed("subprotocol-not-forwarded", hops=2),
        {"error": "Server sent no subprotocol"},
        allowed=f"{LEAVES} subprotocol-not-chosen",
        backend=node_backend(subprotocols=["mqtt"]),
        client=node_client(subprotocols=["mqtt"]),
    ),
    edited(
        "healthy-extensions-not-forwarded",
        "nginx removes the extensions from the request: no compression, nothing else.",
        'proxy_set_header Sec-WebSocket-Extensions "";',
        ok(hops=2, close_code=1000),
        {"status": 101, "close_code": 1000},
        family="healthy",
        backend=node_backend(deflate=True),
        client=node_client(deflate=True),
    ),
    edited(
        "extensions-not-forwarded",
        "nginx removes the extensions, and the backend insists on compression.",
        'proxy_set_header Sec-WebSocket-Extensions "";',
        failed("extensions-not-forwarded", answered_by="backend", hops=2),
        {"status": 400},
        backend=raw_backend((("head",), page("400 Bad Request", "permessage-deflate is required here\n"), ("drain",))),
        client=node_client(deflate=True),
    ),
    Scenario(
        name="http10-to-lenient-backend",
        family="healthy",
        row="H3",
        title="HTTP/1.0 to node, which upgrades nevertheless.",
        nginx=site(
            location("/ws", "proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection $connection_upgrade;")
        ),
        backends=(node_backend(),),
        clients=(node_client(),),
        expect=expect(ok(answered_by="backend", hops=2, close_code=1000)),
        witness=Witness(access=("101",), saw=({"status": 101, "close_code": 1000},)),
    ),
    Scenario(
        name="answered-101-to-plain-request",
        family="handshake",
        row="",
        title="The client lost Upgrade before nginx, which forces it on; the backend says 101, nginx does not tunnel, the client waits.",
        nginx=site(
            location(
                "/ws",
                'proxy_http_version 1.1;\nproxy_set_header Upgrade websocket;\nproxy_set_header Connection "upgrade";',
            )
        ),
        backends=(tunnel_backend(),),
        clients=(raw_client(handshake(without="Upgrade Connection"), ("drain_quietly", 1.0)),),
        expect=expect(
            Handshake("failed", ("upgrade-missing", "upgrade-added"), hops=2),
            allowed="connection-missing client-gave-up connection-upgrade-forced",
        ),
        witness=Witness(access=("499",), saw=({"bytes_in": 0},)),
    ),
    Scenario(
        name="returned-101",
        family="handshake",
        row="",
        title="`return 101` in nginx: a 101 without any field of an upgrade, which no backend made.",
        nginx=site("location /ws { return 101; }"),
        backends=(node_backend(),),
        clients=(py_client(),),
        expect=expect(failed("accept-missing", hops=1), required="answer-upgrade-missing"),
        witness=Witness(access=("101",), saw=({"error": "InvalidUpgrade"},)),
    ),
]
