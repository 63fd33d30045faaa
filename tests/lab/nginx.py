"""nginx configurations from small pieces, and the nginx process of a scenario."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from model import BACKEND, PROXY_FRONT
from netns import Network
from processes import Processes, wait_for

UPGRADE = """\
proxy_http_version 1.1;
proxy_set_header Upgrade $http_upgrade;
proxy_set_header Connection $connection_upgrade;"""
"""The documented way to pass a WebSocket handshake on."""

NEW_DEFAULTS = """\
proxy_http_version 1.1;
proxy_set_header Connection "";"""
"""What nginx does by default since 1.29.7, said to an older one; `upstream(keepalive=32)` belongs to it."""

MAP = """\
map $http_upgrade $connection_upgrade {
    default upgrade;
    ''      close;
}"""

# Only what the lab needs around the scenario's own http block: private paths, and logs that tell everything.
_MAIN = """\
daemon off;
user root;
worker_processes {workers};
pid {prefix}/nginx.pid;
error_log {prefix}/error.log info;
{main}
events {{ worker_connections {connections}; }}
http {{
    log_format lab '$status $body_bytes_sent $request_time "$request" upstream="$upstream_addr" $upstream_status '
                   '$ssl_protocol $ssl_cipher';
    access_log {prefix}/access.log lab;
    client_body_temp_path {prefix}/tmp; proxy_temp_path {prefix}/tmp; fastcgi_temp_path {prefix}/tmp;
    uwsgi_temp_path {prefix}/tmp; scgi_temp_path {prefix}/tmp;
{http}
}}
"""


def upstream(*servers: str, name: str = "bk", keepalive: int = 0, extra: str = "") -> str:
    """An upstream block; by default the one backend of the lab."""
    lines = [f"server {server};" for server in servers or (f"{BACKEND}:8080",)]
    if keepalive:
        lines.append(f"keepalive {keepalive};")
    if extra:
        lines.append(extra)
    return f"upstream {name} {{\n{indent(chr(10).join(lines))}\n}}"


def location(path: str, body: str = UPGRADE, to: str = "http://bk") -> str:
    """A location that proxies to the backend, with directives such as `UPGRADE`."""
    lines = ([body] if body else []) + ([f"proxy_pass {to};"] if to else [])
    return f"location {path} {{\n{indent(chr(10).join(lines))}\n}}"


def variables(protocol: str) -> str:
    """What an application is told by `fastcgi`, `uwsgi` or `scgi`, besides the fields of the request."""
    given = {"CONTENT_LENGTH": "$content_length", "SCGI": "1", "REQUEST_URI": "$request_uri"}
    return "\n".join(f"{protocol}_param {name} {value};" for name, value in given.items())


def server(*parts: str, listen: str = f"{PROXY_FRONT}:80") -> str:
    """A server block."""
    return f"server {{\n{indent(chr(10).join([f'listen {listen};', *parts]))}\n}}"


def site(*parts: str, listen: str = f"{PROXY_FRONT}:80", up: str | None = None, http: str = "") -> str:
    """A whole http block: map, upstream and one server made of `parts`."""
    blocks = [MAP, upstream() if up is None else up, http, server(*parts, listen=listen)]
    return "\n".join(block for block in blocks if block)


def indent(text: str) -> str:
    """Moves text four columns to the right."""
    return "\n".join(f"    {line}" if line else line for line in text.splitlines())


class Nginx:
    """One running nginx with its own folder for configuration, logs and temporary files."""

    def __init__(self, prefix: Path, http: str) -> None:
        self.prefix = prefix
        self._http = http
        self._process = None

    def start(self, network: Network, processes: Processes, role: str = "p") -> None:
        """Writes the configuration and starts nginx; returns once it listens."""
        (self.prefix / "tmp").mkdir(parents=True, exist_ok=True)
        main, workers, connections, http = settings(self._http)
        text = _MAIN.format(prefix=self.prefix, main=main, workers=workers, connections=connections, http=indent(http))
        conf = self.prefix / "nginx.conf"
        conf.write_text(text)
        output = self.prefix / "output.log"
        argv = ["nginx", "-p", str(self.prefix), "-c", str(conf), "-e", str(self.prefix / "error.log")]
        self._process = processes.start(network.inside(role, argv), output, output, self.prefix.parent)
        # The pid file is written once the sockets listen.
        wait_for(lambda: self._process.poll() is not None or (self.prefix / "nginx.pid").exists(), "nginx to listen")
        wait_for(lambda: self._process.poll() is not None or self.workers(), "nginx workers")
        if self._process.poll() is not None:
            raise RuntimeError(f"nginx did not start: {output.read_text(errors='replace')}{self.error_log()}")

    def reload(self) -> None:
        """What `nginx -s reload` does."""
        self._process.send_signal(signal.SIGHUP)

    def stop(self) -> None:
        """What `nginx -s stop` does: tunnels are cut at once."""
        self._process.send_signal(signal.SIGTERM)

    def kill_workers(self) -> None:
        """Ends the workers as a crash would."""
        for pid in self.workers():
            os.kill(pid, signal.SIGKILL)

    def workers(self) -> list[int]:
        """Process ids of the workers."""
        path = Path(f"/proc/{self._process.pid}/task/{self._process.pid}/children")
        return [int(pid) for pid in path.read_text().split()] if path.exists() else []

    def error_log(self) -> str:
        """All lines of the error log."""
        return _text(self.prefix / "error.log")

    def access_log(self) -> str:
        """All lines of the access log."""
        return _text(self.prefix / "access.log")


def settings(http: str) -> tuple[str, str, str, str]:
    """Takes `# lab: NAME=VALUE` lines (workers, connections, main) out of an http block."""
    chosen = {"main": "", "workers": "1", "connections": "64"}
    kept = []
    for line in http.splitlines():
        if line.startswith("# lab: "):
            name, _, value = line.removeprefix("# lab: ").partition("=")
            chosen[name] = value
        else:
            kept.append(line)
    return chosen["main"], chosen["workers"], chosen["connections"], "\n".join(kept)


def _text(path: Path) -> str:
    return path.read_text(errors="replace") if path.exists() else ""
