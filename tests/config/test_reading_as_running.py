"""An inventory is read as a playbook would be run: with the same ansible.cfg, locale, links and ignored files."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from pathlib import Path

import pytest

from orchestrator.config.ansible_process import Ansible
from orchestrator.config.ansible_programs import environment_to_ask, program
from orchestrator.config.faults import Faults
from orchestrator.config.inventory import Inventory, read_inventory
from orchestrator.config.inventory_files import inventory_sources
from orchestrator.config.inventory_values import Verbatim
from orchestrator.config.surroundings import roles_path
from orchestrator.core.ansible import UTF_8, locale_that_does
from orchestrator.runner.settings import Settings


@pytest.fixture(autouse=True)
def _home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name in [name for name in os.environ if name.startswith("ANSIBLE_")]:
        monkeypatch.delenv(name)
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))


def write(path: Path, text: str, mode: int = 0o644) -> Path:
    """A file of the workspace."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(mode)
    return path


def read(workspace: Path, *names: str) -> Inventory:
    """Client acme's inventory."""
    folder = workspace / "inventories" / "acme"
    sources = [folder / name for name in names] or inventory_sources(folder)
    found = read_inventory(workspace, "acme", sources, faults := Faults(), cache=None)
    assert found is not None, [str(fault) for fault in faults.sorted()]
    return found


HOSTS = "[edge]\nr1 ansible_host=192.0.2.1\n"


def test_what_ansible_does_not_read_is_no_fault(tmp_path: Path) -> None:
    """Variables of a group and of a host that are gone: broken ones, and ones whose password is gone too."""
    folder = tmp_path / "inventories/acme"
    write(folder / "hosts.ini", HOSTS)
    write(folder / "group_vars/edge/all.yml", "port: 22\n")
    write(folder / "group_vars/gone.yml", "a: [1\n")
    write(folder / "host_vars/r2/vault.yml", "$ANSIBLE_VAULT;1.1;AES256\n6162\n")
    found = read_inventory(tmp_path, "acme", [folder / "hosts.ini"], faults := Faults(), cache=None)
    assert found is not None
    assert found.host_vars["r1"]["port"] == 22
    assert faults.found == []
    assert [(w.file, w.line) for w in faults.warned] == [("inventories/acme/group_vars/gone.yml", 2)]
    assert faults.warned[0].message.endswith("; Ansible does not read it now")


@pytest.mark.parametrize(
    ("settings", "where", "why"),
    [
        ("[defaults]\nforks = many\n", ("ansible.cfg", 0), "Config 'DEFAULT_FORKS'"),
        ("[defaults]\nforks = 1\nforks = 2\n", ("ansible.cfg", 3), "option 'forks'"),
        ("forks = 1\n", ("ansible.cfg", 0), "File contains no section headers"),
    ],
)
def test_settings_that_ansible_refuses_are_told_where_they_are(
    tmp_path: Path, settings: str, where: tuple[str, int], why: str
) -> None:
    """And not as a fault of the inventory that could not be read with them."""
    write(tmp_path / "ansible.cfg", settings)
    source = write(tmp_path / "inventories/acme/hosts.ini", HOSTS)
    faults = Faults()
    assert read_inventory(tmp_path, "acme", [source], faults, cache=None) is None
    (fault,) = faults.sorted()
    assert (fault.file, fault.line) == where
    assert why in fault.message


def test_of_what_is_deprecated_the_thing_is_told(tmp_path: Path) -> None:
    """And not Ansible's advice how not to be told."""
    write(tmp_path / "inventories/acme/hosts.sh", """#!/bin/sh\necho '{"edge": {"hosts": ["r1"]}}'\n""", 0o755)
    (said,) = read(tmp_path).warnings
    assert said.startswith("Inventory scripts should always provide 'meta.hostvars'.")


