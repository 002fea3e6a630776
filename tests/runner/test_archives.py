"""Archives of modules: the same with what is remembered as without, and a source that changes is looked at again."""

from __future__ import annotations

import os
import subprocess
import sys
import types
from pathlib import Path

import pytest

from orchestrator.runner.warm.zygote import local_modules

# Builds the archives of the modules that it is given, thrice, and prints what is in each: first by Ansible alone.
BUILD = """
import base64, io, re, shutil, sys, zipfile, zlib
from orchestrator.runner.warm.zygote import archives, loading

def contents(name):
    built = archives.build(name)
    data = max(re.findall(rb"[A-Za-z0-9+/=]{2000,}", built.b_module_data), key=len)
    archive = zipfile.ZipFile(io.BytesIO(base64.b64decode(data)))
    shutil.rmtree(archives.kept_in())
    return {each: zlib.crc32(archive.read(each)) for each in archive.namelist()}

loading.load()
alone = [contents(name) for name in sys.argv[1:]]
archives.install("".join(f"- {name}:\\n" for name in sys.argv[1:]))
known = len(archives._imports)
basic = "ansible/module_utils/basic.py"  # in which one line is mended
assert len({found.pop(basic) for found in alone}) == 1
again = [contents(name) for name in sys.argv[1:]]
assert len({found.pop(basic) for found in again}) == 1
assert again == alone
assert [len(found) > 20 for found in alone] == [True] * len(alone)
assert len(archives._imports) == known > 20, "it was looked at before it was needed"
"""

CHANGED = """
import sys
from pathlib import Path
beside = Path(sys.argv[1], "module_utils")
(beside / "ours.py").write_text("from ansible.module_utils import theirs\\n")
assert "ansible/module_utils/theirs.py" in contents("ours") and "ansible/module_utils/others.py" not in contents("ours")
(beside / "ours.py").write_text("from ansible.module_utils import others\\n")
assert "ansible/module_utils/others.py" in contents("ours") and "ansible/module_utils/theirs.py" not in contents("ours")
(beside / "ours.py").write_text("this is no Python\\n")
try:
    contents("ours")
except Exception as why:
    assert "ours" in str(why)
else:
    raise AssertionError("it was taken for what it was")
"""


def run(program: str, *arguments: str, **environment: str) -> None:
    """In an interpreter of its own: what it changes is Ansible."""
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr


def test_an_archive_is_the_same_with_what_is_remembered() -> None:
    """Of modules of ansible-core's and of a collection's."""
    run(BUILD, "ansible.builtin.command", "ansible.builtin.lineinfile", "amazon.aws.route53")


def test_a_source_that_changes_is_looked_at_again(tmp_path: Path) -> None:
    """Also one of the author's, and also to be told that it cannot be read."""
    for name in ("library", "module_utils"):
        (tmp_path / name).mkdir()
    (tmp_path / "library" / "ours.py").write_text("from ansible.module_utils import ours\n" + "# much\n" * 500)
    for name in ("theirs", "others"):
        (tmp_path / "module_utils" / f"{name}.py").write_text("")
    (tmp_path / "module_utils" / "ours.py").write_text("")
    run(
        BUILD.partition("alone =")[0] + "archives.install('')\n" + CHANGED,
        str(tmp_path),
        ANSIBLE_LIBRARY=str(tmp_path / "library"),
        ANSIBLE_MODULE_UTILS=str(tmp_path / "module_utils"),
    )


def test_a_source_that_is_known_is_not_compiled_for_being_asked_twice(monkeypatch: pytest.MonkeyPatch) -> None:
    """`zipimport` asks for the code once to know the place, and once to run it."""
    source = b"here = 1\n"
    compiled: list[str] = []

    def anew(path: str, code: bytes) -> types.CodeType:
        compiled.append(path)
        return compile(code, path, "exec")

    monkeypatch.setattr(local_modules, "_compile_anew", anew)
    monkeypatch.setattr(local_modules, "_placed", {})
    monkeypatch.setattr(
        local_modules, "_compiled", {local_modules.hashlib.sha256(source).digest(): compile(source, "early", "exec")}
    )
    first, second = (
        local_modules._compile("a.zip/here.py", source),
        local_modules._compile("a.zip/here.py", source),
    )
    assert (first is second, first.co_filename, compiled) == (True, "a.zip/here.py", [])
    other = local_modules._compile("a.zip/there.py", source)  # the same bytes elsewhere are another module
    assert (other.co_filename, first.co_filename, compiled) == (
        "a.zip/there.py",
        "a.zip/here.py",
        ["a.zip/there.py"],
    )
