"""Programs that end with whoever started them.

The one rule it keeps: a test process that is killed leaves no server behind, whatever its fixtures come to.
"""

from __future__ import annotations


def tied(how: str = "KILL") -> list[str]:
    """To be put before a command line: it gets this signal when the process that starts it is gone."""
    return ["setpriv", "--pdeathsig", how, "--"]
