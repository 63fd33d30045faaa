"""wss read with a key log, one scenario for each thing that TLS can negotiate: all is well in every one of them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import tls
from model import PROXY_FRONT, Expect, Peer, Scenario, Witness, expect, ok
from nginx import location, site
from programs import (
    KEY,
    handshake,
    node_backend,
    node_client,
    py_backend,
    py_client,
    raw_client,
    s_client,
)

TLS = f"{PROXY_FRONT}:443 ssl"
WSS = f"wss://{PROXY_FRONT}/ws"
KEYS = "keys.log"
"""The key log that clients write."""

JOINED = {"roles": "client-proxy proxy-backend", "paired_by": ("sec-websocket-key", "bytes")}
"""Both hops were read: the client's key is in the request on either, or even what came after the 101 is the same."""
FINE = ok(answered_by="backend", hops=2, close_code=1000, status=101, messages="1 1", **JOINED)
CLEAN = Witness(access=("101",), saw=({"status": 101, "close_code": 1000},), not_logged=(r"\[error\]",))
CAME_BACK = Witness(access=("101", "101"), saw=({"close_code": 1000, "resumed": 1},))
TLS_13 = "ssl_protocols TLSv1.3;"
"""nginx 1.22 speaks up to TLS 1.2 unless told otherwise."""
MASKED_CLOSE = "888237fa213d3412"
"""A client's Close frame with code 1000."""
MASKED_HELLO = "818537fa213d5f9f4d5158"
"""A client's text frame `hello`."""


def reads_well(name: str, title: str, *directives: str, **more: Any) -> Scenario:
    """A session over wss, all of it read."""
    return Scenario(
        name=f"keys-{name}",
        family="tls",
        row="",
        title=title,
        nginx=site(more.pop("certificate", tls.SERVER), *directives, location("/ws"), listen=TLS),
        backends=more.pop("backends", (py_backend(),)),
        clients=more.pop("clients", (py_client(url=WSS, keylog=KEYS),)),
        keys=(KEYS,),
        expect=more.pop("expect", expect(FINE, decrypted="yes")),
        witness=more.pop("witness", CLEAN),
        **more,
    )


def suite(name: str, cipher: str, *directives: str, **more: Any) -> Scenario:
    """TLS 1.2 with one cipher suite."""
    chosen = (f"ssl_protocols TLSv1.2;\nssl_ciphers {cipher};", *directives)
    witness = replace(CLEAN, accessed=(f"TLSv1.2 {cipher}\n",))
    return reads_well(f"tls12-{name}", f"TLS 1.2 with {cipher}.", *chosen, witness=witness, **more)


def suite_of_13(name: str, cipher: str) -> Scenario:
    """TLS 1.3 with one cipher suite."""
    chosen = f"{TLS_13}\nssl_conf_command Ciphersuites {cipher};"
    witness = replace(CLEAN, accessed=(f"TLSv1.3 {cipher}\n",))
    return reads_well(f"tls13-{name}", f"TLS 1.3 with {cipher}.", chosen, witness=witness)


def written(request: tuple) -> str:
    """A request as it is sent."""
    return "".join(f"{line}\r\n" for line in request[1:]) + "\r\n"


def scripted(*steps: tuple, **setting: Any) -> Peer:
    """`openssl s_client` that opens a session, does these steps and closes."""
    return s_client(
        ("send", written(handshake())), ("until", "101 Switching"), *steps, ("hex", MASKED_CLOSE), **setting
    )


def twice() -> Expect:
    """Two sessions, one after the other."""
    return expect(FINE, FINE, decrypted="yes yes")


WITHOUT_ETM = "ssl_conf_command Options -EncryptThenMac;"
ONE_MEGABYTE = 1_000_000

