"""Hosts to run playbooks on: a real ssh server in the cell, with keys of its own, on as many addresses as wanted.

The one rule it keeps: every contender meets the same hosts, by the same inventory. Only the directory of OpenSSH's
shared connections is each contender's own, so that nobody rides on a connection that another one has made.
"""

from __future__ import annotations

import json
import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from scripts.bench.people import know

SERVER = """
Port 22
ListenAddress 0.0.0.0
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
PidFile none
MaxStartups 200
AcceptEnv LANG LC_*
"""
CONFIGURATION = """
[defaults]
inventory = hosts.json
host_key_checking = True
gathering = explicit
forks = 10
localhost_warning = False

[connection]
pipelining = True

[ssh_connection]
control_path_dir = {connections}
"""


def addresses(count: int) -> list[str]:
    """Of the hosts, in the cell's own loopback network."""
    return [f"127.0.1.{n}" for n in range(1, count + 1)]


def start_server(home: Path) -> None:
    """Start sshd for the login `root`; it ends with the cell. Raises RuntimeError if it does not answer."""
    home.mkdir()
    for name in ("host", "user"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", home / name], check=True)
    (home / "configuration").write_text(SERVER.format(home=home))
    (home / "root").mkdir()
    know(home, f"root:x:0:0:root:{home}/root:/bin/sh", "sshd:x:990:65534::/run/sshd:/usr/sbin/nologin")
    Path("/run/sshd").mkdir(mode=0o755)
    program = shutil.which("sshd")
    if program is None:
        raise RuntimeError("there is no sshd: scripts/system-packages brings one")
    with (home / "log").open("wb") as log:
        subprocess.Popen([program, "-D", "-e", "-f", home / "configuration"], stderr=log)
    for _ in range(100):
        with socket.socket() as probe:
            if probe.connect_ex((addresses(1)[0], 22)) == 0:
                return
        time.sleep(0.05)
    raise RuntimeError(f"sshd does not answer: {(home / 'log').read_text()}")


def workspace(directory: Path, home: Path, count: int, *, python: str = "", here: bool = False) -> Path:
    """A directory with ansible.cfg and an inventory of so many hosts; its path. Playbooks go below `playbooks`.

    `here`: the hosts are this machine, and no ssh leads there.
    """
    directory.mkdir(parents=True)
    (directory / "playbooks").mkdir()
    key = (home / "host.pub").read_text().strip()
    (home / "known").write_text("".join(f"{address} {key}\n" for address in addresses(count)))
    variables = {
        "ansible_user": "root",
        "ansible_ssh_private_key_file": str(home / "user"),
        "ansible_ssh_common_args": f"-o UserKnownHostsFile={home}/known -o IdentitiesOnly=yes",
        "ansible_python_interpreter": python or _python(),
        **({"ansible_connection": "local"} if here else {}),
    }
    hosts = {f"host{n}": {"ansible_host": address} for n, address in enumerate(addresses(count), start=1)}
    (directory / "hosts.json").write_text(json.dumps({"all": {"hosts": hosts, "vars": variables}}, indent=1))
    connections = tempfile.mkdtemp(prefix="c")  # short: sockets are made there
    (directory / "ansible.cfg").write_text(CONFIGURATION.format(connections=connections))
    return directory


def _python() -> str:
    """The machine's own Python rather than that of a virtual environment, as a target would have it."""
    return "/usr/bin/python3" if os.access("/usr/bin/python3", os.X_OK) else os.path.realpath(sys.executable)
