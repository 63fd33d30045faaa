"""Who ended the session and how, with the network in order: rows T4 to T8, T10, T15 to T17."""

from __future__ import annotations

from model import Event, Handshake, Peer, Scenario, Witness, broken, expect, ok
from nginx import location, site
from programs import (
    node_backend,
    node_client,
    py_backend,
    py_client,
    raw_backend,
    switching,
    tunnel_backend,
    tunnel_client,
)

TALKS = (("send", "hello"), ("recv",))
WAITS = (*TALKS, ("wait_closed",))
ANSWERS_ONCE = (("head",), switching(), ("frame_in",), ("ws", 1, "working on it"), ("sleep", 0.3))
TUNNEL_RESET = r"recv\(\) failed \(104: Connection reset by peer\) while proxying upgraded connection"


def ending(
    name: str,
    row: str,
    title: str,
    shake: Handshake,
    backend: Peer,
    client: Peer,
    saw: dict,
    required: str = "",
    allowed: str = "",
    logged: tuple = (),
    silent: bool = True,
    **more,
) -> Scenario:
    """One session and its end; `silent` says that nginx logs no error."""
    return Scenario(
        name=name,
        family="session",
        row=row,
        title=title,
        nginx=site(location("/ws")),
        backends=(backend,),
        clients=(client,),
        expect=expect(shake, required=required, allowed=allowed),
        witness=Witness(
            access=None if "events" in more else ("101",),
            saw=(saw,),
            logged=logged,
            not_logged=(r"\[error\]",) if silent else (),
        ),
        **more,
    )


def all_at_once(
    name: str,
    row: str,
    title: str,
    do: str,
    cause: str,
    nginx: str,
    logged: tuple = (),
    back: str = "",
    allowed: str = "",
    **more,
) -> Scenario:
    """Three tunnels, silent for different times, that end in the same instant by what is done to nginx.

    `back`: what becomes of a client that comes back afterwards, `ok` or `refused`.
    """
    talk = (("send", "hello"), ("recv",), ("wait_closed",))
    clients = tuple(py_client(*talk, background=True, delay=0.4) for _ in range(3))
    shakes = [broken(cause, ended_by="proxy", close_code=None, hops=2)] * 3
    saw = [{"close_code": 1006}] * 3
    if back:
        clients += (py_client(background=True, delay=1.8),)
        saw.append({"close_code": 1000} if back == "ok" else {"error": "ConnectionRefusedError"})
    if back == "ok":
        shakes.append(ok(hops=2, close_code=1000))
    return Scenario(
        name=name,
        family="session",
        row=row,
        title=title,
        nginx=nginx,
        backends=(node_backend(),),
        clients=clients,
        events=(Event(2.2, do),),
        expect=expect(*shakes, required="connect-refused" if back == "refused" else "", allowed=allowed),
        witness=Witness(logged=logged, not_logged=(r"\[error\]",), saw=tuple(saw)),
        **more,
    )


