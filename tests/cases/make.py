#!/usr/bin/python3
"""Makes tests/cases: for every finding code a small capture, and in case.toml what must be said about it.

Most come from the lab, so that nginx's log is their witness: one that is a sample already is named, not copied. Captures that the
lab cannot produce are built (`built.py`) and say so. In with-keys/ are sessions over TLS with the key logs of their peers: throw-away
keys of sessions with the lab's own certificates. `make.py [--lab OUT] [CODE | with-keys/NAME ...]`; OUT holds scenarios that were run
already (`lab.py run --out OUT`), the others are run. As root.
"""

from __future__ import annotations

import argparse
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

sys.dont_write_bytecode = True
HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
sys.path.insert(0, str(HERE.parent / "lab"))

import built
import views
from harness import Outcome
from model import ANY, Expect, Scenario, View, expect, expect_findings, failed, ok, broken, unclear
from samples import is_sample, without_host_options
from scenarios import all_scenarios

SCENARIO_OF = {
    "upgrade-added": "answered-101-to-plain-request",
    "connection-missing": "upgrade-missing-from-client",
    "upgrade-missing": "upgrade-missing-from-client",
    "host-rewritten": "path-rewritten",
    "bad-request": "bad-request-untrusted-proxy",
    "upgrade-required": "unix-socket-not-forwarded",
    "bad-gateway": "backend-without-arp",
    "redirected": "redirected-to-login",
    "backend-not-contacted": "service-unavailable-by-proxy",
    "backend-invalid-response": "backend-not-http",
    "header-duplicated": "key-duplicated",
    "probe-artefact": "probe-with-key-test",
    "answer-connection-missing": "answer-connection-missing-direct",
    "backend-tls-rejected": "backend-certificate-rejected",
    "tls-handshake-failed": "tls-version-refused",
    "idle-timeout-in-front": "idle-timeout-of-balancer",
    "frame-fault": "frame-unmasked",
    "proxy-restarted": "proxy-reloaded",
    "backend-hop-not-seen": "forbidden-by-proxy",
    "client-hop-not-seen": "tls-upgrade-not-forwarded",
    "capture-mid-stream": "mid-stream",
    "capture-one-sided": "one-direction",
    "capture-truncated": "truncated",
    "capture-duplicates": "every-vantage-point",
    "clock-offset": "every-vantage-point",
}
"""The scenario that shows a code, where it has another name."""

VIEW_OF = {"capture-duplicates": "any and front in one file", "clock-offset": "backend's clock ahead"}
"""The view of the scenario, where it is not the first one."""

WITH_KEYS = "with-keys/"
TOO_LARGE = ("keys-large-messages", "keys-large-messages-cbc", "keys-bad-wire", "keys-many-at-once")
"""Scenarios with keys that stay in the lab."""
KEYED_VIEWS = {
    "injected": ("keys-views", "in the capture"),
    "behind-the-packets": ("keys-views", "behind the packets"),
    "both-hops-behind": ("keys-both-hops", "behind the packets"),
    "both-hops-client-only": ("keys-both-hops", "the client's keys"),
    "both-hops-backend-only": ("keys-both-hops", "the backend's keys"),
    "other-sessions": ("keys-views", "other sessions"),
    "other-secrets": ("keys-views", "other secrets"),
    "client-secrets-only": ("keys-views", "client's secrets"),
    "server-secrets-only": ("keys-views", "server's secrets"),
    "not-forwarded-client-secrets-only": ("keys-upgrade-not-forwarded", "client's secrets"),
    "not-forwarded-front-client-secrets-only": ("keys-upgrade-not-forwarded", "client hop, client's secrets"),
    "cut-at-96": ("keys-views", "96 bytes"),
    "cut-at-400": ("keys-views", "400 bytes"),
}
"""Cases with keys that are not the first view of their scenario."""

