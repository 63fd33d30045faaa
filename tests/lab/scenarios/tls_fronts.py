"""wss to nginx read without keys: the TLS connection in front is found by the times and lengths of its records.

The clients write key logs all the same. They are the truth: a join without them must be the one that they show.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import tls
from model import BACKEND_2, Event, Expect, Scenario, Witness, broken, expect, failed, ok
from nginx import UPGRADE, location, site, upstream
from programs import KEY, handshake, node_backend, node_client, page, py_backend, py_client, raw_backend, raw_client
from scenarios.answers import LEAVES
from scenarios.endings import ANSWERS_ONCE, TUNNEL_RESET
from scenarios.forwarding import ANSWERS
from scenarios.silence import WAITS, idle_after, times_out
from scenarios.tls_keys import keyed
from scenarios.tls_suites import CLEAN, KEYS, TLS, WSS

BY_RECORDS: dict[str, Any] = {"hops": 1, "roles": "proxy-backend", "front": "records-and-time"}
BY_TIME: dict[str, Any] = {"hops": 1, "front": "time"}
UP = ok(answered_by="backend", close_code=1000, status=101, **BY_RECORDS)
SIZES = (("send", "x" * 40), ("recv",)) * 3
"""Messages as long as everybody else's."""
MESSAGES = (("send", "again"), ("recv",), ("send", "and once more"), ("recv",))


def sealed(name: str, title: str, shake: Expect, **more: Any) -> Scenario:
    """A story over wss to nginx with TLS 1.3, read without the keys that the client writes."""
    story = keyed(name, title, shake, keys=(), truth=(KEYS,), **more)
    return dataclasses.replace(story, name=f"sealed-{name}")


def late(name: str, title: str, shake: Expect, said: tuple, **more: Any) -> Scenario:
    """Such a story of which the capture shows the end alone: keys would not open it."""
    client = keyed_py(("send", "hello"), ("recv",), ("sleep", 3.4), *MESSAGES, *said)
    story = sealed(
        f"late-{name}",
        title,
        shake,
        clients=(client,),
        capture_first=False,
        events=(Event(1.7, "capture-start"),),
        **more,
    )
    return dataclasses.replace(story, truth=())


def keyed_py(*steps: tuple, **setting: Any):
    """A Python client that writes its key log."""
    return py_client(*steps, url=WSS, keylog=KEYS, **setting)


