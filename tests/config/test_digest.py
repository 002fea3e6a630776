"""An approval holds for what was shown: whatever Ansible would load changes the digest, through whatever link."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import surroundings, trees
from orchestrator.config.comparing import differences, playbook_digest
from orchestrator.config.faults import Faults, Position
from orchestrator.config.inventory import read_inventory
from orchestrator.config.load import sources_of
from orchestrator.config.playbooks import Reader
from tests.lab.story import REPOSITORY

PLAYBOOK = """
- hosts: web
  vars_files: [vars/site.yml]
  roles: [{role: linked}]
  tasks:
    - ansible.builtin.template: {src: page.j2, dest: /tmp/page}
    - ansible.builtin.debug: {msg: "{{ lookup('file', 'motd') }}"}
"""


def write(path: Path, text: str = "x: 1\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A workspace with a linked role, linked variables, and a home of its own."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    for name in [n for n in os.environ if n.startswith("ANSIBLE_")]:
        monkeypatch.delenv(name)
    place = tmp_path / "ws"
    write(place / "playbooks/p.yml", PLAYBOOK)
    write(place / "playbooks/vars/site.yml")
    write(place / "playbooks/templates/page.j2")
    write(place / "playbooks/files/motd")
    write(place / "inventories/acme/hosts.yml", "all: {hosts: {web: {ansible_connection: local}}}\n")
    write(tmp_path / "shared/role/tasks/main.yml", "- ansible.builtin.command: 'true'\n")
    write(tmp_path / "shared/more/handlers.yml", "[]\n")
    (tmp_path / "shared/role/handlers").symlink_to(tmp_path / "shared/more")
    (place / "playbooks/roles").mkdir()
    (place / "playbooks/roles/linked").symlink_to(tmp_path / "shared/role")
    write(tmp_path / "shared/vars/main.yml")
    (place / "inventories/acme/group_vars").mkdir()
    (place / "inventories/acme/group_vars/all").symlink_to(tmp_path / "shared/vars")
    return place


def digest(place: Path) -> str:
    found = playbook_digest(place, "p.yml", [place / "inventories/acme/hosts.yml"])
    assert found is not None
    return found


CFG = "[defaults]\n"
AFTERWARDS: dict[str, Callable[[Path], object]] = {
    "callback plug-in beside it": lambda p: write(p / "playbooks/callback_plugins/evil.py"),
    "vars plug-in beside it": lambda p: write(p / "playbooks/vars_plugins/evil.py"),
    "strategy plug-in beside it": lambda p: write(p / "playbooks/strategy_plugins/evil.py"),
    "module beside it": lambda p: write(p / "playbooks/library/command.py"),
    "collection beside it": lambda p: write(p / "playbooks/collections/ansible_collections/a/b/plugins/modules/m.py"),
    "ansible.cfg of the workspace": lambda p: write(p / "ansible.cfg", CFG),
    "ansible.cfg of the playbooks": lambda p: write(p / "playbooks/ansible.cfg", CFG),
    "ansible.cfg of the user": lambda p: write(Path.home() / ".ansible.cfg", CFG),
    "plug-in of the user": lambda p: write(Path.home() / ".ansible/plugins/callback/evil.py"),
    "collection of the user": lambda p: write(Path.home() / ".ansible/collections/ansible_collections/a/b/c.py"),
    "linked role": lambda p: write(p.parent / "shared/role/tasks/main.yml", "- ansible.builtin.command: id\n"),
    "plug-in in a linked role": lambda p: write(p.parent / "shared/role/filter_plugins/evil.py"),
    "link within a linked role": lambda p: write(p.parent / "shared/more/handlers.yml", "[{name: x}]\n"),
    "linked variables": lambda p: write(p.parent / "shared/vars/main.yml", "x: 2\n"),
    "new linked variables": lambda p: write(p.parent / "shared/vars/other.yml", "y: 2\n"),
    "variables of the playbook": lambda p: write(p / "playbooks/group_vars/all.yml"),
    "variables named in it": lambda p: write(p / "playbooks/vars/site.yml", "x: 2\n"),
    "template": lambda p: write(p / "playbooks/templates/page.j2", "other"),
    "what is looked up": lambda p: write(p / "playbooks/files/motd", "other"),
}


HOWEVER_WRITTEN = {  # a task, and what it uses
    "include_vars: {dir: settings}": "settings/a.yml",
    "include_vars: file=a.yml": "vars/a.yml",
    "include_tasks: file=a.yml": "a.yml",
    "include_tasks: {args: {file: a.yml}}": "a.yml",
    "include_role: name=a": "roles/a/tasks/main.yml",
    "script: {cmd: a.sh}": "files/a.sh",
    "script: creates=/x a.sh": "a.sh",
    "copy: src=a.txt dest=/x": "files/a.txt",
    "action: copy src=a.txt dest=/x": "files/a.txt",
    "local_action: script a.sh": "a.sh",
    "action: {module: script, cmd: a.sh}": "a.sh",
    "command: '{{ playbook_dir }}/tools/a.sh'": "tools/a.sh",
    "shell: . ./a.env && run": "a.env",
    "command: ../a.sh": "../a.sh",
    "debug: {msg: \"{{ lookup('file', 'a.yml') }}\"}": "a.yml",
    "debug: {msg: \"{{ lookup('pipe', 'tools/a.sh') }}\"}": "tools/a.sh",
    "debug: {msg: \"{{ lookup('file', '../a.txt') }}\"}": "../a.txt",
    "script: \"'a b.sh' now\"": "a b.sh",
    "command: \"'tools/a b.sh'\"": "tools/a b.sh",
    "command: \"{{ playbook_dir ~ '/tools/a.sh' }}\"": "tools/a.sh",
    "command: '{{ playbook_dir | dirname }}/tools/a.sh'": "../tools/a.sh",
    "command: '{{ playbook_dir }}/../tools/a.sh'": "../tools/a.sh",
    "command: tools/a.sh": "../tools/a.sh",
    "command: '{{ inventory_dir }}/tools/a.sh'": "../inventories/acme/tools/a.sh",
    "debug: {msg: \"{{ lookup('fileglob', 'conf.d/*.conf') }}\"}": "conf.d/a.conf",
    "template: {src: page.j2, dest: /x}": "page.j2",
    "include_vars: {dir: settings/}": "settings/.git/a.yml",
    "copy: {src: tree/, dest: /x}": "files/tree/__pycache__/a.txt",
    "copy: {src: '{{ playbook_dir }}/../site/', dest: /x}": "../site/a.html",
    "copy: {src: '{{ item }}', dest: /x, with_fileglob: '../site/*'}": "../site/a.html",
    "ansible.posix.synchronize: {src: ../site/, dest: /x}": "../site/a.html",
    "shell: ./a.sh chdir={{ playbook_dir }}/../tools": "../tools/a.sh",
    "command: {cmd: ./a.sh, chdir: tools}": "../tools/a.sh",
    "shell: cd tools && ./a.sh": "../tools/a.sh",
    "command: make -C tools all": "../tools/Makefile",
    "command: python3 -m tools.fence": "../tools/fence.py",
    "command: python3 -m tools": "../tools/__main__.py",
    "command: terraform -chdir=infra apply": "../infra/main.tf",
    "command: {argv: [make, --directory=infra, all]}": "../infra/Makefile",
    "include_role: {name: '{{ inventory_dir }}/roles/a'}": "../inventories/acme/roles/a/tasks/main.yml",
    "community.general.terraform: {project_path: '{{ playbook_dir }}/../infra'}": "../infra/main.tf",
    "include_tasks: '../steps/{{ how }}.yml'": "../steps/a.yml",
    "include_vars: '{{ playbook_dir }}/../conf/{{ site }}.yml'": "../conf/a.yml",
    "debug: {msg: '{{ at }}/a.sh', vars: {at: '{{ playbook_dir }}/../tools'}}": "../tools/a.sh",
    "include_vars: {file: '{{ site }}.yml', vars: {site: ../conf/a}}": "../conf/a.yml",
    "shell: ssh -o UserKnownHostsFile=x;tools/a.sh": "tools/a.sh",
    "command: sh {{ playbook_dir }}/tools/fence@hq.sh": "tools/fence@hq.sh",
    "command: sh {{ playbook_dir }}/tools/a=1,b:2(3).sh": "tools/a=1,b:2(3).sh",
    "command: 'sh \"{{ playbook_dir }}/tools/power off.sh\"'": "tools/power off.sh",
    "command: {argv: [sh, '{{ playbook_dir }}/tools/power off.sh']}": "tools/power off.sh",
    "shell: sh {{ playbook_dir }}/tools/power\\ off.sh": "tools/power off.sh",
    "command: '{{ playbook_dir }}/tools/pre-{{ which }}.sh'": "tools/pre-a.sh",
    "command: sh pre-{{ which }}.sh": "../pre-a.sh",
    "command: sh {{ which }}.sh": "../a.sh",
    "command: \"{{ [playbook_dir, 'tools', 'a.sh'] | path_join }}\"": "tools/a.sh",
    "command: make fence": "../Makefile",
    "command: make -C {{ playbook_dir }} fence": "Makefile",
    "command: {cmd: make fence, chdir: '{{ inventory_dir }}'}": "../inventories/acme/Makefile",
    "shell: cd {{ playbook_dir }} && sudo docker compose up -d": "docker-compose.yml",
    "command: {argv: [terraform, apply], chdir: '{{ playbook_dir }}'}": "main.tf",
    "community.general.terraform: {project_path: '{{ playbook_dir }}/'}": "main.tf",
    "community.docker.docker_compose_v2: {project_src: '{{ playbook_dir }}'}": "compose.yaml",
    "include_tasks: '{{ inventory_dir | dirname }}/steps/a.yml'": "../inventories/steps/a.yml",
    "include_tasks: \"{{ (inventory_dir | dirname) ~ '/steps/a.yml' }}\"": "../inventories/steps/a.yml",
    "include_tasks: \"{{ inventory_dir ~ '/../steps/to-' ~ place ~ '.yml' }}\"": "../inventories/steps/to-a.yml",
    "include_vars: \"{{ '%s/../steps/to-%s.yml' | format(inventory_dir, place) }}\"": "../inventories/steps/to-a.yml",
    "command: \"{{ 'sh tools/pre-' ~ place ~ '.sh' }}\"": "../tools/pre-a.sh",
    "shell: sh tools/pre-$SITE.sh": "../tools/pre-a.sh",
    "shell: sh tools/pre-${SITE}.sh": "../tools/pre-a.sh",
    "shell: 'for s in a b; do sh tools/pre-$s.sh; done'": "../tools/pre-a.sh",
    "shell: 'for s in tools/{a,b}.sh; do sh $s; done'": "../tools/a.sh",
    "shell: 'for s in tools/*; do sh $s; done'": "../tools/a.sh",
    "shell: 'at=tools; sh $at/a.sh'": "../tools/a.sh",
    'shell: sh "tools"/a.sh': "../tools/a.sh",
    "command: run-parts tools": "../tools/a.sh",
    "shell: find tools -name '*.sh' -exec sh {} +": "../tools/a.sh",
}


@pytest.mark.parametrize(
    "said",
    ["~", "$HOME", "${HOME}", "{{ lookup('env', 'HOME') }}", "{{ ansible_env.HOME }}", "{{ ansible_env['HOME'] }}"],
)
def test_a_script_in_the_home_is_covered_however_the_home_is_written(place: Path, said: str) -> None:
    write(place / "playbooks/p.yml", f'- hosts: web\n  tasks:\n    - command: "sh {said}/fence.sh"\n')
    write(Path.home() / "fence.sh", "old")
    before = digest(place)
    write(Path.home() / "fence.sh", "another")
    assert digest(place) != before


@pytest.mark.parametrize("task", HOWEVER_WRITTEN)
@pytest.mark.parametrize("by_a_role", [False, True])
def test_what_a_task_uses_is_covered_however_it_is_written(place: Path, task: str, by_a_role: bool) -> None:
    used = place / "playbooks" / HOWEVER_WRITTEN[task]
    if by_a_role:
        write(place / "playbooks/roles/mine/tasks/main.yml", f"- {task}\n")
        write(place / "playbooks/p.yml", "- hosts: web\n  roles: [mine]\n")
    else:
        write(place / "playbooks/p.yml", f"- hosts: web\n  tasks:\n    - {task}\n")
    (place / "playbooks/roles").mkdir(exist_ok=True)
    write(used, "[]\n")
    before = digest(place)
    write(used, "[{debug: }]\n")
    assert digest(place) != before


BY_ANOTHER = {  # what a file says that the playbook uses, and what that names
    "vars/site.yml": ("tool: '{{ playbook_dir }}/tools/a.sh'\n", "playbooks/tools/a.sh"),
    "vars/site.yml ": ("motd: \"{{ lookup('file', 'notes/a.txt') }}\"\n", "playbooks/notes/a.txt"),
    "group_vars/web.yml": ("tool: tools/a.sh\n", "playbooks/tools/a.sh"),
    "../inventories/acme/group_vars/web.yml": ("tool: '{{ inventory_dir }}/a.sh'\n", "inventories/acme/a.sh"),
    "../inventories/acme/group_vars/web.yml ": ("tool: a.sh\n", "playbooks/files/a.sh"),
    "templates/sub/page.j2": ("{% include 'inner.j2' %}", "playbooks/templates/inner.j2"),
    "top.j2": ("{% include 'inner.j2' %}", "playbooks/inner.j2"),
    "run.sh": ("#!/bin/sh\n. ./tools/more.sh\n", "playbooks/tools/more.sh"),
    "run.sh in a variable": ('#!/bin/sh\nHERE=$(dirname "$0")\n. "$HERE/more.sh"\n', "playbooks/more.sh"),
    "tools/fence.py": ("import os, power\n", "playbooks/tools/power.py"),
    "tools/fence.py, a name of it": ("from power import off\n", "playbooks/tools/power.py"),
    "tools/fence.py, a package": ("from lib.power import off\n", "playbooks/tools/lib/power.py"),
    "tools/fence.py, in a package": ("from lib import power\n", "playbooks/tools/lib/power.py"),
    "tools/fence.py, elsewhere": (
        "sys.path.insert(0, os.path.join(HERE, '..', 'lib'))\nimport power\n",
        "playbooks/lib/power.py",
    ),
    "tools/fence.rb": ("require_relative 'power'\n", "playbooks/tools/power.rb"),
    "long.sh": ("# " + "x" * 300_000 + "\n. ./tools/more.sh\n", "playbooks/tools/more.sh"),
    "roles/linked/vars/main.yml": ("tool: '{{ playbook_dir }}/tools/a.sh'\n", "playbooks/tools/a.sh"),
    "roles/linked/templates/x.j2": ("{% include '../../notes/a.txt' %}", "playbooks/notes/a.txt"),
    "{{ how }}.yml of tasks": ("- include_role: {name: other}\n", "roles-of-ours/other/tasks/main.yml"),
}


@pytest.mark.parametrize("by", BY_ANOTHER)
def test_what_a_file_names_that_a_playbook_uses_is_covered(place: Path, by: str) -> None:
    steps = "{{ how }}" if "how" in by else "any"
    uses = f"""
