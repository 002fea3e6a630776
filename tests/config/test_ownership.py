"""A workspace that others may write to is refused, with path, mode, owner and what to type."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from orchestrator.config import ConfigurationInvalid, load
from orchestrator.config.beside_model import keep, kept
from orchestrator.config.faults import Faults, Position
from orchestrator.config.inventory import read_inventory
from orchestrator.config.ownership import run_by_git, unsafe, unsafe_parts
from orchestrator.config.playbooks import Reader
from orchestrator.config.surroundings import files_of, surroundings
from orchestrator.shell.wiring import option_models

ROOT = os.getuid() == 0
OTHER = 61234


def give(path: Path) -> None:
    os.chown(path, OTHER, OTHER)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    place = tmp_path / "ws"
    for folder in ("playbooks/roles/r/tasks", "inventories/acme", "checks", ".bascule"):
        (place / folder).mkdir(parents=True)
    for file in (
        "playbooks/roles/r/tasks/main.yml",
        "inventories/acme/hosts.yml",
        "bascule.yml",
        ".bascule/journal.db",
    ):
        (place / file).touch(mode=0o644)
    return place


def test_a_workspace_of_ones_own_is_safe_below_a_directory_of_everybody(place: Path) -> None:
    place.parent.chmod(0o1777)  # as /tmp
    assert unsafe(place) == []


@pytest.mark.parametrize(
    ("what", "mode"),
    [
        (".", 0o777),
        ("playbooks", 0o777),
        ("playbooks", 0o1777),  # sticky: others add their own
        ("playbooks/roles/r/tasks", 0o757),
        ("playbooks/roles/r/tasks/main.yml", 0o666),
        ("inventories/acme", 0o777),
        (".bascule/journal.db", 0o666),
        ("bascule.yml", 0o646),
    ],
)
def test_what_everybody_may_write_to_is_refused(place: Path, what: str, mode: int) -> None:
    (place / what).chmod(mode)
    ((path, why),) = unsafe(place)
    assert path == place / what
    assert f"mode {mode:04o}" in why
    assert why.endswith(f"chmod go-w {place / what}")


def test_a_directory_above_it_counts(place: Path) -> None:
    place.parent.chmod(0o777)
    assert [path for path, _ in unsafe(place)] == [place.parent]


def test_what_a_link_leads_to_counts(place: Path, tmp_path: Path) -> None:
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "shared").mkdir(parents=True)
    (elsewhere / "shared/x.yml").touch()
    (place / "playbooks/vars").symlink_to(elsewhere / "shared")
    assert unsafe(place) == []
    elsewhere.chmod(0o777)
    assert [path for path, _ in unsafe(place)] == [elsewhere]
    assert [path for path, _ in unsafe_parts([place / "playbooks/vars/x.yml"])] == [elsewhere]


SAYS_IT = {  # a program elsewhere: what names it, and whether it is sure to run here
    "inventories/acme/group_vars/all.yml": ("ansible_ssh_common_args: '-o ProxyCommand=\"JUMP %h\"'\n", True),
    "inventories/acme/host_vars/tokens.yml": ("ansible_ssh_common_args: -o PKCS11Provider=JUMP\n", True),
    "inventories/acme/host_vars/web.yml": ("ansible_ssh_executable: JUMP\n", True),
    "inventories/acme/services.yml": ("moves: {go: {vars: {a: ProxyCommand=JUMP}}}\n", True),
    "inventories/acme/group_vars/web.yml": ("ansible_ssh_common_args: -F ssh.cfg\n", True),
    "ansible.cfg": ("[ssh_connection]\nssh_args = -o ProxyCommand='JUMP %h'\n", True),
    "playbooks/p.yml": ("- hosts: web\n  tasks: [{command: JUMP, delegate_to: localhost}]\n", False),
}


@pytest.mark.parametrize("by", SAYS_IT)
def test_a_program_elsewhere_that_everybody_may_write_to(place: Path, tmp_path: Path, by: str) -> None:
    """It runs with this user's rights as what is in the workspace does, unless a target's is meant."""
    jump = tmp_path / "bin/jump"
    jump.parent.mkdir()
    jump.touch(mode=0o755)
    text, here = SAYS_IT[by]
    (place / "inventories/acme/hosts.yml").write_text("all: {hosts: {web: }}\n")
    (place / "playbooks/p.yml").write_text("- hosts: web\n")
    (place / "ssh.cfg").write_text(f"Host *\n  ProxyCommand {jump} %h\n")
    (place / by).parent.mkdir(exist_ok=True)
    (place / by).write_text(text.replace("JUMP", str(jump)))
    reader = Reader(place, Faults())
    assert reader.check("p.yml", Position("p.yml"))
    reader.manifest("p.yml", [place / "inventories/acme/hosts.yml"])
    assert unsafe_parts(reader.covered() | reader.perhaps_run()) == []
    jump.chmod(0o777)
    assert [path for path, _ in unsafe_parts(reader.covered())] == ([jump] if here else [])
    if not here:
        assert [path for path, _ in unsafe_parts(reader.perhaps_run())] == [jump]


def test_what_lies_hidden_where_python_looks_is_not_looked_up(tmp_path: Path) -> None:
    """PYTHONPATH names a checkout, with a virtual environment whose lock uv makes for everybody, and with caches."""
    hidden, module = tmp_path / "checkout/.venv/.lock", tmp_path / "checkout/module/data"
    for path in (hidden, module):
        path.parent.mkdir(parents=True)
        path.touch()
        path.chmod(0o666)
    told = surroundings(tmp_path, {"PYTHONPATH": str(tmp_path / "checkout")})
    assert [path for path, _ in unsafe_parts(files_of(tmp_path, told))] == [module]


STARTS_IT = {
    "a check": ("checks/c.yml", "- {name: c, hosts: web, probe: nagios, command: [PROGRAM, -w, '5']}\n"),
    "a check's interpreter": ("checks/c.yml", "- {name: c, hosts: web, probe: nagios, command: [sh, PROGRAM]}\n"),
    "a way": ("bascule.yml", "notify: {ways: [{command: [PROGRAM]}]}\n"),
    "a client's way": ("inventories/acme/people.yml", "ways: [{command: [PROGRAM]}]\n"),
    "an anchor": ("bascule.yml", "journal: {anchor: {command: [PROGRAM]}}\n"),
}


@pytest.mark.parametrize("by", STARTS_IT)
def test_a_program_that_the_controller_starts_and_others_may_write_to(place: Path, tmp_path: Path, by: str) -> None:
    program = tmp_path / "bin/program.sh"
    program.parent.mkdir()
    program.touch(mode=0o755)
    (place / "inventories/acme/hosts.yml").write_text("all: {hosts: {web: }}\n")
    (place / "inventories/acme/services.yml").write_text("services: {}\n")
    (place / "bascule.yml").write_text("{}\n")
    file, text = STARTS_IT[by]
    (place / file).write_text(text.replace("PROGRAM", str(program)))
    load(place, probe_kinds=option_models())
    program.chmod(0o777)
    with pytest.raises(ConfigurationInvalid, match=r"program\.sh: everybody may write to it"):
        load(place, probe_kinds=option_models())


@pytest.mark.parametrize("part", ["hooks", "config", "hooks/pre-commit", "."])
@pytest.mark.parametrize("worktree", [False, True])
def test_the_clone_of_an_anchor_in_which_others_could_put_a_hook(tmp_path: Path, part: str, worktree: bool) -> None:
    """Git runs it at each commit, with the daemon's rights."""
    clone = tmp_path / "anchors"
    of_git = clone / ".git"
    (of_git / "hooks").mkdir(parents=True)
    for name in ("config", "hooks/pre-commit"):
        (of_git / name).touch(mode=0o644)
    named = clone
    if worktree:
        named = tmp_path / "beside"
        own = of_git / "worktrees/beside"
        own.mkdir(parents=True)
        named.mkdir()
        (named / ".git").write_text(f"gitdir: {own}\n")
        (own / "commondir").write_text("../..\n")
    assert unsafe_parts(run_by_git(named)) == []
    (of_git / part).chmod(0o777)
    found = {path.resolve() for path, _ in unsafe_parts(run_by_git(named))}
    assert found == {(of_git / part).resolve()}


