"""Names of kept connections, and the end of a silent one: from arguments, and as ssh itself understands them."""

from __future__ import annotations

import asyncio
import getpass
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

from orchestrator.core.events import AttemptEnd
from orchestrator.runner import connections, ssh_jumps, steering
from orchestrator.runner.connections import aliveness, kept_for_call, name_of, path_for, read
from tests.runner.stage import Stage
from tests.runner.target import Target

USUAL = ["-C", "-o", "ControlMaster=auto", "-o", "ControlPersist=1800s", "-o", "Port=22", "-o", 'User="root"']


def name(*more: str, host: str = "10.10.0.10", whom: str = "a", program: str = "ssh") -> str:
    return name_of(read(["-F", "none", *USUAL, *more]), host, program, whom)


@pytest.mark.parametrize(
    "other",
    [
        name(host="10.10.0.11"),
        name("-o", "Port=23"),
        name("-o", "User=other"),
        name("-o", "IdentityFile=/k"),
        name("-i", "/k"),
        name("-o", "ProxyCommand=nc %h %p"),
        name("-o", "ProxyJump=j"),
        name("-J", "j"),
        name("-o", "UserKnownHostsFile=/k"),
        name("-o", "HostKeyAlias=h"),
        name("-o", "BindAddress=192.0.2.1"),
        name("-b", "192.0.2.1"),
        name("-4"),
        name(whom="b"),
        name(program="/opt/bin/ssh-by-vpn"),
    ],
)
def test_whatever_decides_where_it_leads_is_in_its_name(other: str) -> None:
    assert other != name()


@pytest.mark.parametrize("flag", ["-J", "-l", "-i"])
def test_a_name_that_looks_like_a_flag_is_still_a_name(flag: str) -> None:
    assert len({name(flag, said) for said in ("v", "vv", "-q", "-C", "-v")}) == 5


def test_what_decides_nothing_is_not() -> None:
    """So sftp finds the connection that ssh has made, and a more patient task the one of a less patient."""
    for more in (["-vvv"], ["-tt"], ["-o", "SendEnv=LC_X"], ["-o", "ConnectTimeout=3"], ["-oServerAliveInterval 4"]):
        assert name(*more) == name()
    assert name("-o", "controlpath=/x") == name() == name("-S", "/x")


def test_the_form_of_an_option_does_not_matter() -> None:
    assert name("-oPort=2222") == name("-o", "Port 2222") == name("-o", 'port = "2222"') != name()


def test_what_the_operators_files_say_is_in_the_name(tmp_path: Path) -> None:
    more, included = tmp_path / "config", tmp_path / "included"
    more.write_text(f"Include {included}\n")
    included.write_text("ProxyJump a\n")
    before = name_of(read(["-F", str(more)]), "h", "ssh", "a")
    assert before == name_of(read(["-F", str(more)]), "h", "ssh", "a")
    included.write_text("ProxyJump another\n")
    assert before != name_of(read(["-F", str(more)]), "h", "ssh", "a")


def test_a_path_that_would_be_too_long_or_that_others_may_write_to_is_not_used() -> None:
    tmp_path = Path(tempfile.mkdtemp(prefix="bascule-test-", dir="/tmp"))
    try:
        paths_below(tmp_path)
    finally:
        shutil.rmtree(tmp_path)


def paths_below(tmp_path: Path) -> None:
    def where(directory: Path) -> str:
        own = str(directory / "0123456789")
        found = path_for(read(["-o", f"ControlPath={own}"]), "n" * 20, ansibles_own=own, host="h")
        assert found is not None
        return found

    private = tmp_path / "p"
    private.mkdir(mode=0o700)
    assert where(private) == str(private / ("n" * 20))
    long = tmp_path / ("l" * 80)
    long.mkdir(mode=0o700)
    assert not where(long).startswith(str(tmp_path))
    assert len(where(long)) <= connections.SOCKET_MAX
    assert Path(where(long)).parent.stat().st_mode & 0o077 == 0
    private.chmod(0o777)
    assert not where(private).startswith(str(tmp_path))


