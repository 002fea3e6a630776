"""`python -m scripts.ansible_targets [TARGET…] [--connections ssh,local] [--json FILE]`: needs root and the network."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from scripts.ansible_targets import compare, sandbox, source

WAYS = ("cold", "warm", "fast")
WANTED = Path(__file__).with_name("targets.txt")


def main() -> int:
    """Exit code 1 if anything differs that targets.txt does not expect."""
    parser = argparse.ArgumentParser(prog="make test-ansible", description="Ansible's own tests, played three ways.")
    parser.add_argument("targets", nargs="*", help="in place of those of targets.txt")
    parser.add_argument("--connections", default="ssh,local")
    parser.add_argument("--ways", default=",".join(WAYS[1:]))
    parser.add_argument("--at-once", type=int, default=2)
    parser.add_argument("--limit-s", type=float, default=400.0, help="for one play")
    parser.add_argument("--json", type=Path)
    given = parser.parse_args()
    if os.geteuid() != 0:
        print("each play has a machine of its own: that needs root", file=sys.stderr)
        return 2
    expected = dict(_expected())
    names = given.targets or list(dict.fromkeys(name for name, _ in expected))
    ways = ("cold", *given.ways.split(","))
    plays = [(name, connection) for connection in given.connections.split(",") for name in names]
    tests = source.fetch()
    told = []
    with ThreadPoolExecutor(given.at_once) as pool:
        for found in pool.map(lambda play: _three_ways(tests, *play, ways, given.limit_s), plays):
            wrong = found["differences"]
            known = expected.get((found["target"], found["connection"]), "")
            mark = "same" if not wrong else f"differs, as expected: {known}" if known else "DIFFERS"
            print(f"{found['connection']:<6} {found['target']:<40} {mark}  {found['took']}", flush=True)
            for way, lines in wrong.items():
                print("".join(f"         {way}: {line}\n" for line in lines[:4]), end="")
            told.append({**found, "expected": known})
    if given.json:
        given.json.write_text(json.dumps(told, indent=1))
    bad = [x for x in told if x["differences"] and not x["expected"]]
    print(f"{len(told) - len(bad)} passed, {len(bad)} failed")
    return 1 if bad else 0


def _expected() -> list[tuple[tuple[str, str], str]]:
    """Of targets.txt: a target, and for a connection by which it differs, the reason."""
    found = []
    for line in WANTED.read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(" ")
        if name and not name.startswith("#"):
            connection, _, reason = rest.strip().partition(": ")
            found.append(((name, connection), reason))
    return found


def _three_ways(tests: Path, target: str, connection: str, ways: tuple[str, ...], limit_s: float) -> dict[str, object]:
    played, took = {}, {}
    for way in ways:
        kept = Path(tempfile.mkdtemp(prefix="bascule-targets-"))
        room = Path(tempfile.mkdtemp(prefix="bascule-room-"))
        inside = [sys.executable, str(Path(__file__).with_name("inside.py")), str(tests), target, connection, way]
        began = time.monotonic()
        try:
            code = sandbox.run(room, [*inside, str(kept)], kept=kept, timeout_s=limit_s)
            played[way] = compare.Play.read(code, kept)
        finally:
            shutil.rmtree(kept, ignore_errors=True)
            shutil.rmtree(room, ignore_errors=True)
        took[way] = round(sum(float(str(call["took_s"])) for call in played[way].calls), 1)
        took[f"{way}, all"] = round(time.monotonic() - began, 1)
    wrong = {way: compare.differences(played[way], played["cold"]) for way in ways[1:]}
    return {
        "target": target,
        "connection": connection,
        "differences": {way: lines for way, lines in wrong.items() if lines},
        "not_served": {way: played[way].not_served for way in ways[1:] if played[way].not_served},
        "code": played["cold"].code,
        "calls": len(played["cold"].calls),
        "took": took,
    }


if __name__ == "__main__":
    sys.exit(main())
