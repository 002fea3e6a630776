# SPDX-License-Identifier: GPL-3.0-or-later
"""Corrects one line of ansible-core and one of Mitogen, in what hosts are given of them.

`AnsibleModule.run_command` looks twice whether its program has ended, once its pipes are closed. If a program ends
between the two looks, it is neither running nor ended. Ansible then waits its whole second for pipes that do not exist.
This was seen in 1 to 4 of 100 playbooks with two commands, target and controller on the same processors. One look is
enough: to wait for a program that has ended takes no time.

If a module breaks, Ansible's wrapper around it reports a result with the error in it. Mitogen has no wrapper, and
leaves a stack trace. It is given Ansible's own words instead.

The one rule it keeps: nothing is changed except these lines of these files. An author's `basic` is left as it is.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

BASIC = "ansible.module_utils.basic"
LOOKS_TWICE = b"elif not selector.get_map() and cmd.poll() is None:"
LOOKS_ONCE = b"elif not selector.get_map():"

RUNNER = "ansible_mitogen.runner"
LEAVES_A_TRACE = b"""
                # This writes to stderr by default.
                traceback.print_exc()
                rc = 1
"""
TELLS_AS_ANSIBLE = b"""
                exc = sys.exc_info()[1]
                rc = 1
                try:
                    from ansible.module_utils._internal._ansiballz._loader import _handle_exception
                    _handle_exception(exc, 'legacy')
                except SystemExit:
                    pass
"""

LINES = {BASIC: (LOOKS_TWICE, LOOKS_ONCE), RUNNER: (LEAVES_A_TRACE, TELLS_AS_ANSIBLE)}


@cache
def path(module: str = BASIC) -> str:
    """Of the file of one of `LINES`, as it is installed; empty where it is not."""
    try:
        spec = find_spec(module)
    except ImportError:
        return ""
    return spec.origin or "" if spec is not None else ""


def mended(file: str, source: bytes) -> bytes:
    """The source of a file as hosts are given it."""
    for module, (before, after) in LINES.items():
        if file == path(module):
            return source.replace(before, after)
    return source
