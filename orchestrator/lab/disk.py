"""A host's disk: what is private to it, written before its first boot, mounted at every boot, kept over power cuts.

A host sees the machine's files with its own changes laid over them: `/etc`, `/usr`, `/var`, `/opt` are overlays,
`/root` and `/home` are its own from the start, `/run`, `/tmp` and `/dev/shm` are new at every boot. The one rule it
keeps: **a host never writes to the machine**, except into the workspace, which is the same inside and outside on
purpose.
"""

from __future__ import annotations

import os
import shutil
import stat
from dataclasses import dataclass
from pathlib import Path

from orchestrator.lab import accounts, equipment, kernel, network
from orchestrator.lab.equipment import DATABASES, POWER_SOCKET, File
from orchestrator.lab.topology import CONSOLES, HOSTS, HYPERVISOR, names_at

OVERLAYS = ("/etc", "/usr", "/var", "/opt")
OWN = ("/root", "/home")
VOLATILE = {"/run": "0755", "/tmp": "1777"}  # noqa: S108


@dataclass(frozen=True)
class Surroundings:
    """What every host of a lab shares: directories that stay visible, unpacked system programs, PostgreSQL, keys.

    `keep` are directories of the machine that appear in every host at the same place (workspace, Python). `venv`
    appears at /opt/lab/venv too, where also users other than root can reach it. `postgresql` is what
    `postgres_setup.prepare` has made, None without it. `keys` holds the ssh keys: `noc`, and one for each host that
    runs sshd.
    """

    keep: tuple[Path, ...]
    venv: Path
    python: Path
    unpacked: Path | None
    postgresql: Path | None
    keys: Path
    console_token: str
    power_sockets: Path


def power_socket(surroundings: Surroundings, host: str) -> Path | None:
    """The socket by which a program on this host speaks to the lab's power, if it may."""
    if host in CONSOLES or host == HYPERVISOR:
        return surroundings.power_sockets / f"{host}.sock"
    return None


def write(disk: Path, host: str, surroundings: Surroundings) -> None:
    """Make the disk of a host; `disk` must not exist."""
    for path in OVERLAYS:
        (disk / path.strip("/") / "upper").mkdir(parents=True)
        (disk / path.strip("/") / "work").mkdir()
    for path in OWN:
        (disk / path.strip("/")).mkdir()
    files = {
        **_base(host),
        **accounts.files(),
        **equipment.files(host, surroundings.console_token),
        **_ssh(host, surroundings.keys),
    }
    for hidden in ("/etc/init.d", *(f"/etc/rc{level}.d" for level in "0123456S"), "/etc/ssh", "/etc/cron.d"):
        _opaque(_real(disk, hidden))
    _opaque(_real(disk, "/var/lib/postgresql"), accounts.POSTGRES)
    _opaque(_real(disk, "/var/log"))
    for path, file in files.items():
        _put(_real(disk, path), file)
    for service in equipment.services(host):
        _put(_real(disk, f"/etc/init.d/{service.name}"), File(service.script(), 0o755))
        if service.enabled:
            _real(disk, f"/etc/rc2.d/S01{service.name}").symlink_to(f"../init.d/{service.name}")
    _real(disk, "/opt/lab/venv").mkdir(parents=True)
    _real(disk, "/var/lib/lab").mkdir(parents=True)
    _real(disk, "/usr/bin").mkdir(parents=True)
    if not Path("/usr/bin/python3").exists():
        _real(disk, "/usr/bin/python3").symlink_to(surroundings.python)
    # A systemd that is installed but not running would be believed by whoever finds its program (Ansible does).
    if Path("/usr/bin/systemctl").exists():
        os.mknod(
            _real(disk, "/usr/bin/systemctl"), stat.S_IFCHR, os.makedev(0, 0)
        )  # overlayfs' "there is no such file"
    if host in DATABASES and surroundings.postgresql is not None:
        _install_postgresql(disk, host, surroundings.postgresql)
    home = disk / "home" / "ansible"
    home.mkdir(exist_ok=True)
    os.chmod(disk / "root", 0o711)  # noqa: S103  others must be able to pass to a Python that lives below it
    for path, _, names in os.walk(home):
        for name in ("", *names):
            os.chown(os.path.join(path, name), accounts.ANSIBLE, accounts.ANSIBLE)


