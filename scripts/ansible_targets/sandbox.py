"""A machine of its own for one play: `python -m scripts.ansible_targets.sandbox ROOM COMMAND…`, as root.

The one rule it keeps: nothing that is done in it is seen outside. Its root is an overlay in memory over this machine's,
its network is a loopback; when its first process ends, all of it ends.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

_ISOLATED = ["unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "--kill-child"]
_START = r"""
set -e
room=$1; home=$2; shift 2
mount --make-rprivate /
mount -t tmpfs -o mode=755 tmpfs "$room"
mkdir "$room/upper" "$room/work" "$room/root"
mount -t overlay overlay -o "lowerdir=/,upperdir=$room/upper,workdir=$room/work" "$room/root"
root=$room/root
mount -t proc proc "$root/proc"
mount --rbind /dev "$root/dev"
mount -t sysfs sysfs "$root/sys"
mount -t tmpfs -o mode=755 tmpfs "$root/run"
mount -t tmpfs -o mode=1777 tmpfs "$root/tmp"
for kept in "$home" "${KEPT:-$home}"; do mkdir -p "$root$kept"; mount --bind "$kept" "$root$kept"; done
ip link set lo up
exec chroot "$root" "$@"
"""


def run(room: Path, command: list[str], *, kept: Path, timeout_s: float) -> int:
    """Run it there, with this directory shared with the outside; its exit code, 124 when its time was over."""
    room.mkdir(parents=True, exist_ok=True)
    home = Path(__file__).parents[2]
    words = [*_ISOLATED, "sh", "-c", _START, "sandbox", str(room), str(home), *command]
    process = subprocess.Popen(words, env={**os.environ, "KEPT": str(kept)}, stdin=subprocess.DEVNULL)
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return 124
    finally:
        process.kill()
        process.wait()


if __name__ == "__main__":
    sys.exit(run(Path(sys.argv[1]), sys.argv[2:], kept=Path(sys.argv[1]), timeout_s=3600.0))
