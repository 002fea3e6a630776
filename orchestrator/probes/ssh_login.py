"""Logs in with paramiko and runs one command, inside a fork.

The one rule it keeps: every wait has an end of its own, so that a dead jump host leaves time for the next way. With
`keep` the fork lasts and so does its login.
"""

from __future__ import annotations

import logging
import select
import socket
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import paramiko

from orchestrator.probes.charsets import plain_text
from orchestrator.probes.forks import Call
from orchestrator.probes.results import NotAsked, Raw, Refusal, Silence, Unanswerable
from orchestrator.probes.sockets import family_of, is_address, meaning_of, meaning_of_look_up, pin
from orchestrator.probes.ssh import OUTPUT_MAX, Hop, Ran, SshOptions, hops_of
from orchestrator.probes.ssh_bounds import Bounded

KEEPALIVE_S = 2  # from one word to the next in a login that is kept, if nobody asks
GIVEN_UP_S = 8.0  # after which what nobody has acknowledged ends it: it is made anew by the next question
_SILENT_WORDS = ("timed out", "no route", "unreachable", "timeout")


class _Heard(logging.Handler):
    """Keeps why a jump host could not connect: paramiko logs the reason, and raises without it."""

    reason = ""

    def emit(self, record: logging.LogRecord) -> None:
        """Take the reason from `Secsh channel 0 open FAILED: Connection refused: Connect failed`."""
        _, failed, rest = record.getMessage().partition("open FAILED: ")
        if failed:
            self.reason = rest.rpartition(": ")[0]


_heard = _Heard()
logging.getLogger("paramiko").addHandler(_heard)
logging.getLogger("paramiko").propagate = False


class _Ended(Exception):
    """This hop ended the attempt; `raw` is what it means if the hop is the target."""

    def __init__(self, raw: Raw) -> None:
        super().__init__(raw.why)
        self.raw = raw


@dataclass(slots=True)
class _Attempt:
    """One way, until its deadline."""

    options: SshOptions
    call: Call
    known: paramiko.HostKeys
    keys: list[paramiko.PKey]
    deadline: float
    open: list[paramiko.Transport] = field(default_factory=list)

    def left_s(self) -> float:
        left = self.deadline - time.monotonic()
        if left <= 0:
            raise _Ended(Silence("no time left"))
        return left

    def close(self) -> None:
        for transport in reversed(self.open):
            transport.close()


@dataclass(slots=True)
class _Login:
    """One that lasts; `attempt.open` are its transports, the target's last."""

    attempt: _Attempt
    transport: paramiko.Transport
    way: str


def keep() -> Callable[[Call], Raw]:
    """Answers question after question of the same options by one login; made anew when it breaks."""
    kept: list[_Login] = []

    def ask(call: Call) -> Raw:
        ends = time.monotonic() + call.timeout_s
        raw = _ask_again(kept[0], call) if kept else None
        if raw is not None and kept[0].transport.is_active():
            return raw
        while kept:
            kept.pop().attempt.close()
        return answer(replace(call, timeout_s=ends - time.monotonic()), kept) if raw is None else raw

    return ask


def answer(call: Call, kept: list[_Login] | None = None) -> Raw:
    """Try each way in turn; the first that reaches the target decides. Its login is put into `kept`, or closed."""
    options: SshOptions = call.options
    try:
        known = _known_hosts(options)
        keys = _keys(options, call.secrets.get("passphrase"))
    except Unanswerable as error:
        return NotAsked(str(error))
    ways = options.jump or ("direct",)
    started = time.monotonic()
    end = started + call.timeout_s
    asked: Raw | None = None
    unasked: list[str] = []
    gone = True  # for want of the way out of this machine, every time
    for index, way in enumerate(ways):
        now = time.monotonic()
        if now >= end:
            unasked.append(f"{way}: no time left")
            gone = False
            continue
        share = options.jump_timeout or (end - now) / (len(ways) - index)
        attempt = _Attempt(options, call, known, keys, min(end, now + share))
        try:
            raw = _try(attempt, way, started, end, kept)
        finally:
            if not kept:
                attempt.close()
        if isinstance(raw, NotAsked):
            unasked.append(f"{way}: {raw.why}" if len(ways) > 1 else raw.why)
            gone = gone and raw.way_gone
        elif isinstance(raw, Silence):
            asked = raw
        else:
            return raw
    return asked or NotAsked("; ".join(unasked), gone)


