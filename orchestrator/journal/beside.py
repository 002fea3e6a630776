"""What the SQLite journal keeps beside its entries, and whether it may be used: checkpoints, models, gaps.

The one rule it keeps: nothing beside the entries is used unless an entry of the chain names it by the hash of its
bytes.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import cast

from orchestrator.core.codec import dumps, loads
from orchestrator.core.model import Json
from orchestrator.core.records import Configured, Record
from orchestrator.journal import chain, queries, thinning
from orchestrator.journal.examining import (
    NOT_BOUND,
    Beside,
    Indexed,
    KeptCheckpoint,
    checkpoint_fault,
    model_fault,
)
from orchestrator.journal.journal import Bind, Bound, ChainFault, JournalUnreadable, JournalUnwritable, PassedOver
from orchestrator.journal.lease import Lease
from orchestrator.journal.store import PUT_BACK, Store

_TOLD_WINDOW = 5000


def latest_checkpoint(store: Store, passed_over: PassedOver) -> tuple[int, Json] | None:
    """The newest checkpoint that the chain names and that is as it was."""
    for kept in _checkpoints(store):
        found = store.read(queries.ENTRY_HASH, (kept.seq,))
        named = _named(store, queries.CHECKPOINT_BOUND, kept.seq, Bound.CHECKPOINT, str(kept.seq))
        why = checkpoint_fault(kept, found[0][0] if found else None, named)
        if why is None:
            return kept.seq, loads(kept.state)
        passed_over(f"the checkpoint of entry {kept.seq} is not used: {why}")
    return None


def put_model(db: sqlite3.Connection, digest: str, text: str) -> bool:
    """Keep a model; whether an entry has to bind it still. What stands there stays."""
    db.execute(queries.PUT_MODEL, (digest, text))
    (there,) = db.execute(queries.MODEL, (digest,)).fetchone()
    (bound,) = db.execute(queries.MODEL_BOUND, (digest,)).fetchone()
    return bound is None and there == text


def load_model(store: Store, digest: str, pending: str | None) -> Json | None:
    """A model as it was stored. Raises JournalUnreadable where it was changed since, or nothing vouches for it."""
    found = store.read(queries.MODEL, (digest,))
    if not found or not found[0][0]:
        return None
    text = chain.as_bytes(found[0][0])
    why = model_fault(digest, text, pending or _named(store, queries.MODEL_BOUND, digest, Bound.MODEL, digest))
    if why is NOT_BOUND:
        why += ", and it is not what its digest says"
    if why is not None:
        raise JournalUnreadable(
            f"the configuration {digest} in the journal is refused: {why}",
            "`bascule journal verify` lists every fault; restore the journal from a copy made before it.",
        )
    return loads(text)


def naming(store: Store, kinds: Sequence[str]) -> list[int]:
    """The numbers of entries that name one of these kinds of records, by the file's index as far as it goes."""
    named = dumps([f'"{kind}"' for kind in kinds]).decode("ascii")
    if store.version < 2:
        return [seq for (seq,) in store.read(queries.NAMING, (named,))]
    done, until = store.read(queries.TOLD_DONE)[0]
    return [seq for (seq,) in store.read(queries.TOLD_NAMING, (done, until, named))]


def gap_over(store: Store, seq: int) -> chain.Gap | None:
    """The gap that a number is in, if entries were let go of there."""
    if store.version < 2:
        return None
    found = store.read(queries.GAP_AT, (seq,))
    return chain.Gap(*found[0]) if found and isinstance(found[0][1], int) and found[0][1] >= seq else None


def refuse_older(db: sqlite3.Connection, store: Store, last: tuple[int, bytes]) -> None:
    """What this process wrote last, under its lease, has to be there: a copy from before it forgets holds and places.

    Raises JournalUnwritable.
    """
    seq, digest = last
    if seq and db.execute(queries.ENTRY_HASH, (seq,)).fetchone() != (digest,) and gap_over(store, seq) is None:
        why = f"entry {seq} is not there any more as this daemon wrote it: an older copy was put in its place"
        raise JournalUnwritable(f"journal {store.path}: {why}", PUT_BACK)


def latest_stamp(db: sqlite3.Connection) -> chain.Stamp:
    """When and under which epoch the latest entry was made."""
    found = db.execute(queries.BODIES_BACK, (db.execute(queries.HEAD).fetchone()[0],)).fetchone()
    return chain.stamped(found[0]) if found else chain.Stamp(0.0, 0.0, 0)


def add_binding(db: sqlite3.Connection, lease: Lease, binds: Sequence[Bind]) -> int:
    """An entry that remembers nothing and binds these; its number."""
    seq, digest = db.execute(queries.HEAD).fetchone()
    latest = latest_stamp(db)
    body = chain.body_of(seq + 1, latest.at, latest.wall, lease.epoch, (), {}, binds)
    digest = chain.link(digest, body)
    db.execute(queries.ADD_ENTRY, (seq + 1, body.decode("ascii"), digest))
    db.execute(queries.MOVE_HEAD, (seq + 1, digest))
    return cast(int, seq) + 1


def let_go(db: sqlite3.Connection, lease: Lease, gone: Sequence[int]) -> None:
    """Delete these entries, and put in their place the gaps that stand for them."""

    def hash_at(seq: int) -> bytes:
        return cast(bytes, db.execute(queries.ENTRY_HASH, (seq,)).fetchone()[0]) if seq else chain.GENESIS

    def gap_at(seq: int) -> chain.Gap | None:
        found = db.execute(queries.GAP_AT, (seq,)).fetchone()
        return chain.Gap(*found) if found and found[1] >= seq else None

    made, taken_in = thinning.gaps_for(gone, hash_at, gap_at)
    bound = add_binding(db, lease, [gap.bind for gap in made])
    db.executemany(queries.DROP_GAP, [(gap.first,) for gap in taken_in])
    db.executemany(queries.PUT_GAP, [(g.first, g.last, g.before, g.after, bound) for g in made])
    db.executemany(queries.DROP_ENTRY, [(seq,) for seq in gone])


