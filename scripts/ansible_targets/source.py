"""Ansible's own tests: the source of the ansible-core that is installed, from the package index.

The one rule it keeps: they are fetched, never committed.
"""

from __future__ import annotations

import subprocess
import sys
import tarfile
import tempfile
from importlib.metadata import version
from pathlib import Path

CACHE = Path(__file__).parents[2] / ".bascule-cache"


LIBRARIES = CACHE / "libraries"  # what ansible-test would install for its targets; the rest is here already
WANTED = ("passlib==1.7.4",)


def fetch_libraries() -> None:
    """What targets need beside Ansible. Raises CalledProcessError where it cannot be had."""
    if not LIBRARIES.exists():
        pip = [sys.executable, "-m", "pip", "install", "-q", "--no-deps"]
        subprocess.run([*pip, "--target", str(LIBRARIES), *WANTED], check=True)


def fetch() -> Path:
    """The directory of the source, below the cache. Raises CalledProcessError where it cannot be had."""
    name = f"ansible_core-{version('ansible-core')}"
    found = CACHE / name
    if not found.exists():
        CACHE.mkdir(exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            wanted = name.replace("_", "-").replace("-core-", "-core==")
            pip = [sys.executable, "-m", "pip", "download", "-q", "--no-deps", "--no-binary", "ansible-core"]
            subprocess.run([*pip, "-d", directory, wanted], check=True)
            (archive,) = Path(directory).glob("*.tar.gz")
            with tarfile.open(archive) as tar:
                tar.extractall(directory, filter="data")
            (Path(directory) / name).rename(found)
    return found
