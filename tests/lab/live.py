#!/usr/bin/python3
"""Runs scenarios of the lab with `hop101 live` as the capture, and measures how soon it says what happened.

For each scenario: every handshake that fails or breaks appears on live output within a second of the packet that decided
it, and the final report equals what `hop101 read` makes of the file that `-w` wrote, byte for byte.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import datetime
from pathlib import Path
from typing import Any

sys.dont_write_bytecode = True

import harness
import lab
from model import Scenario
from processes import LabError, wait_for
from programs import CACHE
from scenarios import all_scenarios

LATENCY_MAX = 1.0
"""Seconds from the packet that decided an outcome to the line about it."""


class LiveCapture:
    """`hop101 live` on the proxy host in place of the lab's capture tools; same interface as `Captures`."""

    def __init__(self, run: harness.Run, binary: Path, interfaces: list[str], options: list[str]) -> None:
        self._run, self._binary, self._interfaces, self._options = run, binary, interfaces, options
        self._process: subprocess.Popen[bytes] | None = None
        self._readers: list[threading.Thread] = []
        self.lines: list[tuple[float, dict[str, Any]]] = []
        self.said: list[str] = []
        self.files: dict[str, Path] = {}
        self.code: int | None = None

    @property
    def folder(self) -> Path:
        return self._run.folder

    def start(self, _points: tuple[str, ...], snaplen: int = 0, _filter: str = "") -> None:
        """Starts it and returns once it listens."""
        interfaces = ["lo"] if self._run.scenario.topology == "loopback" else self._interfaces
        argv = [str(self._binary), "live", *(f"-i{name}" for name in interfaces), "-w", "live.pcapng", "--format", "jsonl", "-Z", "root"]
        argv += ["--report", "live.json", "--evidence", "evidence", *self._options, *_key_logs(self._run.scenario)]
        for name in self._run.scenario.keys:
            # It is there from the beginning, and grows while the session goes on.
            (self.folder / name).touch()
        if snaplen:
            argv += ["-s", str(max(snaplen, 64))]
        self._process = subprocess.Popen(
            self._run.network.inside("p", argv),
            cwd=self.folder,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
        )
        for read in (self._read_lines, self._read_messages):
            thread = threading.Thread(target=read, daemon=True)
            thread.start()
            self._readers.append(thread)
        wait_for(lambda: self._process.poll() is not None or any("listening" in s for s in self.said), "hop101 live")
        self.files["live"] = self.folder / "live.pcapng"

    def _read_lines(self) -> None:
        for line in self._process.stdout:
            self.lines.append((time.time(), json.loads(line)))

    def _read_messages(self) -> None:
        for line in self._process.stderr:
            self.said.append(line.decode(errors="replace").rstrip())

    def stop(self) -> list[str]:
        """Ends it in an orderly way; tells what it complained about."""
        if self._process is None:
            return []
        self._process.send_signal(signal.SIGINT)
        try:
            self.code = self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            return ["hop101 live did not end"]
        for reader in self._readers:
            reader.join()
        (self.folder / "live.err").write_text("\n".join(self.said) + "\n")
        self._process = None
        complaints = [said for said in self.said if "listening on" not in said]
        return [f"hop101 live exits with {self.code}"] if self.code not in (0, 1) else complaints

    def close(self) -> None:
        """Ends it whatever happens."""
        if self._process is not None and self._process.poll() is None:
            self._process.kill()
            self._process.wait()


def run_live(
    scenario: Scenario, out: Path, binary: Path, interfaces: list[str], options: list[str]
) -> tuple[str, list[str], list[float]]:
    """One scenario: a line about it, what is wrong, and the latencies."""
    folder = out / scenario.name
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    run = harness.Run(scenario, folder)
    live = LiveCapture(run, binary, interfaces, options)
    run.captures = live
    try:
        problems = run.run().problems
    except (LabError, OSError, RuntimeError) as error:
        return scenario.name, [f"lab: {error}"], []
    finally:
        live.close()
        run.close()
    if problems:
        return scenario.name, problems, []
    report = json.loads((folder / "live.json").read_text())
    problems += _same_as_read(folder, binary, [*options, *_key_logs(scenario)])
    latencies, late = _latencies(report, live.lines)
    problems += late + _evidence(folder, report)
    verdicts = ", ".join(f"{h['verdict']} {h['cause'] or ''}".strip() for h in report["handshakes"]) or "no handshake"
    shown = f"{scenario.name:40} {verdicts:60} " + " ".join(f"{latency:.2f}" for latency in latencies)
    return shown, problems, latencies


def _key_logs(scenario: Scenario) -> list[str]:
    """The key logs that the peers write."""
    return [f"--keylog={name}" for name in scenario.keys]


def _same_as_read(folder: Path, binary: Path, options: list[str]) -> list[str]:
    chosen = [part for part in options if part.startswith(("--port", "--keylog"))]
    argv = [str(binary), "read", "live.pcapng", "-q", "--report", "read.json", *chosen]
    done = subprocess.run(argv, cwd=folder, capture_output=True, text=True, timeout=60, check=False)
    if done.returncode not in (0, 1):
        return [f"hop101 read exits with {done.returncode}: {done.stderr.strip()}"]
    if (folder / "live.json").read_bytes() != (folder / "read.json").read_bytes():
        return ["the final report is not what read makes of the file"]
    return []


