"""What a scenario is: the set-up, who talks to whom, what must be seen, and what hop101 must say about it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

FAMILIES = ("handshake", "session", "healthy", "tls", "capture")

# Addresses of the three hosts. The proxy has a foot in both networks.
CLIENT = "192.168.50.23"
PROXY_FRONT = "192.168.50.1"
PROXY_BACK = "10.20.0.1"
BACKEND = "10.20.0.11"
BACKEND_2 = "10.20.0.12"
CLIENT_6 = "fd00:50::23"
PROXY_FRONT_6 = "fd00:50::1"
PROXY_BACK_6 = "fd00:20::1"
BACKEND_6 = "fd00:20::11"
# A second proxy between the first one and the backend (topology "chain").
INNER_FRONT = "10.30.0.2"
INNER_OUTER = "10.30.0.1"

ANY: Any = object()
"""An expectation that holds for every value."""


@dataclass(frozen=True)
class Peer:
    """A program at one end: `argv` is complete but for the interpreter's namespace."""

    argv: tuple[str, ...]
    told: str
    """One line for the samples' README: what this program does."""
    background: bool = False
    """A client that runs beside the next ones instead of before them."""
    delay: float = 0.0
    """Seconds to wait before it is started."""
    limit: float = 12.0
    """Seconds after which a client that has not ended is a failure of the lab."""
    role: str = "b"
    """The host that a server runs on: `b`, or `p`, `i`, `w`, `v` and `u` for what stands in between. Clients always run on `c`."""


@dataclass(frozen=True)
class Event:
    """Something done to the hosts while the clients run."""

    at: float
    """Seconds after the first client was started."""
    do: str
    """`nginx-reload`, `nginx-stop`, `kill-worker`, `kill-backend`, `capture-start`, `capture-stop`, or `nft ROLE CHAIN RULE`."""


@dataclass(frozen=True)
class Handshake:
    """What the report must say about one handshake. `ANY` leaves a field open, a tuple names all values that are right."""

    verdict: str | tuple[str, ...]
    cause: Any = None
    answered_by: Any = ANY
    ended_by: Any = ANY
    close_code: Any = ANY
    hops: Any = ANY
    status: Any = ANY
    """Status of the answer on the outermost hop."""
    sure: Any = ANY
    """How sure the cause is."""
    roles: Any = ANY
    """The roles of the hops, outermost first, parted by blanks."""
    paired_by: Any = ANY
    """What joined each further hop to the one before it, parted by blanks."""
    front: Any = ANY
    """What joined the TLS connection in front, of which no keys are given; None where there must be none."""
    messages: Any = ANY
    """Messages of the session to the server and to the client, parted by a blank."""


@dataclass(frozen=True)
class Expect:
    """What the report must say about a capture."""

    handshakes: tuple[Handshake, ...] | None = ()
    """In the order of time; None leaves open whether the capture holds any."""
    required: frozenset[str] = frozenset()
    """Codes that must be among the findings, besides the causes."""
    allowed: frozenset[str] = frozenset()
    """Codes of severity warning or error that may be there and prove nothing."""
    unordered: bool = False
    """Whether handshakes run in parallel, so that their order says nothing."""
    says: str = ""
    """Words that the title or the detail of a finding must have."""
    decrypted: str = ""
    """For each TLS connection, in the order of the report, `yes` or `no`, parted by blanks; empty leaves it open."""

    def codes(self) -> frozenset[str]:
        """All codes that must be found: those required and the causes."""
        return self.required | {shake.cause for shake in self.handshakes or () if isinstance(shake.cause, str)}

    def tolerated(self) -> frozenset[str]:
        """All codes of severity warning or error that may be there."""
        either = {
            code for shake in self.handshakes or () if isinstance(shake.cause, tuple) for code in shake.cause if code
        }
        return self.codes() | self.allowed | either


def ok(**fields: Any) -> Handshake:
    """A handshake that reached 101 and ended well."""
    return Handshake("ok", None, **fields)


def failed(cause: Any, **fields: Any) -> Handshake:
    """A handshake that never got up."""
    return Handshake("failed", cause, **fields)


def broken(cause: Any, **fields: Any) -> Handshake:
    """A session that was up and ended badly."""
    return Handshake("broken", cause, **fields)


def unclear(cause: Any = None, **fields: Any) -> Handshake:
    """A handshake of which the capture does not tell the outcome."""
    return Handshake("unclear", cause, **fields)


