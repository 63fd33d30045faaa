#!/usr/bin/env python3
"""Times hop101 against the limit and its peers on synthetic captures, in turn, and prints the table of the README.

    bench.py [MODE...]

The generator and the limit are built from ../shared/bench (or $BENCH); without them nothing can be measured. $SCALE
(default 0.1; 1 is what the goals are about) and $ROUNDS (default 5) choose how much and how often. Captures are made
one at a time in a temporary folder ($TMPDIR) and deleted after use. tcpdump and tshark take part if installed.
"""

import json
import os
import pathlib
import shutil
import statistics
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
BENCH = pathlib.Path(os.environ.get("BENCH", ROOT.parent / "shared" / "bench"))
SCALE = os.environ.get("SCALE", "0.1")
ROUNDS = int(os.environ.get("ROUNDS", "5"))
HOP101 = ROOT / "target" / "release" / "hop101"

# Most CPU time against the limit, and most memory in MB.
GOALS = {
    "background": (2.0, 48),
    "bulk": (2.0, 48),
    "lossy": (3.0, 64),
    "handshakes": (5.0, 200),
    "churn": (2.0, 256),
}

TSHARK_FIELDS = [
    "frame.number", "tcp.stream", "http.request.method", "http.request.uri", "http.response.code", "http.upgrade",
    "http.sec_websocket_key", "http.sec_websocket_accept", "websocket.opcode", "tcp.flags.fin", "tcp.flags.reset",
]  # fmt: skip


def build():
    """Builds what is measured; the generator and the limit."""
    cargo = os.environ.get("CARGO", "cargo")
    subprocess.run([cargo, "build", "--release", "--quiet"], cwd=ROOT, check=True)
    target = ROOT / "target" / "bench"
    for part in ("gen", "limit"):
        manifest = BENCH / part / "Cargo.toml"
        command = [cargo, "build", "--release", "--quiet", "--manifest-path", manifest, "--target-dir", target]
        subprocess.run(command, check=True)
    return target / "release" / "wsgen", target / "release" / "limit"


def run(command):
    """CPU seconds and peak memory in MB of a command."""
    child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    _, status, usage = os.wait4(child.pid, 0)
    child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode not in (0, 1):
        sys.exit(f"{command[0]} failed with {child.returncode}")
    return usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def warm(capture):
    """Reads a file, so that it is in the page cache."""
    with open(capture, "rb", buffering=0) as file:
        while file.read(1 << 20):
            pass


def measure(capture, limit):
    """For each program its CPU seconds (median) and its memory (most)."""
    commands = {
        "hop101": [HOP101, "read", capture, "--format", "json", "--only", "failed", "--fail-on", "never"],
        "limit": [limit, "flow", "read-256", capture],
    }
    if shutil.which("tcpdump"):
        commands["tcpdump"] = ["tcpdump", "-r", capture, "-w", "/dev/null"]
    figures = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            warm(capture)
            figures[name].append(run(command))
    if shutil.which("tshark"):
        fields = [word for field in TSHARK_FIELDS for word in ("-e", field)]
        warm(capture)
        reordering = ["-o", "tcp.reassemble_out_of_order:TRUE"]
        figures["tshark"] = [run(["tshark", "-r", capture, *reordering, "-T", "fields", *fields])]
    return {
        name: (statistics.median(cpu for cpu, _ in runs), max(memory for _, memory in runs))
        for name, runs in figures.items()
    }


def main():
    if not (BENCH / "gen").is_dir() or not (BENCH / "limit").is_dir():
        print(f"bench: skipped, no generator and limit in {BENCH}")
        return
    generator, limit = build()
    print(f"scale {SCALE}, {os.cpu_count()} cores, medians of {ROUNDS}\n")
    print("| capture | packets | ns per packet | against the limit | goal | memory MB | goal | tcpdump | tshark | counts |")
    print("| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | --- |")
    for mode in sys.argv[1:] or GOALS:
        with tempfile.TemporaryDirectory(prefix="hop101-bench-") as folder:
            command = [generator, mode, "--out", folder, "--scale", SCALE]
            subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
            capture = pathlib.Path(folder) / f"{mode}.pcap"
            packets = json.loads(capture.with_suffix(".truth.json").read_text())["truth"]["packets"]
            figures = measure(capture, limit)
            truth = [sys.executable, pathlib.Path(__file__).with_name("truth.py"), HOP101, capture]
            exact = subprocess.run(truth, stdout=sys.stderr, check=False).returncode == 0
        cpu, memory = figures["hop101"]
        goal_cpu, goal_memory = GOALS.get(mode, ("", ""))

        def against(name, cpu=cpu, figures=figures):
            return f"{figures[name][0] / cpu:.1f}x" if name in figures else "not installed"

        print(
            f"| {mode} | {packets} | {cpu / packets * 1e9:.0f} | {cpu / figures['limit'][0]:.1f}x | {goal_cpu}x"
            f" | {memory:.0f} | {goal_memory} | {against('tcpdump')} | {against('tshark')}"
            f" | {'exact' if exact else 'DIFFER'} |",
            flush=True,
        )


if __name__ == "__main__":
    main()
