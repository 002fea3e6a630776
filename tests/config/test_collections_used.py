"""An edit of a collection voids exactly the proofs of what may use it; of what is named at run time, each may be."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from orchestrator.config.collections_used import used
from orchestrator.config.said import said
from orchestrator.core.model import Model
from tests.config.test_resting_on import model_of, void, write

SERVICES = """\
moves:
  module: {playbook: module.yml, verify: {all: [up]}}
  role: {playbook: role.yml, verify: {all: [up]}}
  keyword: {playbook: keyword.yml, verify: {all: [up]}}
  filter: {playbook: filter.yml, verify: {all: [up]}}
  other: {playbook: other.yml, verify: {all: [up]}}
  made: {playbook: made.yml, verify: {all: [up]}}
services:
  shop: {rto: 5m, healthy_when: {all: [up]}, ladder: [module, role, keyword, filter, other, made]}
"""
CHECKS = """\
- {name: sees, probe: tcp, target: 192.0.2.1, port: 53, reference: true}
- {name: up, hosts: web, probe: tcp, target: "{{ ansible_host }}", port: 80}
"""
PLAYS = {
    "module": "- hosts: web\n  tasks:\n    - acme.web.deploy: {to: /srv}\n",
    "role": "- hosts: web\n  roles: [inner]\n",
    "keyword": "- hosts: web\n  collections: [acme.web]\n  tasks:\n    - deploy: {to: /srv}\n",
    "filter": "- hosts: web\n  tasks:\n    - debug: {msg: \"{{ 'x' | acme.base.shout }}\"}\n",
    "other": "# acme.web.deploy: a remark\n- hosts: web\n  tasks:\n    - debug: {msg: nothing}\n",
    "made": '- hosts: web\n  tasks:\n    - include_role: {name: "{{ whose }}"}\n',
}
ALL = set(PLAYS)
AT = "collections/ansible_collections"


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of its collections `web` uses `base`, and nobody uses `idle`; a role of the workspace uses `web`."""
    top = tmp_path_factory.mktemp("collections")
    for client in ("east", "west"):
        write(top / f"inventories/{client}/services.yml", SERVICES)
        write(top / f"inventories/{client}/hosts.yml", "all: {hosts: {web: {ansible_host: 192.0.2.2}}}\n")
    write(top / "checks/all.yml", CHECKS)
    write(top / "ansible.cfg", "[defaults]\ncollections_path = collections\n")
    for name, text in PLAYS.items():
        write(top / f"playbooks/{name}.yml", text)
    write(top / "playbooks/roles/inner/tasks/main.yml", "- acme.web.deploy: {to: /srv}\n")
    module = "#!/usr/bin/python\nfrom ansible_collections.acme.base.plugins.module_utils import common\n"
    write(top / f"{AT}/acme/web/plugins/modules/deploy.py", module)
    write(top / f"{AT}/acme/web/galaxy.yml", "namespace: acme\nname: web\nversion: 1.0.0\n")
    write(top / f"{AT}/acme/web/roles/site/tasks/main.yml", "- acme.web.deploy: {to: /srv}\n")
    write(top / f"{AT}/acme/base/plugins/module_utils/common.py", "X = 1\n")
    write(top / f"{AT}/acme/base/plugins/filter/shout.py", "Y = 1\n")
    write(top / f"{AT}/acme/idle/plugins/modules/rest.py", "Z = 1\n")
    return top


@pytest.fixture(scope="module")
def at_first(workspace: Path) -> Model:
    return model_of(workspace)


@pytest.mark.parametrize(
    ("file", "expected"),
    [
        ("web/plugins/modules/deploy.py", {"module", "role", "keyword", "made"}),
        ("web/roles/site/tasks/main.yml", {"module", "role", "keyword", "made"}),
        ("web/galaxy.yml", {"module", "role", "keyword", "made"}),
        ("base/plugins/module_utils/common.py", {"module", "role", "keyword", "filter", "made"}),
        ("base/plugins/filter/shout.py", {"module", "role", "keyword", "filter", "made"}),
        ("idle/plugins/modules/rest.py", {"made"}),
        ("idle/plugins/modules/one_more.py", {"made"}),
    ],
)
def test_an_edit_of_a_collection_voids_exactly_what_may_use_it(
    workspace: Path, at_first: Model, file: str, expected: set[str]
) -> None:
    path = workspace / AT / "acme" / file
    was = path.read_text(encoding="utf-8") if path.exists() else None
    write(path, (was or "") + "# edited\n")
    try:
        now = model_of(workspace)
    finally:
        path.unlink() if was is None else write(path, was)
    found = {(s.partition("/")[0], m.partition("/")[2]) for s, m in void(at_first, now)}
    assert found == {(client, name) for client in ("east", "west") for name in expected}
    digests = {m.id: m.playbook.digest for m in at_first.moves.values()}
    assert all(digests[m.id] != m.playbook.digest for m in now.moves.values()), "an approval covers all that is loaded"