def expect(
    *handshakes: Handshake,
    required: str = "",
    allowed: str = "",
    unordered: bool = False,
    says: str = "",
    decrypted: str = "",
) -> Expect:
    """Builds an expectation; codes are given as words of one string."""
    return Expect(handshakes, frozenset(required.split()), frozenset(allowed.split()), unordered, says, decrypted)


def expect_findings(required: str = "", allowed: str = "", decrypted: str = "") -> Expect:
    """An expectation about findings alone, where it is open whether anything counts as a handshake."""
    return Expect(None, frozenset(required.split()), frozenset(allowed.split()), decrypted=decrypted)


@dataclass(frozen=True)
class View:
    """One way to read what was captured: which files together, and what they must give."""

    name: str
    files: tuple[str, ...]
    expect: Expect
    clock_ahead: float = 0.0
    """Seconds by which the clock of the last file's host is ahead."""
    merged: bool = False
    """Whether the files are one file, as a tool writes that captures on several interfaces."""
    snaplen: int = 0
    """Bytes kept of every frame, as if captured so; 0 keeps all."""
    keys: tuple[str, ...] = ()
    """Key logs of the run to read it with."""
    keys_are: str = "given"
    """Where the keys are: `given` as files; in a decryption secrets block in front of (`injected`) or `behind` the packets;
    given, but of `other-sessions`, with `other-secrets`, or with those of one side only (`client-only`, `server-only`)."""


@dataclass(frozen=True)
class Witness:
    """What nginx logged and what the clients saw: proof that the scenario is what it says."""

    logged: tuple[str, ...] = ()
    """Regular expressions that the error log must match."""
    not_logged: tuple[str, ...] = ()
    """Regular expressions that the error log must not match."""
    access: tuple[str, ...] | None = None
    """The statuses of the access log, in order; None leaves them open."""
    accessed: tuple[str, ...] = ()
    """Regular expressions that the access log must match."""
    saw: tuple[dict[str, Any], ...] = ()
    """Per client, fields of what it reported; a string value is a regular expression."""
    backend: tuple[str, ...] = ()
    """Regular expressions that the output of the backends must match."""


@dataclass(frozen=True)
class Scenario:
    """One story, from configuration to expectation."""

    name: str
    family: str
    row: str
    """Which failure it shows: H and a number before the 101, T and a number after it. Scenarios of one row show the same
    failure in several ways; empty where it is none."""
    title: str
    """What happens, in one sentence."""
    expect: Expect
    clients: tuple[Peer, ...]
    backends: tuple[Peer, ...] = ()
    nginx: str | None = None
    """The http block's content; None runs no nginx."""
    inner_nginx: str | None = None
    """The same for the second proxy of topology `chain`."""
    topology: str = "hosts"
    """A key of `netns.LINKS`."""
    captures: tuple[str, ...] = ("any",)
    """Where to capture: see `capture.POINTS`. The first one is what `expect` is about."""
    views: tuple[View, ...] = ()
    """Further ways to read the captures."""
    witness: Witness = Witness()
    events: tuple[Event, ...] = ()
    rules: tuple[str, ...] = ()
    """nft rules set before the start: `ROLE CHAIN RULE`, the chain being a key of `netns.CHAINS`."""
    small_buffers: bool = False
    """Whether sockets get small buffers, so that a reader who stops is noticed soon."""
    capture_filter: str = ""
    """BPF of the captures, as of somebody who filtered too much."""
    settle: float = 0.25
    """Seconds between the last client's end and the end of the capture."""
    capture_first: bool = True
    """Whether the capture starts before the clients; else 'events' start it (`capture-start`)."""
    snaplen: int = 0
    """Bytes kept of every frame; 0 keeps all."""
    keys: tuple[str, ...] = ()
    """Key logs that the peers write; `expect` is about the first capture read with them."""
    truth: tuple[str, ...] = ()
    """Key logs that show which TLS connection belongs to which handshake: what is joined without them must be the same."""
    keys_injected: bool = False
    """Whether samples get the keys as a decryption secrets block, so that they can be read as they are."""
    samples: dict[str, str] = field(default_factory=dict)
    """Captures that become samples: capture point to file name."""
    lesson: str = ""
    """What the sample shows, for samples/README.md."""

    def all_views(self) -> tuple[View, ...]:
        """The first capture with `expect`, then the further views."""
        return (View("", (self.captures[0],), self.expect, keys=self.keys), *self.views)
