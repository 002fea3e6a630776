"""The loop around the core: journal first, then act; and what becomes of it when the journal refuses."""

from __future__ import annotations

from collections.abc import Callable
from typing import get_args

import pytest

from orchestrator.core import commands as c
from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.core.events import WordKind
from orchestrator.core.model import Mode, Model, Move, Service, Tier
from orchestrator.journal.journal import StaleEpoch
from orchestrator.journal.lease import Lease
from orchestrator.journal.memory import MemoryJournal
from orchestrator.shell import loop
from orchestrator.shell.loop import Ports, Shell, rebuild
from tests.core.world import all_of, book, check
from tests.journal.clocks import HandClocks


def small() -> Model:
    """One service with one move."""
    checks = {"acme/web": check("web"), "acme/ref": check("ref", reference=True)}
    move = Move("acme/restart", "acme", "restart", book("restart"), all_of("web"), safe_to_repeat=True)
    web = Service("acme/web", "acme", "web", all_of("web"), (Tier(move.id),), rto_s=300.0, mode=Mode.AUTO)
    return Model("small", checks, {}, {move.id: move}, {web.id: web})


class House:
    """A shell over a journal in memory; commands are noted with what was durable when they were carried out."""

    def __init__(self) -> None:
        self.clocks = HandClocks()
        self.journal = MemoryJournal(self.clocks)
        self.now = 0.0
        self.done: list[tuple[c.Command, int]] = []
        self.shell = self.started()

    def started(self) -> Shell:
        """A controller that takes over."""
        lease = self.journal.acquire("noc", 20.0)
        assert isinstance(lease, Lease)
        self.lease = lease

        def note(command: c.Command) -> None:
            self.done.append((command, self.journal.last_seq()))

        ports = Ports(dict.fromkeys(get_args(c.Command), note))
        shell = Shell(self.journal, lease, ports, lambda: self.now, self.clocks.wall)
        shell.begin(e.ControllerStarted("noc", lease.epoch, "boot", True))
        assert shell.configure(small()) == []
        return shell

    def hears(self, answer: e.Answer, times: int = 1, check: str = "acme/web", every_s: float = 1.0) -> None:
        """So many answers, one a second."""
        for _ in range(times):
            self.now += every_s
            self.shell.handle(e.Observed(check, self.now, answer))

    def goes_down(self) -> None:
        """The service was up, and its incident opens."""
        self.hears(e.Answer.GOOD, 3)
        self.hears(e.Answer.GOOD, 1, "acme/ref")
        self.hears(e.Answer.BAD, 3)

    def commands(self, kind: type) -> list[c.Command]:
        """What was carried out of this kind."""
        return [x for x, _ in self.done if isinstance(x, kind)]

    def told(self) -> list[c.TellPeople]:
        """That bascule cannot act."""
        found = [x for x in self.commands(c.TellPeople) if isinstance(x, c.TellPeople)]
        return [x for x in found if x.kind is c.NoticeKind.CANNOT_ACT]


@pytest.fixture
def house() -> House:
    return House()


def test_a_command_is_carried_out_after_its_entry_is_durable(house: House) -> None:
    house.goes_down()
    intents = {
        (x.run, x.step): entry.seq
        for entry in house.journal.entries()
        for x in entry.records
        if isinstance(x, r.StepBegan)
    }
    played = [(x, seq) for x, seq in house.done if isinstance(x, c.RunPlaybook)]
    assert played
    assert all(intents[(x.key.run, x.key.step)] <= seq for x, seq in played)


def test_when_the_journal_refuses_nothing_is_done_and_somebody_is_told_once(house: House) -> None:
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, "acme/ref")
    house.journal.refuses = "disk full"
    house.hears(e.Answer.BAD, 20)
    assert not house.commands(c.RunPlaybook)
    assert house.shell.broken is not None
    assert house.shell.broken.startswith("disk full")
    assert len(house.told()) == 1


def test_after_mending_it_acts_again_on_what_the_journal_knows(house: House) -> None:
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, "acme/ref")
    house.journal.refuses = "disk full"
    house.hears(e.Answer.BAD, 5)
    house.journal.refuses = ""
    for _ in range(5):
        house.hears(e.Answer.GOOD, 1, "acme/ref", every_s=0.5)
        house.hears(e.Answer.BAD, 1, every_s=0.5)
    assert house.shell.broken is None
    assert len(house.commands(c.RunPlaybook)) == 1
    assert encode(rebuild(house.journal).decided) == encode(house.shell.engine.decided)


