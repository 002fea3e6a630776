"""One mutant: what it takes out of the running process, and which statements should notice.

The one rule it keeps: nothing on disk is changed, and when its context is left all is as it was.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any

from orchestrator.sim.faults import Fault

DOWN = "program crashes|program hangs"
STILL = "controller stands still|controller stands still at an entry"
DEATHS = f"controller killed|controller killed at an entry|controller's machine restarts|{STILL}"
PLAYBOOKS = "playbook fails|playbook hangs|playbook half done|playbook without effect|playbook's end unseen"
OF_THE_CORE = frozenset({*range(3, 21), 23})  # the statements that are checked at each step
BESIDE = 0  # none of the statements: a rule of order beside them


@dataclass(frozen=True, slots=True)
class Mutant:
    """`out`: a context in which the rule is not there. `expected`: the statements of which one should not hold.

    `needs`: kinds of faults (perhaps `of` a subject), or words, without which the rule would have nothing to stop; each
    may name several (`hold|maintenance`). Seeds without them are passed over. `rest`: it takes the end of everything
    to see. `story`: a world, and faults in it that give the rule something to stop where seeds seldom do: they are
    played first. `beyond_the_core`: why the core's own invariants cannot notice, though a statement of theirs does not
    hold.
    """

    name: str
    takes_out: str
    expected: tuple[int, ...]
    out: Callable[[], AbstractContextManager[None]]
    needs: tuple[str, ...] = ()
    rest: bool = False
    beyond_the_core: str = ""
    story: tuple[str, tuple[Fault, ...]] | None = None

    @property
    def of_the_core(self) -> bool:
        """Whether the core's own invariants are to notice it, without the simulator."""
        return bool(OF_THE_CORE.intersection(self.expected)) and not self.beyond_the_core

    def could_matter(self, faults: Sequence[Fault]) -> bool:
        """Whether this script gives the rule anything to stop."""
        there = {f.kind.value for f in faults} | {f.word for f in faults}
        there |= {f"{f.kind.value} of {f.subject}" for f in faults}
        return all(there & set(need.split("|")) for need in self.needs)


@contextmanager
def put(where: Any, name: Any, value: object) -> Iterator[None]:
    """Something else in a module, a class or a dictionary, for a while."""
    if isinstance(where, dict):
        before = where[name]
        where[name] = value
        try:
            yield
        finally:
            where[name] = before
        return
    before = vars(where)[name]  # as it stands there: a method is not to be bound
    setattr(where, name, value)
    try:
        yield
    finally:
        setattr(where, name, before)
