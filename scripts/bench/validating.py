"""How long `bascule validate` takes on a large workspace: nothing known of it, and nothing changed since the last time.

The one rule it keeps: what is written is what an author could have written (roles that are shared, variables of groups
and hosts, tasks that are included), and each playbook of it is valid, or the measurement fails.

`python -m scripts.bench.validating DIRECTORY` writes such a workspace, to look at it or to try something on it.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from scripts.bench.rounds import Contender, in_turns
from scripts.bench.shape import Comparison, Row, Target

if TYPE_CHECKING:
    from scripts.bench.cell import Cell

HOSTS, PLAYBOOKS, ROLES, SITES = 500, 50, 10, 10

PLAYBOOK = """\
- name: Look at {site}
  hosts: {site}:!retired
  gather_facts: false
  tasks:
    - name: See who is there
      ansible.builtin.command: cat /etc/hostname
      register: names
      changed_when: false
    - name: Refuse an empty answer
      ansible.builtin.assert:
        that: [names.stdout | length > 0]

- name: Bring {site} up
  hosts: {site}
  become: true
  vars:
    listen: "{{{{ app_port | default(8000) }}}}"
  roles:
    - role: part{first}
    - {{role: part{second}, vars: {{part_mode: active}}}}
  tasks:
    - name: Write the settings
      ansible.builtin.template: {{src: settings.j2, dest: "/etc/part/{number}.conf", mode: "0644"}}
      notify: Restart
    - name: Say which address holds
      ansible.builtin.lineinfile: {{path: /etc/hosts, line: "{{{{ ansible_host }}}} active"}}
    - name: Do what belongs to it
      ansible.builtin.include_tasks: tasks/steps.yml
    - name: Wait for the port
      ansible.builtin.wait_for: {{port: "{{{{ listen }}}}", timeout: 30}}
      when: wait | default(true)
  handlers:
    - name: Restart
      ansible.builtin.service: {{name: part, state: restarted}}
"""
STEPS = """\
- name: Stop what is old
  ansible.builtin.service: {name: old, state: stopped}
- name: Start what is new
  ansible.builtin.service: {name: new, state: started}
"""
ROLE = """\
- name: Install
  ansible.builtin.package: {name: "{{ part_package }}", state: present}
- name: Make a folder
  ansible.builtin.file: {path: /etc/part, state: directory, mode: "0755"}
- name: Copy its settings
  ansible.builtin.copy: {content: "{{ part_mode }}", dest: /etc/part/mode, mode: "0644"}
  notify: Reload
- name: Configure each of them
  ansible.builtin.include_tasks: each.yml
  loop: [one, two, three]
- block:
    - name: Enable it
      ansible.builtin.systemd_service: {name: part, enabled: true, state: started}
  rescue:
    - name: Tell of it
      ansible.builtin.debug: {msg: "it did not start"}