def mount_all(disk: Path, host: str, surroundings: Surroundings) -> None:
    """Mount everything, in the calling process's own mount namespace, in which it is to stay.

    Sources are opened before anything is mounted over them: the workspace, the Python and the disk itself may lie below
    a directory that is about to be covered.
    """
    flags = os.O_PATH | os.O_CLOEXEC
    kept = [(str(path), os.open(path, flags)) for path in surroundings.keep]
    kept.append(("/opt/lab/venv", os.open(surroundings.venv, flags)))
    if host in DATABASES and surroundings.postgresql is not None:
        kept.append(("/opt/postgresql", os.open(surroundings.postgresql / "programs", flags)))
    own = [(path, os.open(disk / path.strip("/"), flags)) for path in OWN]
    socket = power_socket(surroundings, host)
    if socket is not None:
        kept.append((POWER_SOCKET, os.open(socket, flags)))
    for path in OVERLAYS:
        lower = [path]
        if surroundings.unpacked is not None and (surroundings.unpacked / path.strip("/")).is_dir():
            lower.insert(0, str(surroundings.unpacked / path.strip("/")))
        _overlay(path, lower, disk / path.strip("/"))
    for path, descriptor in own:
        if Path(path).is_dir():
            kernel.bind(descriptor, path)
    for path, mode in VOLATILE.items():
        kernel.mount("tmpfs", path, "tmpfs", kernel.NO_SUID | kernel.NO_DEVICES, f"mode={mode}")
    for path in ("/run/lock", "/run/shm"):
        os.mkdir(path)
        os.chmod(path, 0o1777)  # noqa: S103  as on every machine
    kernel.mount("proc", "/proc", "proc")
    kernel.mount("sysfs", "/sys", "sysfs")
    kernel.mount("devpts", "/dev/pts", "devpts", 0, "newinstance,ptmxmode=0666,mode=0620,gid=5")
    if os.path.isdir("/dev/shm"):  # noqa: S108
        kernel.mount("tmpfs", "/dev/shm", "tmpfs", kernel.NO_SUID | kernel.NO_DEVICES, "mode=1777")  # noqa: S108
    for target, descriptor in kept:
        _make_place(target, os.fstat(descriptor))
        kernel.bind(descriptor, target)
        os.close(descriptor)


def _overlay(path: str, lower: list[str], place: Path) -> None:
    """Lay the disk's own changes to a directory over the machine's."""
    layers = ":".join(_escaped(layer) for layer in lower)
    options = f"lowerdir={layers},upperdir={_escaped(str(place / 'upper'))},workdir={_escaped(str(place / 'work'))}"
    kernel.mount("overlay", path, "overlay", 0, options)


def _escaped(path: str) -> str:
    """A path as the options of an overlay need it."""
    return path.replace("\\", "\\\\").replace(":", "\\:").replace(",", "\\,")


def _make_place(target: str, what: os.stat_result) -> None:
    """Somewhere to mount on. Directories made here let everybody pass, whatever the machine's own allow."""
    if os.path.exists(target):
        return
    old = os.umask(0o022)
    os.makedirs(os.path.dirname(target), exist_ok=True)
    if stat.S_ISDIR(what.st_mode):
        os.mkdir(target)
    else:
        os.close(os.open(target, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600))
    os.umask(old)


def _real(disk: Path, path: str) -> Path:
    """Where a host's absolute path is on its disk."""
    top, _, rest = path.strip("/").partition("/")
    return disk / top / "upper" / rest if f"/{top}" in OVERLAYS else disk / top / rest


def _opaque(directory: Path, owner: int = 0) -> None:
    """An empty directory that hides the machine's."""
    directory.mkdir(parents=True)
    os.chown(directory, owner, owner)
    os.setxattr(directory, "trusted.overlay.opaque", b"y")