def _try(attempt: _Attempt, way: str, started: float, end: float, kept: list[_Login] | None) -> Raw:
    options = attempt.options
    jumps = hops_of(way)
    through: paramiko.Transport | None = None
    for hop in jumps:
        try:
            through = _log_in(attempt, hop, through, hop.host, "jump_password")
        except _Ended as ended:
            gone = isinstance(ended.raw, NotAsked) and ended.raw.way_gone
            return NotAsked(f"jump host {hop.host}: {ended.raw.why}", gone)
    target = Hop(options.target, options.port, options.user)
    try:
        transport = _log_in(attempt, target, through, options.host_key_alias or options.target, "password")
    except _Ended as ended:
        return ended.raw
    if kept is not None:
        for each in attempt.open:
            each.set_keepalive(KEEPALIVE_S)
        kept.append(_Login(attempt, transport, way))
    return _run(attempt, transport, way, started, end)


def _ask_again(login: _Login, call: Call) -> Raw | None:
    """One more question in a kept login; None if it had broken, or does not take the question in its share of time."""
    attempt, started = login.attempt, time.monotonic()
    if not all(transport.is_active() for transport in attempt.open):
        return None
    share_s = attempt.options.jump_timeout or call.timeout_s / (len(attempt.options.jump or ("direct",)) + 1)
    try:
        channel = login.transport.open_session(timeout=min(share_s, call.timeout_s))
    except (paramiko.SSHException, EOFError, OSError):
        login.transport.close()
        return None
    raw = _run(attempt, login.transport, login.way, started, started + call.timeout_s, channel)
    if isinstance(raw, Refusal) and not all(transport.is_active() for transport in attempt.open[:-1]):
        return NotAsked(f"the jump host was lost on the way to {attempt.options.target}")
    return raw


def _log_in(
    attempt: _Attempt, hop: Hop, through: paramiko.Transport | None, known_as: str, password: str
) -> paramiko.Transport:
    """`password`: the name of the secret that is this hop's own. Who carries us to the target learns nothing of it."""
    where = f"{hop.host} port {hop.port}"
    sock = _direct(attempt, hop, where) if through is None else _channel(attempt, hop, through, where)
    bounded = Bounded(sock)
    bounded.carries = transport = paramiko.Transport(bounded)  # type: ignore[arg-type]  # it is used like a socket
    attempt.open.append(transport)
    transport.banner_timeout = transport.auth_timeout = transport.handshake_timeout = attempt.left_s()
    name = known_as if hop.port == 22 else f"[{known_as}]:{hop.port}"
    wanted = attempt.known.lookup(name)
    if wanted is not None:  # ask for the kind of key that is known, as OpenSSH does
        first = [kind for kind in transport.get_security_options().key_types if kind in _signatures(wanted)]
        rest = [kind for kind in transport.get_security_options().key_types if kind not in first]
        transport.get_security_options().key_types = (*first, *rest)
    elif attempt.options.check_host_key:
        raise _Ended(NotAsked(f"the host key of {name} is not known: add it to {attempt.options.known_hosts[0]}"))
    try:
        transport.start_client(timeout=attempt.left_s())
        transport.get_remote_server_key()  # raises if there is none: start_client just returns when its time is over
    except TimeoutError as error:
        raise _Ended(Silence(f"{where}: {_unfinished(transport)} in time")) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        late = isinstance(error.__context__, TimeoutError) or time.monotonic() >= attempt.deadline - 0.05
        if late or "timeout" in str(error).lower() or "timed out" in str(error).lower():
            raise _Ended(Silence(f"{where}: {_unfinished(transport)} in time")) from error
        text = str(error) or "the connection was closed"
        raise _Ended(Refusal(f"{where}: no SSH session: {text}")) from error
    _check_key(attempt, transport, name, wanted)
    _authenticate(attempt, transport, hop, where, password)
    return transport