- hosts: web
  vars_files: [vars/site.yml]
  roles: [{{role: linked}}]
  tasks:
    - ansible.builtin.template: {{src: sub/page.j2, dest: /x}}
    - ansible.builtin.template: {{src: top.j2, dest: /x}}
    - ansible.builtin.script: run.sh
    - ansible.builtin.command: python3 {{{{ playbook_dir }}}}/tools/fence.py
    - ansible.builtin.command: ruby tools/fence.rb
    - ansible.builtin.command: sh long.sh
    - ansible.builtin.include_tasks: "steps/{steps}.yml"
"""
    write(place / "ansible.cfg", "[defaults]\nroles_path = roles-of-ours\n")
    write(place / "playbooks/p.yml", uses)
    text, named = BY_ANOTHER[by]
    name = "steps/any.yml" if "tasks" in by and "how" in by else by.partition(",")[0].partition(" in ")[0].strip()
    write(place / "playbooks" / name, text)
    write(place / named, "[]\n")
    before = digest(place)
    write(place / named, "[{debug: }]\n")
    assert digest(place) != before


def test_variables_of_which_the_first_is_taken_are_covered(place: Path) -> None:
    write(place / "playbooks/p.yml", "- hosts: web\n  vars_files: [[a.yml, b.yml]]\n")
    write(place / "playbooks/b.yml")
    before = digest(place)
    write(place / "playbooks/a.yml")
    assert digest(place) != before


def test_what_is_beside_an_imported_playbook_is_covered(place: Path) -> None:
    write(place / "playbooks/p.yml", "- import_playbook: sub/q.yml\n")
    write(place / "playbooks/sub/q.yml", "- hosts: web\n")
    before = digest(place)
    write(place / "playbooks/sub/library/command.py")
    assert digest(place) != before


def test_a_word_that_names_a_broken_file_is_no_fault(place: Path) -> None:
    write(place / "playbooks/p.yml", "- hosts: web\n  tasks: [{debug: {msg: see notes.yml and b.yml}}]\n")
    write(place / "playbooks/notes.yml", "a: [\n")
    write(place / "playbooks/b.yml", "- import_tasks: gone.yml\n")
    reader = Reader(place, faults := Faults())
    assert reader.check("p.yml", Position("p.yml"))
    assert not faults.found
    assert reader.check("notes.yml", Position("notes.yml"))
    assert faults.found


def test_a_template_that_another_includes_is_covered(place: Path) -> None:
    write(place / "playbooks/p.yml", "- hosts: web\n  tasks: [{template: {src: page.j2, dest: /x}}]\n")
    write(place / "playbooks/templates/page.j2", "{% include 'inner.j2' %}")
    write(place / "playbooks/templates/inner.j2", "one")
    before = digest(place)
    write(place / "playbooks/templates/inner.j2", "two")
    assert digest(place) != before


@pytest.mark.parametrize("what", AFTERWARDS)
def test_what_is_put_there_afterwards_changes_the_digest(place: Path, what: str) -> None:
    before = digest(place)
    assert digest(place) == before
    AFTERWARDS[what](place)
    assert digest(place) != before


@pytest.mark.parametrize(
    "setting", ["callback_plugins", "roles_path", "collections_path", "library", "strategy_plugins"]
)
def test_what_the_configuration_names_is_covered(place: Path, setting: str) -> None:
    write(place / "other/a/b.py")
    write(place / "ansible.cfg", f"[defaults]\n{setting} = other\n")
    before = digest(place)
    write(place / "other/a/c.py")
    assert digest(place) != before


@pytest.mark.parametrize(
    "setting",
    [
        "[defaults]\nvault_password_file = tools/first.sh\n",
        "[defaults]\nvault_identity_list = dev@tools/first.sh\n",
        "[ssh_connection]\nssh_executable = tools/first.sh\n",
        '[ssh_connection]\nssh_args = -o ProxyCommand="tools/first.sh %h"\n',
        '[ssh_connection]\nssh_args = -o ProxyCommand="sh tools/inner %h"\n',
    ],
)
def test_what_a_program_that_the_configuration_names_uses_is_covered(place: Path, setting: str) -> None:
    write(place / "tools/first.sh", "#!/bin/sh\nexec sh tools/inner\n").chmod(0o700)
    write(place / "tools/inner")
    write(place / "ansible.cfg", setting)
    before = digest(place)
    write(place / "tools/inner", "other")
    assert digest(place) != before


STATE = "- hosts: web\n  tasks:\n    - ansible.builtin.file: {{path: {0}/state/up, state: touch}}\n"
NOT_READ = ("nobody", "a copy out", "by a name with a variable", "by a relative name")
READS = {
    "nobody": "",
    "a copy out": "    - ansible.builtin.copy: {{src: x.cfg, dest: {0}/state/up}}\n",
    "by a name with a variable": "    - fetch: {{src: /x, dest: '{{{{ playbook_dir }}}}/../state/{{{{ what }}}}'}}\n",
    "by a relative name": "    - fetch: {{src: /etc/x, dest: ../state/}}\n",
    "a module that reads by path": "    - {{read_csv: {{path: {0}/state/up}}, delegate_to: localhost}}\n",
    "variables": "    - include_vars: ../state/up\n",
    "a program": "    - ansible.builtin.command: {0}/state/up\n",
    "a variable": "    - ansible.builtin.command: sh -c '. {{{{ it }}}}'\n      vars: {{it: {0}/state/up}}\n",
    "a copy": "    - ansible.builtin.copy: {{src: {0}/state/up, dest: /tmp/x}}\n",
}


@pytest.mark.parametrize("by", READS)
def test_what_a_playbook_only_writes_does_not_make_it_another_one(place: Path, by: str) -> None:
    """Where anything else names it too, it may be read."""
    write(place / "playbooks/p.yml", (STATE + READS[by]).format(place))
    write(place / "state/other")
    before = digest(place)
    write(place / "state/up", "up\n")
    assert (digest(place) == before) is (by in NOT_READ)


WRITTEN_AND_USED = {  # by the look of it written alone, and yet run
    "its alias": """
    - copy: {content: x, dest: &run tools/a.sh, force: false}
    - command: *run
