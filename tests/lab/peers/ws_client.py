"""A client on Python `websockets`: `ws_client.py URL JSON`; prints what it saw as one JSON line.

Settings: `headers`, `origin`, `subprotocols`, `compress` (true, or the parameters of permessage-deflate), `ping` (seconds), `timeout` of the opening, `steps`:
["send", TEXT], ["send_bytes", N], ["recv"], ["sleep", S], ["ping"], ["close", CODE, REASON], ["wait_closed"],
["abort"] (reset), ["eof"] (FIN without a Close frame).
"""

import asyncio
import json
import socket
import ssl
import struct
import sys

import websockets
from websockets.extensions.permessage_deflate import ClientPerMessageDeflateFactory


def status_of(error):
    """The HTTP status behind a refusal, if there was one."""
    return getattr(error, "status_code", None)


async def play(ws, steps, saw):
    for step in steps:
        what, args = step[0], step[1:]
        if what == "send":
            await ws.send(args[0])
        elif what == "send_bytes":
            await ws.send(b"x" * args[0])
        elif what == "recv":
            message = await ws.recv()
            saw["messages"] += 1
            saw["last"] = message[:80] if isinstance(message, str) else len(message)
        elif what == "sleep":
            await asyncio.sleep(args[0])
        elif what == "ping":
            await (await ws.ping())
        elif what == "close":
            await ws.close(*args)
        elif what == "wait_closed":
            await ws.wait_closed()
        elif what == "eof":
            ws.transport.close()
        elif what == "abort":
            sock = ws.transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            ws.transport.abort()


async def main():
    url, setting = sys.argv[1], json.loads(sys.argv[2])
    saw = {"status": None, "close_code": None, "error": None, "messages": 0}
    options = {
        "extra_headers": setting.get("headers"),
        "origin": setting.get("origin"),
        "subprotocols": setting.get("subprotocols"),
        "compression": "deflate" if setting.get("compress") is True else None,
        "extensions": [ClientPerMessageDeflateFactory(**setting["compress"])]
        if isinstance(setting.get("compress"), dict)
        else None,
        "open_timeout": setting.get("timeout", 8),
        "ping_interval": setting.get("ping"),
        "close_timeout": 2,
    }
    if url.startswith("wss:"):
        context = ssl.create_default_context(cafile=setting.get("ca"))
        context.check_hostname = "ca" in setting
        if "ca" not in setting:
            context.verify_mode = ssl.CERT_NONE
        if setting.get("certificate"):
            context.load_cert_chain("cert.pem", "key.pem")
        if "keylog" in setting:
            context.keylog_filename = setting["keylog"]
        if "tls_max" in setting:
            context.maximum_version = ssl.TLSVersion[setting["tls_max"]]
        if "alpn" in setting:
            context.set_alpn_protocols(setting["alpn"])
        if "verify" in setting:
            context.check_hostname, context.verify_mode = False, ssl.CERT_REQUIRED
        options["ssl"] = context
        options["server_hostname"] = setting.get("sni", "lab.example")
    ws = None
    try:
        ws = await websockets.connect(url, **options)
        saw["status"] = 101
        saw["subprotocol"] = ws.subprotocol
        saw["extensions"] = [extension.name for extension in ws.extensions]
        await play(ws, setting.get("steps", []), saw)
    except Exception as error:  # Whatever goes wrong is what the client saw.
        saw["error"] = f"{type(error).__name__}: {error}"
        saw["status"] = saw["status"] or status_of(error)
    if ws is not None:
        saw["close_code"], saw["close_reason"] = ws.close_code, ws.close_reason
    print(json.dumps(saw), flush=True)


asyncio.run(main())
