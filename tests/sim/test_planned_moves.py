"""A planned move that ends with its verify: what it brought back is left alone until its checks have risen."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from orchestrator.core import records as r
from orchestrator.core.model import Service
from orchestrator.core.transaction import Transaction
from orchestrator.sim.campaign import CALM_S, Campaign, Plan
from orchestrator.sim.scripts import parse
from orchestrator.sim.simulation import Result, quiet
from tests.mutants.mutant import put
from tests.sim import models

THERE_AND_BACK = """
length: 8 min
at 30 s: say failover lab/erp by geo-site, and fence the place left
at 240 s: say failback lab/erp
"""


@contextmanager
def down_by_older_answers() -> Iterator[None]:
    """A verdict that fell during a planned move counts when the move was verified, too."""
    health = Transaction.health

    def otherwise(tx: Transaction, service: Service) -> r.Verdict:
        state = tx.state(service)
        moved_at, state.moved_at = state.moved_at, None
        try:
            return health(tx, service)
        finally:
            state.moved_at = moved_at

    with put(Transaction, "health", otherwise):
        yield


def played() -> Result:
    """On the lab's plan, with a check that takes long to rise and ways back that end with their verify."""
    quiet()
    lab = models.lab()
    moves = {name: replace(move, prepare=None, finish=None) for name, move in lab.moves.items()}
    slow = {name: replace(c, rise=60) for name, c in lab.checks.items() if c.name == "erp-transaction"}
    campaign = Campaign(Plan(replace(lab, moves=moves, checks={**lab.checks, **slow}, digest="without a finish")))
    script = parse(THERE_AND_BACK, "script", campaign.names)
    return campaign.simulation(script.seed, script.faults).play(script.length_s, CALM_S)


def test_nothing_is_begun_for_it() -> None:
    result = played()
    assert result.violations == []
    records = [x for entry in result.entries for x in entry.records]
    assert not [x for x in records if isinstance(x, r.IncidentOpened) and x.service == "lab/erp"]


def test_the_oracles_notice_where_something_is() -> None:
    with down_by_older_answers():
        result = played()
    assert "what a planned move brought back is not down by older answers" in {x.rule for x in result.violations}