""",
    "an alias of its options": """
    - file: &it {path: tools/a.sh, state: touch}
    - stat: *it
""",
    "what the task says of it": """
    - copy: {content: x, dest: tools/a.sh, force: false}
      register: made
    - command: "{{ made.dest }}"
""",
    "what a loop says of it": """
    - file: {path: tools/a.sh, mode: "0755"}
      register: made
      loop: [1]
    - command: "{{ made['results'][0]['path'] }}"
""",
    "a variable that is called like a module": """
    - command: "{{ archive.dest }}"
      vars: {archive: {dest: tools/a.sh}}
""",
    "a list that is called like tasks": """
    - command: "{{ item.file.path }}"
      loop: "{{ jobs.tasks }}"
      vars: {jobs: {tasks: [{file: {path: tools/a.sh}}]}}
""",
    "a module of somebody's": """
    - mine.own.copy: {dest: tools/a.sh}
""",
}


@pytest.mark.parametrize("by", WRITTEN_AND_USED)
def test_what_is_written_and_used_by_another_name_is_covered(place: Path, by: str) -> None:
    write(place / "playbooks/p.yml", f"- hosts: web\n  tasks:{WRITTEN_AND_USED[by]}")
    write(place / "playbooks/tools/a.sh", "one")
    before = digest(place)
    write(place / "playbooks/tools/a.sh", "two")
    assert digest(place) != before


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("playbooks/group_vars/all.yml", "template: {dest: tools/a.sh}\n"),
        ("inventories/acme/group_vars/all/x.yml", "plugin: x\ncache_connection: tools/a.sh\n"),
        ("inventories/acme/group_vars/all.yml", "plugin: x\ncache_connection: tools/a.sh\n"),
        ("inventories/acme/hosts.yml", "plugin: x\ncompose: {cache_prefix: '''tools/a.sh'''}\n"),
        ("inventories/acme/hosts.yml", "plugin: x\ncache_program: tools/a.sh\n"),
    ],
)
def test_variables_that_are_called_like_options_are_covered(place: Path, name: str, text: str) -> None:
    if "all.yml" in name and "inventories" in name:
        (place / "inventories/acme/group_vars/all").unlink()
    write(place / name, text)
    write(place / "playbooks/tools/a.sh", "one")
    before = digest(place)
    write(place / "playbooks/tools/a.sh", "two")
    assert digest(place) != before


def test_a_bare_word_is_no_folder_of_the_workspace(place: Path) -> None:
    """Else what a playbook leaves in `state/` made it another one for each `when: state == 'up'`."""
    task = "{debug: {msg: \"{{ state }}\"}, when: state == 'up', vars: {state: state}}"
    write(place / "playbooks/p.yml", f"- hosts: web # see state/\n  tasks: [{task}]\n")
    write(place / "state/up", "one")
    before = digest(place)
    write(place / "state/up", "two")
    assert digest(place) == before


def test_the_files_that_ssh_reads_are_covered(place: Path) -> None:
    config = write(place / "ssh.cfg", "Host *\n")
    write(place / "ansible.cfg", "[ssh_connection]\nssh_args = -o ControlMaster=auto -F ssh.cfg\n")
    before = digest(place)
    write(config, "Host *\n  ProxyCommand sh -c 'id >/tmp/x'\n")
    assert digest(place) != before


SSH_ARGS = {  # where arguments of ssh are said, and what reads them
    "inventory": ("inventories/acme/group_vars/web.yml", "ansible_ssh_common_args: -F ssh.cfg\n"),
    "inventory without a blank": ("inventories/acme/group_vars/web.yml", "ansible_ssh_extra_args: '-C -Fssh.cfg'\n"),
    "inventory with quotes": ("inventories/acme/group_vars/web.yml", "ansible_ssh_args: '-F \"ssh.cfg\"'\n"),
    "a play's variables": ("playbooks/group_vars/web.yml", "ansible_ssh_args: -F ssh.cfg\n"),
    "the configuration": ("ansible.cfg", "[ssh_connection]\nssh_args = -F ssh.cfg\n"),
    "a move's variables": ("inventories/acme/services.yml", "moves: {a: {vars: {ansible_ssh_args: -F ssh.cfg}}}\n"),
}


@pytest.mark.parametrize("where", SSH_ARGS)
@pytest.mark.parametrize("included", [False, True])
def test_a_file_that_ssh_is_told_to_read_is_covered(place: Path, where: str, included: bool) -> None:
    name, text = SSH_ARGS[where]
    write(place / name, text)
    read = place / "ssh.cfg"
    if included:
        write(read, f"Host *\n  Include {place}/conf.d/*\n")
        read = place / "conf.d/first"
    write(read, "Host *\n")
    before = digest(place)
    write(read, "Host *\n  ProxyCommand sh -c 'id >/tmp/x'\n")
    assert digest(place) != before


def test_what_ssh_reads_by_itself_is_covered(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its home is that of the password file, whatever HOME says."""
    home = place.parent / "of-ssh"
    monkeypatch.setattr(surroundings, "_home_of_ssh", lambda: str(home))
    write(home / ".ssh/config", "Include more/*\n")
    before = digest(place)
    write(home / ".ssh/more/first", "Host *\n")
    assert (second := digest(place)) != before
    program = write(place.parent / "jump")
    program.chmod(0o700)
    write(home / ".ssh/more/first", f"Host *\n  ProxyCommand {program} %h\n")
    assert (third := digest(place)) != second
    write(program, "#!/bin/sh\nid\n")
    assert digest(place) != third


