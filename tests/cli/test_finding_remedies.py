"""Every refusal of a word about findings ends with a command about findings, and it parses as it stands."""

from __future__ import annotations

import shlex
from dataclasses import replace

import pytest

from orchestrator.cli.main import app
from orchestrator.cli.remedies import remedies
from orchestrator.core import events as e
from orchestrator.core.commands import Answered
from orchestrator.core.events import WordKind, WordSpoken
from orchestrator.core.model import Json, Speaker
from tests.core.drill_stage import rehearse, stage
from tests.core.world import World


def known(world: World) -> None:
    """Two people, one drill, and a finding that is closed."""
    people = {n: Speaker(n, n.rpartition("/")[0], n.title()) for n in ("acme/ann", "noc")}
    rehearse(world)
    world.run(60)
    world.model = replace(world.model, digest="peopled", speakers=people)
    world.hears(e.ConfigurationLoaded(world.model))
    assert say(world, WordKind.FINDING, "d1", owner="noc", due="2026-12-31", in_s=1e6).accepted
    assert say(world, WordKind.FINDING_CLOSE, "f1").accepted


def say(world: World, kind: WordKind, subject: str, **options: Json) -> Answered:
    """Ann says it."""
    world.hears(WordSpoken(f"w{len(world.answered)}", kind, "ann", subject, "a reason", options))
    return world.answered[-1]


def test_each_ends_with_a_command_that_works() -> None:
    world = stage()
    known(world)
    due: dict[str, Json] = {"due": "2026-12-31", "in_s": 1e6}
    again = "bascule findings open d1 'more disks'"
    wanted: list[tuple[WordKind, str, dict[str, Json], str]] = [
        (WordKind.FINDING, "d1", {**due, "owner": "bobo"}, f"{again} --owner acme/ann --due 2026-12-31"),
        (WordKind.FINDING, "d1", {**due, "owner": "noc", "in_s": -1.0}, f"{again} --owner noc --due "),
        (WordKind.FINDING, "d9", {**due, "owner": "noc"}, "bascule incidents"),
        (WordKind.FINDING_CLOSE, "f1", {}, "bascule findings --closed"),
        (WordKind.FINDING_CLOSE, "f9", {}, "bascule findings --closed"),
    ]
    for kind, subject, options, command in wanted:
        answer = say(world, kind, subject, **options)
        assert not answer.accepted, (kind, subject)
        word = WordSpoken("w", kind, "ann", subject, "more disks" if kind is WordKind.FINDING else "", options)
        found = [x.command for x in remedies(answer.reason, word, world.decided(), world.model)]
        assert found[0].startswith(command), answer
        for one in found:
            app.parse_args(shlex.split(one)[1:], exit_on_error=False, print_error=False)


def test_that_nothing_is_to_be_improved_shows_what_is_open() -> None:
    world = stage()
    known(world)
    say(world, WordKind.FINDING, "d1", owner="noc", due="2026-12-31", in_s=1e6)
    answer = say(world, WordKind.NO_FINDINGS, "d1")
    word = WordSpoken("w", WordKind.NO_FINDINGS, "ann", "d1")
    assert [x.command for x in remedies(answer.reason, word, world.decided(), world.model)] == ["bascule findings d1"]


@pytest.mark.parametrize("kind", [WordKind.FINDING_CLOSE, WordKind.NO_FINDINGS, WordKind.FINDING])
def test_whoever_is_not_declared_is_told_to_say_it_as_somebody_who_is(kind: WordKind) -> None:
    world = stage()
    known(world)
    word = WordSpoken("w", kind, "Mallory", "d1", "more disks", {"owner": "noc", "due": "2026-12-31"})
    found = remedies("no such person", word, world.decided(), world.model)
    assert found[0].command.endswith(("--by ann", "--by noc"))
    app.parse_args(shlex.split(found[0].command)[1:], exit_on_error=False, print_error=False)
