"""The moments at which a controller may die or stand still: before an entry is durable, or after it, and never both."""

from __future__ import annotations

import pytest

from orchestrator.core.records import NoticeSettled
from orchestrator.journal.journal import Entry, JournalUnwritable
from orchestrator.journal.lease import Lease
from orchestrator.sim.disk import Disk, Killed, Moment
from orchestrator.sim.timeline import MachineClocks, Timeline


class Stopped:
    """Somebody who can be stopped."""

    def __init__(self) -> None:
        self.times = 0

    def freeze(self) -> None:
        self.times += 1


class Writing:
    """A disk, and a controller that writes on it."""

    def __init__(self, *moments: Moment) -> None:
        self.timeline = Timeline()
        self.disk = Disk(MachineClocks(self.timeline), self.timeline)
        lease = self.disk.acquire("c1", 20.0)
        assert isinstance(lease, Lease)
        self.lease = lease
        self.controller = Stopped()
        self.met: list[str] = []
        self.disk.on_moment = lambda moment: self.met.append(str(moment))
        for moment in moments:
            self.disk.moments.setdefault(moment.entry, []).append(moment)

    def write(self, commands: int = 0) -> None:
        entry = self.disk.append(self.lease, 1.0, 1.0, [NoticeSettled(1.0, "n", True, "")], {})
        self.disk.committed(entry, self.controller)
        for count in range(1, commands + 1):
            self.disk.after_command(count, self.controller)


def test_a_death_before_an_entry_leaves_nothing_of_it() -> None:
    writing = Writing(Moment(2, before=True))
    writing.write()
    with pytest.raises(Killed, match="killed before entry 2"):
        writing.write()
    assert writing.disk.last_seq() == 1
    writing.write()
    assert writing.disk.last_seq() == 2, "each moment is met once"


def test_a_death_after_an_entry_keeps_it_and_hands_on_none_of_its_commands() -> None:
    writing = Writing(Moment(1))
    with pytest.raises(Killed, match="killed after entry 1"):
        writing.write(commands=2)
    assert writing.disk.last_seq() == 1
    assert writing.disk.commands == {}


def test_a_death_between_two_commands() -> None:
    writing = Writing(Moment(1, command=1))
    with pytest.raises(Killed, match="after entry 1 and command 1 of it"):
        writing.write(commands=2)
    assert writing.disk.commands == {1: 1}


def test_standing_still_is_no_death() -> None:
    writing = Writing(Moment(1, stop=True), Moment(1, command=2, stop=True))
    writing.write(commands=2)
    assert writing.controller.times == 2
    assert writing.met == ["stopped after entry 1", "stopped after entry 1 and command 2 of it"]


def test_it_counts_the_commands_of_each_entry() -> None:
    writing = Writing()
    for commands in (0, 3, 1):
        writing.write(commands)
    assert writing.disk.commands == {2: 3, 3: 1}


def test_a_slow_disk_takes_its_time_and_a_full_one_refuses() -> None:
    writing = Writing()
    heard: list[Entry] = []
    writing.disk.on_entry.append(heard.append)
    writing.disk.slow_s = 4.0
    writing.write()
    assert writing.timeline.now == 4.0
    writing.disk.refuses = "the disk is full"
    with pytest.raises(JournalUnwritable, match="the disk is full"):
        writing.write()
    assert [x.seq for x in heard] == [1]
