"""Runs one scenario: hosts, nginx, backends, captures, clients, events; then asks the witnesses."""

from __future__ import annotations

import json
import re
import shutil
import signal
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import tls
from capture import Captures
from model import Peer, Scenario
from netns import Network
from nginx import Nginx
from processes import LabError, Processes, wait_for


@dataclass
class Outcome:
    """What a run left behind."""

    scenario: Scenario
    folder: Path
    files: dict[str, Path] = field(default_factory=dict)
    saw: list[dict[str, Any]] = field(default_factory=list)
    error_log: str = ""
    access_log: str = ""
    problems: list[str] = field(default_factory=list)
    """Why the run does not prove its scenario; empty when all witnesses agree."""

    def client_saw(self) -> str:
        """What the clients saw, in a few words each."""
        return "; ".join(_in_words(saw) for saw in self.saw)

    def nginx_logged(self) -> list[str]:
        """Lines of the error log without start-up noise, without what differs between runs, and printable."""
        lines = []
        for line in self.error_log.splitlines():
            line = line.replace(str(self.folder.resolve()), "PREFIX")
            message = re.sub(r"^\S+ \S+ (\[\w+\]) \d+#\d+: (\*\d+ )?", r"\1 ", line)
            if not message.startswith("[notice]"):
                lines.append("".join(c if c.isprintable() else f"\\x{ord(c):02x}" for c in message))
        return lines


_live: set[Run] = set()
_live_lock = threading.Lock()
_interrupted = threading.Event()


class Run:
    """One scenario being run. `close` undoes everything, from any thread, at any time."""

    def __init__(self, scenario: Scenario, folder: Path) -> None:
        self.scenario = scenario
        self.folder = folder
        self.network = Network(scenario.topology)
        self.processes = Processes()
        self.captures = Captures(self.network, self.processes, folder)
        self.nginx: Nginx | None = None
        self.inner: Nginx | None = None
        self._backends: list = []

    def close(self) -> None:
        """Ends the processes, then deletes the namespaces."""
        self.processes.close()
        self.network.close()

    def run(self) -> Outcome:
        """From empty namespaces to captures and the witnesses' words."""
        outcome = Outcome(self.scenario, self.folder)
        self.network.open()
        tls.place(self.folder)
        if self.scenario.small_buffers:
            self.network.shrink_buffers()
        for rule in self.scenario.rules:
            self._filter(rule)
        for backend in self.scenario.backends:
            self._start_backend(backend)
        if self.scenario.inner_nginx is not None:
            self.inner = Nginx(self.folder / "inner-nginx", self.scenario.inner_nginx)
            self.inner.start(self.network, self.processes, "i")
        if self.scenario.nginx is not None:
            self.nginx = Nginx(self.folder / "nginx", self.scenario.nginx)
            self.nginx.start(self.network, self.processes)
        if self.scenario.capture_first:
            self._start_captures()
        events = threading.Thread(target=self._play_events, args=(outcome,))
        events.start()
        try:
            outcome.saw = self._play_clients()
        finally:
            events.join()
        time.sleep(self.scenario.settle)
        outcome.problems += self.captures.stop()
        outcome.files = dict(self.captures.files)
        for nginx in (self.nginx, self.inner):
            if nginx is not None:
                outcome.error_log += nginx.error_log()
                outcome.access_log += nginx.access_log()
        for name in self.scenario.keys:
            if not (self.folder / name).is_file():
                outcome.problems.append(f"nobody wrote {name}")
        self._ask_witnesses(outcome)
        return outcome

    def _start_captures(self) -> None:
        self.captures.start(self.scenario.captures, self.scenario.snaplen, self.scenario.capture_filter)

    def _start_backend(self, backend: Peer) -> None:
        log = self.folder / f"backend-{len(self._backends)}.log"
        process = self.processes.start(self.network.inside(backend.role, list(backend.argv)), log, log, self.folder)
        self._backends.append(process)
        wait_for(lambda: process.poll() is not None or "ready" in log.read_text(errors="replace"), backend.told)
        if process.poll() is not None:
            raise LabError(f"backend did not start: {log.read_text(errors='replace')}")

    def _play_clients(self) -> list[dict[str, Any]]:
        """Starts the clients in order and gathers what they saw, in that order."""
        started = []
        for number, client in enumerate(self.scenario.clients):
            time.sleep(client.delay)
            out, err = self.folder / f"client-{number}.out", self.folder / f"client-{number}.err"
            process = self.processes.start(self.network.inside("c", list(client.argv)), out, err, self.folder)
            started.append((client, process, out, err))
            if not client.background:
                wait_for(lambda process=process: process.poll() is not None, client.told, client.limit)
        for client, process, _, _ in started:
            wait_for(lambda process=process: process.poll() is not None, client.told, client.limit)
        return [_result(client, process.returncode, out, err) for client, process, out, err in started]

    def _play_events(self, outcome: Outcome) -> None:
        """Does what the scenario wants done to the hosts, each at its time."""
        begin = time.monotonic()
        try:
            for event in self.scenario.events:
                time.sleep(max(0.0, begin + event.at - time.monotonic()))
                if _interrupted.is_set():
                    return
                self._do(event.do, outcome)
        except (LabError, OSError, RuntimeError) as error:
            outcome.problems.append(f"event failed: {error}")

    def _do(self, what: str, outcome: Outcome) -> None:
        if what == "nginx-reload":
            self.nginx.reload()
        elif what == "nginx-stop":
            self.nginx.stop()
        elif what == "kill-worker":
            self.nginx.kill_workers()
        elif what == "kill-backend":
            first = next(at for at, peer in enumerate(self.scenario.backends) if peer.role == "b")
            self._backends[first].send_signal(signal.SIGKILL)
        elif what == "capture-start":
            self._start_captures()
        elif what == "capture-stop":
            outcome.problems += self.captures.stop()
        elif what.startswith("nft "):
            self._filter(what.removeprefix("nft "))
        else:
            raise LabError(f"unknown event {what}")

    def _filter(self, rule: str) -> None:
        role, chain, text = rule.split(" ", 2)
        self.network.filter(role, chain, text)

    def _ask_witnesses(self, outcome: Outcome) -> None:
        """Compares logs and clients with what the scenario claims."""
        witness, problems = self.scenario.witness, outcome.problems
        for pattern in witness.logged:
            if not re.search(pattern, outcome.error_log):
                problems.append(f"nginx did not log /{pattern}/")
        for pattern in witness.not_logged:
            if re.search(pattern, outcome.error_log):
                problems.append(f"nginx logged /{pattern}/")
        for pattern in witness.accessed:
            if not re.search(pattern, outcome.access_log):
                problems.append(f"the access log has no /{pattern}/")
        statuses = tuple(line.split()[0] for line in outcome.access_log.splitlines())
        if witness.access is not None and statuses != witness.access:
            problems.append(f"access log has {' '.join(statuses) or 'nothing'}, not {' '.join(witness.access)}")
        for number, wanted in enumerate(witness.saw):
            for name, value in wanted.items():
                seen = outcome.saw[number].get(name)
                right = re.search(value, str(seen)) if isinstance(value, str) else seen == value
                if not right:
                    problems.append(f"client {number} saw {name} {seen!r}, not {value!r}")
        printed = "".join(path.read_text(errors="replace") for path in sorted(self.folder.glob("backend-*.log")))
        for pattern in witness.backend:
            if not re.search(pattern, printed):
                problems.append(f"backends did not say /{pattern}/")


