"""The stories of the catalogue again, told over TLS and read with the key logs of those who took part in it."""

from __future__ import annotations

from typing import Any

import tls
from model import (
    ANY,
    PROXY_FRONT,
    Event,
    Expect,
    Scenario,
    View,
    Witness,
    broken,
    expect,
    expect_findings,
    failed,
    ok,
    unclear,
)
from nginx import location, site
from programs import (
    ECHO,
    KEY,
    curl,
    handshake,
    node_backend,
    node_client,
    py_backend,
    py_client,
    raw_backend,
    raw_client,
    switching,
    wire,
)
from scenarios.answers import LEAVES, SAMPLE_ACCEPT
from scenarios.endings import ANSWERS_ONCE, TUNNEL_RESET
from scenarios.forwarding import ANSWERS
from scenarios.silence import WAITS, idle_after, times_out
from scenarios.tls_suites import CLEAN, FINE, JOINED, KEYS, TLS, TLS_13, WSS
from scenarios.transport import EXTENDED_CONNECT

ALL_READ = expect(FINE, decrypted="yes")
HTTPS = f"https://{PROXY_FRONT}"
TRUST = ("--cacert", "ca.pem", "--resolve", f"{tls.NAME}:443:{PROXY_FRONT}")
PAGE = f"https://{tls.NAME}/page"
CLIENT_HOP_UNREAD = expect(ok(hops=1, close_code=1000), decrypted="no")
"""Without the right keys there is the clear hop behind nginx."""
HALF_READ = expect_findings()
"""Secrets of one side open one direction; what the other one said is unknown, not missing."""
SERVER_FIRST = ("sleep", 0.1)
"""Inside TLS nginx sends its HTTP/2 settings without waiting for the client."""
LOST = failed("upgrade-not-forwarded", answered_by="backend", hops=2, status=426, **JOINED)


def keyed(
    name: str, title: str, shake: Expect, *, row: str = "", site_of: tuple[str, ...] = (), **more: Any
) -> Scenario:
    """A story over wss to nginx with TLS 1.3, of which the client writes the key log."""
    return Scenario(
        name=f"keys-{name}",
        family=more.pop("family", "tls"),
        row=row,
        title=title,
        nginx=more.pop("nginx", None) or site(tls.SERVER, TLS_13, *(site_of or (location("/ws"),)), listen=TLS),
        backends=more.pop("backends", (py_backend(),)),
        clients=more.pop("clients", (py_client(url=WSS, keylog=KEYS),)),
        keys=more.pop("keys", (KEYS,)),
        expect=shake,
        witness=more.pop("witness", CLEAN),
        **more,
    )


def raw_over_tls(*steps: tuple, **options: Any):
    """A raw client behind its own TLS."""
    return raw_client(("tls_client", {"keylog": KEYS, **options}), *steps, to=f"{PROXY_FRONT}:443")


