"""Whatever stands in a file, there is a fault with a place, and never a traceback."""

from __future__ import annotations

import copy
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from orchestrator.config import ConfigurationInvalid, load
from tests.config.probe_kinds import PROBE_KINDS

GOOD = Path(__file__).parent / "good"
FILES = [
    "bascule.yml",
    "inventories/acme/services.yml",
    "inventories/acme/people.yml",
    "checks/wan.yml",
    "checks/sites.yml",
]
ODD: list[Any] = [None, 5, -1.5, True, "", "x y/z@", "{{", [], {}, [None], [[]], {"all": []}, {"x": {"y": 1}}]
EVERY = int(os.environ.get("BASCULE_ODD_EVERY", "29"))  # of all the pairs of a place and an odd value; 1 is thorough


def places(data: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """Every place in a document."""
    yield path
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        yield from places(value, (*path, key))


def put(data: Any, path: tuple[Any, ...], value: Any) -> Any:
    """A copy with another value at this place."""
    if not path:
        return value
    made = copy.deepcopy(data)
    inner = made
    for key in path[:-1]:
        inner = inner[key]
    inner[path[-1]] = value
    return made


@pytest.fixture(scope="module")
def workspace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of the sound workspace."""
    return Path(shutil.copytree(GOOD, tmp_path_factory.mktemp("odd") / "workspace"))


@pytest.mark.parametrize("file", FILES)
def test_odd_values(workspace: Path, file: str) -> None:
    path = workspace / file
    kept = path.read_text()
    data = yaml.safe_load(kept)
    pairs = [(where, value) for where in places(data) for value in ODD]
    try:
        for where, value in pairs[::EVERY]:
            path.write_text(yaml.safe_dump(put(data, where, value)))
            try:
                load(workspace, probe_kinds=PROBE_KINDS)
            except ConfigurationInvalid as refused:
                if not refused.faults:
                    pytest.fail(f"refused without a fault: {where} = {value!r}")
            except Exception as broken:
                pytest.fail(f"{type(broken).__name__} instead of a fault: {where} = {value!r}: {broken}")
    finally:
        path.write_text(kept)
