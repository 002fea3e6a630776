"""A report that was made earlier is what the journal says, whatever came after it, and whatever was let go of since."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core import records as r
from orchestrator.core.codec import encode
from orchestrator.core.reasons import Reason
from orchestrator.journal.lease import Lease
from orchestrator.journal.sqlite import SqliteJournal, journal_path
from orchestrator.reports.papers.comparing import Kept, against, not_compared
from orchestrator.reports.papers.edition import beyond, for_client
from orchestrator.reports.papers.excerpt import Asked, Slice, subject_of
from orchestrator.reports.papers.narrowing import carried
from orchestrator.reports.papers.period import period_of
from orchestrator.reports.papers.shape import ReportKind
from orchestrator.reports.reader import reading_all
from tests.reports.papers.told import rich_model
from tests.reports.sample import WALL, Tape, first_act
from tests.reports.test_evidence_thinned import flaps

DAY_S = 86400.0


class House:
    """A workspace whose journal is written as its tape goes on. m2 and m3 have other objectives."""

    def __init__(self, workspace: Path) -> None:
        self.workspace, self.tape, self._written = workspace, Tape().begin().after(20.0), 0
        self.journal = SqliteJournal(journal_path(workspace))
        lease = self.journal.acquire("test", 1e7)
        assert isinstance(lease, Lease)
        self.lease, model = lease, rich_model()
        for n, digest in enumerate(("m1", "m2", "m3")):
            erp = replace(model.services["acme/erp"], rto_s=120.0 + n)
            known = replace(model, digest=digest, services=model.services | {"acme/erp": erp})
            self.journal.store_model(digest, encode(known))

    def load(self, digest: str) -> None:
        """Another configuration is put in force."""
        self.tape.after(5.0).write(r.Configured(self.tape.now, digest, {}))

    def open(self) -> None:
        """An incident that goes on."""
        bad = self.tape.now
        self.tape.after(2.0).incident("i1", "acme/hq", "no reply", first_bad=bad, last_good=bad - 1.0)

    def write(self) -> None:
        """What is on the tape by now."""
        for x in self.tape.entries[self._written :]:
            self.journal.append(self.lease, x.at, x.wall, x.records, {})
        self._written = len(self.tape.entries)

    def reports(self) -> list[Slice]:
        """Of the incident, and of acme's time so far, for the provider and for the client."""
        self.write()
        with reading_all(self.workspace) as journal:
            state, now = journal.state, self.tape.now
            assert state.model is not None
            assert state.last is not None
            asked, end = Asked(now, WALL + now, None, journal.head()), state.last.seq
            services = [x for x in state.model.services if x.startswith("acme/")]
            of = [subject_of([state.stories["i1"]], state, now, ReportKind.INCIDENT, "i1")]
            of.append(period_of(state, now, "acme", services, WALL, WALL + DAY_S / 2))
            made = [carried(x, state, lambda: journal.told_at(end), asked) for x in of]
            return [*made, *(for_client(x, beyond(x, state)) for x in made)]

    def wrong(self, made: list[Slice]) -> list[str]:
        """What the journal of now says against these."""
        self.write()
        with reading_all(self.workspace) as journal:
            asked = Asked(self.tape.now, WALL + self.tape.now, None, journal.head())
            kept = Kept(journal.state, journal.told, journal.differs, asked, journal.told_at)
            return [str(x) for one in made for x in against(one, kept)]

    def not_compared(self, made: list[Slice]) -> list[list[str]]:
        """Which configurations it keeps no more."""
        with reading_all(self.workspace) as journal:
            return [not_compared(x, journal.state) for x in made]


@pytest.fixture
def house(tmp_path: Path) -> Iterator[House]:
    """All is well, and on record."""
    found = House(tmp_path)
    yield found
    found.journal.close()


def test_of_an_incident_that_went_on_while_a_check_flapped(house: House) -> None:
    """Which verdicts are told depends on what came after them: not of a report that was made before that."""
    house.open()
    flaps(house.tape, 130)
    made = house.reports()
    assert house.wrong(made) == []
    flaps(house.tape, 10)
    assert house.wrong(made) == []
    house.tape.tier("i1", 1, "backup-isp", r.TierState.INELIGIBLE, Reason.NOT_VIABLE, "isp-b-path down")
    assert house.wrong(made) == []
    told = next(x for x in made[0].pieces if isinstance(x.records[0], r.VerdictChanged))
    forged = replace(made[0], pieces=tuple(x for x in made[0].pieces if x is not told))
    assert house.wrong([forged]) == [f"entry {told.seq}: it was taken out"]


def test_of_an_incident_in_which_another_configuration_was_loaded_afterwards(house: House) -> None:
    house.open()
    made = house.reports()
    house.load("m2")
    assert house.wrong(made) == []
    house.tape.write(
        r.IncidentEnded(house.tape.now, "i1", Reason.RECOVERED_BY_ITSELF, "up", house.tape.now, 10.0),
    )
    assert house.wrong(made) == []


def test_before_something_was_found_under_another_configuration(house: House) -> None:
    first_act(house.tape)
    made = house.reports()
    house.load("m2")
    due = ("2026-12-31", house.tape.now + DAY_S)
    house.tape.write(
        r.FindingOpened(house.tape.now, "f1", "i1", "acme/erp", "another disk", "acme/ann", *due, who="Ann")
    )
    assert house.wrong(made) == []


def test_whose_configuration_the_journal_keeps_no_more(house: House) -> None:
    """Nothing happened under it but that a report was made: which services there were then nothing says any more."""
    first_act(house.tape)
    house.tape.after(DAY_S)
    house.load("m2")
    made = house.reports()
    house.tape.after(DAY_S)
    house.load("m3")
    assert house.not_compared(made) == [[], [], [], []]
    house.write()
    house.tape.after(20 * DAY_S)
    assert house.journal.thin_models(house.lease, house.tape.now - DAY_S) == 1
    assert house.wrong(made) == []
    assert house.not_compared(made) == [[], ["m2"], [], ["m2"]]
