"""Puts bad wires between the hosts of a scenario: what is lost, doubled and reordered there must not change the story.

    client --- wire --- proxy --- wire --- backend

A spoiled run may tell less than the scenario expects, where what tells it was lost; what it tells must be true. So its rows are for
people to look at: which way a row differs is what counts.
"""

from __future__ import annotations

import dataclasses
import random

from model import Peer, Scenario
from netns import LINKS, WIRES, over_wires
from programs import wire

KINDS = (
    *({"loss": share} for share in (0.02, 0.05, 0.1)),
    {"double": 0.2},
    {"reorder": 0.2},
    {"loss": 0.05, "double": 0.1, "reorder": 0.1},
    {},
)
"""What a wire may be like: the last one is a good one."""

PATIENCE = 2.0
"""How much longer clients may take: a lost SYN comes again after a second, and after two more."""


def spoiled(scenarios: list[Scenario], seed: int) -> list[Scenario]:
    """Those of several hosts, with wires chosen by the seed and their names."""
    return [_with_wires(scenario, seed) for scenario in scenarios if scenario.topology in ("hosts", "chain")]


def _with_wires(scenario: Scenario, seed: int) -> Scenario:
    chance = random.Random(f"{seed} {scenario.name}")
    roles = WIRES[: len(LINKS[scenario.topology])]
    wires = tuple(wire(role, seed=chance.randrange(1 << 30), **chance.choice(KINDS)) for role in roles)
    return dataclasses.replace(
        scenario,
        topology=over_wires(scenario.topology),
        backends=wires + scenario.backends,
        clients=tuple(_patient(client) for client in scenario.clients),
        views=(),
        settle=scenario.settle * PATIENCE,
    )


def _patient(client: Peer) -> Peer:
    return dataclasses.replace(client, limit=client.limit * PATIENCE)
