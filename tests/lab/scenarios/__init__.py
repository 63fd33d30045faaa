"""All scenarios, gathered from the modules of this package, one module per group of field-guide rows."""

from __future__ import annotations

from model import FAMILIES, Scenario
from scenarios import (
    answers,
    backend_trouble,
    endings,
    forwarding,
    frames,
    healthy,
    refusals,
    requests,
    silence,
    tls_backends,
    tls_fronts,
    tls_hops,
    tls_keys,
    tls_suites,
    transport,
    vantage,
)

_MODULES = (
    forwarding,
    requests,
    refusals,
    backend_trouble,
    answers,
    tls_backends,
    tls_fronts,
    tls_hops,
    tls_keys,
    tls_suites,
    transport,
    endings,
    silence,
    frames,
    healthy,
    vantage,
)


def all_scenarios() -> list[Scenario]:
    """Every scenario in a fixed order; names are unique."""
    found: dict[str, Scenario] = {}
    for module in _MODULES:
        for scenario in module.SCENARIOS:
            if scenario.name in found:
                raise ValueError(f"two scenarios are named {scenario.name}")
            if scenario.family not in FAMILIES:
                raise ValueError(f"{scenario.name} has an unknown family")
            found[scenario.name] = scenario
    return list(found.values())