"""


def write(where: Path, hosts: int = HOSTS, playbooks: int = PLAYBOOKS, clients: int = 1) -> None:
    """A workspace of so many hosts and playbooks in all."""
    files: dict[str, str] = {"playbooks/templates/settings.j2": "listen {{ listen }}\n",
                             "playbooks/tasks/steps.yml": STEPS}  # fmt: skip
    for part in range(ROLES):
        role = f"playbooks/roles/part{part}"
        files[f"{role}/defaults/main.yml"] = f"part_package: part{part}\npart_mode: standby\n"
        files[f"{role}/tasks/main.yml"] = ROLE
        files[f"{role}/tasks/each.yml"] = "- ansible.builtin.debug: {var: item}\n"
        files[f"{role}/handlers/main.yml"] = "- name: Reload\n  ansible.builtin.command: part reload\n"
    for number in range(playbooks):
        first, site = number % ROLES, f"site{number % SITES}"
        files[f"playbooks/move{number}.yml"] = PLAYBOOK.format(
            site=site, number=number, first=first, second=(first + 3) % ROLES
        )
    shared = {"all": ["sees"]}
    files["checks/all.yml"] = (
        "- {name: sees, probe: icmp, target: 127.0.0.1, reference: true}\n"
        '- {name: port, hosts: active, probe: tcp, port: 22, target: "{{ ansible_host }}"}\n'
    )
    for client in range(clients):
        mine = range(client, playbooks // 2, clients)
        folder, name = f"inventories/client{client}", f"c{client}"
        inventory: dict[str, Any] = {f"site{n}": {"hosts": {}} for n in range(SITES)}
        for number in range(hosts // clients):
            inventory[f"site{number % SITES}"]["hosts"][f"{name}h{number}"] = {
                "ansible_host": f"10.{client}.{number // 250}.{1 + number % 250}",
                "app_port": 8000 + number, "rack": f"r{number % 20}", "labels": {"tier": number % 3, "name": "web"},
            }  # fmt: skip
        active: dict[str, Any] = {f"{name}h{number}": {} for number in range(min(40, hosts // clients))}
        told = {"all": {"children": {**inventory, "active": {"hosts": active}, "retired": {}}}}
        files[f"{folder}/hosts.yml"] = json.dumps(told, indent=1)
        files[f"{folder}/group_vars/all.yml"] = "dns: [192.0.2.53, 192.0.2.54]\nntp: 192.0.2.123\n"
        for number in range(SITES):
            files[f"{folder}/group_vars/site{number}.yml"] = f"gateway: 10.{number}.0.1\nuplinks: {{a: 1, b: 2}}\n"
        files[f"{folder}/people.yml"] = (
            "people: {ada: {name: Ada, ways: [{apprise: 'json://127.0.0.1:9/'}]}}\non_call: [ada]\n"
        )
        moves = {
            f"move{n}": {"playbook": f"move{2 * n}.yml", "back": f"move{2 * n + 1}.yml", "timeout": "60s",
                         "verify": shared}
            for n in mine
        }  # fmt: skip
        files[f"{folder}/services.yml"] = json.dumps({
            "domains": ["here"], "places": {"here": {}}, "moves": moves,
            "services": {
                f"service{n}": {"mode": "observe", "home": "here", "rto": "15m", "healthy_when": {"all": ["port"]},
                                "ladder": [f"move{n}"]}
                for n in mine
            },
        }, indent=1)  # fmt: skip
    for path, text in files.items():
        (where / path).parent.mkdir(parents=True, exist_ok=True)
        (where / path).write_text(text)


def _timed(command: list[str], environment: Mapping[str, str], directory: Path) -> float:
    began = time.perf_counter()
    done = subprocess.run(command, env=environment, cwd=directory, capture_output=True, text=True, check=False)
    took_s = time.perf_counter() - began
    if done.returncode:
        raise RuntimeError(f"{command[0]} ended with {done.returncode}: {(done.stderr or done.stdout)[-600:]}")
    return took_s


def measure(cell: Cell) -> Iterator[Comparison]:
    """One client with all hosts, and ten clients with a tenth each; beside it, what Ansible itself takes."""
    beside = Path(sys.executable).parent
    kept = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}  # the cell's: not a user's
    environment = {**kept, "PATH": f"{beside}:{kept.get('PATH', os.defpath)}"}
    for clients in (1, 10):
        workspace = cell.directory / f"of-{clients}"
        write(workspace, clients=clients)
        validate = [str(beside / "bascule"), "validate", "-w", str(workspace)]
        books = [str(path) for path in sorted((workspace / "playbooks").glob("*.yml"))]
        inventory = str(workspace / "inventories/client0/hosts.yml")
        ansible = [str(beside / "ansible-playbook"), "--syntax-check", "-i", inventory, *books]

        def cold(workspace: Path = workspace, validate: list[str] = validate) -> float:
            shutil.rmtree(workspace / ".bascule", ignore_errors=True)
            return _timed(validate, environment, workspace)

        def warm(workspace: Path = workspace, validate: list[str] = validate) -> float:
            return _timed(validate, environment, workspace)

        def of_ansible(workspace: Path = workspace, ansible: list[str] = ansible) -> float:
            return _timed(ansible, environment, workspace)

        contenders: dict[str, Contender] = {"validate, cold": cold, "validate, warm": warm}
        if clients == 1:
            contenders["ansible-playbook --syntax-check"] = of_ansible
        values = in_turns(contenders, cell.rounds(10, 3), say=cell.say)
        told = f"{clients} clients" if clients > 1 else "one client"
        yield Comparison(
            "validate",
            f"validating a workspace of {HOSTS} hosts and {PLAYBOOKS} playbooks, {told}",
            tuple(Row(name, found) for name, found in values.items()),
            (("validate, cold", "ansible-playbook --syntax-check"),) if clients == 1 else (),
            (Target("validate, cold", "", 3.0), Target("validate, warm", "", 1.0)),
            "ansible-playbook: all playbooks in one call; it ends at the first fault, and includes are not followed",
            readme=clients == 1,
        )


if __name__ == "__main__":
    write(Path(sys.argv[1]), clients=int(sys.argv[2]) if len(sys.argv) > 2 else 1)
