"""The file of a report that proves itself: written, and checked offline where there is no workspace.

The one rule it keeps: nothing of a file is believed that was not checked. Its entries must fit their hashes, the report
must be the one that its entries tell, figure by figure, and the file must be as it is written, byte by byte. What is
wrong is named.

    part of the file        what it must fit                                         what nobody can see without more
    ---------------------------------------------------------------------------------------------------------------
    report                  the report that the slice tells, worked out again        -
    entries, provider's     each its hash; the next one follows it, unless others    that they were written anew: a head
                            lie between; the journal's end comes not before them     kept elsewhere, of those before it
                                                                                     up to a gap
    entries, client's       a chain of sums; the journal's hash stands beside        that it is what the journal says
    models                  a sum each                                               that they are parts of the model
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from typing import cast

from orchestrator.core.canonical import checked
from orchestrator.core.codec import CodecError, decode, decode_tagged, dumps, encode, encode_tagged, loads
from orchestrator.core.model import Json, Model
from orchestrator.core.records import RECORDS, Record
from orchestrator.core.state.decided import IllegalRecord
from orchestrator.journal import chain
from orchestrator.journal.journal import Head
from orchestrator.reports.papers.composition import compose
from orchestrator.reports.papers.excerpt import AgesOfHour, Piece, Slice, Subject
from orchestrator.reports.papers.heads import Wrong, compared_with, ends_otherwise, head_of
from orchestrator.reports.papers.shape import Edition, Report

FORMAT = "bascule report"
VERSION = 1
MOST_FAULTS = 20
MEMBERS = ("format", "version", "made_by", "report", "proof", "seal")
PROOF = ("head", "head_sum", "entries", "models")
NARROWER = ("width", "left_out")  # of the subject; only where not all of the history before is in the slice
START = bytes(32)

Members = dict[str, Json]


@dataclass(frozen=True, slots=True)
class Heading:
    """What the slice is a slice of: all of it but entries and models."""

    edition: Edition
    subject: Subject
    now: float
    wall: float
    unwatched_s: float | None
    journal: str
    ages: tuple[AgesOfHour, ...] = ()


@dataclass(frozen=True, slots=True)
class Checked:
    """What a look at a file showed. `figures`: how many values were worked out again. `not_shown`: and cannot be.

    `made_by`: by what it says that it was made.
    """

    wrong: tuple[Wrong, ...]
    figures: int = 0
    entries: int = 0
    not_shown: tuple[str, ...] = ()
    slice: Slice | None = None
    report: Report | None = None
    made_by: str = ""


class Unreadable(Exception):
    """It is no report, or one of another version: nothing of it can be checked."""


# ---- writing


def sealed(found: Slice, made_by: str, report: Report | None = None) -> Members:
    """The members of the file of this slice."""
    heading = _heading(found)
    models: Members = {
        digest: {"parts": encode(model), "sum": _sum(encode(model))} for digest, model in found.models.items()
    }
    said: Members = {
        "format": FORMAT,
        "version": VERSION,
        "made_by": made_by,
        "report": plain_json(report if report is not None else compose(found)),
        "proof": {"head": heading, "head_sum": _sum(heading), "entries": _entries(found), "models": models},
    }
    return {**said, "seal": _sum(said)}


def _heading(found: Slice) -> Json:
    """Of a slice of the whole history as it was written before there were narrower ones: the same bytes."""
    heading = encode(
        Heading(found.edition, found.subject, found.now, found.wall, found.unwatched_s, found.head, found.ages)
    )
    if isinstance(heading, dict) and not heading["ages"]:
        del heading["ages"]
    subject = heading["subject"] if isinstance(heading, dict) else None
    if isinstance(subject, dict):
        for name in NARROWER:
            if not subject[name]:
                del subject[name]
    return heading


def text_of(data: Members) -> str:
    """The file: each entry on a line of its own, and always the same bytes for the same report."""
    proof = cast(Members, data["proof"])
    entries = ",\n".join(json.dumps(x, separators=(",", ":")) for x in cast(list[Json], proof["entries"]))
    models = ",\n".join(f"{json.dumps(n)}: {json.dumps(m)}" for n, m in cast(Members, proof["models"]).items())
    head = "".join(f"{json.dumps(name)}: {json.dumps(data[name])},\n" for name in ("format", "version", "made_by"))
    return (
        f'{{\n{head}"report": {json.dumps(data["report"], indent=1)},\n"proof": {{\n'
        f'"head": {json.dumps(proof["head"])},\n"head_sum": {json.dumps(proof["head_sum"])},\n'
        f'"entries": [\n{entries}\n],\n"models": {{\n{models}\n}}\n}},\n"seal": {json.dumps(data["seal"])}\n}}\n'
    )


def plain_json(report: Report) -> Members:
    """A report as JSON has it."""
    return cast(Members, json.loads(json.dumps(asdict(report), allow_nan=False)))


def _entries(found: Slice) -> list[Json]:
    if found.edition is Edition.PROVIDER:
        return [{"before": x.before, "hash": x.hash, "said": loads(x.body)} for x in found.pieces]
    entries: list[Json] = []
    before = START
    for x in found.pieces:
        said: Members = {
            "seq": x.seq, "at": x.at, "wall": x.wall, "epoch": x.epoch, "hash": x.hash,
            "records": [encode_tagged(y) for y in x.records],
        }  # fmt: skip
        before = hashlib.sha256(before + dumps(said)).digest()
        entries.append({**said, "sum": before.hex()})
    return entries


def _sum(value: Json) -> str:
    return hashlib.sha256(dumps(value)).hexdigest()


# ---- checking


def check(text: str, made_by: str, heads: Sequence[Head] = (), *, canonical: bool = True) -> Checked:
    """Everything that can be said of a file from itself, and from heads of the journal that were kept elsewhere.

    `canonical`: its bytes are compared too. Raises Unreadable.
    """
    data = _members(text)
    wrong = list(_of_its_bytes(text, data)) if canonical else []
    found, faults, whole = _slice(data)
    wrong = [*faults, *wrong]
    figures = 0
    report = None
    if found is not None and whole:
        report, differing, figures = _recomputed(found, data["report"])
        wrong = [*differing, *wrong]
    if not wrong and data["seal"] != _sum({name: data[name] for name in MEMBERS if name != "seal"}):
        wrong.append(Wrong("seal", "it does not fit the rest of the file"))
    another = by_another(str(data["made_by"]), made_by) if wrong else []
    compared, notes = compared_with(found, heads) if found is not None else ([], ())
    wrong += [*(ends_otherwise(found) if found is not None else []), *compared]
    entries = len(found.pieces) if found is not None else 0
    told = (*wrong[:MOST_FAULTS], *another)
    return Checked(told, figures, entries, notes, found, report, str(data["made_by"]))


def by_another(told: str, made_by: str) -> list[Wrong]:
    """What is to be said beside what is wrong with a file that says that another program made it."""
    why = f"it was made by {told}, and this is {made_by}: check it with that one"
    return [Wrong("made_by", why)] if told != made_by else []


def _members(text: str) -> Members:
    try:
        data = json.loads(text)
        dumps(data)  # every number of it can be written: no NaN, none beyond a float
    except json.JSONDecodeError as error:
        raise Unreadable(f"line {error.lineno}, column {error.colno}: it is no JSON: {error.msg}") from None
    except ValueError as error:
        raise Unreadable(f"it holds a number that no report has: {error}") from None
    except RecursionError:
        raise Unreadable("it is nested more deeply than any report") from None
    if not isinstance(data, dict) or data.get("format") != FORMAT:
        raise Unreadable("it is no report of bascule: it has no format " + repr(FORMAT))
    if data.get("version") != VERSION:
        raise Unreadable(f"its version is {data.get('version')!r}, and this bascule knows {VERSION}: use a later one")
    proof = data.get("proof")
    shaped = (
        isinstance(proof, dict) and isinstance(proof.get("entries"), list) and isinstance(proof.get("models"), dict)
    )
    if tuple(data) != MEMBERS or not shaped or not isinstance(proof, dict) or tuple(proof) != PROOF:
        raise Unreadable(f"its members are not {', '.join(MEMBERS)} (and of proof: {', '.join(PROOF)})")
    return data


def _of_its_bytes(text: str, data: Members) -> Iterator[Wrong]:
    """A change that leaves every value as it was: a space, another way to write a number."""
    try:
        written = text_of(data)
    except (KeyError, TypeError, ValueError) as error:
        yield Wrong("file", f"it is not written as a report is: {error}")
        return
    if written != text:
        pairs = zip(text.splitlines(), written.splitlines(), strict=False)
        line = next((n for n, (a, b) in enumerate(pairs, 1) if a != b), len(text.splitlines()))
        yield Wrong(f"line {line}", "it is not written as bascule writes it")


def _slice(data: Members) -> tuple[Slice | None, list[Wrong], bool]:
    """The slice, what is wrong with it, and whether it is fit to work anything out of it."""
    proof = cast(Members, data["proof"])
    wrong: list[Wrong] = []
    try:
        head = decode(Heading, proof["head"])
    except CodecError as error:
        return None, [Wrong("proof.head", str(error))], False
    if proof["head_sum"] != _sum(proof["head"]):
        wrong.append(Wrong("proof.head", "it was changed: what the slice is a slice of does not fit its sum"))
    if head_of(head.journal) is None:
        wrong.append(Wrong("proof.head.journal", "it is no end of a journal: NUMBER:HASH"))
    of = head.subject
    wrong += [
        Wrong("proof.head.subject", f"{name} is nothing of {of.client or 'no client'}")
        for name in of.services
        if name.partition("/")[0] != of.client
    ]
    entries = cast(list[Json], proof["entries"])
    read = _whole_entries(entries) if head.edition is Edition.PROVIDER else _extracts(entries)
    pieces: list[Piece] = []
    for found in read:
        if isinstance(found, Wrong):
            wrong.append(found)
        else:
            pieces.append(found)
    wrong += [
        Wrong(f"entry {after.seq}", f"it stands behind entry {before.seq}")
        for before, after in pairwise(pieces)
        if after.seq <= before.seq
    ]
    models: dict[str, Model] = {}
    for digest, kept in cast(Members, proof["models"]).items():
        try:
            parts = kept["parts"] if isinstance(kept, dict) and tuple(kept) == ("parts", "sum") else None
            models[digest] = decode(Model, parts)
        except CodecError as error:
            wrong.append(Wrong(f"model {digest}", str(error)))
            continue
        if isinstance(kept, dict) and kept["sum"] != _sum(parts):
            wrong.append(Wrong(f"model {digest}", "it was changed: it does not fit its sum"))
        elif models[digest].digest != digest:
            wrong.append(Wrong(f"model {digest}", f"it says that it is {models[digest].digest}"))
    made = Slice(
        head.edition, head.subject, head.now, head.wall, head.unwatched_s, head.journal, tuple(pieces), models,
        head.ages,
    )  # fmt: skip
    return made, wrong, not wrong


def _whole_entries(entries: Sequence[Json]) -> Iterator[Piece | Wrong]:
    """The provider's: each with the journal's own hash."""
    last: Piece | None = None
    for number, given in enumerate(entries, 1):
        if not isinstance(given, dict) or tuple(given) != ("before", "hash", "said"):
            yield Wrong(f"entry {number} of the slice", "it has not the members before, hash, said")
            continue
        said = given["said"]
        name = f"entry {said.get('seq')}" if isinstance(said, dict) else f"entry {number} of the slice"
        try:
            body = dumps(said)
            if not isinstance(said, dict) or b"".join([body]) != dumps(loads(body)):
                raise CodecError("it is no entry")
            entry = chain.entry_of(body)
            before = bytes.fromhex(str(given["before"]))
        except (CodecError, ValueError) as error:
            yield Wrong(name, f"it cannot be read: {error}")
            continue
        if chain.link(before, body).hex() != given["hash"]:
            yield Wrong(name, "it, or the hash that it follows, was changed: its hash does not fit")
            continue
        if last is not None and last.seq + 1 == entry.seq and last.hash != given["before"]:
            yield Wrong(name, f"it does not follow entry {last.seq} as it stands here")
        last = Piece(
            entry.seq, entry.at, entry.wall, entry.epoch, entry.records, str(given["before"]), str(given["hash"]), body
        )  # fmt: skip
        yield last


EXTRACT = ("seq", "at", "wall", "epoch", "hash", "records", "sum")


def _extracts(entries: Sequence[Json]) -> Iterator[Piece | Wrong]:
    """The client's: what is left of each entry, with a chain of sums over it."""
    before = START
    for number, given in enumerate(entries, 1):
        if not isinstance(given, dict) or tuple(given) != EXTRACT:
            yield Wrong(f"entry {number} of the slice", f"it has not the members {', '.join(EXTRACT)}")
            continue
        name = f"entry {given['seq']}"
        after = hashlib.sha256(before + dumps({n: v for n, v in given.items() if n != "sum"}))
        if after.hexdigest() != given["sum"]:
            yield Wrong(name, "it, or the one before it, was changed: its sum does not fit")
        try:
            before = bytes.fromhex(str(given["sum"]))
            records = tuple(cast(Record, decode_tagged(RECORDS, x)) for x in cast(list[Json], given["records"]))
            yield Piece(
                checked(given["seq"], int, "seq"), float(cast(float, given["at"])), float(cast(float, given["wall"])),
                checked(given["epoch"], int, "epoch"), records, "", str(given["hash"]),
            )  # fmt: skip
        except (CodecError, ValueError, TypeError, OverflowError) as error:
            yield Wrong(name, f"it cannot be read: {error}")


