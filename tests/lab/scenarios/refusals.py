"""The handshake arrives and is refused: rows H7 to H15, H17 and H27."""

from __future__ import annotations

from model import Scenario, Witness, expect, failed
from nginx import UPGRADE, location, site
from programs import handshake, node_backend, node_client, py_backend, py_client, raw_client

SCENARIOS = [
    Scenario(
        name="origin-host-mismatch",
        family="handshake",
        row="H7",
        title="nginx sends `Host: bk` (the upstream's name); the backend compares it with Origin and answers 403.",
        nginx=site(location("/ws")),
        backends=(py_backend(origins=["http://bk"]),),
        clients=(py_client(origin="http://192.168.50.1"),),
        expect=expect(failed("origin-host-mismatch", answered_by="backend", hops=2), allowed="forbidden"),
        witness=Witness(access=("403",), saw=({"status": 403},)),
        samples={"any": "origin-host-mismatch.pcapng"},
        lesson="`proxy_set_header Host $http_host;` keeps what the browser sent.",
    ),
    Scenario(
        name="not-found",
        family="handshake",
        row="H9",
        title="No location fits `/ws`: nginx itself answers 404 and never asks the backend.",
        nginx=site(location("/socket")),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(failed("not-found", answered_by="proxy", hops=1), allowed="backend-not-contacted"),
        witness=Witness(logged=(r"open\(\) .* failed \(2:",), access=("404",), saw=({"status": 404},)),
        samples={"any": "not-found.pcapng"},
    ),
    Scenario(
        name="unauthorized",
        family="handshake",
        row="H11",
        title="nginx asks for a password (auth_basic) that the WebSocket client does not send.",
        nginx=site(location("/ws", UPGRADE + '\nauth_basic "lab";\nauth_basic_user_file /dev/null;')),
        backends=(py_backend(),),
        clients=(node_client(),),
        expect=expect(failed("unauthorized", answered_by="proxy", hops=1), allowed="backend-not-contacted"),
        witness=Witness(access=("401",), saw=({"status": 401},)),
        samples={"any": "unauthorized.pcapng"},
    ),
    Scenario(
        name="unauthorized-by-backend",
        family="handshake",
        row="H11",
        title="The backend wants a token in the query and answers 401.",
        nginx=site(location("/ws")),
        backends=(node_backend(token="s3cret"),),
        clients=(node_client(),),
        expect=expect(failed("unauthorized", answered_by="backend", hops=2)),
        witness=Witness(access=("401",), saw=({"status": 401},)),
    ),
]
