#!/usr/bin/python3
"""The hop101 lab: real nginx between real clients and backends, captured, with logs as witnesses.

Needs root (network namespaces), nginx, dumpcap, tcpdump, nft, openssl, node and python3-websockets.
"""

from __future__ import annotations

import argparse
import fcntl
import os
import shutil
import signal
import sys
from concurrent.futures import ThreadPoolExecutor, as_completed
from pathlib import Path

sys.dont_write_bytecode = True  # Before the lab's own modules: no caches among the sources.

import check
import fixes
import harness
import netns
import samples
import spoil
import tls
from model import FAMILIES, Scenario
from processes import LabError, run_tool
from programs import CACHE
from scenarios import all_scenarios

NEEDED = ("nginx", "dumpcap", "editcap", "mergecap", "tcpdump", "ip", "nft", "openssl", "node", "npm", "curl", "sysctl")


def main() -> int:
    """Parses the command line and runs the command."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("list", help="names of the scenarios, one per line").add_argument("--family", choices=FAMILIES)
    run = commands.add_parser("run", help="run scenarios and keep captures and logs")
    checked = commands.add_parser("check", help="run scenarios and compare hop101's report with the expectation")
    checked.add_argument("--hop101", type=Path, required=True, help="the binary")
    checked.add_argument("--spoil", type=int, metavar="SEED", help="with a bad wire between any two hosts, chosen by this number")
    fixed = commands.add_parser("fixes", help="put the configuration that reports propose into nginx, and try again")
    fixed.add_argument("--hop101", type=Path, required=True, help="the binary")
    for command in (run, checked, fixed):
        command.add_argument("names", nargs="*", help="scenarios; none means all")
        command.add_argument("--family", choices=FAMILIES)
        command.add_argument("--out", type=Path, default=CACHE / "out")
        command.add_argument("--jobs", type=int, default=3)
    remade = commands.add_parser("samples", help="remake the samples, their README.md and expected.json")
    remade.add_argument("--out", type=Path, default=Path("samples"))
    remade.add_argument("--jobs", type=int, default=3)
    commands.add_parser("clean", help="delete runs and what killed runs left behind")
    options = parser.parse_args()
    if "out" in options:
        options.out = options.out.resolve()  # Configurations name their files in full: nginx has a prefix of its own.
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, _on_signal)
    try:
        return COMMANDS[options.command](options)
    except LabError as error:
        print(f"lab: {error}", file=sys.stderr)
        return 2


def _on_signal(number: int, _frame) -> None:
    """Undoes every running scenario, then leaves."""
    harness.interrupt()
    sys.exit(128 + number)


def command_list(options: argparse.Namespace) -> int:
    """Prints names."""
    for scenario in _chosen([], options.family):
        print(scenario.name)
    return 0


def command_run(options: argparse.Namespace) -> int:
    """Runs scenarios; the witnesses alone decide."""
    return _matrix(options, lambda outcome: [check.witness_row(outcome)])


def command_check(options: argparse.Namespace) -> int:
    """Runs scenarios and reads the captures with hop101."""
    binary = _binary(options)

    def rows_of(outcome: harness.Outcome) -> list[check.Row]:
        # On a bad wire another story may happen: what the witnesses do not know proves nothing.
        proves = options.spoil is None or not outcome.problems
        return check.check_views(outcome, binary) if proves else []

    return _matrix(options, rows_of)


def command_fixes(options: argparse.Namespace) -> int:
    """Runs scenarios, does what the reports say, and runs them again."""
    binary = _binary(options)

    def rows_of(outcome: harness.Outcome) -> list[check.Row]:
        row = fixes.check_fix(outcome, binary, options.out)
        return [check.witness_row(outcome)] if outcome.problems else [row] if row else []

    return _matrix(options, rows_of)


def _binary(options: argparse.Namespace) -> Path:
    if not options.hop101.is_file():
        raise LabError(f"{options.hop101} is no binary; build it first")
    return options.hop101.resolve()


def command_samples(options: argparse.Namespace) -> int:
    """Remakes the samples from their scenarios."""
    _prepare()
    chosen = [scenario for scenario in all_scenarios() if scenario.samples]
    outcomes = {}
    for outcome in _run_all(chosen, CACHE / "samples", options.jobs):
        outcomes[outcome.scenario.name] = outcome
        print(check.witness_row(outcome).line(), flush=True)
    if any(outcome.problems for outcome in outcomes.values()):
        raise LabError("samples are left as they are: a scenario failed")
    written = samples.write([outcomes[scenario.name] for scenario in chosen], options.out)
    print(f"{written} sample files in {options.out}")
    return 0


def command_clean(_options: argparse.Namespace) -> int:
    """Deletes leftovers."""
    for name in netns.remove_leftovers():
        print(f"deleted namespace {name}")
    for folder in ("out", "samples"):
        shutil.rmtree(CACHE / folder, ignore_errors=True)
    return 0


def _matrix(options: argparse.Namespace, rows_of) -> int:
    """Runs the chosen scenarios, prints a row for each view, and counts."""
    _prepare()
    chosen = _chosen(options.names, options.family)
    if getattr(options, "spoil", None) is not None:
        chosen = spoil.spoiled(chosen, options.spoil)
    print(check.header(), flush=True)
    passed = wrong = 0
    for outcome in _run_all(chosen, options.out, options.jobs):
        rows = rows_of(outcome)
        if any(row.problems for row in rows):
            # Real peers race, all the more on a busy machine: a scenario has to differ twice to be wrong.
            for row in rows:
                for problem in row.problems:
                    print(f"first run of {row.scenario}: {problem}", flush=True)
            rows = rows_of(harness.run_scenario(outcome.scenario, options.out))
        for row in rows:
            print(row.line(), flush=True)
            passed += not row.problems
            wrong += bool(row.problems)
    print(f"{passed} passed, {wrong} failed")
    return 1 if wrong else 0


def _run_all(chosen: list[Scenario], out: Path, jobs: int):
    """Yields outcomes as the scenarios end."""
    with ThreadPoolExecutor(max(1, jobs)) as pool:
        waiting = [pool.submit(harness.run_scenario, scenario, out) for scenario in chosen]
        for done in as_completed(waiting):
            yield done.result()


def _chosen(names: list[str], family: str | None) -> list[Scenario]:
    """The scenarios asked for, in the order of their definition."""
    known = all_scenarios()
    unknown = set(names) - {scenario.name for scenario in known}
    if unknown:
        raise LabError(f"no such scenario: {', '.join(sorted(unknown))}")
    return [s for s in known if (not names or s.name in names) and (not family or s.family == family)]


def _prepare() -> None:
    """Checks the tools and fetches node's `ws` once."""
    if os.geteuid() != 0:
        raise LabError("needs root: it makes network namespaces")
    missing = [tool for tool in NEEDED if shutil.which(tool) is None]
    if missing:
        raise LabError(f"not installed: {', '.join(missing)}")
    run_tool(["/usr/bin/python3", "-c", "import websockets"])
    CACHE.mkdir(parents=True, exist_ok=True)
    os.environ["NODE_PATH"] = str(CACHE / "node_modules")
    # Several labs may begin at the same moment: one prepares, the others wait for it.
    with (CACHE / "lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        _fetch_once()
        tls.prepare()


def _fetch_once() -> None:
    """Installs node's `ws`."""
    if not (CACHE / "node_modules" / "ws").is_dir():
        run_tool(
            [
                "npm",
                "install",
                "--no-save",
                "--no-package-lock",
                "--no-audit",
                "--no-fund",
                "--prefix",
                str(CACHE),
                "ws@8",
            ],
            limit=120,
        )


COMMANDS = {
    "list": command_list,
    "run": command_run,
    "check": command_check,
    "fixes": command_fixes,
    "samples": command_samples,
    "clean": command_clean,
}

if __name__ == "__main__":
    sys.exit(main())
