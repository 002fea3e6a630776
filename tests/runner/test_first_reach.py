"""Hosts that do not answer the epoch guard at first, or never can: the author's playbook meets them all the same."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from orchestrator.core.events import AttemptEnd
from orchestrator.runner import first_reach
from tests.runner.stage import Stage
from tests.runner.target import CannotServe, Target

# The way to a host: there is none until the file exists.
WAY = """
import os, socket, sys, threading
if not os.path.exists(sys.argv[1]):
    sys.exit("no route to host")
far = socket.create_connection(("127.0.0.1", int(sys.argv[2])))
def back():
    while data := far.recv(65536):
        os.write(1, data)
    os._exit(0)
threading.Thread(target=back, daemon=True).start()
while data := os.read(0, 65536):
    far.sendall(data)
"""
OPENS = """\
- hosts: here
  gather_facts: false
  tasks: [{{name: open the way, ansible.builtin.command: touch {way}}}]
- hosts: edge
  gather_facts: false
  tasks: [{{name: act, ansible.builtin.raw: echo done >>/run/done}}]
"""


def behind_a_way(stage: Stage, target: Target) -> Path:
    """The target is reached once this file is there."""
    way = stage.workspace / "way"
    program = stage.workspace / "way.py"
    program.write_text(WAY)
    proxy = f"-oProxyCommand='{sys.executable} {program} {way} {target.port}'"
    edge: dict[str, Any] = target.variables
    edge["ansible_ssh_common_args"] += f" {proxy}"
    stage.write_inventory({"edge": edge, "here": {"ansible_connection": "local"}})
    return way


@contextmanager
def device(home: Path, does: str) -> Iterator[Target]:
    """A host whose ssh server runs this, whatever it is told; the command is in SSH_ORIGINAL_COMMAND."""
    program = home.with_name("device")
    program.write_text(f"#!/bin/sh\n{does}\n")
    program.chmod(0o755)
    try:
        target = Target.start(home, more=f"AcceptEnv LC_*\nForceCommand {program}")
    except CannotServe as reason:
        pytest.skip(str(reason))
    try:
        yield target
    finally:
        target.stop()


async def test_a_host_that_the_playbook_makes_reachable(stage: Stage, target: Target) -> None:
    """It is acted upon as without us, and the epoch is kept before it is."""
    way = behind_a_way(stage, target)
    ended = await stage.run(stage.write("move.yml", OPENS.format(way=way)), "go", epoch=12)
    assert (ended.outcome, ended.unguarded) == (AttemptEnd.OK, ())
    assert target.run("cat /run/done; head -n1 /var/lib/bascule/epoch-stage") == "done\n12\n"


async def test_a_program_around_ssh_that_names_its_own_file(stage: Stage, target: Target) -> None:
    """That file says the way: without it, the connection would lead to whoever has this address from here."""
    way = behind_a_way(stage, target)
    common = target.variables["ansible_ssh_common_args"]
    proxy = f"{sys.executable} {stage.workspace / 'way.py'} {way} {target.port}"
    (stage.workspace / "ssh-config").write_text(f"Host *\n  ProxyCommand {proxy}\n")
    program = stage.workspace / "ssh-by-vpn"
    program.write_text(f'#!/bin/sh\nexec ssh -F {stage.workspace}/ssh-config "$@"\n')
    program.chmod(0o755)
    edge = {**target.variables, "ansible_ssh_common_args": common, "ansible_ssh_executable": str(program)}
    stage.write_inventory({"edge": {**edge, "ansible_host": "192.0.2.1"}, "here": {"ansible_connection": "local"}})
    ended = await stage.run(stage.write("move.yml", OPENS.format(way=way)), "go", epoch=12)
    assert (ended.outcome, ended.unguarded) == (AttemptEnd.OK, ()), ended.detail


async def test_a_host_that_refuses_when_it_is_reached(stage: Stage, target: Target) -> None:
    """Nothing is done on it, and the playbook does not go on elsewhere."""
    way = behind_a_way(stage, target)
    target.run("mkdir -m 700 /var/lib/bascule; echo 12 >/var/lib/bascule/epoch-stage")
    later = stage.workspace / "later"
    waits = "  ignore_unreachable: true\n- hosts: here\n  gather_facts: false\n  tasks:\n"
    more = waits + f"    - ansible.builtin.command: sleep 30\n    - ansible.builtin.command: touch {later}\n"
    ended = await stage.run(stage.write("move.yml", OPENS.format(way=way) + more), "go", epoch=11)
    assert ended.outcome is AttemptEnd.STALE_EPOCH
    assert "edge has accepted epoch 12" in ended.detail
    assert target.run("cat /run/done") == ""
    assert not later.exists()


async def test_a_host_that_never_answers(stage: Stage) -> None:
    """Unreachable, in the author's own task; nothing was done there that could be unguarded."""
    playbook = stage.write("move.yml", "- hosts: dark\n  gather_facts: false\n  tasks: [{ansible.builtin.ping: }]\n")
    ended = await stage.run(playbook)
    assert (ended.outcome, ended.unguarded) == (AttemptEnd.UNREACHABLE, ())
    assert ended.detail.startswith("dark: ansible.builtin.ping: ")
    assert "bascule" not in ended.detail


