"""Traffic with nothing wrong in it: no finding of severity warning or above may appear."""

from __future__ import annotations

from model import Scenario, Witness, expect, ok
from nginx import NEW_DEFAULTS, UPGRADE, location, site, upstream
from programs import PROXY_FRONT, curl, node_backend, node_client, py_backend, py_client

FINE = expect(ok(answered_by="backend", hops=2, close_code=1000, status=101))

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
        witness=Witness(access=("101",), saw=({"status": 101, "close_code": 1000, "messages": 1},), not_logged=(r"\[error\]",)),
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
        witness=Witness(access=("101",), saw=({"status": 101, "close_code": 1000, "messages": 1},)),
        samples={"any.pcap": "healthy-deflate.pcap"},
    ),
    Scenario(
        name="healthy-keepalive",
        family="healthy",
        row="",
        title="An ordinary request, then a handshake that rides the same kept-alive backend connection (new nginx defaults).",
        nginx=site(location("/", NEW_DEFAULTS), location("/ws"), up=upstream(keepalive=32)),
        backends=(node_backend(),),
        clients=(curl(f"http://{PROXY_FRONT}/"), node_client()),
        expect=FINE,
        witness=Witness(access=("200", "101"), saw=({"status": 200}, {"status": 101, "close_code": 1000})),
        samples={"any": "healthy-keepalive.pcapng"},
        lesson="Requests are paired, not connections.",
    ),
    Scenario(
        name="plain-http",
        family="healthy",
        row="",
        title="Ordinary HTTP only: two requests and an upload, no handshake at all.",
        nginx=site(location("/", NEW_DEFAULTS), up=upstream(keepalive=32)),
        backends=(node_backend(),),
        clients=(curl(f"http://{PROXY_FRONT}/", f"http://{PROXY_FRONT}/again"), curl("-d", "name=value", f"http://{PROXY_FRONT}/form")),
        expect=expect(),
        witness=Witness(access=("200", "200", "200"), saw=({"status": 200}, {"status": 200})),
        samples={"any": "plain-http.pcapng"},
    ),
]