def _latencies(report: dict[str, Any], lines: list[tuple[float, dict[str, Any]]]) -> tuple[list[float], list[str]]:
    """How long after the deciding packet each bad handshake was shown with its verdict."""
    latencies, problems = [], []
    connections = {connection["id"]: connection for connection in report["connections"]}
    shown = [(at, line) for at, line in lines if line["type"] == "handshake"]
    for shake in report["handshakes"]:
        if shake["verdict"] not in ("failed", "broken"):
            continue
        decided = _decided(shake, connections)
        mine = [at for at, line in shown if _same(line, shake) and line["verdict"] == shake["verdict"]]
        if not mine:
            problems.append(f"{shake['id']} ({shake['verdict']} {shake['cause']}) was not shown")
        elif decided is not None:
            latencies.append(min(mine) - decided)
            if latencies[-1] > LATENCY_MAX:
                problems.append(f"{shake['id']} ({shake['cause']}) was shown after {latencies[-1]:.2f} s")
    for finding in report["findings"]:
        if finding["handshake"] or finding["severity"] == "info" or len(finding["connections"]) != 1:
            continue
        ended = connections.get(finding["connections"][0], {"ended": {"at": None}})["ended"]["at"]
        mine = [at for at, line in lines if line["type"] == "finding" and line["detail"] == finding["detail"]]
        if not mine:
            problems.append(f"{finding['code']} was not shown")
        elif ended is not None:
            latencies.append(min(mine) - _seconds(ended))
            if latencies[-1] > LATENCY_MAX:
                problems.append(f"{finding['code']} was shown after {latencies[-1]:.2f} s")
    return latencies, problems


def _same(line: dict[str, Any], shake: dict[str, Any]) -> bool:
    """Whether a line is about a handshake: they share a hop. An outer hop may only be found when its connection closes."""
    hops = [{(hop["connection"], hop["exchange"]) for hop in one["hops"]} for one in (line, shake)]
    return not hops[0].isdisjoint(hops[1])


def _decided(shake: dict[str, Any], connections: dict[str, Any]) -> float | None:
    """The time of the packet that decided: the end of the session, the answer, or the end of the connection."""
    session, hop = shake["session"], shake["hops"][0]
    if shake["verdict"] == "broken" and session:
        return _seconds(session["ended_at"]) if session["ended_at"] else None
    if hop["response"]:
        return _seconds(hop["response"]["at"])
    ended = connections[hop["connection"]]["ended"]["at"]
    return _seconds(ended) if ended else None


def _seconds(at: str) -> float:
    return datetime.strptime(at[:26] + "+0000", "%Y-%m-%dT%H:%M:%S.%f%z").timestamp()


def _evidence(folder: Path, report: dict[str, Any]) -> list[str]:
    bad = sum(shake["verdict"] in ("failed", "broken") for shake in report["handshakes"])
    files = len(list((folder / "evidence").glob("*.pcapng")))
    return [] if files == bad else [f"{files} evidence files for {bad} handshakes that went wrong"]


def main() -> int:
    """Parses the command line and runs the scenarios."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", help="scenarios; none means all")
    parser.add_argument("--hop101", type=Path, required=True, help="the binary")
    parser.add_argument("--out", type=Path, default=CACHE / "live")
    parser.add_argument("--jobs", type=int, default=3)
    parser.add_argument("--interface", action="append", help="of the proxy host: any, front, back")
    parser.add_argument("--option", action="append", default=[], help="passed on to hop101 live (--option=--port=80)")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    lab._prepare()
    known = {scenario.name: scenario for scenario in all_scenarios()}
    if unknown := set(options.names) - known.keys():
        raise LabError(f"no such scenario: {', '.join(sorted(unknown))}")
    chosen = [known[name] for name in options.names] or list(known.values())
    interfaces = options.interface or ["any"]
    binary, wrong, all_latencies = options.hop101.resolve(), 0, []
    with ThreadPoolExecutor(max(1, options.jobs)) as pool:
        rows = [pool.submit(run_live, one, options.out, binary, interfaces, options.option) for one in chosen]
        waited = [(one, row.result()) for one, row in zip(chosen, rows)]
    for one, (shown, problems, latencies) in waited:
        if problems:
            # Peers race and a busy machine takes its time: a scenario has to go wrong twice, the second time alone.
            print("".join(f"first run of {one.name}: {problem}\n" for problem in problems), end="", flush=True)
            shown, problems, latencies = run_live(one, options.out, binary, interfaces, options.option)
        all_latencies += latencies
        wrong += bool(problems)
        print(f"{shown}  {'FAIL' if problems else 'OK'}" + "".join(f"\n    - {p}" for p in problems), flush=True)
    if all_latencies:
        all_latencies.sort()
        middle = all_latencies[len(all_latencies) // 2]
        print(f"{len(all_latencies)} outcomes shown, after {middle:.2f} s in the middle, {all_latencies[-1]:.2f} s at most")
    print(f"{len(chosen) - wrong} passed, {wrong} failed")
    return 1 if wrong else 0


if __name__ == "__main__":
    os.umask(0o022)
    try:
        sys.exit(main())
    except LabError as error:
        print(f"live: {error}", file=sys.stderr)
        sys.exit(2)
