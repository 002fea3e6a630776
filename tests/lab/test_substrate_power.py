"""Who has power, told as an operator would: mains, outlets, latches."""

from __future__ import annotations

import pytest

from orchestrator.lab.errors import LabUsageError
from orchestrator.lab.power import PowerBoard

HQ = ("hq-edge", "hq-app", "hq-db", "hq-user")


@pytest.fixture
def board() -> PowerBoard:
    """A lab as it starts."""
    return PowerBoard()


def test_everything_has_power_at_the_start_but_the_cloud_instance(board: PowerBoard) -> None:
    """The instance is dark until the hypervisor starts it."""
    assert board.energised("hq-db")
    assert board.energised("hq-oob")
    assert not board.energised("cloud-app")


def test_a_power_cut_takes_the_site_and_not_its_console(board: PowerBoard) -> None:
    """The console has a battery; the other site does not notice."""
    board.switch_mains("hq", on=False)
    assert not any(board.energised(host) for host in HQ)
    assert board.energised("hq-oob")
    assert board.energised("geo-db")


def test_without_mains_the_console_shows_every_outlet_off(board: PowerBoard) -> None:
    """Mains off means every outlet's power is off."""
    board.switch_mains("hq", on=False)
    told = board.report(HQ)
    assert told["mains"] == "off"
    assert {outlet["power"] for outlet in told["outlets"].values()} == {"off"}


def test_returning_mains_start_what_is_not_latched(board: PowerBoard) -> None:
    """The fence: latched in the dark, and the light starts nothing behind it."""
    board.switch_mains("hq", on=False)
    board.switch_outlet("hq-db", on=False, latched=True)
    board.switch_mains("hq", on=True)
    assert board.energised("hq-app")
    assert not board.energised("hq-db")
    assert board.report(HQ)["outlets"]["hq-db"] == {"power": "off", "latched": True}


def test_an_outlet_without_a_latch_comes_back_with_the_mains(board: PowerBoard) -> None:
    """Off alone is no fence."""
    board.switch_outlet("hq-db", on=False, latched=False)
    board.switch_mains("hq", on=False)
    board.switch_mains("hq", on=True)
    assert board.energised("hq-db")


def test_mains_switched_on_twice_change_nothing(board: PowerBoard) -> None:
    """Repeating `start hq` releases no latch either."""
    board.switch_outlet("hq-db", on=False, latched=True)
    board.switch_mains("hq", on=True)
    board.switch_mains("hq", on=True)
    assert not board.energised("hq-db")


def test_switching_on_releases_the_latch(board: PowerBoard) -> None:
    """That is how a fenced host comes back."""
    board.switch_outlet("hq-db", on=False, latched=True)
    board.switch_outlet("hq-db", on=True, latched=False)
    assert board.energised("hq-db")
    assert not board.report(HQ)["outlets"]["hq-db"]["latched"]


def test_an_outlet_that_is_on_is_not_latched(board: PowerBoard) -> None:
    """On and latched at once is no state."""
    board.switch_outlet("hq-db", on=True, latched=True)
    assert not board.report(HQ)["outlets"]["hq-db"]["latched"]


def test_pulling_a_plug_keeps_the_latch(board: PowerBoard) -> None:
    """`stop HOST` must not undo a fence."""
    board.switch_outlet("hq-db", on=False, latched=True)
    board.stop("hq-db")
    board.switch_mains("hq", on=True)
    assert not board.energised("hq-db")


def test_no_host_starts_in_a_dark_site(board: PowerBoard) -> None:
    """And the refusal says what to do first."""
    board.switch_mains("hq", on=False)
    with pytest.raises(LabUsageError, match="lab start hq"):
        board.start("hq-db")


def test_an_unknown_outlet_is_named_with_those_there_are(board: PowerBoard) -> None:
    """A mistake is answered with the choice."""
    with pytest.raises(LabUsageError, match="hq-db"):
        board.switch_outlet("hq-bd", on=True, latched=False)
