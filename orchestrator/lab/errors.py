"""What can go wrong in the lab. Each error tells the person at the keyboard what to do next."""

from __future__ import annotations


class LabError(Exception):
    """The lab could not do what was asked. The text is the whole message; it needs no stack trace."""


class LabUsageError(LabError):
    """The call itself was wrong: no such host, link, lab name."""
