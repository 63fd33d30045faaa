"""Does what a report says: puts its configuration into the scenario's nginx, plays the scenario again, and asks the clients.

Configuration to copy must be good to be copied as it stands: a location that is given whole takes the place of the one with that
path, or stands beside the others; a single directive goes into the location that serves the path, in the place of its like.
"""

from __future__ import annotations

import dataclasses
import json
import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import tls
from check import Row
from harness import Outcome, run_scenario
from model import BACKEND, BACKEND_2, Scenario, Witness
from nginx import settings

NOT_CURED = {
    "accept-mismatch": "the backend computes a wrong Sec-WebSocket-Accept",
    "answered-101-to-plain-request": "the client asks for no WebSocket",
    "backend-certificate-rejected": "nobody signed the backend's certificate",
    "backend-connect-timeout": "the backend is not there: a shorter timeout only makes that quick",
    "backend-invalid-header": "the backend is broken",
    "backend-not-http": "the backend is another service",
    "backend-refused": "the backend does not run",
    "backend-refused-by-icmp": "the backend does not run",
    "backend-refused-to-relay": "the backend does not run",
    "backend-wants-name": "the backend takes no name at all",
    "bad-request-by-proxy": "the client's request is malformed: the directive only makes nginx log why",
    "bad-request-untrusted-proxy": "the application has to trust the proxy",
    "client-certificate-missing": "the backend is a script that says nothing inside TLS",
    "closed-without-answer": "`return 444` looks like the missing header: that is a guess, and says so",
    "extension-parameters-invalid": "the backend is a script that always answers so",
    "extensions-not-forwarded": "the backend is a script that always refuses",
    "fastcgi-application": "the backend is an application behind FastCGI: the WebSocket is served elsewhere",
    "keys-accept-mismatch": "the backend computes a wrong Sec-WebSocket-Accept",
    "keys-backend-wants-certificate": "the backend is a script that says nothing inside TLS",
    "no-live-backend": "the backends do not run",
    "sealed-forbidden": "the backend has a list of origins, and the client's is not on it",
    "session-affinity-lost": "the backends are scripts, of which one never knows a session",
    "tls-to-plain-backend": "the backend is a script that refuses whatever comes",
    "tls-to-silent-backend": "the backend is a script that never answers",
    "token-case-rejected": "the further finding, which is a guess, proposes the cure",
    "upgrade-added": "the client asks for no WebSocket",
}
"""Scenarios that no configuration of nginx cures, and why; what is proposed must still be accepted."""

FILLED_IN = {
    "http://backend;": "http://bk;",
    "192.0.2.0/24": "192.168.50.0/24",
    "backend.example": tls.NAME,
    "/etc/nginx/backend-ca.pem": "../ca.pem",
    "/etc/nginx/client.pem": "../cert.pem",
    "/etc/nginx/client.key": "../key.pem",
    "/etc/nginx/fullchain.pem": "../cert.pem",
    "/etc/nginx/privkey.pem": "../key.pem",
    "upstream backend {": "upstream bk {",
    "    server ...;\n    server ...;": f"    server {BACKEND}:8080;\n    server {BACKEND_2}:8080;",
}
"""What stands in a snippet for what only the operator knows."""

_OF_HTTP = ("map", "upstream", "limit_conn_zone")
_OF_SERVER = ("listen", "error_log", "large_client_header_buffers", "set_real_ip_from", "real_ip_header", "ssl_verify_client")
_GROUPS = (("allow", "deny"), ("limit_conn", "limit_req"))
"""Directives whose order matters, or that do one thing together: the new ones take the place of all."""
_TOKENS = re.compile(r"""#[^\n]*|"(?:\\.|[^"])*"|'(?:\\.|[^'])*'|[{};]|[^\s{};"']+""")


@dataclass
class Directive:
    """A directive with its words, and its block if it has one."""

    words: list[str]
    block: list[Directive] | None = None

    def text(self, depth: int = 0) -> str:
        """As nginx reads it."""
        indent, words = "    " * depth, " ".join(self.words)
        if self.block is None:
            return f"{indent}{words};\n"
        return f"{indent}{words} {{\n" + "".join(one.text(depth + 1) for one in self.block) + f"{indent}}}\n"

    def key(self) -> tuple[str, ...]:
        """What two directives have in common of which one takes the other's place."""
        named = self.block is not None or self.words[0] in ("proxy_set_header", "proxy_hide_header", "error_page")
        return tuple(self.words) if self.block is not None else tuple(self.words[: 2 if named else 1])


def parse(text: str) -> list[Directive]:
    """Configuration as a tree; comments are left out."""
    open_blocks: list[list[Directive]] = [[]]
    words: list[str] = []
    for token in _TOKENS.findall(text):
        if token.startswith("#"):
            continue
        if token == "{":
            directive = Directive(words, [])
            open_blocks[-1].append(directive)
            open_blocks.append(directive.block)
        elif token == "}":
            open_blocks.pop()
        elif token == ";":
            open_blocks[-1].append(Directive(words))
        else:
            words.append(token)
            continue
        words = []
    return open_blocks[0]


