"""The name under which anything is kept for one client.

The one rule it keeps: every room that has something kept, pooled or cached uses this name, so that two workspaces, or
two clients with the same addresses, names and services, never find what is the other's.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping


def kept_for(*what: str) -> str:
    """A short name of whom something is kept for: a workspace and its client, or a call's inventories."""
    return hashlib.sha256("\0".join(what).encode("utf-8", "surrogateescape")).hexdigest()[:16]


# What Ansible caches: a variable of its environment, and the prefix where the author said nothing.
CACHE_PREFIXES = {
    "ANSIBLE_CACHE_PLUGIN_PREFIX": "ansible_facts",
    "ANSIBLE_INVENTORY_CACHE_PLUGIN_PREFIX": "ansible_inventory_",
}


def cache_prefixes(environment: Mapping[str, str], whom: str) -> dict[str, str]:
    """Variables that have Ansible cache facts and inventories for `whom` alone: behind the author's own prefix."""
    return {name: f"{environment.get(name) or usual}-{whom}-" for name, usual in CACHE_PREFIXES.items()}