def run_scenario(scenario: Scenario, out: Path) -> Outcome:
    """Runs a scenario in a fresh folder below `out` and cleans up behind it, whatever happens."""
    folder = out / scenario.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run = Run(scenario, folder)
    with _live_lock:
        if _interrupted.is_set():
            return Outcome(scenario, folder, problems=["interrupted"])
        _live.add(run)
    try:
        return run.run()
    except (LabError, OSError, RuntimeError) as error:
        return Outcome(scenario, folder, problems=[f"lab: {error}"])
    finally:
        run.close()
        with _live_lock:
            _live.discard(run)


def interrupt() -> None:
    """Ends all running scenarios; used by signal handlers."""
    _interrupted.set()
    with _live_lock:
        runs = list(_live)
    for run in runs:
        run.close()


def _result(client: Peer, code: int, out: Path, err: Path) -> dict[str, Any]:
    """What a client reported: its JSON line, or curl's exit code, status and body."""
    text = out.read_text(errors="replace")
    if "curl" in client.argv:
        body, _, last = text.rstrip("\n").rpartition("\n")
        status = int(last.split()[0]) if last.split() else 0
        return {"exit": code, "status": status, "version": last.split()[-1] if last.split() else None, "body": body}
    lines = text.strip().splitlines()
    if not lines:
        return {"status": None, "error": f"no report, exit code {code}: {err.read_text(errors='replace')[-300:]}"}
    return json.loads(lines[-1])


def _in_words(saw: dict[str, Any]) -> str:
    """One client's report as a few words."""
    words = [f"{saw['status']}" if saw.get("status") else "no answer"]
    if saw.get("close_code") is not None:
        words.append(f"close {saw['close_code']}")
    if saw.get("exit"):
        words.append(f"curl exit {saw['exit']}")
    if saw.get("error"):
        words.append(saw["error"].splitlines()[0][:70])
    elif saw.get("end"):
        words.append(saw["end"])
    return ", ".join(words)