OF_HOME = ("~", "%d", "$HOME", "${HOME}")


@pytest.mark.parametrize("home", OF_HOME)
@pytest.mark.parametrize("said", ["Include {}/more", "Match all\n  ProxyCommand {}/more %h"])
def test_what_ssh_reads_and_starts_is_covered_however_the_home_is_written(
    place: Path, monkeypatch: pytest.MonkeyPatch, home: str, said: str
) -> None:
    monkeypatch.setattr(surroundings, "_home_of_ssh", lambda: os.environ["HOME"])
    write(Path.home() / ".ssh/config", said.format(home) + "\n")
    write(Path.home() / "more", "one").chmod(0o700)
    before = digest(place)
    write(Path.home() / "more", "another")
    assert digest(place) != before


@pytest.mark.parametrize("home", OF_HOME)
def test_a_jumps_program_in_the_home_is_covered(place: Path, home: str) -> None:
    write(place / "inventories/acme/group_vars/web.yml", f"ansible_ssh_args: -o ProxyCommand='{home}/jump %h'\n")
    write(Path.home() / "jump", "one").chmod(0o700)
    before = digest(place)
    write(Path.home() / "jump", "another")
    assert digest(place) != before


def test_a_program_that_the_inventory_names_is_covered_wherever_it_is(place: Path) -> None:
    program = write(place.parent / "outside/jump")
    program.chmod(0o700)
    write(
        place / "inventories/acme/group_vars/web.yml", f"ansible_ssh_common_args: '-o ProxyCommand=\"{program} %h\"'\n"
    )
    before = digest(place)
    write(program, "#!/bin/sh\nid\n")
    assert digest(place) != before