@pytest.mark.parametrize(
    "proxy",
    [
        "ssh -W %h:%p jump",
        "exec /usr/bin/ssh -W %h:%p jump",
        "timeout -k 1 5s ssh -W %h:%p jump",
        "sshpass -e ssh -W %h:%p jump",
        "sshpass -f /secret ssh -W %h:%p jump",
        "env A=b C= ssh -W %h:%p jump",
        "A=b ssh -W %h:%p jump",
        "/bin/sh -c 'ssh -W %h:%p jump'",
    ],
)
@pytest.mark.parametrize("by", ["argument", "file"])
def test_a_proxy_that_is_ssh_shares_nothing(tmp_path: Path, proxy: str, by: str) -> None:
    file = tmp_path / "config"
    file.write_text(f"Host 10.*\n  ProxyCommand {proxy}\n" if by == "file" else "")
    found = read(["-F", str(file), *USUAL, *(["-o", f"ProxyCommand={proxy}"] if by == "argument" else [])])
    ssh_jumps.leave_unshared(found, "ssh", "10.10.0.10")
    told = subprocess.run(["ssh", *found.kept, "-G", "10.10.0.10"], capture_output=True, text=True, check=True).stdout
    (said,) = (line for line in told.splitlines() if line.startswith("proxycommand "))
    assert said == f"proxycommand {proxy.replace('ssh -W', 'ssh -o ControlPath=none -W')}"


@pytest.mark.parametrize(("says", "given"), [("exec ssh", True), ("exec ssh -F /etc/vpn", False)])
def test_a_program_around_ssh_is_given_a_file_where_it_names_none(tmp_path: Path, says: str, given: bool) -> None:
    """Of two ssh takes the later one: the author's own would be passed over."""
    program = tmp_path / "ssh-by-vpn"
    program.write_text(f'#!/bin/sh\n{says} "$@"\n')
    found = read([*USUAL, "-J", "jump"])
    ssh_jumps.leave_unshared(found, str(program), "10.10.0.10")
    assert ("-F" in found.kept) is given


@pytest.mark.parametrize(
    ("said", "made"),
    [
        ("ssh -S /s jump", "ssh -o ControlPath=none -S none jump"),
        ("ssh -qMS/s jump nc %h %p", "ssh -o ControlPath=none -qMS none jump nc %h %p"),
        ('ssh -o "User a" -S /s jump', 'ssh -o ControlPath=none -o "User a" -S none jump'),
        ("ssh -S '/a b' jump", "ssh -o ControlPath=none -S none jump"),
        (
            'ssh -o ProxyCommand="ssh -W a b" -S /s jump',
            'ssh -o ControlPath=none -o ProxyCommand="ssh -o ControlPath=none -W a b" -S none jump',
        ),
        ('ssh -o ProxyCommand="connect -S socks:1080 %h %p" -W %h:%p jump', None),
        ("ip netns exec east ssh -W %h:%p jump", "ip netns exec east ssh -o ControlPath=none -W %h:%p jump"),
        ("sudo -u vpn ssh -J a -W %h:%p jump", "sudo -u vpn ssh -o ControlPath=none -J a -W %h:%p jump"),
        ("ssh -oSendEnv=X jump -W %h:%p", "ssh -o ControlPath=none -oSendEnv=X jump -W %h:%p"),
        ("nc ssh 22", "nc ssh 22"),
        ("timeout 5 nc ssh 22", "timeout 5 nc ssh 22"),
    ],
)
def test_a_proxy_command_is_changed_in_nothing_else(said: str, made: str | None) -> None:
    found = read(["-F", "none", *USUAL, "-o", f"ProxyCommand={said}"])
    ssh_jumps.leave_unshared(found, "ssh", "10.10.0.10")
    wanted = made if made is not None else said.replace("ssh ", "ssh -o ControlPath=none ", 1)
    assert f"ProxyCommand={wanted}" in found.kept


def test_a_file_named_behind_a_quoted_option_is_one_of_ours_too(tmp_path: Path) -> None:
    """Else what ssh starts to jump from there would share by what this file says."""
    file = tmp_path / "config"
    file.write_text("Host *\n  ControlPath /s/%n\n")
    found = read(["-F", "none", *USUAL, "-o", f'ProxyCommand=ssh -o "User a" -F {file} -J further -W %h:%p jump'])
    ssh_jumps.leave_unshared(found, "ssh", "10.10.0.10")
    (said,) = (x for x in found.kept if x.startswith("ProxyCommand="))
    ours = said.split()[said.split().index("-F") + 1]
    assert Path(ours).read_text().splitlines()[1:3] == ["ControlPath none", f'Include "{file}"']


