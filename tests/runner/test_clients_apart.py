"""Two clients of equal addresses, names and services never meet, whatever is kept from one call to the next.

The one rule it keeps: every store that `docs/architecture.md` lists is here, with two clients, and with a real server
wherever a connection is kept. Both have 10.10.0.10, behind a proxy command of their own; what a command finds in
`/run/whose` tells on whose host it ran.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.login import by_ansible
from orchestrator.config import load
from orchestrator.config.faults import Faults
from orchestrator.config.inventory import read_inventory
from orchestrator.core.commands import RunPlaybook
from orchestrator.core.events import AttemptEnd, StepEnded, StepKey
from orchestrator.core.model import Playbook
from orchestrator.probes.forks import Forks
from orchestrator.probes.kind import Question, Secrets
from orchestrator.probes.names import Names
from orchestrator.probes.options import Pinned
from orchestrator.probes.ssh import Ran, SshOptions
from orchestrator.probes.tools import Tools
from orchestrator.runner import attempts, connections
from orchestrator.runner.playbooks import PlaybookRunner
from orchestrator.runner.runner import StepEvent
from orchestrator.runner.warm.zygote import task_connection
from tests.config.probe_kinds import PROBE_KINDS
from tests.runner.stage import PATIENCE_S, digest, until
from tests.runner.target import CannotServe, Target

REPOSITORY = Path(__file__).parents[2]
ADDRESS = "10.10.0.10"
CLIENTS = ("east", "west")
PIPE = """
import select, os, socket, sys
there = socket.create_connection(("127.0.0.1", int(open(sys.argv[1]).read())))
while True:
    for end in select.select([0, there], [], [])[0]:
        data = os.read(0, 65536) if end == 0 else there.recv(65536)
        if not data:
            sys.exit()
        there.sendall(data) if end == 0 else os.write(1, data)
"""
OTHER_WAYS = [pytest.param(executor, marks=pytest.mark.broad) for executor in ("warm", "cold")]
WHOSE = """
- hosts: app
  gather_facts: false
  tasks:
    - name: whose
      ansible.builtin.command: cat /run/whose
      register: found
    - name: told
      ansible.builtin.lineinfile: {path: "{{ told }}", line: "{{ found.stdout }}", create: true}
      delegate_to: localhost
      throttle: 1 # all hosts write to one file
      vars: {ansible_connection: local}
