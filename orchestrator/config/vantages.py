"""Finds mistakes about vantages before an outage does.

It finds out whether a vantage could be told to be blind (its references), whether anybody asks its checks, and whether
a quorum can be reached at all.
"""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from orchestrator.config.client import ClientFile
from orchestrator.config.faults import Faults, Position
from orchestrator.core.model import Check, Limits, Service


def check_vantages(
    checks: Mapping[str, Check],
    services: Mapping[str, Service],
    files: Mapping[str, ClientFile],
    limits: Mapping[str, Limits],
    probe_kinds: Mapping[str, type[BaseModel]],
    here: str,
    faults: Faults,
) -> None:
    """Note what is wrong with vantages. `limits`: client to the limits in force; `here`: the daemon's own vantage."""
    _references(checks, services, faults)
    _asked_by_nobody(checks, probe_kinds, here, faults)
    _quorums(checks, services, files, limits, faults)


def _references(checks: Mapping[str, Check], services: Mapping[str, Service], faults: Faults) -> None:
    """Warn of a vantage without a reference: whether others are down or it is cut off, nobody could tell.

    Whatever the mode: who only observes would observe nothing.
    """
    for vantage in sorted({c.vantage for c in checks.values()}):
        if any(c.reference for c in checks.values() if c.vantage == vantage):
            continue
        there = {c.id for c in checks.values() if c.vantage == vantage}
        deaf = sorted(s.id for s in services.values() if there.intersection(s.healthy_when.checks()))
        if deaf:
            more = f" and {len(deaf) - 5} more" if len(deaf) > 5 else ""
            message = (
                f"no check made from vantage {vantage!r} is a reference: silence will never take anything down there, "
                f"in no mode: {', '.join(deaf[:5])}{more}"
            )
            faults.warn(Position("checks"), message, "'reference: true' on a check of something that is always there")


def _asked_by_nobody(
    checks: Mapping[str, Check], probe_kinds: Mapping[str, type[BaseModel]], here: str, faults: Faults
) -> None:
    """A check of another vantage is asked only where its probe asks from the host that it logs in to."""
    lost = {
        (c.client, c.name): c
        for c in checks.values()
        if c.vantage != here and not getattr(probe_kinds.get(c.probe), "FROM_HOST", False)
    }
    for (client, name), check in sorted(lost.items()):
        message = (
            f"check {name} of {client} is asked by nobody: vantage {check.vantage!r} is not the daemon's own "
            f"({here!r}), and probe {check.probe} asks from nowhere else"
        )
        faults.warn(Position("checks"), message, f"'probe: ssh', which asks from the host it logs in to, or {here!r}")


def _quorums(
    checks: Mapping[str, Check],
    services: Mapping[str, Service],
    files: Mapping[str, ClientFile],
    limits: Mapping[str, Limits],
    faults: Faults,
) -> None:
    """A quorum that no number of witnesses can reach would mean that nothing is ever done."""
    for service in services.values():
        vantages = sorted({checks[c].vantage for c in service.healthy_when.checks() if c in checks})
        quorum = limits[service.client].quorum
        if quorum is not None and 1 < len(vantages) < quorum:
            at = files[service.client].document.at("services", service.name, "healthy_when")
            message = (
                f"service {service.name} is asked from {len(vantages)} vantages ({', '.join(vantages)}), "
                f"and limits.quorum wants {quorum} of them"
            )
            faults.add(at, message, f"at most {len(vantages)}, or more vantages")