ME = getpass.getuser()


@pytest.mark.parametrize(
    ("says", "matches", "there"),
    [("HostName 10.0.0.1", "host 10.0.0.1", True), (f"User {ME}", f"user {ME}", True), ("User x", f"user {ME}", False)],
)
def test_the_way_on_from_a_jump_host_is_the_one_that_the_operators_file_says(
    tmp_path: Path, says: str, matches: str, there: bool
) -> None:
    """`Match` goes by what was said of the host before it."""
    file = tmp_path / "config"
    way = "ProxyCommand ssh -W %h:%p further"
    file.write_text(f"Host jump\n  {says}\nMatch {matches}\n  {way}\nHost *\n  ControlPath /s/%n\n")

    def said_of(config: str) -> list[str]:
        told = subprocess.run(["ssh", "-F", config, "-G", "jump"], capture_output=True, text=True, check=True).stdout
        return [x for x in told.splitlines() if x.startswith("proxycommand ")]

    found = read(["-F", str(file), *USUAL, "-J", "jump"])
    ssh_jumps.leave_unshared(found, "ssh", "10.10.0.10")
    wanted = [x.replace("ssh -W", "ssh -o ControlPath=none -W") for x in said_of(str(file))]
    assert found.file is not None
    assert said_of(found.file) == wanted
    assert bool(wanted) is there