SCENARIOS = [
    reads_well("by-default", "What nginx 1.22 and Python agree on by default, which is TLS 1.2."),
    suite_of_13("aes128", "TLS_AES_128_GCM_SHA256"),
    suite_of_13("aes256", "TLS_AES_256_GCM_SHA384"),
    suite_of_13("chacha20", "TLS_CHACHA20_POLY1305_SHA256"),
    suite("aes128-gcm", "ECDHE-ECDSA-AES128-GCM-SHA256"),
    suite("aes256-gcm", "ECDHE-ECDSA-AES256-GCM-SHA384"),
    suite("chacha20", "ECDHE-ECDSA-CHACHA20-POLY1305"),
    suite("aes128-cbc-sha", "ECDHE-ECDSA-AES128-SHA"),
    suite("aes256-cbc-sha", "ECDHE-ECDSA-AES256-SHA"),
    suite("aes128-cbc-sha256", "ECDHE-ECDSA-AES128-SHA256"),
    suite("aes256-cbc-sha384", "ECDHE-ECDSA-AES256-SHA384"),
    suite("aes128-cbc-sha-mac-first", "ECDHE-ECDSA-AES128-SHA", WITHOUT_ETM),
    suite("aes128-cbc-sha256-mac-first", "ECDHE-ECDSA-AES128-SHA256", WITHOUT_ETM),
    suite("aes256-cbc-sha384-mac-first", "ECDHE-ECDSA-AES256-SHA384", WITHOUT_ETM),
    suite("rsa-aes128-gcm", "ECDHE-RSA-AES128-GCM-SHA256", certificate=tls.RSA),
    suite(
        "rsa-key-exchange",
        "AES128-GCM-SHA256",
        certificate=tls.RSA,
        clients=(node_client(url=WSS, keylog=KEYS),),
    ),
    suite(
        "rsa-key-exchange-cbc",
        "AES256-SHA256",
        certificate=tls.RSA,
        clients=(node_client(url=WSS, keylog=KEYS, ciphers="AES256-SHA256"),),
    ),
    reads_well(
        "retry-request",
        "nginx takes one curve only, for which the client sent no share: HelloRetryRequest.",
        f"{TLS_13}\nssl_ecdh_curve secp384r1;",
    ),
    reads_well(
        "resumed-tls13",
        "node comes back with the ticket of its first session (TLS 1.3).",
        TLS_13,
        clients=(node_client(url=WSS, keylog=KEYS, times=2),),
        expect=twice(),
        witness=CAME_BACK,
    ),
    reads_well(
        "resumed-tls12",
        "node comes back with the ticket of its first session (TLS 1.2).",
        "ssl_protocols TLSv1.2;",
        clients=(node_client(url=WSS, keylog=KEYS, times=2),),
        expect=twice(),
        witness=CAME_BACK,
    ),
    reads_well(
        "resumed-by-id",
        "node comes back with the session id of its first session (TLS 1.2, no tickets).",
        "ssl_protocols TLSv1.2;\nssl_session_tickets off;\nssl_session_cache shared:SSL:1m;",
        clients=(node_client(url=WSS, keylog=KEYS, times=2),),
        expect=twice(),
        witness=CAME_BACK,
    ),
    reads_well(
        "key-update-of-client",
        "The client changes its keys in mid-session.",
        TLS_13,
        clients=(scripted(("key_update",), ("hex", MASKED_HELLO), ("until", "hello"), keylog=KEYS),),
        witness=Witness(access=("101",), saw=({"status": 101, "error": None, "key_updates": 1},)),
    ),
    reads_well(
        "key-updates",
        "The client makes both sides change their keys, twice.",
        TLS_13,
        backends=(node_backend(),),
        clients=(
            scripted(
                ("key_updates",),
                ("hex", MASKED_HELLO),
                ("until", "hello"),
                ("key_updates",),
                ("sleep", 0.1),
                keylog=KEYS,
            ),
        ),
        witness=Witness(access=("101",), saw=({"status": 101, "error": None, "key_updates": 2},)),
    ),
    reads_well(
        "early-data",
        "The client comes back with a ticket and sends its request as early data (0-RTT).",
        f"{TLS_13}\nssl_early_data on;",
        clients=(
            s_client(
                ("until", "101 Switching"),
                ("hex", MASKED_HELLO),
                ("until", "hello"),
                ("hex", MASKED_CLOSE),
                keylog=KEYS,
                early=written(handshake()),
            ),
        ),
        # The connection that fetched the ticket carried no data.
        expect=expect(FINE),
        witness=Witness(access=("101",), saw=({"status": 101, "error": None, "early": True},)),
    ),
    reads_well(
        "client-certificate",
        "nginx wants a certificate of the client and gets one (TLS 1.3).",
        f"{TLS_13}\nssl_verify_client on;\nssl_client_certificate ../ca.pem;",
        clients=(py_client(url=WSS, keylog=KEYS, certificate=True),),
    ),
    reads_well(
        "deflated",
        "permessage-deflate inside TLS 1.3.",
        TLS_13,
        backends=(node_backend(deflate=True),),
        clients=(node_client(url=WSS, keylog=KEYS, deflate=True),),
    ),
    reads_well(
        "large-messages",
        "A message of a megabyte there and back: many full records of TLS 1.3.",
        TLS_13,
        backends=(py_backend(),),
        clients=(py_client(("send_bytes", ONE_MEGABYTE), ("recv",), ("close", 1000, "bye"), url=WSS, keylog=KEYS),),
    ),
    reads_well(
        "large-messages-cbc",
        "A message of a megabyte there and back in records of TLS 1.2 with CBC.",
        "ssl_protocols TLSv1.2;\nssl_ciphers ECDHE-ECDSA-AES128-SHA;",
        clients=(py_client(("send_bytes", ONE_MEGABYTE), ("recv",), ("close", 1000, "bye"), url=WSS, keylog=KEYS),),
    ),
    reads_well(
        "small-records",
        "nginx writes records of 512 bytes at most (TLS 1.3).",
        f"{TLS_13}\nssl_buffer_size 512;",
        clients=(py_client(("send_bytes", 3000), ("recv",), ("close", 1000, "bye"), url=WSS, keylog=KEYS),),
    ),
    reads_well(
        "padded-records",
        "The client pads its records to 512 bytes (RFC 8446 5.4).",
        TLS_13,
        clients=(scripted(("hex", MASKED_HELLO), ("until", "hello"), options=("-record_padding", "512"), keylog=KEYS),),
        witness=Witness(access=("101",), saw=({"status": 101, "error": None},)),
    ),
    reads_well(
        "byte-by-byte",
        "The client sends its request byte by byte, a record for each.",
        clients=(
            raw_client(
                ("tls_client", {"keylog": KEYS}),
                ("slowly", written(handshake(key=KEY)), 0.001),
                ("head",),
                ("ws", 1, "hello", {"mask": True}),
                ("frame_in",),
                ("ws", 8, "", {"mask": True, "hex": "03e8"}),
                ("frame_in",),
                ("drain",),
                to=f"{PROXY_FRONT}:443",
            ),
        ),
    ),
]
