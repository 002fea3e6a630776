# SPDX-License-Identifier: GPL-3.0-or-later
"""One line of ansible-core's, mended in what hosts are given of it.

`AnsibleModule.run_command` looks twice whether its program has ended, once its pipes are closed. A program that ends
between the two looks is neither running nor ended; Ansible then waits for pipes of which there are none, for its whole
second. Seen in 1 to 4 of 100 playbooks with two commands, target and controller on the same processors. One look is
enough: to wait for a program that has ended takes no time.

The one rule it keeps: nothing is changed but this line of ansible-core's own file. An author's `basic` stays his.
"""

from __future__ import annotations

from functools import cache
from importlib.util import find_spec

BASIC = "ansible.module_utils.basic"
LOOKS_TWICE = b"elif not selector.get_map() and cmd.poll() is None:"
LOOKS_ONCE = b"elif not selector.get_map():"


@cache
def path() -> str:
    """Of ansible-core's file."""
    spec = find_spec(BASIC)
    return spec.origin or "" if spec is not None else ""


def mended(file: str, source: bytes) -> bytes:
    """The source of a file as hosts are given it."""
    return source.replace(LOOKS_TWICE, LOOKS_ONCE) if file == path() else source
