"""Answers that come together: each a step, one commit and one decision for all, and a fault loses none before it."""

from __future__ import annotations

import asyncio

import pytest

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.shell.intake import Intake
from tests.shell.test_loop import House


@pytest.fixture
def house() -> House:
    """A shell over a journal in memory."""
    return House()


def hears_at_once(house: House, *answers: tuple[str, e.Answer]) -> None:
    """These answers wait already when the first is taken."""
    for number, (check, answer) in enumerate(answers):
        house.now += 0.001
        house.shell.handle(e.Observed(check, house.now, answer), more=number < len(answers) - 1)


def decided(house: House) -> tuple[list[str], int]:
    """Which incidents were opened, and how many playbooks were played."""
    opened = [x.service for y in house.journal.entries() for x in y.records if isinstance(x, r.IncidentOpened)]
    return opened, len(house.commands(c.RunPlaybook))


def test_they_lead_where_they_lead_one_by_one(house: House) -> None:
    one_by_one = House()
    one_by_one.goes_down()
    hears_at_once(house, *[("acme/web", e.Answer.GOOD)] * 3, ("acme/ref", e.Answer.GOOD))
    hears_at_once(house, *[("acme/web", e.Answer.BAD)] * 3)
    assert decided(house)[0] == decided(one_by_one)[0] == ["acme/web"]


def test_nothing_is_carried_out_before_the_common_commit(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, "acme/ref")
    commits = []
    append_all = house.journal.append_all
    monkeypatch.setattr(
        house.journal, "append_all", lambda lease, drafts: commits.append(len(drafts)) or append_all(lease, drafts)
    )
    before = len(house.done)
    for number in range(3):
        house.now += 0.001
        house.shell.handle(e.Observed("acme/web", house.now, e.Answer.BAD), more=True)
        assert (len(house.done), commits) == (before, []), number
    house.now += 0.001
    house.shell.handle(e.Observed("acme/ref", house.now, e.Answer.GOOD))
    assert commits
    assert decided(house)[0] == ["acme/web"]
    assert len(house.done) > before


def test_a_commit_that_fails_discards_them_all(house: House) -> None:
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, "acme/ref")
    house.journal.refuses = "disk full"
    hears_at_once(house, *[("acme/web", e.Answer.BAD)] * 4)
    assert house.shell.broken is not None
    assert decided(house) == ([], 0)


def test_a_defect_loses_nothing_that_came_before_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, "acme/ref")
    for _ in range(3):
        house.now += 0.001
        house.shell.handle(e.Observed("acme/web", house.now, e.Answer.BAD), more=True)

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("two and two is five")

    monkeypatch.setattr(house.shell.engine, "step", broken)
    house.now += 0.001
    house.shell.handle(e.Ticked())
    assert house.shell.broken is not None
    fell = [x for y in house.journal.entries() for x in y.records if isinstance(x, r.VerdictChanged)]
    assert fell[-1].verdict is r.Verdict.DOWN


async def test_answers_of_one_moment_are_one_batch_and_a_word_does_not_wait() -> None:
    taken: list[tuple[str, bool]] = []
    intake = Intake(
        asyncio.get_running_loop(), lambda event, *, more: taken.append((type(event).__name__, more)), lambda: None
    )
    for _ in range(3):
        intake.put(e.Observed("acme/web", 1.0, e.Answer.GOOD))
    assert taken == []
    await asyncio.sleep(0)
    assert taken == [("Observed", True), ("Observed", True), ("Observed", False)]
    taken.clear()
    intake.put(e.Observed("acme/web", 2.0, e.Answer.GOOD))
    intake.put(e.Ticked())
    assert taken == [("Observed", True), ("Ticked", False)], "in the order in which they came"