def _recomputed(found: Slice, told: Json) -> tuple[Report | None, list[Wrong], int]:
    """The report that the slice tells, what the file says otherwise, and how many values were compared."""
    try:
        report = compose(found)
    except (IllegalRecord, LookupError, ValueError, TypeError, AttributeError, ArithmeticError, OSError) as error:
        return None, [Wrong("proof", f"no report follows from these entries: {error}")], 0
    said = plain_json(report)
    return report, list(_differing("report", told, said)), _count(said)


def _differing(where: str, told: Json, said: Json) -> Iterator[Wrong]:
    """Each value that is not what the records say."""
    if isinstance(said, dict) and isinstance(told, dict):
        for name in dict.fromkeys([*said, *told]):
            if name not in told:
                yield Wrong(f"{where}.{name}", "it was taken out")
            elif name not in said:
                yield Wrong(f"{where}.{name}", "the records know of no such thing")
            else:
                yield from _differing(f"{where}.{name}", told[name], said[name])
        return
    if isinstance(said, list) and isinstance(told, list):
        for n, (mine, theirs) in enumerate(zip(told, said, strict=False)):
            yield from _differing(f"{where}[{n}]", mine, theirs)
        if len(told) != len(said):
            yield Wrong(where, f"it has {len(told)}, and by the records there are {len(said)}")
        return
    if type(told) is not type(said) or told != said:
        yield Wrong(where, f"the file says {_shown(told)}, the records say {_shown(said)}")


def _shown(value: Json) -> str:
    text = json.dumps(value)
    return text if len(text) <= 80 else text[:77] + "..."


def _count(value: Json) -> int:
    if isinstance(value, dict):
        return sum(_count(x) for x in value.values())
    return sum(_count(x) for x in value) if isinstance(value, list) else 1
