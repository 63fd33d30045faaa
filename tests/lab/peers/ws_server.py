"""A backend on Python `websockets`: `ws_server.py HOST:PORT JSON`.

Settings: `origins` (list), `subprotocols` (list), `compress` (true, or the parameters of permessage-deflate), `do`: `echo` (default), `silent`,
`greet` (speaks first), `close` (closes with `code` and `reason` after the first message), `hold` (never reads),
`big` (sends `size` bytes after the first message); `same_origin`: true takes an Origin only if Host names its site; `http`: answer every handshake with this status instead; `tls`: speak TLS with cert.pem and key.pem of this folder,
`keylog`: and write its keys to this file.
"""

import asyncio
import http
import json
import logging
import ssl
import sys

import websockets
from websockets.extensions.permessage_deflate import ServerPerMessageDeflateFactory


async def main():
    host, _, port = sys.argv[1].rpartition(":")
    setting = json.loads(sys.argv[2])
    logging.basicConfig(level=logging.INFO, format="%(message)s", stream=sys.stdout)

    async def handler(ws):
        do = setting.get("do", "echo")
        try:
            if do == "greet":
                await ws.send("welcome")
            if do in ("silent", "hold"):
                await ws.wait_closed()
                return
            async for message in ws:
                if do == "close":
                    await ws.close(setting["code"], setting.get("reason", ""))
                    return
                await ws.send(b"x" * setting["size"] if do == "big" else message)
        except websockets.ConnectionClosed as closed:
            print("closed", closed, flush=True)

    async def answer(path, headers):
        if "http" in setting:
            status = http.HTTPStatus(setting["http"])
            return status, setting.get("headers", {}), status.phrase.encode() + b"\n"
        if "paths" in setting and path not in setting["paths"]:
            return http.HTTPStatus.NOT_FOUND, {}, b"no such path\n"
        site = headers.get("Origin", "").partition("://")[2]
        if setting.get("same_origin") and site != headers["Host"]:
            return http.HTTPStatus.FORBIDDEN, {}, b"of another origin\n"
        return None

    options = {
        "origins": setting.get("origins"),
        "subprotocols": setting.get("subprotocols"),
        "compression": "deflate" if setting.get("compress") is True else None,
        "extensions": [ServerPerMessageDeflateFactory(**setting["compress"])]
        if isinstance(setting.get("compress"), dict)
        else None,
        "process_request": answer,
        "ping_interval": setting.get("ping"),
        "max_size": setting.get("max_size", 2**20),
        "close_timeout": 1,
    }
    if setting.get("tls"):
        options["ssl"] = context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
        context.load_cert_chain("cert.pem", "key.pem")
        context.keylog_filename = setting["keylog"]
    async with websockets.serve(handler, host.strip("[]"), int(port), **options):
        print("ready", flush=True)
        await asyncio.Future()


asyncio.run(main())
