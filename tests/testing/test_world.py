"""The world for other people's tests: a workspace's own plan, two clients of equal names, and mistakes."""

from __future__ import annotations

from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config.faults import ConfigurationInvalid
from orchestrator.core.events import Answer, WordKind
from orchestrator.core.model import Model
from orchestrator.core.records import MayActRemoved, PlacementChanged
from orchestrator.testing import World, model_of, story

TWINS = Path(__file__).parents[1] / "workspaces" / "twins"
ASLEEP = ("hq-mains-gone@hq-console", "hq-outlets-off@hq-console", "spare-services-stopped@spare-app")


@cache
def twins() -> Model:
    return model_of(TWINS)


def well() -> World:
    """Both clients, and all is well: nothing is dark, stopped or led elsewhere."""
    model = twins()
    bad = [c for c in model.checks if c.partition("/")[2] in (*ASLEEP, "router-uses-mobile@hq-router")]
    ages = {c: {"data_age_s": 1.0} for c in model.checks if "replica" in c}
    world = World(model, answers=dict.fromkeys(bad, Answer.BAD), measures=ages)
    world.run(120)
    return world


def hq_goes_dark(world: World, client: str) -> None:
    """All of one client's site falls silent, and its console says why."""
    at_hq = [c.id for c in world.model.checks.values() if c.client == client and c.host.startswith("hq-")]
    world.silent(*[c for c in at_hq if "console" not in c], f"{client}/shop-page@desk")
    world.good(f"{client}/hq-mains-gone@hq-console")
    world.effects["switch_off"] = lambda: world.good(f"{client}/hq-outlets-off@hq-console")
    world.effects["to_spare"] = lambda: world.good(f"{client}/shop-page@desk")


def test_a_workspaces_own_plan_is_played() -> None:
    world = well()
    assert not list(world.records(PlacementChanged))
    hq_goes_dark(world, "west")
    world.run(600)
    assert world.decided().services["west/shop"].place == "west/spare"
    assert world.decided().services["east/shop"].place == "east/hq"
    assert [x.place for x in world.records(MayActRemoved)] == ["west/hq"]  # type: ignore[attr-defined]
    assert world.played.index("switch_off") < world.played.index("to_spare")
    assert any("west/shop-to-spare" in line for line in story(world))


def test_what_an_operator_says_is_heard() -> None:
    world = well()
    assert world.say(WordKind.HOLD, "west").accepted
    hq_goes_dark(world, "west")
    world.run(600)
    assert world.played == []
    assert any("west/shop" in told.text for told in world.told)


def test_a_controller_that_dies_goes_on_from_its_records() -> None:
    world = well()
    hq_goes_dark(world, "east")
    while "switch_off" not in world.played:
        world.go()
    world.crash()
    world.run(30)
    world.start()
    world.run(900)
    assert world.decided().services["east/shop"].place == "east/spare" or world.decided().open_incidents()


def test_a_name_that_is_no_check_is_said_with_those_that_there_are() -> None:
    world = well()
    with pytest.raises(ValueError, match="there is no check west/shop-page; nearest: west/shop-page@desk"):
        world.silent("west/shop-page")
    with pytest.raises(ValueError, match="there is no check shop-page@desk"):
        world.bad("shop-page@desk")  # of which client?


def test_with_one_client_its_name_may_be_left_out() -> None:
    model = twins()
    only = {c: check for c, check in model.checks.items() if check.client == "west"}
    of_west = {s: service for s, service in model.services.items() if service.client == "west"}
    world = World(replace(model, checks=only, services=of_west))
    world.bad("shop-page@desk")
    assert world.answers["west/shop-page@desk"] is Answer.BAD


def test_a_workspace_that_is_invalid_is_refused_with_its_faults(tmp_path: Path) -> None:
    (tmp_path / "inventories" / "acme").mkdir(parents=True)
    (tmp_path / "inventories" / "acme" / "services.yml").write_text("services: {erp: {rto: soon}}\n")
    with pytest.raises(ConfigurationInvalid):
        model_of(tmp_path)


def test_the_example_of_the_docs_does_what_it_says(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "testing.md").read_text(encoding="utf-8")
    monkeypatch.chdir(TWINS)
    names: dict[str, Any] = {}
    exec(text.partition("```python\n")[2].partition("```")[0], names)
    (example,) = [value for name, value in names.items() if name.startswith("test_")]
    example()
