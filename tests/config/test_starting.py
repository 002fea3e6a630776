"""Whether playbooks can start is asked of Ansible itself, once for all that an answer depends on."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from orchestrator.config import ConfigurationInvalid, load
from orchestrator.config.ansible_process import Ansible
from orchestrator.config.faults import Fault
from tests.config.probe_kinds import PROBE_KINDS

BASE = Path(__file__).parent.parent / "bad_configs" / "base"


@pytest.fixture
def place(tmp_path: Path) -> Path:
    """The sound workspace."""
    return Path(shutil.copytree(BASE, tmp_path / "ws"))


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """How many playbooks the real program was asked of, each time."""
    counts: list[int] = []
    ask = Ansible.playbooks

    def counted(self: Ansible, questions: list[Any], *rest: Any) -> list[dict[str, Any]]:
        counts.append(len(questions))
        return ask(self, questions, *rest)

    monkeypatch.setattr(Ansible, "playbooks", counted)
    return counts


def read(place: Path, *, cache: bool = True) -> tuple[list[str], tuple[Fault, ...]]:
    """Faults, and warnings."""
    try:
        return [], load(place, probe_kinds=PROBE_KINDS, starts=True, cache=cache).warnings
    except ConfigurationInvalid as invalid:
        return [str(fault) for fault in invalid.faults], invalid.warnings


def test_it_is_asked_again_only_of_what_has_changed(place: Path, asked: list[int]) -> None:
    assert read(place)[0] == []
    assert read(place)[0] == []
    assert asked == [3]
    (place / "playbooks/primary_isp.yml").write_text("- hosts: hq\n  tasks: [{ansible.builtin.debug: {msg: x}}]\n")
    assert read(place)[0] == []
    assert asked == [3, 1]
    assert read(place, cache=False)[0] == []
    assert asked == [3, 1, 3]


def test_what_was_lacking_is_asked_again(place: Path, asked: list[int]) -> None:
    (place / "playbooks/primary_isp.yml").write_text("- hosts: hq\n  tasks: [{site_outlet: {}}]\n")
    at = "playbooks/primary_isp.yml:2:12: there is no module 'site_outlet'; expected a module that is installed here"
    assert read(place)[0] == [at]
    assert read(place)[0] == [at]
    (place / "playbooks/library").mkdir()
    (place / "playbooks/library/site_outlet.py").write_text("#!/usr/bin/python\n")
    assert read(place)[0] == []
    assert asked[:2] == [3, 1]


def test_a_module_of_one_playbook_is_none_of_another(place: Path) -> None:
    (place / "playbooks/backup_isp.yml").write_text("- hosts: hq\n  roles: [app]\n  tasks: [{site_outlet: {}}]\n")
    (place / "playbooks/primary_isp.yml").write_text("- hosts: hq\n  tasks: [{site_outlet: {}}]\n")
    library = place / "playbooks/roles/app/library"
    library.mkdir()
    (library / "site_outlet.py").write_text("#!/usr/bin/python\n")
    assert [fault.partition(": ")[0] for fault in read(place)[0]] == ["playbooks/primary_isp.yml:2:12"]


def test_a_group_that_one_client_has_is_missed_for_the_other_and_no_slip(place: Path) -> None:
    shutil.copytree(place / "inventories/acme", place / "inventories/bistro")
    hosts = place / "inventories/bistro/hosts.yml"
    hosts.write_text(hosts.read_text().replace("hq-edge:", "hq-gate:"))
    (place / "playbooks/primary_isp.yml").write_text("- hosts: hq-edge\n  tasks: []\n- hosts: hq-app\n  tasks: []\n")
    (place / "playbooks/backup_isp.yml").write_text("- hosts: hq\n  tasks: []\n")
    faults, warnings = read(place)
    assert faults == []
    told = "hosts: there is no host or group 'hq-edge' in the inventory of client bistro: this play is skipped there"
    assert f"playbooks/primary_isp.yml:1:10: {told}" in map(str, warnings)


def test_a_play_whose_other_hosts_are_there_is_not_said_to_be_skipped(place: Path) -> None:
    shutil.copytree(place / "inventories/acme", place / "inventories/bistro")
    hosts = place / "inventories/bistro/hosts.yml"
    hosts.write_text(hosts.read_text().replace("hq-edge:", "hq-gate:"))
    (place / "playbooks/primary_isp.yml").write_text("- hosts: hq-edge:hq-app\n  tasks: []\n")
    (place / "playbooks/backup_isp.yml").write_text("- hosts: hq\n  tasks: []\n")
    faults, warnings = read(place)
    assert faults == []
    told = "hosts: there is no host or group 'hq-edge' in the inventory of client bistro: this play goes on without it"
    assert f"playbooks/primary_isp.yml:1:10: {told}" in map(str, warnings)


def test_hosts_of_a_computed_inventory_may_come_later(place: Path) -> None:
    (place / "inventories/acme/hosts.yml").unlink()
    script = place / "inventories/acme/hosts.sh"
    groups = (
        '{"hq": {"hosts": ["hq-edge", "hq-app"]}, "geo": {"hosts": ["geo-app"]}, "consoles": {"hosts": ["hq-oob"]}}'
    )
    script.write_text(f"#!/bin/sh\necho '{groups}'\n")
    script.chmod(0o755)
    (place / "playbooks/primary_isp.yml").write_text("- hosts: tag_started\n  tasks: []\n")
    faults, warnings = read(place)
    assert [f for f in faults if "playbooks/" in f] == []
    assert any("its inventory is computed: only Ansible can know when it runs" in str(w) for w in warnings)


def test_tasks_under_a_condition_are_no_fault_and_others_are(place: Path) -> None:
    folder = place / "playbooks"
    (folder / "windows.yml").write_text("- acme.windows.service: {name: x}\n")
    text = "- hosts: hq\n  tasks:\n    - include_tasks: windows.yml\n      when: is_windows | default(false)\n"
    (folder / "primary_isp.yml").write_text(text)
    faults, warnings = read(place)
    assert faults == []
    assert any(w.file == "playbooks/windows.yml" and "included when it runs" in w.message for w in warnings)
    (folder / "primary_isp.yml").write_text(text.rpartition("      when")[0])
    assert [fault.partition(": ")[0] for fault in read(place)[0]] == ["playbooks/windows.yml:1:3"]


def test_every_fault_of_a_playbook_is_told_at_once_where_it_is(place: Path) -> None:
    """A task, a role or a play that Ansible refuses hides no other one."""
    (place / "playbooks/roles/app/vars").mkdir()
    (place / "playbooks/roles/app/vars/main.yml").write_text("- a list\n")
    (place / "playbooks/primary_isp.yml").write_text("""\
