#!/usr/bin/env python3
"""Compares what hop101 says of a synthetic capture with what its generator knows: every count must be met exactly.

    truth.py HOP101 CAPTURE.pcap [--threads N]

CAPTURE.truth.json lies beside the capture. Prints one line per count that differs; exit code 1 if any does.
"""

import json
import pathlib
import subprocess
import sys
from collections import Counter

# What the generator does to a session: the verdict, and the causes that name it. A proxy whose last backend refused
# says so in either way; a session that is reset may have had a text message that is no UTF-8 before (the generator
# leaves the bytes behind the last whole mask unmasked), which is then its first fault.
FAULTS = {
    "sessions_upgrade_dropped": ("failed", {"upgrade-not-forwarded"}),
    "sessions_wrong_accept": ("failed", {"accept-mismatch"}),
    "sessions_502": ("failed", {"backend-refused"}),
    "sessions_silent": ("failed", {"client-gave-up"}),
    "sessions_reset": ("broken", {"backend-reset", "frame-fault"}),
}


def differences(truth, report):
    """Yields (what, expected, found) for every count."""
    summary = report["summary"]
    handshakes = report["handshakes"]
    causes = Counter((h["verdict"], h["cause"]) for h in handshakes)
    accepts = Counter(hop["accept"] for h in handshakes for hop in h["hops"])
    openings = ("tcp_connections", "sessions_502", "syn_scans_unanswered", "syn_scans_refused", "half_open")
    yield "connections", sum(truth[name] for name in openings), summary["connections"]
    yield "handshakes", truth["sessions"], summary["handshakes"]
    yield "handshakes listed", truth["sessions"], len(handshakes)
    yield "ok", truth["sessions_ok"], summary["ok"]
    yield "unclear", 0, summary["unclear"]
    for name, (verdict, codes) in FAULTS.items():
        yield name, truth[name], sum(causes[verdict, code] for code in codes)
    hops = sum(len(h["hops"]) for h in handshakes)
    yield "hops", truth["upgrade_requests"] + truth["requests_with_key_but_no_upgrade"], hops
    statuses = Counter((hop["response"] or {}).get("status") for h in handshakes for hop in h["hops"])
    yield "answers 101", truth["responses_101"], statuses[101]
    yield "answers 400", truth["responses_400"], statuses[400]
    yield "answers 502", truth["responses_502"], statuses[502]
    yield "accept valid", truth["responses_101_right_accept"], accepts["valid"]
    yield "accept wrong", truth["responses_101_wrong_accept"], accepts["mismatch"]
    # The generator counts the frames of both hops, a report those of one: the hops of a session carry the same.
    frames = {"to_server": Counter(), "to_client": Counter()}
    payload = 0
    for h in handshakes:
        session = h["session"]
        both = sum(hop["session"] if "session" in hop else hop["accept"] in ("valid", "mismatch") for hop in h["hops"])
        for way, counts in frames.items():
            if session:
                for kind, number in session[way]["frames"].items():
                    counts[kind] += number * both
                payload += session[way]["payload_bytes"] * both
    total = frames["to_server"] + frames["to_client"]
    yield "ws frames", truth["ws_frames"], total.total()
    yield "ws frames to the server", truth["ws_frames_masked"], frames["to_server"].total()
    yield "ws frames to the client", truth["ws_frames"] - truth["ws_frames_masked"], frames["to_client"].total()
    for kind in ("text", "binary", "continuation", "ping", "pong", "close"):
        yield f"ws {kind}", truth[f"ws_{kind}"], total[kind]
    yield "ws payload bytes", truth["ws_payload_bytes"], payload


def main():
    binary, capture, *options = sys.argv[1:]
    truth = json.loads(pathlib.Path(capture).with_suffix(".truth.json").read_text())["truth"]
    command = [binary, "read", capture, "--format", "json", "--fail-on", "never", *options]
    report = json.loads(subprocess.run(command, check=True, capture_output=True).stdout)
    wrong = [line for line in differences(truth, report) if line[1] != line[2]]
    for what, expected, found in wrong:
        print(f"{pathlib.Path(capture).stem}: {what}: {expected} expected, {found} found")
    if not wrong:
        print(f"{pathlib.Path(capture).stem}: every count as it should be")
    return bool(wrong)


if __name__ == "__main__":
    sys.exit(main())
