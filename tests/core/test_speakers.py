"""Who says a word: a declared person, from a login that may speak for them."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import events as e
from orchestrator.core import records as r
from orchestrator.core.commands import Answered
from orchestrator.core.events import Peer, WordKind, WordSpoken
from orchestrator.core.model import Speaker
from orchestrator.core.reasons import Reason
from tests.core.stage import lab
from tests.core.world import World

ALICE = Speaker("acme/alice", "acme", "Alice Martin", ("alice",))
BOB = Speaker("acme/bob", "acme", "Bob Durand")
NOC = Speaker("nina", "", "Nina Noc")
EDR = Speaker("edr", "", "The sensor", (), tool=True)
DINA = Speaker("bistro/dina", "bistro", "Dina Rossi")
ROOT = Peer(7, 0, "root", "")


def with_people(*speakers: Speaker) -> World:
    """Everything at hq is silent and its console has power: r1 waits for a person."""
    world = lab()
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="people", speakers={s.id: s for s in speakers})))
    world.silent("erp-transaction", "hq-internet", "isp-b-path")
    world.run(30)
    return world


def says(
    world: World,
    kind: WordKind,
    who: str,
    subject: str,
    peer: Peer | None = ROOT,
    named: bool = False,
    **options: object,
) -> Answered:
    """The word's answer."""
    word = WordSpoken(f"w{len(world.decided().words)}", kind, who, subject, "", dict(options), named, peer)  # type: ignore[arg-type]
    world.hears(word)
    return world.answered[-1]


@pytest.mark.parametrize(
    ("kind", "who", "subject", "peer", "named", "refused"),
    [
        (WordKind.APPROVE, "nobody-at-all", "r1", ROOT, False, Reason.NO_SUCH_PERSON),
        (WordKind.REJECT, "nobody-at-all", "r1", ROOT, False, Reason.NO_SUCH_PERSON),
        (WordKind.APPROVE, "bob", "r1", ROOT, False, None),
        (WordKind.APPROVE, "acme/bob", "r1", None, False, None),
        (WordKind.APPROVE, "bob  DURAND", "r1", ROOT, False, None),
        (WordKind.APPROVE, "nina", "r1", ROOT, False, None),
        (WordKind.APPROVE, "dina", "r1", ROOT, False, Reason.NO_SUCH_PERSON),  # another client's
        (WordKind.APPROVE, "alice", "r1", ROOT, False, Reason.NOT_THAT_PERSON),
        (WordKind.APPROVE, "alice", "r1", None, False, Reason.NOT_THAT_PERSON),
        (WordKind.APPROVE, "alice", "r1", Peer(7, 1000, "alice", ""), False, None),
        (WordKind.APPROVE, "alice", "r1", Peer(7, 0, "root", "alice"), False, None),  # by sudo
        (WordKind.APPROVE, "alice", "r1", Peer(7, 0, "root", "", "alice"), False, Reason.NOT_THAT_PERSON),  # a claim
        (WordKind.APPROVE, "bob", "r1", Peer(7, 0, "root", "alice"), False, Reason.NOT_THAT_PERSON),
        (WordKind.HOLD, "stranger", "acme/erp", ROOT, False, None),
        (WordKind.HOLD, "stranger", "acme/erp", ROOT, True, Reason.NO_SUCH_PERSON),
        (WordKind.HOLD, "stranger", "acme/erp", Peer(7, 1000, "alice"), False, Reason.NOT_THAT_PERSON),
        (WordKind.RESUME, "stranger", "acme/erp", ROOT, False, Reason.NO_SUCH_PERSON),
        (WordKind.APPROVE, "edr", "r1", ROOT, True, Reason.NO_SUCH_PERSON),  # a program is no person
        (WordKind.APPROVE, "edr", "r1", Peer(7, 1000, "alice"), True, Reason.NO_SUCH_PERSON),
        (WordKind.REJECT, "edr", "r1", ROOT, False, Reason.NO_SUCH_PERSON),
        (WordKind.CLEAR, "edr", "acme", ROOT, True, Reason.NO_SUCH_PERSON),
        (WordKind.DRILL, "edr", "acme/erp", ROOT, True, Reason.NO_SUCH_PERSON),
        (WordKind.HOLD, "edr", "acme/erp", Peer(7, 1000, "alice"), True, None),
        (WordKind.SUSPECT, "edr", "acme/erp", ROOT, True, None),
        (WordKind.SUSPECT, "edr", "*", ROOT, True, None),
        (WordKind.HOLD, "bob", "*", ROOT, True, None),  # acme is the only client here
    ],
)
def test_who_is_heard(
    kind: WordKind, who: str, subject: str, peer: Peer | None, named: bool, refused: Reason | None
) -> None:
    world = with_people(ALICE, BOB, NOC, EDR, DINA)
    answer = says(world, kind, who, subject, peer, named)
    if refused is None:
        assert answer.reason not in (Reason.NO_SUCH_PERSON, Reason.NOT_THAT_PERSON), answer
    else:
        assert (answer.accepted, answer.reason) == (False, refused.value), answer


@pytest.mark.parametrize("options", [{"override": ["blind"]}, {"fence": True}, {"fenced": "acme/hq"}])
def test_against_a_guard_only_a_person_speaks(options: dict[str, object]) -> None:
    world = with_people(BOB, EDR)
    for who in ("Tester", "edr"):
        answer = says(world, WordKind.FAILOVER, who, "acme/erp", **options)
        assert answer.reason == Reason.NO_SUCH_PERSON
    assert answer.evidence == "'edr' is a program of acme's, and this is for a person to say: bob"


