"""The backend answers 101, or something like it, and the answer is wrong: rows H28 and H29."""

from __future__ import annotations

from model import Scenario, Witness, expect, failed
from nginx import location, site
from programs import node_client, py_client, raw_backend, switching

SCENARIOS = [
    Scenario(
        name="accept-mismatch",
        family="handshake",
        row="H28",
        title="The backend's 101 carries a Sec-WebSocket-Accept that does not belong to the key; the client leaves at once.",
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), switching("Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=", without="Sec-WebSocket-Accept"), ("drain",))),),
        clients=(node_client(),),
        expect=expect(failed("accept-mismatch", answered_by="backend", hops=2), allowed="closed-right-after-101"),
        witness=Witness(access=("101",), saw=({"error": "Invalid Sec-WebSocket-Accept header"},), not_logged=(r"\[error\]",)),
        samples={"any": "accept-mismatch.pcapng"},
        lesson="nginx does not check a 101 and logs nothing.",
    ),
    Scenario(
        name="accept-missing",
        family="handshake",
        row="H28",
        title="The backend's 101 has no Sec-WebSocket-Accept.",
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), switching(without="Sec-WebSocket-Accept"), ("drain",))),),
        clients=(py_client(),),
        expect=expect(failed("accept-missing", answered_by="backend", hops=2), allowed="closed-right-after-101"),
        witness=Witness(access=("101",), saw=({"error": "Accept"},), not_logged=(r"\[error\]",)),
    ),
]
