"""Timeouts, peers that vanish or stop reading, and a network that loses: rows T1 to T3, T9, T13, T14, T18."""

from __future__ import annotations

from typing import Any

from model import INNER_FRONT, PROXY_FRONT, Event, Handshake, Peer, Scenario, View, Witness, broken, expect, ok
from nginx import UPGRADE, location, site
from programs import (
    handshake,
    py_backend,
    py_client,
    raw_backend,
    raw_client,
    relay,
    switching,
    tunnel_backend,
    tunnel_client,
)

WAITS = (("send", "hello"), ("recv",), ("wait_closed",))
TUNNEL_TIMEOUT = r"\[info\].*upstream timed out \(110: Connection timed out\) while proxying upgraded connection"
CLIENT_TIMEOUT = r"\[info\].*client timed out \(110: Connection timed out\) while proxying upgraded connection"
CUT = broken("idle-timeout", ended_by="proxy", close_code=None, hops=2)
SURELY = broken("idle-timeout", ended_by="proxy", close_code=None, hops=2, sure="likely")
CUT_CLIENT = (Event(0.7, "nft c in drop"), Event(0.7, "nft c out drop"))

CLIENT_TOLD = {"close_code": 1006}
"""What a client reports whose session ended without a Close frame."""


def idle_after(seconds: int) -> str:
    """A location that upgrades, with this proxy_read_timeout."""
    return f"{UPGRADE}\nproxy_read_timeout {seconds}s;"


def times_out(saw: dict[str, Any] = CLIENT_TOLD, **more: Any) -> Witness:
    """nginx gave up the tunnel after a 101, as its log and the client tell."""
    return Witness(logged=(TUNNEL_TIMEOUT,), access=("101",), saw=(saw,), **more)


def idle_timeout(
    name: str,
    title: str,
    client: Peer,
    shake: Handshake = CUT,
    seconds: int = 2,
    backend: Peer | None = None,
    says: str = "",
    witness: Witness | None = None,
    **more: Any,
) -> Scenario:
    """A tunnel that nginx gives up after so many seconds without a byte of the backend, which echoes otherwise."""
    return Scenario(
        name=name,
        family="session",
        row="T1",
        title=title,
        nginx=site(location("/ws", idle_after(seconds))),
        backends=(backend or py_backend(),),
        clients=(client,),
        expect=expect(shake, says=says),
        witness=witness or times_out(),
        **more,
    )


