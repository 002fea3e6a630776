"""ssh: log in and run a read-only command, through jump hosts if there are any.

The one rule it keeps: only what the asked host itself said counts as its answer. If a jump host is dead, does not let
us in, or is unknown to us, nobody was asked.

    what happened                                              answer
    ---------------------------------------------------------  ---------------------------
    command ended, exit code and output as expected            good
    command ended otherwise, did not end in time, or prints    bad (the host let us in)
    without end
    connection refused, no login, other host key, no SSH       bad
    no connection, greeting or session in time                 silent
    no jump host let us through                                none
    key file or secret missing, host key not known             none

With `keep` one login lasts from question to question, and a question is one command in it. A kept connection may be
broken, or may not take the question in its share of the time (`jump_timeout`, or as if it were one more way). Then a
new login is made within the question's time, and that login decides as above.

As the witness of another vantage (`Check.vantage`), the host is not what the question is about. If it does not let us
in, or its command does not end in time, that is silence, and the vantage's references then tell that it is blind.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

from pydantic import AfterValidator, BeforeValidator, Field

from orchestrator.core.events import Answer
from orchestrator.probes.domain_names import Target
from orchestrator.probes.example_texts import differing, matching
from orchestrator.probes.expressions import found
from orchestrator.probes.kind import Kind, Question
from orchestrator.probes.options import Duration, Pinned, Port, Text
from orchestrator.probes.patterns import Pattern
from orchestrator.probes.results import CannotInvent, Judged, Raw, Refusal, Silence

OUTPUT_MAX = 32768  # bytes of a command's output, and as many of its errors
_HOP = re.compile(r"(?:(?P<user>[^@\s]+)@)?(?P<host>\[[0-9a-fA-F:.%]+\]|[^:\s@\[\]]+)(?::(?P<port>\d{1,5}))?")


@dataclass(frozen=True, slots=True)
class Hop:
    """One host on the way."""

    host: str
    port: int
    user: str | None


def hops_of(jump: str) -> tuple[Hop, ...]:
    """The hosts of one way, as OpenSSH's ProxyJump writes them: `[user@]host[:port]`, several with commas.

    `direct` is the way without any. Raises ValueError.
    """
    if jump == "direct":
        return ()
    hops = []
    for part in jump.split(","):
        found = _HOP.fullmatch(part.strip())
        port = int(found["port"] or 22) if found else 0
        if not found or not 0 < port < 65536:
            raise ValueError(f"{jump!r} is no way: write [user@]host[:port], several hops with commas, or direct")
        hops.append(Hop(found["host"].strip("[]"), port, found["user"]))
    return tuple(hops)


def _is_way(jump: str) -> str:
    hops_of(jump)
    return jump


def _list_of_one(value: object) -> object:
    return [value] if isinstance(value, str) else value


class SshOptions(Pinned):
    """Options of `probe: ssh`."""

    FROM_HOST: ClassVar[bool] = True
    target: Target
    port: Port = 22
    user: Text = "root"
    key_file: Text | None = None
    key_secret: Text | None = Field(default=None, description="name of the secret with the key file's passphrase")
    password_secret: Text | None = None
    password_file: Text | None = None
    known_hosts: Annotated[tuple[Text, ...], BeforeValidator(_list_of_one)] = (
        "/etc/ssh/ssh_known_hosts",
        "~/.ssh/known_hosts",
    )
    host_key_alias: Text | None = Field(default=None, description="name under which the target's host key is known")
    check_host_key: bool = Field(
        default=True, description="false accepts any host key: for gear behind a trusted wire only"
    )
    jump: Annotated[tuple[Annotated[str, AfterValidator(_is_way)], ...], BeforeValidator(_list_of_one)] = Field(
        default=(), description="ways to the target, tried in order: jump hosts, or direct"
    )
    jump_password_secret: Text | None = Field(
        default=None, description="of the jump hosts; they are never offered the target's"
    )
    jump_password_file: Text | None = None
    jump_timeout: Duration | None = Field(
        default=None, description="for each way, a kept login among them; else an equal share of the time-out"
    )
    keep: bool = Field(default=False, description="keep the login from question to question: for short intervals")
    command: Text = "true"
    exit_code: Annotated[int, Field(ge=0, le=255)] = 0
    match: Pattern | None = Field(default=None, description="regular expression that the output must match somewhere")


@dataclass(frozen=True, slots=True)
class Ran:
    """Logged in; `code` is None if the command was not waited for to its end: time was over, or it printed too much."""

    code: int | None
    output: str
    errors: str
    rtt_s: float
    way: str = "direct"
    too_much: bool = False


async def ask(question: Question[SshOptions]) -> Raw:
    """In a process of its own: paramiko blocks, and cryptography is no load for the event loop."""
    options = question.options
    secrets = {
        "password": question.secret(options.password_secret, options.password_file),
        "jump_password": question.secret(options.jump_password_secret, options.jump_password_file),
        "passphrase": question.secret(options.key_secret, None),
    }
    forks = question.tools.forks("orchestrator.probes.ssh_login")
    return await (forks.ask_kept if options.keep else forks.ask)(question, secrets)


def judge(options: SshOptions, reply: Ran) -> Judged:
    """Exit code, then output."""
    measures = {"rtt_s": reply.rtt_s}
    by = "" if reply.way == "direct" else f" by {reply.way}"
    if reply.code is None:
        why = f"printed more than {OUTPUT_MAX} bytes" if reply.too_much else "did not end in time"
        return Judged(Answer.BAD, measures, f"logged in{by}, but {options.command!r} {why}")
    said = " ".join((reply.errors or reply.output)[:1000].split())[:120]
    if reply.code != options.exit_code:
        text = f"{options.command!r} ended with {reply.code}, expected {options.exit_code}{by}"
        return Judged(Answer.BAD, measures, f"{text}: {said}" if said else text)
    if options.match is not None and not found(options.match, reply.output):
        return Judged(
            Answer.BAD,
            measures,
            f"{options.command!r} said {reply.output[:1000].strip()[:80]!r}, expected /{options.match}/",
        )
    return Judged(Answer.GOOD, measures, f"logged in{by}, {options.command!r} as expected")


def invent(options: SshOptions, so: bool, measures: Mapping[str, float]) -> Ran:
    """The command ends as it should; else with another output, or where none is looked at, with another exit code."""
    rtt_s = measures.get("rtt_s", 0.0)
    if so:
        output = "" if options.match is None else matching(options.match)
        if output is None:
            raise CannotInvent("ssh", "match", f"no text was found that matches /{options.match}/")
        return Ran(options.exit_code, output, "", rtt_s)
    output = None if options.match is None else differing(options.match)
    if output is None:
        return Ran(1 if options.exit_code == 0 else 0, "", "", rtt_s)
    return Ran(options.exit_code, output, "", rtt_s)


def heard(raw: Raw) -> Raw:
    """What the witness says of what it was to ask; nothing, if it did not let us in."""
    if isinstance(raw, Refusal):
        return Silence(f"the vantage's host does not let us in: {raw.why}")
    if isinstance(raw, Ran) and raw.code is None:
        why = f"printed more than {OUTPUT_MAX} bytes" if raw.too_much else "did not end in time"
        return Silence(f"the vantage's host let us in, but the command {why}")
    return raw


KIND = Kind("ssh", SshOptions, ask, Ran, judge, invent, grace_s=60.0, forks=True, heard=heard)