BUILT = {
    "proxy-crashed": (
        built.proxy_crashed,
        expect(*(broken("proxy-crashed", ended_by="proxy", hops=2),) * 4, ok(hops=2), required="proxy-crashed", allowed="client-left"),
    ),
    "proxy-overloaded": (
        built.proxy_overloaded,
        expect_findings("proxy-overloaded", "no-answer backend-not-contacted"),
    ),
    "no-answer": (
        built.no_answer,
        expect(ok(hops=2), failed("no-answer", answered_by=None, hops=1), required="no-answer", allowed="client-left backend-not-contacted"),
    ),
    "connect-refused": (
        built.connect_refused,
        expect(ok(hops=2), required="connect-refused", allowed="client-left"),
    ),
    "connect-unanswered": (
        built.connect_unanswered,
        expect(ok(hops=2), required="connect-unanswered", allowed="client-left"),
    ),
    "pairing-ambiguous": (built.pairing_ambiguous, expect(ok(hops=2), ok(hops=2), required="pairing-ambiguous")),
    "http2-to-backend": (
        built.http2_to_backend,
        expect(failed("http2-to-backend", status=400), required="http2-to-backend", allowed="bad-request"),
    ),
    "http2-connection-header": (built.http2_connection_header, expect_findings("http2-connection-header")),
    "capture-gap": (
        lambda: built.without_frame(sample("not-found.pcapng"), 8),
        expect(unclear("capture-gap", answered_by=ANY, hops=1), required="backend-hop-not-seen"),
    ),
    "capture-drops": (
        lambda: built.with_drops(sample("healthy.pcapng"), 12),
        expect(ok(hops=2, close_code=1000), required="capture-drops"),
    ),
}
"""What the lab cannot produce: the builder, and what must be said about it. The builder's first line tells what it shows."""

CHANGED = {
    "capture-gap": "samples/not-found.pcapng without the frame that holds the answer",
    "capture-drops": "samples/healthy.pcapng with statistics that count 12 lost packets",
}
"""Built from a sample."""


def main() -> int:
    """Makes the cases named, or all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("codes", nargs="*")
    parser.add_argument("--lab", type=Path, default=ROOT / "target" / "lab" / "cases")
    options = parser.parse_args()
    scenarios = {scenario.name: scenario for scenario in all_scenarios()}
    known = re.findall(r'= "([a-z0-9-]+)" =>', (ROOT / "src/diagnosis/catalogue/code.rs").read_text())
    from_runs = {code: (SCENARIO_OF.get(code, code), VIEW_OF.get(code, "")) for code in known if code not in BUILT}
    from_runs |= keyed(scenarios.values())
    chosen = options.codes or [*known, *(name for name in from_runs if name.startswith(WITH_KEYS))]
    needed = {from_runs[code][0] for code in chosen if code in from_runs}
    run_missing(sorted(name for name in needed if not (options.lab / name).is_dir()), options.lab)
    for code in chosen:
        folder = HERE / code
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(parents=True)
        if code in BUILT:
            from_builder(code, folder)
        else:
            name, view_name = from_runs[code]
            view = next(view for view in scenarios[name].all_views() if view.name == view_name)
            from_lab("" if code.startswith(WITH_KEYS) else code, scenarios[name], view, options.lab, folder)
    print(f"{len(chosen)} cases")
    return 0


def keyed(scenarios: Iterable[Scenario]) -> dict[str, tuple[str, str]]:
    """The cases with keys: scenario and view of each."""
    chosen = {}
    for scenario in scenarios:
        if scenario.keys and scenario.name not in TOO_LARGE:
            chosen[WITH_KEYS + scenario.name.removeprefix("keys-")] = (scenario.name, "")
    return chosen | {WITH_KEYS + name: view for name, view in KEYED_VIEWS.items()}


def run_missing(names: list[str], out: Path) -> None:
    """Lets the lab run what is needed."""
    if names:
        subprocess.run(["/usr/bin/python3", str(HERE.parent / "lab/lab.py"), "run", *names, "--out", str(out)], check=True)


def sample(name: str) -> bytes:
    """A sample's bytes."""
    return (ROOT / "samples" / name).read_bytes()


