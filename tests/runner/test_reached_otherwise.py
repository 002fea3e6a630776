"""A playbook that changes where a host's name leads: what was not asked by the epoch guard there is on record."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd
from tests.runner.stage import Stage
from tests.runner.target import CannotServe, Target

ACT = "    - {ansible.builtin.raw: touch /run/acted"
PLAY = "- hosts: edge\n  gather_facts: false\n"
OTHERWISE = {
    "play": PLAY + "  vars: {ansible_port: PORT}\n  tasks:\n" + ACT + "}\n",
    "play, by the other name": PLAY + "  vars: {ansible_ssh_port: PORT}\n  tasks:\n" + ACT + "}\n",
    "task, by another program": PLAY + "  tasks:\n" + ACT + ", vars: {ansible_ssh_executable: PROGRAM}}\n",
    "play, as a template": PLAY + "  vars: {ansible_port: '{{ other }}', other: PORT}\n  tasks:\n" + ACT + "}\n",
    "task": PLAY + "  tasks:\n" + ACT + ", vars: {ansible_port: PORT}}\n",
    "fact": PLAY + "  tasks:\n    - ansible.builtin.set_fact: {ansible_port: PORT}\n" + ACT + "}\n",
    "file": PLAY + "  vars_files: [other.yml]\n  tasks:\n" + ACT + "}\n",
    "role": PLAY + "  roles: [other]\n",
    "delegated": PLAY + "  tasks:\n" + ACT + ", delegate_to: localhost, vars: {ansible_port: PORT,"
    " ansible_connection: ssh, ansible_host: 127.0.0.1, ansible_user: root, ansible_ssh_common_args: ARGS}}\n",
    "added": PLAY + "  tasks:\n    - ansible.builtin.add_host: {name: edge, ansible_port: PORT}\n" + ACT + "}\n",
}


@pytest.fixture
async def stage(tmp_path: Path, target: Target) -> AsyncIterator[tuple[Stage, Target]]:
    """A workspace whose host is one target, and another target that lets the same key in."""
    try:
        other = Target.start(tmp_path / "other")
    except CannotServe as reason:
        pytest.skip(str(reason))
    with (other.home / "user.pub").open("a") as keys:
        keys.write((target.home / "user.pub").read_text())
    stage = Stage(tmp_path / "ws")
    stage.write_inventory({"edge": target.variables})
    yield stage, other
    await stage.runner.close()
    other.stop()


@pytest.mark.parametrize(
    ("how", "executor"), [*((how, "cold") for how in OTHERWISE), ("task", "warm"), ("fact", "warm")]
)
async def test_a_stale_action_elsewhere_is_refused_or_on_record(
    stage: tuple[Stage, Target], how: str, executor: str
) -> None:
    made, other = stage
    made.warm = executor == "warm"
    await made.warmed()
    playbooks = made.workspace / "playbooks"
    (playbooks / "other.yml").write_text(f"ansible_port: {other.port}\n")
    (playbooks / "other").write_text(f'#!/bin/sh\nexec ssh -p {other.port} "$@"\n')
    (playbooks / "other").chmod(0o755)
    for name, text in {
        "vars": f"ansible_port: {other.port}\n",
        "tasks": "- {ansible.builtin.raw: touch /run/acted}\n",
    }.items():
        (playbooks / "roles/other" / name).mkdir(parents=True)
        (playbooks / "roles/other" / name / "main.yml").write_text(text)
    other.run("mkdir -p -m 700 /var/lib/bascule && echo 9 >/var/lib/bascule/epoch-stage")
    said = {"PORT": str(other.port), "ARGS": " ".join(other.options), "PROGRAM": str(playbooks / "other")}
    text = OTHERWISE[how]
    for word, meant in said.items():
        text = text.replace(word, meant)
    ended = await made.run(made.write("p.yml", text), epoch=5)
    if other.run("ls /run/acted"):
        assert ended.outcome is AttemptEnd.OK, ended.detail
        assert ended.unguarded, "nothing is said"
    else:
        assert ended.outcome is AttemptEnd.STALE_EPOCH, ended.detail


async def test_no_variable_of_an_inventory_says_that_a_host_was_asked(stage: tuple[Stage, Target]) -> None:
    """A computed inventory may take names of variables from elsewhere."""
    made, other = stage
    made.write_inventory({"edge": {**other.variables, **{f"bascule_guard_{n}": {} for n in (0, 1)}}})
    other.run("mkdir -p -m 700 /var/lib/bascule && echo 9 >/var/lib/bascule/epoch-stage")
    ended = await made.run(made.write("p.yml", PLAY + "  tasks:\n" + ACT + "}\n"), epoch=5)
    assert ended.outcome is AttemptEnd.STALE_EPOCH, (ended.detail, ended.unguarded)
    assert not other.run("ls /run/acted")


async def test_nor_that_it_is_asked_when_it_is_reached(stage: tuple[Stage, Target]) -> None:
    made, other = stage
    given = json.loads(made.inventory.read_text())["all"]["hosts"]["edge"]
    made.write_inventory({"edge": {**given, "bascule_guard_again": True}})
    ended = await made.run(made.write("p.yml", OTHERWISE["play"].replace("PORT", str(other.port))), epoch=5)
    assert ended.outcome is AttemptEnd.OK, ended.detail
    assert ended.unguarded, "nothing is said"
