"""`bascule validate`: read everything, start nothing, say everything that is wrong.

The one rule it keeps: faults go to standard error as `file:line:column: …`, one for each line, so that an editor can
jump to them. With `--json` everything goes to standard output as one object.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Mapping
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

from cyclopts import Parameter

from orchestrator.core.outside import visible

if TYPE_CHECKING:
    from pydantic import BaseModel

    from orchestrator.cli.url_check import AskUrl
    from orchestrator.config import Fault, Loaded
    from orchestrator.core.model import Model


def validate(
    *clients: str,
    workspace: Annotated[Path | None, Parameter(name=["--workspace", "-w"])] = None,
    as_json: Annotated[bool, Parameter(name="--json", negative="")] = False,
    schema: Annotated[bool, Parameter(name="--schema", negative="")] = False,
    cache: bool = True,
) -> int:
    """Read the configuration and name every fault in it at once. Exit code 2 if there is any.

    Parameters
    ----------
    clients
        Only these clients.
    workspace
        The directory with playbooks/, inventories/ and checks/. Default: as for every other command.
    as_json
        One JSON object on standard output.
    schema
        Print the JSON Schema of every file, for editors, and end.
    cache
        Use what was read of unchanged inventories before.
    """
    if schema:
        from orchestrator.config.schema import schemas

        print(json.dumps(schemas(probe_kinds()), indent=2))
        return 0

    from orchestrator.cli.url_check import asked_beside
    from orchestrator.cli.workspace import begun_in, find_workspace

    root = find_workspace(None) if workspace is None else workspace.absolute()
    with asked_beside(root) as ask_url, begun_in(root) if root.is_dir() else nullcontext():
        return _validated(root, clients, ask_url, as_json=as_json, cache=cache)


def _validated(workspace: Path, clients: tuple[str, ...], ask_url: AskUrl, *, as_json: bool, cache: bool) -> int:
    """Imported here is what takes time: the question of URLs is on its way already."""
    from orchestrator.config import ConfigurationInvalid, load
    from orchestrator.drills import judging

    try:
        loaded = load(
            workspace,
            probe_kinds=probe_kinds(),
            clients=clients or None,
            cache=cache,
            starts=True,
            ask_url=ask_url,
            judge=judging,
        )
    except ConfigurationInvalid as invalid:
        if as_json:
            print(json.dumps({"valid": False, "faults": _rows(invalid.faults), "warnings": _rows(invalid.warnings)}))
        else:
            _show(invalid.warnings, "warning: ")
            _show(invalid.faults, "")
            count = len(invalid.faults)  # a daemon may well run, with what is in force
            print(f"{count} fault{'' if count == 1 else 's'}: nothing of this is put in force", file=sys.stderr)
        return 2
    from orchestrator.cli.feasible import infeasible

    warnings = (*loaded.warnings, *infeasible(loaded))
    if as_json:
        print(json.dumps({"valid": True, "faults": [], "warnings": _rows(warnings), **_summary(loaded)}))
    else:
        _show(warnings, "warning: ")
        _table(loaded)
    return 0


def probe_kinds() -> Mapping[str, type[BaseModel]]:
    """The options of every kind of probe, by its name."""
    from orchestrator.probes.kinds import KINDS

    return {name: kind.options for name, kind in KINDS.items()}


def _rows(faults: tuple[Fault, ...]) -> list[dict[str, Any]]:
    return [{**asdict(fault), "text": str(fault)} for fault in faults]


def _show(faults: tuple[Fault, ...], prefix: str) -> None:
    for fault in faults:
        print(visible(f"{prefix}{fault}", "\n"), file=sys.stderr)


def _summary(loaded: Loaded) -> dict[str, Any]:
    model = loaded.model
    clients = {}
    for client in loaded.inventories:
        clients[client] = {
            "hosts": loaded.hosts.get(client, 0),
            "checks": sum(c.client == client for c in model.checks.values()),
            "places": sum(p.client == client for p in model.places.values()),
            "moves": sum(m.client == client for m in model.moves.values()),
            "people": sum(p.client == client for p in loaded.people.values()),
            "services": {
                s.name: {"mode": s.mode.value, "rto_s": s.rto_s, "rpo_s": s.rpo_s, "home": s.home}
                | {"ladder": [t.move.partition("/")[2] for t in s.ladder]}
                for s in model.services.values()
                if s.client == client
            },
            "checks_that_stand_alone": _standing_alone(model, client),
        }
    return {"digest": model.digest, "clients": clients}


def _standing_alone(model: Model, client: str) -> dict[str, list[str]]:
    """Checks that a service's health rests on with no host, no domain and no `via`: to the places they count for.

    To none where no service of theirs has a home: such a check counts for itself.
    """
    found: dict[str, set[str]] = {}
    for service in model.services.values():
        for name in service.healthy_when.checks():
            check = model.checks[name]
            if check.client == client and not (check.host or check.domains):
                found.setdefault(check.name, set()).update([service.home] if service.home else [])
    return {name: sorted(homes) for name, homes in found.items()}


def _alone_lines(client: str, alone: Mapping[str, list[str]]) -> Iterator[str]:
    """What a mass failure counts the checks for that stand alone; nothing where there are none."""
    counted: dict[tuple[str, ...], list[str]] = {}
    for name, homes in alone.items():
        counted.setdefault(tuple(homes), []).append(name)
    for places, names in sorted(counted.items()):
        where = " or ".join(places)
        told = f"counted for where their service is, at home {where}" if places else "each counted for itself"
        hint = "" if places else " (give their service a 'home', or the check 'hosts' or 'via')"
        yield f"{client}: no hosts, no via, in a mass failure {told}: {', '.join(names)}{hint}"


def _table(loaded: Loaded) -> None:
    from rich.console import Console
    from rich.table import Table

    from orchestrator.core.durations import counted, show_duration

    table = Table("service", "mode", "RTO", "RPO", "home", "ladder", box=None, pad_edge=False)
    for service in loaded.model.services.values():
        table.add_row(
            service.id,
            service.mode.value,
            show_duration(service.rto_s),
            "-" if service.rpo_s is None else show_duration(service.rpo_s),
            (service.home or "-").rpartition("/")[2],
            " > ".join(t.move.rpartition("/")[2] for t in service.ladder) or "-",
        )
    console = Console(highlight=False, markup=False, emoji=False)
    for client, numbers in _summary(loaded)["clients"].items():
        counts = ", ".join(counted(numbers[f"{noun}s"], noun) for noun in ("host", "check", "place", "move"))
        counts += ", 1 person" if numbers["people"] == 1 else f", {numbers['people'] or 'no'} people"
        console.print(f"{client}: {counts}")
        for line in _alone_lines(client, numbers["checks_that_stand_alone"]):
            console.print(line, soft_wrap=True)
    console.print(table)
    console.print(f"valid (model {loaded.model.digest[:12]})")
