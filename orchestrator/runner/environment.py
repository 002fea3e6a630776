"""The environment in which ansible-runner starts `ansible-playbook` for an attempt.

The one rule it keeps: worker and zygote ask here. So a worker calls for the same environment with which the zygote was
built.
"""

from __future__ import annotations

import os
from collections.abc import Container, Mapping
from pathlib import Path
from typing import Any

from orchestrator.runner import connections
from orchestrator.runner.settings import MARK, NO_MARK, PREFIX, Settings, read_configuration

CANCEL_POLL_S = 0.1
CALLBACKS = Path(__file__).parent / "warm" / "zygote" / "callbacks"
DEFAULT_CALLBACKS = "~/.ansible/plugins/callback:/usr/share/ansible/plugins/callback"  # Ansible's own

# What ansible-core, Mitogen, Python and what it is made of (loader, libc, OpenSSL) read once: a playbook with another
# value needs another zygote.
OF_EACH_CALL = frozenset({"ANSIBLE_LOCAL_TEMP", "AWX_ISOLATED_DATA_DIR", MARK, PREFIX, *connections.OF_EACH_CLIENT})
ALWAYS_FROZEN = (
    "EDITOR", "HOME", "LANG", "LANGUAGE", "LOGNAME", "NO_COLOR", "PAGER", "USER", "VIRTUAL_ENV", "AWX_LIB_DIRECTORY",
    "GCONV_PATH", "LOCPATH",
)  # fmt: skip
PREFIXES = ("ANSIBLE_", "_ANSIBLE_", "LC_", "PYTHON", "MITOGEN_", "LD_", "GLIBC_", "MALLOC_", "OPENSSL_")


def frozen(given: Mapping[str, str], names: Container[str] = ALWAYS_FROZEN) -> dict[str, str]:
    """The part of an environment that is read once."""
    return {
        name: value
        for name, value in given.items()
        if (name in names or name.startswith(PREFIXES)) and name not in OF_EACH_CALL
    }


def prepared(
    work: Path,
    directory: Path,
    environment: Mapping[str, str],
    *,
    playbook: str = "-",
    inventories: tuple[str, ...] = (),
    limit: str | None = None,
    simulated: bool = False,
) -> Any:
    """ansible-runner's configuration of a run, prepared. `os.environ` has to be `environment` already."""
    from ansible_runner.config.runner import RunnerConfig

    config = RunnerConfig(
        private_data_dir=str(work),
        project_dir=str(directory),
        playbook=playbook,
        inventory=list(inventories) or None,
        limit=limit,
        settings={"pexpect_timeout": CANCEL_POLL_S, "suppress_output_file": True, "suppress_ansible_output": True},
        fact_cache_type="",  # the author's, if any
        ident="1",
    )
    config.prepare()
    if simulated:
        config.command.insert(1, "--check")
    paths = [*filter(None, config.env.get("ANSIBLE_CALLBACK_PLUGINS", "").split(os.pathsep)), str(CALLBACKS)]
    config.env["ANSIBLE_CALLBACK_PLUGINS"] = os.pathsep.join(paths)
    if "ANSIBLE_HOST_KEY_CHECKING" not in environment:
        config.env.pop("ANSIBLE_HOST_KEY_CHECKING", None)  # ansible-runner switches it off
    return config


def of_workspace(workspace: Path, temporary: Path) -> tuple[dict[str, str], str]:
    """Environment and directory of a playbook of this workspace, were it started now."""
    found = Settings.find(workspace, os.environ)
    environment = found.environment(os.environ, mark=NO_MARK, temporary=temporary)
    os.environ.clear()
    os.environ.update(environment)
    config = prepared(temporary, found.directory, environment)
    return {name: str(value) for name, value in config.env.items()}, str(config.cwd)


def with_stopwatch(given: Mapping[str, str], configuration: Path | None, times: Path) -> dict[str, str]:
    """This environment, and a callback in it that writes the times of tasks to this file, beside the author's."""
    said = read_configuration(configuration).get("defaults", {})
    enabled = given.get("ANSIBLE_CALLBACKS_ENABLED") or said.get("callbacks_enabled", "")
    enabled = enabled or said.get("callback_whitelist", "")
    paths = given.get("ANSIBLE_CALLBACK_PLUGINS", "")
    return {
        **given,
        "ANSIBLE_CALLBACKS_ENABLED": ",".join(filter(None, [enabled, "bascule_stopwatch"])),
        "ANSIBLE_CALLBACK_PLUGINS": os.pathsep.join(filter(None, [paths or DEFAULT_CALLBACKS, str(CALLBACKS)])),
        "BASCULE_TIMES": str(times),
    }
