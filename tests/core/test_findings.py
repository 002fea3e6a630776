"""Findings: said by a named person, owned by a declared one, chased past their date until somebody closes them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import NoticeKind, TellPeople
from orchestrator.core.deciding import findings
from orchestrator.core.events import WordKind
from orchestrator.core.model import Speaker
from orchestrator.core.reasons import Reason
from tests.core.stage import isp_a_dies, lab
from tests.core.world import World

DAY_S = 86400.0
F, C, N = WordKind.FINDING, WordKind.FINDING_CLOSE, WordKind.NO_FINDINGS


def told_of(world: World) -> list[r.NoticeDue]:
    """Notices that a finding is overdue."""
    return [x for x in world.records(r.NoticeDue) if x.kind is NoticeKind.FINDING_OVERDUE]  # type: ignore[attr-defined]


def after_an_incident() -> World:
    """Tier 1 has done it, and people are declared."""
    world = lab()
    people = (
        Speaker("acme/bob", "acme", "Bob Durand"),
        Speaker("ada", "", "Ada"),
        Speaker("robot", "", "Robot", tool=True),
        Speaker("bistro/bo", "bistro", "Bo"),
    )
    world.model = replace(world.model, digest="m2", speakers={x.id: x for x in people})
    world.hears(e.ConfigurationLoaded(world.model))
    isp_a_dies(world)
    world.run(60)
    assert world.decided().incidents["i1"].ended is not None
    return world


def found(world: World, about: str = "i1", **options: object) -> str:
    """A finding of Bob's, due in a minute."""
    answer = world.say(F, about, **{"owner": "bob", "due": "2026-12-31", "in_s": 60.0, **options})
    assert answer.accepted, answer.evidence
    return answer.evidence.split()[0]


@pytest.mark.parametrize(
    ("kind", "subject", "options", "reason", "says"),
    [
        (F, "i9", {"owner": "bob", "due": "2026-12-31", "in_s": 60.0}, Reason.NOTHING_OF_THAT_ID, "no 'i9'"),
        (F, "i1", {"owner": "zoe", "due": "2026-12-31", "in_s": 60.0}, Reason.NO_SUCH_PERSON, "may: acme/bob, ada"),
        (F, "i1", {"owner": "robot", "due": "2026-12-31", "in_s": 60.0}, Reason.NO_SUCH_PERSON, "'robot' may own no"),
        (F, "i1", {"owner": "bistro/bo", "due": "2026-12-31", "in_s": 60.0}, Reason.NO_SUCH_PERSON, "may own no"),
        (F, "i1", {"owner": "bob"}, Reason.INCOMPLETE, "by when"),
        (F, "i1", {"owner": "bob", "due": "2020-01-01", "in_s": -5.0}, Reason.INCOMPLETE, "no day to come"),
        *(
            (F, "i1", {"owner": "bob", "due": due, "in_s": 60.0}, Reason.INCOMPLETE, "no day to come")
            for due in (
                "2026-13-05",
                "2027-02-29",
                "see hq-app",
                "2026-12-31\n",
                "20261231",
                "2026-W53-4",
                "\x1b[2J",
                "x" * 9999,
            )
        ),
        (C, "f9", {}, Reason.NOTHING_OF_THAT_ID, "no 'f9'"),
        (N, "x1", {}, Reason.NOTHING_OF_THAT_ID, "no 'x1'"),
    ],
)
def test_refusals_say_what_is_missing(
    kind: WordKind, subject: str, options: dict[str, object], reason: Reason, says: str
) -> None:
    world = after_an_incident()
    answer = world.say(kind, subject, **options)
    assert (answer.accepted, answer.reason) == (False, reason.value)
    assert says in answer.evidence
    assert "bascule " not in answer.evidence  # what to type is the remedy, which knows what was asked for


def test_it_is_told_to_its_owner_when_it_is_overdue_and_no_sooner() -> None:
    world = after_an_incident()
    assert found(world) == "f1"
    world.run(59)
    assert told_of(world) == []
    world.run(2)
    (told,) = told_of(world)
    assert told.to == ("acme/bob",)
    service = world.decided().incidents["i1"].service
    assert told.text == f"{service}: finding f1 of i1 was due on 2026-12-31: a reason"
    assert told.say == "bascule findings close f1"
    world.run(60)
    assert len(told_of(world)) == 1


