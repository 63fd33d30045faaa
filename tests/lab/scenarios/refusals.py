"""The handshake arrives and somebody refuses it: rows H7 to H12, H17 and H27."""

from __future__ import annotations

from typing import Any

from model import BACKEND, BACKEND_2, PROXY_FRONT, Scenario, Witness, expect, failed, ok
from nginx import UPGRADE, location, site, upstream
from programs import curl, node_backend, node_client, page, py_backend, py_client, raw_backend

HOST = "\nproxy_set_header Host $http_host;"
KEEPS_HOST = UPGRADE + HOST
HEALTHY_END = ("close", 1000, "bye")


def refused_by_backend(
    name: str, row: str, title: str, status: str, code: str, *headers: str, body: str = "no\n", **more
) -> Scenario:
    """A backend that answers the complete handshake with `status`."""
    number = status.split()[0]
    return Scenario(
        name=name,
        family="handshake",
        row=row,
        title=title,
        nginx=site(location("/ws", KEEPS_HOST)),
        backends=(raw_backend((("head",), page(status, body, *headers), ("drain",))),),
        clients=(node_client(),),
        expect=expect(failed(code, answered_by="backend", hops=2, status=int(number))),
        witness=Witness(access=(number,), saw=({"status": int(number)},), not_logged=(r"\[error\]",)),
        **more,
    )


def refused_by_proxy(
    name: str,
    row: str,
    title: str,
    place: str,
    status: int,
    code: str,
    logged: tuple = (),
    http: str = "",
    answered_by: Any = "proxy",
    **more,
) -> Scenario:
    """An nginx that answers by itself; `place` is what the server block holds."""
    return Scenario(
        name=name,
        family="handshake",
        row=row,
        title=title,
        nginx=site(place, http=http),
        backends=(py_backend(),),
        clients=(node_client(),),
        expect=expect(failed(code, answered_by=answered_by, hops=1, status=status), allowed="backend-not-contacted"),
        witness=Witness(access=(str(status),), saw=({"status": status},), logged=logged),
        **more,
    )