@pytest.mark.parametrize("said", ["verbosity = 3", "debug = true", "force_color = true", "[inventory]\nexport = true"])
def test_what_an_author_set_to_see_more_does_not_stand_between(tmp_path: Path, said: str) -> None:
    """The reading is ours: it is silent whatever a run of theirs shows."""
    write(tmp_path / "ansible.cfg", f"[defaults]\n{said}\n")
    write(tmp_path / "inventories/acme/hosts.ini", HOSTS)
    write(tmp_path / "inventories/acme/group_vars/edge.yml", "port: 22\n")
    assert read(tmp_path).host_vars["r1"] == {"ansible_host": "192.0.2.1", "port": 22}


@pytest.mark.parametrize("place", ["ansible.cfg", "playbooks/ansible.cfg"])
def test_the_file_that_a_playbook_runs_with_holds_for_the_inventory(
    tmp_path: Path, place: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Relative paths, {{CWD}} and $PWD begin where the playbook would start, wherever we were called."""
    monkeypatch.chdir(tmp_path / "home")
    monkeypatch.setenv("PWD", str(tmp_path / "home"))
    beside = write(tmp_path / place, "[defaults]\nroles_path = $PWD/r1:{{CWD}}/r2:r3:~/r4\n[inventory]\n").parent
    write(tmp_path / "inventories/acme/hosts.ini", HOSTS)
    read(tmp_path)
    settings = Settings.find(tmp_path, os.environ)
    assert settings.directory == beside
    given = settings.environment(os.environ, mark="m", temporary=tmp_path / "tmp")
    assert given["PWD"] == str(beside)
    assert roles_path(tmp_path, os.environ) == [*(beside / f"r{n}" for n in (1, 2, 3)), tmp_path / "home" / "r4"]


def test_a_named_file_that_is_not_there_is_passed_over(tmp_path: Path) -> None:
    """As Ansible does."""
    write(tmp_path / "ansible.cfg", "[defaults]\n")
    assert Settings.find(tmp_path, {"ANSIBLE_CONFIG": "/no/such.cfg"}).configuration == tmp_path / "ansible.cfg"


def test_roles_are_looked_for_where_it_is_said_or_where_is_usual(tmp_path: Path) -> None:
    """What is said stands in place of Ansible's own places; ANSIBLE_HOME moves these."""
    home = tmp_path / "home"
    assert roles_path(tmp_path, {})[0] == home / ".ansible" / "roles"
    assert roles_path(tmp_path, {"ANSIBLE_HOME": "/srv/a"})[0] == Path("/srv/a/roles")
    assert roles_path(tmp_path, {"ANSIBLE_ROLES_PATH": "/srv/r"}) == [Path("/srv/r")]


@pytest.mark.parametrize(
    ("caller", "given"),
    [
        ({"LC_ALL": "C"}, {"LC_ALL": UTF_8}),
        ({"LC_ALL": "POSIX", "LANG": "de_DE.UTF-8"}, {"LC_ALL": UTF_8}),
        ({"LANG": "de_DE.ISO-8859-1"}, {"LC_CTYPE": UTF_8}),
        ({}, {"LC_CTYPE": UTF_8}),
        ({"LANG": "de_DE.utf8@euro"}, {}),
        ({"LC_ALL": "", "LANG": "en_US.UTF-8"}, {}),
    ],
)
def test_the_callers_locale_stands_where_ansible_starts_with_it(caller: dict[str, str], given: dict[str, str]) -> None:
    """Another is given where it does not."""
    assert locale_that_does(caller) == given


def test_a_locale_that_is_not_installed_is_replaced() -> None:
    """Ssh hands on what the operator's own machine has."""
    assert locale_that_does({"LANG": "xx_XX.UTF-8"}, installed=lambda: False) == {"LC_ALL": UTF_8}


@pytest.mark.parametrize("locale", ["C", "POSIX"])
def test_reads_where_the_locale_is_none(tmp_path: Path, locale: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cron job's, a rescue shell's."""
    monkeypatch.setenv("LC_ALL", locale)
    write(tmp_path / "inventories/acme/hosts.yml", "all: {hosts: {r1: {place: Zürich}}}\n")
    assert read(tmp_path).host_vars["r1"]["place"] == "Zürich"


@pytest.mark.parametrize("copy", ["hosts.ini~", "hosts.bak", "hosts.orig", "hosts.swp", "hosts.retry", "hosts.md"])
def test_an_editors_copy_is_no_inventory(tmp_path: Path, copy: str) -> None:
    """Beside the inventory, or within a directory of inventories."""
    folder = tmp_path / "inventories" / "acme"
    write(folder / "hosts.ini", HOSTS)
    write(folder / copy, "[edge]\nold ansible_host=192.0.2.9\n")
    assert read(tmp_path).hosts == ("r1",)
    both = tmp_path / "inventories" / "both" / "hosts"
    both.parent.mkdir()
    folder.rename(both)
    found = read_inventory(tmp_path, "both", inventory_sources(both.parent), Faults(), cache=tmp_path / "cache")
    assert found is not None
    assert found.hosts == ("r1",)
    assert list((tmp_path / "cache").iterdir()), "a copy is no program: such an inventory is kept"


def test_variables_beside_a_link_hold(tmp_path: Path) -> None:
    """The path is taken as it is written."""
    write(tmp_path / "shared.yml", "all: {hosts: {r1: }}\n")
    write(tmp_path / "inventories/acme/group_vars/all.yml", "gateway: 192.0.2.1\n")
    (tmp_path / "inventories/acme/hosts.yml").symlink_to(tmp_path / "shared.yml")
    assert read(tmp_path).host_vars["r1"] == {"gateway": "192.0.2.1"}


def test_what_a_plug_in_composes_is_a_value(tmp_path: Path) -> None:
    """At any depth, and no template though it may look like one."""
    write(tmp_path / "inventories/acme/hosts.yml", "all: {hosts: {vm: {cidr: 192.0.2.7/24, odd: 'a{b'}}}\n")
    write(
        tmp_path / "inventories/acme/names.yml",
        "plugin: ansible.builtin.constructed\nstrict: true\ncompose:\n  ansible_host: cidr.split('/')[0]\n"
        "  deep: '{\"a\": [cidr, {\"b\": cidr}]}'\ngroups: {nets: 'true'}\n"
        "keyed_groups: [{key: 'cidr.split(\"/\")[1]', prefix: net}]\n",
    )
    found = read(tmp_path, "hosts.yml", "names.yml")
    values = found.host_vars["vm"]
    assert values["ansible_host"] == "192.0.2.7"
    assert isinstance(values["ansible_host"], Verbatim)
    assert values["deep"] == {"a": ["192.0.2.7/24", {"b": "192.0.2.7/24"}]}
    assert found.groups["net_24"] == ("vm",)


def test_what_a_program_says_is_a_value(tmp_path: Path) -> None:
    """A script, in the environment of a run: its directory and its locale."""
    write(tmp_path / "playbooks/ansible.cfg", "[defaults]\nverbosity = 1\n")
    write(
        tmp_path / "inventories/acme/hosts.sh",
        '#!/bin/sh\nprintf \'{"edge": {"hosts": ["r1"]}, "_meta": {"hostvars": {"r1": {"at": "%s"}}}}\' "$PWD"\n',
        0o755,
    )
    assert read(tmp_path).host_vars["r1"] == {"at": str(tmp_path / "playbooks")}


def test_both_readings_are_word_for_word_those_of_ansibles_own_program(tmp_path: Path) -> None:
    """Though they come of one parsing, in a fork of one process."""
    folder = tmp_path / "inventories" / "acme"
    write(
        folder / "hosts.yml",
        "all:\n  vars: {region: north, hint: !unsafe '{{ not }}', when: 2024-02-03}\n  children:\n    edge:\n"
        "      hosts: {r1: {ansible_host: 192.0.2.1}, r[2:4]: }\n      vars: {ansible_group_priority: 7, a: [{b: é}]}\n"
        "    both: {children: {edge: , none: }}\n",
    )
    write(folder / "group_vars/edge.yml", "gateway: 192.0.2.254\nname: '{{ inventory_hostname }}'\n")
    write(folder / "host_vars/r2.yml", "secret: !vault |\n  $ANSIBLE_VAULT;1.1;AES256\n  3132\n")
    write(
        folder / "z.yml",
        "plugin: ansible.builtin.constructed\nstrict: true\ncompose: {at: gateway, deep: '{\"x\": [gateway]}'}\n"
        "use_vars_plugins: true\n",
    )
    sources = [folder / "hosts.yml", folder / "z.yml"]
    with Ansible(tmp_path) as ansible:
        answer = ansible.inventory(sources, {}, 120.0)
    assert answer is not None, "it could be asked"
    code, told, complaints = answer
    assert code == 0, complaints
    start, given = environment_to_ask(tmp_path, os.environ)
    command = [program("ansible-inventory") or "", *(part for source in sources for part in ("-i", str(source)))]
    for part, extra in (("merged", []), ("exported", ["--export"])):
        own = subprocess.run([*command, "--list", *extra], cwd=start, env=given, capture_output=True, check=True)
        assert json.loads(told)[part] == json.loads(own.stdout), part


def test_without_the_one_process_ansibles_own_program_is_asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Ansible, "inventory", lambda *_: None)
    write(tmp_path / "inventories/acme/hosts.ini", HOSTS)
    write(tmp_path / "inventories/acme/group_vars/edge.yml", "port: 22\n")
    found = read(tmp_path)
    assert found.host_vars["r1"] == {"ansible_host": "192.0.2.1", "port": 22}
    assert found.group_vars["edge"] == {"port": 22}


def test_a_program_that_does_not_end_is_given_up_and_the_others_are_read(tmp_path: Path) -> None:
    """It is killed, and nobody else has to wait or to be asked again."""
    slow = write(tmp_path / "slow.sh", "#!/bin/sh\necho $$ > pid\nexec sleep 600\n", 0o755)
    quick = write(tmp_path / "quick.ini", HOSTS)
    with Ansible(tmp_path) as ansible:
        with pytest.raises(subprocess.TimeoutExpired):
            ansible.inventory([slow], {}, 8.0)
        answer = ansible.inventory([quick], {}, 120.0)
        assert answer is not None
        assert answer[0] == 0
    pid = int((tmp_path / "pid").read_text())
    until = time.monotonic() + 30
    while Path(f"/proc/{pid}").exists() and "Z" not in Path(f"/proc/{pid}/stat").read_text().split(")")[1]:
        assert time.monotonic() < until, "the program goes on"
        time.sleep(0.1)


def test_one_that_hangs_is_given_up_however_much_it_is_told(tmp_path: Path) -> None:
    """Stopped, as one that waits for a mount for ever: it reads nothing, and a pipe takes 64 KiB."""
    hosts = tmp_path / "hosts"
    hosts.write_text("one\n")
    much = {"SAYS": "x" * 200_000}
    with Ansible(tmp_path) as ansible:
        assert ansible.inventory([hosts], {}, 60.0) is not None
        assert ansible._process is not None
        os.kill(ansible._process.pid, signal.SIGSTOP)
        for _ in range(2):
            with pytest.raises(subprocess.TimeoutExpired):
                ansible.inventory([hosts], much, 0.2)
        ansible.close()
        found = ansible.inventory([hosts], much, 60.0)
        assert found is not None
        assert found[0] == 0, "the next one answers"


def test_asking_leaves_nothing_in_the_operators_home(tmp_path: Path) -> None:
    """Ansible makes a directory there at its start, and removes it when it ends by itself."""
    write(tmp_path / "inventories/acme/hosts.ini", HOSTS)
    assert read(tmp_path).host_vars["r1"]
    assert list((tmp_path / "home").rglob("ansible-local-*")) == []