def test_a_program_that_is_called_like_a_person_speaks_for_nobody() -> None:
    world = with_people(ALICE, Speaker("acme/alice-bot", "acme", ALICE.name, tool=True))
    assert says(world, WordKind.APPROVE, ALICE.name, "r1").reason == Reason.NOT_THAT_PERSON
    assert says(world, WordKind.APPROVE, ALICE.name, "r1", Peer(7, 1000, "alice")).accepted


def test_where_nobody_is_declared_any_name_is_taken() -> None:
    world = with_people(DINA)  # another client's people are none of acme's
    assert says(world, WordKind.APPROVE, "anybody", "r1", named=True).accepted


def test_the_record_names_the_person_and_the_kernels_word() -> None:
    world = with_people(ALICE, BOB)
    says(world, WordKind.HOLD, "Tester", "acme/erp")
    says(world, WordKind.APPROVE, "bbo", "r1")
    says(world, WordKind.APPROVE, "Bob Durand", "r1")
    held, approved = (x for x in world.records(r.WordAccepted) if isinstance(x, r.WordAccepted))
    (refused,) = (x for x in world.records(r.WordRefused) if isinstance(x, r.WordRefused))
    assert (held.person, held.peer) == ("", ROOT)
    assert "Tester is nobody of acme's people" in held.evidence
    assert (approved.person, approved.peer) == ("acme/bob", ROOT)
    assert "did you mean bob?" in refused.evidence


@pytest.mark.parametrize(
    ("who", "subject", "login", "person"),
    [
        ("Alice Martin", "acme", "", "acme/second"),  # the first one is her logins' alone
        ("Alice Martin", "acme", "alice", "acme/alice"),
        ("acme/second", "acme", "", "acme/second"),
        ("dina", "*", "", ""),  # of two clients, and nothing says that they are one
        ("nina", "*", "", "nina"),
    ],
)
def test_of_people_of_one_name_nobody_is_taken_for_another(who: str, subject: str, login: str, person: str) -> None:
    """The record names whom this login may speak for; where that is not one person, it names none."""
    second = Speaker("acme/second", "acme", "Alice Martin")
    world = with_people(ALICE, second, DINA, Speaker("acme/dina", "acme", "Dina Martin"), NOC)
    other = replace(next(iter(world.model.services.values())), id="bistro/erp", client="bistro", home=None)
    model = replace(world.engine.model, digest="two clients", services={**world.model.services, other.id: other})
    world.hears(e.ConfigurationLoaded(model))
    answer = says(world, WordKind.HOLD, who, subject, Peer(7, 1000, login, ""))
    assert answer.accepted, answer
    spoken = [x for x in world.records(r.WordAccepted) if x.kind is WordKind.HOLD]
    assert spoken[-1].person == person


def with_a_client_called(name: str, *speakers: Speaker) -> World:
    """Another client beside acme, whose run r1 waits for a person."""
    world = with_people(*speakers)
    other = replace(next(iter(world.model.services.values())), id=f"{name}/erp", client=name, home=None)
    model = replace(world.engine.model, digest="two clients", services={**world.model.services, other.id: other})
    world.hears(e.ConfigurationLoaded(model))
    return world


def test_of_a_client_that_is_called_like_a_run_of_another_its_own_people_speak() -> None:
    world = with_a_client_called("r1", BOB, Speaker("r1/dina", "r1", "Dina Rossi"))
    assert says(world, WordKind.SUSPECT, "dina", "r1", named=True).accepted
    assert says(world, WordKind.CLEAR, "bob", "r1", named=True).reason == Reason.NO_SUCH_PERSON
    assert says(world, WordKind.APPROVE, "dina", "r1", named=True).reason == Reason.NO_SUCH_PERSON
    assert says(world, WordKind.APPROVE, "bob", "r1", named=True).accepted


def test_what_one_client_declares_of_logins_keeps_nobody_from_speaking_for_another() -> None:
    world = with_a_client_called("bistro", BOB, replace(DINA, logins=("root", "dina")))
    assert says(world, WordKind.HOLD, "bob", "acme").accepted, "root speaks for bob, whatever bistro says of root"
    refused = says(world, WordKind.HOLD, "bob", "bistro")
    assert refused.reason == Reason.NOT_THAT_PERSON
    assert says(world, WordKind.APPROVE, "bob", "r1", Peer(7, 0, "root", "dina")).accepted


def test_a_window_of_a_whole_client_is_ended_by_its_people() -> None:
    """What its calendar opened is called by the client and its own name: `acme#patches`."""
    world = lab()
    speakers = {s.id: s for s in (BOB, NOC, DINA)}
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="people", speakers=speakers)))
    world.hears(e.MaintenanceBegan("acme", "patches", world.now + 600))
    for who in ("stranger", "dina"):
        assert says(world, WordKind.MAINTENANCE_END, who, "acme#patches").reason == Reason.NO_SUCH_PERSON, who
    assert says(world, WordKind.MAINTENANCE_END, "bob", "acme#patches").accepted


@pytest.mark.parametrize(
    ("said", "ends"), [(WordKind.HOLD, WordKind.RESUME), (WordKind.SUSPECT, WordKind.CLEAR)], ids=lambda x: x.value
)
def test_what_stands_of_a_client_that_is_gone_is_ended_by_the_workspaces_people(said: WordKind, ends: WordKind) -> None:
    """Its folder was renamed, and comes back tomorrow with what was said of it."""
    world = lab()
    speakers = {s.id: s for s in (NOC, EDR, DINA)}
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="people", speakers=speakers)))
    assert says(world, said, "nina", "acme").accepted
    world.hears(e.ConfigurationLoaded(replace(world.model, digest="gone", speakers=speakers, services={})))
    for who in ("stranger", "edr", "dina"):
        assert says(world, ends, who, "acme").reason == Reason.NO_SUCH_PERSON, who
    assert says(world, ends, "nina", "acme").accepted