def from_builder(code: str, folder: Path) -> None:
    """A case that was built by hand."""
    build, wanted = BUILT[code]
    capture = build()
    name = "capture.pcapng" if code in CHANGED else "capture.pcap"
    (folder / name).write_bytes(capture)
    tells = CHANGED.get(code) or build.__doc__
    write(folder, "built", tells, [name], [], wanted, code)


def from_lab(code: str, scenario: Scenario, view: View, out: Path, folder: Path) -> None:
    """A case that the lab produced, of a code or of none."""
    run = out / scenario.name
    keys: list[str] = []
    if is_sample(view, scenario):
        # From here to the root, and then to the sample.
        up = "/".join(".." for _ in folder.relative_to(ROOT).parts)
        files = [f"{up}/samples/{scenario.samples[point]}" for point in view.files]
    else:
        files = [copied(path, folder) for path in view_files(view, run)]
        keys = [copied(path, folder) for path in views.key_logs_of(view, run)]
    origin = f"lab: {scenario.name}" + (f", {view.name}" if view.name else "")
    write(folder, origin, scenario.title, files, logged(run), view.expect, code, keys)


def view_files(view: View, run: Path) -> list[Path]:
    """The captures of a view, changed as it says."""
    captured = {}
    for point in view.files:
        kind = "pcap" if point.endswith(".pcap") else "pcapng"
        captured[point] = run / f"{point.removesuffix('.pcap')}.{kind}"
    return views.files_of(view, captured, run)


def copied(source: Path, folder: Path) -> str:
    """Copies a capture without what tells of the machine that made it."""
    name = source.name
    data = source.read_bytes()
    (folder / name).write_bytes(without_host_options(data) if source.suffix == ".pcapng" else data)
    return name


def logged(run: Path) -> list[str]:
    """What nginx logged, as the samples' README tells it."""
    log = run / "nginx" / "error.log"
    if not log.is_file():
        return []
    # The run may have been moved since nginx wrote its paths.
    told = re.sub(rf"/[^\s\"]*/{re.escape(run.name)}/", "PREFIX/", log.read_text(errors="replace"))
    return Outcome.nginx_logged(SimpleNamespace(folder=run, error_log=told))


def write(
    folder: Path,
    origin: str,
    tells: str,
    files: list[str],
    log: list[str],
    wanted: Expect,
    code: str = "",
    keys: list[str] | None = None,
) -> None:
    """Writes case.toml."""
    required = sorted(wanted.codes() | ({code} if code else set()))
    lines = [
        "# Made by tests/cases/make.py." + (" The keys open nothing but this capture." if keys else ""),
        f"origin = {quoted(origin)}",
        f"tells = {quoted(tells)}",
        f"files = {quoted(files)}",
        *([f"keys = {quoted(keys)}"] if keys else []),
        f"nginx_logged = {array(log)}",
        f"required = {quoted(required)}",
        f"allowed = {quoted(sorted(wanted.tolerated() - set(required)))}",
    ]
    if wanted.decrypted:
        lines.append(f"decrypted = {quoted(wanted.decrypted)}")
    if wanted.unordered:
        lines.append("unordered = true")
    if wanted.handshakes is not None and not wanted.handshakes:
        lines.append("handshakes = []")
    for shake in wanted.handshakes or ():
        lines += ["", "[[handshakes]]"]
        lines += [f"{name} = {value(given)}" for name, given in vars(shake).items() if given is not ANY]
    (folder / "case.toml").write_text("\n".join(lines) + "\n")


def value(given: Any) -> str:
    """A fixed field; TOML has no null, so "none" stands for it."""
    if isinstance(given, tuple):
        return "[" + ", ".join(value(one) for one in given) + "]"
    return quoted("none" if given is None else given)


def array(lines: list[str]) -> str:
    """A list with a line for each item."""
    return "[" + "".join(f"\n    {quoted(line)}," for line in lines) + ("\n" if lines else "") + "]"


def quoted(text: Any) -> str:
    """A TOML string, number or list of strings: JSON's spelling is TOML's."""
    return json.dumps(text, ensure_ascii=False)


if __name__ == "__main__":
    sys.exit(main())
