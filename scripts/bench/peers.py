"""Where the peers are that scripts/bench/setup has unpacked. The one rule it keeps: nothing of the machine's own."""

from __future__ import annotations

import shutil
from pathlib import Path

from orchestrator.lab.system import home

PEERS = home() / ".bascule-cache" / "bench" / "peers"
DEBIAN = PEERS / "debian"  # packages, unpacked
VENV = PEERS / "venv"  # what comes from PyPI

PROGRAMS: dict[str, Path] = {
    "blackbox_exporter": DEBIAN / "usr/bin/prometheus-blackbox-exporter",
    "fping": DEBIAN / "usr/bin/fping",
    "keepalived": DEBIAN / "usr/sbin/keepalived",
    "etcd": DEBIAN / "usr/bin/etcd",
    "patroni": VENV / "bin/patroni",
    "ansible-rulebook": VENV / "bin/ansible-rulebook",
}


def program(name: str) -> Path:
    """Raises KeyError for a peer that nobody knows, FileNotFoundError for one that is not there, with the remedy."""
    path = PROGRAMS[name]
    if not path.exists():
        raise FileNotFoundError(missing(name))
    return path


def missing(name: str) -> str:
    """What to do about a peer that is not there; empty if it is."""
    return "" if PROGRAMS[name].exists() else f"{name} is not there: run scripts/bench/setup"


def environment() -> dict[str, str]:
    """LD_LIBRARY_PATH for what was unpacked."""
    usr = DEBIAN / "usr"
    libraries = [str(path) for path in (usr / "lib", *sorted((usr / "lib").glob("*-linux-*"))) if path.is_dir()]
    return {"LD_LIBRARY_PATH": ":".join(libraries)}


def java_home() -> str:
    """Of the machine's own JVM, else of the one that was unpacked. Raises FileNotFoundError if there is neither."""
    found = shutil.which("java")
    candidates = [Path(found)] if found else sorted(DEBIAN.glob("usr/lib/jvm/*/bin/java"))
    if not candidates:
        raise FileNotFoundError("there is no JVM: run scripts/bench/setup")
    return str(candidates[0].resolve().parent.parent)
