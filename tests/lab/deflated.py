#!/usr/bin/python3
"""Writes src/websocket/deflated/: what compressed sessions of the lab carried after the 101, one segment per line.

deflated.py OUT, where OUT holds the scenarios healthy-deflate-node and healthy-deflate-python (`lab.py run ... --out OUT`).
A line is `>` (to the server) or `<` and the bytes in hexadecimal.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

TARGET = Path(__file__).resolve().parents[2] / "src/websocket/deflated"
END_OF_HEAD = b"\r\n\r\n"


def main() -> int:
    """Writes one file for each kind of peer."""
    TARGET.mkdir(exist_ok=True)
    for kind in ("node", "python"):
        capture = Path(sys.argv[1]) / f"healthy-deflate-{kind}" / "any.pcapng"
        (TARGET / f"{kind}.txt").write_text("".join(f"{way} {data.hex()}\n" for way, data in carried(capture)))
    return 0


def carried(capture: Path) -> list[tuple[str, bytes]]:
    """The bytes of the first connection behind both heads."""
    argv = ["tshark", "-q", "-r", str(capture), "-z", "follow,tcp,raw,0"]
    told = subprocess.run(argv, capture_output=True, text=True, check=True).stdout.splitlines()
    # Six lines of title; what the server sent is indented.
    lines = [("<" if line.startswith("\t") else ">", bytes.fromhex(line)) for line in told[6:] if not line.startswith("=")]
    out, heads = [], set()
    for way, data in lines:
        if way not in heads and END_OF_HEAD in data:
            heads.add(way)
            data = data.split(END_OF_HEAD, 1)[1]
        if data:
            out.append((way, data))
    return out


if __name__ == "__main__":
    sys.exit(main())
