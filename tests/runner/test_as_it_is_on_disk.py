"""What runs is what lies on disk, as the digest has read it: nothing compiled beside it, nothing that was kept."""

from __future__ import annotations

import importlib.util
import os
import py_compile
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd
from orchestrator.runner import compiled, settings
from tests.runner.stage import Stage
from tests.runner.target import Target

FILTER = "class FilterModule:\n    def filters(self):\n        return {{'spoken': lambda _: {word!r}}}\n"
SAID = """
    - ansible.builtin.assert: {that: "('x' | spoken) == 'approved'"}
"""
MODULE = """\
from ansible.module_utils.basic import AnsibleModule
from ansible.module_utils.words import WORD
AnsibleModule({{}}).exit_json(module={word!r}, util=WORD)
"""
USES = """\
- hosts: edge
  gather_facts: false
  tasks:
    - speak:
      register: spoken
    - ansible.builtin.script: tell.sh
      register: told
    - ansible.builtin.assert:
        that:
          - (spoken.module, spoken.util, told.stdout | trim, 'x' | spoken) == (word, word, word, word)
      vars: {word: "{{ lookup('file', 'word') }}"}
"""


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
async def test_what_is_compiled_beside_a_plug_in_does_not_run_in_its_place(
    tmp_path: Path, warm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python would load it unseen: such a file may say that its source is not to be looked at."""
    monkeypatch.delenv("PYTHONPYCACHEPREFIX")
    stage = Stage(tmp_path, warm=warm)
    folder = tmp_path / "playbooks" / "filter_plugins"
    folder.mkdir()
    source = folder / "speaking.py"
    source.write_text(FILTER.format(word="approved"))
    evil = tmp_path / "evil.py"
    evil.write_text(FILTER.format(word="evil"))
    place = importlib.util.cache_from_source(str(source))
    py_compile.compile(str(evil), place, invalidation_mode=py_compile.PycInvalidationMode.UNCHECKED_HASH)
    try:
        await stage.warmed()
        for number in range(2):
            ended = await stage.run(stage.write("p.yml", SAID), f"go {number}")
            assert ended.outcome is AttemptEnd.OK, ended.detail
    finally:
        await stage.runner.close()


@pytest.mark.parametrize("warm", [True, False], ids=["warm", "cold"])
async def test_what_a_run_before_has_compiled_does_not_run_in_the_place_of_what_was_put_back(
    tmp_path: Path, warm: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Python takes a source of the same size and time for the same: a copy that keeps times has both.

    Cold, in the folder that the operator names for all that Python compiles; warm, in another one than Ansible, which
    is kept, began with.
    """
    if warm:
        monkeypatch.delenv("PYTHONPYCACHEPREFIX")
    stage = Stage(tmp_path, warm=warm)
    folder = tmp_path / "playbooks" / "filter_plugins"
    folder.mkdir()
    try:
        await stage.warmed()
        if warm:
            monkeypatch.setenv("PYTHONPYCACHEPREFIX", str(tmp_path / "another"))
        for number, word in enumerate(("approved", "tried-it", "approved")):
            source = folder / "speaking.py"
            source.write_text(FILTER.format(word=word))
            os.utime(source, (1_700_000_000, 1_700_000_000))
            said = SAID.replace("approved", word)
            ended = await stage.run(stage.write(f"p{number}.yml", said), f"go {number}")
            assert ended.outcome is AttemptEnd.OK, ended.detail
            assert "not by the warm executor" not in ended.detail
    finally:
        await stage.runner.close()


def test_what_another_login_has_compiled_keeps_no_playbook_from_running_and_is_not_used(tmp_path: Path) -> None:
    (tmp_path / "theirs.pyc").touch()
    tmp_path.chmod(0o755)
    program = "import os; from pathlib import Path; from orchestrator.runner import compiled; "
    program += "compiled.sysconfig.get_path('stdlib'); "  # where it reads it, nobody may be able to
    program += "os.getuid() or os.setuid(65534); print(compiled.drop(Path('.'), Path('/nowhere')))"
    done = subprocess.run([sys.executable, "-c", program], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr, done.stdout) == (0, "", "False\n" if os.getuid() == 0 else "True\n")
    assert compiled.drop(tmp_path, Path("/nowhere"))
    private = replace(settings.Settings.find(tmp_path, {}), compiled=tmp_path / "private")  # as the worker then has it
    given = private.environment({settings.PREFIX: "/elsewhere"}, mark="", temporary=tmp_path)
    assert given[settings.PREFIX] == str(tmp_path / "private")


async def test_what_was_changed_between_two_runs_is_not_played_as_it_was(tmp_path: Path, target: Target) -> None:
    """Over a connection that is kept, by an Ansible that is kept."""
    stage = Stage(tmp_path, warm=True)
    stage.write_inventory({"edge": {**target.variables, "ansible_python_interpreter": sys.executable}})
    playbooks = tmp_path / "playbooks"
    for folder in ("filter_plugins", "library", "module_utils", "files"):
        (playbooks / folder).mkdir()
    try:
        await stage.warmed()
        for number in range(4):
            word = f"word{number}"
            (playbooks / "filter_plugins" / "speaking.py").write_text(FILTER.format(word=word))
            (playbooks / "library" / "speak.py").write_text(MODULE.format(word=word))
            (playbooks / "module_utils" / "words.py").write_text(f"WORD = {word!r}\n")
            (playbooks / "files" / "word").write_text(word)
            (playbooks / "files" / "tell.sh").write_text(f"#!/bin/sh\necho {word}\n")
            ended = await stage.run(stage.write("p.yml", USES), f"go {number}")
            assert ended.outcome is AttemptEnd.OK, ended.detail
    finally:
        await stage.runner.close()


def test_a_folder_for_what_is_compiled_that_others_may_write_to_is_not_used(tmp_path: Path) -> None:
    """What lies there of Python itself would be run as it is."""
    given = {settings.PREFIX: str(tmp_path / "shared")}
    own = Path("/ws/.bascule/compiled")
    assert settings.Settings.find(Path("/ws"), given).compiled == own, "whoever makes it first has it"
    (tmp_path / "shared").mkdir(mode=0o700)
    assert settings.Settings.find(Path("/ws"), given).compiled == tmp_path / "shared" / "bascule"
    (tmp_path / "shared" / "bascule").mkdir()
    (tmp_path / "shared" / "bascule").chmod(0o777)
    assert settings.Settings.find(Path("/ws"), given).compiled == own
    inside = tmp_path / "everybodys" / "mine"
    inside.mkdir(parents=True, mode=0o700)
    inside.parent.chmod(0o777)
    assert settings.Settings.find(Path("/ws"), {settings.PREFIX: str(inside)}).compiled == own, "it can be moved away"