LOADED = (
    "-o PKCS11Provider=LIBRARY", "-oPKCS11Provider=LIBRARY", "-o 'SecurityKeyProvider LIBRARY'", "-I LIBRARY",
    "-I=LIBRARY.so", "-o PKCS11Provider=$OF_TOKENS",
)  # fmt: skip


@pytest.mark.parametrize("said", [*LOADED, "an ssh_config", "the environment"])
def test_what_ssh_loads_into_itself_is_covered(place: Path, monkeypatch: pytest.MonkeyPatch, said: str) -> None:
    """A library need not be executable for that, nor be called as one."""
    library = place.parent / "outside/tokens"
    write(Path(f"{library}.so"))
    write(library)
    monkeypatch.setenv("OF_TOKENS", str(library))
    if said == "the environment":
        monkeypatch.setenv("SSH_SK_PROVIDER", str(library))
    elif said == "an ssh_config":
        write(place / "ssh.cfg", f"Host *\n  PKCS11Provider {library}\n")
        write(place / "inventories/acme/group_vars/web.yml", "ansible_ssh_common_args: -F ../../ssh.cfg\n")
    else:
        args = said.replace("LIBRARY", str(library))
        write(place / "inventories/acme/group_vars/web.yml", f'ansible_ssh_common_args: "{args}"\n')
    before = digest(place)
    assert digest(place) == before
    write(Path(f"{library}.so"), "another")
    write(library, "another")
    assert digest(place) != before


