# SPDX-License-Identifier: GPL-3.0-or-later
"""Whether a task that has begun in its playbook's own process may still begin anew, in a fork: see `unforked`.

The one rule it keeps: not after something of it has reached its host.
"""

from __future__ import annotations

import threading
from typing import Any


class NeedsFork(BaseException):
    """This task is to be begun anew, in a fork; nothing of it has reached its host.

    Nobody who handles a task's errors handles this one.
    """


_worker: Any = None  # whose task runs in this process, in the main thread
_sent = False


def begin(worker: Any) -> None:
    """A task begins in here."""
    global _worker, _sent
    _worker, _sent = worker, False


def end() -> None:
    """It has ended."""
    begin(None)


def reaches_host() -> None:
    """From now on it is not begun anew."""
    global _sent
    _sent = True


def under_way() -> Any:
    """The worker whose task it is that asks; None in a fork, and in the playbook's other threads."""
    return _worker if threading.current_thread() is threading.main_thread() else None


def in_a_fork() -> None:
    """Said by what is only done in a fork. Raises NeedsFork, unless this is one, or it is too late."""
    if under_way() is not None and not _sent:
        raise NeedsFork
