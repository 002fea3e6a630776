"""The table of kinds: one row each. Nothing else in the package names them.

The one rule it keeps: a row costs nothing until its kind is asked. Only then are heavy libraries imported.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from orchestrator.core.model import Check
from orchestrator.probes import aws, dns, http, icmp, login, nagios, postgres, ssh, tcp
from orchestrator.probes.kind import Kind

KINDS: dict[str, Kind[Any, Any]] = {
    kind.name: kind
    for kind in (
        icmp.KIND,
        tcp.KIND,
        http.KIND,
        dns.KIND,
        ssh.KIND,
        postgres.KIND,
        aws.KIND,
        login.KIND,
        nagios.KIND,
    )
}


def asked_from(here: str, checks: Iterable[Check]) -> list[Check]:
    """The checks that a controller at this vantage asks: its own, and those of others whose host it can log in to."""
    return [c for c in checks if c.vantage == here or (c.probe in KINDS and KINDS[c.probe].options.FROM_HOST)]