def test_it_is_told_again_after_a_while_also_after_a_restart_until_it_is_closed(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A week in earnest; here it passes sooner."""
    monkeypatch.setattr(findings, "AGAIN_S", 120.0)
    world = after_an_incident()
    found(world)
    world.run(61)
    world.crash()
    world.start()
    world.run(5)
    assert len(told_of(world)) == 1, "a restart tells nobody twice"
    world.run(120)
    assert [x.notice for x in told_of(world)] == ["f1/overdue/1", "f1/overdue/2"]
    assert world.say(C, "f1").accepted
    world.run(240)
    assert len(told_of(world)) == 2
    again = world.say(C, "f1")
    assert (again.accepted, again.reason) == (False, Reason.ALREADY_ENDED.value)


def test_a_person_says_that_nothing_is_to_be_improved_and_may_find_something_later() -> None:
    world = after_an_incident()
    assert world.say(N, "i1").accepted
    assert world.decided().findings.nothing["i1"].who == "Ada"
    found(world)
    assert world.decided().findings.nothing == {}
    answer = world.say(N, "i1")
    assert (answer.accepted, answer.reason) == (False, Reason.FINDINGS_OPEN.value)
    assert "f1 of i1 is open" in answer.evidence
    found(world)
    assert "f1, f2 of i1 are open" in world.say(N, "i1").evidence


def test_a_repeated_word_finds_nothing_twice() -> None:
    world = after_an_incident()
    for _ in range(2):
        assert world.say(F, "i1", "the-id", owner="bob", due="2026-12-31", in_s=60.0).accepted
    assert list(world.decided().findings.known) == ["f1"]


def test_who_is_nobodys_may_find_nothing() -> None:
    """Where people are declared, a finding of a client's incident is its people's and the workspace's to close."""
    world = after_an_incident()
    world.hears(e.WordSpoken("w-x", F, "Mallory", "i1", "buy mine", {"owner": "bob"}, named=True))
    assert world.answered[-1].reason == Reason.NO_SUCH_PERSON.value


@pytest.mark.parametrize("who", ["www-data", "robot", "bo"])
@pytest.mark.parametrize("kind", [F, C, N])
def test_an_account_that_is_nobodys_a_program_and_another_clients_person_close_nothing(
    who: str, kind: WordKind
) -> None:
    """Also where they claim no name: what a report says is improved is what a person of its client's has said."""
    world = after_an_incident()
    if kind is C:
        found(world)
    options = {"owner": "bob", "due": "2026-12-31", "in_s": 60.0} if kind is F else {}
    world.hears(e.WordSpoken("w-x", kind, who, "f1" if kind is C else "i1", "mine", options))
    assert (world.answered[-1].accepted, world.answered[-1].reason) == (False, Reason.NO_SUCH_PERSON.value)
    assert world.decided().findings.nothing == {}
    assert [x.closed for x in world.decided().findings.known.values()] == ([None] if kind is C else [])


def test_who_closes_the_finding_of_a_client_whose_services_are_gone_is_one_of_its_people() -> None:
    world = after_an_incident()
    found(world)
    model = world.model
    world.model = replace(model, digest="m3", services={n: s for n, s in model.services.items() if s.client != "acme"})
    world.hears(e.ConfigurationLoaded(world.model))
    assert not [s for s in world.engine.model.services.values() if s.client == "acme"]
    world.hears(e.WordSpoken("w-x", C, "Mallory", "f1", "mine", {}, named=True))
    assert world.answered[-1].reason == Reason.NO_SUCH_PERSON.value
    world.hears(e.WordSpoken("w-y", C, "bob", "f1", "done", {}, named=True))
    assert world.answered[-1].accepted


def test_one_word_alone_chases_nobody() -> None:
    """A one-shot command acts on its own word."""
    from orchestrator.core.engine import Engine

    world = after_an_incident()
    found(world)
    engine = Engine(world.model, world.decided(), world.engine.rows, attends=False)
    outcome = engine.step(e.Ticked(), world.now + 10 * DAY_S)
    assert not [x for x in outcome.commands if isinstance(x, TellPeople)]


def test_of_a_client_that_is_gone_it_is_closed_by_the_workspaces_people() -> None:
    world = after_an_incident()
    known = found(world)
    speakers = {x.id: x for x in world.model.speakers.values() if x.client != "acme"}
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="gone", speakers=speakers, services={})))
    assert world.decided().configuration == "gone"
    for who in ("stranger", "robot", "bo"):
        world.hears(e.WordSpoken(f"close-{who}", C, who, known, "done"))
        assert world.answered[-1].reason == Reason.NO_SUCH_PERSON, who
    assert world.say(C, known).accepted  # Ada is the workspace's
