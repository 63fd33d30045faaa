"""Capturing on a host of the lab: dumpcap writes pcapng (`any` as SLL), tcpdump writes pcap (`any` as SLL2)."""

from __future__ import annotations

import re
import signal
import time
from pathlib import Path
from subprocess import Popen

from netns import Network
from processes import Processes, wait_for

POINTS = {
    "any": ("dumpcap", "p", "any", "pcapng"),
    "front": ("dumpcap", "p", "front", "pcapng"),
    "back": ("dumpcap", "p", "back", "pcapng"),
    "lo": ("dumpcap", "p", "lo", "pcapng"),
    "any.pcap": ("tcpdump", "p", "any", "pcap"),
    "front.pcap": ("tcpdump", "p", "front", "pcap"),
    "back.pcap": ("tcpdump", "p", "back", "pcap"),
    "lo.pcap": ("tcpdump", "p", "lo", "pcap"),
    "inner": ("dumpcap", "i", "any", "pcapng"),
    "client": ("dumpcap", "c", "eth0", "pcapng"),
    "backend": ("dumpcap", "b", "eth0", "pcapng"),
}
"""Per capture point its tool, the role of the host, the interface and the kind of file."""

DRAIN_SECONDS = {"dumpcap": 0.35, "tcpdump": 1.2}
"""How long the kernel may hold frames back before it hands them to the tool (250 ms and 1 s), and a little more."""

EMPTY_PCAP_BYTES = 24
"""A pcap file's header alone."""


class Captures:
    """The captures of one scenario run."""

    def __init__(self, network: Network, processes: Processes, out: Path) -> None:
        self._network = network
        self._processes = processes
        self._out = out
        self._running: list[tuple[str, str, Path, Popen[bytes]]] = []
        self.files: dict[str, Path] = {}

    def start(self, points: tuple[str, ...], snaplen: int = 0, bpf: str = "") -> None:
        """Starts capturing and returns once every tool says that it listens."""
        for point in points:
            tool, role, interface, kind = POINTS[point]
            path = self._out / f"{point.removesuffix('.pcap')}.{kind}"
            log = self._out / f"capture-{point}.log"
            if tool == "dumpcap":
                argv, started = ["dumpcap", "-q", "-i", interface, "-B", "8", "-w", str(path)], "File:"
            else:
                # One read-out per buffer, not per packet: immediate mode loses bursts.
                argv = ["tcpdump", "-Z", "root", "-n", "-i", interface, "-B", "8192", "-w", str(path)]
                started = "listening on"
            if snaplen:
                argv += ["-s", str(snaplen)]
            if bpf:
                argv += ["-f", bpf] if tool == "dumpcap" else [bpf]
            process = self._processes.start(self._network.inside(role, argv), log, log)
            wait_for(lambda log=log, word=started: word in log.read_text(errors="replace"), f"{tool} on {interface}")
            self._running.append((point, tool, log, process))
            self.files[point] = path

    def stop(self) -> list[str]:
        """Lets the last frames arrive, ends the tools in an orderly way, and tells which captures are no good."""
        if not self._running:
            return []
        time.sleep(max(DRAIN_SECONDS[tool] for _, tool, _, _ in self._running))
        problems = []
        for point, _, log, process in self._running:
            self._processes.stop(process, signal.SIGINT)
            problems += _problems(point, self.files[point], log.read_text(errors="replace"))
        self._running.clear()
        return problems


def _problems(point: str, path: Path, said: str) -> list[str]:
    """What is wrong with a finished capture: nothing in it, or frames lost."""
    if not path.exists() or path.stat().st_size <= EMPTY_PCAP_BYTES:
        return [f"capture {point} is empty"]
    dumpcap = re.search(r"Packets received/dropped on interface .*: \d+/([1-9]\d*)", said)
    tcpdump = re.search(r"([1-9]\d*) packets? dropped by kernel", said)
    return [f"capture {point} lost {lost.group(1)} frames" for lost in (dumpcap, tcpdump) if lost]
