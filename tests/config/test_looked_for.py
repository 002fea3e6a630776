"""What a play names is found wherever Ansible finds it: a playbook that starts is no fault."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from orchestrator.config import ConfigurationInvalid, load
from orchestrator.config.ansible_programs import environment_to_ask, program
from tests.config.probe_kinds import PROBE_KINDS

FILES = {
    "checks/web.yml": "- {name: web, hosts: one, probe: tcp, target: 192.0.2.1, port: 80, reference: true}\n",
    "inventories/shop/hosts.ini": "one ansible_connection=local\n[all:vars]\n"
    "ansible_python_interpreter='{{ ansible_playbook_python }}'\n",
    "inventories/shop/services.yml": """
moves: {swing: {playbook: deploy/go.yml, back: deploy/go.yml, verify: {all: [web]}}}
services: {shop: {mode: ask, rto: 15m, healthy_when: {all: [web]}, ladder: [swing]}}
""",
    "inventories/shop/people.yml": "people: {ada: {name: Ada, ways: [{command: [/bin/cat]}]}}\non_call: [ada]\n",
    "deploy/roles/a/tasks/main.yml": "- debug: {msg: a}\n",
    "deploy/roles/b/tasks/main.yml": "- debug: {msg: b}\n",
}
A = "deploy/roles/a/tasks/main.yml"
COLLECTION = "collections/ansible_collections/team/edge"
LAYOUTS = {
    "a role that a role's tasks import": {A: "- import_role: {name: b}\n"},
    "a role that a role's tasks include": {A: "- include_role: {name: b}\n"},
    "a role that a file of tasks imports": {
        A: "- import_tasks: ../../../tasks/more.yml\n",
        "deploy/tasks/more.yml": "- import_role: {name: b}\n",
    },
    "a role that is named by a path from where Ansible starts": {
        "deploy/go.yml": "- {hosts: all, gather_facts: false, roles: [a, other/c]}\n",
        "other/c/tasks/main.yml": "- debug: {msg: c}\n",
    },
    "a template beside the playbook": {
        A: "- template: {src: x.j2, dest: /dev/null}\n- template: {src: y.j2, dest: /dev/null}\n",
        "deploy/templates/x.j2": "x",
        "deploy/y.j2": "y",
    },
    "a template of the role that asked": {
        A: "- import_role: {name: b}\n",
        "deploy/roles/b/tasks/main.yml": "- template: {src: z.j2, dest: /dev/null}\n",
        "deploy/roles/a/templates/z.j2": "z",
    },
    "what tasks in a folder of their own have there": {
        A: "- import_tasks: deep/more.yml\n",
        "deploy/roles/a/tasks/deep/more.yml": "- template: {src: w.j2, dest: /dev/null}\n- include_vars: w.yml\n",
        "deploy/roles/a/tasks/deep/templates/w.j2": "w",
        "deploy/roles/a/tasks/deep/vars/w.yml": "w: 1",
    },
    "tasks beside the playbook": {A: "- import_tasks: shared.yml\n", "deploy/tasks/shared.yml": "- debug: {msg: x}\n"},
    "a role of a collection that the play searches": {
        "deploy/go.yml": "- {hosts: all, gather_facts: false, collections: [team.edge], roles: [line]}\n",
        f"{COLLECTION}/roles/line/tasks/main.yml": "- debug: {msg: line}\n",
    },
    "a role of a collection that a role searches": {
        A: "- import_role: {name: line}\n",
        "deploy/roles/a/meta/main.yml": "collections: [team.edge]\n",
        f"{COLLECTION}/roles/line/tasks/main.yml": "- debug: {msg: line}\n",
    },
    "a role of the collection that has the playbook": {
        f"{COLLECTION}/playbooks/go.yml": "- {hosts: all, gather_facts: false, roles: [line]}\n",
        f"{COLLECTION}/roles/line/tasks/main.yml": "- debug: {msg: line}\n",
    },
    "what a role's unused tasks lack": {
        "deploy/roles/a/tasks/other.yml": "- import_role: {name: gone}\n- import_tasks: gone.yml\n",
    },
}


ALL = {name: f"layout{number}" for number, name in enumerate(LAYOUTS)}


def laid_out(place: Path, layout: dict[str, str], folder: str = "deploy") -> set[str]:
    """Write one down, with its playbook in this folder; the names of its own files."""
    files = {"ansible.cfg": "[defaults]\ncollections_path = collections\n", **FILES}
    files["deploy/go.yml"] = "- {hosts: all, gather_facts: false, roles: [a]}\n"
    for name, content in {**files, **layout}.items():
        path = place / name.replace("deploy/", f"{folder}/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content)
    return {name.replace("deploy/", f"{folder}/") for name in layout}


def all_laid_out(place: Path) -> dict[str, set[str]]:
    """Every layout in one workspace, each with a move of its own; their files by name."""
    files = {name: laid_out(place, layout, ALL[name]) for name, layout in LAYOUTS.items()}
    books = [*(f"{folder}/go.yml" for folder in ALL.values()), f"{COLLECTION}/playbooks/go.yml"]
    moves = "".join(
        f"  m{number}: {{playbook: {book}, back: {book}, verify: {{all: [web]}}}}\n"
        for number, book in enumerate(books)
    )
    ladder = ", ".join(f"m{number}" for number in range(len(books)))
    shop = f"services: {{shop: {{mode: ask, rto: 15m, healthy_when: {{all: [web]}}, ladder: [{ladder}]}}}}\n"
    (place / "inventories/shop/services.yml").write_text(f"moves:\n{moves}{shop}")
    return files


def test_it_is_found_where_ansible_finds_it(tmp_path: Path) -> None:
    files = all_laid_out(tmp_path)
    found = load(tmp_path, probe_kinds=PROBE_KINDS, cache=False, starts=True)
    covered = {part for manifest in found.manifests.values() for part in (*manifest.parts, *manifest.around)}
    assert {name: missing for name, own in files.items() if (missing := own - covered)} == {}


@pytest.mark.broad
def test_ansible_runs_them(tmp_path: Path) -> None:
    """The layouts are such as Ansible takes."""
    all_laid_out(tmp_path)
    start, given = environment_to_ask(tmp_path, os.environ)
    books = [*(f"{folder}/go.yml" for folder in ALL.values()), f"{COLLECTION}/playbooks/go.yml"]
    command = [program("ansible-playbook") or "", "-i", "inventories/shop/hosts.ini", "-C", *books]
    done = subprocess.run(command, cwd=start, env=given, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.parametrize("use", ["import_tasks: named.yml", "include_tasks: named.yml"])
def test_what_tasks_lack_that_others_name_is_a_fault(tmp_path: Path, use: str) -> None:
    layout = {A: f"- {use}\n", "deploy/roles/a/tasks/named.yml": "- template: {src: gone.j2, dest: /dev/null}\n"}
    laid_out(tmp_path, layout)
    with pytest.raises(ConfigurationInvalid) as raised:
        load(tmp_path, probe_kinds=PROBE_KINDS, cache=False)
    assert [str(f).partition(";")[0] for f in raised.value.faults] == [
        "deploy/roles/a/tasks/named.yml:1:19: there is no file 'gone.j2'"
    ]


def test_what_tasks_lack_that_a_role_is_loaded_from_is_a_fault(tmp_path: Path) -> None:
    layout = {
        A: "- include_role: {name: b, tasks_from: second}\n",
        "deploy/roles/b/tasks/second.yml": "- template: {src: gone.j2, dest: /dev/null}\n",
    }
    laid_out(tmp_path, layout)
    with pytest.raises(ConfigurationInvalid, match=r"b/tasks/second\.yml:1:19: there is no file 'gone\.j2'"):
        load(tmp_path, probe_kinds=PROBE_KINDS, cache=False)


def test_what_a_task_lacks_that_may_be_made_before_is_a_warning(tmp_path: Path) -> None:
    """Not what is on the target, nor what only a template knows."""
    go = """\
