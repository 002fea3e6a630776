# SPDX-License-Identifier: GPL-3.0-or-later
"""Loaded by Ansible as a callback, only for its side effects: connections are kept apart in this program, too, and
secrets are struck out of failed results.

The one rule it keeps: a program that cannot keep them apart runs no playbook. (Ansible itself only warns of a callback
that fails.)
"""

from __future__ import annotations

from ansible.plugins.callback import CallbackBase

try:
    from orchestrator.runner.warm.zygote import connection_names, told_results

    connection_names.install()
    told_results.install()
except Exception as error:
    raise SystemExit(
        f"bascule cannot keep clients' connections apart, and secrets in, with this ansible-core: {error!r}"
    ) from error


class CallbackModule(CallbackBase):  # type: ignore[misc]
    """Hears nothing."""

    CALLBACK_VERSION = 2.0
    CALLBACK_TYPE = "aggregate"
    CALLBACK_NAME = "bascule_apart"
    CALLBACK_NEEDS_ENABLED = False