@pytest.mark.parametrize("at", ["ansible.cfg", "inventories/east/hosts.yml"])
def test_what_settings_and_variables_name_counts_for_every_playbook(workspace: Path, at: str) -> None:
    """A call-back that is switched on runs with each playbook; a variable may be a role's name."""
    path = workspace / at
    was = path.read_text(encoding="utf-8")
    added = "callbacks_enabled = acme.idle.told\n" if at == "ansible.cfg" else "  vars: {of: acme.idle.rest}\n"
    host = "all:\n  hosts: {web: {ansible_host: 192.0.2.2}}\n"
    with_it = (was if at == "ansible.cfg" else host) + added
    rest = workspace / AT / "acme/idle/plugins/modules/rest.py"
    kept = rest.read_text(encoding="utf-8")
    try:
        write(path, with_it)
        before = model_of(workspace)
        write(rest, kept + "# edited\n")
        found = void(before, model_of(workspace))
    finally:
        write(path, was)
        write(rest, kept)
    clients = ("east", "west") if at == "ansible.cfg" else ("east",)
    named = {(s.partition("/")[0], m.partition("/")[2]) for s, m in found}
    assert {x for x in named if x[0] in clients} == {(client, name) for client in clients for name in ALL}
    assert at == "ansible.cfg" or {x for x in named if x[0] == "west"} == {("west", "made")}


def test_a_short_name_that_ansible_leads_elsewhere_is_of_that_collection(workspace: Path) -> None:
    """`synchronize` is a module of ansible.posix for whoever writes it so."""
    plays = workspace / "playbooks/other.yml"
    posix = f"{AT}/ansible/posix/plugins/modules/synchronize.py"
    was = plays.read_text(encoding="utf-8")
    write(workspace / posix, "A = 1\n")
    try:
        write(plays, "- hosts: web\n  tasks:\n    - synchronize: {src: /a, dest: /b}\n")
        before = model_of(workspace)
        write(workspace / posix, "A = 2\n")
        found = void(before, model_of(workspace))
    finally:
        write(plays, was)
        shutil.rmtree(workspace / AT / "ansible")
    assert {move.partition("/")[2] for _, move in found} == {"other", "made"}


@pytest.mark.parametrize(
    "within",
    [
        "- include_role: {name: '{{ whose }}'}\n",
        "- action: '{{ whose }} to=/srv'\n",
        "$ANSIBLE_VAULT;1.1;AES256\n6162636465\n",
    ],
    ids=["a role", "an action", "encrypted"],
)
def test_what_a_collection_itself_names_at_run_time_may_be_any(workspace: Path, within: str) -> None:
    """An edit of `idle` voids also what uses `web`, since nobody knows whom that uses."""
    role, rest = (
        workspace / AT / "acme" / x for x in ("web/roles/site/tasks/main.yml", "idle/plugins/modules/rest.py")
    )
    were = [x.read_text(encoding="utf-8") for x in (role, rest)]
    try:
        write(role, within)
        before = model_of(workspace)
        write(rest, "Z = 2\n")
        found = void(before, model_of(workspace))
    finally:
        for path, was in zip((role, rest), were, strict=True):
            write(path, was)
    assert {move.partition("/")[2] for _, move in found} == {"module", "role", "keyword", "made"}


TASKS = {
    "a group of defaults": "  module_defaults: {group/acme.web.all: {x: 1}}",
    "a role by words": "  tasks: [{import_role: name=acme.web.site tasks_from=x}]",
    "a test": "  tasks: [{debug: {msg: x}, when: x is acme.web.odd}]",
    "a lookup": "  tasks: [{debug: {msg: \"{{ q('acme.web.rows', 1) }}\"}}]",
    "a loop by a lookup": "  tasks: [{debug: {msg: x}, with_acme.web.rows: [1]}]",
    "a filter by its name": "  tasks: [{debug: {msg: \"{{ [1] | map('acme.web.shout') | list }}\"}}]",
    "an old action": "  tasks: [{local_action: acme.web.deploy x=1}]",
    "a connection": "  connection: acme.web.tunnel",
    "a strategy": "  strategy: acme.web.calm",
    "a way to become": "  vars: {ansible_become_method: acme.web.door}",
    "a name put together": "  tasks: [{debug: {msg: \"{{ lookup(['acme', 'web', 'rows'] | join('.')) }}\"}}]",
    "a name put together in a condition": "  tasks: [{debug: {msg: x}, when: lookup('acme.' ~ y) == 1}]",
    "a lookup named elsewhere": "  tasks: [{debug: {msg: '{{ lookup(which) }}'}}]\n  vars: {which: acme.web.rows}",
}


@pytest.mark.parametrize("how", TASKS)
def test_each_way_to_use_a_collection_is_seen(tmp_path: Path, how: str) -> None:
    play = write(tmp_path / "play.yml", f"- hosts: all\n{TASKS[how]}\n")
    module = write(tmp_path / AT / "acme/web/plugins/modules/deploy.py", "X = 1\n")
    assert used([said(play)], [], {"acme.web": [module]}) == {"acme.web"}


@pytest.mark.parametrize(
    "task",
    [
        "{debug: {msg: 'web.site is up'}}", "{debug: {msg: \"{{ lookup('file', path ~ '/x') }}\"}}",
        "{debug: {msg: '{{ query(which, 1) }}'}}", "{debug: {msg: 'faq(1 + 2)'}}",
    ],
)  # fmt: skip
def test_what_names_none_uses_none(tmp_path: Path, task: str) -> None:
    play = write(tmp_path / "play.yml", f"- hosts: all\n  tasks: [{task}]\n")
    module = write(tmp_path / AT / "acme/net/plugins/modules/deploy.py", "def q(x):\n    return q(x + 1)\n")
    assert used([said(play)], [], {"acme.net": [module]}) == set()