SCENARIOS = [
    sealed("healthy", "A session without a fault.", expect(UP, decrypted="no"), family="healthy"),
    Scenario(
        name="sealed-unauthorized-by-auth-request",
        family="tls",
        row="H11",
        title="Behind TLS nothing is in clear but the question to the auth service, which has the key and no Upgrade and is answered 401.",
        nginx=site(
            tls.SERVER,
            location("/ws", UPGRADE + "\nauth_request /auth;"),
            location("= /auth", "internal;", to="http://auth"),
            http=upstream(f"{BACKEND_2}:9000", name="auth"),
            listen=TLS,
        ),
        backends=(
            py_backend(),
            raw_backend((("head",), page("401 Unauthorized", "who?\n"), ("drain",)), at=f"{BACKEND_2}:9000"),
        ),
        clients=(py_client(url=WSS),),
        expect=expect(failed("unauthorized", hops=1), required="upgrade-not-forwarded", says="as auth_request asks"),
        witness=Witness(access=("401",), saw=({"status": 401},)),
    ),
    sealed(
        "healthy-cbc",
        "The same with a padded suite, where lengths are ranges.",
        expect(UP, decrypted="no"),
        family="healthy",
        nginx=site(tls.SERVER, "ssl_ciphers ECDHE-ECDSA-AES256-SHA384;", location("/ws"), listen=TLS),
        clients=(node_client(url=WSS, keylog=KEYS),),
    ),
    sealed(
        "client-left",
        "The client resets its TLS connection; behind nginx there is but the FIN of nginx.",
        expect(ok(ended_by="client", close_code=None, **BY_RECORDS), required="client-left"),
        row="T7",
        clients=(keyed_py(("send", "hello"), ("recv",), ("abort",)),),
        witness=Witness(access=("101",)),
    ),
    sealed(
        "client-left-notified",
        "The client says close_notify and waits: the FINs are those of nginx, and yet it was the client.",
        expect(ok(ended_by="client", close_code=None, **BY_RECORDS), required="client-left"),
        row="T7",
        clients=(
            raw_client(
                ("tls_client", {"keylog": KEYS}),
                handshake(key=KEY),
                ("head",),
                ("ws", 1, "hello", {"mask": True}),
                ("frame_in",),
                ("ws", 1, "hello again", {"mask": True}),
                ("frame_in",),
                ("sleep", 0.3),
                to=f"{TLS.split()[0]}",
            ),
        ),
        witness=Witness(access=("101",)),
    ),
    sealed(
        "backend-reset",
        "The backend resets in mid-session.",
        expect(broken("backend-reset", ended_by="backend", close_code=None, **BY_RECORDS)),
        row="T6",
        backends=(raw_backend((*ANSWERS_ONCE, ("rst",))),),
        clients=(keyed_py(*WAITS),),
        witness=Witness(saw=({"close_code": 1006},), logged=(r"\[error\].*" + TUNNEL_RESET,)),
    ),
    sealed(
        "idle-timeout",
        "nginx gives up a silent tunnel: neither the client nor the backend ended it.",
        expect(broken("idle-timeout", ended_by="proxy", close_code=None, **BY_RECORDS)),
        row="T1",
        site_of=(location("/ws", idle_after(2)),),
        clients=(keyed_py(*WAITS),),
        witness=times_out(),
    ),
    late(
        "healthy",
        "The capture starts when the session is up on both sides.",
        expect(ok(close_code=1000, status=None, **BY_RECORDS), required="capture-mid-stream"),
        said=(("close", 1000, "bye"),),
        witness=CLEAN,
    ),
    late(
        "client-left",
        "The same, and the client leaves.",
        expect(ok(close_code=None, ended_by="client", **BY_RECORDS), required="capture-mid-stream client-left"),
        said=(("abort",),),
        row="T7",
        witness=Witness(access=("101",)),
    ),
    late(
        "idle-timeout",
        "The same, and nginx gives up the silent tunnel.",
        expect(broken("idle-timeout", ended_by="proxy", close_code=None, **BY_RECORDS), required="capture-mid-stream"),
        said=(*WAITS,),
        row="T1",
        site_of=(location("/ws", idle_after(5)),),
        witness=times_out(),
    ),
    sealed(
        "forbidden",
        "The backend answers 403, which nginx passes on.",
        expect(failed("forbidden", answered_by="backend", status=403, **BY_TIME)),
        row="H7",
        backends=(py_backend(origins=["https://bk"]),),
        clients=(keyed_py(origin="https://app.example"),),
        witness=Witness(access=("403",), saw=({"status": 403},)),
    ),
    sealed(
        "bad-gateway",
        "The backend hangs up without an answer, and nginx makes a 502.",
        expect(failed("backend-closed-early", **BY_TIME)),
        row="H17",
        backends=(raw_backend((("head",), ("fin",))),),
        witness=Witness(access=("502",), saw=({"status": 502},)),
    ),
    sealed(
        "upgrade-not-forwarded",
        "nginx drops Upgrade, and the backend answers 426.",
        expect(
            failed("upgrade-not-forwarded", answered_by="backend", status=426, **BY_TIME),
            required="connection-not-forwarded",
            allowed=ANSWERS,
        ),
        row="H1",
        site_of=(location("/ws", "proxy_http_version 1.1;"),),
        witness=Witness(access=("426",), saw=({"status": 426},)),
    ),
    sealed(
        "client-gave-up",
        "The backend takes its time and the client leaves before any answer.",
        expect(failed("client-gave-up", answered_by=None, **BY_TIME), allowed="backend-timeout"),
        row="H25",
        backends=(raw_backend((("head",), ("drain",))),),
        clients=(keyed_py(timeout=1),),
        witness=Witness(access=("499",), saw=({"error": "Timeout"},)),
    ),
    sealed(
        "page-then-session",
        "A page and a session on one TLS connection.",
        expect(UP, decrypted="no"),
        site_of=(location("/"),),
        backends=(node_backend(),),
        clients=(
            raw_client(
                ("tls_client", {"keylog": KEYS}),
                ("lines", "GET /page HTTP/1.1", f"Host: {tls.NAME}"),
                ("head",),
                ("head",),  # The end of the chunked page looks like that of a head.
                handshake(key=KEY),
                ("head",),
                ("ws", 1, "hello", {"mask": True}),
                ("frame_in",),
                ("ws", 8, "", {"mask": True, "hex": "03e8"}),
                ("frame_in",),
                to=f"{TLS.split()[0]}",
            ),
        ),
        witness=Witness(access=("200", "101")),
    ),
    sealed(
        "crowd",
        "Twenty clients at once whose messages are all of one length: each is joined rightly or not at all.",
        expect(*(ok(hops=1, close_code=1000, status=101),) * 20, unordered=True, allowed=LEAVES),
        clients=tuple(keyed_py(*SIZES, ("close", 1000, "bye"), background=True) for _ in range(20)),
        witness=Witness(access=("101",) * 20, saw=({"close_code": 1000},) * 20),
    ),
    sealed(
        "crowd-of-listeners",
        "Twenty clients that connect at once and are told the same, in the same moment.",
        expect(*(ok(hops=1, close_code=1000, status=101),) * 20, unordered=True, allowed=LEAVES),
        backends=(node_backend(),),
        clients=tuple(
            node_client(*SIZES, ("close", 1000, "bye"), url=WSS, keylog=KEYS, background=True) for _ in range(20)
        ),
        witness=Witness(access=("101",) * 20, saw=({"close_code": 1000},) * 20),
    ),
]
