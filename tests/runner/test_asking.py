"""Playbooks that ask: nobody is at a keyboard, and whatever asks sees that at once."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd
from tests.runner.stage import Stage

MUCH_S = 60.0  # the step's time-out: whoever waits for a person comes to it


@pytest.fixture(params=[False, True], ids=["cold", "warm"])
async def stage(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[Stage]:
    """A workspace, without and with a zygote."""
    stage = Stage(tmp_path, warm=request.param)
    await stage.warmed()
    yield stage
    await stage.runner.close()


ASKING = {
    "pause": ("    - ansible.builtin.pause:\n", AttemptEnd.OK),
    "prompt": ("    - ansible.builtin.pause: {prompt: Is the switch green?, echo: false}\n", AttemptEnd.OK),
    "read": ('    - ansible.builtin.shell: read answer; test -z "$answer"\n', AttemptEnd.OK),
    "terminal": ("    - ansible.builtin.shell: read answer </dev/tty\n", AttemptEnd.FAILED),
    "password": ("    - ansible.builtin.command: python3 -c 'import getpass; getpass.getpass()'\n", AttemptEnd.FAILED),
}


async def test_nobody_answers(stage: Stage) -> None:
    """As with `ansible-playbook` in a script."""
    for name, (tasks, outcome) in ASKING.items():
        ended = await stage.run(stage.write(f"{name}.yml", tasks), name, timeout_s=MUCH_S)
        assert ended.outcome is outcome, (name, ended.detail)


@pytest.mark.parametrize(
    ("asks", "outcome"),
    [("ask_pass", AttemptEnd.OK), ("become_ask_pass", AttemptEnd.OK), ("ask_vault_pass", AttemptEnd.COULD_NOT_START)],
)
async def test_an_ansible_cfg_that_asks(stage: Stage, asks: str, outcome: AttemptEnd) -> None:
    """As with `ansible-playbook` in a script: a password that is not needed is empty, a vault is not opened."""
    section = "privilege_escalation" if asks.startswith("become") else "defaults"
    (stage.workspace / "playbooks" / "ansible.cfg").write_text(f"[{section}]\n{asks} = True\n")
    ended = await stage.run(stage.write("move.yml", "    - ansible.builtin.command: 'true'\n"), timeout_s=MUCH_S)
    assert ended.outcome is outcome, ended.detail