- hosts: hq
  strategy: fre
  connection: nowhere
  tasks:
    - import_role: {name: plain, tasks_from: none}
    - debug: {msg: x}
      loop: [1]
      with_items: [2]
    - command: a
      shell: b
    - just text
    - block:
        - name: no module
        - comand: x
- hosts: hq
  tasks: text
- hosts: hq
  roles:
    - app
  tasks:
    - comand: x
- import_playbook: none.yml
""")
    (place / "playbooks/roles/plain/tasks").mkdir(parents=True)
    (place / "playbooks/roles/plain/tasks/main.yml").write_text("[]")
    faults, _ = read(place)
    told = [f.removeprefix("playbooks/primary_isp.yml:") for f in faults if "primary_isp" in f]
    assert [f.partition(";")[0] for f in told] == [
        "2:13: there is no strategy 'fre'",
        "3:15: there is no connection 'nowhere'",
        "5:27: Could not find specified file in role: tasks/none",
        "6:7: duplicate loop in task: items",
        "9:7: conflicting action statements: command, shell",
        "11:7: this is no task",
        "13:11: no module/action detected in task.",
        "14:11: there is no module 'comand'",
        *[f.partition(";")[0] for f in told if f.startswith("15:3: A malformed block")],
        "19:7: The vars/main.yml file for role 'app' must contain a dictionary of variables",
        "21:7: there is no module 'comand'",
        "22:20: there is no file 'none.yml'",
    ]
    assert len(told) == 12
    assert told[0].endswith("did you mean 'free'?")


def test_what_is_no_yaml_is_told_once_where_it_is(place: Path) -> None:
    """Though Ansible, which is asked too, says it of each playbook that uses the file."""
    (place / "playbooks/primary_isp.yml").write_text("- hosts: hq\n  vars_files: [a{{ b }}.yml]\n  tasks: []\n")
    faults, _ = read(place)
    assert [fault.partition(": ")[0] for fault in faults] == ["playbooks/primary_isp.yml:2:17"], faults


def test_what_is_no_text_is_told_once_where_it_is(place: Path) -> None:
    (place / "playbooks/primary_isp.yml").write_bytes(b"- hosts: hq\n  tasks: []\n# caf\xe9\n")
    faults, _ = read(place)
    assert faults == ["playbooks/primary_isp.yml:3:1: this is no UTF-8 text; expected a YAML file in UTF-8"]


def test_what_is_no_file_is_not_waited_for(place: Path) -> None:
    """A pipe that nobody writes to where a file should be; a folder is none either."""
    (place / "playbooks/primary_isp.yml").unlink()
    (place / "playbooks/primary_isp.yml").mkdir()
    (fault,) = read(place)[0]
    assert "playbook 'primary_isp.yml' is no file" in fault
    for name in ("checks/pipe.yml", "inventories/acme/hosts.yml"):
        (place / name).unlink(missing_ok=True)
        os.mkfifo(place / name)
    faults, _ = read(place)
    told = "\n".join(faults)
    assert "checks/pipe.yml: cannot be read: Is a pipe" in told
    assert "inventories/acme/hosts.yml: is no file" in told


def test_a_question_that_breaks_its_process_is_answered_so() -> None:
    """And not asked again for ever: one that ends early has no answer, and no fault."""
    asked = json.dumps({"id": 7, "program": "inventory"})  # neither arguments nor environment
    done = subprocess.run(
        [sys.executable, "-P", "-m", "orchestrator.syntax"],
        input=f"{asked}\n",
        capture_output=True,
        text=True,
        check=True,
        timeout=120,
    )
    assert json.loads(done.stdout) == {"id": 7, "broken": "it ended in the middle"}