def _unfinished(transport: paramiko.Transport) -> str:
    return "connected and greeted, no SSH session" if transport.remote_version else "connected, no SSH greeting"


def _direct(attempt: _Attempt, hop: Hop, where: str) -> socket.socket:
    address = hop.host
    try:
        if not is_address(address):
            address = str(socket.getaddrinfo(hop.host, hop.port, type=socket.SOCK_STREAM)[0][4][0])
    except (OSError, UnicodeError) as error:
        raise _Ended(meaning_of_look_up(error, hop.host)) from error
    sock = socket.socket(family_of(address), socket.SOCK_STREAM)
    try:
        pin(sock, attempt.options)
        if attempt.options.keep:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(GIVEN_UP_S * 1000))
        sock.settimeout(attempt.left_s())
        sock.connect((address, hop.port))
    except TimeoutError as error:
        sock.close()
        raise _Ended(Silence(f"{where}: no connection in time")) from error
    except Unanswerable as error:
        sock.close()
        raise _Ended(NotAsked.of(error)) from error
    except OSError as error:
        sock.close()
        raise _Ended(meaning_of(error, where)) from error
    return sock


def _channel(attempt: _Attempt, hop: Hop, through: paramiko.Transport, where: str) -> paramiko.Channel:
    try:
        return through.open_channel("direct-tcpip", (hop.host, hop.port), ("127.0.0.1", 0), timeout=attempt.left_s())
    except paramiko.ChannelException as error:
        text = _heard.reason.lower() or error.text.lower()
        if error.code != 2:  # 2 is "connect failed"; anything else is the jump host's own refusal
            raise _Ended(NotAsked(f"the jump host does not connect to {where}: {error.text}")) from error
        if "refused" in text:
            raise _Ended(Refusal(f"{where}: {text}")) from error
        if any(word in text for word in _SILENT_WORDS):
            raise _Ended(Silence(f"{where}: {text}")) from error
        raise _Ended(NotAsked(f"the jump host cannot connect to {where}: {text}")) from error
    except (paramiko.SSHException, EOFError, OSError) as error:
        if not through.is_active():
            raise _Ended(NotAsked(f"the jump host was lost on the way to {where}: {error}")) from error
        raise _Ended(Silence(f"{where}: no connection in time")) from error


def _check_key(
    attempt: _Attempt, transport: paramiko.Transport, name: str, wanted: Mapping[str, paramiko.PKey] | None
) -> None:
    if not attempt.options.check_host_key:
        return
    key = transport.get_remote_server_key()
    if wanted is None or key.get_name() not in wanted:
        known = ", ".join(sorted(wanted or {}))
        raise _Ended(NotAsked(f"{name} shows a {key.get_name()} host key; known of it: {known}"))
    if wanted[key.get_name()] != key:
        raise _Ended(Refusal(f"{name} shows another host key than the known one: {key.fingerprint}"))


def _authenticate(attempt: _Attempt, transport: paramiko.Transport, hop: Hop, where: str, secret: str) -> None:
    user = hop.user or attempt.options.user
    password = attempt.call.secrets.get(secret)
    why = "no key and no password to offer"
    for key in attempt.keys:
        try:
            transport.auth_timeout = attempt.left_s()
            if not transport.auth_publickey(user, key):
                return
            why = "a second factor is asked for"
        except (paramiko.SSHException, EOFError, OSError) as error:
            why = _auth_failure(transport, error, where)
    if password is not None:
        try:
            transport.auth_timeout = attempt.left_s()
            if not transport.auth_password(user, password, fallback=False):
                return
        except (paramiko.SSHException, EOFError, OSError) as error:
            why = _auth_failure(transport, error, where)
    if not attempt.keys and password is None:
        raise _Ended(NotAsked(f"{user}@{where}: {why}: set key_file or {secret}_secret"))
    raise _Ended(Refusal(f"{user}@{where}: login refused: {why}"))