async def test_a_host_that_lets_in_and_hangs(stage: Stage, tmp_path: Path) -> None:
    """Its disk or its shell does: what the playbook does elsewhere before is done."""
    stage.warm = True
    await stage.warmed()
    with device(tmp_path / "target", "exec sleep 600") as target:
        stage.write_inventory({"edge": target.variables, "here": {"ansible_connection": "local"}})
        text = f"""\
- hosts: here
  gather_facts: false
  tasks: [{{name: promote, ansible.builtin.command: touch {tmp_path}/promoted}}]
- hosts: edge
  gather_facts: false
  tasks: [{{name: tell it, ansible.builtin.raw: 'true', timeout: 3, ignore_errors: true}}]
"""
        end = await stage.run(stage.write("p.yml", text), timeout_s=100)
    assert (tmp_path / "promoted").exists()
    assert (end.outcome, end.unguarded) == (AttemptEnd.OK, ("edge: it did not answer",)), end.detail


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
async def test_a_host_that_hangs_before_it_lets_in(stage: Stage, tmp_path: Path, warm: bool) -> None:
    """What it asks for who may log in does: ssh is ended there, and that is no answer. It is asked when it is met."""
    stage.warm = warm
    await stage.warmed()
    hangs, keys, program = (tmp_path / name for name in ("hangs", "keys", "who"))
    program.write_text(f"if [ -e {hangs} ]; then rm {hangs}; exec sleep 600; fi; cat {keys}\n")
    asks = f"AuthorizedKeysCommand /bin/sh {program}\nAuthorizedKeysCommandUser root"
    try:
        target = Target.start(tmp_path / "target", more=f"AcceptEnv LC_*\n{asks}")
    except CannotServe as reason:
        pytest.skip(str(reason))
    try:
        (target.home / "user.pub").rename(keys)
        target.run("mkdir -m 700 /var/lib/bascule; echo 12 >/var/lib/bascule/epoch-stage")
        patient = target.variables["ansible_ssh_common_args"] + " -oServerAliveInterval=60"  # as many a ~/.ssh/config
        edge = {**target.variables, "ansible_ssh_common_args": patient}
        stage.write_inventory({"edge": edge, "here": {"ansible_connection": "local"}})
        hangs.touch()
        move = stage.write("move.yml", OPENS.format(way=tmp_path / "way"))
        ended = await stage.run(move, "go", epoch=11, timeout_s=100)
        assert not hangs.exists()
        assert (ended.outcome, target.run("cat /run/done")) == (AttemptEnd.STALE_EPOCH, ""), ended
    finally:
        target.stop()


