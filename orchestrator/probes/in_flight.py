"""How many questions of one check may be in the air, and what a beat does that finds one there.

The one rule it keeps: it only counts. The caller decides when a beat comes, who asks and how long an answer takes: the
prober with real questions, the simulator with invented ones. Both obey the same rule.

    in the air    beat comes                    asked for now               one ends
    ----------    --------------------------    ------------------------    ------------------------------
    none          ask                           ask                         (cannot be)
    one           waits; if one waits: skip     ask, beside the other       ask if something waits
    two           waits; if one waits: skip     waits                       ask if something waits

So a slow target is asked as fast as it answers and is never flooded. Whoever wants an answer to a question sent from
now on need not wait for one that hangs.
"""

from __future__ import annotations

from dataclasses import dataclass

IN_AIR_MAX = 2  # the beat's, and one that was asked for


@dataclass(slots=True)
class InFlight:
    """Of one check. Whoever is answered True sends a question at once, and says `ended` when that has its answer."""

    in_air: int = 0
    waits: bool = False  # ask once more as soon as one has ended
    skipped: int = 0  # beats that found one waiting already

    def beat(self) -> bool:
        """A beat has come: ask?"""
        if not self.in_air:
            return self._ask()
        if self.waits:
            self.skipped += 1
        self.waits = True
        return False

    def now(self) -> bool:
        """An answer to a question sent from now on is wanted: ask? If not, one is sent as soon as there is room."""
        if self.in_air < IN_AIR_MAX:
            return self._ask()
        self.waits = True
        return False

    def ended(self) -> bool:
        """A question has its answer, or was abandoned: ask again? Raises ValueError if none was in the air."""
        if not self.in_air:
            raise ValueError("a question ended, but none was in the air: ended() is said once for each True")
        self.in_air -= 1
        if not self.waits:
            return False
        self.waits = False
        return self._ask()

    def _ask(self) -> bool:
        self.in_air += 1
        return True
