"""A question that is tied to an interface or an address that is not there: no answer, and why is told apart."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.core.events import Answer

NOT_OURS = "192.0.2.200"


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("icmp", {"target": "127.0.0.1"}),
        ("tcp", {"target": "127.0.0.1", "port": 9}),
        ("http", {"url": "http://127.0.0.1:9/"}),
        ("ssh", {"target": "127.0.0.1", "port": 9, "check_host_key": False}),
        ("dns", {"server": "127.0.0.1", "record": "www.example"}),
    ],
)
async def test_an_address_that_this_machine_does_not_have(ask: Any, kind: str, options: dict[str, Any]) -> None:
    seen = await ask(kind, source=NOT_OURS, **options)
    assert (seen.answer, seen.way_gone) == (Answer.NONE, True), seen.detail
    assert NOT_OURS in seen.detail


@pytest.mark.parametrize("command", [["/nowhere/plug-in"], ["/etc/hostname"], ["/bin/sh", "-c", "kill -9 $$"]])
async def test_a_program_that_is_gone_is_no_way_that_is_gone(ask: Any, command: list[str]) -> None:
    """Nothing is said of the target then."""
    seen = await ask("nagios", command=command)
    assert (seen.answer, seen.way_gone) == (Answer.NONE, False)
    assert seen.detail
    assert "\n" not in seen.detail


async def test_a_key_file_that_is_gone_is_no_way_that_is_gone(ask: Any) -> None:
    seen = await ask("ssh", target="127.0.0.1", check_host_key=False, key_file="/nowhere/id")
    assert (seen.answer, seen.way_gone) == (Answer.NONE, False)
    assert "/nowhere/id" in seen.detail


async def test_a_secret_that_is_missing_is_named(ask: Any) -> None:
    seen = await ask("http", url="http://127.0.0.1:9/", token_secret="pager-token")
    assert (seen.answer, seen.way_gone) == (Answer.NONE, False)
    assert "pager-token" in seen.detail
