"""TLS where it does not belong, and TLS that fails: rows H30 to H35."""

from __future__ import annotations

import tls
from model import INNER_FRONT, PROXY_FRONT, Scenario, Witness, expect, expect_findings, failed, ok
from nginx import UPGRADE, location, server, site, upstream
from programs import curl, py_backend, py_client, raw_backend

TLS = f"{PROXY_FRONT}:443 ssl"
WSS = f"wss://{PROXY_FRONT}/ws"


def to_tls_backend(
    name: str, row: str, title: str, directives: str, inner: str, code: str, logged: str, **more
) -> Scenario:
    """nginx speaking TLS to an inner nginx, in vain."""
    return Scenario(
        name=name,
        family="tls",
        row=row,
        title=title,
        topology="chain",
        nginx=site(location("/ws", f"{UPGRADE}\n{directives}", to="https://bk"), up=upstream(f"{INNER_FRONT}:443")),
        inner_nginx=site(inner, location("/ws"), listen=f"{INNER_FRONT}:443 ssl"),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(
            failed(code, answered_by="proxy"), allowed="bad-gateway tls-handshake-failed tls-name-unrecognized"
        ),
        witness=Witness(saw=({"status": 502},), logged=(logged,)),
        **more,
    )


SCENARIOS = [
    Scenario(
        name="tls-healthy",
        family="tls",
        row="",
        title="wss to nginx, clear text to the backend: the usual deployment, read without keys.",
        nginx=site(tls.SERVER, location("/ws"), listen=TLS),
        backends=(py_backend(),),
        clients=(py_client(url=WSS, ca="ca.pem"),),
        expect=expect(ok(close_code=1000)),
        witness=Witness(access=("101",), saw=({"status": 101, "close_code": 1000},)),
        samples={"any": "healthy-tls.pcapng"},
    ),
    Scenario(
        name="tls-upgrade-not-forwarded",
        family="tls",
        row="H1",
        title="wss to nginx, which drops Upgrade: the clear backend hop proves it.",
        nginx=site(tls.SERVER, location("/ws", "proxy_http_version 1.1;"), listen=TLS),
        backends=(py_backend(),),
        clients=(py_client(url=WSS),),
        expect=expect(failed("upgrade-not-forwarded"), required="connection-not-forwarded", allowed="upgrade-required"),
        witness=Witness(access=("426",), saw=({"status": 426},)),
        samples={"any": "tls-upgrade-not-forwarded.pcapng"},
    ),
    Scenario(
        name="plain-to-tls-port",
        family="tls",
        row="H30",
        title="A client speaks plain ws to the TLS port.",
        nginx=site(tls.SERVER, location("/ws"), listen=TLS),
        backends=(py_backend(),),
        clients=(py_client(url=f"ws://{PROXY_FRONT}:443/ws"),),
        expect=expect(
            failed("plain-to-tls-port", answered_by="proxy", hops=1), allowed="bad-request backend-not-contacted"
        ),
        witness=Witness(
            access=("400",), saw=({"status": 400},), logged=(r"\[info\].*client sent plain HTTP request to HTTPS port",)
        ),
        samples={"any": "plain-to-tls-port.pcapng"},
    ),
    Scenario(
        name="plain-to-tls-backend",
        family="tls",
        row="H30",
        title="`proxy_pass http` to a backend that speaks TLS: its 400 is relayed.",
        topology="chain",
        nginx=site(location("/ws"), up=upstream(f"{INNER_FRONT}:443")),
        inner_nginx=site(tls.SERVER, location("/ws"), listen=f"{INNER_FRONT}:443 ssl"),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(failed("plain-to-tls-port", answered_by="backend", hops=2), allowed="bad-request"),
        witness=Witness(saw=({"status": 400},), logged=(r"client sent plain HTTP request to HTTPS port",)),
    ),
    Scenario(
        name="tls-to-plain-port",
        family="tls",
        row="H31",
        title="A client speaks wss to the plain port; nginx answers the ClientHello with 400 in clear.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(py_client(url=f"wss://{PROXY_FRONT}:80/ws"),),
        expect=expect_findings("tls-to-plain-port", "bad-request"),
        witness=Witness(access=("400",), saw=({"error": "SSL"},), logged=(r"\[info\].*client sent invalid method",)),
        samples={"any": "tls-to-plain-port.pcapng"},
    ),
    Scenario(
        name="tls-to-plain-backend",
        family="tls",
        row="H32",
        title="`proxy_pass https` to a backend that speaks plain HTTP.",
        nginx=site(location("/ws", to="https://bk")),
        backends=(
            raw_backend(
                (("bytes", 100), ("lines", "HTTP/1.1 400 Bad Request", "Connection: close"), ("fin",), ("drain",))
            ),
        ),
        clients=(py_client(),),
        expect=expect(failed("tls-to-plain-backend", answered_by="proxy"), allowed="bad-gateway"),
        witness=Witness(
            access=("502",),
            saw=({"status": 502},),
            logged=(r"\[error\].*SSL_do_handshake\(\) failed .*wrong version number",),
        ),
        samples={"any": "tls-to-plain-backend.pcapng"},
    ),
    Scenario(
        name="tls-to-silent-backend",
        family="tls",
        row="H32",
        title="`proxy_pass https` to a plain backend that waits for the end of the request; nginx gives up after proxy_connect_timeout.",
        nginx=site(location("/ws", f"{UPGRADE}\nproxy_connect_timeout 1s;\nproxy_read_timeout 1s;", to="https://bk")),
        backends=(raw_backend((("drain",),)),),
        clients=(py_client(),),
        expect=expect(failed("tls-to-plain-backend", answered_by="proxy"), allowed="gateway-timeout backend-timeout"),
        witness=Witness(
            access=("504",),
            saw=({"status": 504},),
            logged=(r"upstream timed out .* while SSL handshaking to upstream",),
        ),
    ),
    to_tls_backend(
        "backend-certificate-rejected",
        "H33",
        "nginx verifies the backend's certificate, which nobody signed.",
        "proxy_ssl_verify on;\nproxy_ssl_trusted_certificate ../ca.pem;",
        tls.SELF_SIGNED,
        "backend-tls-rejected",
        r"\[error\].*upstream SSL certificate verify error: \(18:self.signed certificate\)",
    ),
    to_tls_backend(
        "backend-wants-name",
        "H33",
        "The backend rejects TLS without a known server name, and nginx sends none by default.",
        "",
        "ssl_reject_handshake on;",
        "backend-tls-rejected",
        r"\[crit\].*SSL_do_handshake\(\) failed .*unrecognized name",
    ),
    to_tls_backend(
        "backend-certificate-other-name",
        "H33",
        "The backend's certificate is for another name than nginx expects (the upstream's name).",
        "proxy_ssl_verify on;\nproxy_ssl_trusted_certificate ../ca.pem;",
        tls.SERVER,
        "backend-tls-rejected",
        r'\[error\].*upstream SSL certificate does not match "bk"',
    ),
    Scenario(
        name="tls-backend-healthy",
        family="tls",
        row="",
        title="Clear to nginx, TLS to the backend, and all is well.",
        topology="chain",
        nginx=site(location("/ws", UPGRADE, to="https://bk"), up=upstream(f"{INNER_FRONT}:443")),
        inner_nginx=site(tls.SERVER, location("/ws"), listen=f"{INNER_FRONT}:443 ssl"),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(ok(close_code=1000)),
        witness=Witness(access=("101", "101"), saw=({"status": 101, "close_code": 1000},)),
    ),
    Scenario(
        name="client-certificate-missing",
        family="tls",
        row="H33",
        title="The backend wants a client certificate, which nginx does not have (TLS 1.2).",
        nginx=site(location("/ws", to="https://bk")),
        backends=(raw_backend((("tls_server", {"certificate_wanted": True, "max": "TLSv1_2"}), ("drain",))),),
        clients=(py_client(),),
        expect=expect(
            failed(("client-certificate-missing", "backend-tls-rejected"), answered_by="proxy"),
            required="client-certificate-missing",
            allowed="bad-gateway backend-tls-rejected tls-handshake-failed",
        ),
        witness=Witness(
            access=("502",),
            saw=({"status": 502},),
            logged=(r"\[error\].*SSL_do_handshake\(\) failed .*alert handshake failure",),
        ),
    ),
    Scenario(
        name="certificate-rejected",
        family="tls",
        row="H34",
        title="The client does not know who signed nginx's certificate and says so in an alert.",
        nginx=site(tls.SELF_SIGNED, location("/ws"), listen=TLS),
        backends=(py_backend(),),
        clients=(
            curl(
                "--http1.1",
                "--cacert",
                "ca.pem",
                "--resolve",
                f"{tls.NAME}:443:{PROXY_FRONT}",
                f"https://{tls.NAME}/ws",
            ),
        ),
        expect=expect_findings("certificate-rejected", "tls-handshake-failed"),
        witness=Witness(
            access=(), saw=({"exit": 60},), logged=(r"SSL_do_handshake\(\) failed .*alert (unknown ca|number 48)",)
        ),
        samples={"any": "certificate-rejected.pcapng"},
    ),
    Scenario(
        name="certificate-rejected-silently",
        family="tls",
        row="H34",
        title="A client on Python's asyncio rejects the certificate and hangs up without an alert.",
        nginx=site(tls.SELF_SIGNED, location("/ws"), listen=TLS),
        backends=(py_backend(),),
        clients=(py_client(url=WSS, ca="ca.pem"),),
        expect=expect_findings("", "certificate-rejected tls-handshake-failed"),
        witness=Witness(
            access=(),
            saw=({"error": "CERTIFICATE_VERIFY_FAILED"},),
            logged=(r"\[info\].*peer closed connection in SSL handshake",),
        ),
    ),
    Scenario(
        name="tls-version-refused",
        family="tls",
        row="H35",
        title="nginx takes TLS 1.3 only, the client has TLS 1.2 at most.",
        nginx=site(tls.SERVER, "ssl_protocols TLSv1.3;", location("/ws"), listen=TLS),
        backends=(py_backend(),),
        clients=(py_client(url=WSS, tls_max="TLSv1_2"),),
        expect=expect_findings("tls-handshake-failed"),
        witness=Witness(
            access=(),
            saw=({"error": "(?i)alert protocol version"},),
            logged=(r"SSL_do_handshake\(\) failed .*unsupported protocol",),
        ),
    ),
    Scenario(
        name="tls-alpn-refused",
        family="tls",
        row="H35",
        title="The client offers only ALPN protocols that nginx does not speak.",
        nginx=site(tls.SERVER, location("/ws"), listen=TLS),
        backends=(py_backend(),),
        clients=(py_client(url=WSS, alpn=["websocket"]),),
        expect=expect_findings("tls-handshake-failed"),
        witness=Witness(access=(), saw=({"error": "(?i)alert no application protocol"},)),
    ),
    Scenario(
        name="tls-name-unrecognized",
        family="tls",
        row="H35",
        title="nginx's default server rejects names that it does not know.",
        nginx=site(
            "ssl_reject_handshake on;",
            listen=f"{TLS} default_server",
            http=server(tls.SERVER, "server_name other.example;", location("/ws"), listen=TLS),
        ),
        backends=(py_backend(),),
        clients=(py_client(url=WSS),),
        expect=expect_findings("tls-name-unrecognized", "tls-handshake-failed"),
        witness=Witness(access=(), saw=({"error": "(?i)unrecognized name"},)),
    ),
]