- hosts: all
  tasks:
    - copy: {src: one, dest: /x}
    - copy: {src: two, dest: /x, remote_src: true}
    - copy: {src: "{{ three }}", dest: /x}
    - assemble: {src: four, dest: /x}
    - script: five.sh now
    - include_vars: six.yml
"""
    laid_out(tmp_path, {"deploy/go.yml": go})
    warned = load(tmp_path, probe_kinds=PROBE_KINDS, cache=False).warnings
    lacked = [f"{w.line}:{w.column} {w.message.partition(' now:')[0]}" for w in warned if "no file" in w.message]
    assert lacked == [
        "3:19 there is no file 'one'",
        "7:15 there is no file 'five.sh'",
        "8:21 there is no file 'six.yml'",
    ]


def test_what_beside_an_inventory_is_not_read_is_said(tmp_path: Path) -> None:
    """Settings of a script, and what is ours, are none."""
    laid_out(tmp_path, {})
    folder = tmp_path / "inventories/shop"
    (folder / "more.ini").write_text("[edge:children]\nhq\n")
    (folder / "racks.yaml").write_text("plugin: team.edge.racks\n")
    (folder / "ec2.ini").write_text("[ec2]\nregions = all\n")
    (folder / "notes.yml").write_text("hosts: none\n")
    warned = load(tmp_path, probe_kinds=PROBE_KINDS, cache=False).warnings
    assert [f.file for f in warned if "is not read" in f.message] == [
        "inventories/shop/more.ini",
        "inventories/shop/racks.yaml",
    ]


def test_ours_within_an_inventory_is_said(tmp_path: Path) -> None:
    laid_out(tmp_path, {})
    services = tmp_path / "inventories/shop/services.yml"
    services.write_text("inventory: [.]\n" + FILES["inventories/shop/services.yml"])
    warned = load(tmp_path, probe_kinds=PROBE_KINDS, cache=False).warnings
    assert [(f.file, f.line) for f in warned if "takes services.yml in it for" in f.message] == [
        ("inventories/shop/services.yml", 1)
    ]
