"""What can be said to a running lab, and what it answers: a dictionary in, a dictionary and the hosts to wait for out.

The one rule it keeps: a program on a host has a scope, and sees and changes nothing outside it. A console's socket
speaks for its own site, the hypervisor's for the cloud instance. Only `control.sock`, outside the hosts, may say
everything.
"""

from __future__ import annotations

from typing import Any, Protocol

from orchestrator.lab import network
from orchestrator.lab.errors import LabUsageError
from orchestrator.lab.host import Machine
from orchestrator.lab.network import Fault
from orchestrator.lab.power import PowerBoard
from orchestrator.lab.spec import Spec
from orchestrator.lab.topology import HOSTS, LINKS, SITES


class LabParts(Protocol):
    """What words are about: all of the lab that may be asked, switched or broken."""

    spec: Spec
    environment: dict[str, str]
    faults: dict[str, Fault]
    machines: dict[str, Machine]
    power: PowerBoard

    def follow_power(self) -> None:
        """Start what has power, and stop what has none."""


Answer = tuple[dict[str, Any], frozenset[str]]
_AT_ONCE: frozenset[str] = frozenset()


def answer_power(lab: LabParts, asked: dict[str, Any], scope: frozenset[str]) -> Answer:
    """The power protocol of docs/lab.md, within a scope."""
    if asked.get("op") == "status":
        return lab.power.report(scope), _AT_ONCE
    host = asked.get("host")
    if host not in scope:
        raise LabUsageError(f"no outlet {host!r} here; there are: {', '.join(sorted(scope))}")
    match asked:
        case {"op": "outlet", "power": "on" | "off" as power}:
            lab.power.switch_outlet(host, on=power == "on", latched=bool(asked.get("latched", False)))
        case {"op": "start"}:
            lab.power.start(host)
        case {"op": "stop"}:
            lab.power.stop(host)
        case _:
            raise LabUsageError(f"expected op status, outlet (with power on or off), start or stop; not {asked}")
    lab.follow_power()
    return {"ok": True}, frozenset({host})


def answer_control(lab: LabParts, asked: dict[str, Any]) -> Answer:
    """What `bascule lab` says."""
    match asked:
        case {"op": "status"}:
            return _status(lab), _AT_ONCE
        case {"op": "settle"}:
            return {"ok": True}, frozenset(lab.machines)
        case {"op": "mend"}:
            return _mend(lab)
        case {"op": "cut", "link": str(link), "how": str(how), "percent": int(percent)}:
            fault = Fault(how, percent)
            network.check_fault(LINKS[_known(link, LINKS, "link")], fault)
            return _set_fault(lab, link, fault)
        case {"op": "heal", "link": str(link)}:
            return _set_fault(lab, _known(link, LINKS, "link"), None)
        case {"op": "start" | "stop" as op, "target": str(target)}:
            return _switch(lab, target, on=op == "start")
        case {"op": "find", "host": str(host)}:
            machine = lab.machines[_known(host, HOSTS, "host")]
            return {"state": machine.state, "pid": machine.outer_pid}, _AT_ONCE
    raise LabUsageError(f"the lab does not understand {asked}")


def _known(name: str, among: dict[str, Any], kind: str) -> str:
    """`name`, if there is such a thing."""
    if name not in among:
        raise LabUsageError(f"There is no {kind} {name!r}. There are: {', '.join(among)}")
    return name


def _set_fault(lab: LabParts, link: str, fault: Fault | None) -> Answer:
    faults = {name: other for name, other in lab.faults.items() if name != link}
    if fault is not None:
        faults[link] = fault
    network.apply_faults(faults, lab.environment)
    lab.faults = faults
    return {"ok": True}, _AT_ONCE


def _switch(lab: LabParts, target: str, *, on: bool) -> Answer:
    """Power of a site or of one host."""
    if target in SITES:
        lab.power.switch_mains(target, on=on)
        concerned = frozenset(name for name, host in HOSTS.items() if host.site == target)
    else:
        _known(target, {**dict.fromkeys(SITES), **HOSTS}, "site or host")
        if on:
            lab.power.start(target)
        else:
            lab.power.stop(target)
        concerned = frozenset({target})
    if on:
        _revive(lab, concerned)
    lab.follow_power()
    return {"ok": True}, concerned


def _revive(lab: LabParts, names: frozenset[str]) -> None:
    """Hosts that died with their power on count as off, so that they boot again."""
    for name in names:
        if lab.machines[name].state == "dead":
            lab.machines[name].power_off()


def _mend(lab: LabParts) -> Answer:
    """`up` of a lab that is there: boot what has power and does not run."""
    _revive(lab, frozenset(lab.machines))
    lab.follow_power()
    return {"ok": True}, frozenset(lab.machines)


def _status(lab: LabParts) -> dict[str, Any]:
    return {
        "name": lab.spec.name,
        "workspace": str(lab.spec.workspace),
        "sites": {site: "on" if on else "off" for site, on in lab.power.mains.items()},
        "links": {name: str(lab.faults.get(name, "up")) for name in LINKS},
        "hosts": {
            name: {
                "state": machine.state,
                "power": "on" if lab.power.energised(name) else "off",
                "latched": lab.power.outlets[name].latched,
                "pid": machine.outer_pid,
                "trouble": machine.trouble,
            }
            for name, machine in lab.machines.items()
        },
    }