SCENARIOS = [
    ending(
        "closed-with-error",
        "T4",
        "The backend closes with 1011 (internal error).",
        broken("closed-with-error", ended_by="backend", close_code=1011, hops=2),
        py_backend(do="close", code=1011, reason="database gone"),
        py_client(*WAITS),
        {"close_code": 1011},
        samples={"any": "closed-with-error.pcapng"},
    ),
    ending(
        "closed-with-policy",
        "T4",
        "The backend closes with 1008 (policy violation).",
        broken("closed-with-error", ended_by="backend", close_code=1008),
        node_backend(do="close", code=1008, reason="token expired", when="message"),
        node_client(*WAITS),
        {"close_code": 1008},
    ),
    ending(
        "closed-for-restart",
        "T4",
        "The backend closes with 1012 (service restart).",
        broken("closed-with-error", ended_by="backend", close_code=1012),
        node_backend(do="close", code=1012, when="message"),
        node_client(*WAITS),
        {"close_code": 1012},
    ),
    ending(
        "closed-message-too-big",
        "T4",
        "The client sends more than the backend takes, which closes with 1009.",
        broken("closed-with-error", ended_by="backend", close_code=1009),
        py_backend(max_size=1000),
        py_client(("send_bytes", 3000), ("wait_closed",)),
        {"close_code": 1009},
    ),
    ending(
        "closed-by-application",
        "T4",
        "The client closes with a private code that tells an error of its own (4001).",
        broken("closed-with-error", ended_by="client", close_code=4001),
        node_backend(),
        node_client(*TALKS, ("close", 4001, "wrong tenant")),
        {"close_code": 4001},
    ),
    ending(
        "closed-going-away",
        "T4",
        "The backend goes away in good order (1001).",
        ok(ended_by="backend", close_code=1001, hops=2),
        node_backend(do="close", code=1001, when="message"),
        node_client(*WAITS),
        {"close_code": 1001},
    ),
    ending(
        "backend-closed-without-close",
        "T5",
        "The backend ends the TCP connection without a Close frame.",
        broken("backend-closed-without-close", ended_by="backend", close_code=None, hops=2),
        raw_backend((*ANSWERS_ONCE, ("fin",), ("drain",))),
        py_client(*WAITS),
        {"status": 101, "close_code": 1006},
        samples={"any": "backend-closed-without-close.pcapng"},
        lesson="No error log line at any level tells this.",
    ),
    Scenario(
        name="backend-killed",
        family="session",
        row="T5",
        title="The backend process is killed (SIGKILL) in mid-session; its kernel sends FIN.",
        nginx=site(location("/ws")),
        backends=(py_backend(),),
        clients=(py_client(*WAITS),),
        events=(Event(1.0, "kill-backend"),),
        expect=expect(broken("backend-closed-without-close", ended_by="backend", close_code=None, hops=2)),
        witness=Witness(access=("101",), saw=({"close_code": 1006},), not_logged=(r"\[error\]",)),
    ),
    ending(
        "backend-reset",
        "T6",
        "The backend resets the connection in mid-session.",
        broken("backend-reset", ended_by="backend", close_code=None, hops=2),
        raw_backend((*ANSWERS_ONCE, ("rst",))),
        py_client(*WAITS),
        {"close_code": 1006},
        logged=(r"\[error\].*" + TUNNEL_RESET,),
        silent=False,
        samples={"any": "backend-reset.pcapng"},
    ),
    ending(
        "client-left",
        "T7",
        "The client ends the TCP connection without a Close frame.",
        ok(ended_by="client", close_code=None, hops=2),
        py_backend(),
        py_client(*TALKS, ("eof",)),
        {"status": 101},
        required="client-left",
        samples={"any": "client-left.pcapng"},
    ),
    ending(
        "client-closed-going-away",
        "T7",
        "The client leaves as a browser tab does: Close 1001; the backend closes TCP first.",
        ok(ended_by="client", close_code=1001, hops=2),
        py_backend(),
        py_client(*TALKS, ("close", 1001, "")),
        {"close_code": 1001},
    ),
    ending(
        "client-reset",
        "T7",
        "The client resets the connection in mid-session.",
        broken("client-reset", ended_by="client", close_code=None, hops=2),
        py_backend(),
        py_client(*TALKS, ("abort",)),
        {"status": 101},
        logged=(r"\[info\].*" + TUNNEL_RESET,),
        samples={"any": "client-reset.pcapng"},
    ),
    ending(
        "cut-mid-frame",
        "T8",
        "The backend ends in the middle of a frame of 1000 bytes.",
        broken("cut-mid-frame", ended_by="backend", hops=2),
        tunnel_backend(("frame_in",), ("ws", 1, "only this", {"claim": 1000}), ("fin",)),
        py_client(*WAITS),
        {"close_code": 1006},
        samples={"any": "cut-mid-frame.pcapng"},
    ),
    ending(
        "closed-right-after-101",
        "T10",
        "The client hangs up right after a correct 101, without any frame.",
        broken("closed-right-after-101", ended_by="client", close_code=None, hops=2),
        py_backend(),
        tunnel_client(("fin",), ("drain",)),
        {"status": 101},
        allowed="client-left",
    ),
    ending(
        "half-closed",
        "T17",
        "The client sends its last message and half-closes; nginx drops the reply and resets the backend.",
        broken("half-closed", ended_by="client", hops=2),
        tunnel_backend(("frame_in",), ("sleep", 0.2), ("ws", 1, "reply")),
        tunnel_client(("ws", 1, "last words", {"mask": True}), ("fin",), ("drain",)),
        {"frames": []},
        allowed="client-left",
    ),
    all_at_once(
        "proxy-reloaded",
        "T15",
        "nginx is reloaded: the old worker cuts its three tunnels after worker_shutdown_timeout (1 s here).",
        "nginx-reload",
        "proxy-restarted",
        "# lab: main=worker_shutdown_timeout 1s;\n" + site(location("/ws")),
        samples={"any": "proxy-reloaded.pcapng"},
    ),
    all_at_once(
        "proxy-stopped",
        "T15",
        "nginx is stopped with three tunnels open; a client that comes back is refused.",
        "nginx-stop",
        "proxy-restarted",
        site(location("/ws")),
        back="refused",
    ),
    all_at_once(
        "proxy-crashed",
        "T16",
        "The nginx worker is killed with three tunnels open: the kernel closes all, and a new worker takes a client back.",
        "kill-worker",
        "proxy-crashed",
        site(location("/ws")),
        back="ok",
        logged=(r"\[alert\] .*worker process \d+ exited on signal 9",),
    ),
    Scenario(
        name="proxy-closed-after-a-round-silence",
        family="session",
        row="T15",
        title="nginx is stopped when one tunnel has been silent for about a second, though it lived through 2.4 s before.",
        nginx=site(location("/ws")),
        backends=(node_backend(),),
        clients=(py_client(*TALKS, ("sleep", 2.4), *WAITS),),
        events=(Event(3.65, "nginx-stop"),),
        expect=expect(broken("proxy-closed", ended_by="proxy", close_code=None, hops=2)),
        witness=Witness(not_logged=(r"\[error\]",), saw=({"close_code": 1006, "messages": 2},)),
    ),
    ending(
        "cut-mid-frame-behind-nginx",
        "T8",
        "nginx is stopped when the backend's frame is at nginx, but not yet at a client that reads slowly.",
        broken("cut-mid-frame", ended_by="proxy", hops=2),
        tunnel_backend(("frame_in",), ("ws", 2, "x" * 9000)),
        tunnel_client(("ws", 1, "more", {"mask": True}), ("sleep", 1.0), ("rst",), receive_buffer=4096),
        {"status": 101},
        events=(Event(0.6, "nginx-stop"),),
        small_buffers=True,
    ),
    Scenario(
        name="proxy-closed",
        family="session",
        row="T15",
        title="nginx is stopped with one tunnel open that was busy a moment before.",
        nginx=site(location("/ws")),
        backends=(node_backend(),),
        clients=(py_client(*(*TALKS, ("sleep", 0.2)) * 12, ("wait_closed",)),),
        events=(Event(1.5, "nginx-stop"),),
        expect=expect(broken("proxy-closed", ended_by="proxy", close_code=None, hops=2)),
        witness=Witness(not_logged=(r"\[error\]",), saw=({"close_code": 1006},)),
    ),
]