def test_a_refused_verdict_does_not_come_back_without_its_record(house: House) -> None:
    """The row that fell and the record of its fall are one transaction: neither survives the refusal alone."""
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, "acme/ref")
    house.hears(e.Answer.BAD, 2)
    house.journal.refuses = "disk full"
    house.hears(e.Answer.BAD, 1)  # the verdict falls, and cannot be written
    house.journal.refuses = ""
    house.now += 3
    house.shell.handle(e.Ticked())
    engine = house.shell.engine
    assert house.shell.broken is None
    assert engine.rows["acme/web"].verdict is engine.decided.verdicts["acme/web"].verdict


def test_a_good_answer_while_the_journal_refuses_ends_the_streak(house: House) -> None:
    """Two bad answers, a good one that could not be taken in, and one more bad one are no fall of three."""
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, "acme/ref")
    house.hears(e.Answer.BAD, 2)
    house.shell.handle(e.Ticked())
    house.journal.refuses = "disk full"
    house.hears(e.Answer.GOOD, 1, "acme/ref", every_s=0.2)  # it would be up from here on
    house.hears(e.Answer.GOOD, 1, every_s=0.2)
    house.journal.refuses = ""
    house.hears(e.Answer.BAD, 1, every_s=2.0)
    row = house.shell.engine.rows["acme/web"]
    assert (house.shell.broken, row.bad_streak, row.verdict) == (None, 1, r.Verdict.UP)