@pytest.mark.parametrize(
    "task",
    [
        "ansible.builtin.command: sh OUTSIDE/fence.sh hq",
        "ansible.builtin.shell: cd / && python3 OUTSIDE/fence.py",
        "ansible.builtin.debug: {msg: \"{{ lookup('pipe', 'sh OUTSIDE/fence.sh') }}\"}",
        "ansible.builtin.include_vars: {dir: OUTSIDE/vars}",
        "ansible.builtin.command: ansible-playbook -i hosts OUTSIDE/site.yml",
        "ansible.builtin.command: {argv: [/usr/bin/ansible-playbook, OUTSIDE/site.yml]}",
    ],
)
def test_a_script_outside_that_an_interpreter_is_given_is_covered(place: Path, task: str) -> None:
    """It need not be executable for that."""
    outside = place.parent / "outside"
    named = [write(outside / name) for name in ("fence.sh", "fence.py", "vars/all.yml", "site.yml")]
    write(place / "playbooks/p.yml", f"- hosts: web\n  tasks:\n    - {task.replace('OUTSIDE', str(outside))}\n")
    before = digest(place)
    assert before == digest(place)
    for path in named:
        write(path, "x: another\n")
    assert before != digest(place)


@pytest.mark.parametrize(
    "task",
    [
        'ansible.builtin.command: ansible-playbook "{{ playbook_dir }}/other/inner.yml"',
        "ansible.builtin.command: {cmd: ansible-playbook other/inner.yml, chdir: playbooks}",
        "ansible.builtin.command: ansible-playbook playbooks/other/inner.yml",
        "ansible.builtin.shell: cd playbooks/other && ansible-playbook inner.yml",
    ],
)
@pytest.mark.parametrize(
    "part",
    [
        "roles/web/tasks/main.yml",
        "roles/deep/tasks/main.yml",
        "group_vars/all.yml",
        "library/own.py",
        "filter_plugins/f.py",
    ],
)
def test_what_is_loaded_beside_a_playbook_that_a_task_starts_is_covered(place: Path, task: str, part: str) -> None:
    """A role of its own is loaded, and not the one of the same name beside the playbook that starts it."""
    write(place / "playbooks/p.yml", f"- hosts: web\n  roles: [web]\n  tasks:\n    - {task}\n")
    write(place / "playbooks/roles/web/tasks/main.yml", "- debug: {msg: outer}\n")
    write(place / "playbooks/other/inner.yml", "- hosts: web\n  roles: [web]\n")
    write(place / "playbooks/other/roles/web/meta/main.yml", "dependencies: [deep]\n")
    write(place / "playbooks/other" / part, "")
    before = digest(place)
    write(place / "playbooks/other" / part, "[]\n")
    assert digest(place) != before


@pytest.mark.parametrize("inventory", ["hosts.yml", "../../estate/hosts.yml", "base/hosts.yml", "base"])
@pytest.mark.parametrize("key", ["vars: {tool: tools/a.sh}", "limit: '@tools/a.sh'"])
def test_what_a_move_gives_its_playbook_is_covered_wherever_its_inventory_lies(
    place: Path, key: str, inventory: str
) -> None:
    write(place / "inventories/acme/services.yml", f"moves: {{go: {{playbook: p.yml, {key}}}}}\n")
    for name in ("estate", "inventories/acme/base"):
        write(place / name / "hosts.yml", "all: {hosts: {web: {ansible_connection: local}}}\n")
    write(place / "tools/a.sh")
    sources = [place / "inventories/acme" / inventory]
    before = playbook_digest(place, "p.yml", sources)
    write(place / "tools/a.sh", "other")
    assert playbook_digest(place, "p.yml", sources) != before


@pytest.mark.parametrize("limit", ["@OUT", "web,@OUT", "@../targets", "web:@../targets"])
def test_a_file_of_hosts_that_a_limit_names_is_covered_wherever_it_lies(place: Path, limit: str) -> None:
    out = place.parent / "targets"
    said = limit.replace("OUT", str(out))
    write(place / "inventories/acme/services.yml", f"moves: {{go: {{playbook: p.yml, limit: '{said}'}}}}\n")
    none = digest(place)
    write(out, "web\n")
    one = digest(place)
    write(out, "web\ndb\n")
    assert len({none, one, digest(place)}) == 3


def test_what_a_move_gives_its_playbook_is_covered_where_its_inventory_is_named_by_a_whole_path(place: Path) -> None:
    outside = write(place.parent / "estate/hosts.yml", "all: {hosts: {web: {ansible_connection: local}}}\n")
    said = f"inventory: [{outside}]\nmoves: {{go: {{playbook: p.yml, vars: {{tool: tools/a.sh}}}}}}\n"
    write(place / "inventories/acme/services.yml", said)
    write(place / "tools/a.sh")
    sources = sources_of(place)["acme"]
    assert [x.resolve() for x in sources] == [outside.resolve()]
    before = playbook_digest(place, "p.yml", sources)
    write(place / "tools/a.sh", "other")
    assert playbook_digest(place, "p.yml", sources) != before


def test_a_role_with_dots_in_its_name_is_covered(place: Path) -> None:
    """It could be a collection's; a folder of that name is found all the same."""
    write(place / "playbooks/p.yml", "- hosts: web\n  roles: [a.b.c]\n")
    tasks = write(place / "playbooks/roles/a.b.c/tasks/main.yml", "[]\n")
    before = digest(place)
    write(tasks, "- command: id\n")
    assert digest(place) != before


