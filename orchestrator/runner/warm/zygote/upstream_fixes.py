# SPDX-License-Identifier: GPL-3.0-or-later
"""A line of ansible-core's and one of Mitogen's, mended in what hosts are given of them.

`AnsibleModule.run_command` looks twice whether its program has ended, once its pipes are closed. A program that ends
between the two looks is neither running nor ended; Ansible then waits for pipes of which there are none, for its whole
second. Seen in 1 to 4 of 100 playbooks with two commands, target and controller on the same processors. One look is
enough: to wait for a program that has ended takes no time.

A module that breaks is told of by Ansible's wrapper around it, as a result with the error in it. Mitogen has no
wrapper, and leaves a stack trace; it is given Ansible's own words for it.

The one rule it keeps: nothing is changed but these lines of these files. An author's `basic` stays his.
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
