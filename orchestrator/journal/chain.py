"""An entry's bytes and the chain of hashes over them, the same in every kind of journal.

The one rule it keeps: `hash = SHA-256(hash of the entry before + canonical bytes)`, over everything an entry says, its
number included. So a changed, removed, inserted or reordered entry shows. What stands beside the entries (checkpoints,
models, which entries were removed) is under the chain if an entry `binds` it by the hash of its bytes. If somebody cuts
the end off, or rewrites the chain with new hashes, only a head that was kept elsewhere shows it: `anchors`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import cast

from orchestrator.core.codec import CodecError, decode, decode_tagged, dumps, encode, encode_tagged, loads
from orchestrator.core.model import Json
from orchestrator.core.records import RECORDS, Record
from orchestrator.journal.journal import Bind, Bound, ChainFault, Entry, Fault, Head, JournalUnreadable, Linked

GENESIS = bytes(32)

Link = tuple[int, bytes, bytes]
"""An entry as it is stored: number, canonical bytes, hash."""


def body_of(
    seq: int,
    at: float,
    wall: float,
    epoch: int,
    records: Sequence[Record],
    rows: Mapping[str, Json],
    binds: Sequence[Bind] = (),
) -> bytes:
    """The canonical bytes of an entry; one that binds nothing has no such member. Raises CodecError."""
    said: dict[str, Json] = {
        "seq": seq,
        "at": float(at),
        "wall": float(wall),
        "epoch": epoch,
        "records": [encode_tagged(record) for record in records],
        "rows": dict(rows),
    }
    if binds:
        said["binds"] = [encode(bind) for bind in binds]
    return dumps(said)


def as_bytes(stored: object) -> bytes:
    """What a store holds, as bytes: of another kind than was written, its hash will not fit."""
    return stored if isinstance(stored, bytes) else str(stored).encode("utf-8", "surrogateescape")


def sha256(data: bytes) -> str:
    """As a `Bind` has it."""
    return hashlib.sha256(data).hexdigest()


def says_itself(digest: str, model: Json) -> bool:
    """Whether the digest of a model is that of these very bytes, as the configuration makes it: its first half."""
    if not isinstance(model, dict) or model.get("digest") != digest:
        return False
    return sha256(dumps({**model, "digest": ""}))[:32] == digest


def link(previous: bytes, body: bytes) -> bytes:
    """The hash of an entry that follows the one with hash `previous`."""
    return hashlib.sha256(previous + body).digest()


def entry_of(body: bytes) -> Entry:
    """The entry that these bytes say. Raises CodecError."""
    value = loads(body.decode())
    try:
        members = cast(dict[str, Json], value)
        return Entry(
            seq=cast(int, members["seq"]),
            at=cast(float, members["at"]),
            wall=cast(float, members["wall"]),
            epoch=cast(int, members["epoch"]),
            records=tuple(_record(r) for r in cast(list[Json], members["records"])),
            rows=cast(dict[str, Json], members["rows"]),
            binds=tuple(decode(Bind, b) for b in cast(list[Json], members.get("binds", []))),
        )
    except (KeyError, TypeError) as error:
        raise CodecError(f"not an entry: {error!r}") from error


@dataclass(frozen=True, slots=True)
class Stamp:
    """When an entry was made, on the axis and by the wall clock, and under which epoch."""

    at: float
    wall: float
    epoch: int


def stamped(body: str) -> Stamp:
    """The stamp of an entry, without its records. Of bytes that are no entry, zeros: reading them says so."""
    try:
        members = cast(dict[str, Json], loads(body))
        return Stamp(cast(float, members["at"]), cast(float, members["wall"]), cast(int, members["epoch"]))
    except (CodecError, KeyError, TypeError):
        return Stamp(0.0, 0.0, 0)


Gaps = Callable[[int], "Gap | None"]
"""The gap that begins with this number, if entries were let go of there."""


def no_gaps(_first: int) -> Gap | None:
    """Nothing was ever let go of."""
    return None


@dataclass(frozen=True, slots=True)
class Gap:
    """Entries `first` to `last` were let go of; `before` is the hash that they follow, `after` that of the last one."""

    first: int
    last: int
    before: bytes
    after: bytes

    @property
    def name(self) -> str:
        """As a `Bind` names it."""
        return f"{self.first}-{self.last}"

    @property
    def bind(self) -> Bind:
        """What puts it under the chain."""
        return Bind(Bound.GAP, self.name, sha256(self.before + self.after))


def difference(head: Head, last: int, there: bytes | None, gap: Gap | None, *, newest: bool) -> str | None:
    """Why a journal that ends at `last` is not the one that had this head; `there`: the hash of that entry now.

    What was let go of since cannot be compared, the hash kept in its place neither: anybody could have put that there.
    """
    if head.seq > last:
        return f"it ends at entry {last}, and entry {head.seq} was there"
    if there is None and gap is not None:
        return f"it says that entry {head.seq} was let go of, and no later head was kept" if newest else None
    return None if there is not None and there.hex() == head.hash else f"entry {head.seq} is not the one that it was"


def checked(links: Iterable[Link], previous: bytes, after: int, gaps: Gaps = no_gaps) -> Iterator[Linked]:
    """The entries of these links, each checked. Raises JournalUnreadable at the first that does not fit."""
    for seq, body, digest in links:
        while seq != after + 1:
            gap = gaps(after + 1)
            if gap is None or gap.before != previous or gap.last >= seq:
                raise unreadable(ChainFault(after + 1, Fault.MISSING, f"entry {seq} follows entry {after}"))
            after, previous = gap.last, gap.after
        entry = fitting(seq, body, digest, previous)
        if isinstance(entry, ChainFault):
            raise unreadable(entry)
        yield Linked(entry, previous, body, digest)
        after, previous = seq, digest


def checked_entries(links: Iterable[Link], previous: bytes, after: int, gaps: Gaps = no_gaps) -> Iterator[Entry]:
    """The same, of the entries alone."""
    return (link.entry for link in checked(links, previous, after, gaps))


def fitting(seq: int, body: bytes, digest: bytes, previous: bytes) -> Entry | ChainFault:
    """The entry of this link, or what is wrong with it after an entry whose hash is `previous`."""
    if link(previous, body) != digest:
        other = f" or entry {seq - 1}" if seq > 1 else ""
        return ChainFault(
            seq, Fault.ALTERED, f"its hash does not fit: this entry{other} was changed after it was written"
        )
    return said(seq, body)


def said(seq: int, body: bytes) -> Entry | ChainFault:
    """The entry that these bytes say, if they can be read and say that they are this one."""
    try:
        entry = entry_of(body)
    except CodecError as error:
        return ChainFault(seq, Fault.UNREADABLE, str(error))
    if entry.seq != seq:
        return ChainFault(seq, Fault.ALTERED, f"it says that it is entry {entry.seq}")
    return entry


def _record(value: Json) -> Record:
    return cast(Record, decode_tagged(RECORDS, value))


def missing(first: int, last: int) -> ChainFault:
    """These entries are not there."""
    return ChainFault(
        first, Fault.MISSING, "it was removed" if first == last else f"entries {first} to {last} are gone"
    )


def unreadable(fault: ChainFault) -> JournalUnreadable:
    """What to say, and what to do, where the chain cannot be read on."""
    if fault.fault is Fault.UNREADABLE:
        return JournalUnreadable(
            str(fault), "It was written by another version of bascule: use that one, or a later one."
        )
    return JournalUnreadable(
        str(fault), "`bascule journal verify` lists every fault; restore the journal from a copy made before it."
    )
