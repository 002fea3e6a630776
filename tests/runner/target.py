"""A target on this machine: a real ssh server with processes, /run and /var/lib of its own."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.ports import free_port
from tests.tied import tied

CACHE = Path(__file__).parents[2] / ".bascule-cache" / "system"  # where scripts/system-packages unpacks

_CONFIGURATION = """
Port {port}
ListenAddress 127.0.0.1
HostKey {home}/host
AuthorizedKeysFile {home}/user.pub
PermitRootLogin prohibit-password
StrictModes no
UsePAM no
Subsystem sftp internal-sftp
PidFile none
SetEnv TMPDIR={home}/tmp
{more}
"""
_START = """
set -e
if [ "$2" = sudo ]; then
  mkdir -p etc/pam.d upper
  printf 'root ALL=(ALL:ALL) NOPASSWD: ALL\n@includedir /run/sudoers.d\n' >etc/sudoers && chmod 440 etc/sudoers
  for kind in auth account session; do echo "$kind sufficient pam_permit.so"; done >etc/pam.d/sudo
  mount -t overlay overlay -o "lowerdir=etc:/etc" /etc
  [ -x /usr/bin/sudo ] || mount -t overlay overlay -o "lowerdir=$3/usr:/usr" /usr
fi
# A home of its own: what the machine's root has in its shell's files is slow, or waits for a lock that nobody holds.
mkdir root
mkdir -m 1777 tmp  # what a module that is killed leaves behind goes with the test
{ echo "root:x:0:0:root:$PWD/root:/bin/sh"; grep -v ^root: /etc/passwd; } >passwd
grep -q ^sshd: passwd || echo 'sshd:x:990:65534::/run/sshd:/usr/sbin/nologin' >>passwd
mount --bind passwd /etc/passwd
mount -t tmpfs tmpfs /run && mkdir -m 755 /run/sshd
mount -t tmpfs tmpfs /var/lib
exec "$1" -D -e -f configuration
"""


class CannotServe(Exception):
    """Why there is no ssh server here."""


@dataclass
class Target:
    """A running ssh server. `stop` is a power cut."""

    home: Path
    port: int
    process: subprocess.Popen[bytes]
    has_sudo: bool = False

    @classmethod
    def start(cls, home: Path, more: str = "AcceptEnv LC_*", sudo: bool = False) -> Target:
        """Start one. Raises CannotServe where that is not possible, with the reason.

        With `sudo`, root can become anybody there, if this machine or the lab's cache has sudo (`has_sudo`).
        """
        program, libraries = _find_server()
        home.mkdir()
        for name in ("host", "user"):
            subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", home / name], check=True)
        port = free_port()
        (home / "configuration").write_text(_CONFIGURATION.format(port=port, home=home, more=more))
        (home / "start").write_text(_START)
        can = sudo and (Path("/usr/bin/sudo").exists() or (CACHE / "usr/bin/sudo").exists())
        isolated = [*tied(), "unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child"]
        process = subprocess.Popen(
            [*isolated, "sh", "start", program, "sudo" if can else "", str(CACHE)],
            cwd=home,
            stderr=(home / "log").open("wb"),
            env={**os.environ, "LD_LIBRARY_PATH": libraries},
        )
        target = cls(home, port, process, can)
        for _ in range(200):
            if process.poll() is not None:
                raise CannotServe((home / "log").read_text())
            with socket.socket() as probe:
                if probe.connect_ex(("127.0.0.1", port)) == 0:
                    return target
            time.sleep(0.05)
        target.stop()
        raise CannotServe(f"no answer: {(home / 'log').read_text()}")

    def stop(self) -> None:
        """Everything on it ends at once."""
        self.process.kill()
        self.process.wait()

    def run(self, command: str, **environment: str) -> str:
        """Run a command there; the environment is offered, as ssh does."""
        offers = [f"-oSendEnv={name}" for name in environment]
        words = ["ssh", "-F", "none", "-p", str(self.port), *self.options, *offers, "root@127.0.0.1", command]
        done = subprocess.run(words, capture_output=True, text=True, check=False, env={**os.environ, **environment})
        return done.stdout

    @property
    def options(self) -> list[str]:
        """For ssh: its key, and the host key that need not be known."""
        known = ["-oStrictHostKeyChecking=no", "-oUserKnownHostsFile=/dev/null", "-oLogLevel=ERROR"]
        return ["-i", str(self.home / "user"), "-oIdentitiesOnly=yes", *known]

    @property
    def variables(self) -> dict[str, Any]:
        """Its host variables in an inventory. No shared connection survives a test."""
        # Not below `home`: a socket's path is short.
        apart = f"-oControlPath=/tmp/bascule-test-{os.getpid()}-{self.port} -oControlPersist=5s"
        return {
            "ansible_host": "127.0.0.1",
            "ansible_port": self.port,
            "ansible_user": "root",
            "ansible_ssh_common_args": " ".join([*self.options, apart]),
            "ansible_python_interpreter": sys.executable,
        }


def _find_server() -> tuple[str, str]:
    if os.geteuid() != 0:
        raise CannotServe("an ssh server with namespaces of its own needs root")
    for name in ("unshare", "ssh", "ssh-keygen"):
        if shutil.which(name) is None:
            raise CannotServe(f"{name} is missing")
    found = shutil.which("sshd", path=f"{os.environ['PATH']}:/usr/sbin:{CACHE}/usr/sbin")
    if found is None:
        raise CannotServe("there is no sshd; scripts/system-packages gets one")
    libraries = (
        {str(path.parent) for path in CACHE.glob("usr/lib/**/lib*.so*")} if found.startswith(str(CACHE)) else set()
    )
    return found, ":".join(sorted(libraries))
