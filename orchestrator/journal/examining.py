"""Examines a whole journal: is everything in it, and beside its entries, as it was written?

The one rule it keeps: it lists every fault, in one pass that holds a few entries at a time. It does not claim to see
what no chain of hashes can show (an end cut off, a chain made anew).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

from orchestrator.core.codec import CodecError, loads
from orchestrator.core.model import Json
from orchestrator.journal import chain
from orchestrator.journal.journal import Bound, ChainFault, Entry, Examined, Fault, Head
from orchestrator.journal.slices import is_told

MOST_FAULTS = 1000  # listed; a journal with more is told by these


@dataclass(frozen=True, slots=True)
class KeptCheckpoint:
    """As the store has it: after entry `seq`, whose hash was `hash`; its own hash as bytes, its text."""

    seq: int
    hash: bytes
    own: bytes
    state: bytes


@dataclass(frozen=True, slots=True)
class Indexed:
    """What the index says of an entry: whether it is told, and whether it is of an incident."""

    told: bool
    incident: bool


@dataclass(slots=True)
class Beside:
    """What the store keeps beside the entries, read before them."""

    checkpoints: Sequence[KeptCheckpoint] = ()
    models: Iterable[tuple[str, bytes]] = ()
    epoch: int = 0  # the largest that was ever given
    older: int = 0  # an earlier version, which bound nothing, wrote the entries up to this number
    told: Callable[[int], Indexed | None] = field(default=lambda _seq: None)
    """What the index of entries to be told says of one; None: it was not made for it yet."""
    bound: Callable[[Bound, str], int | None] | None = None
    """Which entry the store says names a checkpoint or model: what it does not find there is not used."""


class Examination:
    """One look. `look` reads the entries; `examined` is what came of it."""

    def __init__(self, beside: Beside, gaps: chain.Gaps, anchored: Sequence[Head]) -> None:
        """Nothing is looked at yet."""
        self._beside = beside
        self._gaps = gaps
        self._anchored: dict[int, list[Head]] = {}
        self._given = len(anchored)
        self._newest = max((head.seq for head in anchored), default=0)
        self._fits: list[int] = []  # the entries whose heads these are, of this journal
        self.faults: list[ChainFault] = []
        self.notes: list[str] = []
        self._binds: dict[tuple[Bound, str], str] = {}
        self._bound_at: dict[tuple[Bound, str], list[int]] = {}
        self._gaps_bound_at: dict[tuple[str, str], int] = {}  # name and hash to the first entry that names it so
        self._used: list[chain.Gap] = []
        self._hashes: dict[int, bytes] = {}
        self._wanted = {kept.seq for kept in beside.checkpoints}
        self._epoch = 0
        self._count = 0
        self._after = 0
        self._previous: bytes | None = chain.GENESIS
        self._wall = 0.0
        for head in anchored:
            self._anchored.setdefault(head.seq, []).append(head)

    def look(self, links: Iterable[chain.Link]) -> None:
        """Go on through these entries, which come in order."""
        for link in links:
            self._one(link)

    def _one(self, link: chain.Link) -> None:
        seq, body, digest = link
        self._bridge(seq)
        if self._previous is not None:
            result = chain.fitting(seq, body, digest, self._previous)
        else:
            result = chain.said(seq, body)  # what it follows is gone: its own hash cannot be checked
        if isinstance(result, ChainFault):
            self._add(result)
        else:
            self._entry(result)
        self._count += 1
        self._after, self._previous = seq, digest
        self._compare(seq, digest)
        if seq in self._wanted:
            self._hashes[seq] = digest

    def _bridge(self, seq: int) -> None:
        """Over what was let go of; what is missing otherwise was taken away."""
        while self._after + 1 < seq:
            gap = self._gaps(self._after + 1)
            if gap is None or gap.last >= seq:
                self._add(chain.missing(self._after + 1, seq - 1))
                self._after, self._previous = seq - 1, None
                return
            if gap.first == self._after + 1 and self._previous is not None and gap.before != self._previous:
                self._add(ChainFault(self._after, Fault.ALTERED, "it is not the entry that the gap after it follows"))
            self._used.append(gap)
            for number in [n for n in self._anchored if gap.first <= n <= gap.last]:
                self._let_go_of(number)
            self._after, self._previous = gap.last, gap.after

    def _let_go_of(self, number: int) -> None:
        """There is nothing to compare: anybody could have put a gap there, with the hash that was anchored."""
        del self._anchored[number]
        why = f"entry {number}, which was anchored, was let go of: compare with a later head"
        if number == self._newest:
            self._add(ChainFault(number, Fault.MISSING, f"no later one was given, and {why}"))
        else:
            self.notes.append(why)

    def _entry(self, entry: Entry) -> None:
        if entry.epoch < self._epoch:
            self._add(ChainFault(entry.seq, Fault.ALTERED, f"its epoch {entry.epoch} follows epoch {self._epoch}"))
        self._epoch = max(self._epoch, entry.epoch)
        self._wall = entry.wall
        indexed = self._beside.told(entry.seq)
        wanted = Indexed(is_told(entry.records), any(type(x).__name__.startswith("Incident") for x in entry.records))
        if indexed is not None and indexed != wanted:
            why = "it is told as if it were quiet" if not indexed.told else "it is quiet, and told"
            if indexed.told == wanted.told:
                why = f"it is {'' if wanted.incident else 'not '}of an incident, and the index says otherwise"
            self._add(ChainFault(entry.seq, Fault.ALTERED, why, f"index of entry {entry.seq}"))
        for bind in entry.binds:
            self._binds[bind.kind, bind.name] = bind.sha256
            if bind.kind is Bound.GAP:
                self._gaps_bound_at.setdefault((bind.name, bind.sha256), entry.seq)
            else:
                self._bound_at.setdefault((bind.kind, bind.name), []).append(entry.seq)

    def _compare(self, seq: int, digest: bytes) -> None:
        for head in self._anchored.pop(seq, ()):
            if head.hash != digest.hex():
                why = f"it was anchored with hash {head.hash[:16]}…, and has {digest.hex()[:16]}… now"
                self._add(ChainFault(seq, Fault.REWRITTEN, why))
                continue
            self._fits.append(seq)

    def examined(self) -> Examined:
        """Everything that was found. Call it when all entries were looked at."""
        beside = self._beside
        if beside.epoch < self._epoch:
            why = f"the largest epoch that was given is {beside.epoch}, but an entry has {self._epoch}"
            self._add(ChainFault(0, Fault.ALTERED, why, "lease"))
        self._gaps_bound()
        self._checkpoints()
        self._models()
        for number, heads in sorted(self._anchored.items()):
            at = f"the journal ends at entry {self._after}, but entry {number} was anchored"
            self._add(ChainFault(number, Fault.SHORT, at + (", more than once" if len(heads) > 1 else "")))
        last = Head(self._after, (self._previous or b"").hex(), self._wall)
        self._say_what_is_not_known(last)
        return Examined(last, self._count, tuple(self.faults), tuple(self.notes))

    def _gaps_bound(self) -> None:
        for gap in self._used:
            named = self._binds.get((Bound.GAP, gap.name))
            if named != gap.bind.sha256:
                why = "they are gone, and no entry says that they were let go of"
                if named is not None:
                    why = "the hashes kept in their place are not those that the chain names"
                self._add(ChainFault(gap.first, Fault.MISSING, why, f"entries {gap.name}"))

    def _checkpoints(self) -> None:
        names = {name for kind, name in self._binds if kind is Bound.CHECKPOINT}
        latest = max(map(int, names), default=0)
        there = {kept.seq for kept in self._beside.checkpoints}
        if latest and latest not in there and not any(s > latest for s in there):
            self._add(ChainFault(latest, Fault.MISSING, "the chain names it, and it is gone", _state_after(latest)))
        for kept in self._beside.checkpoints:
            why = checkpoint_fault(kept, self._hashes.get(kept.seq), self._binds.get((Bound.CHECKPOINT, str(kept.seq))))
            if why and (names or kept.seq not in self._hashes or kept.seq > self._beside.older):
                self._add(ChainFault(kept.seq, Fault.ALTERED, f"{why}; it is not used", _state_after(kept.seq)))
            elif not why and self._is_lost(Bound.CHECKPOINT, str(kept.seq)):
                self._add(ChainFault(kept.seq, Fault.ALTERED, f"{LOST}; it is not used", _state_after(kept.seq)))
            elif why:
                self.notes.append(
                    f"{_state_after(kept.seq)} is not under the chain: an earlier version kept it; it is not used"
                )

    def _models(self) -> None:
        any_bound = any(kind is Bound.MODEL for kind, _ in self._binds)
        there = set()
        for digest, text in self._beside.models:
            there.add(digest)
            why = model_fault(digest, text, self._binds.get((Bound.MODEL, digest)))
            if why is None and not self._is_lost(Bound.MODEL, digest):
                continue
            why = why or LOST
            if why is NOT_BOUND and not any_bound and self._beside.older:
                self.notes.append(f"model {digest} is not under the chain: an earlier version stored it")
            else:
                self._add(ChainFault(0, Fault.ALTERED, f"{why}; it is refused", f"model {digest}"))
        for kind, name in self._binds:
            if kind is Bound.MODEL and name not in there and not self._was_let_go_of(name):
                self._add(ChainFault(0, Fault.MISSING, "the chain names it, and it is gone", f"model {name}"))

    def _was_let_go_of(self, model: str) -> bool:
        """Whether the chain says so, of these very bytes, and names it no more after that."""
        named, gone = self._binds[Bound.MODEL, model], self._binds.get((Bound.GONE, model))
        return gone == named and self._bound_at[Bound.GONE, model][-1] > self._bound_at[Bound.MODEL, model][-1]

    def _is_lost(self, kind: Bound, name: str) -> bool:
        """Whether the chain names it, and the store looks for that elsewhere."""
        if self._beside.bound is None or (kind, name) not in self._bound_at:
            return False
        return self._beside.bound(kind, name) not in self._bound_at[kind, name]

    def _say_what_is_not_known(self, last: Head) -> None:
        compared = max(self._fits, default=0)
        if not last.seq:
            return
        if not self._given:
            self.notes.append(
                "compared with no head kept elsewhere: a journal that was cut off, or written anew from some entry on,"
                " looks the same. To keep a head elsewhere: `bascule journal head`, `journal: {anchor: …}`"
            )
            return
        if len(self._fits) < self._given or compared < last.seq:
            known = f"up to entry {compared} it is" if compared else "at no entry is it shown to be"
            after = "; of the entries after it, that some were cut off or written anew could not be seen"
            more = after if len(self._fits) == self._given else ""  # else that is a fault, or said already
            self.notes.append(f"{known} the journal whose head was kept elsewhere{more}")
        if (untold := self._not_shown(compared)) is not None:
            gap, bound = untold
            self.notes.append(
                f"of its entries up to {gap.last} that cannot be told: after the head was kept, entry {bound} let go of"
                f" entries {gap.name}, through which no hash goes; compare with a later head"
            )

    def _not_shown(self, compared: int) -> tuple[chain.Gap, int] | None:
        """The latest gap, and the entry that names it, behind which no head that fits vouches for anything.

        The hashes on its sides are worth as much as the entry that names them: one that no head covers was written by
        whoever wrote the gap.
        """
        shown: list[range] = []
        for gap in reversed(self._used):
            if gap.last > compared:
                continue
            shown.append(range(gap.last + 1, compared + 1))
            compared = gap.first - 1
            bound = self._gaps_bound_at.get((gap.name, gap.bind.sha256))
            if bound is not None and not any(bound in each for each in shown):  # one that is not named is a fault
                compared = max((seq for seq in self._fits if seq < gap.first), default=0)
                if compared < gap.first - 1:
                    return gap, bound
        return None

    def _add(self, fault: ChainFault) -> None:
        if len(self.faults) == MOST_FAULTS:
            self.notes.append(f"there are more faults than these {MOST_FAULTS}")
        if len(self.faults) < MOST_FAULTS:
            self.faults.append(fault)


LOST = "the file does not say which entry names it"
NOT_BOUND = "the chain names no such model"


def _state_after(seq: int) -> str:
    return f"checkpoint of entry {seq}"


def checkpoint_fault(kept: KeptCheckpoint, entry: bytes | None, named: str | None) -> str | None:
    """Why a checkpoint is not to be used. `entry`: the hash of its entry; `named`: what the chain says of its bytes."""
    if entry is None:
        return "there is no such entry"
    if kept.hash != entry:
        return "it was made after another entry of this number"
    if named is None:
        return "the chain does not name it"
    if chain.sha256(kept.state) != named or bytes.fromhex(named) != kept.own:
        return "it was changed after it was written"
    return None


def model_fault(digest: str, text: bytes, named: str | None) -> str | None:
    """Why a stored model is not to be used. `named`: what the chain says of its bytes."""
    if named is not None:
        return None if chain.sha256(text) == named else "it was changed after it was stored"
    try:
        model: Json = loads(text)
    except CodecError as error:
        return f"it cannot be read ({error})"
    if chain.says_itself(digest, model):
        return None
    if isinstance(model, dict) and model.get("digest") == digest and len(digest) == 32:
        return "it was changed after it was stored"
    return NOT_BOUND
