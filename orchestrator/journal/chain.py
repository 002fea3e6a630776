"""An entry's bytes and the chain of hashes over them, the same in every kind of journal.

The one rule it keeps: `hash = SHA-256(hash of the entry before + canonical bytes)`, over everything an entry says, its
number included. So a changed, removed, inserted or reordered entry shows. Somebody who rewrites the whole chain with
new hashes is not found: keep a copy of the latest hash elsewhere where that matters.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

from orchestrator.core.codec import CodecError, decode_tagged, dumps, encode_tagged, loads
from orchestrator.core.model import Json
from orchestrator.core.records import RECORDS, Record
from orchestrator.journal.journal import ChainFault, Entry, Fault, JournalUnreadable

GENESIS = bytes(32)

Link = tuple[int, bytes, bytes]
"""An entry as it is stored: number, canonical bytes, hash."""


def body_of(seq: int, at: float, wall: float, epoch: int, records: Sequence[Record], rows: Mapping[str, Json]) -> bytes:
    """The canonical bytes of an entry. Raises CodecError."""
    return dumps(
        {
            "seq": seq,
            "at": float(at),
            "wall": float(wall),
            "epoch": epoch,
            "records": [encode_tagged(record) for record in records],
            "rows": dict(rows),
        }
    )


def link(previous: bytes, body: bytes) -> bytes:
    """The hash of an entry that follows the one with hash `previous`."""
    return hashlib.sha256(previous + body).digest()


def entry_of(body: bytes) -> Entry:
    """The entry that these bytes say. Raises CodecError."""
    value = loads(body)
    try:
        members = cast(dict[str, Json], value)
        return Entry(
            seq=cast(int, members["seq"]),
            at=cast(float, members["at"]),
            wall=cast(float, members["wall"]),
            epoch=cast(int, members["epoch"]),
            records=tuple(_record(r) for r in cast(list[Json], members["records"])),
            rows=cast(dict[str, Json], members["rows"]),
        )
    except (KeyError, TypeError) as error:
        raise CodecError(f"not an entry: {error!r}") from error


def checked_entries(links: Iterable[Link], previous: bytes, after: int) -> Iterator[Entry]:
    """The entries of these links, each checked. Raises JournalUnreadable at the first that does not fit."""
    for seq, body, digest in links:
        if seq != after + 1:
            raise _unreadable(ChainFault(after + 1, Fault.MISSING, f"entry {seq} follows entry {after}"))
        entry = _fitting(seq, body, digest, previous)
        if isinstance(entry, ChainFault):
            raise _unreadable(entry)
        yield entry
        after, previous = seq, digest


def faults(links: Iterable[Link], head: tuple[int, bytes]) -> list[ChainFault]:
    """Every fault of a whole chain; `head` is the number and hash of what was written last."""
    found = []
    after: int = 0
    previous: bytes | None = GENESIS
    for seq, body, digest in links:
        if seq != after + 1:
            found.append(_gap(after + 1, seq - 1))
            previous = None  # unknown: this entry's own hash cannot be checked
        if previous is not None:
            result = _fitting(seq, body, digest, previous)
            if isinstance(result, ChainFault):
                found.append(result)
        after, previous = seq, digest
    if after < head[0]:
        found.append(_gap(after + 1, head[0]))
    elif after > head[0]:
        found.append(ChainFault(head[0] + 1, Fault.ALTERED, f"the latest entry written was {head[0]}: this was added"))
    elif previous is not None and previous != head[1]:
        found.append(ChainFault(after, Fault.ALTERED, "its hash is not the one that was written last"))
    return found


def _fitting(seq: int, body: bytes, digest: bytes, previous: bytes) -> Entry | ChainFault:
    if link(previous, body) != digest:
        other = f" or entry {seq - 1}" if seq > 1 else ""
        return ChainFault(
            seq, Fault.ALTERED, f"its hash does not fit: this entry{other} was changed after it was written"
        )
    try:
        entry = entry_of(body)
    except CodecError as error:
        return ChainFault(seq, Fault.UNREADABLE, str(error))
    if entry.seq != seq:
        return ChainFault(seq, Fault.ALTERED, f"it says that it is entry {entry.seq}")
    return entry


def _record(value: Json) -> Record:
    return cast(Record, decode_tagged(RECORDS, value))


def _gap(first: int, last: int) -> ChainFault:
    return ChainFault(
        first, Fault.MISSING, "it was removed" if first == last else f"entries {first} to {last} are gone"
    )


def _unreadable(fault: ChainFault) -> JournalUnreadable:
    if fault.fault is Fault.UNREADABLE:
        return JournalUnreadable(
            str(fault), "It was written by another version of bascule: use that one, or a later one."
        )
    return JournalUnreadable(
        str(fault), "`bascule journal verify` lists every fault; restore the journal from a copy made before it."
    )