SCENARIOS = [
    keyed(
        "views",
        "One healthy session in every way that keys come, and in every way that they do not.",
        ALL_READ,
        captures=("any", "any.pcap", "front", "back", "client"),
        views=(
            View("no keys", ("any",), CLIENT_HOP_UNREAD),
            View("other sessions", ("any",), CLIENT_HOP_UNREAD, keys=(KEYS,), keys_are="other-sessions"),
            View("other secrets", ("any",), CLIENT_HOP_UNREAD, keys=(KEYS,), keys_are="other-secrets"),
            View("client's secrets", ("any",), HALF_READ, keys=(KEYS,), keys_are="client-only"),
            View("server's secrets", ("any",), HALF_READ, keys=(KEYS,), keys_are="server-only"),
            View("in the capture", ("any",), ALL_READ, keys=(KEYS,), keys_are="injected"),
            View("behind the packets", ("any",), ALL_READ, keys=(KEYS,), keys_are="behind"),
            View("pcap", ("any.pcap",), ALL_READ, keys=(KEYS,)),
            View("two files", ("front", "back"), ALL_READ, keys=(KEYS,)),
            View("two files, keys in one", ("front", "back"), ALL_READ, keys=(KEYS,), keys_are="behind"),
            View("twice", ("any", "client"), ALL_READ, keys=(KEYS,)),
            View(
                "doubled",
                ("any", "front"),
                expect(FINE, required="capture-duplicates", allowed="capture-duplicates", decrypted="yes"),
                merged=True,
                keys=(KEYS,),
            ),
            View(
                "client's host",
                ("client",),
                expect(ok(hops=1, close_code=1000, status=101), decrypted="yes"),
                keys=(KEYS,),
            ),
            View(
                "96 bytes",
                ("any",),
                expect_findings("capture-truncated", "capture-truncated"),
                snaplen=96,
                keys=(KEYS,),
            ),
            View(
                "400 bytes",
                ("any",),
                expect_findings("capture-truncated", "capture-truncated"),
                snaplen=400,
                keys=(KEYS,),
            ),
            View("400 bytes, unread", ("any",), expect_findings("capture-truncated", "capture-truncated"), snaplen=400),
        ),
    ),
    keyed(
        "upgrade-not-forwarded",
        "wss to nginx, which drops Upgrade; the client's key log shows what it asked for and got.",
        expect(LOST, required="connection-not-forwarded", allowed=ANSWERS, decrypted="yes"),
        row="H1",
        site_of=(location("/ws", "proxy_http_version 1.1;"),),
        captures=("any", "front"),
        views=(
            View(
                "client hop only",
                ("front",),
                expect(failed("upgrade-required", hops=1), required="backend-hop-not-seen", decrypted="yes"),
                keys=(KEYS,),
            ),
            View(
                "no keys",
                ("any",),
                expect(failed("upgrade-not-forwarded", hops=1), required="connection-not-forwarded", allowed=ANSWERS),
            ),
            View("cut", ("any",), expect_findings("capture-truncated", "capture-truncated"), snaplen=96, keys=(KEYS,)),
            View(
                "client's secrets",
                ("any",),
                expect_findings("upgrade-not-forwarded", f"connection-not-forwarded capture-gap {ANSWERS}"),
                keys=(KEYS,),
                keys_are="client-only",
            ),
            View(
                "client hop, client's secrets",
                ("front",),
                expect(unclear(ANY, hops=1), allowed="capture-gap"),
                keys=(KEYS,),
                keys_are="client-only",
            ),
        ),
        witness=Witness(access=("426",), saw=({"status": 426},)),
        samples={"any": "wss-upgrade-not-forwarded.pcapng"},
        keys_injected=True,
        lesson="The client's key log is in the file (a decryption secrets block), so both hops are read.",
    ),
    keyed(
        "upgrade-not-forwarded-tls12",
        "The same with TLS 1.2, CBC and a 400.",
        expect(
            failed("upgrade-not-forwarded", answered_by="backend", hops=2, status=400, **JOINED),
            required="connection-not-forwarded",
            allowed=ANSWERS,
            decrypted="yes",
        ),
        row="H1",
        nginx=site(
            tls.SERVER, "ssl_ciphers ECDHE-ECDSA-AES256-SHA384;", location("/ws", "proxy_http_version 1.1;"), listen=TLS
        ),
        backends=(node_backend(plain=400),),
        clients=(node_client(url=WSS, keylog=KEYS),),
        witness=Witness(access=("400",), saw=({"status": 400},)),
    ),
    keyed(
        "origin-host-mismatch",
        "nginx sends `Host: bk`; the backend compares it with the Origin of a wss page and answers 403.",
        expect(
            failed("origin-host-mismatch", answered_by="backend", hops=2, status=403, **JOINED),
            allowed="forbidden",
            decrypted="yes",
        ),
        row="H7",
        backends=(py_backend(same_origin=True),),
        clients=(py_client(url=WSS, keylog=KEYS, origin=HTTPS),),
        witness=Witness(access=("403",), saw=({"status": 403},)),
    ),
    keyed(
        "not-found",
        "No location fits: nginx answers 404 itself, which only the keys show.",
        expect(
            failed("not-found", answered_by="proxy", hops=1, status=404),
            allowed="backend-not-contacted",
            decrypted="yes",
        ),
        row="H9",
        site_of=(location("/socket"),),
        views=(View("no keys", ("any",), expect(decrypted="no")),),
        witness=Witness(access=("404",), saw=({"status": 404},)),
    ),
    keyed(
        "accept-mismatch",
        "The backend's 101 carries a Sec-WebSocket-Accept that does not belong to the key; the client leaves at once.",
        expect(
            failed("accept-mismatch", answered_by="backend", hops=2, status=101, **JOINED),
            allowed=LEAVES,
            decrypted="yes",
        ),
        row="H28",
        backends=(raw_backend((("head",), switching(SAMPLE_ACCEPT, without="Sec-WebSocket-Accept"), ("drain",))),),
        clients=(node_client(url=WSS, keylog=KEYS),),
        witness=Witness(access=("101",), saw=({"error": "Invalid Sec-WebSocket-Accept header"},)),
    ),
    keyed(
        "idle-timeout",
        "nginx gives up a silent tunnel: close_notify and FIN towards the client, FIN towards the backend.",
        expect(
            broken("idle-timeout", ended_by="proxy", close_code=None, hops=2, messages="1 1", **JOINED), decrypted="yes"
        ),
        row="T1",
        site_of=(location("/ws", idle_after(1)),),
        clients=(py_client(*WAITS, url=WSS, keylog=KEYS),),
        captures=("any", "client"),
        views=(
            View(
                "client's host",
                ("client",),
                expect(broken("idle-timeout", ended_by=("proxy", None), hops=1), decrypted="yes"),
                keys=(KEYS,),
            ),
        ),
        witness=times_out(),
        samples={"any": "wss-idle-timeout.pcapng"},
        keys_injected=True,
        lesson="With the keys in the file the silence is proven on both hops.",
    ),
    keyed(
        "backend-reset",
        "The backend resets in mid-session; the client gets a close_notify and FIN.",
        expect(broken("backend-reset", ended_by="backend", close_code=None, hops=2, **JOINED), decrypted="yes"),
        row="T6",
        backends=(raw_backend((*ANSWERS_ONCE, ("rst",))),),
        clients=(py_client(*WAITS, url=WSS, keylog=KEYS),),
        witness=Witness(saw=({"close_code": 1006},), logged=(r"\[error\].*" + TUNNEL_RESET,)),
    ),
    keyed(
        "closed-with-error",
        "The backend closes with 1011, as its Close frame on either hop tells.",
        expect(broken("closed-with-error", ended_by="backend", close_code=1011, hops=2, **JOINED), decrypted="yes"),
        row="T4",
        backends=(py_backend(do="close", code=1011, reason="database gone"),),
        clients=(py_client(*WAITS, url=WSS, keylog=KEYS),),
        witness=Witness(access=("101",), saw=({"close_code": 1011},)),
    ),
    keyed(
        "client-reset",
        "The client resets in mid-session.",
        expect(broken("client-reset", ended_by="client", close_code=None, hops=2, **JOINED), decrypted="yes"),
        row="T7",
        clients=(py_client(("send", "hello"), ("recv",), ("abort",), url=WSS, keylog=KEYS),),
        witness=Witness(access=("101",)),
    ),
    keyed(
        "ccm",
        "A cipher suite that is not opened (CCM): the session is as if there were no keys.",
        CLIENT_HOP_UNREAD,
        nginx=site(tls.SERVER, "ssl_ciphers ECDHE-ECDSA-AES128-CCM;", location("/ws"), listen=TLS),
        clients=(node_client(url=WSS, keylog=KEYS, ciphers="ECDHE-ECDSA-AES128-CCM"),),
    ),
    keyed(
        "one-of-two",
        "Two clients, of which one wrote a key log.",
        expect(FINE, ok(hops=1, close_code=1000), decrypted="yes no"),
        clients=(py_client(url=WSS, keylog=KEYS), py_client(url=WSS)),
        witness=Witness(access=("101", "101"), saw=({"close_code": 1000}, {"close_code": 1000})),
    ),
    keyed(
        "many-at-once",
        "Six clients at once, all in one key log.",
        expect(*(FINE,) * 6, unordered=True, decrypted="yes yes yes yes yes yes"),
        clients=tuple(py_client(url=WSS, keylog=KEYS, background=True) for _ in range(6)),
        witness=Witness(access=("101",) * 6, saw=({"close_code": 1000},) * 6),
    ),
    keyed(
        "page-then-session",
        "A page and a handshake on one TLS connection of the client.",
        expect(ok(answered_by="backend", hops=2, close_code=1000, status=101, **JOINED), decrypted="yes"),
        site_of=(location("/"),),
        backends=(node_backend(),),
        clients=(
            raw_over_tls(
                ("lines", "GET /page HTTP/1.1", f"Host: {tls.NAME}"),
                ("head",),
                ("head",),  # The end of the chunked page looks like that of a head.
                handshake(key=KEY),
                ("head",),
                ("ws", 1, "hello", {"mask": True}),
                ("drain_quietly", 0.2),
                ("ws", 8, "", {"mask": True, "hex": "03e8"}),
                ("drain",),
            ),
        ),
        witness=Witness(access=("200", "101")),
    ),
    keyed(
        "late",
        "The capture starts when the session is up: the keys fit nothing in it, and nothing is made up.",
        expect_findings("capture-mid-stream", "capture-mid-stream", decrypted="no"),
        clients=(py_client(("send", "hello"), ("recv",), ("sleep", 3.4), *ECHO, url=WSS, keylog=KEYS),),
        capture_first=False,
        events=(Event(1.7, "capture-start"),),
    ),
    keyed(
        "still-open",
        "The capture ends while the session is open.",
        expect(ok(answered_by="backend", hops=2, close_code=None, ended_by=None, **JOINED), decrypted="yes"),
        clients=(
            py_client(("send", "hello"), ("recv",), ("sleep", 2.0), ("close", 1000, "bye"), url=WSS, keylog=KEYS),
        ),
        events=(Event(0.8, "capture-stop"),),
    ),
    keyed(
        "bad-wire",
        "The client's network loses, doubles and reorders frames of large messages; TCP repairs it all.",
        expect(*(ok(hops=2, close_code=1000, status=101, **JOINED),) * 2, decrypted="yes yes"),
        topology="wire",
        backends=(py_backend(), wire(loss=0.04, double=0.15, reorder=0.15, seed=9)),
        clients=tuple(
            py_client(*(("send_bytes", size), ("recv",)) * 6, ("close", 1000, "bye"), url=WSS, keylog=KEYS)
            for size in (9000, 300)
        ),
        captures=("any", "client"),
        views=(
            View(
                "client's host",
                ("client",),
                expect(*(ok(hops=1, close_code=1000),) * 2, decrypted="yes yes"),
                keys=(KEYS,),
            ),
        ),
        witness=Witness(access=("101", "101"), saw=({"close_code": 1000},) * 2),
    ),
    keyed(
        "page",
        "curl fetches a page over TLS 1.3, its keys are there, and no WebSocket is.",
        expect(decrypted="yes"),
        family="healthy",
        site_of=(location("/"),),
        backends=(node_backend(),),
        clients=(curl("--http1.1", *TRUST, PAGE, keylog=KEYS),),
        witness=Witness(access=("200",), saw=({"status": 200, "version": "1.1"},)),
    ),
    keyed(
        "page-tls12",
        "The same over TLS 1.2.",
        expect(decrypted="yes"),
        family="healthy",
        nginx=site(tls.SERVER, location("/"), listen=TLS),
        backends=(node_backend(),),
        clients=(curl("--http1.1", *TRUST, PAGE, keylog=KEYS),),
        witness=Witness(access=("200",), saw=({"status": 200, "version": "1.1"},)),
    ),
    keyed(
        "page-over-http2",
        "curl fetches a page over HTTP/2.",
        expect(decrypted="yes"),
        family="healthy",
        nginx=site(tls.SERVER, TLS_13, location("/"), listen=f"{TLS} http2"),
        backends=(node_backend(),),
        clients=(curl("--http2", *TRUST, PAGE, keylog=KEYS),),
        witness=Witness(access=("200",), saw=({"status": 200, "version": "2"},)),
    ),
    keyed(
        "http2-websocket-refused",
        "An extended CONNECT over HTTP/2 inside TLS, which nginx does not know.",
        expect_findings("http2-websocket-refused", decrypted="yes"),
        row="H36",
        nginx=site(tls.SERVER, TLS_13, location("/ws"), listen=f"{TLS} http2"),
        clients=(raw_over_tls(SERVER_FIRST, ("hex", EXTENDED_CONNECT), ("drain_quietly", 0.5), alpn=["h2"]),),
        witness=Witness(access=("400",), logged=(r'client sent unknown pseudo-header ":protocol"',)),
    ),
    keyed(
        "http1-on-http2",
        "The client agrees on h2 and then speaks HTTP/1.1, as libraries do that leave ALPN to TLS.",
        expect(failed(ANY, hops=1), allowed="backend-invalid-response bad-request no-answer", decrypted="yes"),
        nginx=site(tls.SERVER, TLS_13, location("/ws"), listen=f"{TLS} http2"),
        clients=(raw_over_tls(SERVER_FIRST, handshake(key=KEY), ("drain",), alpn=["h2", "http/1.1"]),),
        witness=Witness(
            access=(),
            saw=({"status": None},),
            logged=(r"\[info\].*invalid connection preface while processing HTTP/2 connection",),
        ),
    ),
    keyed(
        "behind-proxy-protocol",
        "A balancer puts a PROXY header in front of TLS.",
        expect(ok(answered_by="backend", hops=2, close_code=1000, status=101, **JOINED), decrypted="yes"),
        nginx=site(tls.SERVER, TLS_13, location("/ws"), listen=f"{TLS} proxy_protocol"),
        clients=(
            raw_client(
                ("send", f"PROXY TCP4 203.0.113.9 {PROXY_FRONT} 50000 443\r\n"),
                ("tls_client", {"keylog": KEYS}),
                handshake(key=KEY),
                ("head",),
                ("ws", 1, "hello", {"mask": True}),
                ("frame_in",),
                ("ws", 8, "", {"mask": True, "hex": "03e8"}),
                ("frame_in",),
                ("drain",),
                to=f"{PROXY_FRONT}:443",
            ),
        ),
    ),
    keyed(
        "client-certificate-wanted",
        "nginx wants a client certificate and answers 400 without one: TLS itself succeeds.",
        expect(
            failed(("client-certificate-missing", "bad-request"), answered_by="proxy", hops=1, status=400),
            allowed="backend-not-contacted",
            decrypted="yes",
        ),
        row="H33",
        site_of=("ssl_verify_client on;\nssl_client_certificate ../ca.pem;", location("/ws")),
        witness=Witness(access=("400",), saw=({"status": 400},)),
    ),
]
