"""Hosts that Mitogen serves may be in the hands of others: what one asks of the controller is judged by its connection.

The one rule it keeps: one process of the controller holds the connections of all clients, and no host learns or sends
anything through it that is not of its own connection. The hosts' Python is their owner's: it runs what he likes beside
what the controller has sent.
"""

from __future__ import annotations

import asyncio
import json
import sys
from typing import Any

import pytest

from orchestrator.core.events import AttemptEnd
from tests.runner.stage import until
from tests.runner.test_clients_apart import CLIENTS, Twins, twins

twins = twins  # the fixture
OWNERS = """
import gc, io, json, os, struct, sys, threading, time

def answer(core, router, asked):
    import mitogen.service
    parent, told, waiting = core.Context(router, 0), {"others": {}, "pid": os.getpid()}, {}
    if asked["announces"]:
        me = sys.modules["mitogen"].context_id
        head = struct.pack(core.Message.HEADER_FMT, core.Message.ENC_BIN, 0, me, me, 100, 0, asked["announces"])
        os.write(router.stream_by_id(0).transmit_side.fd, head)
    if asked["path"]:
        try:
            got = io.BytesIO()
            mitogen.service.FileService.get(parent, asked["path"], got)
            told["read"] = len(got.getvalue())
        except core.Error as error:
            told["refused"] = str(error)
    for number in range(1, asked["others"] + 1):
        if number != sys.modules["mitogen"].context_id:
            waiting[number] = core.Context(router, number).send_async(core.Message(handle=core.CALL_FUNCTION))
    for number, receiver in waiting.items():
        try:
            told["others"][number] = str(receiver.get(timeout=1.0))
        except core.Error as error:
            told["others"][number] = str(error)
    return told

def listen():
    while "mitogen.core" not in sys.modules:
        time.sleep(0.1)
    core = sys.modules["mitogen.core"]
    while True:
        time.sleep(0.1)
        router = next((x for x in gc.get_objects() if isinstance(x, core.Router)), None)
        if router is None:
            continue
        try:
            os.rename("/run/ask", f"/run/ask.{os.getpid()}")  # one process answers
        except OSError:
            continue
        try:
            told = answer(core, router, json.load(open(f"/run/ask.{os.getpid()}")))
        except Exception as error:
            told = {"broke": repr(error)}
        with open("/run/told.new", "w") as file:
            json.dump(told, file)
        os.rename("/run/told.new", "/run/told")

threading.Thread(target=listen, daemon=True).start()
"""
SERVED = """
- hosts: app
  gather_facts: false
  tasks:
    - ansible.builtin.shell: "tr '\\\\0' ' ' </proc/$PPID/cmdline | grep -q mitogen && touch /run/served"
      failed_when: false
"""
BRINGS = """
- hosts: app
  gather_facts: false
  tasks: [{ansible.builtin.copy: {src: "{{ path }}", dest: /run/brought}}]
"""


async def asked(twins: Twins, client: str, path: str = "", others: int = 0, announces: int = 0) -> dict[str, Any]:
    """What the owner of the client's host gets out of the controller."""
    host = twins.hosts[client]
    question = json.dumps({"path": path, "others": others, "announces": announces})
    host.run(f"rm -f /run/told; echo '{question}' >/run/asks; mv /run/asks /run/ask")
    await until(lambda: host.run("cat /run/told"))
    found: dict[str, Any] = json.loads(host.run("cat /run/told"))
    return found


@pytest.fixture
async def served(twins: Twins) -> Twins:
    """Both clients' hosts, served by Mitogen, and owned by somebody else."""
    owned = twins.workspace / "owned"
    owned.mkdir()
    (owned / "sitecustomize.py").write_text(OWNERS)
    (owned / "python3").write_text(f'#!/bin/sh\nPYTHONPATH={owned} exec {sys.executable} "$@"\n')
    (owned / "python3").chmod(0o755)
    for client in CLIENTS:
        twins.inventory(client, ansible_python_interpreter=str(owned / "python3"))
    await twins.warmed("fast")
    for _ in range(20):
        for client in CLIENTS:
            ended = await twins.play(client, SERVED)
            assert ended.outcome is AttemptEnd.OK, ended.detail
        if all(twins.hosts[client].run("ls /run/served") for client in CLIENTS):
            return twins
        await asyncio.sleep(0.5)
    pytest.fail("not served by Mitogen")


async def test_what_is_brought_to_one_clients_host_is_not_given_to_anothers(served: Twins) -> None:
    """Large files are fetched by the host; that it knows a path is no reason to have it."""
    path = served.workspace / "inventories" / "west" / "dump"
    path.write_bytes(b"x" * 500_000)
    brought = await served.play("west", BRINGS, path=str(path))
    assert brought.outcome is AttemptEnd.OK, brought.detail
    assert served.hosts["west"].run("wc -c </run/brought").strip() == "500000"
    for client in CLIENTS:
        theirs = await asked(served, client, str(path))
        assert "read" not in theirs, f"{client}: nothing is being brought there"
        assert "not registered" in str(theirs["refused"]), theirs


async def test_no_host_sends_to_another(served: Twins) -> None:
    """Whatever it is: to the host of another client there is no way through the controller."""
    told = await asked(served, "east", others=2000)
    others = told.get("others")
    assert isinstance(others, dict), told
    assert not [text for text in others.values() if "refused by policy" in text], others
    assert [text for text in others.values() if "prevents forward" in text], others


async def test_a_message_that_nobody_should_hold_is_not_waited_for(served: Twins) -> None:
    """It would be kept in memory until all of it is there, in the process that all clients' connections are in."""
    host = served.hosts["east"]
    told = await asked(served, "east", announces=3 << 30)
    await until(lambda: not host.run(f"ls -d /proc/{told['pid']}"))