async def test_a_play_that_stays_here_needs_no_answer(stage: Stage) -> None:
    """Its hosts are only names."""
    playbook = stage.write(
        "move.yml",
        "- hosts: dark\n  connection: local\n  gather_facts: false\n  tasks: [{ansible.builtin.command: 'true'}]\n",
    )
    ended = await stage.run(playbook)
    assert (ended.outcome, ended.unguarded) == (AttemptEnd.OK, ())


@pytest.mark.parametrize("unknown", ["echo bad command name; exit 1", "echo % Invalid input", "kill -9 $PPID"])
async def test_a_device_without_a_shell(stage: Stage, tmp_path: Path, unknown: str) -> None:
    """Its author's command is run, and it is on record that no epoch is kept there."""
    did = tmp_path / "did"
    does = f'case "$SSH_ORIGINAL_COMMAND" in /ip*) echo "$SSH_ORIGINAL_COMMAND" >>{did};; *) {unknown};; esac'
    with device(tmp_path / "router", does) as router:
        stage.write_inventory({"edge": router.variables})
        act = "- hosts: edge\n  gather_facts: false\n  tasks: [{ansible.builtin.raw: /ip route set isp-a}]\n"
        ended = await stage.run(stage.write("move.yml", act))
    assert ended.outcome is AttemptEnd.OK, ended.detail
    assert did.read_text() == "/ip route set isp-a\n"
    (said,) = ended.unguarded
    assert said.startswith("edge: no shell answered (return code ")


async def test_a_host_on_which_the_guard_is_broken_off(stage: Stage, tmp_path: Path) -> None:
    """A shell began it: somebody may have ended it, so nothing is done."""
    did = tmp_path / "did"
    does = f'case "$SSH_ORIGINAL_COMMAND" in *epoch*) echo bascule-epoch-begun; exit 137;; *) touch {did};; esac'
    with device(tmp_path / "host", does) as host:
        stage.write_inventory({"edge": host.variables})
        act = "- hosts: edge\n  gather_facts: false\n  tasks: [{ansible.builtin.raw: act}]\n"
        ended = await stage.run(stage.write("move.yml", act))
    assert ended.outcome is AttemptEnd.FAILED
    assert "edge refuses the action: its epoch guard broke off (return code 137)" in ended.detail
    assert not did.exists()


@pytest.mark.parametrize("way", ["", ">&2"])
def test_a_host_that_prints_without_end_is_not_read_to_the_end(tmp_path: Path, way: str) -> None:
    """What is read of it is in the memory and on the disk of this machine."""
    ended, ssh, host = tmp_path / "ended", tmp_path / "flood", tmp_path / "again" / "host.1"
    ssh.write_text(f"#!/bin/sh\nhead -c 100000000 /dev/zero {way} && touch {ended}\n")
    ssh.chmod(0o700)
    first_reach.prepare(host.parent, "true", 1)
    host.mkdir()
    answer = first_reach._ask(host, str(ssh), ["edge"])
    assert answer is not None
    assert answer.text.startswith("no shell answered (return code none: it printed too much")
    assert not ended.exists()


def test_an_ssh_that_is_ended_while_it_asks_is_no_answer(tmp_path: Path) -> None:
    ssh, host = tmp_path / "ended", tmp_path / "again" / "host.1"
    ssh.write_text("#!/bin/sh\nkill -TERM $$\n")
    ssh.chmod(0o700)
    first_reach.prepare(host.parent, "true", 1)
    host.mkdir()
    assert first_reach._ask(host, str(ssh), ["edge"]) is None


async def test_hosts_that_only_the_playbook_names(stage: Stage, target: Target) -> None:
    """The guard has not seen them; what is done on the controller is under its own number."""
    stage.write_inventory({"here": {"ansible_connection": "local"}, "edge": target.variables})
    playbook = stage.write(
        "move.yml",
        "    - {ansible.builtin.command: 'true', delegate_to: localhost}\n"
        "    - {ansible.builtin.raw: 'true', delegate_to: edge}\n",
    )
    ended = await stage.run(playbook)
    assert ended.outcome is AttemptEnd.OK
    assert ended.unguarded == ("127.0.0.1: it is named only in the course of the playbook",)
