"""The parts of a model that a report needs: services, moves, places, checks and people.

The one rule it keeps: nothing that is handed to playbooks and probes is in them, for it may be secret.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import replace
from typing import Any

from orchestrator.core.model import Check, Fence, Isolation, Model, Move, Place, Playbook, Rehearsal, Service
from orchestrator.reports.stories import relevant_checks


def moves_of(service: Service) -> list[str]:
    """Those that lead it elsewhere, and home."""
    return [*(t.move for t in service.ladder), *service.failback]


def part_of(model: Model, of: Collection[str], client: str) -> Model:
    """The parts of a model that a report of these services of a client needs."""
    services = {n: s for n, s in model.services.items() if n in of}
    wanted = {m for s in services.values() for m in moves_of(s)}
    checks: set[str] = set()
    for service in services.values():
        checks |= relevant_checks(model, service)
    return Model(
        model.digest,
        {n: _check(c) for n, c in model.checks.items() if n in checks},
        {n: _place(p) for n, p in model.places.items() if p.client == client},
        {n: _move(m) for n, m in model.moves.items() if n in wanted or m.undoes in wanted},
        services,
        speakers={n: s for n, s in model.speakers.items() if s.client in ("", client)},
    )


def _check(x: Check) -> Check:
    return replace(x, options={}, needed_by=())


def _book(x: Playbook) -> Playbook:
    return replace(x, extra_vars={})


def _fence(x: Fence) -> Fence:
    return replace(x, playbook=_book(x.playbook))


def _isolation(x: Isolation) -> Isolation:
    return replace(x, playbook=_book(x.playbook))


def _place(x: Place) -> Place:
    return replace(x, fence=x.fence and _fence(x.fence), isolate=x.isolate and _isolation(x.isolate))


def _rehearsal(x: Rehearsal) -> Rehearsal:
    prepare = x.prepare and _book(x.prepare)
    return replace(x, playbook=_book(x.playbook), clean_up=_book(x.clean_up), survey=_book(x.survey), prepare=prepare)


def _move(x: Move) -> Move:
    books: dict[str, Any] = {key: _book(book) for key, book in x.plays.items()}
    handed = x.hand_over and _fence(x.hand_over)
    return replace(x, rehearse=x.rehearse and _rehearsal(x.rehearse), hand_over=handed, **books)
