"""YAML and Ansible inventories in, a model out; every fault at once, with file, line and column.

`load(workspace, probe_kinds=...)` is all that others need; `playbook_digest` tells whether a playbook is still the
one that the model was compiled from.
"""

from __future__ import annotations

from orchestrator.config.comparing import playbook_digest
from orchestrator.config.faults import ConfigurationInvalid, Fault
from orchestrator.config.load import Loaded, load
from orchestrator.config.ownership import WorkspaceUnsafe
from orchestrator.config.settings import DaemonSettings
from orchestrator.config.templates import Secrets, SecretUnavailable

__all__ = [
    "ConfigurationInvalid",
    "DaemonSettings",
    "Fault",
    "Loaded",
    "SecretUnavailable",
    "Secrets",
    "WorkspaceUnsafe",
    "load",
    "playbook_digest",
]
