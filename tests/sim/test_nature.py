"""What a plan declares of the world, and what it leaves open."""

from __future__ import annotations

from dataclasses import replace

import pytest

from orchestrator.core.model import Model
from orchestrator.sim.nature import Asks, nature_of
from tests.sim import models

TAKEN_TO_ASK = {  # check: what it asks, about what, and inside which place it is asked
    "noc-sees-www@www": (Asks.NOTHING, (), None),
    "noc-sees-dns@dns": (Asks.NOTHING, (), None),
    "erp-transaction@noc": (Asks.SERVICE, ("lab/erp",), None),
    "hq-internet@hq-edge": (Asks.SERVICE, ("lab/hq-internet",), "lab/hq"),
    "hq-power-off@hq-oob": (Asks.OFF, ("lab/hq",), None),
    "geo-power-off@geo-oob": (Asks.OFF, ("lab/geo",), None),
    "cloud-stopped@cloud-app": (Asks.OFF, ("lab/cloud",), "lab/cloud"),
    "hq-dark@hq-oob": (Asks.DARK, ("lab/hq",), None),
    "geo-dark@geo-oob": (Asks.DARK, ("lab/geo",), None),
    "hq-erp-stopped@hq-app": (Asks.HANDED_OVER, ("lab/geo-site", "lab/cloud-instance"), "lab/hq"),
    "hq-db-stopped@hq-db": (Asks.HANDED_OVER, ("lab/geo-site",), "lab/hq"),
    "geo-erp-stopped@geo-app": (Asks.HANDED_OVER, ("lab/cloud-instance", "lab/return-hq"), "lab/geo"),
    "geo-db-stopped@geo-db": (Asks.HANDED_OVER, ("lab/return-hq",), "lab/geo"),
    "cloud-erp-stopped@cloud-app": (Asks.HANDED_OVER, ("lab/return-hq-from-cloud", "lab/return-geo"), "lab/cloud"),
    "cloud-db-stopped@cloud-app": (Asks.HANDED_OVER, ("lab/return-hq-from-cloud", "lab/return-geo"), "lab/cloud"),
    "edge-uses-isp-b@hq-edge": (Asks.EFFECT, ("lab/backup-isp",), "lab/hq"),
    "erp-name-at-geo@dns": (Asks.EFFECT, ("lab/geo-site", "lab/return-geo"), None),
    "erp-name-at-cloud@dns": (Asks.EFFECT, ("lab/cloud-instance",), None),
    "erp-name-at-hq@dns": (Asks.EFFECT, ("lab/return-hq", "lab/return-hq-from-cloud"), None),
    "isp-a-path@hq-edge": (Asks.VIABLE, ("lab/backup-isp.back",), "lab/hq"),
    "isp-b-path@hq-edge": (Asks.VIABLE, ("lab/backup-isp",), "lab/hq"),
    "geo-ready@geo-app": (Asks.VIABLE, ("lab/geo-site",), "lab/geo"),
    "geo-replica@geo-db": (Asks.VIABLE, ("lab/geo-site",), "lab/geo"),
    "cloud-instance-there@cloud-app": (Asks.VIABLE, ("lab/cloud-instance",), "lab/cloud"),
    "backup-age@cloud-app": (Asks.VIABLE, ("lab/cloud-instance",), "lab/cloud"),
    "hq-mains@hq-oob": (Asks.VIABLE, ("lab/return-hq", "lab/return-hq-from-cloud"), None),
    "geo-mains@geo-oob": (Asks.VIABLE, ("lab/return-geo",), None),
    "hq-replica@hq-db": (Asks.NOTHING, (), "lab/hq"),
    "rehearsal-apart@geo-db": (Asks.NOTHING, (), "lab/geo"),
}


def test_every_check_of_the_lab_is_taken_to_ask_what_the_plan_uses_it_for() -> None:
    """Change a line here only with what the lab's files say."""
    found = {
        name.removeprefix("lab/"): (q.asks, q.about, q.inside) for name, q in models.nature("lab").questions.items()
    }
    assert found == TAKEN_TO_ASK


def test_an_answer_needs_the_host_its_domains_and_the_way_there() -> None:
    questions = models.nature("lab").questions
    assert questions["lab/isp-b-path@hq-edge"].needs == ("host lab/hq-edge", "lab/hq", "lab/isp-b")
    assert questions["lab/hq-dark@hq-oob"].needs == ("host lab/hq-oob",), "a console survives its site"


def test_both_services_take_the_first_provider_unless_the_other_is_engaged() -> None:
    for service in ("lab/erp", "lab/hq-internet"):
        (path,) = models.nature("lab").paths[service]
        assert path.place == "lab/hq"
        assert path.primary == ("lab/isp-a",)
        assert path.detours == (("lab/backup-isp", "lab/isp-b"),)


def test_what_the_lab_does_not_declare_is_listed() -> None:
    assert any("lab/hq-replica@hq-db" in x for x in models.nature("lab").not_modelled)
    assert any("management paths" in x for x in models.nature("lab").not_modelled)
    assert any("name servers" in x for x in models.nature("lab").not_modelled)


def changed(name: str) -> Model:
    lab = models.lab()
    erp, moves = lab.services["lab/erp"], lab.moves
    match name:
        case "no home":
            return replace(lab, services={**lab.services, "lab/erp": replace(erp, home=None)})
        case "no data age":
            return replace(lab, moves={**moves, "lab/geo-site": replace(moves["lab/geo-site"], data_age=None)})
        case "no way back":
            back = replace(moves["lab/backup-isp.back"], viable_when=None, via=None)
            return replace(lab, moves={**moves, "lab/backup-isp.back": back})
    bare = replace(lab.places["lab/hq"], domains=frozenset())
    return replace(lab, places={**lab.places, "lab/hq": bare})


@pytest.mark.parametrize(
    ("what", "said"),
    [
        ("no home", "lab/erp: where it runs"),
        ("no data age", "lab/geo-site: the age of the data found at lab/geo"),
        ("no way back", "which path lab/backup-isp takes it from"),
        ("no domain", "lab/hq: which failure domain it is"),
    ],
)
def test_what_a_plan_leaves_open_is_said_and_not_guessed(what: str, said: str) -> None:
    assert any(said in x for x in nature_of(changed(what)).not_modelled)
