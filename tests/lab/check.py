"""Compares what hop101 reports about a run with what the scenario expects, and prints the matrix."""

from __future__ import annotations

import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import Outcome
from model import ANY, Expect, Handshake, View
from views import files_of, key_logs_of

COLUMNS = ("scenario", "expected", "reported", "other findings", "client saw", "result")
WIDTHS = (38, 34, 34, 46, 44)


@dataclass
class Row:
    """One line of the matrix."""

    scenario: str
    expected: str
    reported: str
    others: str
    saw: str
    problems: list[str]

    def line(self) -> str:
        """The row in columns; problems follow on lines of their own."""
        cells = (self.scenario, self.expected, self.reported, self.others, self.saw)
        text = "  ".join(_cut(cell, width) for cell, width in zip(cells, WIDTHS))
        return f"{text}  {'OK' if not self.problems else 'FAIL'}" + "".join(f"\n      - {p}" for p in self.problems)


def header() -> str:
    """The matrix's first line."""
    return "  ".join(_cut(name, width) for name, width in zip(COLUMNS, (*WIDTHS, 6))).rstrip()


def check_views(outcome: Outcome, binary: Path) -> list[Row]:
    """One row per view of a run. A run that proves nothing gives one failed row."""
    rows = []
    for view in outcome.scenario.all_views():
        name = outcome.scenario.name + (f" [{view.name}]" if view.name else "")
        row = Row(name, expected_words(view.expect), "", "", outcome.client_saw(), list(outcome.problems))
        if not outcome.problems:
            _check_view(outcome, view, binary, row)
        rows.append(row)
    return rows


def witness_row(outcome: Outcome) -> Row:
    """A row for a run that is not read with hop101."""
    expected = expected_words(outcome.scenario.expect)
    return Row(outcome.scenario.name, expected, "not read", "", outcome.client_saw(), outcome.problems)


def _check_view(outcome: Outcome, view: View, binary: Path, row: Row) -> None:
    files = files_of(view, outcome.files, outcome.folder)
    key_logs = [part for log in key_logs_of(view, outcome.folder) for part in ("--keylog", str(log))]
    argv = [str(binary), "read", *map(str, files), *key_logs, "--format", "json"]
    done = subprocess.run(argv, capture_output=True, text=True, timeout=60, check=False)
    try:
        report = json.loads(done.stdout)
    except json.JSONDecodeError:
        row.problems.append(f"no JSON, exit code {done.returncode}: {done.stderr.strip()[:200]}")
        return
    (outcome.folder / f"report-{view.name or 'main'}.json").write_text(done.stdout)
    row.reported = reported_words(report)
    causes = {shake["cause"] for shake in report["handshakes"]}
    row.others = " ".join(sorted({f["code"] for f in report["findings"]} - causes))
    row.problems += compare(report, view.expect)
    if outcome.scenario.truth and not key_logs:
        logs = [part for name in outcome.scenario.truth for part in ("--keylog", str(outcome.folder / name))]
        done = subprocess.run([*argv, *logs], capture_output=True, text=True, timeout=60, check=False)
        row.problems += _joined_wrongly(report, json.loads(done.stdout), row)
    if outcome.scenario.family == "healthy" and not view.expect.tolerated():
        row.problems += [f"healthy, and yet {finding['severity']} {finding['code']}" for finding in report["findings"]]
    wanted_exit = 1 if any(f["severity"] == "error" for f in report["findings"]) else 0
    if done.returncode != wanted_exit:
        row.problems.append(f"exit code {done.returncode}, not {wanted_exit}")


def _joined_wrongly(sealed: dict[str, Any], opened: dict[str, Any], row: Row) -> list[str]:
    """Fronts joined without keys that are not those that the keys show. Those left out are counted."""

    def ends(report: dict[str, Any], name: str) -> tuple[str, str]:
        one = next(one for one in report["connections"] if one["id"] == name)
        return one["client"], one["server"]

    truth = {}
    for shake in opened["handshakes"]:
        for outer, inner in zip(shake["hops"], shake["hops"][1:]):
            truth[ends(opened, inner["connection"]), inner["exchange"]] = ends(opened, outer["connection"])
    problems, joined = [], 0
    for shake in sealed["handshakes"]:
        hop = shake["hops"][0]
        here = ends(sealed, hop["connection"]), hop["exchange"]
        if shake["front"] is not None:
            joined += 1
            front = ends(sealed, shake["front"]["connection"])
            if front != truth.get(here):
                problems.append(f"{shake['id']}: joined with {front}, not with {truth.get(here)}")
    row.others = f"{joined} of {len(truth)} joined; {row.others}"
    return problems


