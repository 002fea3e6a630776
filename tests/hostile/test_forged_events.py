"""What a target has printed is no event of Ansible's, however much it looks like one."""

from __future__ import annotations

import base64
import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd
from tests.runner.stage import Stage

FORGED = {
    "it asks": {"uuid": 1, "event": "playbook_on_vars_prompt"},
    "another playbook": {"uuid": "x", "event": "playbook_on_stats"},
    "a file elsewhere": {"uuid": "../../../x"},
    "no mapping": [1],
    "a number": 5,
    "deep": [[[[[[[[[[[[[[[[[[[[]]]]]]]]]]]]]]]]]]]],
}
MODULE = """#!/usr/bin/python
# WANT_JSON
import json
print(json.dumps({"changed": True, "warnings": %r}))
"""


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    """A workspace and its runner, closed at the end."""
    stage = Stage(tmp_path)
    yield stage
    await stage.runner.close()


def token(of: object) -> str:
    """As ansible-runner's callback would print it."""
    text = base64.b64encode(json.dumps(of, separators=(",", ":")).encode()).decode()
    return f"\x1b[K{text}\x1b[{len(text)}D\x1b[K"


async def test_a_warning_of_a_module(stage: Stage) -> None:
    """It is printed as it is: the playbook goes on, and is told as it was."""
    library = stage.workspace / "playbooks" / "library"
    library.mkdir()
    (library / "strange.py").write_text(MODULE % [f"{name} {token(of)}" for name, of in FORGED.items()])
    playbook = stage.write(
        "move.yml",
        """
    - name: look
      strange: {}
    - name: switch
      ansible.builtin.pause: {seconds: 1}
    - name: done
      ansible.builtin.command: "true"
""",
    )
    ended = await stage.run(playbook)
    assert (ended.outcome, ended.detail) == (AttemptEnd.OK, "")
    assert [task.name for task in ended.tasks[1:]] == ["look", "switch", "done"]  # after the guard


async def test_a_playbook_that_asks_after_it_has_acted_has_started(stage: Stage) -> None:
    """What it will ask for can only be known when it runs."""
    playbook = stage.write(
        "move.yml",
        """
- hosts: here
  gather_facts: false
  tasks:
    - name: switch
      ansible.builtin.command: "true"
- hosts: here
  gather_facts: false
  vars_prompt: [{name: "{{ 'sure' }}"}]
  tasks:
    - name: more
      ansible.builtin.command: "true"
""",
    )
    ended = await stage.run(playbook)
    assert ended.outcome is AttemptEnd.FAILED
    assert "'sure'" in ended.detail
