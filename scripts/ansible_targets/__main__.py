"""`python -m scripts.ansible_targets [TARGET…] [--connections ssh,local] [--again]`: needs root and the network."""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

from orchestrator.lab.errors import LabError
from orchestrator.lab.system import find, home
from scripts.ansible_targets import compare, sandbox, source
from scripts.ansible_targets.kept import Kept

WAYS = ("cold", "warm", "fast")
WANTED = Path(__file__).with_name("targets.txt")


def main() -> int:
    """Exit code 1 if anything differs that targets.txt does not expect."""
    parser = argparse.ArgumentParser(prog="make test-ansible", description="Ansible's own tests, played three ways.")
    parser.add_argument("targets", nargs="*", help="in place of those of targets.txt")
    parser.add_argument("--connections", default="ssh,local")
    parser.add_argument("--ways", default=",".join(WAYS[1:]), help="that are compared with ansible-playbook")
    parser.add_argument("--limit-s", type=float, default=400.0, help="for one play")
    parser.add_argument("--again", action="store_true", help="play warm and with Mitogen anew; else a run goes on")
    parser.add_argument("--anew", action="store_true", help="play ansible-playbook's own plays anew, too")
    parser.add_argument("--table", action="store_true", help="play nothing: the table of what has been played")
    given = parser.parse_args()
    if os.geteuid() != 0:
        print("each play has a machine of its own: that needs root", file=sys.stderr)
        return 2
    try:
        programs = find(home()).environment()  # sshd and sudo may be those that scripts/system-packages has unpacked
    except LabError as why:
        print(why, file=sys.stderr)
        return 2
    os.environ.update(programs, PATH=f"{programs['PATH']}{os.pathsep}{os.environ['PATH']}")
    for number in (signal.SIGINT, signal.SIGTERM):  # a machine that is broken off is taken apart all the same
        signal.signal(number, lambda number, frame: sys.exit(128 + number))
    expected = dict(_expected())
    names = given.targets or list(dict.fromkeys(name for name, _ in expected))
    ways = ("cold", *given.ways.split(","))
    found = source.fetch()
    source.fetch_libraries()
    kept = Kept(found.with_name(f"{found.name}-played"))
    table = Table(ways, expected)
    for connection in given.connections.split(","):
        for name in names:
            for way in ways:
                if given.anew or (given.again and way != "cold"):
                    kept.drop(name, connection, way)
            table.add(name, connection, _three_ways(found, kept, name, connection, ways, given))
    return table.tell()


def _expected() -> list[tuple[tuple[str, str], str]]:
    """Of targets.txt: a target, and for a connection by which it differs, the reason."""
    found = []
    for line in WANTED.read_text(encoding="utf-8").splitlines():
        name, _, rest = line.partition(" ")
        if name and not name.startswith("#"):
            connection, _, reason = rest.strip().partition(": ")
            found.append(((name, connection), reason))
    return found


def _three_ways(
    tests: Path, kept: Kept, target: str, connection: str, ways: tuple[str, ...], given: argparse.Namespace
) -> dict[str, compare.Play]:
    """What is there of it already, and the rest played now; nothing is played beside what cannot be compared."""
    plays: dict[str, compare.Play] = {}
    for way in ways:
        play = kept.find(target, connection, way)
        if play is None and given.table:
            continue
        if play is not None and play.code == compare.OVER and play.took_s < given.limit_s and not given.table:
            play = None  # it is given more time now
        if play is None:
            play = _play(tests, target, connection, way, given.limit_s)
            kept.keep(target, connection, way, play)
        plays[way] = play
        if way == "cold" and play.why_not:
            break
    return plays


def _play(tests: Path, target: str, connection: str, way: str, limit_s: float) -> compare.Play:
    shared = Path(tempfile.mkdtemp(prefix="bascule-targets-"))
    room = Path(tempfile.mkdtemp(prefix="bascule-room-"))
    inside = [sys.executable, str(Path(__file__).with_name("inside.py")), str(tests), target, connection, way]
    began = time.monotonic()
    try:
        code = sandbox.run(room, [*inside, str(shared)], kept=shared, timeout_s=limit_s)
        return compare.Play.read(code, shared, time.monotonic() - began)
    finally:
        shutil.rmtree(shared, ignore_errors=True)
        shutil.rmtree(room, ignore_errors=True)


class Table:
    """What is said of each target as it comes, and of all of them at the end."""

    def __init__(self, ways: tuple[str, ...], expected: dict[tuple[str, str], str]) -> None:
        self.ways, self.expected = ways[1:], expected
        self.counts: Counter[tuple[str, str, str]] = Counter()  # connection, way, outcome
        self.last: list[str] = []
        self.bad = 0

    def add(self, target: str, connection: str, plays: dict[str, compare.Play]) -> None:
        """One line of it, now."""
        start = f"{connection:<6} {target:<38}"
        if "cold" not in plays:
            self._count(connection, self.ways, "not played")
            return
        if why := plays["cold"].why_not:
            self._count(connection, self.ways, "not comparable")
            self._say(f"{start} not comparable: {why}", last=True)
            return
        known = self.expected.get((target, connection), "")
        for way in self.ways:
            if way not in plays:
                self._count(connection, [way], "not played")
                continue
            wrong = compare.differences(plays[way], plays["cold"])
            self._count(connection, [way], "differs" if wrong else "same")
            cold = f" ({plays[way].not_served[0]})" if plays[way].not_served else ""
            took = f"{plays['cold'].took_s:.0f} s, {way} {plays[way].took_s:.0f} s"
            if not wrong:
                self._say(f"{start} {way}: same{cold}  {took}")
                continue
            self.bad += not known
            mark = f"differs, as expected: {known}" if known else "DIFFERS"
            self._say("\n         ".join([f"{start} {way}: {mark}  {took}", *wrong[:4]]), last=True)

    def _count(self, connection: str, ways: tuple[str, ...] | list[str], outcome: str) -> None:
        for way in ways:
            self.counts[connection, way, outcome] += 1

    def _say(self, line: str, *, last: bool = False) -> None:
        print(line, flush=True)
        if last:
            self.last.append(line)

    def tell(self) -> int:
        """All that differs or was not compared, the counts, and the exit code."""
        print("\n" + "\n".join(self.last) + "\n")
        outcomes = ("same", "differs", "not comparable", "not played")
        print(f"{'':<14}" + "".join(f"{outcome:>16}" for outcome in outcomes))
        for connection, way in dict.fromkeys((connection, way) for connection, way, _ in self.counts):
            counts = "".join(f"{self.counts[connection, way, outcome]:>16}" for outcome in outcomes)
            print(f"{connection:<6} {way:<7}{counts}")
        return 1 if self.bad else 0


if __name__ == "__main__":
    sys.exit(main())