def _put(path: Path, file: File) -> None:
    """Write one file."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(file.text)
    path.chmod(file.mode)
    os.chown(path, file.owner, file.owner)


def _install_postgresql(disk: Path, host: str, prepared: Path) -> None:
    """The host's cluster, and the programs on its PATH."""
    from orchestrator.lab.programs import postgres_setup

    postgres_setup.install(prepared, DATABASES[host], _real(disk, "/var/lib/postgresql/data"))
    links = _real(disk, "/usr/local/bin")
    links.mkdir(parents=True, exist_ok=True)
    for program in sorted((prepared / "programs" / "bin").iterdir()):
        (links / program.name).symlink_to(f"/opt/postgresql/bin/{program.name}")
    _real(disk, "/opt/postgresql").mkdir(parents=True, exist_ok=True)


def _base(host: str) -> dict[str, File]:
    """What every machine has in /etc."""
    names = "".join(f"{address}\t{name}\n" for name, address in names_at(HOSTS[host]).items())
    found = {
        "/etc/hostname": File(host + "\n"),
        "/etc/hosts": File(f"127.0.0.1\tlocalhost\n{names}"),
        "/etc/resolv.conf": File("nameserver 198.51.100.53\noptions timeout:1 attempts:2\n"),
        "/etc/nsswitch.conf": File("passwd: files\ngroup: files\nshadow: files\nhosts: files dns\nservices: files\n"),
        "/etc/lab/interfaces": File(network.ip_commands(HOSTS[host])),
        "/etc/profile.d/lab.sh": File("export PATH=/opt/lab/venv/bin:$PATH\n"),
    }
    firewall = network.firewall(HOSTS[host])
    if firewall:
        found["/etc/nftables.conf"] = File(firewall)
    return found


def _ssh(host: str, keys: Path) -> dict[str, File]:
    """sshd's configuration and key; at `noc` the client's."""
    found = {}
    if HOSTS[host].ssh:
        public = (keys / "noc.pub").read_text()
        found["/etc/ssh/sshd_config"] = File(_SSHD)
        found["/etc/ssh/host_key"] = File((keys / host).read_text(), 0o600)
        found["/home/ansible/.ssh/authorized_keys"] = File(public, 0o600, accounts.ANSIBLE)
    if host == "noc":
        found["/etc/bascule/id_ed25519"] = File((keys / "noc").read_text(), 0o600)
        found["/etc/bascule/id_ed25519.pub"] = File((keys / "noc.pub").read_text())
        found["/etc/ssh/ssh_config"] = File(_SSH)
        found["/etc/ssh/ssh_known_hosts"] = File("".join(_known(name, keys) for name in HOSTS if HOSTS[name].ssh))
    return found


def _known(host: str, keys: Path) -> str:
    """One line of known_hosts: every name and address of a host."""
    names = {name for name in names_at(HOSTS["noc"]) if name == host or name.startswith(f"{host}-")}
    addresses = {plug.address.partition("/")[0] for plug in HOSTS[host].plugs}
    return f"{','.join([host, *sorted((names & _interfaces(host)) | addresses)])} {(keys / f'{host}.pub').read_text()}"


def _interfaces(host: str) -> set[str]:
    """`HOST-INTERFACE`, as /etc/hosts has it."""
    return {f"{host}-{plug.name}" for plug in HOSTS[host].plugs} if len(HOSTS[host].plugs) > 1 else set()


_SSHD = """\
HostKey /etc/ssh/host_key
PasswordAuthentication no
KbdInteractiveAuthentication no
UsePAM no
UseDNS no
PrintMotd no
AcceptEnv LANG LC_*
MaxStartups 100:30:200
SetEnv PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
Subsystem sftp internal-sftp
PidFile none
"""

_SSH = """\
Host *
    User ansible
    IdentityFile /etc/bascule/id_ed25519
    IdentitiesOnly yes
    ConnectTimeout 5
"""


def remove(disk: Path) -> None:
    """Throw a disk away."""
    shutil.rmtree(disk, ignore_errors=True)