@pytest.mark.parametrize("folder", [".", "..", "./"])
def test_plug_ins_in_the_workspace_itself_are_covered(place: Path, folder: str) -> None:
    write(place / "ansible.cfg", f"[defaults]\ncallback_plugins = {folder}\n")
    before = digest(place)
    write((place / folder).resolve() / "evil.py")
    assert digest(place) != before


def test_a_folder_is_not_passed_over_for_its_name(place: Path) -> None:
    """Variables in `__pycache__` and in a `.git` that git did not make are read by Ansible."""
    for folder in ("__pycache__", ".git"):
        before = digest(place)
        write(place / "playbooks/group_vars/all" / folder / "a.yml")
        assert digest(place) != before
    made = place / "playbooks/roles/linked/.git"
    for name in ("HEAD", "objects/1", "refs/1"):
        write(made / name)
    before = digest(place)
    write(made / "index")
    assert digest(place) == before, "git's own"
    lock = place / "playbooks/roles/linked/.lock"
    write(lock)
    assert digest(place) != before
    write(lock.parent / "pyvenv.cfg")
    before = digest(place)
    write(lock, "more")
    assert digest(place) == before, "uv's own, where a virtual environment is"


def test_the_environment_that_steers_ansible_is_covered(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before = digest(place)
    monkeypatch.setenv("ANSIBLE_NOCOLOR", "1")
    assert digest(place) == before, "it says only how something looks"
    monkeypatch.setenv("ANSIBLE_STRATEGY", "free")
    assert digest(place) != before


def test_a_vault_password_is_known_without_being_read(place: Path) -> None:
    secret = write(place / "secret", "hunter2")
    write(place / "ansible.cfg", "[defaults]\nvault_identity_list = prod@secret\n")
    reader = Reader(place, Faults())
    assert reader.check("p.yml", Position("p.yml"))
    kept = reader.manifest("p.yml", [place / "inventories/acme/hosts.yml"])
    assert kept.around["secret"] == trees.look_digest(secret)
    assert trees.read_digest(secret) not in kept.around.values()


def test_another_playbook_and_what_ansible_writes_are_none_of_it(place: Path) -> None:
    write(place / "ansible.cfg", "[defaults]\nlog_path = ansible.log\nfact_caching_connection = facts\n")
    write(place / "ansible.log")
    write(place / "facts/web")
    before = digest(place)
    write(place / "playbooks/q.yml", "- hosts: all\n")
    write(place / "playbooks/callback_plugins/__pycache__/a.pyc")
    write(place / "ansible.log", "more")
    write(place / "facts/web", "more")
    assert digest(place) == before


def test_the_controllers_own_state_is_none_of_it_where_all_is_in_one_folder(tmp_path: Path) -> None:
    """A program of the inventory and the playbook lie in the workspace itself, and so does what runs leave there."""
    place = tmp_path / "flat"
    write(place / "inventories/acme/services.yml", "inventory: [../../cloud.py]\n")
    write(place / "cloud.py", "#!/bin/sh\necho '{}'\n").chmod(0o755)
    write(place / "site.yml", "- hosts: web\n  tasks: [{ansible.builtin.ping: }]\n")

    def digest() -> str | None:
        return playbook_digest(place, "site.yml", [place / "inventories/acme/../../cloud.py"])

    before = digest()
    assert before is not None
    for name in ("runs/r1/prepare.1/work/guard/group_vars/all.yml", "runs/r1/prepare.1/work/guard/guard.yml", "x.py"):
        write(place / ".bascule" / name)
    assert digest() == before
    write(place / "settings.ini")
    assert digest() != before


def test_a_template_in_a_name_covers_whatever_it_could_name(place: Path) -> None:
    write(place / "playbooks/p.yml", "- hosts: web\n  tasks:\n    - ansible.builtin.include_tasks: '{{ how }}.yml'\n")
    write(place / "playbooks/stop.yml", "[]\n")
    before = digest(place)
    write(place / "playbooks/stop.yml", "- ansible.builtin.command: id\n")
    assert digest(place) != before


def test_a_loop_of_links_ends(place: Path) -> None:
    (place / "playbooks/roles/linked/round").symlink_to(place / "playbooks/roles")
    (place / "playbooks/library").mkdir()
    (place / "playbooks/library/self").symlink_to(place / "playbooks/library")
    (place / "playbooks/library/nowhere").symlink_to(place / "not-there")
    os.mkfifo(place / "playbooks/library/pipe")
    assert digest(place) == digest(place)


def test_an_edit_of_the_same_length_and_time_is_seen(place: Path) -> None:
    """The signature holds the change time, which nobody sets."""
    path = place / "playbooks/files/motd"
    os.utime(path, (1_000_000_000, 1_000_000_000))
    before = digest(place)
    was = path.stat()
    path.write_text("x: 2\n", encoding="utf-8")
    os.utime(path, ns=(was.st_atime_ns, was.st_mtime_ns))
    assert digest(place) != before


def test_what_differs_is_told_by_name(place: Path) -> None:
    sources = [place / "inventories/acme/hosts.yml"]
    reader = Reader(place, Faults())
    assert reader.check("p.yml", Position("p.yml"))
    digest = reader.digest("p.yml", sources)
    wanted = [("p.yml", sources, digest)]
    assert differences(place, wanted, reader.manifests) == {digest: ""}
    write(place / "playbooks/files/motd", "other")
    write(place / "playbooks/callback_plugins/evil.py")
    told = differences(place, wanted, reader.manifests)[digest]
    assert told == "playbooks/callback_plugins/evil.py was added, playbooks/files/motd was changed since it was loaded"
    (place / "playbooks/p.yml").unlink()
    assert differences(place, wanted, reader.manifests)[digest] == "playbooks/p.yml cannot be read any more"


def test_the_kept_inventory_notices_what_a_link_leads_to_and_who_computes(place: Path) -> None:
    sources = [place / "inventories/acme/hosts.yml"]

    def variables() -> dict[str, object]:
        found = read_inventory(place, "acme", sources, Faults(), cache=place / "cache")
        assert found is not None
        return found.host_vars["web"]

    assert variables()["x"] == 1
    assert list((place / "cache").iterdir())
    write(place.parent / "shared/vars/main.yml", "x: 2\n")
    assert variables()["x"] == 2
    for kept in (place / "cache").iterdir():
        kept.unlink()
    write(place / "ansible.cfg", "[defaults]\nvars_plugins = mine\n")
    assert variables()["x"] == 2
    assert not list((place / "cache").iterdir()), f"a plug-in may say something else each time ({sys.platform})"


CACHES = {
    "of facts": ("ansible.cfg", "[defaults]\nfact_caching = jsonfile\nfact_caching_connection = state/facts\n"),
    "of the inventory, by the configuration": (
        "ansible.cfg",
        "[inventory]\ncache = true\ncache_connection = state/hosts\n",
    ),
    "of the inventory, by its plug-in": (
        "inventories/acme/hosts.yml",
        "plugin: amazon.aws.aws_ec2\ncache: true\ncache_plugin: jsonfile\ncache_connection: ./state/hosts\n",
    ),
    "of ssh, of hosts' keys": (
        "inventories/acme/hosts.yml",
        "all: {hosts: {web: {ansible_ssh_args: '-o UserKnownHostsFile=state/hosts/x -o ControlPath=.cache/x'}}}\n",
    ),
    "in a folder with a dot": ("inventories/acme/hosts.yml", "plugin: x\ncache_connection: .cache\n"),
}


@pytest.mark.parametrize("what", CACHES)
def test_a_cache_that_ansible_writes_does_not_make_it_another_one(place: Path, what: str) -> None:
    """Else each reading would refuse the next step."""
    name, text = CACHES[what]
    write(place / name, text)
    for top in ("", "inventories/acme/", "playbooks/"):
        write(place / top / "state/facts/web", "{}")
        write(place / top / "state/hosts/x", "{}")
        write(place / top / ".cache/x", "{}")
    before = digest(place)
    for top in ("", "inventories/acme/", "playbooks/"):
        write(place / top / "state/facts/web", "{1}")
        write(place / top / "state/facts/db", "{}")
        write(place / top / "state/hosts/x", "{1}")
        write(place / top / ".cache/x", "{1}")
    assert digest(place) == before


@pytest.mark.parametrize("where", ["package", "collection of the user"])
def test_a_name_made_or_removed_elsewhere_does_not_change_what_is_installed(
    place: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """Installers (uv, pnpm) and backups (`cp -al`, rsync) link files: another environment made or removed elsewhere
    changes the time of change of this one's, and voided its approvals."""
    monkeypatch.setattr(surroundings.sysconfig, "get_path", lambda _name: str(tmp_path / "site-packages"))
    installed = {
        "package": write(tmp_path / "site-packages/ansible_core-2.19.0.dist-info/RECORD", "ansible/a.py,sha256=1,9\n"),
        "collection of the user": write(tmp_path / "home/.ansible/collections/ansible_collections/a/b/plugins/m.py"),
    }[where]
    os.link(installed, tmp_path / "cache")
    before = digest(place)
    os.link(installed, tmp_path / "another environment")
    assert digest(place) == before
    (tmp_path / "another environment").unlink()
    assert digest(place) == before
    kept = installed.stat()
    installed.write_bytes(installed.read_bytes().replace(b"1", b"2"))
    os.utime(installed, ns=(kept.st_atime_ns, kept.st_mtime_ns))
    assert digest(place) != before


def test_what_the_shipped_plan_is_made_of_is_none_of_the_controllers_code_and_no_page() -> None:
    """A remark that named a program would cover all that it imports: each edit anywhere would end an approval."""
    faults = Faults()
    reader = Reader(REPOSITORY, faults)
    for name in reader.names():
        reader.check(name, Position(name))
        manifest = reader.manifest(name, sources_of(REPOSITORY)["lab"])
        tops = {Path(part).parts[0] for part in manifest.parts if not part.startswith(surroundings.NO_FILE)}
        assert tops <= {"playbooks", "inventories", "checks", "ansible.cfg", "bascule.yml"}, name
    assert not faults.found


@pytest.mark.parametrize("of", ["fence", "hand_over", "rehearse"])
@pytest.mark.parametrize("condition", ["dark", "{all: [dark@web]}", "{quorum: 1, of: [dark]}"])
@pytest.mark.parametrize("command", ["[checks/dark.sh, hq]", "[sh, {0}/checks/dark.sh]", "[{0}/../outside/dark.sh]"])
def test_the_plug_in_that_proves_a_fence_is_covered(place: Path, of: str, condition: str, command: str) -> None:
    """Who puts another one there after an approval was asked for proves what he likes."""
    book = f"{{playbook: p.yml, {'apart' if of == 'rehearse' else 'proven'}_when: {condition}}}"
    section = f"places: {{hq: {{fence: {book}}}}}" if of == "fence" else f"moves: {{go: {{{of}: {book}}}}}"
    write(place / "inventories/acme/services.yml", f"{section}\n")
    write(place / "checks/a/x.yml", f"- {{name: dark, probe: nagios, command: {command.format(place)}}}\n")
    other = write(place / "checks/other.sh")
    write(place / "checks/y.yml", f"- {{name: other, probe: nagios, command: [{other}]}}\n")
    write(place / "playbooks/q.yml", "- hosts: web\n")
    used = place.parent / "outside/dark.sh" if "outside" in command else place / "checks/dark.sh"
    write(used).chmod(0o755)
    sources = [place / "inventories/acme/hosts.yml"]
    before, another = digest(place), playbook_digest(place, "q.yml", sources)
    write(other, "x: 2\n")
    assert digest(place) == before
    write(used, "x: another\n")
    assert digest(place) != before
    assert playbook_digest(place, "q.yml", sources) == another
