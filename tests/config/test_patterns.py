"""A host pattern means here what it means to Ansible."""

from __future__ import annotations

import pytest

from orchestrator.config.patterns import PatternInvalid, match_hosts

HOSTS = ["hq-edge", "hq-app", "hq-db", "geo-edge", "geo-app"]
GROUPS = {
    "all": HOSTS,
    "hq": ["hq-edge", "hq-app", "hq-db"],
    "geo": ["geo-edge", "geo-app"],
    "routers": ["hq-edge", "geo-edge"],
}


@pytest.mark.parametrize(
    ("pattern", "expected"),
    [
        ("all", HOSTS),
        ("*", HOSTS),
        ("hq-app", ["hq-app"]),
        ("hq", ["hq-edge", "hq-app", "hq-db"]),
        ("hq-app:geo", ["hq-app", "geo-edge", "geo-app"]),
        ("hq-app,geo-app", ["hq-app", "geo-app"]),
        ("hq:&routers", ["hq-edge"]),
        ("all:!routers", ["hq-app", "hq-db", "geo-app"]),
        ("!routers:hq", ["hq-app", "hq-db"]),
        ("!hq", ["geo-edge", "geo-app"]),
        ("*-app", ["hq-app", "geo-app"]),
        ("ge?", ["geo-edge", "geo-app"]),
        ("~(hq|geo)-app", ["hq-app", "geo-app"]),
        ("hq[0]", ["hq-edge"]),
        ("hq[-1]", ["hq-db"]),
        ("hq[0:1]", ["hq-edge", "hq-app"]),
        ("hq[1:]", ["hq-app", "hq-db"]),
        ("printer*", []),
    ],
)
def test_matches(pattern: str, expected: list[str]) -> None:
    assert match_hosts(pattern, HOSTS, GROUPS) == (expected, [])


def test_names_nobody_knows_are_named() -> None:
    assert match_hosts("hq-app:gea:!routres", HOSTS, GROUPS) == (["hq-app"], ["gea", "routres"])


@pytest.mark.parametrize("pattern", ["~(", " , ", ":"])
def test_no_patterns_at_all(pattern: str) -> None:
    with pytest.raises(PatternInvalid):
        match_hosts(pattern, HOSTS, GROUPS)