def _auth_failure(transport: paramiko.Transport, error: Exception, where: str) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, TimeoutError) or "timeout" in text.lower():
        raise _Ended(Silence(f"{where}: no answer to the login in time")) from error
    if not transport.is_active():
        raise _Ended(Refusal(f"{where}: connection closed during the login: {text}")) from error
    return text


def _run(
    attempt: _Attempt,
    transport: paramiko.Transport,
    way: str,
    started: float,
    end: float,
    channel: paramiko.Channel | None = None,
) -> Raw:
    output, errors = bytearray(), bytearray()
    code: int | None = None
    too_much = False
    attempt.deadline = end  # the target has been reached: the other ways need no time any more
    try:
        if channel is None:
            channel = transport.open_session(timeout=attempt.left_s())
        channel.settimeout(attempt.left_s())
        channel.exec_command(attempt.options.command)
        while True:
            while channel.recv_ready():
                output += channel.recv(4096)
            while channel.recv_stderr_ready():
                errors += channel.recv_stderr(4096)
            if channel.exit_status_ready() and not channel.recv_ready() and not channel.recv_stderr_ready():
                code = channel.recv_exit_status()
                break
            if channel.closed or not transport.is_active():
                return Refusal(f"{attempt.options.target}: the connection was closed before the command ended")
            if len(output) > OUTPUT_MAX or len(errors) > OUTPUT_MAX:
                too_much = True
                break
            select.select([channel], [], [], min(0.02, attempt.left_s()))
    except _Ended:
        pass  # time is over: code stays None
    except (paramiko.SSHException, EOFError, OSError) as error:
        if not isinstance(error, TimeoutError) and "timeout" not in str(error).lower():
            return Refusal(f"{attempt.options.target}: logged in, but no command runs: {error}")
    finally:
        if channel is not None:
            channel.close()  # a kept connection would carry it on
    return Ran(code, _text(output), _text(errors), time.monotonic() - started, way, too_much)


def _text(data: bytearray) -> str:
    return plain_text(data[:OUTPUT_MAX])


def _signatures(keys: Mapping[str, paramiko.PKey]) -> set[str]:
    """Signature algorithms for these host keys (an RSA key signs with SHA-2)."""
    names = set(keys)
    return names | {"rsa-sha2-512", "rsa-sha2-256"} if "ssh-rsa" in names else names


def _known_hosts(options: SshOptions) -> paramiko.HostKeys:
    known = paramiko.HostKeys()
    if not options.check_host_key:
        return known
    read = []
    for file in options.known_hosts:
        path = Path(file).expanduser()
        try:
            known.load(str(path))
            read.append(path)
        except FileNotFoundError:
            continue
        except (OSError, paramiko.SSHException) as error:
            raise Unanswerable(f"known hosts {path} cannot be read: {error}") from error
    if not read:
        raise Unanswerable(f"there is no file of known hosts (looked for {', '.join(options.known_hosts)})")
    return known


def _keys(options: SshOptions, passphrase: str | None) -> list[paramiko.PKey]:
    if options.key_file is None:
        return []
    path = Path(options.key_file).expanduser()
    try:
        return [paramiko.PKey.from_path(str(path), passphrase.encode() if passphrase else None)]  # type: ignore[arg-type]  # the stubs say str; cryptography wants bytes
    except FileNotFoundError as error:
        raise Unanswerable(f"key file {path} is not there") from error
    except Exception as error:  # paramiko and cryptography have many ways to dislike a key
        raise Unanswerable(f"key file {path} cannot be used: {error or type(error).__name__}") from error