PLUG_IN = r"""
DOCUMENTATION = "name: computed\nshort_description: x\ndescription: [x]\noptions: {}"
from ansible.plugins.inventory import BaseInventoryPlugin
class InventoryModule(BaseInventoryPlugin):
    NAME = "computed"
    def verify_file(self, path):
        return True
    def parse(self, inventory, loader, path, cache=True):
        open(RAN, "w")
        inventory.add_host("web")
"""


@pytest.mark.parametrize("what", ["the inventory", "one elsewhere", "a plug-in elsewhere", "a password elsewhere"])
def test_a_program_that_others_may_write_to_is_not_even_read_with(place: Path, tmp_path: Path, what: str) -> None:
    """An inventory is asked before anything else is known of it: what answers runs with this user's rights."""
    ran, elsewhere = tmp_path / "ran", tmp_path / "elsewhere"
    (place / "bascule.yml").unlink()
    (elsewhere / "plug_ins").mkdir(parents=True)
    folder, program = place / "inventories/acme", elsewhere / "program"
    (folder / "hosts.yml").write_text("all: {hosts: {web: }}\n")
    (folder / "services.yml").write_text("services: {}\n")
    said = f"#!/bin/sh\n: >{ran}\n"
    if what == "a password elsewhere":
        said += "echo password\n"
        (place / "ansible.cfg").write_text(f"[defaults]\nvault_password_file = {program}\n")
    elif what == "a plug-in elsewhere":
        program, said = elsewhere / "plug_ins/computed.py", PLUG_IN.replace("RAN", repr(str(ran)))
        (folder / "hosts.yml").write_text("plugin: computed\n")
        (place / "ansible.cfg").write_text(
            f"[defaults]\ninventory_plugins = {program.parent}\n[inventory]\nenable_plugins = computed\n"
        )
    else:
        if what == "the inventory":
            program = folder / "hosts.sh"
            (folder / "hosts.yml").unlink()
        else:
            (folder / "services.yml").write_text(f"inventory: [{program}]\n")
        said += 'echo \'{"all": {"hosts": ["web"]}}\'\n'
    program.write_text(said)
    program.chmod(0o755)
    loaded = load(place, probe_kinds={})
    assert loaded.hosts == {"acme": 1}
    keep(loaded)
    assert ran.exists(), "it runs where it is ours"
    ran.unlink()
    program.chmod(0o777)
    with pytest.raises(ConfigurationInvalid, match=f"{program.name}: everybody may write to it"):
        load(place, probe_kinds={}, starts=True)
    assert not ran.exists()
    faults = Faults()
    sources = [program if what == "one elsewhere" else next(folder.glob("hosts.*"))]
    assert read_inventory(place, "acme", sources, faults, cache=None) is None
    kept(place)
    assert faults.found
    assert not ran.exists(), "nor at a start under the last good configuration, nor before a step"


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
@pytest.mark.parametrize("what", [".bascule", "playbooks/roles/r/tasks/main.yml", "inventories"])
def test_what_another_user_owns_is_refused(place: Path, what: str) -> None:
    give(place / what)
    found = dict(unsafe(place))
    assert f"it belongs to user {OTHER}" in found[place / what]
    assert "chown root" in found[place / what]


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
@pytest.mark.parametrize(
    ("gid", "refused"),
    [(0, False), (1, True), (OTHER, True)],
    ids=["root's own group", "another group", "a group without a name"],
)
def test_a_group_may_write_where_it_is_the_owners_own(
    place: Path, gid: int, refused: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.chown(place / "playbooks", 0, gid)
    (place / "playbooks").chmod(0o775)
    assert bool(unsafe(place)) is refused


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
@pytest.mark.parametrize("target", ["shared/current", "shared/current/tasks", "shared/../good/v1", "own"])
def test_each_link_on_the_way_counts_where_it_stands(place: Path, tmp_path: Path, target: str) -> None:
    """Where they lead today is ours; whoever may write where one of them stands decides where tomorrow."""
    (tmp_path / "good/v1/tasks").mkdir(parents=True)
    (tmp_path / "shared").mkdir()
    (tmp_path / "shared/current").symlink_to(tmp_path / "good/v1")
    (tmp_path / "own").symlink_to("shared/current")
    (place / "playbooks/roles/linked").symlink_to(tmp_path / target)
    assert unsafe(place) == []
    give(tmp_path / "shared")
    ((path, why),) = unsafe(place)
    assert path == tmp_path / "shared"
    assert "it belongs to user 61234" in why


@pytest.mark.skipif(not ROOT, reason="only root gives files away")
def test_a_link_of_somebody_elses_in_a_directory_of_everybody(place: Path, tmp_path: Path) -> None:
    (tmp_path / "all").mkdir()
    (tmp_path / "all").chmod(0o1777)
    (tmp_path / "good").mkdir()
    (tmp_path / "all/link").symlink_to(tmp_path / "good")
    (place / "playbooks/roles/linked").symlink_to(tmp_path / "all/link")
    assert unsafe(place) == []
    os.lchown(tmp_path / "all/link", OTHER, OTHER)
    ((path, _why),) = unsafe(place)
    assert path == tmp_path / "all/link"


def test_what_is_not_there_is_no_danger(tmp_path: Path) -> None:
    looks: list[Callable[[], object]] = [lambda: unsafe(tmp_path / "no"), lambda: unsafe_parts([tmp_path / "no"])]
    assert [look() for look in looks] == [[], []]
