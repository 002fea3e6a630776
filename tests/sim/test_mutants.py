"""The judges find what they are there for: a few guards taken out; `make mutants` tries all, and the rules of order."""

from __future__ import annotations

from functools import cache

import pytest

from orchestrator.sim.campaign import Campaign
from orchestrator.sim.simulation import quiet
from tests.mutants.__main__ import MUTANTS
from tests.mutants.hunt import By, Worlds, first_violation, hunt, seeds_for
from tests.mutants.mutant import Mutant

QUICK = ("fall", "held", "flapping")
SEEDS = 40
WORLD = "estuary"


@cache
def campaign() -> Campaign:
    quiet()
    return Worlds().campaign(WORLD)


def named(name: str) -> Mutant:
    return next(m for m in MUTANTS if m.name == name)


@pytest.mark.parametrize("by", By, ids=lambda by: by.value)
@pytest.mark.parametrize("name", QUICK)
def test_a_core_without_the_rule_is_noticed(name: str, by: By) -> None:
    mutant = named(name)
    caught = hunt(campaign(), mutant, WORLD, seeds_for(campaign(), mutant, SEEDS), by)
    assert caught is not None, f"{SEEDS} seeds, and nobody noticed: {mutant.takes_out}"
    assert caught.violation.statement in mutant.expected
    with_the_rule = first_violation(campaign(), caught.seed, by, rest=mutant.rest)
    assert with_the_rule is None, "what was noticed was there before the rule was taken out"


@pytest.mark.parametrize("name", ["kept connections", "inventories"])
def test_two_clients_of_equal_addresses_meet_where_the_rule_is_taken_out(name: str) -> None:
    mutant, twins = named(name), Worlds().campaign("twins")
    caught = hunt(twins, mutant, "twins", seeds_for(twins, mutant, SEEDS), By.ORACLES)
    assert caught is not None, f"{SEEDS} seeds, and nobody noticed: {mutant.takes_out}"
    assert caught.violation.statement == 21
    assert first_violation(twins, caught.seed, By.ORACLES, rest=False) is None


def test_every_mutant_has_a_name_of_its_own_and_a_statement_that_should_notice() -> None:
    assert len({m.name for m in MUTANTS}) == len(MUTANTS)
    assert all(m.expected and m.takes_out for m in MUTANTS)


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_what_a_mutant_takes_out_is_there(mutant: Mutant) -> None:
    with mutant.out():
        pass


@pytest.mark.parametrize("mutant", MUTANTS, ids=lambda mutant: mutant.name)
def test_no_mutant_breaks_the_engine(mutant: Mutant) -> None:
    """A rule's function that has another signature by now breaks it at once, and shows nothing of the rule."""
    seeds = list(seeds_for(campaign(), mutant, 3)) or [1, 2]
    with mutant.out():
        for seed in seeds:
            first_violation(campaign(), seed, By.BOTH, rest=False)  # raises BreaksTheEngine
