"""TLS between nginx and the backend, alone or behind wss, read with the key log that the backend writes."""

from __future__ import annotations

import tls
from model import PROXY_FRONT, View, Witness, expect, failed, ok
from nginx import UPGRADE, location, site, upstream
from programs import curl, page, py_backend, py_client, raw_backend, switching
from scenarios.forwarding import ANSWERS
from scenarios.tls_keys import ALL_READ, LOST, keyed
from scenarios.tls_suites import FINE, JOINED, KEYS, TLS, TLS_13

BACKEND_KEYS = "backend-keys.log"
"""The key log that a backend writes."""
TLS_BACKEND = {"tls": True, "keylog": BACKEND_KEYS}
TO_TLS = "https://bk"


def behind_tls(*directives: str) -> str:
    """A clear front and TLS to the backend."""
    return site(location("/ws", "\n".join((UPGRADE, *directives)), to=TO_TLS))


SCENARIOS = [
    keyed(
        "both-hops",
        "TLS on both hops, each with the key log of the peer at its end.",
        expect(FINE, decrypted="yes yes"),
        nginx=site(tls.SERVER, TLS_13, location("/ws", to=TO_TLS), listen=TLS),
        backends=(py_backend(**TLS_BACKEND),),
        keys=(KEYS, BACKEND_KEYS),
        views=(
            View(
                "in the capture",
                ("any",),
                expect(FINE, decrypted="yes yes"),
                keys=(KEYS, BACKEND_KEYS),
                keys_are="injected",
            ),
            View(
                "behind the packets",
                ("any",),
                expect(FINE, decrypted="yes yes"),
                keys=(BACKEND_KEYS, KEYS),
                keys_are="behind",
            ),
            View(
                "the client's keys",
                ("any",),
                expect(ok(hops=1, close_code=1000, status=101), decrypted="yes no"),
                keys=(KEYS,),
            ),
            View(
                "the backend's keys",
                ("any",),
                expect(ok(hops=1, close_code=1000), decrypted="no yes"),
                keys=(BACKEND_KEYS,),
            ),
            View("no keys", ("any",), expect(decrypted="no no")),
        ),
        samples={"any": "wss-both-hops.pcapng"},
        keys_injected=True,
        lesson="Two key logs in one file: the client's for the first hop, the backend's for the second one.",
    ),
    keyed(
        "both-hops-tls13",
        "The same with TLS 1.3 on both hops.",
        expect(FINE, decrypted="yes yes"),
        nginx=site(
            tls.SERVER, TLS_13, location("/ws", f"{UPGRADE}\nproxy_ssl_protocols TLSv1.3;", to=TO_TLS), listen=TLS
        ),
        backends=(py_backend(**TLS_BACKEND),),
        keys=(BACKEND_KEYS, KEYS),
    ),
    keyed(
        "both-hops-not-forwarded",
        "TLS on both hops, and nginx drops Upgrade: without keys nothing of it could be known.",
        expect(LOST, required="connection-not-forwarded", allowed=ANSWERS, decrypted="yes yes"),
        row="H1",
        nginx=site(tls.SERVER, TLS_13, location("/ws", "proxy_http_version 1.1;", to=TO_TLS), listen=TLS),
        backends=(py_backend(**TLS_BACKEND),),
        keys=(KEYS, BACKEND_KEYS),
        views=(
            View(
                "the client's keys",
                ("any",),
                expect(failed("upgrade-required", hops=1), decrypted="yes no"),
                keys=(KEYS,),
            ),
            View(
                "the backend's keys",
                ("any",),
                expect(
                    failed("upgrade-not-forwarded", hops=1),
                    required="connection-not-forwarded",
                    allowed=ANSWERS,
                    decrypted="no yes",
                ),
                keys=(BACKEND_KEYS,),
            ),
            View("no keys", ("any",), expect(decrypted="no no")),
        ),
        witness=Witness(access=("426",), saw=({"status": 426},)),
    ),
    keyed(
        "backend-hop-only",
        "Clear to nginx, TLS to the backend, whose key log there is.",
        ALL_READ,
        nginx=behind_tls(),
        backends=(py_backend(**TLS_BACKEND),),
        clients=(py_client(),),
        keys=(BACKEND_KEYS,),
        views=(View("no keys", ("any",), expect(ok(hops=1, close_code=1000), decrypted="no")),),
    ),
    keyed(
        "backend-hop-only-forbidden",
        "Clear to nginx, TLS to the backend, which answers 403 itself.",
        expect(failed("forbidden", answered_by="backend", hops=2, status=403, **JOINED), decrypted="yes"),
        row="H8",
        nginx=behind_tls("proxy_set_header Host $http_host;"),
        backends=(py_backend(http=403, **TLS_BACKEND),),
        clients=(py_client(),),
        keys=(BACKEND_KEYS,),
        witness=Witness(access=("403",), saw=({"status": 403},)),
    ),
    keyed(
        "backend-reused",
        "Pages and then a session over one kept-alive TLS connection to the backend.",
        expect(ok(answered_by="backend", hops=2, close_code=1000, status=101, **JOINED), decrypted="yes"),
        nginx=site(
            location("/", 'proxy_http_version 1.1;\nproxy_set_header Connection "";', to=TO_TLS),
            location("/ws", to=TO_TLS),
            up=upstream(keepalive=8),
        ),
        backends=(
            raw_backend(
                (
                    ("tls_server", {"keylog": BACKEND_KEYS}),
                    ("head",),
                    page("200 OK", "page\n"),
                    ("head",),
                    switching(),
                    ("frame_in",),
                    ("ws", 1, "hello"),
                    ("frame_in",),
                    ("ws", 8, "", {"hex": "03e8"}),
                    ("drain",),
                )
            ),
        ),
        clients=(curl(f"http://{PROXY_FRONT}/"), py_client()),
        keys=(BACKEND_KEYS,),
        witness=Witness(access=("200", "101"), saw=({"status": 200}, {"status": 101, "close_code": 1000})),
    ),
    keyed(
        "backend-wants-certificate",
        "The backend wants a client certificate and says so in an encrypted alert (TLS 1.3).",
        expect(
            failed(("client-certificate-missing", "backend-tls-rejected"), answered_by="proxy"),
            required="client-certificate-missing",
            allowed="bad-gateway backend-tls-rejected tls-handshake-failed backend-closed-early",
        ),
        row="H33",
        nginx=behind_tls("proxy_ssl_protocols TLSv1.3;"),
        backends=(raw_backend((("tls_server", {"certificate_wanted": True, "keylog": BACKEND_KEYS}), ("drain",))),),
        clients=(py_client(),),
        keys=(BACKEND_KEYS,),
        witness=Witness(access=("502",), saw=({"status": 502},)),
    ),
]
