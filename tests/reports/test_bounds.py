"""A figure that may have been less is shown as a bound, wherever it stands."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import records as r
from orchestrator.reports import claims
from orchestrator.reports.account import account
from orchestrator.reports.cost import money
from orchestrator.reports.data_lost import rpa_of
from orchestrator.reports.evidence import evidence
from orchestrator.reports.incident_text import account_lines, list_lines
from orchestrator.reports.page import page
from orchestrator.reports.papers.printing import Papers
from orchestrator.reports.papers.tongue import Tongue
from orchestrator.reports.shape import Account
from orchestrator.reports.summary import rows
from orchestrator.reports.text import bounded, plain, precise
from tests.reports.papers.told import once_more, sliced
from tests.reports.sample import FAILOVER, WALL, Tape, second_act, small_model
from tests.reports.test_phases import run_of_geo_site


@pytest.fixture
def tape() -> Tape:
    """Data was 0.9 s old when it was looked at, and the place left was proven out 3 s later."""
    tape = Tape().begin().after(20.0)
    second_act(tape)
    return tape


def told(tape: Tape, name: str = "i2") -> Account:
    stories = tape.read()
    return account(stories.stories[name], stories.clock, tape.now)


def paper(tape: Tape, name: str, language: str = "en") -> str:
    papers = Papers(sliced(tape.after(30.0), name), "bascule 0", language)
    return papers.markdown().replace("\N{NO-BREAK SPACE}", " ")


def test_the_age_of_data_is_a_bound_in_every_report(tape: Tape) -> None:
    a = told(tape)
    assert (a.rpa.seconds, a.rpa.at_most) == (pytest.approx(3.9), True)
    assert "RPA at most 3.9s  met" in plain(account_lines(a))
    heading, row = rows([a])
    assert row[heading.index("RPA")] == "at most 3.9s"
    assert "<h3>RPA</h3><p class=figure>at most 3.9s" in page([a], wall=WALL).replace("\n", "")
    english, french = paper(tape, "i2"), paper(tape, "i2", "fr")
    assert "| RPO | 30 s | ≤ 3.9 s | met |" in english
    assert "| RPO | 30 s | ≤ 3,9 s |" in french
    assert "the RPO of 30 s was met: at most 3.9 s" in english
    rungs = evidence(tape.read(), small_model(), tape.now, lambda _: True)
    (tier,) = [x for x in rungs if x.move == "acme/geo-site"]
    assert tier.rpo_said == "RPA at most 3.9s in r2"


def test_data_whose_age_was_measured_when_nothing_could_be_written_any_more_is_no_bound() -> None:
    tape = Tape().begin().after(20.0)
    run_of_geo_site(tape, 0.0, 5.0, hand_over=False)
    (name,) = tape.read().stories
    a = told(tape, name)
    assert (a.rpa.seconds, a.rpa.at_most) == (5.0, False)
    shown = plain(account_lines(a))
    assert "RPA 5.0s  met" in shown
    assert "at most" not in a.rpa.source
    assert "the RPO of 30 s was met: 5 s" in paper(tape, name)
    assert "at most" not in paper(tape, name).partition("## Cost")[0]
    assert "au plus" not in paper(tape, name, "fr").partition("## Coût")[0]


def test_a_worst_age_that_was_known_before_is_a_bound_too(tape: Tape) -> None:
    """Of a later move nothing was measured: the source names what is known of the one before."""
    assert rpa_of(tape.read().stories["i2"].runs[0]).at_most


def test_then_and_now_are_bounds(tape: Tape) -> None:
    once_more(tape.after(600.0))
    assert "| RPA | ≤ 3.9 s | ≤ 3.9 s | – |" in paper(tape, "i8")


def test_a_step_whose_end_nobody_saw_took_at_most_so_long() -> None:
    """The phases together are a bound, where the outage is."""
    tape = Tape().begin().after(20.0)
    second_act(tape)
    tape.entries = [replace(e, records=tuple(_unseen(e.records))) for e in tape.entries]
    a = told(tape)
    (execute,) = [s for s in a.steps if s.step == "execute"]
    assert execute.at_most
    lines = plain(account_lines(a)).splitlines()
    assert [x.split()[3] for x in lines if x.startswith("    execute ")][1:] == [f"≤{precise(execute.took_s or 0.0)}"]
    assert [x.split()[1] for x in lines if x.startswith("    together")] == ["≤12.0s"]
    (row,) = [x for x in paper(tape, "i2").splitlines() if x.startswith("| r2 | execute |")]
    assert "| ≤ " in row
    (total,) = [x for x in paper(tape, "i2").splitlines() if x.startswith("| together |")]
    assert total.startswith("| together | ≤ 12 s |")
    assert "at most 12.0s" in plain(list_lines([a]))


def test_a_planned_move_of_which_a_part_was_not_watched_misses_no_objective() -> None:
    """It may have taken less than the RTO."""
    tape = Tape().begin().after(20.0)
    tape.run("r7", "geo-site", FAILOVER, from_place="acme/hq", to_place="acme/geo", origin=r.Origin.MANUAL, who="Ann")
    for step, _ in FAILOVER:
        tape.step("r7", step, 300.0, "good")
    tape.write(r.RunEnded(tape.now, "r7", True, r.Reason.VERIFIED, "good"))
    assert "| missed |" in paper(tape, "r7")
    tape.entries = [replace(e, records=tuple(_unseen(e.records))) for e in tape.entries]
    assert claims.unwatched(tape.read().stories["r7"].runs[0])
    (row,) = [x for x in paper(tape, "r7").splitlines() if x.startswith("| RTO |")]
    assert row.startswith("| RTO | 2 min | ≤ 25 min | not known |")


def _unseen(found: tuple[r.Record, ...]) -> list[r.Record]:
    """As if the controller had stopped in the playbook, and nothing had been heard before the end of the outage."""
    made: list[r.Record] = []
    for x in found:
        if isinstance(x, r.StepFinished) and x.step == "execute":
            made += [r.ControllerBegan(x.at, "noc", 2, "boot-1", True, 0.0), r.StepLeftUnseen(x.at, x.run, x.step, 1)]
        made.append(replace(x, unseen_s=3.0) if isinstance(x, r.IncidentEnded) else x)
    return made


def test_a_bound_is_rounded_up_wherever_it_stands(tape: Tape) -> None:
    """What took 8.24 s took no longer than 8.3 s, and not 8.2 s."""

    def older(x: r.Record) -> r.Record:
        return replace(x, measures={"data_age_s": 0.94}) if isinstance(x, r.StepFinished) and x.measures else x

    tape.entries = [replace(e, records=tuple(map(older, e.records))) for e in tape.entries]
    a = told(tape)
    assert a.rpa.seconds == pytest.approx(3.94)
    assert "RPA at most 4.0s  met" in plain(account_lines(a))
    assert "| RPO | 30 s | ≤ 4 s | met |" in paper(tape, "i2")
    assert "the RPO of 30 s was met: at most 4 s" in paper(tape, "i2")
    assert "au plus 4 s" in paper(tape, "i2", "fr")


@pytest.mark.parametrize(
    ("seconds", "terminal", "english"),
    [
        (8.2, "8.2s", "≤ 8.2 s"),
        (8.24, "8.3s", "≤ 8.3 s"),
        (59.96, "1:00.0", "≤ 1 min"),
        (130.2, "2:11", "≤ 2 min 10.2 s"),
        (600.3, "10:01", "≤ 10 min 01 s"),
        (86401.0, "24:00:01", "≤ 1 d 0 h 01 min"),
    ],
)
def test_so_is_every_length(seconds: float, terminal: str, english: str) -> None:
    assert bounded(seconds, True) == f"at most {terminal}"
    assert Tongue().bounded(seconds, True).replace("\N{NO-BREAK SPACE}", " ") == english
    assert not bounded(seconds, False).startswith("at most")


def test_so_is_what_an_outage_cost_at_most() -> None:
    assert money(1234.2, "EUR", up=True) == "1,235 EUR"
    assert money(12.341, "EUR", up=True) == "12.35 EUR"
    assert money(12.34, "EUR", up=True) == "12.34 EUR"
