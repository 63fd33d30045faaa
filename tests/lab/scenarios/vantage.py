"""The same stories seen from elsewhere: one interface, two files, loopback, IPv6, cut frames, a late start."""

from __future__ import annotations

from model import BACKEND_6, PROXY_FRONT_6, Scenario, View, Witness, broken, expect, failed, ok
from nginx import MAP, UPGRADE, location, server, site, upstream
from programs import node_client, py_backend, py_client
from scenarios.forwarding import ANSWERS, LOST
from scenarios.healthy import FINE

ONE_SIDED = expect(
    failed("upgrade-not-forwarded", hops=1), required="connection-not-forwarded client-hop-not-seen", allowed=ANSWERS
)

SCENARIOS = [
    Scenario(
        name="two-files",
        family="capture",
        row="H1",
        title="Upgrade is not forwarded, captured apart on nginx's two interfaces.",
        nginx=site(location("/ws", "proxy_http_version 1.1;")),
        backends=(py_backend(),),
        clients=(py_client(),),
        captures=("any", "front.pcap", "back.pcap"),
        expect=LOST,
        views=(
            View("both files", ("front.pcap", "back.pcap"), LOST),
            View("backend only", ("back.pcap",), ONE_SIDED),
            View(
                "client only",
                ("front.pcap",),
                expect(failed("upgrade-required", hops=1), required="backend-hop-not-seen"),
            ),
        ),
        witness=Witness(access=("426",), saw=({"status": 426},)),
        samples={"front.pcap": "front.pcap", "back.pcap": "backend.pcap"},
        lesson="The backend side alone proves the fault: its request has the key but no Upgrade.",
    ),
    Scenario(
        name="loopback",
        family="capture",
        row="",
        title="Client, nginx and backend on one host: everything on `lo`.",
        topology="loopback",
        nginx="\n".join((MAP, upstream("127.0.0.2:8080"), server(location("/ws"), listen="127.0.0.1:80"))),
        backends=(py_backend("127.0.0.2:8080"),),
        clients=(py_client(url="ws://127.0.0.1/ws"),),
        captures=("lo", "any"),
        expect=FINE,
        views=(View("any", ("any",), FINE),),
        witness=Witness(access=("101",), saw=({"status": 101, "close_code": 1000},)),
        samples={"lo": "healthy-loopback.pcapng"},
    ),
    Scenario(
        name="loopback-not-forwarded",
        family="capture",
        row="H1",
        title="The same with Upgrade lost.",
        topology="loopback",
        nginx="\n".join((MAP, upstream("127.0.0.2:8080"), server(location("/ws", ""), listen="127.0.0.1:80"))),
        backends=(py_backend("127.0.0.2:8080"),),
        clients=(py_client(url="ws://127.0.0.1/ws"),),
        captures=("lo.pcap",),
        expect=LOST,
    ),
    Scenario(
        name="ipv6",
        family="capture",
        row="",
        title="Both hops over IPv6.",
        topology="hosts6",
        nginx="\n".join((MAP, upstream(f"[{BACKEND_6}]:8080"), server(location("/ws"), listen=f"[{PROXY_FRONT_6}]:80"))),
        backends=(py_backend(f"{BACKEND_6}:8080"),),
        clients=(py_client(url=f"ws://[{PROXY_FRONT_6}]/ws"),),
        expect=FINE,
        witness=Witness(access=("101",), saw=({"status": 101, "close_code": 1000},)),
        samples={"any": "healthy-ipv6.pcapng"},
    ),
    Scenario(
        name="idle-timeout-two-files",
        family="capture",
        row="T1",
        title="The idle timeout, captured apart on nginx's two interfaces.",
        nginx=site(location("/ws", UPGRADE + "\nproxy_read_timeout 1s;")),
        backends=(py_backend(),),
        clients=(py_client(("send", "hello"), ("recv",), ("wait_closed",)),),
        captures=("front", "back"),
        expect=expect(broken("idle-timeout", ended_by="proxy", hops=1)),
        views=(View("both files", ("front", "back"), expect(broken("idle-timeout", ended_by="proxy", hops=2))),),
        witness=Witness(logged=(r"\[info\].*upstream timed out .* while proxying upgraded connection",), saw=({"close_code": 1006},)),
    ),
]