def applied(http: str, snippet: str, path: str, port: str) -> str:
    """An http block with a snippet in it, for requests for `path` that came in at `port`."""
    for place, value in FILLED_IN.items():
        snippet = snippet.replace(place, value)
    main, workers, connections, text = settings(http)
    tree = parse(text)
    servers = [one for one in tree if one.words[0] == "server"]
    at_port = [one for one in servers if any(_listens(line, port) for line in one.block)]
    server = (at_port or servers)[0]
    for prefix in re.findall(r"# (?:and )?remove(?:, if there)?: ([^.;\n]+?) ?(?:\.\.\.)?;", snippet):
        _remove(tree, prefix.split())
    new = parse(snippet)
    for group in _GROUPS:
        if any(one.words[0] in group for one in new):
            block = _serving(server, path)
            block[:] = [one for one in block if one.words[0] not in group]
    for directive in new:
        name = directive.words[0]
        if name == "worker_rlimit_nofile":
            main += directive.text().strip()
        elif name == "events":
            connections = directive.block[0].words[1]
        elif name in _OF_HTTP:
            _put(tree, directive)
        elif name in _OF_SERVER or name == "location":
            _put(server.block, directive)
        else:
            _put(_serving(server, path), directive)
    chosen = f"# lab: main={main}\n# lab: workers={workers}\n# lab: connections={connections}\n"
    return chosen + "".join(directive.text() for directive in tree)


def _listens(line: Directive, port: str) -> bool:
    return line.words[0] == "listen" and line.words[1].rpartition(":")[2] == port


def _put(block: list[Directive], directive: Directive) -> None:
    """In the place of its like, or at the end."""
    for place, there in enumerate(block):
        if there.key() == directive.key():
            block[place] = directive
            return
    # A map or a zone has to stand before what uses it.
    block.insert(0, directive) if directive.words[0] in _OF_HTTP else block.append(directive)


def _serving(server: Directive, path: str) -> list[Directive]:
    """The inside of the location that nginx chooses for a path, of prefixes and exact ones."""
    best, found = -1, server.block
    for one in server.block:
        if one.words[0] != "location" or one.words[1].startswith("~"):
            continue
        match = one.words[-1]
        exact = one.words[1] == "=" and match == path
        if exact or (one.words[1] != "=" and path.startswith(match) and len(match) > best):
            best, found = (len(path) + 1 if exact else len(match)), one.block
    return found


def _remove(block: list[Directive], words: list[str]) -> None:
    block[:] = [one for one in block if one.words[: len(words)] != words]
    for one in block:
        _remove(one.block or [], words)


def proposed(report: dict[str, Any]) -> tuple[dict[str, Any], dict[str, Any]] | None:
    """The first failed handshake whose cause comes with configuration, and that finding."""
    for shake in report["handshakes"]:
        for finding in report["findings"]:
            is_cause = (finding["handshake"], finding["code"]) == (shake["id"], shake["cause"])
            if shake["verdict"] == "failed" and is_cause and finding["nginx_snippet"]:
                return shake, finding
    return None


def check_fix(outcome: Outcome, binary: Path, out: Path) -> Row | None:
    """Plays a scenario again with what the report of its first run proposes; `None` if that is nothing."""
    scenario = outcome.scenario
    if scenario.nginx is None or outcome.problems:
        return None
    report = _read(outcome, binary)
    found = proposed(report)
    if found is None:
        return None
    shake, finding = found
    hop = shake["hops"][0]
    port = next(c["server"] for c in report["connections"] if c["id"] == hop["connection"]).rpartition(":")[2]
    http = applied(scenario.nginx, finding["nginx_snippet"], shake["target"].partition("?")[0], port)
    again = run_scenario(_with(scenario, http), out)
    uncured = NOT_CURED.get(scenario.name)
    row = Row(scenario.name, "not cured" if uncured else "101", finding["code"], "", again.client_saw(), again.problems)
    if again.problems:
        return row
    last = again.saw[-1]
    cured = last.get("status") == 101 and last.get("close_code") in (None, 1000)
    if not cured and not uncured:
        row.problems.append(f"what {finding['code']} proposes does not help: see {again.folder}")
    if uncured and cured:
        row.problems.append(f"it helps, although {uncured}")
    return row


def _with(scenario: Scenario, http: str) -> Scenario:
    name = f"{scenario.name}-fixed"
    return dataclasses.replace(scenario, name=name, nginx=http, witness=Witness(), views=())


def _read(outcome: Outcome, binary: Path) -> dict[str, Any]:
    file = outcome.files[outcome.scenario.captures[0]]
    keys = [part for log in outcome.scenario.keys for part in ("--keylog", str(outcome.folder / log))]
    argv = [str(binary), "read", str(file), *keys, "--format", "json"]
    return json.loads(subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False).stdout)
