"""Whether this machine lets us build a lab, and if not, precisely why and what would permit it.

The one rule it keeps: nothing is left behind. Each question is asked by a child that ends at once.
"""

from __future__ import annotations

import fcntl
import os
import socket
import struct
import sys
from collections.abc import Callable
from pathlib import Path

from orchestrator.lab import kernel

_CONTAINER = (
    "In a container: `docker run --privileged …`, or at least "
    "`--cap-add SYS_ADMIN --cap-add NET_ADMIN --security-opt apparmor=unconfined --security-opt seccomp=unconfined`."
)


_SET_INTERFACE_FLAGS = 0x8914
_INTERFACE_UP = 0x1


def _namespaces() -> None:
    kernel.unshare(kernel.NEW_MOUNT | kernel.NEW_HOSTNAME | kernel.NEW_IPC | kernel.NEW_PID)


def _network() -> None:
    kernel.unshare(kernel.NEW_NETWORK)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
        fcntl.ioctl(any_socket, _SET_INTERFACE_FLAGS, struct.pack("16sh14x", b"lo", _INTERFACE_UP))


def _mounts() -> None:
    kernel.unshare(kernel.NEW_MOUNT)
    kernel.mount("none", "/", "", kernel.PRIVATE | kernel.RECURSIVE)
    kernel.mount("tmpfs", "/tmp", "tmpfs")  # noqa: S108
    for name in ("upper", "work"):
        os.mkdir(f"/tmp/{name}")  # noqa: S108
    os.mkdir("/tmp/upper/hidden")  # noqa: S108
    os.setxattr("/tmp/upper/hidden", "trusted.overlay.opaque", b"y")  # noqa: S108
    kernel.mount("overlay", "/etc", "overlay", 0, "lowerdir=/etc,upperdir=/tmp/upper,workdir=/tmp/work")


def _proc() -> None:
    kernel.unshare(kernel.NEW_MOUNT | kernel.NEW_PID | kernel.NEW_NETWORK)
    child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        if status:
            raise OSError(0, "mount proc or sysfs in a new PID namespace: not permitted")
        return
    try:
        kernel.mount("none", "/", "", kernel.PRIVATE | kernel.RECURSIVE)
        kernel.mount("proc", "/proc", "proc")
        kernel.mount("sysfs", "/sys", "sysfs")
        os._exit(0)
    except OSError:
        os._exit(1)


_QUESTIONS: tuple[tuple[str, Callable[[], None], str], ...] = (
    ("make mount, UTS, IPC and PID namespaces", _namespaces, "It needs the capability CAP_SYS_ADMIN. " + _CONTAINER),
    ("make network namespaces", _network, "It needs the capabilities CAP_SYS_ADMIN and CAP_NET_ADMIN. " + _CONTAINER),
    (
        "mount an overlay",
        _mounts,
        "It needs CAP_SYS_ADMIN and a kernel with overlayfs (`modprobe overlay` outside of any container). "
        + _CONTAINER,
    ),
    ("mount /proc and /sys", _proc, "A container runtime that masks parts of /proc forbids it. " + _CONTAINER),
)


def why_not() -> str | None:
    """None if a lab can be built here; otherwise the reason and what would permit it, as text for a person."""
    if sys.platform != "linux":
        return f"The lab is made of Linux namespaces; this is {sys.platform}. A Linux virtual machine would do."
    if os.geteuid() != 0:
        return (
            f"The lab needs root to make network, mount, PID and UTS namespaces; this is user id {os.geteuid()}. "
            "Run the same command with sudo."
        )
    if _in_user_namespace():
        return (
            "The lab needs root of the machine; this is root of a user namespace only (a rootless container, "
            "`unshare -r`), which may not hide the machine's files from a host. Run it outside of that namespace."
        )
    for what, question, permit in _QUESTIONS:
        refusal = _ask(question)
        if refusal:
            return f"The lab cannot {what} here: {refusal}. {permit}"
    return None


def _in_user_namespace() -> bool:
    """Whether root here is somebody else, or has only some of the user ids, outside."""
    try:
        return Path("/proc/self/uid_map").read_text().split() != ["0", "0", "4294967295"]
    except OSError:
        return False


def _ask(question: Callable[[], None]) -> str:
    """Try it in a child; empty if it worked, else what the kernel said."""
    said_read, said_write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            question()
        except OSError as error:
            os.write(said_write, str(error.strerror or error).encode())
        os._exit(0)
    os.close(said_write)
    with os.fdopen(said_read) as said:
        refusal = said.read()
    os.waitpid(child, 0)
    return refusal