def let_go_of_models(db: sqlite3.Connection, lease: Lease, digests: Iterable[str]) -> int:
    """Empty these, but those that no entry binds yet: one is about to come into force again. How many there were."""
    there = [(x, found[0]) for x in sorted(digests) if (found := db.execute(queries.BOUND_MODEL, (x,)).fetchone())]
    if there:
        binds = [Bind(Bound.GONE, name, chain.sha256(chain.as_bytes(text))) for name, text in there]
        bound = add_binding(db, lease, binds)
        db.executemany(queries.LET_GO_OF_MODEL, [(bound, name) for name, _ in there])
    return len(there)


def refuse_gone(db: sqlite3.Connection, records: Iterable[Record]) -> None:
    """No model comes into force that was let go of since it was stored. Raises JournalUnwritable."""
    for x in records:
        if isinstance(x, Configured):
            found = db.execute(queries.MODEL, (x.digest,)).fetchone()
            if found is not None and not found[0]:
                raise JournalUnwritable(f"the configuration {x.digest} was let go of meanwhile", "It is stored again.")


def last_before(store: Store, at: float, last: int) -> int:
    """The number of the latest entry up to `last` that was made before this time; 0: none."""
    low, high = 0, last
    while low < high:
        middle = (low + high + 1) // 2
        found = store.read(queries.BODIES_BACK, (middle,))  # or the next one before, where it was let go of
        if not found or chain.stamped(found[0][0]).at < at:
            low = middle
        else:
            high = middle - 1
    return low


def read(store: Store) -> Beside:
    """Everything beside the entries, for a look at the whole."""
    epoch = max(store.read(queries.LEASE)[0][0], store.read(queries.LAST_EPOCH)[0][0] or 0)
    models = ((str(name), chain.as_bytes(text)) for name, text in store.read(queries.MODELS))
    older = store.read(queries.TOLD_DONE)[0][1] if store.version > 1 else store.read(queries.HEAD)[0][0]
    return Beside(list(_checkpoints(store)), models, epoch, older, _told(store), _bound(store))


def _bound(store: Store) -> Callable[[Bound, str], int | None] | None:
    """Which entry the file says names this; it is looked up there."""
    if store.version < 2:
        return None
    asked = {Bound.CHECKPOINT: queries.CHECKPOINT_BOUND, Bound.MODEL: queries.MODEL_BOUND}

    def bound(kind: Bound, name: str) -> int | None:
        found = store.read(asked[kind], (name,))
        return found[0][0] if found and isinstance(found[0][0], int) else None

    return bound


def _checkpoints(store: Store) -> Iterator[KeptCheckpoint]:
    for seq, state, digest, own in store.read(queries.CHECKPOINTS):
        yield KeptCheckpoint(seq, digest, own, chain.as_bytes(state))


def _named(store: Store, query: str, key: int | str, kind: Bound, name: str) -> str | None:
    """What the chain says of the bytes of this: by the entry that is said to bind it, between its neighbours."""
    if store.version < 2:
        return None
    found = store.read(query, (key,))
    seq = found[0][0] if found else None
    if not isinstance(seq, int):
        return None
    entry = _in_chain(store, seq)
    for bind in entry or ():
        if (bind.kind, bind.name) == (kind, name):
            return bind.sha256
    return None


def _in_chain(store: Store, seq: int) -> tuple[Bind, ...] | None:
    """What an entry binds, if its hash follows the one before it and the next one follows it."""
    there = {
        s: (chain.as_bytes(body), chain.as_bytes(digest))
        for s, body, digest in store.read(queries.ENTRIES_FROM_TO, (seq - 1, seq + 1, 3))
    }
    if seq not in there:
        return None
    body, digest = there[seq]
    before = there[seq - 1][1] if seq - 1 in there else chain.GENESIS if seq == 1 else _after_gap(store, seq - 1)
    if before is None:
        return None
    entry = chain.fitting(seq, body, digest, before)
    if isinstance(entry, ChainFault):
        return None
    if seq + 1 in there:
        following = chain.link(digest, there[seq + 1][0]) == there[seq + 1][1]
    else:
        gap = gap_over(store, seq + 1)
        following = gap.before == digest if gap else tuple(store.read(queries.HEAD)[0]) == (seq, digest)
    return entry.binds if following else None


def _after_gap(store: Store, seq: int) -> bytes | None:
    gap = gap_over(store, seq)
    return gap.after if gap and gap.last == seq else None


def _told(store: Store) -> Callable[[int], Indexed | None]:
    """What the index says of each entry, asked in order: some at once."""
    if store.version < 2:
        return lambda _seq: None
    done, until = store.read(queries.TOLD_DONE)[0]
    last: int = store.read(queries.HEAD)[0][0]
    window: tuple[int, dict[int, bool]] = (0, {})

    def told(seq: int) -> Indexed | None:
        nonlocal window
        if done < seq <= until:
            return None
        if not window[0] or not window[0] <= seq < window[0] + _TOLD_WINDOW:
            found = store.read(queries.TOLD_FROM_TO, (seq, seq + _TOLD_WINDOW - 1))
            window = (seq, {x: bool(incident) for x, incident in found})
        # of entries that came after the window was read, the index is not known here
        if seq in window[1]:
            return Indexed(True, window[1][seq])
        return Indexed(False, False) if seq <= last else None

    return told
