"""What ends a session after the 101: rows T1 to T10."""

from __future__ import annotations

from model import Scenario, Witness, broken, expect, ok
from nginx import UPGRADE, location, site
from programs import node_backend, node_client, py_backend, py_client, raw_backend, switching

IDLE = UPGRADE + "\nproxy_read_timeout 2s;"

SCENARIOS = [
    Scenario(
        name="idle-timeout",
        family="session",
        row="T1",
        title="Nobody speaks for proxy_read_timeout (2 s here): nginx closes both hops, with FIN and without a Close frame.",
        nginx=site(location("/ws", IDLE)),
        backends=(py_backend(),),
        clients=(py_client(("send", "hello"), ("recv",), ("wait_closed",)),),
        expect=expect(broken("idle-timeout", ended_by="proxy", close_code=None, hops=2)),
        witness=Witness(
            logged=(r"\[info\].*upstream timed out \(110: Connection timed out\) while proxying upgraded connection",),
            not_logged=(r"\[error\]",),
            access=("101",),
            saw=({"status": 101, "close_code": 1006},),
        ),
        samples={"any": "idle-timeout.pcapng"},
        lesson="At the default log level nginx says nothing of it.",
    ),
    Scenario(
        name="backend-closed-without-close",
        family="session",
        row="T5",
        title="The backend ends the TCP connection without a Close frame.",
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), switching(), ("frame_in",), ("ws", 1, "working on it"), ("sleep", 0.3), ("fin",), ("drain",))),),
        clients=(py_client(("send", "hello"), ("recv",), ("wait_closed",)),),
        expect=expect(broken("backend-closed-without-close", ended_by="backend", close_code=None, hops=2)),
        witness=Witness(not_logged=(r"\[error\]",), access=("101",), saw=({"status": 101, "close_code": 1006},)),
        samples={"any": "backend-closed-without-close.pcapng"},
        lesson="No error log line at any level tells this.",
    ),
    Scenario(
        name="backend-reset",
        family="session",
        row="T6",
        title="The backend resets the connection in mid-session.",
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), switching(), ("frame_in",), ("ws", 1, "working on it"), ("sleep", 0.3), ("rst",))),),
        clients=(py_client(("send", "hello"), ("recv",), ("wait_closed",)),),
        expect=expect(broken("backend-reset", ended_by="backend", close_code=None, hops=2)),
        witness=Witness(
            logged=(r"\[error\].*recv\(\) failed \(104: Connection reset by peer\) while proxying upgraded connection",),
            access=("101",),
            saw=({"close_code": 1006},),
        ),
        samples={"any": "backend-reset.pcapng"},
    ),
    Scenario(
        name="client-left",
        family="session",
        row="T7",
        title="The client ends the TCP connection without a Close frame.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(py_client(("send", "hello"), ("recv",), ("eof",)),),
        expect=expect(ok(ended_by="client", close_code=None, hops=2), required="client-left"),
        witness=Witness(not_logged=(r"\[error\]",), access=("101",), saw=({"status": 101},)),
        samples={"any": "client-left.pcapng"},
    ),
    Scenario(
        name="client-reset",
        family="session",
        row="T7",
        title="The client resets the connection in mid-session.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(py_client(("send", "hello"), ("recv",), ("abort",)),),
        expect=expect(broken("client-reset", ended_by="client", close_code=None, hops=2)),
        witness=Witness(
            logged=(r"\[info\].*recv\(\) failed \(104: Connection reset by peer\) while proxying upgraded connection",),
            not_logged=(r"\[error\]",),
            access=("101",),
        ),
    ),
]
