"""A daemon that asks from two places: from here, and from a host that it logs in to."""

from __future__ import annotations

import asyncio

from orchestrator.core.events import Answer
from orchestrator.core.records import Verdict
from orchestrator.shell.waiting import until
from orchestrator.shell.wiring import Controller
from tests.shell.small import Small, write

FROM_BRANCH = """\
- {name: web-from-branch, vantage: branch, probe: ssh, target: 127.0.0.1, port: 9, check_host_key: false, timeout: 2s}
- {name: branch-sees, vantage: branch, reference: true, probe: ssh, target: 127.0.0.1, port: 9, check_host_key: false}
- {name: web-from-paris, vantage: paris, probe: tcp, target: 127.0.0.1, port: 9}
"""


async def test_a_branch_that_lets_nobody_in_is_silent_and_so_it_is_blind(small: Small) -> None:
    write(small.path / "checks/branch.yml", FROM_BRANCH)
    controller = Controller(small.path)
    await controller.start()
    try:
        rows = controller.shell.engine.rows
        assert "acme/web-from-branch" in controller.prober.asking
        assert "acme/web-from-paris" not in controller.prober.asking, "nobody asks with tcp from somewhere else"
        names = ("acme/web-from-branch", "acme/branch-sees")
        assert await until(lambda: all(n in rows and rows[n].bad_streak >= 3 for n in names), 60.0, asyncio.sleep)
        assert {rows[n].last_answer for n in names} == {Answer.SILENT}, "refused here, and silence of a witness there"
        tx = controller.shell.engine.transaction(controller.axis.now())
        assert tx.blind("acme/branch")
        assert tx.verdict("acme/web-from-branch") is Verdict.UNKNOWN
    finally:
        await controller.close()
