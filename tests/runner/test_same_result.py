"""The same result, always: each playbook of the corpus, cold, warm, and warm with Mitogen.

Same events, same results for each host, same exit code, same words to the author's callback.
"""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.runner.playing import CORPUS, Account, House, differences
from tests.runner.target import CannotServe, Target

SAMPLE = {"blocks.yml", "plugins.yml", "unreadable.yml", "variables.yml"}
BY_CHANCE = {"becoming.yml"}  # a warning of Ansible's own of a home that is not there: cold, too, it comes by chance
PLAYBOOKS = sorted(path.name for path in CORPUS.glob("*.yml"))


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The corpus, a target, zygotes."""
    home = tmp_path_factory.mktemp("corpus")
    try:
        target = Target.start(home / "target", sudo=True)
    except CannotServe as reason:
        pytest.skip(str(reason))
    house = House(home / "workspace", target)
    yield house
    house.close()
    target.stop()


@pytest.fixture(scope="module")
def cold(house: House) -> dict[str, Account]:
    """What `ansible-playbook` itself made of each, once asked."""
    return {}


@pytest.mark.parametrize(
    "name",
    [
        name
        if name in SAMPLE
        else pytest.param(name, marks=pytest.mark.long if name in BY_CHANCE else pytest.mark.broad)
        for name in PLAYBOOKS
    ],
)
@pytest.mark.parametrize("way", ["fast", pytest.param("warm", marks=pytest.mark.broad)])
def test_same_result(house: House, cold: dict[str, Account], name: str, way: str) -> None:
    """As `ansible-playbook` itself."""
    if name == "becoming.yml" and not house.target.has_sudo:
        pytest.skip("there is no sudo for the target; scripts/system-packages gets one")
    if way == "fast":
        pytest.importorskip("mitogen", reason="Mitogen is not installed: pip install 'bascule[fast]'")
        house.play(name, way)  # its connections are made meanwhile
    if name not in cold:
        cold[name] = house.play(name, "cold")
    found = differences(house.play(name, way), cold[name])
    assert not found, "\n".join(found)
