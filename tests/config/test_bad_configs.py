"""Every bad configuration gives exactly the faults that it says it does.

Each file under `tests/bad_configs/` is named for its fault and takes the place of one file of the sound workspace in
`tests/bad_configs/base`: `# replaces: PATH`, and `# expect: MESSAGE` for each fault, in order. `# beside: PATH: LINE`
is another file with this one line. `# warns: MESSAGE` for
each warning that must be among those given; with `# asks: Ansible`, Ansible is asked whether playbooks can start.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.config import ConfigurationInvalid, load
from orchestrator.drills import judging
from tests.config.probe_kinds import PROBE_KINDS

BAD = Path(__file__).parent.parent / "bad_configs"
FILES = sorted(BAD.glob("*.yml"))


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sound workspace; one for all, so that its inventory is read by Ansible once."""
    return Path(shutil.copytree(BAD / "base", tmp_path_factory.mktemp("bad") / "workspace"))


@pytest.fixture
def replaced(workspace: Path, request: pytest.FixtureRequest) -> Iterator[Path]:
    """The workspace with one file replaced by the bad one."""
    bad: Path = request.param
    target = workspace / header(bad, "replaces")[0]
    old = target.read_bytes() if target.exists() else None
    made = [p for p in (target.parent,) if not p.exists()]
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(bad.read_bytes())
    beside = [(workspace / path, line) for path, _, line in (x.partition(": ") for x in header(bad, "beside"))]
    for path, line in beside:
        path.write_text(line)
    yield workspace
    for path, _ in beside:
        path.unlink()
    target.unlink()
    if old is not None:
        target.write_bytes(old)
    for folder in made:
        folder.rmdir()


def header(path: Path, key: str) -> list[str]:
    """The values of `# KEY: VALUE` lines at the top of a file."""
    mark = f"# {key}: "
    return [line.removeprefix(mark) for line in path.read_text().splitlines() if line.startswith(mark)]


def test_the_workspace_is_sound_before_anything_is_replaced(workspace: Path) -> None:
    assert load(workspace, probe_kinds=PROBE_KINDS).model.services.keys() == {"acme/erp"}


def test_there_are_enough_of_them() -> None:
    assert len(FILES) >= 25


@pytest.mark.parametrize(
    ("replaced", "bad"), [(p, p) for p in FILES], ids=[p.stem for p in FILES], indirect=["replaced"]
)
def test_bad(replaced: Path, bad: Path) -> None:
    faults: list[str] = []
    try:
        starts = bool(header(bad, "asks"))
        warnings = load(replaced, probe_kinds=PROBE_KINDS, starts=starts, judge=judging).warnings
    except ConfigurationInvalid as invalid:
        faults, warnings = [str(fault) for fault in invalid.faults], invalid.warnings
    assert faults == header(bad, "expect")
    assert header(bad, "expect") or header(bad, "warns"), "it says what is wrong with it"
    for warning in header(bad, "warns"):
        assert warning in map(str, warnings)


def test_a_playbook_elsewhere_that_a_task_starts_is_warned_of(workspace: Path, tmp_path: Path) -> None:
    """Its own file counts for the digest; what it loads is looked for nowhere."""
    elsewhere, book = tmp_path / "site.yml", workspace / "playbooks/primary_isp.yml"
    elsewhere.write_text("- hosts: all\n")
    old = book.read_text()
    book.write_text(f"- hosts: hq\n  tasks:\n    - command: ansible-playbook {elsewhere}\n      changed_when: true\n")
    try:
        warnings = load(workspace, probe_kinds=PROBE_KINDS).warnings
    finally:
        book.write_text(old)
    told = "a task or script gives this playbook to Ansible; if that is here, what it loads counts for no digest"
    assert f"{elsewhere}: {told}; expected it below playbooks/, and import_playbook" in map(str, warnings)
