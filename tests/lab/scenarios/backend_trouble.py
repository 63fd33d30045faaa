"""nginx cannot get an answer from the backend: rows H18 to H26."""

from __future__ import annotations

from model import Scenario, Witness, expect, failed
from nginx import UPGRADE, location, site
from programs import node_client, py_client, raw_backend

QUICK = UPGRADE + "\nproxy_connect_timeout 2s;\nproxy_read_timeout 1s;"

SCENARIOS = [
    Scenario(
        name="backend-refused",
        family="handshake",
        row="H18",
        title="Nothing listens on the backend's port: its host answers the SYN with RST, nginx answers 502.",
        nginx=site(location("/ws")),
        clients=(node_client(),),
        expect=expect(failed("backend-refused", answered_by="proxy"), allowed="bad-gateway"),
        witness=Witness(logged=(r"\[error\].*connect\(\) failed \(111: Connection refused\) while connecting to upstream",), access=("502",), saw=({"status": 502},)),
        samples={"any": "backend-refused.pcapng"},
    ),
    Scenario(
        name="backend-connect-timeout",
        family="handshake",
        row="H19",
        title="A firewall drops nginx's SYNs; after proxy_connect_timeout (2 s here) nginx answers 504.",
        nginx=site(location("/ws", QUICK)),
        rules=("b in tcp dport 8080 drop",),
        clients=(node_client(),),
        expect=expect(failed("backend-connect-timeout", answered_by="proxy"), allowed="gateway-timeout"),
        witness=Witness(logged=(r"\[error\].*upstream timed out \(110: Connection timed out\) while connecting to upstream",), access=("504",), saw=({"status": 504},)),
        samples={"any": "backend-connect-timeout.pcapng"},
    ),
    Scenario(
        name="backend-closed-early",
        family="handshake",
        row="H21",
        title="The backend reads the request and closes without an answer.",
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), ("fin",))),),
        clients=(node_client(),),
        expect=expect(failed("backend-closed-early", answered_by="proxy", hops=2), allowed="bad-gateway"),
        witness=Witness(logged=(r"upstream prematurely closed connection while reading response header from upstream",), access=("502",), saw=({"status": 502},)),
        samples={"any": "backend-closed-early.pcapng"},
    ),
    Scenario(
        name="backend-reset-early",
        family="handshake",
        row="H22",
        title="The backend reads the request and resets the connection.",
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), ("rst",))),),
        clients=(node_client(),),
        expect=expect(failed("backend-reset-early", answered_by="proxy", hops=2), allowed="bad-gateway"),
        witness=Witness(logged=(r"recv\(\) failed \(104: Connection reset by peer\) while reading response header from upstream",), access=("502",), saw=({"status": 502},)),
        samples={"any": "backend-reset-early.pcapng"},
    ),
    Scenario(
        name="backend-timeout",
        family="handshake",
        row="H24",
        title="The backend takes the request and stays silent; after proxy_read_timeout (1 s here) nginx answers 504.",
        nginx=site(location("/ws", QUICK)),
        backends=(raw_backend((("head",), ("drain",))),),
        clients=(py_client(),),
        expect=expect(failed("backend-timeout", answered_by="proxy", hops=2), allowed="gateway-timeout"),
        witness=Witness(logged=(r"upstream timed out \(110: Connection timed out\) while reading response header from upstream",), access=("504",), saw=({"status": 504},)),
        samples={"any": "backend-timeout.pcapng"},
    ),
]
