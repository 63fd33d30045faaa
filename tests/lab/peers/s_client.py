"""A client on `openssl s_client`: `s_client.py HOST:PORT JSON`; prints what it saw as one JSON line.

Settings: `keylog` (file), `options` of s_client, `steps`: ["until", TEXT] (reads until the server has said it),
["send", TEXT] (Latin-1, as it is), ["hex", HEX], ["key_update"] (its own keys), ["key_updates"] (both sides' keys),
["sleep", S]. At the end it waits for the server. `early`: text to send as 0-RTT data, with a ticket that a first connection fetches.
"""

import json
import os
import re
import select
import subprocess
import sys
import time

PATIENCE = 5.0
COMMANDS = {"key_update": b"k\n", "key_updates": b"K\n"}


def main():
    setting = json.loads(sys.argv[2])
    argv = [
        "openssl",
        "s_client",
        "-connect",
        sys.argv[1],
        "-servername",
        "lab.example",
        "-keylogfile",
        setting["keylog"],
    ]
    argv += setting.get("options", [])
    if "early" in setting:
        argv += ticket_for(argv, setting["early"])
    process = subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
    said = bytearray()
    end = time.monotonic() + PATIENCE

    def listen(seconds):
        """Takes what comes within a time; whether anything did."""
        if not select.select([process.stdout], [], [], max(0.0, seconds))[0]:
            return False
        data = os.read(process.stdout.fileno(), 65536)
        said.extend(data)
        return bool(data)

    def put(data):
        """One write is one read over there: it takes a first letter for a command only then."""
        process.stdin.write(data)
        process.stdin.flush()
        time.sleep(0.05)

    error = None
    try:
        for what, *args in setting["steps"]:
            if what == "until":
                while args[0].encode("latin-1") not in said:
                    if not listen(end - time.monotonic()):
                        raise TimeoutError(f"waited in vain for {args[0]}")
            elif what == "send":
                put(args[0].encode("latin-1"))
            elif what == "hex":
                put(bytes.fromhex(args[0]))
            elif what == "sleep":
                time.sleep(args[0])
            else:
                put(COMMANDS[what])
        process.stdin.close()
        while listen(1.0):
            pass
    except (OSError, TimeoutError) as trouble:
        error = f"{type(trouble).__name__}: {trouble}"
    process.kill()
    status = re.search(rb"HTTP/1\.1 (\d+)", said)
    updates = said.count(b"KEYUPDATE")
    saw = {"status": int(status[1]) if status else None, "error": error, "key_updates": updates}
    print(json.dumps({**saw, "early": b"Early data was accepted" in said}))


def ticket_for(argv, early):
    """Fetches a ticket; the options that use it for this early data."""
    fetch = subprocess.Popen(
        [*argv, "-sess_out", "ticket.pem"], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    end = time.monotonic() + PATIENCE
    while not os.path.exists("ticket.pem") and time.monotonic() < end:
        time.sleep(0.02)
    time.sleep(0.1)
    fetch.stdin.close()
    fetch.wait(PATIENCE)
    with open("early.bin", "wb") as file:
        file.write(early.encode("latin-1"))
    return ["-sess_in", "ticket.pem", "-early_data", "early.bin"]


main()
