"""Names: what this machine's resolver says of one is told as that, whoever asked it."""

from __future__ import annotations

import socket
import time

import paramiko
import pytest

from orchestrator.probes import ssh_login
from orchestrator.probes.forks import Call
from orchestrator.probes.names import NameFailed, Names
from orchestrator.probes.options import UNPINNED
from orchestrator.probes.results import NotAsked, Raw, Refusal, Silence
from orchestrator.probes.ssh import Hop, SshOptions
from orchestrator.probes.tcp import TcpOptions


async def _by_names() -> Raw:
    with pytest.raises(NameFailed) as failed:
        await Names().addresses("db.example", None, UNPINNED)
    return failed.value.meaning


async def _by_ssh() -> Raw:
    options = SshOptions(target="db.example")
    call = Call(options, 1.0, {})
    attempt = ssh_login._Attempt(options, call, paramiko.HostKeys(), [], time.monotonic() + 1.0)
    with pytest.raises(ssh_login._Ended) as ended:
        ssh_login._direct(attempt, Hop("db.example", 22, "root"), "db.example port 22")
    return ended.value.raw


@pytest.mark.parametrize("ask", [_by_names, _by_ssh])
@pytest.mark.parametrize(
    ("error", "meaning"),
    [
        (socket.gaierror(socket.EAI_NONAME, "?"), Refusal("name db.example does not exist")),
        (socket.gaierror(socket.EAI_NODATA, "?"), Refusal("name db.example has no address")),
        (socket.gaierror(socket.EAI_AGAIN, "?"), Silence("no answer from this machine's resolver for db.example")),
        (socket.gaierror(socket.EAI_FAIL, "broken"), NotAsked("cannot look up db.example: broken")),
        (socket.gaierror(socket.EAI_SYSTEM, "no files"), NotAsked("cannot look up db.example: no files")),
        (OSError(24, "Too many open files"), NotAsked("cannot look up db.example: Too many open files")),
        (UnicodeError("label too long"), NotAsked("cannot look up db.example: label too long")),
    ],
)
async def test_only_what_does_not_exist_is_said_not_to(
    monkeypatch: pytest.MonkeyPatch, ask: object, error: Exception, meaning: Raw
) -> None:
    def fails(*_: object, **__: object) -> None:
        raise error

    monkeypatch.setattr(socket, "getaddrinfo", fails)
    assert await ask() == meaning  # type: ignore[operator]


@pytest.mark.parametrize(
    ("written", "asked"),
    [
        ("192.0.2.1", "192.0.2.1"),
        ("192.0.2.1:5353", "192.0.2.1:5353"),
        ("2001:db8::1", "2001:db8::1"),
        ("fe80::1%eth0", "fe80::1%eth0"),
        ("[2001:db8::1]", "2001:db8::1"),
        ("[2001:db8::1]:5353", "[2001:db8::1]:5353"),
    ],
)
def test_a_name_server_is_an_address(written: str, asked: str) -> None:
    assert TcpOptions(target="db.example", port=1, resolver=written).resolver == asked


@pytest.mark.parametrize("written", ["ns.example", "ns.example:53", "192.0.2.1:", "192.0.2.1:dns", "[::1]:0", "[::1"])
def test_anything_else_is_told_when_it_is_written(written: str) -> None:
    with pytest.raises(ValueError, match=r"is no address|has no port"):
        TcpOptions(target="db.example", port=1, resolver=written)
