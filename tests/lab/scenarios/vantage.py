"""The same stories seen from elsewhere: one interface, two files, loopback, IPv6, cut frames, a late start."""

from __future__ import annotations

from model import (
    BACKEND_6,
    INNER_FRONT,
    PROXY_FRONT_6,
    Event,
    Scenario,
    View,
    Witness,
    broken,
    expect,
    expect_findings,
    failed,
    ok,
)
from nginx import MAP, UPGRADE, location, server, site, upstream
from programs import node_backend, node_client, py_backend, py_client, wire
from scenarios.forwarding import ANSWERS, LOST
from scenarios.healthy import CLEAN, FINE

TWICE_FINE = expect(*FINE.handshakes * 2)
WITH_DUPLICATES = expect(*FINE.handshakes, required="capture-duplicates", allowed="capture-duplicates")
WITH_OFFSET = expect(*FINE.handshakes, required="clock-offset", allowed="clock-offset")
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
        nginx="\n".join(
            (MAP, upstream(f"[{BACKEND_6}]:8080"), server(location("/ws"), listen=f"[{PROXY_FRONT_6}]:80"))
        ),
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
        expect=expect(broken("idle-timeout", ended_by=("proxy", None), hops=1)),
        views=(View("both files", ("front", "back"), expect(broken("idle-timeout", ended_by="proxy", hops=2))),),
        witness=Witness(
            logged=(r"\[info\].*upstream timed out .* while proxying upgraded connection",), saw=({"close_code": 1006},)
        ),
    ),
    Scenario(
        name="every-vantage-point",
        family="capture",
        row="",
        title="One handshake captured on the client, on nginx's interfaces and on the backend: four files, two hops.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(py_client(),),
        captures=("any", "client", "front", "back", "backend"),
        expect=FINE,
        views=(
            View("all files", ("client", "front", "back", "backend"), FINE),
            View("any and front", ("any", "front"), FINE),
            View("any and front in one file", ("any", "front"), WITH_DUPLICATES, merged=True),
            View("backend's clock ahead", ("client", "backend"), WITH_OFFSET, clock_ahead=37.5),
            View("backend's clock behind", ("client", "backend"), WITH_OFFSET, clock_ahead=-7200.25),
            View("outer ends", ("client", "backend"), FINE),
            View("client only", ("client",), expect(ok(hops=1, close_code=1000))),
            View("backend only", ("backend",), expect(ok(hops=1, close_code=1000))),
        ),
        witness=CLEAN,
    ),
    Scenario(
        name="chain-healthy",
        family="capture",
        row="",
        title="Two proxies on two hosts, both in order: three hops.",
        topology="chain",
        nginx=site(location("/"), up=upstream(f"{INNER_FRONT}:80")),
        inner_nginx=site(location("/"), listen=f"{INNER_FRONT}:80"),
        backends=(py_backend(),),
        clients=(py_client(),),
        captures=("any", "inner"),
        expect=FINE,
        views=(View("both hosts", ("any", "inner"), expect(ok(answered_by="backend", hops=3, close_code=1000))),),
        witness=Witness(saw=({"status": 101, "close_code": 1000},)),
    ),
    Scenario(
        name="mid-stream",
        family="capture",
        row="",
        title="The capture starts after the 101: frames are there, no handshake is.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(
            py_client(
                ("send", "hello"),
                ("recv",),
                ("sleep", 1.8),
                ("send", "again"),
                ("recv",),
                ("send", "and again"),
                ("recv",),
                ("close", 1000, "bye"),
            ),
        ),
        capture_first=False,
        events=(Event(0.6, "capture-start"),),
        expect=expect_findings("capture-mid-stream", "capture-mid-stream"),
        witness=CLEAN,
        samples={"any": "mid-stream.pcapng"},
    ),
    Scenario(
        name="truncated",
        family="capture",
        row="H1",
        title="Only 96 bytes of every frame were kept: what lies behind is unknown, not missing.",
        nginx=site(location("/ws", "proxy_http_version 1.1;")),
        backends=(py_backend(),),
        clients=(py_client(),),
        snaplen=96,
        expect=expect_findings("capture-truncated", "capture-truncated"),
        witness=Witness(access=("426",), saw=({"status": 426},)),
        samples={"any": "truncated.pcapng"},
    ),
    Scenario(
        name="unix-socket-not-forwarded",
        family="capture",
        row="H1",
        title="Upgrade is not forwarded to a unix socket: nothing certain can be said about what nginx sent.",
        nginx=site(location("/ws", "proxy_http_version 1.1;"), up=upstream("unix:backend.sock")),
        backends=(node_backend("unix:backend.sock", plain=426),),
        clients=(node_client(),),
        expect=expect(failed("upgrade-required", hops=1), required="backend-hop-not-seen"),
        witness=Witness(access=("426",), saw=({"status": 426},)),
    ),
    Scenario(
        name="many-clients",
        family="capture",
        row="",
        title="Five clients at once on one proxy.",
        nginx=site(location("/ws")),
        backends=(node_backend(),),
        clients=tuple(node_client(background=True) for _ in range(5)),
        expect=expect(*(ok(answered_by="backend", hops=2, close_code=1000) for _ in range(5))),
        witness=Witness(access=("101",) * 5, saw=({"status": 101, "close_code": 1000},) * 5),
    ),
    Scenario(
        name="one-direction",
        family="capture",
        row="H1",
        title="The capture filter kept requests only: nobody can say what was answered, but Upgrade was lost.",
        nginx=site(location("/ws", "proxy_http_version 1.1;")),
        backends=(py_backend(),),
        clients=(py_client(),),
        capture_filter="dst port 80 or dst port 8080",
        expect=expect_findings(
            "upgrade-not-forwarded capture-one-sided", "connection-not-forwarded capture-one-sided capture-gap"
        ),
        witness=Witness(access=("426",), saw=({"status": 426},)),
        samples={"any": "one-direction.pcapng"},
    ),
    *(
        Scenario(
            name=f"wire-{name}",
            family="capture",
            row="",
            title=f"Messages of several segments over a wire that {does}: TCP repairs it, and nothing else is wrong.",
            topology="wire",
            nginx=site(location("/ws")),
            backends=(py_backend(), wire(**setting)),
            clients=(
                py_client(*(("send_bytes", 9000), ("recv",)) * 6, ("close", 1000, "bye")),
                py_client(*(("send_bytes", 300), ("recv",)) * 10, ("close", 1000, "bye")),
            ),
            captures=("any", "client"),
            expect=TWICE_FINE,
            views=(
                View("client's host", ("client",), expect(*(ok(hops=1, close_code=1000),) * 2)),
                View("both", ("any", "client"), TWICE_FINE),
            ),
            witness=Witness(access=("101", "101"), saw=({"status": 101, "close_code": 1000},) * 2),
        )
        for name, does, setting in (
            ("loses", "loses every twelfth frame", {"loss": 0.08, "seed": 7}),
            ("doubles", "doubles every third frame", {"double": 0.33, "seed": 3}),
            ("reorders", "reorders every fourth frame", {"reorder": 0.25, "seed": 5}),
            (
                "does-it-all",
                "loses, doubles and reorders frames",
                {"loss": 0.04, "double": 0.15, "reorder": 0.15, "seed": 9},
            ),
        )
    ),
]