SCENARIOS = [
    Scenario(
        name="origin-host-mismatch",
        family="handshake",
        row="H7",
        title="nginx sends `Host: bk` (the upstream's name); the backend compares it with Origin and answers 403.",
        nginx=site(location("/ws")),
        backends=(py_backend(same_origin=True),),
        clients=(py_client(origin="http://192.168.50.1"),),
        expect=expect(failed("origin-host-mismatch", answered_by="backend", hops=2), allowed="forbidden"),
        witness=Witness(access=("403",), saw=({"status": 403},)),
        samples={"any": "origin-host-mismatch.pcapng"},
        lesson="`proxy_set_header Host $http_host;` keeps what the browser sent.",
    ),
    Scenario(
        name="origin-port-dropped",
        family="handshake",
        row="H7",
        title="`Host $host` drops the port 8000 that Origin names; the backend answers 403.",
        nginx=site(location("/ws", UPGRADE + "\nproxy_set_header Host $host;"), listen=f"{PROXY_FRONT}:8000"),
        backends=(py_backend(same_origin=True),),
        clients=(py_client(url="ws://192.168.50.1:8000/ws", origin="http://192.168.50.1:8000"),),
        expect=expect(failed("origin-host-mismatch", answered_by="backend", hops=2), allowed="forbidden"),
        witness=Witness(access=("403",), saw=({"status": 403},)),
    ),
    Scenario(
        name="origin-of-another-site",
        family="handshake",
        row="H8",
        title="The page is one of another site: its Origin is not the Host that it asked for either, so no Host on the way would help.",
        nginx=site(location("/ws")),
        backends=(py_backend(same_origin=True),),
        clients=(py_client(origin="https://app.example"),),
        expect=expect(
            failed("forbidden", answered_by="backend", hops=2),
            says="Origin is https://app.example and the client asked for Host 192.168.50.1",
        ),
        witness=Witness(access=("403",), saw=({"status": 403},)),
    ),
    refused_by_backend(
        "forbidden",
        "H8",
        "The application refuses with 403 although Host and Origin arrive unchanged.",
        "403 Forbidden",
        "forbidden",
    ),
    Scenario(
        name="bad-request-untrusted-proxy",
        family="handshake",
        row="H8",
        title="The application does not trust the proxy's X-Forwarded-For and answers 400.",
        nginx=site(location("/ws", KEEPS_HOST + "\nproxy_set_header X-Forwarded-For $proxy_add_x_forwarded_for;")),
        backends=(raw_backend((("head",), page("400 Bad Request", "untrusted proxy\n"), ("drain",))),),
        clients=(py_client(),),
        expect=expect(failed("bad-request", answered_by="backend", hops=2)),
        witness=Witness(access=("400",), saw=({"status": 400},)),
    ),
    refused_by_proxy(
        "not-found",
        "H9",
        "No location fits `/ws`: nginx itself answers 404 and never asks the backend.",
        location("/socket"),
        404,
        "not-found",
        logged=(r"open\(\) .* failed \(2:",),
        samples={"any": "not-found.pcapng"},
    ),
    refused_by_proxy(
        "answered-as-page",
        "H9",
        "The fallback location of a single-page application answers `/ws` with its page and 200.",
        location("/socket")
        + '\nlocation / {\n    default_type text/html;\n    return 200 "<!doctype html><title>app</title>\\n";\n}',
        200,
        "answered-as-page",
        # nginx's own page looks like one of a backend that the capture does not show.
        answered_by=("proxy", "unknown"),
        samples={"any": "answered-as-page.pcapng"},
    ),
    Scenario(
        name="path-rewritten",
        family="handshake",
        row="H9",
        title="The slash behind `proxy_pass http://bk/` replaces the location's prefix: `/app/ws` becomes `/ws`, which the backend lacks.",
        nginx=site(location("/app/", UPGRADE, to="http://bk/")),
        backends=(node_backend(path="/app/ws"),),
        clients=(node_client(url="ws://192.168.50.1/app/ws"),),
        expect=expect(failed("path-rewritten", answered_by="backend", hops=2), allowed="not-found"),
        witness=Witness(access=("404",), saw=({"status": 404},)),
        samples={"any": "path-rewritten.pcapng"},
    ),
    Scenario(
        name="path-double-slash",
        family="handshake",
        row="H9",
        title="`location /app` with `proxy_pass http://bk/` makes `//ws` of `/app/ws`.",
        nginx=site(location("/app", UPGRADE, to="http://bk/")),
        backends=(py_backend(paths=["/ws"]),),
        clients=(py_client(url="ws://192.168.50.1/app/ws"),),
        expect=expect(failed("path-rewritten", answered_by="backend", hops=2), allowed="not-found"),
        witness=Witness(access=("404",), saw=({"status": 404},)),
    ),
    refused_by_backend(
        "not-found-by-backend", "H9", "The backend does not know the path.", "404 Not Found", "not-found"
    ),
    refused_by_backend(
        "method-not-allowed",
        "H9",
        "The backend's path takes no GET.",
        "405 Method Not Allowed",
        "method-not-allowed",
        "Allow: POST",
    ),
    refused_by_proxy(
        "redirected-to-slash",
        "H10",
        "`location /ws/` and a request for `/ws`: nginx redirects with 301, which WebSocket clients do not follow.",
        location("/ws/"),
        301,
        "redirected",
    ),
    refused_by_proxy(
        "redirected-to-https",
        "H10",
        "The server on port 80 only redirects to https.",
        "return 308 https://$host$request_uri;",
        308,
        "redirected",
    ),
    refused_by_backend(
        "redirected-to-login",
        "H10",
        "The backend sends the client to a login page.",
        "302 Found",
        "redirected",
        "Location: /login",
    ),
    refused_by_proxy(
        "unauthorized",
        "H11",
        "nginx asks for a password (auth_basic) that the WebSocket client does not send.",
        location("/ws", UPGRADE + '\nauth_basic "lab";\nauth_basic_user_file /dev/null;'),
        401,
        "unauthorized",
        samples={"any": "unauthorized.pcapng"},
    ),
    Scenario(
        name="unauthorized-wrong-password",
        family="handshake",
        row="H11",
        title="The client sends a password that nginx does not know.",
        nginx=site(location("/ws", UPGRADE + '\nauth_basic "lab";\nauth_basic_user_file /dev/null;')),
        backends=(py_backend(),),
        clients=(py_client(headers={"Authorization": "Basic bGFiOmxhYg=="}),),
        expect=expect(failed("unauthorized", answered_by="proxy", hops=1), allowed="backend-not-contacted"),
        witness=Witness(access=("401",), saw=({"status": 401},), logged=(r'\[error\].*user "lab" was not found in',)),
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
    Scenario(
        name="unauthorized-by-auth-request",
        family="handshake",
        row="H11",
        title="auth_request asks a service on another backend, which says 401; the handshake never leaves nginx.",
        nginx=site(
            location("/ws", UPGRADE + "\nauth_request /auth;"),
            location("= /auth", "internal;", to="http://auth"),
            http=upstream(f"{BACKEND_2}:9000", name="auth"),
        ),
        backends=(
            py_backend(),
            raw_backend((("head",), page("401 Unauthorized", "who?\n"), ("drain",)), at=f"{BACKEND_2}:9000"),
        ),
        clients=(py_client(),),
        expect=expect(failed("unauthorized"), allowed="backend-not-contacted"),
        witness=Witness(access=("401",), saw=({"status": 401},)),
    ),
    Scenario(
        name="server-error-by-auth-request",
        family="handshake",
        row="H11",
        title="The service that auth_request asks says 404, of which nginx makes 500; no backend is asked.",
        nginx=site(
            location("/ws", UPGRADE + "\nauth_request /auth;"),
            location("= /auth", "internal;", to="http://auth"),
            http=upstream(f"{BACKEND_2}:9000", name="auth"),
        ),
        backends=(
            py_backend(),
            raw_backend((("head",), page("404 Not Found", "what?\n"), ("drain",)), at=f"{BACKEND_2}:9000"),
        ),
        clients=(py_client(),),
        expect=expect(
            failed("server-error", answered_by="proxy", hops=1), allowed="backend-not-contacted", says="auth_request"
        ),
        witness=Witness(
            access=("500",), saw=({"status": 500},), logged=(r"\[error\].*auth request unexpected status: 404",)
        ),
    ),
    Scenario(
        name="forbidden-beside-a-mirror",
        family="handshake",
        row="H8",
        title="nginx mirrors the request, without Upgrade, to a second server, which says 426; the backend says 403.",
        nginx=site(
            location("/ws", KEEPS_HOST + "\nmirror /mirror;"),
            location("= /mirror", "internal;", to=f"http://{BACKEND_2}:9000$request_uri"),
        ),
        backends=(
            raw_backend((("head",), ("sleep", 0.1), page("403 Forbidden", "no\n"), ("drain",))),
            raw_backend((("head",), page("426 Upgrade Required", "what?\n"), ("drain",)), at=f"{BACKEND_2}:9000"),
        ),
        clients=(py_client(),),
        expect=expect(failed("forbidden", answered_by="backend", hops=2)),
        witness=Witness(access=("403",), saw=({"status": 403},)),
    ),
    refused_by_proxy(
        "forbidden-by-proxy",
        "H11",
        "nginx denies the client's address.",
        location("/ws", UPGRADE + "\ndeny all;"),
        403,
        "forbidden",
        logged=(r"\[error\].*access forbidden by rule",),
    ),
    Scenario(
        name="session-affinity-lost",
        family="handshake",
        row="H12",
        title="socket.io behind two backends without stickiness: the session of the polling request is unknown to the other backend.",
        nginx=site(location("/"), up=upstream(f"{BACKEND}:8080", f"{BACKEND_2}:8080")),
        backends=(
            raw_backend(
                (("head",), page("200 OK", '0{"sid":"lv_VI97HAXpY6yYWAAAB","upgrades":["websocket"]}'), ("drain",))
            ),
            raw_backend(
                (("head",), page("400 Bad Request", '{"code":1,"message":"Session ID unknown"}'), ("drain",)),
                at=f"{BACKEND_2}:8080",
            ),
        ),
        clients=(
            curl(f"http://{PROXY_FRONT}/socket.io/?EIO=4&transport=polling&sid=lv_VI97HAXpY6yYWAAAB"),
            py_client(url="ws://192.168.50.1/socket.io/?EIO=4&transport=websocket&sid=lv_VI97HAXpY6yYWAAAB"),
        ),
        expect=expect(failed("session-affinity-lost", answered_by="backend", hops=2), allowed="bad-request"),
        witness=Witness(access=("200", "400"), saw=({"status": 200}, {"status": 400})),
        samples={"any": "session-affinity-lost.pcapng"},
    ),
    Scenario(
        name="session-polled-elsewhere",
        family="handshake",
        row="H12",
        title="socket.io behind two backends without stickiness: further polling comes to the one that does not know the session, and "
        "the client never gets to its upgrade.",
        nginx=site(location("/"), up=upstream(f"{BACKEND}:8080", f"{BACKEND_2}:8080")),
        backends=(
            raw_backend((("head",), page("200 OK", "40"), ("drain",))),
            raw_backend(
                (("head",), page("400 Bad Request", '{"code":1,"message":"Session ID unknown"}'), ("drain",)),
                at=f"{BACKEND_2}:8080",
            ),
        ),
        clients=(
            curl(f"http://{PROXY_FRONT}/socket.io/?EIO=4&transport=polling&sid=lv_VI97HAXpY6yYWAAAB"),
            curl(f"http://{PROXY_FRONT}/socket.io/?EIO=4&transport=polling&sid=lv_VI97HAXpY6yYWAAAB&t=2"),
        ),
        expect=expect(required="session-affinity-lost", says="was known at 10.20.0.11:8080 and refused with 400 at 10.20.0.12:8080"),
        witness=Witness(access=("200", "400"), saw=({"status": 200}, {"status": 400})),
    ),
    refused_by_backend(
        "server-error", "H17", "The backend fails with 500.", "500 Internal Server Error", "server-error"
    ),
    refused_by_backend(
        "service-unavailable",
        "H17",
        "The backend is overloaded: 503.",
        "503 Service Unavailable",
        "service-unavailable",
    ),
    refused_by_backend(
        "refused-otherwise", "", "The backend wants money: 402.", "402 Payment Required", "refused-otherwise"
    ),
    Scenario(
        name="closed-without-answer",
        family="handshake",
        row="",
        title="`return 444` closes the connection without an answer.",
        nginx=site("location /ws {\n    return 444;\n}"),
        backends=(py_backend(),),
        clients=(py_client(),),
        expect=expect(
            failed(("no-answer", "proxy-protocol-missing", "proxy-overloaded"), answered_by=None, hops=1),
            allowed="backend-not-contacted",
        ),
        witness=Witness(access=("444",), saw=({"status": None},), not_logged=(r"\[error\]",)),
    ),
    Scenario(
        name="service-unavailable-by-proxy",
        family="handshake",
        row="H17",
        title="limit_conn lets one connection in; the second client gets nginx's own 503.",
        nginx=site(
            location("/ws", UPGRADE + "\nlimit_conn per_client 1;"),
            http="limit_conn_zone $binary_remote_addr zone=per_client:1m;",
        ),
        backends=(py_backend(),),
        clients=(
            py_client(("send", "hello"), ("recv",), ("sleep", 1.0), HEALTHY_END, background=True),
            py_client(delay=0.5),
        ),
        expect=expect(
            ok(hops=2), failed("service-unavailable", answered_by="proxy", hops=1), allowed="backend-not-contacted"
        ),
        witness=Witness(saw=({"status": 101}, {"status": 503}), logged=(r"\[error\].*limiting connections by zone",)),
    ),
    Scenario(
        name="too-many-requests",
        family="handshake",
        row="H17",
        title="limit_req with status 429 refuses a client that reconnects at once.",
        nginx=site(
            location("/ws", UPGRADE + "\nlimit_req zone=slowly;\nlimit_req_status 429;"),
            http="limit_req_zone $binary_remote_addr zone=slowly:1m rate=6r/m;",
        ),
        backends=(py_backend(),),
        clients=(py_client(), py_client()),
        expect=expect(
            ok(hops=2), failed("too-many-requests", answered_by="proxy", hops=1), allowed="backend-not-contacted"
        ),
        witness=Witness(
            access=("101", "429"), saw=({"status": 101}, {"status": 429}), logged=(r"\[error\].*limiting requests",)
        ),
    ),
    Scenario(
        name="request-header-too-big",
        family="handshake",
        row="H27",
        title="A cookie of 12 kB exceeds large_client_header_buffers: nginx answers 400 before it looks at the location.",
        nginx=site(location("/ws")),
        backends=(node_backend(),),
        clients=(py_client(headers={"Cookie": "session=" + "x" * 12000}),),
        expect=expect(
            failed("request-header-too-big", answered_by="proxy", hops=1), allowed="bad-request backend-not-contacted"
        ),
        witness=Witness(
            access=("400",), saw=({"status": 400},), logged=(r"\[info\].*client sent too long header line",)
        ),
    ),
    Scenario(
        name="status-changed",
        family="handshake",
        row="",
        title="proxy_intercept_errors turns the backend's 403 into 404.",
        nginx=site(
            location("/ws", KEEPS_HOST + "\nproxy_intercept_errors on;\nerror_page 403 =404 /gone;"),
            'location = /gone {\n    internal;\n    return 404 "gone\\n";\n}',
        ),
        backends=(raw_backend((("head",), page("403 Forbidden", "no\n"), ("drain",))),),
        clients=(py_client(),),
        expect=expect(failed("forbidden", answered_by="proxy", hops=2), required="status-changed"),
        witness=Witness(access=("404",), saw=({"status": 404},)),
    ),
]