def test_ssh_that_could_not_be_asked_once_is_asked_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On a busy machine it may take too long: what was not learnt is not what there is."""
    file = tmp_path / "config"
    file.write_text("Host 10.*\n  ProxyCommand ssh -W %h:%p jump\n")
    asks = subprocess.run

    def busy(words: list[str], **_named: object) -> None:
        raise subprocess.TimeoutExpired(words, 5)

    monkeypatch.setattr(subprocess, "run", busy)
    ssh_jumps.leave_unshared(read(["-F", str(file), *USUAL]), "ssh", "10.10.0.10")
    monkeypatch.setattr(subprocess, "run", asks)
    found = read(["-F", str(file), *USUAL])
    ssh_jumps.leave_unshared(found, "ssh", "10.10.0.10")
    assert "ProxyCommand=ssh -o ControlPath=none -W %h:%p jump" in found.kept


@pytest.mark.parametrize("proxy", ["tsh proxy ssh %r@%h:%p", "gcloud compute ssh jump -- -W %h:%p", "nc %h ssh x"])
def test_what_only_has_ssh_among_its_words_is_left_as_it_is(proxy: str) -> None:
    found = read(["-F", "none", *USUAL, "-o", f"ProxyCommand={proxy}"])
    ssh_jumps.leave_unshared(found, "ssh", "10.10.0.10")
    assert f"ProxyCommand={proxy}" in found.kept


def test_who_wants_none_has_none() -> None:
    found = read(["-o", "ControlPath=none"])
    assert path_for(found, "n", ansibles_own="", host="h") == "none"


def test_a_call_without_a_client_is_known_by_its_inventories() -> None:
    def whom(*options: str, directory: str = "/w", configured: str = "") -> str:
        return kept_for_call(options, directory, {}, configured)

    assert whom("-i", "a/hosts") == whom("--inventory=a/hosts") == whom("-ia/hosts") == whom("-i", "/w/a/hosts")
    for options in (("-vi", "a/hosts"), ("-vvbKia/hosts",), ("--inventory-f", "a/hosts"), ("--inv=a/hosts",)):
        assert whom(*options, "-b") == whom("-i", "a/hosts"), options
    assert whom("-i", "a/hosts") == whom(configured="/w/a/hosts")
    assert len({whom("-i", "a/hosts"), whom("-i", "b/hosts"), whom(), whom("-i", "a/hosts", "-i", "b/hosts")}) == 4
    assert whom("-i", "10.10.0.10,") != whom("-i", "10.10.0.10,", directory="/elsewhere")


# ---- what is around it


def around(*more: str, program: str = "ssh", **environment: str) -> list[str]:
    return steering.of_environment(read(["-F", "none", *USUAL, *more]), program, environment)


BY_PROXY = ("-o", "ProxyCommand=/opt/bin/way-to %h")


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (around(SSH_AUTH_SOCK="/a"), around(SSH_AUTH_SOCK="/b")),
        (around(KRB5CCNAME="a"), around()),
        (around(*BY_PROXY, CLOUD_PROFILE="a"), around(*BY_PROXY, CLOUD_PROFILE="b")),
        (around("-o", "ProxyCommand ssh -W %h:%p $JUMP", JUMP="a"), around("-o", "ProxyCommand ssh -W %h:%p $JUMP")),
        (around("-o", "IdentityFile=${KEYS}/k", KEYS="a"), around("-o", "IdentityFile=${KEYS}/k", KEYS="b")),
        (around("-o", "KnownHostsCommand=/bin/k", WHO="a"), around("-o", "KnownHostsCommand=/bin/k", WHO="b")),
        (around(program="/opt/bin/ssh-by-vpn", VPN="a"), around(program="/opt/bin/ssh-by-vpn", VPN="b")),
    ],
)
def test_what_steers_ssh_from_around_tells_connections_apart(one: list[str], other: list[str]) -> None:
    assert one != other


def test_what_differs_from_call_to_call_and_steers_nothing_does_not() -> None:
    says_nothing = {"TERM": "xterm", "SHLVL": "2", "SSH_TTY": "/dev/pts/1", "BASCULE_OPERATOR": "a", "ANSIBLE_X": "1"}
    for more in ((), BY_PROXY):
        assert around(*more, **says_nothing) == around(*more)
    assert around(CLOUD_PROFILE="a") == around(CLOUD_PROFILE="b"), "nothing asks for it"
    jump = ("-o", "ProxyCommand=ssh -W %h:%p jump")
    assert around(*jump, CLOUD_PROFILE="a") == around(*jump, CLOUD_PROFILE="b"), "ssh does not ask for it"


def test_files_of_ssh_count_as_arguments_do(tmp_path: Path) -> None:
    file = tmp_path / "config"

    def differ(text: str) -> bool:
        file.write_text(text)
        found = read(["-F", str(file)])
        return steering.of_environment(found, "ssh", {"SITE": "a"}) != steering.of_environment(
            found, "ssh", {"SITE": "b"}
        )

    assert differ("Host *\n  ProxyCommand /opt/bin/way-to %h\n")
    assert differ('Match exec "test -n x"\n  Port 23\n')
    assert differ("Host *\n  IdentityAgent ${SITE}/agent\n")
    assert not differ("# ProxyCommand /opt/bin/way-to\nHost *\n  Port 22\n")


def test_a_relative_path_is_another_one_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def found() -> str:
        relative = read(["-F", "none", *USUAL, "-o", "UserKnownHostsFile=known"])
        return name_of(relative, "h", "ssh", "a", steering.decides(relative, "ssh", {}))

    here = found()
    assert here == found()
    monkeypatch.chdir(tmp_path)
    assert here != found()


# ---- the end of silence


@pytest.mark.parametrize("limit_s", [1, 3, 4, 8, 10, 30])
def test_silence_ends_no_later_than_a_new_connection_would_be_given_up(limit_s: int) -> None:
    found = as_ssh_has_it(aliveness(read(["-o", f"ConnectTimeout={limit_s}"]), "ssh"))
    waits_s = found["serveraliveinterval"] * (found["serveralivecountmax"] + 1)
    assert waits_s <= max(2, limit_s)


def test_the_authors_word_comes_first() -> None:
    for said in (["-o", "ServerAliveInterval=77"], ["-oServerAliveInterval=77"]):
        assert as_ssh_has_it([*aliveness(read(said), "ssh"), *said])["serveraliveinterval"] == 77
    assert aliveness(read([]), "/opt/another/program") == []


def test_so_does_what_his_own_file_says(tmp_path: Path) -> None:
    given = tmp_path / "config"
    given.write_text("Host 10.*\n  ServerAliveInterval 77\n")
    assert as_ssh_has_it([*aliveness(read(["-F", str(given)]), "ssh"), "-F", str(given)])["serveraliveinterval"] == 77
    given.write_text("Port 2222\n")
    found = as_ssh_has_it([*aliveness(read(["-F", str(given)]), "ssh"), "-F", str(given)])
    assert (found["serveraliveinterval"], found["port"]) == (2, 2222)


@pytest.mark.skipif(os.geteuid() != 0, reason="a home of its own for root needs root")
def test_and_what_ssh_reads_of_itself(tmp_path: Path) -> None:
    """Of ~/.ssh/config all counts, as ever; of what it does not say, ours."""
    (tmp_path / ".ssh").mkdir(mode=0o700)
    config = tmp_path / ".ssh" / "config"
    config.write_text("Host 10.*\n  ServerAliveInterval 77\nHost *\n  Port 2222\n")
    config.chmod(0o600)
    home = "grep -v ^root: /etc/passwd >p; echo root:x:0:0:root:$PWD:/bin/sh >>p; mount --bind p /etc/passwd; "
    ours = "from orchestrator.runner.connections import aliveness, read; print(*aliveness(read([]), 'ssh'))"
    for host, interval in (("10.10.0.10", 77), ("192.0.2.1", 2)):
        command = f'ssh $("{sys.executable}" -c "{ours}") -G {host}'
        done = subprocess.run(
            ["unshare", "--mount", "sh", "-ec", home + command],
            cwd=tmp_path,
            env={**os.environ, "XDG_RUNTIME_DIR": str(tmp_path)},
            capture_output=True,
            text=True,
            check=True,
        )
        found = numbers(done.stdout)
        assert (found["serveraliveinterval"], found["port"]) == (interval, 2222)


@pytest.mark.skipif(os.geteuid() != 0, reason="a directory of another user's is wanted")
@pytest.mark.parametrize(("owner", "mode"), [(65534, 0o700), (0, 0o777)])
def test_where_somebody_else_can_replace_it_nothing_of_ours_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, owner: int, mode: int
) -> None:
    """`su` keeps $XDG_RUNTIME_DIR: its owner could put a file of theirs where root's ssh reads its configuration."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    (theirs / "cp").mkdir(mode=0o700)
    theirs.chmod(mode)
    os.chown(theirs, owner, owner)
    monkeypatch.setenv("XDG_RUNTIME_DIR", str(theirs))
    option, file = connections.aliveness(connections.read([]), "ssh")
    assert option == "-F"
    assert not Path(file).is_relative_to(theirs)
    own = f"{theirs}/cp/x"
    kept = connections.read(["-o", f"ControlPath={own}"])
    path = connections.path_for(kept, "name", ansibles_own=own, host="h")
    assert path is not None
    assert not Path(path).is_relative_to(theirs)
    assert os.listdir(theirs) == ["cp"]


