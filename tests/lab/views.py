"""The files of a view: captures as they are, or as other tools and settings would have given them, and the key logs."""

from __future__ import annotations

import struct
from pathlib import Path

from model import View
from processes import run_tool

SECRETS_BLOCK, TLS_KEY_LOG = 0x0000000A, 0x544C534B
"""pcapng's decryption secrets block, and its kind of secrets."""


def files_of(view: View, captured: dict[str, Path], folder: Path) -> list[Path]:
    """The files to read for a view; changed copies go to `folder`."""
    files = [captured[point] for point in view.files]
    if view.clock_ahead:
        files[-1] = _edited(files[-1], folder / f"shifted-{files[-1].name}", "-t", str(view.clock_ahead))
    if view.merged:
        files = [_merged(files, folder)]
    if view.snaplen:
        files = [_edited(file, folder / f"cut-{view.snaplen}-{file.name}", "-s", str(view.snaplen)) for file in files]
    if view.keys_are in ("injected", "behind"):
        files[0] = with_secrets(files[0], [folder / name for name in view.keys], view.keys_are, folder)
    return files


def key_logs_of(view: View, folder: Path) -> list[Path]:
    """The key logs to give for a view."""
    logs = [folder / name for name in view.keys]
    if view.keys_are == "given":
        return logs
    if view.keys_are in ("injected", "behind"):
        return []
    return [_spoiled(log, view.keys_are) for log in logs]


def with_secrets(capture: Path, key_logs: list[Path], where: str, folder: Path) -> Path:
    """A pcapng file that brings its keys along, in front of its packets or behind them."""
    target = folder / f"{where}-{capture.name}"
    if where == "injected":
        secrets = [part for log in key_logs for part in ("--inject-secrets", f"tls,{log}")]
        return _edited(capture, target, *secrets)
    target.write_bytes(capture.read_bytes() + b"".join(secrets_block(log.read_bytes()) for log in key_logs))
    return target


def secrets_block(key_log: bytes) -> bytes:
    """A little-endian decryption secrets block."""
    padded = key_log + bytes(-len(key_log) % 4)
    size = struct.pack("<I", len(padded) + 20)
    return struct.pack("<I", SECRETS_BLOCK) + size + struct.pack("<II", TLS_KEY_LOG, len(key_log)) + padded + size


def _spoiled(log: Path, what: str) -> Path:
    """A key log of sessions that are not in the capture, with secrets that do not fit its sessions, or with half of them."""
    target = log.with_name(f"{what}-{log.name}")
    lines = (_spoiled_line(line, what) for line in log.read_text().splitlines())
    target.write_text("".join(f"{line}\n" for line in lines if line))
    return target


def _spoiled_line(line: str, what: str) -> str:
    """A line of a spoiled key log; empty when it is left out."""
    if line.startswith("#"):
        return line
    label, random, secret = line.split()
    if what == "other-sessions":
        return f"{label} {random[::-1]} {secret}"
    if what == "other-secrets":
        return f"{label} {random} {secret[::-1]}"
    side = what.removesuffix("-only").upper()
    return line if label.startswith(side) else ""


def _edited(source: Path, target: Path, *options: str) -> Path:
    run_tool(["editcap", *options, str(source), str(target)])
    return target


def _merged(sources: list[Path], folder: Path) -> Path:
    target = folder / "merged.pcapng"
    run_tool(["mergecap", "-w", str(target), *map(str, sources)])
    return target
