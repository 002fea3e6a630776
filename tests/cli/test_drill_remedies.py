"""Every refusal of a drill ends with a command that works: it parses, and it names what stands against the drill."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import replace

import pytest

from orchestrator.cli.drill_remedies import DRILL_ROWS
from orchestrator.cli.main import app
from orchestrator.cli.remedies import remedies
from orchestrator.core import events as e
from orchestrator.core.events import WordKind, WordSpoken
from orchestrator.core.model import DrillKind
from orchestrator.core.reasons import Reason
from tests.core.drill_stage import drill, rehearsal, rehearse, stage
from tests.core.test_drills import REFUSALS
from tests.core.world import World


def away(world: World) -> None:
    world.say(WordKind.FAILOVER, "acme/erp", move="geo-site")
    world.run(60)


def no_hand_over(world: World) -> None:
    changed(world, "acme/geo-site", hand_over=None)


def no_way_back(world: World) -> None:
    erp = replace(world.model.services["acme/erp"], failback=())
    world.model = replace(world.model, digest="other", services={**world.model.services, erp.id: erp})
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)


def in_the_way(world: World) -> None:
    changed(world, "acme/geo-site", rehearse=rehearsal(places=frozenset({"acme/hq"})))


def rehearsing(world: World) -> None:
    assert rehearse(world).accepted


def changed(world: World, move: str, **changes: object) -> None:
    moved = replace(world.model.moves[move], **changes)  # type: ignore[arg-type]
    world.model = replace(world.model, digest="other", moves={**world.model.moves, move: moved})
    world.hears(e.ConfigurationLoaded(world.model))
    world.run(20)


FULL, PART = DrillKind.FULL_SCALE, DrillKind.FUNCTIONAL
STORIES: list[tuple[Reason, Callable[[World], None], DrillKind]] = [
    *((reason, make, FULL) for make, reason in REFUSALS.items()),
    (Reason.NOT_AT_HOME, away, FULL),
    (Reason.FENCE_NOT_AUTOMATIC, no_hand_over, FULL),
    (Reason.NO_WAY_BACK, no_way_back, FULL),
    (Reason.TOUCHES_WHAT_SERVES, in_the_way, PART),
    (Reason.DRILL_UNDER_WAY, rehearsing, PART),
]
WANTED: dict[Reason, str] = {
    Reason.IN_MAINTENANCE: "bascule maintenance acme --end",
    Reason.COMPROMISE_SUSPECTED: "bascule clear acme",
    Reason.DRILL_UNDER_WAY: "bascule drill cancel d1",
    Reason.NOT_AT_HOME: "bascule failback acme/erp",
    Reason.FENCE_NOT_AUTOMATIC: "bascule drill run acme/erp --full-scale --move geo-site --fence",
}


@pytest.mark.parametrize(("reason", "make", "kind"), STORIES, ids=lambda x: getattr(x, "__name__", str(x)))
def test_a_refused_drill_ends_with_a_command(reason: Reason, make: Callable[[World], None], kind: DrillKind) -> None:
    world = stage()
    make(world)
    answer = drill(world, kind)
    assert answer.reason == reason.value, answer
    word = WordSpoken("w", WordKind.DRILL, "Ada", "acme/erp", "", {"move": "geo-site", "kind": kind.value})
    found = remedies(answer.reason, word, world.decided(), world.model)
    assert found, f"{answer.reason}: nothing to type"
    for remedy in found:
        assert "--override" not in remedy.command
        app.parse_args(shlex.split(remedy.command)[1:], exit_on_error=False, print_error=False)
    assert WANTED.get(reason, found[-1].command) in [x.command for x in found]


def test_of_what_is_away_and_has_no_way_back_no_failback_is_named() -> None:
    """It would be refused."""
    world = stage()
    away(world)
    no_way_back(world)
    assert not world.say(WordKind.FAILBACK, "acme/erp").accepted
    answer = drill(world, PART)
    assert answer.reason == Reason.NOT_AT_HOME.value
    word = WordSpoken("w", WordKind.DRILL, "Ada", "acme/erp", "", {"move": "geo-site", "kind": PART.value})
    found = remedies(answer.reason, word, world.decided(), world.model)
    assert [x.command for x in found] == ["bascule validate"]


def test_a_drill_that_is_said_again_is_said_with_how_long_it_stays() -> None:
    world = stage()
    no_hand_over(world)
    options = {"move": "geo-site", "kind": FULL.value, "stays_s": 7200.0, "within_s": 90.0}
    word = WordSpoken("w", WordKind.DRILL, "Ada", "acme/erp", "", options)  # type: ignore[arg-type]
    found = [x.command for x in remedies(Reason.FENCE_NOT_AUTOMATIC.value, word, world.decided(), world.model)]
    assert found[-1] == (
        "bascule drill run acme/erp --full-scale --move geo-site --stay 2h --return-within 90s --fence"
    )


def test_what_is_said_of_a_drill_that_there_is_not_shows_those_that_there_are() -> None:
    world = stage()
    answer = world.say(WordKind.DRILL_CANCEL, "d7")
    word = WordSpoken("w", WordKind.DRILL_CANCEL, "Ada", "d7")
    assert [x.command for x in remedies(answer.reason, word, world.decided(), world.model)] == ["bascule drill list"]


@pytest.mark.parametrize("reason", [Reason.NOT_WELL, Reason.MASS_FAILURE, Reason.DEPENDENCY_RECOVERING])
def test_a_guard_without_a_row_is_waited_for_and_never_put_aside(
    reason: Reason, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(DRILL_ROWS, reason)
    world = stage()
    word = WordSpoken("w", WordKind.DRILL, "Ada", "acme/erp", "", {"move": "geo-site"})
    found = remedies(reason.value, word, world.decided(), world.model)
    assert [x.command for x in found] == ["bascule status acme/erp"]


def test_no_row_is_for_a_reason_that_a_person_may_put_aside() -> None:
    """A drill is never worth an outage: nobody goes against its guards."""
    assert Reason.BLIND not in DRILL_ROWS
    assert Reason.NOT_VIABLE not in DRILL_ROWS