"""


@dataclass
class Twins:
    """A workspace with two clients and their two hosts."""

    workspace: Path
    hosts: dict[str, Target]
    heard: list[StepEvent] = field(default_factory=list)
    count: int = 0
    epoch: int = 0  # of the controller that is there

    def __post_init__(self) -> None:
        (self.workspace / "playbooks").mkdir(parents=True)
        (self.workspace / "pipe").write_text(PIPE)
        for client in CLIENTS:
            (self.workspace / f"port-{client}").write_text(str(self.hosts[client].port))
            self.hosts[client].run(f"echo {client} >/run/whose")
            self.inventory(client)
        self.open()

    def inventory(self, client: str, **more: Any) -> Path:
        """The client's only host: the same address, behind a proxy of its own. `more`: further variables."""
        folder = self.workspace / "inventories" / client
        folder.mkdir(parents=True, exist_ok=True)
        variables = {**self.variables(client), **more}
        (folder / "hosts.yml").write_text(json.dumps({"all": {"hosts": {"app": variables}}}))
        return folder / "hosts.yml"

    def variables(self, client: str, through: str = "") -> dict[str, Any]:
        """`through`: the name of another proxy, which may lead anywhere."""
        proxy = f"{sys.executable} {self.workspace}/pipe {self.workspace}/port-{through or client}"
        options = ["StrictHostKeyChecking=no", "UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
        said = " ".join(f"-o {option}" for option in options)
        return {
            "ansible_host": ADDRESS,
            "ansible_user": "root",
            "ansible_ssh_private_key_file": str(self.hosts[client].home / "user"),
            "ansible_python_interpreter": sys.executable,
            "ansible_ssh_common_args": f"-o ProxyCommand='{proxy}' {said}",
        }

    def open(self) -> None:
        """A controller starts (again)."""
        self.epoch += 1
        self.runner = PlaybookRunner(
            self.workspace,
            {c: (self.workspace / "inventories" / c / "hosts.yml",) for c in CLIENTS},
            self.heard.append,
            differs=lambda _client, _book: "",
        )

    async def warmed(self, executor: str) -> None:
        """With a zygote, if it is to be one."""
        if executor != "cold":
            self.runner.warm_up(executor)
            assert self.runner.readied.zygote is not None
            assert await self.runner.readied.zygote.until_ready(PATIENCE_S), self.runner.readied.zygote.why_not

    async def play(self, client: str, text: str = WHOSE, epoch: int | None = None, **variables: Any) -> StepEnded:
        """One playbook of a client, to its end."""
        self.count += 1
        name = f"p{self.count}.yml"
        (self.workspace / "playbooks" / name).write_text(text)
        key = StepKey(f"{client}/run-{self.count}", "go", 1)
        book = Playbook(name, digest(self.workspace / "playbooks" / name), extra_vars=variables)
        self.runner.carry_out(RunPlaybook(key, client, book, {}, epoch or self.epoch, 60.0, workspace="twins"))

        def ended() -> StepEnded | None:
            return next((e for e in self.heard if isinstance(e, StepEnded) and e.key == key), None)

        await until(lambda: ended() is not None)
        found = ended()
        assert found is not None
        return found

    async def whose(self, client: str, text: str = WHOSE) -> str:
        """On whose host a playbook of this client runs."""
        told = self.workspace / f"told-{self.count}"
        ended = await self.play(client, text, told=str(told))
        assert ended.outcome is AttemptEnd.OK, ended.detail
        return told.read_text().split()[-1]

    def accepted(self, client: str) -> int:
        """Logins that this client's host has accepted."""
        return (self.hosts[client].home / "log").read_text(errors="replace").count("Accepted publickey")


@pytest.fixture
async def twins(tmp_path: Path) -> AsyncIterator[Twins]:
    hosts: dict[str, Target] = {}
    try:
        for client in CLIENTS:
            hosts[client] = Target.start(tmp_path / client)
        shutil.copy(hosts["east"].home / "user.pub", tmp_path / "both.pub")
    except CannotServe as reason:
        for host in hosts.values():
            host.stop()
        pytest.skip(str(reason))
    made = Twins(tmp_path / "workspace", hosts)
    yield made
    await made.runner.close()
    for host in hosts.values():
        host.stop()


# ---- one by one


async def by_ssh(twins: Twins) -> None:
    """With a zygote, one after the other, and back again; then without one."""
    await twins.warmed("warm")
    for client in (*CLIENTS, *CLIENTS):
        assert await twins.whose(client) == client
    await twins.runner.close()
    twins.open()
    once = {client: twins.accepted(client) for client in CLIENTS}
    for client in CLIENTS:
        assert await twins.whose(client) == client
    assert once == {client: twins.accepted(client) for client in CLIENTS}, "connections are kept all the same"


async def by_mitogen(twins: Twins) -> None:
    """Until both are served by it."""
    await twins.warmed("fast")
    text = WHOSE.replace(
        "    - name: told",
        "    - name: by whom\n      ansible.builtin.shell: "
        "tr '\\0' ' ' </proc/$PPID/cmdline | grep -q mitogen && echo mitogen || true\n"
        "      register: served\n    - name: told",
    ).replace('line: "{{ found.stdout }}"', 'line: "{{ served.stdout }} {{ found.stdout }}"')
    served = dict.fromkeys(CLIENTS, 0)
    for _ in range(30):
        for client in CLIENTS:
            told = twins.workspace / f"told-{twins.count}"
            ended = await twins.play(client, text, told=str(told))
            assert ended.outcome is AttemptEnd.OK, ended.detail
            words = told.read_text().split()
            assert words[-1] == client
            served[client] += "mitogen" in words
        if all(count > 1 for count in served.values()):
            break
    hop = {"method": "ssh", "kwargs": {"ssh_args": ["-o", "ProxyCommand=same"], "hostname": ADDRESS}}
    seen = []
    for whom in _each_whom(twins):
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(connections.KEPT_FOR, whom)
            seen.append(task_connection.apart(hop, False))
    assert seen[0] != seen[1], "arguments that are equal do not make them one"


async def to_devices(twins: Twins) -> None:
    """Connections to devices without a shell: a directory for each client, and in it one for all their options."""
    given: list[dict[str, str]] = [{}, {}]
    for environment, whom in zip(given, _each_whom(twins), strict=True):
        connections.keep_apart(environment, whom)
    assert given[0][connections.PERSISTENT] != given[1][connections.PERSISTENT]


async def logins(twins: Twins) -> None:
    """Asked at the same moment; one of the two hosts lets nobody in."""
    (twins.hosts["west"].home / "user.pub").write_text("")
    await twins.warmed("fast")
    for _ in range(2):
        found = await asyncio.gather(*(twins.runner.can_log_in(client, "app") for client in CLIENTS))
        assert [fine for fine, _ in found] == [True, False]


async def facts(twins: Twins) -> None:
    """Kept by the author's cache, and the Python that was found on a host with them."""
    (twins.workspace / "ansible.cfg").write_text(
        f"[defaults]\nfact_caching = jsonfile\nfact_caching_connection = {twins.workspace}/facts\n"
    )
    await twins.warmed("warm")
    keep = WHOSE + "    - ansible.builtin.set_fact: {owner: '{{ found.stdout }}', cacheable: true}\n"
    ask = WHOSE.replace("found.stdout", "ansible_facts.owner | default('nobody')")
    assert await twins.whose("east", keep) == "east"
    assert await twins.whose("west", ask) == "nobody"
    assert await twins.whose("east", ask) == "east", "it is kept for whom it was kept"
    assert await twins.whose("west", keep) == "west"
    assert await twins.whose("east", ask) == "east"


async def what_inventories_cache(twins: Twins) -> None:
    """An inventory plug-in of the author's that keeps what it has found."""
    plugins = twins.workspace / "plugins"
    plugins.mkdir()
    (plugins / "keeping.py").write_text(KEEPING)
    (twins.workspace / "ansible.cfg").write_text(
        f"[defaults]\ninventory_plugins = {plugins}\n[inventory]\nenable_plugins = keeping\ncache = true\n"
        f"cache_plugin = jsonfile\ncache_connection = {twins.workspace}/kept\n"
    )
    for client in CLIENTS:
        source = twins.workspace / "inventories" / client / "hosts.keeping.yml"
        source.write_text(f"plugin: keeping\nowner: {client}\n")
    for _ in range(2):
        for client in CLIENTS:
            source = twins.workspace / "inventories" / client / "hosts.keeping.yml"
            faults = Faults()
            found = read_inventory(twins.workspace, client, [source], faults, cache=None)
            assert found is not None, faults
            assert found.host_vars["app"]["owner"] == client
    assert len(list((twins.workspace / "kept").iterdir())) == 2, "both were kept"


KEEPING = """
from ansible.plugins.inventory import BaseInventoryPlugin, Cacheable
DOCUMENTATION = '''
name: keeping
short_description: keeps under one name, as two paths may come to one name
extends_documentation_fragment: [inventory_cache]
options: {plugin: {required: true}, owner: {required: true}}
'''
class InventoryModule(BaseInventoryPlugin, Cacheable):
    NAME = "keeping"
    def verify_file(self, path):
        return path.endswith(".keeping.yml")
    def parse(self, inventory, loader, path, cache=True):
        super().parse(inventory, loader, path, cache)
        self._read_config_data(path)
        self.load_cache_plugin()
        try:
            owner = self._cache["one name for all"]["owner"]
        except KeyError:
            owner = self.get_option("owner")
            self._cache["one name for all"] = {"owner": owner}
            self.update_cache_if_changed()
        inventory.add_host("app")
        inventory.set_variable("app", "owner", owner)
"""


async def inventories(twins: Twins) -> None:
    """As `bascule` has read them, from its own cache at the second time."""
    for _ in range(2):
        for client in CLIENTS:
            source = twins.workspace / "inventories" / client / "hosts.yml"
            found = read_inventory(twins.workspace, client, [source], Faults(), cache=twins.workspace / "cache")
            assert found is not None
            assert f"port-{client}" in found.host_vars["app"]["ansible_ssh_common_args"]


async def kept_logins(twins: Twins) -> None:
    """`probe: ssh` with `keep`: with equal options, too, each client has a login of its own."""
    forks, host = Forks("orchestrator.probes.ssh_login"), twins.hosts["east"]
    options = SshOptions(
        target="127.0.0.1", port=host.port, key_file=str(host.home / "user"), check_host_key=False, keep=True
    )
    before = twins.accepted("east")
    try:
        for _ in range(2):
            for client in CLIENTS:
                question = Question(options, 30.0, Secrets({}), Tools(), lambda: None, client)
                assert isinstance(await forks.ask_kept(question, {}), Ran)
    finally:
        await forks.close()
    assert twins.accepted("east") - before == 2


async def names(twins: Twins) -> None:
    """Of one name by two name servers, at the same time."""
    from dnslib import RR, A
    from dnslib.server import BaseResolver, DNSServer

    class Says(BaseResolver):  # type: ignore[misc]
        def __init__(self, address: str) -> None:
            self.address = address

        def resolve(self, request: Any, _handler: Any) -> Any:
            reply = request.reply()
            reply.add_answer(RR(request.q.qname, rdata=A(self.address), ttl=300))
            return reply

    servers = [DNSServer(Says(address), address="127.0.0.1", port=0) for address in ("192.0.2.1", "192.0.2.2")]
    try:
        for server in servers:
            server.start_thread()
        asked = Names()
        where = [f"127.0.0.1:{server.server.server_address[1]}" for server in servers]
        for _ in range(2):
            found = await asyncio.gather(*(asked.addresses("shop.example", w, Pinned()) for w in where))
            assert found == [["192.0.2.1"], ["192.0.2.2"]]
    finally:
        for server in servers:
            server.stop()
            server.server.server_close()


async def attempts_(twins: Twins) -> None:
    """The runs of clients are called by their names."""
    paths = {attempts.Attempt(twins.workspace, StepKey(f"{client}/run-1", "go", 1)).path for client in CLIENTS}
    assert len(paths) == 2


async def spares(twins: Twins) -> None:
    """What was made ready before it was known whose it would be: every first call is served by it."""
    await twins.warmed("warm")
    for client in (*CLIENTS, *reversed(CLIENTS)):
        await asyncio.sleep(0.5)  # for the next spare
        assert await twins.whose(client) == client


async def epochs(twins: Twins) -> None:
    """One controller decides for all clients of a workspace: on a host that both have its number counts for both."""
    twins.hosts["west"].stop()  # it is another name of the first one from now on
    twins.hosts["west"] = twins.hosts["east"]
    (twins.workspace / "port-west").write_text(str(twins.hosts["east"].port))
    twins.inventory("west")
    await twins.warmed("warm")
    assert (await twins.play("east", told=str(twins.workspace / "told"), epoch=5)).outcome is AttemptEnd.OK
    assert (await twins.play("west", told=str(twins.workspace / "told"), epoch=4)).outcome is AttemptEnd.STALE_EPOCH
    assert (await twins.play("west", told=str(twins.workspace / "told"), epoch=5)).outcome is AttemptEnd.OK


async def known_hosts(twins: Twins) -> None:
    """Of a host that shows another key than its client knows of this address, nothing is taken."""
    for client in CLIENTS:
        key = (twins.hosts[client].home / "host.pub").read_text().split()
        (twins.workspace / f"known-{client}").write_text(f"{ADDRESS} {key[0]} {key[1]}\n")
        common = twins.variables(client)["ansible_ssh_common_args"]
        common = common.replace("StrictHostKeyChecking=no", "StrictHostKeyChecking=yes")
        common = common.replace("UserKnownHostsFile=/dev/null", f"UserKnownHostsFile={twins.workspace}/known-{client}")
        twins.inventory(client, ansible_ssh_common_args=common)
    await twins.warmed("warm")
    assert await twins.whose("east") == "east"
    assert await twins.whose("west") == "west"
    (twins.workspace / "known-west").write_text((twins.workspace / "known-east").read_text())
    twins.inventory("west", ansible_ssh_common_args=common + " -o GlobalKnownHostsFile=/dev/null")
    assert (await twins.play("west", told="/dev/null")).outcome is AttemptEnd.UNREACHABLE


async def points_of_view(twins: Twins) -> None:
    """A branch of one name: what the one client's sees does not vouch for the other's, which may be cut off alone."""
    for client in CLIENTS:
        services = "services: {web: {rto: 5m, healthy_when: sees, ladder: []}}\n"
        (twins.workspace / "inventories" / client / "services.yml").write_text(services)
    (twins.workspace / "checks").mkdir()
    ssh = "probe: ssh, hosts: app, user: watch, target: 192.0.2.9, command: ping x"
    (twins.workspace / "checks" / "branch.yml").write_text(
        f"- {{name: sees, vantage: branch, reference: true, {ssh}}}\n"
        "- {name: own, probe: tcp, target: 192.0.2.1, port: 1, reference: true}\n"
    )
    model = load(twins.workspace, probe_kinds=PROBE_KINDS).model
    for client in CLIENTS:
        assert model.checks[f"{client}/sees@app"].vantage == f"{client}/branch"
        assert model.references(f"{client}/branch") == (f"{client}/sees@app",)


def _each_whom(twins: Twins) -> Iterator[str]:
    for client in CLIENTS:
        yield connections.kept_for(str(twins.workspace), client)


STORES: dict[str, Callable[[Twins], Awaitable[None]]] = {
    "Connections that ssh shares (ControlMaster)": by_ssh,
    "Mitogen's connections": by_mitogen,  # and which hosts could not be connected to
    "Connections to devices without a shell": to_devices,
    "Look-ups of logins under way": logins,
    "Logins that `keep: true` keeps": kept_logins,
    "Look-ups of names under way": names,
    "Facts, and the Python found on a host": facts,
    "What inventory plug-ins cache": what_inventories_cache,
    "Inventories as read": inventories,
    "Known hosts": known_hosts,
    "Attempts": attempts_,
    "Spare worker, spare fork of the zygote": spares,
    "Epochs on targets": epochs,
    "Vantages, and what is said of them": points_of_view,
}


@pytest.mark.parametrize("store", STORES)
async def test_two_clients_never_meet_in(store: str, twins: Twins) -> None:
    await STORES[store](twins)


def test_every_store_is_in_the_book_and_every_one_in_the_book_is_tried() -> None:
    page = (REPOSITORY / "docs" / "architecture.md").read_text()
    section = page.partition("## What is kept, and by what it is found")[2].partition("\n## ")[0]
    kept = re.findall(r"^\* \*\*(.+?)\*\*", section, re.MULTILINE)
    assert kept == list(STORES)


# ---- beside the clients: all that decides where a connection leads


@pytest.mark.parametrize("executor", ["fast", *OTHER_WAYS])
async def test_a_connection_is_not_found_by_its_arguments_alone(twins: Twins, executor: str) -> None:
    """The arguments are equal to the letter, and what the proxy finds is another network by then."""
    for client in CLIENTS:
        common = twins.variables(client, through="anywhere")
        twins.inventory(client, **{**common, "ansible_ssh_private_key_file": str(twins.hosts["east"].home / "user")})
    shutil.copy(twins.hosts["east"].home / "user.pub", twins.hosts["west"].home / "user.pub")
    await twins.warmed(executor)
    for client in CLIENTS:
        (twins.workspace / "port-anywhere").write_text(str(twins.hosts[client].port))
        for _ in range(3):
            assert await twins.whose(client) == client


@pytest.mark.parametrize("executor", ["fast", *OTHER_WAYS])
async def test_two_hosts_of_one_client_with_one_address(twins: Twins, executor: str) -> None:
    hosts = {
        name: {**twins.variables("east", through=name), "ansible_ssh_private_key_file": str(host.home / "user")}
        for name, host in twins.hosts.items()
    }
    inventory = {"all": {"children": {"app": {"hosts": hosts}}}}
    (twins.workspace / "inventories" / "east" / "hosts.yml").write_text(json.dumps(inventory))
    await twins.warmed(executor)
    text = WHOSE.replace('line: "{{ found.stdout }}"', 'line: "{{ inventory_hostname }}={{ found.stdout }}"')
    for _ in range(3):
        told = twins.workspace / f"told-{twins.count}"
        ended = await twins.play("east", text, told=str(told))
        assert ended.outcome is AttemptEnd.OK, ended.detail
        assert sorted(told.read_text().split()) == ["east=east", "west=west"]


@pytest.mark.parametrize("where", ["control_path_dir", "control_path", "ssh_args", "common_args"])
@pytest.mark.parametrize("executor", ["fast", *OTHER_WAYS])
async def test_where_the_author_says_where_connections_are_kept(twins: Twins, where: str, executor: str) -> None:
    """They are there, and two clients do not meet there either."""
    place = tempfile.mkdtemp(prefix="bascule-test-", dir="/tmp")  # a socket's path is short
    said = {
        "control_path_dir": f"control_path_dir = {place}",
        "control_path": f"control_path = {place}/%%h-%%r",
        "ssh_args": f"ssh_args = -o ControlMaster=auto -o ControlPersist=60s -o ControlPath={place}/%h",
        "common_args": "",
    }
    (twins.workspace / "ansible.cfg").write_text(f"[ssh_connection]\n{said[where]}\n")
    if where == "common_args":
        for client in CLIENTS:
            common = twins.variables(client)["ansible_ssh_common_args"]
            twins.inventory(client, ansible_ssh_common_args=f'{common} -o "ControlPath {place}/%r@%h"')
    try:
        await twins.warmed(executor)
        for _ in range(2):
            for client in CLIENTS:
                assert await twins.whose(client) == client
        assert len(os.listdir(place)) == 2
    finally:
        shutil.rmtree(place)


@pytest.mark.parametrize("executor", ["fast", *OTHER_WAYS])
@pytest.mark.parametrize("program", ["ssh", "ssh-by-vpn"])
async def test_what_the_operators_own_files_share_is_not_shared(twins: Twins, program: str, executor: str) -> None:
    """Where the author's arguments say nothing of it, and whichever program he has ssh started by."""
    place = tempfile.mkdtemp(prefix="bascule-test-", dir="/tmp")  # a socket's path is short
    shares = f"Host *\n  ControlMaster auto\n  ControlPersist 60\n  ControlPath {place}/%r@%h:%p\n"
    (twins.workspace / "shares").write_text(shares)
    (twins.workspace / "ssh-config").write_text(f"Include\t{twins.workspace}/shares\n")
    (twins.workspace / "ssh-by-vpn").write_text('#!/bin/sh\nexec ssh "$@"\n')
    (twins.workspace / "ssh-by-vpn").chmod(0o755)
    started = program if program == "ssh" else twins.workspace / program
    said = f"ssh_args = -F {twins.workspace}/ssh-config\nssh_executable = {started}"
    (twins.workspace / "ansible.cfg").write_text(f"[ssh_connection]\n{said}\n")
    try:
        await twins.warmed(executor)
        for client in CLIENTS:
            assert await twins.whose(client) == client
        assert len(os.listdir(place)) == 2
    finally:
        shutil.rmtree(place)


async def test_plain_calls_find_connections_by_their_inventories(twins: Twins) -> None:
    """`bascule playbook run`, without any workspace."""
    program = Path(sys.executable).parent / "bascule"
    (twins.workspace / "p.yml").write_text(WHOSE)
    for client in (*CLIENTS, *CLIENTS):
        told = twins.workspace / f"told-{client}"
        told.unlink(missing_ok=True)
        source = f"inventories/{client}/hosts.yml"
        done = await asyncio.to_thread(
            subprocess.run,
            [program, "playbook", "run", "p.yml", "-i", source, "-e", f"told={told}"],
            cwd=twins.workspace,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        assert told.read_text().split() == [client]


@pytest.mark.parametrize("kept", ["where Ansible keeps them", "where the author says"])
async def test_a_login_that_a_person_asks_for_is_its_own_clients(twins: Twins, kept: str) -> None:
    """`bascule check login@app`: one client after the other, and the second one's host lets nobody in."""
    (twins.hosts["west"].home / "user.pub").write_text("")
    place = tempfile.mkdtemp(prefix="bascule-test-", dir="/tmp")  # a socket's path is short
    if kept == "where the author says":
        said = f"ssh_args = -o ControlMaster=auto -o ControlPersist=60s -o ControlPath={place}/%h"
        (twins.workspace / "playbooks" / "ansible.cfg").write_text(f"[ssh_connection]\n{said}\n")
    asked = by_ansible(twins.workspace, {c: [twins.workspace / f"inventories/{c}/hosts.yml"] for c in CLIENTS})
    try:
        for _ in range(2):
            found = {client: await asked(client, "app", False) for client in CLIENTS}
            assert {client: fine for client, (fine, _) in found.items()} == {"east": True, "west": False}, found
        assert len(os.listdir(place)) == (1 if kept == "where the author says" else 0), "by the settings of a step"
    finally:
        shutil.rmtree(place)


async def test_a_client_without_an_inventory_is_asked_of_nobody_elses(twins: Twins) -> None:
    """Ansible, given none, takes its usual one: where a client's folder is gone, that of the client who is left."""
    usual = "[defaults]\ninventory = ../inventories/east/hosts.yml\n"
    (twins.workspace / "playbooks" / "ansible.cfg").write_text(usual)
    await twins.warmed("fast")
    twins.runner.use_inventories({"east": (twins.workspace / "inventories/east/hosts.yml",)})
    asked = by_ansible(twins.workspace, {"east": (twins.workspace / "inventories/east/hosts.yml",)})
    for ask in (twins.runner.can_log_in, asked):
        assert (await ask("east", "app", False))[0] is True
        assert await ask("west", "app", False) == (None, "client west has no inventory")


BY_SSH = "ssh -F {file} -W %h:%p bastion"
FURTHER = "ssh -F {file} -W %h:%p further"
BEHIND_ANOTHER = "Host bastion\n  HostName 127.0.0.1\n  Port {port}\n"


@pytest.mark.parametrize(
    ("in_file", "args", "hops"),
    [
        ("", "-J bastion", 1),
        ("", f"-o ProxyCommand='timeout 30 {BY_SSH}'", 1),
        (f"Host 127.0.0.1\n  ProxyCommand {BY_SSH}\n", "", 1),
        (f"Host 127.0.0.1\n  ProxyCommand env A=b {BY_SSH}\n", "", 1),
        ("", f"-o ProxyCommand='setpriv --no-new-privs {BY_SSH}'", 1),  # or `ip netns exec NAME`, or any other
        ("", f"-o ProxyCommand='nohup /usr/bin/env A=b {BY_SSH}'", 1),
        ("", f"-o ProxyCommand='{BY_SSH} -S {{place}}/%n'", 1),
        (BEHIND_ANOTHER, "-J further,bastion", 2),
        (BEHIND_ANOTHER, "-o ProxyCommand='ssh -F {file} -J further -W %h:%p bastion'", 2),
        (BEHIND_ANOTHER + "  ProxyJump further\n", f"-o ProxyCommand='{BY_SSH}'", 2),
        (BEHIND_ANOTHER + "  ProxyJump further\n", "-J bastion", 2),
        (BEHIND_ANOTHER + f"  ProxyCommand {FURTHER}\n", "-J bastion", 2),
        (BEHIND_ANOTHER, f"-o ProxyCommand='{BY_SSH} -o ProxyCommand=\"{FURTHER}\"'", 2),
    ],
)
async def test_jump_hosts_of_one_name_are_reached_anew(twins: Twins, in_file: str, args: str, hops: int) -> None:
    """What the operator's ssh shares by name (ControlMaster in his file) is not shared on the way to a client."""
    place = tempfile.mkdtemp(prefix="bascule-test-", dir="/tmp")  # a socket's path is short
    for client in CLIENTS:
        variables = twins.variables(client)
        common = variables["ansible_ssh_common_args"]
        key = variables["ansible_ssh_private_key_file"]
        proxy = re.search(r"ProxyCommand='([^']+)'", common)
        assert proxy is not None
        file = twins.workspace / f"ssh-{client}"
        file.write_text(
            f"{in_file.format(file=file, port=twins.hosts[client].port)}"
            f"Host {'bastion' if hops == 1 else 'further'}\n  ProxyCommand {proxy[1]}\n"
            f"Host bastion further\n  User root\n  IdentityFile {key}\n"
            "Host *\n  StrictHostKeyChecking no\n  UserKnownHostsFile /dev/null\n  LogLevel ERROR\n"
            f"  ControlMaster auto\n  ControlPersist 60\n  ControlPath {place}/%r@%n\n"
        )
        twins.inventory(
            client,
            ansible_host="127.0.0.1",
            ansible_port=twins.hosts[client].port,
            ansible_ssh_common_args=f"-F {file} {args.format(file=file, place=place)}",
        )
    try:
        for client in CLIENTS:
            before = twins.accepted(client)
            assert await twins.whose(client) == client
            assert twins.accepted(client) - before == hops + 1, "its own jump hosts, and its own host"
    finally:
        shutil.rmtree(place)


# ---- what is around a call


FORWARDED = """
- hosts: app
  gather_facts: false
  tasks:
    - ansible.builtin.command: "true"
    - ansible.builtin.command: ssh-add -l
      register: offered
    - ansible.builtin.lineinfile: {path: "{{ told }}", line: "{{ offered.stdout }}", create: true}
      delegate_to: localhost
      vars: {ansible_connection: local}
"""


@dataclass
class Caller:
    """A person at a prompt, who calls `bascule playbook run` from the workspace."""

    twins: Twins
    environment: dict[str, str]

    async def call(self, text: str, client: str) -> str:
        """What his playbook has told."""
        told = self.twins.workspace / "told-to-him"
        told.unlink(missing_ok=True)
        (self.twins.workspace / "called.yml").write_text(text)
        words = ["playbook", "run", "called.yml", "-i", f"inventories/{client}/hosts.yml", "-e", f"told={told}"]
        done = await asyncio.to_thread(
            subprocess.run,
            [Path(sys.executable).parent / "bascule", *words],
            cwd=self.twins.workspace,
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, **self.environment},
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return told.read_text()


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """Where what a call leaves behind is this test's own."""
    place = tempfile.mkdtemp(prefix="bascule-test-", dir="/tmp")
    monkeypatch.setenv("XDG_RUNTIME_DIR", place)
    yield place
    shutil.rmtree(place)


@pytest.mark.parametrize("proxied", [False, pytest.param(True, marks=pytest.mark.broad)])
async def test_an_agent_is_offered_to_nobody_but_the_hosts_of_whoever_called_with_it(
    twins: Twins, runtime: str, proxied: bool
) -> None:
    """Agents are forwarded; what keeps connections was started by a call with the first one's."""
    agents = [agent(twins, runtime, client) for client in CLIENTS]
    callers = {client: Caller(twins, {"SSH_AUTH_SOCK": f"{runtime}/agent-{client}"}) for client in CLIENTS}
    for client in CLIENTS:
        twins.inventory(client, **forwarding(twins, client, proxied))
    try:
        for _ in range(3):
            for client in CLIENTS:
                offered = await callers[client].call(FORWARDED, client)
                assert f"key of {client}" in offered, f"on the host of {client}: {offered}"
                assert offered.count("key of") == 1, offered
                await asyncio.sleep(0.5)  # what is made for another time is made meanwhile
    finally:
        for one in agents:
            one.kill()
            one.wait()


def agent(twins: Twins, runtime: str, client: str) -> subprocess.Popen[bytes]:
    """An agent with a key of this client's."""
    socket, key = f"{runtime}/agent-{client}", twins.workspace / f"key-{client}"
    started = subprocess.Popen(["ssh-agent", "-D", "-a", socket], stdout=subprocess.DEVNULL)
    subprocess.run(["ssh-keygen", "-qted25519", "-N", "", "-C", f"key of {client}", "-f", key], check=True)
    for _ in range(600):
        if os.path.exists(socket):
            break
        time.sleep(0.1)
    subprocess.run(["ssh-add", "-q", key], env={**os.environ, "SSH_AUTH_SOCK": socket}, check=True)
    return started


def forwarding(twins: Twins, client: str, proxied: bool) -> dict[str, Any]:
    """Variables of its host, to which an agent is forwarded: through its proxy, or by its own address."""
    variables = twins.variables(client)
    common = f"{variables['ansible_ssh_common_args']} -o ForwardAgent=yes"
    if proxied:
        return {"ansible_ssh_common_args": common}
    common = re.sub(r"-o ProxyCommand='[^']+' ", "", common)
    return {"ansible_host": "127.0.0.1", "ansible_port": twins.hosts[client].port, "ansible_ssh_common_args": common}


@pytest.mark.broad  # of its kind is the one before, and `test_connections.py`
async def test_a_proxy_that_asks_the_environment_leads_where_the_call_says(twins: Twins, runtime: str) -> None:
    """As those do that reach a cloud's hosts by the name of an account: one inventory, and two networks."""
    common = twins.variables("east")["ansible_ssh_common_args"].replace("port-east", "port-$ACCOUNT")
    shutil.copy(twins.hosts["east"].home / "user.pub", twins.hosts["west"].home / "user.pub")
    twins.inventory("east", ansible_ssh_common_args=common)
    for _ in range(3):
        for account in CLIENTS:
            told = await Caller(twins, {"ACCOUNT": account}).call(WHOSE, "east")
            assert told.split() == [account]
            await asyncio.sleep(0.5)  # what is made for another time is made meanwhile
