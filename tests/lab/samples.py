"""Writes samples/: small captures, README.md and expected.json, all from the scenarios that made them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

from harness import Outcome
from model import ANY, Expect, Handshake, Scenario, View
from nginx import MAP, upstream
from views import with_secrets

MAX_BYTES = 60_000

_INTRO = """\
# Samples

Small captures of real traffic: nginx 1.22.1 between real clients and backends, each in a network namespace of its own.
`make samples` remakes them with `tests/lab/lab.py samples`, which also writes this file and `expected.json` (verdict, cause and
findings of every sample, as the tests expect them). There, `files` are read together; of a handshake a field that is
missing may have any value and one that is a list any of those; `handshakes` is null where it is open whether the capture holds any;
`required` codes must be found, `allowed` ones may, and no other code of severity warning or error; `decrypted` tells for each
TLS connection whether it could be read.

Samples that bring TLS keys along have them in a decryption secrets block, put there by `editcap --inject-secrets`. They open nothing
but the few sessions of the lab in the same file, whose certificates are made for each lab and trusted by nobody.

Unless told otherwise the client is 192.168.50.23, nginx is 192.168.50.1 towards clients and 10.20.0.1 towards backends, the
backend is 10.20.0.11:8080, and the capture is the proxy host's `-i any`. Left out of the configurations below, as they are the same everywhere:

```nginx
{common}
```

| sample | shows |
| --- | --- |
"""


def write(outcomes: list[Outcome], out: Path) -> int:
    """Replaces the captures and texts in `out`; returns the number of capture files."""
    out.mkdir(parents=True, exist_ok=True)
    for old in (*out.glob("*.pcapng"), *out.glob("*.pcap")):
        old.unlink()
    entries, table, sections = [], [], []
    count = 0
    for outcome in sorted(outcomes, key=lambda o: next(iter(o.scenario.samples.values()))):
        names = outcome.scenario.samples
        for point, name in names.items():
            _copy(_with_keys(outcome, outcome.files[point]), out / name)
            count += 1
        entries += [_entry(outcome, view) for view in outcome.scenario.all_views() if is_sample(view, outcome.scenario)]
        files = ", ".join(f"`{name}`" for name in names.values())
        table.append(f"| {files} | {outcome.scenario.title} |")
        sections.append(_section(outcome, files))
    readme = _INTRO.replace("{common}", f"{MAP}\n{upstream()}") + "\n".join(table) + "\n\n" + "\n".join(sections)
    (out / "README.md").write_text(readme.rstrip("\n") + "\n")
    (out / "expected.json").write_text(json.dumps(entries, indent=2) + "\n")
    return count


def is_sample(view: View, scenario: Scenario) -> bool:
    """Whether a view can be read from the sample files as they are."""
    changed = view.clock_ahead or view.merged or view.snaplen or view.keys_are != "given"
    keys = scenario.keys if scenario.keys_injected else ()
    return not changed and view.keys == keys and set(view.files) <= set(scenario.samples)


def _with_keys(outcome: Outcome, capture: Path) -> Path:
    """The capture, with its key logs in it where the sample is to have them."""
    if not outcome.scenario.keys_injected:
        return capture
    logs = [outcome.folder / name for name in outcome.scenario.keys]
    return with_secrets(capture, logs, "injected", outcome.folder)


def _copy(source: Path, target: Path) -> None:
    size = source.stat().st_size
    if size > MAX_BYTES:
        raise RuntimeError(f"{target.name} has {size} bytes, more than a sample may have")
    if target.suffix == ".pcapng":
        target.write_bytes(without_host_options(source.read_bytes()))
    else:
        shutil.copyfile(source, target)


SECTION_HEADER, INTERFACE = 0x0A0D0D0A, 1
OPTIONS_AT = {SECTION_HEADER: 24, INTERFACE: 16}
OPTION_END, INTERFACE_OS = 0, 12


def without_host_options(capture: bytes) -> bytes:
    """A little-endian pcapng file without the options that tell the machine's processor and kernel."""
    kept, at = [], 0
    while at < len(capture):
        kind = int.from_bytes(capture[at : at + 4], "little")
        length = int.from_bytes(capture[at + 4 : at + 8], "little")
        block = capture[at : at + length]
        if kind in OPTIONS_AT:
            start = OPTIONS_AT[kind]
            options = b"" if kind == SECTION_HEADER else _without_option(block[start:-4], INTERFACE_OS)
            size = (start + len(options) + 4).to_bytes(4, "little")
            block = block[:4] + size + block[8:start] + options + size
        kept.append(block)
        at += length
    return b"".join(kept)


