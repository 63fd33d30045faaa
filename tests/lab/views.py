"""The files of a view: captures as they are, or as two badly set clocks or a doubling tool would have given them."""

from __future__ import annotations

from pathlib import Path

from model import View
from processes import run_tool


def files_of(view: View, captured: dict[str, Path], folder: Path) -> list[Path]:
    """The files to read for a view; changed copies go to `folder`."""
    files = [captured[point] for point in view.files]
    if view.clock_ahead:
        files[-1] = _shifted(files[-1], view.clock_ahead, folder)
    if view.merged:
        files = [_merged(files, folder)]
    return files


def _shifted(source: Path, seconds: float, folder: Path) -> Path:
    target = folder / f"shifted-{source.name}"
    run_tool(["editcap", "-t", str(seconds), str(source), str(target)])
    return target


def _merged(sources: list[Path], folder: Path) -> Path:
    target = folder / "merged.pcapng"
    run_tool(["mergecap", "-w", str(target), *map(str, sources)])
    return target