def as_ssh_has_it(arguments: list[str]) -> dict[str, int]:
    done = subprocess.run(["ssh", *arguments, "-G", "10.10.0.10"], capture_output=True, text=True, check=True)
    return numbers(done.stdout)


def numbers(printed: str) -> dict[str, int]:
    pairs = (line.partition(" ") for line in printed.splitlines())
    return {name: int(value) for name, _, value in pairs if value.isdigit()}


@pytest.mark.parametrize("executor", ["fast", pytest.param("cold", marks=pytest.mark.broad)])
async def test_a_host_that_falls_silent_under_a_kept_connection_is_unreachable(
    stage: Stage, target: Target, executor: str
) -> None:
    """And not what the step waits for until its own time is over."""
    variables = target.variables
    options = variables["ansible_ssh_common_args"].replace("-oControlPersist=5s", "-oControlMaster=auto")
    stage.write_inventory({"edge": {**variables, "ansible_ssh_common_args": options}})
    if executor == "fast":
        stage.warm = True
        await stage.warmed()
    book = stage.write(
        "p.yml", "- hosts: edge\n  gather_facts: false\n  tasks:\n    - ansible.builtin.command: hostname\n"
    )
    for number in range(3):
        assert (await stage.run(book, f"go {number}")).outcome is AttemptEnd.OK
    await asyncio.sleep(1.0)
    held = processes_below(target.process.pid)
    for pid in held:
        os.kill(pid, signal.SIGSTOP)
    try:
        ended = await stage.run(book, "silent", timeout_s=90.0)
        assert ended.outcome is AttemptEnd.UNREACHABLE, ended.detail
    finally:
        for pid in reversed(held):
            os.kill(pid, signal.SIGCONT)
    for number in range(3):
        assert (await stage.run(book, f"again {number}")).outcome is AttemptEnd.OK


def processes_below(pid: int) -> list[int]:
    """All that a process has started, the eldest first."""
    found, left = [], [pid]
    while left:
        parent = left.pop(0)
        for task in Path(f"/proc/{parent}/task").glob("*/children"):
            children = [int(word) for word in task.read_text().split()]
            found += children
            left += children
    return found