def compare(report: dict[str, Any], wanted: Expect) -> list[str]:
    """Every difference between a report and an expectation, in words."""
    problems = []
    shakes = report["handshakes"]
    expected = shakes if wanted.handshakes is None else list(wanted.handshakes)
    if len(shakes) != len(expected):
        problems.append(f"{len(shakes)} handshakes, not {len(expected)}")
    if wanted.handshakes is None:
        shakes = []
    elif wanted.unordered:
        shakes = sorted(shakes, key=lambda shake: (shake["verdict"], shake["cause"] or ""))
        expected = sorted(expected, key=lambda shake: (shake.verdict, shake.cause or ""))
    for shake, want in zip(shakes, expected):
        problems += [f"{shake['id']}: {p}" for p in _compare_handshake(report, shake, want)]
    decrypted = " ".join("yes" if one["tls"]["decrypted"] else "no" for one in report["connections"] if one["tls"])
    if wanted.decrypted and decrypted != wanted.decrypted:
        problems.append(f"TLS decrypted: {decrypted or 'none'}, not {wanted.decrypted}")
    found = {finding["code"]: finding["severity"] for finding in report["findings"]}
    problems += [f"finding {code} is missing" for code in sorted(wanted.codes() - found.keys())]
    said = [f"{finding['title']} {finding['detail']}" for finding in report["findings"]]
    if wanted.says and not any(wanted.says in text for text in said):
        problems.append(f"no finding says {wanted.says!r}")
    for finding in report["findings"]:
        if not finding["evidence"]:
            problems.append(f"finding {finding['code']} has no evidence")
    for code, severity in sorted(found.items()):
        if severity in ("warning", "error") and code not in wanted.tolerated():
            problems.append(f"unexpected {severity} {code}")
    return problems


def _compare_handshake(report: dict[str, Any], shake: dict[str, Any], want: Handshake) -> list[str]:
    problems = []
    causes = [f for f in report["findings"] if (f["handshake"], f["code"]) == (shake["id"], shake["cause"])]

    def differs(what: str, seen: Any, wanted: Any) -> None:
        if wanted is ANY or seen == wanted or (isinstance(wanted, tuple) and seen in wanted):
            return
        problems.append(f"{what} {seen!r}, not {wanted!r}")

    session = shake["session"] or {}
    hops = shake["hops"]
    first = hops[0]["response"] if hops else None
    ways = [session.get(way) for way in ("to_server", "to_client")]
    differs("verdict", shake["verdict"], want.verdict)
    differs("cause", shake["cause"], want.cause)
    differs("answered_by", shake["answered_by"], want.answered_by)
    differs("number of hops", len(hops), want.hops)
    differs("roles", " ".join(hop["role"] for hop in hops), want.roles)
    differs("paired_by", " ".join(str(hop["paired_by"]) for hop in hops[1:]), want.paired_by)
    differs("front", (shake["front"] or {}).get("paired_by"), want.front)
    differs("messages", " ".join(str(way["messages"]) for way in ways if way), want.messages)
    differs("status", (first or {}).get("status"), want.status)
    differs("ended_by", session.get("ended_by"), want.ended_by)
    differs("confidence", next((cause["confidence"] for cause in causes), None), want.sure)
    differs("close code", (session.get("close") or {}).get("code"), want.close_code)
    return problems


def expected_words(wanted: Expect) -> str:
    """Verdicts and causes of an expectation."""
    if wanted.handshakes is None:
        return "findings: " + " ".join(sorted(wanted.required))
    return _verdicts([(_either(shake.verdict), _either(shake.cause)) for shake in wanted.handshakes], wanted.required)


def _either(value: Any) -> Any:
    if value is ANY:
        return "*"
    return "/".join(str(part) for part in value) if isinstance(value, tuple) else value


def reported_words(report: dict[str, Any]) -> str:
    """Verdicts and causes of a report."""
    return _verdicts([(shake["verdict"], shake["cause"]) for shake in report["handshakes"]], frozenset())


def _verdicts(pairs: list[tuple[str, str | None]], required: frozenset[str]) -> str:
    if not pairs:
        return "no handshake" + (f": {' '.join(sorted(required))}" if required else "")
    return ", ".join(verdict + (f" {cause}" if cause else "") for verdict, cause in pairs)


def _cut(text: str, width: int) -> str:
    text = text.replace("\n", " ")
    return text.ljust(width) if len(text) <= width else text[: width - 1] + "…"