def test_a_good_answer_that_met_a_defect_ends_the_streak(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was heard, and what it would have ended does not go on."""
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, "acme/ref")
    house.hears(e.Answer.BAD, 2)
    house.shell.handle(e.Ticked())

    def broken(event: e.Event, now: float) -> None:
        raise RuntimeError("two and two is five")

    monkeypatch.setattr(house.shell.engine, "step", broken)
    house.hears(e.Answer.GOOD, 1, every_s=0.2)
    house.hears(e.Answer.BAD, 1, every_s=2.0)
    row = house.shell.engine.rows["acme/web"]
    assert (house.shell.broken, row.bad_streak, row.verdict) == (None, 1, r.Verdict.UP)


def test_what_a_full_disk_refused_is_asked_for_anew(house: House) -> None:
    """A fall that could not be written is none: the next one needs all its answers, and is acted on."""
    house.hears(e.Answer.GOOD, 3)
    house.hears(e.Answer.GOOD, 1, "acme/ref")
    house.hears(e.Answer.BAD, 2)
    house.journal.refuses = "disk full"
    house.hears(e.Answer.BAD, 1)
    house.journal.refuses = ""
    house.hears(e.Answer.GOOD, 1, "acme/ref", every_s=2.5)
    house.hears(e.Answer.BAD, 2, every_s=0.5)
    assert house.shell.engine.rows["acme/web"].verdict is r.Verdict.UP
    house.hears(e.Answer.BAD, 1, every_s=0.5)
    assert house.shell.engine.rows["acme/web"].verdict is r.Verdict.DOWN
    assert len(house.commands(c.RunPlaybook)) == 1


def test_an_outage_of_the_journal_in_the_middle_of_a_run_loses_nothing(house: House) -> None:
    house.goes_down()
    key = next(x.key for x in house.commands(c.RunPlaybook) if isinstance(x, c.RunPlaybook))
    house.journal.refuses = "disk full"
    house.shell.handle(e.StepEnded(key, e.AttemptEnd.OK))  # its end cannot be written
    house.journal.refuses = ""
    house.now += 3
    house.shell.handle(e.Ticked())
    assert house.done[-1][0] != house.commands(c.RunPlaybook)[-1]
    assert [x.key for x in house.commands(c.SettleStep) if isinstance(x, c.SettleStep)] == [key]
    house.shell.handle(e.StepEnded(key, e.AttemptEnd.OK))
    house.hears(e.Answer.GOOD, 2)
    assert house.shell.engine.decided.open_incidents() == []
    assert len(house.commands(c.RunPlaybook)) == 1


@pytest.mark.parametrize("defect", [RuntimeError("two and two is five"), KeyError("acme/web"), ZeroDivisionError()])
def test_any_defect_of_the_engine_discards_it(house: House, monkeypatch: pytest.MonkeyPatch, defect: Exception) -> None:
    def broken(event: e.Event, now: float) -> None:
        house.shell.engine.decided.holds.clear()  # half way through
        raise defect

    house.shell.handle(e.WordSpoken("w", WordKind.HOLD, "Ada", "*"))
    monkeypatch.setattr(house.shell.engine, "step", broken)
    house.now += 1
    house.shell.handle(e.Ticked())
    assert house.shell.broken is not None
    assert type(defect).__name__ in house.shell.broken
    (notice,) = house.told()
    assert type(defect).__name__ in notice.text
    assert "acme/web" not in notice.text, "all clients' people read it"
    house.now += 3
    house.shell.handle(e.Ticked())
    assert house.shell.broken is None
    assert "*" in house.shell.engine.decided.holds


def test_a_defect_that_comes_back_is_not_told_every_time(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    def poisoned(of: Callable[..., object]) -> Callable[..., object]:
        def step(self: object, event: e.Event, now: float) -> object:
            if isinstance(event, e.Observed):
                raise RuntimeError("this answer cannot be taken")
            return of(self, event, now)

        return step

    monkeypatch.setattr(loop.Engine, "step", poisoned(loop.Engine.step))
    house.hears(e.Answer.GOOD, 10)
    assert len(house.told()) == 1
    house.hears(e.Answer.GOOD, 10, every_s=70.0)
    assert len(house.told()) == 2


def test_a_lost_lease_is_an_end_and_no_breakage(house: House) -> None:
    house.journal.release(house.lease)
    assert isinstance(house.journal.acquire("other", 20.0), Lease)
    with pytest.raises(StaleEpoch):
        house.goes_down()
    assert not house.commands(c.RunPlaybook)


def test_a_lease_lost_while_broken_is_an_end_too(house: House) -> None:
    house.journal.refuses = "disk full"
    house.goes_down()
    house.journal.refuses = ""
    house.journal.release(house.lease)
    assert isinstance(house.journal.acquire("other", 20.0), Lease)
    house.now += 5
    with pytest.raises(StaleEpoch):
        house.shell.handle(e.Ticked())


def test_a_start_that_could_not_be_written_is_written_later(house: House) -> None:
    """Without its own beginning, a controller would act with the epoch of the one before."""
    house.shell.close()
    lease = house.journal.acquire("second", 20.0)
    assert isinstance(lease, Lease)
    quiet: Callable[..., None] = lambda *_: None  # noqa: E731
    ports = Ports(dict.fromkeys(get_args(c.Command), quiet))
    second = Shell(house.journal, lease, ports, lambda: house.now, house.clocks.wall)
    house.journal.refuses = "disk full"
    second.begin(e.ControllerStarted("second", lease.epoch, "boot", True))
    house.journal.refuses = ""
    assert second.engine is not None
    house.now += 3
    second.handle(e.Ticked())
    assert second.broken is None
    assert second.engine.decided.epoch == lease.epoch


def test_a_configuration_that_could_not_be_put_in_force_is_not_said_to_be(house: House) -> None:
    def refuse(_event: e.Event) -> None:
        house.shell._break("disk full", house.now)

    house.shell.handle = refuse  # type: ignore[method-assign]
    assert house.shell.configure(small()) == ["bascule cannot act: disk full"]


def test_rows_are_kept_at_a_beat_and_not_at_every_answer(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    written = []
    write = house.journal.write_rows
    monkeypatch.setattr(
        house.journal, "write_rows", lambda lease, rows: (written.append(dict(rows)), write(lease, rows))
    )
    house.hears(e.Answer.GOOD, 5)
    written.clear()
    before = house.journal.last_seq()
    house.hears(e.Answer.GOOD, 100, every_s=0.1)
    assert house.journal.last_seq() == before
    assert 4 <= len(written) <= 6, "one more good answer waits for two seconds here: a third of when it would be stale"
    written.clear()
    house.hears(e.Answer.BAD, 2, every_s=0.6)
    assert len(written) == 1, "what says more goes with the next beat"


def test_what_is_rebuilt_is_what_was(house: House) -> None:
    house.goes_down()
    house.shell.close()
    rebuilt = rebuild(house.journal)
    assert encode(rebuilt.decided) == encode(house.shell.engine.decided)
    assert {k: encode(v) for k, v in rebuilt.rows.items()} == {k: encode(v) for k, v in house.shell.engine.rows.items()}
    assert rebuilt.model == house.shell.engine.model


def test_a_checkpoint_spares_the_entries_before_it(house: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "CHECKPOINT_EVERY", 2)
    house.goes_down()
    kept = house.journal.latest_checkpoint()
    assert kept is not None
    assert kept[0] > 0
    assert encode(rebuild(house.journal).decided) == encode(house.shell.engine.decided)


def test_after_another_boot_the_rows_are_gone_from_the_journal_too(house: House) -> None:
    house.goes_down()
    house.shell.close()
    lease = house.journal.acquire("noc", 20.0)
    assert isinstance(lease, Lease)
    quiet: Callable[..., None] = lambda *_: None  # noqa: E731
    again = Shell(
        house.journal, lease, Ports(dict.fromkeys(get_args(c.Command), quiet)), lambda: house.now, house.clocks.wall
    )
    again.begin(e.ControllerStarted("noc", lease.epoch, "other", False))
    assert house.journal.rows() == {}


def test_a_command_that_nobody_carries_out_is_found_at_once() -> None:
    every = dict.fromkeys(get_args(c.Command), lambda _command: None)
    with pytest.raises(TypeError, match="nobody carries out ProbeNow"):
        Ports({kind: port for kind, port in every.items() if kind is not c.ProbeNow})
