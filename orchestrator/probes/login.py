"""login: could a playbook log in to this host now, and become root there?

The one rule it keeps: Ansible itself is asked, with the author's inventory, keys and jump hosts, by whoever runs the
playbooks here (`bascule check` runs `ansible` itself). If nobody does (a daemon whose playbooks are cold), nobody is
asked.

Asking keeps the connection open, so that the next step finds it ready.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Mapping
from dataclasses import dataclass

from pydantic import Field

from orchestrator.core.events import Answer
from orchestrator.probes.kind import Kind, Question
from orchestrator.probes.options import Options, Text
from orchestrator.probes.results import Judged, NotAsked, Raw, Refusal, Silence

_NO_REPLY = re.compile(r"timed out|no route to host|is unreachable|did not answer", re.IGNORECASE)


class LoginOptions(Options):
    """Options of `probe: login`. Without any it is the check's own host."""

    client: Text = Field(description="whose inventory")
    host: Text = Field(description="the host's name in it")
    become: bool = Field(default=False, description="and become root, as a task with `become: true` would")


@dataclass(frozen=True, slots=True)
class LoggedIn:
    """Ansible was let in."""

    took_s: float


async def ask(question: Question[LoginOptions]) -> Raw:
    """Have whoever runs playbooks log in."""
    options, logins = question.options, question.tools.logins
    if logins is None:
        return NotAsked("nobody runs playbooks here: the daemon asks this")
    loop = asyncio.get_running_loop()
    started = loop.time()
    try:
        async with asyncio.timeout(question.timeout_s):
            fine, why = await logins(options.client, options.host, options.become, question.timeout_s)
    except TimeoutError:
        return Silence(f"{options.host}: no login within {question.timeout_s:g} s")
    if fine is None:
        return NotAsked(why)
    if fine:
        return LoggedIn(loop.time() - started)
    return Silence(why) if _NO_REPLY.search(why) else Refusal(why)


def judge(options: LoginOptions, reply: LoggedIn) -> Judged:
    """To be let in is good."""
    return Judged(Answer.GOOD, {"rtt_s": reply.took_s}, f"Ansible can log in to {options.host}, {reply.took_s:.2f} s")


def invent(options: LoginOptions, so: bool, measures: Mapping[str, float]) -> LoggedIn | Refusal:
    """It is let in, or it is not."""
    return LoggedIn(measures.get("rtt_s", 0.0)) if so else Refusal(f"{options.host}: permission denied")


KIND = Kind("login", LoginOptions, ask, LoggedIn, judge, invent)
