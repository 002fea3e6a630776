"""What downtime costs, from what an author wrote with its source, and where a tier pays for itself."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core import records as r
from orchestrator.core.forecast import Forecast, forecast
from orchestrator.core.model import DowntimeCost, Service, Tier
from orchestrator.reports.cost import MONTH_S, a_minute, of_outage, pays_off, unproven
from orchestrator.reports.evidence import evidence
from orchestrator.reports.stories import Stories
from tests.reports.sample import Tape, small_model

COST = DowntimeCost(
    {"revenue": 120.0, "staff": 8.0},
    {"revenue": "120 EUR/min", "staff": "12 × 40 EUR/h"},
    2000.0,
    3600.0,
    "contract 2026-14",
)


def service(**changes: object) -> Service:
    values = {"downtime_cost": 128.0, "cost": COST, "rto_s": 900.0, "mtd_s": 7200.0, **changes}
    return replace(small_model().services["acme/erp"], **values)  # type: ignore[arg-type]


def known(*bounds_s: float | None) -> list[Forecast | None]:
    return [None if x is None else forecast([x]) for x in bounds_s]


def test_an_outage_costs_its_minutes_and_a_penalty_when_it_is_due() -> None:
    short, long = of_outage(service(), 600.0), of_outage(service(), 3600.0)
    assert short is not None
    assert long is not None
    assert (short.amount, dict(short.parts)) == (1280.0, {"revenue": 1200.0, "staff": 80.0})
    assert (long.amount, long.parts["penalty, once"], long.source) == (7680.0 + 2000.0, 2000.0, "contract 2026-14")
    assert str(short) == "1,280 EUR"
    assert of_outage(service(downtime_cost=0.0, cost=None), 600.0) is None


def test_that_it_costs_nothing_is_a_cost_that_an_author_said() -> None:
    """A report that says "the configuration says nothing of it" would be false."""
    free = service(downtime_cost=0.0, cost=DowntimeCost({"rate": 0.0}, {"rate": "0 EUR/min"}))
    assert str(of_outage(free, 600.0)) == "0 EUR"
    assert a_minute(free) == "0 EUR/min"


def test_where_a_figure_comes_from_stands_beside_it() -> None:
    assert a_minute(service()) == "128 EUR/min (revenue 120 EUR/min, staff 12 × 40 EUR/h; by contract 2026-14)"
    assert a_minute(service(cost=None)) == "128 EUR/min"
    assert a_minute(service(cost=None, downtime_cost=0.0)) == ""
    assert unproven(service()) == (
        "an outage of the RTO costs 1,920 EUR, and to the MTD 17,360 EUR; that it ends by then is not shown"
    )


def ladder(*monthly: float | None) -> tuple[Tier, ...]:
    return tuple(Tier(f"acme/tier-{n}", monthly_cost=x) for n, x in enumerate(monthly, 1))


def test_a_tier_pays_for_itself_by_what_the_next_cheaper_one_takes_longer() -> None:
    of = service(cost=None, downtime_cost=180.0, ladder=ladder(400.0, 40.0))
    found = pays_off(of, 0, known(600.0, 3600.0), 3, 6 * MONTH_S)
    assert found is not None
    assert (found.more_s, found.saves, found.monthly) == (3000.0, 9000.0, 360.0)
    assert found.outages == pytest.approx(0.04)
    assert str(found) == (
        "360 EUR a month; tier-2 takes 50:00 longer by the forecasts of both, which costs 9,000 EUR an outage: "
        "it pays for itself from 0.04"
        " outages a month on; there were 0.5 outages a month in 6.0 months"
    )
    for seen, told in ((0, "was none"), (6, "was 1 outage a month"), (750, "were 125 outages a month")):
        assert str(pays_off(of, 0, known(600.0, 3600.0), seen, 6 * MONTH_S)).endswith(f"there {told} in 6.0 months")
    young = pays_off(of, 0, known(600.0, 3600.0), 1, 86400.0)
    assert str(young).endswith("; less than a month is on record")


@pytest.mark.parametrize(
    ("monthly", "bounds_s"),
    [
        ((400.0, 40.0), (600.0, None)),  # never measured: nothing is said
        ((400.0, 40.0), (None, 600.0)),
        ((None, 40.0), (600.0, 3600.0)),
        ((40.0, 400.0), (600.0, 3600.0)),  # nothing cheaper comes after it
        ((400.0, 40.0), (3600.0, 600.0)),  # it saves nothing
        ((400.0,), (600.0,)),
    ],
)
def test_without_a_figure_nothing_is_said(
    monthly: tuple[float | None, ...], bounds_s: tuple[float | None, ...]
) -> None:
    of = service(cost=None, downtime_cost=180.0, ladder=ladder(*monthly))
    assert pays_off(of, 0, known(*bounds_s), 3, 6 * MONTH_S) is None


def test_outages_a_month_are_counted_since_the_service_is_there() -> None:
    """A workspace may be years older than one of its services: of what was not watched no outage is on record."""
    plain = small_model()
    of = replace(plain.services["acme/erp"], downtime_cost=180.0, ladder=ladder(400.0, 40.0))
    moves = {t.move: replace(plain.moves["acme/backup-isp"], id=t.move) for t in of.ladder}
    with_it = replace(plain, moves=plain.moves | moves, services=plain.services | {of.id: of})
    without = replace(plain, digest="m0", services={n: s for n, s in plain.services.items() if n != of.id})
    tape = Tape()
    for digest, after_s in (("m0", 36 * MONTH_S), ("m1", 2 * MONTH_S)):
        tape.write(
            r.ControllerBegan(tape.now, "noc", int(digest[1:]) + 1, "boot", True, 0.0),
            r.Configured(tape.now, digest, {}),
        )
        tape.after(after_s)
    stories = Stories({"m0": without, "m1": with_it}.get).read(tape.entries)
    stories.decided.durations |= {t.move: [took_s] for t, took_s in zip(of.ladder, (600.0, 3600.0), strict=True)}
    first, _ = evidence(stories, with_it, tape.now, lambda name: name == of.id)
    assert str(first.pays_off).endswith("; there was none in 2.0 months")