def _without_option(options: bytes, unwanted: int) -> bytes:
    """A block's options without one of them."""
    kept, at = b"", 0
    while at < len(options):
        code = int.from_bytes(options[at : at + 2], "little")
        length = int.from_bytes(options[at + 2 : at + 4], "little")
        end = at + 4 + (length + 3) // 4 * 4
        if code != unwanted:
            kept += options[at:end]
        if code == OPTION_END:
            break
        at = end
    return kept


def _entry(outcome: Outcome, view: View) -> dict[str, Any]:
    """A view of a run as the tests read it."""
    return {
        "files": [outcome.scenario.samples[point] for point in view.files],
        "scenario": outcome.scenario.name,
        "row": outcome.scenario.row or None,
        "client_saw": outcome.client_saw(),
        **_expectation(view.expect),
    }


def _expectation(expect: Expect) -> dict[str, Any]:
    return {
        "handshakes": None if expect.handshakes is None else [_handshake(shake) for shake in expect.handshakes],
        "unordered": expect.unordered,
        "required": sorted(expect.codes()),
        "allowed": sorted(expect.tolerated() - expect.codes()),
        **({"decrypted": expect.decrypted} if expect.decrypted else {}),
    }


def _handshake(shake: Handshake) -> dict[str, Any]:
    """The fields that are fixed; a field that is not there may have any value, one that is a list any of these."""
    return {name: value for name, value in vars(shake).items() if value is not ANY}


def _section(outcome: Outcome, files: str) -> str:
    """How one sample was made and what it shows."""
    scenario = outcome.scenario
    lines = [f"## {files}", "", scenario.title + ("" if not scenario.lesson else f" {scenario.lesson}"), ""]
    lines += [f"- client: {client.told}" for client in scenario.clients]
    lines += [f"- backend: {backend.told}" for backend in scenario.backends] or ["- backend: none"]
    lines += [f"- filter: `{rule}`" for rule in scenario.rules]
    lines += [f"- after {event.at:g} s: `{event.do}`" for event in scenario.events]
    lines += [f"- `{name}`: captured on `{point.removesuffix('.pcap')}`" for point, name in scenario.samples.items()]
    if scenario.keys_injected:
        lines.append(f"- TLS keys in the file: {' and '.join(f'`{name}`' for name in scenario.keys)}, as the peers above wrote them")
    lines += [f"- the client saw: {outcome.client_saw()}"]
    for title, http in (("nginx", scenario.nginx), ("second nginx", scenario.inner_nginx)):
        if http is not None:
            lines += ["", f"{title}:", "", "```nginx", _excerpt(http), "```"]
    logged = outcome.nginx_logged()
    lines += ["", "error log (level info):", "", "```text", *logged, "```"] if logged else ["", "nginx logged nothing."]
    if scenario.nginx is None:
        lines = lines[:-1] if not logged else lines
    return "\n".join(lines).rstrip() + "\n"


def _excerpt(http: str) -> str:
    """A configuration without what all of them share and without the lab's own settings."""
    for common in (MAP, upstream()):
        http = http.replace(common + "\n", "", 1)
    return "\n".join(line for line in http.splitlines() if not line.startswith("# lab: "))
