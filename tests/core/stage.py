"""The lab in small, healthy and with playbooks that have their effects; and the disasters that befall it."""

from __future__ import annotations

from orchestrator.core.model import Mode
from tests.core.world import World, acme


def lab(mode: Mode = Mode.AUTO, **erp: object) -> World:
    """A healthy world whose playbooks have their effects."""
    world = World(acme(mode, **erp))

    def backup_isp() -> None:
        world.good("hq-internet", "erp-transaction", "edge-uses-isp-b")

    def backup_isp_back() -> None:
        world.bad("edge-uses-isp-b")

    def power_off_hq() -> None:
        world.good("hq-off")

    def power_off_geo() -> None:
        world.good("geo-off")

    def geo_site() -> None:
        world.good("erp-transaction", "erp-at-geo")

    def cloud() -> None:
        world.good("erp-transaction", "erp-at-cloud")

    def hand_over() -> None:
        world.good("geo-handed-over")
        world.bad("erp-transaction", "erp-at-geo")

    def return_hq() -> None:
        world.good("erp-transaction", "hq-internet")

    world.effects = {
        "backup-isp": backup_isp,
        "backup-isp.back": backup_isp_back,
        "power_off_hq": power_off_hq,
        "power_off_geo": power_off_geo,
        "geo-site": geo_site,
        "cloud-instance": cloud,
        "hand_over": hand_over,
        "return-hq": return_hq,
    }
    world.run(20)
    return world


def isp_a_dies(world: World) -> None:
    """The first uplink fails: only the second one is left."""
    world.silent("erp-transaction", "hq-internet")


def hq_loses_power(world: World) -> None:
    """The whole site goes dark, and its console says so."""
    world.silent("erp-transaction", "hq-internet", "isp-b-path", "edge-uses-isp-b")
    world.good("hq-dark")


def geo_loses_power(world: World) -> None:
    """The second site goes dark as well."""
    world.silent("erp-transaction", "geo-ready", "geo-replica", "erp-at-geo")
    world.good("geo-dark")
