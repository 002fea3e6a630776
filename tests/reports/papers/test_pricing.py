"""What a planned move or a full-scale drill cost, where nothing had failed: a bound, or why it is not known."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import records as r
from orchestrator.core.events import AttemptEnd
from orchestrator.core.reasons import Reason
from orchestrator.reports.papers.composition import compose
from orchestrator.reports.papers.edition import for_client
from orchestrator.reports.papers.printing import Papers
from orchestrator.reports.papers.sealing import check, sealed, text_of
from orchestrator.reports.papers.shape import Report
from orchestrator.reports.papers.tongue import LANGUAGES, Tongue
from tests.core.drill_stage import drill, rehearse, stage
from tests.core.world import World
from tests.reports.papers.test_played_drills import BY, full_scale, journal
from tests.reports.papers.told import sliced
from tests.reports.sample import FAILOVER, K, Tape

ERP = "acme/erp"
A_MINUTE = 180.0


def priced(world: World, name: str = "d1", cost: float = A_MINUTE) -> Report:
    """The report of a drill in a world in which a minute without the service costs so much."""
    erp = replace(world.model.services[ERP], downtime_cost=cost)
    world.model = replace(world.model, services={**world.model.services, ERP: erp})
    return compose(journal(world).slice(name))


def said(found: Report) -> str:
    return Tongue().say(found.cost_said)


def test_a_full_scale_drill_cost_at_most_its_own_two_moves_and_not_its_stay() -> None:
    world = full_scale()
    found = priced(world)
    acted: dict[str, float] = {}
    verified: dict[str, float] = {}
    for at, records in world.entries:
        for x in records:
            if isinstance(x, r.StepBegan) and x.step not in ("preflight", "prepare"):
                acted.setdefault(x.run, at)
            if isinstance(x, r.StepFinished) and x.step == "verify":
                verified[x.run] = at
    assert acted.keys() == verified.keys() == {"r1", "r2"}
    price = found.cost
    assert price is not None
    assert (price.at_most, price.down_s) == (True, pytest.approx(sum(verified[x] - acted[x] for x in acted)))
    assert price.amount == pytest.approx(price.down_s / 60 * A_MINUTE, abs=0.01)
    assert price.amount >= price.down_s / 60 * A_MINUTE, "a bound is rounded up"
    stay_s = acted["r2"] - verified["r1"]
    assert stay_s > 9.0
    assert price.down_s < verified["r2"] - acted["r1"] - stay_s + 0.01
    assert (
        said(found) == "nobody measured it: no longer than from when r1, r2 may have stopped it until each was verified"
    )


def test_what_was_rehearsed_costs_nothing_and_without_a_cost_nothing_is_known() -> None:
    world = stage()
    assert rehearse(world).accepted
    world.run(200)
    assert (priced(world).cost, said(priced(world))) == (None, "no outage is a part of it: it has no cost of one")
    nothing = priced(full_scale(), cost=0.0)
    assert nothing.cost is None
    assert said(nothing) == "not known: the configuration says nothing of what a minute without the service costs"


def test_of_a_drill_that_goes_on_it_is_not_known_and_of_one_that_became_an_outage_that_has_the_cost() -> None:
    world = stage()
    assert drill(world, stays_s=600.0).accepted
    world.outcomes["geo-site"] = AttemptEnd.FAILED
    world.run(3)
    assert said(priced(world)) == "not known yet: r1 goes on"
    world.run(2)
    assert [x.run for _, xs in world.entries for x in xs if isinstance(x, r.RunEnded)] == ["r1"]
    assert said(priced(world)) == "no outage is a part of it: what i1 cost is told in the report of each"


def planned(tape: Tape, *, fails: bool) -> str:
    steps = (FAILOVER[0], *FAILOVER[1:])
    tape.run("r7", "geo-site", steps, from_place="acme/hq", to_place="acme/geo", origin=r.Origin.MANUAL, who="Ann")
    for step, kind in steps:
        if fails and kind is K.VERIFY:
            tape.write(r.StepFinished(tape.now, "r7", step, 0, r.StepState.SKIPPED, Reason.ABORTED, "by Ann"))
        else:
            tape.step("r7", step, 30.0)
    tape.write(r.RunEnded(tape.now, "r7", not fails, Reason.ABORTED if fails else Reason.VERIFIED, "because"))
    return "r7"


def test_a_planned_move_has_a_price_too_and_none_where_it_was_not_verified() -> None:
    tape = Tape().begin().after(20.0)
    found = compose(sliced(tape, planned(tape, fails=False)))
    price = found.cost
    assert price is not None
    assert (price.at_most, price.down_s) == (True, pytest.approx(30.0 * (len(FAILOVER) - 1))), "its preflight is none"
    failed = Tape().begin().after(20.0)
    none = compose(sliced(failed, planned(failed, fails=True)))
    assert (none.cost, said(none)) == (
        None, "not known: r7 was not verified, and nobody measured for how long the service was away",
    )  # fmt: skip


def test_what_a_move_prepares_beside_the_service_costs_nothing() -> None:
    """An hour's rebuild of the other place, while the service works where it is."""
    tape = Tape().begin().after(20.0)
    steps = (FAILOVER[0], ("prepare", K.PREPARE), *FAILOVER[1:])
    tape.run("r7", "geo-site", steps, from_place="acme/hq", to_place="acme/geo", origin=r.Origin.MANUAL, who="Ann")
    for step, kind in steps:
        tape.step("r7", step, 3600.0 if kind is K.PREPARE else 30.0)
    tape.write(r.RunEnded(tape.now, "r7", True, Reason.VERIFIED, "because"))
    price = compose(sliced(tape, "r7")).cost
    assert price is not None
    assert price.down_s == pytest.approx(30.0 * (len(FAILOVER) - 1))


def test_a_move_that_was_rejected_before_it_acted_has_no_cost() -> None:
    tape = Tape().begin().after(20.0)
    tape.run("r7", "geo-site", FAILOVER, from_place="acme/hq", to_place="acme/geo", origin=r.Origin.MANUAL, who="Ann")
    tape.step("r7", "preflight", 5.0)
    for name, _ in FAILOVER[1:]:
        tape.write(r.StepFinished(tape.now, "r7", name, 0, r.StepState.SKIPPED, Reason.ABORTED, "by Ann"))
    tape.write(r.RunEnded(tape.now, "r7", False, Reason.ABORTED, "by Ann"))
    assert said(compose(sliced(tape, "r7"))) == "no outage is a part of it: it has no cost of one"


@pytest.mark.parametrize("language", LANGUAGES)
def test_it_stands_on_paper_as_a_bound_and_is_worked_out_again_by_whoever_checks(language: str) -> None:
    world = full_scale()
    priced(world)
    whole = journal(world).slice("d1")
    for found in (whole, for_client(whole)):
        text = Papers(found, BY, language).markdown()
        bound, why = {
            "en": ("at most ", "nobody measured it: "), "fr": ("au plus ", "personne ne l’a mesuré"),
        }[language]  # fmt: skip
        cost = text.partition({"en": "## Cost", "fr": "## Coût"}[language])[2]
        assert cost.lstrip().startswith(bound)
        assert why in cost
        assert check(text_of(sealed(found, BY)), BY).wrong == ()
