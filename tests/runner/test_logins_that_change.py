"""A login that is another one at the next step: it has lost sudo, or has it back; its home or its shell has changed.

The one rule it keeps: a stale action is refused, or the step tells where nothing was compared; never neither.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd, StepEnded
from tests.runner.stage import Stage
from tests.runner.target import CannotServe, Target

ACT = "- hosts: edge\n  gather_facts: false\n  tasks: [{name: act, ansible.builtin.raw: id -un >>/run/work/acted}]\n"
KEYS = "AcceptEnv LC_*\nMatch User ops\n  AuthorizedKeysFile /run/ops/keys"


@dataclass
class Login:
    """`ops` at a target, and who acts there."""

    stage: Stage
    target: Target
    count: int = 0

    def sudo(self, may: bool) -> None:
        """Whether it may become root."""
        given = "umask 077; mkdir -p /run/sudoers.d; echo 'ops ALL=(ALL:ALL) NOPASSWD: ALL' >/run/sudoers.d/ops"
        self.target.run(given if may else "rm /run/sudoers.d/ops")

    def inventory(self, **more: object) -> None:
        """It is logged in to anew at each step, as after some hours."""
        shared = self.target.variables["ansible_ssh_common_args"].partition(" -oControlPath")[0]
        own = {"ansible_user": "ops", "ansible_ssh_common_args": f"{shared} -oControlPath=none"}
        self.stage.write_inventory({"edge": {**self.target.variables, **own, **more}})

    async def act(self, epoch: int) -> StepEnded:
        """One step of the controller with this epoch."""
        self.count += 1
        return await self.stage.run(self.stage.write("act.yml", ACT), f"step-{self.count}", epoch=epoch)

    def acted(self) -> int:
        """How often a task of the author's has run."""
        return len(self.target.run("cat /run/work/acted").split())


@pytest.fixture
async def login(tmp_path: Path) -> AsyncIterator[Login]:
    try:
        target = Target.start(tmp_path / "sshd", more=KEYS, sudo=True)
    except CannotServe as why:
        pytest.skip(str(why))
    stage = Stage(tmp_path / "stage")
    try:
        if not target.has_sudo:
            pytest.skip("there is no sudo for the target; scripts/system-packages gets one")
        key = (target.home / "user.pub").read_text()
        target.run("echo ops:x:1500:1500::/run/ops:/bin/sh >>/etc/passwd; mkdir -m 777 /run/work; chmod 755 /var/lib")
        target.run(f"mkdir -m 755 /run/ops; echo '{key}' >/run/ops/keys; chown 1500:1500 /run/ops")
        login = Login(stage, target)
        login.inventory()
        yield login
    finally:
        await stage.runner.close()
        target.stop()


async def test_sudo_is_lost_and_had_again(login: Login) -> None:
    """Its number is kept elsewhere meanwhile: what could not be compared is told, and what can be refuses."""
    login.sudo(True)
    assert (await login.act(7)).unguarded == ()
    assert login.target.run("head -n1 /var/lib/bascule/epoch-stage") == "7\n"
    login.sudo(False)
    ended = await login.act(8)
    assert ended.outcome is AttemptEnd.OK, ended.detail
    assert ended.unguarded == ("edge: /var/lib/bascule belongs to user 0: what is kept there was not compared",)
    login.sudo(True)
    forget_here(login.stage)
    ended = await login.act(7)
    assert (ended.outcome, login.acted()) == (AttemptEnd.STALE_EPOCH, 2), ended.detail
    assert (await login.act(8)).unguarded == ()


@pytest.mark.parametrize("said", [{}, {"ansible_ssh_timeout": 20}])
async def test_an_inventory_that_has_tasks_become_root(login: Login, said: dict[str, int]) -> None:
    """Its guard is root's, too, and as patient as the author."""
    login.sudo(True)
    login.inventory(ansible_become=True, **said)
    ended = await login.act(7)
    assert (ended.outcome, ended.unguarded) == (AttemptEnd.OK, ()), ended.detail
    assert login.target.run("cat /run/work/acted; head -n1 /var/lib/bascule/epoch-stage") == "root\n7\n"


async def test_what_is_no_login_to_act_with_any_more(login: Login) -> None:
    """Without sudo: a home that takes nothing is told; where no shell answers, the author's task tells why."""
    assert (await login.act(1)).unguarded == ()
    login.target.run("rm -r /run/ops/.bascule; chown root /run/ops")
    ended = await login.act(2)
    assert (ended.outcome, login.acted()) == (AttemptEnd.OK, 2), ended.detail
    assert ended.unguarded == ("edge: /run/ops/.bascule cannot be made",)
    login.target.run("sed 's,/run/ops:/bin/sh,/run/ops:/bin/false,' /etc/passwd >/run/p; cat /run/p >/etc/passwd")
    ended = await login.act(3)
    assert (ended.outcome, login.acted()) == (AttemptEnd.FAILED, 2), ended.detail
    assert ended.unguarded == ("edge: no shell answered (return code 1)",)


def forget_here(stage: Stage) -> None:
    """An earlier controller on another machine: it knows nothing of later numbers."""
    for path in (stage.runner.private / "epochs").iterdir():
        path.unlink()
