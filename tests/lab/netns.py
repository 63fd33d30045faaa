"""Private network namespaces joined by veth pairs.

    client --- 192.168.50.0/24 --- proxy --- 10.20.0.0/24 --- backend            topology "hosts"
    client --- 192.168.50.0/24 --- proxy --- 10.30.0.0/24 --- inner --- backend  topology "chain"
    client --- wire --- proxy --- 10.20.0.0/24 --- backend                       topology "wire"
    proxy (everything on lo)                                                     topology "loopback"

Namespaces are named `h101-PID-N-ROLE`, so that `lab.py clean` can tell whose they were.
"""

from __future__ import annotations

import itertools
import os
import re
import signal

import model
from processes import LabError, run_tool

_numbers = itertools.count(1)
_NAME = re.compile(r"^h101-(\d+)-\d+-[a-z]$")

LINKS = {
    "hosts": (
        ("c", "eth0", (f"{model.CLIENT}/24",), "p", "front", (f"{model.PROXY_FRONT}/24",)),
        ("p", "back", (f"{model.PROXY_BACK}/24",), "b", "eth0", (f"{model.BACKEND}/24", f"{model.BACKEND_2}/24")),
    ),
    "hosts6": (
        ("c", "eth0", (f"{model.CLIENT_6}/64",), "p", "front", (f"{model.PROXY_FRONT_6}/64",)),
        ("p", "back", (f"{model.PROXY_BACK_6}/64",), "b", "eth0", (f"{model.BACKEND_6}/64",)),
    ),
    "chain": (
        ("c", "eth0", (f"{model.CLIENT}/24",), "p", "front", (f"{model.PROXY_FRONT}/24",)),
        ("p", "back", (f"{model.INNER_OUTER}/24",), "i", "front", (f"{model.INNER_FRONT}/24",)),
        ("i", "back", (f"{model.PROXY_BACK}/24",), "b", "eth0", (f"{model.BACKEND}/24", f"{model.BACKEND_2}/24")),
    ),
    "wire": (
        ("c", "eth0", (f"{model.CLIENT}/24",), "w", "left", ()),
        ("w", "right", (), "p", "front", (f"{model.PROXY_FRONT}/24",)),
        ("p", "back", (f"{model.PROXY_BACK}/24",), "b", "eth0", (f"{model.BACKEND}/24", f"{model.BACKEND_2}/24")),
    ),
    "loopback": (),
}
"""Per topology its veth pairs: role, device and addresses of both ends."""

WIRES = "wvu"
"""The roles of wires, the one next to the client first."""


def over_wires(topology: str) -> str:
    """The same hosts with a wire in each link: the name of that topology."""
    name = f"{topology} over wires"
    LINKS[name] = tuple(
        half
        for wire, (left, right) in zip(WIRES, ((link[:3], link[3:]) for link in LINKS[topology]))
        for half in ((*left, wire, "left", ()), (wire, "right", (), *right))
    )
    return name


CHAINS = {
    "in": "filter hook input priority 0",
    "out": "filter hook output priority 0",
    "before": "nat hook prerouting priority -100",
    "after": "nat hook postrouting priority 100",
}
"""Where the chains of rules stand."""


class Network:
    """The namespaces of one scenario."""

    def __init__(self, topology: str) -> None:
        self.topology = topology
        self._prefix = f"h101-{os.getpid()}-{next(_numbers)}"
        self._made: list[str] = []

    def name(self, role: str) -> str:
        """The namespace of a role: client `c`, wires `w`, `v` and `u`, proxy `p`, inner proxy `i`, backend `b`."""
        return f"{self._prefix}-{'p' if self.topology == 'loopback' else role}"

    def inside(self, role: str, argv: list[str]) -> list[str]:
        """A command line that runs in the namespace of a role."""
        return ["ip", "netns", "exec", self.name(role), *argv]

    def open(self) -> None:
        """Makes namespaces, links and addresses."""
        links = LINKS[self.topology]
        roles = sorted({end for link in links for end in (link[0], link[3])} or {"p"})
        for role in roles:
            self._made.append(self.name(role))
            run_tool(["ip", "netns", "add", self.name(role)])
            # Without IPv6 there is no neighbour discovery to clutter small captures; with it, no waiting for DAD.
            ipv6 = "net.ipv6.conf.{}.accept_dad=0" if self.topology == "hosts6" else "net.ipv6.conf.{}.disable_ipv6=1"
            settings = [ipv6.format("all"), ipv6.format("default")]
            run_tool(self.inside(role, ["sysctl", "-q", "-w", *settings]))
        self._connect(roles, links)

    def _connect(self, roles: list[str], links: tuple) -> None:
        """Creates the veth pairs and brings everything up."""
        for left, left_dev, _, right, right_dev, _ in links:
            run_tool(
                [
                    "ip",
                    "link",
                    "add",
                    left_dev,
                    "netns",
                    self.name(left),
                    "type",
                    "veth",
                    "peer",
                    "name",
                    right_dev,
                    "netns",
                    self.name(right),
                ]
            )
        for role in roles:
            batch = ["link set lo up"]
            for link in links:
                for end, device, addresses in (link[0:3], link[3:6]):
                    if end == role:
                        batch += [f"addr add {a} dev {device}{' nodad' if ':' in a else ''}" for a in addresses]
                        # A bad wire is only felt when large writes leave as several frames.
                        segments = "gso_max_segs 1" if any(wire in roles for wire in WIRES) else ""
                        batch.append(f"link set {device} {segments} up")
            run_tool(["ip", "-n", self.name(role), "-batch", "-"], feed="\n".join(batch) + "\n")

    def shrink_buffers(self) -> None:
        """Gives new sockets small buffers in all namespaces."""
        for name in self._made:
            run_tool(
                [
                    "ip",
                    "netns",
                    "exec",
                    name,
                    "sysctl",
                    "-q",
                    "-w",
                    "net.ipv4.tcp_rmem=2048 4096 8192",
                    "net.ipv4.tcp_wmem=2048 4096 8192",
                ]
            )

    def filter(self, role: str, chain: str, rule: str) -> None:
        """Adds an nft rule to a chain of a role's namespace: `in` or `out`, or `before` or `after` routing to translate addresses."""
        table = "ip nat" if chain in ("before", "after") else "inet lab"
        if table == "ip nat":
            run_tool(self.inside(role, ["sysctl", "-q", "-w", "net.ipv4.ip_forward=1"]))
        commands = (
            f"add table {table}\n"
            f"add chain {table} {chain} {{ type {CHAINS[chain]}; }}\n"
            f"add rule {table} {chain} {rule}\n"
        )
        run_tool(self.inside(role, ["nft", "-f", "-"]), feed=commands)

    def close(self) -> None:
        """Ends what still runs inside and deletes the namespaces; never raises."""
        made, self._made = self._made, []
        for name in made:
            remove(name)


def remove(name: str) -> None:
    """Deletes one of the lab's namespaces, killing the processes that live in it."""
    try:
        for pid in run_tool(["ip", "netns", "pids", name]).split():
            try:
                os.kill(int(pid), signal.SIGKILL)
            except ProcessLookupError:
                pass
        run_tool(["ip", "netns", "del", name])
    except LabError:
        pass


def remove_leftovers() -> list[str]:
    """Deletes namespaces of lab runs that are gone."""
    removed = []
    for line in run_tool(["ip", "netns", "list"]).splitlines():
        name = line.split()[0] if line.split() else ""
        owner = _NAME.match(name)
        if owner and not os.path.exists(f"/proc/{owner.group(1)}"):
            remove(name)
            removed.append(name)
    return removed
