"""Processes of a scenario: each one is remembered when it starts and ended when the scenario ends."""

from __future__ import annotations

import os
import signal
import subprocess
import threading
import time
from pathlib import Path


class LabError(Exception):
    """The lab itself failed: a tool is missing, a peer did not start, a client hung."""


class Processes:
    """Starts programs in their own process groups and ends exactly those."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._running: list[subprocess.Popen[bytes]] = []
        self._closed = False

    def start(self, argv: list[str], stdout: Path, stderr: Path, cwd: Path | None = None) -> subprocess.Popen[bytes]:
        """Starts a program with its output in files. Refused once `close` was called."""
        with self._lock:
            if self._closed:
                raise LabError("interrupted")
            with stdout.open("ab") as out, stderr.open("ab") as err:
                process = subprocess.Popen(
                    argv, stdin=subprocess.DEVNULL, stdout=out, stderr=err, cwd=cwd, start_new_session=True
                )
            self._running.append(process)
            return process

    def stop(self, process: subprocess.Popen[bytes], how: int = signal.SIGTERM, patience: float = 3.0) -> None:
        """Ends one process (its leader only), killing the group when it does not go."""
        if process.poll() is None:
            process.send_signal(how)
            try:
                process.wait(patience)
            except subprocess.TimeoutExpired:
                kill_group(process)
        with self._lock:
            if process in self._running:
                self._running.remove(process)
        kill_group(process)

    def close(self) -> None:
        """Kills whatever still runs. May be called from any thread, more than once."""
        with self._lock:
            self._closed = True
            running, self._running = self._running, []
        for process in running:
            kill_group(process)
        for process in running:
            try:
                process.wait(3)
            except subprocess.TimeoutExpired:
                pass


def kill_group(process: subprocess.Popen[bytes]) -> None:
    """Kills a process group that `Processes.start` made; its id is the leader's process id."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except (ProcessLookupError, PermissionError):
        pass


def wait_for(condition, what: str, limit: float = 6.0, pause: float = 0.01) -> None:
    """Polls until `condition()` is true."""
    end = time.monotonic() + limit
    while not condition():
        if time.monotonic() > end:
            raise LabError(f"waited {limit:g} s in vain for {what}")
        time.sleep(pause)


def run_tool(argv: list[str], feed: str | None = None, limit: float = 20.0) -> str:
    """Runs a short command to its end and returns what it printed; its failure is the lab's."""
    try:
        done = subprocess.run(argv, input=feed, capture_output=True, text=True, timeout=limit, check=False)
    except FileNotFoundError as missing:
        raise LabError(f"{argv[0]} is not installed") from missing
    if done.returncode != 0:
        raise LabError(f"{' '.join(argv)}: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout
