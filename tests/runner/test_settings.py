"""Ansible's environment: the author's word stands."""

from __future__ import annotations

from pathlib import Path

import pytest

from orchestrator.runner.settings import MARK, Settings


def environment(workspace: Path, **given: str) -> dict[str, str]:
    """What ansible-playbook would get."""
    settings = Settings.find(workspace, given)
    return settings.environment(given, mark="m", temporary=workspace / "tmp")


@pytest.fixture(autouse=True)
def _no_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Whoever runs the tests may have an ansible.cfg."""
    monkeypatch.setattr(Path, "home", lambda: tmp_path / "home")


def test_defaults_where_nobody_said_anything(tmp_path: Path) -> None:
    """Pipelining, long-lived connections, the mark."""
    found = environment(tmp_path)
    assert found["ANSIBLE_PIPELINING"] == "1"
    assert "ControlPersist" in found["ANSIBLE_SSH_ARGS"]
    assert found["ANSIBLE_SSH_EXTRA_ARGS"] == f"-o SendEnv={MARK}"
    assert found[MARK] == "m"
    assert "ANSIBLE_HOST_KEY_CHECKING" not in found


def test_the_authors_configuration_stands(tmp_path: Path) -> None:
    """Whatever the section, and with the callbacks that it names."""
    (tmp_path / "ansible.cfg").write_text(
        "[defaults]\ncallback_plugins = plugins/callbacks\n[connection]\npipelining = False\n"
        "[ssh_connection]\nssh_args = -o ControlPersist=5s\nssh_extra_args = -4\n"
    )
    found = environment(tmp_path)
    assert "ANSIBLE_PIPELINING" not in found
    assert "ANSIBLE_SSH_ARGS" not in found
    assert "ANSIBLE_SSH_EXTRA_ARGS" not in found
    assert found["ANSIBLE_CONFIG"] == str(tmp_path / "ansible.cfg")
    assert found["ANSIBLE_CALLBACK_PLUGINS"] == str(tmp_path / "plugins" / "callbacks")


def test_the_nearest_configuration_is_used(tmp_path: Path) -> None:
    """That of the playbooks before that of the workspace; the operator's before both."""
    (tmp_path / "playbooks").mkdir()
    for place in (tmp_path, tmp_path / "playbooks"):
        (place / "ansible.cfg").write_text("[defaults]\n")
    assert Settings.find(tmp_path, {}).configuration == tmp_path / "playbooks" / "ansible.cfg"
    named = tmp_path / "mine.cfg"
    named.write_text("[defaults]\n")
    assert Settings.find(tmp_path, {"ANSIBLE_CONFIG": str(named)}).configuration == named


def test_the_operators_environment_stands(tmp_path: Path) -> None:
    """It wins in Ansible too."""
    found = environment(tmp_path, ANSIBLE_PIPELINING="0", ANSIBLE_SSH_ARGS="-4", PATH="/bin")
    assert found["ANSIBLE_PIPELINING"] == "0"
    assert found["ANSIBLE_SSH_ARGS"] == "-4"
    assert found["PATH"].endswith(":/bin")


def test_a_broken_configuration_is_ansibles_to_complain_about(tmp_path: Path) -> None:
    """It has the better message."""
    (tmp_path / "ansible.cfg").write_text("no section\n")
    assert environment(tmp_path)["ANSIBLE_CONFIG"] == str(tmp_path / "ansible.cfg")


def test_whoever_calls_finds_his_own_programs_first(tmp_path: Path) -> None:
    """In local tasks, as with ansible-playbook itself; a daemon has Ansible's beside it before all others."""
    given = {"PATH": "/opt/mine:/bin"}
    called = Settings.find(tmp_path, given, str(tmp_path)).environment(given, mark="m", temporary=tmp_path / "tmp")
    assert called["PATH"].startswith("/opt/mine:/bin:")
    assert environment(tmp_path, **given)["PATH"].endswith(":/opt/mine:/bin")
