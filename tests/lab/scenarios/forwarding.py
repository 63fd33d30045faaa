"""What nginx forwards of the handshake: rows H1 to H6, H16 and H43."""

from __future__ import annotations

from model import BACKEND, INNER_FRONT, PROXY_FRONT, Scenario, View, Witness, expect, failed
from nginx import MAP, NEW_DEFAULTS, UPGRADE, location, server, site, upstream, variables
from programs import (
    curl,
    fastcgi_answer,
    handshake,
    node_backend,
    node_client,
    page,
    py_backend,
    py_client,
    raw_backend,
    raw_client,
)

# What a backend answers to a handshake that lost its fields; the forwarding fault is the cause of it.
ANSWERS = "upgrade-required bad-request answered-as-page not-found server-error http10-to-backend"
LOST = expect(
    failed("upgrade-not-forwarded", answered_by="backend", hops=2),
    required="connection-not-forwarded",
    allowed=ANSWERS,
)
NEW_UPSTREAM = upstream(keepalive=32)

SCENARIOS = [
    Scenario(
        name="upgrade-not-forwarded",
        family="handshake",
        row="H1",
        title="`location /` proxies without the Upgrade and Connection headers; the backend answers as to any request: 200.",
        nginx=site(location("/", "")),
        backends=(node_backend(),),
        clients=(node_client(),),
        expect=LOST,
        witness=Witness(access=("200",), saw=({"status": 200},), not_logged=(r"\[error\]",)),
        samples={"any": "upgrade-not-forwarded.pcapng"},
        lesson="Both headers are hop-by-hop: nginx drops them unless told otherwise, and speaks HTTP/1.0 with `Connection: close` "
        "before 1.29.7. The backend hop carries the key but no Upgrade.",
    ),
    Scenario(
        name="upgrade-not-forwarded-426",
        family="handshake",
        row="H1",
        title="The same, with a backend that answers 426.",
        nginx=site(location("/", "proxy_http_version 1.1;")),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=LOST,
        witness=Witness(access=("426",), saw=({"status": 426},)),
    ),
    Scenario(
        name="upgrade-not-forwarded-new-defaults",
        family="handshake",
        row="H1",
        title="The same with the defaults of nginx 1.29.7 and later: HTTP/1.1, no Connection field, kept-alive backend connection.",
        nginx=site(location("/", NEW_DEFAULTS), up=NEW_UPSTREAM),
        backends=(node_backend(plain=426),),
        clients=(node_client(),),
        expect=LOST,
        witness=Witness(access=("426",), saw=({"status": 426},)),
        samples={"any": "upgrade-not-forwarded-new-nginx.pcapng"},
    ),
    Scenario(
        name="connection-not-forwarded",
        family="handshake",
        row="H2",
        title="Only Upgrade is set; Connection stays `close`.",
        nginx=site(location("/ws", "proxy_http_version 1.1;\nproxy_set_header Upgrade $http_upgrade;")),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(failed("connection-not-forwarded", answered_by="backend", hops=2), allowed=ANSWERS),
        witness=Witness(access=("426",), saw=({"status": 426},)),
        samples={"any": "connection-not-forwarded.pcapng"},
        lesson="An Upgrade field without the `upgrade` connection option must be ignored (RFC 9110 7.8).",
    ),
    Scenario(
        name="connection-not-forwarded-new-defaults",
        family="handshake",
        row="H2",
        title="The same with newer defaults, after an ordinary request on the same backend connection: no Connection field at all.",
        nginx=site(location("/", f"{NEW_DEFAULTS}\nproxy_set_header Upgrade $http_upgrade;"), up=NEW_UPSTREAM),
        backends=(node_backend(plain=426),),
        clients=(curl(f"http://{PROXY_FRONT}/"), node_client()),
        expect=expect(failed("connection-not-forwarded", answered_by="backend", hops=2), allowed=ANSWERS),
        witness=Witness(access=("426", "426"), saw=({"status": 426}, {"status": 426})),
    ),
    Scenario(
        name="upgrade-alone-not-forwarded-new-defaults",
        family="handshake",
        row="H2",
        title="Newer defaults, and only Connection is set: Upgrade is dropped.",
        nginx=site(
            location("/", 'proxy_http_version 1.1;\nproxy_set_header Connection $connection_upgrade;'), up=NEW_UPSTREAM
        ),
        backends=(node_backend(plain=426),),
        clients=(node_client(),),
        expect=expect(failed("upgrade-not-forwarded", answered_by="backend", hops=2), allowed=ANSWERS),
        witness=Witness(access=("426",), saw=({"status": 426},)),
    ),
    Scenario(
        name="upgrade-alone-not-forwarded",
        family="handshake",
        row="H2",
        title="Only Connection is set; Upgrade is dropped.",
        nginx=site(location("/ws", 'proxy_http_version 1.1;\nproxy_set_header Connection "upgrade";')),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(
            failed("upgrade-not-forwarded", answered_by="backend", hops=2),
            allowed=ANSWERS + " connection-upgrade-forced",
        ),
        witness=Witness(access=("426",), saw=({"status": 426},)),
    ),
    Scenario(
        name="http10-to-backend",
        family="handshake",
        row="H3",
        title="Upgrade and Connection are set, `proxy_http_version 1.1` is not; the backend refuses HTTP/1.0.",
        nginx=site(
            location("/ws", "proxy_set_header Upgrade $http_upgrade;\nproxy_set_header Connection $connection_upgrade;")
        ),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(
            failed("http10-to-backend", answered_by="backend", hops=2),
            allowed="bad-request server-error http10-request",
        ),
        samples={"any": "http10-to-backend.pcapng"},
    ),
    Scenario(
        name="headers-not-inherited",
        family="handshake",
        row="H4",
        title="The server block sets Upgrade and Connection, but the location has a `proxy_set_header` of its own and so inherits none.",
        nginx=site(UPGRADE, location("/ws", "proxy_set_header X-Real-IP $remote_addr;")),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=LOST,
        witness=Witness(access=("426",), saw=({"status": 426},)),
        samples={"any": "headers-not-inherited.pcapng"},
    ),
    Scenario(
        name="upgrade-not-forwarded-host-kept",
        family="handshake",
        row="H4",
        title="Upgrade is dropped, while Host is passed on by the server block: configuration for this path has to keep it, for the backend compares it with Origin.",
        nginx=site("proxy_set_header Host $http_host;", location("/", "proxy_http_version 1.1;")),
        backends=(py_backend(same_origin=True),),
        clients=(py_client(origin="http://192.168.50.1"),),
        expect=LOST,
        witness=Witness(saw=({"status": 426},)),
    ),
    Scenario(
        name="upgrade-altered",
        family="handshake",
        row="H4",
        title="The wrong variable: `proxy_set_header Upgrade $connection_upgrade` sends `Upgrade: upgrade`.",
        nginx=site(location("/ws", UPGRADE.replace("$http_upgrade", "$connection_upgrade"))),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(failed("upgrade-altered", answered_by="backend", hops=2), allowed=ANSWERS),
        witness=Witness(access=("426",), saw=({"status": 426},)),
    ),
    Scenario(
        name="upgrade-missing-from-client",
        family="handshake",
        row="H6",
        title="Something before nginx took Upgrade and Connection away; the key is still there.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(raw_client(handshake(without="Upgrade Connection"), ("head",), ("drain_quietly", 0.3)),),
        expect=expect(
            failed("upgrade-missing", answered_by="backend", hops=2), required="connection-missing", allowed=ANSWERS
        ),
        witness=Witness(access=("426",), saw=({"status": 426},)),
    ),
    Scenario(
        name="token-case-rejected",
        family="handshake",
        row="H16",
        title="The backend knows only `Connection: Upgrade` with a capital letter and refuses nginx's documented `upgrade`.",
        nginx=site(location("/ws")),
        backends=(raw_backend((("head",), page("400 Bad Request", "Connection is not Upgrade\n"), ("drain",))),),
        clients=(py_client(),),
        expect=expect(failed("bad-request", answered_by="backend", hops=2), required="token-case-rejected"),
        witness=Witness(access=("400",), saw=({"status": 400},)),
    ),
    Scenario(
        name="chain-inner-guilty",
        family="handshake",
        row="H43",
        title="Two proxies: the outer one forwards Upgrade, the inner one drops it.",
        topology="chain",
        nginx=site(location("/"), up=upstream(f"{INNER_FRONT}:80")),
        inner_nginx=site(location("/", "proxy_http_version 1.1;"), listen=f"{INNER_FRONT}:80"),
        backends=(py_backend(),),
        clients=(py_client(),),
        captures=("any", "inner"),
        expect=expect(failed("upgrade-required", hops=2), allowed=ANSWERS),
        views=(
            View(
                "both hosts",
                ("any", "inner"),
                expect(
                    failed("upgrade-not-forwarded", answered_by="backend", hops=3),
                    required="connection-not-forwarded",
                    allowed=ANSWERS,
                ),
            ),
        ),
        witness=Witness(saw=({"status": 426},)),
    ),
    Scenario(
        name="chain-outer-guilty-two-hosts",
        family="handshake",
        row="H6",
        title="The outer proxy drops Upgrade; who captures on the inner proxy's host sees a request that lost it before.",
        topology="chain",
        nginx=site(location("/", "proxy_http_version 1.1;"), up=upstream(f"{INNER_FRONT}:80")),
        inner_nginx=site(location("/"), listen=f"{INNER_FRONT}:80"),
        backends=(py_backend(),),
        clients=(py_client(),),
        captures=("inner", "any"),
        expect=expect(failed("upgrade-missing", hops=2), required="connection-missing", allowed=ANSWERS),
        views=(
            View(
                "both hosts",
                ("any", "inner"),
                expect(
                    failed("upgrade-not-forwarded", answered_by="backend", hops=3),
                    required="connection-not-forwarded",
                    allowed=ANSWERS,
                ),
            ),
        ),
        witness=Witness(access=("426", "426"), saw=({"status": 426},)),
    ),
    Scenario(
        name="chain-outer-guilty",
        family="handshake",
        row="H43",
        title="Two proxies on one host: the outer one drops Upgrade, the inner one would forward it and merely carries on.",
        nginx="\n".join(
            (
                MAP,
                upstream("127.0.0.1:8081", name="inner"),
                upstream(),
                server(location("/", "proxy_http_version 1.1;", to="http://inner")),
                server(location("/"), listen="127.0.0.1:8081"),
            )
        ),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(
            failed("upgrade-not-forwarded", answered_by="backend", hops=3),
            required="connection-not-forwarded",
            allowed=ANSWERS,
        ),
        witness=Witness(access=("426", "426"), saw=({"status": 426},)),
        samples={"any": "two-proxies-outer-guilty.pcapng"},
        lesson="Only the hop whose outgoing request lost the field is at fault.",
    ),
    Scenario(
        name="cgi-to-backend",
        family="handshake",
        row="",
        title="The path of the WebSocket has `fastcgi_pass`; the backend speaks HTTP, and nginx answers 502.",
        nginx=site(location("/ws", f"{variables('fastcgi')}\nfastcgi_pass {BACKEND}:8080;", to="")),
        backends=(node_backend(),),
        clients=(node_client(),),
        expect=expect(failed("cgi-to-backend", answered_by="proxy", hops=1, status=502, sure="certain")),
        witness=Witness(
            access=("502",), saw=({"status": 502},), logged=("unsupported FastCGI protocol version: 72",)
        ),
    ),
    Scenario(
        name="uwsgi-to-backend",
        family="handshake",
        row="",
        title="The same with `uwsgi_pass`: nginx passes on the 400 with which the backend answers bytes that are no HTTP.",
        nginx=site(location("/ws", f"{variables('uwsgi')}\nuwsgi_pass {BACKEND}:8080;", to="")),
        backends=(node_backend(),),
        clients=(node_client(),),
        expect=expect(
            failed("cgi-to-backend", answered_by="backend", hops=1, status=400, sure="likely"), allowed="bad-request"
        ),
        witness=Witness(access=("400",), saw=({"status": 400},), not_logged=(r"\[error\]",)),
    ),
    Scenario(
        name="scgi-to-silent-backend",
        family="handshake",
        row="",
        title="The same with `scgi_pass`, and a backend that waits for the end of a line of HTTP.",
        nginx=site(
            location("/ws", f"{variables('scgi')}\nscgi_pass {BACKEND}:8080;\nscgi_read_timeout 1s;", to="")
        ),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(
            failed("cgi-to-backend", answered_by="proxy", hops=1, status=504, sure="guess"), allowed="gateway-timeout"
        ),
        witness=Witness(access=("504",), saw=({"status": 504},), logged=("upstream timed out",)),
    ),
    Scenario(
        name="fastcgi-application",
        family="handshake",
        row="",
        title="A location for PHP takes all paths, that of the WebSocket too: its application answers 404.",
        nginx=site(location("/", f"{variables('fastcgi')}\nfastcgi_pass {BACKEND}:8080;", to="")),
        backends=(raw_backend((("bytes", 200), ("hex", fastcgi_answer("404 Not Found"))),),),
        clients=(node_client(),),
        expect=expect(
            failed("cgi-to-backend", answered_by="backend", hops=1, status=404, sure="certain"), allowed="not-found"
        ),
        witness=Witness(access=("404",), saw=({"status": 404},), not_logged=(r"\[error\]",)),
    ),
]