SCENARIOS = [
    idle_timeout(
        "idle-timeout",
        "Nobody speaks for proxy_read_timeout (2 s here): nginx closes both hops, with FIN and without a Close frame.",
        py_client(*WAITS),
        SURELY,
        says="the proxy_read_timeout is 2 s",
        witness=times_out({"status": 101, "close_code": 1006}, not_logged=(r"\[error\]",)),
        samples={"any": "idle-timeout.pcapng"},
        lesson="At the default log level nginx says nothing of it.",
    ),
    idle_timeout(
        "idle-timeout-after-a-burst",
        "The backend speaks every 0.12 s for a while: nginx counts 2 s from the last time it set its lazy timer, not from the last data.",
        py_client(("wait_closed",)),
        SURELY,
        backend=tunnel_backend(*(("sleep", 0.12), ("ws", 1, "tick")) * 5),
        says="the proxy_read_timeout is 2 s",
    ),
    idle_timeout(
        "idle-timeout-since-the-request",
        "The backend takes 0.25 s for its 101: nginx counts 2 s from the request, for its lazy timer is not set anew so soon.",
        py_client(*WAITS),
        SURELY,
        backend=raw_backend((("head",), ("sleep", 0.25), switching(), ("frame_in",), ("ws", 1, "hello"), ("drain",))),
        says="the proxy_read_timeout is 2 s",
    ),
    idle_timeout(
        "idle-timeout-rearmed-by-client",
        "Frames of the client alone keep the tunnel up beyond the timeout (1 s); it falls after the last of them.",
        py_client(
            *(step for text in "abc" for step in (("send", text), ("sleep", 0.6))), ("send", "d"), ("wait_closed",)
        ),
        seconds=1,
        backend=tunnel_backend(),
    ),
    idle_timeout(
        "idle-timeout-despite-slow-pings",
        "The client pings, but at last less often than the timeout (2 s) allows.",
        py_client(*(("ping",), ("sleep", 0.9)) * 2, ("ping",), ("sleep", 3.0), ("ping",), ("wait_closed",)),
        broken("idle-timeout", ended_by="proxy", hops=2),
        says="3 pings from the client",
    ),
    idle_timeout(
        "idle-timeout-then-late-data",
        "The client speaks again when nginx has closed after 2 s of silence: too late to have kept it open.",
        tunnel_client(
            ("ws", 1, "hello", {"mask": True}),
            ("frame_in",),
            ("sleep", 2.3),
            ("ws", 1, "too late", {"mask": True}),
            ("drain",),
        ),
        witness=times_out({"status": 101}),
    ),
    Scenario(
        name="idle-timeout-tls",
        family="session",
        row="T1",
        title="The idle timeout of a wss client: a close_notify and FIN on the client hop, FIN on the clear backend hop.",
        nginx=site(
            "ssl_certificate ../cert.pem;\nssl_certificate_key ../key.pem;",
            location("/ws", idle_after(1)),
            listen=f"{PROXY_FRONT}:443 ssl",
        ),
        backends=(py_backend(),),
        clients=(py_client(*WAITS, url=f"wss://{PROXY_FRONT}/ws"),),
        expect=expect(broken("idle-timeout", ended_by="proxy", close_code=None)),
        witness=times_out(),
        samples={"any": "idle-timeout-tls.pcapng"},
    ),
    Scenario(
        name="idle-timeout-in-front",
        family="session",
        row="T2",
        title="A balancer in front of nginx ends sessions after 2 s of silence; nginx just follows.",
        topology="chain",
        nginx=None,
        inner_nginx=site(location("/ws"), listen=f"{INNER_FRONT}:80"),
        backends=(py_backend(), relay(f"{PROXY_FRONT}:80", f"{INNER_FRONT}:80", idle=2)),
        clients=(py_client(*WAITS),),
        captures=("inner", "any"),
        expect=expect(
            Handshake(("ok", "broken"), (None, "idle-timeout-in-front"), ended_by="client", close_code=None, hops=2)
        ),
        views=(
            View(
                "both hosts",
                ("any", "inner"),
                expect(broken(("idle-timeout", "idle-timeout-in-front"), ended_by="proxy", hops=3)),
            ),
        ),
        witness=Witness(access=("101",), saw=({"close_code": 1006},), not_logged=(r"timed out",)),
    ),
    Scenario(
        name="idle-timeout-of-balancer",
        family="session",
        row="T2",
        title="A balancer that names itself in the request closes its connection to nginx after 2 s of silence.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(
            raw_client(
                handshake("/ws", "X-Forwarded-For: 198.51.100.7"),
                ("head",),
                ("ws", 1, "hello", {"mask": True}),
                ("frame_in",),
                ("sleep", 2.0),
                ("fin",),
                ("drain",),
            ),
        ),
        expect=expect(
            broken("idle-timeout-in-front", ended_by="client", close_code=None, hops=2),
            says="another proxy or balancer stands in front",
        ),
        witness=Witness(access=("101",), saw=({"status": 101},), not_logged=(r"timed out",)),
    ),
    Scenario(
        name="connection-vanished",
        family="session",
        row="T3",
        title="The client's network goes away without a word; what the backend sends is retransmitted in vain.",
        nginx=site(location("/ws")),
        backends=(tunnel_backend(("frame_in",), ("ws", 1, "hello"), ("sleep", 1.2), ("ws", 1, "are you there")),),
        clients=(py_client(("send", "hello"), ("recv",), ("sleep", 4.0), ("abort",)),),
        events=CUT_CLIENT,
        expect=expect(broken("connection-vanished", hops=2), allowed="network-loss"),
        witness=Witness(access=(), saw=({"status": 101},)),
        samples={"any": "connection-vanished.pcapng"},
    ),
    Scenario(
        name="connection-vanished-then-idle",
        family="session",
        row="T3",
        title="The same, and then proxy_read_timeout (2 s) ends it: with data unacknowledged this is no idle timeout.",
        nginx=site(location("/ws", idle_after(2))),
        backends=(tunnel_backend(("frame_in",), ("ws", 1, "hello"), ("sleep", 1.0), ("ws", 1, "are you there")),),
        clients=(py_client(("send", "hello"), ("recv",), ("sleep", 4.2), ("abort",)),),
        events=CUT_CLIENT,
        expect=expect(broken("connection-vanished", ended_by="proxy", hops=2), allowed="network-loss"),
        witness=Witness(access=("101",), logged=(TUNNEL_TIMEOUT,)),
    ),
    Scenario(
        name="silent-after-101",
        family="session",
        row="T9",
        title="After the 101 nobody ever speaks, until the timeout (1 s here).",
        nginx=site(location("/ws", idle_after(1))),
        backends=(py_backend(do="silent"),),
        clients=(py_client(("wait_closed",)),),
        expect=expect(
            broken(("silent-after-101", "idle-timeout"), ended_by="proxy", close_code=None, hops=2),
            required="silent-after-101",
        ),
        witness=times_out(),
    ),
    Scenario(
        name="client-not-reading",
        family="session",
        row="T13",
        title="The client stops reading: zero window, and after send_timeout (1 s here) nginx closes.",
        small_buffers=True,
        nginx=site(location("/ws"), "send_timeout 1s;"),
        backends=(tunnel_backend(("frame_in",), ("flood", 48, 1024)),),
        clients=(tunnel_client(("ws", 1, "more", {"mask": True}), ("sleep", 3.0), ("rst",), receive_buffer=4096),),
        expect=expect(
            broken("client-not-reading", ended_by="proxy", hops=2),
            allowed="cut-mid-frame",
            says="its send_timeout is 1 s",
        ),
        witness=Witness(access=("101",), logged=(CLIENT_TIMEOUT,)),
        samples={"any": "client-not-reading.pcapng"},
    ),
    Scenario(
        name="backend-not-reading",
        family="session",
        row="T14",
        title="The backend stops reading: zero window, and after proxy_send_timeout (1 s here) nginx closes.",
        small_buffers=True,
        nginx=site(location("/ws", UPGRADE + "\nproxy_send_timeout 1s;")),
        backends=(raw_backend((("head",), switching(), ("sleep", 3.0), ("rst",)), listen_buffer=4096),),
        clients=(tunnel_client(("flood", 48, 1024, {"mask": True}), ("sleep", 1.5)),),
        expect=expect(
            broken("backend-not-reading", ended_by="proxy", hops=2),
            allowed="cut-mid-frame",
            says="its proxy_send_timeout is 1 s",
        ),
        witness=Witness(access=("101",), logged=(TUNNEL_TIMEOUT,)),
    ),
    Scenario(
        name="network-loss",
        family="session",
        row="T18",
        title="Frames larger than 600 bytes never arrive at the client (a path-MTU black hole): small messages pass, a large one stalls.",
        nginx=site(location("/ws", idle_after(2))),
        rules=("c in ip length > 600 drop",),
        backends=(tunnel_backend(("frame_in",), ("ws", 1, "small"), ("frame_in",), ("ws", 1, "large " * 200)),),
        clients=(py_client(("send", "a"), ("recv",), ("send", "b"), ("sleep", 3.2), ("abort",)),),
        expect=expect(broken("network-loss", ended_by="proxy", hops=2), allowed="connection-vanished cut-mid-frame"),
        witness=times_out({"status": 101, "messages": 1}),
        samples={"any": "network-loss.pcapng"},
    ),
    Scenario(
        name="loss-recovered",
        family="healthy",
        row="T18",
        title="The first two large segments are lost and repeated: slower, but nothing is broken.",
        nginx=site(location("/ws")),
        rules=("c in ip length > 600 numgen inc mod 3 < 2 drop",),
        backends=(
            tunnel_backend(
                ("frame_in",), ("ws", 1, "large " * 200), ("frame_in",), ("ws", 8, "", {"hex": "03e8"}), ("fin",)
            ),
        ),
        clients=(py_client(),),
        expect=expect(ok(hops=2, close_code=1000)),
        witness=Witness(access=("101",), saw=({"status": 101, "close_code": 1000},)),
    ),
    Scenario(
        name="quiet-with-pings",
        family="healthy",
        row="T1",
        title="A quiet session that pings every 0.5 s outlives the timeout of 1 s three times over.",
        nginx=site(location("/ws", idle_after(1))),
        backends=(py_backend(),),
        clients=(py_client(("sleep", 3.2), ("close", 1000, ""), ping=0.5),),
        expect=expect(ok(hops=2, close_code=1000)),
        witness=Witness(access=("101",), saw=({"close_code": 1000},), not_logged=(r"timed out",)),
    ),
]
