"""A third workspace: two clients of equal addresses, names, checks and services; it stays valid, and they stay two."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.config import Loaded, load
from orchestrator.shell.wiring import option_models

TWINS = Path(__file__).parents[1] / "workspaces" / "twins"


@pytest.fixture(scope="module")
def loaded() -> Loaded:
    return load(TWINS, probe_kinds=option_models(), cache=False)


def test_it_is_valid_and_nothing_is_doubtful(loaded: Loaded) -> None:
    assert [str(w) for w in loaded.warnings] == [
        "inventories/east/services.yml:36:3: move restart-shop acts in hq, and is tried too when shop is in spare; expected 'from: [hq]'",  # noqa: E501
        "inventories/west/services.yml:36:3: move restart-shop acts in hq, and is tried too when shop is in spare; expected 'from: [hq]'",  # noqa: E501
    ]


def test_whatever_one_has_the_other_has_too(loaded: Loaded) -> None:
    model = loaded.model
    for things in (model.checks, model.places, model.moves, model.services):
        east = {name.removeprefix("east/") for name in things if name.startswith("east/")}
        west = {name.removeprefix("west/") for name in things if name.startswith("west/")}
        assert east == west
        assert len(things) == len(east) + len(west), "nothing belongs to both"


def test_nothing_of_one_names_anything_of_the_other(loaded: Loaded) -> None:
    model = loaded.model
    for things in (model.checks, model.places, model.moves, model.services):
        for name, thing in things.items():
            other = "west/" if name.startswith("east/") else "east/"
            assert f"'{other}" not in repr(thing), f"{name} names something of {other}"
